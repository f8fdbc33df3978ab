//! Dynamic client registration: what real clients send, what strangers send, and what becomes of it.

use std::collections::BTreeSet;

use oauth::id::ClientId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::connector::{Answer, Connector, answer, register};
use crate::on_both_databases;
use crate::server::{Database, START, TestServer, http};

const DAY: i64 = 24 * 3600;
const ALL_SCOPES: &str = "account:read docs:read docs:search offline_access";

/// Sends anything to the registration endpoint.
async fn post(server: &TestServer, content_type: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let mut request = http().post(server.url("/register"));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    answer(request.body(body)).await
}

/// One request to a client's own address (RFC 7592).
async fn manage(registration: &Value, method: Method, token: &str, body: Option<&Value>) -> Answer {
    let url = registration["registration_client_uri"].as_str().unwrap();
    let mut request = http().request(method, url).header("authorization", format!("Bearer {token}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    answer(request).await
}

fn token(registration: &Value) -> &str {
    registration["registration_access_token"].as_str().unwrap()
}

fn public(name: &str) -> Value {
    json!({
        "client_name": name,
        "redirect_uris": ["http://127.0.0.1:9/callback"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

/// A 201 as clients read it: everything that is stored, with a secret exactly where one is used.
fn check_created(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let json = &answer.json;
    let id = json["client_id"].as_str().unwrap();
    // Basic decodes alike with and without percent-encoding, and no id looks like a document's URL.
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    assert!(id.starts_with("pc_") && plain(id), "{id}");
    assert_eq!(json["client_id_issued_at"], START);
    assert_eq!(json["response_types"], json!(["code"]));
    assert!(!json["redirect_uris"].as_array().unwrap().is_empty());
    assert!(!json["grant_types"].as_array().unwrap().is_empty());
    assert!(!json["scope"].as_str().unwrap().is_empty());
    assert!(json["registration_client_uri"].as_str().unwrap().ends_with(&format!("/register/{id}")));
    assert!(token(json).starts_with("pcm_"));
    if json["token_endpoint_auth_method"] == "none" {
        assert_eq!((json.get("client_secret"), json.get("client_secret_expires_at")), (None, None), "{}", answer.text);
    } else {
        let secret = json["client_secret"].as_str().unwrap();
        assert!(secret.starts_with("pcs_") && plain(secret) && secret.len() >= 43, "{secret}");
        assert_eq!(json["client_secret_expires_at"], 0);
    }
}

on_both_databases! {
    /// B1, B3, B4, B9, B11, B-11: what each client sends today is taken, and
    /// every member that it reads comes back as it was sent.
    async fn every_known_client_can_register(database) {
        let server = TestServer::start(database).await;
        for (sent, changed) in [
            // ChatGPT, registering once for each connector.
            (
                json!({
                    "client_name": "ChatGPT",
                    "redirect_uris": ["https://chatgpt.com/connector/oauth/AbC_1-x"],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "none",
                    "application_type": "web",
                }),
                json!({}),
            ),
            // Claude.ai asks for a secret in the body.
            (
                json!({
                    "client_name": "Claude",
                    "client_uri": "https://claude.ai",
                    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "client_secret_post",
                    "scope": "account:read docs:read",
                }),
                json!({}),
            ),
            // VS Code asks for the device grant too, which is not offered.
            (
                json!({
                    "client_name": "Visual Studio Code",
                    "client_uri": "https://code.visualstudio.com",
                    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
                    "response_types": ["code"],
                    "redirect_uris": [
                        "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
                        "http://127.0.0.1/", "http://127.0.0.1:33418/",
                    ],
                    "token_endpoint_auth_method": "none",
                    "application_type": "native",
                }),
                json!({"grant_types": ["authorization_code", "refresh_token"]}),
            ),
            // Cursor: three callbacks of three kinds, and "web" though two of them are not.
            (
                json!({
                    "client_name": "Cursor",
                    "redirect_uris": [
                        "cursor://anysphere.cursor-mcp/oauth/callback",
                        "https://www.cursor.com/agents/mcp/oauth/callback",
                        "http://localhost:8787/callback",
                    ],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "none",
                    "application_type": "web",
                }),
                json!({}),
            ),
            // Insomnia's own MCP client.
            (
                json!({
                    "redirect_uris": ["https://app.insomnia.rest/oauth/redirect"],
                    "token_endpoint_auth_method": "none",
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "client_name": "Insomnia MCP Client",
                    "client_uri": "https://github.com/Kong/insomnia",
                }),
                json!({}),
            ),
            // The Inspector sends an empty scope.
            (
                json!({
                    "redirect_uris": ["http://localhost:6274/oauth/callback"],
                    "token_endpoint_auth_method": "none",
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "client_name": "MCP Inspector",
                    "client_uri": "https://github.com/modelcontextprotocol/inspector",
                    "scope": "",
                    "application_type": "native",
                }),
                json!({"scope": ALL_SCOPES}),
            ),
            // mcp-remote says which software it is.
            (
                json!({
                    "redirect_uris": ["http://localhost:3335/oauth/callback"],
                    "token_endpoint_auth_method": "none",
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "client_name": "mcp-remote",
                    "client_uri": "https://github.com/geelen/mcp-remote",
                    "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
                    "software_version": "0.15.1",
                }),
                json!({}),
            ),
            // Something that uses Basic, with a scope that only half exists.
            (
                json!({
                    "redirect_uris": ["https://client.example/cb?tenant=1"],
                    "token_endpoint_auth_method": "client_secret_basic",
                    "scope": "docs:read openid admin",
                }),
                json!({"scope": "docs:read"}),
            ),
        ] {
            let answer = register(&server, &sent).await;
            check_created(&answer);
            let mut expected = sent.clone();
            expected.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&answer.json[name], value, "{name} of {}", sent["client_name"]);
            }
        }
    }

    /// B3, B9: RFC 7591's defaults; nulls, empty values and unknown members count as absent; the
    /// answer says what was made of them.
    async fn omitted_null_and_unknown_members_get_the_defaults(database) {
        let server = TestServer::start(database).await;
        for extra in [
            json!({}),
            json!({
                "client_name": null, "client_uri": null, "scope": null, "grant_types": null, "response_types": null,
                "token_endpoint_auth_method": null, "application_type": null, "logo_uri": null, "jwks": null,
            }),
            json!({
                "client_name": "", "client_uri": "", "scope": "", "grant_types": [], "response_types": [],
                "token_endpoint_auth_method": "", "logo_uri": "", "contacts": [],
            }),
            json!({
                "x-unknown": {"deep": [1, null, {}]}, "software_statement": "a.b.c", "jwks_uri": "https://a.example/j",
                "require_auth_time": true, "default_max_age": 7, "dpop_bound_access_tokens": true,
                "client_id": "mine", "client_secret": "mine", "registration_access_token": "mine",
            }),
        ] {
            let mut body = json!({"redirect_uris": ["https://client.example/cb"]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let answer = register(&server, &body).await;
            check_created(&answer);
            assert_eq!(answer.json["token_endpoint_auth_method"], "client_secret_basic");
            assert_eq!(answer.json["grant_types"], json!(["authorization_code"]));
            assert_eq!(answer.json["scope"], ALL_SCOPES);
            for absent in ["client_name", "client_uri", "logo_uri", "jwks_uri", "software_id", "application_type"] {
                assert_eq!(answer.json.get(absent), None, "{body}");
            }
            assert!(!answer.text.contains("mine"), "{}", answer.text);
        }
    }

    /// B-11, B1: a dangerous address fails the whole registration and is named; one that is merely
    /// unknown is dropped where others are left.
    async fn dangerous_callbacks_fail_the_registration_and_are_named(database) {
        let server = TestServer::start(database).await;
        for uri in [
            "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
            "about:blank", "blob:https://a.example/x", "http://client.example/cb", "http://127.0.0.1.evil.example/cb",
            "http://localhost.evil.example/cb", "https://client.example/cb#x", "https://user@client.example/cb",
            "https://user:pw@client.example/cb", "https:client.example/cb", "/cb", "client.example/cb", "https://",
            "https://client.example/a b", "https://client.example\\@evil.example/", "https://client.example/\u{0}",
            "https://client.example/é", "ftp://client.example/cb", "ws://client.example/cb", "http://0.0.0.0/cb",
            "http://192.168.1.1/cb", "http://user@127.0.0.1/cb",
        ] {
            for others in [vec![], vec!["https://client.example/good"]] {
                let uris: Vec<&str> = others.into_iter().chain([uri]).collect();
                register(&server, &json!({"redirect_uris": uris})).await.refused(400, "invalid_redirect_uri");
            }
        }
        let refused = register(&server, &json!({"redirect_uris": ["http://client.example/cb"]})).await;
        let words = refused.json["error_description"].as_str().unwrap();
        assert!(words.contains("http://client.example/cb") && words.contains("use https"), "{words}");
        register(&server, &json!({"redirect_uris": ["unknownapp://cb"]})).await.refused(400, "invalid_redirect_uri");
        let kept = register(&server, &json!({"redirect_uris": ["unknownapp://cb", "com.example.app:/cb"]})).await;
        check_created(&kept);
        assert_eq!(kept.json["redirect_uris"], json!(["com.example.app:/cb"]));
        let long = format!("https://client.example/{}", "a".repeat(3000));
        register(&server, &json!({"redirect_uris": [long]})).await.refused(400, "invalid_redirect_uri");
        let many: Vec<String> = (0..51).map(|n| format!("https://client.example/{n}")).collect();
        register(&server, &json!({"redirect_uris": many})).await.refused(400, "invalid_redirect_uri");
        register(&server, &json!({"redirect_uris": []})).await.refused(400, "invalid_redirect_uri");
        register(&server, &json!({})).await.refused(400, "invalid_redirect_uri");
    }

    /// B-11, B-26: whatever a stranger sends is answered in JSON with 400, and never with a server error.
    async fn strange_bodies_are_400_and_say_why(database) {
        let server = TestServer::start(database).await;
        let json = Some("application/json");
        let uris = "\"redirect_uris\": [\"https://client.example/cb\"]";
        for body in [
            String::new(),
            "{".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "\"text\"".to_owned(),
            "1e999".to_owned(),
            "{\"redirect_uris\": \"https://client.example/cb\"}".to_owned(),
            "{\"redirect_uris\": [1]}".to_owned(),
            "{\"redirect_uris\": [null]}".to_owned(),
            "{\"redirect_uris\": {}}".to_owned(),
            format!("{{{uris}, \"client_name\": 1}}"),
            format!("{{{uris}, \"client_name\": [\"a\"]}}"),
            format!("{{{uris}, \"client_name\": \"a\\u0000b\"}}"),
            format!("{{{uris}, \"software_id\": \"\\u0000\"}}"),
            format!("{{{uris}, \"scope\": \"a\\u0000\"}}"),
            format!("{{{uris}, \"client_name\": \"\\ud800\"}}"),
            format!("{{{uris}, \"client_name\": \"{}\"}}", "n".repeat(201)),
            format!("{{{uris}, \"token_endpoint_auth_method\": true}}"),
            format!("{{{uris}, \"grant_types\": \"authorization_code\"}}"),
            format!("{{{uris}, \"grant_types\": [\"client_credentials\"]}}"),
            format!("{{{uris}, \"grant_types\": [\"implicit\"]}}"),
            format!("{{{uris}, \"response_types\": [\"token\"]}}"),
            format!("{{{uris}, \"x\": {}{}}}", "[".repeat(5000), "]".repeat(5000)),
            format!("{}{}", "{\"a\":".repeat(5000), "}".repeat(5000)),
        ] {
            let shown: String = body.chars().take(80).collect();
            let answer = post(&server, json, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}: {}", answer.text);
            answer.refused(400, "invalid_client_metadata");
        }
        post(&server, json, b"{\"redirect_uris\": [\"\xff\"]}".to_vec()).await.refused(400, "invalid_client_metadata");
        // A NUL in a list of names that are filtered anyway.
        let body = format!("{{{uris}, \"grant_types\": [\"authorization_code\", \"\\u0000\"]}}");
        check_created(&post(&server, json, body).await);
    }

    /// JSON only, with any charset.
    async fn other_media_types_are_400_and_named(database) {
        let server = TestServer::start(database).await;
        let body = public("Media").to_string();
        for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx"), Some(";")] {
            let refused = post(&server, content_type, body.clone()).await;
            refused.refused(400, "invalid_client_metadata");
            assert!(refused.json["error_description"].as_str().unwrap().contains("application/json"));
        }
        for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
            check_created(&post(&server, Some(content_type), body.clone()).await);
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let refused = answer(http().request(method, server.url("/register"))).await;
            assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(refused.json["error"], "invalid_request");
        }
    }

    /// R-17, B-11, B-26: the size is limited, and the refusal is JSON.
    async fn a_registration_of_a_mebibyte_is_413(database) {
        let server = TestServer::start(database).await;
        let mut body = public("Large");
        body["x"] = json!("x".repeat(1 << 20));
        let refused = register(&server, &body).await;
        refused.refused(413, "invalid_request");
        body["x"] = json!("x".repeat(60_000));
        check_created(&register(&server, &body).await);
    }

    /// B7, R-17: what a client registers again and again is one client, also when many do it at once.
    async fn identical_public_registrations_are_one_client(database) {
        let server = TestServer::start(database).await;
        let body = public("Racer");
        let racing = (0..32).map(|_| {
            let request = http().post(server.url("/register")).header("content-type", "application/json");
            tokio::spawn(answer(request.body(body.to_string())))
        });
        let mut ids = BTreeSet::new();
        let mut tokens = BTreeSet::new();
        for task in racing.collect::<Vec<_>>() {
            let answer = task.await.unwrap();
            check_created(&answer);
            ids.insert(answer.json["client_id"].as_str().unwrap().to_owned());
            tokens.insert(token(&answer.json).to_owned());
        }
        assert_eq!((ids.len(), tokens.len()), (1, 32), "one client, and a token of its own for each");
        let mut other = body.clone();
        other["redirect_uris"] = json!(["http://127.0.0.1:9/other"]);
        assert!(!ids.contains(register(&server, &other).await.json["client_id"].as_str().unwrap()));
        let client = Connector::registered(&server, &body).await;
        assert!(ids.contains(&client.client_id));
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// B-37: two clients with secrets are two clients, however alike.
    async fn identical_confidential_registrations_are_two_clients(database) {
        let server = TestServer::start(database).await;
        let mut body = public("Confidential");
        body["token_endpoint_auth_method"] = json!("client_secret_post");
        let (one, two) = (register(&server, &body).await, register(&server, &body).await);
        assert_ne!(one.json["client_id"], two.json["client_id"]);
        assert_ne!(one.json["client_secret"], two.json["client_secret"]);
    }

    /// R-17, B7, T22: clients that nobody ever let in are forgotten after a while; those in use stay.
    async fn unused_clients_are_swept(database) {
        let server = TestServer::start(database).await;
        let (used, unused) = (
            Connector::registered(&server, &public("Used")).await,
            Connector::registered(&server, &public("Unused")).await,
        );
        used.connect().await;
        // One that somebody began to connect, and never finished.
        Browser::new(&server).open(&unused.authorize_url(&[])).await.page();
        server.advance(29 * DAY).await;
        server.app.sweep().await.unwrap();
        assert_eq!(manage(&unused.registration, Method::GET, token(&unused.registration), None).await.status, 200);
        server.advance(2 * DAY).await;
        server.app.sweep().await.unwrap();
        let gone = manage(&unused.registration, Method::GET, token(&unused.registration), None).await;
        gone.refused(401, "invalid_token");
        assert_eq!(manage(&used.registration, Method::GET, token(&used.registration), None).await.status, 200);
        assert!(server.app.store().find_client(&ClientId::new(&unused.client_id)).await.unwrap().is_none());
        used.authorize(&mut Browser::new(&server), &[]).await.one("code");
    }

    /// R-17, B7: there is a ceiling for clients that nobody uses; beyond it the oldest go.
    async fn unused_clients_have_a_ceiling(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__REGISTRATION__MAX_UNUSED", "3")]).await;
        let used = Connector::registered(&server, &public("Used")).await;
        used.connect().await;
        let mut clients = Vec::new();
        for number in 0..5 {
            server.advance(1).await;
            clients.push(Connector::registered(&server, &public(&format!("Client {number}"))).await);
        }
        server.app.sweep().await.unwrap();
        let mut left = Vec::new();
        for client in &clients {
            left.push(manage(&client.registration, Method::GET, token(&client.registration), None).await.status.as_u16());
        }
        assert_eq!(left, [401, 401, 200, 200, 200]);
        assert_eq!(manage(&used.registration, Method::GET, token(&used.registration), None).await.status, 200);
    }

    /// R-19, B11, B-37: RFC 7592; a secret is shown once, when it is made.
    async fn a_registration_can_be_read_changed_and_deleted(database) {
        let server = TestServer::start(database).await;
        let mut body = public("Managed");
        body["token_endpoint_auth_method"] = json!("client_secret_post");
        let client = Connector::registered(&server, &body).await;
        let (registration, bearer) = (&client.registration, token(&client.registration));
        let tokens = client.connect().await;

        server.advance(5).await;
        let read = manage(registration, Method::GET, bearer, None).await;
        assert_eq!((read.status, &read.headers["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
        let mut expected = registration.clone();
        for hidden in ["client_secret", "client_secret_expires_at"] {
            expected.as_object_mut().unwrap().remove(hidden);
        }
        assert_eq!(read.json, expected);

        body["client_name"] = json!("Managed anew");
        body["redirect_uris"] = json!(["http://127.0.0.1:9/new"]);
        body["client_id"] = registration["client_id"].clone();
        let changed = manage(registration, Method::PUT, bearer, Some(&body)).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        assert_eq!(changed.json["client_name"], "Managed anew");
        assert_eq!(changed.json["redirect_uris"], json!(["http://127.0.0.1:9/new"]));
        assert_eq!(changed.json["client_id_issued_at"], registration["client_id_issued_at"]);
        assert_eq!(changed.json.get("client_secret"), None);
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK, "its secret goes on working");
        assert_eq!(Browser::new(&server).open(&client.authorize_url(&[])).await.page().status, StatusCode::BAD_REQUEST);

        for (wrong, error) in [
            (json!({"redirect_uris": ["javascript:1"]}), "invalid_redirect_uri"),
            (json!({"redirect_uris": ["https://a.example/"], "client_id": "pc_other"}), "invalid_client_metadata"),
        ] {
            manage(registration, Method::PUT, bearer, Some(&wrong)).await.refused(400, error);
        }
        for wrong in ["", "pcm_x"] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let refused = manage(registration, method, wrong, Some(&body)).await;
                refused.refused(401, "invalid_token");
                assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
            }
        }
        let other = register(&server, &public("Other")).await.json;
        manage(registration, Method::DELETE, token(&other), None).await.refused(401, "invalid_token");

        let deleted = manage(registration, Method::DELETE, bearer, None).await;
        assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            manage(registration, method, bearer, Some(&body)).await.refused(401, "invalid_token");
        }
        client.refresh(tokens.refresh()).await.refused(401, "invalid_client");
        server.advance(1).await;
        assert!(!client.is_let_in(&tokens.access).await, "its tokens end with it");
    }

    /// a client that becomes confidential gets a secret, and one that becomes public loses it.
    async fn a_changed_method_makes_or_drops_the_secret(database) {
        let server = TestServer::start(database).await;
        let registration = register(&server, &public("Changing")).await.json;
        let mut body = public("Changing");
        body["token_endpoint_auth_method"] = json!("client_secret_basic");
        let confidential = manage(&registration, Method::PUT, token(&registration), Some(&body)).await;
        assert_eq!(confidential.status, StatusCode::OK, "{}", confidential.text);
        assert!(confidential.json["client_secret"].as_str().unwrap().starts_with("pcs_"));
        assert_eq!(confidential.json["client_secret_expires_at"], 0);
        let back = manage(&registration, Method::PUT, token(&registration), Some(&public("Changing"))).await;
        assert_eq!((back.status, back.json.get("client_secret")), (StatusCode::OK, None));
        assert_eq!(back.json["token_endpoint_auth_method"], "none");
    }

    /// B7, R-19: whoever registers the same metadata shares the client, and can neither change nor end it for others.
    async fn a_shared_registration_is_not_changed_by_a_stranger(database) {
        let server = TestServer::start(database).await;
        let client = Connector::registered(&server, &public("Shared")).await;
        let tokens = client.connect().await;
        let stranger = register(&server, &public("Shared")).await.json;
        assert_eq!(stranger["client_id"], client.client_id.as_str());
        let mut evil = public("Shared");
        evil["redirect_uris"] = json!(["https://evil.example/cb"]);
        for bearer in [token(&stranger), token(&client.registration)] {
            let refused = manage(&stranger, Method::PUT, bearer, Some(&evil)).await;
            refused.refused(403, "invalid_client_metadata");
        }
        let unchanged = manage(&stranger, Method::PUT, token(&stranger), Some(&public("Shared"))).await;
        assert_eq!(unchanged.status, StatusCode::OK);
        assert_eq!(manage(&stranger, Method::DELETE, token(&stranger), None).await.status, StatusCode::NO_CONTENT);
        manage(&stranger, Method::GET, token(&stranger), None).await.refused(401, "invalid_token");
        let read = manage(&client.registration, Method::GET, token(&client.registration), None).await;
        assert_eq!(read.json["redirect_uris"], client.registration["redirect_uris"]);
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await, "the others' connections live on");
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
    }

    /// B7: a change can't take over the place of another client's registration either.
    async fn a_registration_is_not_changed_into_anothers(database) {
        let server = TestServer::start(database).await;
        let first = register(&server, &public("First")).await.json;
        let second = register(&server, &public("Second")).await.json;
        let refused = manage(&second, Method::PUT, token(&second), Some(&public("First"))).await;
        refused.refused(403, "invalid_client_metadata");
        assert_eq!(register(&server, &public("First")).await.json["client_id"], first["client_id"]);
    }

    /// B-11: no id that a stranger makes up is a server error, and none is told apart from a wrong token.
    async fn made_up_client_addresses_are_401(database) {
        let server = TestServer::start(database).await;
        for id in ["pc_unknown", "%00", "a%00b", "%ff", "..%2f..", "%F0%9F%92%A9", &"a".repeat(5000)] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                let request = http()
                    .request(method, format!("{}/register/{id}", server.origin))
                    .header("authorization", "Bearer pcm_x")
                    .header("content-type", "application/json");
                answer(request.body("{}")).await.refused(401, "invalid_token");
            }
        }
    }

    /// with an initial access token, only its holders register.
    async fn an_initial_access_token_is_asked_for_by_policy(database) {
        let secret = "an-initial-access-token";
        let server = TestServer::with(
            database,
            &[
                ("PORTCULLIS__REGISTRATION__POLICY", "token"),
                ("PORTCULLIS__REGISTRATION__INITIAL_ACCESS_TOKEN", secret),
            ],
        )
        .await;
        let send = |authorization: Option<String>| {
            let mut request = http().post(server.url("/register")).header("content-type", "application/json");
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            answer(request.body(public("By invitation").to_string()))
        };
        for wrong in [None, Some("Bearer wrong".to_owned()), Some(format!("Basic {secret}")), Some(secret.to_owned())] {
            let refused = send(wrong).await;
            refused.refused(401, "invalid_token");
            assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
            assert!(!refused.text.contains(secret));
        }
        let created = send(Some(format!("bearer {secret}"))).await;
        check_created(&created);
        // The client manages itself with its own token.
        assert_eq!(manage(&created.json, Method::GET, token(&created.json), None).await.status, StatusCode::OK);
        manage(&created.json, Method::GET, secret, None).await.refused(401, "invalid_token");
    }

    /// B-26, T22: registrations are limited for each address and for all together.
    async fn registration_is_limited_by_address_and_in_all(database) {
        let server = TestServer::with(
            database,
            &[
                ("PORTCULLIS__LIMITS__ENABLED", "true"),
                ("PORTCULLIS__LIMITS__REGISTER_PER_MINUTE", "2"),
                ("PORTCULLIS__LIMITS__REGISTER_PER_MINUTE_TOTAL", "4"),
                ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
            ],
        )
        .await;
        let send = async |from: &str| {
            let request = http()
                .post(server.url("/register"))
                .header("content-type", "application/json")
                .header("x-forwarded-for", from);
            answer(request.body(public("Many").to_string())).await
        };
        let mut statuses = Vec::new();
        for from in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            let answer = send(from).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                answer.refused(429, "temporarily_unavailable");
                let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
                // S-13: a client in a browser page can read how long to wait.
                assert!(answer.headers["access-control-expose-headers"].to_str().unwrap().contains("retry-after"));
            }
            statuses.push(answer.status.as_u16());
        }
        assert_eq!(statuses, [201, 201, 429, 201, 201, 429]);
    }
}

/// T9, T22: a client that writes other addresses before its own, readable or not, uses up its own share and nobody else's.
#[tokio::test]
async fn a_made_up_address_evades_no_limit_and_costs_nobody_else() {
    for (header, own) in [("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=198.51.100.1")] {
        let settings = [
            ("PORTCULLIS__LIMITS__ENABLED", "true"),
            ("PORTCULLIS__LIMITS__REGISTER_PER_MINUTE", "3"),
            ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
            ("PORTCULLIS__LIMITS__FORWARDED_HEADER", header),
        ];
        let server = TestServer::with(Database::Sqlite, &settings).await;
        let send = async |from: String| {
            let request = http().post(server.url("/register")).header("content-type", "application/json");
            // What the proxy doesn't write it passes on.
            let request = request.header(header, from).header("x-real-ip", "192.0.2.1");
            answer(request.body(public("Many").to_string())).await.status.as_u16()
        };
        let mut statuses = Vec::new();
        for number in 1..20 {
            let victim = own.replace("198.51.100.1", &format!("192.0.2.{number}"));
            for written in [format!("{victim}, x, {own}"), format!("x, {victim}, {own}"), format!("\"{victim}, {own}")]
            {
                statuses.push(send(written).await);
            }
        }
        assert_eq!(statuses[..4], [201, 201, 201, 429], "{header}");
        assert!(statuses[4..].iter().all(|status| *status == 429), "{header} {statuses:?}");
        assert_eq!(send(own.replace("198.51.100.1", "192.0.2.1")).await, 201, "{header}");
    }
}

/// nothing on the pages is loaded from where a client says that its logo is.
#[tokio::test]
async fn logos_are_neither_kept_nor_shown() {
    let server = TestServer::start(Database::Sqlite).await;
    let mut body = public("Logo");
    body["logo_uri"] = json!("https://evil.example/logo.png");
    let client = Connector::registered(&server, &body).await;
    assert_eq!(client.registration.get("logo_uri"), None);
    let mut browser = Browser::new(&server);
    let page = browser.open(&client.authorize_url(&[])).await.page();
    assert!(!page.body.contains("evil.example"));
    let page = browser.sign_in(&page).await.page();
    assert!(page.body.contains("value=\"approve\"") && !page.body.contains("evil.example"));
}
