//! What needs no database write: tool calls, the two refusals that strangers get, discovery.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::ceilings::Canned;
use crate::client::{Connection, JSON, get, post};
use crate::flows::Person;
use crate::process::{Ceiling, Database, Process, Server};
use crate::rounds::{Load, Row, Work, compare};
use crate::{CONNECTIONS, Wanted};

const FETCH: &str = "tools/call of `fetch`, against the same MCP server without auth";
const WHOAMI: &str = "tools/call of `whoami`, against the same MCP server without auth";
const NO_TOKEN: &str = "401 without a token, against a bare axum route with the same bytes";
const FORGED: &str = "401 for a forged token, each another one, against a bare axum route that checks one signature";
const AFTER: &str = "tools/call of `fetch` right after all those forged tokens, against the same without auth";
const RESOURCE: &str = "Metadata of the resource, against a bare axum route with the same bytes";
const SERVER: &str = "Metadata of the authorization server, against a bare axum route with the same bytes";

const RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource/mcp";
const SERVER_PATH: &str = "/.well-known/oauth-authorization-server";

/// The same request again and again.
struct Repeat {
    connection: Connection,
    request: Vec<u8>,
    status: u16,
}

impl Work for Repeat {
    async fn operation(&mut self) {
        self.connection.send(&self.request).await.expect(self.status);
    }
}

async fn repeat<'a>(process: &'a Process, address: SocketAddr, request: &[u8], status: u16) -> Load<'a, Repeat> {
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        workers.push(Repeat { connection: Connection::open(address).await, request: request.to_vec(), status });
    }
    Load { process, workers }
}

/// Tokens with a good header and good claims, signed by nobody: the most that a stranger can make the server do.
struct Forge {
    connection: Connection,
    request: Vec<u8>,
    /// Where in the request the signature stands.
    signature: usize,
    number: u32,
}

impl Work for Forge {
    async fn operation(&mut self) {
        self.number += 1;
        let text = URL_SAFE_NO_PAD.encode(self.number.to_be_bytes());
        self.request[self.signature..self.signature + text.len()].copy_from_slice(text.as_bytes());
        self.connection.send(&self.request).await.expect(401);
    }
}

async fn forge<'a>(process: &'a Process, address: SocketAddr, token: &str) -> Load<'a, Forge> {
    let mut workers = Vec::new();
    for worker in 0..CONNECTIONS {
        let request = call(address, "/mcp", Some(token), "fetch", &json!({ "id": "x" }));
        let start = String::from_utf8_lossy(&request).find(token).unwrap();
        let signature = start + token.rfind('.').unwrap() + 1;
        // No two workers send the same token.
        let number = u32::try_from(worker).unwrap() << 28;
        workers.push(Forge { connection: Connection::open(address).await, request, signature, number });
    }
    Load { process, workers }
}

/// A call of a tool, as a client of 2025-11-25 sends it.
fn call(address: SocketAddr, path: &str, token: Option<&str>, tool: &str, arguments: &Value) -> Vec<u8> {
    let params = json!({ "name": tool, "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let headers =
        format!("accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n{authorization}");
    post(address, path, &headers, JSON, &body)
}

/// Measures all of them.
pub(crate) async fn measure(database: &Database, wanted: &Wanted) -> Vec<Row> {
    let server = Server::start(database).await;
    let (address, process) = (server.address, &server.process);
    let mut rows = Vec::new();
    if !wanted.any(&[FETCH, WHOAMI, NO_TOKEN, FORGED, AFTER, RESOURCE, SERVER]) {
        return rows;
    }
    let mut person = Person::connected(address, 0).await;
    let token = person.access_token.clone();
    let sub = claim(&token, "sub");

    let bare = Ceiling::start(&["mcp", &database.url, &sub, &format!("http://{address}")]);
    let mut arguments = json!({});
    for (name, tool) in [(WHOAMI, "whoami"), (FETCH, "fetch")] {
        if tool == "fetch" {
            arguments = json!({ "id": document(&mut person, address, &token).await });
        }
        if wanted.has(name) {
            rows.push(tool_calls(name, &server, &bare, &token, tool, &arguments).await);
        }
    }

    let canned = canned(address, &token).await;
    let axum = Ceiling::start(&["axum", &canned]);
    if wanted.has(NO_TOKEN) {
        let request = |address| call(address, "/mcp", None, "whoami", &json!({}));
        let mut own = repeat(process, address, &request(address), 401).await;
        let mut ceiling = repeat(&axum.process, axum.address(), &request(axum.address()), 401).await;
        rows.push(compare(NO_TOKEN, None, &mut own, &mut ceiling).await);
    }
    for (name, path) in [(RESOURCE, RESOURCE_PATH), (SERVER, SERVER_PATH)] {
        if wanted.has(name) {
            let mut own = repeat(process, address, &get(address, path, ""), 200).await;
            let mut ceiling = repeat(&axum.process, axum.address(), &get(axum.address(), path, ""), 200).await;
            rows.push(compare(name, Some(0.9), &mut own, &mut ceiling).await);
        }
    }
    if wanted.any(&[FORGED, AFTER]) {
        let mut own = forge(process, address, &token).await;
        let forged = Ceiling::start(&["axum", &format!("{canned}.forged")]);
        let mut ceiling = forge(&forged.process, forged.address(), &token).await;
        rows.push(compare(FORGED, None, &mut own, &mut ceiling).await);
        let count: u32 = own.workers.iter().map(|worker| worker.number & 0x0fff_ffff).sum();
        eprintln!("{count} forged tokens so far; memory {:.1} MiB", process.memory().0);
        rows.push(tool_calls(AFTER, &server, &bare, &token, "fetch", &arguments).await);
    }
    rows
}

async fn tool_calls(name: &str, server: &Server, bare: &Ceiling, token: &str, tool: &str, arguments: &Value) -> Row {
    let own_request = call(server.address, "/mcp", Some(token), tool, arguments);
    let mut own = repeat(&server.process, server.address, &own_request, 200).await;
    let request = call(bare.address(), "/mcp", None, tool, arguments);
    let mut ceiling = repeat(&bare.process, bare.address(), &request, 200).await;
    // Both must say the very same.
    let answers = [
        own.workers[0].connection.send(&own_request).await.expect(200).text().to_owned(),
        ceiling.workers[0].connection.send(&request).await.expect(200).text().to_owned(),
    ];
    assert_eq!(answers[0].len(), answers[1].len(), "{answers:#?}");
    assert!(!answers[0].contains("\"isError\":true"), "{}", answers[0]);
    compare(name, Some(0.9), &mut own, &mut ceiling).await
}

/// The id of the shortest document: the less the tool does, the more the guard shows.
async fn document(person: &mut Person, address: SocketAddr, token: &str) -> String {
    let request = call(address, "/mcp", Some(token), "search", &json!({ "query": "token server client" }));
    let answer: Value = serde_json::from_slice(person.connection.send(&request).await.expect(200).body).unwrap();
    let ids = answer["result"]["structuredContent"]["results"].as_array().unwrap().clone();
    let mut documents = Vec::new();
    for id in ids.iter().map(|hit| hit["id"].as_str().unwrap()) {
        let request = call(address, "/mcp", Some(token), "fetch", &json!({ "id": id }));
        documents.push((person.connection.send(&request).await.expect(200).body.len(), id.to_owned()));
    }
    documents.into_iter().min().unwrap().1
}

/// A claim of a token.
fn claim(token: &str, name: &str) -> String {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()[name].as_str().unwrap().to_owned()
}

/// Writes down what the server answers, for a bare route to answer the same; the name of the file.
async fn canned(address: SocketAddr, token: &str) -> String {
    let mut connection = Connection::open(address).await;
    let keys: Value =
        serde_json::from_str(connection.send(&get(address, "/jwks", "")).await.expect(200).text()).unwrap();
    let part = |name: &str| keys["keys"][0][name].as_str().unwrap().to_owned();
    let key = (part("x"), part("y"));
    let mut plain = Vec::new();
    for path in [RESOURCE_PATH, SERVER_PATH] {
        plain.push(Canned::new(path, connection.send(&get(address, path, "")).await.expect(200), None));
    }
    let request = call(address, "/mcp", None, "whoami", &json!({}));
    plain.push(Canned::new("/mcp", connection.send(&request).await.expect(401), None));
    let mut load = forge_once(address, token).await;
    let forged = [Canned::new("/mcp", load.0.send(&load.1).await.expect(401), Some(key))];
    let file = format!("{}/canned_{}.json", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&file, serde_json::to_vec(&plain).unwrap()).unwrap();
    std::fs::write(format!("{file}.forged"), serde_json::to_vec(&forged).unwrap()).unwrap();
    file
}

async fn forge_once(address: SocketAddr, token: &str) -> (Connection, Vec<u8>) {
    let start = token.rfind('.').unwrap() + 1;
    let forged = format!("{}AAAAAAAA{}", &token[..start], &token[start + 8..]);
    (Connection::open(address).await, call(address, "/mcp", Some(&forged), "whoami", &json!({})))
}
