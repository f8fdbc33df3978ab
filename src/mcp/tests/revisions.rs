//! All revisions on one URL (S-20 to S-26, B-25).

use axum::body::Body;
use serde_json::{Value, json};

use super::{ALL, Fixture, MODERN, ping, post};

fn initialize(version: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": { "roots": {} }, "clientInfo": { "name": "t", "version": "1" },
    } })
}

/// S-26: the requested revision is echoed; one without a handshake, or an unknown one, gets the newest that has one.
#[tokio::test]
async fn initialize_echoes_the_version_and_starts_no_session() {
    let fixture = Fixture::new();
    for (asked, given) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        (MODERN, "2025-11-25"),
        ("2030-01-01", "2025-11-25"),
    ] {
        // Twice: ChatGPT does.
        for _ in 0..2 {
            let answer = fixture.legacy(None, &initialize(asked)).await;
            assert_eq!(answer.header("mcp-session-id"), "");
            let result = answer.result();
            assert_eq!(result["protocolVersion"], given, "{asked}");
            assert_eq!(result["serverInfo"]["name"], "portcullis");
            assert_eq!(result["serverInfo"]["title"], "Test");
            assert_eq!(result["capabilities"], json!({ "tools": {}, "prompts": {}, "resources": {} }));
        }
    }
}

/// What follows needs neither a session nor the version header, and an unknown session id doesn't matter.
#[tokio::test]
async fn legacy_requests_stand_alone() {
    let fixture = Fixture::new();
    for version in [None, Some("2025-03-26"), Some("2025-06-18"), Some("2025-11-25")] {
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let answer = fixture.legacy(version, &initialized).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
        assert_eq!(fixture.legacy(version, &ping()).await.result(), json!({}));
        let list = json!({ "jsonrpc": "2.0", "id": "x", "method": "tools/list", "params": {} });
        let result = fixture.legacy(version, &list).await.result();
        assert!(result.get("resultType").is_none() && result.get("ttlMs").is_none(), "{result}");
        let unknown = json!({ "jsonrpc": "2.0", "id": 9, "method": "nothing/like/it" });
        assert_eq!(fixture.legacy(version, &unknown).await.code(), (200, -32601, json!(9)));
    }
    let request = post(&fixture.token(ALL)).header("mcp-session-id", "of-another-server");
    let answer = fixture.send(request.body(Body::from(ping().to_string())).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("mcp-session-id")), (200, ""));
}

/// S-21, S-25: an unknown version is 400 with a body that says which are known.
#[tokio::test]
async fn unknown_version_is_named_beside_the_known_ones() {
    let fixture = Fixture::new();
    let answer = fixture.legacy(Some("2030-01-01"), &ping()).await;
    assert_eq!(answer.code(), (400, -32022, json!(1)));
    let supported = json!(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]);
    let data = json!({ "supported": supported, "requested": "2030-01-01" });
    assert_eq!(answer.json()["error"]["data"], data);

    let answer = fixture
        .modern("tools/list", json!({}), |headers, message| {
            headers.insert("mcp-protocol-version", "2030-01-01".parse().unwrap());
            message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2030-01-01");
        })
        .await;
    assert_eq!(answer.code(), (400, -32022, json!(7)));
    assert_eq!(answer.json()["error"]["data"], data);
}

/// S-23: what every result of 2026-07-28 carries.
#[tokio::test]
async fn modern_results_carry_type_cache_hints_and_server() {
    let fixture = Fixture::new();
    for (method, params, cacheable) in [
        ("server/discover", json!({}), true),
        // Members that nobody knows yet are no reason to fail.
        ("server/discover", json!({ "future": 1 }), true),
        ("tools/list", json!({}), true),
        ("tools/call", json!({ "name": "whoami", "arguments": {} }), false),
    ] {
        let result = fixture.modern(method, params, |_, _| {}).await.result();
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "portcullis", "{method}");
        assert_eq!(result["ttlMs"].as_u64(), cacheable.then_some(300_000), "{method}");
        assert_eq!(result["cacheScope"].as_str(), cacheable.then_some("private"), "{method}");
    }
    let discovery = fixture.modern("server/discover", json!({}), |_, _| {}).await.result();
    assert_eq!(discovery["supportedVersions"].as_array().unwrap().last(), Some(&json!(MODERN)));
    assert_eq!(discovery["capabilities"], json!({ "tools": {}, "prompts": {}, "resources": {} }));
}

/// A change to one header.
enum Edit {
    Remove(&'static str),
    Set(&'static str, &'static str),
    Add(&'static str, &'static str),
}

impl Edit {
    fn apply(&self, headers: &mut axum::http::HeaderMap) {
        match *self {
            Self::Remove(name) => _ = headers.remove(name),
            Self::Set(name, value) => _ = headers.insert(name, value.parse().unwrap()),
            Self::Add(name, value) => _ = headers.append(name, value.parse().unwrap()),
        }
    }
}

/// S-21, S-22, B-25: headers that are missing, repeated or say something else than the body.
#[tokio::test]
async fn headers_that_contradict_the_body_are_header_mismatches() {
    let fixture = Fixture::new();
    for (method, edit) in [
        ("tools/list", Edit::Remove("mcp-protocol-version")),
        ("tools/list", Edit::Set("mcp-protocol-version", "2025-11-25")),
        ("tools/list", Edit::Add("mcp-protocol-version", MODERN)),
        ("tools/list", Edit::Remove("mcp-method")),
        ("tools/list", Edit::Set("mcp-method", "tools/call")),
        ("tools/list", Edit::Set("mcp-method", "TOOLS/LIST")),
        ("tools/list", Edit::Add("mcp-method", "tools/list")),
        ("tools/call", Edit::Remove("mcp-name")),
        ("tools/call", Edit::Set("mcp-name", "search")),
        ("tools/call", Edit::Add("mcp-name", "whoami")),
    ] {
        let params = if method == "tools/call" { json!({ "name": "whoami" }) } else { json!({}) };
        let answer = fixture.modern(method, params, |headers, _| edit.apply(headers)).await;
        assert_eq!(answer.code(), (400, -32020, json!(7)), "{}", answer.body);
    }
}

/// S-21: the status and code of each other mistake, with the request's id.
#[tokio::test]
async fn modern_mistakes_have_their_own_codes() {
    let fixture = Fixture::new();
    let version_only = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN } });
    for (method, params, status, code) in [
        ("tools/list", Some(json!({})), 400, -32602),
        ("tools/list", None, 400, -32602),
        ("tools/list", Some(version_only), 400, -32602),
        ("server/discover", Some(json!({})), 400, -32602),
        ("server/discover", None, 400, -32602),
    ] {
        let answer = fixture
            .modern(method, json!({}), |_, message| match params {
                Some(params) => message["params"] = params,
                None => _ = message.as_object_mut().unwrap().remove("params"),
            })
            .await;
        assert_eq!(answer.code(), (status, code, json!(7)), "{method}: {}", answer.body);
    }
    let unknown = fixture.modern("no/such/method", json!({}), |_, _| {}).await;
    assert_eq!(unknown.code(), (404, -32601, json!(7)));
    let nobody = fixture.modern("tools/call", json!({ "name": "nobody" }), |_, _| {}).await;
    assert_eq!(nobody.code(), (200, -32602, json!(7)));
    // ChatGPT asks for discovery first and falls back by the body of the answer (S-25).
    let bare = json!({ "jsonrpc": "2.0", "id": 7, "method": "server/discover" });
    assert_eq!(fixture.legacy(None, &bare).await.code(), (400, -32602, json!(7)));
}

/// S-22: `Mcp-Name` may be wrapped in base64.
#[tokio::test]
async fn wrapped_header_values_are_unwrapped() {
    let fixture = Fixture::new();
    let wrap = |value: &'static str| {
        move |headers: &mut axum::http::HeaderMap, _: &mut Value| {
            headers.insert("mcp-name", value.parse().unwrap());
        }
    };
    let params = || json!({ "name": "whoami", "arguments": {} });
    // "whoami" and "search" in base64.
    assert_eq!(fixture.modern("tools/call", params(), wrap("=?base64?d2hvYW1p?=")).await.status.as_u16(), 200);
    assert_eq!(fixture.modern("tools/call", params(), wrap("=?base64?c2VhcmNo?=")).await.code().1, -32020);
}

#[tokio::test]
async fn modern_notification_is_202_and_empty() {
    let fixture = Fixture::new();
    let answer = fixture
        .modern("notifications/cancelled", json!({ "requestId": 1 }), |_, message| {
            message.as_object_mut().unwrap().remove("id");
        })
        .await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
}

/// What is switched off isn't there: neither listed nor callable nor in need of a scope.
#[tokio::test]
async fn tools_that_are_off_do_not_exist() {
    let fixture = Fixture::with(|settings| settings.tools.search = None);
    let list = fixture.legacy(None, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await.result();
    let names: Vec<_> = list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["whoami", "fetch"]);
    let answer = fixture.legacy(None, &super::call("search", &json!({ "query": "x" }))).await;
    assert_eq!(answer.code(), (200, -32602, json!(1)));
    assert!(answer.body.contains("There are: whoami, fetch."), "{}", answer.body);
}

/// What is declared is answered, also where there is nothing to give.
#[tokio::test]
async fn prompts_and_resources_are_empty() {
    let fixture = Fixture::new();
    for (method, nothing) in [
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        let listed = fixture.modern(method, json!({}), |_, _| {}).await.result();
        assert_eq!((&listed[nothing], &listed["cacheScope"]), (&json!([]), &json!("private")), "{method}");
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
        assert_eq!(fixture.legacy(None, &request).await.result()[nothing], json!([]), "{method}");
    }
    let name =
        |headers: &mut axum::http::HeaderMap, _: &mut Value| _ = headers.insert("mcp-name", "x:y".parse().unwrap());
    let read = fixture.modern("resources/read", json!({ "uri": "x:y" }), name).await;
    assert_eq!(read.code(), (200, -32602, json!(7)));
    let get = fixture.modern("prompts/get", json!({ "name": "x" }), |_, _| {}).await;
    assert_eq!(get.code(), (200, -32602, json!(7)));
}
