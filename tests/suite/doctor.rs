//! The doctor names the cause, whom it hurts, and nothing else (A3, A6, A8, E1, E2, E3, E7).

use diagnose::doctor::{Answer, Options, Report, Target, examine};
use diagnose::outside::Outside;
use known_clients::profile::Profiles;
use oauth::time::Timestamp;
use portcullis::model::clock::Clock;

use crate::broken_proxy::{BrokenProxy, Defect, Front};
use crate::server::{Database, START, TestServer, http};

const TRUSTING: Options = Options { assume_public: true, register: false };

async fn look(url: &str, outside: &Outside, options: Options) -> Report {
    let profiles = Profiles::embedded().unwrap();
    examine(Target::parse(url).unwrap(), outside, options, &profiles, Timestamp(START)).await.unwrap()
}

/// The report on a deployment behind a proxy, by an examiner who trusts the proxy's authority.
async fn report(proxy: &BrokenProxy) -> Report {
    let outside = Outside { ca_file: Some(proxy.ca_file.clone()), ..Outside::default() };
    look(&proxy.mcp(), &outside, TRUSTING).await
}

/// The ids of all findings.
fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.id).collect()
}

/// The clients that get this answer.
fn those(report: &Report, answer: Answer) -> Vec<&str> {
    let own = report.verdicts.iter().filter(|verdict| verdict.answer == answer);
    own.map(|verdict| verdict.client.as_str()).collect()
}

fn all(report: &Report, answer: Answer) -> bool {
    report.verdicts.iter().all(|verdict| verdict.answer == answer)
}

/// The one finding about a deployment with this defect.
async fn only(defect: Defect, id: &str) -> Report {
    let report = report(&BrokenProxy::new(defect).await).await;
    assert_eq!(ids(&report), [id], "{}", report.to_text(false));
    report
}

/// F: nothing is found where nothing is wrong; with and without a proxy, over http and over TLS, given the MCP URL or the
/// origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_deployment_has_no_findings() {
    for front in [Front::Http, Front::Tls] {
        let proxy = BrokenProxy::behind(front, Defect::None).await;
        let report = report(&proxy).await;
        assert_eq!(ids(&report), [""; 0], "{}", report.to_text(false));
        assert!(all(&report, Answer::Yes) && report.exit_code() == 0);
    }
    let server = TestServer::start(Database::Sqlite).await;
    for url in [server.origin.clone(), server.mcp(), format!("{}/", server.mcp())] {
        let report = look(&url, &Outside::default(), TRUSTING).await;
        assert_eq!(ids(&report), [""; 0], "{}", report.to_text(false));
        assert_eq!(report.url, server.mcp());
    }
}

/// F: paths of the operator's choice are found through the metadata.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_are_found_through_the_metadata() {
    let settings = [("PORTCULLIS__PATHS__MCP", "/v1/tools"), ("PORTCULLIS__PATHS__TOKEN", "/oauth/token")];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let report = look(&server.origin, &Outside::default(), TRUSTING).await;
    assert_eq!(ids(&report), [""; 0], "{}", report.to_text(false));
    assert_eq!(report.url, server.url("/v1/tools"));
    // Who types the usual path instead is told of the right one.
    let report = look(&server.mcp(), &Outside::default(), TRUSTING).await;
    assert!(ids(&report).contains(&"challenge-not-401") && ids(&report).contains(&"resource-metadata-missing"));
}

/// C-10: a loopback address is no address for clients whose servers call from the internet; others may use it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remote_clients_cannot_reach_a_loopback_address() {
    let server = TestServer::start(Database::Sqlite).await;
    let report = look(&server.mcp(), &Outside::default(), Options::default()).await;
    assert_eq!(ids(&report), ["address-not-public"]);
    assert_eq!(those(&report, Answer::No), ["chatgpt", "claude", "grok", "perplexity"]);
    assert!(those(&report, Answer::Yes).contains(&"vscode"));
    let sentence = &report.verdicts[0].sentence;
    assert!(
        sentence.starts_with("ChatGPT (OpenAI): no, because") && sentence.contains("this machine only"),
        "{sentence}"
    );
    assert_eq!(report.exit_code(), 1);
}

/// E7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripped_authorization_header_is_named() {
    let report = only(Defect::StripsAuthorization, "authorization-stripped").await;
    assert!(all(&report, Answer::No));
    assert!(report.findings[0].ways.iter().any(|(_, way)| way.contains("CGIPassAuth")));
}

/// E2, B-22: for clients in browsers only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_that_do_not_get_through_are_named() {
    for (defect, id) in [
        (Defect::RedirectsPreflights, "preflight-redirected"),
        (Defect::GuardsPreflights, "preflight-guarded"),
        (Defect::StripsCors, "cors-missing"),
        (Defect::HidesChallengeFromPages, "challenge-not-exposed"),
    ] {
        let report = only(defect, id).await;
        assert_eq!(those(&report, Answer::No), ["inspector"], "{id}");
        assert!(those(&report, Answer::Yes).contains(&"claude"), "{id}");
    }
}

/// A6: also in the challenge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_addresses_behind_https_are_named() {
    let report = report(&BrokenProxy::behind(Front::Tls, Defect::LeaksHttp).await).await;
    assert_eq!(ids(&report), ["plain-http-urls"], "{}", report.to_text(false));
    assert!(all(&report, Answer::No));
    assert!(report.findings[0].saw.contains("in the challenge") || report.findings[0].saw.contains("more"));
}

/// A6, A9.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_another_host_are_named() {
    let report = only(Defect::LeaksHost, "foreign-urls").await;
    assert!(all(&report, Answer::No));
    let server = TestServer::start(Database::Sqlite).await;
    // The same from the other side: public_url is not the address that people type.
    let other = server.mcp().replace("127.0.0.1", "localhost");
    let report = look(&other, &Outside::default(), TRUSTING).await;
    assert_eq!(ids(&report), ["foreign-urls"], "{}", report.to_text(false));
    assert!(report.findings[0].fix.contains(&format!("public_url is {}", server.origin)));
}

/// E3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collected_and_compressed_streams_are_named() {
    for (defect, id) in [(Defect::Buffers, "stream-buffered"), (Defect::Compresses, "stream-compressed")] {
        let report = only(defect, id).await;
        assert!(all(&report, Answer::Remarks) && report.exit_code() == 0, "{id}");
        assert!(report.findings[0].ways.iter().any(|(_, way)| way.contains("proxy_buffering off")), "{id}");
    }
}

/// E1: the filter, the client that it hits, and the place of the switch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_client_is_named() {
    for (defect, client) in [
        (Defect::BlocksAgent("Claude-User"), "claude"),
        (Defect::BlocksAgent("aiohttp"), "chatgpt"),
        (Defect::ClosesOnAgent("python-httpx"), "claude"),
    ] {
        let report = only(defect, "agent-blocked").await;
        assert_eq!(those(&report, Answer::No), [client], "{defect:?}");
        assert!(report.findings[0].ways.iter().any(|(_, way)| way.contains("Block AI bots")));
    }
    // A runtime that no client is known by is worth a word, no more.
    let report = only(Defect::BlocksAgent("Go-http-client"), "agent-blocked").await;
    assert!(all(&report, Answer::Yes));
}

/// A8, D-22.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_that_add_a_slash_are_named() {
    let report = only(Defect::AddsSlashToMcp, "mcp-redirected").await;
    assert!(all(&report, Answer::No));
    assert!(report.findings[0].saw.contains("308 to /mcp/"), "{}", report.findings[0].saw);
    let report = only(Defect::AddsSlashToEndpoints, "endpoint-redirected").await;
    assert!(all(&report, Answer::No));
}

/// A3, D-09.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_under_well_known_instead_is_named() {
    let report = only(Defect::SpaForUnknown, "well-known-html").await;
    assert!(all(&report, Answer::Remarks));
    let report = only(Defect::BreaksWellKnown, "well-known-broken").await;
    assert!(all(&report, Answer::No));
    let report = only(Defect::ServesOldDocument, "documents-stale").await;
    assert!(all(&report, Answer::Remarks));
    let report = only(Defect::OnlyRootMetadata, "resource-metadata-missing").await;
    assert_eq!(those(&report, Answer::No), ["chatgpt"]);
}

/// A8, D-23.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_challenge_is_named() {
    let report = only(Defect::StripsChallenge, "challenge-missing").await;
    assert!(all(&report, Answer::No));
}

/// A1: who compares byte for byte is out, who forgives a slash is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slash_in_the_issuer_is_named() {
    let report = only(Defect::SlashesIssuer, "issuer-mismatch").await;
    assert_eq!(those(&report, Answer::Remarks), ["insomnia", "inspector", "mcp-remote"]);
    assert!(those(&report, Answer::No).contains(&"claude"));
    for place in
        ["authorization_servers", "issuer of the server", "openid-configuration", "token endpoint", "challenge"]
    {
        assert!(report.findings[0].saw.contains(place), "{place}");
    }
}

/// A7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_without_pkce_is_named() {
    assert!(all(&only(Defect::DropsS256, "s256-missing").await, Answer::No));
}

/// A6, S-11.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_the_proxy_sets_wrong_are_named() {
    let report = report(&BrokenProxy::behind(Front::Tls, Defect::SaysHttp).await).await;
    assert_eq!(ids(&report), ["forwarded-proto"], "{}", report.to_text(false));
    assert!(all(&report, Answer::Yes));
    let report = only(Defect::ForeignHost, "host-rewritten").await;
    assert!(all(&report, Answer::No));
}

/// F: a proxy without a server behind it, and a login in front of everything, are one cause each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_answers_itself_is_named() {
    assert!(all(&only(Defect::LosesServer, "server-away").await, Answer::No));
    let report = report(&BrokenProxy::new(Defect::LoginForAll).await).await;
    assert!(all(&report, Answer::No));
    for id in ["mcp-redirected", "well-known-redirected", "endpoint-redirected"] {
        assert!(ids(&report).contains(&id), "{id}");
    }
}

/// F: nothing there at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, id) in [
        (format!("http://127.0.0.1:{free}/mcp"), "no-connection"),
        ("https://nothing-here.invalid/mcp".to_owned(), "name-not-resolved"),
    ] {
        let report = look(&url, &Outside::default(), TRUSTING).await;
        assert_eq!(ids(&report), [id]);
        assert!(all(&report, Answer::No) && report.exit_code() == 2, "{id}");
    }
}

/// F: what is wrong with a certificate, in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_judged() {
    for (front, id) in [
        (Front::Expired, "certificate-expired"),
        (Front::SelfSigned, "certificate-untrusted"),
        (Front::OtherName, "certificate-name"),
    ] {
        let report = report(&BrokenProxy::behind(front, Defect::None).await).await;
        assert_eq!(ids(&report), [id], "{}", report.to_text(false));
        assert_eq!(report.exit_code(), 2);
    }
    let proxy = BrokenProxy::behind(Front::Tls, Defect::None).await;
    let stranger = look(&proxy.mcp(), &Outside::default(), TRUSTING).await;
    assert_eq!(ids(&stranger), ["certificate-untrusted"]);
    let report = report(&BrokenProxy::behind(Front::EndsSoon, Defect::None).await).await;
    assert_eq!(ids(&report), ["certificate-ends-soon"], "{}", report.to_text(false));
    assert!(all(&report, Answer::Remarks));
}

/// B-30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_disagree_are_named() {
    let server = TestServer::start(Database::Sqlite).await;
    server.pass(-90);
    let report = look(&server.mcp(), &Outside::default(), TRUSTING).await;
    assert_eq!(ids(&report), ["clock-skew"]);
    assert!(all(&report, Answer::Remarks) && report.findings[0].saw.contains("90 seconds behind"));
    server.pass(690);
    let report = look(&server.mcp(), &Outside::default(), TRUSTING).await;
    assert_eq!(those(&report, Answer::No), ["chatgpt"]);
}

/// every client's registration is tried on demand, and nothing stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_are_tried_on_demand_and_taken_back() {
    let register = Options { register: true, ..TRUSTING };
    let server = TestServer::start(Database::Sqlite).await;
    let report = look(&server.mcp(), &Outside::default(), register).await;
    assert_eq!(ids(&report), [""; 0], "{}", report.to_text(false));
    let rows =
        crate::bed::raw(&server.database.url, &["select count(*) from client where deleted_at is null"]).await.unwrap();
    assert_eq!(rows, [["0"]]);

    let settings = [
        ("PORTCULLIS__REGISTRATION__POLICY", "token"),
        ("PORTCULLIS__REGISTRATION__INITIAL_ACCESS_TOKEN", "sixteen-characters"),
    ];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let report = look(&server.mcp(), &Outside::default(), register).await;
    assert_eq!(ids(&report), ["registration-refused"]);
    assert!(all(&report, Answer::No));
    assert!(report.findings[0].saw.contains("initial access token"), "{}", report.findings[0].saw);
    let report = look(&server.mcp(), &Outside::default(), TRUSTING).await;
    assert_eq!(ids(&report), ["registration-guarded"]);
    assert!(report.exit_code() == 0 && those(&report, Answer::Remarks).contains(&"insomnia"));
}

/// Runs the built command in a folder without a configuration, with no other environment than the given one.
async fn run(arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("doctor").args(arguments).current_dir(std::env::temp_dir()).env_clear().envs(env.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The interface that others script against: 0 all clients will connect, 1 at least one won't, 2 nothing could be looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_says_whether_clients_will_connect() {
    let proxy = BrokenProxy::new(Defect::None).await;
    proxy.server.pass(Clock::system().now().0 - START);
    let (code, out, err) = run(&[&proxy.mcp(), "--assume-public"], &[]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!out.contains('\u{1b}') && out.contains("ok    ChatGPT (OpenAI)"), "{out}");
    let (code, out, _) = run(&[&proxy.origin], &[]).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("no    ChatGPT (OpenAI)") && out.contains("address-not-public (breaks)"), "{out}");
    // Without an address it is the configuration's.
    let (code, out, _) = run(&["--assume-public"], &[("PORTCULLIS__PUBLIC_URL", &proxy.origin)]).await;
    assert_eq!(code, Some(0), "{out}");

    let (code, out, _) = run(&["https://nothing-here.invalid"], &[]).await;
    assert!(code == Some(2) && out.contains("name-not-resolved"), "{out}");
    for arguments in [
        &["ftp://h.example"][..],
        &["https://h.example", "--ca-file", "no-such-file.pem"],
        &["https://h.example", "--proxy", "::"],
        &["--no-such-flag"],
    ] {
        let (code, out, err) = run(arguments, &[]).await;
        assert!(code == Some(2) && out.is_empty() && !err.is_empty(), "{arguments:?} {out} {err}");
    }
    let (code, _, err) = run(&[], &[("PORTCULLIS__PUBLIC_URL", "nonsense")]).await;
    assert!(code == Some(2) && err.contains("public_url"), "{err}");
}

/// The shape of the JSON: ids, answers and severities are for scripts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_report_has_its_shape() {
    let proxy = BrokenProxy::behind(Front::Tls, Defect::BlocksAgent("Claude-User")).await;
    let report = report(&proxy).await.to_json().to_string().replace(&proxy.origin, "https://127.0.0.1:PORT");
    insta::assert_json_snapshot!(serde_json::from_str::<serde_json::Value>(&report).unwrap());
    let (code, out, err) = run(&[&proxy.mcp(), "--json", "--ca-file", proxy.ca_file.to_str().unwrap()], &[]).await;
    assert_eq!(code, Some(1), "{err}");
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["all_will_connect"], false);
    assert_eq!(printed["clients"][2]["id"], "claude");
    assert_eq!(printed["clients"][2]["connects"], "no");
}

/// Who answers may be anybody: endless bodies end, nobody is sent elsewhere, terminals are not steered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_answer_does_no_harm() {
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = format!("http://{}/", trap.local_addr().unwrap());
    let document = serde_json::json!({
        "resource": "\u{1b}[31mx", "issuer": format!("{elsewhere}\u{1b}[31m"), "authorization_servers": ["\u{1b}]0;x\u{7}"],
        "token_endpoint": elsewhere, "registration_endpoint": elsewhere, "jwks_uri": elsewhere, "scopes_supported": "x",
        "client_id_metadata_document_supported": "\u{1b}[2J",
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let (document, elsewhere) = (document.to_string(), elsewhere.clone());
        async move {
            let answer = axum::http::Response::builder();
            let path = request.uri().path();
            if path.contains("well-known") {
                return answer.header("x-cache", "\u{9}x").body(axum::body::Body::from(document)).unwrap();
            }
            if path == "/authorize" || request.method() == "OPTIONS" {
                return answer.status(302).header("location", elsewhere).body(axum::body::Body::empty()).unwrap();
            }
            let endless = tokio_util::io::ReaderStream::new(tokio::io::repeat(b'\x1b'));
            answer.body(axum::body::Body::from_stream(endless)).unwrap()
        }
    });
    let serving = tokio::spawn(axum::serve(listener, router).into_future());
    let report = look(&url, &Outside::default(), Options { register: true, ..TRUSTING }).await;
    serving.abort();
    assert!(all(&report, Answer::No));
    let control = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    assert!(!control(&report.to_text(false)) && !control(&format!("{:#}", report.to_json())));
    let came = tokio::time::timeout(std::time::Duration::from_millis(1), trap.accept()).await;
    assert!(came.is_err(), "somebody was led astray");
}

/// What cannot be said from here is said: an HTTP proxy resolves names itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_an_http_proxy_nothing_is_said_of_addresses() {
    let proxy = BrokenProxy::new(Defect::None).await;
    // Plain http through a proxy is a request with an absolute address, which any server takes.
    let outside = Outside { proxy: Some(proxy.origin.clone()), ..Outside::default() };
    let report = look(&proxy.mcp(), &outside, Options::default()).await;
    assert_eq!(ids(&report), [""; 0], "{}", report.to_text(false));
    assert!(report.notes[0].contains("proxy"));
}

/// The doctor's own endpoint tells names of headers, and values of none that could be secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_echoes_no_secret() {
    let server = TestServer::start(Database::Sqlite).await;
    let request = http()
        .post(server.url("/probe?token=s3cret-q"))
        .header("authorization", "Bearer s3cret-a")
        .header("cookie", "session=s3cret-c")
        .header("x-api-key", "s3cret-k")
        .header("x-forwarded-proto", "http")
        .body("s3cret-b");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let text = answer.text().await.unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["authorization"], true);
    assert_eq!(body["method"], "POST");
    assert_eq!(body["path"], "/probe");
    assert_eq!(body["forwarded_proto"], "http");
    assert_eq!(body["network"], "127.0.0.1");
    assert_eq!(body["public_url"], server.origin);
    assert!(body["headers"].as_array().unwrap().contains(&"x-api-key".into()));
    let plain: serde_json::Value = http().get(server.url("/probe")).send().await.unwrap().json().await.unwrap();
    assert_eq!(plain["authorization"], false);
    assert!(plain.get("forwarded_proto").is_none());
}

/// S-13: what the probe answers is for programs on the operator's side, not for pages of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_is_bounded() {
    let settings = [("PORTCULLIS__LIMITS__ENABLED", "true"), ("PORTCULLIS__LIMITS__AUTHORIZE_PER_MINUTE", "5")];
    let server = TestServer::with(Database::Sqlite, &settings).await;
    let mut statuses = Vec::new();
    for number in 0..8 {
        let path = if number % 2 == 0 { "/probe" } else { "/probe/stream" };
        let answer = http().get(server.url(path)).header("origin", "https://evil.example").send().await.unwrap();
        assert!(answer.headers().get("access-control-allow-origin").is_none());
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    // Another purse than that of people who sign in.
    assert_eq!(http().get(server.url("/authorize")).send().await.unwrap().status(), 400);
}
