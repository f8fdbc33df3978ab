//! `whoami`: who the caller is (C-06). Clients with several accounts tell them apart by its `id`, so that is the
//! token's `sub`: the same across refreshes, reconnections and scopes.

use std::future::Future;
use std::pin::Pin;

use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Value, json};

use super::{Definition, Kind};
use crate::mcp::guard::Caller;

/// A person as `whoami` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The user's id.
    pub(crate) id: String,
    /// The name to show; may be blank.
    pub(crate) name: String,
    /// The name to sign in with.
    pub(crate) login: String,
}

/// Where people's names are found: the resource half's only question to the rest of the product.
pub(crate) trait Directory: Send + Sync {
    /// The person with this id; `None` when there is none or nobody can tell now.
    fn person<'a>(&'a self, sub: &'a str) -> Pin<Box<dyn Future<Output = Option<Person>> + Send + 'a>>;
}

pub(super) fn definition() -> Definition {
    let text = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
    Definition {
        kind: Kind::Whoami,
        title: "Who am I",
        description: "Tells which account of this server the connection uses: its stable id and its names.",
        input: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        output: json!({
            "type": "object",
            "properties": {
                "id": text("The account's id; never changes."),
                "name": text("The name that the person chose to be shown."),
                "nickname": text("The name that the person signs in with."),
            },
            "required": ["id"],
            "additionalProperties": false,
        }),
        meta: JsonObject::from_iter([("openai/profile".to_owned(), Value::Bool(true))]),
    }
}

/// An unknown person still has an id: the token's word for it is good.
pub(super) async fn call(directory: &dyn Directory, caller: &Caller) -> CallToolResult {
    let mut profile = JsonObject::from_iter([("id".to_owned(), Value::from(caller.sub.as_str()))]);
    if let Some(person) = directory.person(&caller.sub).await {
        for (member, text) in [("name", person.name), ("nickname", person.login)] {
            if !text.trim().is_empty() {
                profile.insert(member.to_owned(), Value::from(text));
            }
        }
    }
    CallToolResult::structured(Value::Object(profile))
}
