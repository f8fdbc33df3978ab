//! Hosts as requests name them (RFC 9110 §7.2) and web origins as browsers send them (RFC 6454 §6.1).
//!
//! Settings and requests are read by the same parser: what a setting can say, a request can match.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host, and its port where one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

/// A web origin with its port spelled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Host {
    /// Reads `host` or `host:port`. Names are compared in lower case and without the dot of the root.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, rest) = if let Some(inner) = text.strip_prefix('[') {
            let (address, rest) = inner.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
        } else {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            // RFC 3986 §3.2.2: `reg-name`. A user name before the host is no host.
            let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
            if !name.bytes().all(lawful) {
                return None;
            }
            (name.trim_end_matches('.').to_ascii_lowercase(), rest)
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            // A colon alone is the usual port (RFC 3986 §3.2.3).
            Some("") => None,
            None if rest.is_empty() => None,
            Some(_) | None => return None,
        };
        (!name.is_empty()).then_some(Self { name, port })
    }

    /// The name or address alone.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `received` is this host, at this port if one is named.
    #[must_use]
    pub fn admits(&self, received: &Self) -> bool {
        self.name == received.name && (self.port.is_none() || self.port == received.port)
    }

    /// The same host at any port.
    #[must_use]
    pub fn at_any_port(mut self) -> Self {
        self.port = None;
        self
    }
}

impl WebOrigin {
    /// Reads `scheme://host` or `scheme://host:port`. `null` is none: sandboxed frames and local files have it, whoever
    /// wrote them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().trim_end_matches('/').split_once("://")?;
        // RFC 3986 §3.1.
        let lawful = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !lawful {
            return None;
        }
        let Host { name, port } = Host::parse(rest)?;
        let scheme = scheme.to_ascii_lowercase();
        Some(Self { port: port.or(usual_port(&scheme)), scheme, host: name })
    }

    /// The host's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, as requests to this origin name it.
    #[must_use]
    pub fn to_host(&self) -> Host {
        Host { name: self.host.clone(), port: self.port }
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// `localhost`, the names below it (RFC 6761 §6.3) and the loopback addresses: nobody else can own them.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_authority(f, &self.name, self.port)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        write_authority(f, &self.host, self.port.filter(|port| Some(*port) != usual_port(&self.scheme)))
    }
}

fn write_authority(f: &mut fmt::Formatter<'_>, name: &str, port: Option<u16>) -> fmt::Result {
    if name.contains(':') {
        write!(f, "[{name}]")?;
    } else {
        f.write_str(name)?;
    }
    port.map_or(Ok(()), |port| write!(f, ":{port}"))
}

#[cfg(test)]
mod tests {
    use super::{Host, WebOrigin};

    #[test]
    fn hosts_have_one_form() {
        for (text, form) in [
            ("MCP.example.com.", "mcp.example.com"),
            (" mcp.example.com:8443 ", "mcp.example.com:8443"),
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("[0:0::1]:80", "[::1]:80"),
            ("my_service:", "my_service"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), form);
        }
        for bad in [
            "",
            ".",
            ":80",
            "a b",
            "user@host",
            "host/path",
            "host:port",
            "host:70000",
            "::1",
            "[::1",
            "[x]",
            "[::1]80",
            "bücher.example",
        ] {
            assert_eq!(Host::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_have_one_form() {
        for (text, form) in [
            ("https://App.example.com:443/", "https://app.example.com"),
            ("http://lan.example:3000", "http://lan.example:3000"),
            ("vscode-webview://ABC", "vscode-webview://abc"),
            ("HTTP://[::1]", "http://[::1]"),
        ] {
            let origin = WebOrigin::parse(text).unwrap();
            assert_eq!(origin.to_string(), form);
            assert_eq!(WebOrigin::parse(form), Some(origin));
        }
        for bad in
            ["null", "", "app.example.com", "://app.example.com", "https://", "https://a/b", "https://me@a", "1a://b"]
        {
            assert_eq!(WebOrigin::parse(bad), None, "{bad}");
        }
    }
}
