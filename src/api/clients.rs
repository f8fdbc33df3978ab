//! `/api/v1/clients`.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use std::time::Duration;

use axum::extract::{Request, State};
use oauth::id::ClientId;
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Denied, Id, Outcome, created, nothing, object, ok, page, query, seen_revision, with_revision};
use super::guard::Caller;
use crate::admin::clients::draft::{Fault, Rules};
use crate::admin::clients::view::{ClientAddition, ClientChange, ClientView, Endpoints, NewSecret, origin};
use crate::admin::clients::{self as managed, Addition, DEFAULT_OVERLAP, ManageError, Managed};
use crate::app::App;
use crate::clients::logo_path;
use crate::config::duration;
use crate::model::secret::Secret;

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
pub(super) async fn list(State(app): State<App>, request: Request) -> Outcome {
    let asked: ClientsQuery = query(request.uri().query())?;
    let of = match asked.origin.as_deref() {
        None => None,
        Some(text) => {
            let words = "origin: must be managed, registered or document";
            Some(origin(text).ok_or_else(|| Denied::invalid(words))?)
        }
    };
    let page = page(asked.after.as_deref(), asked.limit.as_deref())?;
    let clients = app.store.clients(of, &page).await?;
    let last = clients.last().map(|client| (client.registered_at, client.id.as_str()));
    let next = super::answer::next(&page, clients.len(), last);
    let now = app.clock.now();
    ok(&ClientList { clients: clients.iter().map(|client| ClientView::of(client, now)).collect(), next })
}

/// Add a client
///
/// Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/clients", tag = "clients", operation_id = "addClient", request_body = ClientAddition,
    responses((status = 201, description = "The client, its secret, and what to type into its form", body = NewSecret),
        (status = 409, description = "The id is taken", body = super::answer::Error)))]
pub(super) async fn add(State(app): State<App>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: ClientAddition = object(&parts.headers, body, app.config.limits.body_bytes, false).await?;
    let mut draft = asked.draft();
    if let Some(profile) = &asked.r#for {
        draft.fill_for(profile, &app.profiles)?;
    }
    let addition = Addition { draft, id: asked.id, secret: asked.client_secret };
    let now = app.clock.now();
    let added = managed::add(&app.store, &Rules::of(&app.config), &app.random, &addition, now).await?;
    caller.did("client added", added.client.id.as_str());
    let (body, revision) = with_secret(&app, &added, None, now);
    Ok(with_revision(created(&body)?, revision))
}

/// Show a client
#[utoipa::path(get, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "showClient",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")),
    responses((status = 200, description = "The client; its ETag is the revision for If-Match", body = ClientView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn show(State(app): State<App>, Id(id): Id<ClientId>) -> Outcome {
    let (view, revision) = view(&app, &id, app.clock.now()).await?;
    Ok(with_revision(ok(&view)?, revision))
}

/// Change a client
///
/// A JSON merge patch (RFC 7396). Callbacks, ways of authentication, keys and allowed scopes are what people relied on
/// when they let the client in: after a change of those they are asked again. Clients that speak for themselves take
/// `description`, `allowed_scopes` and the lifetimes only.
#[utoipa::path(patch, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "editClient",
    params(("id" = String, Path, description = "Its client_id, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the client as it was shown")),
    request_body(content = ClientChange, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The client; with a secret if it needs one now and had none", body = NewSecret),
        (status = 404, description = "There is none", body = super::answer::Error),
        (status = 412, description = "Somebody else changed it meanwhile", body = super::answer::Error)))]
pub(super) async fn edit(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let seen = seen_revision(&parts.headers)?;
    let asked: ClientChange = object(&parts.headers, body, app.config.limits.body_bytes, false).await?;
    let rules = Rules::of(&app.config);
    let logo = logo_url(&app, &id).await?;
    let edited = managed::edit(&app.store, &rules, &app.random, &id, &asked.draft(), seen).await?;
    caller.did("client changed", id.as_str());
    let (body, revision) = with_secret(&app, &edited, logo, app.clock.now());
    Ok(with_revision(ok(&body)?, revision))
}

/// Delete a client
///
/// Its connections end. Its id is never given again.
#[utoipa::path(delete, path = "/api/v1/clients/{id}", tag = "clients", operation_id = "deleteClient",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")),
    responses((status = 204, description = "It is gone"),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn delete(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    if !app.store.delete_client(&id, app.clock.now()).await? {
        return Err(ManageError::Unknown(id).into());
    }
    caller.did("client deleted", id.as_str());
    Ok(nothing())
}

/// Stop a client
///
/// Its connections end, and it can begin no new ones. Works for clients of every origin.
#[utoipa::path(post, path = "/api/v1/clients/{id}/disable", tag = "clients", operation_id = "disableClient",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")),
    responses((status = 200, description = "The client", body = ClientView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn disable(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let now = app.clock.now();
    if !app.store.disable_client(&id, now).await? {
        return Err(ManageError::Unknown(id).into());
    }
    caller.did("client disabled", id.as_str());
    ok(&view(&app, &id, now).await?.0)
}

/// Let a stopped client work again
///
/// Its old connections stay ended.
#[utoipa::path(post, path = "/api/v1/clients/{id}/enable", tag = "clients", operation_id = "enableClient",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")),
    responses((status = 200, description = "The client", body = ClientView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn enable(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let now = app.clock.now();
    if app.store.enable_client(&id, now).await? {
        caller.did("client enabled", id.as_str());
    }
    ok(&view(&app, &id, now).await?.0)
}

/// How a secret is changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long the old secret stays good beside the new one: `0s` to `90d`, `1d` if left out.
    overlap: Option<String>,
    /// The new secret; one is made if left out.
    client_secret: Option<String>,
}

/// Give a client a new secret
///
/// The old one stays good for `overlap`, so that the new one can be brought to where it is used. Two are good at most:
/// another rotation within that time ends the older.
#[utoipa::path(post, path = "/api/v1/clients/{id}/rotate-secret", tag = "clients", operation_id = "rotateClientSecret",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")), request_body = Option<Rotation>,
    responses((status = 200, description = "The client and its new secret", body = NewSecret),
        (status = 404, description = "There is none", body = super::answer::Error),
        (status = 409, description = "It has no secret, or is not managed", body = super::answer::Error),
        (status = 412, description = "Somebody else changed its secret meanwhile", body = super::answer::Error)))]
pub(super) async fn rotate_secret(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: Rotation = object(&parts.headers, body, app.config.limits.body_bytes, true).await?;
    let overlap = overlap(asked.overlap.as_deref())?;
    let now = app.clock.now();
    let logo = logo_url(&app, &id).await?;
    let rotated =
        managed::rotate_secret(&app.store, &app.random, &id, asked.client_secret.as_deref(), overlap, now).await?;
    caller.did("client secret rotated", id.as_str());
    let (body, revision) = with_secret(&app, &rotated, logo, now);
    Ok(with_revision(ok(&body)?, revision))
}

/// End the old secret at once
#[utoipa::path(post, path = "/api/v1/clients/{id}/end-old-secret", tag = "clients", operation_id = "endOldClientSecret",
    params(("id" = String, Path, description = "Its client_id, percent-encoded")),
    responses((status = 200, description = "The client, with one good secret", body = ClientView),
        (status = 404, description = "There is none", body = super::answer::Error)))]
pub(super) async fn end_old_secret(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (view, _) = {
        let ended = view(&app, &id, app.clock.now()).await?;
        if app.store.end_old_client_secret(&id).await? {
            caller.did("old client secret ended", id.as_str());
            view(&app, &id, app.clock.now()).await?
        } else {
            ended
        }
    };
    ok(&view)
}

fn overlap(text: Option<&str>) -> Result<Duration, Fault> {
    let Some(text) = text else { return Ok(DEFAULT_OVERLAP) };
    duration::parse(text).map_err(|message| Fault { field: "overlap", message })
}

async fn view(app: &App, id: &ClientId, now: Timestamp) -> Result<(ClientView, i64), Denied> {
    let found = app.store.find_revised_client(id).await?;
    let (client, revision) = found.ok_or_else(|| ManageError::Unknown(id.clone()))?;
    let mut view = ClientView::of(&client, now);
    view.logo_url = logo_url(app, id).await?;
    Ok((view, revision))
}

async fn logo_url(app: &App, id: &ClientId) -> Result<Option<String>, Denied> {
    Ok(app.store.logo_set_at(id).await?.map(|at| app.config.url(&logo_path(id, at))))
}

/// Reads nothing: the secret is in the store by now, and this answer is the only one to tell it.
fn with_secret(app: &App, managed: &Managed, logo_url: Option<String>, now: Timestamp) -> (NewSecret, i64) {
    let mut client = ClientView::of(&managed.client, now);
    client.logo_url = logo_url;
    let client_secret = managed.secret.as_ref().map(Secret::expose).map(str::to_owned);
    (NewSecret { client, client_secret, endpoints: Endpoints::of(&app.config) }, managed.revision)
}
