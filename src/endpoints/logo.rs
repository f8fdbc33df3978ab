//! A managed client's logo, for the consent page and whoever else shows it. Public: it is on a page that everybody can
//! reach, and says nothing that the page doesn't.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::id::ClientId;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::request::context::RequestContext;
use crate::response::respond::{Failure, Rejection};

/// How long browsers keep it. A new logo has a new address, so this can be long.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// `GET`.
pub(crate) async fn handle(
    State(app): State<App>,
    context: RequestContext,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.ok().and_then(|Path(id)| ClientId::parse(id).ok());
    let outcome = serve(&app, id.as_ref(), request.headers()).await;
    app.edge.json("logo", &context, outcome)
}

async fn serve(app: &App, id: Option<&ClientId>, headers: &HeaderMap) -> Result<Response, Rejection> {
    let logo = match id {
        Some(id) => app.store.find_logo(id).await?,
        None => None,
    };
    let Some((media_type, content)) = logo else {
        return Err(Rejection::NotFound("this client has no logo"));
    };
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&content)));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|own| own.trim().trim_start_matches("W/") == tag))
    });
    let tag = HeaderValue::from_str(&tag).map_err(|_| Failure::Answer("ETag"))?;
    if known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, CACHE)]).into_response());
    }
    let media_type = HeaderValue::from_str(&media_type).map_err(|_| Failure::Answer("a logo's type"))?;
    // What a person opens by itself is shown as a picture and nothing else, whatever its bytes say.
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::CACHE_CONTROL, CACHE),
        (header::ETAG, tag),
    ];
    Ok((headers, content).into_response())
}
