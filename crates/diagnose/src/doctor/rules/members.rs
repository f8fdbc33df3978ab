//! What the documents say besides: the members without which clients turn away, the ways in, the keys (D-07, D-13…D-18,
//! V-04; A7).

use known_clients::profile::{AsksBy, Profiles};
use oauth::text::shortened;
use serde_json::Value;

use super::list;
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Kind, Observations};
use crate::doctor::reply::in_words;

pub(super) fn judge(seen: &Observations, profiles: &Profiles) -> Vec<Finding> {
    let resource = seen.document(Kind::Resource);
    let server = seen.server();
    let mut findings = Vec::new();
    findings.extend(resource.as_ref().and_then(resource_servers));
    if let Some(server) = &server {
        findings.extend(members(server));
        findings.extend([ways_in(seen, server, profiles), documents_flag(server)].into_iter().flatten());
        findings.extend(keys(seen, server));
    }
    let both: Vec<&Value> = resource.iter().chain(server.iter()).collect();
    findings.extend([scopes(&both, resource.as_ref()), nulls(&both)].into_iter().flatten());
    findings
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
        seen.endpoints.iter().find(|posted| posted.name == "register").and_then(|posted| posted.reply.as_ref().ok());
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
    let found = seen.keys.as_ref().and_then(|reply| {
        let answer = reply.as_ref().ok().filter(|answer| answer.status == 200)?;
        answer.json()?.get("keys")?.as_array().cloned()
    });
    let Some(keys) = found.filter(|keys| !keys.is_empty()) else {
        let saw = seen.keys.as_ref().map_or_else(String::new, |reply| format!(": {}", in_words(reply)));
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
