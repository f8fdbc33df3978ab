//! `/api/v1/clients`.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::Request;
use oauth::id::ClientId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Id, Outcome, created, cursor, nothing, object, ok, page, query, seen_revision, with_revision};
use super::client_body::{ClientAddition, ClientChange};
use super::guard::Caller;
use crate::admin::clients::view::{ClientView, NewSecret};
use crate::admin::clients::{self, Addition};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ClientsQuery {
    /// `managed`, `registered` or `document`; all if left out.
    origin: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// The most entries: 1 to 200, 50 if left out.
    #[param(value_type = Option<i64>)]
    limit: Option<String>,
}

/// A page of clients.
#[derive(Serialize, ToSchema)]
pub(super) struct ClientList {
    clients: Vec<ClientView>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// List clients, newest first
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients", operation_id = "listClients", params(ClientsQuery),
    responses((status = 200, description = "A page of clients", body = ClientList)))]
pub(super) async fn list(caller: Caller, request: Request) -> Outcome {
    let asked: ClientsQuery = query(request.uri().query())?;
    let page = page(asked.after.as_deref(), asked.limit.as_deref())?;
    let listed = clients::list(&caller.admin(), asked.origin.as_deref(), &page).await?;
    ok(&ClientList { clients: listed.entries, next: cursor(listed.next) })
}

/// Add a client
///
/// Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/clients", tag = "clients", operation_id = "addClient", request_body = ClientAddition,
    responses((status = 201, description = "The client, its secret, and what to type into its form", body = NewSecret),
        (status = 409, description = "The id is taken", body = super::answer::Error)))]
pub(super) async fn add(caller: Caller, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let asked: ClientAddition = object(&parts.headers, body, caller.app.config.limits.body_bytes, false).await?;
    let mut draft = asked.draft();
    if let Some(profile) = &asked.r#for {
        draft.fill_for(profile, &caller.app.profiles)?;
    }
    let addition = Addition { draft, id: asked.id, secret: asked.client_secret };
    let added = clients::add(&caller.admin(), &addition).await?;
    Ok(with_revision(created(&added.answer)?, added.revision))
}

/// Show a client
#[utoipa::path(get, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "showClient",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The client; its ETag is the revision for If-Match", body = ClientView),
        (status = 404, description = "There is no such client", body = super::answer::Error)))]
pub(super) async fn show(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    let (view, revision) = clients::show(&caller.admin(), &id).await?;
    Ok(with_revision(ok(&view)?, revision))
}

/// Change a client
///
/// A JSON merge patch (RFC 7396). Callbacks, ways of authentication, keys and allowed scopes are what people relied on
/// when they let the client in: after a change of those they are asked again. Clients that speak for themselves take
/// `description`, `allowed_scopes` and the lifetimes only.
#[utoipa::path(patch, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "editClient",
    params(("id" = String, Path, description = "The client_id, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the client as it was shown")),
    request_body(content = ClientChange, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The client; with a secret if it needs one now and had none", body = NewSecret),
        (status = 404, description = "There is no such client", body = super::answer::Error),
        (status = 412, description = "Somebody else changed it meanwhile", body = super::answer::Error)))]
pub(super) async fn edit(caller: Caller, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let seen = seen_revision(&parts.headers)?;
    let asked: ClientChange = object(&parts.headers, body, caller.app.config.limits.body_bytes, false).await?;
    let edited = clients::edit(&caller.admin(), &id, &asked.draft(), seen).await?;
    Ok(with_revision(ok(&edited.answer)?, edited.revision))
}

/// Delete a client
///
/// The client's connections end. Its id is never given again.
#[utoipa::path(delete, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "deleteClient",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 204, description = "The client is deleted"),
        (status = 404, description = "There is no such client", body = super::answer::Error)))]
pub(super) async fn delete(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    clients::delete(&caller.admin(), &id).await?;
    Ok(nothing())
}

/// Disable a client of any origin and end its connections
///
/// A disabled client can begin no new connection.
#[utoipa::path(post, path = "/api/v1/clients/{id}/disable", tag = "clients", operation_id = "disableClient",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The client", body = ClientView),
        (status = 404, description = "There is no such client", body = super::answer::Error)))]
pub(super) async fn disable(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    ok(&clients::disable(&caller.admin(), &id).await?)
}

/// Enable a disabled client
///
/// The client's old connections stay ended.
#[utoipa::path(post, path = "/api/v1/clients/{id}/enable", tag = "clients", operation_id = "enableClient",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The client", body = ClientView),
        (status = 404, description = "There is no such client", body = super::answer::Error)))]
pub(super) async fn enable(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    ok(&clients::enable(&caller.admin(), &id).await?)
}

/// How a secret is changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long the old secret stays valid beside the new one: `0s` to `90d`, `1d` if left out.
    overlap: Option<String>,
    /// The new secret; one is made if left out.
    client_secret: Option<String>,
}

/// Give a client a new secret
///
/// The old secret stays valid for `overlap`, so that the new one can be brought to where it is used. At most two are valid:
/// another rotation within that time ends the older.
#[utoipa::path(post, path = "/api/v1/clients/{id}/rotate-secret", tag = "clients", operation_id = "rotateClientSecret",
    params(("id" = String, Path, description = "The client_id, percent-encoded")), request_body = Option<Rotation>,
    responses((status = 200, description = "The client and its new secret", body = NewSecret),
        (status = 404, description = "There is no such client", body = super::answer::Error),
        (status = 409, description = "The client has no secret, or is not managed", body = super::answer::Error),
        (status = 412, description = "Somebody else changed its secret meanwhile", body = super::answer::Error)))]
pub(super) async fn rotate_secret(caller: Caller, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let asked: Rotation = object(&parts.headers, body, caller.app.config.limits.body_bytes, true).await?;
    let (own, overlap) = (asked.client_secret.as_deref(), asked.overlap.as_deref());
    let rotated = clients::rotate_secret(&caller.admin(), &id, own, overlap).await?;
    Ok(with_revision(ok(&rotated.answer)?, rotated.revision))
}

/// End the old secret at once
#[utoipa::path(post, path = "/api/v1/clients/{id}/end-old-secret", tag = "clients", operation_id = "endOldClientSecret",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The client, with one valid secret", body = ClientView),
        (status = 404, description = "There is no such client", body = super::answer::Error)))]
pub(super) async fn end_old_secret(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    ok(&clients::end_old_secret(&caller.admin(), &id).await?.0)
}
