//! Background work: jobs that fail alone, deletions in bites, and a server that says whether it can do its job.

use std::time::Duration;

use portcullis::model::user::Credential;
use portcullis::store::{BITE, Expired};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::bed::{Bed, at, hash};
use crate::browser::Browser;
use crate::connector::Connector;
use crate::on_both_databases;
use crate::server::{Database, START, TestServer, http};

/// Adds `count` expired sessions of the one user, past the store.
async fn expired_sessions(server: &TestServer, count: u64) {
    let rows = format!(
        "insert into session (token_hash, user_id, authenticated_at, expires_at)
         with recursive n (i) as (select 1 union all select i + 1 from n where i < {count})
         select 'old ' || i, (select min(id) from user_account), {START} - 100, {START} - 10 from n"
    );
    server.sql(&rows).await;
}

/// Waits until the server says this of itself: what it found out holds for a second.
async fn until(server: &TestServer, status: StatusCode, body: &Value) {
    let mut seen = None;
    for _ in 0..300 {
        let now = ready(server).await;
        if now == (status, body.clone()) {
            return;
        }
        seen = Some(now);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {status} {body}; last {seen:?}");
}

async fn ready(server: &TestServer) -> (StatusCode, Value) {
    let answer = http().get(format!("{}/readyz", server.address)).send().await.unwrap();
    let status = answer.status();
    assert_eq!(answer.headers().contains_key("retry-after"), status != StatusCode::OK);
    (status, answer.json().await.unwrap())
}

on_both_databases! {
    /// However much has gathered, one write takes a bite, and requests get their turn between two.
    async fn forgetting_takes_bites(database) {
        let server = TestServer::start(database).await;
        expired_sessions(&server, 2 * BITE + 3).await;
        let store = server.app.store();
        let mut bites = Vec::new();
        for _ in 0..4 {
            bites.push(store.forget(Expired::Sessions, server.now(), server.now()).await.unwrap());
        }
        assert_eq!(bites, [BITE, BITE, 3, 0]);
        expired_sessions(&server, 2 * BITE + 3).await;
        server.app.sweep().await.unwrap();
        assert_eq!(server.number("select count(*) from session").await, 0);
    }

    /// A grant takes no tokens with it when it is forgotten: they went before, in bites.
    async fn no_row_drags_many_others_along(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let grant = bed.connected("g", &ada, &client).await;
        let tokens = format!(
            "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
             with recursive n (i) as (select 1 union all select i + 1 from n where i < {BITE})
             select 'r ' || i, 'grt_g', 0, {end}, 0 from n", end = at(1_000).0
        );
        bed.sql(&tokens).await.unwrap();
        bed.store.revoke_grant(&grant, "x", at(1)).await.unwrap();
        assert_eq!(bed.sweep(at(2), at(2)).await, BITE + 2);
        assert_eq!((bed.count("refresh_token").await, bed.count("token_grant").await), (0, 0));
    }

    /// A job that fails stops no other, and neither does a table that can't be swept stop the next.
    async fn a_job_that_fails_stops_no_other(database) {
        for broken in ["client_assertion", "setup_link", "authorization_request", "attempt_event"] {
            let server = TestServer::with(database, &[("PORTCULLIS__KEYS__ROTATE_EVERY", "1d")]).await;
            expired_sessions(&server, 5).await;
            server.sql(&format!("alter table {broken} rename to elsewhere")).await;
            server.pass(2 * 86_400);
            let failed = server.app.sweep().await;
            assert!(failed.is_err(), "{broken} is gone, and nothing failed");
            assert_eq!(server.number("select count(*) from session").await, 0, "without {broken}");
            assert_eq!(server.number("select count(*) from signing_key").await, 2, "without {broken}");
        }
    }

    /// Ready means: a write goes through, the view of revocations is fresh, the keys can sign. Anything less is 503.
    async fn readiness_tells_whether_the_whole_job_can_be_done(database) {
        let server = TestServer::start(database).await;
        let engine = if database == Database::Sqlite { "sqlite" } else { "postgres" };
        let good = json!({ "status": "ready", "database": engine });
        let failing = |what: &str| json!({ "status": "not ready", "database": engine, "failing": [what] });
        until(&server, StatusCode::OK, &good).await;
        // Reads work, writes don't.
        server.sql("alter table heartbeat rename to elsewhere").await;
        until(&server, StatusCode::SERVICE_UNAVAILABLE, &failing("database")).await;
        server.sql("alter table elsewhere rename to heartbeat").await;
        until(&server, StatusCode::OK, &good).await;
        // A key that this server can't open: it could not check what other copies sign.
        let kid = server.text("select kid from signing_key").await;
        server.sql("update signing_key set kid = 'key_other'").await;
        until(&server, StatusCode::SERVICE_UNAVAILABLE, &failing("keys")).await;
        server.sql(&format!("update signing_key set kid = '{kid}'")).await;
        until(&server, StatusCode::OK, &good).await;
        assert_eq!(http().get(format!("{}/healthz", server.address)).send().await.unwrap().status(), StatusCode::OK);
    }

    /// A request that nobody signs in to is forgotten minutes later; signing in gives it the time that a person has.
    async fn requests_that_nobody_signed_in_to_are_short_lived(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let ends = || server.number("select min(expires_at) from authorization_request");
        assert_eq!(ends().await, START + 600);
        browser.sign_in(&page).await;
        assert_eq!(ends().await, START + 1_800);
        let mut stranger = Browser::new(&server);
        stranger.open(&client.authorize_url(&[])).await;
        server.pass(600 + 301);
        server.app.sweep().await.unwrap();
        assert_eq!(server.number("select count(*) from authorization_request").await, 1);
        assert_eq!(ends().await, START + 1_800);
    }

    /// What one network, and all strangers together, can make this server keep is bounded in bytes; who is signed in is
    /// kept waiting by no stranger.
    async fn strangers_cannot_fill_the_disk(database) {
        let server = TestServer::with(database, &[
            ("PORTCULLIS__LIMITS__ENABLED", "true"),
            ("PORTCULLIS__LIMITS__AUTHORIZE_PER_MINUTE", "1000"),
            ("PORTCULLIS__LIMITS__AUTHORIZE_KIB_PER_MINUTE", "200"),
            ("PORTCULLIS__LIMITS__AUTHORIZE_KIB_PER_MINUTE_TOTAL", "400"),
            ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
        ]).await;
        let client = Connector::public(&server).await;
        let state = "s".repeat(15_000);
        let url = client.authorize_url(&[("state", &state)]);
        let from = async |network: u8| {
            let mut kept = 0;
            for _ in 0..40 {
                let request = http().get(&url).header("x-forwarded-for", format!("203.0.113.{network}"));
                let status = request.send().await.unwrap().status();
                if status == StatusCode::TOO_MANY_REQUESTS {
                    return kept;
                }
                assert!(status.is_redirection(), "{status}");
                kept += 1;
            }
            kept
        };
        let first = from(1).await;
        assert!((10..=16).contains(&first), "one network left {first} requests of 15 kB");
        let rest = [from(2).await, from(3).await, from(4).await];
        let all = first + rest.iter().sum::<i32>();
        assert!((20..=32).contains(&all), "all networks left {all} requests of 15 kB: {first}, {rest:?}");
        // Registrations are stored as well, and have a ceiling.
        let uri = |n: usize| format!("https://a.example/{n}/{}", "x".repeat(900));
        let large = json!({ "redirect_uris": (0..20).map(uri).collect::<Vec<_>>() });
        let answer = http().post(server.url("/register")).json(&large).send().await.unwrap();
        let text = answer.text().await.unwrap();
        assert!(text.contains("invalid_client_metadata") && text.contains("16384"), "{text}");
        // A person who is signed in is not held up by what strangers left.
        let mut browser = Browser::new(&server);
        let page = browser.open(&server.url("/account")).await.page();
        browser.sign_in(&page).await;
        let page = browser.open(&client.authorize_url(&[])).await.page();
        assert!(page.status.is_success(), "{}", page.status);
    }
}

/// The rows that a test adds past the store are those that the sweep looks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_last_are_kept() {
    let bed = Bed::new(Database::Sqlite).await;
    let ada = bed.user("ada").await;
    bed.store.insert_session(&hash("s"), (&ada, Credential::default()), at(0), at(100)).await.unwrap();
    assert_eq!(bed.sweep(at(99), at(0)).await, 0);
}
