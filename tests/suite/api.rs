//! The admin API: who may call it, what it takes and what it says. Its document is the table of all operations.

use std::collections::BTreeSet;

use oauth::id::ApiTokenId;
use portcullis::crypto::random::Random;
use portcullis::model::api_token::{ApiScopes, Maker, Making};
use portcullis::model::secret::SecretKind;
use portcullis::store::NewApiToken;
use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::connector::{Answer, Connector, answer, basic};
use crate::log;
use crate::on_both_databases;
use crate::server::{Database, PASSWORD, TestServer, USER, http};

const CALLBACK: &str = "https://a.example/cb";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Every operation of the document: method, path with something in place of ids, and scope.
async fn operations(server: &TestServer) -> Vec<(Method, String, String)> {
    let document = answer(http().get(server.url("/api/v1/openapi.json"))).await.json;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut all = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["security"][0]["token"][0].as_str().unwrap_or_else(|| panic!("{method} {path}"));
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{method} {path}");
            for status in ["400", "401", "403", "429", "503"] {
                assert!(operation["responses"].get(status).is_some(), "{method} {path}: {status}");
            }
            let path = path.strip_prefix("/api/v1").unwrap().replace("{id}", "nobody");
            all.push((Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path, scope.to_owned()));
        }
    }
    assert!(all.len() >= 28, "only {} operations", all.len());
    all
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

on_both_databases! {
    /// Law 8: what the document describes is mounted, and guarded by the scope that it names; nothing else is there.
    async fn every_operation_asks_for_its_scope(database) {
        let server = TestServer::start(database).await;
        let everything = Admin::of(&server).await;
        let operations = operations(&server).await;
        let scopes: BTreeSet<&str> = operations.iter().map(|(_, _, scope)| scope.as_str()).collect();
        assert_eq!(scopes.len(), 12, "each scope is asked for somewhere: {scopes:?}");
        for (method, path, _) in &operations {
            let nobody = everything.holding("pca_wrong");
            let refused = nobody.send(method.clone(), path, &json!({})).await;
            assert!(refused.refused(401, "invalid_token").headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
            assert!(refused.json["reference"].as_str().unwrap().starts_with("ref_"));
            let bare = http().request(method.clone(), server.url(&format!("/api/v1{path}")));
            assert_eq!(bare.send().await.unwrap().status(), 401, "{method} {path}");
        }
        for wanted in &scopes {
            let narrow = Admin::with(&server, &[wanted]).await;
            for (method, path, scope) in &operations {
                let included = wanted.strip_suffix(":write").is_some_and(|area| *scope == format!("{area}:read"));
                if scope == wanted || included {
                    continue;
                }
                let refused = narrow.send(method.clone(), path, &json!({})).await;
                assert!(refused.refused(403, "insufficient_scope").text.contains(scope), "{method} {path}");
            }
        }
        let paths: BTreeSet<&str> = operations.iter().map(|(_, path, _)| path.as_str()).collect();
        for path in paths {
            for method in METHODS {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                if !operations.iter().any(|(own, at, _)| at == path && *own == method) {
                    everything.send(method, path, &json!({})).await.refused(405, "invalid_request");
                }
            }
        }
        everything.get("/nothing").await.refused(404, "not_found");
    }

    /// F: the story of an attempt, as the command line tells it.
    async fn attempts_are_told(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::with(&server, &["attempts:read"]).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
        let grant = tokens.claims()["grant"].as_str().unwrap().to_owned();
        let attempt = grant.split('_').nth(1).unwrap().to_owned();
        let mut story = json!(null);
        for _ in 0..100 {
            let answer = admin.get(&format!("/attempts/{attempt}")).await;
            story = answer.json;
            let steps: Vec<&str> =
                story["steps"].as_array().into_iter().flatten().map(|step| step["step"].as_str().unwrap()).collect();
            if steps.contains(&"call") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(story["findings"][0]["rule"], "works", "{story}");
        assert_eq!(story["client_id"], client.client_id.as_str());
        assert!(!story.to_string().contains(tokens.refresh()));
        let list = admin.get("/attempts?limit=5").await.json;
        assert!(list["attempts"].as_array().unwrap().iter().any(|own| own["attempt"] == story["attempt"]), "{list}");
        admin.get("/attempts/ZZZZ-ZZZZ").await.refused(404, "not_found");
        admin.get("/attempts/what").await.refused(404, "not_found");
        admin.get("/attempts?limit=0").await.refused(400, "invalid_request");
    }

    /// B-16: nothing but a bearer token counts, and it is nothing but an admin API's.
    async fn only_its_own_tokens_open_the_api(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = Connector::public(&server).await;
        let access = client.connect().await.access;
        admin.holding(&access).get("/info").await.refused(401, "invalid_token");
        assert!(!client.is_let_in(&admin.token).await);
        for header in [basic("root", &admin.token), admin.token.clone(), format!("Bearer  {} x", admin.token)] {
            let request = http().get(server.url("/api/v1/info")).header("authorization", header);
            answer(request).await.refused(401, "invalid_token");
        }
        let twice = admin.request(Method::GET, "/info").header("authorization", "Bearer x");
        answer(twice).await.refused(401, "invalid_token");
        let in_the_url = http().get(server.url(&format!("/api/v1/info?access_token={}", admin.token)));
        answer(in_the_url).await.refused(401, "invalid_token");
        assert_eq!(admin.get("/info").await.status, 200);
    }

    /// B-37: a secret is in the answer that makes it, and in no other; nor is any digest.
    async fn a_secret_is_shown_once(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let made = admin.add(&json!({ "name": "A", "redirect_uris": [CALLBACK] })).await;
        let (id, secret) = (made["client"]["id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
        assert_eq!(made["endpoints"]["mcp_url"], json!(server.mcp()));
        assert_eq!(made["endpoints"]["token_url"], json!(server.url("/token")));
        let token = admin.post("/tokens", &json!({ "name": "b", "scopes": ["keys:read"] })).await.json;
        let key = token["token"].as_str().unwrap().to_owned();
        let hashes = [secret, &key].map(|text| portcullis::model::secret::Secret::presented(text).hash());
        for path in [&format!("/clients/{id}"), "/clients", "/tokens", "/users", "/keys", "/info", "/config", "/connections"] {
            let shown = admin.get(path).await;
            assert_eq!(shown.status, 200, "{path}: {}", shown.text);
            for text in [secret, &key, &admin.token, hashes[0].as_str(), hashes[1].as_str(), "argon2", "AAECAwQFBgcICQ"] {
                assert!(!shown.text.contains(text), "{path} shows {text}");
            }
        }
        assert_eq!(admin.patch(&format!("/clients/{id}"), &json!({ "name": "B" })).await.json.get("client_secret"), None);
    }

    /// A slip is told by the name of what is wrong; nothing is passed over.
    async fn slips_are_told_by_name(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        for (body, word) in [
            (json!({ "name": "A", "redirect_urls": [CALLBACK] }), "redirect_urls"),
            (json!({ "name": 1, "redirect_uris": [CALLBACK] }), "name: "),
            (json!({ "name": "A", "redirect_uris": CALLBACK }), "redirect_uris: "),
            (json!({ "name": "A", "redirect_uris": [CALLBACK], "refresh": "no" }), "refresh: "),
            (json!({ "name": "A" }), "redirect_uris: "),
            (json!({ "redirect_uris": [CALLBACK] }), "name: "),
            (json!({ "name": "A", "redirect_uris": ["http://a.example/"] }), "redirect_uris: "),
            (json!({ "name": "A", "redirect_uris": [CALLBACK], "id": "https://a.example/" }), "id: "),
            (json!({ "name": "A", "redirect_uris": [CALLBACK], "client_secret": "short" }), "client_secret: "),
            (json!({ "name": "A", "redirect_uris": [CALLBACK], "access_ttl": "10 minutes" }), "access_ttl: "),
            (json!({ "for": "chatgtp" }), "chatgpt"),
            (json!([]), "JSON object"),
        ] {
            let refused = admin.post("/clients", &body).await;
            let refused = refused.refused(400, "invalid_request");
            assert!(refused.json["error_description"].as_str().unwrap().contains(word), "{}", refused.text);
        }
        let post = |kind: &str, body: &str| admin.request(Method::POST, "/clients").header("content-type", kind).body(body.to_owned());
        answer(post("text/plain", "{}")).await.refused(400, "invalid_request");
        answer(post("application/json", "{")).await.refused(400, "invalid_request");
        let twice = answer(post("application/json", "{\"name\":\"a\",\"name\":\"b\"}")).await;
        assert!(twice.refused(400, "invalid_request").text.contains("duplicate"), "{}", twice.text);
        answer(post("application/json", &" ".repeat(70_000))).await.refused(413, "too_large");
        for path in ["/info", "/keys", "/tokens", "/clients/a"] {
            admin.get(&format!("{path}?limit=2")).await.refused(400, "invalid_request");
            assert_ne!(admin.get(&format!("{path}?")).await.status, 400, "{path}");
        }
        for query in ["limit=0", "limit=201", "limit=x", "after=x", "origin=mine", "page=2", "limit=1&limit=2"] {
            admin.get(&format!("/clients?{query}")).await.refused(400, "invalid_request");
        }
        admin.get("/connections?user=a&client=b").await.refused(400, "invalid_request");
        admin.get("/clients/%FF").await.refused(400, "invalid_request");
        for id in ["%00", "a%00b", "a%0ab", &"a".repeat(3000)] {
            admin.get(&format!("/clients/{id}")).await.refused(404, "not_found");
            admin.get(&format!("/clients/{id}/logo")).await.refused(404, "not_found");
            admin.post(&format!("/clients/{id}/disable"), &json!({})).await.refused(404, "not_found");
            admin.post(&format!("/users/{id}/enable"), &json!({})).await.refused(404, "not_found");
            admin.delete(&format!("/tokens/{id}")).await.refused(404, "not_found");
            admin.delete(&format!("/connections/{id}")).await.refused(404, "not_found");
            admin.get(&format!("/connections?client={id}")).await.refused(400, "invalid_request");
        }
    }

    /// RFC 7396: absent keeps, null clears. Of two who change the same the second hears of it, if it says what it saw.
    async fn changes_are_merge_patches(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let body = json!({ "id": "a", "name": "A", "redirect_uris": [CALLBACK], "description": "d", "access_ttl": "5m", "allowed_scopes": ["docs:read"], "client_uri": "https://a.example/" });
        admin.add(&body).await;
        let before = admin.get("/clients/a").await;
        let changed = admin.patch("/clients/a", &json!({ "description": null, "allowed_scopes": null, "refresh": false })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let client = admin.get("/clients/a").await.json;
        assert_eq!((client.get("description"), client.get("allowed_scopes")), (None, None));
        assert_eq!((&client["access_ttl"], &client["name"], &client["refresh"]), (&json!("5m"), &json!("A"), &json!(false)));
        let patch = |tag: &str| {
            let request = admin.request(Method::PATCH, "/clients/a").header("if-match", tag);
            answer(request.header("content-type", "application/merge-patch+json").body("{\"name\":\"B\"}"))
        };
        let seen = before.headers["etag"].to_str().unwrap().to_owned();
        patch(&seen).await.refused(412, "precondition_failed");
        patch("W/\"x\"").await.refused(412, "precondition_failed");
        assert_eq!(admin.get("/clients/a").await.json["name"], "A");
        assert_eq!(patch(changed.headers["etag"].to_str().unwrap()).await.status, 200);
        admin.patch("/clients/a", &json!({ "name": null })).await.refused(400, "invalid_request");
        admin.patch("/clients/a", &json!({ "id": "b" })).await.refused(400, "invalid_request");

        // From a secret to none and back: the old secret is never good again.
        let public = admin.patch("/clients/a", &json!({ "auth_methods": ["none"] })).await.json;
        assert_eq!((&public["client"]["has_secret"], public.get("client_secret")), (&json!(false), None));
        admin.post("/clients/a/rotate-secret", &json!({})).await.refused(409, "conflict");
        let back = admin.patch("/clients/a", &json!({ "auth_methods": null })).await.json;
        assert!(back["client_secret"].as_str().unwrap().starts_with("pcs_"));
    }

    /// Clients that speak for themselves take an administrator's terms, and nothing that is theirs to say.
    async fn registered_clients_take_terms_only(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = Connector::public(&server).await;
        let path = format!("/clients/{}", client.client_id);
        assert_eq!(admin.patch(&path, &json!({ "allowed_scopes": ["docs:read"], "access_ttl": "1m" })).await.status, 200);
        let tokens = client.connect().await;
        assert_eq!((tokens.scope.as_str(), tokens.expires_in), ("docs:read", 60));
        for change in [json!({ "name": "x" }), json!({ "redirect_uris": [CALLBACK] }), json!({ "first_party": true })] {
            admin.patch(&path, &change).await.refused(400, "invalid_request");
        }
        admin.post(&format!("{path}/rotate-secret"), &json!({})).await.refused(409, "conflict");
    }

    /// Lists come in pages that neither repeat nor miss.
    async fn lists_come_in_pages(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        for n in 0..5 {
            admin.add(&json!({ "id": format!("c{n}"), "name": "C", "redirect_uris": [CALLBACK] })).await;
            if n % 2 == 0 {
                server.pass(1);
            }
        }
        let registered = Connector::public(&server).await.client_id;
        let mut seen = Vec::new();
        let mut path = "/clients?limit=2&origin=managed".to_owned();
        loop {
            let page = admin.get(&path).await.json;
            seen.extend(texts(&page["clients"], "id"));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/clients?limit=2&origin=managed&after={next}");
        }
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), unique.len()), (5, 5), "{seen:?}");
        assert_eq!(seen[4], "c0", "newest first");
        assert_eq!(texts(&admin.get("/clients?origin=registered").await.json["clients"], "id"), [registered]);
        assert_eq!(admin.get("/clients").await.json["clients"].as_array().unwrap().len(), 6);
    }

    /// Accounts and connections through the API: what is ended there is ended at once.
    async fn accounts_and_connections_are_ended_at_once(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let (client, user) = (Connector::public(&server).await, server.user_id(USER).await);
        let one = client.connect().await;
        let two = client.connect().await;
        let of = admin.get(&format!("/connections?user={user}&limit=1")).await.json;
        assert!(of["next"].is_string() && of["connections"][0]["username"] == USER, "{of}");
        let all = admin.get(&format!("/connections?client={}", client.client_id)).await.json;
        assert_eq!(all["connections"].as_array().unwrap().len(), 2);
        assert_eq!(admin.get("/connections").await.json["connections"].as_array().unwrap().len(), 2);
        let grant = one.claims()["grant"].as_str().unwrap().to_owned();
        assert_eq!(admin.delete(&format!("/connections/{grant}")).await.status, 204);
        admin.delete(&format!("/connections/{grant}")).await.refused(404, "not_found");
        assert!(!client.is_let_in(&one.access).await && client.is_let_in(&two.access).await);

        let disabled = admin.post(&format!("/users/{user}/disable"), &json!({})).await;
        assert_eq!((disabled.status.as_u16(), &disabled.json["disabled_at"]), (200, &json!(server.now().0)));
        assert!(!client.is_let_in(&two.access).await);
        assert_eq!(admin.post(&format!("/users/{user}/enable"), &json!({})).await.json.get("disabled_at"), None);
        let three = client.connect().await;
        let set = |password: &str| json!({ "password": password });
        let path = format!("/users/{user}/password");
        admin.send(Method::PUT, &path, &set("short")).await.refused(400, "invalid_request");
        assert_eq!(admin.send(Method::PUT, &path, &set("another good password")).await.status, 204);
        assert!(!client.is_let_in(&three.access).await);
        let added = json!({ "username": "Bob", "password": PASSWORD, "role": "admin" });
        assert_eq!(admin.post("/users", &added).await.json["username"], "bob");
        admin.post("/users", &added).await.refused(409, "conflict");
        admin.post("/users", &json!({ "username": "b\u{202e}c", "password": PASSWORD })).await.refused(400, "invalid_request");
        let page = admin.get("/users?limit=1").await.json;
        assert_eq!(texts(&page["users"], "username"), ["ada"]);
        let next = page["next"].as_str().unwrap();
        assert_eq!(texts(&admin.get(&format!("/users?after={next}")).await.json["users"], "username"), ["bob"]);
        admin.post("/users/usr_nobody/disable", &json!({})).await.refused(404, "not_found");
    }

    /// V-04: keys rotate ahead of time, or at once in an emergency.
    async fn keys_are_rotated_through_the_api(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let states = |answer: &Value| texts(&answer["keys"], "state");
        assert_eq!(states(&admin.get("/keys").await.json), ["signs"]);
        let rotated = admin.post("/keys/rotate", &json!({})).await;
        let early = admin.post("/keys/rotate", &json!({})).await;
        assert!(early.refused(409, "conflict").text.contains("is published and signs from"), "{}", early.text);
        assert_eq!(states(&admin.get("/keys").await.json).len(), 2);
        assert_eq!((rotated.status.as_u16(), states(&rotated.json)), (201, vec!["signs".into(), "published".into()]));
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let emergency = admin.post("/keys/rotate", &json!({ "emergency": true })).await;
        assert_eq!(states(&emergency.json), ["signs"]);
        assert!(!client.is_let_in(&tokens.access).await);
        assert_eq!(client.refresh(tokens.refresh()).await.status, 200);
        admin.post("/keys/rotate", &json!({ "emergancy": true })).await.refused(400, "invalid_request");
    }

    /// A stolen token doesn't outlive its revocation through what it made: all of that is revoked with it.
    async fn what_a_token_made_is_revoked_with_it(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let make = async |by: &Admin, name: &str| {
            let made = by.post("/tokens", &json!({ "name": name, "scopes": ["tokens:write", "clients:read"] })).await;
            assert_eq!(made.status, 201, "{}", made.text);
            (admin.holding(made.json["token"].as_str().unwrap()), made.json["id"].as_str().unwrap().to_owned())
        };
        let (stolen, stolen_id) = make(&admin, "stolen").await;
        let (child, _) = make(&stolen, "child").await;
        let (grandchild, _) = make(&child, "grandchild").await;
        let (other, other_id) = make(&admin, "other").await;
        assert_eq!(grandchild.get("/clients").await.status, 200);
        assert_eq!(admin.delete(&format!("/tokens/{stolen_id}")).await.status, 204);
        for gone in [&stolen, &child, &grandchild] {
            gone.get("/clients").await.refused(401, "invalid_token");
        }
        assert_eq!((other.get("/clients").await.status.as_u16(), admin.get("/info").await.status.as_u16()), (200, 200));

        // One that passed the guard before its token was revoked or expired makes none any more.
        let random = Random::system();
        let made_by = async |maker: &str, name: &str| {
            let new = NewApiToken {
                id: &random.api_token_id(),
                name,
                hash: &random.secret(SecretKind::ApiToken).hash(),
                scopes: &ApiScopes::all(),
                created_at: server.now(),
                created_by: Some(Maker { id: &ApiTokenId::new(maker), name: "maker" }),
                expires_at: None,
            };
            server.app.store().insert_api_token(&new).await.unwrap()
        };
        assert_eq!(made_by(&stolen_id, "late").await, Making::MakerGone);
        assert_eq!(made_by(&other_id, "late").await, Making::Done);
        assert_eq!(made_by(&other_id, "late").await, Making::NameTaken);
        let body = json!({ "name": "brief", "scopes": ["tokens:write"], "expires_in": "1m" });
        let brief = admin.post("/tokens", &body).await.json["id"].as_str().unwrap().to_owned();
        server.pass(60);
        assert_eq!(made_by(&brief, "later").await, Making::MakerGone);
    }

    /// What looks like a token is repeated by no answer.
    async fn a_token_in_the_wrong_place_is_not_repeated(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let refused = admin.delete(&format!("/tokens/{}", admin.token)).await;
        assert!(!refused.refused(404, "not_found").text.contains("pca_"), "{}", refused.text);
        let body = json!({ "name": "A", "redirect_uris": [CALLBACK], "refresh": admin.token });
        let refused = admin.post("/clients", &body).await;
        assert!(!refused.refused(400, "invalid_request").text.contains("pca_"), "{}", refused.text);
    }

    /// What is told after a change is what is stored, though nothing is read after it.
    async fn what_is_told_of_a_change_is_what_is_stored(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let made = admin.post("/clients", &json!({ "id": "a", "name": "A", "redirect_uris": [CALLBACK], "description": "d" })).await;
        let same = async |told: &Answer| {
            let stored = admin.get("/clients/a").await;
            assert_eq!((&told.json["client"], &told.headers["etag"]), (&stored.json, &stored.headers["etag"]));
        };
        same(&made).await;
        let rotate = async |overlap: &str| admin.post("/clients/a/rotate-secret", &json!({ "overlap": overlap })).await;
        let edit = async |change: Value| admin.patch("/clients/a", &change).await;
        same(&rotate("1h").await).await;
        same(&edit(json!({ "description": null, "access_ttl": "5m", "client_uri": "https://a.example/" })).await).await;
        same(&rotate("0s").await).await;
        same(&rotate("1h").await).await;
        same(&edit(json!({ "auth_methods": ["none"], "redirect_uris": [CALLBACK, "http://localhost/cb"] })).await).await;
        same(&edit(json!({ "auth_methods": null, "refresh": false, "allowed_scopes": ["docs:read"] })).await).await;
    }

    /// Nobody passes on what they don't have: neither scopes nor time. A revoked or expired token opens nothing.
    async fn a_token_makes_none_mightier_than_itself(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let token = async |by: &Admin, name: &str, scopes: &[&str], expires_in: Option<&str>| {
            let mut body = json!({ "name": name, "scopes": scopes });
            if let Some(span) = expires_in {
                body["expires_in"] = json!(span);
            }
            by.post("/tokens", &body).await
        };
        let made = token(&admin, "ops", &["tokens:write", "clients:write"], Some("1h")).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let ops = admin.holding(made.json["token"].as_str().unwrap());
        token(&ops, "more", &["clients:write", "users:read"], None).await.refused(403, "insufficient_scope");
        token(&ops, "longer", &["clients:read"], Some("2h")).await.refused(403, "insufficient_scope");
        token(&ops, "unknown", &["clients:all"], None).await.refused(400, "invalid_request");
        token(&ops, "none", &[], None).await.refused(400, "invalid_request");
        token(&ops, "ops", &["clients:read"], None).await.refused(409, "conflict");
        let less = token(&ops, "less", &["clients:read"], None).await.json;
        assert_eq!((&less["created_by"], &less["expires_at"]), (&json!("ops"), &json!(server.now().0 + 3600)));
        let less_admin = admin.holding(less["token"].as_str().unwrap());
        assert_eq!(less_admin.get("/clients").await.status, 200);
        assert_eq!(ops.delete(&format!("/tokens/{}", less["id"].as_str().unwrap())).await.status, 204);
        less_admin.get("/clients").await.refused(401, "invalid_token");
        assert_eq!(token(&ops, "less", &["clients:read"], None).await.status, 201, "the name is free again");
        server.advance(3600).await;
        ops.get("/clients").await.refused(401, "invalid_token");
        let listed = admin.get("/tokens").await.json;
        let names: BTreeSet<String> = texts(&listed["tokens"], "name").into_iter().collect();
        assert_eq!(names, BTreeSet::from(["root", "ops", "less"].map(str::to_owned)));
    }
}

/// The log says whose token it was that was refused something, and never what the token is.
#[tokio::test]
async fn refusals_are_in_the_log_with_the_name_of_the_token() {
    let server = TestServer::start(Database::Sqlite).await;
    let admin = Admin::of(&server).await;
    let narrow = Admin::with(&server, &["keys:read"]).await;
    let log = log::listen();
    narrow.get("/clients").await.refused(403, "insufficient_scope");
    admin.post("/clients", &json!({ "name": 1 })).await.refused(400, "invalid_request");
    admin.delete(&format!("/tokens/{}", admin.token)).await.refused(404, "not_found");
    let text = log.heard();
    for (name, code) in [("keys-read", "insufficient_scope"), ("root", "invalid_request"), ("root", "not_found")] {
        let named = format!("token=\"{name}\"");
        assert!(text.lines().any(|line| line.contains(&named) && line.contains(code)), "{name} {code}: {text}");
    }
    assert!(!text.contains("pca_"), "{text}");
}

/// The last use is written once an hour, not at each call.
#[tokio::test]
async fn the_last_use_of_a_token_is_coarse() {
    let server = TestServer::start(Database::Sqlite).await;
    let admin = Admin::of(&server).await;
    let begin = server.now().0;
    let last_use = async || admin.get("/tokens").await.json["tokens"][0]["last_used_at"].as_i64().unwrap();
    admin.get("/info").await;
    server.pass(3599);
    admin.get("/info").await;
    assert_eq!(last_use().await, begin);
    server.pass(1);
    admin.get("/info").await;
    assert_eq!(last_use().await, begin + 3600);
}

/// Wrong tokens are slowed down; good ones are not.
#[tokio::test]
async fn wrong_tokens_are_limited_and_good_ones_pass() {
    let settings = [("PORTCULLIS__LIMITS__ENABLED", "true"), ("PORTCULLIS__LIMITS__API_FAILURES_PER_MINUTE", "3")];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let admin = Admin::of(&server).await;
    let wrong = admin.holding("pca_wrong");
    // What can't be a token counts like one that could.
    for token in ["pca_wrong", &format!("pca_{}", "A".repeat(43)), "x"] {
        admin.holding(token).get("/info").await.refused(401, "invalid_token");
    }
    let limited = wrong.get("/info").await;
    assert!(limited.refused(429, "temporarily_unavailable").headers.contains_key("retry-after"));
    assert_eq!(admin.get("/info").await.status, 200);
}

/// Law 8: switched off, nothing of it is there.
#[tokio::test]
async fn nothing_is_mounted_when_it_is_off() {
    let server = TestServer::with(Database::Sqlite, &[("PORTCULLIS__API__ENABLED", "false")]).await;
    let admin = Admin::of(&server).await;
    for path in ["/openapi.json", "/info", "/clients"] {
        admin.get(path).await.refused(404, "not_found");
    }
}

/// Each answer's members are in the document, so that it can be relied on.
#[tokio::test]
async fn answers_have_the_form_of_the_document() {
    let server = TestServer::start(Database::Sqlite).await;
    let admin = Admin::of(&server).await;
    let document = answer(http().get(server.url("/api/v1/openapi.json"))).await.json;
    let schemas = &document["components"]["schemas"];
    let check = |name: &str, value: &Value| {
        let known = schemas[name]["properties"].as_object().unwrap_or_else(|| panic!("{name} is not described"));
        for member in value.as_object().unwrap().keys() {
            assert!(known.contains_key(member), "{name} lacks {member}");
        }
        for member in schemas[name]["required"].as_array().into_iter().flatten() {
            assert!(value.get(member.as_str().unwrap()).is_some(), "{name} without {member}");
        }
    };
    let made = admin.add(&json!({ "for": "claude", "description": "d", "access_ttl": "5m" })).await;
    check("NewSecret", &made);
    check("ClientView", &made["client"]);
    check("Endpoints", &made["endpoints"]);
    check("Info", &admin.get("/info").await.json);
    check("Settings", &admin.get("/config").await.json);
    check("KeyView", &admin.get("/keys").await.json["keys"][0]);
    check("UserView", &admin.get("/users").await.json["users"][0]);
    check("TokenView", &admin.get("/tokens").await.json["tokens"][0]);
    check("Error", &admin.get("/clients/nobody").await.json);
    Connector::public(&server).await.connect().await;
    check("ConnectionView", &admin.get("/connections").await.json["connections"][0]);
}
