//! The faces of refused requests: a plain JSON error with its status, and where a JSON-RPC message was at
//! fault, a JSON-RPC error, for clients decide by the body of a 400 which revision to speak (S-25).

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::challenge::Challenge;
use serde_json::{Value, json};

use super::guard::Denied;
use super::policy::Insufficient;

/// JSON-RPC 2.0 §5.1.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC 2.0 §5.1.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// MCP 2026-07-28, Streamable HTTP: a standard header is missing, repeated or says something else than the body.
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// MCP 2026-07-28, versioning.
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

/// How long a client should wait when the view of revoked grants is too old: the poll may be back any second.
const RETRY_AFTER_SECONDS: &str = "5";

/// The most characters of an error's message: parsers quote what they stumble over, whole.
const MAX_MESSAGE: usize = 1000;

/// A refusal that is ready to be sent. Boxed, for it is large and most requests are not refused.
#[derive(Debug)]
pub(crate) struct Refused(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    cause: Cause,
    status: StatusCode,
    body: Value,
    headers: HeaderMap,
}

impl Refused {
    fn new(cause: Cause, status: StatusCode, body: Value) -> Self {
        Self(Box::new(Refusal { cause, status, body, headers: HeaderMap::new() }))
    }

    /// A plain JSON error.
    pub(crate) fn http(cause: Cause, status: StatusCode, error: &str, description: &str) -> Self {
        Self::new(cause, status, json!({ "error": error, "error_description": description }))
    }

    /// A JSON-RPC error with the request's id, where it has one.
    pub(crate) fn rpc(status: StatusCode, id: Option<Value>, code: i32, message: &str) -> Self {
        Self::rpc_with_data(status, id, code, message, None)
    }

    /// The same with `data`.
    pub(crate) fn rpc_with_data(
        status: StatusCode,
        id: Option<Value>,
        code: i32,
        message: &str,
        data: Option<Value>,
    ) -> Self {
        let mut error = json!({ "code": code, "message": cut(message, MAX_MESSAGE) });
        if let (Some(error), Some(data)) = (error.as_object_mut(), data) {
            error.insert("data".into(), data);
        }
        let mut body = json!({ "jsonrpc": "2.0", "error": error });
        if let (Some(body), Some(id)) = (body.as_object_mut(), id) {
            body.insert("id".into(), id);
        }
        let cause = match code {
            INTERNAL_ERROR => Cause::ServerFault,
            UNSUPPORTED_VERSION => Cause::VersionUnsupported,
            _ => Cause::MessageUnfit,
        };
        Self::new(cause, status, body)
    }

    /// 405, for anything but POST: there are no sessions to end and no streams to listen to.
    pub(crate) fn method() -> Self {
        let refused = Self::http(
            Cause::WrongMethod,
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This MCP endpoint takes POST only: it keeps no sessions and opens no streams of its own.",
        );
        refused.with(ALLOW, HeaderValue::from_static("POST"))
    }

    /// 413.
    pub(crate) fn too_large(limit: usize) -> Self {
        let description = format!("The request body is larger than {limit} bytes (limits.mcp_body_bytes).");
        Self::http(Cause::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", &description)
    }

    /// What the guard decided. `challenge` already says where the metadata is and which scope would do.
    pub(crate) fn denied(denied: &Denied, challenge: &Challenge) -> Self {
        match denied {
            // RFC 6750 §3: no error code when no token was presented.
            Denied::NoToken { cause, reason, description } => {
                Self::http(*cause, StatusCode::UNAUTHORIZED, reason, description).challenged(challenge)
            }
            // RFC 6750 §3.1.
            Denied::Malformed(description) => {
                let challenge = challenge.clone().error("invalid_request", description);
                Self::http(Cause::TokenMisplaced, StatusCode::BAD_REQUEST, "invalid_request", description)
                    .challenged(&challenge)
            }
            Denied::InvalidToken { cause, why, .. } => {
                let challenge = challenge.clone().error("invalid_token", why);
                Self::http(*cause, StatusCode::UNAUTHORIZED, "invalid_token", why).challenged(&challenge)
            }
            // Our trouble, not the token's: a 401 here would make clients throw good tokens away.
            Denied::Unsure => Self::http(
                Cause::RevocationUnknown,
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The server can't tell at the moment whether the token has been revoked. Try again in a few seconds.",
            )
            .with(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)),
        }
    }

    /// 403 with everything that the caller needs to step up in one go (D-26).
    pub(crate) fn insufficient(insufficient: &Insufficient, metadata: &str) -> Self {
        let description = format!("This call also needs the scope {}.", insufficient.missing);
        let challenge =
            Challenge::new(metadata).scope(&insufficient.sufficient).error("insufficient_scope", &description);
        Self::http(Cause::ScopeInsufficient, StatusCode::FORBIDDEN, "insufficient_scope", &description)
            .challenged(&challenge)
    }

    fn challenged(self, challenge: &Challenge) -> Self {
        match HeaderValue::try_from(challenge.to_text()) {
            Ok(value) => self.with(WWW_AUTHENTICATE, value),
            Err(error) => {
                tracing::error!(%error, "a challenge is no lawful header value");
                self
            }
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Names the attempt to connect that this belongs to. JSON-RPC errors stay as clients know them.
    pub(crate) fn of_attempt(mut self, attempt: &AttemptId) -> Self {
        if let Some(body) = self.0.body.as_object_mut().filter(|body| !body.contains_key("jsonrpc")) {
            body.insert("attempt".into(), attempt.to_string().into());
        }
        self
    }

    /// Whether it is our fault.
    pub(crate) fn is_ours(&self) -> bool {
        self.0.status.is_server_error()
    }

    /// Why.
    pub(crate) fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The same in the words that the client gets.
    pub(crate) fn reason(&self) -> String {
        let text = |at: &str| self.0.body.pointer(at).and_then(Value::as_str);
        match (text("/error"), text("/error_description"), text("/error/message")) {
            (Some(error), Some(description), _) => format!("{error}: {description}"),
            (_, _, Some(message)) => message.to_owned(),
            _ => self.0.status.to_string(),
        }
    }

    /// The response to send.
    pub(crate) fn into_response(self) -> Response {
        let Refusal { status, body, headers, .. } = *self.0;
        let mut response = json_response(status, &body);
        response.headers_mut().extend(headers);
        response
    }
}

/// The first `limit` characters: what came from outside goes back in an answer no longer than it needs to be known again.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    text.char_indices().nth(limit).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// A JSON response that nobody may cache.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn cutting_respects_characters() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("", 0), "");
    }
}
