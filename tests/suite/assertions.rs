//! `private_key_jwt` over HTTP: clients that prove themselves with a key of their own, and what else comes with one.

use oauth::id::ClientId;
use oauth::time::Timestamp;
use portcullis::model::secret::Secret;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::connector::{Answer, CALLBACK, Connector, FORM, VERIFIER, form, post_form, register};
use crate::documents::{APP, NAMES, app_document, connector};
use crate::on_both_databases;
use crate::server::TestServer;
use crate::signer::{Signer, claims};
use crate::vendor::{Reply, Vendor};

const CHATGPT: &str = include_str!("../../crates/known-clients/documents/chatgpt.json");
const CHATGPT_ID: &str = "https://chatgpt.com/oauth/client.json";
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Sends a token request with an assertion, and `client_id` if there is one.
async fn token(server: &TestServer, id: Option<&str>, assertion: &str, params: &[(&str, &str)]) -> Answer {
    let mut all = params.to_vec();
    all.extend([("client_assertion_type", TYPE), ("client_assertion", assertion)]);
    all.extend(id.map(|id| ("client_id", id)));
    post_form(&format!("{}/token", server.address), &[FORM], form(&all)).await
}

/// A code for this client.
async fn code(server: &TestServer, client: &Connector) -> String {
    client.authorize(&mut Browser::new(server), &[]).await.one("code")
}

fn redemption<'a>(code: &'a str, client: &'a Connector) -> [(&'static str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", VERIFIER),
    ]
}

/// A client that signs, its key at a `jwks_uri`, and the world that answers for it.
async fn world(signer: &Signer) -> Vendor {
    let vendor = Vendor::start(&NAMES).await;
    let mut document = app_document();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks_uri"] = json!("https://app.example.com/jwks.json");
    vendor.answer("/client.json", Reply::json(&document));
    vendor.answer("/jwks.json", Reply::json(&signer.jwks()));
    vendor
}

on_both_databases! {
    /// B5: ChatGPT's document prefers a key and takes none: both ways connect, call a tool and refresh.
    async fn chatgpt_connects_with_its_key_and_without(database) {
        let signer = Signer::new("chatgpt-1", "RS256");
        let vendor = Vendor::start(&NAMES).await;
        vendor.answer("/oauth/client.json", Reply::cached(&serde_json::from_str(CHATGPT).unwrap(), "max-age=300"));
        vendor.answer("/oauth/jwks.json", Reply::json(&signer.jwks()));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let metadata = crate::server::http().get(server.url("/.well-known/oauth-authorization-server"));
        let metadata: Value = metadata.send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
        for method in ["none", "private_key_jwt"] {
            assert!(metadata["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!(method)));
        }
        assert_eq!(metadata["token_endpoint_auth_signing_alg_values_supported"], json!(["RS256", "PS256", "ES256", "ES384", "EdDSA"]));

        let client = connector(&server, CHATGPT_ID, "https://chatgpt.com/connector_platform_oauth_redirect");
        let public = client.connect().await;
        assert!(client.is_let_in(&public.access).await);
        client.refresh(public.refresh()).await.tokens();
        assert_eq!(vendor.count("/oauth/jwks.json"), 0, "without an assertion no key is needed");

        let now = server.now().0;
        for (id, audience) in [(Some(CHATGPT_ID), server.origin.clone()), (None, server.url("/token"))] {
            let code = code(&server, &client).await;
            let prove = |audience: &str| signer.assertion(CHATGPT_ID, audience, now);
            let tokens = token(&server, id, &prove(&audience), &redemption(&code, &client)).await.tokens();
            assert!(client.is_let_in(&tokens.access).await);
            let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
            let again = token(&server, id, &prove(&audience), &refresh).await.tokens();
            assert!(client.is_let_in(&again.access).await);
        }
        assert_eq!((vendor.count("/oauth/jwks.json"), vendor.count("/oauth/client.json")), (1, 1));
    }

    /// B-13: replayed, mis-addressed, mis-signed, too long-lived, confused: each refused as `invalid_client`, and none
    /// spends the code.
    async fn bad_assertions_are_refused_and_spend_nothing(database) {
        let signer = Signer::new("k", "ES256");
        let vendor = world(&signer).await;
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        let code = code(&server, &client).await;
        let (now, issuer) = (server.now().0, server.origin.clone());
        let with = |changes: Value| {
            let mut claims = claims(APP, &issuer, now);
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            signer.sign(&signer.header(), &claims)
        };
        let mallory = Signer::new("k", "ES256");
        let good = with(json!({}));
        let hmac = json!({ "alg": "HS256", "kid": "k" });
        for (assertion, words) in [
            (with(json!({ "aud": "https://other.example.com" })), "aud must be"),
            (with(json!({ "aud": [issuer, "https://other.example.com"] })), "aud must be"),
            (with(json!({ "aud": server.mcp() })), "aud must be"),
            (with(json!({ "iss": "https://other.example.com/client.json" })), "iss and sub"),
            (with(json!({ "exp": now + 3600 })), "lives too long"),
            (with(json!({ "exp": now - 100, "iat": now - 130 })), "expired"),
            (with(json!({ "nbf": now + 100 })), "not valid yet"),
            (with(json!({ "jti": null })), "lacks jti"),
            (mallory.assertion(APP, &issuer, now), "signature"),
            (signer.sign(&hmac, &claims(APP, &issuer, now)), "HS256"),
            (signer.sign(&json!({ "alg": "none" }), &claims(APP, &issuer, now)), "none"),
            (format!("{}x", good.rsplit_once('.').unwrap().0), "not a JWT"),
            ("x".to_owned(), "not a JWT"),
        ] {
            let answer = token(&server, Some(APP), &assertion, &redemption(&code, &client)).await;
            answer.refused(401, "invalid_client");
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
        // Another client's id beside a good assertion; a client that says no more who it is.
        let other = token(&server, Some("https://other.example.com/client.json"), &with(json!({})), &redemption(&code, &client)).await;
        other.refused(401, "invalid_client");
        client.redeem(&code).await.refused(401, "invalid_client");
        let twice = [("client_secret", "x")];
        token(&server, Some(APP), &with(json!({})), &[&redemption(&code, &client)[..], &twice[..]].concat()).await.refused(400, "invalid_request");
        let untyped = form(&[("grant_type", "authorization_code"), ("client_assertion", good.as_str()), ("code", "x"), ("code_verifier", VERIFIER)]);
        post_form(&server.url("/token"), &[FORM], untyped).await.refused(400, "invalid_request");

        token(&server, Some(APP), &good, &redemption(&code, &client)).await.tokens();
        let replayed = token(&server, Some(APP), &good, &[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
        replayed.refused(401, "invalid_client");
        assert!(replayed.text.contains("used before"), "{}", replayed.text);
        assert_eq!(vendor.count("/jwks.json"), 1, "no bad assertion makes this server fetch again");
    }

    /// a new key is found by fetching once more; unknown keys can't make this server fetch again and again.
    async fn rotated_keys_are_found_and_asked_for_once(database) {
        let (old, new) = (Signer::new("1", "ES256"), Signer::new("2", "ES256"));
        let vendor = world(&old).await;
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        let refresh = async |signer: &Signer, refresh: &str| {
            let assertion = signer.assertion(APP, &server.origin, server.now().0);
            token(&server, Some(APP), &assertion, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
        };
        let first = code(&server, &client).await;
        let assertion = old.assertion(APP, &server.origin, server.now().0);
        let tokens = token(&server, None, &assertion, &redemption(&first, &client)).await.tokens();
        // Too soon after the last look: refused without another.
        refresh(&new, tokens.refresh()).await.refused(401, "invalid_client");
        assert_eq!(vendor.count("/jwks.json"), 1);
        server.advance(61).await;
        vendor.answer("/jwks.json", Reply::json(&json!({ "keys": [old.jwk(), new.jwk()] })));
        let tokens = refresh(&new, tokens.refresh()).await.tokens();
        let tokens = refresh(&old, tokens.refresh()).await.tokens();
        assert_eq!(vendor.count("/jwks.json"), 2);
        server.advance(61).await;
        for _ in 0..5 {
            refresh(&Signer::new("3", "ES256"), tokens.refresh()).await.refused(401, "invalid_client");
        }
        assert_eq!(vendor.count("/jwks.json"), 3);
        // A key that was taken back is gone when the copy is an hour old.
        vendor.answer("/jwks.json", Reply::json(&new.jwks()));
        server.advance(3601).await;
        refresh(&old, tokens.refresh()).await.refused(401, "invalid_client");
        refresh(&new, tokens.refresh()).await.tokens();
    }

    /// T-05: keys that can't be fetched are nobody's `invalid_client`; the last ones stand in.
    async fn keys_out_of_reach_are_an_outage(database) {
        let signer = Signer::new("k", "EdDSA");
        let vendor = world(&signer).await;
        vendor.answer("/jwks.json", Reply::new("500 Oh", &[], ""));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        let prove = || signer.assertion(APP, &server.origin, server.now().0);
        let code = code(&server, &client).await;
        let answer = token(&server, Some(APP), &prove(), &redemption(&code, &client)).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text);
        assert_eq!(answer.json["error"], "temporarily_unavailable");
        vendor.answer("/jwks.json", Reply::json(&signer.jwks()));
        // Not asked again at once: anybody can make us ask.
        assert_eq!(token(&server, Some(APP), &prove(), &redemption(&code, &client)).await.status.as_u16(), 503);
        server.advance(10).await;
        let tokens = token(&server, Some(APP), &prove(), &redemption(&code, &client)).await.tokens();
        vendor.answer("/jwks.json", Reply::new("404 Gone", &[], ""));
        server.advance(86_400).await;
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        let tokens = token(&server, Some(APP), &prove(), &refresh).await.tokens();
        // T-05: a new key that can't be asked about is our trouble; its client must not throw itself away.
        let new = Signer::new("new", "ES256").assertion(APP, &server.origin, server.now().0);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        assert_eq!(token(&server, Some(APP), &new, &refresh).await.status.as_u16(), 503);
    }

    /// RFC 7517: keys that their owner takes back are not used on, whatever copy is kept.
    async fn keys_taken_back_are_not_used_on(database) {
        let signer = Signer::new("k", "ES256");
        let vendor = world(&signer).await;
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        let prove = || signer.assertion(APP, &server.origin, server.now().0);
        let code = code(&server, &client).await;
        let tokens = token(&server, Some(APP), &prove(), &redemption(&code, &client)).await.tokens();
        vendor.answer("/jwks.json", Reply::json(&json!({ "keys": [] })));
        server.advance(3_601).await;
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        token(&server, Some(APP), &prove(), &refresh).await.refused(401, "invalid_client");
    }

    /// R-36, B-12: a `jwks_uri` leads inside as little as a document.
    async fn nothing_inside_is_reached_through_a_jwks_uri(database) {
        let signer = Signer::new("k", "ES256");
        let vendor = world(&signer).await;
        let inside = Vendor::start(&NAMES).await;
        inside.answer("/jwks.json", Reply::json(&signer.jwks()));
        let (public, private) = (vendor.address, inside.address.port());
        let resolver = portcullis::fetch::Resolver::given(move |name| {
            let inside = std::net::SocketAddr::from(([127, 0, 0, 2], private));
            Ok(vec![if name == "other.example.com" { inside } else { public }])
        });
        let mut document = app_document();
        document["token_endpoint_auth_method"] = json!("private_key_jwt");
        document["jwks_uri"] = json!("https://other.example.com/jwks.json");
        vendor.answer("/client.json", Reply::json(&document));
        let own = crate::server::OwnDatabase::new(database).await;
        let server = TestServer::beside_on(own, resolver, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        let code = code(&server, &client).await;
        let assertion = signer.assertion(APP, &server.origin, server.now().0);
        let answer = token(&server, Some(APP), &assertion, &redemption(&code, &client)).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text);
        assert_eq!(inside.connections(), 0);
    }

    /// RFC 7523 §3 no. 7, B-36: of 64 at once, over two replicas, one has the assertion.
    async fn an_assertion_is_used_once_on_all_replicas(database) {
        let signer = Signer::new("k", "ES256");
        let vendor = world(&signer).await;
        let server = TestServer::beside(database, &vendor, &[]).await;
        let replica = server.replica(&[]).await;
        let client = connector(&server, APP, CALLBACK);
        let first = code(&server, &client).await;
        let assertion = signer.assertion(APP, &server.origin, server.now().0);
        let tokens = token(&server, None, &assertion, &redemption(&first, &client)).await.tokens();
        let again = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
        token(&replica, None, &assertion, &again).await.refused(401, "invalid_client");

        let (id, jti) = (ClientId::new(APP), Secret::presented("the one").hash());
        let dead_at = Timestamp(server.now().0 + 100);
        let tasks: Vec<_> = (0..64)
            .map(|at| {
                let store = if at % 2 == 0 { server.app.store().clone() } else { replica.app.store().clone() };
                let (id, jti) = (id.clone(), jti.clone());
                tokio::spawn(async move { store.use_assertion(&id, &jti, dead_at).await.unwrap() })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
        // Another client may use the same id; and when its time is over it is forgotten.
        server.advance(101 + 300).await;
        server.app.sweep().await.unwrap();
        assert!(server.app.store().use_assertion(&id, &jti, dead_at).await.unwrap());
    }

    /// R-01, RFC 7591: clients that register themselves may bring keys too.
    async fn a_registered_client_proves_itself_with_its_key(database) {
        let signer = Signer::new("k", "ES384");
        let vendor = Vendor::start(&NAMES).await;
        vendor.answer("/jwks.json", Reply::json(&signer.jwks()));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let body = |changes: Value| {
            let mut body = json!({
                "client_name": "Signer", "redirect_uris": [CALLBACK],
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["authorization_code", "refresh_token"],
                "jwks": null, "jwks_uri": "", "unknown": {},
            });
            for (name, value) in changes.as_object().unwrap() {
                body[name] = value.clone();
            }
            body
        };
        for keys in [json!({ "jwks": signer.jwks() }), json!({ "jwks_uri": "https://app.example.com/jwks.json" })] {
            let client = Connector::registered(&server, &body(keys.clone())).await;
            assert_eq!(client.registration["token_endpoint_auth_method"], "private_key_jwt");
            assert_eq!(client.client_secret, None);
            let name = keys.as_object().unwrap().keys().next().unwrap();
            assert!(client.registration.get(name).is_some(), "{}", client.registration);
            let code = code(&server, &client).await;
            client.redeem(&code).await.refused(401, "invalid_client");
            let assertion = signer.assertion(&client.client_id, &server.origin, server.now().0);
            token(&server, None, &assertion, &redemption(&code, &client)).await.tokens();
        }
        let mut private = signer.jwks();
        private["keys"][0]["d"] = json!("AQAB");
        for (changes, words) in [
            (json!({}), "jwks or jwks_uri"),
            (json!({ "jwks": signer.jwks(), "jwks_uri": "https://app.example.com/jwks.json" }), "both"),
            (json!({ "jwks": "x" }), "object"),
            (json!({ "jwks": { "keys": [] } }), "empty"),
            (json!({ "jwks": { "keys": [{ "kty": "oct", "k": "x" }] } }), "shared secret"),
            (json!({ "jwks": private }), "private key"),
            (json!({ "jwks_uri": "http://app.example.com/jwks.json" }), "https"),
            (json!({ "jwks_uri": "https://127.0.0.1/jwks.json" }), "IP address"),
            (json!({ "jwks_uri": 5 }), "string"),
        ] {
            let answer = register(&server, &body(changes)).await;
            answer.refused(400, "invalid_client_metadata");
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
    }
}
