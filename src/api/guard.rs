//! Who calls, and whether they may: before every operation. Nothing but a bearer token in the header counts; cookies
//! are not looked at, so no web page can make somebody's browser do anything here (B-16).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer::{Denied, Error};
use crate::app::App;
use crate::http::address::Network;
use crate::http::respond::{json, retry_after, status_of};
use crate::model::api_token::{ApiScope, ApiScopes, ApiToken};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// What stands before one operation.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) app: App,
    pub(super) scope: ApiScope,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The name of the token.
    pub(super) name: String,
    /// What it may do.
    pub(super) scopes: ApiScopes,
    /// When it stops.
    pub(super) expires_at: Option<Timestamp>,
}

impl Caller {
    /// The caller of a request that passed the guard.
    pub(super) fn of(request: &Request) -> Result<Self, Denied> {
        let failure = crate::http::respond::Failure::Answer("an operation without its guard");
        request.extensions().get::<Self>().cloned().ok_or_else(|| failure.into())
    }

    /// Writes down who did what.
    pub(super) fn did(&self, what: &'static str, to: &str) {
        tracing::info!(token = self.name, what, to, "admin API");
    }
}

/// Lets a request through whose token has the scope, and gives refusals their form.
pub(super) async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let Door { app, scope } = door;
    let mut response = match caller(&app, request.headers(), scope).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(Denied::Refused(StatusCode::UNAUTHORIZED, code, text)) => {
            let (parts, _) = request.into_parts();
            let network = Network::of_request(&parts, &app.config.limits.trusted_proxies);
            if let Some(limits) = &app.limits
                && let Err(wait) = limits.api_failures.check(network)
            {
                let seconds = wait.as_secs().saturating_add(1);
                let text = format!("too many wrong tokens; try again in {seconds} seconds");
                let mut response =
                    formed(&app, Denied::Refused(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", text));
                retry_after(&mut response, seconds);
                return response;
            }
            tracing::warn!(%network, "admin API: a token was refused");
            let challenge = HeaderValue::from_static("Bearer realm=\"admin API\"");
            let mut response = formed(&app, Denied::Refused(StatusCode::UNAUTHORIZED, code, text));
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return response;
        }
        Err(denied) => return formed(&app, denied),
    };
    match response.extensions_mut().remove::<Denied>() {
        Some(denied) => formed(&app, denied),
        // What the router itself could not read: an id that is no text.
        None if response.status().is_client_error() => formed(&app, Denied::invalid("the address can't be read")),
        None => response,
    }
}

async fn caller(app: &App, headers: &HeaderMap, scope: ApiScope) -> Result<Caller, Denied> {
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
    // Looked up by its digest: the time that takes tells nothing of the token (B-28).
    let hash = Secret::presented(token.trim()).hash();
    let Some(token) = app.store.use_api_token(&hash, app.clock.now()).await? else {
        return Err(refused("the token is unknown, expired or revoked"));
    };
    let ApiToken { name, scopes, expires_at, .. } = token;
    if !scopes.allow(scope) {
        return Err(Denied::forbidden(format!("this token lacks the scope {}", scope.as_str())));
    }
    Ok(Caller { name, scopes, expires_at })
}

/// Gives a refusal or a failure its form, and the log its line.
fn formed(app: &App, denied: Denied) -> Response {
    let reference = app.random.reference();
    let (status, code, text, wait) = match denied {
        Denied::Failed(failure) => {
            tracing::error!(endpoint = "api", reference, error = %failure, "failed");
            let (status, code) = status_of(&failure);
            (status, code, format!("this server has a problem; try again; reference {reference}"), Some(5))
        }
        Denied::Refused(status, code, text) => {
            tracing::info!(endpoint = "api", reference, error = code, description = text, "refused");
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
