//! The one route table and the layers around it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, Method, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use oauth::id::UserId;
use oauth::json::Bounds;
use oauth::metadata::protected_resource_url;
use tower::util::{MapFutureLayer, MapRequestLayer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::account;
use crate::api;
use crate::app::App;
use crate::app::limits::{Class, limited};
use crate::config::Tool;
use crate::endpoints::{
    authorize, consent, discovery, document, health, login, logo, manual, probe, register, revoke, setup, token,
};
use crate::manual::address;
use crate::mcp::{self, Directory, McpSettings, McpState, Person, ToolSettings};
use crate::request::context::{RequestContext, note_preflight};
use crate::response::respond::Rejection;
use crate::store::{Store, within};

/// Every path of the server with what serves it.
pub fn router(app: &App) -> Router {
    let paths = &app.config.paths;
    let patience = app.config.database.acquire_timeout;
    let mut api = Router::new()
        .merge(both(&paths.token, limited(app, Class::Token, post(token::handle)).fallback(only_post)))
        .merge(both(&paths.revoke, limited(app, Class::Revocation, post(revoke::handle)).fallback(only_post)))
        .route(&paths.jwks, get(discovery::jwks))
        .route("/.well-known/{*rest}", any(discovery::unknown))
        .route("/.well-known", any(discovery::unknown));
    for (path, body) in discovery::documents(app) {
        api = api
            .route(&path, get(async move |context: RequestContext, uri: Uri| discovery::document(body, context, &uri)));
    }
    if let Some(path) = &app.paths.register {
        let create = limited(app, Class::Registration, post(register::create));
        api = api.merge(both(path, create.fallback(only_post))).route(
            &format!("{path}/{{client_id}}"),
            get(register::manage).put(register::manage).delete(register::manage).fallback(only_post),
        );
    }
    let mut pages = Router::new()
        .merge(both(&paths.authorize, get(authorize::handle).post(authorize::handle)))
        .route(&paths.login, get(login::handle).post(login::handle))
        .route(&paths.consent, get(consent::handle).post(consent::handle))
        .route(&paths.setup, get(setup::handle).post(setup::handle))
        .route(&paths.account, get(account::show))
        .route(&format!("{}/connections/{{id}}/revoke", paths.account), post(account::disconnect))
        .route(&paths.logout, post(account::logout))
        .route(&format!("{}/{{*id}}", paths.docs), get(document::handle))
        .route(&format!("{}/manual", paths.docs), get(manual::begin))
        .route(&address(&app.config.paths.docs), get(manual::index))
        .route(&format!("{}{{name}}", address(&app.config.paths.docs)), get(manual::handle));
    // D-21: clients that read no metadata guess these at the root.
    let taken: Vec<&str> = paths.all().into_iter().map(|(_, path)| path).collect();
    let free = |path: &str| !taken.contains(&path);
    if free("/authorize") {
        pages = pages.merge(both("/authorize", get(authorize::handle).post(authorize::handle)));
    }
    if free("/token") {
        api = api.merge(both("/token", limited(app, Class::Token, post(token::handle)).fallback(only_post)));
    }
    if free("/register") && app.paths.register.is_some() {
        let create = limited(app, Class::Registration, post(register::create));
        api = api.merge(both("/register", create.fallback(only_post)));
    }
    let state = mcp_state(app);
    let protected = Router::new().merge(both(&paths.mcp, any(mcp::handle))).with_state(state.clone());
    // A5: some clients send MCP to the bare origin; people who open it get the start page.
    let root = Router::new().route("/", post(mcp::handle).with_state(state));
    let api = api
        .method_not_allowed_fallback(other_method)
        .with_state(app.clone())
        .merge(protected)
        .merge(root)
        .layer(cors())
        .layer(MapRequestLayer::new({
            let contexts = app.contexts.clone();
            move |request| note_preflight(&contexts, request)
        }));
    // Programs call it, never web pages: no CORS.
    let admin = if app.config.api.enabled { api::router(app) } else { Router::new() };
    Router::new()
        .route("/", get(account::landing))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/probe", limited(app, Class::Probe, any(probe::arrived)))
        .route("/probe/stream", limited(app, Class::Probe, get(probe::stream)))
        .route("/clients/{id}/logo", limited(app, Class::Logo, get(logo::handle)).fallback(other_method))
        .merge(pages.method_not_allowed_fallback(other_method))
        .merge(admin.method_not_allowed_fallback(other_method))
        .with_state(app.clone())
        .merge(api)
        .fallback_service(any(nothing_here).with_state(app.clone()))
        .layer(CatchPanicLayer::custom(PanicAnswer(app.clone())))
        .layer(MapFutureLayer::new(move |answer| within(patience, answer)))
}

/// The MCP endpoint without its guard, for the benchmarks to measure what the guard costs. The shipped library doesn't
/// have it.
#[cfg(feature = "bench")]
pub fn unprotected_mcp(app: &App, sub: &str) -> Router {
    mcp_state(app).unprotected(&app.config.paths.mcp, sub, app.offer.default_scope.clone())
}

/// A path with and without a slash at its end: a POST that is redirected loses its body (D-22).
fn both<S: Clone + Send + Sync + 'static>(path: &str, handler: MethodRouter<S>) -> Router<S> {
    Router::new().route(path, handler.clone()).route(&format!("{path}/"), handler)
}

async fn only_post(State(app): State<App>, context: RequestContext) -> Response {
    app.edge.json("server", &context, Err(Rejection::WrongMethod("this endpoint takes POST")))
}

async fn other_method(State(app): State<App>, context: RequestContext) -> Response {
    let text = "this address does not take this method; the Allow header says which it takes";
    app.edge.json("server", &context, Err(Rejection::WrongMethod(text)))
}

async fn nothing_here(State(app): State<App>, context: RequestContext) -> Response {
    let text = "there is nothing at this address; GET / says what this server is";
    app.edge.json("server", &context, Err(Rejection::NotFound(text)))
}

/// CORS for everything that programs call from a browser page; not for the pages (S-13, B-22). No cookies are
/// involved, so any origin may ask; the MCP endpoint judges origins itself.
fn cors() -> CorsLayer {
    let expose = ["www-authenticate", "mcp-session-id", "mcp-protocol-version", "retry-after"];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(expose.map(HeaderName::from_static))
        .max_age(Duration::from_hours(1))
}

#[derive(Clone)]
struct PanicAnswer(App);

impl tower_http::catch_panic::ResponseForPanic for PanicAnswer {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, _: Box<dyn std::any::Any + Send>) -> axum::http::Response<Self::ResponseBody> {
        let failure = crate::response::respond::Failure::Answer("a handler panicked");
        self.0.edge.json("server", &self.0.contexts.nobody(), Err(failure.into()))
    }
}

fn mcp_state(app: &App) -> McpState {
    let tool = |tool: &Tool| tool.enabled.then(|| tool.scopes.clone());
    let tools = &app.config.tools;
    McpState::new(McpSettings {
        issuer: app.issuer.clone(),
        resource: app.resource.clone(),
        resource_metadata: protected_resource_url(&app.issuer, &app.paths),
        name: app.config.name.clone(),
        initial_scope: app.offer.default_scope.clone(),
        tools: ToolSettings { whoami: tool(&tools.whoami), search: tool(&tools.search), fetch: tool(&tools.fetch) },
        allowed_hosts: app.config.mcp.allowed_hosts.clone(),
        allowed_origins: app.config.mcp.allowed_origins.clone(),
        body_limit: app.config.limits.mcp_body_bytes,
        json_bounds: Bounds { depth: app.config.limits.mcp_json_depth, values: app.config.limits.mcp_json_values },
        keys: Arc::clone(&app.keys),
        revocations: Arc::clone(&app.revocations),
        clock: app.clock.clone(),
        library: app.library.clone(),
        directory: Arc::new(StoreDirectory(app.store.clone())),
        contexts: app.contexts.clone(),
    })
}

/// The resource half's one question to the accounts: what a person is called.
struct StoreDirectory(Store);

impl Directory for StoreDirectory {
    fn person<'a>(&'a self, sub: &'a str) -> Pin<Box<dyn Future<Output = Option<Person>> + Send + 'a>> {
        Box::pin(async move {
            match self.0.find_user(&UserId::new(sub)).await {
                Ok(user) => user.map(|user| Person {
                    id: user.id.to_string(),
                    name: user.display_name,
                    login: user.username.as_str().to_owned(),
                }),
                Err(error) => {
                    tracing::error!(%error, "a name could not be looked up");
                    None
                }
            }
        })
    }
}
