//! The issuer identifier (RFC 8414 §2): one string, identical wherever it appears.

use std::fmt;

/// The issuer: an origin without a trailing slash. Clients compare it byte for byte with the URL that
/// they started from (RFC 8414 §3.3), so there is one spelling and this type holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// The issuer of a deployment whose public address is `origin`.
    #[must_use]
    pub fn from_origin(origin: &url::Url) -> Self {
        Self(origin.origin().ascii_serialization())
    }

    /// The identifier as it stands in documents, tokens and redirects.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute URL of a path (which begins with `/`) on this issuer's origin.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Issuer;

    #[test]
    fn issuer_never_ends_with_a_slash() {
        for text in ["https://Example.com/", "https://example.com", "https://example.com:443/"] {
            let issuer = Issuer::from_origin(&url::Url::parse(text).unwrap());
            assert_eq!(issuer.as_str(), "https://example.com");
        }
    }
}
