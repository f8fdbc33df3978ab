//! The transport: the MCP library's Streamable HTTP, all revisions on one URL, and what has to be put right
//! around it. The library is stricter than clients in the wild are (`Accept`, batches), lets some things pass
//! that the specification doesn't, and answers some mistakes in plain text.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use rmcp::model::ProtocolVersion;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Refused, UNSUPPORTED_VERSION, json_response,
};
use super::envelope::Message;
use super::media::{EVENT_STREAM, JSON, Media};
use super::server::Server;

const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// What the library insists on reading in `Accept`.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// The most bytes of one of the library's answers that are read again here.
const MAX_REREAD: usize = 8 * 1024 * 1024;

pub(crate) type Library = StreamableHttpService<Arc<Server>, NeverSessionManager>;

/// The MCP library, set up once for each form of answer.
pub(crate) struct Transport {
    json: Library,
    event_stream: Library,
    tools: ToolList,
}

impl Transport {
    /// A transport to `server`.
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        let library = |json| {
            let server = Arc::clone(server);
            // No sessions in any revision: what no replica remembers, every replica can answer. Host and Origin
            // have been checked at the door and the body's size at the endpoint, with answers of our own.
            let config = StreamableHttpServerConfig::default()
                .with_legacy_session_mode(false)
                .with_json_response(json)
                .with_max_request_body_bytes(usize::MAX)
                .disable_allowed_hosts();
            let manager = Arc::new(NeverSessionManager::default());
            StreamableHttpService::new(move || Ok(Arc::clone(&server)), manager, config)
        };
        Self { json: library(true), event_stream: library(false), tools: ToolList::of(server) }
    }

    /// The library alone, answering in JSON.
    #[cfg(feature = "bench")]
    pub(crate) fn bare(&self) -> Library {
        self.json.clone()
    }

    /// Serves one message.
    ///
    /// # Errors
    /// 400 with a JSON-RPC error for headers that no revision allows.
    pub(crate) async fn one(
        &self,
        mut parts: Parts,
        body: Bytes,
        message: &Message<'_>,
        media: Media,
    ) -> Result<Response, Refused> {
        check_version_header(&parts.headers, message)?;
        // The library takes a discovery without `params` for a method that it doesn't know (S-21, S-25).
        if message.method() == Some("server/discover") && message.id.is_some() && !message.has_params() {
            let text = "Invalid params: request _meta is missing";
            return Err(Refused::rpc(StatusCode::BAD_REQUEST, message.id.clone(), INVALID_PARAMS, text));
        }
        parts.headers.insert(ACCEPT, BOTH);
        let version = parts.headers.get(&VERSION_HEADER).cloned();
        let request = Request::from_parts(parts, Body::from(body));
        let library = match media {
            Media::Json => &self.json,
            Media::EventStream => &self.event_stream,
        };
        let response = library.handle(request).await.map(Body::new);
        let response = tidied(response, version.as_ref(), message).await?;
        if message.method() == Some("tools/list") && response.status() == StatusCode::OK {
            return self.tools.put_right(response).await;
        }
        Ok(response)
    }

    /// Serves a batch: its messages one after the other, the answers together. Only 2025-03-26 has batches.
    ///
    /// # Errors
    /// 400 with a JSON-RPC error where the revision has none.
    pub(crate) async fn batch(&self, parts: &Parts, bodies: Vec<&RawValue>) -> Result<Response, Refused> {
        let version = parts.headers.get(&VERSION_HEADER).and_then(|value| value.to_str().ok());
        if version.is_some_and(|version| version > ProtocolVersion::V_2025_03_26.as_str()) {
            let text = "Invalid Request: this protocol version has no batches; send one message per request";
            return Err(Refused::rpc(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text));
        }
        let mut answers = Vec::new();
        for body in bodies {
            let body = body.get().as_bytes();
            let response = match Message::parse(body) {
                Ok(message) if message.method() == Some("initialize") => {
                    let text = "Invalid Request: initialize can't be part of a batch";
                    Err(Refused::rpc(StatusCode::BAD_REQUEST, message.id.clone(), INVALID_REQUEST, text))
                }
                Ok(message) => {
                    let body = Bytes::copy_from_slice(body);
                    let mut parts = parts.clone();
                    parts.headers.remove(CONTENT_LENGTH);
                    self.one(parts, body, &message, Media::Json).await
                }
                Err(refused) => Err(refused),
            };
            let (_, answer) = reread(response.unwrap_or_else(Refused::into_response)).await?;
            // Notifications have no answer.
            answers.extend(serde_json::from_slice::<Value>(&answer).ok());
        }
        if answers.is_empty() {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            return Ok(response);
        }
        Ok(json_response(StatusCode::OK, &Value::Array(answers)))
    }
}

/// S-21: the version stands once, in plain text. The library looks at the first value only, and an
/// intermediary might look at another.
fn check_version_header(headers: &HeaderMap, message: &Message<'_>) -> Result<(), Refused> {
    let mut values = headers.get_all(&VERSION_HEADER).iter();
    let problem = match (values.next(), values.next()) {
        (_, Some(_)) => "duplicate MCP-Protocol-Version header",
        (Some(value), None) if value.to_str().is_err() => "MCP-Protocol-Version header contains invalid characters",
        (Some(_) | None, None) => return Ok(()),
    };
    Err(Refused::rpc(StatusCode::BAD_REQUEST, message.id.clone(), HEADER_MISMATCH, problem))
}

/// Puts right what the library says in another way than it should be said.
async fn tidied(
    mut response: Response,
    version: Option<&HeaderValue>,
    message: &Message<'_>,
) -> Result<Response, Refused> {
    let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media == EVENT_STREAM {
        // E3: proxies must neither keep nor compress what should arrive as it is sent.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    } else if media != JSON && (response.status().is_client_error() || response.status().is_server_error()) {
        return in_json(response, version, message).await;
    }
    Ok(response)
}

/// The list of tools as the library writes it, and as it should be.
struct ToolList {
    written: String,
    wanted: String,
}

impl ToolList {
    /// C-03: clients that know the top-level member `securitySchemes` look for it there; the library's model has
    /// a place for it in `_meta` only.
    fn of(server: &Server) -> Self {
        let mut wanted = Vec::new();
        for tool in server.tools() {
            // Serialising what is all texts and flags can't fail; if it did, the list would stay as it is.
            let mut tool = serde_json::to_value(tool).unwrap_or_default();
            let schemes = tool.pointer("/_meta/securitySchemes").cloned();
            if let (Some(tool), Some(schemes)) = (tool.as_object_mut(), schemes) {
                tool.insert("securitySchemes".into(), schemes);
            }
            wanted.push(tool);
        }
        let written: Vec<_> = server.tools().collect();
        Self { written: serde_json::to_string(&written).unwrap_or_default(), wanted: Value::Array(wanted).to_string() }
    }

    /// Puts the wanted list in the place of the written one. The list never changes while the server runs, so
    /// its text is known beforehand: no need to parse every answer and to write it again.
    async fn put_right(&self, response: Response) -> Result<Response, Refused> {
        let (mut parts, body) = reread(response).await?;
        let written = self.written.as_bytes();
        let found = body.windows(written.len().max(1)).position(|window| window == written);
        let around = found.and_then(|start| Some((body.get(..start)?, body.get(start + written.len()..)?)));
        let Some((before, after)) = around else {
            return Ok(Response::from_parts(parts, Body::from(body)));
        };
        let right = [before, self.wanted.as_bytes(), after].concat();
        parts.headers.remove(CONTENT_LENGTH);
        Ok(Response::from_parts(parts, Body::from(right)))
    }
}

/// An error in plain text as a JSON-RPC error: clients read the body of a 400 to decide which revision to speak
/// (S-25).
async fn in_json(
    response: Response,
    version: Option<&HeaderValue>,
    message: &Message<'_>,
) -> Result<Response, Refused> {
    let (parts, body) = reread(response).await?;
    let text = String::from_utf8_lossy(&body);
    let id = message.id.clone();
    if parts.status.is_server_error() {
        tracing::error!(status = %parts.status, %text, "the MCP library failed");
        return Err(Refused::rpc(parts.status, id, INTERNAL_ERROR, "Internal error"));
    }
    let version = version.and_then(|value| value.to_str().ok());
    let supported = ProtocolVersion::KNOWN_VERSIONS;
    if let Some(requested) = version.filter(|version| supported.iter().all(|known| known.as_str() != *version)) {
        return Err(Refused::rpc_with_data(
            StatusCode::BAD_REQUEST,
            id,
            UNSUPPORTED_VERSION,
            "Unsupported protocol version",
            Some(json!({ "supported": supported, "requested": requested })),
        ));
    }
    // The library's 415 stands for a body that is JSON and no message; the media type was right.
    let status = match parts.status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
        other => other,
    };
    Err(Refused::rpc(status, id, INVALID_REQUEST, &format!("Invalid Request: {text}")))
}

async fn reread(response: Response) -> Result<(axum::http::response::Parts, Bytes), Refused> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_REREAD).await.map_err(|error| {
        tracing::error!(%error, "an answer could not be read again");
        Refused::rpc(StatusCode::INTERNAL_SERVER_ERROR, None, INTERNAL_ERROR, "Internal error")
    })?;
    Ok((parts, body))
}
