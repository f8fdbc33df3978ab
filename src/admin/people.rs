//! People: their accounts.

use oauth::id::UserId;
use oauth::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, AdminError, Fault, Listed, Unknown};
use crate::crypto::password::Passwords;
use crate::model::user::{Role, User, Username, check_password};
use crate::store::NewUser;

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Its id: the `sub` of tokens.
    pub id: String,
    /// The login name.
    pub username: String,
    /// What pages call the person.
    pub display_name: String,
    /// `admin` or `user`.
    pub role: &'static str,
    /// When the account was made.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// Since when it is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub disabled_at: Option<Timestamp>,
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

/// An account to be made.
#[derive(Clone, Debug)]
pub struct Addition {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: String,
    /// What pages call the person; the login name if left out.
    pub display_name: Option<String>,
    /// `admin` or `user`, which is the default.
    pub role: Option<String>,
}

/// Lists accounts by name, beginning behind the name `after`.
///
/// # Errors
/// When the store fails.
pub async fn list(admin: &Admin<'_>, after: &str, limit: i64) -> Result<Listed<UserView, String>, AdminError> {
    if after.contains('\0') {
        return Err(Fault::of("after", "is not the next of a page before").into());
    }
    let users = admin.store.users_after(after, limit).await?;
    Ok(Listed::new(users.into_iter().map(UserView::from).collect(), limit, |last| last.username.clone()))
}

/// Makes an account.
///
/// # Errors
/// When a field is wrong, the login name is taken, or the store fails.
pub async fn add(admin: &Admin<'_>, passwords: &Passwords, addition: Addition) -> Result<UserView, AdminError> {
    let username = Username::parse(&addition.username).map_err(|why| Fault::of("username", why.to_string()))?;
    let role = match addition.role.as_deref() {
        None => Role::User,
        Some(text) => Role::parse(text).ok_or_else(|| Fault::of("role", "must be admin or user"))?,
    };
    let display_name = addition.display_name.unwrap_or_else(|| username.as_str().to_owned());
    if display_name.trim().is_empty()
        || display_name.chars().count() > 100
        || display_name.chars().any(char::is_control)
    {
        return Err(Fault::of("display_name", "must be one line of 1 to 100 characters").into());
    }
    let password_hash = hash(admin, passwords, &username, addition.password).await?;
    let user =
        NewUser { id: admin.random.user_id(), username, display_name, password_hash, role, created_at: admin.now };
    admin.store.insert_user(&user).await?;
    admin.did("account made", user.id.as_str());
    Ok(UserView {
        id: user.id.to_string(),
        username: user.username.as_str().to_owned(),
        display_name: user.display_name,
        role: role.as_str(),
        created_at: admin.now,
        disabled_at: None,
    })
}

/// Disables an account: nobody can sign in to it, and its connections end.
///
/// # Errors
/// When there is no such account, or the store fails.
pub async fn disable(admin: &Admin<'_>, id: &UserId) -> Result<UserView, AdminError> {
    found(admin, id).await?;
    admin.store.disable_user(id, admin.now).await?;
    admin.did("account disabled", id.as_str());
    Ok(found(admin, id).await?.into())
}

/// Enables a disabled account. Its old connections stay ended.
///
/// # Errors
/// When there is no such account, or the store fails.
pub async fn enable(admin: &Admin<'_>, id: &UserId) -> Result<UserView, AdminError> {
    found(admin, id).await?;
    admin.store.enable_user(id).await?;
    admin.did("account enabled", id.as_str());
    Ok(found(admin, id).await?.into())
}

/// Sets a password: browsers are signed out and connections end.
///
/// # Errors
/// When there is no such account, the password breaks a rule, or the store fails.
pub async fn set_password(
    admin: &Admin<'_>,
    passwords: &Passwords,
    id: &UserId,
    password: String,
) -> Result<(), AdminError> {
    let user = found(admin, id).await?;
    let password_hash = hash(admin, passwords, &user.username, password).await?;
    admin.store.set_password(id, &password_hash, admin.now).await?;
    admin.did("password set", id.as_str());
    Ok(())
}

/// The account with this login name.
///
/// # Errors
/// When there is none, or the store fails.
pub async fn named(admin: &Admin<'_>, name: &str) -> Result<User, AdminError> {
    let unknown = || Unknown::Account(name.to_owned());
    let username = Username::parse(name).map_err(|_| unknown())?;
    Ok(admin.store.find_user_by_name(&username).await?.ok_or_else(unknown)?)
}

async fn found(admin: &Admin<'_>, id: &UserId) -> Result<User, AdminError> {
    Ok(admin.store.find_user(id).await?.ok_or_else(|| Unknown::Account(id.to_string()))?)
}

async fn hash(
    admin: &Admin<'_>,
    passwords: &Passwords,
    username: &Username,
    password: String,
) -> Result<String, AdminError> {
    check_password(&password, username.as_str(), admin.config.passwords.min_length)
        .map_err(|words| Fault::of("password", words))?;
    Ok(passwords.hash(password).await?)
}
