//! `search`: documents that match a text, in the exact shape that ChatGPT's deep research asks for (C-05).

use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Value, json};

use super::{Definition, Kind, text_argument};
use crate::library::Library;

/// How many documents a search gives: enough to choose from, few enough to read.
const RESULTS: usize = 10;

pub(super) fn definition() -> Definition {
    let text = || json!({ "type": "string" });
    Definition {
        kind: Kind::Search,
        title: "Search documents",
        description: "Searches the documents of this server and lists the best matches with their ids. Use `fetch` with \
                      an id to read one.",
        input: json!({
            "type": "object",
            "properties": {
                "query": { "type": "string", "minLength": 1, "description": "What to look for, in a few words." },
            },
            "required": ["query"],
        }),
        output: json!({
            "type": "object",
            "properties": {
                "results": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "id": text(), "title": text(), "url": text() },
                        "required": ["id", "title", "url"],
                    },
                },
            },
            "required": ["results"],
        }),
        meta: JsonObject::new(),
    }
}

pub(super) async fn call(library: &Library, arguments: &JsonObject) -> CallToolResult {
    let query = match text_argument(arguments, "query", "how to connect a client") {
        Ok(query) => query,
        Err(failure) => return failure,
    };
    let results: Vec<Value> = library
        .search_aside(query, RESULTS)
        .await
        .into_iter()
        .map(|hit| json!({ "id": hit.id, "title": hit.title, "url": hit.url }))
        .collect();
    // The same JSON twice, as structured content and as one text: some clients read only the latter.
    CallToolResult::structured(json!({ "results": results }))
}
