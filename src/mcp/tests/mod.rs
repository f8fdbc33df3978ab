//! The resource half driven in process, with real keys and tokens, through the handler that is mounted.

mod expensive;
mod guard;
mod refusals;
mod revisions;
mod tools;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use oauth::algorithm::Algorithm;
use oauth::id::GrantId;
use oauth::issuer::Issuer;
use oauth::json::Bounds;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;
use serde_json::{Value, json};

use super::{Directory, McpSettings, McpState, Person, ToolSettings, handle};
use crate::crypto::jwt::{self, AccessTokenClaims};
use crate::crypto::keys::{KeyRing, generate};
use crate::crypto::master::MasterKey;
use crate::crypto::random::Random;
use crate::library::Library;
use crate::model::clock::Clock;
use crate::model::key::StoredKey;
use crate::request::context::Contexts;
use crate::revocations::Revocations;

const NOW: i64 = 1_800_000_000;
const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const ALL: &str = "account:read docs:read docs:search";
const MODERN: &str = "2026-07-28";

/// The endpoint of `https://mcp.example.com/mcp` with everything that feeds it.
struct Fixture {
    state: McpState,
    keys: Arc<KeyRing>,
    revocations: Arc<Revocations>,
    hand: Arc<AtomicI64>,
    master: MasterKey,
}

struct People;

impl Directory for People {
    fn person<'a>(&'a self, sub: &'a str) -> Pin<Box<dyn Future<Output = Option<Person>> + Send + 'a>> {
        Box::pin(async move {
            (sub == "usr_1").then(|| Person { id: sub.to_owned(), name: "Ada L.".into(), login: "ada".into() })
        })
    }
}

fn stored_key(master: &MasterKey, seed: u64) -> StoredKey {
    let (active, random) = (Timestamp(NOW - 1000), Random::seeded(seed));
    generate(Algorithm::Es256, i64::try_from(seed).unwrap(), active, active, master, &random).unwrap()
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut McpSettings)) -> Self {
        let master = MasterKey::new(&[7; 32]);
        let keys = Arc::new(KeyRing::open(&[stored_key(&master, 1)], &master).unwrap());
        let revocations = Arc::new(Revocations::new(Duration::from_hours(24)));
        revocations.confirm(Timestamp(NOW));
        let (clock, hand) = Clock::settable(NOW);
        let visits_clock = clock.clone();
        let scope = |text| Some(Scope::parse(text).unwrap());
        let mut settings = McpSettings {
            issuer: Issuer::from_origin(&url::Url::parse("https://mcp.example.com").unwrap()),
            resource: Resource::from_canonical("https://mcp.example.com/mcp"),
            resource_metadata: METADATA.into(),
            name: "Test".into(),
            initial_scope: Scope::parse(ALL).unwrap(),
            tools: ToolSettings {
                whoami: scope("account:read"),
                search: scope("docs:search"),
                fetch: scope("docs:read"),
            },
            allowed_hosts: vec![],
            allowed_origins: vec![],
            body_limit: 64 * 1024,
            json_bounds: Bounds { depth: 64, values: 10_000 },
            keys: Arc::clone(&keys),
            revocations: Arc::clone(&revocations),
            clock,
            library: Library::open(None, "https://mcp.example.com/docs".into()).unwrap(),
            directory: Arc::new(People),
            contexts: Contexts::unrecorded(master.attempts(), visits_clock),
        };
        change(&mut settings);
        Self { state: McpState::new(settings), keys, revocations, hand, master }
    }

    fn token_of(&self, claims: &AccessTokenClaims) -> String {
        jwt::sign(claims, &self.keys, Timestamp(NOW)).unwrap()
    }

    fn token(&self, scope: &str) -> String {
        self.token_of(&claims(scope))
    }

    fn set_clock(&self, now: i64) {
        self.hand.store(now, Ordering::SeqCst);
        self.revocations.confirm(Timestamp(now));
    }

    fn revoke(&self, grant: &str) {
        self.revocations.add(&GrantId::new(grant), Timestamp(self.hand.load(Ordering::SeqCst)));
    }

    async fn send(&self, request: Request) -> Answer {
        let response = handle(State(self.state.clone()), request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// A message of a revision with a handshake, from a client with all scopes.
    async fn legacy(&self, version: Option<&str>, message: &Value) -> Answer {
        let mut request = post(&self.token(ALL));
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version);
        }
        self.send(request.body(Body::from(message.to_string())).unwrap()).await
    }

    /// A message of 2026-07-28 with all that belongs to it, save for what `change` does.
    async fn modern(&self, method: &str, mut params: Value, change: impl FnOnce(&mut HeaderMap, &mut Value)) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("mcp-protocol-version", MODERN.parse().unwrap());
        headers.insert("mcp-method", method.parse().unwrap());
        if let Some(name) = params.get("name").and_then(Value::as_str) {
            headers.insert("mcp-name", name.parse().unwrap());
        }
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        let mut message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        change(&mut headers, &mut message);
        let mut request = post(&self.token(ALL)).body(Body::from(message.to_string())).unwrap();
        request.headers_mut().extend(headers);
        self.send(request).await
    }
}

fn claims(scope: &str) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: "https://mcp.example.com".into(),
        aud: "https://mcp.example.com/mcp".into(),
        sub: "usr_1".into(),
        client_id: "pc_1".into(),
        iat: NOW - 10,
        exp: NOW + 600,
        jti: "j1".into(),
        scope: scope.into(),
        auth_time: NOW - 10,
        grant: "grt_1".into(),
    }
}

fn post(token: &str) -> axum::http::request::Builder {
    Request::builder()
        .method("POST")
        .uri("/mcp")
        .header("host", "mcp.example.com")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"))
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
}

/// A response that has been read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let json: Value = serde_json::from_str(&self.body).unwrap();
        assert!(!self.body.contains(":null"), "no JSON of ours holds null: {}", self.body);
        json
    }

    /// The JSON-RPC error's code, with the request's id beside it.
    fn code(&self) -> (u16, i64, Value) {
        let json = self.json();
        (self.status.as_u16(), json["error"]["code"].as_i64().unwrap(), json["id"].clone())
    }

    fn result(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()["result"].clone()
    }
}
