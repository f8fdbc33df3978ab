//! Connections over a real socket with answers that no endpoint gives: streams that take long.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::io::ReaderStream;
use tokio_util::task::TaskTracker;

use super::accept::{Acceptor, Seats};
use super::{Stop, end_connections};
use crate::config::Connections;
use crate::request::address::Proxies;

const PATIENCE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(5);

struct Fixture {
    address: SocketAddr,
    stop: Arc<Stop>,
    seats: Arc<Seats>,
    tasks: TaskTracker,
}

/// A server with this limit on headers and on waiting.
async fn serve(limit: Duration, router: Router) -> Fixture {
    let limits =
        Connections { max: 100, max_per_network: 100, header_timeout: limit, idle_timeout: limit, header_bytes: 8192 };
    let (stop, tasks) = (Arc::new(Stop::new(Arc::default())), TaskTracker::new());
    let seats = Arc::new(Seats::new(limits, Proxies::none(), 0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (own, seated) = (Arc::clone(&stop), Arc::clone(&seats));
    tokio::spawn(Acceptor { router, seats: seated, stop: own, tasks: tasks.clone() }.run(listener));
    Fixture { address, stop, seats, tasks }
}

impl Fixture {
    async fn end(&self) -> Duration {
        let begun = Instant::now();
        self.stop.stopping.store(true, Ordering::Relaxed);
        self.stop.closing.cancel();
        end_connections(&self.stop, &self.seats, &self.tasks).await;
        assert!(self.tasks.is_empty());
        begun.elapsed()
    }
}

/// An event every so often, so many times.
fn events(count: usize, apart: Duration, media_type: &'static str) -> Response {
    let (mut writer, reader) = tokio::io::duplex(64);
    tokio::spawn(async move {
        for _ in 0..count {
            sleep(apart).await;
            if writer.write_all(b"data: x\n\n").await.is_err() {
                return;
            }
        }
    });
    ([(CONTENT_TYPE, media_type)], Body::from_stream(ReaderStream::new(reader))).into_response()
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("still open").unwrap();
    text
}

async fn get(address: SocketAddr, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes()).await.unwrap();
    stream
}

/// Neither the limit on waiting nor the one on headers counts while an answer is under way, also a silent one.
#[tokio::test]
async fn event_streams_outlive_every_limit() {
    let limit = Duration::from_secs(2);
    let handler = async move || events(1, 2 * limit, "text/event-stream");
    let fixture = serve(limit, Router::new().route("/", any(handler))).await;
    let mut stream = get(fixture.address, "").await;
    // The end of the stream is the beginning of the wait, after which the connection ends.
    let text = read_to_end(&mut stream).await;
    assert_eq!(text.matches("data: x").count(), 1, "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
}

/// At the stop an event stream is brought to its end, as a stream that is complete.
#[tokio::test]
async fn a_stop_ends_event_streams_in_order() {
    let apart = Duration::from_millis(100);
    let fixture = serve(
        LONG,
        Router::new().route("/", any(async move || events(100_000, apart, "text/event-stream; charset=utf-8"))),
    )
    .await;
    let mut stream = get(fixture.address, "").await;
    let mut first = [0; 300];
    assert!(timeout(PATIENCE, stream.read(&mut first)).await.unwrap().unwrap() > 0);
    let (took, rest) = tokio::join!(fixture.end(), read_to_end(&mut stream));
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// Clients that do nothing, half of something, or something without end, hold no stop up.
#[tokio::test]
async fn nothing_that_a_client_does_holds_a_stop_up() {
    let handler = async |request: Request| {
        if request.method() == "POST" {
            // Reads as long as there is something to come.
            let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        }
        events(100_000, Duration::from_millis(10), "application/octet-stream")
    };
    let fixture = serve(LONG, Router::new().route("/", any(handler))).await;
    let mut open = Vec::new();
    for begun in [
        "",
        "GET / HTT",
        "GET / HTTP/1.1\r\nx: y\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n1",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n1",
        "GET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // They are noticed before the end begins.
    while fixture.tasks.len() < open.len() {
        tokio::task::yield_now().await;
    }
    let took = fixture.end().await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// The last answer of a connection that closes announces it.
#[tokio::test]
async fn answers_announce_the_stop() {
    let fixture =
        serve(LONG, Router::new().route("/", any(async || Ok::<_, Infallible>(Bytes::from_static(b"x"))))).await;
    fixture.stop.stopping.store(true, Ordering::Relaxed);
    let mut stream = get(fixture.address, "").await;
    let text = read_to_end(&mut stream).await;
    assert!(text.contains("connection: close\r\n"), "{text}");
}
