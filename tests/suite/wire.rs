//! HTTP/1.1 by hand, for what no client library does: requests cut in pieces, sent ahead, or never finished.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
pub struct Wire(pub BufReader<TcpStream>);

/// An answer.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Told {
    pub fn closes(&self) -> bool {
        self.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Wire {
    /// Connects to `http://address` or `address`.
    pub async fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
        Self(BufReader::new(stream))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a whole request.
    pub async fn request(&mut self, line: &str, headers: &str, body: &str) {
        self.send(request(line, headers, body)).await;
    }

    /// The next answer. What says that the server goes on (100) is none.
    pub async fn told(&mut self) -> Told {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("no answer came").expect("the connection ended")
    }

    async fn read(&mut self) -> Option<Told> {
        let status = self.line().await?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            body.resize(length.parse().ok()?, 0);
            self.0.read_exact(&mut body).await.ok()?;
        } else if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
            loop {
                let length = usize::from_str_radix(self.line().await?.trim(), 16).ok()?;
                let mut chunk = vec![0; length + 2];
                self.0.read_exact(&mut chunk).await.ok()?;
                if length == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..length]);
            }
        }
        Some(Told { status, headers, body: String::from_utf8(body).ok()? })
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).await.ok()? > 0).then(|| line.trim_end().to_owned())
    }

    /// Waits until the other side ends the connection; whether it did so in order, without a reset.
    pub async fn ends(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("still open").is_ok()
    }
}

/// A whole request with a body of known length.
pub fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
