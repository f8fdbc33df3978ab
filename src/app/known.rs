//! Browsers that have signed in to an account before. They keep a signed cookie that says so and are counted by
//! themselves when passwords are wrong: strangers who guess can make an account wait for strangers, never for them
//! (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! The cookie holds no secret and signs nobody in. An entry of it is good for one account and one credential; the
//! account is not named in it.

use axum::http::{HeaderMap, HeaderValue};
use oauth::id::UserId;
use oauth::time::{Timestamp, whole_seconds};

use super::App;
use crate::model::secret::{Secret, SecretKind};
use crate::model::user::{Credential, User};

/// How many accounts one browser is known for: those that it signed in to last.
const MOST: usize = 5;
/// The characters of a nonce: 128 random bits.
const NONCE: usize = 22;
const BETWEEN: char = '~';

/// One account that the browser says it has signed in to.
struct Entry<'a> {
    /// Names this browser's count of failures.
    nonce: &'a str,
    expires_at: Timestamp,
    tag: &'a str,
    text: &'a str,
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("psk_")?.split('.');
        let (nonce, expires_at, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let lawful = nonce.len() == NONCE && nonce.bytes().all(plain) && parts.next().is_none();
        let expires_at = Timestamp(expires_at.parse().ok()?);
        lawful.then_some(Self { nonce, expires_at, tag, text })
    }

    fn is_of(&self, app: &App, user: &UserId, credential: Credential, now: Timestamp) -> bool {
        let signed = app.master.known_browser_matches(user, credential, (self.nonce, self.expires_at), self.tag);
        signed && self.expires_at > now
    }
}

fn entries(cookie: Option<&Secret>) -> impl Iterator<Item = Entry<'_>> {
    cookie.map_or("", Secret::expose).split(BETWEEN).take(MOST).filter_map(Entry::read)
}

/// The nonce under which this browser's failures are counted, if it has signed in to this account with its present
/// credential before. Without an account the same work is done and the answer is no, so that the time tells nothing.
pub(crate) fn recognise(app: &App, headers: &HeaderMap, user: Option<&User>, now: Timestamp) -> Option<String> {
    let cookie = app.cookies.read(headers, SecretKind::KnownBrowser);
    let nobody = UserId::new("");
    let (id, credential) = user.map_or((&nobody, Credential::default()), |user| (&user.id, user.credential));
    let own: Vec<Entry<'_>> = entries(cookie.as_ref()).filter(|entry| entry.is_of(app, id, credential, now)).collect();
    own.first().filter(|_| user.is_some()).map(|entry| entry.nonce.to_owned())
}

/// The cookie by which this browser is known to the account that it signs in to now, beside those before.
pub(crate) fn remember(
    app: &App,
    headers: &HeaderMap,
    (user, credential): (&UserId, Credential),
    now: Timestamp,
) -> Option<HeaderValue> {
    let ttl = app.config.sessions.known_browser_ttl;
    let (nonce, expires_at) = (app.random.id(""), now.plus(ttl));
    let tag = app.master.known_browser(user, credential, (&nonce, expires_at));
    let mut texts = vec![format!("psk_{nonce}.{}.{tag}", expires_at.0)];
    let before = app.cookies.read(headers, SecretKind::KnownBrowser);
    let others = entries(before.as_ref()).filter(|entry| !entry.is_of(app, user, credential, now));
    texts.extend(others.filter(|entry| entry.expires_at > now).map(|entry| entry.text.to_owned()).take(MOST - 1));
    let cookie = Secret::presented(texts.join(&BETWEEN.to_string()));
    app.cookies.set(SecretKind::KnownBrowser, &cookie, whole_seconds(ttl))
}
