//! A conversation with the MCP endpoint: the handshake of the revision that this client speaks, and its messages.

use known_clients::replica::{Envelope, Opening, Speaks};
use serde_json::Value;

use super::Run;
use super::exchange::{Came, Request, object};
use super::report::{Step, Why};

/// The revision without a handshake.
pub(super) const STATELESS: &str = "2026-07-28";
/// The revisions that the clients' libraries know.
const HANDSHAKES: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const BACK_CHANNEL_NOTE: &str = "the stream for notifications is not offered: it does without";

/// The body of `initialize`.
pub(super) fn initialize(run: &Run<'_>, revision: &str) -> String {
    let (name, version) = run.replica.info;
    let params = object(&[
        ("protocolVersion", text(revision)),
        ("capabilities", r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{}}"#.to_owned()),
        ("clientInfo", object(&[("name", text(name)), ("version", text(version))])),
    ]);
    message(run.replica.envelope, "initialize", Some(params), Some(0))
}

/// A message with its members in this client's order; a notification has no id.
fn message(envelope: Envelope, method: &str, params: Option<String>, id: Option<u32>) -> String {
    let version = ("jsonrpc", text("2.0"));
    let (id, method) = (id.map(|id| ("id", id.to_string())), ("method", text(method)));
    let params = params.map(|params| ("params", params));
    let members: Vec<_> = match envelope {
        Envelope::MethodFirst => [Some(method), params, Some(version), id].into_iter().flatten().collect(),
        Envelope::VersionFirst => [Some(version), id, Some(method), params].into_iter().flatten().collect(),
    };
    object(&members)
}

/// A text as JSON.
pub(super) fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// A conversation with the MCP endpoint.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    token: &'a str,
    /// What was agreed on.
    pub(super) revision: &'static str,
    session: Option<String>,
    next: u32,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(token: &'a str, revision: &'static str) -> Self {
        Self { token, revision, session: None, next: 1 }
    }

    pub(super) async fn greet(run: &Run<'_>, step: &mut Step, token: &'a str) -> Result<Self, Why> {
        if let Speaks::NewestElse(_) = run.replica.speaks {
            let mut conversation = Self::new(token, STATELESS);
            if conversation.discover(run, step).await? {
                return Ok(conversation);
            }
            step.note("no server/discover here: it falls back to initialize");
        }
        let handshake = run.replica.speaks.handshake();
        let mut conversation = Self::new(token, handshake);
        // ChatGPT greets twice (S-26).
        let times = if run.replica.opening == Opening::EmptyPostAfterDocuments { 2 } else { 1 };
        for _ in 0..times {
            conversation.shake_hands(run, step, handshake).await?;
        }
        conversation.listen(run, step).await?;
        Ok(conversation)
    }

    async fn discover(&mut self, run: &Run<'_>, step: &mut Step) -> Result<bool, Why> {
        let body = self.message(run, "server/discover", Vec::new());
        let came = self.request(run, "server/discover", None).json(body).send(&run.http, step).await?;
        judge_token(run, &came)?;
        // S-25: 422 left ChatGPT without tools; every other refusal makes it fall back.
        if came.status == 422 {
            return Err(Why(format!(
                "422 at server/discover leaves {} without tools; 400 with -32601 would do",
                run.name()
            )));
        }
        let result = came.is_good().then(|| reply(&came).ok()).flatten();
        let versions =
            result.as_ref().and_then(|own| own.pointer("/result/supportedVersions")).and_then(Value::as_array);
        Ok(versions.is_some_and(|own| own.iter().any(|version| version == STATELESS)))
    }

    async fn shake_hands(&mut self, run: &Run<'_>, step: &mut Step, asked: &str) -> Result<(), Why> {
        let request = Request::post(run.url()).header("accept", run.replica.mcp_accept).json(initialize(run, asked));
        let came = self.dressed(run, request).send(&run.http, step).await?;
        judge_token(run, &came)?;
        let answer = reply(&came)?;
        let Some(given) = answer.pointer("/result/protocolVersion").and_then(Value::as_str) else {
            return Err(Why(format!("initialize gave no protocolVersion: {}", told(&answer))));
        };
        let Some(known) = HANDSHAKES.into_iter().find(|own| *own == given) else {
            return Err(Why(format!("{} doesn't know revision {given}", run.name())));
        };
        if given != asked {
            // S-26: Claude has been seen to go silent after a downgrade.
            step.note(format!("asked for revision {asked}, got {given}"));
        }
        self.revision = known;
        self.session = came.header("mcp-session-id").map(str::to_owned);
        let body = message(run.replica.envelope, "notifications/initialized", None, None);
        let came = self.request(run, "notifications/initialized", None).json(body).send(&run.http, step).await?;
        if came.is_good() {
            Ok(())
        } else {
            Err(Why(format!("the notification “initialized” is refused: {}", came.status)))
        }
    }

    /// Opens the stream for notifications; 405 says that there is none.
    async fn listen(&self, run: &Run<'_>, step: &mut Step) -> Result<(), Why> {
        let request = Request::get(run.url()).header("accept", "text/event-stream");
        let came = self.versioned(run, self.dressed(run, request)).send(&run.http, step).await?;
        match came.status {
            200..=299 => Ok(()),
            405 => {
                step.note(BACK_CHANNEL_NOTE);
                Ok(())
            }
            status => {
                step.note(format!("{BACK_CHANNEL_NOTE}, though 405 would say so, not {status}"));
                Ok(())
            }
        }
    }

    pub(super) async fn tools(&mut self, run: &Run<'_>, step: &mut Step) -> Result<Vec<Value>, Why> {
        let result = self.ask(run, step, "tools/list", None, Vec::new()).await?;
        let Some(tools) = result.get("tools").and_then(Value::as_array) else {
            return Err(Why::from("the result has no list of tools"));
        };
        if self.revision == STATELESS && result.get("resultType").is_none() {
            step.note(format!("the result has no resultType, which {STATELESS} demands"));
        }
        for tool in tools {
            if !tool.get("name").is_some_and(Value::is_string) || !tool.get("inputSchema").is_some_and(Value::is_object)
            {
                return Err(Why(format!("a tool lacks name or inputSchema: {} drops the list", run.name())));
            }
        }
        Ok(tools.clone())
    }

    pub(super) async fn ask(
        &mut self,
        run: &Run<'_>,
        step: &mut Step,
        method: &str,
        name: Option<&str>,
        params: Vec<(&str, String)>,
    ) -> Result<Value, Why> {
        let body = self.message(run, method, params);
        let came = self.request(run, method, name).json(body).send(&run.http, step).await?;
        judge_token(run, &came)?;
        let answer = reply(&came)?;
        answer.get("result").cloned().ok_or_else(|| Why(format!("{method} fails: {}", told(&answer))))
    }

    pub(super) fn message(&mut self, run: &Run<'_>, method: &str, mut params: Vec<(&str, String)>) -> String {
        if self.revision == STATELESS {
            let (name, version) = run.replica.info;
            let info = object(&[("name", text(name)), ("version", text(version))]);
            let meta = object(&[
                ("io.modelcontextprotocol/protocolVersion", text(STATELESS)),
                ("io.modelcontextprotocol/clientInfo", info),
                ("io.modelcontextprotocol/clientCapabilities", "{}".to_owned()),
            ]);
            params.push(("_meta", meta));
        }
        let id = self.next;
        self.next += 1;
        let keeps_empty = run.replica.envelope == Envelope::VersionFirst;
        let params = (keeps_empty || !params.is_empty()).then(|| object(&params));
        message(run.replica.envelope, method, params, Some(id))
    }

    /// A POST with the headers of this revision.
    pub(super) fn request(&self, run: &Run<'_>, method: &str, name: Option<&str>) -> Request {
        let request = Request::post(run.url()).header("accept", run.replica.mcp_accept);
        let request = self.versioned(run, self.dressed(run, request));
        if self.revision != STATELESS {
            return request;
        }
        request.header("mcp-method", method).header("mcp-name", name.unwrap_or_default())
    }

    fn versioned(&self, run: &Run<'_>, request: Request) -> Request {
        if !run.replica.mcp_version_header {
            return request;
        }
        request.header("mcp-protocol-version", self.revision)
    }

    fn dressed(&self, run: &Run<'_>, request: Request) -> Request {
        request
            .header("authorization", format!("Bearer {}", self.token))
            .header("mcp-session-id", self.session.clone().unwrap_or_default())
            .header("user-agent", run.replica.agents.calls)
    }
}

/// What an answer says about the token.
fn judge_token(run: &Run<'_>, came: &Came) -> Result<(), Why> {
    let name = run.name();
    let challenge = came.header("www-authenticate").unwrap_or_default();
    match came.status {
        401 if challenge.is_empty() => Err(Why(format!(
            "401 without a challenge, right after the sign-in: the token may not have arrived, or something in front answered {name} instead of the server"
        ))),
        401 => Err(Why(format!("the fresh token is refused ({challenge}); {name} signs in again, in a circle"))),
        403 if challenge.contains("insufficient_scope") => {
            Err(Why(format!("the token lacks scopes for this ({challenge})")))
        }
        403 => Err(Why(format!(
            "403 without insufficient_scope is final for {name}. Calls come as “{}”: does a firewall or a bot filter know that name?",
            run.replica.agents.calls
        ))),
        300..=399 => Err(Why("a redirect: the call is lost".to_owned())),
        500.. => Err(Why(format!("{} from the server or from something in front", came.status))),
        _ => Ok(()),
    }
}

/// The JSON-RPC message of an answer, in either form.
fn reply(came: &Came) -> Result<Value, Why> {
    if !came.content_type().starts_with("text/event-stream") {
        return came.json();
    }
    let events = came.text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut latest_first = events.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok()).rev();
    latest_first
        .find(|message| message.get("id").is_some())
        .ok_or_else(|| Why::from("the event stream ended without an answer: is something buffering or cutting it?"))
}

/// What a JSON-RPC error says.
fn told(answer: &Value) -> String {
    match answer.pointer("/error/message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => answer.to_string().chars().take(300).collect(),
    }
}
