//! Who asks, and where the answer may go. Until both are good nothing is redirected anywhere: what is wrong here
//! is told to the person, with the way out for their client (A-02, B8).

use super::document::unresolved;
use axum::http::StatusCode;
use oauth::cause::Cause;
use oauth::client::{AuthMethod, ClientIdUrl, ClientMetadata};
use oauth::error::Refusal;
use oauth::id::ClientId;
use oauth::params::Params;
use oauth::redirect_uri::{Destination, RedirectUri};
use oauth::time::Timestamp;

use crate::app::App;
use crate::app::limits::Class;
use crate::clients::Found;
use crate::config::RegistrationPolicy;
use crate::model::attempt::Stage;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::request::context::RequestContext;
use crate::response::respond::{ErrorPage, PageRejection, Rejection};

/// Finds the client and the redirect URI.
pub(super) async fn identify(
    app: &App,
    context: &mut RequestContext,
    params: &Params,
    now: Timestamp,
) -> Result<(Client, RedirectUri), PageRejection> {
    let once = |name| params.one(name).map_err(|refusal: Refusal| unreadable(refusal.into()));
    let (client_id, requested) = (once("client_id")?, once("redirect_uri")?);
    let Some(client_id) = client_id else {
        let happened = "Your client did not say who it is: client_id is missing.".to_owned();
        let to_do = vec!["Start from your client instead of opening this address by hand.".to_owned()];
        return Err(error_page(Cause::Malformed, "Who is asking?", happened, None, None, to_do, String::new()));
    };
    let id = ClientId::parse(client_id).map_err(|why| {
        let happened = format!("Your client sent a client_id that can't be one: {why}.");
        let received: String = client_id.chars().filter(|c| !c.is_control()).take(200).collect();
        let to_do = vec!["Make your client forget its registration and connect again.".to_owned()];
        error_page(
            Cause::ClientUnknown,
            "This client is not registered here",
            happened,
            Some(format!("client_id: {received}")),
            None,
            to_do,
            String::new(),
        )
    })?;
    let resolved = app.clients.resolve(&app.store, &id, now).await?;
    if let Ok(resolved) = &resolved {
        note_document(context, &id, resolved.found);
    }
    let client = match resolved.map(|resolved| resolved.client) {
        Ok(client) if client.is_active() => client,
        Ok(client) => return Err(stopped(app, &client)),
        Err(why) if ClientIdUrl::is_meant_by(client_id) => {
            context.stage = Stage::Document;
            return Err(unresolved(app, &id, &why));
        }
        Err(_) => match adopt(app, context, &id, requested, now).await? {
            Some(client) => client,
            None => return Err(unknown(app, &id, requested)),
        },
    };
    let redirect_uri = redirect_uri(app, &client, requested)?;
    Ok((client, redirect_uri))
}

/// Records what became of the client's metadata document: a step of its own if it was fetched just now.
fn note_document(context: &mut RequestContext, id: &ClientId, found: Found) {
    match found {
        Found::Fetched => {
            context.is_of(id);
            context.done(Stage::Document);
        }
        Found::Fresh | Found::Stale | Found::Reviewed => context.note("document", found.as_str()),
        Found::Stored => {}
    }
}

/// The one of the client's redirect URIs that is meant.
fn redirect_uri(app: &App, client: &Client, requested: Option<&str>) -> Result<RedirectUri, PageRejection> {
    let registered = &client.metadata.redirect_uris;
    let found = match (requested, registered.as_slice()) {
        (Some(requested), _) => RedirectUri::select(requested, registered).ok_or(requested),
        // OAuth 2.1 §4.1.1: may be left out when there is only one.
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err("(none)"),
    };
    found.map_err(|requested| {
        let happened =
            "Your client wants the answer at an address that it did not register. Nothing was sent there.".to_owned();
        let expected = registered.iter().map(RedirectUri::as_str).collect::<Vec<_>>().join("\n");
        let mut to_do = vec![
            "In the client's settings, make the redirect (callback) URL exactly one of those expected: every character counts, also a slash at the end.".to_owned(),
            "Or make the client forget its registration and connect again.".to_owned(),
        ];
        to_do.extend(app.profiles.guess(&client.id, &client.metadata).map(|profile| profile.forget.clone()));
        let received: String = requested.chars().take(500).collect();
        let detail = format!("client {}", client.id);
        error_page(Cause::RedirectUriUnregistered, "The callback address does not match", happened, Some(received), Some(expected), to_do, detail)
    })
}

/// Takes in a client that presents an id of this server's making which is not in its database any more: restored
/// from an older copy, or swept because nobody had used it (B8). Whoever comes so may register anyway; what is taken
/// in is no more than such a registration would be: a public client with this one callback, and only where the
/// callback is on this device or at a reviewed vendor's own server, so that nobody else can wait at a known id.
async fn adopt(
    app: &App,
    context: &mut RequestContext,
    id: &ClientId,
    requested: Option<&str>,
    now: Timestamp,
) -> Result<Option<Client>, PageRejection> {
    let public = app.rules.auth_methods.contains(&AuthMethod::None);
    if app.config.registration.policy != RegistrationPolicy::Open || !public || !id.is_of_our_making() {
        return Ok(None);
    }
    let Some(uri) = requested.and_then(|text| RedirectUri::parse(text, &app.rules.known_schemes).ok()) else {
        return Ok(None);
    };
    let vendor = app.profiles.of(&uri);
    if vendor.is_none() && uri.destination() == Destination::Https {
        return Ok(None);
    }
    app.admit(Class::Registration, context)?;
    let grant_types = app.rules.grant_types.iter().map(|grant| (*grant).to_owned()).collect();
    let metadata = ClientMetadata {
        name: vendor.map(|profile| profile.name.clone()),
        ..ClientMetadata::bare(vec![uri], vec![AuthMethod::None], grant_types, app.rules.scope.clone())
    };
    app.store.adopt_client(id, &metadata, now).await?;
    tracing::info!(client = %id, "a client with an id of ours that was not stored any more is taken in again");
    context.is_of(id);
    context.done_with(Stage::Registration, Cause::Readopted, "its registration was lost here and is taken in again");
    Ok(app.store.find_client(id).await?.filter(Client::is_active))
}

fn unknown(app: &App, id: &ClientId, requested: Option<&str>) -> PageRejection {
    let happened =
        "Your client uses a registration that this server does not have. It was made at another server, or it \
                    was removed here because nobody had used it."
            .to_owned();
    let profile = app
        .profiles
        .of_identity(id)
        .or_else(|| requested.and_then(|requested| app.profiles.guess_by_callback(requested)));
    let to_do = if let Some(profile) = profile {
        vec![
            format!("Make {} forget its registration and connect again; it then registers anew.", profile.name),
            profile.forget.clone(),
        ]
    } else {
        let first = "Make your client forget its registration and connect again; it then registers anew.".to_owned();
        std::iter::once(first).chain(app.profiles.ways_to_forget().map(str::to_owned)).collect()
    };
    let received = Some(format!("client_id: {}", id.as_str().chars().take(200).collect::<String>()));
    error_page(
        Cause::ClientUnknown,
        "This client is not registered here",
        happened,
        received,
        None,
        to_do,
        "unknown client".to_owned(),
    )
}

/// An administrator, or the client itself, has put an end to it: it is not to come back by itself.
fn stopped(app: &App, client: &Client) -> PageRejection {
    let detail = format!("client {}", client.id);
    if client.deleted_at.is_none() {
        let happened = format!("An administrator of {} has disabled this client.", app.config.name);
        let to_do = vec!["If you need it, ask them to enable it again.".to_owned()];
        return error_page(Cause::ClientDisabled, "This client is disabled", happened, None, None, to_do, detail);
    }
    let happened = "This client's registration was deleted here.".to_owned();
    let mut to_do = vec!["Make your client forget its registration and connect again.".to_owned()];
    to_do.extend(app.profiles.guess(&client.id, &client.metadata).map(|profile| profile.forget.clone()));
    error_page(Cause::ClientDeleted, "This client is not registered here", happened, None, None, to_do, detail)
}

/// Whether a request under way is still one that could begin now: its client may have been stopped meanwhile, or its
/// callback taken back, because somebody else had got hold of it; or this server has moved.
pub(super) fn still_stands(app: &App, client: &Client, authorization: &Authorization) -> Result<(), PageRejection> {
    if !client.is_active() {
        return Err(stopped(app, client));
    }
    if authorization.request.resource != app.resource {
        return Err(moved(app, authorization));
    }
    redirect_uri(app, client, Some(authorization.redirect_uri.as_str())).map(drop)
}

/// What was asked for is not here any more: `public_url` or `paths.mcp` was changed since.
fn moved(app: &App, authorization: &Authorization) -> PageRejection {
    let happened = format!("{} was moved to another address after your client had asked.", app.config.name);
    let to_do = vec![
        format!("In your client, make the server's address exactly {} and connect again.", app.resource),
        "If that is the address there already, just choose Connect again.".to_owned(),
    ];
    let (received, expected) = (authorization.request.resource.to_string(), app.resource.to_string());
    error_page(
        Cause::ServerMoved,
        "This server has moved",
        happened,
        Some(received),
        Some(expected),
        to_do,
        String::new(),
    )
}

/// A request that can't even be read, as a page.
pub(super) fn unreadable(rejection: Rejection) -> PageRejection {
    let (cause, happened, detail) = match rejection {
        Rejection::Failed(failure) => return PageRejection::Failed(failure),
        Rejection::TooLarge { limit } => {
            (Cause::TooLarge, format!("The request is larger than {limit} bytes."), String::new())
        }
        Rejection::Refused(refusal) => (
            refusal.cause,
            format!("Your client sent a request that can't be read: {}.", refusal.description),
            refusal.detail.unwrap_or_default(),
        ),
        Rejection::RefusedBasic(_)
        | Rejection::RefusedBearer(_)
        | Rejection::Forbidden(_)
        | Rejection::NotFound(_)
        | Rejection::WrongMethod(_)
        | Rejection::TooMany { .. } => {
            (Cause::Malformed, "Your client sent a request that can't be read.".to_owned(), String::new())
        }
    };
    let to_do = vec!["Tell the maker of your client; this is not something that you did.".to_owned()];
    error_page(cause, "This request can't be read", happened, None, None, to_do, detail)
}

pub(super) fn error_page(
    cause: Cause,
    title: &str,
    happened: String,
    received: Option<String>,
    expected: Option<String>,
    to_do: Vec<String>,
    detail: String,
) -> PageRejection {
    let status = StatusCode::BAD_REQUEST;
    ErrorPage { cause, status, title: title.to_owned(), happened, received, expected, to_do, detail }.into()
}
