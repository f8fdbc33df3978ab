//! What clients find out before they ask for anything: the metadata documents, and that they tell the truth.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::connector::{Answer, Connector, VERIFIER, answer, form, register};
use crate::on_both_databases;
use crate::server::{Database, TestServer, http};

const NAMES: [&str; 3] = ["oauth-authorization-server", "openid-configuration", "oauth-protected-resource"];
const PREFIXED: (&str, &str) =
    ("PORTCULLIS_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/path-prefix.toml"));

async fn get(server: &TestServer, path: &str) -> Answer {
    answer(http().get(server.url(path))).await
}

async fn metadata(server: &TestServer) -> Value {
    get(server, "/.well-known/oauth-authorization-server").await.json
}

/// A document as it can be compared: the port differs from run to run.
fn fixed(server: &TestServer, document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap().replace(&server.origin, "http://ORIGIN")
}

/// Every URL of this server that a document names.
fn urls(server: &TestServer, document: &Value, found: &mut Vec<String>) {
    match document {
        Value::String(text) if text.starts_with(&server.origin) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| urls(server, item, found)),
        Value::Object(members) => members.values().for_each(|member| urls(server, member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fetches a document at all places where clients look for it, checks that it is the same, and returns it.
async fn at_all_places(server: &TestServer, name: &str, resource_path: &str) -> Value {
    let root = get(server, &format!("/.well-known/{name}")).await;
    for path in [
        format!("/.well-known/{name}"),
        format!("/.well-known/{name}{resource_path}"),
        format!("{resource_path}/.well-known/{name}"),
    ] {
        let answer = get(server, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
        assert_eq!(answer.headers["cache-control"], "public, max-age=300", "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
        assert_eq!(answer.text, root.text, "{path}");
    }
    root.json
}

/// D-01, D-02, D-03, D-05, D-06, D-11, D-13, D-14, D-16, D-19, A3, A4: with default settings.
#[tokio::test]
async fn documents_stand_at_every_place_where_clients_look() {
    let server = TestServer::start(Database::Sqlite).await;
    let mut documents = Vec::new();
    for name in NAMES {
        documents.push(at_all_places(&server, name, "/mcp").await);
    }
    assert_eq!(documents[0], documents[1], "OpenID clients get the same document");
    assert_eq!(documents[2]["resource"], server.mcp());
    insta::assert_snapshot!("default_authorization_server", fixed(&server, &documents[0]));
    insta::assert_snapshot!("default_protected_resource", fixed(&server, &documents[2]));
}

/// D-02, D-03, D-04, D-21: with everything under a prefix, the documents follow, also at the root.
#[tokio::test]
async fn documents_follow_the_configured_paths() {
    let server = TestServer::with(Database::Sqlite, &[PREFIXED]).await;
    let mut documents = Vec::new();
    for name in NAMES {
        documents.push(at_all_places(&server, name, "/v1/ai/mcp").await);
    }
    assert_eq!(documents[0], documents[1]);
    insta::assert_snapshot!("prefixed_authorization_server", fixed(&server, &documents[0]));
    insta::assert_snapshot!("prefixed_protected_resource", fixed(&server, &documents[2]));
    let challenge = http().post(server.url("/v1/ai/mcp")).send().await.unwrap();
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    let expected = format!("resource_metadata=\"{}\"", server.url("/.well-known/oauth-protected-resource/v1/ai/mcp"));
    let header = challenge.headers()["www-authenticate"].to_str().unwrap();
    assert!(header.contains(&expected), "{header}");
}

on_both_databases! {
    /// D-21, A4: clients that read no metadata guess these at the root; the whole path works with them.
    async fn guessed_endpoints_at_the_root_work_when_paths_are_prefixed(database) {
        let server = TestServer::with(database, &[PREFIXED]).await;
        let mut client = Connector::public(&server).await;
        client.resource = server.url("/v1/ai/mcp");
        let mut browser = Browser::new(&server);
        let callback = client.authorize(&mut browser, &[]).await;
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        assert_eq!(tokens.claims()["aud"], server.url("/v1/ai/mcp"));
        assert!(client.is_let_in(&tokens.access).await);
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
    }
}

/// D-09: the next guess of a client depends on a plain 404, whatever the method.
#[tokio::test]
async fn unknown_well_known_names_are_json_404_by_any_method() {
    let server = TestServer::start(Database::Sqlite).await;
    for path in [
        "/.well-known",
        "/.well-known/",
        "/.well-known/nothing",
        "/.well-known/jwks.json",
        "/.well-known/mcp/manifest.json",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/openid-configuration/mcp/x",
        "/.well-known/oauth-protected-resource/sse",
        "/.well-known/%00%ff",
        "/mcp/.well-known/nothing",
        "/.well-known/webfinger?resource=acct:a@b",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = answer(http().request(method.clone(), server.url(path))).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
            assert_eq!(answer.json["error"], "not_found", "{method} {path}");
        }
        let head = http().head(server.url(path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::NOT_FOUND, "HEAD {path}");
    }
    for name in NAMES {
        let posted = answer(http().post(server.url(&format!("/.well-known/{name}")))).await;
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
        let head = http().head(server.url(&format!("/.well-known/{name}/mcp"))).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
    }
}

/// D-22: a POST that is redirected loses its body; with a slash at the end the same endpoint answers itself.
#[tokio::test]
async fn a_slash_at_the_end_of_an_endpoint_is_no_redirect() {
    for (settings, paths) in [
        (&[][..], ["/token", "/register", "/revoke", "/mcp", "/authorize"].map(str::to_owned).to_vec()),
        (
            &[PREFIXED][..],
            [
                "/token",
                "/register",
                "/authorize",
                "/v1/oauth/token",
                "/v1/oauth/register",
                "/v1/oauth/revoke",
                "/v1/ai/mcp",
                "/v1/oauth/authorize",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
    ] {
        let server = TestServer::with(Database::Sqlite, settings).await;
        for path in paths {
            for slash in ["", "/"] {
                let (body, media_type, expected) = match path.rsplit('/').next().unwrap() {
                    "register" => {
                        (json!({"redirect_uris": ["https://a.example/cb"]}).to_string(), "application/json", 201)
                    }
                    "mcp" => ("{}".to_owned(), "application/json", 401),
                    "authorize" => (form(&[("client_id", "nobody")]), "application/x-www-form-urlencoded", 400),
                    _ => {
                        let params = [("client_id", "nobody"), ("grant_type", "refresh_token"), ("token", "x")];
                        (form(&params), "application/x-www-form-urlencoded", 401)
                    }
                };
                let request = http().post(server.url(&format!("{path}{slash}"))).header("content-type", media_type);
                let response = request.body(body).send().await.unwrap();
                assert_eq!(response.status().as_u16(), expected, "{path}{slash}");
                assert!(!response.headers().contains_key("location"), "{path}{slash}");
            }
        }
    }
}

/// Law 8, D-18: every URL that a document names is served, whatever is switched off.
#[tokio::test]
async fn what_is_advertised_is_mounted() {
    for settings in [
        &[][..],
        &[PREFIXED][..],
        &[("PORTCULLIS__REGISTRATION__POLICY", "off")][..],
        &[("PORTCULLIS__TOKENS__REFRESH", "false")][..],
        &[("PORTCULLIS__PATHS__TOKEN", "/a/b/c/token")][..],
    ] {
        let server = TestServer::with(Database::Sqlite, settings).await;
        let mut found = Vec::new();
        for name in NAMES {
            urls(&server, &get(&server, &format!("/.well-known/{name}")).await.json, &mut found);
        }
        assert!(found.len() >= 12, "{found:?}");
        for url in found {
            let status = http().get(&url).send().await.unwrap().status().as_u16();
            assert!([200, 400, 401, 405].contains(&status), "{url}: {status} with {settings:?}");
            let status = http().post(&url).send().await.unwrap().status().as_u16();
            assert!([200, 400, 401, 405].contains(&status), "POST {url}: {status} with {settings:?}");
        }
    }
}

on_both_databases! {
    /// Law 8, D4: registration that is off is neither promised nor there.
    async fn registration_that_is_off_is_not_advertised_and_404(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__REGISTRATION__POLICY", "off")]).await;
        let metadata = metadata(&server).await;
        assert_eq!(metadata.get("registration_endpoint"), None);
        for path in ["/register", "/register/", "/register/pc_x"] {
            let request = http().post(server.url(path)).header("content-type", "application/json").body("{}");
            let refused = answer(request).await;
            assert_eq!((refused.status, &refused.json["error"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{path}");
        }
    }

    /// Law 8, D4: refresh tokens that are off are not promised, not given and not taken.
    async fn refresh_that_is_off_is_not_advertised_and_refused(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH", "false")]).await;
        let metadata = metadata(&server).await;
        assert_eq!(metadata["grant_types_supported"], json!(["authorization_code"]));
        assert!(!metadata["scopes_supported"].as_array().unwrap().contains(&json!("offline_access")));
        let client = Connector::public(&server).await;
        assert_eq!(client.registration["grant_types"], json!(["authorization_code"]));
        assert_eq!(client.connect().await.refresh, None);
        client.refresh("pcr_x").await.refused(400, "unsupported_grant_type");
    }

    /// B4, R-13: a server for public clients advertises `none` alone, and gives nobody a secret.
    async fn public_only_advertises_none_alone(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__REGISTRATION__AUTH_METHODS", "none")]).await;
        let metadata = metadata(&server).await;
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["none"]));
        assert_eq!(metadata["revocation_endpoint_auth_methods_supported"], json!(["none"]));
        let body = json!({
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        let registered = register(&server, &body).await;
        assert_eq!(registered.status, StatusCode::CREATED);
        assert_eq!(registered.json["token_endpoint_auth_method"], "none");
        assert_eq!(registered.json.get("client_secret"), None);
    }

    /// D-07, D-12, A-07, B-33, A1, A9: one text, wherever the issuer stands, and never with a slash at its end.
    async fn the_issuer_is_the_same_text_everywhere(database) {
        let server = TestServer::start(database).await;
        let issuer = json!(server.origin);
        assert!(!server.origin.ends_with('/'));
        for name in ["oauth-authorization-server", "openid-configuration"] {
            assert_eq!(at_all_places(&server, name, "/mcp").await["issuer"], issuer);
        }
        let resource = at_all_places(&server, "oauth-protected-resource", "/mcp").await;
        assert_eq!(resource["authorization_servers"], json!([issuer]));
        let client = Connector::public(&server).await;
        let refused = Browser::new(&server).open(&client.authorize_url(&[("response_type", "token")])).await;
        assert_eq!(refused.callback().one("iss"), server.origin);
        let callback = client.authorize(&mut Browser::new(&server), &[]).await;
        assert_eq!(callback.one("iss"), server.origin);
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        assert_eq!(tokens.claims()["iss"], issuer);
        let manage = client.registration["registration_client_uri"].as_str().unwrap();
        assert!(manage.starts_with(&format!("{}/register/", server.origin)), "{manage}");
    }

    /// D-18: whatever the documents name can be granted, `offline_access` included.
    async fn every_advertised_scope_can_be_granted(database) {
        let server = TestServer::start(database).await;
        let scopes = metadata(&server).await["scopes_supported"].clone();
        let scopes: Vec<&str> = scopes.as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
        assert!(scopes.contains(&"offline_access"));
        let client = Connector::public(&server).await;
        let callback = client.authorize(&mut Browser::new(&server), &[("scope", &scopes.join(" "))]).await;
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        for scope in scopes.iter().filter(|scope| **scope != "offline_access") {
            assert!(tokens.scope.split(' ').any(|granted| granted == *scope), "{scope} is not in {}", tokens.scope);
        }
    }

    /// A6, S10, S-12, B-21, T24: headers that strangers write change no address that is given out.
    async fn documents_do_not_depend_on_request_headers(database) {
        let server = TestServer::start(database).await;
        let spoofed = [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "666"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "/evil"),
            ("forwarded", "for=1.2.3.4;host=evil.example;proto=gopher"),
        ];
        let asking = |mut request: reqwest::RequestBuilder| {
            for (name, value) in spoofed {
                request = request.header(name, value);
            }
            request
        };
        for name in NAMES {
            for path in [format!("/.well-known/{name}"), format!("/.well-known/{name}/mcp")] {
                let honest = get(&server, &path).await;
                let spoofed = answer(asking(http().get(server.url(&path)))).await;
                assert_eq!((spoofed.status, spoofed.text), (StatusCode::OK, honest.text), "{path}");
            }
        }
        let body = json!({"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"}).to_string();
        let request = http().post(server.url("/register")).header("content-type", "application/json").body(body);
        let registered = answer(asking(request)).await;
        let manage = registered.json["registration_client_uri"].as_str().unwrap();
        assert!(manage.starts_with(&server.origin), "{manage}");
        let client = Connector::public(&server).await;
        for url in [client.authorize_url(&[]), client.authorize_url(&[("response_type", "token")])] {
            let response = asking(http().get(url)).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            let location = response.headers()["location"].to_str().unwrap().to_owned();
            assert!(!location.contains("evil") && !location.contains("gopher"), "{location}");
        }
        let page = asking(http().get(server.url("/"))).send().await.unwrap().text().await.unwrap();
        assert!(page.contains(&server.mcp()) && !page.contains("evil"), "the start page names the real address");
        let callback = client.authorize(&mut Browser::new(&server), &[]).await;
        let exchange = form(&[
            ("grant_type", "authorization_code"),
            ("code", &callback.one("code")),
            ("redirect_uri", &client.redirect_uri),
            ("code_verifier", VERIFIER),
            ("client_id", &client.client_id),
        ]);
        let request =
            http().post(server.url("/token")).header("content-type", "application/x-www-form-urlencoded").body(exchange);
        let claims = answer(asking(request)).await.tokens().claims();
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(server.origin), &json!(server.mcp())));
    }
}
