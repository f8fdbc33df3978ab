//! What outlives a process, what replicas share, and what clients hear when the database is away.

use std::time::{Duration, Instant};

use portcullis::app::{App, BuildError};
use portcullis::crypto::random::Random;
use portcullis::fetch::Resolver;
use portcullis::model::clock::Clock;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::bed::raw;
use crate::browser::Browser;
use crate::cli::{Place, env_of, run_aside};
use crate::connector::{Answer, Connector, register};
use crate::link::Link;
use crate::on_both_databases;
use crate::server::{Database, OwnDatabase, START, TestServer, USER, http};

/// A database that goes away and comes back while a server runs on it.
pub enum Outage {
    Postgres(Box<Link>),
    /// Another process that holds the lock of the file.
    Sqlite(Box<SqliteConnection>),
}

impl Outage {
    /// A server whose database can be taken away, with an account.
    pub async fn server(database: Database) -> (TestServer, Self) {
        let own = OwnDatabase::new(database).await;
        let patience = ("PORTCULLIS__DATABASE__ACQUIRE_TIMEOUT", "1s");
        let (settings, outage) = match database {
            Database::Postgres => {
                let link = Link::to_database(&own.url);
                (vec![("PORTCULLIS__DATABASE__URL", link.url(&own.url))], Self::Postgres(Box::new(link)))
            }
            Database::Sqlite => {
                drop(TestServer::on(own.clone(), &[], None).await.stop().await);
                let other = SqliteConnection::connect(&own.url).await.unwrap();
                (Vec::new(), Self::Sqlite(Box::new(other)))
            }
        };
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).chain([patience]).collect();
        let server = TestServer::on(own, &settings, None).await;
        server.add_user(USER, crate::server::PASSWORD, portcullis::model::user::Role::User).await;
        (server, outage)
    }

    pub async fn begin(&mut self) {
        match self {
            Self::Postgres(link) => link.cut().await,
            Self::Sqlite(other) => drop(sqlx::raw_sql("begin exclusive").execute(&mut **other).await.unwrap()),
        }
    }

    pub async fn end(&mut self) {
        match self {
            Self::Postgres(link) => link.mend(),
            Self::Sqlite(other) => drop(sqlx::raw_sql("rollback").execute(&mut **other).await.unwrap()),
        }
    }
}

/// 503 with an invitation to come back, and with no word that would make a client throw anything away (T-05).
fn assert_our_trouble(answer: &Answer) {
    answer.refused(503, "temporarily_unavailable");
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert!(!answer.text.contains("invalid_"), "{}", answer.text);
    assert!(!answer.headers.contains_key("www-authenticate"));
    assert!(answer.json["reference"].as_str().is_some_and(|own| answer.text.matches(own).count() == 2));
}

async fn status(server: &TestServer, path: &str) -> StatusCode {
    http().get(format!("{}{path}", server.address)).send().await.unwrap().status()
}

/// Sends the same until the server is well again, in real time.
async fn until_well<F: AsyncFn() -> Answer>(send: F) -> Answer {
    let began = Instant::now();
    loop {
        let answer = send().await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "still {}", answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

on_both_databases! {
    /// B-35, B-36, D6: a server may be restarted between any two steps: everything lies in the database.
    async fn a_restart_between_any_two_steps_is_not_noticed(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        // The form of a page that the old process showed.
        let server = server.restart(&[]).await;
        browser.turn_to(&server);
        let consent = browser.sign_in(&login).await.page();
        let server = server.restart(&[]).await;
        browser.turn_to(&server);
        let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
        let server = server.restart(&[]).await;
        let client = client.turned_to(&server);
        let tokens = client.redeem(&callback.one("code")).await.tokens();
        let server = server.restart(&[]).await;
        let client = client.turned_to(&server);
        assert!(client.is_let_in(&tokens.access).await);
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        let server = server.restart(&[]).await;
        let client = client.turned_to(&server);
        assert!(client.is_let_in(&tokens.access).await && client.is_let_in(&renewed.access).await);
        // The browser is still signed in, and the code is still known to have been used.
        browser.turn_to(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        assert!(page.body.contains("value=\"approve\""), "{}", page.url);
        client.redeem(&callback.one("code")).await.refused(400, "invalid_grant");
        let server = server.restart(&[]).await;
        assert!(!client.turned_to(&server).is_let_in(&renewed.access).await, "revocations are remembered");
    }

    /// B-35, D1: the server dies after it stored a rotation and before the answer left: the retry gets that answer.
    async fn a_restart_between_refresh_and_answer_loses_nothing(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let lost = client.refresh(tokens.refresh()).await.tokens();
        let server = server.restart(&[]).await;
        server.advance(76).await;
        let client = client.turned_to(&server);
        let again = client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(again.refresh, lost.refresh);
        assert!(client.is_let_in(&again.access).await);
        assert_eq!(client.refresh(again.refresh()).await.status, StatusCode::OK);
    }

    /// B-38: bringing the schema up to date once more changes nothing for what is connected.
    async fn migrating_again_keeps_connections(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        server.app.store().migrate().await.unwrap();
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        assert!(client.is_let_in(&renewed.access).await);
    }

    /// D6: a server with another master key refuses to start, instead of logging everybody out.
    async fn another_master_key_refuses_to_start(database) {
        let server = TestServer::start(database).await;
        let mut config = server.config.clone();
        config.keys.master_key = Some([9; 32]);
        let (clock, _) = Clock::settable(START);
        let built = App::build(config, server.app.store().clone(), clock, Random::system(), Resolver::system()).await;
        let Err(BuildError::Keys(error)) = built else { panic!("it started") };
        assert!(error.to_string().contains("master key"), "{error}");
    }

    /// B-36: each step at another replica; nothing is kept in a process.
    async fn replicas_share_every_step(database) {
        let one = TestServer::start(database).await;
        let two = one.replica(&[]).await;
        let here = Connector::public(&one).await;
        let there = here.turned_to(&two);
        let mut browser = Browser::new(&one);
        let login = browser.open(&here.authorize_url(&[])).await.page();
        browser.turn_to(&two);
        let login = browser.open(login.url.strip_prefix(&one.address).unwrap()).await.page();
        let consent = browser.sign_in(&login).await.page();
        assert!(consent.url.starts_with(&two.address));
        browser.turn_to(&one);
        let (action, mut fields) = consent.fields("authorization");
        fields.insert("decision".to_owned(), "approve".to_owned());
        let approved = browser.send(Method::POST, &action, Some(&fields)).await;
        let callback = browser.follow(approved).await.callback();
        assert_eq!(callback.one("iss"), one.origin, "every replica is the same issuer");
        let tokens = here.redeem(&callback.one("code")).await.tokens();
        assert!(there.is_let_in(&tokens.access).await);
        let renewed = there.refresh(tokens.refresh()).await.tokens();
        assert_eq!(here.refresh(tokens.refresh()).await.tokens().refresh, renewed.refresh, "the same successor everywhere");
        assert!(here.is_let_in(&renewed.access).await);
        // Used here, replayed there.
        there.redeem(&callback.one("code")).await.refused(400, "invalid_grant");
        one.advance(1).await;
        assert!(!here.is_let_in(&renewed.access).await);
    }

    /// B-36, T-14, T-21: replicas race as one.
    async fn replicas_race_as_one(database) {
        let one = TestServer::start(database).await;
        let two = one.replica(&[]).await;
        let here = Connector::public(&one).await;
        let there = here.turned_to(&two);
        let tokens = here.connect().await;
        let code = here.authorize(&mut Browser::new(&one), &[]).await.one("code");
        let mut redeemers = JoinSet::new();
        let mut refreshers = JoinSet::new();
        for racer in 0..16 {
            let client = if racer % 2 == 0 { here.clone() } else { there.clone() };
            let (code, token) = (code.clone(), tokens.refresh().to_owned());
            let other = client.clone();
            redeemers.spawn(async move { client.redeem(&code).await });
            refreshers.spawn(async move { other.refresh(&token).await });
        }
        let redeemed = redeemers.join_all().await;
        assert_eq!(redeemed.iter().filter(|own| own.status == StatusCode::OK).count(), 1);
        let refreshed: Vec<_> = refreshers.join_all().await.iter().map(Answer::tokens).collect();
        assert!(refreshed.iter().all(|own| own.refresh == refreshed[0].refresh));
    }

    /// B-35, D5, T-05, T-26: while nothing can be stored every answer is 503, nothing is spent, and afterwards the
    /// very same requests succeed, without a restart.
    async fn an_outage_is_503_and_never_an_oauth_refusal(database) {
        let (server, mut outage) = Outage::server(database).await;
        let client = Connector::public(&server).await;
        let (refreshed, revoked) = (client.connect().await, client.connect().await);
        let code = client.authorize(&mut Browser::new(&server), &[]).await.one("code");
        outage.begin().await;
        assert_our_trouble(&client.redeem(&code).await);
        assert_our_trouble(&client.refresh(refreshed.refresh()).await);
        assert_our_trouble(&client.revoke(revoked.refresh()).await);
        assert_our_trouble(&register(&server, &client.registration).await);
        let page = Browser::new(&server).open(&client.authorize_url(&[])).await.page();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(page.headers.contains_key("retry-after"));
        // Calls with good tokens go on: they need no database.
        let call = client.call(&refreshed.access, "search", json!({ "query": "connect" })).await;
        assert_eq!(call.status, StatusCode::OK, "{}", call.text);
        outage.end().await;
        let redeemed = until_well(async || client.redeem(&code).await).await.tokens();
        let renewed = until_well(async || client.refresh(refreshed.refresh()).await).await.tokens();
        assert_eq!(until_well(async || client.revoke(revoked.refresh()).await).await.status, StatusCode::OK);
        server.advance(1).await;
        assert!(client.is_let_in(&redeemed.access).await && client.is_let_in(&renewed.access).await);
        assert!(!client.is_let_in(&revoked.access).await);
    }

    /// T-26: a rotation whose answer was 503 was not stored half: the token still has its first use before it.
    async fn a_refused_rotation_is_not_a_first_use(database) {
        let (server, mut outage) = Outage::server(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        outage.begin().await;
        assert_our_trouble(&client.refresh(tokens.refresh()).await);
        outage.end().await;
        // Far beyond the grace window: a first use it is all the same.
        server.pass(3600);
        let renewed = until_well(async || client.refresh(tokens.refresh()).await).await.tokens();
        server.advance(1).await;
        assert!(client.is_let_in(&renewed.access).await);
    }
}

/// B-35, T-05: when PostgreSQL can't be reached at all, nothing can be said about clients and tokens either: an unknown
/// client is not called unknown, and after half a minute a good token is neither let in nor refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_nobody_is_called_unknown() {
    let (server, mut outage) = Outage::server(Database::Postgres).await;
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    outage.begin().await;
    assert_our_trouble(
        &client.token(&[("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "y")]).await,
    );
    assert_our_trouble(&client.redeem("pcc_unknown").await);
    let ready = status(&server, "/readyz").await;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&server, "/healthz").await, StatusCode::OK);
    server.pass(31);
    let unsure = client.call(&tokens.access, "search", json!({ "query": "x" })).await;
    assert_eq!(unsure.status, StatusCode::SERVICE_UNAVAILABLE, "{}", unsure.text);
    assert!(unsure.headers.contains_key("retry-after") && !unsure.headers.contains_key("www-authenticate"));
    // Who has no good token is told so as ever.
    let refused = client.call("nonsense", "search", json!({ "query": "x" })).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    outage.end().await;
    let call = until_well(async || client.call(&tokens.access, "search", json!({ "query": "x" })).await).await;
    assert_eq!(call.status, StatusCode::OK, "{}", call.text);
    assert_eq!(until_well(async || client.refresh(tokens.refresh()).await).await.status, StatusCode::OK);
}

/// Marks a database as upgraded.
pub fn newer(version: i64) -> String {
    format!(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select {version}, 'later', success, checksum, 0 from _sqlx_migrations where version = 1"
    )
}

on_both_databases! {
    /// Whatever opens the database says that a newer version made it, with both numbers and the way out.
    async fn a_database_of_a_newer_version_is_named_so(database) {
        let server = TestServer::start(database).await;
        let url = server.stop().await;
        let known = portcullis::store::known_schema();
        raw(&url.url, &[&newer(known + 2)]).await.unwrap();
        raw(&url.url, &[&newer(known + 1)]).await.unwrap();
        let place = Place::new();
        for command in [
            &["serve"][..],
            &["migrate"],
            &["user", "list"],
            &["client", "list"],
            &["token", "list"],
            &["keys", "list"],
            &["keys", "rotate"],
            &["attempts", "list"],
            &["doctor", "--attempt", "K7QD-2M4X"],
        ] {
            let refused = run_aside(&place, command, &env_of(&url.url)).await;
            let words = [format!("newer version of Portcullis: its schema has number {}", known + 2), format!("up to {known}")];
            assert!(!refused.good && words.iter().all(|word| refused.err.contains(word)), "{command:?}: {refused:?}");
            assert!(refused.err.contains("portcullis restore"), "{refused:?}");
        }
    }
}
