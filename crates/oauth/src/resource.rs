//! Resource indicators (RFC 8707): which spellings of the protected resource are accepted.

use std::fmt;

use super::cause::Cause;
use super::error::{ErrorCode, Refusal};

/// The canonical identifier of a protected resource: what `resource` in its metadata says and what `aud`
/// in its tokens says, byte for byte (RFC 9728 §3.3, RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(String);

impl Resource {
    /// Takes an identifier that is canonical already: from the configuration or from the store.
    #[must_use]
    pub fn from_canonical(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Resolves what a client sent against this server's only resource.
    ///
    /// Accepted: the identifier itself; other spellings of the same URL (case of scheme and host, default
    /// port, one trailing slash, a query when the identifier has none); and the bare origin, which clients
    /// send that read no resource metadata. Several values are accepted when all of them mean this resource.
    /// None at all means this resource: there is no other.
    ///
    /// # Errors
    /// `invalid_target` (RFC 8707 §2) for anything else.
    pub fn select(&self, requested: &[&str]) -> Result<Self, Refusal> {
        match requested.iter().find(|text| !self.is_meant_by(text)) {
            None => Ok(self.clone()),
            Some(other) => Err(Refusal::new(
                ErrorCode::InvalidTarget,
                Cause::ResourceUnknown,
                format!("this server protects {} only; leave resource out or send exactly that", self.0),
            )
            .with_detail(format!("received resource {:?}", other.split(['?', '#']).next().unwrap_or_default()))),
        }
    }

    fn is_meant_by(&self, text: &str) -> bool {
        let (Some(mine), Some(theirs)) = (Canonical::parse(&self.0), Canonical::parse(text)) else {
            return false;
        };
        mine.origin == theirs.origin && (theirs.path == mine.path || theirs.path.is_empty())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A URL cut down to what decides: the normalised origin and the path without one trailing slash.
struct Canonical {
    origin: String,
    path: String,
}

impl Canonical {
    fn parse(text: &str) -> Option<Self> {
        // RFC 8707 §2: an absolute URI without a fragment. Dot segments are refused, not resolved: a
        // resource that needs resolving is not one that a client was told.
        if text.contains('#') || text.contains("/.") {
            return None;
        }
        let url = url::Url::parse(text).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let path = url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
        Some(Self { origin: url.origin().ascii_serialization(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;

    fn resource() -> Resource {
        Resource::from_canonical("https://example.com/mcp")
    }

    /// A-09, A2: the spellings that clients really send.
    #[test]
    fn lenient_spellings_select_the_canonical_resource() {
        for text in [
            "https://example.com/mcp",
            "https://example.com/mcp/",
            "HTTPS://EXAMPLE.com/mcp",
            "https://example.com:443/mcp",
            "https://example.com/mcp?kb_name=x",
            "https://example.com",
            "https://example.com/",
        ] {
            assert_eq!(resource().select(&[text]).unwrap(), resource(), "{text}");
        }
        assert_eq!(resource().select(&[]).unwrap(), resource());
    }

    /// B-09: a token for one resource is never made for another.
    #[test]
    fn other_resources_are_refused() {
        for text in [
            "https://example.com/MCP",
            "https://example.com/mcp//",
            "https://example.com/mcp/x",
            "https://example.com/mcp#f",
            "https://example.com/x/../mcp",
            "https://evil.example/mcp",
            "https://example.com.evil.example/mcp",
            "https://user@example.com/mcp",
            "http://example.com/mcp",
            "https://example.com:8443/mcp",
            "mcp",
            "",
            "urn:x",
        ] {
            assert!(resource().select(&[text]).is_err(), "{text}");
        }
        assert!(resource().select(&["https://example.com/mcp", "https://b.example"]).is_err());
    }
}
