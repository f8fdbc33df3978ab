//! Tokens of the admin API. None can make another that has or lasts more than itself.

use oauth::id::ApiTokenId;
use oauth::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Actor, Admin, AdminError, Fault, Unknown};
use crate::config::duration;
use crate::model::api_token::{ApiScope, ApiScopes, ApiToken, Maker, Making, check_name};
use crate::model::secret::SecretKind;
use crate::store::NewApiToken;

/// A token, never its text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Its id, by which it is revoked.
    pub id: String,
    /// What the log calls whoever uses it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<&'static str>,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// The name of the token that made it, with which it is revoked; absent for one from the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// To the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub last_used_at: Option<Timestamp>,
    /// Absent for one that never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Timestamp>,
}

/// A token that has just been made: the only answer that shows it.
#[derive(Serialize, ToSchema)]
#[expect(missing_debug_implementations, reason = "a live token must not end up in a log")]
pub struct NewToken {
    /// Shown this once.
    pub token: String,
    /// What is told of it later, too.
    #[serde(flatten)]
    pub view: TokenView,
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

/// A token to be made.
#[derive(Clone, Debug)]
pub struct Addition {
    /// What the log calls whoever uses it.
    pub name: String,
    /// The names of its scopes.
    pub scopes: Vec<String>,
    /// After which time it expires, such as `90d`. If left out, when its maker does: never, for the command line.
    pub expires_in: Option<String>,
}

/// Lists the tokens that are not revoked, oldest first.
///
/// # Errors
/// When the store fails.
pub async fn list(admin: &Admin<'_>) -> Result<Vec<TokenView>, AdminError> {
    Ok(admin.store.api_tokens().await?.into_iter().map(TokenView::from).collect())
}

/// Makes a token.
///
/// # Errors
/// When a field is wrong, the name is taken, the token would be mightier than its maker, or the store fails.
pub async fn add(admin: &Admin<'_>, addition: Addition) -> Result<NewToken, AdminError> {
    let Addition { name, scopes, expires_in } = addition;
    check_name(&name).map_err(|words| Fault::of("name", words))?;
    let scopes = parse_scopes(&scopes)?;
    let expires_at = expires_in.as_deref().map(|text| expiry(text, admin.now)).transpose()?;
    let (maker, expires_at) = match admin.actor {
        Actor::CommandLine => (None, expires_at),
        Actor::Token(maker) => (Some(maker), within(maker, &scopes, expires_at)?),
    };
    let (id, secret) = (admin.random.api_token_id(), admin.random.secret(SecretKind::ApiToken));
    let new = NewApiToken {
        id: &id,
        name: &name,
        hash: &secret.hash(),
        scopes: &scopes,
        created_at: admin.now,
        created_by: maker.map(|maker| Maker { id: &maker.id, name: &maker.name }),
        expires_at,
    };
    match admin.store.insert_api_token(&new).await? {
        Making::Done => {}
        Making::NameTaken => return Err(AdminError::TokenTaken(name)),
        Making::MakerGone => return Err(AdminError::MakerGone),
    }
    admin.did("token made", &name);
    let view = TokenView {
        id: id.to_string(),
        name,
        scopes: scopes.names().collect(),
        created_at: admin.now,
        created_by: maker.map(|maker| maker.name.clone()),
        last_used_at: None,
        expires_at,
    };
    Ok(NewToken { token: secret.expose().to_owned(), view })
}

/// Revokes a token, and all tokens that it made, and those that they made; gives their number.
///
/// # Errors
/// When there is no such token, or the store fails.
pub async fn revoke(admin: &Admin<'_>, id: &ApiTokenId) -> Result<usize, AdminError> {
    match admin.store.revoke_api_token(id, admin.now).await? {
        0 => Err(Unknown::Token.into()),
        stopped => {
            admin.did("token revoked", id.as_str());
            Ok(stopped)
        }
    }
}

/// The token with this name or id.
///
/// # Errors
/// When there is none, or the store fails.
pub async fn named(admin: &Admin<'_>, text: &str) -> Result<ApiToken, AdminError> {
    let mut tokens = admin.store.api_tokens().await?.into_iter();
    Ok(tokens.find(|token| token.name == text || token.id.as_str() == text).ok_or(Unknown::Token)?)
}

/// When a token expires that `maker` makes: not after it. Nor may it have a scope that its maker has not.
fn within(
    maker: &ApiToken,
    scopes: &ApiScopes,
    expires_at: Option<Timestamp>,
) -> Result<Option<Timestamp>, AdminError> {
    let lacking: Vec<&str> = maker.scopes.lacking(scopes).map(ApiScope::as_str).collect();
    if !lacking.is_empty() {
        let words = format!("this token has no {} to pass on", lacking.join(", "));
        return Err(AdminError::Beyond(Fault::of("scopes", words)));
    }
    let expires_at = expires_at.or(maker.expires_at);
    if maker.expires_at.is_some_and(|own| expires_at.is_none_or(|wanted| wanted > own)) {
        return Err(AdminError::Beyond(Fault::of("expires_in", "a token can't outlive the one that makes it")));
    }
    Ok(expires_at)
}

fn parse_scopes(names: &[String]) -> Result<ApiScopes, Fault> {
    let known = || ApiScope::ALL.map(ApiScope::as_str).join(", ");
    let scopes =
        ApiScopes::parse(names).map_err(|name| Fault::of("scopes", format!("{name:?} is not one of {}", known())))?;
    if scopes.is_empty() { Err(Fault::of("scopes", format!("name at least one of {}", known()))) } else { Ok(scopes) }
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let span = duration::parse(text).map_err(|words| Fault::of("expires_in", words))?;
    if span.is_zero() { Err(Fault::of("expires_in", "must be longer than 0s")) } else { Ok(now.plus(span)) }
}
