//! `/api/v1/users`: accounts.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::{Request, State};
use oauth::id::UserId;
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Denied, Id, Outcome, account, created, limit, nothing, object, ok, query};
use super::guard::Caller;
use crate::app::App;
use crate::model::user::{Role, User, Username, check_password};
use crate::store::NewUser;

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

/// An account.
#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    id: String,
    /// What they sign in with.
    username: String,
    /// What pages call them.
    display_name: String,
    /// `admin` or `user`.
    role: &'static str,
    #[schema(value_type = i64)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    disabled_at: Option<Timestamp>,
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
    /// What they sign in with.
    username: String,
    password: String,
    /// What pages call them; the username if left out.
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

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.as_str().to_owned(),
            display_name: user.display_name,
            role: user.role.as_str(),
            created_at: user.created_at,
            disabled_at: user.disabled_at,
        }
    }
}

/// List accounts by name
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "listUsers", params(UsersQuery),
    responses((status = 200, description = "A page of accounts", body = UserList)))]
pub(super) async fn list(State(app): State<App>, request: Request) -> Outcome {
    let asked: UsersQuery = query(request.uri().query())?;
    let limit = limit(asked.limit.as_deref())?;
    let after = asked.after.unwrap_or_default();
    if after.contains('\0') {
        return Err(Denied::invalid("after: is not the next of a page before"));
    }
    let users = app.store.users_after(&after, limit).await?;
    let full = i64::try_from(users.len()).is_ok_and(|count| count >= limit);
    let next = users.last().filter(|_| full).map(|user| user.username.as_str().to_owned());
    ok(&UserList { users: users.into_iter().map(UserView::from).collect(), next })
}

/// Make an account
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "addUser", request_body = UserAddition,
    responses((status = 201, description = "The account", body = UserView),
        (status = 409, description = "The name is taken", body = super::answer::Error)))]
pub(super) async fn add(State(app): State<App>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: UserAddition = object(&parts.headers, body, app.config.limits.body_bytes, false).await?;
    let username = Username::parse(&asked.username).map_err(|error| Denied::invalid(format!("username: {error}")))?;
    let role = match asked.role.as_deref() {
        None => Role::User,
        Some(text) => Role::parse(text).ok_or_else(|| Denied::invalid("role: must be admin or user"))?,
    };
    let display_name = asked.display_name.unwrap_or_else(|| username.as_str().to_owned());
    if display_name.trim().is_empty()
        || display_name.chars().count() > 100
        || display_name.chars().any(char::is_control)
    {
        return Err(Denied::invalid("display_name: must be one line of 1 to 100 characters"));
    }
    let password_hash = hash(&app, &username, asked.password).await?;
    let user =
        NewUser { id: app.random.user_id(), username, display_name, password_hash, role, created_at: app.clock.now() };
    app.store.insert_user(&user).await.map_err(account)?;
    caller.did("account made", user.id.as_str());
    created(&UserView::from(found(&app, &user.id).await?))
}

/// Stop an account
///
/// It can't sign in, and all its connections end.
#[utoipa::path(post, path = "/api/v1/users/{id}/disable", tag = "users", operation_id = "disableUser",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The account", body = UserView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn disable(State(app): State<App>, Id(id): Id<UserId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let user = found(&app, &id).await?;
    app.store.disable_user(&user.id, app.clock.now()).await?;
    caller.did("account disabled", user.id.as_str());
    ok(&UserView::from(found(&app, &user.id).await?))
}

/// Let an account sign in again
///
/// Its old connections stay ended.
#[utoipa::path(post, path = "/api/v1/users/{id}/enable", tag = "users", operation_id = "enableUser",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The account", body = UserView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn enable(State(app): State<App>, Id(id): Id<UserId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let user = found(&app, &id).await?;
    app.store.enable_user(&user.id).await?;
    caller.did("account enabled", user.id.as_str());
    ok(&UserView::from(found(&app, &user.id).await?))
}

/// Set a password
///
/// Browsers are signed out and connections end: whoever knew the old one may have made them.
#[utoipa::path(put, path = "/api/v1/users/{id}/password", tag = "users", operation_id = "setPassword",
    params(("id" = String, Path, description = "Its id")), request_body = NewPassword,
    responses((status = 204, description = "It is set"),
        (status = 404, description = "There is no such account", body = super::answer::Error)))]
pub(super) async fn password(State(app): State<App>, Id(id): Id<UserId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: NewPassword = object(&parts.headers, body, app.config.limits.body_bytes, false).await?;
    let user = found(&app, &id).await?;
    let password_hash = hash(&app, &user.username, asked.password).await?;
    app.store.set_password(&user.id, &password_hash, app.clock.now()).await?;
    caller.did("password set", user.id.as_str());
    Ok(nothing())
}

async fn found(app: &App, id: &UserId) -> Result<User, Denied> {
    let unknown = || Denied::not_found(format!("there is no account {id:?}"));
    app.store.find_user(id).await?.ok_or_else(unknown)
}

async fn hash(app: &App, username: &Username, password: String) -> Result<String, Denied> {
    check_password(&password, username.as_str(), app.config.passwords.min_length)
        .map_err(|words| Denied::invalid(format!("password: {words}")))?;
    Ok(app.passwords.hash(password).await?)
}
