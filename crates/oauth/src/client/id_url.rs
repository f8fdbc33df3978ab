//! A `client_id` that is the `https` URL of a metadata document (draft-ietf-oauth-client-id-metadata-document §3).

use std::fmt;

use crate::https_url::{HttpsUrl, InvalidHttpsUrl};

/// A `client_id` that is the URL of a metadata document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdUrl(HttpsUrl);

/// Why a `client_id` that looks like a URL names no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientIdUrl {
    /// Not a URL that may be fetched.
    #[error(transparent)]
    Url(#[from] InvalidHttpsUrl),
    /// The whole host as one client: the draft asks for a path.
    #[error("the URL has no path: a client_id names a document, such as https://app.example.com/client.json")]
    NoPath,
    /// Read differently by different programs.
    #[error("the URL has a . or .. segment in its path")]
    DotSegment,
}

impl ClientIdUrl {
    /// Whether a `client_id` is to be read as a document's URL. No other client has an id that begins so. Plain
    /// `http` counts too, so that it is refused for what it is.
    #[must_use]
    pub fn is_meant_by(client_id: &str) -> bool {
        ["https://", "http://"]
            .iter()
            .any(|scheme| client_id.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    }

    /// Judges a `client_id`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(text: &str, allowed_ports: &[u16]) -> Result<Self, InvalidClientIdUrl> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let path = path.strip_prefix("https://").and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
        // Before the URL's normal form is judged: it has no dot segments any more, which would be the wrong words.
        let plain = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
        let dots = plain.split('/').any(|segment| matches!(segment, "." | ".."));
        match HttpsUrl::parse(text, allowed_ports) {
            Ok(_) | Err(InvalidHttpsUrl::NotNormal(_)) if dots => Err(InvalidClientIdUrl::DotSegment),
            Ok(_) | Err(InvalidHttpsUrl::NotNormal(_)) if path.is_empty() => Err(InvalidClientIdUrl::NoPath),
            Ok(url) => Ok(Self(url)),
            Err(why) => Err(why.into()),
        }
    }

    /// The URL, byte for byte: the `client_id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host that a person must judge by.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// The URL to fetch.
    #[must_use]
    pub fn url(&self) -> &HttpsUrl {
        &self.0
    }
}

impl fmt::Display for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientIdUrl, InvalidClientIdUrl};
    use crate::https_url::InvalidHttpsUrl;

    const URL: &str = "https://app.example.com/client.json";

    ///
    #[test]
    fn a_client_id_url_has_a_path_and_one_spelling() {
        for text in [URL, "https://chatgpt.com/oauth/abc/client.json", "https://a.example/x?y", "https://a.example/..x"]
        {
            assert_eq!(ClientIdUrl::parse(text, &[443]).unwrap().as_str(), text);
        }
        for (text, why) in [
            ("https://a.example", InvalidClientIdUrl::NoPath),
            ("https://a.example/", InvalidClientIdUrl::NoPath),
            ("https://a.example/?x", InvalidClientIdUrl::NoPath),
            ("https://a.example/a/../b", InvalidClientIdUrl::DotSegment),
            ("https://a.example/a/./b", InvalidClientIdUrl::DotSegment),
            ("https://a.example/a/..", InvalidClientIdUrl::DotSegment),
            ("https://a.example/a/%2e%2E/b", InvalidClientIdUrl::DotSegment),
            ("https://a.example/a/.%2e", InvalidClientIdUrl::DotSegment),
            ("https://a.example/a%2f..%2Fb", InvalidClientIdUrl::DotSegment),
            ("http://a.example/x", InvalidHttpsUrl::PlainHttp.into()),
            ("https://a.example/x#y", InvalidHttpsUrl::Fragment.into()),
            ("https://u@a.example/x", InvalidHttpsUrl::UserInfo.into()),
            ("https://10.0.0.1/x", InvalidHttpsUrl::AddressHost.into()),
            ("https://localhost/x", InvalidHttpsUrl::LocalHost("localhost".into()).into()),
            ("https://a.example:8443/x", InvalidHttpsUrl::Port(8443).into()),
            ("https://A.example/x", InvalidHttpsUrl::NotNormal("https://a.example/x".into()).into()),
        ] {
            assert_eq!(ClientIdUrl::parse(text, &[443]), Err(why), "{text}");
        }
        for (text, meant) in [
            (URL, true),
            ("HTTPS://x", true),
            ("http://x", true),
            ("pc_1", false),
            ("https:x", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(ClientIdUrl::is_meant_by(text), meant, "{text}");
        }
    }
}
