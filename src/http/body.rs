//! Reading request bodies: bounded, and only of the media type that the endpoint takes.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, header};

use super::respond::Rejection;
use crate::oauth::error::{ErrorCode, Refusal};
use crate::oauth::params::Params;

/// Who needs longer for the few bytes that are read here holds the connection on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn bytes(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(read) => read.map_err(|_| Rejection::TooLarge { limit }),
        Err(_) => Err(Refusal::invalid_request("the body did not arrive in time").into()),
    }
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

/// A JSON body.
pub(crate) async fn json(headers: &HeaderMap, body: Body, limit: usize) -> Result<serde_json::Value, Rejection> {
    let media_type = media_type(headers);
    if media_type != "application/json" {
        let received = if media_type.is_empty() { "no Content-Type" } else { media_type.as_str() };
        let text = format!("send a JSON object as application/json; received {received}");
        return Err(Refusal::new(ErrorCode::InvalidClientMetadata, text).into());
    }
    let bytes = bytes(body, limit).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(ErrorCode::InvalidClientMetadata, format!("the body is not JSON: {error}")).into()
    })
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
