//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::cause::Cause;
use oauth::client::document::MAX_BYTES;
use oauth::client::{ClientKeys, ClientMetadata};
use oauth::error::{ErrorCode, Refusal};
use oauth::id::ClientId;
use oauth::redirect_uri::RedirectUri;
use oauth::time::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::config::RegistrationPolicy;
use crate::http::body;
use crate::http::respond::{Rejection, json};
use crate::http::visit::Visit;
use crate::model::attempt::Stage;
use crate::model::client::Client;
use crate::model::secret::{Secret, SecretKind};
use crate::store::NewRegistration;

/// What is registered (RFC 7591 §3.2.1, RFC 7592 §3), as it is stored. Absent members are left out (D-15).
#[derive(Serialize)]
struct ClientInformation<'a> {
    client_id: &'a str,
    client_id_issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<i64>,
    redirect_uris: Vec<&'a str>,
    token_endpoint_auth_method: &'static str,
    grant_types: &'a [String],
    response_types: [&'static str; 1],
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
    registration_client_uri: String,
    registration_access_token: &'a str,
}

/// `POST` at the registration endpoint.
pub(crate) async fn create(State(app): State<App>, mut visit: Visit, request: Request) -> Response {
    let outcome = register(&app, &mut visit, request).await;
    app.edge.json("register", &visit, outcome)
}

async fn register(app: &App, visit: &mut Visit, request: Request) -> Result<Response, Rejection> {
    visit.stage = Stage::Registration;
    let (parts, body) = request.into_parts();
    if let Some(limits) = &app.limits {
        let network = app.visits.proxies.network_of(&parts);
        limits.register.check(network).map_err(|wait| Rejection::TooMany { wait })?;
    }
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
    received(visit, &document);
    let metadata = parse(app, &document)?;
    let now = app.clock.now();
    let secret = metadata.needs_secret().then(|| app.random.secret(SecretKind::ClientSecret));
    let token = app.random.secret(SecretKind::RegistrationToken);
    let new = NewRegistration {
        id: app.random.client_id(),
        fingerprint: metadata.is_public().then(|| fingerprint(&metadata)),
        metadata,
        secret_hash: secret.as_ref().map(Secret::hash),
        token_hash: token.hash(),
        registered_at: now,
    };
    let id = app.store.insert_registration(&new).await?;
    let known = id != new.id;
    tracing::info!(client = %id, name = new.metadata.name, method = new.metadata.preferred_method().as_str(), known, "client registered");
    visit.is_of(&id);
    if known {
        visit.done_with(Stage::Registration, Cause::AlreadyRegistered, "an identical registration was there");
    } else {
        visit.done(Stage::Registration);
    }
    let information = information(app, &id, &new.metadata, now, secret.as_ref(), &token);
    Ok(json(StatusCode::CREATED, &information)?)
}

/// What a registration says, if that is not more than is kept: strangers may bring thousands of them. A metadata document
/// may be as large.
fn parse(app: &App, document: &serde_json::Value) -> Result<ClientMetadata, Refusal> {
    let metadata = ClientMetadata::parse(document, &app.rules)?;
    let bytes = metadata.bytes();
    if bytes > MAX_BYTES {
        let text = format!(
            "the metadata to be kept are {bytes} bytes; at most {MAX_BYTES} are kept (shorter keys, fewer redirect_uris)"
        );
        return Err(Refusal::new(ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit, text));
    }
    Ok(metadata)
}

/// Keeps what a registration asks for.
fn received(visit: &mut Visit, document: &serde_json::Value) {
    for name in ["client_name", "token_endpoint_auth_method", "scope", "application_type", "software_id"] {
        if let Some(text) = document.get(name).and_then(|value| value.as_str()) {
            visit.note(name, text);
        }
    }
    let texts = |name: &str| document.get(name).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    for uri in texts("redirect_uris").iter().filter_map(|uri| uri.as_str()).take(10) {
        visit.note_address("redirect_uri", uri);
    }
    let grants = texts("grant_types");
    if !grants.is_empty() {
        let grants: Vec<&str> = grants.iter().filter_map(|grant| grant.as_str()).take(10).collect();
        visit.note("grant_types", &grants.join(" "));
    }
}

/// `GET`, `PUT` and `DELETE` at a client's own address (RFC 7592 §2).
pub(crate) async fn manage(
    State(app): State<App>,
    mut visit: Visit,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.ok().and_then(|Path(id)| ClientId::parse(id).ok());
    let outcome = managed(&app, &mut visit, id, request).await;
    app.edge.json("register", &visit, outcome)
}

async fn managed(app: &App, visit: &mut Visit, id: Option<ClientId>, request: Request) -> Result<Response, Rejection> {
    visit.stage = Stage::Registration;
    let (parts, body) = request.into_parts();
    // RFC 7592 §2: one answer for a wrong token and for a client that isn't there.
    let refused = || {
        let text = "the registration access token is missing, wrong or no longer valid";
        Rejection::RefusedBearer(Refusal::new(ErrorCode::InvalidToken, Cause::RegistrationToken, text))
    };
    // A path that is no id names no client.
    let id = id.ok_or_else(refused)?;
    visit.is_of(&id);
    let token = bearer(&parts.headers).ok_or_else(refused)?;
    let client = app.store.find_registration(&id, &token.hash()).await?.ok_or_else(refused)?;
    let now = app.clock.now();
    match parts.method {
        Method::PUT => {
            let document = body::json(&parts.headers, body, app.config.limits.body_bytes).await?;
            received(visit, &document);
            let response = update(app, &client, &document, &token).await?;
            visit.done_with(Stage::Registration, Cause::RegistrationChanged, "it changed its registration");
            Ok(response)
        }
        Method::DELETE => {
            app.store.delete_registration(&id, &token.hash(), now).await?;
            tracing::info!(client = %id, "registration deleted");
            visit.done_with(Stage::Registration, Cause::RegistrationDeleted, "it deleted its registration");
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
async fn update(
    app: &App,
    client: &Client,
    document: &serde_json::Value,
    token: &Secret,
) -> Result<Response, Rejection> {
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
        let fingerprint = metadata.is_public().then(|| fingerprint(&metadata));
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

fn information<'a>(
    app: &App,
    id: &'a ClientId,
    metadata: &'a ClientMetadata,
    issued_at: Timestamp,
    secret: Option<&'a Secret>,
    token: &'a Secret,
) -> ClientInformation<'a> {
    let (inline, jwks_uri) = match &metadata.keys {
        Some(ClientKeys::Inline(text)) => (Some(text), None),
        Some(ClientKeys::Uri(uri)) => (None, Some(uri.as_str())),
        None => (None, None),
    };
    ClientInformation {
        client_id: id.as_str(),
        client_id_issued_at: issued_at,
        client_secret: secret.map(Secret::expose),
        client_secret_expires_at: secret.map(|_| 0),
        redirect_uris: metadata.redirect_uris.iter().map(RedirectUri::as_str).collect(),
        token_endpoint_auth_method: metadata.preferred_method().as_str(),
        grant_types: &metadata.grant_types,
        response_types: ["code"],
        scope: metadata.scope.to_string(),
        client_name: metadata.name.as_deref(),
        client_uri: metadata.uri.as_deref(),
        tos_uri: metadata.tos_uri.as_deref(),
        policy_uri: metadata.policy_uri.as_deref(),
        software_id: metadata.software_id.as_deref(),
        software_version: metadata.software_version.as_deref(),
        application_type: metadata.application_type.as_deref(),
        jwks: inline.and_then(|text| serde_json::from_str(text).ok()),
        jwks_uri,
        registration_client_uri: app.issuer.join(&format!("{}/{id}", app.config.paths.register)),
        registration_access_token: token.expose(),
    }
}

/// A digest of all that a public client registered: equal ones are one client (B7).
fn fingerprint(metadata: &ClientMetadata) -> String {
    let uris: Vec<_> = metadata.redirect_uris.iter().map(RedirectUri::as_str).collect();
    let text = serde_json::json!([
        uris,
        metadata.grant_types,
        metadata.scope.to_string(),
        metadata.name,
        metadata.uri,
        metadata.tos_uri,
        metadata.policy_uri,
        metadata.software_id,
        metadata.software_version,
        metadata.application_type,
    ]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.to_string().as_bytes()))
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::presented(token.trim()))
}
