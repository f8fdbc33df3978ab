//! The forms of answers and refusals, and reading what was sent: strictly, because a slip that is passed over in silence
//! is found out when it hurts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::id::InvalidId;
use oauth::json::Bounds;
use oauth::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::admin::{AdminError, Fault, Unknown};
use crate::request::body::{Unread, collect};
use crate::response::respond::{Failure, json};
use crate::store::Page;

/// Why nothing was done.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "RFC 6749 §5.2 names them so")]
pub(super) struct Error {
    /// `invalid_request`, `invalid_token`, `insufficient_scope`, `not_found`, `conflict`, `precondition_failed`,
    /// `too_large`, `temporarily_unavailable` or `server_error`.
    pub(super) error: &'static str,
    /// For people: names the member and says what would be right.
    pub(super) error_description: String,
    /// Finds the event in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
}

/// Why an operation was not carried out. It gets its form, its log line and its reference at the guard, which all of them pass.
#[derive(Clone, Debug)]
pub(super) enum Denied {
    /// The request's fault.
    Refused(StatusCode, &'static str, String),
    /// Ours.
    Failed(Arc<Failure>),
}

impl Denied {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, "invalid_request", text.into())
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::NOT_FOUND, "not_found", text.into())
    }

    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::CONFLICT, "conflict", text.into())
    }

    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::FORBIDDEN, "insufficient_scope", text.into())
    }
}

impl<E: Into<Failure>> From<E> for Denied {
    fn from(error: E) -> Self {
        Self::Failed(Arc::new(error.into()))
    }
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self::invalid(fault.to_string())
    }
}

impl From<AdminError> for Denied {
    fn from(error: AdminError) -> Self {
        let text = error.to_string();
        match error {
            AdminError::Fault(fault) => fault.into(),
            AdminError::Unknown(Unknown::Token) => Self::not_found(format!("{text}; GET /api/v1/tokens shows the ids")),
            AdminError::Unknown(_) => Self::not_found(text),
            AdminError::ClientTaken(_)
            | AdminError::UsernameTaken
            | AdminError::TokenTaken(_)
            | AdminError::MakerGone
            | AdminError::NotManaged(_)
            | AdminError::NoSecret(_)
            | AdminError::KeyWaits { .. }
            | AdminError::KeyRotated => Self::conflict(text),
            AdminError::Beyond(_) => Self::forbidden(text),
            AdminError::Changed => Self::Refused(StatusCode::PRECONDITION_FAILED, "precondition_failed", text),
            AdminError::WrongMasterKey => {
                Failure::Answer("the master key does not open the stored signing keys").into()
            }
            AdminError::Keys(_) => Failure::Answer("a signing key could not be made").into(),
            AdminError::Hashing(error) => error.into(),
            AdminError::Store(error) => error.into(),
            AdminError::Account(error) => error.into(),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The id in the path. What can be no id names nothing.
#[derive(Clone, Debug)]
pub(super) struct Id<T>(pub(super) T);

impl<T: TryFrom<String, Error = InvalidId> + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denied> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = read.map_err(|why| Denied::invalid(why.body_text()))?;
        T::try_from(text).map(Self).map_err(|why| Denied::not_found(format!("there is nothing with this id: {why}")))
    }
}

/// What an operation comes to.
pub(super) type Outcome = Result<Response, Denied>;

pub(super) fn ok<T: Serialize>(body: &T) -> Outcome {
    Ok(json(StatusCode::OK, body)?)
}

pub(super) fn created<T: Serialize>(body: &T) -> Outcome {
    Ok(json(StatusCode::CREATED, body)?)
}

pub(super) fn nothing() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// A revision as an entity tag.
pub(super) fn with_revision(mut response: Response, revision: i64) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// The revision that the caller saw, if it says so (RFC 9110 §13.1.1).
pub(super) fn seen_revision(headers: &HeaderMap) -> Result<Option<i64>, Denied> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
    revision.map(Some).ok_or_else(|| {
        let words = "If-Match: send the ETag of the client as it was shown";
        Denied::Refused(StatusCode::PRECONDITION_FAILED, "precondition_failed", words.to_owned())
    })
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn bytes(body: Body, limit: usize) -> Result<axum::body::Bytes, Denied> {
    collect(body, limit).await.map_err(|unread| match unread {
        Unread::TooLarge => Denied::Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is larger than the {limit} bytes that are read here"),
        ),
        Unread::BrokenOff => Denied::invalid("the body broke off"),
        Unread::TooSlow => Denied::invalid("the body did not arrive in time"),
    })
}

/// The media type of a body.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON object as `T`. An operation that needs nothing said takes an empty body too.
pub(super) async fn object<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    may_be_empty: bool,
) -> Result<T, Denied> {
    let bytes = bytes(body, limit).await?;
    if bytes.is_empty() && may_be_empty {
        return read(b"{}");
    }
    let media_type = media_type(headers);
    if !matches!(media_type.as_str(), "application/json" | "application/merge-patch+json") {
        let received = if media_type.is_empty() { "no Content-Type" } else { media_type.as_str() };
        return Err(Denied::invalid(format!("send a JSON object as application/json; received {received}")));
    }
    read(&bytes)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Denied> {
    // An array would be taken for the members in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Denied::invalid("the body is not a JSON object"));
    }
    Bounds::METADATA.check(bytes).map_err(|excess| Denied::invalid(format!("the body {excess}")))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json);
    let error = match read {
        Ok(value) => return json.end().map(|()| value).map_err(|error| not_json(&error)),
        Err(error) => error,
    };
    // Where it is, unless it is about the object as a whole.
    let place = error.path().to_string();
    let error = error.into_inner();
    if !error.is_data() {
        return Err(not_json(&error));
    }
    let text = without_values(&error);
    let names_its_member = NAMING.iter().any(|begin| text.starts_with(begin));
    Err(Denied::invalid(if names_its_member || place == "." { text } else { format!("{place}: {text}") }))
}

fn not_json(error: &serde_json::Error) -> Denied {
    Denied::invalid(format!("the body is not a JSON object: {}", without_values(error)))
}

/// How faults begin that name their member themselves, and no value.
const NAMING: [&str; 3] = ["unknown field ", "missing field ", "duplicate field "];

/// What is wrong, without what was sent: it may be a secret, and the sentence goes to the log. The names of members
/// stay.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Faults of the notation name places, and no values.
    if !error.is_data() {
        return text;
    }
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    if NAMING.iter().any(|begin| text.starts_with(begin)) {
        return text;
    }
    let Some((kind, _)) = text.split_once(['"', '`']) else { return text };
    // What was expected comes last, in words of ours.
    let expected = text.rsplit_once(", expected ").map(|(_, words)| format!(", expected {words}"));
    format!("{}{}", kind.trim_end(), expected.unwrap_or_default())
}

/// The parameters of an address, as `T`: each once, none unknown.
pub(super) fn query<T: DeserializeOwned>(text: Option<&str>) -> Result<T, Denied> {
    let mut members = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        if members.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
            return Err(Denied::invalid(format!("{name} is there twice")));
        }
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| Denied::invalid(without_values(&error)))
}

const MOST: i64 = 200;
const USUAL: i64 = 50;

/// How many: a number as the address has it.
pub(super) fn limit(text: Option<&str>) -> Result<i64, Denied> {
    let Some(text) = text else { return Ok(USUAL) };
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| Denied::invalid(format!("limit: must be a number from 1 to {MOST}")))
}

/// Where a page begins and how long it is.
pub(super) fn page(after: Option<&str>, limit_text: Option<&str>) -> Result<Page, Denied> {
    let wrong = || Denied::invalid("after: is not the next of a page before");
    let after = match after {
        None => None,
        Some(text) => {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
            let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
            if cursor.1.contains('\0') {
                return Err(wrong());
            }
            Some((cursor.0, cursor.1))
        }
    };
    Ok(Page { after, limit: limit(limit_text)? })
}

#[derive(Serialize, Deserialize)]
struct Cursor(Timestamp, String);

/// Where the next page begins, as the address has it.
pub(super) fn cursor(next: Option<(Timestamp, String)>) -> Option<String> {
    let (time, id) = next?;
    serde_json::to_vec(&Cursor(time, id)).ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Denied, read};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Body {
        flag: Option<bool>,
        word: Option<Word>,
        list: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Two,
    }

    /// B-37: what was sent may be a secret, and refusals are logged.
    #[test]
    fn refusals_repeat_names_and_never_values() {
        for (body, wanted) in [
            (r#"{"flag":"s3cret"}"#, "flag: invalid type: string, expected a boolean"),
            (r#"{"flag":"s3cret\", expected \"s3cret` x"}"#, "flag: invalid type: string, expected a boolean"),
            (r#"{"flag":true"s3cret"}"#, "the body is not a JSON object: expected `,` or `}` at line 1 column 13"),
            (r#"{"flag":5301}"#, "flag: invalid type: integer, expected a boolean"),
            (r#"{"word":"s3cret`, expected s3cret"}"#, "word: unknown variant, expected `one` or `two`"),
            (r#"{"list":["a",{"s3cret":1}]}"#, "list[1]: invalid type: map, expected a string"),
            (r#"{"list":"s3cret"}"#, "list: invalid type: string, expected a sequence"),
            (r#"{"flags":"s3cret"}"#, "unknown field `flags`, expected one of `flag`, `word`, `list`"),
        ] {
            let Denied::Refused(_, _, text) = read::<Body>(body.as_bytes()).unwrap_err() else { panic!("{body}") };
            assert!(!text.contains("s3cret") && !text.contains("5301"), "{text}");
            assert_eq!(text, wanted);
        }
    }
}
