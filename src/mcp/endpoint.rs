//! The endpoint: leads a request past the checks to the tools, and says what each check costs it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use oauth::cause::Cause;
use oauth::challenge::Challenge;
use oauth::id::{ClientId, GrantId};
use oauth::issuer::Issuer;
use oauth::json::Bounds;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::web_origin::{Host, WebOrigin};

use super::answer::{Refused, cut};
use super::door::Door;
use super::envelope::{Envelope, Message};
use super::guard::{Admitted, Caller, Denied, Guard};
use super::media::{Media, check_content_type};
use super::policy::Policy;
use super::server::Server;
use super::tools::whoami::Directory;
use super::tools::{ToolSettings, Toolbox};
use super::transport::Transport;
use crate::crypto::keys::KeyRing;
use crate::library::Library;
use crate::model::attempt::{Outcome, Stage};
use crate::model::clock::Clock;
use crate::request::body::{Unread, collect};
use crate::request::context::{Contexts, RequestContext};
use crate::revocations::Revocations;

/// What the endpoint is made of.
pub(crate) struct McpSettings {
    /// Who issues the tokens.
    pub(crate) issuer: Issuer,
    /// What the tokens are for: the endpoint's own URL.
    pub(crate) resource: Resource,
    /// The absolute URL of the resource's metadata.
    pub(crate) resource_metadata: String,
    /// The product's name on this deployment.
    pub(crate) name: String,
    /// The scopes that a client without a good token is told to ask for.
    pub(crate) initial_scope: Scope,
    /// The tools that are on.
    pub(crate) tools: ToolSettings,
    /// `mcp.allowed_hosts`.
    pub(crate) allowed_hosts: Vec<Host>,
    /// `mcp.allowed_origins`.
    pub(crate) allowed_origins: Vec<WebOrigin>,
    /// `limits.mcp_body_bytes`.
    pub(crate) body_limit: usize,
    /// `limits.mcp_json_depth` and `limits.mcp_json_values`.
    pub(crate) json_bounds: Bounds,
    /// The keys that sign tokens.
    pub(crate) keys: Arc<KeyRing>,
    /// Which grants are revoked.
    pub(crate) revocations: Arc<Revocations>,
    /// The time.
    pub(crate) clock: Clock,
    /// What `search` and `fetch` serve.
    pub(crate) library: Library,
    /// Whom `whoami` asks.
    pub(crate) directory: Arc<dyn Directory>,
    /// Where calls are recorded.
    pub(crate) contexts: Contexts,
}

/// The endpoint, ready to serve. Clones share it.
#[derive(Clone)]
pub(crate) struct McpState(Arc<Inner>);

struct Inner {
    door: Door,
    guard: Guard,
    policy: Arc<Policy>,
    transport: Transport,
    clock: Clock,
    contexts: Contexts,
    body_limit: usize,
    json_bounds: Bounds,
    resource_metadata: String,
    /// The challenge for who has no good token; a refusal adds its error to it.
    challenge: Challenge,
}

/// Serves a request at the endpoint: the handler to mount, for every method, wherever the endpoint lives.
pub(crate) async fn handle(State(state): State<McpState>, request: Request) -> Response {
    state.0.serve(request).await
}

impl McpState {
    /// Builds the endpoint.
    pub(crate) fn new(settings: McpSettings) -> Self {
        let website = settings.issuer.as_str().to_owned();
        let door = Door::new(&website, &settings.allowed_hosts, &settings.allowed_origins);
        let toolbox = Toolbox::new(settings.tools, settings.library, settings.directory);
        let policy = Arc::new(Policy::new(toolbox.needs()));
        let server = Server::new(&settings.name, &website, toolbox, Arc::clone(&policy));
        Self(Arc::new(Inner {
            door,
            guard: Guard::new(settings.issuer, settings.resource, settings.keys, settings.revocations),
            policy,
            transport: Transport::new(&Arc::new(server)),
            clock: settings.clock,
            contexts: settings.contexts,
            body_limit: settings.body_limit,
            json_bounds: settings.json_bounds,
            challenge: Challenge::new(&settings.resource_metadata).scope(&settings.initial_scope),
            resource_metadata: settings.resource_metadata,
        }))
    }
}

#[cfg(feature = "bench")]
impl McpState {
    /// The same tools on the same library with nothing in front of them, every call made in the name of `sub`:
    /// what the benchmarks compare the guarded endpoint with. Built for them alone.
    pub(crate) fn unprotected(&self, path: &str, sub: &str, scope: Scope) -> axum::Router {
        let caller = Arc::new(Caller {
            sub: sub.to_owned(),
            client_id: String::new(),
            grant: String::new(),
            scope,
            exp: oauth::time::Timestamp(i64::MAX),
        });
        axum::Router::new().route_service(path, self.0.transport.bare()).layer(axum::Extension(caller))
    }
}

/// What the headers and the body of a request decided.
struct Read {
    admitted: Admitted,
    media: Media,
    body: Bytes,
}

impl Inner {
    /// Leads a request through, and records what is worth it: a token's first call, and refusals. A call with a token
    /// that is remembered leaves nothing and pays nothing.
    async fn serve(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let (mut stage, mut of) = (Stage::Challenge, None);
        let outcome = match self.read(&parts, body, &mut of).await {
            Ok(read) => {
                stage = Stage::Call;
                self.answer(parts, read).await
            }
            Err(refused) => {
                if of.is_some() {
                    stage = Stage::Call;
                }
                Err((refused, self.contexts.of(&parts)))
            }
        };
        outcome.unwrap_or_else(|(refused, mut context)| {
            if let Some((client, grant)) = &of {
                context.is_of(client);
                context.is_about(grant);
            }
            context.stage = stage;
            let outcome = if refused.is_ours() { Outcome::Failed } else { Outcome::Refused };
            context.ends(outcome, refused.cause(), &refused.reason(), None);
            refused.of_attempt(context.attempt()).into_response()
        })
    }

    /// All checks that come before the message. `of` is told whose token it is as soon as that is known.
    async fn read(&self, parts: &Parts, body: Body, of: &mut Option<(ClientId, GrantId)>) -> Result<Read, Refused> {
        self.door.check(parts)?;
        let admitted = self.guard.admit(&parts.headers, parts.uri.query(), self.clock.now()).map_err(|denied| {
            if let Denied::InvalidToken { of: known, .. } = &denied {
                of.clone_from(known);
            }
            Refused::denied(&denied, &self.challenge)
        })?;
        let checked = async {
            if parts.method != Method::POST {
                return Err(Refused::method());
            }
            check_content_type(&parts.headers)?;
            let media = Media::accepted_by(&parts.headers)?;
            Ok((media, read(body, self.body_limit).await?))
        };
        match checked.await {
            Ok((media, body)) => Ok(Read { admitted, media, body }),
            Err(refused) => {
                *of = Some(admitted.caller.origin());
                Err(refused)
            }
        }
    }

    /// Judges the message and carries it to the tools.
    async fn answer(&self, mut parts: Parts, read: Read) -> Result<Response, (Refused, RequestContext)> {
        let Read { admitted: Admitted { caller, first }, media, body } = read;
        let context = |parts: &Parts| {
            let (client, grant) = caller.origin();
            let mut context = self.contexts.of(parts);
            context.is_of(&client);
            context.is_about(&grant);
            context
        };
        let envelope = Envelope::parse(&body, self.json_bounds).map_err(|refused| (refused, context(&parts)))?;
        let permitted = match &envelope {
            Envelope::One(message) => self.permit(&caller, message.tool()),
            Envelope::Batch(bodies) => {
                // What can't be read calls nothing; it gets its own error among the answers.
                let messages = bodies.iter().filter_map(|body| Message::parse(body.get().as_bytes()).ok());
                let tools: Vec<_> = messages.filter_map(|message| message.tool().map(str::to_owned)).collect();
                self.permit(&caller, tools.iter().map(String::as_str))
            }
        };
        permitted.map_err(|refused| (refused, context(&parts)))?;
        let mut first = first.then(|| context(&parts));
        if let (Some(context), Envelope::One(message)) = (&mut first, &envelope) {
            context.note("method", cut(message.method().unwrap_or_default(), 200));
            context.note("protocol_version", header(&parts, "mcp-protocol-version"));
        }
        // S-03: the token ends here. Neither tools nor log lines further in can pass on what they don't have.
        parts.headers.remove(AUTHORIZATION);
        parts.headers.remove(COOKIE);
        parts.extensions.insert(Arc::clone(&caller));
        let outcome = match envelope {
            Envelope::One(message) => self.transport.one(parts, body.clone(), &message, media).await,
            Envelope::Batch(bodies) => self.transport.batch(&parts, bodies).await,
        };
        match (outcome, first) {
            (Ok(response), Some(mut context)) => {
                context.done(Stage::Call);
                Ok(response)
            }
            (Ok(response), None) => Ok(response),
            // The request is gone; whose it was is known all the same.
            (Err(refused), first) => Err((refused, first.unwrap_or_else(|| self.contexts.about(&caller.origin())))),
        }
    }

    /// Decided before anything is executed, and answered with a real 403: clients step up on nothing else
    /// (D-25, D-26).
    fn permit<'a, T: IntoIterator<Item = &'a str>>(&self, caller: &Caller, tools: T) -> Result<(), Refused> {
        self.policy.decide(&caller.scope, tools).map_err(|insufficient| {
            tracing::info!(client = caller.client_id, missing = %insufficient.missing, "refused a call: insufficient scope");
            Refused::insufficient(&insufficient, &self.resource_metadata)
        })
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> &'a str {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads the body, or says in this endpoint's form why not.
async fn read(body: Body, limit: usize) -> Result<Bytes, Refused> {
    collect(body, limit).await.map_err(|unread| match unread {
        Unread::TooLarge => Refused::too_large(limit),
        Unread::BrokenOff => {
            Refused::http(Cause::Malformed, StatusCode::BAD_REQUEST, "invalid_request", "The request body broke off.")
        }
        Unread::TooSlow => Refused::http(
            Cause::Malformed,
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request",
            "The request body did not arrive in time.",
        ),
    })
}
