//! The pages behind the addresses that `search` and `fetch` cite: a document, for people who are signed in.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;

use crate::app::App;
use crate::app::browser::signed_in;
use crate::manual::to_html;
use crate::request::context::RequestContext;
use crate::response::page::{Document, Page};
use crate::response::respond::{ErrorPage, PageRejection, see_other};

/// `GET` a document.
pub(crate) async fn handle(
    State(app): State<App>,
    context: RequestContext,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    // A path that is no text names no document.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let outcome = serve(&app, &id, &headers).await;
    app.edge.page("document", &context, outcome)
}

async fn serve(app: &App, id: &str, headers: &HeaderMap) -> Result<Response, PageRejection> {
    if signed_in(app, headers, app.clock.now()).await?.is_none() {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("document", id).finish();
        return Ok(see_other(&format!("{}?{query}", app.config.paths.login))?);
    }
    let Some(document) = app.library.get(id) else {
        return Err(ErrorPage {
            to_do: vec!["Search again in your client.".to_owned()],
            ..ErrorPage::new(
                Cause::NotFound,
                StatusCode::NOT_FOUND,
                "There is no such document",
                "It may have been renamed or removed since it was cited.",
            )
        }
        .into());
    };
    let page = Document {
        service: app.config.name.clone(),
        title: document.title.clone(),
        html: is_markdown(id).then(|| to_html(&document.text, &document.title, false)),
        text: document.text.clone(),
        back_url: "/".to_owned(),
        back_label: "the start page".to_owned(),
    };
    Ok(Page(StatusCode::OK, page).into_response())
}

fn is_markdown(id: &str) -> bool {
    std::path::Path::new(id).extension().is_some_and(|end| end.eq_ignore_ascii_case("md"))
}
