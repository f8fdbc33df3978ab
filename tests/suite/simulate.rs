//! The seven replicas against real servers: that they connect where all is well, and stop with the right words where a
//! rule is broken.

use std::path::PathBuf;

use diagnose::outside::Outside;
use diagnose::simulate::{CannotBegin, Options, Report, Step, simulate};
use known_clients::profile::AsksBy;
use known_clients::replicas::IDS;
use portcullis::crypto::random::Random;
use serde_json::{Value, json};

use crate::cli::Place;
use crate::connector::Connector;
use crate::meddler::{Meddler, Passing};
use crate::on_both_databases;
use crate::server::{Database, PASSWORD, TestServer, USER};

/// Where replicas of hosted clients want their answers.
const CHATGPT_CALLBACK: &str = "https://chatgpt.com/connector_platform_oauth_redirect";

pub fn options(client: &str, url: &str) -> Options {
    Options {
        client: client.to_owned(),
        url: url.to_owned(),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        deny: false,
        identity: None,
        client_id: None,
        client_secret: None,
        outside: Outside::default(),
        random: || Random::system().bytes(),
    }
}

async fn play(client: &str, url: &str) -> Report {
    simulate(&options(client, url)).await.unwrap()
}

/// The replica went through everything; gives its report.
#[track_caller]
fn passed(report: Report) -> Report {
    assert!(report.passed, "{}", report.to_text(false));
    report
}

/// The replica stopped at this step, and its words hold these.
#[track_caller]
fn stopped<'a>(report: &'a Report, step: &str, words: &[&str]) -> &'a Step {
    let last = report.steps.last().unwrap();
    let why = last.why.as_deref().unwrap_or_default();
    assert!(!report.passed && last.name == step, "{}", report.to_text(false));
    assert!(words.iter().all(|word| why.contains(word)), "{words:?} in: {why}");
    last
}

fn step<'a>(report: &'a Report, name: &str) -> &'a Step {
    report.steps.iter().find(|own| own.name == name).unwrap_or_else(|| panic!("no {name}: {}", report.to_text(false)))
}

/// The parameters of the last form or query that a step sent.
fn sent(step: &Step, url_part: &str) -> Vec<(String, String)> {
    let own = step.exchanges.iter().find(|own| own.url.contains(url_part)).unwrap();
    let text = own.sent.clone().unwrap_or_else(|| own.url.split_once('?').unwrap().1.to_owned());
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn names(params: &[(String, String)]) -> Vec<&str> {
    params.iter().map(|(name, _)| name.as_str()).collect()
}

on_both_databases! {
    /// Every one of the seven connects, calls, refreshes, reconnects and revokes at a fresh server.
    async fn all_seven_connect_to_a_fresh_server(database) {
        for client in IDS {
            let server = TestServer::start(database).await;
            let report = passed(play(client, &server.mcp()).await);
            let by_document = step(&report, "Identity").notes.iter().any(|note| note.contains("document: https://"));
            assert_eq!(by_document, !["insomnia", "inspector"].contains(&client), "{}", report.to_text(false));
        }
    }

    /// The same by registering, one after the other at one server, with its remembered approvals.
    async fn all_seven_share_a_server(database) {
        let server = TestServer::start(database).await;
        for client in IDS {
            let mut options = options(client, &server.mcp());
            options.identity = Some(AsksBy::Registration);
            passed(simulate(&options).await.unwrap());
        }
    }

    /// A-20: connecting again for what was allowed before is one click, which the person takes.
    async fn connecting_again_takes_one_click(database) {
        let server = TestServer::start(database).await;
        let report = passed(play("chatgpt", &server.mcp()).await);
        let clicked = |name: &str| step(&report, name).notes.iter().any(|note| note.contains("one click"));
        let again = "Connect after Disconnect, without scope";
        assert_eq!((clicked("Sign-in and consent"), clicked(again)), (false, true), "{}", report.to_text(false));
    }

    /// R-01, R-04: with an id and a secret typed in, as with an id alone.
    async fn a_typed_identity_connects(database) {
        for (client, method, callback) in [
            ("chatgpt", "client_secret_post", CHATGPT_CALLBACK),
            ("chatgpt", "none", CHATGPT_CALLBACK),
            ("claude", "client_secret_post", "https://claude.ai/api/mcp/auth_callback"),
            ("vscode", "client_secret_post", "http://127.0.0.1/"),
            ("cursor", "client_secret_basic", "cursor://anysphere.cursor-mcp/oauth/callback"),
            ("inspector", "client_secret_basic", "http://127.0.0.1/oauth/callback"),
        ] {
            let server = TestServer::start(database).await;
            let registration = json!({
                "client_name": "By hand", "redirect_uris": [callback], "token_endpoint_auth_method": method,
                "grant_types": ["authorization_code", "refresh_token"],
            });
            let typed = Connector::registered(&server, &registration).await;
            let mut options = options(client, &server.mcp());
            options.client_id = Some(typed.client_id);
            options.client_secret = typed.client_secret;
            passed(simulate(&options).await.unwrap());
        }
    }

    /// Where registration is off, whoever has no other way says what is to be done.
    async fn registration_off_is_told(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__REGISTRATION__POLICY", "off")]).await;
        for client in ["inspector", "insomnia"] {
            let report = play(client, &server.mcp()).await;
            stopped(&report, "Identity", &["--client-id", "asks the person"]);
        }
    }

    /// D2: without refresh tokens everything but the refresh happens, and the price is told.
    async fn refresh_off_is_told_and_no_failure(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH", "false")]).await;
        for client in IDS {
            let report = passed(play(client, &server.mcp()).await);
            assert!(report.steps.iter().all(|step| step.name != "Refresh"));
            let notes = &step(&report, "Code for tokens").notes;
            assert!(notes.iter().any(|note| note.contains("no refresh_token")), "{notes:?}");
        }
    }

    /// A-16: a person who says no is reported as such.
    async fn a_denial_is_told(database) {
        let server = TestServer::start(database).await;
        for client in IDS {
            let mut options = options(client, &server.mcp());
            options.deny = true;
            let report = simulate(&options).await.unwrap();
            stopped(&report, "Sign-in and consent", &["access_denied"]);
        }
    }

    /// A wrong password is the sign-in's fault, not the client's; it is shown nowhere.
    async fn a_wrong_password_is_told_and_never_shown(database) {
        let server = TestServer::start(database).await;
        let mut options = options("vscode", &server.mcp());
        options.password = "hunter2hunter2".to_owned();
        let report = simulate(&options).await.unwrap();
        stopped(&report, "Sign-in and consent", &["sign-in was refused"]);
        assert!(!report.to_text(true).contains("hunter2") && !report.to_json().unwrap().contains("hunter2"));
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    /// B-36: two copies of the server behind one address, each request at the other one.
    async fn chatgpt_connects_to_two_replicas(database) {
        let meddler = Meddler::of(2, database, &[], |_, _| {}).await;
        passed(play("chatgpt", &meddler.mcp()).await);
    }

    /// Secrets in a report are six characters and an ellipsis.
    async fn reports_hold_no_live_secret(database) {
        let server = TestServer::start(database).await;
        for client in ["claude", "insomnia"] {
            let report = passed(play(client, &server.mcp()).await);
            let text = report.to_json().unwrap();
            assert!(!text.contains(PASSWORD) && !text.contains(&PASSWORD.replace(' ', "+")));
            for prefix in ["pcr_", "pcc_", "pcs_", "eyJ"] {
                for after in text.split(prefix).skip(1) {
                    assert!(after.chars().take(9).any(|c| c == '…'), "{client}: {prefix}{after}");
                }
            }
        }
    }
}

async fn broken(meddle: impl Fn(&str, &mut Passing) + Send + Sync + 'static) -> Meddler {
    Meddler::in_front(Database::Sqlite, &[], meddle).await
}

fn is_resource_metadata(path: &str) -> bool {
    path.contains("/.well-known/oauth-protected-resource")
}

fn is_server_metadata(path: &str) -> bool {
    path.contains("/.well-known/o") && !is_resource_metadata(path)
}

/// What makes each client itself: parameters in its order, its spellings, and what it leaves out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_send_what_their_clients_send() {
    let server = TestServer::start(Database::Sqlite).await;
    let chatgpt = passed(play("chatgpt", &server.mcp()).await);
    let first = sent(step(&chatgpt, "Sign-in and consent"), "/authorize?");
    assert_eq!(
        names(&first),
        [
            "response_type",
            "client_id",
            "redirect_uri",
            "state",
            "scope",
            "code_challenge",
            "code_challenge_method",
            "resource"
        ]
    );
    // C1: after Disconnect there is no scope.
    let again = sent(step(&chatgpt, "Connect after Disconnect, without scope"), "/authorize?");
    assert!(!names(&again).contains(&"scope"));
    assert!(step(&chatgpt, "First call, without a token").exchanges[0].sent.is_none(), "an empty POST");

    let vscode = passed(play("vscode", &server.mcp()).await);
    let first = sent(step(&vscode, "Sign-in and consent"), "/authorize?");
    assert_eq!(first.last().unwrap().0, "state");
    assert!(first.contains(&("redirect_uri".to_owned(), "http://127.0.0.1:33418/".to_owned())));
    let state = &first.last().unwrap().1;
    assert!(state.contains('/') && state.contains('+'), "{state}");
    let again = sent(step(&vscode, "Connect again from another port"), "/authorize?");
    let uri = again.iter().find(|(name, _)| name == "redirect_uri").unwrap();
    assert!(uri.1.starts_with("http://127.0.0.1:") && !uri.1.contains("33418"), "{}", uri.1);

    let insomnia = passed(play("insomnia", &server.mcp()).await);
    let basic = step(&insomnia, "Classic tab, Basic with an empty secret: refresh");
    let params = sent(basic, "/token");
    assert_eq!(names(&params), ["grant_type", "refresh_token", "scope"]);
    assert!(
        basic.exchanges[0]
            .sent_headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.starts_with("Basic "))
    );
    let first = sent(step(&insomnia, "Sign-in and consent"), "/authorize?");
    assert!(!names(&first).contains(&"state"));

    let claude_code = passed(play("claude-code", &server.mcp()).await);
    assert_eq!(step(&claude_code, "Two processes refresh at once").exchanges.len(), 2);
}

/// The bodies of registrations, member by member, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_register_as_their_clients_do() {
    let server = TestServer::start(Database::Sqlite).await;
    for (client, beginning, part) in [
        (
            "cursor",
            r#"{"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents"#,
            "",
        ),
        (
            "vscode",
            r#"{"client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","grant_types""#,
            "",
        ),
        ("claude", r#"{"client_name":"Claude","grant_types""#, r#""client_secret_post""#),
        ("insomnia", r#"{"redirect_uris":["https://app.insomnia.rest/oauth/redirect"],"token_endpoint"#, ""),
    ] {
        let mut options = options(client, &server.mcp());
        options.identity = Some(AsksBy::Registration);
        let report = passed(simulate(&options).await.unwrap());
        let body = step(&report, "Identity").exchanges[0].sent.clone().unwrap();
        assert!(body.starts_with(beginning) && body.contains(part), "{body}");
    }
    let mut options = options("inspector", &server.mcp());
    options.identity = Some(AsksBy::Registration);
    let report = passed(simulate(&options).await.unwrap());
    let bodies: Vec<_> = report.steps.iter().filter(|step| step.name == "Identity").collect();
    assert!(bodies[1].exchanges[0].sent.as_ref().unwrap().contains(r#""scope":"""#));
}

/// D-03: a slash too many in `resource` stops whoever compares; ChatGPT takes what it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slash_in_the_resource_stops_those_who_compare() {
    let meddler = broken(|path, passing| {
        if is_resource_metadata(path) && passing.status == 200 {
            passing.edit(|value| value["resource"] = json!(format!("{}/", value["resource"].as_str().unwrap())));
        }
    })
    .await;
    let report = play("vscode", &meddler.mcp()).await;
    stopped(&report, "Resource metadata", &["drops this document", "/mcp/”"]);
    for client in ["claude", "claude-code"] {
        let report = play(client, &meddler.mcp()).await;
        stopped(&report, "Resource metadata", &["character by character", "/mcp/”"]);
    }
    let report = play("cursor", &meddler.mcp()).await;
    stopped(&report, "Resource metadata", &["does not match expected"]);
}

/// D-15, B3: `null` in a registration reply stops what is built on the TypeScript SDK, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_in_the_registration_stops_the_sdk() {
    let meddler = broken(|path, passing| {
        if path == "/register" {
            passing.edit(|value| value["client_uri"] = Value::Null);
        }
    })
    .await;
    for client in IDS {
        let mut options = options(client, &meddler.mcp());
        options.identity = Some(AsksBy::Registration);
        let report = simulate(&options).await.unwrap();
        if ["claude-code", "cursor", "insomnia", "inspector"].contains(&client) {
            stopped(&report, "Identity", &["client_uri", "null"]);
        } else {
            passed(report);
        }
    }
}

/// RFC 9207, A-07: `iss` is advertised and doesn't come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_iss_stops_those_who_were_promised_it() {
    let meddler = broken(|path, passing| {
        if path == "/authorize"
            && let Some(location) = passing.headers.get("location").map(|value| value.to_str().unwrap().to_owned())
            && let Some((before, _)) = location.split_once("&iss=")
        {
            passing.headers.insert("location", before.parse().unwrap());
        }
    })
    .await;
    let report = play("chatgpt", &meddler.mcp()).await;
    stopped(&report, "Sign-in and consent", &["no iss came", "ChatGPT throws the answer away"]);
    passed(play("vscode", &meddler.mcp()).await);
}

/// C-08: where `iss` is promised, ChatGPT has one document and one callback for all; elsewhere each connector has its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chatgpts_addresses_depend_on_the_promise_of_iss() {
    let kept = broken(|_, _| ()).await;
    let left_out = broken(|path, passing| {
        if is_server_metadata(path) && passing.status == 200 {
            passing.edit(|value| {
                value.as_object_mut().unwrap().remove("authorization_response_iss_parameter_supported").unwrap();
            });
        }
    })
    .await;
    for (meddler, promised) in [(&kept, true), (&left_out, false)] {
        let mut options = options("chatgpt", &meddler.mcp());
        options.identity = Some(AsksBy::Registration);
        let report = passed(simulate(&options).await.unwrap());
        let sent = sent(step(&report, "Sign-in and consent"), "/authorize?");
        let (_, callback) = sent.iter().find(|(name, _)| name == "redirect_uri").unwrap();
        assert_eq!(callback == CHATGPT_CALLBACK, promised, "{callback}");
        assert_eq!(callback.starts_with("https://chatgpt.com/connector/oauth/"), !promised, "{callback}");
        options.identity = Some(AsksBy::Document);
        let report = simulate(&options).await.unwrap();
        let notes = &step(&report, "Identity").notes;
        let id = notes.iter().find_map(|note| note.strip_prefix("by its metadata document: ")).unwrap();
        assert_eq!(id == "https://chatgpt.com/oauth/client.json", promised, "{id}");
        assert!(id.starts_with("https://chatgpt.com/oauth/") && id.ends_with("/client.json"), "{id}");
    }
}

/// D-13, A7: who doesn't say S256 is refused by those who look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_s256_stops_those_who_look_for_it() {
    let meddler = broken(|path, passing| {
        if is_server_metadata(path) && passing.status == 200 {
            passing.edit(|value| {
                value.as_object_mut().unwrap().remove("code_challenge_methods_supported");
            });
        }
    })
    .await;
    for client in ["chatgpt", "claude", "claude-code"] {
        let report = play(client, &meddler.mcp()).await;
        stopped(&report, "Authorization server metadata", &["S256"]);
    }
    passed(play("vscode", &meddler.mcp()).await);
}

/// A1, RFC 8414 §3.3: an issuer with a slash that nobody else writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_issuer_stops_those_who_compare() {
    let meddler = broken(|path, passing| {
        if is_server_metadata(path) && passing.status == 200 {
            passing.edit(|value| value["issuer"] = json!(format!("{}/", value["issuer"].as_str().unwrap())));
        }
    })
    .await;
    for client in ["chatgpt", "claude", "inspector"] {
        let report = play(client, &meddler.mcp()).await;
        stopped(&report, "Authorization server metadata", &["issuer", "RFC 8414"]);
    }
}

/// A8, D-25, E1: a gate in front that answers in the server's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_in_front_is_told_apart() {
    let redirecting = broken(|path, passing| {
        if path == "/mcp" && passing.status == 401 {
            passing.status = axum::http::StatusCode::FOUND;
            passing.headers.insert("location", "https://sso.example/".parse().unwrap());
        }
    })
    .await;
    stopped(&play("claude", &redirecting.mcp()).await, "First call, without a token", &["redirect"]);
    let filtering = broken(|path, passing| {
        if path == "/mcp" && passing.status != 401 {
            passing.status = axum::http::StatusCode::FORBIDDEN;
            passing.body = "<html>blocked</html>".to_owned();
        }
    })
    .await;
    stopped(&play("claude", &filtering.mcp()).await, "MCP greeting", &["Claude-User", "bot filter"]);
}

/// C9, B-06: `state` that is decoded once too often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_state_stops_vs_code() {
    let meddler = broken(|path, passing| {
        if path == "/authorize"
            && let Some(location) = passing.headers.get("location").map(|value| value.to_str().unwrap().to_owned())
        {
            passing.headers.insert("location", location.replace("%2B", "+").parse().unwrap());
        }
    })
    .await;
    stopped(&play("vscode", &meddler.mcp()).await, "Sign-in and consent", &["not the same bytes"]);
}

/// What can't begin is told as that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_begin_is_no_report() {
    let begin = async |change: fn(&mut Options)| {
        let mut options = options("chatgpt", "http://127.0.0.1:9/mcp");
        change(&mut options);
        simulate(&options).await.unwrap_err()
    };
    assert!(matches!(begin(|_| {}).await, CannotBegin::Silence { .. }));
    assert!(matches!(begin(|own| own.client = "netscape".to_owned()).await, CannotBegin::Client(_)));
    assert!(matches!(begin(|own| own.url = "ftp://h/mcp".to_owned()).await, CannotBegin::Address(_)));
    assert!(matches!(begin(|own| own.identity = Some(AsksBy::Typed)).await, CannotBegin::NoClientId));
    let missing = begin(|own| own.outside.ca_file = Some(PathBuf::from("no-such-file.pem"))).await;
    assert!(matches!(missing, CannotBegin::Outside(_)));
}

/// What scripts rely on: 0 when the client connects, 1 when it stops, 2 when nothing could be begun; and the JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_scripts_how_it_went() {
    let server = TestServer::start(Database::Sqlite).await;
    let place = Place::new();
    let mcp = server.mcp();
    let arguments = |more: &[&'static str]| {
        let mut all = vec!["simulate", "--as", "chatgpt", mcp.as_str(), "--user", USER, "--password-stdin"];
        all.extend(more);
        all
    };
    let good = place.run_with_input(&arguments(&["--json"]), PASSWORD);
    assert_eq!(good.code, Some(0), "{good:?}");
    let report: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((&report["as"], &report["passed"], &report["url"]), (&json!("chatgpt"), &json!(true), &json!(mcp)));
    for step in report["steps"].as_array().unwrap() {
        assert_eq!(step["outcome"], "passed");
        assert!(step["name"].is_string() && step["needs"].is_string() && step["exchanges"].is_array(), "{step}");
    }

    let denied = place.run_with_input(&arguments(&["--deny"]), PASSWORD);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(
        denied.out.contains("✗ Sign-in and consent") && denied.out.contains("ChatGPT (OpenAI) stops at"),
        "{}",
        denied.out
    );
    // Colour is for terminals.
    assert!(!denied.out.contains('\u{1b}') && !denied.out.contains(PASSWORD), "{}", denied.out);
    std::fs::write(place.0.join("password"), format!("{PASSWORD}\n")).unwrap();
    let from_file = place.run(&["simulate", "--as", "vscode", &mcp, "--user", USER, "--password-file", "password"]);
    assert_eq!(from_file.code, Some(0), "{from_file:?}");

    let nobody = "http://127.0.0.1:9/mcp";
    for arguments in [
        &["simulate", "--as", "chatgpt", nobody, "--user", USER, "--password-stdin"][..],
        &["simulate", "--as", "netscape", nobody, "--user", USER, "--password-stdin"],
        &["simulate", "--as", "chatgpt", nobody, "--user", USER],
        &["simulate", "--as", "chatgpt", nobody, "--user", USER, "--password-file", "missing"],
    ] {
        let answer = place.run_with_input(arguments, PASSWORD);
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert!(answer.out.is_empty(), "{answer:?}");
    }
}
