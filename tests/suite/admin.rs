//! An administrator's program: holds a token of the admin API and calls it.

use portcullis::crypto::random::Random;
use portcullis::model::api_token::{ApiScopes, Making};
use portcullis::model::secret::SecretKind;
use portcullis::store::NewApiToken;
use reqwest::Method;
use serde_json::{Value, json};

use crate::connector::{Answer, Connector, answer};
use crate::server::{TestServer, http};

/// A caller of the admin API.
pub struct Admin {
    address: String,
    pub token: String,
}

impl Admin {
    /// One who may do everything.
    pub async fn of(server: &TestServer) -> Self {
        Self::named(server, "root", ApiScopes::all()).await
    }

    /// One who may do what these scopes say.
    pub async fn with(server: &TestServer, scopes: &[&str]) -> Self {
        Self::named(server, &scopes.join(".").replace(':', "-"), ApiScopes::parse(scopes).unwrap()).await
    }

    async fn named(server: &TestServer, name: &str, scopes: ApiScopes) -> Self {
        let random = Random::system();
        let secret = random.secret(SecretKind::ApiToken);
        let new = NewApiToken {
            id: &random.api_token_id(),
            name,
            hash: &secret.hash(),
            scopes: &scopes,
            created_at: server.now(),
            created_by: None,
            expires_at: None,
        };
        assert_eq!(server.app.store().insert_api_token(&new).await.unwrap(), Making::Done);
        Self { address: server.address.clone(), token: secret.expose().to_owned() }
    }

    /// The same caller with another token.
    pub fn holding(&self, token: &str) -> Self {
        Self { address: self.address.clone(), token: token.to_owned() }
    }

    /// A request below `/api/v1` that is still to be sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1{path}", self.address);
        http().request(method, url).header("authorization", format!("Bearer {}", self.token))
    }

    pub async fn get(&self, path: &str) -> Answer {
        kept_out_of_caches(answer(self.request(Method::GET, path)).await)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        kept_out_of_caches(answer(self.request(Method::DELETE, path)).await)
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json").body(body.to_string());
        kept_out_of_caches(answer(request).await)
    }

    /// Adds a client and gives what came back.
    pub async fn add(&self, body: &Value) -> Value {
        let made = self.post("/clients", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json
    }

    /// Adds a client with this callback and types it into a client program that proves itself by `method`.
    pub async fn typed(&self, server: &TestServer, redirect_uri: &str, method: &str, more: Value) -> Connector {
        let mut body = json!({ "name": "Typed in", "redirect_uris": [redirect_uri] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.add(&body).await;
        let id = made["client"]["id"].as_str().unwrap();
        Connector::typed(server, id, made["client_secret"].as_str(), redirect_uri, method)
    }
}

fn kept_out_of_caches(answer: Answer) -> Answer {
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "no CORS here");
    answer
}
