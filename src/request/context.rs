//! Who calls, and which attempt to connect the call belongs to: made once for each request, so that every step and
//! every refusal is recorded and every answer can name the attempt.

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, USER_AGENT,
};
use axum::http::request::Parts;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::{AuthorizationId, ClientId, GrantId};
use oauth::params::Params;
use oauth::time::Timestamp;

use super::address::{Network, Proxies};
use crate::attempts::recorder::Recorder;
use crate::attempts::scrub;
use crate::crypto::master::AttemptKey;
use crate::model::attempt::{Event, Outcome, Stage};
use crate::model::clock::Clock;

/// What contexts are made with. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    pub(crate) key: AttemptKey,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    pub(crate) proxies: Proxies,
}

/// One request, as the record sees it.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The step that it is about; what the edge refuses is recorded under it.
    pub(crate) stage: Stage,
    attempt: AttemptId,
    early: bool,
    at: Timestamp,
    agent: String,
    network: Option<Network>,
    client_id: Option<ClientId>,
    grant_id: Option<GrantId>,
    detail: Vec<(String, String)>,
    told: bool,
    recorder: Recorder,
}

impl Contexts {
    /// Contexts that leave no record.
    #[cfg(test)]
    pub(crate) fn unrecorded(key: AttemptKey, clock: Clock) -> Self {
        Self { key, clock, recorder: Recorder::off(), proxies: Proxies::none() }
    }

    /// The context of a request.
    pub(crate) fn of(&self, parts: &Parts) -> RequestContext {
        let agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let agent = agent.map(|agent| scrub::agent(&agent)).unwrap_or_default();
        self.from(&agent, Some(self.proxies.network_of(parts)))
    }

    /// The context of a request of which only the grant is known any more.
    pub(crate) fn about(&self, (client, grant): &(ClientId, GrantId)) -> RequestContext {
        let mut context = self.nobody();
        context.is_of(client);
        context.is_about(grant);
        context
    }

    /// The context of a request that nothing is known of any more.
    pub(crate) fn nobody(&self) -> RequestContext {
        self.from("", None)
    }

    fn from(&self, agent: &str, network: Option<Network>) -> RequestContext {
        let at = self.clock.now();
        RequestContext {
            stage: Stage::Other,
            attempt: self.key.early(&name_of(network), at),
            early: true,
            at,
            agent: agent.to_owned(),
            network,
            client_id: None,
            grant_id: None,
            detail: Vec::new(),
            told: false,
            recorder: self.recorder.clone(),
        }
    }
}

fn name_of(network: Option<Network>) -> String {
    network.map(|network| network.to_string()).unwrap_or_default()
}

/// Records that a web page asked whether it may call (CORS). Asks any other request for its method only.
pub(crate) fn note_preflight(contexts: &Contexts, request: Request) -> Request {
    let asked = request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asked {
        return request;
    }
    let (parts, body) = request.into_parts();
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut context = contexts.of(&parts);
    context.note_address("path", parts.uri.path());
    context.note_address("origin", text(ORIGIN));
    context.note("wants", &format!("{} {}", text(ACCESS_CONTROL_REQUEST_METHOD), text(ACCESS_CONTROL_REQUEST_HEADERS)));
    context.done(Stage::Preflight);
    Request::from_parts(parts, body)
}

impl RequestContext {
    /// The attempt, as answers name it.
    pub(crate) fn attempt(&self) -> &AttemptId {
        &self.attempt
    }

    /// The network that it comes from, as limits count it, unless nothing is known of it any more.
    pub(crate) fn network(&self) -> Option<Network> {
        self.network
    }

    /// The same as text; empty if nothing is known.
    pub(crate) fn network_name(&self) -> String {
        name_of(self.network)
    }

    /// From now on this is an attempt of its own.
    pub(crate) fn begins(&mut self, attempt: AttemptId) {
        self.attempt = attempt;
        self.early = false;
    }

    /// It is about this authorization request.
    pub(crate) fn continues(&mut self, authorization: &AuthorizationId, client: &ClientId) {
        if let Some(attempt) = authorization.attempt() {
            self.begins(attempt);
        }
        self.is_of(client);
    }

    /// It is about this grant.
    pub(crate) fn is_about(&mut self, grant: &GrantId) {
        if let Some(attempt) = grant.attempt() {
            self.begins(attempt);
        }
        self.grant_id = Some(grant.clone());
    }

    /// It comes from this client, or says so.
    pub(crate) fn is_of(&mut self, client: &ClientId) {
        self.calls_itself(client.as_str());
    }

    fn calls_itself(&mut self, client_id: &str) {
        self.client_id = ClientId::parse(scrub::value(client_id)).ok();
    }

    /// Keeps what came in, without secrets.
    pub(crate) fn received(&mut self, params: &Params) {
        self.detail = scrub::params(params);
        if let Some(client) = params.first("client_id") {
            self.calls_itself(client);
        }
    }

    /// Keeps one thing more.
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        scrub::push(&mut self.detail, name, scrub::value(value));
    }

    /// Keeps one address more, without its query.
    pub(crate) fn note_address(&mut self, name: &str, address: &str) {
        scrub::push(&mut self.detail, name, scrub::address(address));
    }

    /// Records that a step was taken.
    pub(crate) fn done(&mut self, stage: Stage) {
        self.record(stage, Outcome::Ok, None, "", None);
    }

    /// The same, with something to say about it.
    pub(crate) fn done_with(&mut self, stage: Stage, cause: Cause, remark: &str) {
        self.record(stage, Outcome::Ok, Some(cause), remark, None);
    }

    /// Records a refusal now, with the words that the client gets; the edge then doesn't record it again.
    pub(crate) fn refused(&mut self, stage: Stage, cause: Cause, reason: &str, detail: Option<&str>) {
        self.record(stage, Outcome::Refused, Some(cause), reason, detail);
        self.told = true;
    }

    /// Records how the request ended, unless a refusal is recorded already.
    pub(crate) fn ends(&self, outcome: Outcome, cause: Cause, reason: &str, detail: Option<&str>) {
        if !self.told {
            self.record(self.stage, outcome, Some(cause), reason, detail);
        }
    }

    fn record(&self, stage: Stage, outcome: Outcome, cause: Option<Cause>, reason: &str, more: Option<&str>) {
        let mut detail = self.detail.clone();
        if let Some(more) = more.filter(|more| !more.is_empty()) {
            scrub::push(&mut detail, "note", scrub::value(more));
        }
        self.recorder.record(Event {
            attempt: self.attempt.clone(),
            early: self.early,
            at: self.at,
            stage,
            outcome,
            cause,
            reason: scrub::reason(reason),
            detail,
            agent: self.agent.clone(),
            network: self.network_name(),
            client_id: self.client_id.clone(),
            grant_id: self.grant_id.clone(),
        });
    }
}
