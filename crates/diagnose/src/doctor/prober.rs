//! Sends one request and tells what came of it. The only file of the doctor that speaks HTTP.

use std::error::Error as _;
use std::time::Duration;

use reqwest::tls::TlsInfo;
use reqwest::{Client, Method, Response};
use tokio::time::Instant;

use super::reply::{Answer, NoReply, Reply};

/// What the doctor calls itself where it does not play a client.
pub(super) const OWN_AGENT: &str = concat!("portcullis-doctor/", env!("CARGO_PKG_VERSION"));
/// How much of a body is read: documents have a few kilobytes.
const LONGEST_BODY: usize = 256 * 1024;
/// How long an event stream is listened to.
const STREAM: Duration = Duration::from_secs(5);

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Ask {
    pub(super) fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    pub(super) fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url)
    }

    pub(super) fn options(url: impl Into<String>) -> Self {
        Self::new(Method::OPTIONS, url)
    }

    pub(super) fn delete(url: impl Into<String>) -> Self {
        Self::new(Method::DELETE, url)
    }

    fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: None }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn json(self, body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..self.header("content-type", "application/json") }
    }

    pub(super) fn form(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self.header("content-type", "application/x-www-form-urlencoded") }
    }
}

/// Sends requests until the time is up.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    client: Client,
    until: Instant,
}

impl Prober {
    pub(super) fn new(client: Client, patience: Duration) -> Self {
        Self { client, until: Instant::now() + patience }
    }

    pub(super) async fn ask(&self, ask: Ask) -> Reply {
        tokio::time::timeout_at(self.until, self.exchange(ask)).await.unwrap_or(Err(NoReply::Time))
    }

    async fn exchange(&self, ask: Ask) -> Reply {
        let mut response = self.send(ask).await?;
        let mut answer = head(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| missed(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() >= LONGEST_BODY {
                break;
            }
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Asks for an event stream, and tells how far apart its first and its last event arrived.
    pub(super) async fn listen(&self, ask: Ask) -> (Reply, Duration) {
        let until = self.until.min(Instant::now() + STREAM);
        tokio::time::timeout_at(until, self.arrivals(ask)).await.unwrap_or((Err(NoReply::Time), Duration::ZERO))
    }

    async fn arrivals(&self, ask: Ask) -> (Reply, Duration) {
        let mut response = match self.send(ask).await {
            Ok(response) => response,
            Err(missed) => return (Err(missed), Duration::ZERO),
        };
        let mut answer = head(&response);
        let (mut first, mut last) = (None, Duration::ZERO);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let begin: Instant = *first.get_or_insert_with(Instant::now);
                    last = begin.elapsed();
                    answer.body.push_str(&String::from_utf8_lossy(&chunk));
                    if answer.body.len() >= LONGEST_BODY {
                        return (Ok(answer), last);
                    }
                }
                Ok(None) => return (Ok(answer), last),
                Err(error) => return (Err(missed(&error)), last),
            }
        }
    }

    async fn send(&self, ask: Ask) -> Result<Response, NoReply> {
        let posts = ask.method == Method::POST;
        let mut request = self.client.request(ask.method, ask.url);
        if !ask.headers.iter().any(|(name, _)| *name == "user-agent") {
            request = request.header("user-agent", OWN_AGENT);
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if posts || ask.body.is_some() {
            // A POST without a body says so, as programs do.
            request = request.body(ask.body.unwrap_or_default());
        }
        request.send().await.map_err(|error| missed(&error))
    }
}

fn head(response: &Response) -> Answer {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = response.headers().iter();
    Answer {
        status: response.status().as_u16(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect(),
        body: String::new(),
        certificate: response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec),
    }
}

/// The library keeps the cause at the end of a chain, and as text only.
fn missed(error: &reqwest::Error) -> NoReply {
    let mut chain = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        chain.push(inner.to_string());
        cause = inner.source();
    }
    let whole = chain.join(": ");
    let last = chain.pop().unwrap_or_else(|| error.to_string());
    let lower = whole.to_ascii_lowercase();
    if lower.contains("dns error") {
        NoReply::Name(last)
    } else if ["certificate", "handshake", "alert", "tls", "corrupt message"].iter().any(|word| lower.contains(word)) {
        NoReply::Tls(last)
    } else if error.is_timeout() {
        NoReply::Time
    } else if error.is_connect() {
        NoReply::Connection(last)
    } else {
        NoReply::Closed(last)
    }
}
