//! What the browser steps share: who is at the door, and forms that only this browser can send.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use oauth::cause::Cause;
use oauth::id::{AuthorizationId, UserId};
use oauth::redirect_uri::{Destination, RedirectUri};
use oauth::time::{Timestamp, whole_seconds};

use crate::app::{App, known};
use crate::model::authorization::Authorization;
use crate::model::secret::{Secret, SecretHash, SecretKind};
use crate::model::user::{Credential, Session};
use crate::request::context::RequestContext;
use crate::response::respond::{ErrorPage, Failure, PageRejection, see_other, with_cookie};

/// How long the browser cookie lives: longer than any authorization request.
const BROWSER_SECONDS: i64 = 24 * 3600;

/// A signed-in browser.
pub(crate) struct SignedIn {
    /// Digest of its cookie.
    pub(crate) hash: SecretHash,
    /// Whose it is.
    pub(crate) session: Session,
}

/// The signed-in person, if any.
pub(crate) async fn signed_in(app: &App, headers: &HeaderMap, now: Timestamp) -> Result<Option<SignedIn>, Failure> {
    let Some(cookie) = app.cookies.read(headers, SecretKind::Session) else { return Ok(None) };
    let hash = cookie.hash();
    Ok(app.store.find_session(&hash, now).await?.map(|session| SignedIn { hash, session }))
}

/// The cookie that ties forms and requests to this browser: the one that it has, or a new one to be set.
pub(crate) struct BrowserCookie {
    /// Its digest.
    pub(crate) hash: SecretHash,
    new: Option<Secret>,
}

impl BrowserCookie {
    /// Reads the cookie, or makes one.
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Self {
        if let Some(secret) = app.cookies.read(headers, SecretKind::Browser) {
            return Self { hash: secret.hash(), new: None };
        }
        let secret = app.random.secret(SecretKind::Browser);
        Self { hash: secret.hash(), new: Some(secret) }
    }

    /// Sets the cookie if it is new.
    pub(crate) fn attach(&self, app: &App, response: Response) -> Response {
        let cookie = self.new.as_ref().and_then(|secret| app.cookies.set(SecretKind::Browser, secret, BROWSER_SECONDS));
        with_cookie(response, cookie)
    }
}

/// Checks the hidden token of a form against the cookie that the browser sent with it (RFC 9700 §4.7).
pub(crate) fn check_form(
    app: &App,
    cookie: Option<&SecretHash>,
    purpose: &str,
    token: &str,
) -> Result<(), PageRejection> {
    if cookie.is_some_and(|cookie| app.master.form_token_matches(cookie, purpose, token)) {
        return Ok(());
    }
    let (happened, to_do) = if cookie.is_some() {
        (
            "The form that was sent is not the one that this server showed to this browser last.",
            vec!["Go back, reload the page and try once more.".to_owned()],
        )
    } else {
        (
            "Your browser did not send this server's cookie along with the form.",
            vec![
                "Allow cookies for this site, then start again from your client.".to_owned(),
                "If a private window was closed meanwhile, start again from your client.".to_owned(),
            ],
        )
    };
    Err(ErrorPage {
        to_do,
        detail: format!("form token for {purpose:?}"),
        ..ErrorPage::new(Cause::FormUnfit, StatusCode::FORBIDDEN, "This form can't be accepted", happened)
    }
    .into())
}

/// The stored request that a browser step is about. It must exist, be in time, and have been begun by this
/// very browser: otherwise one person could finish what another began (B-15, B-16).
pub(crate) async fn authorization(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    id: Option<&str>,
    now: Timestamp,
) -> Result<Authorization, PageRejection> {
    let id = id.and_then(|id| AuthorizationId::parse(id).ok());
    let found = match &id {
        Some(id) => app.store.find_authorization(id).await?,
        None => None,
    };
    // Only what is stored is believed: a made-up id must not write into somebody else's attempt.
    if let Some(found) = &found {
        context.continues(&found.id, &found.client_id);
    }
    let Some(found) = found.filter(|found| found.expires_at > now) else {
        return Err(ErrorPage {
            to_do: vec!["Go back to your client (ChatGPT, Claude, your editor …) and choose Connect again.".to_owned()],
            detail: format!("authorization {id:?} is unknown or expired"),
            ..ErrorPage::new(
                Cause::RequestExpired,
                StatusCode::BAD_REQUEST,
                "This request has expired",
                "The connection that you began was not finished in time, or its address is incomplete.",
            )
        }
        .into());
    };
    let browser = app.cookies.read(headers, SecretKind::Browser).map(|secret| secret.hash());
    if !browser.is_some_and(|browser| browser.matches(&found.browser_hash)) {
        return Err(ErrorPage {
            to_do: vec![
                "Go back to your client and choose Connect again, in this browser.".to_owned(),
                "If you did, allow cookies for this site: this browser did not send the one it was given.".to_owned(),
            ],
            detail: format!("authorization {}: the browser cookie is missing or another", found.id),
            ..ErrorPage::new(
                Cause::AnotherBrowser,
                StatusCode::FORBIDDEN,
                "This request began in another browser",
                "Only the browser that began to connect a client can finish it, so that nobody can be tricked into \
                 finishing somebody else's.",
            )
        }
        .into());
    }
    Ok(found)
}

/// The address of a browser step for a request.
pub(crate) fn step(path: &str, id: &AuthorizationId) -> String {
    format!("{path}?authorization={id}")
}

/// Signs a person in who has proved this credential: a new session id whatever came before (session fixation, B-16),
/// and the old one is gone. None if the account has another credential meanwhile: what was proved is no longer true.
pub(crate) async fn sign_in(
    app: &App,
    headers: &HeaderMap,
    proved: (&UserId, Credential),
    location: &str,
    now: Timestamp,
) -> Result<Option<Response>, Failure> {
    let session = app.random.secret(SecretKind::Session);
    let ttl = app.config.sessions.ttl;
    if !app.store.insert_session(&session.hash(), proved, now, now.plus(ttl)).await? {
        return Ok(None);
    }
    if let Some(old) = app.cookies.read(headers, SecretKind::Session) {
        app.store.delete_session(&old.hash()).await?;
    }
    let response =
        with_cookie(see_other(location)?, app.cookies.set(SecretKind::Session, &session, whole_seconds(ttl)));
    Ok(Some(with_cookie(response, known::remember(app, headers, proved, now))))
}

/// Signs the browser out and sends it to `location`.
pub(crate) async fn sign_out(app: &App, headers: &HeaderMap, location: &str) -> Result<Response, Failure> {
    if let Some(session) = app.cookies.read(headers, SecretKind::Session) {
        app.store.delete_session(&session.hash()).await?;
    }
    Ok(with_cookie(see_other(location)?, app.cookies.clear(SecretKind::Session)))
}

/// Where a redirect leads, as people read it: host (with port on loopback) or scheme.
pub(crate) fn destination(uri: &RedirectUri) -> String {
    match uri.destination() {
        Destination::Https => uri.host().to_owned(),
        Destination::Loopback => {
            let after = uri.as_str().strip_prefix("http://").unwrap_or_default();
            after.split(['/', '?']).next().unwrap_or_default().to_owned()
        }
        Destination::CustomScheme => format!("{}://", uri.host()),
    }
}

/// How long something takes, in words, rounded up: `90 seconds`, `4 minutes`, `3 hours`.
pub(crate) fn lasting(seconds: u64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        ..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

/// How long ago something was, in words.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then);
    let (count, unit) = match seconds {
        ..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::lasting;

    /// Who waits as long as the page says has waited long enough.
    #[test]
    fn a_wait_is_told_in_words_and_rounded_up() {
        for (seconds, words) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (121, "3 minutes"),
            (300, "5 minutes"),
            (7199, "120 minutes"),
            (7200, "2 hours"),
            (86_400, "24 hours"),
        ] {
            assert_eq!(lasting(seconds), words);
        }
    }
}
