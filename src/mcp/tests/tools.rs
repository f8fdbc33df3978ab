//! The built-in tools as clients see them (C-02 to C-06).

use axum::body::Body;
use serde_json::{Value, json};

use super::{ALL, Fixture, call, claims, post};
use crate::crypto::jwt::AccessTokenClaims;

async fn result(fixture: &Fixture, tool: &str, arguments: Value) -> Value {
    fixture.legacy(Some("2025-11-25"), &call(tool, &arguments)).await.result()
}

fn text(result: &Value) -> &str {
    let content = result["content"].as_array().unwrap();
    assert_eq!((content.len(), content[0]["type"].as_str()), (1, Some("text")), "{result}");
    content[0]["text"].as_str().unwrap()
}

/// The structured content and the same JSON as the one text.
fn structured(result: &Value) -> &Value {
    assert_eq!(result["isError"], false, "{result}");
    let structured = &result["structuredContent"];
    assert_eq!(&serde_json::from_str::<Value>(text(result)).unwrap(), structured);
    structured
}

#[tokio::test]
async fn list_says_all_that_clients_look_for() {
    let fixture = Fixture::new();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let list = fixture.legacy(None, &request).await.result();
    let tools = list["tools"].as_array().unwrap();
    let scopes = [("whoami", "account:read"), ("search", "docs:search"), ("fetch", "docs:read")];
    assert_eq!(tools.len(), scopes.len());
    for (tool, (name, scope)) in tools.iter().zip(scopes) {
        assert_eq!(tool["name"], name);
        let schemes = json!([{ "type": "oauth2", "scopes": [scope] }]);
        assert_eq!((&tool["_meta"]["securitySchemes"], &tool["securitySchemes"]), (&schemes, &schemes));
        assert!(!tool["title"].as_str().unwrap().is_empty() && !tool["description"].as_str().unwrap().is_empty());
        let hints = json!({ "title": tool["title"], "readOnlyHint": true, "destructiveHint": false,
            "idempotentHint": true, "openWorldHint": false });
        assert_eq!(tool["annotations"], hints);
        assert_eq!((&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]), (&json!("object"), &json!("object")));
    }
    assert_eq!(tools[0]["_meta"]["openai/profile"], true);
    assert_eq!(tools[0]["outputSchema"]["required"], json!(["id"]));
    assert_eq!(tools[0]["outputSchema"]["additionalProperties"], false);
    let cursor = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "cursor": "2" } });
    assert_eq!(fixture.legacy(None, &cursor).await.code().1, -32602);
}

/// C-06.
#[tokio::test]
async fn whoami_gives_the_stable_id_and_the_names_that_there_are() {
    let fixture = Fixture::new();
    let known = json!({ "id": "usr_1", "name": "Ada L.", "nickname": "ada" });
    assert_eq!(structured(&result(&fixture, "whoami", json!({})).await), &known);
    let mut bare = call("whoami", &json!({}));
    bare["params"].as_object_mut().unwrap().remove("arguments");
    assert_eq!(structured(&fixture.legacy(None, &bare).await.result()), &known);

    let token = fixture.token_of(&AccessTokenClaims { sub: "usr_gone".into(), ..claims(ALL) });
    let request = post(&token).body(Body::from(bare.to_string())).unwrap();
    assert_eq!(structured(&fixture.send(request).await.result()), &json!({ "id": "usr_gone" }));
}

/// C-05.
#[tokio::test]
async fn search_and_fetch_have_the_exact_shapes() {
    let fixture = Fixture::new();
    let found = result(&fixture, "search", json!({ "query": "connect ChatGPT" })).await;
    let found = structured(&found).as_object().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["results"]);
    let first = &found["results"][0];
    assert_eq!(first.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "title", "url"]);
    assert_eq!(
        (&first["id"], &first["url"]),
        (&json!("chatgpt.md"), &json!("https://mcp.example.com/docs/chatgpt.md"))
    );

    let document = result(&fixture, "fetch", json!({ "id": first["id"] })).await;
    let document = structured(&document);
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "text", "title", "url"]);
    assert_eq!((&document["id"], &document["title"], &document["url"]), (&first["id"], &first["title"], &first["url"]));
    assert!(document["text"].as_str().unwrap().len() > 200);

    let nothing = result(&fixture, "search", json!({ "query": "xyzzy" })).await;
    assert_eq!(structured(&nothing), &json!({ "results": [] }));
}

#[tokio::test]
async fn bad_arguments_are_told_to_the_model() {
    let fixture = Fixture::new();
    for (tool, arguments, words) in [
        ("search", json!({}), "\"query\" is missing"),
        ("search", json!({ "query": 5 }), "\"query\" is not a string"),
        ("search", json!({ "query": "  " }), "\"query\" is blank"),
        ("fetch", json!({ "query": "x" }), "\"id\" is missing"),
        ("fetch", json!({ "id": ["a"] }), "\"id\" is not a string"),
        ("fetch", json!({ "id": "../Cargo.toml" }), "Call `search`"),
    ] {
        let result = result(&fixture, tool, arguments).await;
        assert_eq!((&result["isError"], result.get("structuredContent")), (&json!(true), None));
        assert!(text(&result).contains(words), "{result}");
    }
}
