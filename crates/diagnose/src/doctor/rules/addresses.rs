//! The addresses in the documents: of one scheme, one host, one spelling (D-03, D-07, D-12; A1, A2, A6, A9).

use oauth::text::shortened;
use serde_json::Value;
use url::Url;

use super::list;
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Kind, Observations};

/// Clients on the TypeScript library: they forgive one slash at the end of an issuer, or don't compare at all.
pub(super) const FORGIVE_A_SLASH: &[&str] = &["inspector", "mcp-remote", "insomnia"];
/// Clients that compare `resource` with what was typed byte for byte; the others take a path above it too.
pub(super) const EXACT_RESOURCE: &[&str] = &["claude", "claude-code", "vscode"];

/// A URL and where it stands.
struct Named {
    place: String,
    text: String,
}

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let resource = seen.document(Kind::Resource);
    let server = seen.server();
    let named = named(seen, resource.as_ref(), server.as_ref());
    let mut findings: Vec<Finding> =
        [plain_urls(seen, &named), foreign_urls(seen, &named), default_port(&named), issuer(seen, resource.as_ref())]
            .into_iter()
            .flatten()
            .collect();
    findings.extend(resource.as_ref().and_then(|resource| resource_url(seen, resource)));
    findings
}

fn named(seen: &Observations, resource: Option<&Value>, server: Option<&Value>) -> Vec<Named> {
    let mut named = Vec::new();
    let mut add = |document: &str, member: &str, value: Option<&Value>| {
        let texts: Vec<&str> = match value {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        named.extend(
            texts
                .into_iter()
                .map(|text| Named { place: format!("{member} in the {document} metadata"), text: text.to_owned() }),
        );
    };
    if let Some(resource) = resource {
        for member in ["resource", "authorization_servers"] {
            add("resource", member, resource.get(member));
        }
    }
    for (member, value) in server.and_then(Value::as_object).into_iter().flatten() {
        if member == "issuer" || member.ends_with("_endpoint") || member == "jwks_uri" {
            add("server", member, Some(value));
        }
    }
    if let Some(url) = seen
        .probe()
        .and_then(|answer| super::challenge::parameter(answer.header("www-authenticate")?, "resource_metadata"))
    {
        named.push(Named { place: "resource_metadata in the challenge".to_owned(), text: url });
    }
    named
}

fn places<'a, T: IntoIterator<Item = &'a Named>>(named: T) -> Vec<String> {
    named.into_iter().map(|own| format!("{} ({})", own.place, shortened(&own.text))).collect()
}

fn plain_urls(seen: &Observations, named: &[Named]) -> Option<Finding> {
    if !seen.target.is_https() {
        return None;
    }
    let plain = places(named.iter().filter(|own| own.text.starts_with("http://")));
    (!plain.is_empty()).then(|| {
        Finding::breaks(
            "plain-http-urls",
            format!("addresses with http:// although you came by https: {}", list(&plain)),
            "https:// in every address: clients refuse the others, or lose the token on the way",
            "Set public_url to the https address: Portcullis never takes it from headers. If it is set so, something in front rewrites the answers.",
        )
        .ways(front::PUBLIC_URL)
    })
}

fn foreign_urls(seen: &Observations, named: &[Named]) -> Option<Finding> {
    let authority = |text: &str| {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.to_owned();
        Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
    };
    let own = seen.target.authority();
    let foreign = places(named.iter().filter(|other| authority(&other.text).as_ref() != Some(&own)));
    let told = seen
        .probe
        .as_ref()
        .and_then(|reply| Some(reply.as_ref().ok()?.json()?.get("public_url")?.as_str()?.to_owned()));
    let fix = match told {
        Some(told) if authority(&told).as_ref() != Some(&own) => format!(
            "public_url is {}: set it to {} if that is the address for clients, or examine the other address.",
            shortened(&told),
            seen.target.origin()
        ),
        _ => format!(
            "Set public_url to {}. If it is set so, something in front rewrites the answers.",
            seen.target.origin()
        ),
    };
    (!foreign.is_empty()).then(|| {
        Finding::breaks(
            "foreign-urls",
            format!("addresses that are not at {own}: {}", list(&foreign)),
            "one host everywhere: the one that people type into their client",
            &fix,
        )
        .ways(front::PUBLIC_URL)
    })
}

fn default_port(named: &[Named]) -> Option<Finding> {
    let spelled = |text: &str| {
        (text.starts_with("https://") && has_port(text, ":443"))
            || (text.starts_with("http://") && has_port(text, ":80"))
    };
    let found = places(named.iter().filter(|own| spelled(&own.text)));
    (!found.is_empty()).then(|| {
        Finding::breaks(
            "default-port",
            format!("addresses that spell out the usual port: {}", list(&found)),
            "no :443 and no :80: clients that compare strings see another server",
            "Leave the port out of public_url; if it is not there, something in front adds it.",
        )
        .for_clients(Hurts::only(EXACT_RESOURCE), Hurts::all_but(EXACT_RESOURCE))
        .ways(front::PUBLIC_URL)
    })
}

fn has_port(text: &str, port: &str) -> bool {
    text.split('/').nth(2).is_some_and(|authority| authority.ends_with(port))
}

/// The places where a stranger can see the issuer. The fifth is the promise of `iss` in answers (RFC 9207), which is about
/// the same string; the token itself shows it to its holder only.
fn issuer(seen: &Observations, resource: Option<&Value>) -> Option<Finding> {
    let of = |kind: Kind, member: &str| seen.document(kind)?.get(member)?.as_str().map(str::to_owned);
    let listed = resource
        .and_then(|document| Some(document.get("authorization_servers")?.as_array()?.first()?.as_str()?.to_owned()));
    let challenge = seen.probe().and_then(|answer| {
        let url = super::challenge::parameter(answer.header("www-authenticate")?, "resource_metadata")?;
        Some(Url::parse(&url).ok()?.origin().ascii_serialization())
    });
    let endpoint = of(Kind::Server, "token_endpoint")
        .and_then(|text| Some(Url::parse(&text).ok()?.origin().ascii_serialization()));
    let issuers = [
        ("authorization_servers of the resource metadata", listed),
        ("issuer of the server metadata", of(Kind::Server, "issuer")),
        ("issuer of openid-configuration", of(Kind::OpenId, "issuer")),
    ];
    let origins = [("origin of the token endpoint", endpoint), ("origin of the challenge's address", challenge)];
    let said: Vec<(&str, String)> = issuers.into_iter().filter_map(|(place, text)| Some((place, text?))).collect();
    let (_, expected) = said.first()?;
    let all: Vec<String> = said
        .iter()
        .cloned()
        .chain(origins.into_iter().filter_map(|(place, text)| Some((place, text?))))
        .map(|(place, text)| format!("{place}: {}", shortened(&text)))
        .collect();
    let slash = said.iter().any(|(_, text)| text.ends_with('/'));
    if said.iter().any(|(_, text)| text != expected) {
        // Two hosts or schemes are another finding.
        let bare = |text: &str| Url::parse(text).ok().map(|url| url.path().trim_end_matches('/').to_owned());
        let only_path = said.iter().all(|(_, text)| origin(text) == origin(expected));
        let only_slash = only_path && said.iter().all(|(_, text)| bare(text) == bare(expected));
        if !only_path {
            return None;
        }
        let finding = Finding::breaks(
            "issuer-mismatch",
            format!("the issuer is spelled in different ways: {}", all.join("; ")),
            "one string, byte for byte, without a slash at its end (RFC 8414 §3.3)",
            "Portcullis writes one issuer everywhere: something in front rewrites the documents, or keeps old ones from before public_url changed.",
        )
        .ways(front::PUBLIC_URL);
        return Some(if only_slash {
            finding.for_clients(Hurts::all_but(FORGIVE_A_SLASH), Hurts::only(FORGIVE_A_SLASH))
        } else {
            finding
        });
    }
    slash.then(|| {
        Finding::remark(
            "issuer-slash",
            format!("the issuer ends with a slash: {}", shortened(expected)),
            "no slash at the end: clients build addresses from it and compare strings",
            "Portcullis writes none: something in front rewrites the documents.",
        )
        .ways(front::PUBLIC_URL)
    })
}

fn origin(text: &str) -> Option<String> {
    Some(Url::parse(text).ok()?.origin().ascii_serialization())
}

fn resource_url(seen: &Observations, resource: &Value) -> Option<Finding> {
    let expected = seen.target.mcp_url();
    let said = resource.get("resource").and_then(Value::as_str).unwrap_or("nothing");
    // Another scheme or host is another finding; so is a port spelled out.
    if said == expected
        || Url::parse(said).is_ok_and(|url| {
            url.origin().ascii_serialization() != seen.target.origin() || url.path() == seen.target.mcp_path()
        })
    {
        return None;
    }
    let finding = Finding::breaks(
        "resource-mismatch",
        format!("the metadata says that the resource is {}", shortened(said)),
        &format!("{expected}, byte for byte what people type (RFC 9728 §3.3)"),
        "Type the address that the metadata says, or set paths.mcp to the path that people type.",
    );
    let above = said != "nothing" && expected.starts_with(said.trim_end_matches('/'));
    Some(if above { finding.for_clients(Hurts::only(EXACT_RESOURCE), Hurts::all_but(EXACT_RESOURCE)) } else { finding })
}
