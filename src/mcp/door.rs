//! The door: which `Host` and which `Origin` a request may carry (S-10, S-11; MCP, Streamable HTTP, security).
//!
//! Both checks stop DNS rebinding: a web page that makes a browser send requests to a server on the same
//! machine or network under a name of the attacker's. They say nothing about who calls: the guard does.
//! `X-Forwarded-*` is never read: whoever sends the request could write it.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};

use super::answer::Refused;

/// What is let in, parsed once.
#[derive(Debug)]
pub(crate) struct Door {
    /// The public host, for messages.
    public_host: String,
    hosts: Vec<Host>,
    origins: Vec<Origin>,
}

/// A host, with a port if only that one will do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

/// A web origin (RFC 6454 §4) with its port spelled out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Door {
    /// Lets in the public URL's host and origin, loopback, and what is configured besides. Entries that can't
    /// be read are left out with a line in the log: the configuration has refused them at start already.
    pub(crate) fn new(public_url: &str, extra_hosts: &[String], extra_origins: &[String]) -> Self {
        let own = Origin::parse(public_url);
        let public_host = own.as_ref().map_or_else(|| public_url.to_owned(), |own| own.host.clone());
        let mut hosts = vec![Host { name: public_host.clone(), port: None }];
        hosts.extend(extra_hosts.iter().filter_map(|text| readable("mcp.allowed_hosts", text, Host::parse(text))));
        let mut origins: Vec<_> = own.into_iter().collect();
        origins
            .extend(extra_origins.iter().filter_map(|text| readable("mcp.allowed_origins", text, Origin::parse(text))));
        Self { public_host, hosts, origins }
    }

    /// Checks a request's host and origin.
    ///
    /// # Errors
    /// 400 without a readable host, 403 for one that is not allowed.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), Refused> {
        self.check_host(parts)?;
        self.check_origin(&parts.headers)
    }

    fn check_host(&self, parts: &Parts) -> Result<(), Refused> {
        let unreadable = || {
            Refused::http(
                StatusCode::BAD_REQUEST,
                "invalid_host",
                "The request has no readable Host header, or several.",
            )
        };
        let mut values = parts.headers.get_all(HOST).iter();
        let text = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().map_err(|_| unreadable())?,
            // HTTP/2 carries the host in `:authority`.
            (None, _) => parts.uri.authority().map(Authority::as_str).ok_or_else(unreadable)?,
            (Some(_), Some(_)) => return Err(unreadable()),
        };
        let host = Host::parse(text).ok_or_else(unreadable)?;
        if self.hosts.iter().any(|allowed| allowed.admits(&host)) || is_loopback(&host.name) {
            return Ok(());
        }
        tracing::warn!(
            host = text,
            expected = self.public_host,
            "refused: unknown Host; see public_url and mcp.allowed_hosts"
        );
        Err(Refused::http(
            StatusCode::FORBIDDEN,
            "host_not_allowed",
            &format!(
                "The request came for host {text}, this server answers for {}. Behind a proxy, pass the original Host \
                 on, or list this one in mcp.allowed_hosts.",
                self.public_host
            ),
        ))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            // Programs send none; browsers always do on a POST.
            return Ok(());
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let allowed = values.next().is_none()
            && Origin::parse(&text).is_some_and(|origin| is_loopback(&origin.host) || self.origins.contains(&origin));
        if allowed {
            return Ok(());
        }
        tracing::warn!(origin = %text, "refused: unknown Origin; see mcp.allowed_origins");
        Err(Refused::http(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            &format!(
                "Pages of the origin {text} may not call this server. To allow them, list it in mcp.allowed_origins."
            ),
        ))
    }
}

fn readable<T>(setting: &str, text: &str, parsed: Option<T>) -> Option<T> {
    if parsed.is_none() {
        tracing::warn!(setting, entry = text, "this entry can't be read and is left out");
    }
    parsed
}

/// `localhost`, the names below it (RFC 6761 §6.3) and the loopback addresses: nobody else can own them.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    host == "localhost" || host.ends_with(".localhost")
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let authority = Authority::try_from(text.trim()).ok()?;
        // `user@host` is no Host header.
        if text.contains('@') {
            return None;
        }
        Some(Self { name: normal(authority.host())?, port: authority.port_u16() })
    }

    fn admits(&self, received: &Self) -> bool {
        self.name == received.name && (self.port.is_none() || self.port == received.port)
    }
}

impl Origin {
    /// `None` for `null` too: sandboxed frames and local files have it, whoever wrote them.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().trim_end_matches('/').split_once("://")?;
        let host = Host::parse(rest)?;
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self { port: host.port.or(usual), scheme, host: host.name })
    }
}

/// A host name in lower case, without the brackets of IPv6 and the dot of the root.
fn normal(host: &str) -> Option<String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    (!bare.is_empty()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::Door;

    fn door() -> Door {
        Door::new(
            "https://mcp.example.com",
            &["inner.example".into(), "other.example:8443".into(), "http://broken".into()],
            &["https://app.example".into(), "http://lan.example:3000/".into(), "nonsense".into()],
        )
    }

    fn passes(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri("/mcp");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        door().check(&parts).is_ok()
    }

    /// S-11, B-21.
    #[test]
    fn host_is_the_public_one_loopback_or_configured() {
        for good in [
            "mcp.example.com",
            "MCP.example.com:443",
            "mcp.example.com.",
            "mcp.example.com:8080",
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "inner.example:99",
            "other.example:8443",
        ] {
            assert!(passes(&[("host", good)]), "{good}");
        }
        for bad in [
            "evil.example.com",
            "mcp.example.com.evil.example",
            "other.example",
            "other.example:443",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "128.0.0.1",
            "mcp.example.com@evil.example",
            "",
            "a b",
        ] {
            assert!(!passes(&[("host", bad)]), "{bad}");
        }
        assert!(!passes(&[]));
        assert!(!passes(&[("host", "mcp.example.com"), ("host", "localhost")]));
    }

    /// S-12: what a stranger can write doesn't count.
    #[test]
    fn forwarded_host_is_ignored() {
        assert!(!passes(&[("host", "evil.example"), ("x-forwarded-host", "mcp.example.com")]));
        assert!(passes(&[("host", "mcp.example.com"), ("x-forwarded-host", "evil.example")]));
    }

    /// S-10, B-21.
    #[test]
    fn origin_is_own_loopback_configured_or_absent() {
        let passes = |origin| passes(&[("host", "localhost"), ("origin", origin)]);
        for good in [
            "https://mcp.example.com",
            "https://mcp.example.com:443",
            "http://localhost:6274",
            "http://127.0.0.1",
            "https://[::1]:1",
            "https://app.example",
            "http://lan.example:3000",
        ] {
            assert!(passes(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "http://mcp.example.com",
            "https://mcp.example.com:8443",
            "https://evil.example.com",
            "http://lan.example",
            "http://localhost.evil.example",
            "https://app.example.evil.example",
            "app.example",
            "https://user@app.example",
        ] {
            assert!(!passes(bad), "{bad}");
        }
    }
}
