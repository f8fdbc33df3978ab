//! Access tokens as JWTs, the key set, and changing keys.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use portcullis::crypto::keys;
use portcullis::crypto::master::MasterKey;
use portcullis::crypto::random::Random;
use portcullis::model::key::StoredKey;
use portcullis::model::user::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::connector::{Connector, Tokens};
use crate::on_both_databases;
use crate::server::{TestServer, http};

/// The header of a token.
fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

fn kid(tokens: &Tokens) -> String {
    header(&tokens.access)["kid"].as_str().unwrap().to_owned()
}

/// The published keys, as a verifier elsewhere fetches them.
async fn jwks(server: &TestServer) -> Vec<Value> {
    let response = http().get(format!("{}/jwks", server.address)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    body["keys"].as_array().unwrap().clone()
}

async fn kids(server: &TestServer) -> BTreeSet<String> {
    jwks(server).await.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Judges a token as a verifier elsewhere does that has the key set and nothing else.
fn verified_elsewhere(token: &str, keys: &[Value]) -> bool {
    let head = jsonwebtoken::decode_header(token).unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"].as_str() == head.kid.as_deref()) else { return false };
    let key = DecodingKey::from_jwk(&serde_json::from_value(key.clone()).unwrap()).unwrap();
    let mut validation = Validation::new(head.alg);
    validation.validate_aud = false;
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

/// The key that a rotation adds, as `keys rotate` makes it.
async fn successor(server: &TestServer) -> StoredKey {
    let master = MasterKey::new(&server.config.keys.master_key.unwrap());
    let stored = server.app.store().signing_keys().await.unwrap();
    let (algorithm, ahead) = (server.config.keys.algorithm, server.config.keys.publish_ahead);
    keys::next(algorithm, ahead, &stored, &master, &Random::system(), server.now()).unwrap()
}

on_both_databases! {
    /// T-30, T-32, V-04: header, claims and size under each algorithm; the public key set is enough to verify.
    async fn access_tokens_are_jwts_that_the_key_set_verifies(database) {
        for algorithm in ["ES256", "RS256", "EdDSA"] {
            let server = TestServer::with(database, &[("PORTCULLIS__KEYS__ALGORITHM", algorithm)]).await;
            let client = Connector::public(&server).await;
            let tokens = client.connect().await;
            let head = header(&tokens.access);
            let keys = jwks(&server).await;
            assert_eq!(keys.len(), 1);
            assert_eq!(head, json!({ "typ": "at+jwt", "alg": algorithm, "kid": keys[0]["kid"] }));
            let now = server.now().0;
            let claims = tokens.claims();
            let ada = server.user_id("ada").await;
            let expected = json!({
                "iss": server.origin, "aud": server.mcp(), "sub": ada.as_str(), "client_id": client.client_id,
                "iat": now, "exp": now + 3600, "scope": tokens.scope, "auth_time": now,
                "jti": claims["jti"], "grant": claims["grant"],
            });
            assert_eq!(claims, expected, "exactly these claims: nothing about the person");
            assert!(claims["jti"].as_str().unwrap().len() >= 16);
            assert!(tokens.access.len() < 2048, "{algorithm}: {} bytes", tokens.access.len());
            assert!(verified_elsewhere(&tokens.access, &keys));
            assert!(client.is_let_in(&tokens.access).await);
        }
    }

    /// V-04: of each kind of key only the public members are published, each with its use and algorithm.
    async fn the_key_set_holds_public_members_only(database) {
        for (algorithm, members) in [
            ("ES256", &["alg", "crv", "kid", "kty", "use", "x", "y"][..]),
            ("RS256", &["alg", "e", "kid", "kty", "n", "use"]),
            ("EdDSA", &["alg", "crv", "kid", "kty", "use", "x"]),
        ] {
            let server = TestServer::with(database, &[("PORTCULLIS__KEYS__ALGORITHM", algorithm)]).await;
            let keys = jwks(&server).await;
            let own: Vec<_> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(own.into_iter().collect::<BTreeSet<_>>(), members.iter().copied().collect(), "{algorithm}");
            assert_eq!((&keys[0]["use"], &keys[0]["alg"]), (&json!("sig"), &json!(algorithm)));
        }
    }

    /// T-31, B-31, C-06: people and clients can't be taken for one another, and a person is the same to all clients.
    async fn a_subject_is_a_stable_person_and_never_a_client(database) {
        let server = TestServer::start(database).await;
        server.add_user("grace", "another long password", Role::User).await;
        let client = Connector::public(&server).await;
        let other = Connector::named(&server, "Another client").await;
        let (ada, again, elsewhere) = (client.connect().await, client.connect().await, other.connect().await);
        let sub = |tokens: &Tokens| tokens.claims()["sub"].as_str().unwrap().to_owned();
        assert_eq!((sub(&ada), sub(&ada)), (sub(&again), sub(&elsewhere)));
        assert!(sub(&ada).starts_with("usr_") && client.client_id.starts_with("pc_"));
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in_as(&page, "grace", "another long password").await.page();
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        let grace = client.redeem(&callback.one("code")).await.tokens();
        assert_ne!(sub(&grace), sub(&ada));
    }

    /// B-08, RFC 8725 §2.1: what was made from a real token without the private key is 401 `invalid_token`.
    async fn forged_tokens_are_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let [head, body, signature] = tokens.access.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = encode(json!({ "alg": "none", "typ": "at+jwt", "kid": kid(&tokens) }));
        let id_token = encode(json!({ "alg": "ES256", "typ": "JWT", "kid": kid(&tokens) }));
        let unknown = encode(json!({ "alg": "ES256", "typ": "at+jwt", "kid": "unknown" }));
        let mut claims = tokens.claims();
        claims["scope"] = json!("everything");
        let changed = encode(claims.clone());
        let mut hmac = Header::new(jsonwebtoken::Algorithm::HS256);
        hmac.typ = Some("at+jwt".to_owned());
        hmac.kid = Some(kid(&tokens));
        let public_key = jwks(&server).await[0].to_string();
        let hmac = jsonwebtoken::encode(&hmac, &claims, &EncodingKey::from_secret(public_key.as_bytes())).unwrap();
        for forged in [
            format!("{none}.{body}."),
            format!("{none}.{body}.{signature}"),
            format!("{id_token}.{body}.{signature}"),
            format!("{unknown}.{body}.{signature}"),
            format!("{head}.{changed}.{signature}"),
            format!("{head}.{body}."),
            hmac,
            tokens.refresh().to_owned(),
        ] {
            let answer = client.call(&forged, "whoami", json!({})).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{forged}");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// B-08, B-09, D7: a token of the same keys for another address is refused, and its holder reads why.
    async fn a_token_of_another_address_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let moved = TestServer::on(server.database.clone(), &[], None).await;
        assert_ne!(moved.origin, server.origin);
        let answer = client.turned_to(&moved).call(&tokens.access, "whoami", json!({})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.text.contains(&server.origin) && answer.text.contains(&moved.origin), "{}", answer.text);
    }

    /// B-30: clocks of replicas may differ by 30 seconds, both at the beginning of a token and at its end.
    async fn clocks_may_differ_by_half_a_minute(database) {
        let server = TestServer::start(database).await;
        let behind = server.replica(&[]).await;
        let client = Connector::public(&server).await;
        let there = client.turned_to(&behind);
        server.advance(30).await;
        let early = client.connect().await;
        assert!(there.is_let_in(&early.access).await);
        server.advance(1).await;
        let too_early = client.connect().await;
        assert!(!there.is_let_in(&too_early.access).await);
        behind.advance(31).await;
        assert!(there.is_let_in(&too_early.access).await);
        behind.advance(3600 + 29).await;
        assert!(there.is_let_in(&too_early.access).await);
        behind.advance(1).await;
        assert!(!there.is_let_in(&too_early.access).await);
    }

    /// V-04, B-29: a key is published before it signs, and verifies until nothing signed by it is alive. Over the
    /// whole change no replica and no verifier elsewhere refuses a token, however late either learns of the key.
    async fn keys_rotate_without_a_single_401(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        let client = Connector::public(&server).await;
        let there = client.turned_to(&replica);
        let mut tokens = client.connect().await;
        let old = kid(&tokens);
        let new = successor(&server).await;
        assert!(server.app.store().insert_signing_key(&new).await.unwrap());
        let mut seen = BTreeSet::new();
        let mut alive: Vec<Tokens> = vec![tokens.clone()];
        // Ten minutes ahead, then through more than a token's lifetime, in steps of five minutes.
        for step in 0..24 {
            server.advance(0).await;
            replica.advance(0).await;
            let published = jwks(&replica).await;
            assert_eq!(kids(&server).await, kids(&replica).await);
            assert!(kids(&server).await.contains(&new.kid), "published before it signs");
            // One refresh at each copy of the server.
            let by = if step % 2 == 0 { &client } else { &there };
            tokens = by.refresh(tokens.refresh()).await.tokens();
            assert_eq!(kid(&tokens), if step < 2 { old.clone() } else { new.kid.clone() }, "step {step}");
            seen.insert(kid(&tokens));
            alive.push(tokens.clone());
            alive.retain(|own| own.claims()["exp"].as_i64().unwrap() > server.now().0);
            for own in &alive {
                assert!(client.is_let_in(&own.access).await && there.is_let_in(&own.access).await, "step {step}");
                assert!(verified_elsewhere(&own.access, &published), "step {step}");
            }
            server.app.sweep().await.unwrap();
            server.advance(300).await;
            replica.advance(300).await;
        }
        assert_eq!(seen.len(), 2);
        // A day for the longest lifetime that can be set, another for late questions.
        assert_eq!(kids(&server).await, BTreeSet::from([old, new.kid.clone()]));
        server.advance(48 * 3600).await;
        server.app.sweep().await.unwrap();
        server.advance(0).await;
        assert_eq!(kids(&server).await, BTreeSet::from([new.kid]));
    }

    /// V-04: after `rotate_every` the server rotates by itself; of two replicas that find it due at once, one does.
    async fn keys_rotate_by_themselves(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        let before = kids(&server).await;
        for own in [&server, &replica] {
            own.advance(90 * 24 * 3600 - 1).await;
            own.app.sweep().await.unwrap();
        }
        assert_eq!(kids(&server).await, before);
        for own in [&server, &replica] {
            own.advance(1).await;
        }
        let (first, second) = tokio::join!(server.app.sweep(), replica.app.sweep());
        first.unwrap();
        second.unwrap();
        server.advance(0).await;
        replica.advance(0).await;
        assert_eq!(kids(&server).await.len(), 2);
        assert_eq!(kids(&server).await, kids(&replica).await);
        assert!(kids(&server).await.is_superset(&before));
    }

    /// V-04: keys of several algorithms stand side by side while one replaces the other.
    async fn a_changed_algorithm_applies_from_the_next_key_on(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let before = client.connect().await;
        let changed = server.restart(&[("PORTCULLIS__KEYS__ALGORITHM", "RS256")]).await;
        let client = client.turned_to(&changed);
        assert!(changed.app.store().insert_signing_key(&successor(&changed).await).await.unwrap());
        changed.advance(600).await;
        let after = client.refresh(before.refresh()).await.tokens();
        assert_eq!((header(&before.access)["alg"].as_str(), header(&after.access)["alg"].as_str()), (Some("ES256"), Some("RS256")));
        let published = jwks(&changed).await;
        for tokens in [&before, &after] {
            assert!(client.is_let_in(&tokens.access).await);
            assert!(verified_elsewhere(&tokens.access, &published));
        }
    }

    /// V-04: an emergency rotation stops every access token on every replica at once; clients refresh and go on.
    async fn an_emergency_rotation_stops_every_token_and_no_connection(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        let client = Connector::public(&server).await;
        let there = client.turned_to(&replica);
        let tokens = client.connect().await;
        // Both have verified it before, so both remember it.
        assert!(client.is_let_in(&tokens.access).await && there.is_let_in(&tokens.access).await);
        let mut new = successor(&server).await;
        new.active_at = server.now();
        assert!(server.app.store().replace_signing_keys(&new).await.unwrap());
        server.advance(0).await;
        replica.advance(0).await;
        assert!(!client.is_let_in(&tokens.access).await && !there.is_let_in(&tokens.access).await);
        assert_eq!(kids(&server).await, BTreeSet::from([new.kid.clone()]));
        let renewed = there.refresh(tokens.refresh()).await.tokens();
        assert_eq!(kid(&renewed), new.kid);
        assert!(client.is_let_in(&renewed.access).await && there.is_let_in(&renewed.access).await);
    }
}
