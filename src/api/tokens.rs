//! `/api/v1/tokens`: the tokens of this API. None can make another that has or lasts more than itself.

use axum::extract::{Request, State};
use oauth::id::ApiTokenId;
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Denied, Id, Outcome, created, nothing, object, ok};
use super::guard::Caller;
use crate::app::App;
use crate::config::duration;
use crate::model::api_token::{ApiScope, ApiScopes, ApiToken, Maker, Making, check_name};
use crate::model::secret::SecretKind;
use crate::store::NewApiToken;

/// A token, never its text.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: Vec<&'static str>,
    #[schema(value_type = i64)]
    pub(crate) created_at: Timestamp,
    /// The name of the token that made it, with which it is revoked; absent for one from the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
    /// To the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub(crate) last_used_at: Option<Timestamp>,
    /// Absent for one that never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub(crate) expires_at: Option<Timestamp>,
}

/// The tokens that are not revoked.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenList {
    tokens: Vec<TokenView>,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenAddition {
    /// Stands in the log beside what is done with it.
    name: String,
    /// What it may do; no more than the token that makes it.
    scopes: Vec<String>,
    /// After which time it stops, such as `90d`; when its maker does, if left out.
    expires_in: Option<String>,
}

/// A token that has just been made: the only answer that shows it.
#[derive(Serialize, ToSchema)]
pub(super) struct NewToken {
    /// Shown this once.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

impl From<ApiToken> for TokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: token.scopes.names().collect(),
            created_at: token.created_at,
            created_by: token.created_by,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
        }
    }
}

/// List the tokens of this API, oldest first
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "listTokens",
    responses((status = 200, description = "The tokens that are not revoked", body = TokenList)))]
pub(super) async fn list(State(app): State<App>) -> Outcome {
    let tokens = app.store.api_tokens().await?;
    ok(&TokenList { tokens: tokens.into_iter().map(TokenView::from).collect() })
}

/// Make a token
///
/// It is revoked when the token that makes it is.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "addToken", request_body = TokenAddition,
    responses((status = 201, description = "The token, shown this once", body = NewToken),
        (status = 409, description = "The name is taken", body = super::answer::Error)))]
pub(super) async fn add(State(app): State<App>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: TokenAddition = object(&parts.headers, body, app.config.limits.body_bytes, false).await?;
    check_name(&asked.name).map_err(|words| Denied::invalid(format!("name: {words}")))?;
    let scopes = scopes(&asked.scopes).map_err(|words| Denied::invalid(format!("scopes: {words}")))?;
    let lacking: Vec<&str> = caller.scopes.lacking(&scopes).map(ApiScope::as_str).collect();
    if !lacking.is_empty() {
        return Err(Denied::forbidden(format!("scopes: this token has no {} to pass on", lacking.join(", "))));
    }
    let now = app.clock.now();
    let expires_at = match asked.expires_in.as_deref() {
        None => caller.expires_at,
        Some(text) => Some(expiry(text, now).map_err(|words| Denied::invalid(format!("expires_in: {words}")))?),
    };
    if caller.expires_at.is_some_and(|own| expires_at.is_none_or(|wanted| wanted > own)) {
        return Err(Denied::forbidden("expires_in: a token can't outlive the one that makes it"));
    }
    let (id, secret) = (app.random.api_token_id(), app.random.secret(SecretKind::ApiToken));
    let new = NewApiToken {
        id: &id,
        name: &asked.name,
        hash: &secret.hash(),
        scopes: &scopes,
        created_at: now,
        created_by: Some(Maker { id: &caller.id, name: &caller.name }),
        expires_at,
    };
    match app.store.insert_api_token(&new).await? {
        Making::Done => {}
        Making::NameTaken => return Err(Denied::conflict("name: there is a token with this name")),
        Making::MakerGone => {
            return Err(Denied::conflict("this token was revoked or expired meanwhile; it makes none"));
        }
    }
    caller.did("token made", &asked.name);
    let view = TokenView {
        id: id.to_string(),
        name: asked.name,
        scopes: scopes.names().collect(),
        created_at: now,
        created_by: Some(caller.name),
        last_used_at: None,
        expires_at,
    };
    created(&NewToken { token: secret.expose().to_owned(), view })
}

/// Revoke a token
///
/// All tokens that it made are revoked with it, and those that they made.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revokeToken",
    params(("id" = String, Path, description = "Its id, not its text")),
    responses((status = 204, description = "It has stopped"),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn revoke(State(app): State<App>, Id(id): Id<ApiTokenId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    if app.store.revoke_api_token(&id, app.clock.now()).await? == 0 {
        // What was sent may be a token's text: it is not repeated, neither in the answer nor in the log.
        return Err(Denied::not_found("there is no token with this id; GET /api/v1/tokens shows the ids"));
    }
    caller.did("token revoked", id.as_str());
    Ok(nothing())
}

/// Reads the names of scopes.
pub(crate) fn scopes(names: &[String]) -> Result<ApiScopes, String> {
    let known = || ApiScope::ALL.map(ApiScope::as_str).join(", ");
    let scopes = ApiScopes::parse(names).map_err(|name| format!("{name:?} is not one of {}", known()))?;
    if scopes.is_empty() { Err(format!("name at least one of {}", known())) } else { Ok(scopes) }
}

/// When a token stops that is made now.
pub(crate) fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let span = duration::parse(text)?;
    if span.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(now.plus(span)) }
}
