//! The admin REST API: administration for programs, under `/api/v1`.
//!
//! One table makes the routes, what each of them asks of a token, and the OpenAPI document: what is described is
//! mounted, guarded and tested. Owns the forms of requests and answers; `admin` does what is asked for.

mod answer;
mod attempts;
mod client_body;
mod clients;
mod connections;
mod guard;
mod info;
mod keys;
mod logo;
mod tokens;
mod users;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response as Described};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::app::App;
use crate::model::api_token::ApiScope;

/// Where everything of the API is.
const DOCUMENT: &str = "/api/v1/openapi.json";
/// What the document calls the bearer token.
const TOKEN: &str = "token";

/// The API's routes with their state still to be given.
pub(crate) fn router(app: &App) -> Router<App> {
    let (router, document) = table(app).split_for_parts();
    let document: Bytes = serde_json::to_vec(&document).unwrap_or_default().into();
    router.route(DOCUMENT, get(async move || description(document)))
}

/// Every operation with the scope that it asks for.
fn table(app: &App) -> OpenApiRouter<App> {
    let with = |scope, routes| guarded(app, scope, routes);
    OpenApiRouter::with_openapi(skeleton(app))
        .routes(with(ApiScope::AttemptsRead, routes!(attempts::list)))
        .routes(with(ApiScope::AttemptsRead, routes!(attempts::show)))
        .routes(with(ApiScope::ServerRead, routes!(info::info)))
        .routes(with(ApiScope::ServerRead, routes!(info::config)))
        .routes(with(ApiScope::ClientsRead, routes!(clients::list)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::add)))
        .routes(with(ApiScope::ClientsRead, routes!(clients::show)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::edit)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::delete)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::disable)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::enable)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::rotate_secret)))
        .routes(with(ApiScope::ClientsWrite, routes!(clients::end_old_secret)))
        .routes(with(ApiScope::ClientsRead, routes!(logo::show)))
        .routes(with(ApiScope::ClientsWrite, routes!(logo::put)))
        .routes(with(ApiScope::ClientsWrite, routes!(logo::delete)))
        .routes(with(ApiScope::ConnectionsRead, routes!(connections::list)))
        .routes(with(ApiScope::ConnectionsWrite, routes!(connections::end)))
        .routes(with(ApiScope::UsersRead, routes!(users::list)))
        .routes(with(ApiScope::UsersWrite, routes!(users::add)))
        .routes(with(ApiScope::UsersWrite, routes!(users::disable)))
        .routes(with(ApiScope::UsersWrite, routes!(users::enable)))
        .routes(with(ApiScope::UsersWrite, routes!(users::password)))
        .routes(with(ApiScope::KeysRead, routes!(keys::list)))
        .routes(with(ApiScope::KeysWrite, routes!(keys::rotate)))
        .routes(with(ApiScope::TokensRead, routes!(tokens::list)))
        .routes(with(ApiScope::TokensWrite, routes!(tokens::add)))
        .routes(with(ApiScope::TokensWrite, routes!(tokens::revoke)))
}

/// Puts the guard before an operation, and what the guard asks for into its description.
fn guarded(
    app: &App,
    scope: ApiScope,
    (schemas, mut paths, router): UtoipaMethodRouter<App>,
) -> UtoipaMethodRouter<App> {
    for operation in paths.paths.values_mut().flat_map(operations) {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [scope.as_str()])]);
        for (status, words) in [
            ("400", "The request is wrong; the description names the member"),
            ("401", "The token is missing, wrong, expired or revoked"),
            ("403", "The token lacks the scope"),
            ("429", "Too many wrong tokens came from this network"),
            ("503", "The database is away; nothing was changed"),
        ] {
            operation.responses.responses.entry(status.to_owned()).or_insert_with(|| refusal(words).into());
        }
    }
    let takes_query = paths
        .paths
        .values_mut()
        .flat_map(operations)
        .flat_map(|operation| operation.parameters.iter().flatten())
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query));
    let door = guard::Door { app: app.clone(), scope, takes_query };
    (schemas, paths, router.route_layer(from_fn_with_state(door, guard::guard)))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn refusal(words: &str) -> Described {
    let content = utoipa::openapi::Content::new(Some(Ref::from_schema_name("Error")));
    utoipa::openapi::ResponseBuilder::new().description(words).content("application/json", content).build()
}

fn skeleton(app: &App) -> OpenApi {
    let mut scopes =
        String::from("A token made by `portcullis token add`. Its scopes, of which writing includes reading:\n");
    for scope in ApiScope::ALL {
        scopes.push_str(&format_args!("\n- `{}`: {}", scope.as_str(), scope.meaning()).to_string());
    }
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some(scopes);
    let mut components = ComponentsBuilder::new().security_scheme(TOKEN, SecurityScheme::Http(scheme));
    let mut schemas = Vec::new();
    <answer::Error as utoipa::ToSchema>::schemas(&mut schemas);
    schemas.push(("Error".to_owned(), <answer::Error as utoipa::PartialSchema>::schema()));
    components = components.schemas_from_iter(schemas);
    let info = InfoBuilder::new()
        .title(format!("{}: admin API", app.config.name))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Everything that the command line does to clients, accounts, connections, keys and tokens, and tells of attempts to connect. \
             Times are unix seconds; durations read `10m`, `1h30m`, `90d`. Secrets are shown in the one answer that makes them.",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([utoipa::openapi::ServerBuilder::new().url(app.config.origin()).build()]))
        .components(Some(components.build()))
        .build()
}

fn description(document: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, document).into_response()
}
