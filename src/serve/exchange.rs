//! One request and its answer.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tower::ServiceExt as _;

use super::Stop;
use super::connection::{InFlight, Pulse};

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
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if !http2 && stop.stopping.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let ends = is_event_stream(response.headers()).then(|| Box::pin(stop.streams.clone().cancelled_owned()));
    response.map(|body| Answer { body, ends, _in_flight: in_flight })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
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
