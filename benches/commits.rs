//! The raw commits: the statements of a verb of the store, in its transaction, through the same library with the
//! same settings, and nothing else. What is read before and signed in between isn't there.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::store::Store;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};

use crate::CONNECTIONS;

/// A moment that all rows may have.
const NOW: i64 = 1_800_000_000;
const LATER: i64 = NOW + 1_000_000;
const REDIRECT_URI: &str = "https://client.example/Person-1/callback";
const GRANTS: &str = "[\"authorization_code\",\"refresh_token\"]";
const SCOPE: &str = "account:read docs:read docs:search";
const RESOURCE: &str = "http://127.0.0.1:8080/mcp";

#[derive(Clone, Debug)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs a block in a transaction, as the store does.
macro_rules! transact {
    ($pool:expr, |$tx:ident| $body:block) => {
        match $pool {
            Pool::Sqlite(pool) => {
                let mut $tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                $body
                $tx.commit().await.unwrap();
            }
            Pool::Postgres(pool) => {
                let mut $tx = pool.begin().await.unwrap();
                $body
                $tx.commit().await.unwrap();
            }
        }
    };
}

/// Executes one statement with these values.
macro_rules! execute {
    ($db:expr, $sql:expr, $($value:expr),* $(,)?) => {
        sqlx::query($sql)$(.bind($value))*.execute($db).await.unwrap()
    };
}

/// What is committed.
#[derive(Clone, Copy, Debug)]
enum Rows {
    Refresh,
    Flow,
    Registration,
}

/// The settings of `store/connect.rs`.
async fn open(url: &str) -> Pool {
    let wait = Duration::from_secs(5);
    if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url)
            .unwrap()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(wait);
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(wait).test_before_acquire(false);
        Pool::Sqlite(pool.connect_with(options).await.unwrap())
    } else {
        let options = PgConnectOptions::from_str(url).unwrap().application_name("portcullis");
        let pool = PgPoolOptions::new().max_connections(10).acquire_timeout(wait).test_before_acquire(false);
        Pool::Postgres(pool.connect_with(options).await.unwrap())
    }
}

/// Whether the PostgreSQL at hand writes to its disk before it says yes: without that its commits are much
/// quicker than those of any database that matters, and the ratios say little.
pub(crate) async fn durability(url: &str) -> String {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    let (fsync, version): (String, String) =
        sqlx::query_as("select current_setting('fsync'), current_setting('server_version')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let warning =
        if fsync == "on" { "" } else { ": its commits last until the next power cut, and its ratios say little" };
    format!("PostgreSQL {version} on the same machine, fsync {fsync}{warning}.")
}

/// A worker with rows of its own.
#[derive(Debug)]
struct Worker {
    pool: Pool,
    number: usize,
    count: u64,
    user: String,
    client: String,
    grant: String,
    last: String,
}

/// Serves orders: each line of the input is a number of milliseconds to work, each line of the output how often
/// that was done.
pub(crate) async fn run(url: &str, rows: &str) {
    let rows = match rows {
        "refresh" => Rows::Refresh,
        "flow" => Rows::Flow,
        "registration" => Rows::Registration,
        other => panic!("no rows {other}"),
    };
    let store = Store::connect(url, 1, Duration::from_secs(5)).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let pool = open(url).await;
    let mut workers = Vec::new();
    for number in 0..CONNECTIONS {
        workers.push(Worker::new(pool.clone(), number).await);
    }
    println!("ready");
    // Reading blocks, and nothing else is to be done meanwhile.
    for order in std::io::stdin().lines() {
        let until = Instant::now() + Duration::from_millis(order.unwrap().parse().unwrap());
        let total = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = workers
            .drain(..)
            .map(|mut worker| {
                let total = Arc::clone(&total);
                tokio::spawn(async move {
                    while Instant::now() < until {
                        worker.commit(rows).await;
                        total.fetch_add(1, Ordering::Relaxed);
                    }
                    worker
                })
            })
            .collect();
        for task in tasks {
            workers.push(task.await.unwrap());
        }
        println!("{}", total.load(Ordering::Relaxed));
    }
}

impl Worker {
    async fn new(pool: Pool, number: usize) -> Self {
        let mut worker = Self {
            pool,
            number,
            count: 0,
            user: String::new(),
            client: String::new(),
            grant: String::new(),
            last: String::new(),
        };
        (worker.user, worker.client, worker.grant) = (worker.id("usr_"), worker.id("pc_"), worker.id("grt_"));
        worker.last = worker.id("");
        let Self { user, client, grant, last, .. } = &worker;
        transact!(&worker.pool, |tx| {
            execute!(
                &mut *tx,
                "insert into user_account (id, username, display_name, password_hash, role, created_at)
                 values ($1, $1, $1, $1, 'user', $2)",
                user,
                NOW,
            );
            execute!(
                &mut *tx,
                "insert into client (id, redirect_uris, auth_method, grant_types, scope, shared, registered_at)
                 values ($1, '[]', 'none', '[]', '', false, $2)",
                client,
                NOW,
            );
            execute!(
                &mut *tx,
                "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                     created_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
                grant,
                user,
                client,
                REDIRECT_URI,
                SCOPE,
                RESOURCE,
                NOW,
                LATER,
            );
            execute!(
                &mut *tx,
                "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
                 values ($1, $2, $3, $4, 0)",
                last,
                grant,
                NOW,
                LATER,
            );
        });
        worker
    }

    /// A text like an id or a digest, never the same.
    fn id(&mut self, prefix: &str) -> String {
        self.count += 1;
        let text = format!("{} {} {}", std::process::id(), self.number, self.count);
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(text)))
    }

    async fn commit(&mut self, rows: Rows) {
        match rows {
            Rows::Refresh => self.refresh().await,
            Rows::Flow => self.flow().await,
            Rows::Registration => self.registration().await,
        }
    }

    /// `Store::rotate_refresh_token`.
    async fn refresh(&mut self) {
        let new = self.id("");
        transact!(&self.pool, |tx| {
            let (grant,): (String,) = sqlx::query_as(
                "update refresh_token set used_at = $2, used_from = $3
                 where token_hash = $1 and used_at is null and expires_at > $2 and exists
                     (select 1 from token_grant g
                      where g.id = refresh_token.grant_id and g.revoked_at is null and g.expires_at > $2)
                 returning grant_id",
            )
            .bind(&self.last)
            .bind(NOW)
            .bind("a place")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            execute!(
                &mut *tx,
                "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
                 values ($1, $2, $3, $4, 0)",
                &new,
                &grant,
                NOW,
                LATER,
            );
        });
        self.last = new;
    }

    /// `Store::insert_authorization`, `approve_authorization` and `redeem_code`.
    async fn flow(&mut self) {
        let (authorization, code, grant, refresh) = (self.id(""), self.id(""), self.id("grt_"), self.id(""));
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let Self { user, client, .. } = &*self;
        let insert = "insert into authorization_request (id, client_id, redirect_uri, scope, offline, resource, state,
                 code_challenge, prompt, login_hint, browser_hash, nonce, created_at, expires_at)
             values ($1, $2, $3, null, false, $4, 'bench', $5, '', null, $1, $1, $6, $7)";
        match &self.pool {
            Pool::Sqlite(db) => {
                execute!(db, insert, &authorization, client, REDIRECT_URI, RESOURCE, challenge, NOW, LATER);
            }
            Pool::Postgres(db) => {
                execute!(db, insert, &authorization, client, REDIRECT_URI, RESOURCE, challenge, NOW, LATER);
            }
        }
        transact!(&self.pool, |tx| {
            execute!(
                &mut *tx,
                "update authorization_request set decision = 'approved', user_id = $2
                 where id = $1 and decision is null and expires_at > $3",
                &authorization,
                user,
                NOW,
            );
            execute!(
                &mut *tx,
                "insert into authorization_code (code_hash, grant_id, client_id, user_id, redirect_uri, scope, resource,
                     code_challenge, authenticated_at, expires_at, attempts)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)",
                &code,
                &grant,
                client,
                user,
                REDIRECT_URI,
                SCOPE,
                RESOURCE,
                challenge,
                NOW,
                LATER,
            );
            execute!(
                &mut *tx,
                "insert into consent (user_id, client_id, redirect_uri, resource, scope, offline, granted_at)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (user_id, client_id, redirect_uri, resource)
                 do update set scope = $5, offline = $6, granted_at = $7",
                user,
                client,
                REDIRECT_URI,
                RESOURCE,
                SCOPE,
                false,
                NOW,
            );
            execute!(
                &mut *tx,
                "update client set first_used_at = $2 where id = $1 and first_used_at is null",
                client,
                NOW,
            );
        });
        transact!(&self.pool, |tx| {
            execute!(
                &mut *tx,
                "update authorization_code set redeemed_at = $2
                 where code_hash = $1 and redeemed_at is null and expires_at > $2 and attempts < $3
                   and exists (select 1 from user_account u where u.id = user_id and u.disabled_at is null)",
                &code,
                NOW,
                10_i64,
            );
            execute!(
                &mut *tx,
                "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                     created_at, expires_at)
                 select grant_id, user_id, client_id, redirect_uri, scope, resource, authenticated_at, redeemed_at, $2
                 from authorization_code where code_hash = $1",
                &code,
                LATER,
            );
            execute!(
                &mut *tx,
                "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
                 select $2, grant_id, redeemed_at, $3, 0 from authorization_code where code_hash = $1",
                &code,
                &refresh,
                LATER,
            );
        });
    }

    /// `Store::insert_registration`.
    async fn registration(&mut self) {
        let (client, token) = (self.id("pc_"), self.id(""));
        let name = format!("Client {} of {}", self.count, self.number);
        let uris = format!("[\"https://client.example/Client-{}-of-{}/callback\"]", self.count, self.number);
        let metadata = format!(
            "{{\"redirect_uris\":{uris},\"token_endpoint_auth_methods_supported\":[\"none\"],\"grant_types\":{GRANTS},\
             \"scope\":\"{SCOPE}\",\"client_name\":\"{name}\"}}"
        );
        transact!(&self.pool, |tx| {
            let (id,): (String,) = sqlx::query_as(
                "insert into client (id, metadata, name, uri, software_id, software_version, application_type,
                     redirect_uris, auth_method, grant_types, scope, tos_uri, policy_uri, jwks, jwks_uri, shared,
                     registered_at, secret_hash, fingerprint)
                 values ($1, $2, $3, null, null, null, null, $4, 'none', $5, $6, null, null, null, null, false, $7, null, $8)
                 on conflict (fingerprint) do update set shared = true, registered_at = excluded.registered_at
                 returning id",
            )
            .bind(&client)
            .bind(&metadata)
            .bind(&name)
            .bind(&uris)
            .bind(GRANTS)
            .bind(SCOPE)
            .bind(NOW)
            .bind(&token)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            execute!(
                &mut *tx,
                "insert into client_registration (token_hash, client_id, registered_at) values ($1, $2, $3)",
                &token,
                &id,
                NOW,
            );
        });
    }
}
