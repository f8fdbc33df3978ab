//! The form of answers, as `Accept` and `Content-Type` decide it (MCP, Streamable HTTP; RFC 9110 §12.5.1).

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use oauth::cause::Cause;

use super::answer::Refused;

/// The media type of one JSON document.
pub(crate) const JSON: &str = "application/json";
/// The media type of an event stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// In which form a client gets its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// One JSON document: nothing for a proxy to buffer or to time out.
    Json,
    /// An event stream with one event, for clients that take nothing else.
    EventStream,
}

impl Media {
    /// Picks the form by `Accept`. Clients should list both; some send `*/*` or nothing (S-27).
    ///
    /// # Errors
    /// 406 when neither will do.
    pub(crate) fn accepted_by(headers: &HeaderMap) -> Result<Self, Refused> {
        let (mut any, mut stream) = (false, false);
        let entries = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for entry in entries.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty()) {
            any = true;
            let mut parts = entry.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            // RFC 9110 §12.4.2: a weight of zero means "not this".
            if parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>() == Ok(0.0))) {
                continue;
            }
            match essence.as_str() {
                JSON | "application/*" | "*/*" => return Ok(Self::Json),
                EVENT_STREAM | "text/*" => stream = true,
                _ => {}
            }
        }
        if stream {
            Ok(Self::EventStream)
        } else if any {
            Err(Refused::http(
                Cause::MediaTypeUnfit,
                StatusCode::NOT_ACCEPTABLE,
                "not_acceptable",
                "This MCP endpoint answers in application/json or text/event-stream; Accept allows neither.",
            ))
        } else {
            Ok(Self::Json)
        }
    }
}

/// Checks that the body is one JSON document by its type.
///
/// # Errors
/// 415 otherwise.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(Refused::http(
        Cause::MediaTypeUnfit,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "A message to this MCP endpoint has the Content-Type application/json.",
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;
    use axum::http::{HeaderMap, HeaderValue};

    use super::Media;

    /// S-27.
    #[test]
    fn accept_is_read_generously() {
        let media = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
            }
            Media::accepted_by(&headers).ok()
        };
        for json in [
            &["application/json, text/event-stream"][..],
            &["text/event-stream", "application/json"],
            &["*/*"],
            &["application/*"],
            &["Application/JSON; charset=utf-8"],
            &["text/html, */*;q=0.1"],
            &[""],
            &[],
        ] {
            assert_eq!(media(json), Some(Media::Json), "{json:?}");
        }
        for stream in [&["text/event-stream"][..], &["text/*"], &["application/json;q=0, text/event-stream"]] {
            assert_eq!(media(stream), Some(Media::EventStream), "{stream:?}");
        }
        for neither in [&["text/html"][..], &["*/*;q=0"], &["application/xml, image/*"]] {
            assert_eq!(media(neither), None, "{neither:?}");
        }
    }
}
