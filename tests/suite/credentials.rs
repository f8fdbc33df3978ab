//! What a password opened ends with it, whatever ran beside the change: sessions, codes, approvals, connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oauth::id::UserId;
use oauth::time::Timestamp;
use portcullis::model::authorization::Authorization;
use portcullis::model::grant::Redemption;
use portcullis::model::secret::Secret;
use portcullis::model::user::{Credential, User, Username};
use portcullis::store::{Decided, Redeem, Store};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::admin::Admin;
use crate::bed::{Bed, GRANT_ENDS, REFRESH_DIES, approve, at, hash, resource};
use crate::browser::Browser;
use crate::cli::Place;
use crate::connector::Connector;
use crate::on_both_databases;
use crate::server::{MASTER_KEY, PASSWORD, TestServer, USER};
use crate::store_races::{RACERS, race};

const NEW_PASSWORD: &str = "another long password";

/// What ends a credential, at the store.
#[derive(Clone, Copy, Debug)]
enum Change {
    Password,
    PasswordTwice,
    Disabled,
    DisabledAndEnabled,
    Deleted,
}

const CHANGES: [Change; 5] =
    [Change::Password, Change::PasswordTwice, Change::Disabled, Change::DisabledAndEnabled, Change::Deleted];

impl Change {
    async fn make(self, store: &Store, url: &str, user: &UserId) {
        match self {
            Self::Password => store.set_password(user, "$argon2id$new", at(0)).await.unwrap(),
            Self::PasswordTwice => {
                store.set_password(user, "$argon2id$new", at(0)).await.unwrap();
                // Also back to the very same one.
                store.set_password(user, "$argon2id$none", at(0)).await.unwrap();
            }
            Self::Disabled => store.disable_user(user, at(0)).await.unwrap(),
            Self::DisabledAndEnabled => {
                store.disable_user(user, at(0)).await.unwrap();
                store.enable_user(user).await.unwrap();
            }
            Self::Deleted => {
                let sql = format!("delete from user_account where id = '{user}'");
                crate::bed::raw(url, &[&sql]).await.unwrap();
            }
        }
    }
}

/// The account as somebody finds it who signs in now; none if it can't.
async fn at_the_door(store: &Store) -> Option<User> {
    let found = store.find_user_by_name(&Username::parse("ada").unwrap()).await.unwrap();
    found.filter(|user| user.disabled_at.is_none())
}

on_both_databases! {
    /// T-25, T10: whoever proved the old password has no session once it is changed, also if the two ran at once.
    async fn a_session_made_with_an_old_password_is_never_good(database) {
        for change in CHANGES {
            let bed = Bed::new(database).await;
            let ada = bed.user("ada").await;
            let outcomes = race(&bed, |n, store| {
                let (ada, url) = (ada.clone(), bed.database.url.clone());
                async move {
                    if n == RACERS / 2 {
                        change.make(&store, &url, &ada).await;
                        return None;
                    }
                    let user = at_the_door(&store).await?;
                    // The password is checked, which takes a while.
                    for _ in 0..n {
                        tokio::task::yield_now().await;
                    }
                    let (session, proved) = (hash(&n.to_string()), (&user.id, user.credential));
                    // A deleted account may be gone when the row is checked for it.
                    let made = store.insert_session(&session, proved, at(0), at(100)).await.unwrap_or(false);
                    Some((n, user.credential.0, made))
                }
            })
            .await;
            let now = at_the_door(&bed.store).await.map(|user| user.credential.0);
            for (n, credential, made) in outcomes.into_keys().flatten() {
                let found = bed.store.find_session(&hash(&n.to_string()), at(1)).await.unwrap();
                assert_eq!(found.is_some(), made && Some(credential) == now, "{change:?}: {credential} {made} {now:?}");
            }
        }
    }

    /// The same, step by step: the write is refused, and a row that was written too late is none.
    async fn what_an_old_credential_writes_too_late_counts_for_nothing(database) {
        for change in CHANGES {
            let bed = Bed::new(database).await;
            let (ada, client) = (bed.user("ada").await, bed.client("c").await);
            let before = at_the_door(&bed.store).await.unwrap();
            let asked = Bed::authorization("ath_1", &client);
            bed.store.insert_authorization(&asked).await.unwrap();
            change.make(&bed.store, &bed.database.url, &ada).await;
            let proved = (&before.id, before.credential);
            assert!(!bed.store.insert_session(&hash("s"), proved, at(0), at(100)).await.unwrap(), "{change:?}");
            let grant = Bed::grant("grt_1", &ada, &client);
            assert_eq!(approve(&bed.store, before.credential, &asked, &grant, "c").await, Decided::Before, "{change:?}");
            if matches!(change, Change::Deleted) {
                continue;
            }
            for late in [
                "insert into session (token_hash, user_id, authenticated_at, expires_at) values ('HASH', 'usr_ada', 1, 9000000000)",
                "insert into authorization_code (code_hash, grant_id, client_id, user_id, redirect_uri, scope, resource,
                     code_challenge, authenticated_at, expires_at, attempts)
                 values ('HASH', 'grt_1', 'pc_c', 'usr_ada', 'https://client.example/cb', 'a', 'https://h.example/mcp', null, 1,
                     9000000000, 0)",
                "insert into consent (user_id, client_id, redirect_uri, resource, scope, offline, granted_at)
                 values ('usr_ada', 'pc_c', 'https://client.example/cb', 'https://h.example/mcp', 'a b', true, 1)",
            ] {
                bed.sql(&late.replace("HASH", hash("late").as_str())).await.unwrap();
            }
            bed.store.enable_user(&ada).await.unwrap();
            assert!(bed.store.find_session(&hash("late"), at(1)).await.unwrap().is_none(), "{change:?}");
            assert_eq!(bed.redeem(&hash("late"), "r", 1).await, Redemption::Unknown, "{change:?}");
            assert!(bed.store.consents(&ada, &client, &resource()).await.unwrap().is_empty(), "{change:?}");
            assert_eq!(bed.count("token_grant").await, 0);
        }
    }

    /// T-25: approvals and redemptions that run beside the change leave no connection, no code and no memory.
    async fn nothing_approved_with_an_old_password_outlives_it(database) {
        for change in [Change::Password, Change::DisabledAndEnabled] {
            let bed = Bed::new(database).await;
            let (ada, client) = (bed.user("ada").await, bed.client("c").await);
            let mut requests: Vec<Authorization> = Vec::new();
            for n in 0..RACERS {
                requests.push(Bed::authorization(&format!("ath_{n}"), &client));
                bed.store.insert_authorization(&requests[n]).await.unwrap();
            }
            let outcomes = race(&bed, |n, store| {
                let (ada, url, asked) = (ada.clone(), bed.database.url.clone(), requests[n].clone());
                let grant = Bed::grant(&format!("grt_{n}"), &ada, &client);
                async move {
                    if n == RACERS / 2 {
                        change.make(&store, &url, &ada).await;
                        return None;
                    }
                    let user = at_the_door(&store).await?;
                    let code = format!("code of {n}");
                    approve(&store, user.credential, &asked, &grant, &code).await;
                    // Half of them redeem at once, the others when it is over.
                    let redeemed = n % 2 == 0 && redeem(&store, n).await == Redemption::Redeemed;
                    Some((n, user.credential.0, redeemed))
                }
            })
            .await;
            let now = at_the_door(&bed.store).await.unwrap().credential.0;
            let mut old = 0;
            for (n, credential, redeemed) in outcomes.into_keys().flatten() {
                let alive = format!("select count(*) from token_grant where id = 'grt_{n}' and revoked_at is null");
                let alive = bed.number(&alive).await == 1;
                if credential == now {
                    assert_eq!(alive, redeemed, "{change:?}: a connection of the new credential is none of this");
                    continue;
                }
                old += 1;
                assert!(!alive, "{change:?}: a connection outlived its credential");
                assert_ne!(redeem(&bed.store, n).await, Redemption::Redeemed, "{change:?}: a code outlived it");
            }
            if old == RACERS - 1 {
                assert!(bed.store.consents(&ada, &client, &resource()).await.unwrap().is_empty(), "{change:?}");
            }
        }
    }

    /// A password that is only hashed anew, with another cost, is the same credential.
    async fn a_password_hashed_anew_ends_nothing(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let callback = client.authorize(&mut browser, &[]).await;
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        let waiting = client.authorize(&mut browser, &[]).await.one("code");
        let sql = "update user_account set password_hash = '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA'";
        crate::bed::raw(&server.database.url, &[sql]).await.unwrap();
        assert_eq!(browser.open("/account").await.page().url, server.url("/account"));
        client.redeem(&waiting).await.tokens();
        client.refresh(tokens.refresh()).await.tokens();
    }

    /// T-25, T10, over HTTP: 64 browsers go on signing in with the old password while it is changed, by the admin API,
    /// on the command line, or by disabling: nobody stays signed in, and what they approved leads nowhere.
    async fn signing_in_beside_a_change_leaves_nobody_signed_in(database) {
        for how in ["api", "command line", "disabled"] {
            let server = TestServer::start(database).await;
            let replica = server.replica(&[]).await;
            let client = Connector::public(&server).await;
            let over = Arc::new(AtomicBool::new(false));
            let mut tasks = Vec::new();
            for n in 0..RACERS {
                let at = if n % 2 == 0 { &server.address } else { &replica.address };
                let mut browser = Browser::at(at);
                let (action, mut fields) = browser.open("/login").await.page().fields("password");
                fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
                let over = Arc::clone(&over);
                tasks.push(tokio::spawn(async move {
                    let mut sessions = Vec::new();
                    // One try more after the change.
                    for _ in 0..1000 {
                        let last = over.load(Ordering::SeqCst);
                        let page = browser.send(Method::POST, &action, Some(&fields)).await;
                        match page.status {
                            StatusCode::SEE_OTHER => sessions.push(browser.cookies["portcullis_session"].clone()),
                            status => assert_eq!(status, StatusCode::UNAUTHORIZED),
                        }
                        if last {
                            return (sessions, page.status);
                        }
                    }
                    panic!("the change was never over");
                }));
            }
            change_over_http(&server, how).await;
            over.store(true, Ordering::SeqCst);
            let mut sessions = Vec::new();
            for task in tasks {
                let (made, last) = task.await.unwrap();
                assert_eq!(last, StatusCode::UNAUTHORIZED, "{how}: after the change was acknowledged");
                sessions.extend(made);
            }
            for session in &sessions {
                let hash = Secret::presented(session).hash();
                assert!(server.app.store().find_session(&hash, server.now()).await.unwrap().is_none(), "{how}");
            }
            let mut browser = Browser::new(&server);
            let login = browser.open(&client.authorize_url(&[])).await.page();
            if let Some(session) = sessions.last() {
                browser.cookies.insert("portcullis_session".to_owned(), session.clone());
                let again = browser.open(&login.url.replace("/login?", "/authorize?")).await.page();
                assert!(again.body.contains("name=\"password\""), "{how}");
            }
            if how != "disabled" {
                let consent = browser.sign_in_as(&login, USER, NEW_PASSWORD).await.page();
                browser.submit(&consent, &[("decision", "approve")]).await.callback().one("code");
            }
        }
    }

    /// T-25: a new password asks about every client anew, for whoever knew the old one may have approved it.
    async fn a_new_password_forgets_approvals(database) {
        let bed = Bed::new(database).await;
        let (ada, zoe, client) = (bed.user("ada").await, bed.user("zoe").await, bed.client("c").await);
        bed.connected("hers", &ada, &client).await;
        bed.connected("other", &zoe, &client).await;
        assert_eq!(bed.store.consents(&ada, &client, &resource()).await.unwrap().len(), 1);
        bed.store.set_password(&ada, "$argon2id$new", at(0)).await.unwrap();
        assert!(bed.store.consents(&ada, &client, &resource()).await.unwrap().is_empty());
        assert_eq!(bed.store.consents(&zoe, &client, &resource()).await.unwrap().len(), 1);
        // With the new one they are remembered again.
        let asked = Bed::authorization("ath_2", &client);
        bed.store.insert_authorization(&asked).await.unwrap();
        let grant = Bed::grant("grt_2", &ada, &client);
        assert_eq!(approve(&bed.store, Credential(1), &asked, &grant, "2").await, Decided::Now);
        assert_eq!(bed.store.consents(&ada, &client, &resource()).await.unwrap().len(), 1);
    }
}

/// Redeems the code of this racer.
async fn redeem(store: &Store, n: usize) -> Redemption {
    let redeem = Redeem {
        code_hash: &hash(&format!("code of {n}")),
        refresh: Some((hash(&format!("refresh {n}")), Timestamp(REFRESH_DIES))),
        grant_expires_at: Timestamp(GRANT_ENDS),
        now: at(1),
    };
    store.redeem_code(&redeem).await.unwrap()
}

/// Ends the credential of the user that every server has; returns when that is acknowledged.
async fn change_over_http(server: &TestServer, how: &str) {
    let user = server.user_id(USER).await;
    match how {
        "api" => {
            let admin = Admin::of(server).await;
            let path = format!("/users/{user}/password");
            assert_eq!(admin.send(Method::PUT, &path, &json!({ "password": NEW_PASSWORD })).await.status, 204);
        }
        "disabled" => {
            let admin = Admin::of(server).await;
            assert_eq!(admin.post(&format!("/users/{user}/disable"), &json!({})).await.status, 200);
        }
        _ => {
            let env = BTreeMap::from([
                ("PORTCULLIS__DATABASE__URL", server.database.url.clone()),
                ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY.to_owned()),
                ("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64".to_owned()),
            ]);
            let told = tokio::task::spawn_blocking(move || {
                let place = Place::new();
                let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
                place.run_with(&["user", "password", USER, "--password-stdin"], &env, NEW_PASSWORD)
            });
            let told = told.await.unwrap();
            assert!(told.good, "{told:?}");
        }
    }
}
