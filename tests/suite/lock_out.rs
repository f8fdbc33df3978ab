//! Strangers who guess passwords can make an account wait for strangers, and never for its owner's own browsers.

use std::collections::BTreeMap;

use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::model::user::Role;
use reqwest::{Method, StatusCode};

use crate::browser::{Browser, Page};
use crate::on_both_databases;
use crate::server::{PASSWORD, TestServer, USER};
use crate::sign_in::{LIMITED, WINDOW, WRONG, at, attempt, status};

const KNOWN: &str = "portcullis_known";

/// A browser at this address in which this person has signed in and out.
async fn known_browser(server: &TestServer, address: &str, name: &str, password: &str) -> Browser {
    let mut browser = at(server, address);
    assert_eq!(status(&mut browser, name, password).await, 303);
    browser.cookies.retain(|name, _| name == KNOWN);
    assert_eq!(browser.cookies.len(), 1);
    browser
}

/// A browser at this address that has this cookie and no other.
fn with_cookie(server: &TestServer, address: &str, cookie: &str) -> Browser {
    let mut browser = at(server, address);
    browser.cookies.insert(KNOWN.to_owned(), cookie.to_owned());
    browser
}

/// Uses up what strangers may try for this name: from many networks, until everybody waits.
async fn lock(server: &TestServer, name: &str, network: &str) {
    for number in 0..30 {
        let tried = status(&mut at(server, &format!("{network}.{number}")), name, WRONG).await;
        assert_eq!(tried, 401, "{number}");
    }
    assert_eq!(status(&mut at(server, &format!("{network}.200")), name, PASSWORD).await, 429);
}

/// What a person sees of an answer, without what is another each time.
fn seen(page: &Page, name: &str) -> (StatusCode, Vec<String>, String) {
    let mut headers: Vec<_> = page.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.retain(|header| !["date:", "content-length:", "set-cookie:"].iter().any(|own| header.starts_with(own)));
    let text = page.text().replace(name, "NAME");
    (page.status, headers, text.split(" Attempt ").next().unwrap().to_owned())
}

on_both_databases! {
    /// B-16, T9: whatever strangers try, from many networks, from the owner's own, for ever: a browser that signed in to
    /// this account before gets in, on every copy of the server and after a restart.
    async fn strangers_never_lock_out_a_browser_that_signed_in_before(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let replica = server.replica(&LIMITED).await;
        let mut own = known_browser(&server, "198.51.100.7", USER, PASSWORD).await;
        for round in 0..3 {
            lock(&server, USER, "192.0.2").await;
            // The owner's network: this name from there, and all names from there.
            for number in 0..3 {
                status(&mut at(&server, "198.51.100.7"), USER, WRONG).await;
                for other in 0..10 {
                    status(&mut at(&server, "198.51.100.7"), &format!("other{number}{other}"), WRONG).await;
                }
            }
            assert_eq!(status(&mut at(&server, "198.51.100.7"), USER, PASSWORD).await, 429, "a stranger's browser");
            own.turn_to(if round == 1 { &replica } else { &server });
            assert_eq!(status(&mut own, USER, PASSWORD).await, 303, "{round}");
            // A mistake of one's own is no wait either, and it is still this browser elsewhere.
            own.cookies.remove("portcullis_session");
            own.headers = vec![("x-forwarded-for", format!("203.0.113.{round}"))];
            assert_eq!(status(&mut own, &USER.to_uppercase(), WRONG).await, 401);
            assert_eq!(status(&mut own, USER, PASSWORD).await, 303);
            own.cookies.remove("portcullis_session");
            server.advance(WINDOW / 2).await;
            replica.advance(WINDOW / 2).await;
            assert_eq!(status(&mut own, USER, PASSWORD).await, 303);
            own.cookies.remove("portcullis_session");
            server.advance(WINDOW / 2).await;
            replica.advance(WINDOW / 2).await;
        }
        drop(replica);
        lock(&server, USER, "192.0.2").await;
        let cookies = own.cookies.clone();
        let server = server.restart(&LIMITED).await;
        let mut own = Browser::at(&server.address);
        own.cookies = cookies;
        assert_eq!(status(&mut own, USER, PASSWORD).await, 303);
    }

    /// B-16, law 6: such a browser has a small count of its own, wherever its cookie is copied to and however many tries
    /// run at once; nobody else waits for it, and it is told for how long.
    async fn a_known_browser_is_counted_by_itself(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let own = known_browser(&server, "198.51.100.7", USER, PASSWORD).await;
        let mut other = known_browser(&server, "198.51.100.7", USER, PASSWORD).await;
        let mut first = with_cookie(&server, "192.0.2.1", &own.cookies[KNOWN]);
        let (action, mut fields) = first.open("/login").await.page().fields("password");
        fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), WRONG.to_owned())]);
        let tries: Vec<_> = (0..32)
            .map(|number| {
                let mut copy = at(&server, &format!("192.0.2.{number}"));
                copy.cookies = first.cookies.clone();
                let (action, fields) = (action.clone(), fields.clone());
                tokio::spawn(async move { copy.send(Method::POST, &action, Some(&fields)).await.status.as_u16() })
            })
            .collect();
        let mut counts = BTreeMap::new();
        for one in tries {
            *counts.entry(one.await.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts, BTreeMap::from([(401, 3), (429, 29)]));
        let page = attempt(&mut first, USER, PASSWORD).await;
        assert_eq!((page.status, &page.headers["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"300".parse().unwrap()));
        assert!(page.text().contains("Wait 5 minutes and"), "{}", page.text());
        // Neither another browser of the same person, nor a stranger's, nor a copy for another name waits for that.
        assert_eq!(status(&mut other, USER, PASSWORD).await, 303);
        assert_eq!(status(&mut at(&server, "192.0.2.1"), USER, PASSWORD).await, 303);
        assert_eq!(status(&mut first, "grace", WRONG).await, 401);
        server.advance(WINDOW - 1).await;
        assert_eq!(status(&mut first, USER, PASSWORD).await, 429);
        server.advance(1).await;
        assert_eq!(status(&mut first, USER, PASSWORD).await, 303);
    }

    /// T9: a cookie that is another's, forged, out of date, or of an old credential is a stranger's.
    async fn a_cookie_that_is_not_this_accounts_gives_nothing(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let grace = server.add_user("grace", PASSWORD, Role::User).await;
        let good = known_browser(&server, "198.51.100.7", "grace", PASSWORD).await.cookies[KNOWN].clone();
        let others = known_browser(&server, "198.51.100.8", USER, PASSWORD).await.cookies[KNOWN].clone();
        let elsewhere = {
            let key = [LIMITED[0], LIMITED[1], LIMITED[2], ("PORTCULLIS__KEYS__MASTER_KEY", "_____________________________________v__f_8")];
            let other = TestServer::with(database, &key).await;
            other.add_user("grace", PASSWORD, Role::User).await;
            known_browser(&other, "198.51.100.7", "grace", PASSWORD).await.cookies[KNOWN].clone()
        };
        let parts: Vec<&str> = good.split('.').collect();
        let [nonce, expires_at, tag] = parts[..] else { panic!("{good}") };
        let later = expires_at.parse::<i64>().unwrap() + 1;
        let other_nonce = others.split('.').next().unwrap();
        let flipped = if tag.starts_with('A') { tag.replacen('A', "B", 1) } else { format!("A{}", tag.get(1..).unwrap()) };
        let forged = [
            others.clone(),
            elsewhere,
            format!("{nonce}.{expires_at}.{flipped}"),
            format!("{nonce}.{later}.{tag}"),
            format!("{other_nonce}.{expires_at}.{tag}"),
            format!("{nonce}.{expires_at}."),
            format!("{nonce}.{expires_at}"),
            format!("{nonce}.{expires_at}.{tag}.x"),
            format!("{}.{expires_at}.{tag}", nonce.get(4..).unwrap()),
            format!("{nonce}x.{expires_at}.{tag}"),
            format!("{nonce}..{tag}"),
            format!("{nonce}.-1.{tag}"),
            tag.to_owned(),
            String::new(),
            "~~~~~~".to_owned(),
            // Only a few are looked at.
            format!("{others}~{others}~{others}~{others}~{others}~{good}"),
            "x".repeat(4000),
        ];
        lock(&server, "grace", "192.0.2").await;
        let stranger = attempt(&mut at(&server, "192.0.2.250"), "grace", PASSWORD).await;
        for cookie in &forged {
            let page = attempt(&mut with_cookie(&server, "192.0.2.250", cookie), "grace", PASSWORD).await;
            assert_eq!(seen(&page, "grace"), seen(&stranger, "grace"), "{cookie}");
        }
        // In company the good one is good.
        for cookie in [good.clone(), format!("{others}~{good}"), format!("rubbish~{good}~{others}")] {
            assert_eq!(status(&mut with_cookie(&server, "192.0.2.250", &cookie), "grace", PASSWORD).await, 303, "{cookie}");
        }
        // What ends the credential ends the cookie; a password hashed anew doesn't.
        let hash = Passwords::new(64, 2, 1).unwrap().hash(PASSWORD.to_owned()).await.unwrap();
        let sql = format!("update user_account set password_hash = '{hash}' where id = '{grace}'");
        crate::bed::raw(&server.database.url, &[&sql]).await.unwrap();
        assert_eq!(status(&mut with_cookie(&server, "192.0.2.250", &good), "grace", PASSWORD).await, 303);
        let store = server.app.store();
        let mut cookie = good;
        for how in ["disabled", "changed"] {
            if how == "disabled" {
                store.disable_user(&grace, server.now()).await.unwrap();
                store.enable_user(&grace).await.unwrap();
            } else {
                store.set_password(&grace, &hash, server.now()).await.unwrap();
            }
            let page = attempt(&mut with_cookie(&server, "192.0.2.250", &cookie), "grace", PASSWORD).await;
            assert_eq!(seen(&page, "grace"), seen(&stranger, "grace"), "{how}");
            server.advance(WINDOW).await;
            cookie = known_browser(&server, "198.51.100.7", "grace", PASSWORD).await.cookies[KNOWN].clone();
            lock(&server, "grace", "192.0.2").await;
        }
        // It ends with its time, whatever the browser keeps.
        server.advance(180 * 86400 - 1 - WINDOW).await;
        server.advance(WINDOW).await;
        lock(&server, "grace", "192.0.2").await;
        assert_eq!(status(&mut with_cookie(&server, "192.0.2.250", &cookie), "grace", PASSWORD).await, 303);
        server.advance(1).await;
        assert_eq!(status(&mut with_cookie(&server, "192.0.2.250", &cookie), "grace", PASSWORD).await, 429);
    }

    /// Several people in one browser: it is known to the last five of them, in whatever order they sign in.
    async fn a_browser_is_known_to_the_accounts_that_signed_in_last(database) {
        let server = TestServer::with(database, &LIMITED).await;
        let names: Vec<String> = (0..6).map(|number| format!("person{number}")).collect();
        let mut shared = at(&server, "198.51.100.7");
        for name in &names {
            server.add_user(name, PASSWORD, Role::User).await;
            assert_eq!(status(&mut shared, name, PASSWORD).await, 303);
        }
        assert_eq!(status(&mut shared, &names[3], PASSWORD).await, 303);
        let cookie = shared.cookies[KNOWN].clone();
        assert!(cookie.len() < 500 && cookie.split('~').count() == 5, "{cookie}");
        for (number, name) in names.iter().enumerate() {
            lock(&server, name, &format!("192.{number}.2")).await;
            let expected = if number == 0 { 429 } else { 303 };
            assert_eq!(status(&mut with_cookie(&server, "203.0.113.1", &cookie), name, PASSWORD).await, expected, "{name}");
        }
    }

    /// T9: names that nobody has are locked after the same tries, with the same answers, whatever cookie comes along.
    async fn unknown_names_are_locked_like_known_ones(database) {
        let server = TestServer::with(database, &LIMITED).await;
        server.add_user("disabled", PASSWORD, Role::User).await;
        let cookie = known_browser(&server, "198.51.100.7", USER, PASSWORD).await.cookies[KNOWN].clone();
        let disabled = server.user_id("disabled").await;
        server.app.store().disable_user(&disabled, server.now()).await.unwrap();
        server.add_user("grace", PASSWORD, Role::User).await;
        let mut expected: Option<Vec<_>> = None;
        for (number, name) in ["grace", "disabled", "nobody", "no, such name!"].into_iter().enumerate() {
            let mut pages = Vec::new();
            for with in [false, true] {
                let network = format!("10.{number}.{}", u8::from(with));
                for stranger in 0..32 {
                    let mut browser = at(&server, &format!("{network}.{}", stranger / 2));
                    if with {
                        browser.cookies.insert(KNOWN.to_owned(), cookie.clone());
                    }
                    pages.push(seen(&attempt(&mut browser, name, WRONG).await, name));
                }
            }
            assert_eq!(pages.iter().filter(|page| page.0 == StatusCode::UNAUTHORIZED).count(), 30, "{name}");
            assert_eq!(&pages, expected.get_or_insert_with(|| pages.clone()), "{name}");
        }
    }

    /// The first account's browser is known from its set-up on, and no cookie signs anybody in by itself.
    async fn the_cookie_opens_nothing(database) {
        let server = TestServer::empty(database, &LIMITED).await;
        let token = Random::system().secret(portcullis::model::secret::SecretKind::SetupLink);
        let expires = server.now().plus(std::time::Duration::from_mins(1));
        server.app.store().insert_setup_link(&token.hash(), expires).await.unwrap();
        let mut browser = Browser::new(&server);
        let page = browser.open(&format!("/setup?token={}", token.expose())).await.page();
        browser.submit(&page, &[("username", USER), ("password", PASSWORD)]).await.page();
        let cookie = browser.cookies[KNOWN].clone();
        lock(&server, USER, "192.0.2").await;
        let mut known = with_cookie(&server, "192.0.2.1", &cookie);
        known.cookies.insert("portcullis_session".to_owned(), cookie.clone());
        assert!(known.open("/account").await.page().body.contains("name=\"password\""));
        known.cookies.remove("portcullis_session");
        assert_eq!(status(&mut known, USER, PASSWORD).await, 303);
    }
}
