//! Sends requests as a well-behaved program does, that is, again after 503, and notes how each of them was answered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::connector::form;

/// Longer than any limit of the server, also than the minute that an administrator's long work has: who waits longer was
/// forgotten.
const FORGOTTEN: Duration = Duration::from_secs(150);
/// The pause before a request that was answered with 503 is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be, or with a refusal that is the request's own fault.
    Good,
    /// 503, and when to come back.
    Unavailable,
    /// In a way that is never right.
    Wrong(String),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    pub kind: &'static str,
    pub began: Instant,
    pub took: Duration,
    pub outcome: Outcome,
}

impl Sample {
    pub fn ended(&self) -> Instant {
        self.began + self.took
    }

    pub fn is_unavailable(&self) -> bool {
        self.outcome == Outcome::Unavailable
    }
}

/// All requests of all callers.
#[derive(Clone, Default)]
pub struct Samples(Arc<Mutex<Vec<Sample>>>);

impl Samples {
    pub fn all(&self) -> Vec<Sample> {
        self.0.lock().unwrap().clone()
    }

    /// The requests that were sent after this moment.
    pub fn since(&self, moment: Instant) -> Vec<Sample> {
        self.0.lock().unwrap().iter().filter(|own| own.began > moment).cloned().collect()
    }

    fn push(&self, sample: Sample) {
        self.0.lock().unwrap().push(sample);
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// How often the same request had been answered with 503 before.
    pub refused: u32,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    /// Expects this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

/// A program somewhere.
#[derive(Clone)]
pub struct Caller {
    http: Client,
    pub origin: String,
    samples: Samples,
    /// How long it goes on trying while the answer is 503.
    patience: Duration,
    /// Its pause before each request.
    pace: Duration,
}

impl Caller {
    /// The `n`th program, with an address of its own.
    pub fn new(n: u8, origin: &str, samples: &Samples, patience: Duration, pace: Duration) -> Self {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(IpAddr::from(Ipv4Addr::new(127, 0, 1, n)))
            .timeout(FORGOTTEN)
            .build()
            .unwrap();
        Self { http, origin: origin.to_owned(), samples: samples.clone(), patience, pace }
    }

    /// A request at a path of the server or at a whole address of it.
    pub fn request(&self, method: Method, place: &str) -> RequestBuilder {
        let url = if place.starts_with('/') { format!("{}{place}", self.origin) } else { place.to_owned() };
        self.http.request(method, url)
    }

    /// Sends it once.
    pub async fn once(&self, kind: &'static str, request: RequestBuilder) -> Result<Reply, String> {
        tokio::time::sleep(self.pace).await;
        let began = Instant::now();
        let read = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>(Reply { status, headers, text: response.text().await?, refused: 0 })
        };
        let reply = read.await.map_err(|error| format!("{kind}: no answer: {error:?}"));
        let outcome = match &reply {
            Ok(reply) => judge(kind, reply),
            Err(error) => Outcome::Wrong(error.clone()),
        };
        self.samples.push(Sample { kind, began, took: began.elapsed(), outcome: outcome.clone() });
        match outcome {
            Outcome::Wrong(what) => Err(what),
            Outcome::Good | Outcome::Unavailable => reply,
        }
    }

    /// Sends it until the answer is another than 503.
    pub async fn send(&self, kind: &'static str, request: RequestBuilder) -> Reply {
        let began = Instant::now();
        let mut refused = 0;
        loop {
            let reply = self.once(kind, request.try_clone().unwrap()).await.unwrap_or_else(|what| panic!("{what}"));
            if reply.status != StatusCode::SERVICE_UNAVAILABLE {
                return Reply { refused, ..reply };
            }
            assert!(began.elapsed() < self.patience, "{kind}: still 503 after {:?}: {}", began.elapsed(), reply.text);
            refused += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Sends a form, without cookies.
    pub async fn form(&self, kind: &'static str, path: &str, params: &[(&str, &str)]) -> Reply {
        let request = self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        self.send(kind, request.body(form(params))).await
    }

    /// A tool call that needs no database.
    pub fn tool_call(&self, access_token: &str) -> RequestBuilder {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "search", "arguments": { "query": "connect" } },
        });
        let request = self.request(Method::POST, "/mcp").bearer_auth(access_token);
        let request = request.header("content-type", "application/json").header("mcp-protocol-version", "2025-11-25");
        request.header("accept", "application/json, text/event-stream").body(body.to_string())
    }

    /// A request to the admin API.
    pub fn api(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> RequestBuilder {
        let request = self.request(method, &format!("/api/v1{path}")).bearer_auth(token);
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }
}

/// What our own trouble may look like, and nothing else: 503 with the time to come back.
fn judge(kind: &str, reply: &Reply) -> Outcome {
    if !reply.status.is_server_error() {
        return Outcome::Good;
    }
    let wait = reply.headers.get("retry-after").and_then(|wait| wait.to_str().ok()).and_then(|wait| wait.parse().ok());
    let blames = reply.headers.contains_key("www-authenticate") || reply.text.contains("invalid_");
    if reply.status == StatusCode::SERVICE_UNAVAILABLE && wait.is_some_and(|wait: u64| wait <= 60) && !blames {
        Outcome::Unavailable
    } else {
        Outcome::Wrong(format!("{kind}: {} with {:?}: {}", reply.status, reply.headers, reply.text))
    }
}
