//! MCP with the token: a greeting, the list of tools, one call.

use known_clients::replica::Speaks;
use serde_json::{Value, json};

use super::Run;
use super::conversation::{Conversation, STATELESS, text};
use super::exchange::Came;
use super::report::{Step, Stopped, Trace, Why};

/// Greets, lists the tools and calls one.
pub(super) async fn converse(run: &Run<'_>, trace: &mut Trace, token: &str) -> Result<(), Stopped> {
    let needs = match run.replica.speaks {
        Speaks::Handshake(revision) => format!("a result with a protocolVersion that it knows, best {revision}"),
        Speaks::NewestElse(revision) => {
            format!("server/discover with {STATELESS} in supportedVersions; else initialize with {revision}")
        }
    };
    let mut conversation =
        trace.step("MCP greeting", needs, async |step| Conversation::greet(run, step, token).await).await?;
    // Connecting again, the client greets again; that it agrees on the same is no question of the sign-in.
    let _ = run.revision.set(conversation.revision);
    let choice = trace
        .step("tools/list", "a list of tools, each with a name and an inputSchema", async |step| {
            let choice = chosen(&conversation.tools(run, step).await?);
            if choice.is_none() {
                step.note("none of the tools can be called without knowing it: none is called");
            }
            Ok(choice)
        })
        .await?;
    let Some((name, arguments)) = choice else { return Ok(()) };
    trace
        .step(format!("tools/call {name}"), "a result with content", async |step| {
            let params = vec![("name", text(&name)), ("arguments", arguments.to_string())];
            let result = conversation.ask(run, step, "tools/call", Some(&name), params).await?;
            if result.get("content").is_some_and(Value::is_array) {
                Ok(())
            } else {
                Err(Why::from("the result has no content"))
            }
        })
        .await
}

/// Whether the token opens the endpoint now: its status.
pub(super) async fn knock(run: &Run<'_>, step: &mut Step, token: &str) -> Result<Came, Why> {
    let agreed = run.revision.get().copied();
    let mut conversation = Conversation::new(token, agreed.unwrap_or(run.replica.speaks.handshake()));
    let body = conversation.message(run, "tools/list", Vec::new());
    conversation.request(run, "tools/list", None).json(body).send(&run.http, step).await
}

/// A tool that can be called without knowing it, and the arguments: one that takes none, or the standard search.
fn chosen(tools: &[Value]) -> Option<(String, Value)> {
    let named = |name: &str| tools.iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(name));
    if named("whoami").is_some() {
        return Some(("whoami".to_owned(), json!({})));
    }
    if named("search").is_some() {
        return Some(("search".to_owned(), json!({ "query": "connect" })));
    }
    let free = |tool: &&Value| {
        let required = tool.pointer("/inputSchema/required").and_then(Value::as_array);
        let harmless = tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true));
        harmless && required.is_none_or(Vec::is_empty)
    };
    let tool = tools.iter().find(free)?;
    Some((tool.get("name")?.as_str()?.to_owned(), json!({})))
}
