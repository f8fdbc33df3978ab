//! Connections: which person has let which client in.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, AdminError, Fault, Listed, Unknown};
use crate::store::{LiveGrant, Page, Whose};

/// What one person allowed one client.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionView {
    /// Its id.
    pub id: String,
    /// The id of the account.
    pub user_id: String,
    /// Its login name.
    pub username: String,
    /// The client.
    pub client_id: String,
    /// What the client is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where its code went.
    pub redirect_uri: String,
    /// What the person allowed.
    pub scopes: Vec<String>,
    /// When the connection began.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// When the client last got new tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub refreshed_at: Option<Timestamp>,
    /// When it ends by itself.
    #[schema(value_type = i64)]
    pub expires_at: Timestamp,
}

impl From<LiveGrant> for ConnectionView {
    fn from(grant: LiveGrant) -> Self {
        Self {
            id: grant.id.to_string(),
            user_id: grant.user_id.to_string(),
            username: grant.username,
            client_id: grant.client_id.to_string(),
            client_name: grant.client_name,
            redirect_uri: grant.redirect_uri,
            scopes: grant.scope.iter().map(ToString::to_string).collect(),
            created_at: grant.created_at,
            refreshed_at: grant.refreshed_at,
            expires_at: grant.expires_at,
        }
    }
}

/// Lists live connections, newest first: all, or those of one account or of one client.
///
/// # Errors
/// When both are given, or the store fails.
pub async fn list(
    admin: &Admin<'_>,
    user: Option<&UserId>,
    client: Option<&ClientId>,
    page: &Page,
) -> Result<Listed<ConnectionView, (Timestamp, String)>, AdminError> {
    let whose = match (user, client) {
        (None, None) => Whose::All,
        (Some(user), None) => Whose::User(user),
        (None, Some(client)) => Whose::Client(client),
        (Some(_), Some(_)) => return Err(Fault::of("user", "give a user or a client, not both").into()),
    };
    let grants = admin.store.live_grants(whose, page, admin.now).await?;
    let views = grants.into_iter().map(ConnectionView::from).collect();
    Ok(Listed::new(views, page.limit, |last: &ConnectionView| (last.created_at, last.id.clone())))
}

/// Ends a connection: its tokens stop, and its person is asked again before the client gets new ones.
///
/// # Errors
/// When there is no such live connection, or the store fails.
pub async fn end(admin: &Admin<'_>, id: &GrantId) -> Result<(), AdminError> {
    if !admin.store.end_connection(id, admin.now).await? {
        return Err(Unknown::Connection(id.clone()).into());
    }
    admin.did("connection ended", id.as_str());
    Ok(())
}
