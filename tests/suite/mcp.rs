//! The MCP endpoint through the whole server: who is let in, every revision on one URL, the tools, and what
//! browsers and proxies need.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::model::user::Role;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::connector::{Answer, Connector, Tokens, answer};
use crate::on_both_databases;
use crate::server::{Database, PASSWORD, TestServer, USER, http, unique};

const MODERN: &str = "2026-07-28";
const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// The scopes of a client that names none.
const ALL: &str = "account:read docs:read docs:search";

/// A server and a client with tokens for all scopes.
async fn connected(database: Database) -> (TestServer, Connector, Tokens) {
    connected_with(database, &[]).await
}

async fn connected_with(database: Database, settings: &[(&str, &str)]) -> (TestServer, Connector, Tokens) {
    let server = TestServer::with(database, settings).await;
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    (server, client, tokens)
}

/// Tokens with this scope only.
async fn narrow(server: &TestServer, client: &Connector, scope: &str) -> Tokens {
    let callback = client.authorize(&mut Browser::new(server), &[("scope", scope)]).await;
    client.redeem(&callback.one("code")).await.tokens()
}

/// The challenge for who has no good token, with what stands before the scope.
fn challenge(server: &TestServer, error: &str) -> String {
    let metadata = server.url("/.well-known/oauth-protected-resource/mcp");
    format!("Bearer {error}scope=\"{ALL}\", resource_metadata=\"{metadata}\"")
}

/// A POST with a token and the media types that the specification asks for.
fn post(server: &TestServer, token: &str) -> RequestBuilder {
    http()
        .post(server.mcp())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// A request of a revision with a handshake.
fn request(method: &str, params: Value) -> Value {
    let mut request = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    request["params"] = params;
    request
}

async fn legacy(server: &TestServer, token: &str, version: Option<&str>, message: &Value) -> Answer {
    let mut request = post(server, token);
    if let Some(version) = version {
        request = request.header("mcp-protocol-version", version);
    }
    answer(request.body(message.to_string())).await
}

/// A request of 2026-07-28: headers, and the message with its `_meta`.
struct Modern {
    headers: Vec<(&'static str, String)>,
    message: Value,
}

impl Modern {
    fn new(method: &str, mut params: Value) -> Self {
        let mut headers = vec![("mcp-protocol-version", MODERN.to_owned()), ("mcp-method", method.to_owned())];
        if let Some(name) = params["name"].as_str() {
            headers.push(("mcp-name", name.to_owned()));
        }
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        Self { headers, message: json!({ "jsonrpc": "2.0", "id": "seven", "method": method, "params": params }) }
    }

    /// Puts a header in the place of all of its name; an empty value removes it.
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    fn twice(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn send(self, server: &TestServer, token: &str) -> Answer {
        let mut request = post(server, token);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        answer(request.body(self.message.to_string())).await
    }
}

/// Status, JSON-RPC code and id of an error.
fn code(answer: &Answer) -> (u16, i64, Value) {
    assert_eq!(header(answer, "content-type"), "application/json", "{}", answer.text);
    (answer.status.as_u16(), answer.json["error"]["code"].as_i64().unwrap_or_default(), answer.json["id"].clone())
}

/// The structured content of a good result, which is also its one text.
fn structured(answer: &Answer) -> Value {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    let result = &answer.json["result"];
    assert_eq!(result["isError"], false, "{}", answer.text);
    let content = result["content"].as_array().unwrap();
    assert_eq!((content.len(), &content[0]["type"]), (1, &json!("text")));
    let text: Value = serde_json::from_str(content[0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    text
}

/// A folder of documents, gone when dropped.
struct Documents(PathBuf);

impl Documents {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis_docs_{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Searches until the ids are these: another task looks at the folder, at most every two seconds.
async fn search_finds(client: &Connector, token: &str, query: &str, wanted: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = structured(&client.call(token, "search", json!({ "query": query })).await);
        let ids: Vec<_> = found["results"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
        if ids == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{query:?} finds {ids:?}, and not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

on_both_databases! {
    /// D-23, D-24, D-28, D-29: without a token it is 401 before method, media types and body, at every spelling
    /// of the address, and the challenge leads to metadata that is there.
    async fn no_token_is_challenged_before_anything_else(database) {
        let server = TestServer::start(database).await;
        for (method, path) in [
            ("GET", "/mcp"), ("GET", "/mcp/"), ("HEAD", "/mcp"), ("DELETE", "/mcp"), ("PUT", "/mcp"),
            ("POST", "/mcp"), ("POST", "/mcp/"), ("POST", "/"),
        ] {
            for headers in [&[][..], &[("accept", "text/html"), ("content-type", "text/plain")], &[("cookie", "a=b")]] {
                let mut request = http().request(Method::from_bytes(method.as_bytes()).unwrap(), server.url(path));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let answer = answer(request).await;
                let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
                assert_eq!((answer.status.as_u16(), challenges.len()), (401, 1), "{method} {path}");
                assert_eq!(challenges[0], challenge(&server, "").as_str(), "{method} {path}");
                assert_eq!(answer.headers["cache-control"], "no-store");
                if method != "HEAD" {
                    assert_eq!(answer.json["error"], "no_authorization_header", "{method} {path}");
                }
            }
        }
        let metadata = answer(http().get(server.url("/.well-known/oauth-protected-resource/mcp"))).await;
        assert_eq!((metadata.status.as_u16(), &metadata.json["resource"]), (200, &json!(server.mcp())));
        assert_eq!(metadata.json["scopes_supported"], json!(ALL.split(' ').collect::<Vec<_>>()));
    }

    /// S-01, D-27, B-08: one token in one header, and nowhere else.
    async fn the_token_stands_once_in_its_header(database) {
        let (server, _, tokens) = connected(database).await;
        let ping = request("ping", json!({})).to_string();
        let bare = |path: &str| http().post(server.url(path)).header("content-type", "application/json").body(ping.clone());
        let bearer = format!("Bearer {}", tokens.access);
        for scheme in ["bearer", "BEARER", "Bearer"] {
            let answer = answer(bare("/mcp").header("authorization", format!("{scheme} {}", tokens.access))).await;
            assert_eq!(answer.status.as_u16(), 200, "{scheme}");
        }
        let in_query = format!("/mcp?access_token={}", tokens.access);
        for (request, reason) in [
            (bare(&in_query), "token_in_query"),
            (bare("/mcp").header("authorization", format!("Basic {}", tokens.access)), "not_a_bearer_token"),
            (bare("/mcp").header("authorization", "Bearer"), "empty_bearer_token"),
            (bare("/mcp").header("mcp-session-id", &tokens.access), "no_authorization_header"),
            (bare("/mcp").header("cookie", format!("access_token={}", tokens.access)), "no_authorization_header"),
        ] {
            let answer = answer(request).await;
            assert_eq!((answer.status.as_u16(), &answer.json["error"]), (401, &json!(reason)));
            assert_eq!(header(&answer, "www-authenticate"), challenge(&server, ""), "{reason}");
        }
        for request in [
            bare("/mcp").header("authorization", &bearer).header("authorization", &bearer),
            bare("/mcp").header("authorization", &bearer).header("authorization", "Basic YTpi"),
            bare("/mcp").header("authorization", format!("{bearer}, {bearer}")),
            bare(&in_query).header("authorization", &bearer),
        ] {
            let answer = answer(request).await;
            assert_eq!((answer.status.as_u16(), &answer.json["error"]), (400, &json!("invalid_request")));
            assert!(header(&answer, "www-authenticate").starts_with("Bearer error=\"invalid_request\", "));
            assert!(!answer.text.contains(&tokens.access));
        }
    }

    /// S-02, B-08, D-24: what isn't an access token of ours, whole and in time, is `invalid_token`.
    async fn other_tokens_are_invalid(database) {
        let (server, client, tokens) = connected(database).await;
        let mut parts: Vec<String> = tokens.access.split('.').map(str::to_owned).collect();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut forged = tokens.claims();
        forged["sub"] = json!("usr_somebody");
        let with_claims = format!("{}.{}.{}", parts[0], encode(&forged), parts[2]);
        let none = format!("{}.{}.", encode(&json!({ "alg": "none", "typ": "at+jwt" })), parts[1]);
        let kid: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&parts[0]).unwrap()).unwrap();
        let as_id_token = format!("{}.{}.{}", encode(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid["kid"] })), parts[1], parts[2]);
        parts[2] = parts[2].chars().rev().collect();
        let refused = async |token: &str, words: &str| {
            let answer = client.call(token, "whoami", json!({})).await;
            let text = header(&answer, "www-authenticate").to_owned();
            assert_eq!((answer.status.as_u16(), &answer.json["error"]), (401, &json!("invalid_token")), "{token}");
            assert!(text.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{text}");
            assert!(text.ends_with(&challenge(&server, "").replace("Bearer ", ", ")), "{text}");
            assert!(text.contains(words), "{text}");
            assert_eq!(text.matches("scope=").count(), 1, "{text}");
        };
        for token in [&with_claims, &none, &as_id_token, &parts.join("."), tokens.refresh(), "x", "undefined", "a.b.c", &"x".repeat(9_000)] {
            refused(token, "").await;
        }
        // To its second and the skew that is allowed, then no longer; a refreshed one works.
        server.advance(tokens.expires_in - 1).await;
        assert!(client.is_let_in(&tokens.access).await);
        server.advance(1 + 60).await;
        refused(&tokens.access, "expired").await;
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        assert!(client.is_let_in(&renewed.access).await);
    }

    /// B-09, T14, S-02: a token for another resource of the same issuer, with the same keys, and one of another
    /// issuer with the same keys, are refused; and ours there.
    async fn other_resources_are_refused(database) {
        let (server, _, tokens) = connected(database).await;
        let other = [("PORTCULLIS__PATHS__MCP", "/other")];
        let sibling = TestServer::on(server.database.clone(), &other, Some(&server.origin)).await;
        let stranger = TestServer::on(server.database.clone(), &[], None).await;
        let ping = request("ping", json!({})).to_string();
        let send = async |url: String, token: &str| {
            let request = http().post(url).header("content-type", "application/json").body(ping.clone());
            answer(request.header("authorization", format!("Bearer {token}"))).await
        };
        // Of another issuer: keys and users are shared, its address is not.
        let there = Connector::public(&stranger).await;
        let foreign = there.connect().await;
        assert_eq!(foreign.claims()["aud"], json!(stranger.mcp()));
        assert!(there.is_let_in(&foreign.access).await);
        for (url, token, words) in [
            (format!("{}/other", sibling.address), &tokens.access, "/other"),
            (server.mcp(), &foreign.access, "expected"),
            (stranger.mcp(), &tokens.access, "expected"),
        ] {
            let answer = send(url.clone(), token).await;
            assert_eq!((answer.status.as_u16(), &answer.json["error"]), (401, &json!("invalid_token")), "{url}");
            assert!(header(&answer, "www-authenticate").contains(words), "{url}: {}", answer.text);
        }
        assert_eq!(send(server.mcp(), &tokens.access).await.status.as_u16(), 200);
    }

    /// D-26, B-10, E6: 403 names what was granted and what is needed; asking for it is enough.
    async fn stepping_up_takes_one_round(database) {
        let (server, client, _) = connected(database).await;
        let tokens = narrow(&server, &client, "docs:read").await;
        assert_eq!(tokens.scope, "docs:read");
        let refused = client.call(&tokens.access, "search", json!({ "query": "x" })).await;
        assert_eq!((refused.status.as_u16(), &refused.json["error"]), (403, &json!("insufficient_scope")));
        let metadata = server.url("/.well-known/oauth-protected-resource/mcp");
        assert_eq!(
            header(&refused, "www-authenticate"),
            format!(
                "Bearer error=\"insufficient_scope\", error_description=\"This call also needs the scope docs:search.\", \
                 scope=\"docs:read docs:search\", resource_metadata=\"{metadata}\""
            )
        );
        // A batch asks for all at once.
        let call = |tool: &str| request("tools/call", json!({ "name": tool, "arguments": {} }));
        let batch = json!([call("whoami"), call("fetch"), call("search")]);
        let refused = legacy(&server, &tokens.access, Some("2025-03-26"), &batch).await;
        assert_eq!(refused.status.as_u16(), 403);
        assert!(header(&refused, "www-authenticate").contains(&format!("scope=\"{ALL}\"")));
        // What needs no scope works meanwhile, and so does what is granted.
        assert_eq!(legacy(&server, &tokens.access, None, &request("tools/list", json!({}))).await.status.as_u16(), 200);
        structured(&client.call(&tokens.access, "fetch", json!({ "id": "chatgpt.md" })).await);
        let more = narrow(&server, &client, "docs:read docs:search").await;
        structured(&client.call(&more.access, "search", json!({ "query": "x" })).await);
        structured(&client.call(&more.access, "fetch", json!({ "id": "chatgpt.md" })).await);
    }

    /// S-26, E5: each revision that is asked for is the one that is spoken; nobody needs a session.
    async fn every_revision_is_spoken_on_one_url(database) {
        let (server, _, tokens) = connected(database).await;
        for (asked, given) in LEGACY.into_iter().map(|own| (own, own)).chain([("2024-11-05", "2024-11-05"), ("2099-01-01", "2025-11-25")]) {
            let hello = request("initialize", json!({
                "protocolVersion": asked, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
            }));
            let answer = legacy(&server, &tokens.access, None, &hello).await;
            assert_eq!((answer.status.as_u16(), &answer.json["result"]["protocolVersion"]), (200, &json!(given)), "{asked}");
            assert_eq!(header(&answer, "mcp-session-id"), "");
            assert_eq!(answer.json["result"]["serverInfo"]["name"], "portcullis");
            if given != asked {
                continue;
            }
            let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            let noted = legacy(&server, &tokens.access, Some(asked), &initialized).await;
            assert_eq!((noted.status.as_u16(), noted.text.as_str()), (202, ""));
            let list = legacy(&server, &tokens.access, Some(asked), &request("tools/list", json!({}))).await;
            assert_eq!(list.json["result"]["tools"].as_array().unwrap().len(), 3, "{asked}");
        }
        // With the token it is 405 for all but POST: there are no streams and no sessions to end.
        for method in [Method::GET, Method::DELETE] {
            let request = http().request(method.clone(), server.mcp()).bearer_auth(&tokens.access);
            let answer = answer(request.header("mcp-session-id", "x")).await;
            assert_eq!((answer.status.as_u16(), header(&answer, "allow")), (405, "POST"), "{method}");
        }
        let unknown = legacy(&server, &tokens.access, Some("2099-01-01"), &request("ping", json!({}))).await;
        assert_eq!(code(&unknown), (400, -32022, json!(1)));
        assert_eq!(unknown.json["error"]["data"]["requested"], "2099-01-01");
    }

    /// A5: who sends MCP to the bare origin is answered there like at the endpoint, and challenged like there.
    async fn the_bare_origin_takes_mcp_too(database) {
        let (server, _, tokens) = connected(database).await;
        let list = request("tools/list", json!({})).to_string();
        let at_the_origin = || http().post(server.url("/")).header("content-type", "application/json");
        let answered = answer(at_the_origin().bearer_auth(&tokens.access).body(list.clone())).await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
        assert_eq!(answered.json["result"]["tools"].as_array().unwrap().len(), 3);
        let refused = answer(at_the_origin().body(list)).await;
        assert_eq!((refused.status.as_u16(), header(&refused, "www-authenticate")), (401, challenge(&server, "").as_str()));
    }

    /// E4, S-26, B-27: calls need no handshake, whatever session they claim, at whichever copy; and who calls is
    /// said by the token alone.
    async fn calls_stand_alone_at_every_copy(database) {
        let (server, client, tokens) = connected(database).await;
        let replica = TestServer::on(server.database.clone(), &[], Some(&server.origin)).await;
        server.add_user("zoe", PASSWORD, Role::User).await;
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in_as(&page, "zoe", PASSWORD).await.page();
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        let zoes = client.redeem(&callback.one("code")).await.tokens();
        let call = request("tools/call", json!({ "name": "whoami" })).to_string();
        for origin in [&server.origin, &replica.address] {
            for (tokens, name) in [(&tokens, USER), (&zoes, "zoe")] {
                for version in [None, Some("2025-03-26"), Some("2025-11-25")] {
                    let mut request = http()
                        .post(format!("{origin}/mcp"))
                        .bearer_auth(&tokens.access)
                        .header("content-type", "application/json")
                        .header("mcp-session-id", "the-session-of-ada");
                    if let Some(version) = version {
                        request = request.header("mcp-protocol-version", version);
                    }
                    let person = structured(&answer(request.body(call.clone())).await);
                    assert_eq!((&person["nickname"], &person["id"]), (&json!(name), &tokens.claims()["sub"]));
                }
            }
        }
    }

    /// S-20, S-21, S-23: discovery and calls of 2026-07-28, with all that its results carry.
    async fn the_modern_revision_needs_no_handshake(database) {
        let (server, _, tokens) = connected(database).await;
        let discovered = Modern::new("server/discover", json!({})).send(&server, &tokens.access).await;
        let result = &discovered.json["result"];
        assert_eq!((discovered.status.as_u16(), &discovered.json["id"]), (200, &json!("seven")), "{}", discovered.text);
        assert_eq!(result["supportedVersions"], json!(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN]));
        assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("private")));
        assert!(result["ttlMs"].as_u64().unwrap() > 0);
        assert!(result["capabilities"]["tools"].is_object());
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "portcullis");

        let list = Modern::new("tools/list", json!({})).send(&server, &tokens.access).await.json["result"].clone();
        assert_eq!((&list["resultType"], &list["cacheScope"]), (&json!("complete"), &json!("private")));
        assert!(list["ttlMs"].as_u64().unwrap() > 0);

        let called = Modern::new("tools/call", json!({ "name": "whoami", "arguments": {} })).send(&server, &tokens.access).await;
        assert_eq!(structured(&called)["nickname"], USER);
        assert_eq!((&called.json["result"]["resultType"], called.json["result"].get("ttlMs")), (&json!("complete"), None));
        assert_eq!(header(&called, "mcp-session-id"), "");

        let mut note = Modern::new("notifications/cancelled", json!({ "requestId": 1 }));
        note.message.as_object_mut().unwrap().remove("id");
        let noted = note.send(&server, &tokens.access).await;
        assert_eq!((noted.status.as_u16(), noted.text.as_str()), (202, ""));
    }

    /// S-21, S-22, B-25: contradictions have their own codes and statuses, with the request's id.
    async fn modern_contradictions_have_their_codes(database) {
        let (server, _, tokens) = connected(database).await;
        let list = || Modern::new("tools/list", json!({}));
        let call = || Modern::new("tools/call", json!({ "name": "whoami", "arguments": {} }));
        let without = |member: &str| {
            let mut own = list();
            own.message["params"]["_meta"].as_object_mut().unwrap().remove(member);
            own
        };
        let mut other_version = list().header("mcp-protocol-version", "2099-01-01");
        other_version.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
        for (n, (request, status, number)) in [
            (list().header("mcp-protocol-version", ""), 400, -32020),
            (list().header("mcp-protocol-version", "2025-11-25"), 400, -32020),
            (list().twice("mcp-protocol-version", MODERN), 400, -32020),
            (list().header("mcp-method", ""), 400, -32020),
            (list().header("mcp-method", "tools/call"), 400, -32020),
            (list().header("mcp-method", "Tools/List"), 400, -32020),
            (call().header("mcp-name", ""), 400, -32020),
            (call().header("mcp-name", "search"), 400, -32020),
            (call().header("mcp-name", "=?base64?c2VhcmNo?="), 400, -32020),
            (call().twice("mcp-name", "whoami"), 400, -32020),
            (without("io.modelcontextprotocol/clientCapabilities"), 400, -32602),
            (other_version, 400, -32022),
            (Modern::new("no/such/method", json!({})), 404, -32601),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = request.send(&server, &tokens.access).await;
            assert_eq!(code(&answer), (status, number, json!("seven")), "{n}: {}", answer.text);
            if number == -32022 {
                let data = &answer.json["error"]["data"];
                assert_eq!(data["requested"], "2099-01-01");
                assert!(data["supported"].as_array().unwrap().contains(&json!(MODERN)));
            }
        }
        // Lawful ways to write the same.
        for request in [
            call().header("mcp-name", "=?base64?d2hvYW1p?="),
            call().header("Mcp-Name", " whoami "),
            call().header("MCP-METHOD", "tools/call"),
            without("io.modelcontextprotocol/clientInfo"),
            call().twice("mcp-param-region", "eu"),
            call().twice("mcp-session-id", "x"),
            call().twice("last-event-id", "x"),
            call().twice("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ] {
            let answer = request.send(&server, &tokens.access).await;
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        }
        // S-25: a client that probes without all of this learns from the body that the server is modern.
        let probe = legacy(&server, &tokens.access, None, &json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover" })).await;
        assert_eq!(code(&probe), (400, -32602, json!(1)));
    }

    /// C-02, C-03, C-05, C-06: what clients look for in the list of tools, in every revision.
    async fn the_list_says_all_that_clients_look_for(database) {
        let (server, _, tokens) = connected(database).await;
        let modern = Modern::new("tools/list", json!({})).send(&server, &tokens.access).await;
        let old = legacy(&server, &tokens.access, Some("2025-11-25"), &request("tools/list", json!({}))).await;
        assert_eq!(modern.json["result"]["tools"], old.json["result"]["tools"]);
        let tools = old.json["result"]["tools"].as_array().unwrap().clone();
        let wanted = [("whoami", "account:read"), ("search", "docs:search"), ("fetch", "docs:read")];
        assert_eq!(tools.len(), wanted.len());
        for (tool, (name, scope)) in tools.iter().zip(wanted) {
            assert_eq!(tool["name"], name);
            for text in ["title", "description"] {
                assert!(tool[text].as_str().is_some_and(|text| !text.is_empty()), "{name} {text}");
            }
            for (hint, value) in [("readOnlyHint", true), ("destructiveHint", false), ("openWorldHint", false)] {
                assert_eq!(tool["annotations"][hint], value, "{name} {hint}");
            }
            assert_eq!((&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]), (&json!("object"), &json!("object")));
            let schemes = json!([{ "type": "oauth2", "scopes": [scope] }]);
            assert_eq!((&tool["securitySchemes"], &tool["_meta"]["securitySchemes"]), (&schemes, &schemes));
        }
        assert_eq!(tools[0]["_meta"]["openai/profile"], true);
        assert_eq!((&tools[1]["inputSchema"]["required"], &tools[2]["inputSchema"]["required"]), (&json!(["query"]), &json!(["id"])));
    }

    /// C-12: of a document that clients would drop for its length, they get the beginning and the address of the whole.
    async fn a_long_document_is_cut(database) {
        let documents = Documents::new();
        documents.write("long.txt", &"a word or two ".repeat(20_000));
        documents.write("short.txt", &"a word or two ".repeat(7_000));
        let (server, client, tokens) = connected_with(database, &[("PORTCULLIS__DOCS__FOLDER", documents.path())]).await;
        for (id, whole) in [("long.txt", false), ("short.txt", true)] {
            let document = structured(&client.call(&tokens.access, "fetch", json!({ "id": id })).await);
            let text = document["text"].as_str().unwrap();
            assert!(text.len() < 101_000 && text.starts_with("a word or two a word"), "{id}: {}", text.len());
            assert_eq!(text.ends_with(&format!("{}]", server.url("/docs/long.txt"))), !whole, "{id}");
            assert_eq!(text.len() >= 98_000 && text.ends_with("or two "), whole, "{id}");
        }
    }

    /// C-05: what `search` finds, `fetch` gives, in the same words as text and as structure; mistakes are told to
    /// the model.
    async fn what_search_finds_fetch_gives(database) {
        let (server, client, tokens) = connected(database).await;
        let found = structured(&client.call(&tokens.access, "search", json!({ "query": "connect ChatGPT" })).await);
        let hit = found["results"][0].clone();
        assert_eq!((&hit["id"], &hit["url"]), (&json!("chatgpt.md"), &json!(server.url("/docs/chatgpt.md"))));
        let document = structured(&client.call(&tokens.access, "fetch", json!({ "id": hit["id"] })).await);
        for member in ["id", "title", "url"] {
            assert_eq!(document[member], hit[member]);
        }
        assert!(document["text"].as_str().unwrap().contains("ChatGPT"));
        for (tool, arguments) in [
            ("fetch", json!({ "id": "../Cargo.toml" })),
            ("fetch", json!({ "id": "/etc/passwd" })),
            ("fetch", json!({ "id": "" })),
            ("fetch", json!({})),
            ("search", json!({ "query": 1 })),
            ("search", json!({})),
        ] {
            let answer = client.call(&tokens.access, tool, arguments.clone()).await;
            assert_eq!((answer.status.as_u16(), &answer.json["result"]["isError"]), (200, &json!(true)), "{arguments}");
        }
        let unknown = client.call(&tokens.access, "nobody", json!({})).await;
        assert_eq!(code(&unknown), (200, -32602, json!(1)));
    }

    /// C-06: the id is the same after a refresh, for another client, and with another scope.
    async fn whoami_is_stable(database) {
        let (server, client, tokens) = connected(database).await;
        let me = structured(&client.call(&tokens.access, "whoami", json!({})).await);
        let id = server.user_id(USER).await;
        assert_eq!(me, json!({ "id": id.as_str(), "name": "ada the tester", "nickname": "ada" }));
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        let other = Connector::public(&server).await;
        for token in [renewed.access, other.connect().await.access, narrow(&server, &other, "account:read").await.access] {
            assert_eq!(structured(&client.call(&token, "whoami", json!({})).await), me);
        }
    }

    /// S-27, E3: lax `Accept` works; who takes only an event stream gets one that proxies pass on at once.
    async fn accept_is_read_generously_over_http(database) {
        let (server, _, tokens) = connected(database).await;
        let send = async |accept: Option<&str>| -> Response {
            let mut request = http().post(server.mcp()).bearer_auth(&tokens.access).header("content-type", "application/json");
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            request.header("accept-encoding", "gzip, br").body(request_text("tools/list")).send().await.unwrap()
        };
        for accept in [None, Some("*/*"), Some("application/json"), Some("text/event-stream, application/json"), Some("")] {
            let answer = send(accept).await;
            assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &"application/json".parse().unwrap()), "{accept:?}");
        }
        let stream = send(Some("text/event-stream")).await;
        assert_eq!((stream.status().as_u16(), &stream.headers()["content-type"]), (200, &"text/event-stream".parse().unwrap()));
        assert_eq!(stream.headers()["x-accel-buffering"], "no");
        assert_eq!(stream.headers()["cache-control"], "no-cache, no-transform");
        assert!(!stream.headers().contains_key("content-encoding"));
        let text = stream.text().await.unwrap();
        let event = text.lines().find_map(|line| line.strip_prefix("data: {")).unwrap();
        assert!(serde_json::from_str::<Value>(&format!("{{{event}")).unwrap()["result"]["tools"].is_array());
        assert_eq!(send(Some("text/html")).await.status().as_u16(), 406);
        let form = post(&server, &tokens.access).header("content-type", "application/x-www-form-urlencoded");
        assert!(form.body("a=b").send().await.unwrap().status().is_client_error());
    }

    /// S-20 (2025-03-26): batches, for who still sends them, and for nobody else.
    async fn batches_are_for_the_revision_that_has_them(database) {
        let (server, _, tokens) = connected(database).await;
        let mut second = request("ping", json!({}));
        second["id"] = json!("b");
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let batch = json!([request("tools/call", json!({ "name": "whoami" })), note, second]);
        for version in [None, Some("2025-03-26")] {
            let answer = legacy(&server, &tokens.access, version, &batch).await;
            let answers = answer.json.as_array().unwrap();
            assert_eq!((answer.status.as_u16(), answers.len()), (200, 2), "{}", answer.text);
            assert_eq!(answers[0]["result"]["structuredContent"]["nickname"], USER);
            assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": "b", "result": {} }));
        }
        for version in ["2025-06-18", "2025-11-25", MODERN] {
            let answer = legacy(&server, &tokens.access, Some(version), &batch).await;
            assert_eq!((answer.status.as_u16(), &answer.json["error"]["code"]), (400, &json!(-32600)), "{version}");
        }
    }

    /// S-13, B-22, E2: a browser asks first, without a token; it may send what clients send, and read what it must.
    async fn browsers_may_ask_before_they_have_a_token(database) {
        let (server, _, tokens) = connected(database).await;
        let asked = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, \
                     last-event-id, traceparent, mcp-param-region, mcp-param-anything";
        for path in ["/mcp", "/mcp/", "/", "/token", "/register", "/revoke", "/jwks",
            "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/.well-known/none"]
        {
            let preflight = http()
                .request(Method::OPTIONS, server.url(path))
                .header("origin", "https://app.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", asked)
                .send()
                .await
                .unwrap();
            assert!(preflight.status().is_success(), "{path}: {}", preflight.status());
            let value = |name: &str| preflight.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_lowercase();
            assert_eq!(value("access-control-allow-origin"), "*", "{path}");
            assert_eq!(value("access-control-allow-credentials"), "", "{path}");
            assert!(value("access-control-allow-methods").contains("post"), "{path}");
            let allowed = value("access-control-allow-headers");
            for name in asked.split(", ") {
                assert!(allowed.split(',').any(|own| own.trim() == name), "{path} doesn't allow {name}: {allowed}");
            }
            assert_eq!(value("www-authenticate"), "", "{path}");
        }
        // Also what is refused can be read.
        let origin = "http://localhost:6274";
        let bare = http().post(server.mcp()).header("origin", origin);
        let good = post(&server, &tokens.access).header("origin", origin).body(request_text("ping"));
        let elsewhere = http().get(server.url("/.well-known/oauth-protected-resource/mcp")).header("origin", origin);
        for (request, status) in [(bare, 401), (good, 200), (elsewhere, 200)] {
            let answer = answer(request).await;
            assert_eq!((answer.status.as_u16(), header(&answer, "access-control-allow-origin")), (status, "*"));
            let exposed = header(&answer, "access-control-expose-headers").to_lowercase();
            for name in ["www-authenticate", "mcp-session-id", "mcp-protocol-version", "retry-after"] {
                assert!(exposed.split(',').any(|own| own.trim() == name), "{exposed}");
            }
        }
        // People's pages are no business of other pages.
        for path in ["/authorize", "/login", "/consent", "/account"] {
            for method in [Method::OPTIONS, Method::GET] {
                let request = http().request(method, server.url(path)).header("origin", "https://app.example");
                let answer = request.header("access-control-request-method", "POST").send().await.unwrap();
                let cors = answer.headers().keys().filter(|name| name.as_str().starts_with("access-control-allow")).count();
                assert_eq!(cors, 0, "{path}");
            }
        }
    }

    /// S-10, S-11, S-12, B-21, T19: whose pages may call, and under which name; forwarded names are not believed.
    async fn foreign_origins_and_hosts_are_refused(database) {
        let own = [("PORTCULLIS__MCP__ALLOWED_ORIGINS", "https://app.example"), ("PORTCULLIS__MCP__ALLOWED_HOSTS", "inner.example")];
        let (server, _, tokens) = connected_with(database, &own).await;
        let send = async |headers: &[(&'static str, &str)]| {
            let mut request = post(&server, &tokens.access).body(request_text("ping"));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = answer(request).await;
            (answer.status.as_u16(), answer.json["error"].as_str().unwrap_or_default().to_owned())
        };
        for origin in ["https://evil.example.com", "null", "http://localhost.evil.example", "https://app.example.evil.example", "http://app.example"] {
            assert_eq!(send(&[("origin", origin)]).await, (403, "origin_not_allowed".into()), "{origin}");
        }
        for origin in [&server.origin, "http://localhost:6274", "http://[::1]:1", "https://app.example"] {
            assert_eq!(send(&[("origin", origin)]).await.0, 200, "{origin}");
        }
        for host in ["evil.example.com", "127.0.0.1.evil.example", "localhost.evil.example"] {
            for forwarded in ["localhost", "inner.example", host] {
                let refused = send(&[("host", host), ("x-forwarded-host", forwarded)]).await;
                assert_eq!(refused, (403, "host_not_allowed".into()), "{host} {forwarded}");
            }
        }
        for host in ["localhost:1", "127.0.0.1", "inner.example", "inner.example:8443"] {
            let forwarded = [("host", host), ("x-forwarded-host", "evil.example.com"), ("forwarded", "host=evil.example.com")];
            assert_eq!(send(&forwarded).await.0, 200, "{host}");
        }
        assert_eq!(send(&[]).await.0, 200);
        // The challenge names the configured address, whatever the request says (S-12).
        let asked = http().post(server.mcp()).header("host", "localhost").header("x-forwarded-host", "evil.example.com");
        let asked = answer(asked.header("x-forwarded-proto", "https")).await;
        assert_eq!(header(&asked, "www-authenticate"), challenge(&server, ""));
    }

    /// B-26: too large is 413 in JSON, for who has a token; what is no message is 400 with a JSON-RPC error.
    async fn bodies_have_a_limit_and_a_form(database) {
        let (server, _, tokens) = connected_with(database, &[("PORTCULLIS__LIMITS__MCP_BODY_BYTES", "2000")]).await;
        let padded = |bytes: usize| {
            let text = request_text("ping");
            format!("{text}{}", " ".repeat(bytes - text.len()))
        };
        assert_eq!(answer(post(&server, &tokens.access).body(padded(2_000))).await.status.as_u16(), 200);
        let large = answer(post(&server, &tokens.access).body(padded(2_001))).await;
        assert_eq!((large.status.as_u16(), &large.json["error"]), (413, &json!("payload_too_large")));
        assert_eq!(header(&large, "content-type"), "application/json");
        let stranger = answer(http().post(server.mcp()).body(padded(2_001))).await;
        assert_eq!(stranger.status.as_u16(), 401);
        let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{}1{}}}", "{\"a\":".repeat(300), "}".repeat(300));
        for (body, number) in [("", -32700), ("{", -32700), ("[]", -32600), ("1", -32600), (deep.as_str(), -32600), ("{\"id\":1}", -32600)] {
            let answer = answer(post(&server, &tokens.access).body(body.to_owned())).await;
            assert_eq!((answer.status.as_u16(), answer.json["error"]["code"].as_i64()), (400, Some(number)), "{body:.40}");
        }
    }

    /// C-05: a folder's documents are served as they are now, and nothing outside of it.
    async fn changed_files_are_found(database) {
        let documents = Documents::new();
        documents.write("kept.md", "# Kept\n\nAbout walruses.");
        documents.write("deep/er/changed.txt", "About penguins.");
        documents.write(".hidden.md", "About walruses and secrets.");
        documents.write("program.rs", "About walruses and code.");
        let (server, client, tokens) = connected_with(database, &[("PORTCULLIS__DOCS__FOLDER", documents.path())]).await;
        search_finds(&client, &tokens.access, "walruses", &["kept.md"]).await;
        search_finds(&client, &tokens.access, "penguins", &["deep/er/changed.txt"]).await;

        documents.write("deep/er/changed.txt", "About albatrosses, and no other birds.");
        documents.write("näw file.md", "# Something new\n\nAbout pelicans.");
        search_finds(&client, &tokens.access, "albatrosses", &["deep/er/changed.txt"]).await;
        search_finds(&client, &tokens.access, "pelicans", &["näw file.md"]).await;
        search_finds(&client, &tokens.access, "penguins", &[]).await;
        let fetch = async |id: &str| client.call(&tokens.access, "fetch", json!({ "id": id })).await;
        let changed = structured(&fetch("deep/er/changed.txt").await);
        assert_eq!(changed["text"], "About albatrosses, and no other birds.");
        let new = structured(&fetch("näw file.md").await);
        assert_eq!((&new["title"], &new["url"]), (&json!("Something new"), &json!(server.url("/docs/n%C3%A4w%20file.md"))));
        assert!(new["metadata"]["modified"].as_str().unwrap().starts_with("20"));

        std::fs::remove_file(documents.0.join("kept.md")).unwrap();
        search_finds(&client, &tokens.access, "walruses", &[]).await;
        for id in ["kept.md", ".hidden.md", "program.rs", "deep/../program.rs"] {
            assert_eq!(fetch(id).await.json["result"]["isError"], true, "{id}");
        }
    }

    /// C-05: the address of a document leads people to its page, by way of signing in; its text is only text.
    async fn a_documents_page_is_for_people_who_are_signed_in(database) {
        let documents = Documents::new();
        documents.write("a b/pägé.md", "# The <b>title</b>\n\n<script>alert(1)</script> & walruses");
        let (server, client, tokens) = connected_with(database, &[("PORTCULLIS__DOCS__FOLDER", documents.path())]).await;
        let document = structured(&client.call(&tokens.access, "fetch", json!({ "id": "a b/pägé.md" })).await);
        let url = document["url"].as_str().unwrap();
        let mut browser = Browser::new(&server);
        let login = browser.open(url).await.page();
        assert!(login.url.starts_with(&server.url("/login?")), "{}", login.url);
        assert!(!login.body.contains("walruses"));
        let page = browser.sign_in(&login).await.page();
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, url));
        assert!(page.body.contains("walruses") && page.body.contains("&#60;script&#62;") || page.body.contains("&lt;script&gt;"));
        assert!(!page.body.contains("<script") && !page.body.contains("<b>title"));
        assert!(header_of(&page, "content-security-policy").contains("default-src 'none'"));
        assert_eq!(header_of(&page, "cache-control"), "no-store");
        let missing = browser.open(&server.url("/docs/none.md")).await.page();
        assert_eq!(missing.status.as_u16(), 404);
        for path in ["/docs/../Cargo.toml", "/docs/%2e%2e/Cargo.toml", "/docs//etc/passwd"] {
            let page = browser.send(Method::GET, path, None).await;
            assert_eq!(page.status.as_u16(), 404, "{path}");
        }
        // A bearer token opens no page.
        let bare = http().get(url).bearer_auth(&tokens.access).send().await.unwrap();
        assert_eq!(bare.status().as_u16(), 303);
    }

    /// A tool that is switched off is neither listed nor callable.
    async fn tools_that_are_switched_off_do_not_exist(database) {
        let (server, client, tokens) = connected_with(database, &[("PORTCULLIS__TOOLS__SEARCH__ENABLED", "false")]).await;
        let list = legacy(&server, &tokens.access, None, &request("tools/list", json!({}))).await;
        let names: Vec<_> = list.json["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
        assert_eq!(names, ["whoami", "fetch"]);
        assert_eq!(code(&client.call(&tokens.access, "search", json!({ "query": "x" })).await).1, -32602);
    }
}

fn request_text(method: &str) -> String {
    request(method, json!({})).to_string()
}

fn header_of<'a>(page: &'a crate::browser::Page, name: &str) -> &'a str {
    page.headers.get(name).map_or("", |value| value.to_str().unwrap())
}
