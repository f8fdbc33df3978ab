//! Handlers take a [`RequestContext`] as an argument: one for each request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::App;
use crate::request::context::RequestContext;

impl FromRequestParts<App> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // One that a layer has made already goes on.
        Ok(parts.extensions.remove::<Self>().unwrap_or_else(|| app.contexts.of(parts)))
    }
}
