//! A load client that costs little: one connection, one request at a time, and just enough of HTTP/1.1 to find
//! the end of an answer.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

/// An answer, as the connection's buffer holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: &'a str,
    /// The body as it came: what is sent in pieces still has their sizes in it.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The first value of a header; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.body).unwrap()
    }

    /// The value of a text member, found without parsing: the load client must not be what is measured.
    pub(crate) fn member(&self, name: &str) -> &str {
        let text = self.text();
        let start = text.find(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("no {name} in {text}"));
        text[start + name.len() + 4..].split('"').next().unwrap()
    }

    /// The answer itself if it has this status; otherwise the measurement is void.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, String::from_utf8_lossy(self.body));
        self
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: Self::connect(address).await, address, buffer: Vec::with_capacity(16 * 1024) }
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends the bytes of a request and waits for the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let (head_end, end) = loop {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.unwrap() != 0,
                "{} closed the connection: {}",
                self.address,
                String::from_utf8_lossy(&self.buffer)
            );
            if let Some(ends) = ends(&self.buffer) {
                break ends;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).unwrap();
        Answer { status: head[9..12].parse().unwrap(), head, body: &self.buffer[head_end..end] }
    }
}

/// Where the head and the whole answer end, once all of it is there.
fn ends(bytes: &[u8]) -> Option<(usize, usize)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    let end = match length {
        Some(length) => head_end + length,
        // In pieces, or without a body.
        None if head.contains("chunked") => {
            return bytes.ends_with(b"\r\n0\r\n\r\n").then_some((head_end, bytes.len()));
        }
        None => head_end,
    };
    (bytes.len() >= end).then_some((head_end, end))
}

/// A request without a body. `headers` are whole lines.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n").into_bytes()
}

/// A request with a body.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, media: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// Percent-encodes parameters.
pub(crate) fn form(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

/// The media type of [`form`].
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";
