//! The built-in tools: what each is called, takes, gives and needs, and the calls themselves.
//!
//! Whether a caller may call is decided before anything here runs. Arguments that don't fit lead to a tool
//! error with a sentence, not to a protocol error: the model reads the former and can do better.

mod fetch;
mod search;
pub(crate) mod whoami;

use std::sync::Arc;

use oauth::scope::Scope;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::guard::Caller;
use crate::library::Library;
use whoami::Directory;

/// Which tools are on, and the scopes that each needs. `None` is off.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolSettings {
    /// Says who the caller is.
    pub(crate) whoami: Option<Scope>,
    /// Finds documents.
    pub(crate) search: Option<Scope>,
    /// Gives a document.
    pub(crate) fetch: Option<Scope>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whoami,
    Search,
    Fetch,
}

struct Entry {
    kind: Kind,
    scope: Scope,
    tool: Tool,
}

/// The tools that are on, in a fixed order.
pub(crate) struct Toolbox {
    entries: Vec<Entry>,
    library: Library,
    directory: Arc<dyn Directory>,
}

impl Toolbox {
    /// Builds the tools that `settings` turns on.
    pub(crate) fn new(settings: ToolSettings, library: Library, directory: Arc<dyn Directory>) -> Self {
        let whoami = settings.whoami.map(|scope| (Kind::Whoami, scope, whoami::definition()));
        let search = settings.search.map(|scope| (Kind::Search, scope, search::definition()));
        let fetch = settings.fetch.map(|scope| (Kind::Fetch, scope, fetch::definition()));
        let entries = [whoami, search, fetch].into_iter().flatten().map(|(kind, scope, definition)| {
            let tool = definition.into_tool(&scope);
            Entry { kind, scope, tool }
        });
        Self { entries: entries.collect(), library, directory }
    }

    /// What each tool needs.
    pub(crate) fn needs(&self) -> impl Iterator<Item = (&'static str, Scope)> {
        self.entries.iter().map(|entry| (entry.kind.name(), entry.scope.clone()))
    }

    /// The definitions as `tools/list` gives them.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = &Tool> {
        self.entries.iter().map(|entry| &entry.tool)
    }

    /// Calls a tool; `None` when none that is on has this name.
    pub(crate) async fn call(&self, name: &str, arguments: &JsonObject, caller: &Caller) -> Option<CallToolResult> {
        let entry = self.entries.iter().find(|entry| entry.kind.name() == name)?;
        Some(match entry.kind {
            Kind::Whoami => whoami::call(self.directory.as_ref(), caller).await,
            Kind::Search => search::call(&self.library, arguments).await,
            Kind::Fetch => fetch::call(&self.library, arguments),
        })
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Whoami => "whoami",
            Self::Search => "search",
            Self::Fetch => "fetch",
        }
    }
}

/// What a tool says of itself.
struct Definition {
    kind: Kind,
    title: &'static str,
    description: &'static str,
    input: Value,
    output: Value,
    meta: JsonObject,
}

impl Definition {
    /// The MCP form. All built-in tools only read, from a closed world (C-02), and say in `_meta` which scopes
    /// they need, where clients look for it that know nothing of a top-level member (C-03).
    fn into_tool(self, scope: &Scope) -> Tool {
        let mut meta = self.meta;
        meta.insert("securitySchemes".into(), security_schemes(scope));
        Tool::new(self.kind.name(), self.description, object(self.input))
            .with_title(self.title)
            .with_raw_output_schema(Arc::new(object(self.output)))
            .with_annotations(ToolAnnotations::from_raw(
                Some(self.title.to_owned()),
                Some(true),
                Some(false),
                Some(true),
                Some(false),
            ))
            .with_meta(MetaObject::from(meta))
    }
}

/// `noauth` isn't offered even for a tool that needs no scope: the endpoint as a whole wants a token.
fn security_schemes(scope: &Scope) -> Value {
    json!([{ "type": "oauth2", "scopes": scope.iter().map(ToString::to_string).collect::<Vec<_>>() }])
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => JsonObject::new(),
    }
}

/// A result that failed, in words that a model can act on.
fn failure(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text.into())])
}

/// The one argument of `search` and `fetch`: a text that isn't blank.
fn text_argument<'a>(arguments: &'a JsonObject, name: &str, example: &str) -> Result<&'a str, CallToolResult> {
    let problem = match arguments.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => return Ok(text.trim()),
        Some(Value::String(_)) => "is blank",
        Some(_) => "is not a string",
        None => "is missing",
    };
    Err(failure(format!("The argument \"{name}\" {problem}. Call the tool with {{\"{name}\": \"{example}\"}}.")))
}
