//! Liveness and readiness, for supervisors and load balancers.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::app::App;
use crate::request::context::RequestContext;
use crate::response::respond::{json, retry_after};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing: Vec<&'static str>,
}

/// `GET /healthz`: the process answers.
pub(crate) async fn live(State(app): State<App>, context: RequestContext) -> Response {
    let status = Health { status: "ok", database: None, failing: Vec::new() };
    app.edge.json("healthz", &context, json(StatusCode::OK, &status).map_err(Into::into))
}

/// `GET /readyz`: this copy can do its whole job now. The database takes a write, the view of revocations is fresh, the
/// signing keys can be opened. Anything less is 503 and named. So it is once the server is about to stop, that no balancer
/// sends more.
pub(crate) async fn ready(State(app): State<App>, context: RequestContext) -> Response {
    let stopping = app.stopping.load(Ordering::Relaxed);
    let failing = if stopping { Vec::new() } else { app.failing().await };
    let (code, status) = match failing.is_empty() {
        _ if stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let answer = json(code, &Health { status, database: Some(app.store.engine()), failing });
    let answer = answer.map(|mut response| {
        if code != StatusCode::OK {
            retry_after(&mut response, 1);
        }
        response
    });
    app.edge.json("readyz", &context, answer.map_err(Into::into))
}
