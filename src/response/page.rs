//! The pages a person sees: one template struct per page, and the headers they all carry.
//!
//! Owns how a page is rendered and how a browser must treat it. Decides nothing: a handler fills a
//! struct and picks the status. No page runs a script or loads anything, so the policy forbids both.
//!
//! Every string is escaped by the template. Strings that somebody else chose (a client's name, the
//! host it wants to be sent back to) are also shown `plain()` and stand inside `<bdi>`, so that
//! invisible characters or a change of writing direction can't redraw the sentence around them
//! (RFC 7591 §5: a client's metadata is self-asserted).

use std::sync::LazyLock;

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::manual::ManualPage;

/// The one stylesheet; `layout.html` inlines it unchanged, which is what the policy's hash covers.
const STYLE: &str = include_str!("../../templates/style.css");

/// There is no `form-action`: Chromium applies it to every hop of the redirect that follows a
/// submitted form, and would silently block the way back to the client. Without scripts and with
/// every string escaped nothing can change where a form leads.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self' data:; \
         base-uri 'none'; frame-ancestors 'none'"
    )
});

/// A page as an answer: the status it is sent with, and what it shows.
///
/// `Referrer-Policy: no-referrer` makes browsers send `Origin: null` with the forms of these pages;
/// forms are protected by their `csrf` field.
pub(crate) struct Page<T: Template>(pub(crate) StatusCode, pub(crate) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let Self(status, template) = self;
        let (status, content_type, body) = match template.render() {
            Ok(html) => (status, "text/html; charset=utf-8", html),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                let text = "This page could not be shown. Please try again.\n".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text)
            }
        };
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, body).into_response()
    }
}

/// The front page: the address to paste into an MCP client, and how.
#[derive(Template)]
#[template(path = "landing.html")]
pub(crate) struct Landing {
    /// What the operator calls this server; the same on every page.
    pub(crate) service: String,
    /// The MCP endpoint's full URL.
    pub(crate) mcp_url: String,
    /// Who is signed in, if anybody is.
    pub(crate) display_name: Option<String>,
    /// One line that stands above everything else.
    pub(crate) notice: Option<String>,
    pub(crate) login_url: String,
    pub(crate) account_url: String,
    pub(crate) manual_url: String,
}

/// The form that makes the first account, an administrator's.
///
/// Posts `token`, `csrf`, `name`, `display_name`, `password`.
#[derive(Template)]
#[template(path = "setup.html")]
pub(crate) struct Setup {
    pub(crate) service: String,
    /// Where the form is posted.
    pub(crate) action: String,
    /// The one-time set-up token from the link.
    pub(crate) token: String,
    pub(crate) csrf: String,
    /// What was typed before, to be shown again.
    pub(crate) name: String,
    /// What was typed before, to be shown again.
    pub(crate) display_name: String,
    /// What has to be put right; empty on the first visit.
    pub(crate) problems: Vec<FieldProblem>,
    /// The shortest password allowed, in characters.
    pub(crate) password_min: usize,
}

impl Setup {
    /// What is wrong with one field, if something is.
    fn problem(&self, field: SetupField) -> Option<&str> {
        let problem = self.problems.iter().find(|problem| problem.field == field)?;
        Some(&problem.message)
    }
}

/// One thing to put right in the set-up form.
#[derive(Debug)]
pub(crate) struct FieldProblem {
    pub(crate) field: SetupField,
    /// A whole sentence that says what to do.
    pub(crate) message: String,
}

/// The fields of the set-up form that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetupField {
    Name,
    DisplayName,
    Password,
}

impl SetupField {
    /// The `id` of its input, the same as the name it is posted under.
    const fn id(self) -> &'static str {
        match self {
            Self::Name => "username",
            Self::DisplayName => "display_name",
            Self::Password => "password",
        }
    }
}

/// The sign-in form.
///
/// Posts `csrf`, `authorization` (only if there is one), `username`, `password`.
#[derive(Template)]
#[template(path = "login.html")]
pub(crate) struct Login {
    pub(crate) service: String,
    /// Where the form is posted.
    pub(crate) action: String,
    pub(crate) csrf: String,
    /// The authorization request this sign-in belongs to.
    pub(crate) authorization: Option<String>,
    /// Who wants in, when a client sent the person here.
    pub(crate) requester: Option<Requester>,
    /// The login name to prefill, or empty.
    pub(crate) username: String,
    /// Why the last attempt didn't work, in whole sentences.
    pub(crate) problem: Option<String>,
    /// The attempt to connect, for people who ask what went wrong.
    pub(crate) attempt: String,
}

/// The client that sent a person to the sign-in page.
#[derive(Debug)]
pub(crate) struct Requester {
    /// The client's name as it calls itself.
    pub(crate) client_name: String,
    /// Where the answer will go: a host, or `scheme://`.
    pub(crate) destination: String,
}

/// The question whether a client may come in.
///
/// Posts `csrf`, `authorization` and `decision`: `approve`, `deny`, or `switch` (use a different
/// account).
#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct Consent {
    pub(crate) service: String,
    /// Where the form is posted, whatever the decision.
    pub(crate) action: String,
    pub(crate) csrf: String,
    /// The authorization request that is being decided.
    pub(crate) authorization: String,
    /// The client's name as it calls itself.
    pub(crate) client_name: String,
    /// The path of its logo, which only clients have that an administrator entered.
    pub(crate) logo_url: Option<String>,
    /// What vouches for the name: `Verified: ChatGPT (OpenAI)`. Only reviewed facts and administrators do.
    pub(crate) verified: Option<String>,
    /// What the client is for, in an administrator's words.
    pub(crate) description: Option<String>,
    /// How the client came to be known, a whole sentence: `It registered itself 3 minutes ago.`
    pub(crate) known_by: String,
    /// Where the access goes, shown largest: a host in its ASCII form (with its port on
    /// loopback), or `scheme://`.
    pub(crate) destination: String,
    pub(crate) destination_kind: DestinationKind,
    pub(crate) resource_name: String,
    pub(crate) resource_url: String,
    /// The signed-in account.
    pub(crate) display_name: String,
    /// The signed-in account's login name.
    pub(crate) login_name: String,
    pub(crate) scopes: Vec<ScopeLine>,
    /// Whether the client stays connected until the person disconnects it.
    pub(crate) offline: bool,
    /// Whole sentences that deserve attention before the decision.
    pub(crate) warnings: Vec<String>,
    /// The attempt to connect, for people who ask what went wrong.
    pub(crate) attempt: String,
}

/// One click instead of the whole question: a person let this client in before, exactly so.
///
/// Posts what [`Consent`] posts.
#[derive(Template)]
#[template(path = "continue.html")]
pub(crate) struct Continue {
    pub(crate) service: String,
    /// Where the form is posted, whatever the decision.
    pub(crate) action: String,
    pub(crate) csrf: String,
    /// The authorization request that is being decided.
    pub(crate) authorization: String,
    /// What the website is called: a reviewed name, not one that the client gave itself.
    pub(crate) name: String,
    /// The client's name as it calls itself.
    pub(crate) client_name: String,
    /// What vouches for the name.
    pub(crate) verified: Option<String>,
    /// How the client came to be known, a whole sentence.
    pub(crate) known_by: String,
    /// Where the access goes, shown largest: a host in its ASCII form.
    pub(crate) destination: String,
    /// The signed-in account.
    pub(crate) display_name: String,
    /// The signed-in account's login name.
    pub(crate) login_name: String,
    pub(crate) scopes: Vec<ScopeLine>,
    /// Whether the client stays connected until the person disconnects it.
    pub(crate) offline: bool,
    /// The attempt to connect, for people who ask what went wrong.
    pub(crate) attempt: String,
}

/// What kind of place the answer goes to: each is trusted for another reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DestinationKind {
    /// A website, known by its host.
    Https,
    /// A program on the person's own computer.
    Loopback,
    /// Whatever program on the device claimed a private-use scheme.
    CustomScheme,
}

/// One permission.
#[derive(Debug, Clone)]
pub(crate) struct ScopeLine {
    /// The scope as the protocol spells it.
    pub(crate) token: String,
    /// The same in plain words, as the end of "It can …" with a capital: `See your name`.
    pub(crate) description: String,
}

/// The way back to a program that is opened by its own scheme.
///
/// The caller vouches for the scheme of `url`: it becomes a link.
#[derive(Template)]
#[template(path = "handoff.html")]
pub(crate) struct Handoff {
    pub(crate) service: String,
    /// The client's name as it calls itself.
    pub(crate) client_name: String,
    /// The callback with its answer.
    pub(crate) url: String,
    /// The attempt to connect, for people who ask what went wrong.
    pub(crate) attempt: String,
}

/// Something went wrong, and this is what to do about it.
#[derive(Template)]
#[template(path = "problem.html")]
pub(crate) struct Problem {
    pub(crate) service: String,
    pub(crate) manual_url: String,
    /// The HTTP status, for people who search for it.
    pub(crate) status: u16,
    /// A headline without a full stop.
    pub(crate) title: String,
    /// What happened, in whole sentences.
    pub(crate) happened: String,
    /// What came in, word for word.
    pub(crate) received: Option<String>,
    /// What would have been right.
    pub(crate) expected: Option<String>,
    /// What the reader can do, one sentence each.
    pub(crate) to_do: Vec<String>,
    /// Finds this event in the log; nothing is shown if it is empty.
    pub(crate) reference: String,
    /// The attempt to connect, for people who ask what went wrong.
    pub(crate) attempt: String,
}

/// A person's own page: who they are and what is connected.
///
/// Each connection posts `csrf` to its own action, signing out posts `csrf` to `logout_action`.
#[derive(Template)]
#[template(path = "account.html")]
pub(crate) struct Account {
    pub(crate) service: String,
    pub(crate) display_name: String,
    pub(crate) login_name: String,
    pub(crate) csrf: String,
    pub(crate) logout_action: String,
    pub(crate) mcp_url: String,
    /// What has just been done, in a whole sentence.
    pub(crate) notice: Option<String>,
    pub(crate) connections: Vec<Connection>,
}

/// A client that a person has let in.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: String,
    /// Where the Disconnect button is posted.
    pub(crate) revoke_action: String,
    /// The client's name as it calls itself.
    pub(crate) client_name: String,
    /// Where the access went: a host, or `scheme://`.
    pub(crate) destination: String,
    pub(crate) scopes: Vec<ScopeLine>,
    /// When, as the end of "Connected …": `3 days ago`.
    pub(crate) connected_at: String,
    /// When, as the end of "Last used …": `5 minutes ago`, `never`.
    pub(crate) last_used: String,
}

/// One text from the library.
#[derive(Template)]
#[template(path = "document.html")]
pub(crate) struct Document {
    pub(crate) service: String,
    pub(crate) title: String,
    /// What it is as a page, if it is Markdown; HTML of ours.
    pub(crate) html: Option<String>,
    /// Else shown as it is written, line by line.
    pub(crate) text: String,
    pub(crate) back_url: String,
    /// Where `back_url` leads, as the end of "Back to …".
    pub(crate) back_label: String,
}

/// A page of the manual.
#[derive(Template)]
#[template(path = "manual.html")]
pub(crate) struct Manual {
    pub(crate) service: String,
    pub(crate) is_index: bool,
    pub(crate) page: &'static ManualPage,
}

/// What a template shows of a text that it can't vouch for.
trait Plain {
    /// Shows what can't be seen: control characters and those that change the writing direction
    /// become `U+FFFD`, so that a name reads the same to a person as to the server. Line breaks
    /// stay, and so do the joiners that scripts and emoji need.
    fn plain(&self) -> String;
}

impl Plain for str {
    fn plain(&self) -> String {
        self.chars().map(visible).collect()
    }
}

const fn visible(c: char) -> char {
    match c {
        '\0'..='\t'
        | '\u{b}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
