//! Redirect URIs: which may be registered (OAuth 2.1 §2.3.1, RFC 8252 §7) and which requested one is a
//! registered one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a redirect leads, for rules and for words on the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An `https` URL: the answer goes to the host's owner.
    Https,
    /// An `http` URL on this very device (RFC 8252 §7.3): any program there may listen.
    Loopback,
    /// A private-use scheme (RFC 8252 §7.1): whichever app claimed it.
    CustomScheme,
}

/// A redirect URI that passed the rules for registration. Its bytes are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RedirectUri {
    text: String,
    destination: Destination,
    host: String,
}

/// Why a URI may not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirectUri {
    /// Not an absolute URI at all.
    #[error("is not an absolute URI")]
    NotAbsolute,
    /// RFC 6749 §3.1.2.
    #[error("has a fragment (#), which a redirect URI may not have")]
    Fragment,
    /// A userinfo part can make one host look like another.
    #[error("has a user name or password before the host")]
    UserInfo,
    /// `http` to another machine sends the code in the clear.
    #[error("uses http to a host that is not this device; use https (http is for localhost, 127.0.0.1 and [::1])")]
    PlainHttp,
    /// Schemes that run code, read files or never leave the browser.
    #[error("uses a scheme that may never be a redirect target")]
    ForbiddenScheme,
    /// A private-use scheme that is neither reverse-domain nor known.
    #[error("uses a private scheme that is neither a reverse domain name (com.example.app) nor one of the known ones")]
    UnknownScheme,
    /// White space, control characters or a backslash: read differently by different programs.
    #[error("has white space, a control character or a backslash")]
    StrangeCharacter,
    /// Longer than anything real.
    #[error("is longer than 2000 characters")]
    TooLong,
}

impl InvalidRedirectUri {
    /// Whether the URI can be left out of a registration that has others: only what is merely unknown.
    /// What is dangerous fails the whole registration, loudly.
    #[must_use]
    pub fn may_be_dropped(self) -> bool {
        self == Self::UnknownScheme
    }
}

const FORBIDDEN_SCHEMES: [&str; 14] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "about",
    "blob",
    "filesystem",
    "view-source",
    "ftp",
    "ws",
    "wss",
    "chrome",
    "mailto",
    "jar",
];

impl RedirectUri {
    /// Checks a URI that a client wants to register. `known_schemes` are private-use schemes without a dot
    /// that are accepted all the same, because widely used clients own them.
    ///
    /// # Errors
    /// When a rule is broken; the error names it.
    pub fn parse(text: &str, known_schemes: &[String]) -> Result<Self, InvalidRedirectUri> {
        if text.len() > 2000 {
            return Err(InvalidRedirectUri::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') || !text.is_ascii() {
            return Err(InvalidRedirectUri::StrangeCharacter);
        }
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        let url = url::Url::parse(text).map_err(|_| InvalidRedirectUri::NotAbsolute)?;
        let scheme = url.scheme().to_owned();
        if FORBIDDEN_SCHEMES.contains(&scheme.as_str()) {
            return Err(InvalidRedirectUri::ForbiddenScheme);
        }
        let after_scheme = text.get(scheme.len()..).unwrap_or_default();
        if matches!(scheme.as_str(), "http" | "https") && !after_scheme.starts_with("://") {
            return Err(InvalidRedirectUri::NotAbsolute);
        }
        let authority =
            after_scheme.strip_prefix("://").unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(InvalidRedirectUri::UserInfo);
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let (destination, host) = match scheme.as_str() {
            "https" => (Destination::Https, host),
            "http" if is_loopback_host(&host) => (Destination::Loopback, host),
            "http" => return Err(InvalidRedirectUri::PlainHttp),
            _ if scheme.contains('.') || known_schemes.contains(&scheme) => (Destination::CustomScheme, scheme),
            _ => return Err(InvalidRedirectUri::UnknownScheme),
        };
        Ok(Self { text: text.to_owned(), destination, host })
    }

    /// Reads a URI that passed [`parse`](Self::parse) when it was registered; the list of known schemes may
    /// have changed since.
    ///
    /// # Errors
    /// When even the rules that never change are broken.
    pub fn from_stored(text: &str) -> Result<Self, InvalidRedirectUri> {
        let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        Self::parse(text, &[scheme])
    }

    /// The URI, byte for byte as registered (or, for loopback, as requested).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.destination
    }

    /// The host that a person must judge by, or the scheme where there is no host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The registered URI that a request means, with the request's bytes.
    ///
    /// Simple string comparison (OAuth 2.1 §2.3.1), with one exception: on loopback `http` URIs the port is
    /// ignored (RFC 8252 §7.3), `localhost` included, because clients that open a port at run time say so
    /// nowhere else. `127.0.0.1`, `[::1]` and `localhost` stay different hosts.
    #[must_use]
    pub fn select(requested: &str, registered: &[Self]) -> Option<Self> {
        registered.iter().find_map(|own| {
            if own.text == requested {
                return Some(own.clone());
            }
            if own.destination != Destination::Loopback {
                return None;
            }
            let (mine, theirs) = (WithoutPort::parse(&own.text)?, WithoutPort::parse(requested)?);
            let lawful = Self::from_stored(requested).ok()?;
            (mine == theirs && lawful.destination == Destination::Loopback).then_some(lawful)
        })
    }

    /// The URI with response parameters appended. The registered query keeps its bytes, save that a
    /// key which the response sets is removed: exactly one `code`, `state` and `iss` reach the client.
    #[must_use]
    pub fn with_params(&self, params: &[(&str, &str)]) -> String {
        let (base, query) = match self.text.split_once('?') {
            Some((base, query)) => (base, query),
            None => (self.text.as_str(), ""),
        };
        let mut kept: Vec<String> = query
            .split('&')
            .filter(|piece| !piece.is_empty())
            .filter(|piece| {
                let key = piece.split('=').next().unwrap_or_default();
                !["code", "state", "iss", "error", "error_description"].contains(&key)
            })
            .map(str::to_owned)
            .collect();
        for (name, value) in params {
            kept.push(format!("{name}={}", percent_encode(value)));
        }
        format!("{base}?{}", kept.join("&"))
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a host name means this device (RFC 8252 §7.3, §8.3).
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// A loopback URI cut at its port, compared as text.
#[derive(PartialEq, Eq)]
struct WithoutPort<'a> {
    host: &'a str,
    rest: &'a str,
}

impl<'a> WithoutPort<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let after = text.strip_prefix("http://")?;
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end)?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        // An empty path and "/" are one path (RFC 3986 §6.2.3).
        Some(Self { host, rest: if rest == "/" { "" } else { rest } })
    }
}

/// Percent-encodes all but the unreserved characters, so that `state` comes back as the same bytes whatever
/// decoder the client uses.
fn percent_encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.text
    }
}

/// What was stored: see [`RedirectUri::from_stored`].
impl TryFrom<String> for RedirectUri {
    type Error = InvalidRedirectUri;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_stored(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, InvalidRedirectUri, RedirectUri};

    fn parse(text: &str) -> Result<RedirectUri, InvalidRedirectUri> {
        RedirectUri::parse(text, &["cursor".to_owned(), "vscode".to_owned()])
    }

    fn registered(texts: &[&str]) -> Vec<RedirectUri> {
        texts.iter().map(|text| parse(text).unwrap()).collect()
    }

    /// R-15, B1: what real clients register.
    #[test]
    fn callbacks_of_known_clients_are_accepted() {
        for (text, destination, host) in [
            ("https://chatgpt.com/connector_platform_oauth_redirect", Destination::Https, "chatgpt.com"),
            ("https://claude.ai/api/mcp/auth_callback", Destination::Https, "claude.ai"),
            ("http://127.0.0.1:33418/", Destination::Loopback, "127.0.0.1"),
            ("http://127.0.0.1/", Destination::Loopback, "127.0.0.1"),
            ("http://localhost/callback", Destination::Loopback, "localhost"),
            ("http://[::1]:8080/cb", Destination::Loopback, "[::1]"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", Destination::CustomScheme, "cursor"),
            ("com.example.app:/callback", Destination::CustomScheme, "com.example.app"),
        ] {
            let uri = parse(text).unwrap();
            assert_eq!((uri.destination(), uri.host()), (destination, host), "{text}");
        }
    }

    /// B-01, B-11, S3.
    #[test]
    fn dangerous_uris_are_refused() {
        for (text, why) in [
            ("javascript:alert(1)", InvalidRedirectUri::ForbiddenScheme),
            ("JavaScript:alert(1)", InvalidRedirectUri::ForbiddenScheme),
            ("data:text/html,x", InvalidRedirectUri::ForbiddenScheme),
            ("file:///etc/passwd", InvalidRedirectUri::ForbiddenScheme),
            ("https://a/cb#frag", InvalidRedirectUri::Fragment),
            ("https://user@a/cb", InvalidRedirectUri::UserInfo),
            ("https://@a/cb", InvalidRedirectUri::UserInfo),
            ("http://example.com/cb", InvalidRedirectUri::PlainHttp),
            ("http://localhost.evil.example/cb", InvalidRedirectUri::PlainHttp),
            ("http://127.0.0.1.evil.example/cb", InvalidRedirectUri::PlainHttp),
            ("unknown://x/cb", InvalidRedirectUri::UnknownScheme),
            ("/relative", InvalidRedirectUri::NotAbsolute),
            ("https:/a/cb", InvalidRedirectUri::NotAbsolute),
            ("", InvalidRedirectUri::NotAbsolute),
            ("https://a/c b", InvalidRedirectUri::StrangeCharacter),
            ("https://a\\@b/cb", InvalidRedirectUri::StrangeCharacter),
            ("https://a/\u{202e}cb", InvalidRedirectUri::StrangeCharacter),
        ] {
            assert_eq!(parse(text).unwrap_err(), why, "{text}");
        }
    }

    /// A-03, B-01: exact, except for a loopback port.
    #[test]
    fn match_is_exact_except_for_the_loopback_port() {
        let own = registered(&["https://a.example/cb", "http://localhost/callback", "http://127.0.0.1:33418/"]);
        for (requested, matches) in [
            ("https://a.example/cb", true),
            ("http://localhost:49152/callback", true),
            ("http://127.0.0.1:5/", true),
            ("http://127.0.0.1:5", true),
            ("https://a.example/cb/", false),
            ("https://a.example/CB", false),
            ("https://a.example:443/cb", false),
            ("https://a.example/cb?x=1", false),
            ("https://sub.a.example/cb", false),
            ("https://a.example/cb%2f", false),
            ("http://127.0.0.1:5/callback", false),
            ("http://[::1]/callback", false),
            ("http://localhost:1/callback#x", false),
            ("http://localhost:1@evil.example/callback", false),
            ("http://localhost:x/callback", false),
            ("http://localhost.evil.example/callback", false),
        ] {
            assert_eq!(RedirectUri::select(requested, &own).is_some(), matches, "{requested}");
        }
    }

    ///
    #[test]
    fn response_parameters_are_appended_once() {
        let own = parse("https://a.example/cb?tenant=a%20b&code=evil&iss=evil").unwrap();
        assert_eq!(
            own.with_params(&[("code", "1"), ("state", "/+ é"), ("iss", "https://h")]),
            "https://a.example/cb?tenant=a%20b&code=1&state=%2F%2B%20%C3%A9&iss=https%3A%2F%2Fh"
        );
        assert_eq!(parse("https://a.example/cb").unwrap().with_params(&[("code", "1")]), "https://a.example/cb?code=1");
    }
}
