//! `/api/v1/tokens`: the tokens of this API.

use axum::extract::Request;
use oauth::id::ApiTokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Id, Outcome, created, nothing, object, ok};
use super::guard::Caller;
use crate::admin::tokens::{self, Addition, NewToken, TokenView};

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
    /// After which time it expires, such as `90d`; when its maker does, if left out.
    expires_in: Option<String>,
}

/// List the tokens of this API, oldest first
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "listTokens",
    responses((status = 200, description = "The tokens that are not revoked", body = TokenList)))]
pub(super) async fn list(caller: Caller) -> Outcome {
    ok(&TokenList { tokens: tokens::list(&caller.admin()).await? })
}

/// Make a token
///
/// The new token is revoked when the token that makes it is.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "addToken", request_body = TokenAddition,
    responses((status = 201, description = "The token, shown this once", body = NewToken),
        (status = 409, description = "The name is taken", body = super::answer::Error)))]
pub(super) async fn add(caller: Caller, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let limit = caller.app.config.limits.body_bytes;
    let TokenAddition { name, scopes, expires_in } = object(&parts.headers, body, limit, false).await?;
    created(&tokens::add(&caller.admin(), Addition { name, scopes, expires_in }).await?)
}

/// Revoke a token
///
/// All tokens that it made are revoked with it, and those that they made.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "revokeToken",
    params(("id" = String, Path, description = "Its id, not its text")),
    responses((status = 204, description = "The token is revoked"),
        (status = 404, description = "There is no such token", body = super::answer::Error)))]
pub(super) async fn revoke(caller: Caller, Id(id): Id<ApiTokenId>) -> Outcome {
    tokens::revoke(&caller.admin(), &id).await?;
    Ok(nothing())
}
