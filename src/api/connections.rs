//! `/api/v1/connections`: who has let which client in.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::Request;
use oauth::id::{ClientId, GrantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Denied, Id, Outcome, cursor, nothing, ok, page, query};
use super::guard::Caller;
use crate::admin::connections::{self, ConnectionView};

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

/// A page of connections.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionList {
    connections: Vec<ConnectionView>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List live connections, newest first
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", operation_id = "listConnections",
    params(ConnectionsQuery),
    responses((status = 200, description = "A page of connections", body = ConnectionList)))]
pub(super) async fn list(caller: Caller, request: Request) -> Outcome {
    let asked: ConnectionsQuery = query(request.uri().query())?;
    let page = page(asked.after.as_deref(), asked.limit.as_deref())?;
    let user = asked.user.map(UserId::parse).transpose().map_err(|why| Denied::invalid(format!("user: {why}")))?;
    let client =
        asked.client.map(ClientId::parse).transpose().map_err(|why| Denied::invalid(format!("client: {why}")))?;
    let listed = connections::list(&caller.admin(), user.as_ref(), client.as_ref(), &page).await?;
    ok(&ConnectionList { connections: listed.entries, next: cursor(listed.next) })
}

/// End a connection
///
/// The connection's tokens become invalid, and its person is asked again before the client gets new ones.
#[utoipa::path(delete, path = "/api/v1/connections/{id}", tag = "connections", operation_id = "endConnection",
    params(("id" = String, Path, description = "The id of the connection")),
    responses((status = 204, description = "The connection has ended"),
        (status = 404, description = "There is no such live connection", body = super::answer::Error)))]
pub(super) async fn end(caller: Caller, Id(id): Id<GrantId>) -> Outcome {
    connections::end(&caller.admin(), &id).await?;
    Ok(nothing())
}
