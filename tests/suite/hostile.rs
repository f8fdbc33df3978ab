//! Bad input, and secrets where they don't belong: in answers, in the log, in the database.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::admin::Admin;
use crate::browser::Browser;
use crate::connector::{Connector, FORM, VERIFIER, basic, post_form};
use crate::on_both_databases;
use crate::process::Process;
use crate::server::{Database, OwnDatabase, PASSWORD, TestServer, USER, http};

const JSON: (&str, &str) = ("content-type", "application/json");

/// An answer to bad input: never our fault, never a page.
async fn refused(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let media_type = response.headers().get("content-type").map(|own| own.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    assert!(status.is_client_error(), "{status}: {text}");
    assert_eq!(media_type.as_deref(), Some("application/json"), "{status}: {text}");
    serde_json::from_str::<serde_json::Value>(&text).expect(&text);
    (status, text)
}

/// A POST to the MCP endpoint with a good token.
fn mcp(server: &TestServer, token: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let request = http().post(server.mcp()).bearer_auth(token).header("content-type", "application/json");
    request.header("accept", "application/json, text/event-stream").body(body)
}

on_both_databases! {
    /// B-26, T23: bodies beyond the limit are 413 in JSON, told as soon as it is clear and not after a mebibyte.
    async fn large_bodies_are_413(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        for (path, media_type) in [("/token", FORM.1), ("/revoke", FORM.1), ("/register", JSON.1)] {
            let head = format!("content-type: {media_type}\r\ncontent-length: {}\r\n", 1 << 20);
            let (status, body) = begun(&server, path, &head, "a".repeat(65_537).as_bytes()).await;
            assert_eq!((status, body["error"].as_str()), (413, Some("invalid_request")), "{path}: {body}");
        }
        let head = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", tokens.access);
        let head = format!("{head}accept: application/json, text/event-stream\r\ncontent-length: {}\r\n", (4 << 20) + 1);
        let (status, body) = begun(&server, "/mcp", &head, b"").await;
        assert_eq!((status, body["error"].as_str()), (413, Some("payload_too_large")), "{body}");
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// B-26: a form at its limit is still read; the limit is on the body as a whole.
    async fn a_body_at_its_limit_is_read(database) {
        let server = TestServer::start(database).await;
        let rest = "grant_type=refresh_token&refresh_token=x&client_id=y&a=".len();
        let filler = |length: usize| {
            // Values have a limit of their own: many short ones.
            let piece = format!("&b={}", "c".repeat(997));
            piece.repeat(length / 1000) + &"&".repeat(length % 1000)
        };
        let body = |length: usize| format!("grant_type=refresh_token&refresh_token=x&client_id=y&a={}", filler(length - rest));
        post_form(&server.url("/token"), &[FORM], body(65536)).await.refused(401, "invalid_client");
        post_form(&server.url("/token"), &[FORM], body(65537)).await.refused(413, "invalid_request");
    }

    /// B-26: headers that are large but lawful reach the endpoint; beyond that it is 431, and the server lives on.
    async fn huge_headers_are_431(database) {
        let server = TestServer::start(database).await;
        let large = "a".repeat(60_000);
        let headers = [FORM, ("x-large", large.as_str())];
        post_form(&server.url("/token"), &headers, "client_id=x").await.refused(401, "invalid_client");
        let token = http().post(server.mcp()).bearer_auth(&large).body("");
        assert_eq!(refused(token).await.0, StatusCode::UNAUTHORIZED);
        let huge = http().get(server.url("/jwks")).header("x-huge", "a".repeat(1 << 20)).send().await;
        // The connection may be closed on us while we still write.
        assert!(huge.is_err() || huge.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!(http().get(server.url("/jwks")).send().await.unwrap().status(), StatusCode::OK);
    }

    /// B-26, S6: what can't be read as a form is 400 `invalid_request`.
    async fn broken_forms_are_invalid_request(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let id = client.client_id.clone();
        let many = "&a=b".repeat(101);
        let long = "a".repeat(17_000);
        for path in ["/token", "/revoke"] {
            let good = format!("grant_type=refresh_token&refresh_token=x&token=x&client_id={id}");
            for bad in [
                "&x=%", "&x=%2", "&x=%zz", "&%=x", "&x=%00", "&x=\0", "&x=%ff", "&x=%c3%28",
                "&client_id=another", many.as_str(), &format!("&x={long}"), &format!("&{long}=x"),
            ] {
                let answer = post_form(&server.url(path), &[FORM], format!("{good}{bad}")).await;
                assert_eq!((answer.status.as_u16(), answer.json["error"].as_str()), (400, Some("invalid_request")), "{path} {bad}");
            }
            let twice = if path == "/token" { "&refresh_token=y" } else { "&token=y" };
            post_form(&server.url(path), &[FORM], format!("{good}{twice}")).await.refused(400, "invalid_request");
        }
    }

    /// B-26: what can't be read as JSON, or goes too deep, is refused in JSON, at registration and at /mcp.
    async fn broken_json_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let inside = format!(r#"{{"redirect_uris":["https://a.example/cb"],"x":{deep}}}"#);
        let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","arguments":{{"x":{deep}}}}}}}"#);
        let open = "{\"a\":".repeat(5_000);
        for body in ["", " ", "{", "null", "1", "\"x\"", "\0", "{\"a\":\"\0\"}", "\u{feff}{}", "{}{}", &deep, &open, &inside, &call] {
            let registration = http().post(server.url("/register")).header(JSON.0, JSON.1).body(body.to_owned());
            let (status, text) = refused(registration).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
            let (status, text) = refused(mcp(&server, &tokens.access, body.to_owned())).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        }
        let not_utf8 = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec();
        assert_eq!(refused(mcp(&server, &tokens.access, not_utf8.clone())).await.0, StatusCode::BAD_REQUEST);
        let registration = http().post(server.url("/register")).header(JSON.0, JSON.1).body(not_utf8);
        assert_eq!(refused(registration).await.0, StatusCode::BAD_REQUEST);
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// B-26: what a body holds is judged before it is built, in the words of the door that it came to.
    async fn expensive_json_is_refused_at_every_door(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let admin = Admin::of(&server).await;
        let management = client.registration["registration_client_uri"].as_str().unwrap();
        let token = client.registration["registration_access_token"].as_str().unwrap();
        let small = "{\"\":0},".repeat(9000);
        let deep = |depth: usize| format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
        for (expensive, told) in [
            (format!("[{small}0]"), " values, counting the names of members; at most 4096 are read"),
            ("0,".repeat(30_000), " values, counting the names of members; at most 4096 are read"),
            (deep(20), " arrays or objects inside each other; at most 16 are read"),
        ] {
            for body in [
                format!(r#"{{"redirect_uris":["https://a.example/cb"],"x":{expensive}}}"#),
                format!(r#"{{"redirect_uris":{expensive}}}"#),
                format!(r#"{{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{{"keys":{expensive}}}}}"#),
            ] {
                let post = |request: reqwest::RequestBuilder| request.header(JSON.0, JSON.1).body(body.clone());
                for (request, code) in [
                    (post(http().post(server.url("/register"))), "invalid_client_metadata"),
                    (post(http().put(management).bearer_auth(token)), "invalid_client_metadata"),
                    (post(admin.request(Method::POST, "/clients")), "invalid_request"),
                    (post(admin.request(Method::POST, "/users")), "invalid_request"),
                ] {
                    let (status, text) = refused(request).await;
                    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let description = json["error_description"].as_str().unwrap();
                    assert_eq!((status, json["error"].as_str()), (StatusCode::BAD_REQUEST, Some(code)), "{text}");
                    assert!(description.starts_with("the body ") && description.ends_with(told), "{description}");
                }
            }
        }
        // As much as there may be, of what is passed over.
        let body = format!(r#"{{"redirect_uris":["https://a.example/cb"],"x":[{}0]}}"#, "0,".repeat(4000));
        let registration = http().post(server.url("/register")).header(JSON.0, JSON.1).body(body);
        assert_eq!(registration.send().await.unwrap().status(), StatusCode::CREATED);
    }

    /// RFC 9110 §15.5.6: other methods and other places get JSON with 405 and 404 wherever programs call.
    async fn wrong_methods_and_places_are_json(database) {
        let server = TestServer::start(database).await;
        for path in ["/token", "/revoke", "/register"] {
            for method in [Method::GET, Method::PUT, Method::DELETE, Method::from_bytes(b"PROPFIND").unwrap()] {
                let (status, _) = refused(http().request(method, server.url(path))).await;
                assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            }
        }
        for path in ["/token/x", "/mcp/x", "/.well-known/x", "/.well-known/openid-configuration/x", "/revoke/%00", "/%ff"] {
            assert_eq!(refused(http().post(server.url(path)).body("")).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    /// B-26, T23: two thousand mutilated requests; the server never takes one for its own fault.
    async fn mutilated_requests_are_never_our_fault(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let form = format!("grant_type=authorization_code&code=pcc_x&code_verifier={VERIFIER}&client_id={}", client.client_id);
        let registration = client.registration.to_string();
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"x"}}}"#;
        let one = http();
        // A small generator of its own: the same requests in every run.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..500 {
            for (path, media_type, good) in [
                ("/token", FORM.1, &form),
                ("/revoke", FORM.1, &form.replace("code=", "token=")),
                ("/register", JSON.1, &registration),
                ("/mcp", JSON.1, &call.to_owned()),
            ] {
                let mut body = good.clone().into_bytes();
                for _ in 0..=next(4) {
                    let at = next(body.len());
                    match next(7) {
                        0 | 1 => body[at] = u8::try_from(next(256)).unwrap(),
                        2 | 3 if body.len() > 1 => drop(body.remove(at)),
                        4 => body.truncate(at.max(1)),
                        _ => body.insert(at, b"%&=\"\\{}[]+\0"[next(11)]),
                    }
                }
                let mut request = one.post(server.url(path)).header("content-type", media_type);
                if path == "/mcp" {
                    request = request.header("accept", "application/json, text/event-stream").bearer_auth(&tokens.access);
                }
                let response = request.body(body.clone()).send().await.unwrap();
                let shown = String::from_utf8_lossy(&body).into_owned();
                assert!(!response.status().is_server_error(), "{path}: {} to {shown}", response.status());
                let html = response.headers().get("content-type").is_some_and(|own| own.as_bytes().starts_with(b"text/html"));
                assert!(!html, "{path}: a page for {shown}");
            }
        }
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// T17: refusals don't repeat what was sent.
    async fn refusals_never_repeat_a_secret(database) {
        let server = TestServer::start(database).await;
        let client = Connector::confidential(&server, "client_secret_post").await;
        let sent = "sEcReT-that-nobody-may-see-0123456789abcdefgh";
        let id = client.client_id.as_str();
        let secret = client.client_secret.as_deref().unwrap();
        let answers = [
            client.redeem(sent).await,
            client.refresh(sent).await,
            client.token(&[("grant_type", sent)]).await,
            client.token(&[("grant_type", "refresh_token"), ("refresh_token", sent), ("client_id", sent)]).await,
            client.token(&[("grant_type", "refresh_token"), ("refresh_token", sent), ("client_id", id), ("client_secret", sent)]).await,
            client.token(&[("grant_type", "authorization_code"), ("code", sent), ("code", sent)]).await,
            client.revoke(sent).await,
            client.call(sent, "whoami", json!({})).await,
            post_form(&server.url("/token"), &[FORM, ("authorization", &basic(id, sent))], "grant_type=x").await,
        ];
        for answer in answers {
            assert!(answer.status.is_client_error(), "{}", answer.text);
            let headers = format!("{:?}", answer.headers);
            assert!(!answer.text.contains(sent) && !headers.contains(sent) && !answer.text.contains(secret), "{}", answer.text);
        }
    }

    /// T16, V-06: a copy of the database holds no secret that could be used.
    async fn the_database_holds_no_live_secret(database) {
        let server = TestServer::start(database).await;
        let flow = Flow::run(&server.origin).await;
        // The last one in the flow is still alive: looking for dead ones only would prove little.
        assert!(flow.client.is_let_in(&flow.access).await);
        let url = server.database.url.clone();
        let copy = match database {
            Database::Sqlite => {
                let path = url.strip_prefix("sqlite://").unwrap();
                let read = |path: &str| std::fs::read(path).unwrap_or_default();
                [read(path), read(&format!("{path}-wal"))].concat()
            }
            Database::Postgres => dump(&url).await.into_bytes(),
        };
        let holds = |text: &str| copy.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&flow.client.client_id) && holds(USER), "the copy holds what it should");
        for (what, secret) in &flow.secrets {
            assert!(!holds(secret), "the database holds the {what}");
        }
    }

    /// B-23, T17: the built server at its most talkative writes no live secret, neither in a good flow nor in refusals.
    async fn no_log_line_holds_a_live_secret(database) {
        let own = OwnDatabase::new(database).await;
        let process = Process::start(&own.url, &[("PORTCULLIS__LOG__FILTER", "trace")]).await;
        let flow = Flow::run(&process.origin).await;
        let log = process.stop();
        assert!(log.lines().count() > 100 && log.contains("TRACE"), "the log is not at trace level:\n{log}");
        for said in ["client registered", "signed in", "access allowed", "code redeemed", "token refreshed", "refused"] {
            assert!(log.contains(said), "the log does not say {said:?}");
        }
        for (what, secret) in &flow.secrets {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "the log holds the {what}: {}", line.unwrap_or_default());
        }
    }
}

/// Begins a POST and reads the answer that comes before the body is complete.
async fn begun(server: &TestServer, path: &str, head: &str, part: &[u8]) -> (u16, serde_json::Value) {
    let address = server.address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{head}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(part).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8(answer).unwrap();
    // Without the rest of the body the connection is of no more use, and the server ends it.
    assert!(read.is_ok(), "still open after {text:?}");
    let (head, body) = text.split_once("\r\n\r\n").expect(&text);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).expect(&text))
}

/// Everything in this schema, as text.
async fn dump(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "select table_name::text from information_schema.tables where table_schema = current_schema()";
    let mut text = String::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        let rows = sqlx::AssertSqlSafe(format!("select to_json(t)::text from {table} t"));
        for row in sqlx::query(rows).fetch_all(&mut connection).await.unwrap() {
            text.push_str(&row.get::<String, _>(0));
            text.push('\n');
        }
    }
    text
}

/// A whole life of a confidential client, with its mishaps, and every secret that came up in it.
struct Flow {
    client: Connector,
    access: String,
    secrets: Vec<(&'static str, String)>,
}

impl Flow {
    async fn run(origin: &str) -> Self {
        let client = Connector::registered_at(
            origin,
            &json!({
                "client_name": "Flow", "redirect_uris": ["http://127.0.0.1:9/callback"],
                "token_endpoint_auth_method": "client_secret_basic",
            }),
        )
        .await;
        let secret = client.client_secret.clone().unwrap();
        let management = client.registration["registration_access_token"].as_str().unwrap().to_owned();
        let managed =
            http().get(client.registration["registration_client_uri"].as_str().unwrap()).bearer_auth(&management);
        assert_eq!(managed.send().await.unwrap().status(), StatusCode::OK);
        let mut browser = Browser::at(origin);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let wrong = "a wrong password that is nearly right";
        let login = browser.sign_in_as(&login, USER, wrong).await.page();
        let consent = browser.sign_in(&login).await.page();
        let form_token = consent.fields("csrf").1["csrf"].clone();
        let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
        let code = callback.one("code");
        let wrong_verifier = "wrong-verifier-0123456789-0123456789-0123456789";
        let tried = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", wrong_verifier)];
        client.token(&tried).await.refused(400, "invalid_grant");
        let first = client.redeem(&code).await.tokens();
        client.call(&first.access, "whoami", json!({})).await;
        let second = client.refresh(first.refresh()).await.tokens();
        let repeated = client.refresh(first.refresh()).await.tokens();
        client.call(&second.access, "nonsense", json!({})).await;
        client.call(&format!("{}x", second.access), "whoami", json!({})).await;
        let wrong_secret = "pcs_wrong-secret-0123456789-0123456789-0123";
        let header = basic(&client.client_id, wrong_secret);
        let token = format!("{origin}/token");
        let body = format!("grant_type=refresh_token&refresh_token={}", second.refresh());
        post_form(&token, &[FORM, ("authorization", &header)], body).await.refused(401, "invalid_client");
        let broken = format!("grant_type=refresh_token&refresh_token={}&x=%", second.refresh());
        post_form(&token, &[FORM], broken).await.refused(400, "invalid_request");
        let in_url = format!("{token}?refresh_token={}&client_secret={secret}", second.refresh());
        post_form(&in_url, &[FORM], "").await.refused(400, "invalid_request");
        let at_mcp = http().post(format!("{origin}/mcp?access_token={}", second.access)).body("");
        assert_eq!(at_mcp.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        let dead = client.authorize(&mut browser, &[]).await.one("code");
        let dead_tokens = client.redeem(&dead).await.tokens();
        client.redeem(&dead).await.refused(400, "invalid_grant");
        let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
        let mut secrets = vec![
            ("client secret", secret.clone()),
            ("Basic credentials", basic(&client.client_id, &secret).replace("Basic ", "")),
            ("registration access token", management),
            ("password", PASSWORD.to_owned()),
            ("password, form-encoded", PASSWORD.replace(' ', "+")),
            ("mistyped password", wrong.to_owned()),
            ("form token", form_token),
            ("code", code),
            ("other code", dead),
            ("verifier", VERIFIER.to_owned()),
            ("wrong verifier", wrong_verifier.to_owned()),
            ("wrong secret", wrong_secret.to_owned()),
            ("first refresh token", first.refresh().to_owned()),
            ("second refresh token", second.refresh().to_owned()),
            ("refresh token of the dead grant", dead_tokens.refresh().to_owned()),
            ("first access token", signature(&first.access)),
            ("second access token", signature(&second.access)),
            ("repeated access token", signature(&repeated.access)),
        ];
        assert!(browser.cookies.len() >= 2, "{:?}", browser.cookies);
        secrets.extend(browser.cookies.values().map(|value| ("cookie", value.clone())));
        assert!(
            secrets.iter().all(|(_, secret)| secret.len() >= 20),
            "short enough to be found by chance: {secrets:?}"
        );
        Self { client, access: second.access, secrets }
    }
}
