//! An `https` URL that a stranger names and that this server will fetch: a metadata document, a key set.
//!
//! Judged as text, before any name is resolved. What the name resolves to is judged by `fetch`.

use std::fmt;

use url::{Host, Url};

/// The longest such URL.
pub const MAX_URL: usize = 1000;

/// An absolute `https` URL with a whole host name, in its one normal spelling. Its bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpsUrl {
    text: String,
    host: String,
}

/// Why a URL is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHttpsUrl {
    /// More than anything real has.
    #[error("the URL is longer than {MAX_URL} characters")]
    TooLong,
    /// White space, control characters, a backslash or anything beyond ASCII: read differently by different programs.
    #[error("the URL has white space, a control character, a backslash or a character outside ASCII")]
    StrangeCharacter,
    /// In the clear anybody on the way could answer.
    #[error("the URL begins with http://; it must begin with https://")]
    PlainHttp,
    /// Not `https` at all.
    #[error("the URL does not begin with https:// or can't be read")]
    NotHttps,
    /// RFC 3986 §3.5.
    #[error("the URL has a fragment (#)")]
    Fragment,
    /// One host made to look like another.
    #[error("the URL has a user name or password before the host")]
    UserInfo,
    /// An address has no owner whom a person could recognise, and bypasses the rules on names.
    #[error("the URL has an IP address in place of a host name")]
    AddressHost,
    /// A name that means something else in each network.
    #[error("the URL's host ({0}) is not a whole public name, such as app.example.com")]
    LocalHost(String),
    /// A port that the operator did not allow.
    #[error("the URL has port {0}, which this server does not connect to")]
    Port(u16),
    /// Two spellings of one address would be two clients that look like one.
    #[error("the URL is not in its normal form, which is {0}")]
    NotNormal(String),
}

impl HttpsUrl {
    /// Judges a URL.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(text: &str, allowed_ports: &[u16]) -> Result<Self, InvalidHttpsUrl> {
        if text.len() > MAX_URL {
            return Err(InvalidHttpsUrl::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
            return Err(InvalidHttpsUrl::StrangeCharacter);
        }
        let Some(after_scheme) = text.strip_prefix("https://") else {
            let plain = text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"));
            return Err(if plain { InvalidHttpsUrl::PlainHttp } else { InvalidHttpsUrl::NotHttps });
        };
        if text.contains('#') {
            return Err(InvalidHttpsUrl::Fragment);
        }
        if after_scheme.split(['/', '?']).next().unwrap_or_default().contains('@') {
            return Err(InvalidHttpsUrl::UserInfo);
        }
        let url = Url::parse(text).map_err(|_| InvalidHttpsUrl::NotHttps)?;
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(InvalidHttpsUrl::AddressHost),
            None => return Err(InvalidHttpsUrl::NotHttps),
        };
        if !is_public_name(&host) {
            return Err(InvalidHttpsUrl::LocalHost(host));
        }
        let port = url.port_or_known_default().unwrap_or(443);
        if !allowed_ports.contains(&port) {
            return Err(InvalidHttpsUrl::Port(port));
        }
        if url.as_str() != text {
            return Err(InvalidHttpsUrl::NotNormal(url.into()));
        }
        Ok(Self { text: text.to_owned(), host })
    }

    /// The URL, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host name, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// At least two labels, none empty, and not one of the names that mean the machine itself (RFC 6761 §6.3). What else
/// leads inside is caught by its addresses.
fn is_public_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let plain = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    labels.len() > 1
        && host.len() <= 253
        && labels.iter().all(plain)
        && labels.last().is_some_and(|last| !matches!(*last, "localhost" | "localdomain"))
}

#[cfg(test)]
mod tests {
    use super::{HttpsUrl, InvalidHttpsUrl as Invalid};

    /// what a URL may be, before anything is resolved.
    #[test]
    fn only_https_urls_of_public_names_are_taken() {
        let parse = |text: &str| HttpsUrl::parse(text, &[443, 8443]);
        for text in [
            "https://a.example/x",
            "https://a.example/",
            "https://a.example:8443/x?y=1",
            "https://xn--bcher-kva.example/",
        ] {
            assert_eq!(parse(text).unwrap().as_str(), text);
        }
        assert_eq!(parse("https://a.example:8443/x").unwrap().host(), "a.example");
        for (text, why) in [
            ("http://a.example/x", Invalid::PlainHttp),
            ("HTTP://a.example/x", Invalid::PlainHttp),
            ("HTTPS://a.example/x", Invalid::NotHttps),
            ("ftp://a.example/x", Invalid::NotHttps),
            ("https:/a.example/x", Invalid::NotHttps),
            ("https://", Invalid::NotHttps),
            ("", Invalid::NotHttps),
            ("https://a.example/x#", Invalid::Fragment),
            ("https://u@a.example/x", Invalid::UserInfo),
            ("https://@a.example/x", Invalid::UserInfo),
            ("https://u:p@127.0.0.1/x", Invalid::UserInfo),
            ("https://127.0.0.1/x", Invalid::AddressHost),
            ("https://0x7f.1/x", Invalid::AddressHost),
            ("https://2130706433/x", Invalid::AddressHost),
            ("https://127.1/x", Invalid::AddressHost),
            ("https://[::1]/x", Invalid::AddressHost),
            ("https://[::ffff:10.0.0.1]/x", Invalid::AddressHost),
            ("https://localhost/x", Invalid::LocalHost("localhost".into())),
            ("https://a.localhost/x", Invalid::LocalHost("a.localhost".into())),
            ("https://intranet/x", Invalid::LocalHost("intranet".into())),
            ("https://a.example./x", Invalid::LocalHost("a.example.".into())),
            ("https://a..example/x", Invalid::LocalHost("a..example".into())),
            ("https://a.example:80/x", Invalid::Port(80)),
            ("https://a.example:22/x", Invalid::Port(22)),
            ("https://a.example:443/x", Invalid::NotNormal("https://a.example/x".into())),
            ("https://a.example:/x", Invalid::NotNormal("https://a.example/x".into())),
            ("https://A.example/x", Invalid::NotNormal("https://a.example/x".into())),
            ("https://a.example", Invalid::NotNormal("https://a.example/".into())),
            ("https://a.example/x/../y", Invalid::NotNormal("https://a.example/y".into())),
            ("https://a.example/\\b", Invalid::StrangeCharacter),
            ("https://a.example/ b", Invalid::StrangeCharacter),
            ("https://a.example/\tb", Invalid::StrangeCharacter),
            ("https://b\u{fc}cher.example/", Invalid::StrangeCharacter),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
        assert_eq!(parse(&format!("https://a.example/{}", "x".repeat(1000))), Err(Invalid::TooLong));
    }
}
