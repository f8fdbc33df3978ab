//! One request and its answer: sent as given, kept for the report as shown.

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::Value;

use super::report::{Step, Why};
use super::shown::{shown_body, shown_header, shown_url};

/// The most bytes of an answer that are read: more is no answer of these protocols.
const MOST_BYTES: usize = 1024 * 1024;
/// A request, its headers and its body in the order in which they go out.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// A request and its answer for the report.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The address, codes and tokens in it shortened.
    pub url: String,
    /// The headers sent on purpose, in order.
    pub sent_headers: Vec<(String, String)>,
    /// The body sent, secrets shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// The status that came; none when nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The headers that came and matter here.
    pub came_headers: Vec<(String, String)>,
    /// The beginning of the body that came, secrets shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<String>,
}

impl Request {
    pub(super) fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: None }
    }

    pub(super) fn post(url: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(url) }
    }

    /// Adds a header; an empty value adds none.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn json(self, body: impl Into<String>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// A form, parameters in this order, spaces as `+`.
    pub(super) fn form(self, params: &[(&str, String)]) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(encode(params))
    }

    /// Sends it and reads the answer; both go into the step.
    ///
    /// # Errors
    /// When no answer came at all.
    pub(super) async fn send(self, client: &Client, step: &mut Step) -> Result<Came, Why> {
        let mut exchange = Exchange {
            method: self.method.to_string(),
            url: shown_url(&self.url),
            sent_headers: self.headers.iter().map(|(name, value)| shown_header(name, value)).collect(),
            sent: self.body.as_deref().map(shown_body),
            status: None,
            came_headers: Vec::new(),
            came: None,
        };
        let outcome = self.answer(client).await;
        if let Ok(came) = &outcome {
            exchange.status = Some(came.status);
            exchange.came_headers = [CONTENT_TYPE, WWW_AUTHENTICATE, LOCATION]
                .iter()
                .filter_map(|name| Some((name.as_str(), came.headers.get(name)?.to_str().ok()?)))
                .map(|(name, value)| shown_header(name, value))
                .collect();
            exchange.came = (!came.text.is_empty()).then(|| shown_body(&came.text));
        }
        step.exchanges.push(exchange);
        outcome
    }

    async fn answer(self, client: &Client) -> Result<Came, Why> {
        let silence = |error: reqwest::Error| Why(format!("no answer came: {}", causes(&error)));
        let mut request = client.request(self.method.clone(), &self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(silence)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        // The stream of notifications stays open: that it was opened is all there is to know.
        let endless = self.method == Method::GET && content_type(&headers).starts_with("text/event-stream");
        while !endless && let Some(chunk) = response.chunk().await.map_err(silence)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BYTES {
                return Err(Why(format!("the answer is longer than {MOST_BYTES} bytes")));
            }
        }
        Ok(Came { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

impl Came {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn content_type(&self) -> &str {
        content_type(&self.headers)
    }

    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none; the words say what came instead.
    pub(super) fn json(&self) -> Result<Value, Why> {
        serde_json::from_str(&self.text).map_err(|_| {
            let kind = if self.text.trim_start().starts_with('<') { "HTML" } else { "no JSON" };
            Why(format!("the answer ({}) is {kind}, where JSON belongs", self.status))
        })
    }

    /// What an OAuth error answer says, or its status.
    pub(super) fn refusal(&self) -> String {
        let told = serde_json::from_str::<Value>(&self.text).ok().and_then(|value| {
            let error = value.get("error")?.as_str()?.to_owned();
            let description = value.get("error_description").and_then(Value::as_str).unwrap_or_default();
            Some(if description.is_empty() { error } else { format!("{error}: {description}") })
        });
        match told {
            Some(told) => format!("{}, {told}", self.status),
            None => format!("{}, without an OAuth error in JSON", self.status),
        }
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// An error with its causes: the outermost alone says only "error sending request".
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A JSON object from members that are JSON already, in this order.
pub(super) fn object(members: &[(&str, String)]) -> String {
    let members = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Parameters in form encoding.
pub(super) fn encode(params: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}
