//! The token endpoint (OAuth 2.1 §3.2): one pipeline, one file for each grant.

mod authorization_code;
mod refresh_token;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use oauth::error::Refusal;
use oauth::params::Params;
use oauth::scope::Scope;
use oauth::token::TokenRequest;
use serde::Serialize;

use crate::app::App;
use crate::app::client_auth::authenticate;
use crate::model::attempt::Stage;
use crate::model::secret::Secret;
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::respond::{Rejection, json};
use crate::tokens::AccessToken;

/// A token response (RFC 6749 §5.1). `scope` always stands in it: what was granted may differ from what was
/// asked.
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// `POST` at the token endpoint.
pub(crate) async fn handle(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, &mut context, request).await;
    app.edge.json("token", &context, outcome)
}

async fn serve(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    // OAuth 2.1 §3.2.2: parameters belong into the body; in the URL they end up in logs.
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::invalid_request("send parameters in the body, not in the URL").into());
    }
    let params = body::form(&parts.headers, body, app.config.limits.body_bytes).await?;
    context.received(&params);
    note_method(context, &parts.headers, &params);
    let now = app.clock.now();
    let request = TokenRequest::parse(&params, app.config.tokens.refresh);
    // Read once for both: whose the token is, and what becomes of it.
    let stored = match &request {
        Ok(TokenRequest::RefreshToken(refresh)) => {
            app.store.find_refresh_token(&Secret::presented(&refresh.refresh_token).hash()).await?
        }
        Ok(TokenRequest::AuthorizationCode(_)) | Err(_) => None,
    };
    context.stage = match &request {
        Ok(TokenRequest::AuthorizationCode(_)) => Stage::Redeem,
        Ok(TokenRequest::RefreshToken(_)) => Stage::Refresh,
        Err(_) => context.stage,
    };
    if let Some(stored) = &stored {
        context.is_about(&stored.grant.id);
    }
    let owner = stored.as_ref().map(|stored| stored.client.clone());
    let client = authenticate(app, &parts.headers, &params, owner, now).await?;
    context.is_of(&client.id);
    match request? {
        TokenRequest::AuthorizationCode(request) => {
            authorization_code::redeem(app, context, &client, &request, now).await
        }
        TokenRequest::RefreshToken(request) => {
            refresh_token::rotate(app, context, &client, &request, stored, now).await
        }
    }
}

/// Keeps how the client proved itself, and nothing of the proof.
fn note_method(context: &mut RequestContext, headers: &HeaderMap, params: &Params) {
    let by = if headers.contains_key(header::AUTHORIZATION) {
        "client_secret_basic"
    } else if params.first("client_assertion").is_some() {
        "private_key_jwt"
    } else if params.first("client_secret").is_some() {
        "client_secret_post"
    } else {
        "none"
    };
    context.note("client_authentication", by);
}

fn respond(access: &AccessToken, scope: &Scope, refresh: Option<&Secret>) -> Result<Response, Rejection> {
    let body = TokenResponse {
        access_token: &access.token,
        token_type: "Bearer",
        expires_in: access.expires_in,
        scope: scope.to_string(),
        refresh_token: refresh.map(Secret::expose),
    };
    Ok(json(StatusCode::OK, &body)?)
}
