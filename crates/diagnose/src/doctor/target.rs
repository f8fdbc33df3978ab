//! What is examined: the address that a person types into a client.

use std::fmt;

use url::{Host, Url};

/// A deployment: an origin, and the path of its MCP endpoint once that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    origin: Url,
    path: Option<String>,
}

/// Why a text is no address of a deployment.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a web address like https://auth.example.com/mcp")]
pub struct InvalidTarget(String);

impl Target {
    /// Reads an MCP URL or an origin. Without a scheme it is https, as in a client's form.
    ///
    /// # Errors
    /// For anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.to_owned());
        let trimmed = text.trim();
        let whole = if trimmed.contains("://") { trimmed.to_owned() } else { format!("https://{trimmed}") };
        let mut origin = Url::parse(&whole).map_err(|_| invalid())?;
        if !matches!(origin.scheme(), "http" | "https") || !origin.username().is_empty() || origin.password().is_some()
        {
            return Err(invalid());
        }
        let path = origin.path().trim_end_matches('/').to_owned();
        origin.set_path("");
        origin.set_query(None);
        origin.set_fragment(None);
        Ok(Self { origin, path: Some(path).filter(|path| !path.is_empty()) })
    }

    /// The same with the MCP endpoint's path, if that was not given.
    #[must_use]
    pub fn or_path(self, path: &str) -> Self {
        // The path of `x:@elsewhere` begins with no slash: joined to the origin it would lead to another host.
        let found = if path.starts_with('/') { path.trim_end_matches('/') } else { "" };
        Self { path: self.path.or_else(|| Some(found.to_owned())), ..self }
    }

    /// The path of the MCP endpoint, where it is known.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The path of the MCP endpoint; the usual one where it is not known.
    #[must_use]
    pub fn mcp_path(&self) -> &str {
        self.path.as_deref().unwrap_or("/mcp")
    }

    /// Scheme, host and port, as documents must spell them.
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.origin().ascii_serialization()
    }

    /// The absolute URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        format!("{}{slash}{path}", self.origin())
    }

    /// The MCP URL: what the resource's metadata must say, byte for byte (RFC 9728 §3.3).
    #[must_use]
    pub fn mcp_url(&self) -> String {
        self.url(self.mcp_path())
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.scheme() == "https"
    }

    /// The host as a resolver takes it.
    #[must_use]
    pub fn host(&self) -> String {
        match self.origin.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        }
    }

    /// Host and port, as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.origin.host_str().unwrap_or_default();
        self.origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The port, spelled out or not.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.origin.port_or_known_default().unwrap_or(443)
    }

    /// Whether the port is the scheme's own.
    #[must_use]
    pub fn has_default_port(&self) -> bool {
        self.origin.port().is_none()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mcp_url())
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    /// What people paste: the MCP URL with and without a slash, the origin, the bare host.
    #[test]
    fn the_address_is_read_as_people_type_it() {
        for (text, url, path) in [
            ("https://Auth.Example.com/mcp", "https://auth.example.com/mcp", Some("/mcp")),
            ("https://auth.example.com:443/mcp/", "https://auth.example.com/mcp", Some("/mcp")),
            ("https://auth.example.com/v1/mcp?x=1#y", "https://auth.example.com/v1/mcp", Some("/v1/mcp")),
            ("auth.example.com", "https://auth.example.com/mcp", None),
            ("http://localhost:8080/", "http://localhost:8080/mcp", None),
            ("http://[::1]:8080", "http://[::1]:8080/mcp", None),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.mcp_url().as_str(), target.path()), (url, path), "{text}");
        }
        for text in ["", "ftp://h/mcp", "https://ada:secret@h/mcp", "https://"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        assert_eq!(Target::parse("h.example").unwrap().or_path("/tools/").mcp_url(), "https://h.example/tools");
        assert_eq!(Target::parse("https://h.example/a").unwrap().or_path("/b").mcp_url(), "https://h.example/a");
        assert_eq!(Target::parse("http://[::1]:8080").unwrap().host(), "::1");
    }

    /// T32: what a deployment's documents say never leads to another host.
    #[test]
    fn a_path_without_a_slash_stays_at_the_origin() {
        let target = Target::parse("https://h.example").unwrap();
        assert_eq!(target.url("x:@169.254.169.254/"), "https://h.example/x:@169.254.169.254/");
        assert_eq!(target.url(".evil.example/mcp"), "https://h.example/.evil.example/mcp");
        assert_eq!(target.clone().or_path(".evil.example/mcp").mcp_url(), "https://h.example");
        assert_eq!(target.or_path("/mcp").mcp_url(), "https://h.example/mcp");
    }
}
