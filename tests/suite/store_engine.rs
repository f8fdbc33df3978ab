//! How the store carries out its work: verbs that nobody waits for any more, commits that fail, databases that change
//! their mind.

use std::time::{Duration, Instant};

use oauth::id::GrantId;
use portcullis::model::user::Credential;
use portcullis::store::{ConnectError, Store, StoreError};
use tokio::task::JoinSet;

use crate::bed::{Bed, at, hash, raw};
use crate::on_both_databases;
use crate::server::{Database, OwnDatabase, unique};

/// How long a verb waits for the database here.
const LIMIT: Duration = Duration::from_secs(2);

/// A bed whose sessions at a PostgreSQL can be told from those of other tests.
async fn bed(database: Database) -> (Bed, String) {
    let mut own = OwnDatabase::new(database).await;
    let name = format!("test_{}", unique());
    if database == Database::Postgres {
        own.url = format!("{}&application_name={name}", own.url);
    }
    let store = Store::connect(&own.url, 4, LIMIT).await.unwrap();
    store.migrate().await.unwrap();
    (Bed { database: own, store }, name)
}

/// A constraint that is looked at when a transaction commits, and breaks whenever a session is deleted.
async fn break_commits(bed: &Bed, database: Database) {
    let tables = [
        "create table kept (id bigint primary key)",
        "create table broken (id bigint references kept (id) deferrable initially deferred)",
    ];
    let trigger: &[&str] = match database {
        Database::Sqlite => &["create trigger breaks after delete on session begin insert into broken values (1); end"],
        Database::Postgres => &[
            "create function break() returns trigger language plpgsql as
             $$ begin insert into broken values (1); return null; end $$",
            "create trigger breaks after delete on session for each row execute function break()",
        ],
    };
    for sql in tables.iter().chain(trigger) {
        bed.sql(sql).await.unwrap();
    }
}

on_both_databases! {
    /// A client that hangs up while its request writes neither cuts the write in two nor leaves a transaction open, in
    /// which the next request's acknowledged writes would vanish.
    async fn a_verb_that_nobody_waits_for_ends_whole_or_never_begins(database) {
        let (bed, name) = bed(database).await;
        let ada = bed.user("ada").await;
        let client = bed.client("c").await;
        let mut grants = Vec::new();
        for n in 0..60 {
            grants.push(bed.connected(&format!("g{n}"), &ada, &client).await);
        }
        // Given up after every number of polls and at all moments from "at once" to "nearly done".
        let mut given_up = JoinSet::new();
        for n in 0..400_u64 {
            let (store, registration) = (bed.store.clone(), Bed::registration(&format!("pc_x{n}"), "x", &format!("t{n}")));
            given_up.spawn(async move {
                let limit = Duration::from_micros(n % 80 * 50);
                let _ = tokio::time::timeout(limit, store.insert_registration(&registration)).await;
            });
            if n % 8 == 0 && let Some(id) = grants.pop() {
                let revoked = bed.store.revoke_grant(&id, "by a test", at(1)).await.unwrap();
                assert!(revoked, "{id} was revoked before");
            }
        }
        given_up.join_all().await;
        for id in &grants {
            assert!(bed.store.revoke_grant(id, "by a test", at(1)).await.unwrap());
        }
        let lost = bed.number("select count(*) from token_grant where revoked_at is null").await;
        assert_eq!(lost, 0, "acknowledged revocations were undone");
        // Each registration is there with its token or not at all.
        let torn = "select count(*) from client c where c.id like 'pc_x%' and not exists
                    (select 1 from client_registration r where r.client_id = c.id)";
        assert_eq!(bed.number(torn).await, 0);
        if database == Database::Postgres {
            bed.store.close().await;
            let open = format!("select count(*) from pg_stat_activity where application_name = '{name}'
                                and state like 'idle in transaction%'");
            assert_eq!(bed.number(&open).await, 0);
        }
    }

    /// A transaction that can't be committed changes nothing, and neither it nor its connection is in the way of the next.
    async fn a_failed_commit_leaves_nothing_behind(database) {
        let (bed, _) = bed(database).await;
        let ada = bed.user("ada").await;
        break_commits(&bed, database).await;
        for round in 0..3 {
            bed.store.insert_session(&hash(&format!("s{round}")), (&ada, Credential::default()), at(0), at(100)).await.unwrap();
            let failed = bed.store.disable_user(&ada, at(1)).await;
            assert!(matches!(failed, Err(StoreError::Commit(_))), "{failed:?}");
            assert!(bed.store.find_user(&ada).await.unwrap().unwrap().disabled_at.is_none(), "half of it was done");
            assert!(bed.store.find_session(&hash("s0"), at(1)).await.unwrap().is_some());
            // Other transactions, on the same connections, are not disturbed.
            for n in 0..6 {
                bed.client(&format!("c{round}{n}")).await;
            }
        }
        bed.sql(if database == Database::Sqlite { "drop trigger breaks" } else { "drop trigger breaks on session" })
            .await
            .unwrap();
        bed.store.disable_user(&ada, at(1)).await.unwrap();
        assert!(bed.store.find_user(&ada).await.unwrap().unwrap().disabled_at.is_some());
    }

    /// What is refused inside a transaction is undone whole.
    async fn a_refusal_inside_a_transaction_undoes_it(database) {
        let (bed, _) = bed(database).await;
        bed.user("ada").await;
        bed.store.insert_setup_link(&hash("link"), at(100)).await.unwrap();
        let taken = bed.store.insert_first_user(&hash("link"), &Bed::new_user("ada"), at(1)).await;
        assert!(crate::bed::is_taken(&taken), "{taken:?}");
        assert!(bed.store.is_setup_link(&hash("link"), at(1)).await.unwrap(), "the link was used up by a refusal");
        assert!(bed.store.insert_first_user(&hash("link"), &Bed::new_user("bob"), at(1)).await.is_ok());
    }

    /// A closed store says so; nothing waits for it.
    async fn a_closed_store_refuses_work(database) {
        let (bed, _) = bed(database).await;
        bed.store.close().await;
        let asked = Instant::now();
        assert!(matches!(bed.store.beat(at(0)).await, Err(StoreError::Stopped)));
        assert!(matches!(bed.store.revoke_grant(&GrantId::new("x"), "", at(1)).await, Err(StoreError::Stopped)));
        assert!(asked.elapsed() < LIMIT);
    }
}

/// A PostgreSQL database of the test's own, where a whole database is needed and not only a schema.
async fn whole_database() -> (String, String, String) {
    let base = OwnDatabase::new(Database::Postgres).await.url;
    let name = format!("test_{}", unique());
    raw(&base, &[&format!("create database {name}")]).await.unwrap();
    let mut url = url::Url::parse(&base).unwrap();
    url.set_path(&name);
    url.set_query(None);
    (base, url.to_string(), name)
}

/// After a fail-over sessions may be read-only (SQLSTATE 25006) or ended (57P01): they are replaced, errors come within
/// the limit while there is no better one, and the first that can write is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_cannot_write_are_replaced() {
    let (base, url, name) = whole_database().await;
    let store = Store::connect(&url, 4, LIMIT).await.unwrap();
    store.migrate().await.unwrap();
    let expires = at(100);
    store.insert_setup_link(&hash("before"), expires).await.unwrap();
    for round in 0..2 {
        raw(&base, &[&format!("alter database {name} set default_transaction_read_only = on")]).await.unwrap();
        let end = format!("select pg_terminate_backend(pid)::text from pg_stat_activity where datname = '{name}'");
        raw(&base, &[&end]).await.unwrap();
        let asked = Instant::now();
        let refused = store.insert_setup_link(&hash("during"), expires).await;
        assert!(matches!(refused, Err(StoreError::ReadOnly | StoreError::Database(_))), "{refused:?}");
        // The limit, and what a busy machine takes.
        assert!(asked.elapsed() < LIMIT * 5, "{:?}", asked.elapsed());
        let refused = Store::connect(&url, 4, LIMIT).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Open(StoreError::ReadOnly)), "{refused:?}");
        raw(&base, &[&format!("alter database {name} reset default_transaction_read_only")]).await.unwrap();
        store.insert_setup_link(&hash(&format!("after {round}")), expires).await.unwrap();
    }
    store.close().await;
    raw(&base, &[&format!("drop database {name} with (force)")]).await.unwrap();
}

/// Who can't connect is told the place and the operating system's or the database's own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_reached_is_named_with_the_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = Store::connect(&format!("postgres://u:hidden@127.0.0.1:{port}/d"), 4, LIMIT).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("refused"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    let mut url = url::Url::parse(&OwnDatabase::new(Database::Postgres).await.url).unwrap();
    url.set_password(Some("wrong-password")).unwrap();
    let asked = Instant::now();
    let text = Store::connect(url.as_str(), 4, Duration::from_secs(30)).await.unwrap_err().to_string();
    assert!(text.contains("password authentication failed") && !text.contains("wrong-password"), "{text}");
    assert!(asked.elapsed() < Duration::from_secs(14), "a wrong password was tried again and again");
}
