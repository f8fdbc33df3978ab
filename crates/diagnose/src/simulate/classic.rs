//! Insomnia's classic OAuth 2 tab: a client id copied there by hand, the default browser, and forms of its own.
//!
//! The id goes in a Basic header even where there is no secret, and then not in the body; a refresh names no resource;
//! versions before September 2025 name no client either.

use known_clients::replica::{IssRule, StateForm};

use super::Run;
use super::authorization::{Asks, Code, authorize};
use super::calls;
use super::discovery::Found;
use super::exchange::Request;
use super::identity::Identity;
use super::report::{Stopped, Trace, Why};
use super::tokens::{self, Tokens, basic};

const AUTHORIZE: &[&str] = &[
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "audience",
    "resource",
    "code_challenge",
    "code_challenge_method",
];
const ACCEPT: &str = "application/x-www-form-urlencoded, application/json";
const AGENT: &str = "insomnia/10.1.1";

/// The settings of a tab.
#[derive(Clone, Copy, Debug)]
struct Tab {
    title: &'static str,
    /// "As Basic Auth Header", the default, or "In Request Body".
    in_header: bool,
    resource: Typed,
}

/// What stands in the tab's field "Resource".
#[derive(Clone, Copy, Debug)]
enum Typed {
    Exact,
    Nothing,
    WithSlash,
}

/// Whose tab it is, and at which server.
#[derive(Clone, Copy)]
struct At<'a> {
    run: &'a Run<'a>,
    found: &'a Found,
    identity: &'a Identity,
}

/// I1 to I4.
const TABS: [Tab; 4] = [
    Tab { title: "Classic tab, credentials in the body", in_header: false, resource: Typed::Exact },
    Tab { title: "Classic tab, no resource", in_header: true, resource: Typed::Nothing },
    Tab { title: "Classic tab, resource with a slash", in_header: true, resource: Typed::WithSlash },
    Tab { title: "Classic tab, Basic with an empty secret", in_header: true, resource: Typed::Exact },
];

/// Goes through the forms of the tab; gives the tokens of the last.
pub(super) async fn connect(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
) -> Result<Tokens, Stopped> {
    let (at, mut last) = (At { run, found, identity }, None);
    for tab in TABS {
        let tokens = tab.connect(at, trace).await?;
        calls_with(run, trace, tab.title, &tokens).await?;
        last = Some(match tokens.refresh.clone() {
            Some(token) => tab.refresh(at, trace, &token).await?,
            None => tokens,
        });
    }
    let Some(tokens) = last else { return Err(Stopped) };
    match tokens.refresh.clone().filter(|_| identity.secret.is_none()) {
        Some(token) => unnamed_refresh(run, trace, found, &token).await,
        None => Ok(tokens),
    }
}

async fn calls_with(run: &Run<'_>, trace: &mut Trace, title: &str, tokens: &Tokens) -> Result<(), Stopped> {
    trace
        .step(
            format!("{title}: call"),
            "200: the token is for this endpoint, whatever resource was asked for",
            async |step| {
                let came = calls::knock(run, step, &tokens.access).await?;
                if came.is_good() { Ok(()) } else { Err(Why(format!("the token is refused with {}", came.status))) }
            },
        )
        .await
}

impl Tab {
    async fn connect(&self, at: At<'_>, trace: &mut Trace) -> Result<Tokens, Stopped> {
        let At { run, found, identity } = at;
        let resource = self.resource(found);
        let asks = Asks {
            title: self.title,
            order: AUTHORIZE,
            scope: &found.scope,
            resource: &resource,
            // A constant that the person typed, and that is not checked: none here.
            state: StateForm::None,
            iss: IssRule::Ignored,
        };
        let Code { code, verifier } = authorize(run, trace, found, identity, &asks).await?;
        let mut params = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", identity.redirect_uri.clone()),
            ("resource", resource),
            ("code_verifier", verifier),
        ];
        params.retain(|(_, value)| !value.is_empty());
        self.ask(at, trace, "code for tokens", params, None).await
    }

    /// I5: the scope again, no resource.
    async fn refresh(&self, at: At<'_>, trace: &mut Trace, token: &str) -> Result<Tokens, Stopped> {
        let mut params = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.to_owned()),
            ("scope", at.found.scope.clone()),
        ];
        params.retain(|(_, value)| !value.is_empty());
        self.ask(at, trace, "refresh", params, Some(token)).await
    }

    async fn ask(
        &self,
        at: At<'_>,
        trace: &mut Trace,
        what: &str,
        mut params: Vec<(&'static str, String)>,
        old: Option<&str>,
    ) -> Result<Tokens, Stopped> {
        let At { run, found, identity } = at;
        let secret = identity.secret.as_deref().unwrap_or_default();
        let mut credentials = String::new();
        if self.in_header {
            credentials = basic(&identity.id, secret);
        } else {
            params.push(("client_id", identity.id.clone()));
            if !secret.is_empty() {
                params.push(("client_secret", secret.to_owned()));
            }
        }
        trace
            .step(format!("{}: {what}", self.title), "200 with JSON and an access_token", async |step| {
                let endpoint = found.server.text("token_endpoint").unwrap_or_default();
                let request = Request::post(endpoint).form(&params).header("accept", ACCEPT);
                let request = request.header("user-agent", AGENT).header("authorization", credentials);
                tokens::read(run, &request.send(&run.http, step).await?, old)
            })
            .await
    }

    fn resource(&self, found: &Found) -> String {
        match self.resource {
            Typed::Exact => found.resource.clone(),
            Typed::Nothing => String::new(),
            Typed::WithSlash => format!("{}/", found.resource.trim_end_matches('/')),
        }
    }
}

/// I6: no client id and no credentials at all.
async fn unnamed_refresh(run: &Run<'_>, trace: &mut Trace, found: &Found, token: &str) -> Result<Tokens, Stopped> {
    trace
        .step("Classic tab before September 2025: refresh without any client id", "200 with JSON", async |step| {
            let endpoint = found.server.text("token_endpoint").unwrap_or_default();
            let params = [("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
            let request = Request::post(endpoint).form(&params).header("accept", ACCEPT).header("user-agent", AGENT);
            tokens::read(run, &request.send(&run.http, step).await?, Some(token))
        })
        .await
}
