//! The manual as pages, for everybody: it says nothing that the source of this program doesn't.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use oauth::cause::Cause;

use crate::app::App;
use crate::manual::{self, INDEX, address};
use crate::request::context::RequestContext;
use crate::response::page::{Manual, Page};
use crate::response::respond::{ErrorPage, PageRejection};

/// `GET` without the slash.
pub(crate) async fn begin(State(app): State<App>) -> Redirect {
    Redirect::permanent(&address(&app.config.paths.docs))
}

/// `GET` the index.
pub(crate) async fn index(State(app): State<App>, context: RequestContext) -> Response {
    app.edge.page("manual", &context, serve(&app, INDEX))
}

/// `GET` a page.
pub(crate) async fn handle(
    State(app): State<App>,
    context: RequestContext,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    app.edge.page("manual", &context, serve(&app, &name))
}

fn serve(app: &App, name: &str) -> Result<Response, PageRejection> {
    let Some(page) = manual::page(name) else {
        return Err(ErrorPage {
            to_do: vec![format!(
                "Look for it in the list of pages: {}",
                app.config.url(&address(&app.config.paths.docs))
            )],
            ..ErrorPage::new(
                Cause::NotFound,
                StatusCode::NOT_FOUND,
                "There is no such page in the manual",
                "It may have another name in this version.",
            )
        }
        .into());
    };
    let page = Manual {
        service: app.config.name.clone(),
        is_index: name.trim_end_matches(".md") == INDEX.trim_end_matches(".md"),
        page,
    };
    Ok(Page(StatusCode::OK, page).into_response())
}
