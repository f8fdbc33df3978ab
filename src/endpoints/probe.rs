//! What arrives here of a request that was sent through whatever stands in front: for the doctor, which compares it with
//! what it sent.
//!
//! Anybody may ask, so nothing is said that the asker did not send or could not find out: names of headers but no values,
//! except of those that say by which address the request came. No token is read, nothing is stored, nothing is fetched.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use oauth::time::Timestamp;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::request::address::Forwarding;
use crate::request::context::RequestContext;
use crate::response::respond::{Rejection, json};

/// How many header names are told, and how long a repeated value may be: an answer is never much larger than its request.
const MOST_NAMES: usize = 64;
const LONGEST: usize = 255;
/// The stream: so many events, this far apart. Well over what a network jitters, and over within a second.
const EVENTS: u32 = 3;
const APART: Duration = Duration::from_millis(300);

/// What arrived.
#[derive(Serialize)]
struct Arrived<'a> {
    version: &'static str,
    /// Unix seconds by this server's clock.
    time: Timestamp,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Whether the Authorization header arrived.
    authorization: bool,
    headers: BTreeSet<&'a str>,
    /// The network by which limits count the caller.
    network: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_proto: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_host: Option<String>,
    /// Whether any header says on whose behalf the request is passed on.
    forwarded_for: bool,
    /// What came of it: `none`, `believed`, or `unlisted`, `missing` and `unreadable` where the proxies or the header that
    /// they write are not set up here.
    forwarded: &'static str,
    /// The address that this server answers by, whatever the headers say.
    public_url: String,
}

/// `/probe`, by any method.
pub(crate) async fn arrived(State(app): State<App>, context: RequestContext, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let outcome = report(&app, &context, &parts);
    app.edge.json("probe", &context, outcome)
}

fn report(app: &App, context: &RequestContext, parts: &Parts) -> Result<Response, Rejection> {
    let headers = &parts.headers;
    let (_, forwarding) = app.contexts.proxies.client_of(parts);
    let arrived = Arrived {
        version: env!("CARGO_PKG_VERSION"),
        time: app.clock.now(),
        method: parts.method.as_str(),
        path: parts.uri.path(),
        host: text(headers, "host").or_else(|| parts.uri.authority().map(ToString::to_string)),
        authorization: headers.contains_key(header::AUTHORIZATION),
        headers: headers.keys().map(HeaderName::as_str).take(MOST_NAMES).collect(),
        network: context.network_name(),
        forwarded_proto: text(headers, "x-forwarded-proto"),
        forwarded_host: text(headers, "x-forwarded-host"),
        forwarded_for: forwarding != Forwarding::None,
        forwarded: forwarding.as_str(),
        public_url: app.issuer.to_string(),
    };
    Ok(json(StatusCode::OK, &arrived)?)
}

/// `GET /probe/stream`: events that must arrive one by one. What stands in front may collect them first, and then the
/// streams of MCP don't pass it either (E3).
pub(crate) async fn stream() -> Response {
    let (mut writer, reader) = tokio::io::duplex(256);
    tokio::spawn(async move {
        for number in 1..=EVENTS {
            if number > 1 {
                tokio::time::sleep(APART).await;
            }
            // Who asked may have gone.
            if writer.write_all(format!("data: {number}\n\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(ReaderStream::new(reader))).into_response()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.chars().take(LONGEST).collect())
}
