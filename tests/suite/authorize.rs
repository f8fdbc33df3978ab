//! The authorization endpoint: what is refused and where the refusal goes, what is echoed, and what comes of a
//! request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::model::user::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::browser::{Browser, Callback, Landing, Page};
use crate::connector::{CALLBACK, Connector, Tokens, VERIFIER};
use crate::on_both_databases;
use crate::server::{PASSWORD, TestServer, http};

const VENDOR: &str = "https://chatgpt.com/connector/oauth/abc123";
const WEBSITE: &str = "https://client.example/cb";

/// A public client with these callbacks.
async fn client(server: &TestServer, redirect_uris: &[&str]) -> Connector {
    let body = json!({
        "client_name": "Test client",
        "redirect_uris": redirect_uris,
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    Connector::registered(server, &body).await
}

/// One GET, nothing followed.
async fn get(server: &TestServer, url: &str) -> Page {
    Browser::new(server).send(Method::GET, url, None).await
}

/// A page that explains a refusal: no redirect, by any means.
fn assert_problem(page: &Page, status: u16, what: &str) {
    assert_eq!(page.status.as_u16(), status, "{what}: {}", page.body);
    assert!(!page.headers.contains_key("location"), "{what}");
    assert!(!page.headers.contains_key("refresh") && !page.body.contains("http-equiv=\"refresh\""), "{what}");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{what}");
    assert!(page.text().contains("What you can do"), "{what}: {}", page.text());
    assert!(!page.body.contains("<form"), "{what}");
}

/// A refusal that goes to the client: `error`, `state` and `iss`, each once, and no code.
fn assert_refused(server: &TestServer, landing: Landing, error: &str, state: Option<&str>) -> Callback {
    let callback = landing.callback();
    assert_eq!(callback.one("error"), error, "{}", callback.url);
    assert!(callback.one("error_description").len() > 10);
    assert_eq!(callback.one("iss"), server.origin);
    assert_eq!(callback.all("state"), state.into_iter().collect::<Vec<_>>());
    assert!(callback.all("code").is_empty());
    callback
}

async fn tokens_of(client: &Connector, changes: &[(&str, &str)], browser: &mut Browser) -> Tokens {
    let callback = client.authorize(browser, changes).await;
    client.redeem(&callback.one("code")).await.tokens()
}

on_both_databases! {
    /// A-02, A-03, A-04, B-01, B-02: while client or address are in doubt, nothing is sent anywhere.
    async fn an_unknown_client_or_callback_is_a_page_and_never_a_redirect(database) {
        let server = TestServer::start(database).await;
        let website = client(&server, &[WEBSITE]).await;
        let loopback = client(&server, &[CALLBACK]).await;
        let both = client(&server, &[WEBSITE, CALLBACK]).await;
        for changes in [
            vec![("client_id", "")],
            vec![("client_id", "pc_unknown")],
            vec![("client_id", "' or 1=1 --")],
            vec![("client_id", "https://evil.example/client.json")],
            vec![("client_id", ""), ("redirect_uri", "")],
        ] {
            assert_problem(&get(&server, &website.authorize_url(&changes)).await, 400, &format!("{changes:?}"));
        }
        for uri in [
            "https://client.example/cb/",
            "https://client.example/CB",
            "https://CLIENT.example/cb",
            "HTTPS://client.example/cb",
            "https://client.example:443/cb",
            "https://client.example:8443/cb",
            "https://client.example/cb?",
            "https://client.example/cb?x=1",
            "https://client.example/cb#",
            "https://client.example/cb#x",
            "https://client.example/",
            "https://client.example",
            "https://client.example/x/../cb",
            "https://client.example/%63b",
            "https://client.example%2Fcb",
            "https://client.example/cb%2F",
            "https://client.example/cb ",
            " https://client.example/cb",
            "https://client.example.evil.example/cb",
            "https://sub.client.example/cb",
            "https://client.example@evil.example/cb",
            "https://evil@client.example/cb",
            "https://evil.example/cb",
            "http://client.example/cb",
            "//client.example/cb",
            "/cb",
            "javascript:alert(1)//https://client.example/cb",
            "*",
        ] {
            assert_problem(&get(&server, &website.authorize_url(&[("redirect_uri", uri)])).await, 400, uri);
            assert_problem(&get(&server, &both.authorize_url(&[("redirect_uri", uri)])).await, 400, uri);
        }
        for uri in [
            "http://localhost:9/callback",
            "http://[::1]:9/callback",
            "http://127.0.0.2:9/callback",
            "http://127.1:9/callback",
            "http://2130706433/callback",
            "https://127.0.0.1:9/callback",
            "http://127.0.0.1:9/callback/",
            "http://127.0.0.1:9/Callback",
            "http://127.0.0.1:9/callback?x=1",
            "http://127.0.0.1:9/callback#",
            "http://127.0.0.1:9/x/../callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:9x/callback",
            "http://127.0.0.1:-9/callback",
            "http://127.0.0.1:@evil.example/callback",
            "http://evil@127.0.0.1:9/callback",
            "http://127.0.0.1:9@evil.example/callback",
            "http://127.0.0.1.evil.example:9/callback",
            "http://127.0.0.1:9\\@evil.example/callback",
            "http://evil.example/callback",
        ] {
            assert_problem(&get(&server, &loopback.authorize_url(&[("redirect_uri", uri)])).await, 400, uri);
        }
        // OAuth 2.1 §4.1.1: it may be left out only where there is one.
        assert_problem(&get(&server, &both.authorize_url(&[("redirect_uri", "")])).await, 400, "one of two");
        // Said twice it is in doubt, even if it is the same.
        for name in ["client_id", "redirect_uri"] {
            let value = if name == "client_id" { &loopback.client_id } else { &loopback.redirect_uri };
            let twice = format!("{}&{name}={value}", loopback.authorize_url(&[]));
            assert_problem(&get(&server, &twice).await, 400, &twice);
        }
        // Neither does a fault further on make a redirect of it.
        let both_wrong = website.authorize_url(&[("redirect_uri", "https://evil.example/"), ("response_type", "token")]);
        assert_problem(&get(&server, &both_wrong).await, 400, "two faults");
        // B8: a person reads what to do.
        let page = get(&server, &website.authorize_url(&[("client_id", "pc_unknown")])).await;
        assert!(page.text().contains("pc_unknown") && page.text().contains("Claude"), "{}", page.text());
        let page = get(&server, &website.authorize_url(&[("redirect_uri", "https://client.example/cb/")])).await;
        assert!(page.text().contains("https://client.example/cb/") && page.text().contains(WEBSITE), "{}", page.text());
    }

    /// A-03, B2: a program that listens on this device learns its port when it starts.
    async fn only_the_port_of_a_loopback_callback_may_differ(database) {
        let server = TestServer::start(database).await;
        for (registered, requested) in [
            ("http://127.0.0.1/callback", "http://127.0.0.1:33418/callback"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:52000/"),
            ("http://localhost:1/callback", "http://localhost/callback"),
            ("http://localhost/callback", "http://localhost:65535/callback"),
            ("http://[::1]/cb?a=b", "http://[::1]:4000/cb?a=b"),
        ] {
            let client = client(&server, &[registered]).await;
            let callback = client.authorize(&mut Browser::new(&server), &[("redirect_uri", requested)]).await;
            assert!(callback.url.as_str().starts_with(requested.split('?').next().unwrap()), "{}", callback.url);
            let code = callback.one("code");
            let exchange = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", requested),
                ("code_verifier", VERIFIER),
            ];
            client.token(&exchange).await.tokens();
        }
    }

    /// A-04: with one registered callback it need not be said.
    async fn the_only_callback_need_not_be_sent(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let callback = client.authorize(&mut Browser::new(&server), &[("redirect_uri", "")]).await;
        assert!(callback.url.as_str().starts_with(CALLBACK));
        let code = callback.one("code");
        client.token(&[("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)]).await.tokens();
    }

    /// A-01, A-05, A-07, A-09, A-12, A-14, A-16, A-22, B-03, B-05, I7, I8: refusals after that go to the client, with
    /// `state` and `iss`; so do yes and no.
    async fn every_answer_carries_the_issuer(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let state = Some("st/a+te=1");
        let short = "a".repeat(42);
        let long = "a".repeat(44);
        for (changes, error) in [
            (vec![("response_type", "")], "invalid_request"),
            (vec![("response_type", "token")], "unsupported_response_type"),
            (vec![("response_type", "code id_token")], "unsupported_response_type"),
            (vec![("response_type", "CODE")], "unsupported_response_type"),
            (vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge", "")], "invalid_request"),
            (vec![("code_challenge_method", "")], "invalid_request"),
            (vec![("code_challenge_method", "plain")], "invalid_request"),
            (vec![("code_challenge_method", "s256")], "invalid_request"),
            (vec![("code_challenge", VERIFIER), ("code_challenge_method", "plain")], "invalid_request"),
            (vec![("code_challenge", &short)], "invalid_request"),
            (vec![("code_challenge", &long)], "invalid_request"),
            (vec![("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")], "invalid_request"),
            (vec![("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c=")], "invalid_request"),
            (vec![("resource", "https://evil.example/mcp")], "invalid_target"),
            (vec![("resource", "mcp")], "invalid_target"),
            (vec![("resource", "urn:x")], "invalid_target"),
            (vec![("response_mode", "fragment")], "invalid_request"),
            (vec![("response_mode", "form_post")], "invalid_request"),
            (vec![("request", "a.b.c")], "request_not_supported"),
            (vec![("request_uri", "https://evil.example/r")], "request_not_supported"),
            (vec![("prompt", "none login")], "invalid_request"),
            (vec![("prompt", "none consent")], "invalid_request"),
            (vec![("prompt", "none")], "login_required"),
            (vec![("scope", "unknown")], "invalid_scope"),
            (vec![("scope", "unknown offline_access")], "invalid_scope"),
        ] {
            let landing = Browser::new(&server).open(&client.authorize_url(&changes)).await;
            let callback = assert_refused(&server, landing, error, state);
            assert!(callback.url.as_str().starts_with(CALLBACK), "{changes:?}");
        }
        // A-01: what may stand once and stands twice.
        for name in ["response_type", "code_challenge", "code_challenge_method", "scope", "prompt", "state", "login_hint"] {
            let twice = format!("{}&{name}=x&{name}=y", client.authorize_url(&[(name, "")]));
            let landing = Browser::new(&server).open(&twice).await;
            assert_refused(&server, landing, "invalid_request", if name == "state" { Some("x") } else { state });
        }
        let mut browser = Browser::new(&server);
        let signed_in = {
            let page = browser.open(&client.authorize_url(&[])).await.page();
            browser.sign_in(&page).await.page()
        };
        let landing = browser.open(&client.authorize_url(&[("prompt", "none")])).await;
        assert_refused(&server, landing, "consent_required", state);
        let allowed = browser.submit(&signed_in, &[("decision", "approve")]).await.callback();
        assert_eq!((allowed.one("iss"), allowed.one("state")), (server.origin.clone(), "st/a+te=1".to_owned()));
        assert!(allowed.one("code").starts_with("pcc_") && allowed.one("code").len() >= 43, "A-17");
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let denied = browser.submit(&page, &[("decision", "deny")]).await;
        assert_refused(&server, denied, "access_denied", state);
    }

    /// A-07, A-08: one `code`, `state` and `iss` reach the client whatever its callback had; all else keeps its bytes.
    async fn a_callbacks_own_query_is_kept_and_its_reserved_keys_are_not(database) {
        let server = TestServer::start(database).await;
        let uri = "http://127.0.0.1:9/cb?a=%2F%2f+b&iss=https://evil.example&code=x&state=old&error=1&empty=&flag";
        let client = client(&server, &[uri]).await;
        let callback = client.authorize(&mut Browser::new(&server), &[]).await;
        assert!(callback.url.as_str().starts_with("http://127.0.0.1:9/cb?a=%2F%2f+b&empty=&flag&"), "{}", callback.url);
        assert_eq!((callback.one("iss"), callback.one("state")), (server.origin.clone(), "st/a+te=1".to_owned()));
        assert!(callback.one("code").starts_with("pcc_") && callback.all("error").is_empty());
    }

    /// A-23, RFC 9700 §4.11.2, S9: a stranger's website gets no visitors by way of a refusal, until somebody here
    /// has let it in; known vendors and people who are signed in are sent on.
    async fn refusals_lead_only_to_websites_that_are_known(database) {
        let server = TestServer::start(database).await;
        let bad = [("response_type", "token")];
        let stranger = client(&server, &[WEBSITE]).await;
        let page = get(&server, &stranger.authorize_url(&bad)).await;
        assert_problem(&page, 400, "stranger");
        assert!(page.text().contains("client.example") && page.text().contains("unsupported_response_type"));
        assert!(!page.body.contains("href=\"https://client.example"), "no link either");
        let silent = Browser::new(&server).open(&stranger.authorize_url(&[("prompt", "none")])).await.page();
        assert_problem(&silent, 400, "stranger");
        let vendor = client(&server, &[VENDOR]).await;
        let landing = Browser::new(&server).open(&vendor.authorize_url(&bad)).await;
        assert_refused(&server, landing, "unsupported_response_type", Some("st/a+te=1"));
        let mut browser = Browser::new(&server);
        let page = browser.open("/login").await.page();
        browser.sign_in(&page).await.page();
        let landing = browser.open(&stranger.authorize_url(&bad)).await;
        assert_refused(&server, landing, "unsupported_response_type", Some("st/a+te=1"));
        stranger.authorize(&mut browser, &[]).await.one("code");
        let landing = Browser::new(&server).open(&stranger.authorize_url(&bad)).await;
        assert_refused(&server, landing, "unsupported_response_type", Some("st/a+te=1"));
    }

    /// A-01: POST says the same as GET; B-24: what follows is a GET.
    async fn a_request_may_be_posted(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let params: BTreeMap<String, String> =
            client.authorize_params().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut browser = Browser::new(&server);
        let posted = browser.send(Method::POST, "/authorize", Some(&params)).await;
        assert_eq!(posted.status, StatusCode::SEE_OTHER);
        let page = browser.follow(posted).await.page();
        let page = browser.sign_in(&page).await.page();
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        client.redeem(&callback.one("code")).await.tokens();
        let mut wrong = params.clone();
        wrong.insert("response_type".to_owned(), "token".to_owned());
        let posted = browser.send(Method::POST, "/authorize", Some(&wrong)).await;
        assert_eq!(posted.status, StatusCode::SEE_OTHER);
        assert_refused(&server, browser.follow(posted).await, "unsupported_response_type", Some("st/a+te=1"));
        let json = http().post(server.url("/authorize")).header("content-type", "application/json").body("{}");
        let response = json.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    }

    /// A-06, B-06, C9: `state` is the client's; it comes back byte for byte, and is not missed.
    async fn state_comes_back_byte_for_byte(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let printable: String = (' '..='~').collect();
        let large: String = printable.chars().cycle().take(8 * 1024).collect();
        let base64 = STANDARD.encode([251, 255, 254, 0, 16]);
        for state in [large.as_str(), &base64, "a&b=c#d?e;f", "%41%zz%", " leading and trailing ", "ä€😀\r\n\t\u{202e}", "0"] {
            let url = client.authorize_url(&[("state", state), ("response_type", "x")]);
            assert_eq!(Browser::new(&server).open(&url).await.callback().one("state"), state);
            let callback = client.authorize(&mut Browser::new(&server), &[("state", state)]).await;
            assert_eq!(callback.one("state"), state);
        }
        for url in [client.authorize_url(&[("state", "")]), format!("{}&state=", client.authorize_url(&[("state", "")]))] {
            let callback = Browser::new(&server).allow(&url).await;
            assert!(callback.all("state").is_empty(), "{}", callback.url);
        }
    }

    /// B-26: what can't be read is the client's fault, on a page, and never ours.
    async fn unreadable_requests_are_pages_with_400(database) {
        let server = TestServer::start(database).await;
        let good = Connector::public(&server).await.authorize_url(&[]);
        let many = "&a=1".repeat(101);
        let long = format!("&a={}", "x".repeat(20_000));
        for broken in ["&state=%00", "&state=a%00b", "&x=%zz", "&x=%", "&x=%4", "&x=%ff", "&%00=x", "&x=%ed%a0%80", &many, &long] {
            let page = get(&server, &format!("{good}{broken}")).await;
            let shown: String = broken.chars().take(40).collect();
            assert_problem(&page, 400, &shown);
        }
        for id in ["x", "ath_unknown", "%27%20or%201%3D1", "%00", ""] {
            let page = get(&server, &server.url(&format!("/authorize?authorization={id}"))).await;
            assert_problem(&page, 400, id);
        }
        assert_problem(&get(&server, &server.url("/authorize")).await, 400, "nothing at all");
        let large = http().post(server.url("/authorize")).header("content-type", "application/x-www-form-urlencoded");
        let response = large.body(format!("x={}", "y".repeat(70_000))).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.text().await.unwrap().contains("65536"));
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let status = http().request(method, &good).send().await.unwrap().status();
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    /// A-05, C10: nobody may leave PKCE out, whatever they are, until an administrator names their host.
    async fn pkce_is_asked_of_every_client_by_default(database) {
        let server = TestServer::start(database).await;
        let confidential = json!({
            "redirect_uris": [VENDOR], "token_endpoint_auth_method": "client_secret_post", "client_name": "ChatGPT",
        });
        for client in [client(&server, &[VENDOR]).await, Connector::registered(&server, &confidential).await] {
            let url = client.authorize_url(&[("code_challenge", ""), ("code_challenge_method", "")]);
            let callback = assert_refused(&server, Browser::new(&server).open(&url).await, "invalid_request", Some("st/a+te=1"));
            let words = callback.one("error_description");
            assert!(words.contains("PKCE") && words.contains("SHA-256"), "{words}");
        }
    }

    /// C10, T-10: an exempt host may leave PKCE out; a challenge that it sends counts, and so does a verifier.
    async fn pkce_exemption_is_for_the_named_hosts_only_and_never_weakens_a_challenge(database) {
        let setting = ("PORTCULLIS__PKCE__EXEMPT_REDIRECT_HOSTS", "chatgpt.com");
        let server = TestServer::with(database, &[setting]).await;
        let without = [("code_challenge", ""), ("code_challenge_method", "")];
        let exempt = client(&server, &[VENDOR, "https://chatgpt.com/connector_platform_oauth_redirect"]).await;
        let redeem = async |code: &str, verifier: &str| {
            let uri = exempt.redirect_uri.clone();
            let mut params = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri.as_str())];
            if !verifier.is_empty() {
                params.push(("code_verifier", verifier));
            }
            exempt.token(&params).await
        };
        let mut browser = Browser::new(&server);
        let code = exempt.authorize(&mut browser, &without).await.one("code");
        // B-03, downgrade: a verifier for a code without a challenge proves that somebody took the challenge away.
        redeem(&code, VERIFIER).await.refused(400, "invalid_request");
        redeem(&code, "").await.tokens();
        let code = exempt.authorize(&mut browser, &[]).await.one("code");
        redeem(&code, "").await.refused(400, "invalid_grant");
        redeem(&code, &"b".repeat(43)).await.refused(400, "invalid_grant");
        redeem(&code, VERIFIER).await.tokens();
        for (name, value) in [("code_challenge_method", ""), ("code_challenge_method", "plain"), ("code_challenge", "")] {
            let landing = browser.open(&exempt.authorize_url(&[(name, value)])).await;
            assert_refused(&server, landing, "invalid_request", Some("st/a+te=1"));
        }
        for other in ["https://evil.chatgpt.com/cb", "https://chatgpt.com.evil.example/cb", "http://localhost:1/cb", "cursor://chatgpt.com/cb"] {
            let client = client(&server, &[other]).await;
            match browser.open(&client.authorize_url(&without)).await {
                Landing::Callback(callback) => assert_eq!(callback.one("error"), "invalid_request", "{other}"),
                Landing::Page(page) => {
                    assert!(page.body.contains("error=invalid_request") && !page.body.contains("code="), "{other}");
                }
            }
        }
    }

    /// A-09, A-10, A-11, B-09, A2, I3, I4: any spelling of our resource, also none, means the one; its token says the
    /// canonical one.
    async fn every_spelling_of_the_resource_gets_the_canonical_audience(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let port = server.origin.rsplit(':').next().unwrap();
        let mut browser = Browser::new(&server);
        for resource in [
            String::new(),
            server.mcp(),
            format!("{}/", server.mcp()),
            format!("HTTP://127.0.0.1:{port}/mcp"),
            server.origin.clone(),
            format!("{}/", server.origin),
            format!("{}?kb_name=x", server.mcp()),
        ] {
            let tokens = tokens_of(&client, &[("resource", &resource)], &mut browser).await;
            assert_eq!(tokens.claims()["aud"], server.mcp(), "{resource}");
        }
        let two = format!("{}&resource={}/", client.authorize_url(&[]), server.mcp());
        assert!(browser.allow(&two).await.one("code").starts_with("pcc_"));
        for other in [
            format!("{}#f", server.mcp()),
            format!("{}/x", server.mcp()),
            server.url("/MCP"),
            server.url("/token"),
            "http://127.0.0.1:1/mcp".to_owned(),
            format!("https://127.0.0.1:{port}/mcp"),
            format!("http://x@127.0.0.1:{port}/mcp"),
        ] {
            let landing = browser.open(&client.authorize_url(&[("resource", &other)])).await;
            let refused = assert_refused(&server, landing, "invalid_target", Some("st/a+te=1"));
            assert!(refused.one("error_description").contains(&server.mcp()), "A2: says what is accepted");
            let both = format!("{}&resource={}", client.authorize_url(&[]), other.replace('#', "%23"));
            assert_refused(&server, browser.open(&both).await, "invalid_target", Some("st/a+te=1"));
        }
    }

    /// A-14: `login` and `select_account` ask who it is, `consent` asks again, `none` never shows anything, and
    /// unknown values change nothing.
    async fn prompt_is_obeyed_over_http(database) {
        let server = TestServer::start(database).await;
        let client = client(&server, &[VENDOR]).await;
        let mut browser = Browser::new(&server);
        client.authorize(&mut browser, &[]).await.one("code");
        server.advance(10).await;
        // Approved before, by this vendor's callback: one click, and with prompt=none there is none to be had.
        for prompt in ["", "create"] {
            let page = browser.open(&client.authorize_url(&[("prompt", prompt)])).await.page();
            assert!(page.asks_to_continue(), "{prompt}: {}", page.text());
            browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        }
        let landing = browser.open(&client.authorize_url(&[("prompt", "none")])).await;
        assert_refused(&server, landing, "interaction_required", Some("st/a+te=1"));
        let page = browser.open(&client.authorize_url(&[("prompt", "consent")])).await.page();
        assert!(page.asks());
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        for prompt in ["login", "select_account", "login consent"] {
            let page = browser.open(&client.authorize_url(&[("prompt", prompt)])).await.page();
            assert!(page.url.contains("/login?") && page.body.contains("name=\"password\""), "{prompt}");
            // Reloading, or going on by hand, doesn't get around it.
            let id = page.fields("password").1["authorization"].clone();
            let again = browser.open(&format!("/authorize?authorization={id}")).await.page();
            assert!(again.body.contains("name=\"password\""), "{prompt}");
            // Neither does going to the next page.
            let around = browser.open(&format!("/consent?authorization={id}")).await.page();
            assert!(around.body.contains("name=\"password\""), "{prompt}");
            let page = browser.sign_in(&again).await.page();
            assert_eq!((page.asks(), page.asks_to_continue()), (prompt == "login consent", prompt != "login consent"));
            browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
            server.advance(10).await;
        }
    }

    /// A-14, A-15: what OpenID clients send besides is taken without a word.
    async fn unknown_and_openid_parameters_are_ignored(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let url = client.authorize_url(&[
            ("nonce", "n"),
            ("id_token_hint", "a.b.c"),
            ("max_age", "60"),
            ("acr_values", "x"),
            ("ui_locales", "de en"),
            ("claims", "{}"),
            ("audience", "https://elsewhere.example"),
            ("display", "popup"),
            ("unknown", "1"),
        ]);
        let callback = Browser::new(&server).allow(&format!("{url}&unknown=2")).await;
        client.redeem(&callback.one("code")).await.tokens();
        let page = Browser::new(&server).open(&client.authorize_url(&[("login_hint", "grace\"><b>")])).await.page();
        assert_eq!(page.fields("password").1["username"], "grace\"><b>");
        assert!(!page.body.contains("<b>"));
    }

    /// A-16, C7: a request that was left lying can't be finished, and says so on a page.
    async fn an_expired_request_is_a_page(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let consent = browser.sign_in(&login).await.page();
        server.advance(30 * 60 - 1).await;
        let still = browser.open(&consent.url).await.page();
        assert_eq!(still.status, StatusCode::OK);
        server.advance(1).await;
        for url in [login.url.clone(), consent.url.clone(), login.url.replace("/login?", "/authorize?")] {
            let page = browser.open(&url).await.page();
            assert_problem(&page, 400, &url);
            assert!(page.text().contains("expired") && page.text().contains("Connect again"), "{}", page.text());
        }
        let page = browser.submit(&consent, &[("decision", "approve")]).await.page();
        assert_problem(&page, 400, "approval of an expired request");
    }

    /// A-08, C2, B-24: an app's own scheme gets a page with a link, because a redirect there leaves a dead tab.
    async fn a_private_scheme_gets_a_page_that_hands_over(database) {
        let server = TestServer::start(database).await;
        let uri = "cursor://anysphere.cursor-mcp/oauth/callback";
        let client = client(&server, &[uri]).await;
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in(&page).await.page();
        let page = browser.submit(&page, &[("decision", "approve")]).await.page();
        assert_eq!((page.status, page.headers.get("location")), (StatusCode::OK, None));
        let link = handed_over(&page);
        assert!(link.as_str().starts_with(uri), "{link}");
        let callback = Callback { url: link };
        assert_eq!((callback.one("iss"), callback.one("state")), (server.origin.clone(), "st/a+te=1".to_owned()));
        client.redeem(&callback.one("code")).await.tokens();
        // A refusal goes the same way.
        let page = browser.open(&client.authorize_url(&[("response_type", "token")])).await.page();
        assert_eq!(page.status, StatusCode::OK);
        let refused = Landing::Callback(Callback { url: handed_over(&page) });
        assert_refused(&server, refused, "unsupported_response_type", Some("st/a+te=1"));
    }

    /// A-12, A-13, B9, C1: absent, empty, partly unknown, repeated, with and without `offline_access`.
    async fn scope_is_what_was_asked_or_given_before_or_the_default(database) {
        let server = TestServer::start(database).await;
        let all = "account:read docs:read docs:search";
        for (asked, granted) in [
            ("", all),
            (" ", all),
            ("offline_access", all),
            ("docs:read", "docs:read"),
            ("docs:search docs:read docs:read", "docs:read docs:search"),
            ("openid profile docs:read offline_access", "docs:read"),
        ] {
            let client = Connector::public(&server).await;
            let mut browser = Browser::new(&server);
            // A person of their own for each, so that there is no grant before.
            let name = format!("user{}", granted.len() * 100 + asked.len());
            server.add_user(&name, PASSWORD, Role::User).await;
            let page = browser.open(&client.authorize_url(&[("scope", asked)])).await.page();
            let page = browser.sign_in_as(&page, &name, PASSWORD).await.page();
            for scope in granted.split(' ') {
                assert!(page.text().contains(scope), "{asked:?}: {scope} is not shown in {}", page.text());
            }
            let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
            let tokens = client.redeem(&callback.one("code")).await.tokens();
            let without: Vec<&str> = tokens.scope.split(' ').filter(|scope| *scope != "offline_access").collect();
            assert_eq!(without.join(" "), granted, "{asked:?}");
            assert!(tokens.refresh.is_some(), "A-13, D2: a refresh token doesn't depend on offline_access");
        }
        // C1: who reconnects without a scope gets what they had.
        let client = client(&server, &["http://127.0.0.1:9/reconnects"]).await;
        let mut browser = Browser::new(&server);
        assert_eq!(tokens_of(&client, &[("scope", "docs:read")], &mut browser).await.scope, "docs:read");
        assert_eq!(tokens_of(&client, &[], &mut browser).await.scope, "docs:read");
        assert_eq!(tokens_of(&client, &[("scope", all)], &mut browser).await.scope, all);
        assert_eq!(tokens_of(&client, &[("scope", "")], &mut browser).await.scope, all);
    }

    /// B9: a scope in the registration is no ceiling.
    async fn a_registered_scope_is_no_ceiling(database) {
        let server = TestServer::start(database).await;
        let body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "scope": "docs:read"});
        let client = Connector::registered(&server, &body).await;
        let tokens = tokens_of(&client, &[("scope", "docs:read docs:search")], &mut Browser::new(&server)).await;
        assert_eq!(tokens.scope, "docs:read docs:search");
    }

    /// A-23, B-26: too many requests from one address are 429 with the time to wait, and others go on.
    async fn authorization_requests_are_limited_by_address(database) {
        let server = TestServer::with(
            database,
            &[
                ("PORTCULLIS__LIMITS__ENABLED", "true"),
                ("PORTCULLIS__LIMITS__AUTHORIZE_PER_MINUTE", "2"),
                ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
            ],
        )
        .await;
        let url = Connector::public(&server).await.authorize_url(&[]);
        let mut statuses = Vec::new();
        for from in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"] {
            let response = http().get(&url).header("x-forwarded-for", from).send().await.unwrap();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
                assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
            }
            statuses.push(response.status().as_u16());
        }
        assert_eq!(statuses, [303, 303, 429, 303]);
    }

    /// A-01, B-22: browsers' scripts have no business here.
    async fn there_is_no_cors_on_pages(database) {
        let server = TestServer::start(database).await;
        let authorize = Connector::public(&server).await.authorize_url(&[]);
        for url in [authorize, server.url("/login"), server.url("/consent"), server.url("/account"), server.url("/setup")] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let request = http()
                    .request(method, &url)
                    .header("origin", "https://app.example")
                    .header("access-control-request-method", "POST");
                let response = request.send().await.unwrap();
                let cors = response.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(cors, None, "{url}");
            }
        }
    }
}

/// Where a hand-over page leads; its link and its refresh agree.
fn handed_over(page: &Page) -> url::Url {
    let html = scraper::Html::parse_document(&page.body);
    let link = scraper::Selector::parse("a.button").unwrap();
    let href = html.select(&link).next().unwrap().value().attr("href").unwrap().to_owned();
    let refresh = scraper::Selector::parse("meta[http-equiv=refresh]").unwrap();
    let content = html.select(&refresh).next().unwrap().value().attr("content").unwrap();
    assert_eq!(content, format!("0; url={href}"));
    href.parse().unwrap()
}
