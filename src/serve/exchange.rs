//! One request and its answer on a connection that others follow on.
//!
//! A refusal often comes before the request's body was read, from every handler alike. What is left of the body would be
//! taken for the next request, so the rest is read first if it is small, and else the answer announces that the connection
//! closes (RFC 9112 §9.3, §9.6). A proxy that were told neither would send its next request into a closed connection.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tower::ServiceExt as _;

use super::Stop;
use super::connection::{InFlight, Pulse};

/// How much of an unread body is read and thrown away before the answer, and for how long. Any call that a client makes
/// without a token fits; more is not worth the answer's delay.
const DRAIN_BYTES: u64 = 256 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Answers one request.
pub(super) async fn exchange(
    router: Router,
    peer: SocketAddr,
    pulse: &Arc<Pulse>,
    stop: &Stop,
    request: Request<Incoming>,
) -> Response<Answer> {
    let http2 = request.version() > Version::HTTP_11;
    let in_flight = pulse.begins(http2);
    let (parts, incoming) = request.into_parts();
    let waits = parts.headers.contains_key(EXPECT);
    let (body, rest) = lend(incoming);
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let clean = match rest {
        Some(rest) => rest.settle(waits).await,
        None => true,
    };
    // HTTP/2 ends the request's stream alone (RFC 9113 §8.1).
    if !http2 && (!clean || stop.stopping.load(Ordering::Relaxed)) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let ends = is_event_stream(response.headers()).then(|| Box::pin(stop.streams.clone().cancelled_owned()));
    response.map(|body| Answer { body, ends, _in_flight: in_flight })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// What became of a body that was lent to a handler.
#[derive(Debug)]
enum Rest {
    /// The handler has it still.
    Lent,
    /// It was read to its end, or can't be.
    Done,
    /// The handler let it go before its end. Whether it had begun to read it is told.
    Left(Incoming, bool),
}

/// The lender's end of a body.
#[derive(Debug)]
struct Lender(Arc<Mutex<Rest>>);

/// A body that comes back when it is dropped unread.
#[derive(Debug)]
struct Lent {
    body: Option<Incoming>,
    begun: bool,
    rest: Arc<Mutex<Rest>>,
}

/// The body for the handler. Of an empty one nothing can be left.
fn lend(incoming: Incoming) -> (Body, Option<Lender>) {
    if incoming.is_end_stream() {
        return (Body::empty(), None);
    }
    let rest = Arc::new(Mutex::new(Rest::Lent));
    let lent = Lent { body: Some(incoming), begun: false, rest: Arc::clone(&rest) };
    (Body::new(lent), Some(Lender(rest)))
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.begun = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = match self.body.take() {
            Some(body) if !body.is_end_stream() => Rest::Left(body, self.begun),
            Some(_) | None => Rest::Done,
        };
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

impl Lender {
    /// Reads what was left unread, if it is little and soon there. Whether nothing is left: the next request follows.
    async fn settle(self, waits: bool) -> bool {
        let rest = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Rest::Lent);
        match rest {
            Rest::Done => true,
            Rest::Lent => false,
            // Nothing was sent yet, and whether it will be depends on our answer (RFC 9110 §10.1.1). Reading would ask for it.
            Rest::Left(_, false) if waits => false,
            Rest::Left(body, _) => {
                body.size_hint().lower() <= DRAIN_BYTES
                    && tokio::time::timeout(DRAIN_TIME, drained(body)).await.unwrap_or(false)
            }
        }
    }
}

/// Reads a body to its end, unless it is long.
async fn drained(mut body: Incoming) -> bool {
    let mut length = 0_u64;
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { return false };
        let data = frame.data_ref().map_or(0, Bytes::len);
        length = length.saturating_add(u64::try_from(data).unwrap_or(u64::MAX));
        if length > DRAIN_BYTES {
            return false;
        }
    }
    true
}

/// The body of an answer, which keeps its connection busy; an event stream ends when the server stops.
pub(super) struct Answer {
    body: Body,
    ends: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _in_flight: InFlight,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // What is ready goes out before the end.
        if frame.is_pending()
            && let Some(ends) = &mut self.ends
            && ends.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
