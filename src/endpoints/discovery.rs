//! The discovery documents and the key set: built once from the table that the router is built from too
//! (RFC 8414, RFC 9728, RFC 7517).

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse as _, Response};
use oauth::metadata::{
    AUTHORIZATION_SERVER, AuthorizationServerMetadata, OPENID_CONFIGURATION, PROTECTED_RESOURCE,
    ProtectedResourceMetadata, well_known_paths,
};
use serde::Serialize;

use crate::app::App;
use crate::model::attempt::Stage;
use crate::request::context::RequestContext;
use crate::response::respond::Rejection;

/// How long clients may keep a document: short, so that a change is seen soon (D-19).
const CACHE: &str = "public, max-age=300";

/// Every path at which a document is served, with its bytes.
pub(crate) fn documents(app: &App) -> Vec<(String, Bytes)> {
    let server = bytes(&AuthorizationServerMetadata::new(&app.issuer, &app.paths, &app.resource, &app.offer));
    let resource = bytes(&ProtectedResourceMetadata::new(&app.issuer, &app.resource, &app.offer));
    [(AUTHORIZATION_SERVER, &server), (OPENID_CONFIGURATION, &server), (PROTECTED_RESOURCE, &resource)]
        .into_iter()
        .flat_map(|(name, body)| well_known_paths(name, &app.paths.mcp).map(|path| (path, body.clone())))
        .collect()
}

fn bytes<T: Serialize>(document: &T) -> Bytes {
    serde_json::to_vec(document).unwrap_or_default().into()
}

/// Serves one document.
pub(crate) fn document(body: Bytes, mut context: RequestContext, uri: &Uri) -> Response {
    let resource = uri.path().contains(PROTECTED_RESOURCE);
    context.note_address("path", uri.path());
    context.done(if resource { Stage::ResourceMetadata } else { Stage::ServerMetadata });
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, CACHE)], body).into_response()
}

/// The key set: whatever keys are in force now.
pub(crate) async fn jwks(State(app): State<App>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, CACHE)];
    (headers, app.keys.jwks().to_string()).into_response()
}

/// Any other well-known name: JSON 404, so that clients go on to their next guess (D-09).
pub(crate) async fn unknown(State(app): State<App>, mut context: RequestContext, uri: Uri) -> Response {
    context.stage = Stage::ServerMetadata;
    context.note_address("path", uri.path());
    app.edge.json("discovery", &context, Err(Rejection::NotFound("there is no such well-known document here")))
}
