//! The door: which `Host` and which `Origin` a request may carry (S-10, S-11; MCP, Streamable HTTP, security).
//!
//! Both checks stop DNS rebinding: a web page that makes a browser send requests to a server on the same
//! machine or network under a name of the attacker's. They say nothing about who calls: the guard does.
//! `X-Forwarded-*` is never read: whoever sends the request could write it.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use oauth::cause::Cause;
use oauth::web_origin::{Host, WebOrigin, is_loopback};

use super::answer::Refused;

/// What is let in.
#[derive(Debug)]
pub(crate) struct Door {
    /// The public host, for messages.
    public_host: String,
    hosts: Vec<Host>,
    origins: Vec<WebOrigin>,
}

impl Door {
    /// Lets in the public URL's host and origin, loopback, and what is configured besides.
    pub(crate) fn new(public_url: &str, extra_hosts: &[Host], extra_origins: &[WebOrigin]) -> Self {
        let own = WebOrigin::parse(public_url);
        let public_host = own.as_ref().map_or(public_url, WebOrigin::host).to_owned();
        let hosts = own.as_ref().map(|own| own.to_host().at_any_port()).into_iter().chain(extra_hosts.iter().cloned());
        let origins = own.iter().chain(extra_origins).cloned();
        Self { public_host, hosts: hosts.collect(), origins: origins.collect() }
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
                Cause::HostNotAllowed,
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
        if self.hosts.iter().any(|allowed| allowed.admits(&host)) || is_loopback(host.name()) {
            return Ok(());
        }
        tracing::warn!(
            host = text,
            expected = self.public_host,
            "refused: unknown Host; see public_url and mcp.allowed_hosts"
        );
        Err(Refused::http(
            Cause::HostNotAllowed,
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
            && WebOrigin::parse(&text)
                .is_some_and(|origin| is_loopback(origin.host()) || self.origins.contains(&origin));
        if allowed {
            return Ok(());
        }
        tracing::warn!(origin = %text, "refused: unknown Origin; see mcp.allowed_origins");
        Err(Refused::http(
            Cause::OriginNotAllowed,
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            &format!(
                "Pages of the origin {text} may not call this server. To allow them, list it in mcp.allowed_origins."
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Door, Host, WebOrigin};

    fn door() -> Door {
        let hosts = ["inner.example", "other.example:8443"].map(|text| Host::parse(text).unwrap());
        let origins = ["https://app.example", "http://lan.example:3000"].map(|text| WebOrigin::parse(text).unwrap());
        Door::new("https://mcp.example.com", &hosts, &origins)
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
