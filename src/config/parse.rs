//! Single values: text in, a value in its normal form or words about what is wrong out.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ipnet::{IpNet, Ipv4Net};
use oauth::scope::{OFFLINE_ACCESS, ScopeToken};
use oauth::web_origin::{Host, WebOrigin};
use url::Url;

use super::problems::quoted;

/// 32 bytes as hex or as base64 of either alphabet, padded or not.
pub(super) fn master_key(text: &str) -> Result<[u8; 32], String> {
    const WANTED: &str = "must be 32 bytes as base64url or hex; `portcullis keys master` prints a fresh one";
    let text = text.trim();
    let bytes = if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        (0..32).map(|n| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()).collect::<Option<Vec<u8>>>()
    } else {
        let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(plain).ok()
    };
    let key: [u8; 32] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| WANTED.to_owned())?;
    let first = key.first().copied().unwrap_or_default();
    if key.iter().all(|byte| *byte == first) {
        return Err("is one byte repeated, not a random key; `portcullis keys master` prints a fresh one".to_owned());
    }
    Ok(key)
}

/// RFC 3986 §3.1, and none that a browser runs, opens as a file or sends over the network.
pub(super) fn private_use_scheme(text: &str) -> Result<String, String> {
    const NEVER: [&str; 14] = [
        "about",
        "blob",
        "data",
        "file",
        "filesystem",
        "ftp",
        "http",
        "https",
        "javascript",
        "mailto",
        "vbscript",
        "view-source",
        "ws",
        "wss",
    ];
    let scheme = text.to_ascii_lowercase();
    let lawful = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !lawful {
        return Err(format!("{text:?} is not a scheme; write \"cursor\" for cursor://…"));
    }
    if NEVER.contains(&scheme.as_str()) {
        return Err(format!("{text:?} can't be a private-use scheme: browsers give it a meaning"));
    }
    Ok(scheme)
}

/// A host whose clients may leave PKCE out: a whole name, out of reach of programs on the person's own machine.
pub(super) fn exempt_host(text: &str) -> Result<String, String> {
    let host =
        url::Host::parse(text).map_err(|_| format!("{text:?} is not a host name; write it as \"chatgpt.com\""))?;
    match host {
        url::Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => {
            Err(format!("{text:?} must not be exempt: any program on a person's machine can wait there"))
        }
        // A wildcard is refused by the parser's own rules for host names only in part: `*` passes.
        url::Host::Domain(name) if name.contains('*') || !name.contains('.') => {
            Err(format!("{text:?} is not a whole host name; write it as \"chatgpt.com\", without wildcards"))
        }
        url::Host::Domain(name) => Ok(name),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => {
            Err(format!("{text:?} is an address; only host names can be exempt"))
        }
    }
}

/// A port number.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("{text:?} is not a port; write \"443\""))
}

/// Where metadata documents may be: a whole URL in its normal form, or a host.
pub(super) fn document_place(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "{} is not a URL or host; write \"https://app.example.com/client.json\" or \"app.example.com\"",
            quoted(text)
        )
    };
    if text.starts_with("https://") {
        return Url::parse(text)
            .ok()
            .filter(|url| url.as_str() == text && !text.contains('@'))
            .map(Into::into)
            .ok_or_else(wrong);
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) if name == text && name.contains('.') && !name.contains('*') => Ok(name),
        _ => Err(wrong()),
    }
}

/// RFC 6749 §3.3: `scope-token`.
pub(super) fn scope_token(text: &str) -> Result<ScopeToken, String> {
    let token = ScopeToken::parse(text)
        .map_err(|_| format!("{text:?} is not a scope: visible ASCII without blanks, quotes and backslashes"))?;
    if text == OFFLINE_ACCESS {
        return Err(format!("{OFFLINE_ACCESS:?} is built in and not listed; leave it out"));
    }
    Ok(token)
}

/// RFC 6454 §6.1: what a browser sends in `Origin`. Editors' web views have schemes of their own (vscode-webview://…).
pub(super) fn web_origin(text: &str) -> Result<WebOrigin, String> {
    WebOrigin::parse(text).filter(|origin| is_plain(origin.host())).ok_or_else(|| {
        format!("{} is not an origin; write scheme and host, \"https://app.example.com\", {ONLY_ASCII}", quoted(text))
    })
}

pub(super) fn host_and_port(text: &str) -> Result<Host, String> {
    Host::parse(text).filter(|host| is_plain(host.name())).ok_or_else(|| {
        format!("{} is not a host; write \"mcp.internal\" or \"10.1.2.3:8080\", {ONLY_ASCII}", quoted(text))
    })
}

const ONLY_ASCII: &str = "names with other letters than a to z in their xn--… form, without wildcards";

/// Whether a host may stand in a setting: a request could carry more, and none of it is a name that anybody has.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let wrong = || format!("{text:?} is not a network; write \"10.0.0.0/8\", or an address such as \"10.0.0.5\"");
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| wrong())?,
    };
    let network = unmapped(network.trunc());
    // Believing what everybody writes lets anybody be anybody.
    if network.prefix_len() == 0 {
        return Err(format!("{text:?} trusts the whole internet; name the proxies"));
    }
    Ok(network)
}

/// Addresses are compared in their own form, IPv4 addresses inside IPv6 ones too.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let inner = mapped.prefix_len().checked_sub(96).zip(mapped.addr().to_ipv4_mapped());
    match inner.map(|(length, address)| Ipv4Net::new(address, length)) {
        Some(Ok(inner)) => IpNet::V4(inner),
        Some(Err(_)) | None => network,
    }
}

/// RFC 9110 §5.1: `field-name`.
pub(super) fn header_name(text: &str) -> Result<(), String> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(lawful) {
        return Err(format!("{text:?} is not the name of a header; write \"X-Forwarded-For\" or \"Forwarded\""));
    }
    Ok(())
}

/// Where something is mounted: plain segments that need no escaping anywhere.
pub(super) fn path(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let wrong = if !text.starts_with('/') {
        Some("must start with a slash".to_owned())
    } else if text == "/" {
        Some("can't be the root, which shows the landing page; write a path such as \"/mcp\"".to_owned())
    } else if text.ends_with('/') {
        Some(format!("must not end with a slash; write {:?}", text.trim_end_matches('/')))
    } else if text
        .split('/')
        .skip(1)
        .any(|segment| segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(plain))
    {
        Some("may hold letters, digits and -._~ between single slashes".to_owned())
    } else if text.split('/').nth(1) == Some(".well-known") {
        Some("can't be below /.well-known, where the documents are".to_owned())
    } else if matches!(text.split('/').nth(1), Some("api" | "clients" | "probe")) {
        Some(
            "can't be below /api, /clients and /probe, where the admin API, clients' logos and the doctor's probe are"
                .to_owned(),
        )
    } else if text == "/healthz" || text == "/readyz" {
        Some("is kept for health checks".to_owned())
    } else {
        None
    };
    match wrong {
        Some(wrong) => Err(format!("{text:?} {wrong}")),
        None => Ok(text.to_owned()),
    }
}
