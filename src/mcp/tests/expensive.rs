//! JSON that costs more to build than to send.

use axum::body::Body;
use oauth::json::{Bounds, Size};
use serde_json::{Value, json};

use super::{ALL, Fixture, post};

const MIB: usize = 1024 * 1024;
const BOUNDS: Bounds = Bounds { depth: 64, values: 10_000 };

fn large() -> Fixture {
    Fixture::with(|settings| settings.body_limit = 4 * MIB)
}

/// `piece` again and again, four mebibytes of it.
fn many(piece: &str) -> String {
    piece.repeat((4 * MIB - 300) / piece.len())
}

fn call_with(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"me","method":"tools/call","params":{{"name":"fetch","arguments":{{"id":"x","more":{arguments}}}}}}}"#
    )
}

/// Bodies that the limit on bytes lets pass, and the id that is in them.
fn bombs() -> Vec<(&'static str, String, Option<Value>)> {
    let list = |piece: &str| format!("[{}0]", many(piece));
    let nested = |open: &str, close: &str, depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
    let me = Some(json!("me"));
    let huge = list("{\"\":0},");
    let envelope = |members: &str| format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
    vec![
        ("small objects", call_with(&huge), me.clone()),
        ("empty objects", call_with(&list("{},")), me.clone()),
        ("empty arrays", call_with(&list("[],")), me.clone()),
        ("empty texts", call_with(&list("\"\",")), me.clone()),
        ("numbers", call_with(&list("0,")), me.clone()),
        ("long numbers", call_with(&list("-1.2345678e9,")), me.clone()),
        ("words", call_with(&list("null,")), me.clone()),
        ("arrays of arrays", call_with(&list("[[[[0]]]],")), me.clone()),
        ("blanks between", call_with(&list("0 ,\n")), me.clone()),
        ("one name repeated", call_with(&format!("{{{}\"a\":0}}", many("\"a\":0,"))), me.clone()),
        (
            "many names",
            call_with(&format!(
                "{{{}\"\":0}}",
                (0..200_000).fold(String::new(), |text, n| text + &format!("\"{n:x}\":{n},"))
            )),
            me.clone(),
        ),
        ("deep arrays", call_with(&nested("[", "]", 100)), me.clone()),
        ("deep objects", call_with(&nested("{\"a\":", "}", 100)), me.clone()),
        // Deeper than it can be read to its end: whose it is isn't known then.
        ("very deep", call_with(&"[".repeat(2 * MIB)), None),
        ("in params", envelope(&format!(r#""id":7,"method":"tools/list","params":{{"x":{huge}}}"#)), Some(json!(7))),
        (
            "in _meta",
            envelope(&format!(r#""id":7,"method":"ping","params":{{"_meta":{{"x":{huge}}}}}"#)),
            Some(json!(7)),
        ),
        (
            "as the name",
            envelope(&format!(r#""id":7,"method":"tools/call","params":{{"name":{huge}}}"#)),
            Some(json!(7)),
        ),
        ("beside the members", envelope(&format!(r#""x":{huge},"id":7,"method":"ping""#)), Some(json!(7))),
        ("as params", envelope(&format!(r#""id":7,"method":"ping","params":{huge}"#)), None),
        ("as the id", envelope(&format!(r#""id":{huge},"method":"ping""#)), None),
        ("as the method", envelope(&format!(r#""id":7,"method":{huge}"#)), None),
        ("as a result", envelope(&format!(r#""id":7,"result":{huge}"#)), Some(json!(7))),
        ("as an error", envelope(&format!(r#""id":7,"error":{{"data":{huge}}}"#)), Some(json!(7))),
        ("in a notification", envelope(&format!(r#""method":"notifications/x","params":{{"x":{huge}}}"#)), None),
        ("as a batch", huge.clone(), None),
        ("in a batch", format!("[{},{}]", call_with("0"), call_with(&list("{},"))), None),
        (
            "in many of a batch",
            format!("[{}0]", format!("{},", call_with(&format!("[{}0]", "0,".repeat(600)))).repeat(20)),
            None,
        ),
        ("no JSON at all", many("0,"), None),
        ("cut off", call_with(&many("[],")).replace(']', " "), None),
    ]
}

/// B-26: how much a message holds is judged before any of it is built, wherever in the message it stands. That nothing
/// was built shows in a process of its own: see `expensive_json_costs_no_memory` in the suite.
#[tokio::test]
async fn expensive_json_is_refused_before_it_is_built() {
    let fixture = large();
    for (what, body, id) in bombs() {
        assert!(body.len() <= 4 * MIB, "{what}");
        let size = Size::of(body.as_bytes());
        let answer = fixture.send(post(&fixture.token(ALL)).body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.code().1), (400, -32600), "{what}: {answer:?}");
        let json = answer.json();
        assert_eq!(json.get("id"), id.as_ref(), "{what}");
        let told = json["error"]["message"].as_str().unwrap();
        let (found, most, setting) = if size.depth > BOUNDS.depth {
            (size.depth, BOUNDS.depth, "limits.mcp_json_depth")
        } else {
            (size.values, BOUNDS.values, "limits.mcp_json_values")
        };
        for part in [format!(" {found} "), format!("at most {most} are read"), setting.to_owned()] {
            assert!(told.contains(&part), "{what}: {told}");
        }
        assert!(answer.body.len() < 500, "{what}: {}", answer.body.len());
    }
}

/// What is at the bounds is read by every parser behind them.
#[tokio::test]
async fn a_message_at_the_bounds_is_served() {
    let fixture = large();
    let nested = |depth: usize| format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
    let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
    let rest = Size::of(call_with("0").as_bytes());
    let (values, depth) = (BOUNDS.values - rest.values + 1, BOUNDS.depth - rest.depth);
    let text = "x".repeat(4 * MIB - 300);
    let escapes = "\\u0000".repeat((4 * MIB - 300) / 6);
    for (lawful, arguments) in [
        (true, list(values)),
        (false, list(values + 1)),
        (true, nested(depth)),
        (false, nested(depth + 1)),
        (true, format!("\"{text}\"")),
        (true, format!("\"{escapes}\"")),
        (true, format!("{{\"{text}\":0}}")),
        (true, " ".repeat(4 * MIB - 300) + "0"),
        (true, "1".repeat(4 * MIB - 300) + "e-4194300"),
        (true, "{\"a\":[{\"b\":\"[[[[{{{{,,,,\"}]}".to_owned()),
    ] {
        let body = call_with(&arguments);
        assert_eq!(BOUNDS.check(body.as_bytes()).is_ok(), lawful, "{arguments:.40}");
        for message in [body.clone(), format!("[{body}]")] {
            // A batch is one deeper and one more.
            let lawful = lawful && BOUNDS.check(message.as_bytes()).is_ok();
            let answer = fixture.send(post(&fixture.token(ALL)).body(Body::from(message)).unwrap()).await;
            assert_eq!(answer.status.as_u16(), if lawful { 200 } else { 400 }, "{arguments:.40}: {:.400}", answer.body);
            assert!(!lawful || answer.body.contains("There is no document with the id"), "{:.400}", answer.body);
        }
    }
}

/// What comes back of a message is short, however long it was.
#[tokio::test]
async fn answers_repeat_long_names_cut() {
    let fixture = large();
    let long = "n".repeat(MIB);
    let message =
        |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    for message in [
        message(&long, json!({})),
        message("tools/call", json!({ "name": long, "arguments": {} })),
        message("tools/call", json!({ "name": "fetch", "arguments": { "id": long } })),
        message("tools/call", json!({ "name": "search", "arguments": { "query": long } })),
        message("prompts/get", json!({ "name": long })),
        message("resources/read", json!({ "uri": format!("x:{long}") })),
        message("completion/complete", json!({ "ref": { "type": long } })),
        message("logging/setLevel", json!({ "level": long })),
        message(
            "initialize",
            json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": long, "version": "1" } }),
        ),
        json!({ "jsonrpc": long, "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": long, "method": "ping" }),
    ] {
        let body = message.to_string();
        for version in [None, Some("2025-11-25"), Some("2026-07-28")] {
            let mut request = post(&fixture.token(ALL));
            if let Some(version) = version {
                request = request.header("mcp-protocol-version", version);
            }
            let answer = fixture.send(request.body(Body::from(body.clone())).unwrap()).await;
            assert!(answer.body.len() < 4096, "{:.80}: {} bytes: {:.200}", body, answer.body.len(), answer.body);
        }
    }
}
