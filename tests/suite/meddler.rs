//! Something that stands in front of a server and changes what passes, or shares it among copies of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode, header};
use portcullis::model::user::Role;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::server::{Database, OwnDatabase, PASSWORD, TestServer, USER, http};

/// An answer on its way back.
pub struct Passing {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Passing {
    /// Changes a JSON body.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_str(&self.body).unwrap();
        change(&mut value);
        self.body = value.to_string();
    }
}

/// A proxy in the way, gone when dropped.
pub struct Meddler {
    /// The address that everybody is told.
    pub origin: String,
    /// The copies of the server behind it, which stop with it.
    _servers: Vec<TestServer>,
    task: JoinHandle<()>,
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Meddler {
    /// A server with the usual account behind a proxy that changes answers by their path.
    pub async fn in_front(
        database: Database,
        settings: &[(&str, &str)],
        meddle: impl Fn(&str, &mut Passing) + Send + Sync + 'static,
    ) -> Self {
        Self::of(1, database, settings, meddle).await
    }

    /// So many copies of a server, each request at the next one.
    pub async fn of(
        copies: usize,
        database: Database,
        settings: &[(&str, &str)],
        meddle: impl Fn(&str, &mut Passing) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let first = TestServer::on(OwnDatabase::new(database).await, settings, Some(&origin)).await;
        first.add_user(USER, PASSWORD, Role::User).await;
        let mut servers = vec![first];
        while servers.len() < copies {
            let copy = servers[0].replica(settings).await;
            servers.push(copy);
        }
        let addresses: Arc<[String]> = servers.iter().map(|server| server.address.clone()).collect();
        let (next, meddle, client) = (Arc::new(AtomicUsize::new(0)), Arc::new(meddle), http());
        let app = Router::new().fallback(move |request: Request| {
            let address = addresses[next.fetch_add(1, Ordering::Relaxed) % addresses.len()].clone();
            let (meddle, client) = (Arc::clone(&meddle), client.clone());
            async move { pass(&client, &address, request, &*meddle).await }
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { origin, _servers: servers, task }
    }

    /// The MCP endpoint as people know it.
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }
}

async fn pass(
    client: &reqwest::Client,
    address: &str,
    request: Request,
    meddle: &(dyn Fn(&str, &mut Passing) + Send + Sync),
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answer = client
        .request(parts.method, format!("{address}{}", parts.uri))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut passing = Passing { status, headers, body: answer.text().await.unwrap() };
    meddle(parts.uri.path(), &mut passing);
    passing.headers.remove(header::CONTENT_LENGTH);
    passing.headers.remove(header::TRANSFER_ENCODING);
    let mut response = Response::new(Body::from(passing.body));
    *response.status_mut() = passing.status;
    *response.headers_mut() = passing.headers;
    response
}
