//! Reading request bodies: bounded, and only of the media type that the endpoint takes.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use oauth::cause::Cause;
use oauth::error::{ErrorCode, Refusal};
use oauth::json::Bounds;
use oauth::params::Params;

use crate::response::respond::Rejection;

/// Who needs longer for the few bytes that are read here holds the connection on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than the limit.
    TooLarge,
    /// It ended before it was complete.
    BrokenOff,
    /// It did not arrive in time.
    TooSlow,
}

/// Reads a whole body of at most `limit` bytes, whatever length it claims to have. What is left of one that is refused,
/// the connection deals with.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge);
    }
    tokio::time::timeout(PATIENCE, read(&mut body, limit)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn read(body: &mut Body, limit: usize) -> Result<Bytes, Unread> {
    // Nearly all bodies come in one piece: that one is used as it is.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(data) = next(body).await {
        let data = data?;
        if data.len() > limit.saturating_sub(first.len().max(all.len())) {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// The next piece of a body; trailers are no pieces.
async fn next(body: &mut Body) -> Option<Result<Bytes, Unread>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Err(_) => return Some(Err(Unread::BrokenOff)),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// The same, with the trouble in the form of a JSON endpoint.
async fn bytes(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    collect(body, limit).await.map_err(|unread| match unread {
        Unread::TooLarge => Rejection::TooLarge { limit },
        Unread::BrokenOff => Refusal::invalid_request("the body broke off").into(),
        Unread::TooSlow => Refusal::invalid_request("the body did not arrive in time").into(),
    })
}

/// The parameters of a form body (RFC 6749 Appendix B). A `charset` parameter is ignored, another media type
/// refused with 400: clients take 415 for a dead server (T-01).
pub(crate) async fn form(headers: &HeaderMap, body: Body, limit: usize) -> Result<Params, Rejection> {
    let media_type = media_type(headers);
    if media_type != "application/x-www-form-urlencoded" {
        let received = if media_type.is_empty() { "no Content-Type" } else { media_type.as_str() };
        return Err(Refusal::invalid_request(format!(
            "send the parameters as application/x-www-form-urlencoded; received {received}"
        ))
        .into());
    }
    Ok(Params::parse(&bytes(body, limit).await?)?)
}

/// The parameters of a page's address, or of the form that it posts.
pub(crate) async fn params(parts: &Parts, body: Body, limit: usize) -> Result<Params, Rejection> {
    if parts.method == Method::POST {
        return form(&parts.headers, body, limit).await;
    }
    Ok(Params::parse(parts.uri.query().unwrap_or_default().as_bytes())?)
}

/// A JSON body, within [`Bounds::METADATA`].
pub(crate) async fn json(headers: &HeaderMap, body: Body, limit: usize) -> Result<serde_json::Value, Rejection> {
    let media_type = media_type(headers);
    if media_type != "application/json" {
        let received = if media_type.is_empty() { "no Content-Type" } else { media_type.as_str() };
        let text = format!("send a JSON object as application/json; received {received}");
        return Err(Refusal::new(ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit, text).into());
    }
    let bytes = bytes(body, limit).await?;
    let refused = |text: String| Refusal::new(ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit, text);
    Bounds::METADATA.check(&bytes).map_err(|excess| refused(format!("the body {excess}")))?;
    serde_json::from_slice(&bytes).map_err(|error| refused(format!("the body is not JSON: {error}")).into())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
