//! `/api/v1/info` and `/api/v1/config`: what this server is.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Outcome, ok};
use crate::admin::clients::view::Endpoints;
use crate::app::App;

/// What this server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Info {
    /// What people see it called.
    name: String,
    version: &'static str,
    /// The issuer of its tokens.
    issuer: String,
    /// `sqlite` or `postgres`.
    database: &'static str,
    endpoints: Endpoints,
    /// What clients can be granted.
    scopes: Vec<String>,
    /// The words that `for` takes when a client is added.
    profiles: Vec<String>,
}

/// The settings in effect.
#[derive(Serialize, ToSchema)]
pub(super) struct Settings {
    /// As TOML, each value that isn't the default with its origin; secrets read `(hidden)`.
    effective: String,
    /// What `config check` remarks on.
    notices: Vec<String>,
}

/// Say what this server is
#[utoipa::path(get, path = "/api/v1/info", tag = "server", operation_id = "info",
    responses((status = 200, description = "The server", body = Info)))]
pub(super) async fn info(State(app): State<App>) -> Outcome {
    ok(&Info {
        name: app.config.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        issuer: app.issuer.to_string(),
        database: app.store.engine(),
        endpoints: Endpoints::of(&app.config),
        scopes: app.config.scopes.describe.keys().map(ToString::to_string).collect(),
        profiles: app.profiles.iter().map(|profile| profile.id.clone()).collect(),
    })
}

/// Show the settings in effect
#[utoipa::path(get, path = "/api/v1/config", tag = "server", operation_id = "config",
    responses((status = 200, description = "The settings, secrets hidden", body = Settings)))]
pub(super) async fn config(State(app): State<App>) -> Outcome {
    ok(&Settings { effective: app.config.effective().to_owned(), notices: app.config.notices.clone() })
}
