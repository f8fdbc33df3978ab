//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::client::{ClientMetadata, Source};
use oauth::error::{ErrorCode, Refusal};
use oauth::id::ClientId;
use oauth::time::Timestamp;
use serde_json::{Map, Value};

use crate::app::App;
use crate::config::RegistrationPolicy;
use crate::model::attempt::Stage;
use crate::model::client::Client;
use crate::model::secret::{Secret, SecretKind};
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::respond::{Rejection, json};
use crate::store::NewRegistration;

/// `POST` at the registration endpoint.
pub(crate) async fn create(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = register(&app, &mut context, request).await;
    app.edge.json("register", &context, outcome)
}

async fn register(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    if let RegistrationPolicy::Token(expected) = &app.config.registration.policy {
        let right =
            bearer(&parts.headers).is_some_and(|own| own.hash().matches(&Secret::presented(expected.as_str()).hash()));
        if !right {
            let text = "registration here needs the initial access token that the administrator gives out";
            return Err(Rejection::RefusedBearer(Refusal::new(
                ErrorCode::InvalidToken,
                Cause::RegistrationClosed,
                text,
            )));
        }
    }
    let document = body::json(&parts.headers, body, app.config.limits.body_bytes).await?;
    received(context, &document);
    let metadata = parse(app, &document)?;
    let now = app.clock.now();
    let secret = metadata.needs_secret().then(|| app.random.secret(SecretKind::ClientSecret));
    let token = app.random.secret(SecretKind::RegistrationToken);
    let new = NewRegistration {
        id: app.random.client_id(),
        fingerprint: metadata.is_public().then(|| metadata.fingerprint()),
        metadata,
        secret_hash: secret.as_ref().map(Secret::hash),
        token_hash: token.hash(),
        registered_at: now,
    };
    let id = app.store.insert_registration(&new).await?;
    let known = id != new.id;
    tracing::info!(client = %id, name = new.metadata.name, method = new.metadata.preferred_method().as_str(), known, "client registered");
    context.is_of(&id);
    if known {
        context.done_with(Stage::Registration, Cause::AlreadyRegistered, "an identical registration was there");
    } else {
        context.done(Stage::Registration);
    }
    let information = information(app, &id, &new.metadata, now, secret.as_ref(), &token);
    Ok(json(StatusCode::CREATED, &information)?)
}

/// What a registration says of its client.
fn parse(app: &App, document: &Value) -> Result<ClientMetadata, Refusal> {
    let Value::Object(members) = document else {
        let text = "the body must be a JSON object with redirect_uris";
        return Err(Refusal::new(ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit, text));
    };
    Ok(ClientMetadata::parse(members, Source::Registration, &app.rules)?)
}

/// Keeps what a registration asks for.
fn received(context: &mut RequestContext, document: &Value) {
    for name in ["client_name", "token_endpoint_auth_method", "scope", "application_type", "software_id"] {
        if let Some(text) = document.get(name).and_then(|value| value.as_str()) {
            context.note(name, text);
        }
    }
    let texts = |name: &str| document.get(name).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    for uri in texts("redirect_uris").iter().filter_map(|uri| uri.as_str()).take(10) {
        context.note_address("redirect_uri", uri);
    }
    let grants = texts("grant_types");
    if !grants.is_empty() {
        let grants: Vec<&str> = grants.iter().filter_map(|grant| grant.as_str()).take(10).collect();
        context.note("grant_types", &grants.join(" "));
    }
}

/// `GET`, `PUT` and `DELETE` at a client's own address (RFC 7592 §2).
pub(crate) async fn manage(
    State(app): State<App>,
    mut context: RequestContext,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.ok().and_then(|Path(id)| ClientId::parse(id).ok());
    let outcome = managed(&app, &mut context, id, request).await;
    app.edge.json("register", &context, outcome)
}

async fn managed(
    app: &App,
    context: &mut RequestContext,
    id: Option<ClientId>,
    request: Request,
) -> Result<Response, Rejection> {
    context.stage = Stage::Registration;
    let (parts, body) = request.into_parts();
    // RFC 7592 §2: one answer for a wrong token and for a client that isn't there.
    let refused = || {
        let text = "the registration access token is missing, wrong or no longer valid";
        Rejection::RefusedBearer(Refusal::new(ErrorCode::InvalidToken, Cause::RegistrationToken, text))
    };
    // A path that is no id names no client.
    let id = id.ok_or_else(refused)?;
    context.is_of(&id);
    let token = bearer(&parts.headers).ok_or_else(refused)?;
    let client = app.store.find_registration(&id, &token.hash()).await?.ok_or_else(refused)?;
    let now = app.clock.now();
    match parts.method {
        Method::PUT => {
            let document = body::json(&parts.headers, body, app.config.limits.body_bytes).await?;
            received(context, &document);
            let response = update(app, &client, &document, &token).await?;
            context.done_with(Stage::Registration, Cause::RegistrationChanged, "it changed its registration");
            Ok(response)
        }
        Method::DELETE => {
            app.store.delete_registration(&id, &token.hash(), now).await?;
            tracing::info!(client = %id, "registration deleted");
            context.done_with(Stage::Registration, Cause::RegistrationDeleted, "it deleted its registration");
            Ok((StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response())
        }
        _ => {
            let information = information(app, &id, &client.metadata, client.registered_at, None, &token);
            Ok(json(StatusCode::OK, &information)?)
        }
    }
}

/// RFC 7592 §2.2: the new metadata replaces the old whole. A secret is kept, made or dropped as the new method
/// asks; it is shown when it is new.
async fn update(app: &App, client: &Client, document: &Value, token: &Secret) -> Result<Response, Rejection> {
    if document.get("client_id").and_then(|id| id.as_str()).is_some_and(|id| id != client.id.as_str()) {
        return Err(Refusal::new(
            ErrorCode::InvalidClientMetadata,
            Cause::MetadataUnfit,
            "client_id differs from the one in the address",
        )
        .into());
    }
    let metadata = parse(app, document)?;
    if metadata != client.metadata {
        let (needed, present) = (metadata.needs_secret(), client.secrets.current.as_ref());
        let new_secret = (needed && present.is_none()).then(|| app.random.secret(SecretKind::ClientSecret));
        let new_hash = new_secret.as_ref().map(Secret::hash);
        let secret_hash = if needed { new_hash.as_ref().or(present) } else { None };
        let fingerprint = metadata.is_public().then(|| metadata.fingerprint());
        if !app.store.update_registration(&client.id, &metadata, secret_hash, fingerprint.as_deref()).await? {
            let text = "other registrations share this client_id, so its metadata can't change; register anew";
            return Err(Rejection::Forbidden(Refusal::new(
                ErrorCode::InvalidClientMetadata,
                Cause::MetadataUnfit,
                text,
            )));
        }
        tracing::info!(client = %client.id, "registration updated");
        let information = information(app, &client.id, &metadata, client.registered_at, new_secret.as_ref(), token);
        return Ok(json(StatusCode::OK, &information)?);
    }
    Ok(json(StatusCode::OK, &information(app, &client.id, &metadata, client.registered_at, None, token))?)
}

/// What is registered (RFC 7591 §3.2.1, RFC 7592 §3), as it is stored. Absent members are left out (D-15).
fn information(
    app: &App,
    id: &ClientId,
    metadata: &ClientMetadata,
    issued_at: Timestamp,
    secret: Option<&Secret>,
    token: &Secret,
) -> Map<String, Value> {
    let mut members = metadata.registered();
    members.insert("client_id".to_owned(), id.as_str().into());
    members.insert("client_id_issued_at".to_owned(), issued_at.0.into());
    if let Some(secret) = secret {
        members.insert("client_secret".to_owned(), secret.expose().into());
        members.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    let address = app.issuer.join(&format!("{}/{id}", app.config.paths.register));
    members.insert("registration_client_uri".to_owned(), address.into());
    members.insert("registration_access_token".to_owned(), token.expose().into());
    members
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::presented(token.trim()))
}
