//! What is refused after the guard: methods, media, sizes, scopes; and before it: hosts and origins.

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};

use super::{ALL, Fixture, METADATA, call, ping, post};

fn ping_with(fixture: &Fixture, headers: &[(&'static str, &str)]) -> Request {
    let mut request = post(&fixture.token(ALL)).body(Body::from(ping().to_string())).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// B-21: host and origin are judged first; the shape is our JSON, not a challenge.
#[tokio::test]
async fn foreign_hosts_and_origins_are_403() {
    let fixture = Fixture::new();
    for (headers, error) in [
        (&[("host", "evil.example.com")][..], "host_not_allowed"),
        (&[("host", "evil.example.com"), ("x-forwarded-host", "mcp.example.com")], "host_not_allowed"),
        (&[("origin", "https://evil.example.com")], "origin_not_allowed"),
        (&[("origin", "null")], "origin_not_allowed"),
    ] {
        let answer = fixture.send(ping_with(&fixture, headers)).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (403, ""), "{headers:?}");
        assert_eq!(answer.json()["error"], error);
    }
    let answer = fixture.send(ping_with(&fixture, &[("host", "inner:8080")])).await;
    let text = answer.json()["error_description"].as_str().unwrap().to_owned();
    for part in ["inner:8080", "mcp.example.com", "mcp.allowed_hosts"] {
        assert!(text.contains(part), "{text}");
    }
    for headers in [&[("host", "localhost:8080")][..], &[("origin", "http://localhost:6274")], &[]] {
        assert_eq!(fixture.send(ping_with(&fixture, headers)).await.status.as_u16(), 200, "{headers:?}");
    }
}

/// D-26, B-10: a real 403 with all that is needed, before anything is executed.
#[tokio::test]
async fn call_without_its_scope_is_403_insufficient_scope() {
    let fixture = Fixture::new();
    let token = fixture.token("docs:read extra");
    let answer = fixture
        .send(post(&token).body(Body::from(call("search", &json!({ "query": "x" })).to_string())).unwrap())
        .await;
    assert_eq!(answer.status.as_u16(), 403);
    assert_eq!(
        answer.header("www-authenticate"),
        format!(
            "Bearer error=\"insufficient_scope\", error_description=\"This call also needs the scope docs:search.\", \
             scope=\"docs:read docs:search extra\", resource_metadata=\"{METADATA}\""
        )
    );
    assert_eq!(answer.json()["error"], "insufficient_scope");
    // Everything that is no call needs no scope, and every tool is listed.
    for message in [ping(), json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })] {
        let answer = fixture.send(post(&fixture.token("")).body(Body::from(message.to_string())).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 200);
    }
    let answer = fixture
        .send(post(&token).body(Body::from(call("fetch", &json!({ "id": "claude.md" })).to_string())).unwrap())
        .await;
    assert_eq!(answer.result()["isError"], false);
}

/// However the message is written, and whatever the headers say: the body decides.
#[tokio::test]
async fn scope_check_can_not_be_talked_around() {
    let fixture = Fixture::new();
    let token = fixture.token("docs:read");
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools\/c\u0061ll","params":{"n\u0061me":"\u0073earch","arguments":{"query":"x"}}}"#.to_owned(),
        format!("\n\t {}", call("search", &json!({ "query": "x" }))),
        format!("[{}]", call("search", &json!({ "query": "x" }))),
        format!("[{},{}]", ping(), call("whoami", &json!({}))),
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"search"}}"#.to_owned(),
    ] {
        let request = post(&token).header("mcp-method", "tools/call").header("mcp-name", "fetch").body(Body::from(body.clone()));
        assert_eq!(fixture.send(request.unwrap()).await.status.as_u16(), 403, "{body}");
    }
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch","name":"search","arguments":{"query":"x"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"search"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch"},"params":{"name":"search"}}"#,
    ] {
        let answer = fixture.send(post(&token).body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.code().0, answer.code().1), (400, -32600), "{body}");
    }
}

/// Sessions don't exist: DELETE and GET are answered for good, without another challenge.
#[tokio::test]
async fn other_methods_are_405_with_a_good_token() {
    let fixture = Fixture::new();
    for method in ["GET", "DELETE", "PUT"] {
        let mut request = ping_with(&fixture, &[("mcp-session-id", "gone")]);
        *request.method_mut() = method.parse().unwrap();
        let answer = fixture.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow"), answer.header("www-authenticate")),
            (405, "POST", "")
        );
        assert_eq!(answer.json()["error"], "method_not_allowed");
    }
}

/// S-27: lax `Accept` works; an event stream is only for who takes nothing else.
#[tokio::test]
async fn answers_come_in_what_the_client_accepts() {
    let fixture = Fixture::new();
    for accept in ["*/*", "application/json", "application/json, text/event-stream", ""] {
        let answer = fixture.send(ping_with(&fixture, &[("accept", accept)])).await;
        assert_eq!(answer.json()["result"], json!({}), "{accept}");
    }
    let mut request = ping_with(&fixture, &[]);
    request.headers_mut().remove("accept");
    assert_eq!(fixture.send(request).await.status.as_u16(), 200);

    let answer = fixture.send(ping_with(&fixture, &[("accept", "text/event-stream")])).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
    assert!(answer.body.contains(r#"data: {"jsonrpc":"2.0","id":1,"result":{}}"#), "{}", answer.body);

    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let mut request = post(&fixture.token(ALL)).body(Body::from(list.to_string())).unwrap();
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let listed = fixture.send(request).await;
    let event = listed.body.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(event).unwrap(), fixture.legacy(None, &list).await.json());

    let answer = fixture.send(ping_with(&fixture, &[("accept", "text/html")])).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"].clone()), (406, json!("not_acceptable")));
}

#[tokio::test]
async fn body_must_be_json_by_its_type() {
    let fixture = Fixture::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let answer = fixture.send(ping_with(&fixture, &[("content-type", kind)])).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"].clone()),
            (415, json!("unsupported_media_type")),
            "{kind}"
        );
    }
    let answer = fixture.send(ping_with(&fixture, &[("content-type", "Application/JSON; charset=utf-8")])).await;
    assert_eq!(answer.status.as_u16(), 200);
}

/// B-26: whether the length is announced or not.
#[tokio::test]
async fn large_bodies_are_413() {
    let fixture = Fixture::with(|settings| settings.body_limit = 300);
    let padded = |bytes: usize| {
        let mut body = ping().to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    };
    for (body, announced, status) in [
        (padded(300), None, 200),
        (padded(301), None, 413),
        (padded(301), Some("301"), 413),
        (padded(10_000), None, 413),
    ] {
        let mut request = post(&fixture.token(ALL));
        if let Some(length) = announced {
            request = request.header("content-length", length);
        }
        let answer = fixture.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status);
        if status == 413 {
            let json = answer.json();
            assert_eq!(json["error"], "payload_too_large");
            assert!(json["error_description"].as_str().unwrap().contains("300 bytes"));
        }
    }
}

/// B-26: what is no message is 400 with a JSON-RPC error, however deep it is nested.
#[tokio::test]
async fn broken_messages_are_json_rpc_errors() {
    let fixture = Fixture::new();
    let nested = |depth: usize| {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"fetch\",\"arguments\":{open}1{close}}}}}"
        )
    };
    for (body, code) in [
        (String::new(), -32700),
        ("{".into(), -32700),
        ("nonsense".into(), -32700),
        ("1".into(), -32600),
        ("{}".into(), -32600),
        (r#"{"id":1,"method":"ping"}"#.into(), -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#.into(), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into(), -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.into(), -32600),
        ("[]".into(), -32600),
        (nested(10_000), -32600),
    ] {
        let answer = fixture.send(post(&fixture.token(ALL)).body(Body::from(body.clone())).unwrap()).await;
        let (status, got, _) = answer.code();
        assert_eq!((status, got), (400, code), "{body:.60}");
    }
    let answer = fixture.send(post(&fixture.token(ALL)).body(Body::from(nested(50))).unwrap()).await;
    assert_eq!(answer.result()["isError"], true);
}

/// 2025-03-26 has batches; nobody else has.
#[tokio::test]
async fn batches_are_answered_together() {
    let fixture = Fixture::new();
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let mut second = ping();
    second["id"] = json!("b");
    let batch =
        json!([call("whoami", &json!({})), note, second, { "jsonrpc": "2.0", "id": 3, "method": "initialize" }, 5]);
    for version in [None, Some("2025-03-26")] {
        let answers = fixture.legacy(version, &batch).await.json();
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), 4, "{answers:?}");
        assert_eq!((&answers[0]["id"], &answers[0]["result"]["structuredContent"]["id"]), (&json!(1), &json!("usr_1")));
        assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": "b", "result": {} }));
        assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!(3), &json!(-32600)));
        assert_eq!((answers[3].get("id"), &answers[3]["error"]["code"]), (None, &json!(-32600)));
    }
    let answer = fixture.legacy(None, &json!([note])).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let (status, code, id) = fixture.legacy(Some(version), &batch).await.code();
        assert_eq!((status, code, id), (400, -32600, Value::Null), "{version}");
    }
}
