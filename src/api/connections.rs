//! `/api/v1/connections`: who has let which client in.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::{Request, State};
use oauth::id::{ClientId, GrantId, UserId};
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Denied, Id, Outcome, next, nothing, ok, page, query};
use super::guard::Caller;
use crate::app::App;
use crate::store::{LiveGrant, Whose};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConnectionsQuery {
    /// Only those of this account (its id).
    user: Option<String>,
    /// Only those of this client.
    client: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// The most entries: 1 to 200, 50 if left out.
    #[param(value_type = Option<i64>)]
    limit: Option<String>,
}

/// What one person allowed one client.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionView {
    id: String,
    user_id: String,
    username: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    /// Where its code went.
    redirect_uri: String,
    scopes: Vec<String>,
    #[schema(value_type = i64)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    refreshed_at: Option<Timestamp>,
    #[schema(value_type = i64)]
    expires_at: Timestamp,
}

/// A page of connections.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionList {
    connections: Vec<ConnectionView>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
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

/// List live connections, newest first
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", operation_id = "listConnections",
    params(ConnectionsQuery),
    responses((status = 200, description = "A page of connections", body = ConnectionList)))]
pub(super) async fn list(State(app): State<App>, request: Request) -> Outcome {
    let asked: ConnectionsQuery = query(request.uri().query())?;
    let page = page(asked.after.as_deref(), asked.limit.as_deref())?;
    let user = asked.user.map(UserId::parse).transpose().map_err(|why| Denied::invalid(format!("user: {why}")))?;
    let client =
        asked.client.map(ClientId::parse).transpose().map_err(|why| Denied::invalid(format!("client: {why}")))?;
    let whose = match (&user, &client) {
        (None, None) => Whose::All,
        (Some(user), None) => Whose::User(user),
        (None, Some(client)) => Whose::Client(client),
        (Some(_), Some(_)) => return Err(Denied::invalid("give user or client, not both")),
    };
    let grants = app.store.live_grants(whose, &page, app.clock.now()).await?;
    let next = next(&page, grants.len(), grants.last().map(|grant| (grant.created_at, grant.id.as_str())));
    ok(&ConnectionList { connections: grants.into_iter().map(ConnectionView::from).collect(), next })
}

/// End a connection
///
/// Its tokens stop, and its person is asked again before the client gets new ones.
#[utoipa::path(delete, path = "/api/v1/connections/{id}", tag = "connections", operation_id = "endConnection",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It has ended"),
        (status = 404, description = "There is no such live connection", body = super::answer::Error)))]
pub(super) async fn end(State(app): State<App>, Id(id): Id<GrantId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    if !app.store.end_connection(&id, app.clock.now()).await? {
        return Err(Denied::not_found(format!("there is no live connection {id:?}")));
    }
    caller.did("connection ended", id.as_str());
    Ok(nothing())
}
