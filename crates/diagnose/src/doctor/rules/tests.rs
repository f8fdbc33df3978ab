//! The rules on what was never seen but written down here: what no test proxy can show, such as public addresses.

use std::time::Duration;

use known_clients::profile::Profiles;
use oauth::metadata::{AUTHORIZATION_SERVER, OPENID_CONFIGURATION, PROTECTED_RESOURCE, well_known_paths};
use oauth::time::Timestamp;
use serde_json::{Value, json};

use super::judge;
use crate::doctor::agents::agents;
use crate::doctor::finding::Severity;
use crate::doctor::observations::{ChallengeProbe, Kind, Observations, Posted, Preflight, Spelling, WellKnown};
use crate::doctor::reply::{Answer, NoReply};
use crate::doctor::target::Target;
use crate::doctor::verdict::{self, verdicts};

const NOW: i64 = 1_800_000_000;
const ORIGIN: &str = "https://auth.example.com";

fn answer(status: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.push(("content-type".to_owned(), "application/json".to_owned()));
    all.push(("access-control-allow-origin".to_owned(), "*".to_owned()));
    Answer { status, headers: all, body: body.to_string(), certificate: None }
}

fn resource() -> Value {
    json!({ "resource": format!("{ORIGIN}/mcp"), "authorization_servers": [ORIGIN], "scopes_supported": ["a"] })
}

fn server() -> Value {
    json!({
        "issuer": ORIGIN,
        "authorization_endpoint": format!("{ORIGIN}/authorize"),
        "token_endpoint": format!("{ORIGIN}/token"),
        "registration_endpoint": format!("{ORIGIN}/register"),
        "jwks_uri": format!("{ORIGIN}/jwks"),
        "response_types_supported": ["code"],
        "scopes_supported": ["a", "offline_access"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    })
}

fn unauthorized() -> Answer {
    let challenge = format!("Bearer resource_metadata=\"{ORIGIN}/.well-known/oauth-protected-resource/mcp\"");
    let headers = [("www-authenticate", challenge.as_str()), ("access-control-expose-headers", "www-authenticate")];
    answer(401, &headers, &json!({ "error": "no_authorization_header" }))
}

/// A deployment with nothing wrong, on the internet.
fn good() -> Observations {
    let documents = [
        (Kind::Resource, PROTECTED_RESOURCE, resource()),
        (Kind::Server, AUTHORIZATION_SERVER, server()),
        (Kind::OpenId, OPENID_CONFIGURATION, server()),
    ];
    let documents = documents.into_iter().flat_map(|(kind, name, body)| {
        let spellings = [Spelling::Root, Spelling::Inserted, Spelling::Appended];
        well_known_paths(name, "/mcp").into_iter().zip(spellings).map(move |(path, spelling)| {
            let reply = Ok(answer(200, &[], &body));
            WellKnown { kind, spelling, path, reply }
        })
    });
    let posted = |name, path: &str| Posted {
        name,
        path: path.to_owned(),
        reply: Ok(answer(400, &[], &json!({ "error": "invalid_request" }))),
    };
    let page = Answer { status: 400, body: "<!doctype html>".to_owned(), ..Answer::default() };
    let probe = json!({
        "authorization": true, "time": NOW, "host": "auth.example.com", "forwarded_proto": "https",
        "forwarded_for": true, "forwarded": "believed", "network": "1.0.0.1", "public_url": ORIGIN,
    });
    let stream = answer(200, &[], &json!({}));
    let profiles = Profiles::embedded().unwrap();
    Observations {
        target: Target::parse(&format!("{ORIGIN}/mcp")).unwrap(),
        now: Timestamp(NOW),
        assume_public: false,
        addresses: Some(vec!["1.1.1.1".parse().unwrap()]),
        first: Ok(answer(200, &[], &resource())),
        plain: Some(Ok(answer(308, &[("location", ORIGIN)], &json!({})))),
        documents: documents.collect(),
        challenges: vec![ChallengeProbe {
            what: "POST",
            path: "/mcp".to_owned(),
            exact: true,
            reply: Ok(unauthorized()),
        }],
        preflights: vec![Preflight {
            path: "/mcp".to_owned(),
            wants: &["authorization", "mcp-name"],
            reply: Ok(answer(204, &[("access-control-allow-headers", "Authorization, mcp-name")], &json!({}))),
        }],
        endpoints: vec![posted("token", "/token"), posted("register", "/register")],
        authorize: Some(Ok(page)),
        keys: Some(Ok(answer(200, &[], &json!({ "keys": [{ "kty": "EC", "x": "x" }] })))),
        bearer: Some(Ok(answer(401, &[], &json!({ "error": "invalid_token" })))),
        probe: Some(Ok(answer(200, &[], &probe))),
        stream: Some((Ok(stream), Duration::from_millis(600))),
        agents: agents(&profiles).into_iter().map(|agent| (agent, Ok(unauthorized()))).collect(),
        registrations: Vec::new(),
    }
}

/// The ids of the findings, and the clients that can't connect.
fn judged(seen: &Observations) -> (Vec<&'static str>, Vec<String>) {
    let profiles = Profiles::embedded().unwrap();
    let findings = judge(seen, &profiles);
    let out = verdicts(&findings, &profiles).into_iter().filter(|verdict| verdict.answer == verdict::Answer::No);
    let out = out.map(|verdict| verdict.client).collect();
    (findings.iter().map(|finding| finding.id).collect(), out)
}

#[track_caller]
fn check(change: impl FnOnce(&mut Observations), id: &str, keeps_out: &[&str]) {
    let mut seen = good();
    change(&mut seen);
    let (ids, out) = judged(&seen);
    assert_eq!(ids, [id]);
    let all = Profiles::embedded().unwrap().iter().count();
    match keeps_out {
        ["everyone"] => assert_eq!(out.len(), all, "{id}: {out:?}"),
        _ => assert_eq!(out, keeps_out, "{id}"),
    }
}

/// Changes both names' documents alike.
fn in_server(seen: &mut Observations, member: &str, value: Option<Value>) {
    let mut body = server();
    match value {
        Some(value) => body[member] = value,
        None => drop(body.as_object_mut().unwrap().remove(member)),
    }
    for document in seen.documents.iter_mut().filter(|document| document.kind != Kind::Resource) {
        document.reply = Ok(answer(200, &[], &body));
    }
}

fn in_resource(seen: &mut Observations, member: &str, value: Value) {
    let mut body = resource();
    body[member] = value;
    for document in seen.documents.iter_mut().filter(|document| document.kind == Kind::Resource) {
        document.reply = Ok(answer(200, &[], &body));
    }
}

/// F.
#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(judged(&good()), (Vec::new(), Vec::new()));
}

/// C-10, C-12.
#[test]
fn addresses_decide_whom_the_internet_brings() {
    let remote = ["chatgpt", "claude", "grok", "perplexity"];
    check(|seen| seen.addresses = Some(vec!["10.0.0.1".parse().unwrap()]), "address-not-public", &remote);
    check(|seen| seen.addresses = Some(vec!["2606:4700::1".parse().unwrap()]), "no-ipv4", &["claude"]);
    let mut seen = good();
    seen.addresses = Some(vec!["10.0.0.1".parse().unwrap()]);
    seen.assume_public = true;
    assert_eq!(judged(&seen).0, [""; 0]);
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let mut seen = good();
    seen.target = Target::parse("http://auth.example.com/mcp").unwrap();
    assert!(judged(&seen).0.contains(&"not-https"));
    check(|seen| seen.plain = Some(Ok(answer(200, &[], &resource()))), "plain-http-open", &[]);
    check(|seen| seen.first = Err(NoReply::Time), "no-answer", &["everyone"]);
    check(|seen| seen.first = Err(NoReply::Closed("x".to_owned())), "connection-closed", &["everyone"]);
    check(|seen| seen.first = Err(NoReply::Tls("alert".to_owned())), "tls-failed", &["everyone"]);
}

/// D-13, D-15, D-17, D-18, V-04, R-42.
#[test]
fn members_decide_who_turns_away() {
    check(|seen| in_server(seen, "response_types_supported", None), "members-missing", &["everyone"]);
    check(|seen| in_server(seen, "code_challenge_methods_supported", None), "s256-missing", &["everyone"]);
    check(|seen| in_server(seen, "authorization_response_iss_parameter_supported", None), "iss-not-promised", &[]);
    check(|seen| in_server(seen, "registration_endpoint", None), "registration-missing", &[]);
    check(|seen| in_server(seen, "client_id_metadata_document_supported", Some("true".into())), "documents-flag", &[]);
    check(
        |seen| in_server(seen, "token_endpoint_auth_methods_supported", Some(json!([]))),
        "documents-without-none",
        &[],
    );
    check(|seen| in_server(seen, "scopes_supported", Some("a b".into())), "scopes-not-array", &["vscode"]);
    check(|seen| in_resource(seen, "scopes_supported", json!(["offline_access"])), "offline-access-in-resource", &[]);
    check(|seen| in_resource(seen, "authorization_servers", json!([])), "authorization-servers-missing", &["everyone"]);
    check(
        |seen| in_resource(seen, "authorization_servers", json!([ORIGIN, ORIGIN])),
        "authorization-servers-many",
        &[],
    );
    let private = json!({ "keys": [{ "kty": "EC", "d": "x" }] });
    check(|seen| seen.keys = Some(Ok(answer(200, &[], &private))), "keys-private", &["everyone"]);
    check(|seen| seen.keys = Some(Err(NoReply::Time)), "keys-unreachable", &[]);
    let mut seen = good();
    in_server(&mut seen, "jwks_uri", Some(Value::Null));
    assert_eq!(judged(&seen).0, ["null-members"]);
}

/// D-03, D-12; A1, A6.
#[test]
fn one_spelling_of_every_address() {
    let exact = ["claude", "claude-code", "vscode"];
    let with_port = format!("{ORIGIN}:443/mcp");
    check(|seen| in_resource(seen, "resource", with_port.into()), "default-port", &exact);
    check(|seen| in_resource(seen, "resource", ORIGIN.into()), "resource-mismatch", &exact);
    check(|seen| in_resource(seen, "resource", format!("{ORIGIN}/other").into()), "resource-mismatch", &["everyone"]);
    check(
        |seen| in_resource(seen, "authorization_servers", json!([format!("{ORIGIN}/x")])),
        "issuer-mismatch",
        &["everyone"],
    );
    let slash = |seen: &mut Observations| {
        in_resource(seen, "authorization_servers", json!([format!("{ORIGIN}/")]));
        in_server(seen, "issuer", Some(format!("{ORIGIN}/").into()));
    };
    check(slash, "issuer-slash", &[]);
}

/// D-09: each way of answering instead of the server, by its name.
#[test]
fn each_answer_under_well_known_has_its_name() {
    let html = Answer { status: 200, body: "<html>".to_owned(), ..Answer::default() };
    for (reply, id) in [
        (Ok(answer(302, &[("location", "/login")], &json!({}))), "well-known-redirected"),
        (Ok(answer(401, &[], &json!({}))), "well-known-guarded"),
        (Ok(answer(500, &[], &json!({}))), "well-known-broken"),
        (Ok(html), "well-known-html"),
        (Ok(Answer { status: 200, body: "ok".to_owned(), ..Answer::default() }), "well-known-not-json"),
        (Err(NoReply::Time), "well-known-unanswered"),
    ] {
        let vital = reply.clone();
        check(|seen| seen.documents[1].reply = vital, id, &["everyone"]);
        check(|seen| seen.documents[2].reply = reply, id, &[]);
    }
    let gone = || Ok(answer(404, &[], &json!({ "error": "not_found" })));
    check(|seen| seen.documents[0].reply = gone(), "spellings-missing", &[]);
    check(|seen| seen.documents[1].reply = gone(), "resource-metadata-missing", &["chatgpt"]);
    check(|seen| seen.documents[3].reply = gone(), "server-metadata-missing", &[]);
    let untyped = |seen: &mut Observations| {
        if let Ok(answer) = &mut seen.documents[1].reply {
            answer.headers.clear();
        }
    };
    check(untyped, "well-known-content-type", &[]);
    let other = |seen: &mut Observations| {
        let mut body = resource();
        body["resource_name"] = "x".into();
        seen.documents[0].reply = Ok(answer(200, &[], &body));
    };
    check(other, "documents-differ", &[]);
}

/// D-23…D-29.
#[test]
fn each_wrong_challenge_has_its_name() {
    let probe = |what, exact, reply| ChallengeProbe {
        what,
        path: if exact { "/mcp" } else { "/mcp/" }.to_owned(),
        exact,
        reply,
    };
    let not_found = || Ok(answer(404, &[], &json!({})));
    check(|seen| seen.challenges.push(probe("GET", true, not_found())), "challenge-not-401", &["codex"]);
    check(|seen| seen.challenges.push(probe("POST", false, not_found())), "challenge-not-401", &[]);
    check(|seen| seen.challenges.push(probe("POST (empty)", true, not_found())), "challenge-not-401", &["everyone"]);
    let challenged = |seen: &mut Observations, value: &str| {
        if let Ok(answer) = &mut seen.challenges[0].reply {
            answer.headers[0].1 = value.to_owned();
        }
    };
    check(|seen| challenged(seen, "Bearer realm=\"x\""), "challenge-pointer", &["everyone"]);
    let other = format!("Bearer resource_metadata=\"{ORIGIN}/.well-known/oauth-protected-resource\"");
    check(|seen| challenged(seen, &other), "challenge-pointer", &["everyone"]);
    let first = format!("Basic, Bearer resource_metadata=\"{ORIGIN}/.well-known/oauth-protected-resource/mcp\"");
    check(|seen| challenged(seen, &first), "challenge-form", &["everyone"]);
    let silent = |seen: &mut Observations| {
        if let Ok(answer) = &mut seen.challenges[0].reply {
            answer.body.clear();
        }
    };
    check(silent, "reason-missing", &[]);
}

/// S-13, D-22, E1.
#[test]
fn each_fault_on_the_way_has_its_name() {
    let star = || Ok(answer(204, &[("access-control-allow-headers", "*")], &json!({})));
    check(|seen| seen.preflights[0].reply = star(), "preflight-headers", &["inspector"]);
    check(|seen| seen.preflights[0].reply = Ok(answer(405, &[], &json!({}))), "preflight-refused", &["inspector"]);
    check(|seen| seen.endpoints[0].reply = Ok(answer(405, &[], &json!({}))), "endpoint-unexpected", &["everyone"]);
    check(|seen| seen.endpoints[1].reply = Ok(answer(429, &[], &json!({}))), "limited", &[]);
    check(|seen| seen.bearer = Some(Ok(answer(403, &[], &json!({})))), "bearer-intercepted", &["everyone"]);
    check(|seen| seen.probe = Some(Ok(answer(404, &[], &json!({})))), "probe-away", &[]);
    let login = Answer { status: 302, ..Answer::default() };
    check(|seen| seen.authorize = Some(Ok(login)), "authorize-redirected", &[]);
    check(|seen| seen.authorize = Some(Err(NoReply::Time)), "authorize-unexpected", &["everyone"]);
    let probed = |seen: &mut Observations, member: &str, value: &str| {
        if let Some(Ok(answer)) = &mut seen.probe {
            let mut body = answer.json().unwrap();
            body[member] = value.into();
            answer.body = body.to_string();
        }
    };
    check(|seen| probed(seen, "host", "127.0.0.1:8080"), "host-replaced", &[]);
    check(|seen| probed(seen, "network", "172.17.0.1"), "all-count-as-one", &[]);
    for forwarded in ["unlisted", "missing", "unreadable"] {
        // Also where nothing is public.
        let inside = |seen: &mut Observations| {
            probed(seen, "forwarded", forwarded);
            seen.assume_public = true;
            seen.addresses = None;
        };
        check(inside, "all-count-as-one", &[]);
    }
    check(|seen| probed(seen, "forwarded_proto", "http"), "forwarded-proto", &[]);
    let on_page = |seen: &mut Observations| {
        if let Some(Ok(answer)) = &mut seen.authorize {
            answer.headers.push(("access-control-allow-origin".to_owned(), "*".to_owned()));
        }
    };
    check(on_page, "cors-on-authorize", &[]);
}

/// What is said of a client names one that exists, and every finding says what to do.
#[test]
fn findings_are_whole() {
    let profiles = Profiles::embedded().unwrap();
    let exist = [super::IN_BROWSERS, super::addresses::FORGIVE_A_SLASH, super::addresses::EXACT_RESOURCE].concat();
    for id in exist.iter().chain(&["chatgpt", "claude", "codex", "vscode"]) {
        assert!(profiles.by_id(id).is_some(), "{id}");
    }
    let mut seen = good();
    seen.documents.clear();
    seen.challenges[0].reply = Ok(answer(302, &[("location", "/x")], &json!({})));
    seen.bearer = None;
    let findings = judge(&seen, &profiles);
    assert!(findings.windows(2).all(|pair| pair[0].severity() <= pair[1].severity()));
    for finding in &findings {
        assert!(!finding.saw.is_empty() && finding.fix.ends_with('.') && !finding.expected.is_empty(), "{finding:?}");
        assert!(finding.severity() == Severity::Breaks || finding.breaks == crate::doctor::Hurts::Nobody);
    }
}
