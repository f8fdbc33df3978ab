//! `/api/v1/clients/{id}/logo`.

use axum::extract::Request;
use axum::http::header;
use axum::response::IntoResponse as _;
use oauth::id::ClientId;

use super::answer::{Denied, Id, Outcome, bytes, media_type, nothing};
use super::guard::Caller;
use crate::admin::clients::logo;

/// Show a client's logo
#[utoipa::path(get, path = "/api/v1/clients/{id}/logo", tag = "clients", operation_id = "showLogo",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = 404, description = "The client has no logo", body = super::answer::Error)))]
pub(super) async fn show(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    let (media_type, content) = logo::show(&caller.admin(), &id).await?;
    let headers = [
        (header::CONTENT_TYPE, media_type.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, content).into_response())
}

/// Set a client's logo
///
/// The body is the picture: PNG, JPEG or WebP, at most 64 KiB, each side 16 to 1024 pixels. Managed clients only.
#[utoipa::path(put, path = "/api/v1/clients/{id}/logo", tag = "clients", operation_id = "setLogo",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    request_body(content = Vec<u8>, content_type = "image/png"),
    responses((status = 204, description = "The logo is set"),
        (status = 404, description = "There is no such managed client", body = super::answer::Error),
        (status = 413, description = "The picture is larger than 64 KiB", body = super::answer::Error)))]
pub(super) async fn put(caller: Caller, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let content = bytes(body, logo::MAX_BYTES).await?;
    let kind = logo::judge(&content).map_err(Denied::invalid)?;
    let said = media_type(&parts.headers);
    if said != kind {
        return Err(Denied::invalid(format!("Content-Type says {said:?}, but the picture is {kind}")));
    }
    logo::set(&caller.admin(), &id, kind, &content).await?;
    Ok(nothing())
}

/// Remove a client's logo
#[utoipa::path(delete, path = "/api/v1/clients/{id}/logo", tag = "clients", operation_id = "deleteLogo",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 204, description = "The logo is removed"),
        (status = 404, description = "The client has no logo", body = super::answer::Error)))]
pub(super) async fn delete(caller: Caller, Id(id): Id<ClientId>) -> Outcome {
    logo::remove(&caller.admin(), &id).await?;
    Ok(nothing())
}
