//! The endpoint: leads a request past the checks to the tools, and says what each check costs it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::answer::Refused;
use super::door::Door;
use super::envelope::{Envelope, Message};
use super::guard::{Caller, Guard};
use super::media::{Media, check_content_type};
use super::policy::Policy;
use super::server::Server;
use super::tools::whoami::Directory;
use super::tools::{ToolSettings, Toolbox};
use super::transport::Transport;
use crate::crypto::keys::KeyRing;
use crate::http::body::{Unread, collect};
use crate::library::Library;
use crate::model::time::{Clock, Timestamp};
use crate::oauth::challenge::Challenge;
use crate::oauth::issuer::Issuer;
use crate::oauth::resource::Resource;
use crate::oauth::scope::Scope;
use crate::revocations::Revocations;

/// What the endpoint is made of.
pub(crate) struct McpSettings {
    /// Who issues the tokens.
    pub(crate) issuer: Issuer,
    /// What the tokens are for: the endpoint's own URL.
    pub(crate) resource: Resource,
    /// The absolute URL of the resource's metadata.
    pub(crate) resource_metadata: String,
    /// The product's name on this deployment.
    pub(crate) name: String,
    /// The scopes that a client without a good token is told to ask for.
    pub(crate) initial_scope: Scope,
    /// The tools that are on.
    pub(crate) tools: ToolSettings,
    /// `mcp.allowed_hosts`.
    pub(crate) allowed_hosts: Vec<String>,
    /// `mcp.allowed_origins`.
    pub(crate) allowed_origins: Vec<String>,
    /// `limits.mcp_body_bytes`.
    pub(crate) body_limit: usize,
    /// The keys that sign tokens.
    pub(crate) keys: Arc<KeyRing>,
    /// Which grants are revoked.
    pub(crate) revocations: Arc<Revocations>,
    /// The time.
    pub(crate) clock: Clock,
    /// What `search` and `fetch` serve.
    pub(crate) library: Library,
    /// Whom `whoami` asks.
    pub(crate) directory: Arc<dyn Directory>,
}

/// The endpoint, ready to serve. Clones share it.
#[derive(Clone)]
pub(crate) struct McpState(Arc<Inner>);

struct Inner {
    door: Door,
    guard: Guard,
    policy: Arc<Policy>,
    transport: Transport,
    clock: Clock,
    body_limit: usize,
    resource_metadata: String,
    /// The challenge for who has no good token; a refusal adds its error to it.
    challenge: Challenge,
}

/// Serves a request at the endpoint: the handler to mount, for every method, wherever the endpoint lives.
pub(crate) async fn handle(State(state): State<McpState>, request: Request) -> Response {
    state.0.serve(request).await.unwrap_or_else(Refused::into_response)
}

impl McpState {
    /// Builds the endpoint.
    pub(crate) fn new(settings: McpSettings) -> Self {
        let website = settings.issuer.as_str().to_owned();
        let door = Door::new(&website, &settings.allowed_hosts, &settings.allowed_origins);
        let toolbox = Toolbox::new(settings.tools, settings.library, settings.directory);
        let policy = Arc::new(Policy::new(toolbox.needs()));
        let server = Server::new(&settings.name, &website, toolbox, Arc::clone(&policy));
        Self(Arc::new(Inner {
            door,
            guard: Guard::new(settings.issuer, settings.resource, settings.keys, settings.revocations),
            policy,
            transport: Transport::new(&Arc::new(server)),
            clock: settings.clock,
            body_limit: settings.body_limit,
            challenge: Challenge::new(&settings.resource_metadata).scope(&settings.initial_scope),
            resource_metadata: settings.resource_metadata,
        }))
    }
}

impl McpState {
    /// The same tools on the same library with nothing in front of them, every call made in the name of `sub`:
    /// what the benchmarks compare the guarded endpoint with. No route of the server leads here.
    pub(crate) fn unprotected(&self, path: &str, sub: &str, scope: Scope) -> Router {
        let caller = Arc::new(Caller {
            sub: sub.to_owned(),
            client_id: String::new(),
            grant: String::new(),
            scope,
            exp: Timestamp(i64::MAX),
        });
        Router::new().route_service(path, self.0.transport.bare()).layer(Extension(caller))
    }
}

impl Inner {
    async fn serve(&self, request: Request) -> Result<Response, Refused> {
        let (mut parts, body) = request.into_parts();
        self.door.check(&parts)?;
        let caller = self
            .guard
            .admit(&parts.headers, parts.uri.query(), self.clock.now())
            .map_err(|denied| Refused::denied(&denied, &self.challenge))?;
        if parts.method != Method::POST {
            return Err(Refused::method());
        }
        check_content_type(&parts.headers)?;
        let media = Media::accepted_by(&parts.headers)?;
        let body = read(body, self.body_limit).await?;
        let envelope = Envelope::parse(&body)?;
        // S-03: the token ends here. Neither tools nor log lines further in can pass on what they don't have.
        parts.headers.remove(AUTHORIZATION);
        parts.headers.remove(COOKIE);
        parts.extensions.insert(Arc::clone(&caller));
        match envelope {
            Envelope::One(message) => {
                self.permit(&caller, message.tool())?;
                self.transport.one(parts, body.clone(), &message, media).await
            }
            Envelope::Batch(bodies) => {
                // What can't be read calls nothing; it gets its own error among the answers.
                let messages = bodies.iter().filter_map(|body| Message::parse(body).ok());
                let tools: Vec<_> = messages.filter_map(|message| message.tool().map(str::to_owned)).collect();
                self.permit(&caller, tools.iter().map(String::as_str))?;
                self.transport.batch(&parts, bodies).await
            }
        }
    }

    /// Decided before anything is executed, and answered with a real 403: clients step up on nothing else
    /// (D-25, D-26).
    fn permit<'a, T: IntoIterator<Item = &'a str>>(&self, caller: &Caller, tools: T) -> Result<(), Refused> {
        self.policy.decide(&caller.scope, tools).map_err(|insufficient| {
            tracing::info!(client = caller.client_id, missing = %insufficient.missing, "refused a call: insufficient scope");
            Refused::insufficient(&insufficient, &self.resource_metadata)
        })
    }
}

/// Reads the body, or says in this endpoint's form why not.
async fn read(body: Body, limit: usize) -> Result<Bytes, Refused> {
    collect(body, limit).await.map_err(|unread| match unread {
        Unread::TooLarge => Refused::too_large(limit),
        Unread::BrokenOff => Refused::http(StatusCode::BAD_REQUEST, "invalid_request", "The request body broke off."),
        Unread::TooSlow => {
            Refused::http(StatusCode::REQUEST_TIMEOUT, "invalid_request", "The request body did not arrive in time.")
        }
    })
}
