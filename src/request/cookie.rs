//! The three cookies: one for a signed-in person, one that ties forms and authorization requests to a browser, one by
//! which a browser is known to accounts that it signed in to.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::model::secret::{Secret, SecretKind};

/// Names and attributes of the cookies. On HTTPS they carry the `__Host-` prefix, so that no other host of the
/// domain can plant them (RFC 6265bis §4.1.3.2).
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    secure: bool,
}

impl Cookies {
    /// For a deployment that people reach by HTTPS, or not.
    pub(crate) fn new(secure: bool) -> Self {
        Self { secure }
    }

    fn name(&self, kind: SecretKind) -> String {
        let name = match kind {
            SecretKind::Session => "portcullis_session",
            SecretKind::KnownBrowser => "portcullis_known",
            SecretKind::Browser
            | SecretKind::Code
            | SecretKind::RefreshToken
            | SecretKind::ClientSecret
            | SecretKind::RegistrationToken
            | SecretKind::SetupLink
            | SecretKind::ApiToken => "portcullis_browser",
        };
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// The cookie of this kind that the browser sent.
    pub(crate) fn read(&self, headers: &HeaderMap, kind: SecretKind) -> Option<Secret> {
        let name = self.name(kind);
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(own, value)| *own == name && !value.is_empty())
            .map(|(_, value)| Secret::presented(value))
    }

    /// The header that sets a cookie for `seconds`. `SameSite=Lax`: a client sends people here from another site
    /// a POST from there comes without cookies.
    pub(crate) fn set(&self, kind: SecretKind, secret: &Secret, seconds: i64) -> Option<HeaderValue> {
        self.header(kind, secret.expose(), seconds)
    }

    /// The header that removes a cookie.
    pub(crate) fn clear(&self, kind: SecretKind) -> Option<HeaderValue> {
        self.header(kind, "", 0)
    }

    fn header(&self, kind: SecretKind, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name(kind));
        HeaderValue::from_str(&text).ok()
    }
}
