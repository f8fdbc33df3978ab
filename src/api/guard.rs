//! Who calls, and whether they may: before every operation. Nothing but a bearer token in the header counts; cookies
//! are not looked at, so no web page can make somebody's browser do anything here (B-16).

use super::answer::{Denied, Error};
use crate::admin::{Actor, Admin};
use crate::app::App;
use crate::model::api_token::{ApiScope, ApiToken, may_be_token};
use crate::model::secret::Secret;
use crate::response::respond::{Failure, json, retry_after, status_of};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// What stands before one operation.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) app: App,
    pub(super) scope: ApiScope,
    /// Whether anything may stand behind the question mark.
    pub(super) takes_query: bool,
}

/// The caller of an operation, and what the operation works with.
pub(super) struct Caller {
    pub(super) app: App,
    actor: Actor,
}

impl Caller {
    pub(super) fn admin(&self) -> Admin<'_> {
        let app = &self.app;
        Admin { store: &app.store, config: &app.config, random: &app.random, now: app.clock.now(), actor: &self.actor }
    }
}

/// The caller of a request that passed the guard.
impl FromRequestParts<App> for Caller {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Denied> {
        let actor = parts.extensions.get().cloned().ok_or(Failure::Answer("an operation without its guard"))?;
        Ok(Self { app: app.clone(), actor })
    }
}

/// Lets a request through whose token has the scope, and gives refusals their form.
pub(super) async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Door { app, scope, takes_query } = door;
    let token = match token(&app, request.headers()).await {
        Ok(token) => token,
        Err(Denied::Refused(StatusCode::UNAUTHORIZED, code, text)) => {
            let (parts, _) = request.into_parts();
            let network = app.contexts.proxies.network_of(&parts);
            if let Some(limits) = &app.limits
                && let Err(wait) = limits.api_failures.check(network)
            {
                let seconds = wait.as_secs().saturating_add(1);
                let text = format!("too many wrong tokens; try again in {seconds} seconds");
                let mut response =
                    formed(&app, None, Denied::Refused(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", text));
                retry_after(&mut response, seconds);
                return response;
            }
            tracing::warn!(%network, "admin API: a token was refused");
            let challenge = HeaderValue::from_static("Bearer realm=\"admin API\"");
            let mut response = formed(&app, None, Denied::Refused(StatusCode::UNAUTHORIZED, code, text));
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return response;
        }
        Err(denied) => return formed(&app, None, denied),
    };
    let name = token.name.clone();
    if !token.scopes.allow(scope) {
        let text = format!("this token lacks the scope {}", scope.as_str());
        return formed(&app, Some(&name), Denied::forbidden(text));
    }
    if !takes_query && request.uri().query().is_some_and(|query| !query.is_empty()) {
        return formed(&app, Some(&name), Denied::invalid("this operation takes no parameters in its address"));
    }
    request.extensions_mut().insert(Actor::Token(token));
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Denied>() {
        Some(denied) => formed(&app, Some(&name), denied),
        // What the router itself could not read: an id that is no text.
        None if response.status().is_client_error() => {
            formed(&app, Some(&name), Denied::invalid("the address can't be read"))
        }
        None => response,
    }
}

async fn token(app: &App, headers: &HeaderMap) -> Result<ApiToken, Denied> {
    let refused = |text: &str| Denied::Refused(StatusCode::UNAUTHORIZED, "invalid_token", text.to_owned());
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let text = value.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
    let token = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        return Err(refused(
            "send a token of the admin API: Authorization: Bearer pca_…; portcullis token add makes one",
        ));
    };
    let unknown = || refused("the token is unknown, expired or revoked");
    // What can't be one of ours costs the database nothing.
    let token = token.trim();
    if !may_be_token(token) {
        return Err(unknown());
    }
    // Looked up by its digest: the time that takes tells nothing of the token (B-28).
    let hash = Secret::presented(token).hash();
    app.store.use_api_token(&hash, app.clock.now()).await?.ok_or_else(unknown)
}

/// Gives a refusal or a failure its form, and the log its line with the name of the token, if it was a good one.
fn formed(app: &App, token: Option<&str>, denied: Denied) -> Response {
    let reference = app.random.reference();
    let (status, code, text, wait) = match denied {
        Denied::Failed(failure) => {
            tracing::error!(endpoint = "api", token, reference, error = %failure, "failed");
            let (status, code) = status_of(&failure);
            (status, code, format!("this server has a problem; try again; reference {reference}"), Some(5))
        }
        Denied::Refused(status, code, text) => {
            tracing::info!(endpoint = "api", token, reference, error = code, description = text, "refused");
            (status, code, text, None)
        }
    };
    let body = Error { error: code, error_description: text, reference: Some(reference) };
    // Three texts can always be written; without a body the status still says it.
    let mut response = json(status, &body).unwrap_or_else(|_| status.into_response());
    if let Some(seconds) = wait {
        retry_after(&mut response, seconds);
    }
    response
}
