//! The ceilings, each a process of its own: what would be possible if the server had nothing to do but this.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use portcullis::app::App;
use portcullis::config::Config;
use portcullis::crypto::random::Random;
use portcullis::fetch::Resolver;
use portcullis::model::clock::Clock;
use portcullis::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::client::Answer;
use crate::{commits, process};

/// An answer that a bare axum route gives: the very bytes that the server gave.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Canned {
    path: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The public key to check the bearer token with first, if the server does so: a JWK's `x` and `y`.
    verify: Option<(String, String)>,
}

impl Canned {
    pub(crate) fn new(path: &str, answer: Answer<'_>, verify: Option<(String, String)>) -> Self {
        // These the HTTP library sets by itself.
        let own = ["date", "content-length", "connection"];
        let headers = answer.headers().filter(|(name, _)| !own.contains(name));
        Self {
            path: path.to_owned(),
            status: answer.status,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: answer.text().to_owned(),
            verify,
        }
    }
}

/// What runs in the ceiling's process.
pub(crate) async fn run(kind: &str, arguments: &[&str]) {
    match (kind, arguments) {
        ("axum", [file]) => serve(canned(Path::new(file))).await,
        ("mcp", [database_url, sub, public_url]) => serve(unprotected(database_url, sub, public_url).await).await,
        ("commits", [database_url, rows]) => commits::run(database_url, rows).await,
        _ => panic!("no ceiling {kind} {arguments:?}"),
    }
}

async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("ready {}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// The same MCP server with the same tools, and nothing in front of it.
async fn unprotected(database_url: &str, sub: &str, public_url: &str) -> Router {
    let config = Config::load(None, process::settings(database_url, public_url)).unwrap();
    let database = &config.database;
    let store = Store::connect(&database.url, database.max_connections, database.acquire_timeout).await.unwrap();
    let app = App::build(config, store, Clock::system(), Random::system(), Resolver::system()).await.unwrap();
    portcullis::server::unprotected_mcp(&app, sub)
}

fn canned(file: &Path) -> Router {
    let answers: Vec<Canned> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    answers.into_iter().fold(Router::new(), |router, answer| {
        let path = answer.path.clone();
        let ready = Ready::new(answer);
        router.route(&path, any(async move |headers: HeaderMap| ready.answer(&headers)))
    })
}

#[derive(Clone)]
struct Ready {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    key: Option<Arc<(DecodingKey, Validation)>>,
}

impl Ready {
    fn new(answer: Canned) -> Self {
        let header = |(name, value): &(String, String)| {
            (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::try_from(value.as_str()).unwrap())
        };
        Self {
            status: StatusCode::from_u16(answer.status).unwrap(),
            headers: answer.headers.iter().map(header).collect(),
            body: answer.body.into(),
            key: answer.verify.map(|(x, y)| {
                let mut validation = Validation::new(Algorithm::ES256);
                validation.validate_aud = false;
                Arc::new((DecodingKey::from_ec_components(&x, &y).unwrap(), validation))
            }),
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        if let Some(key) = &self.key {
            let token = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
            assert!(jsonwebtoken::decode::<Value>(token, &key.0, &key.1).is_err(), "a forged token is none");
        }
        (self.status, self.headers.clone(), self.body.clone()).into_response()
    }
}
