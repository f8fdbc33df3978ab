//! A whole MCP client, each step callable alone and changeable: what it sends is data.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::browser::{Browser, Callback};
use crate::server::{TestServer, http};

/// The callback of clients that don't say otherwise.
pub const CALLBACK: &str = "http://127.0.0.1:9/callback";
/// The verifier of clients that don't say otherwise (RFC 7636 Appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A registered client.
#[derive(Clone, Debug)]
pub struct Connector {
    origin: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub redirect_uri: String,
    pub registration: Value,
    /// The MCP URL.
    pub resource: String,
}

/// A JSON answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    /// The tokens of a good answer.
    pub fn tokens(&self) -> Tokens {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let text = |name: &str| self.json[name].as_str().map(str::to_owned);
        Tokens {
            access: text("access_token").unwrap(),
            refresh: text("refresh_token"),
            scope: text("scope").unwrap(),
            expires_in: self.json["expires_in"].as_i64().unwrap(),
        }
    }

    /// Expects this OAuth error with this status; the description must be there, and no `null` anywhere.
    pub fn refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.json["error"].as_str()), (status, Some(error)), "{}", self.text);
        assert!(self.json["error_description"].as_str().is_some_and(|text| text.len() > 10), "{}", self.text);
        assert_eq!(self.headers["cache-control"], "no-store");
        self
    }
}

/// What a client got.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub scope: String,
    pub expires_in: i64,
}

impl Tokens {
    pub fn refresh(&self) -> &str {
        self.refresh.as_deref().unwrap()
    }

    /// The access token's claims, unverified.
    pub fn claims(&self) -> Value {
        let body = self.access.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
    }
}

/// The S256 challenge of a verifier.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// `Authorization: Basic` with id and secret as they are.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Percent-encodes parameters.
pub fn form(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

/// Sends a JSON registration.
pub async fn register(server: &TestServer, body: &Value) -> Answer {
    register_at(&server.address, body).await
}

/// The same at the address of any server.
pub async fn register_at(address: &str, body: &Value) -> Answer {
    let request = http().post(format!("{address}/register")).header("content-type", "application/json");
    answer(request.body(body.to_string())).await
}

/// Sends a form to exactly this address, with exactly these headers and this body.
pub async fn post_form(url: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
    let mut request = http().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request.body(body.into())).await
}

/// The media type of forms, as a header.
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Sends a request and reads a JSON answer; checks what every JSON answer must keep to.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let json: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
    // D-15: no null in any JSON reply.
    assert!(text.is_empty() || !holds_null(&json), "{text}");
    Answer { status, headers, text, json }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(members) => members.values().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Connector {
    /// A public client with one loopback callback.
    pub async fn public(server: &TestServer) -> Self {
        Self::registered(
            server,
            &json!({
                "client_name": "Test client",
                "redirect_uris": [CALLBACK],
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
            }),
        )
        .await
    }

    /// A public client like [`public`](Self::public) under another name, and so another client.
    pub async fn named(server: &TestServer, name: &str) -> Self {
        Self::registered(
            server,
            &json!({ "client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" }),
        )
        .await
    }

    /// A confidential client that authenticates by this method.
    pub async fn confidential(server: &TestServer, method: &str) -> Self {
        Self::registered(
            server,
            &json!({ "client_name": "Server side", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method }),
        )
        .await
    }

    /// A public client that comes with an id which it did not get here.
    pub fn known(server: &TestServer, id: &str, redirect_uri: &str) -> Self {
        Self {
            origin: server.origin.clone(),
            client_id: id.to_owned(),
            client_secret: None,
            redirect_uri: redirect_uri.to_owned(),
            registration: json!({ "token_endpoint_auth_method": "none" }),
            resource: format!("{}/mcp", server.origin),
        }
    }

    /// The same client, which now happens to reach this copy of the server.
    pub fn turned_to(&self, replica: &TestServer) -> Self {
        Self { origin: replica.address.clone(), ..self.clone() }
    }

    /// The same client, which now wants this resource.
    pub fn asking_for(&self, resource: &str) -> Self {
        Self { resource: resource.to_owned(), ..self.clone() }
    }

    /// A client with this registration.
    pub async fn registered(server: &TestServer, body: &Value) -> Self {
        Self::registered_at(&server.origin, body).await
    }

    /// The same at the address of any server whose MCP endpoint is `/mcp`.
    pub async fn registered_at(origin: &str, body: &Value) -> Self {
        let answer = register_at(origin, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let text = |name: &str| answer.json[name].as_str().map(str::to_owned);
        Self {
            origin: origin.to_owned(),
            client_id: text("client_id").unwrap(),
            client_secret: text("client_secret"),
            redirect_uri: answer.json["redirect_uris"][0].as_str().unwrap().to_owned(),
            registration: answer.json.clone(),
            resource: format!("{origin}/mcp"),
        }
    }

    /// A client into whose form a person typed this id and secret; it sends them in this way.
    pub fn typed(server: &TestServer, id: &str, secret: Option<&str>, redirect_uri: &str, method: &str) -> Self {
        Self {
            origin: server.origin.clone(),
            client_id: id.to_owned(),
            client_secret: secret.map(str::to_owned),
            redirect_uri: redirect_uri.to_owned(),
            registration: json!({ "token_endpoint_auth_method": method }),
            resource: server.mcp(),
        }
    }

    /// The parameters of a usual authorization request.
    pub fn authorize_params(&self) -> Vec<(&'static str, String)> {
        vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.clone()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("state", "st/a+te=1".to_owned()),
            ("code_challenge", challenge(VERIFIER)),
            ("code_challenge_method", "S256".to_owned()),
            ("resource", self.resource.clone()),
        ]
    }

    /// The address of an authorization request. `changes` replace parameters, or remove them with an empty value.
    pub fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let mut params: Vec<(String, String)> =
            self.authorize_params().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in changes {
            params.retain(|(own, _)| own != name);
            if !value.is_empty() {
                params.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        format!("{}/authorize?{query}", self.origin)
    }

    /// Gets a callback by saying yes to everything in this browser.
    pub async fn authorize(&self, browser: &mut Browser, changes: &[(&str, &str)]) -> Callback {
        browser.allow(&self.authorize_url(changes)).await
    }

    /// Sends a token request. Credentials are added as registered, unless `params` has a `client_id`.
    pub async fn token(&self, params: &[(&str, &str)]) -> Answer {
        let mut params = params.to_vec();
        let mut request = http().post(format!("{}/token", self.origin));
        let method = self.registration["token_endpoint_auth_method"].as_str().unwrap_or("none");
        if !params.iter().any(|(name, _)| *name == "client_id") {
            match (method, &self.client_secret) {
                ("client_secret_basic", Some(secret)) => {
                    request = request.header("authorization", basic(&self.client_id, secret));
                }
                (_, Some(secret)) => params.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]),
                (_, None) => params.push(("client_id", &self.client_id)),
            }
        }
        answer(request.header("content-type", "application/x-www-form-urlencoded").body(form(&params))).await
    }

    /// Redeems a code in the usual way.
    pub async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
            ("resource", &self.resource),
        ])
        .await
    }

    /// Refreshes in the usual way.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// The whole way from nothing to tokens, in a new browser.
    pub async fn connect(&self) -> Tokens {
        let mut browser = Browser::at(&self.origin);
        let callback = self.authorize(&mut browser, &[]).await;
        self.redeem(&callback.one("code")).await.tokens()
    }

    /// Revokes a token.
    pub async fn revoke(&self, token: &str) -> Answer {
        let body = form(&[("token", token), ("client_id", &self.client_id)]);
        let request = http().post(format!("{}/revoke", self.origin));
        answer(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    /// Calls a tool, as a client of 2025-11-25 does.
    pub async fn call(&self, access_token: &str, tool: &str, arguments: Value) -> Answer {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments },
        });
        let request = http()
            .post(format!("{}{}", self.origin, url::Url::parse(&self.resource).unwrap().path()))
            .header("authorization", format!("Bearer {access_token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        answer(request.body(body.to_string())).await
    }

    /// Whether a token opens the MCP endpoint now.
    pub async fn is_let_in(&self, access_token: &str) -> bool {
        let answer = self.call(access_token, "whoami", json!({})).await;
        match answer.status.as_u16() {
            200 => true,
            401 => false,
            other => panic!("{other}: {}", answer.text),
        }
    }
}
