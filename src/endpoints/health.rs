//! Liveness and readiness, for supervisors and load balancers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::app::App;
use crate::http::respond::json;
use crate::http::visit::Visit;

#[derive(Serialize)]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'static str>,
}

/// `GET /healthz`: the process answers.
pub(crate) async fn live(State(app): State<App>, visit: Visit) -> Response {
    app.edge.json("healthz", &visit, json(StatusCode::OK, &Status { status: "ok", database: None }).map_err(Into::into))
}

/// `GET /readyz`: the database answers too; else 503.
pub(crate) async fn ready(State(app): State<App>, visit: Visit) -> Response {
    let outcome = async {
        app.store.ping().await?;
        Ok(json(StatusCode::OK, &Status { status: "ready", database: Some(app.store.engine()) })?)
    };
    app.edge.json("readyz", &visit, outcome.await)
}
