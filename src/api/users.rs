//! `/api/v1/users`: accounts.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::Request;
use oauth::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Id, Outcome, created, limit, nothing, object, ok, query};
use super::guard::Caller;
use crate::admin::people::{self, Addition, UserView};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// The most entries: 1 to 200, 50 if left out.
    #[param(value_type = Option<i64>)]
    limit: Option<String>,
}

/// A page of accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct UserList {
    users: Vec<UserView>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserAddition {
    /// The login name.
    username: String,
    password: String,
    /// What pages call the person; the username if left out.
    display_name: Option<String>,
    /// `admin` or `user`, which is the default.
    role: Option<String>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: String,
}

/// List accounts by name
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "listUsers", params(UsersQuery),
    responses((status = 200, description = "A page of accounts", body = UserList)))]
pub(super) async fn list(caller: Caller, request: Request) -> Outcome {
    let asked: UsersQuery = query(request.uri().query())?;
    let limit = limit(asked.limit.as_deref())?;
    let listed = people::list(&caller.admin(), &asked.after.unwrap_or_default(), limit).await?;
    ok(&UserList { users: listed.entries, next: listed.next })
}

/// Make an account
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "addUser", request_body = UserAddition,
    responses((status = 201, description = "The account", body = UserView),
        (status = 409, description = "The name is taken", body = super::answer::Error)))]
pub(super) async fn add(caller: Caller, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let limit = caller.app.config.limits.body_bytes;
    let UserAddition { username, password, display_name, role } = object(&parts.headers, body, limit, false).await?;
    let addition = Addition { username, password, display_name, role };
    created(&people::add(&caller.admin(), &caller.app.passwords, addition).await?)
}

/// Disable an account and end its connections
///
/// Nobody can sign in to a disabled account.
#[utoipa::path(post, path = "/api/v1/users/{id}/disable", tag = "users", operation_id = "disableUser",
    params(("id" = String, Path, description = "The id of the account")),
    responses((status = 200, description = "The account", body = UserView),
        (status = 404, description = "There is no such account", body = super::answer::Error)))]
pub(super) async fn disable(caller: Caller, Id(id): Id<UserId>) -> Outcome {
    ok(&people::disable(&caller.admin(), &id).await?)
}

/// Enable a disabled account
///
/// The account's old connections stay ended.
#[utoipa::path(post, path = "/api/v1/users/{id}/enable", tag = "users", operation_id = "enableUser",
    params(("id" = String, Path, description = "The id of the account")),
    responses((status = 200, description = "The account", body = UserView),
        (status = 404, description = "There is no such account", body = super::answer::Error)))]
pub(super) async fn enable(caller: Caller, Id(id): Id<UserId>) -> Outcome {
    ok(&people::enable(&caller.admin(), &id).await?)
}

/// Set a password
///
/// Browsers are signed out and connections end: whoever knew the old one may have made them.
#[utoipa::path(put, path = "/api/v1/users/{id}/password", tag = "users", operation_id = "setPassword",
    params(("id" = String, Path, description = "The id of the account")), request_body = NewPassword,
    responses((status = 204, description = "The password is set"),
        (status = 404, description = "There is no such account", body = super::answer::Error)))]
pub(super) async fn password(caller: Caller, Id(id): Id<UserId>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let asked: NewPassword = object(&parts.headers, body, caller.app.config.limits.body_bytes, false).await?;
    people::set_password(&caller.admin(), &caller.app.passwords, &id, asked.password).await?;
    Ok(nothing())
}
