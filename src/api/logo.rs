//! `/api/v1/clients/{id}/logo`, and what a logo is: a small picture that can't run anything.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::IntoResponse as _;
use imagesize::{ImageType, blob_size, image_type};
use oauth::id::ClientId;

use super::answer::{Denied, Id, Outcome, bytes, media_type, nothing};
use super::guard::Caller;
use crate::app::App;

/// The largest logo, in bytes.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
/// The shortest and the longest side, in pixels: enough to be seen, and no more than is decoded in no time.
const SIDES: std::ops::RangeInclusive<usize> = 16..=1024;

/// The media type of a picture, judged by its content. PNG, JPEG and WebP only: an SVG is a program.
pub(crate) fn judge(content: &[u8]) -> Result<&'static str, String> {
    const WANTED: &str = "send a PNG, JPEG or WebP picture";
    if content.len() > MAX_BYTES {
        return Err(format!("the picture is larger than {MAX_BYTES} bytes"));
    }
    let kind = match image_type(content) {
        Ok(ImageType::Png) => "image/png",
        Ok(ImageType::Jpeg) => "image/jpeg",
        Ok(ImageType::Webp) => "image/webp",
        Ok(_) | Err(_) => return Err(format!("this is no picture of a known kind; {WANTED}")),
    };
    let size = blob_size(content).map_err(|_| format!("the picture is broken; {WANTED}"))?;
    if SIDES.contains(&size.width) && SIDES.contains(&size.height) {
        Ok(kind)
    } else {
        let (least, most) = (SIDES.start(), SIDES.end());
        Err(format!("the picture is {}x{}; each side must have {least} to {most} pixels", size.width, size.height))
    }
}

/// Show a client's logo
#[utoipa::path(get, path = "/api/v1/clients/{id}/logo", tag = "clients", operation_id = "showLogo",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = 404, description = "It has none", body = super::answer::Error)))]
pub(super) async fn show(State(app): State<App>, Id(id): Id<ClientId>) -> Outcome {
    let found = app.store.find_logo(&id).await?;
    let (media_type, content) = found.ok_or_else(|| Denied::not_found("this client has no logo"))?;
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
    responses((status = 204, description = "It is set"),
        (status = 404, description = "There is no such managed client", body = super::answer::Error),
        (status = 413, description = "The picture is larger than 64 KiB", body = super::answer::Error)))]
pub(super) async fn put(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let content = bytes(body, MAX_BYTES).await?;
    let kind = judge(&content).map_err(Denied::invalid)?;
    let said = media_type(&parts.headers);
    if said != kind {
        return Err(Denied::invalid(format!("Content-Type says {said:?}, but the picture is {kind}")));
    }
    if !app.store.put_logo(&id, kind, &content, app.clock.now()).await? {
        return Err(Denied::not_found(format!("there is no managed client {id:?}; others have no logo")));
    }
    caller.did("logo set", id.as_str());
    Ok(nothing())
}

/// Remove a client's logo
#[utoipa::path(delete, path = "/api/v1/clients/{id}/logo", tag = "clients", operation_id = "deleteLogo",
    params(("id" = String, Path, description = "The client_id, percent-encoded")),
    responses((status = 204, description = "It is gone"),
        (status = 404, description = "There was none", body = super::answer::Error)))]
pub(super) async fn delete(State(app): State<App>, Id(id): Id<ClientId>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    if !app.store.delete_logo(&id).await? {
        return Err(Denied::not_found("this client has no logo"));
    }
    caller.did("logo removed", id.as_str());
    Ok(nothing())
}

#[cfg(test)]
mod tests {
    use super::judge;

    /// The beginning of a PNG of this size: all that is looked at.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    /// judged by content, never by what it is called; never anything that runs.
    #[test]
    fn only_small_pictures_are_logos() {
        assert_eq!(judge(&png(16, 1024)), Ok("image/png"));
        for (bad, word) in [
            (png(15, 64), "16 to 1024"),
            (png(64, 1025), "16 to 1024"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "PNG, JPEG or WebP"),
            (b"GIF89a\x40\0\x40\0".to_vec(), "PNG, JPEG or WebP"),
            (b"\x89PNG\r\n\x1a\n".to_vec(), "picture"),
            (Vec::new(), "picture"),
            ([png(64, 64), vec![0; 70_000]].concat(), "larger"),
        ] {
            let words = judge(&bad).unwrap_err();
            assert!(words.contains(word), "{words}");
        }
    }
}
