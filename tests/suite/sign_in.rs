//! Accounts at the door: the set-up link, signing in and out, and what guessing gets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::model::secret::Secret;
use portcullis::model::user::{Role, Username};
use portcullis::store::NewUser;
use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::admin::Admin;
use crate::browser::{Browser, Page};
use crate::connector::{Connector, form};
use crate::on_both_databases;
use crate::server::{PASSWORD, TestServer, USER, http};

/// Limits on, three failures in five minutes, and addresses taken from the test's own header.
pub const LIMITED: [(&str, &str); 3] = [
    ("PORTCULLIS__LIMITS__ENABLED", "true"),
    ("PORTCULLIS__LIMITS__SIGN_IN_FAILURES", "3"),
    ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
];
pub const WINDOW: i64 = 300;
pub const WRONG: &str = "not the password";

/// A browser at this address.
pub fn at(server: &TestServer, address: &str) -> Browser {
    let mut browser = Browser::new(server);
    browser.headers.push(("x-forwarded-for", address.to_owned()));
    browser
}

/// One try to sign in: the answer to the form, not followed. The form is one that was opened before anybody signed in.
pub async fn attempt(browser: &mut Browser, name: &str, password: &str) -> Page {
    let session = browser.cookies.remove("portcullis_session");
    let page = browser.open("/login").await.page();
    browser.cookies.extend(session.map(|session| ("portcullis_session".to_owned(), session)));
    let (action, mut fields) = page.fields("password");
    fields.insert("username".to_owned(), name.to_owned());
    fields.insert("password".to_owned(), password.to_owned());
    browser.send(Method::POST, &action, Some(&fields)).await
}

pub async fn status(browser: &mut Browser, name: &str, password: &str) -> u16 {
    attempt(browser, name, password).await.status.as_u16()
}

fn is_signed_in(page: &Page) -> bool {
    page.status == StatusCode::OK && page.body.contains("/logout")
}

/// Whether a session cookie with this value opens the account page.
async fn opens(server: &TestServer, session: &str) -> bool {
    let mut browser = Browser::new(server);
    browser.cookies.insert("portcullis_session".to_owned(), session.to_owned());
    is_signed_in(&browser.open("/account").await.page())
}

async fn set_up_link(server: &TestServer, token: &str, seconds: u64) {
    let expires = server.now().plus(Duration::from_secs(seconds));
    server.app.store().insert_setup_link(&Secret::presented(token).hash(), expires).await.unwrap();
}

on_both_databases! {
    /// B-16, T9: after some failures for one name from one network, that pair waits out the window, told for how
    /// long; nobody else does.
    async fn sign_in_waits_after_failures(database) {
        let server = TestServer::with(database, &LIMITED).await;
        server.add_user("grace", PASSWORD, Role::User).await;
        let mut here = at(&server, "192.0.2.1");
        for _ in 0..3 {
            assert_eq!(status(&mut here, USER, WRONG).await, 401);
        }
        server.advance(100).await;
        for password in [WRONG, PASSWORD] {
            let page = attempt(&mut here, &USER.to_uppercase(), password).await;
            assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(page.headers["retry-after"], "200");
            assert!(page.text().contains("Wait 4 minutes"), "{}", page.text());
            assert!(!page.headers.contains_key(SET_COOKIE));
        }
        // The same address with another browser is the same place; others aren't, nor are other names.
        assert_eq!(status(&mut at(&server, "192.0.2.1"), USER, PASSWORD).await, 429);
        assert_eq!(status(&mut at(&server, "192.0.2.1"), "grace", PASSWORD).await, 303);
        assert_eq!(status(&mut at(&server, "192.0.2.2"), USER, PASSWORD).await, 303);
        server.advance(WINDOW - 101).await;
        assert_eq!(attempt(&mut here, USER, PASSWORD).await.headers["retry-after"], "1");
        server.advance(1).await;
        assert_eq!(status(&mut here, USER, PASSWORD).await, 303);
    }

    /// B-16: trying while waiting doesn't make the wait longer, and signing in clears the count.
    async fn a_window_ends_on_time_and_success_clears_it(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let mut here = at(&server, "192.0.2.1");
        for _ in 0..4 {
            assert_eq!(status(&mut here, USER, WRONG).await, 401);
            assert_eq!(status(&mut here, USER, WRONG).await, 401);
            assert_eq!(status(&mut here, USER, PASSWORD).await, 303);
            here.cookies.remove("portcullis_session");
        }
        for _ in 0..3 {
            status(&mut here, USER, WRONG).await;
        }
        server.advance(WINDOW - 1).await;
        for _ in 0..5 {
            assert_eq!(status(&mut here, USER, WRONG).await, 429);
        }
        server.advance(1).await;
        assert_eq!(status(&mut here, USER, PASSWORD).await, 303);
    }

    /// B-16, T9: guessing one name from many networks, or many names from one, ends as well.
    async fn guessing_from_many_places_or_for_many_names_ends_too(database) {
        let server = TestServer::with(database, &LIMITED).await;
        for number in 0..30 {
            assert_eq!(status(&mut at(&server, &format!("192.0.2.{number}")), USER, WRONG).await, 401, "{number}");
        }
        let page = attempt(&mut at(&server, "198.51.100.1"), USER, PASSWORD).await;
        assert_eq!((page.status, &page.headers["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"300".parse().unwrap()));
        server.advance(WINDOW).await;
        let mut here = at(&server, "203.0.113.1");
        for number in 0..30 {
            assert_eq!(status(&mut here, &format!("name{number}"), WRONG).await, 401, "{number}");
        }
        assert_eq!(status(&mut here, USER, PASSWORD).await, 429);
        // IPv6: the network counts, because one machine has as many addresses as it likes.
        server.advance(WINDOW).await;
        for number in 0..3 {
            assert_eq!(status(&mut at(&server, &format!("2001:db8:1:2200::{number}")), USER, WRONG).await, 401);
        }
        assert_eq!(status(&mut at(&server, "2001:db8:1:22ff:1:2:3:4"), USER, PASSWORD).await, 429);
    }

    /// B-16, law 6: guesses that race are counted one by one; no burst gets more tries than the limit.
    async fn racing_guesses_get_no_more_tries(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let mut browser = at(&server, "192.0.2.1");
        let (action, mut fields) = browser.open("/login").await.page().fields("password");
        fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), WRONG.to_owned())]);
        let tries: Vec<_> = (0..32)
            .map(|_| {
                let mut tab = at(&server, "192.0.2.1");
                tab.cookies = browser.cookies.clone();
                let (action, fields) = (action.clone(), fields.clone());
                tokio::spawn(async move { tab.send(Method::POST, &action, Some(&fields)).await.status.as_u16() })
            })
            .collect();
        let mut counts = BTreeMap::new();
        for one in tries {
            *counts.entry(one.await.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts, BTreeMap::from([(401, 3), (429, 29)]));
    }

    /// B-16, T9: nobody learns from an answer, or from how long it takes, whether a name exists.
    async fn unknown_and_wrong_look_the_same(database) {
        let cost = [("PORTCULLIS__PASSWORDS__MEMORY_KIB", "16384"), ("PORTCULLIS__PASSWORDS__ITERATIONS", "2")];
        let server = TestServer::with(database, &cost).await;
        let passwords = Passwords::new(16384, 2, 2).unwrap();
        for name in ["known", "disabled"] {
            let user = NewUser {
                id: Random::system().user_id(),
                username: Username::parse(name).unwrap(),
                display_name: name.to_owned(),
                password_hash: passwords.hash(PASSWORD.to_owned()).await.unwrap(),
                role: Role::User,
                created_at: server.now(),
            };
            server.app.store().insert_user(&user).await.unwrap();
        }
        server.app.store().disable_user(&server.user_id("disabled").await, server.now()).await.unwrap();
        let mut tries = Vec::new();
        for (name, password) in [
            ("known", WRONG),
            ("unknown", WRONG),
            ("unknown", PASSWORD),
            ("disabled", WRONG),
            ("disabled", PASSWORD),
            ("no, such name!", WRONG),
            ("", WRONG),
        ] {
            let mut browser = Browser::new(&server);
            let (action, mut fields) = browser.open("/login").await.page().fields("password");
            fields.extend([("username".to_owned(), name.to_owned()), ("password".to_owned(), password.to_owned())]);
            tries.push((name, browser, action, fields, Duration::MAX));
        }
        let mut expected = None;
        // In turns, so that a busy moment of the machine hits all alike; the quickest of several counts, because
        // other work only adds. On a busy machine it takes more turns until the quickest is quick.
        for turn in 0..40 {
            let known = tries[0].4;
            // Without the work it would be a tenth.
            if turn >= 6 && tries.iter().all(|(.., took)| *took > known / 4) {
                break;
            }
            for (name, browser, action, fields, took) in &mut tries {
                let began = Instant::now();
                let answer = browser.send(Method::POST, action, Some(fields)).await;
                *took = began.elapsed().min(*took);
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name:?}");
                let mut headers: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
                headers.retain(|header| !header.starts_with("date:") && !header.starts_with("content-length:"));
                let body = answer.body.replace(&fields["csrf"], "CSRF");
                let body = body.replace(&format!("value=\"{name}\""), "value=\"NAME\"");
                let seen = (headers, body);
                assert_eq!(&seen, expected.get_or_insert_with(|| seen.clone()), "{name:?}");
            }
        }
        let known = tries[0].4;
        for (name, .., took) in &tries {
            assert!(*took > known / 4, "{name:?}: {took:?}, a known name: {known:?}");
        }
    }

    /// RFC 8265: people sign in with their names and addresses, in any script, from any keyboard; so they do with
    /// passwords.
    async fn people_sign_in_with_names_and_passwords_in_any_script(database) {
        let server = TestServer::start(database).await;
        let password = "Gr\u{fc}\u{df}e aus K\u{f6}ln";
        for name in ["ada.lovelace@example.com", "Zo\u{eb} \u{dc}nal", "\u{42e}\u{440}\u{438}\u{439} \u{413}\u{430}\u{433}\u{430}\u{440}\u{438}\u{43d}", "O'Brien"] {
            server.add_user(name, password, Role::User).await;
        }
        for (name, typed) in [
            ("ADA.Lovelace@EXAMPLE.com", password),
            ("zo\u{eb} \u{fc}nal", password),
            ("ZOE\u{308}  U\u{308}NAL ", "Gru\u{308}\u{df}e aus Ko\u{308}ln"),
            ("\u{44e}\u{440}\u{438}\u{439}\u{3000}\u{433}\u{430}\u{433}\u{430}\u{440}\u{438}\u{43d}", "Gr\u{fc}\u{df}e\u{a0}aus K\u{f6}ln"),
            ("o'brien", password),
        ] {
            assert_eq!(status(&mut Browser::new(&server), name, typed).await, 303, "{name}");
            assert_eq!(status(&mut Browser::new(&server), name, &typed.to_uppercase()).await, 401, "{name}");
        }
        for name in ["zoe \u{fc}nal", "zo\u{eb}\u{fc}nal", "ada.lovelace", "\u{202e}ada", "\u{ff4f}'brie"] {
            assert_eq!(status(&mut Browser::new(&server), name, password).await, 401, "{name}");
        }
        // The other doors have the same rule and the same words.
        let admin = Admin::of(&server).await;
        let add = async |name: &str, password: &str| {
            admin.post("/users", &json!({ "username": name, "password": password })).await
        };
        let made = add(" Bj\u{f6}rk Gu\u{f0}mundsd\u{f3}ttir", "correct horse battery").await;
        assert_eq!((made.status, made.json["username"].as_str()), (StatusCode::CREATED, Some("bj\u{f6}rk gu\u{f0}mundsd\u{f3}ttir")));
        add("BJO\u{308}RK GUÐMUNDSDÓTTIR", "correct horse battery").await.refused(409, "conflict");
        let refused = add("a\u{202e}b", "correct horse battery").await;
        assert!(refused.refused(400, "invalid_request").text.contains("(U+202E) can't be in it"), "{}", refused.text);
        let refused = add("ivy", "tab\tand more of it").await;
        assert!(refused.refused(400, "invalid_request").text.contains("(U+0009)"), "{}", refused.text);
    }

    /// A name can't be made to read like the count of another name, or of a place.
    async fn names_do_not_share_their_counts(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let mut far = at(&server, "198.51.100.1");
        for name in ["ada from 192.0.2.1", "ada from 192.0.2.1/32", "ada\" from 192.0.2.1"] {
            for _ in 0..4 {
                attempt(&mut far, name, WRONG).await;
            }
        }
        assert_eq!(status(&mut at(&server, "192.0.2.1"), USER, PASSWORD).await, 303);
    }

    /// T9: when the cost was raised, a hash is made anew at its owner's next sign-in, and nothing ends by it.
    async fn a_raised_cost_renews_hashes_at_sign_in(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let consent = browser.sign_in(&login).await.page();
        let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        let session = browser.cookies["portcullis_session"].clone();
        let cost = [("PORTCULLIS__PASSWORDS__MEMORY_KIB", "128"), ("PORTCULLIS__PASSWORDS__ITERATIONS", "2")];
        let server = server.restart(&cost).await;
        let client = client.turned_to(&server);
        // It listens at another address now.
        let another = || {
            let mut browser = Browser::new(&server);
            browser.turn_to(&server);
            browser
        };
        let stored = async || server.app.store().find_user(&server.user_id(USER).await).await.unwrap().unwrap().password_hash;
        let old = stored().await;
        assert!(old.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{old}");
        assert_eq!(server.app.store().password_costs().await.unwrap(), ["$argon2id$v=19$m=64,t=1,p=1"]);
        assert_eq!(status(&mut another(), USER, WRONG).await, 401);
        assert_eq!(stored().await, old, "a wrong password renews nothing");
        // Several browsers at once: one of them renews it, all are let in.
        let several = (0..8).map(|_| {
            let mut browser = another();
            tokio::spawn(async move { status(&mut browser, USER, PASSWORD).await })
        });
        for one in several.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), 303);
        }
        let new = stored().await;
        assert!(new.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{new}");
        assert_eq!(server.app.store().password_costs().await.unwrap(), ["$argon2id$v=19$m=128,t=2,p=1"]);
        assert_eq!(status(&mut another(), USER, PASSWORD).await, 303);
        assert_eq!(stored().await, new, "renewed once");
        browser.turn_to(&server);
        assert_eq!(browser.cookies["portcullis_session"], session);
        assert!(is_signed_in(&browser.open("/account").await.page()) && client.is_let_in(&tokens.access).await);
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
    }

    /// Law 6: a renewal puts nothing in the place of a password that was set meanwhile.
    async fn a_renewal_never_undoes_a_new_password(database) {
        let server = TestServer::start(database).await;
        let (id, store) = (server.user_id(USER).await, server.app.store());
        let stored = async || store.find_user(&id).await.unwrap().unwrap().password_hash;
        let checked = stored().await;
        let passwords = Passwords::new(64, 1, 2).unwrap();
        let (renewed, set) = (passwords.hash(PASSWORD.to_owned()).await.unwrap(), passwords.hash(WRONG.to_owned()).await.unwrap());
        store.set_password(&id, &set, server.now()).await.unwrap();
        assert!(!store.renew_password_hash(&id, &checked, &renewed).await.unwrap());
        assert_eq!(stored().await, set);
        assert!(store.renew_password_hash(&id, &set, &renewed).await.unwrap());
        assert_eq!(stored().await, renewed);
    }

    /// B-16, T8: whatever an address or a form says, sign-in leads to places of this server only.
    async fn sign_in_leads_only_to_own_places(database) {
        let server = TestServer::start(database).await;
        let evil = "https%3A%2F%2Fevil.example%2F";
        for query in [
            format!("return_to={evil}&next={evil}&redirect={evil}&redirect_uri={evil}&continue={evil}&url={evil}"),
            format!("document={evil}"),
            "document=%2F%2Fevil.example".to_owned(),
            "document=..%2F..%2Fauthorize".to_owned(),
            "document=%5C%5Cevil.example".to_owned(),
            "document=claude.md%0d%0aLocation:%20https://evil.example".to_owned(),
            "document=nothing".to_owned(),
        ] {
            let mut browser = Browser::new(&server);
            let page = browser.open(&format!("/login?{query}")).await.page();
            let (action, mut fields) = page.fields("password");
            assert!(!page.body.contains("evil"), "{query}: {}", page.body);
            fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
            for name in ["return_to", "next", "redirect_uri", "location", "document"] {
                fields.insert(name.to_owned(), "https://evil.example/".to_owned());
            }
            let answer = browser.send(Method::POST, &format!("{action}?{query}"), Some(&fields)).await;
            assert_eq!((answer.status, &answer.headers["location"]), (StatusCode::SEE_OTHER, &"/account".parse().unwrap()), "{query}");
        }
        // A request that isn't there is none.
        let page = Browser::new(&server).open("/login?authorization=https://evil.example/").await.page();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
    }

    /// A document's page leads through sign-in to that document, and nowhere else.
    async fn a_cited_document_is_shown_after_sign_in(database) {
        let server = TestServer::start(database).await;
        let mut browser = Browser::new(&server);
        let login = browser.open("/docs/claude.md").await.page();
        assert_eq!(login.url, server.url("/login?document=claude.md"));
        let failed = browser.sign_in_as(&login, USER, WRONG).await.page();
        assert_eq!(failed.status, StatusCode::UNAUTHORIZED);
        let page = browser.sign_in(&failed).await.page();
        assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, server.url("/docs/claude.md").as_str()));
        assert!(page.text().contains("Claude"));
        for (path, status) in [("/docs/nothing", 404), ("/docs/..%2f..%2fCargo.toml", 404), ("/docs/%00", 404)] {
            assert_eq!(browser.open(path).await.page().status.as_u16(), status, "{path}");
        }
    }

    /// B-16, T10: a session id is made at each sign-in, never taken from the browser, and the one before is over.
    async fn each_sign_in_makes_a_fresh_session(database) {
        let server = TestServer::start(database).await;
        let mut browser = Browser::new(&server);
        browser.cookies.insert("portcullis_session".to_owned(), "pss_planted".to_owned());
        assert_eq!(status(&mut browser, USER, PASSWORD).await, 303);
        let first = browser.cookies["portcullis_session"].clone();
        assert_ne!(first, "pss_planted");
        assert!(!opens(&server, "pss_planted").await && opens(&server, &first).await);
        assert_eq!(status(&mut browser, USER, PASSWORD).await, 303);
        let second = browser.cookies["portcullis_session"].clone();
        assert_ne!(first, second);
        assert!(!opens(&server, &first).await && opens(&server, &second).await);
        // A failure ends nothing and begins nothing.
        let failed = attempt(&mut browser, USER, WRONG).await;
        assert_eq!((failed.status, failed.headers.get(SET_COOKIE)), (StatusCode::UNAUTHORIZED, None));
        assert!(opens(&server, &second).await);
    }

    /// B-16: a session ends on the server: by signing out, and by itself.
    async fn a_session_ends_by_signing_out_and_with_its_time(database) {
        let server = TestServer::start(database).await;
        let mut browser = Browser::new(&server);
        attempt(&mut browser, USER, PASSWORD).await;
        let session = browser.cookies["portcullis_session"].clone();
        let (_, csrf) = browser.open("/account").await.page().fields("csrf");
        let out = browser.send(Method::POST, "/logout", Some(&csrf)).await;
        assert_eq!((out.status, &out.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
        let cleared = out.headers[SET_COOKIE].to_str().unwrap();
        assert_eq!(cleared, "portcullis_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        assert!(!opens(&server, &session).await, "the old cookie is worth nothing");
        // Once more does no harm.
        let again = http().post(server.url("/logout")).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::SEE_OTHER);
        attempt(&mut browser, USER, PASSWORD).await;
        let session = browser.cookies["portcullis_session"].clone();
        server.advance(12 * 3600 - 1).await;
        assert!(opens(&server, &session).await);
        server.advance(1).await;
        assert!(!opens(&server, &session).await);
    }

    /// T-25, T10: a disabled account is out everywhere at once; so is whoever knew a password that was changed.
    async fn disabling_a_user_ends_sessions_and_grants(database) {
        let server = TestServer::start(database).await;
        let user = server.user_id(USER).await;
        let passwords = Passwords::new(64, 1, 2).unwrap();
        let new_hash = passwords.hash("another long password".to_owned()).await.unwrap();
        for disable in [false, true] {
            let password = if disable { "another long password" } else { PASSWORD };
            let client = Connector::public(&server).await;
            let mut browser = Browser::new(&server);
            let login = browser.open(&client.authorize_url(&[])).await.page();
            let consent = browser.sign_in_as(&login, USER, password).await.page();
            let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
            let tokens = client.redeem(&callback.one("code")).await.tokens();
            let unredeemed = client.authorize(&mut browser, &[]).await.one("code");
            let consent = browser.open(&client.authorize_url(&[])).await.page();
            let session = browser.cookies["portcullis_session"].clone();
            if disable {
                server.app.store().disable_user(&user, server.now()).await.unwrap();
            } else {
                server.app.store().set_password(&user, &new_hash, server.now()).await.unwrap();
            }
            server.advance(1).await;
            assert!(!opens(&server, &session).await);
            assert!(!client.is_let_in(&tokens.access).await);
            client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
            client.redeem(&unredeemed).await.refused(400, "invalid_grant");
            let page = browser.submit(&consent, &[("decision", "approve")]).await.page();
            assert!(page.body.contains("name=\"password\""), "no approval without a session");
            assert_eq!(browser.sign_in_as(&page, USER, password).await.page().status, StatusCode::UNAUTHORIZED);
        }
        server.app.store().enable_user(&user).await.unwrap();
        assert_eq!(status(&mut Browser::new(&server), USER, "another long password").await, 303);
    }

    /// B-16, T11: the link makes one account, an administrator's, and is gone.
    async fn the_setup_link_works_once(database) {
        let server = TestServer::empty(database, &[]).await;
        set_up_link(&server, "pst_one", 60).await;
        let mut browser = Browser::new(&server);
        assert_eq!(browser.open("/setup").await.page().status, StatusCode::NOT_FOUND);
        assert_eq!(browser.open("/setup?token=pst_other").await.page().status, StatusCode::NOT_FOUND);
        let page = browser.open("/setup?token=pst_one").await.page();
        // What is wrong is said, all at once, and the link lives on.
        let wrong = browser.submit(&page, &[("username", "no <name>"), ("password", "short")]).await.page();
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.text().contains("A login name has") && wrong.text().contains("5 characters"), "{}", wrong.text());
        let values = [("username", "Root"), ("password", PASSWORD), ("display_name", "")];
        let account = browser.submit(&wrong, &values).await.page();
        assert!(is_signed_in(&account) && account.url.ends_with("/account"), "{}", account.text());
        let user = server.app.store().find_user_by_name(&Username::parse("root").unwrap()).await.unwrap().unwrap();
        assert_eq!((user.role, user.display_name.as_str()), (Role::Admin, "root"));
        let again = browser.submit(&page, &values).await.page();
        assert_eq!(again.status, StatusCode::NOT_FOUND);
        assert_eq!(Browser::new(&server).open("/setup?token=pst_one").await.page().status, StatusCode::NOT_FOUND);
        assert_eq!(server.app.store().users().await.unwrap().len(), 1);
    }

    /// T11: with the first account all links are dead, however it was made; and a link has its time.
    async fn setup_links_die_with_the_first_account_and_with_their_time(database) {
        let server = TestServer::empty(database, &[]).await;
        set_up_link(&server, "pst_one", 60).await;
        let mut browser = Browser::new(&server);
        let page = browser.open("/setup?token=pst_one").await.page();
        server.advance(60).await;
        let values = [("username", "root"), ("password", PASSWORD)];
        assert_eq!(browser.open("/setup?token=pst_one").await.page().status, StatusCode::NOT_FOUND);
        assert_eq!(browser.submit(&page, &values).await.page().status, StatusCode::NOT_FOUND);
        set_up_link(&server, "pst_two", 60).await;
        let page = browser.open("/setup?token=pst_two").await.page();
        // Somebody uses the command line instead.
        server.add_user(USER, PASSWORD, Role::Admin).await;
        assert_eq!(browser.open("/setup?token=pst_two").await.page().status, StatusCode::NOT_FOUND);
        assert_eq!(browser.submit(&page, &values).await.page().status, StatusCode::NOT_FOUND);
        assert_eq!(server.app.store().users().await.unwrap().len(), 1);
    }

    /// T11, law 6: of two people with two links, and of many clicks on one, one makes the first account.
    async fn one_of_many_racing_setups_makes_the_first_account(database) {
        let server = TestServer::empty(database, &[]).await;
        set_up_link(&server, "pst_one", 60).await;
        set_up_link(&server, "pst_two", 60).await;
        let mut racing = Vec::new();
        for number in 0..8 {
            let mut browser = Browser::new(&server);
            let link = if number % 2 == 0 { "pst_one" } else { "pst_two" };
            let page = browser.open(&format!("/setup?token={link}")).await.page();
            let (action, mut fields) = page.fields("csrf");
            fields.extend([("username".to_owned(), format!("user{number}")), ("password".to_owned(), PASSWORD.to_owned())]);
            racing.push((browser, action, fields));
        }
        let racing = racing.into_iter().map(|(mut browser, action, fields)| {
            tokio::spawn(async move { browser.send(Method::POST, &action, Some(&fields)).await.status.as_u16() })
        });
        let mut statuses = Vec::new();
        for one in racing.collect::<Vec<_>>() {
            statuses.push(one.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 404, 404, 404, 404, 404, 404, 404]);
        assert_eq!(server.app.store().users().await.unwrap().len(), 1);
    }

    /// B-26: odd forms are 400 or refused, and never ours.
    async fn odd_sign_in_forms_are_refused_on_a_page(database) {
        let server = TestServer::start(database).await;
        let mut browser = Browser::new(&server);
        let (_, fields) = browser.open("/login").await.page().fields("csrf");
        let cookie = format!("portcullis_browser={}", browser.cookies["portcullis_browser"]);
        let post = async |content_type: &str, body: String| {
            let request = http().post(server.url("/login")).header("cookie", &cookie).header("content-type", content_type);
            let response = request.body(body).send().await.unwrap();
            assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
            response.status().as_u16()
        };
        let urlencoded = "application/x-www-form-urlencoded";
        let good = form(&[("csrf", &fields["csrf"]), ("username", USER), ("password", PASSWORD)]);
        assert_eq!(post("text/plain", good.clone()).await, 400);
        assert_eq!(post("multipart/form-data; boundary=x", good.clone()).await, 400);
        assert_eq!(post(urlencoded, format!("{good}&x=%00")).await, 400);
        assert_eq!(post(urlencoded, format!("{good}&x=%zz")).await, 400);
        let csrf = form(&[("csrf", &fields["csrf"]), ("username", USER)]);
        assert_eq!(post(urlencoded, csrf.clone()).await, 401);
        assert_eq!(post(urlencoded, format!("{csrf}&password={}", "x".repeat(1025))).await, 401);
        assert_eq!(post(urlencoded, format!("csrf={}&password={PASSWORD}", fields["csrf"])).await, 401);
        assert_eq!(post(urlencoded, String::new()).await, 403);
    }
}
