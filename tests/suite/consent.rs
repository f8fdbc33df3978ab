//! The pages between a client's request and its answer: who can send their forms, what they show, what they
//! remember, and how a browser must treat them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::model::secret::Secret;
use portcullis::model::user::Role;
use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, Landing, Page};
use crate::connector::{CALLBACK, Connector, answer, form};
use crate::on_both_databases;
use crate::server::{Database, OwnDatabase, PASSWORD, TestServer, USER, http};

const VENDOR: &str = "https://chatgpt.com/connector/oauth/abc123";
const VENDOR_TOO: &str = "https://chatgpt.com/connector_platform_oauth_redirect";

async fn client(server: &TestServer, name: &str, redirect_uris: &[&str]) -> Connector {
    let body = json!({
        "client_name": name,
        "redirect_uris": redirect_uris,
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    Connector::registered(server, &body).await
}

fn asks(page: &Page) -> bool {
    page.asks()
}

/// Whether a request leads to the short page; anything else than a page of ours is a failure.
async fn is_remembered(client: &Connector, browser: &mut Browser, changes: &[(&str, &str)]) -> bool {
    let page = browser.open(&client.authorize_url(changes)).await.page();
    assert_ne!(page.asks(), page.asks_to_continue(), "{}", page.text());
    page.asks_to_continue()
}

/// Replaces the registration of a client.
async fn reregister(client: &Connector, body: &Value) -> StatusCode {
    let request = http()
        .put(client.registration["registration_client_uri"].as_str().unwrap())
        .bearer_auth(client.registration["registration_access_token"].as_str().unwrap())
        .header("content-type", "application/json");
    answer(request.body(body.to_string())).await.status
}

/// The consent page of a request, in a browser that signs in if it must.
async fn consent_page(client: &Connector, browser: &mut Browser, changes: &[(&str, &str)]) -> Page {
    let page = browser.open(&client.authorize_url(changes)).await.page();
    let page = if asks(&page) { page } else { browser.sign_in(&page).await.page() };
    assert!(asks(&page), "{}", page.text());
    page
}

/// Makes the set-up link with the token `pst_test`.
async fn set_up_link(server: &TestServer) {
    let expires = server.now().plus(Duration::from_hours(1));
    server.app.store().insert_setup_link(&Secret::presented("pst_test").hash(), expires).await.unwrap();
}

fn pairs(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What every answer with a page carries (A-18, A-19, B-22, B-23).
fn assert_page_headers(page: &Page) {
    let header = |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let policy = header("content-security-policy");
    let directives: Vec<&str> = policy.split("; ").collect();
    assert_eq!(directives.len(), 5, "{}: {policy}", page.url);
    assert_eq!(directives[0], "default-src 'none'");
    assert!(directives[1].starts_with("style-src 'sha256-"), "{policy}");
    assert_eq!(directives[2..], ["img-src 'self' data:", "base-uri 'none'", "frame-ancestors 'none'"]);
    assert!(!policy.contains("form-action") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header("content-type"), "text/html; charset=utf-8", "{}", page.url);
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    assert_no_strange_headers(page);
    assert!(!page.body.contains("<script"), "{}", page.url);
}

fn assert_no_strange_headers(page: &Page) {
    for name in page.headers.keys().map(reqwest::header::HeaderName::as_str) {
        // a popup that the client opened must be able to report back.
        assert_ne!(name, "cross-origin-opener-policy", "{}", page.url);
        assert!(!name.starts_with("access-control-"), "{}: {name}", page.url);
    }
}

on_both_databases! {
    /// A-18, B-15, T6: every form has a token that only this browser, at this page, has.
    async fn a_form_without_its_token_is_refused(database) {
        let server = TestServer::empty(database, &[]).await;
        set_up_link(&server).await;
        let client = client(&server, "Test client", &[CALLBACK]).await;
        let mut other = Browser::new(&server);
        let mut browser = Browser::new(&server);

        // The set-up form.
        let setup = browser.open("/setup?token=pst_test").await.page();
        let foreign = other.open("/setup?token=pst_test").await.page().fields("csrf").1["csrf"].clone();
        let mut forms = vec![(setup.fields("csrf"), foreign, vec![("username", "ada"), ("password", PASSWORD)])];
        refuse_forged(&mut browser, &forms).await;
        assert!(!server.app.store().has_users().await.unwrap());
        server.add_user(USER, PASSWORD, Role::User).await;

        // Sign-in.
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let foreign = other.open(&client.authorize_url(&[])).await.page();
        let others_login = foreign.fields("csrf").1["csrf"].clone();
        forms = vec![(login.fields("csrf"), others_login, vec![("username", USER), ("password", PASSWORD)])];
        refuse_forged(&mut browser, &forms).await;
        assert!(!browser.cookies.contains_key("portcullis_session"));

        // Consent, signing out and disconnecting.
        let consent = browser.sign_in(&login).await.page();
        let others_consent = other.sign_in(&foreign).await.page();
        let others_account = other.open("/account").await.page().fields("csrf").1["csrf"].clone();
        client.authorize(&mut browser, &[]).await.one("code");
        let callback = client.authorize(&mut browser, &[]).await;
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        let account = browser.open("/account").await.page();
        let (_, fields) = account.fields("csrf");
        let connection = account.body.split("/account/connections/").nth(1).unwrap().split('/').next().unwrap();
        let disconnect = format!("/account/connections/{connection}/revoke");
        forms = vec![
            (consent.fields("csrf"), others_consent.fields("csrf").1["csrf"].clone(), vec![("decision", "approve")]),
            (consent.fields("csrf"), fields["csrf"].clone(), vec![("decision", "approve")]),
            (consent.fields("csrf"), login.fields("csrf").1["csrf"].clone(), vec![("decision", "deny")]),
            (consent.fields("csrf"), others_consent.fields("csrf").1["csrf"].clone(), vec![("decision", "switch")]),
            (("/logout".to_owned(), fields.clone()), others_account.clone(), vec![]),
            ((disconnect, fields), others_account, vec![]),
        ];
        refuse_forged(&mut browser, &forms).await;
        assert!(asks(&browser.open(&consent.url).await.page()), "nothing was decided");
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await, "nothing was disconnected");

        // The same form as it was shown is good.
        browser.submit(&consent, &[("decision", "approve")]).await.callback().one("code");
    }

    /// B-15, B-16, T6, C4: only the browser that began a request can go on with it, whoever is signed in.
    async fn an_authorization_belongs_to_its_browser(database) {
        let server = TestServer::start(database).await;
        server.add_user("mallory", PASSWORD, Role::User).await;
        let client = Connector::public(&server).await;
        let mut mallory = Browser::new(&server);
        let login = mallory.open(&client.authorize_url(&[])).await.page();
        let mut ada = Browser::new(&server);
        let own = ada.open("/login").await.page();
        ada.sign_in(&own).await.page();
        let mut without_cookies = Browser::new(&server);
        for url in [login.url.clone(), login.url.replace("/login?", "/authorize?"), login.url.replace("/login?", "/consent?")] {
            for browser in [&mut ada, &mut without_cookies] {
                let page = browser.open(&url).await.page();
                assert_eq!(page.status, StatusCode::FORBIDDEN, "{url}");
                assert!(page.text().contains("another browser") && !page.body.contains("<form"), "{}", page.text());
            }
        }
        let consent = mallory.sign_in_as(&login, "mallory", PASSWORD).await.page();
        let (action, mut fields) = consent.fields("csrf");
        fields.insert("decision".to_owned(), "approve".to_owned());
        for browser in [&mut ada, &mut without_cookies] {
            let page = browser.send(Method::POST, &action, Some(&fields)).await;
            assert_eq!((page.status, page.headers.get("location")), (StatusCode::FORBIDDEN, None));
        }
        // Also not by signing in on the other's page.
        let (action, mut fields) = login.fields("csrf");
        fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
        let page = ada.send(Method::POST, &action, Some(&fields)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(asks(&mallory.open(&consent.url).await.page()), "nothing was decided");
        mallory.submit(&consent, &[("decision", "approve")]).await.callback().one("code");
    }

    /// B-22, B-23, C2: each page, each problem and each hand-over carries them; redirects are not kept.
    async fn all_pages_carry_the_guarding_headers(database) {
        let server = TestServer::start(database).await;
        let with_app = client(&server, "App", &["cursor://anysphere.cursor-mcp/oauth/callback"]).await;
        let mut browser = Browser::new(&server);
        let mut pages = Vec::new();
        let empty = TestServer::empty(database, &[]).await;
        set_up_link(&empty).await;
        pages.push(Browser::new(&empty).open("/setup?token=pst_test").await.page());
        for path in ["/", "/login", "/setup?token=no", "/authorize?client_id=no", "/consent", "/authorize?authorization=no"] {
            pages.push(browser.open(path).await.page());
        }
        let login = browser.open(&with_app.authorize_url(&[])).await.page();
        pages.push(browser.sign_in_as(&login, USER, "wrong password").await.page());
        let consent = browser.sign_in(&login).await.page();
        pages.extend([login, browser.open("/account").await.page(), browser.open("/docs/nothing").await.page()]);
        pages.push(browser.send(Method::POST, "/consent", Some(&pairs(&[("x", "y")]))).await);
        let handed_over = browser.submit(&consent, &[("decision", "approve")]).await.page();
        assert!(handed_over.body.contains("pcc_"));
        pages.extend([consent, handed_over]);
        for page in &pages {
            assert_page_headers(page);
        }
        let begun = browser.send(Method::GET, &with_app.authorize_url(&[]), None).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER);
        assert_eq!((&begun.headers["cache-control"], &begun.headers["referrer-policy"]), (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap()));
        assert_no_strange_headers(&begun);
    }

    /// A-18, B-16: cookies are for this host, this server, and no script; on https only https carries them.
    async fn cookies_are_host_only_and_secure_on_https(database) {
        for (public_url, prefix, flags) in [
            (None, "", "Path=/; Max-Age={}; HttpOnly; SameSite=Lax"),
            (Some("https://auth.example.com"), "__Host-", "Path=/; Max-Age={}; HttpOnly; SameSite=Lax; Secure"),
        ] {
            let https = [("PORTCULLIS__PASSWORDS__MEMORY_KIB", "8192")];
            let settings = if public_url.is_some() { &https[..] } else { &[] };
            let server = TestServer::on(OwnDatabase::new(database).await, settings, public_url).await;
            server.add_user(USER, PASSWORD, Role::User).await;
            let mut browser = Browser::at(&server.address);
            let page = browser.open("/login").await.page();
            let set: Vec<&str> = page.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
            let [cookie] = set[..] else { panic!("{set:?}") };
            let (name, rest) = cookie.split_once("=pcb_").unwrap_or_else(|| cookie.split_once('=').unwrap());
            assert_eq!(name, format!("{prefix}portcullis_browser"));
            assert_eq!(rest.split_once("; ").unwrap().1, flags.replace("{}", "86400"));
            let (action, mut fields) = page.fields("password");
            fields.extend(pairs(&[("username", USER), ("password", PASSWORD)]));
            let answer = browser.send(Method::POST, &action, Some(&fields)).await;
            let set: Vec<&str> = answer.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
            let [cookie, known] = set[..] else { panic!("{set:?}") };
            assert!(cookie.starts_with(&format!("{prefix}portcullis_session=pss_")), "{cookie}");
            assert_eq!(cookie.split_once("; ").unwrap().1, flags.replace("{}", "43200"));
            assert!(known.starts_with(&format!("{prefix}portcullis_known=psk_")), "{known}");
            assert_eq!(known.split_once("; ").unwrap().1, flags.replace("{}", "15552000"));
            assert_eq!(browser.open("/account").await.page().status, StatusCode::OK);
            // A cookie that another host of the domain could have planted is none.
            if public_url.is_some() {
                let value = browser.cookies["__Host-portcullis_session"].clone();
                browser.cookies = BTreeMap::from([("portcullis_session".to_owned(), value)]);
                assert!(browser.open("/account").await.page().body.contains("name=\"password\""));
            }
        }
    }

    /// B-15, C3, C4: an approval is remembered for the same person, client, callback and scope only, and
    /// only where the callback is a known vendor's.
    async fn consent_is_remembered_for_exactly_the_same_at_known_vendors_only(database) {
        let server = TestServer::start(database).await;
        server.add_user("grace", PASSWORD, Role::User).await;
        let vendor = client(&server, "ChatGPT", &[VENDOR, VENDOR_TOO]).await;
        let mut browser = Browser::new(&server);
        let ask = [("scope", "docs:read docs:search"), ("redirect_uri", VENDOR)];
        let page = consent_page(&vendor, &mut browser, &ask).await;
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        let short = browser.open(&vendor.authorize_url(&ask)).await.page();
        assert!(short.asks_to_continue(), "{}", short.text());
        let remembered = browser.submit(&short, &[("decision", "approve")]).await.callback();
        assert_eq!(vendor.redeem(&remembered.one("code")).await.tokens().scope, "docs:read docs:search");
        for other in [
            vec![("scope", "docs:read docs:search account:read"), ("redirect_uri", VENDOR)],
            vec![("scope", "docs:read"), ("redirect_uri", VENDOR)],
            vec![("scope", "docs:read docs:search"), ("redirect_uri", VENDOR_TOO)],
            vec![("scope", "docs:read docs:search offline_access"), ("redirect_uri", VENDOR)],
            vec![("scope", "docs:read docs:search"), ("redirect_uri", VENDOR), ("prompt", "consent")],
        ] {
            assert!(asks(&browser.open(&vendor.authorize_url(&other)).await.page()), "{other:?}");
        }
        // Another client with the same callback, and another person.
        let namesake = client(&server, "ChatGPT (another)", &[VENDOR]).await;
        assert!(asks(&browser.open(&namesake.authorize_url(&ask)).await.page()));
        let mut grace = Browser::new(&server);
        let page = grace.open(&vendor.authorize_url(&ask)).await.page();
        assert!(asks(&grace.sign_in_as(&page, "grace", PASSWORD).await.page()));
        // A no is not remembered, and takes nothing back.
        let page = browser.open(&vendor.authorize_url(&[("prompt", "consent"), ask[0], ask[1]])).await.page();
        assert_eq!(browser.submit(&page, &[("decision", "deny")]).await.callback().one("error"), "access_denied");
        assert!(is_remembered(&vendor, &mut browser, &ask).await);
        // Everybody else is asked about each time.
        for uri in [CALLBACK, "http://localhost:9/callback", "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://client.example/cb", "https://chatgpt.com/connector/oauth/abc/def", "https://chatgpt.com.evil.example/connector/oauth/a"]
        {
            let other = client(&server, "Other", &[uri]).await;
            for _ in 0..2 {
                let page = browser.open(&other.authorize_url(&[])).await.page();
                assert!(asks(&page), "{uri}");
                browser.submit(&page, &[("decision", "approve")]).await;
            }
        }
    }

    /// A-20, B-15: whatever a strange page sends the browser here with, and however it gets there, no code goes out
    /// without a click on a page of ours, though the person is signed in and has allowed the very same before.
    async fn no_code_is_sent_without_a_click_on_a_strange_visit(database) {
        let server = TestServer::start(database).await;
        let vendor = client(&server, "ChatGPT", &[VENDOR, VENDOR_TOO]).await;
        // By registering alike, a stranger gets the same client.
        let stranger = client(&server, "ChatGPT", &[VENDOR, VENDOR_TOO]).await;
        assert_eq!(vendor.client_id, stranger.client_id);
        let mut browser = Browser::new(&server);
        let ask = [("scope", "docs:read docs:search offline_access"), ("redirect_uri", VENDOR)];
        vendor.authorize(&mut browser, &ask).await.one("code");
        let foreign = crate::connector::challenge("a verifier that only the stranger knows, and long enough");
        let wide = "docs:read docs:search offline_access";
        for changes in [
            vec![("code_challenge", foreign.as_str()), ("state", "the-strangers-own")],
            vec![("code_challenge", &foreign), ("state", "")],
            vec![("code_challenge", &foreign), ("scope", "docs:search docs:read")],
            vec![("code_challenge", &foreign), ("scope", "")],
            vec![("code_challenge", &foreign), ("scope", wide)],
            vec![("code_challenge", &foreign), ("prompt", "create")],
            vec![("code_challenge", &foreign), ("login_hint", USER)],
            vec![("code_challenge", &foreign), ("resource", "")],
            vec![("code_challenge", &foreign), ("redirect_uri", VENDOR_TOO)],
        ] {
            let changes: Vec<_> = ask.into_iter().filter(|(name, _)| !changes.iter().any(|(own, _)| own == name)).chain(changes.clone()).collect();
            let url = stranger.authorize_url(&changes);
            let (address, query) = url.split_once('?').unwrap();
            browser.headers = vec![("sec-fetch-site", "cross-site".to_owned()), ("referer", "https://evil.example/".to_owned())];
            let by_get = browser.open(&url).await.page();
            let fields: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let by_post = browser.send(Method::POST, address, Some(&fields)).await;
            let by_post = browser.follow(by_post).await.page();
            for page in [by_get, by_post] {
                assert_eq!((page.status, page.asks() ^ page.asks_to_continue()), (StatusCode::OK, true), "{changes:?}: {}", page.text());
                assert!(!page.body.contains("pcc_") && !page.body.contains("http-equiv"), "{changes:?}");
                // The answers that a strange page could make up itself decide nothing.
                let id = page.fields("csrf").1["authorization"].clone();
                for path in [
                    format!("/consent?authorization={id}&decision=approve"),
                    format!("/consent?authorization={id}&decision=approve&csrf=x"),
                    format!("/authorize?authorization={id}&decision=approve"),
                ] {
                    let again = browser.open(&path).await.page();
                    assert!(again.asks() || again.asks_to_continue(), "{path}");
                }
                let forged = pairs(&[("authorization", &id), ("decision", "approve")]);
                let page = browser.send(Method::POST, "/consent", Some(&forged)).await;
                assert_eq!(page.status, StatusCode::FORBIDDEN);
            }
        }
        // Without a page nobody can click.
        for (prompt, error) in [("none", "interaction_required"), ("none", "consent_required")] {
            let scope = if error == "consent_required" { "docs:read" } else { wide };
            let url = stranger.authorize_url(&[("prompt", prompt), ("scope", scope), ("redirect_uri", VENDOR)]);
            let told = browser.open(&url).await.callback();
            assert_eq!((told.one("error").as_str(), told.all("code").len()), (error, 0));
            assert_eq!((told.one("state"), told.one("iss")), ("st/a+te=1".to_owned(), server.origin.clone()));
        }
    }

    /// the short page says where the answer goes, who vouches for it, and as whom; it can be left in
    /// three ways.
    async fn the_short_page_names_website_and_account_and_has_a_way_out(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__NAME", "Library")]).await;
        server.add_user("grace", PASSWORD, Role::User).await;
        let vendor = client(&server, "My own name", &[VENDOR]).await;
        let mut browser = Browser::new(&server);
        vendor.authorize(&mut browser, &[]).await.one("code");
        let open = async |browser: &mut Browser| {
            let page = browser.open(&vendor.authorize_url(&[])).await.page();
            assert!(page.asks_to_continue(), "{}", page.text());
            page
        };
        let page = open(&mut browser).await;
        assert_page_headers(&page);
        let text = page.text();
        for words in ["Continue to ChatGPT", "chatgpt.com", "Verified: ChatGPT (OpenAI)", "ada the tester", "Not you?",
            "Search the documents", "My own name", "It registered itself just now.", "Library", "Cancel", "Attempt"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains("Continue to ChatGPT as ada the tester"), "the button says it all: {text}");
        let cancelled = browser.submit(&page, &[("decision", "deny")]).await.callback();
        assert_eq!((cancelled.one("error").as_str(), cancelled.all("code").len()), ("access_denied", 0));
        // That took nothing back, and neither does a form without a decision.
        let page = open(&mut browser).await;
        let nothing = browser.submit(&page, &[("csrf", &page.fields("csrf").1["csrf"])]).await.callback();
        assert_eq!(nothing.one("error"), "access_denied");
        let page = open(&mut browser).await;
        let login = browser.submit(&page, &[("decision", "switch")]).await.page();
        let theirs = browser.sign_in_as(&login, "grace", PASSWORD).await.page();
        assert!(theirs.asks() && theirs.text().contains("grace the tester"), "she allowed nothing yet");
        // A double click is one click.
        let mut again = Browser::new(&server);
        vendor.authorize(&mut again, &[]).await.one("code");
        let page = open(&mut again).await;
        let first = again.submit(&page, &[("decision", "approve")]).await.callback();
        let second = again.submit(&page, &[("decision", "approve")]).await.callback();
        assert_eq!(first.one("code"), second.one("code"));
        vendor.redeem(&first.one("code")).await.tokens();
    }

    /// R-41, B-15: the whole page comes again when anything is not as it was: callback, scope, staying connected, the
    /// resource, the client's own words, or the account's password; and for approvals from before words were kept.
    async fn the_whole_page_comes_again_when_anything_changed(database) {
        let server = TestServer::start(database).await;
        let (mut number, ask) = (0, [("scope", "docs:read"), ("redirect_uri", VENDOR)]);
        let mut fresh = async |server: &TestServer| {
            number += 1;
            let client = client(server, &format!("ChatGPT {number}"), &[VENDOR, VENDOR_TOO]).await;
            let mut browser = Browser::new(server);
            client.authorize(&mut browser, &ask).await.one("code");
            assert!(is_remembered(&client, &mut browser, &ask).await);
            (client, browser)
        };
        let (own, mut browser) = fresh(&server).await;
        for changes in [
            [("scope", "docs:read"), ("redirect_uri", VENDOR_TOO)],
            [("scope", "docs:read docs:search"), ("redirect_uri", VENDOR)],
            [("scope", "docs:search"), ("redirect_uri", VENDOR)],
            [("scope", "docs:read offline_access"), ("redirect_uri", VENDOR)],
        ] {
            assert!(!is_remembered(&own, &mut browser, &changes).await, "{changes:?}");
        }
        assert!(is_remembered(&own, &mut browser, &ask).await);
        // What a client says of itself; each by a client that was approved a moment ago.
        let words = |name: &str, value: Value| {
            let mut body = json!({ "client_name": "Same", "redirect_uris": [VENDOR, VENDOR_TOO], "token_endpoint_auth_method": "none" });
            body[name] = value;
            body
        };
        for body in [
            words("client_name", json!("Another name")),
            words("redirect_uris", json!([VENDOR, "https://evil.example/cb"])),
            words("redirect_uris", json!([VENDOR])),
            words("client_uri", json!("https://evil.example/")),
            words("tos_uri", json!("https://evil.example/")),
            words("policy_uri", json!("https://evil.example/")),
            words("software_id", json!("another")),
            words("software_version", json!("2")),
            words("token_endpoint_auth_method", json!("client_secret_post")),
            words("grant_types", json!(["authorization_code"])),
        ] {
            let (own, mut browser) = fresh(&server).await;
            assert_eq!(reregister(&own, &body).await, StatusCode::OK, "{body}");
            assert!(!is_remembered(&own, &mut browser, &ask).await, "{body}");
        }
        // An approval of an older build.
        let (own, mut browser) = fresh(&server).await;
        raw(&server, &format!("update consent set client_digest = null where client_id = '{}'", own.client_id)).await;
        assert!(!is_remembered(&own, &mut browser, &ask).await);
        own.authorize(&mut browser, &ask).await.one("code");
        assert!(is_remembered(&own, &mut browser, &ask).await, "asked once, not for ever");
        // Another password: the whole of it again.
        let hash = portcullis::crypto::password::Passwords::new(64, 1, 1).unwrap().hash(PASSWORD.to_owned()).await.unwrap();
        server.app.store().set_password(&server.user_id(USER).await, &hash, server.now()).await.unwrap();
        let login = browser.open(&own.authorize_url(&ask)).await.page();
        assert!(browser.sign_in(&login).await.page().asks());
        // Another resource.
        let (own, mut browser) = fresh(&server).await;
        let server = server.restart(&[("PORTCULLIS__PATHS__MCP", "/other")]).await;
        browser.turn_to(&server);
        let moved = own.authorize_url(&[ask[0], ask[1], ("resource", &server.url("/other"))]);
        let page = browser.open(&moved.replace(&own_origin(&moved), &server.address)).await;
        assert!(page.page().asks());
    }

    /// B-15: a short page is good for what it showed. Whatever changes before the click brings the whole page.
    async fn a_short_page_that_is_out_of_date_is_shown_whole(database) {
        let server = TestServer::start(database).await;
        let mut number = 0;
        for change in ["client", "memory", "disconnected", "off"] {
            number += 1;
            // The newest connection is the first on the account page.
            server.advance(1).await;
            let own = client(&server, &format!("ChatGPT {number}"), &[VENDOR]).await;
            let mut browser = Browser::new(&server);
            let callback = own.authorize(&mut browser, &[]).await;
            own.redeem(&callback.one("code")).await.tokens();
            let short = browser.open(&own.authorize_url(&[])).await.page();
            assert!(short.asks_to_continue());
            let mut replica = None;
            match change {
                "client" => {
                    let body = json!({ "client_name": "Another", "redirect_uris": [VENDOR], "token_endpoint_auth_method": "none" });
                    assert_eq!(reregister(&own, &body).await, StatusCode::OK);
                }
                "memory" => drop(raw(&server, "update consent set client_digest = 'another'").await),
                "disconnected" => {
                    let account = browser.open("/account").await.page();
                    browser.submit_to(&account, "/revoke").await.page();
                }
                _ => replica = Some(server.replica(&[("PORTCULLIS__CONSENT__REMEMBER", "false")]).await),
            }
            if let Some(replica) = &replica {
                browser.turn_to(replica);
            }
            let (action, mut fields) = short.fields("csrf");
            fields.insert("decision".to_owned(), "approve".to_owned());
            let answer = browser.send(Method::POST, &action, Some(&fields)).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{change}");
            let again = browser.send(Method::GET, answer.headers["location"].to_str().unwrap(), None).await;
            let again = browser.send(Method::GET, again.headers["location"].to_str().unwrap(), None).await;
            assert!(again.asks(), "{change}: {}", again.text());
        }
        // The other way round nothing is lost: who read the whole page may press its button.
        let own = client(&server, "ChatGPT twice", &[VENDOR]).await;
        let mut browser = Browser::new(&server);
        let whole = consent_page(&own, &mut browser, &[]).await;
        own.authorize(&mut browser, &[]).await.one("code");
        browser.submit(&whole, &[("decision", "approve")]).await.callback().one("code");
    }

    /// only the operator's own client passes without a click, and only to its website.
    async fn only_a_first_party_client_passes_without_a_click(database) {
        let server = TestServer::start(database).await;
        let admin = crate::admin::Admin::of(&server).await;
        let own = admin.typed(&server, "https://own.example/cb", "none", json!({ "first_party": true })).await;
        let vendors = admin.typed(&server, VENDOR, "none", json!({})).await;
        let mut browser = Browser::new(&server);
        let login = browser.open("/login").await.page();
        browser.sign_in(&login).await;
        browser.open(&own.authorize_url(&[])).await.callback().one("code");
        browser.open(&own.authorize_url(&[("prompt", "none")])).await.callback().one("code");
        assert!(browser.open(&own.authorize_url(&[("prompt", "consent")])).await.page().asks());
        vendors.authorize(&mut browser, &[]).await.one("code");
        assert!(is_remembered(&vendors, &mut browser, &[]).await);
        let path = format!("/clients/{}", vendors.client_id);
        assert_eq!(admin.patch(&path, &json!({ "first_party": true })).await.status, 200);
        browser.open(&vendors.authorize_url(&[])).await.callback().one("code");
        assert_eq!(admin.patch(&path, &json!({ "first_party": false })).await.status, 200);
        // What it got without a question is no approval of the person's.
        assert!(browser.open(&vendors.authorize_url(&[])).await.page().asks());
        for uri in ["http://127.0.0.1:9/callback", "cursor://anysphere.cursor-mcp/oauth/callback"] {
            let local = admin.typed(&server, uri, "none", json!({ "first_party": true })).await;
            for _ in 0..2 {
                let page = browser.open(&local.authorize_url(&[])).await.page();
                assert!(page.asks(), "{uri}");
                browser.submit(&page, &[("decision", "approve")]).await;
            }
        }
    }

    /// an administrator can have everybody asked each time.
    async fn nothing_is_remembered_when_remembering_is_off(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__CONSENT__REMEMBER", "false")]).await;
        let vendor = client(&server, "ChatGPT", &[VENDOR]).await;
        let mut browser = Browser::new(&server);
        vendor.authorize(&mut browser, &[]).await.one("code");
        assert!(asks(&browser.open(&vendor.authorize_url(&[])).await.page()));
    }

    /// R-41, T-25: who disconnects a client is asked again, and so is everybody when a client changes.
    async fn a_remembered_approval_ends_with_disconnecting_and_with_a_changed_client(database) {
        let server = TestServer::start(database).await;
        let vendor = client(&server, "ChatGPT", &[VENDOR]).await;
        let mut browser = Browser::new(&server);
        let callback = vendor.authorize(&mut browser, &[]).await;
        let tokens = vendor.redeem(&callback.one("code")).await.tokens();
        assert!(is_remembered(&vendor, &mut browser, &[]).await);
        let account = browser.open("/account").await.page();
        let connection = account.body.split("/account/connections/").nth(1).unwrap().split('/').next().unwrap();
        let csrf = account.fields("csrf").1;
        let url = format!("/account/connections/{connection}/revoke");
        let page = browser.send(Method::POST, &url, Some(&csrf)).await;
        assert_eq!(page.headers["location"], "/account");
        server.advance(1).await;
        assert!(!vendor.is_let_in(&tokens.access).await);
        assert!(asks(&browser.open(&vendor.authorize_url(&[])).await.page()));
        vendor.authorize(&mut browser, &[]).await.one("code");
        assert!(is_remembered(&vendor, &mut browser, &[]).await);
        let change = json!({"redirect_uris": [VENDOR, "https://evil.example/cb"], "token_endpoint_auth_method": "none"});
        assert_eq!(reregister(&vendor, &change).await, StatusCode::OK);
        assert!(asks(&browser.open(&vendor.authorize_url(&[])).await.page()));
    }

    /// a callback that was taken back, because somebody else had got hold of it, gets nothing of what is under way.
    async fn a_callback_taken_back_gets_no_code(database) {
        let server = TestServer::start(database).await;
        let client = client(&server, "Moving", &["https://lost.example/cb", "https://kept.example/cb"]).await;
        let mut browser = Browser::new(&server);
        let page = consent_page(&client, &mut browser, &[]).await;
        let change = json!({"redirect_uris": ["https://kept.example/cb"], "token_endpoint_auth_method": "none"});
        assert_eq!(reregister(&client, &change).await, StatusCode::OK);
        let after = browser.submit(&page, &[("decision", "approve")]).await.page();
        assert_eq!(after.status, StatusCode::BAD_REQUEST);
        assert!(after.text().contains("callback address does not match"), "{}", after.text());
    }

    /// C3: the page says who asks, where the answer goes, for what, as whom, and who vouches.
    async fn consent_shows_who_asks_for_what_and_where_the_answer_goes(database) {
        let server = TestServer::start(database).await;
        for (uri, destination, kind, vouched) in [
            (VENDOR, "chatgpt.com", "website", Some("ChatGPT (OpenAI)")),
            ("https://chatgpt.evil.example/cb", "chatgpt.evil.example", "website", None),
            ("http://127.0.0.1:33418/cb", "127.0.0.1:33418", "program on this computer", None),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://", "app on this device", None),
        ] {
            let client = client(&server, "Friendly name", &[uri]).await;
            server.advance(180).await;
            let page = consent_page(&client, &mut Browser::new(&server), &[("scope", "docs:read")]).await;
            let text = page.text();
            for part in [
                destination, kind, "Friendly name", "registered itself 3 minutes ago", "Read the documents", "docs:read",
                &server.mcp(), "ada the tester", "Not you? Use a different account",
            ] {
                assert!(text.contains(part), "{uri}: {part} is not in {text}");
            }
            assert!(!text.contains("docs:search"), "only what is asked for: {text}");
            assert_eq!(text.contains("Verified:"), vouched.is_some(), "{text}");
            match vouched {
                Some(vendor) => assert!(text.contains(vendor), "{text}"),
                None => assert!(text.contains("can’t verify this name"), "{text}"),
            }
        }
    }

    /// somebody else's account can be taken instead; the token is theirs.
    async fn another_account_can_be_chosen(database) {
        let server = TestServer::start(database).await;
        let grace = server.add_user("grace", PASSWORD, Role::User).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = consent_page(&client, &mut browser, &[]).await;
        let old = browser.cookies["portcullis_session"].clone();
        let login = browser.submit(&page, &[("decision", "switch")]).await.page();
        assert!(login.body.contains("name=\"password\"") && !browser.cookies.contains_key("portcullis_session"));
        // The session is over, not only its cookie.
        let mut thief = Browser::new(&server);
        thief.cookies.insert("portcullis_session".to_owned(), old);
        assert!(thief.open("/account").await.page().body.contains("name=\"password\""));
        let page = browser.sign_in_as(&login, "grace", PASSWORD).await.page();
        assert!(asks(&page) && page.text().contains("grace the tester"), "{}", page.text());
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        assert_eq!(client.redeem(&callback.one("code")).await.tokens().claims()["sub"], grace.to_string());
    }

    /// no is no, also when somebody goes back and clicks yes; and everything but a clear yes is a no.
    async fn a_no_is_final(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        for no in ["deny", "", "Approve", "approve "] {
            let page = consent_page(&client, &mut browser, &[]).await;
            let denied = browser.submit(&page, &[("decision", no)]).await.callback();
            assert_eq!(denied.one("error"), "access_denied", "{no:?}");
            for _ in 0..2 {
                let again = browser.submit(&page, &[("decision", "approve")]).await.callback();
                assert_eq!((again.one("error"), again.all("code")), ("access_denied".to_owned(), vec![]));
            }
        }
    }

    /// C9, B-04: a double click is one approval with one code, also when the clicks race.
    async fn a_double_click_gives_the_same_code(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = consent_page(&client, &mut browser, &[]).await;
        let clicks: Vec<_> = (0..8)
            .map(|_| {
                let mut tab = Browser::new(&server);
                tab.cookies = browser.cookies.clone();
                let (action, mut fields) = page.fields("csrf");
                fields.insert("decision".to_owned(), "approve".to_owned());
                tokio::spawn(async move {
                    let answer = tab.send(Method::POST, &action, Some(&fields)).await;
                    tab.follow(answer).await.callback().one("code")
                })
            })
            .collect();
        let mut codes = BTreeSet::new();
        for click in clicks {
            codes.insert(click.await.unwrap());
        }
        codes.insert(browser.submit(&page, &[("decision", "approve")]).await.callback().one("code"));
        assert_eq!(codes.len(), 1);
        let code = codes.pop_first().unwrap();
        client.redeem(&code).await.tokens();
        // Afterwards the page says that all is done; the code doesn't go out again.
        let page = browser.submit(&page, &[("decision", "approve")]).await.page();
        assert!(page.text().contains("done already") && !page.body.contains(&code), "{}", page.text());
        let account = browser.open("/account").await.page();
        assert_eq!(account.body.matches("/account/connections/").count(), 1);
    }

    /// a code that nobody picked up isn't handed out again after its time.
    async fn a_dead_code_is_not_handed_out_again(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = consent_page(&client, &mut browser, &[]).await;
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        server.advance(61).await;
        let page = browser.submit(&page, &[("decision", "approve")]).await.page();
        assert!(page.text().contains("too long") && !page.body.contains("pcc_"), "{}", page.text());
    }

    /// C5: a page that was loaded twice, or a while ago, still works.
    async fn a_form_works_though_its_page_was_loaded_again(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let first_login = browser.open(&client.authorize_url(&[])).await.page();
        for _ in 0..3 {
            browser.open(&first_login.url).await.page();
        }
        let first = browser.sign_in(&first_login).await.page();
        for _ in 0..3 {
            assert!(asks(&browser.open(&first.url).await.page()));
            browser.open(&client.authorize_url(&[])).await.page();
        }
        server.advance(25 * 60).await;
        browser.submit(&first, &[("decision", "approve")]).await.callback().one("code");
    }

    /// C5, C9: two clients at once in one browser; signing in for one is signing in for both.
    async fn two_tabs_do_not_disturb_each_other(database) {
        let server = TestServer::start(database).await;
        let (one, two) = (
            client(&server, "One", &["http://127.0.0.1:9/one"]).await,
            client(&server, "Two", &["http://127.0.0.1:9/two"]).await,
        );
        let mut browser = Browser::new(&server);
        let first = browser.open(&one.authorize_url(&[])).await.page();
        let second = browser.open(&two.authorize_url(&[])).await.page();
        let second_consent = browser.sign_in(&second).await.page();
        assert!(second_consent.text().contains("Two"));
        // The first tab still shows its form: signing in there again does no harm.
        let first_consent = browser.sign_in(&first).await.page();
        assert!(first_consent.text().contains("One"));
        // The other tab's form outlives the new sign-in of the same person.
        let callback = browser.submit(&second_consent, &[("decision", "approve")]).await.callback();
        assert_eq!(callback.url.path(), "/two");
        two.redeem(&callback.one("code")).await.tokens();
        let callback = browser.submit(&first_consent, &[("decision", "approve")]).await.callback();
        assert_eq!(callback.url.path(), "/one");
        one.redeem(&callback.one("code")).await.tokens();
    }

    /// B-15: what is granted is what was on the page, even if another tab has changed what a request without a
    /// scope means.
    async fn what_is_granted_is_what_was_shown(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let ask = async |browser: &mut Browser, scope: &str| consent_page(&client, browser, &[("scope", scope)]).await;
        let page = ask(&mut browser, "docs:read").await;
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        let shown = ask(&mut browser, "").await;
        assert!(!shown.text().contains("account:read"));
        server.advance(1).await;
        let page = ask(&mut browser, "account:read docs:read docs:search").await;
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
        // It means more now: the page comes again and says so, and a yes to that counts.
        let again = browser.submit(&shown, &[("decision", "approve")]).await.page();
        assert!(asks(&again) && again.text().contains("account:read"), "{}", again.text());
        let callback = browser.submit(&again, &[("decision", "approve")]).await.callback();
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        assert_eq!(tokens.scope, "account:read docs:read docs:search");
        // A form that was tampered with counts no more than one that is out of date.
        let page = consent_page(&client, &mut browser, &[]).await;
        let (action, mut fields) = page.fields("csrf");
        let (browsers, _) = fields["csrf"].split_once('.').unwrap();
        for csrf in [browsers.to_owned(), format!("{browsers}."), format!("{browsers}.{browsers}")] {
            fields.extend([("csrf".to_owned(), csrf.clone()), ("decision".to_owned(), "approve".to_owned())]);
            let answer = browser.send(Method::POST, &action, Some(&fields)).await;
            assert!(matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::SEE_OTHER), "{csrf}");
            assert!(asks(&browser.open(&page.url).await.page()), "{csrf}: nothing was decided");
        }
    }

    /// B-15: a page that was shown to one account decides nothing for another that signed in meanwhile.
    async fn a_page_shown_to_another_account_is_shown_again(database) {
        let server = TestServer::start(database).await;
        let grace = server.add_user("grace", PASSWORD, Role::User).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let shown = consent_page(&client, &mut browser, &[]).await;
        server.advance(1).await;
        let login = browser.open(&client.authorize_url(&[("prompt", "select_account")])).await.page();
        browser.sign_in_as(&login, "grace", PASSWORD).await.page();
        let again = browser.submit(&shown, &[("decision", "approve")]).await.page();
        assert!(asks(&again) && again.text().contains("grace the tester"), "{}", again.text());
        let callback = browser.submit(&again, &[("decision", "approve")]).await.callback();
        assert_eq!(client.redeem(&callback.one("code")).await.tokens().claims()["sub"], grace.to_string());
    }

    /// B-16: whoever is signed out meanwhile signs in again and goes on.
    async fn a_session_that_ends_meanwhile_leads_back_to_sign_in(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__SESSIONS__TTL", "1m")]).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = consent_page(&client, &mut browser, &[]).await;
        server.advance(61).await;
        let login = browser.submit(&page, &[("decision", "approve")]).await.page();
        assert!(login.body.contains("name=\"password\""));
        let page = browser.sign_in(&login).await.page();
        assert!(asks(&page), "nothing was approved without a session");
        browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
    }

    /// B-32, RFC 7591 §5: what a client says about itself is text, wherever it is shown.
    async fn markup_from_clients_is_only_text_on_every_page(database) {
        let server = TestServer::start(database).await;
        let name = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}";
        let uri = "https://client.example/cb?%22%3E<script>alert(1)</script>";
        let app = "com.example.app:/cb?\"><script>alert(1)</script>";
        let mut pages = Vec::new();
        let mut browser = Browser::new(&server);
        for redirect_uri in [uri, app] {
            let mut body = json!({
                "client_name": name, "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none",
                "client_uri": "javascript:alert(1)", "logo_uri": "javascript:alert(1)",
            });
            body["tos_uri"] = Value::from("data:text/html,<script>alert(1)</script>");
            let client = Connector::registered(&server, &body).await;
            pages.push(Browser::new(&server).open(&client.authorize_url(&[])).await.page());
            if redirect_uri == uri {
                pages.push(Browser::new(&server).open(&client.authorize_url(&[("response_type", "x")])).await.page());
                let evil = "https://e/\"><script>alert(1)</script>";
                pages.push(browser.open(&client.authorize_url(&[("redirect_uri", evil)])).await.page());
                pages.push(browser.open(&client.authorize_url(&[("client_id", evil)])).await.page());
            }
            let page = consent_page(&client, &mut browser, &[("state", "\"><script>alert(1)</script>")]).await;
            let landing = browser.submit(&page, &[("decision", "approve")]).await;
            pages.push(page);
            let code = match landing {
                Landing::Callback(callback) => callback.one("code"),
                Landing::Page(page) => {
                    let code = page.body.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
                    pages.push(page);
                    code
                }
            };
            client.token(&[
                ("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", redirect_uri),
                ("code_verifier", crate::connector::VERIFIER),
            ]).await.tokens();
        }
        pages.push(browser.open("/account").await.page());
        let login = Browser::new(&server).open("/login").await.page();
        let mut typing = Browser::new(&server);
        let login = typing.open(&login.url).await.page();
        pages.push(typing.sign_in_as(&login, "\"><script>alert(1)</script>", "wrong").await.page());
        assert_eq!(pages.len(), 10);
        for page in &pages {
            assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}: {}", page.url, page.body);
            assert!(!page.body.contains("=\"javascript:") && !page.body.contains("=\"data:text"), "{}", page.url);
            assert_page_headers(page);
        }
        let shown = pages.iter().filter(|page| page.text().contains("<script>alert(1)</script>")).count();
        assert!(shown >= 6, "it is shown as what it is: {shown}");
    }

    /// I13: Insomnia's window closes at the first address with `code=` or `error=`: none of ours has one.
    async fn no_own_address_looks_like_a_callback(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in_as(&page, USER, "wrong password").await.page();
        let page = browser.sign_in(&page).await.page();
        let login = browser.submit(&page, &[("decision", "switch")]).await.page();
        let page = browser.sign_in(&login).await.page();
        browser.submit(&page, &[("decision", "deny")]).await.callback();
        browser.open("/account").await.page();
        client.authorize(&mut browser, &[("prompt", "login")]).await.one("code");
        browser.open(&client.authorize_url(&[("prompt", "none")])).await.callback();
        browser.open("/docs/claude.md").await.page();
        assert!(browser.visited.len() > 15);
        for url in &browser.visited {
            for name in ["code=", "error="] {
                let found = ["?", "&"].iter().any(|before| url.contains(&format!("{before}{name}")));
                assert!(!found, "{url}");
            }
        }
    }
}

/// A form with its action and fields, a token that another browser or page has, and what is filled in.
type Forged<'a> = ((String, BTreeMap<String, String>), String, Vec<(&'a str, &'a str)>);

/// Sends each form with its token left out, empty, garbled and another's: 403 and no redirect.
async fn refuse_forged(browser: &mut Browser, forms: &[Forged<'_>]) {
    for ((action, fields), foreign, values) in forms {
        let mut fields = fields.clone();
        fields.extend(pairs(values));
        let own = fields["csrf"].clone();
        assert_ne!(&own, foreign, "{action}");
        for forged in [None, Some(""), Some("x"), own.get(1..), Some(foreign.as_str())] {
            match forged {
                None => drop(fields.remove("csrf")),
                Some(token) => drop(fields.insert("csrf".to_owned(), token.to_owned())),
            }
            let page = browser.send(Method::POST, action, Some(&fields)).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{action} with {forged:?}");
            assert!(!page.headers.contains_key("location") && !page.headers.contains_key(SET_COOKIE), "{action}");
        }
        // A token in the address is none.
        fields.remove("csrf");
        let page = browser.send(Method::POST, &format!("{action}?csrf={own}"), Some(&fields)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{action}");
        // Neither is another media type, which a foreign page may send without asking.
        fields.insert("csrf".to_owned(), own);
        let body = form(&fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>());
        let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let url = if action.starts_with('/') { format!("{}{action}", origin_of(browser)) } else { action.clone() };
        let request = http().post(url).header("cookie", cookies.join("; ")).header("content-type", "text/plain");
        let status = request.body(body).send().await.unwrap().status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{action}");
    }
}

/// Runs SQL past the server.
async fn raw(server: &TestServer, sql: &str) -> Vec<Vec<String>> {
    crate::bed::raw(&server.database.url, &[sql]).await.unwrap()
}

fn own_origin(url: &str) -> String {
    url::Url::parse(url).unwrap().origin().ascii_serialization()
}

fn origin_of(browser: &Browser) -> String {
    url::Url::parse(browser.visited.last().unwrap()).unwrap().origin().ascii_serialization()
}

/// nothing of a page is kept or framed even where a method is not the page's own.
#[tokio::test]
async fn pages_take_no_other_methods() {
    let server = TestServer::start(Database::Sqlite).await;
    for (method, path) in
        [(Method::GET, "/logout"), (Method::PUT, "/consent"), (Method::DELETE, "/login"), (Method::POST, "/account")]
    {
        let status = http().request(method.clone(), server.url(path)).send().await.unwrap().status();
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
}
