//! The MCP server proper: capabilities, `tools/list`, `tools/call`, `server/discover`, on the MCP library.
//!
//! It keeps nothing between requests, in no revision, so that any replica can answer any call (E4). Who calls
//! and whether they may is settled before a message gets here.

use std::sync::Arc;

use axum::http::request::Parts;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
    DiscoverResult, ErrorCode, GetPromptRequestParams, GetPromptResponse, Implementation, JsonObject, ListToolsResult,
    MetaObject, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use super::answer::cut;
use super::guard::Caller;
use super::policy::Policy;
use super::tools::Toolbox;

/// How long a client may keep the list of tools: it changes with a restart only.
const TTL_MS: u64 = 300_000;
/// The most characters of a name that an answer repeats.
const MAX_NAME: usize = 200;
/// Where results name the server (MCP 2026-07-28, base protocol).
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

const INSTRUCTIONS: &str = "Use `search` to find documents and `fetch` to read one by its id. `whoami` tells which \
                            account is connected.";

/// The handler of MCP requests.
pub(crate) struct Server {
    toolbox: Toolbox,
    policy: Arc<Policy>,
    config: ServerConfig,
    /// [`SERVER_INFO`]'s value.
    identity: Value,
}

impl Server {
    /// A server with these tools that presents itself as `name`, at home at `website`.
    pub(crate) fn new(name: &str, website: &str, toolbox: Toolbox, policy: Arc<Policy>) -> Self {
        let implementation =
            Implementation::new("portcullis", env!("CARGO_PKG_VERSION")).with_title(name).with_website_url(website);
        // Serialising a struct of texts can't fail; if it did, results would merely lack the server's name.
        let identity = serde_json::to_value(&implementation).unwrap_or_default();
        // There are no prompts and no resources. Clients list them all the same, and a server that answers with an
        // empty list has to declare that it does (MCP 2026-07-28, discovery).
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().build();
        let config = ServerConfig::new(capabilities)
            .with_server_info(implementation)
            .with_instructions(INSTRUCTIONS)
            // What `initialize` falls back to for a revision that has no handshake, or none that is known.
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE);
        Self { toolbox, policy, config, identity }
    }

    /// The tools, in the order in which they are listed.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.toolbox.definitions()
    }

    /// `_meta` of a result: who made it. Revisions before 2026-07-28 don't know it.
    fn result_meta(&self, context: &RequestContext<RoleServer>) -> Option<MetaObject> {
        is_modern(context)
            .then(|| MetaObject::from(JsonObject::from_iter([(SERVER_INFO.to_owned(), self.identity.clone())])))
    }

    fn discovery(&self) -> DiscoverResult {
        DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), self.config.clone())
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Private)
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let caller = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Arc<Caller>>());
        let Some(caller) = caller else {
            tracing::error!("a call reached the tools without a caller");
            return Err(ErrorData::internal_error("The call has no caller.", None));
        };
        // The second line: the first reads the same bytes with another parser, before this library does.
        if let Err(insufficient) = self.policy.decide(&caller.scope, [request.name.as_ref()]) {
            tracing::error!(tool = %request.name, "a call without its scopes came past the first check");
            let text = format!("This call also needs the scope {}.", insufficient.missing);
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        tracing::debug!(tool = %request.name, client = caller.client_id, user = caller.sub, "a tool is called");
        let arguments = request.arguments.unwrap_or_default();
        self.toolbox.call(&request.name, &arguments, caller).await.ok_or_else(|| {
            let known: Vec<_> = self.toolbox.definitions().map(|tool| tool.name.as_ref()).collect();
            let message = format!("Unknown tool: {}. There are: {}.", cut(&request.name, MAX_NAME), known.join(", "));
            ErrorData::invalid_params(message, None)
        })
    }
}

/// Whether the request speaks a revision without a handshake.
fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| !version.has_initialize())
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        self.config.clone()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.toolbox.definitions().find(|tool| tool.name == name).cloned()
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        Ok(self.discovery())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // There is one page, so no cursor was ever given out.
        if request.and_then(|request| request.cursor).is_some_and(|cursor| !cursor.is_empty()) {
            return Err(ErrorData::invalid_params("Unknown cursor: the list of tools has one page.", None));
        }
        let mut result = ListToolsResult::with_all_items(self.toolbox.definitions().cloned().collect());
        if is_modern(&context) {
            result = result.with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Private);
            result.meta = self.result_meta(&context);
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = self.call(request, &context).await?;
        Ok(result.with_meta(self.result_meta(&context)).into())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Err(ErrorData::invalid_params(format!("Unknown prompt: {}", cut(&request.name, MAX_NAME)), None))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = cut(&request.uri, MAX_NAME);
        Err(ErrorData::resource_not_found(format!("Unknown resource: {uri}"), Some(json!({ "uri": uri }))))
    }

    /// The library takes `server/discover` with members in `params` that it doesn't know for a custom request.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == "server/discover"
            && let Ok(discovery) = serde_json::to_value(self.discovery())
        {
            return Ok(CustomResult::new(discovery));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, cut(&request.method, MAX_NAME).to_owned(), None))
    }
}
