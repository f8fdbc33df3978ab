//! What the client is told by redirect, and when a person gets a page instead.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use oauth::error::{ErrorCode, Refusal};
use oauth::redirect_uri::{Destination, RedirectUri};

use super::identify::error_page;
use crate::app::App;
use crate::model::client::Client;
use crate::request::context::RequestContext;
use crate::response::page::{Handoff, Page};
use crate::response::respond::{PageRejection, see_other};

/// Tells the client by redirect why its request is refused (OAuth 2.1 §4.1.2.1).
///
/// One exception: a browser without a session is not sent to the website of a client that nobody here has ever
/// let in and whose callback is no known vendor's; otherwise anybody could register a redirect to a phishing page
/// under this server's name (RFC 9700 §4.11.2). The person gets the link and decides.
pub(super) fn refuse(
    app: &App,
    context: &RequestContext,
    client: &Client,
    redirect_uri: &RedirectUri,
    state: Option<&str>,
    refusal: &Refusal,
    trusted: bool,
) -> Result<Response, PageRejection> {
    let website = redirect_uri.destination() == Destination::Https;
    if website && !trusted && app.profiles.of(redirect_uri).is_none() {
        let happened =
            format!("{} sent a request that this server refuses: {}.", client.display_name(), refusal.description);
        let received = Some(format!("error: {}", refusal.code));
        let to_do = vec![
            format!(
                "Its answer would go to {}. Nobody here has let this client in before, so you were not sent there.",
                redirect_uri.host()
            ),
            "If you set this client up yourself, mend its settings as said above and connect again.".to_owned(),
        ];
        return Err(error_page(
            refusal.cause,
            "This client's request is not right",
            happened,
            received,
            None,
            to_do,
            String::new(),
        ));
    }
    tell(app, context, client, redirect_uri, (refusal.code, &refusal.description), state)
}

/// Sends an error to the client. Many show its description to the person, who so learns the attempt's id.
pub(super) fn tell(
    app: &App,
    context: &RequestContext,
    client: &Client,
    redirect_uri: &RedirectUri,
    (code, description): (ErrorCode, &str),
    state: Option<&str>,
) -> Result<Response, PageRejection> {
    let description = format!("{description} (attempt {})", context.attempt());
    let params = [("error", code.as_str()), ("error_description", description.as_str())];
    answer(app, context, client, redirect_uri, &params, state)
}

/// Sends an answer to the client: its parameters, `state` as it came, and `iss` (RFC 9207), each once.
pub(super) fn answer(
    app: &App,
    context: &RequestContext,
    client: &Client,
    redirect_uri: &RedirectUri,
    params: &[(&str, &str)],
    state: Option<&str>,
) -> Result<Response, PageRejection> {
    let mut params = params.to_vec();
    if let Some(state) = state {
        params.push(("state", state));
    }
    params.push(("iss", app.issuer.as_str()));
    let location = redirect_uri.with_params(&params);
    if redirect_uri.destination() == Destination::CustomScheme {
        // A redirect to an app leaves the browser on a dead page, and some browsers drop it: a page with a link
        // works in all of them (C2).
        let page = Handoff {
            service: app.config.name.clone(),
            client_name: client.display_name().to_owned(),
            url: location,
            attempt: context.attempt().to_string(),
        };
        return Ok(Page(StatusCode::OK, page).into_response());
    }
    Ok(see_other(&location)?)
}
