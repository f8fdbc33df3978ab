//! What the metadata says: addresses, one spelling of the issuer, and the members without which clients turn away
//! (D-01…D-18; A1, A2, A6, A7, A9, E2).

use serde_json::Value;
use url::Url;

use super::list;
use crate::clients::profile::{AsksBy, Profiles};
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Kind, Observations};
use crate::doctor::sight::{in_words, shortened};

/// Clients on the TypeScript library: they forgive one slash at the end of an issuer, or don't compare at all.
pub(super) const FORGIVE_A_SLASH: &[&str] = &["inspector", "mcp-remote", "insomnia"];
/// Clients that compare `resource` with what was typed byte for byte; the others take a path above it too.
pub(super) const EXACT_RESOURCE: &[&str] = &["claude", "claude-code", "vscode"];

/// A URL and where it stands.
struct Named {
    place: String,
    text: String,
}

pub(super) fn judge(seen: &Observations, profiles: &Profiles) -> Vec<Finding> {
    let resource = seen.document(Kind::Resource);
    let server = seen.server();
    let named = named(seen, resource.as_ref(), server.as_ref());
    let mut findings: Vec<Finding> =
        [plain_urls(seen, &named), foreign_urls(seen, &named), default_port(&named), issuer(seen, resource.as_ref())]
            .into_iter()
            .flatten()
            .collect();
    if let Some(resource) = &resource {
        findings.extend([resource_url(seen, resource), resource_servers(resource)].into_iter().flatten());
    }
    if let Some(server) = &server {
        findings.extend(members(server));
        findings.extend([ways_in(seen, server, profiles), documents_flag(server)].into_iter().flatten());
        findings.extend(keys(seen, server));
    }
    let both: Vec<&Value> = resource.iter().chain(server.iter()).collect();
    findings.extend([scopes(&both, resource.as_ref()), nulls(&both)].into_iter().flatten());
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
        .knock()
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
        .and_then(|sight| Some(sight.as_ref().ok()?.json()?.get("public_url")?.as_str()?.to_owned()));
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
    let challenge = seen.knock().and_then(|answer| {
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

fn resource_servers(resource: &Value) -> Option<Finding> {
    let count = resource.get("authorization_servers").and_then(Value::as_array).map_or(0, Vec::len);
    match count {
        1 => None,
        0 => Some(Finding::breaks(
            "authorization-servers-missing",
            "the resource metadata names no authorization server".to_owned(),
            "authorization_servers with exactly one entry",
            "Portcullis writes it: something in front answers in its place.",
        )),
        _ => Some(Finding::remark(
            "authorization-servers-many",
            format!("the resource metadata names {count} authorization servers"),
            "exactly one: most clients read only the first",
            "Portcullis writes one: something in front answers in its place.",
        )),
    }
}

fn has(server: &Value, member: &str, entry: &str) -> bool {
    server.get(member).and_then(Value::as_array).is_some_and(|items| items.iter().any(|item| item == entry))
}

fn members(server: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lacking: Vec<&str> = ["issuer", "authorization_endpoint", "token_endpoint"]
        .into_iter()
        .filter(|member| server.get(member).and_then(Value::as_str).is_none_or(str::is_empty))
        .chain((!has(server, "response_types_supported", "code")).then_some("response_types_supported with code"))
        .collect();
    let not_ours = "Portcullis writes it: something in front answers in its place, or keeps an old document.";
    if !lacking.is_empty() {
        findings.push(Finding::breaks(
            "members-missing",
            format!("the server metadata lacks {}", list(&lacking)),
            "what RFC 8414 §2 requires",
            not_ours,
        ));
    }
    if !has(server, "code_challenge_methods_supported", "S256") {
        findings.push(Finding::breaks(
            "s256-missing",
            "code_challenge_methods_supported does not list S256".to_owned(),
            "S256: clients refuse a server that does not announce PKCE",
            not_ours,
        ));
    }
    if server.get("authorization_response_iss_parameter_supported") != Some(&Value::Bool(true)) {
        findings.push(
            Finding::remark(
                "iss-not-promised",
                "authorization_response_iss_parameter_supported is not true".to_owned(),
                "true (RFC 9207): ChatGPT else uses one callback for each connector",
                not_ours,
            )
            .for_clients(Hurts::Nobody, Hurts::only(&["chatgpt"])),
        );
    }
    findings
}

fn takes_documents(server: &Value) -> bool {
    server.get("client_id_metadata_document_supported") == Some(&Value::Bool(true))
}

/// Whom it keeps out can't be told: people may have typed in an id.
fn ways_in(seen: &Observations, server: &Value, profiles: &Profiles) -> Option<Finding> {
    let without: Vec<String> = profiles
        .iter()
        .filter(|profile| !takes_documents(server) || !profile.asks_by.contains(&AsksBy::Document))
        .map(|profile| profile.id.clone())
        .collect();
    let offered = server.get("registration_endpoint").is_some_and(Value::is_string);
    let asked =
        seen.endpoints.iter().find(|posted| posted.name == "register").and_then(|posted| posted.sight.as_ref().ok());
    // A trial of every client's registration says more.
    let guarded =
        seen.registrations.is_empty() && asked.is_some_and(|answer| answer.status == 401 && !answer.is_html());
    let expected = "registration by anybody, unless every client has an id that you gave it";
    let fix = "If that is not meant, set registration.policy to \"open\"; else make a client for each and have people type in its id.";
    let finding = match (offered, guarded) {
        (true, false) => return None,
        (true, true) => Finding::remark(
            "registration-guarded",
            "registration needs a token (401): clients have none".to_owned(),
            expected,
            fix,
        ),
        (false, _) => Finding::remark(
            "registration-missing",
            "clients can't register here by themselves (no registration_endpoint)".to_owned(),
            expected,
            fix,
        ),
    };
    (!without.is_empty()).then(|| finding.for_clients(Hurts::Nobody, Hurts::Only(without)))
}

fn documents_flag(server: &Value) -> Option<Finding> {
    let flag = server.get("client_id_metadata_document_supported")?;
    if !flag.is_boolean() {
        return Some(Finding::remark(
            "documents-flag",
            format!("client_id_metadata_document_supported is {}, not true or false", shortened(&flag.to_string())),
            "a boolean: clients skip metadata documents at anything else",
            "Portcullis writes a boolean: something in front rewrites the document.",
        ));
    }
    (takes_documents(server) && !has(server, "token_endpoint_auth_methods_supported", "none")).then(|| {
        Finding::remark(
            "documents-without-none",
            "metadata documents are taken, but token_endpoint_auth_methods_supported does not list none".to_owned(),
            "none beside them: Claude else registers, and clients with a document but no key can't come",
            "Add \"none\" to registration.auth_methods.",
        )
        .for_clients(Hurts::Nobody, Hurts::only(&["claude", "claude-code", "vscode", "cursor"]))
    })
}

fn keys(seen: &Observations, server: &Value) -> Vec<Finding> {
    if server.get("jwks_uri").and_then(Value::as_str).is_none() {
        return Vec::new();
    }
    let found = seen.keys.as_ref().and_then(|sight| {
        let answer = sight.as_ref().ok().filter(|answer| answer.status == 200)?;
        answer.json()?.get("keys")?.as_array().cloned()
    });
    let Some(keys) = found.filter(|keys| !keys.is_empty()) else {
        let saw = seen.keys.as_ref().map_or_else(String::new, |sight| format!(": {}", in_words(sight)));
        return vec![
            Finding::advice(
                "keys-unreachable",
                format!("there are no keys at jwks_uri{saw}"),
                "200 with a key set: other servers check tokens with it",
                "Pass the path of paths.jwks on to the server.",
            )
            .ways(front::PASS_ALL),
        ];
    };
    // RFC 7517 §4, RFC 7518 §6: what makes a key private or shared.
    let is_private = |key: &Value| {
        key.get("d").is_some() || key.get("k").is_some() || key.get("kty").is_some_and(|kty| kty == "oct")
    };
    if keys.iter().any(is_private) {
        return vec![Finding::breaks(
            "keys-private",
            "the key set at jwks_uri holds a private or shared key: anybody can make tokens with it".to_owned(),
            "public keys only",
            "Take the server off the network, run `portcullis keys rotate --emergency`, and find out what publishes the key: Portcullis does not.",
        )];
    }
    Vec::new()
}

fn scopes(both: &[&Value], resource: Option<&Value>) -> Option<Finding> {
    let wrong = both.iter().filter_map(|document| document.get("scopes_supported")).any(|scopes| !scopes.is_array());
    if wrong {
        let finding = Finding::breaks(
            "scopes-not-array",
            "scopes_supported is not an array".to_owned(),
            "an array of strings: Visual Studio Code drops the whole document otherwise",
            "Portcullis writes an array: something in front rewrites the document.",
        );
        return Some(finding.for_clients(Hurts::only(&["vscode"]), Hurts::all_but(&["vscode"])));
    }
    resource.is_some_and(|resource| has(resource, "scopes_supported", "offline_access")).then(|| {
        Finding::remark(
            "offline-access-in-resource",
            "the resource metadata lists offline_access".to_owned(),
            "offline_access in the server metadata only: clients else ask for consent again and again",
            "Take offline_access out of scopes.default.",
        )
    })
}

fn nulls(both: &[&Value]) -> Option<Finding> {
    let members: Vec<&str> = both
        .iter()
        .filter_map(|document| document.as_object())
        .flatten()
        .filter(|(_, value)| value.is_null())
        .map(|(member, _)| member.as_str())
        .collect();
    (!members.is_empty()).then(|| {
        Finding::breaks(
            "null-members",
            format!("the metadata holds null: {}", list(&members)),
            "absent members left out: clients on the TypeScript library refuse null",
            "Portcullis writes none: something in front rewrites the documents.",
        )
        .for_clients(Hurts::all_but(&["chatgpt", "claude", "codex"]), Hurts::only(&["chatgpt", "claude", "codex"]))
    })
}
