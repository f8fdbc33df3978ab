//! What happens to connections to PostgreSQL, and to PostgreSQL itself.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::cluster::Cluster;
use crate::link::Link;
use crate::server::{Database, OwnDatabase};
use crate::trial::{Broken, Trial, span};

/// A database of the test's own behind a link.
async fn linked() -> (OwnDatabase, Link) {
    let own = OwnDatabase::whole(Database::Postgres).await;
    let link = Link::to_database(&own.url);
    (own, link)
}

/// Changes the database under a server that works: where both lock several tables, PostgreSQL may end ours (40P01).
async fn sql(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for _ in 0..20 {
        match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01") => {}
            done => {
                done.unwrap();
                return;
            }
        }
    }
    panic!("twenty deadlocks: {sql}");
}

fn name_of(own: &OwnDatabase) -> String {
    url::Url::parse(&own.url).unwrap().path().trim_start_matches('/').to_owned()
}

/// Nothing comes through and nothing is closed, as when a host dies; new connections then lead to one that lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_connections_are_left_for_fresh_ones() {
    let (own, mut link) = linked().await;
    let mut trial =
        Trial::begin("PostgreSQL: connections hang, new ones too", &own.url, &link.url(&own.url), &[]).await;
    link.freeze();
    trial.breaks(Broken::All);
    tokio::time::sleep(span()).await;
    trial.mends();
    link.leave_behind().await;
    trial.judge().await;
}

/// The same for so long that not even calls with good tokens can be answered any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_long_silence_is_over_within_seconds() {
    let (own, mut link) = linked().await;
    let mut trial = Trial::begin("PostgreSQL: connections hang for 45 s", &own.url, &link.url(&own.url), &[]).await;
    link.freeze();
    trial.breaks(Broken::All);
    tokio::time::sleep(Duration::from_secs(45)).await;
    trial.mends();
    link.leave_behind().await;
    trial.judge().await;
}

/// All connections that are open hang for ever; fresh ones would work at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_hang_alone_are_replaced() {
    let (own, mut link) = linked().await;
    let mut trial = Trial::begin("PostgreSQL: open connections hang", &own.url, &link.url(&own.url), &[]).await;
    link.freeze();
    trial.breaks(Broken::Some);
    link.leave_behind().await;
    trial.mends();
    trial.judge().await;
}

/// The network drops everything, the answers to new connections too, and then it carries what was underway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_network_that_drops_everything_is_503_until_it_is_back() {
    let (own, mut link) = linked().await;
    let mut trial = Trial::begin("PostgreSQL: network gone (dropped)", &own.url, &link.url(&own.url), &[]).await;
    link.freeze();
    trial.breaks(Broken::All);
    let listener = link.vanish().await;
    tokio::time::sleep(span()).await;
    trial.mends();
    link.answer(listener);
    trial.judge().await;
}

/// D-20: every answer of the database comes late: a request that asks many questions waits no longer than one that asks one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_no_longer_however_much_it_asks() {
    let (own, link) = linked().await;
    let mut trial = Trial::begin("PostgreSQL: every answer is 0.15 s late", &own.url, &link.url(&own.url), &[]).await;
    link.slow_down(Duration::from_millis(150));
    trial.breaks(Broken::Some);
    tokio::time::sleep(span()).await;
    trial.mends();
    link.thaw();
    trial.judge().await;
}

/// Connections are reset, and new ones are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_network_that_refuses_is_503_until_it_is_back() {
    let (own, mut link) = linked().await;
    let mut trial = Trial::begin("PostgreSQL: connections reset and refused", &own.url, &link.url(&own.url), &[]).await;
    link.cut().await;
    trial.breaks(Broken::All);
    tokio::time::sleep(span()).await;
    trial.mends();
    link.mend();
    trial.judge().await;
}

/// After a fail-over sessions may lead to what can only be read (SQLSTATE 25006), while fresh ones can write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_sessions_are_left_for_fresh_ones() {
    let cluster = Cluster::start(&["max_connections=50"]);
    let url = cluster.url("postgres");
    let mut trial = Trial::begin("PostgreSQL: open sessions became read-only", &url, &url, &[]).await;
    trial.breaks(Broken::Some);
    // What is said of the database goes before what is said of the whole server, but only sessions that begin read it.
    cluster.sql("alter database postgres set default_transaction_read_only = off").await;
    cluster.sql("alter system set default_transaction_read_only = on").await;
    cluster.sql("select pg_reload_conf()").await;
    trial.mends();
    trial.judge().await;
}

/// For a while there is nothing but read-only sessions, as between the loss of a primary and the promotion of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_database_that_takes_no_writes_is_503_until_it_does() {
    let own = OwnDatabase::whole(Database::Postgres).await;
    let name = name_of(&own);
    let mut trial = Trial::begin("PostgreSQL: all sessions are read-only", &own.url, &own.url, &[]).await;
    sql(&own.url, &format!("alter database {name} set default_transaction_read_only = on")).await;
    end_sessions(&own.url).await;
    trial.breaks(Broken::Writes);
    tokio::time::sleep(span()).await;
    let writable = "begin read write; alter database NAME reset default_transaction_read_only; commit";
    trial.mends();
    sql(&own.url, &writable.replace("NAME", &name)).await;
    trial.judge().await;
}

async fn end_sessions(url: &str) {
    let all = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    sql(url, all).await;
}

/// An administrator ends all sessions (SQLSTATE 57P01), again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_sessions_are_replaced_at_once() {
    let own = OwnDatabase::whole(Database::Postgres).await;
    let mut trial = Trial::begin("PostgreSQL: all sessions ended, ten times", &own.url, &own.url, &[]).await;
    trial.breaks(Broken::Some);
    for _ in 0..10 {
        end_sessions(&own.url).await;
        tokio::time::sleep(span() / 10).await;
    }
    trial.mends();
    trial.judge().await;
}

/// The statements succeed and COMMIT fails: here with "disk full" (53100).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_on_postgres_harms_nothing_after_it() {
    let own = OwnDatabase::whole(Database::Postgres).await;
    let mut trial = Trial::begin("PostgreSQL: COMMIT fails (disk full)", &own.url, &own.url, &[]).await;
    let function = "create function fault() returns trigger language plpgsql as
        $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$;";
    let trigger = "create constraint trigger fault after insert or update on TABLE deferrable initially deferred
        for each row execute function fault();";
    let triggers = ["client", "session", "refresh_token", "token_grant"].map(|table| trigger.replace("TABLE", table));
    let fault = function.to_owned() + &triggers.concat();
    sql(&own.url, &fault).await;
    trial.breaks(Broken::Parts);
    tokio::time::sleep(span()).await;
    trial.mends();
    sql(&own.url, "drop function fault cascade").await;
    trial.judge().await;
}

/// The server crashes and starts again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_immediate_restart_is_survived() {
    let cluster = Cluster::start(&["max_connections=50"]);
    let url = cluster.url("postgres");
    let mut trial = Trial::begin("PostgreSQL: pg_ctl restart -m immediate", &url, &url, &[]).await;
    trial.breaks(Broken::Some);
    cluster.restart_immediately();
    trial.mends();
    trial.judge().await;
}

/// The server stands still: it neither answers nor closes anything, and the kernel accepts connections for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_paused_server_is_503_until_it_goes_on() {
    let cluster = Cluster::start(&["max_connections=50"]);
    let url = cluster.url("postgres");
    let mut trial = Trial::begin("PostgreSQL: server paused (SIGSTOP)", &url, &url, &[]).await;
    cluster.signal("STOP");
    trial.breaks(Broken::All);
    tokio::time::sleep(span()).await;
    trial.mends();
    cluster.signal("CONT");
    trial.judge().await;
}
