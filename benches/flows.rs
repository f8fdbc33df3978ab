//! What writes: registration, the whole code flow, refresh. Each against the raw commits of the same rows on a
//! database of the same engine.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::client::{Answer, Connection, FORM, JSON, form, get, post};
use crate::process::{Ceiling, Database, PASSWORD, Process, Server, USER};
use crate::rounds::{Load, Row, Work, compare};
use crate::{CONNECTIONS, Wanted};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Measures all three on one engine.
pub(crate) async fn measure(engine: &str, own: &Database, ceiling: &Database, wanted: &Wanted) -> Vec<Row> {
    let refresh = format!("Refresh with rotation on {engine}, against its raw commits");
    let flow = format!("Whole code flow on {engine} (6 requests, 3 commits), against its raw commits");
    let registration = format!("Registration on {engine}, against its raw commits");
    let mut rows = Vec::new();
    if !wanted.any(&[&refresh, &flow, &registration]) {
        return rows;
    }
    let server = Server::start(own).await;
    let (address, process) = (server.address, &server.process);
    if wanted.has(&refresh) {
        let mut workers = Vec::new();
        for number in 0..CONNECTIONS {
            workers.push(Refresh(Person::connected(address, number).await));
        }
        rows.push(against(&refresh, Some(0.8), process, workers, ceiling, "refresh").await);
    }
    if wanted.has(&flow) {
        let mut workers = Vec::new();
        for number in 0..CONNECTIONS {
            workers.push(Person::connected(address, CONNECTIONS + number).await);
        }
        rows.push(against(&flow, None, process, workers, ceiling, "flow").await);
    }
    if wanted.has(&registration) {
        let mut workers = Vec::new();
        for worker in 0..CONNECTIONS {
            workers.push(Register { connection: Connection::open(address).await, address, worker, count: 0 });
        }
        rows.push(against(&registration, None, process, workers, ceiling, "registration").await);
    }
    rows
}

async fn against<W: Work>(
    name: &str,
    aim: Option<f64>,
    process: &Process,
    workers: Vec<W>,
    database: &Database,
    rows: &str,
) -> Row {
    let mut ceiling = Ceiling::start(&["commits", &database.url, rows]);
    compare(name, aim, &mut Load { process, workers }, &mut ceiling).await
}

/// A new client each time.
struct Register {
    connection: Connection,
    address: SocketAddr,
    worker: usize,
    count: usize,
}

impl Work for Register {
    async fn operation(&mut self) {
        self.count += 1;
        let name = format!("Client {} of {}", self.count, self.worker);
        self.connection.send(&registration(self.address, &name)).await.expect(201);
    }
}

fn registration(address: SocketAddr, name: &str) -> Vec<u8> {
    let body = json!({
        "client_name": name,
        "redirect_uris": [callback(name)],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    post(address, "/register", "", JSON, &body.to_string())
}

/// A callback of no known vendor, so that the person is asked each time.
fn callback(name: &str) -> String {
    format!("https://client.example/{}/callback", name.replace(' ', "-"))
}

/// The next refresh token for the last.
struct Refresh(Person);

impl Work for Refresh {
    async fn operation(&mut self) {
        let person = &mut self.0;
        let params = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &person.refresh_token),
            ("client_id", &person.client_id),
        ];
        let request = post(person.address, "/token", "", FORM, &form(&params));
        let answer = person.connection.send(&request).await.expect(200);
        answer.member("refresh_token").clone_into(&mut person.refresh_token);
    }
}

/// A person with a browser and a client, signed in.
pub(crate) struct Person {
    pub(crate) connection: Connection,
    address: SocketAddr,
    cookies: Vec<(String, String)>,
    client_id: String,
    redirect_uri: String,
    pub(crate) access_token: String,
    refresh_token: String,
}

/// A person connects a client: authorize, dispatcher, consent page, yes, dispatcher, token.
impl Work for Person {
    async fn operation(&mut self) {
        self.connect().await;
    }
}

impl Person {
    /// Registers a client of one's own, signs in and connects it for the first time.
    pub(crate) async fn connected(address: SocketAddr, number: usize) -> Self {
        let mut connection = Connection::open(address).await;
        let name = format!("Person {number}");
        let client_id = connection.send(&registration(address, &name)).await.expect(201).member("client_id").to_owned();
        let mut person = Self {
            connection,
            address,
            cookies: Vec::new(),
            client_id,
            redirect_uri: callback(&name),
            access_token: String::new(),
            refresh_token: String::new(),
        };
        person.connect().await;
        person
    }

    async fn connect(&mut self) {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let resource = format!("http://{}/mcp", self.address);
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("state", "bench"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
        ]);
        let mut at = format!("/authorize?{query}");
        // A page where there is something to do, a place to go next, or the client's callback.
        let code = loop {
            let request = get(self.address, &at, &self.cookie_header());
            let answer = self.connection.send(&request).await;
            keep(&mut self.cookies, answer);
            at = if answer.status == 200 {
                let (action, body) = filled_in(answer.text());
                let request = post(self.address, &action, &self.cookie_header(), FORM, &body);
                let answer = self.connection.send(&request).await;
                keep(&mut self.cookies, answer);
                local(self.address, answer)
            } else {
                local(self.address, answer)
            };
            if let Some(query) = at.strip_prefix(&self.redirect_uri) {
                let mut params = url::form_urlencoded::parse(query.trim_start_matches('?').as_bytes());
                break params.find(|(name, _)| name == "code").unwrap().1.into_owned();
            }
        };
        let params = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &self.redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", VERIFIER),
            ("resource", &resource),
        ];
        let request = post(self.address, "/token", "", FORM, &form(&params));
        let answer = self.connection.send(&request).await.expect(200);
        answer.member("access_token").clone_into(&mut self.access_token);
        answer.member("refresh_token").clone_into(&mut self.refresh_token);
    }

    fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("cookie: {}\r\n", pairs.join("; ")) }
    }
}

/// Where an answer leads: a path of the server, or elsewhere.
fn local(address: SocketAddr, answer: Answer<'_>) -> String {
    let answer = answer.expect(303);
    let location = answer.header("location").unwrap();
    location.strip_prefix(&format!("http://{address}")).unwrap_or(location).to_owned()
}

fn keep(cookies: &mut Vec<(String, String)>, answer: Answer<'_>) {
    for (_, value) in answer.headers().filter(|(name, _)| *name == "set-cookie") {
        let (name, value) = value.split(';').next().unwrap().split_once('=').unwrap();
        cookies.retain(|(own, _)| own != name);
        cookies.push((name.to_owned(), value.to_owned()));
    }
}

/// The page's form with its hidden fields, the person's name and password, and a yes: action and body.
fn filled_in(page: &str) -> (String, String) {
    let between = |text: &str, before: &str| {
        let start = text.find(before)? + before.len();
        Some(text[start..].split('"').next().unwrap().replace("&amp;", "&"))
    };
    let form_start = page.find("<form method=\"post\"").unwrap_or_else(|| panic!("no form in {page}"));
    let page = &page[form_start..];
    let action = between(page, "action=\"").unwrap();
    let hidden = |name: &str| between(page, &format!("name=\"{name}\" value=\"")).unwrap_or_default();
    let (csrf, authorization) = (hidden("csrf"), hidden("authorization"));
    let mut fields = vec![("csrf", csrf.as_str()), ("authorization", &authorization)];
    if page.contains("name=\"password\"") {
        fields.extend([("username", USER), ("password", PASSWORD)]);
    } else {
        fields.push(("decision", "approve"));
    }
    (action, form(&fields))
}
