//! The life of an honest client: registered, let in by a person, refreshed, and ended in one of several ways.

use reqwest::Method;
use serde_json::json;

use super::caller::Caller;
use super::dice::Dice;
use super::ledger::{Grant, Ledger};
use super::visitor::Visitor;
use crate::connector::{CALLBACK, Tokens, VERIFIER, challenge, form};
use crate::server::{PASSWORD, unique};

/// Who lives it.
#[derive(Clone)]
pub struct Honest {
    pub caller: Caller,
    pub ledger: Ledger,
    /// The person's login name.
    pub person: String,
    pub api_token: String,
}

/// The ways in which a connection ends.
const ENDS: [&str; 5] = [
    "revoked by its refresh token",
    "revoked by its access token",
    "disconnected by the person",
    "ended by an administrator",
    "ended with its client",
];

impl Honest {
    /// One life from the first registration to the end of it.
    pub async fn live(&self, dice: &mut Dice) {
        let client_id = self.register().await;
        let (visitor, code) = self.let_in(&client_id).await;
        let Some((id, mut tokens)) = self.redeem(&client_id, &code).await else { return };
        for _ in 0..dice.below(4) {
            tokens = self.refresh(&client_id, &id, &tokens).await;
        }
        if dice.chance(60) {
            self.end(dice.pick(&ENDS), &client_id, &id, &tokens, visitor.clone()).await;
        }
        if dice.chance(30) {
            self.sign_out(visitor).await;
        }
    }

    pub async fn register(&self) -> String {
        let body = json!({
            "client_name": format!("Client {}", unique()), "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        });
        let request = self.caller.request(Method::POST, "/register").header("content-type", "application/json");
        let reply = self.caller.send("register", request.body(body.to_string())).await.expect(201);
        let client_id = reply.json()["client_id"].as_str().unwrap().to_owned();
        self.ledger.registered(&client_id);
        client_id
    }

    /// A person signs in and allows this client in; gives their browser and the code.
    pub async fn let_in(&self, client_id: &str) -> (Visitor, String) {
        let mut visitor = Visitor::new(&self.caller);
        let login = visitor.open(&authorize(&self.caller.origin, client_id)).await;
        let person = [("username", self.person.as_str()), ("password", PASSWORD)];
        let consent = visitor.fill_in(&login, "password", &person).await.expect("nobody was asked");
        assert_eq!(consent.status, 200, "{}: {}", consent.url, consent.text());
        self.ledger.signed_in(&visitor.cookies["portcullis_session"]);
        let callback = match visitor.fill_in(&consent, "csrf", &[("decision", "approve")]).await {
            Err(callback) => callback,
            Ok(page) => panic!("no code but {} at {}: {}", page.status, page.url, page.text()),
        };
        let code = callback.query_pairs().find(|(name, _)| name == "code");
        (visitor, code.unwrap_or_else(|| panic!("no code in {callback}")).1.into_owned())
    }

    /// Nothing when the code was used up by a try of which nobody knows how it ended: the database carried it out and
    /// could not say so any more. The second use of a code is refused whoever it is.
    pub async fn redeem(&self, client_id: &str, code: &str) -> Option<(String, Tokens)> {
        let params = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", client_id),
        ];
        let reply = self.caller.form("token", "/token", &params).await;
        if reply.refused > 0 && reply.status == 400 {
            self.ledger.left_open();
            return None;
        }
        let tokens = tokens(&reply.expect(200).json());
        let id = tokens.claims()["grant"].as_str().unwrap().to_owned();
        let (access, refresh) = (tokens.access.clone(), tokens.refresh().to_owned());
        self.ledger.connected(&id, Grant { client_id: client_id.to_owned(), access, refresh, lives: Some(true) });
        Some((id, tokens))
    }

    pub async fn refresh(&self, client_id: &str, id: &str, old: &Tokens) -> Tokens {
        self.ledger.refreshes(id, None);
        let params = [("grant_type", "refresh_token"), ("refresh_token", old.refresh()), ("client_id", client_id)];
        let tokens = tokens(&self.caller.form("token", "/token", &params).await.expect(200).json());
        self.ledger.refreshes(id, Some((&tokens.access, tokens.refresh())));
        tokens
    }

    async fn end(&self, how: &'static str, client_id: &str, id: &str, tokens: &Tokens, mut visitor: Visitor) {
        self.ledger.ends(id, how, false);
        let token = match how {
            "revoked by its refresh token" => Some(tokens.refresh()),
            "revoked by its access token" => Some(tokens.access.as_str()),
            _ => None,
        };
        if let Some(token) = token {
            self.caller.form("revoke", "/revoke", &[("token", token), ("client_id", client_id)]).await.expect(200);
        } else if how == "disconnected by the person" {
            let page = visitor.open("/account").await;
            visitor.press(&page, &format!("/{id}/revoke")).await;
        } else {
            let whole = how == "ended with its client";
            let path = if whole { format!("/clients/{client_id}") } else { format!("/connections/{id}") };
            if whole {
                self.ledger.deletes(client_id, false);
            }
            let request = self.caller.api(Method::DELETE, &path, &self.api_token, None);
            let reply = self.caller.send(if whole { "api long" } else { "api write" }, request).await;
            // What was carried out although the answer was 503 is not there any more at the next try.
            assert!([204, 404].contains(&reply.status.as_u16()), "{how}: {} {}", reply.status, reply.text);
            if whole {
                self.ledger.deletes(client_id, true);
            }
        }
        self.ledger.ends(id, how, true);
    }

    async fn sign_out(&self, mut visitor: Visitor) {
        let session = visitor.cookies["portcullis_session"].clone();
        let page = visitor.open("/account").await;
        self.ledger.signs_out(&session, false);
        visitor.press(&page, "/logout").await;
        self.ledger.signs_out(&session, true);
    }
}

/// The address of an authorization request.
pub fn authorize(origin: &str, client_id: &str) -> String {
    let challenge = challenge(VERIFIER);
    let resource = format!("{origin}/mcp");
    let params = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("state", "state"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", &resource),
    ];
    format!("/authorize?{}", form(&params))
}

fn tokens(json: &serde_json::Value) -> Tokens {
    Tokens {
        access: json["access_token"].as_str().unwrap().to_owned(),
        refresh: json["refresh_token"].as_str().map(str::to_owned),
        scope: json["scope"].as_str().unwrap().to_owned(),
        expires_in: json["expires_in"].as_i64().unwrap(),
    }
}
