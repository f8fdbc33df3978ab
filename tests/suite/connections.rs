//! What connections may do, and in which state an answer leaves them (RFC 9112 §9, RFC 9113).

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::browser::Browser;
use crate::connector::Connector;
use crate::server::{Database, TestServer};
use crate::wire::{PATIENCE, Wire, request};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;

/// Requests that are refused before anybody looks at their body, at every kind of route.
const REFUSED: [(&str, u16); 8] = [
    ("POST /mcp", 401),
    ("POST /", 401),
    ("PUT /mcp", 401),
    ("POST /nowhere", 404),
    ("PUT /token", 405),
    ("POST /api/v1/clients", 401),
    ("DELETE /account", 405),
    ("POST /probe", 200),
];

async fn server(settings: &[(&str, &str)]) -> TestServer {
    TestServer::with(Database::Sqlite, settings).await
}

/// RFC 9112 §9.3: after an answer the connection is good for the next request, or the answer says that it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_body_leaves_the_connection_clean() {
    let server = server(&[]).await;
    let long = "x".repeat(60_000);
    for (line, status) in REFUSED {
        for body in ["", "x", INITIALIZE, &long] {
            let chunked = format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            );
            let chunked = if body.is_empty() { request(line, "", "") } else { chunked };
            for whole in [request(line, "", body), chunked] {
                // One after the other.
                let mut wire = Wire::to(&server.address).await;
                for _ in 0..3 {
                    wire.send(&whole).await;
                    let told = wire.told().await;
                    assert_eq!((told.status, told.closes()), (status, false), "{line} {} {told:?}", body.len());
                }
                // Sent ahead, with another request behind.
                wire.send(format!("{whole}{whole}{}", request("GET /healthz", "", ""))).await;
                assert_eq!(wire.told().await.status, status, "{line}");
                assert_eq!(wire.told().await.status, status, "{line}");
                assert_eq!(wire.told().await.status, 200, "{line}");
                // The body a moment later than the head.
                let (head, rest) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 4);
                wire.send(head).await;
                tokio::task::yield_now().await;
                wire.send(rest).await;
                assert_eq!(wire.told().await.status, status, "{line}");
                wire.request("GET /healthz", "", "").await;
                assert_eq!(wire.told().await.status, 200, "{line}");
            }
        }
    }
}

/// RFC 9112 §9.6: a body that is too long to be read away is announced, and the answer isn't lost to a reset while its
/// receiver is still sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_a_long_body_announces_the_close() {
    let server = server(&[]).await;
    let piece = "x".repeat(64 << 10);
    for (line, status) in REFUSED {
        for chunked in [false, true] {
            let mut wire = Wire::to(&server.address).await;
            let pieces = 64;
            if chunked {
                wire.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")).await;
            } else {
                let length = pieces * piece.len();
                wire.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")).await;
            }
            for _ in 0..pieces {
                let piece = if chunked { format!("{:x}\r\n{piece}\r\n", piece.len()) } else { piece.clone() };
                wire.send(piece).await;
            }
            let told = wire.told().await;
            assert_eq!((told.status, told.closes()), (status, true), "{line} {told:?}");
            assert!(wire.ends().await, "{line}: reset");
        }
    }
}

/// RFC 9110 §10.1.1: who asks before sending gets the refusal and is not told to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_waits_for_our_word_is_not_asked_for() {
    let server = server(&[]).await;
    for (line, status) in REFUSED {
        let mut wire = Wire::to(&server.address).await;
        wire.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"))
            .await;
        let told = wire.told().await;
        assert_eq!((told.status, told.closes()), (status, true), "{line} {told:?}");
        assert!(wire.ends().await);
    }
    // Who is to be read is asked for it.
    let mut wire = Wire::to(&server.address).await;
    let head = "content-type: application/x-www-form-urlencoded\r\nexpect: 100-continue\r\ncontent-length: 12";
    wire.send(format!("POST /token HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n")).await;
    assert_eq!(wire.told().await.status, 100);
    wire.send("grant_type=x").await;
    assert_ne!(wire.told().await.status, 100);
    wire.request("GET /healthz", "", "").await;
    assert_eq!(wire.told().await.status, 200);
}

/// Half-sent requests, however slowly they go on, and silent connections end in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_sent_request_ends_in_time() {
    let server = server(&[("PORTCULLIS__CONNECTIONS__HEADER_TIMEOUT", "2s")]).await;
    for begun in ["", "G", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: "] {
        for after in [0, 1] {
            let mut wire = Wire::to(&server.address).await;
            for _ in 0..after {
                wire.request("GET /healthz", "", "").await;
                assert_eq!(wire.told().await.status, 200);
            }
            if after > 0 && begun.is_empty() {
                // That is waiting, which is another limit.
                continue;
            }
            wire.send(begun).await;
            if begun.len() > 30 {
                // Nothing moves the deadline. Writing fails when it is over.
                let trickle = async {
                    while wire.0.get_mut().write_all(b"x").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, trickle).await.expect("still open");
            } else {
                wire.ends().await;
            }
        }
    }
    let mut wire = Wire::to(&server.address).await;
    wire.request("GET /healthz", "", "").await;
    assert_eq!(wire.told().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed_in_order() {
    let server = server(&[("PORTCULLIS__CONNECTIONS__IDLE_TIMEOUT", "3s")]).await;
    let mut wire = Wire::to(&server.address).await;
    for _ in 0..3 {
        wire.request("GET /healthz", "", "").await;
        assert_eq!(wire.told().await.status, 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(wire.ends().await);
    let (_client, mut closed) = h2(&server).await;
    assert!(tokio::time::timeout(PATIENCE, &mut closed).await.is_ok(), "still open");
}

/// One network can't take all places, a listed proxy can, and a place is free again when its connection ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_network_are_bounded_and_of_a_listed_proxy_are_not() {
    let bound = ("PORTCULLIS__CONNECTIONS__MAX_PER_NETWORK", "3");
    let server = server(&[bound]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::to(&server.address).await;
        wire.request("GET /healthz", "", "").await;
        assert_eq!(wire.told().await.status, 200);
        open.push(wire);
    }
    Wire::to(&server.address).await.ends().await;
    open.pop();
    // The server learns of the end a moment later.
    let again = async {
        loop {
            let mut wire = Wire::to(&server.address).await;
            let sent = wire.0.get_mut().write_all(request("GET /healthz", "", "").as_bytes()).await;
            let mut byte = [0];
            if sent.is_ok() && wire.0.read(&mut byte).await.is_ok_and(|length| length == 1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("no place becomes free");
    let proxied = self::server(&[bound, ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1")]).await;
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut wire = Wire::to(&proxied.address).await;
        wire.request("GET /healthz", "", "").await;
        assert_eq!(wire.told().await.status, 200);
        open.push(wire);
    }
}

/// Connections that wait, or that send a request without end, can't keep others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_half_sent_connections_make_room() {
    let server = server(&[("PORTCULLIS__CONNECTIONS__MAX", "16")]).await;
    let mut open = Vec::new();
    for number in 0..100 {
        let mut wire = Wire::to(&server.address).await;
        match number % 3 {
            0 => wire.send("GET / HTTP/1.1\r\nx: ").await,
            1 => {
                wire.request("GET /healthz", "", "").await;
                assert_eq!(wire.told().await.status, 200);
            }
            _ => {}
        }
        open.push(wire);
    }
    // The first ones are gone.
    open[0].ends().await;
    open[1].ends().await;
    open[2].ends().await;
}

/// HTTP/2 with prior knowledge over an open connection.
async fn h2(server: &TestServer) -> (http2::SendRequest<Body>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address.trim_start_matches("http://")).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn ask(
    client: &mut http2::SendRequest<Body>,
    request: Request<Body>,
) -> (StatusCode, axum::http::HeaderMap, String) {
    client.ready().await.unwrap();
    let response = client.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(Body::new(body), usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// As Cloud Run, Envoy and Caddy (`h2c://`) speak to what stands behind them: many calls at once on one connection, with
/// bodies, refused early or served, and the host in `:authority`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_without_tls_is_served() {
    let server = server(&[]).await;
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    let (mut h2, _connection) = h2(&server).await;
    let (status, headers, body) = ask(&mut h2, Request::get(server.url("/healthz")).body(Body::empty()).unwrap()).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"status":"ok"}"#));
    assert!(!headers.contains_key("connection") && headers.contains_key("date"));
    let call = |token: Option<&str>, body: Body| {
        let mut request = Request::post(server.mcp())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(body).unwrap()
    };
    let mut under_way = Vec::new();
    for number in 0..300 {
        let mut h2 = h2.clone();
        let token = (number % 3 == 0).then_some(tokens.access.as_str());
        let size = [0, 1000, 100_000, 400_000][number % 4];
        let body = if token.is_some() { INITIALIZE.to_owned() } else { "x".repeat(size) };
        let request = call(token, Body::from(body));
        under_way.push((token.is_some(), tokio::spawn(async move { ask(&mut h2, request).await.0 })));
    }
    for (good, task) in under_way {
        assert_eq!(task.await.unwrap(), if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED });
    }
    // Another host in `:authority` is refused as in `Host`.
    let foreign = Request::post("http://evil.example.com/mcp").body(Body::from(INITIALIZE)).unwrap();
    assert_eq!(ask(&mut h2, foreign).await.0, StatusCode::FORBIDDEN);
    let huge = Request::get(server.url("/healthz")).header("x-huge", "a".repeat(100_000)).body(Body::empty()).unwrap();
    h2.ready().await.unwrap();
    let huge = h2.send_request(huge).await;
    assert!(huge.is_err() || huge.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

/// RFC 9113 §8.2.3: cookies may come in several fields.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_are_found_in_several_fields() {
    let server = server(&[]).await;
    let client = Connector::public(&server).await;
    let mut browser = Browser::new(&server);
    client.authorize(&mut browser, &[]).await;
    let (mut h2, _connection) = h2(&server).await;
    let mut request = Request::get(server.url("/account"));
    for (name, value) in [("unrelated".to_owned(), "x".to_owned())]
        .iter()
        .chain(browser.cookies.clone().iter().map(|(a, b)| (a.clone(), b.clone())).collect::<Vec<_>>().iter())
    {
        request = request.header("cookie", format!("{name}={value}"));
    }
    let (status, _, body) = ask(&mut h2, request.body(Body::empty()).unwrap()).await;
    assert!(status == StatusCode::OK && body.contains("ada the tester"), "{status} {body}");
}

/// CVE-2023-44487: who resets every request at once is sent away, and others don't notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_the_connection() {
    let server = server(&[]).await;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // RFC 7541: `:method: GET`, `:scheme: http`, `:path: /`, `:authority: localhost`.
    let head = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(1, 5, stream, &head));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    // Reading and writing at once: the farewell comes while we still write.
    let write = async {
        let _ = writer.write_all(&bytes).await;
    };
    let mut seen = Vec::new();
    let read = async {
        let _ = reader.read_to_end(&mut seen).await;
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(write, read) }).await.expect("still open");
    let goaway = seen.windows(2).any(|window| window == [7, 0]);
    assert!(goaway, "no GOAWAY in {} bytes", seen.len());
    let mut wire = Wire::to(&server.address).await;
    wire.request("GET /healthz", "", "").await;
    assert_eq!(wire.told().await.status, 200);
}

/// RFC 9110 §15.5.14, §5.4: more headers than any client has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_bounded_in_number_and_size() {
    let server = server(&[("PORTCULLIS__CONNECTIONS__HEADER_BYTES", "8192")]).await;
    for (headers, status) in [
        ("x: y\r\n".repeat(90), 200),
        ("x: y\r\n".repeat(101), 431),
        (format!("x: {}\r\n", "y".repeat(7000)), 200),
        (format!("x: {}\r\n", "y".repeat(8192)), 431),
        (
            "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"
                .repeat(95),
            431,
        ),
    ] {
        let mut wire = Wire::to(&server.address).await;
        wire.send(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")).await;
        assert_eq!(wire.told().await.status, status, "{}", headers.len());
    }
}
