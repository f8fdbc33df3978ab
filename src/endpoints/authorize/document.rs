//! Clients whose id is the URL of their metadata document: what a person is told when it can't be used. A page, never a
//! redirect: without the document nobody knows where an answer may go. Not the page of an unknown client either:
//! making the client forget its registration would not help.

use axum::http::StatusCode;
use oauth::cause::Cause;
use oauth::id::ClientId;

use crate::app::App;
use crate::clients::Unresolved;
use crate::fetch::FetchError;
use crate::response::respond::{ErrorPage, PageRejection};

pub(super) fn unresolved(app: &App, id: &ClientId, why: &Unresolved) -> PageRejection {
    let name = app.profiles.of_identity(id).map_or("Your client", |profile| profile.name.as_str());
    let (cause, title, happened, to_do) = match why {
        Unresolved::TooMany(wait) => return PageRejection::TooMany { wait: *wait },
        // One text for both: what a name means inside is nothing for strangers. The log has the rest.
        Unresolved::Fetch(FetchError::Name { host, .. } | FetchError::SpecialUse { host, .. }) => (
            Cause::DocumentUnfetched,
            "The client's document could not be fetched",
            format!(
                "{name} says who it is by a document on the web, and this server could not fetch it: {host} does not lead to a public address."
            ),
            "Try again in a minute. If it stays so, show this page to whoever runs this server: it may lack a way out to the internet (documents.proxy).",
        ),
        Unresolved::Fetch(error) => (
            Cause::DocumentUnfetched,
            "The client's document could not be fetched",
            format!("{name} says who it is by a document on the web, and this server could not fetch it: {error}."),
            "Try again in a minute. If it stays so, show this page to whoever runs this server: it may lack a way out to the internet (documents.proxy), or the client's server turns it away (documents.copies_folder).",
        ),
        Unresolved::Document(fault) => (
            Cause::DocumentUnfit,
            "The client's document is not right",
            format!("{name} says who it is by a document on the web, and it breaks a rule: {fault}."),
            "Tell the maker of your client, and show them this page. You can do nothing about it.",
        ),
        Unresolved::Url(fault) => (
            Cause::DocumentUnfit,
            "The client's id is not right",
            format!(
                "{name} has a client_id that looks like the address of a document, but is none that may be fetched: {fault}."
            ),
            "Tell the maker of your client, or mend the client_id if you typed it yourself.",
        ),
        Unresolved::Off | Unresolved::NotAllowed | Unresolved::Unknown => (
            Cause::DocumentNotAllowed,
            "This client is not let in here",
            format!("{name} says who it is by a document on the web, and {why}."),
            "Ask whoever runs this server to allow it (documents.policy, documents.allowed), or set up another kind of client.",
        ),
    };
    ErrorPage {
        received: Some(format!("client_id: {}", id.as_str().chars().take(500).collect::<String>())),
        to_do: vec![to_do.to_owned()],
        detail: format!("client {id}: {why}"),
        ..ErrorPage::new(cause, StatusCode::BAD_REQUEST, title, happened)
    }
    .into()
}
