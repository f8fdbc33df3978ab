//! A real server on a real socket, with a clock that the test moves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use oauth::id::UserId;
use oauth::time::Timestamp;
use portcullis::app::App;
use portcullis::config::Config;
use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::fetch::Resolver;
use portcullis::model::clock::Clock;
use portcullis::model::user::{Role, Username};
use portcullis::store::{NewUser, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bed::raw;
use crate::vendor::{Vendor, ca_file, lost};

/// Where the clock of every test begins.
pub const START: i64 = 1_800_000_000;
/// The user that every server has, and their password.
pub const USER: &str = "ada";
pub const PASSWORD: &str = "correct horse battery";
/// A master key, the same for all replicas.
pub const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Which engine a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// A database of the test's own, gone when dropped.
#[derive(Clone)]
pub struct OwnDatabase {
    pub url: String,
    _folder: Option<Arc<Folder>>,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A name that nothing else has, in lower-case letters and digits.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let random = Random::system().bytes().iter().take(6).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    format!("{random:x}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl OwnDatabase {
    /// A database that exists, at this address.
    pub fn at(url: String) -> Self {
        Self { url, _folder: None }
    }

    /// A fresh SQLite file or a fresh PostgreSQL schema.
    #[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
    pub async fn new(database: Database) -> Self {
        match database {
            Database::Sqlite => {
                let folder = std::env::temp_dir().join(format!("portcullis_{}", unique()));
                std::fs::create_dir_all(&folder).unwrap();
                let url = format!("sqlite://{}/test.db", folder.display());
                Self { url, _folder: Some(Arc::new(Folder(folder))) }
            }
            Database::Postgres => {
                let base = std::env::var("PORTCULLIS_TEST_POSTGRES").expect(
                    "PORTCULLIS_TEST_POSTGRES names a PostgreSQL server for tests; `make test` starts one and sets it",
                );
                let schema = format!("test_{}", unique());
                let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&base).await.unwrap();
                let sql = format!("create schema {schema}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                let separator = if base.contains('?') { '&' } else { '?' };
                Self { url: format!("{base}{separator}options=-c%20search_path%3D{schema}"), _folder: None }
            }
        }
    }
}

impl OwnDatabase {
    /// The same, but on PostgreSQL a whole database, for tests that look at its connections or change its settings.
    #[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
    pub async fn whole(database: Database) -> Self {
        if database == Database::Sqlite {
            return Self::new(database).await;
        }
        let base = std::env::var("PORTCULLIS_TEST_POSTGRES").expect("see `new`");
        let name = format!("test_{}", unique());
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&base).await.unwrap();
        let sql = format!("create database {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let mut url = url::Url::parse(&base).unwrap();
        url.set_path(&name);
        Self { url: url.into(), _folder: None }
    }
}

/// A setting of the tests' own: the server answers requests, and nothing goes on beside; it learns of what others do
/// when the test polls.
pub const NOTHING_BESIDE: (&str, &str) = ("TEST_NOTHING_BESIDE", "true");

/// A running server.
pub struct TestServer {
    pub app: App,
    /// `http://127.0.0.1:port`, or the public address that the server was told: the issuer.
    pub origin: String,
    /// `http://127.0.0.1:port`, where it really listens: another address than `origin` on a replica.
    pub address: String,
    pub config: Config,
    pub database: OwnDatabase,
    hand: Arc<AtomicI64>,
    resolver: Resolver,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server with default settings, without rate limits.
    pub async fn start(database: Database) -> Self {
        Self::with(database, &[]).await
    }

    /// A server with some settings changed: `("PORTCULLIS__TOKENS__REFRESH", "false")`.
    pub async fn with(database: Database, settings: &[(&str, &str)]) -> Self {
        let database = OwnDatabase::new(database).await;
        let server = Self::on(database, settings, None).await;
        server.add_user(USER, PASSWORD, Role::User).await;
        server
    }

    /// A server with some settings changed and no account yet.
    pub async fn empty(database: Database, settings: &[(&str, &str)]) -> Self {
        Self::on(OwnDatabase::new(database).await, settings, None).await
    }

    /// A server on a database that exists. A setting named `PORTCULLIS_CONFIG` is the configuration file. With `public_url` it is a replica behind that address.
    pub async fn on(database: OwnDatabase, settings: &[(&str, &str)], public_url: Option<&str>) -> Self {
        Self::at(START, database, settings, public_url, lost()).await
    }

    /// A server to which `vendor` is the whole world outside: every name leads there.
    pub async fn beside(database: Database, vendor: &Vendor, settings: &[(&str, &str)]) -> Self {
        Self::beside_on(OwnDatabase::new(database).await, vendor.resolver(), settings).await
    }

    /// The same on a database that exists, with any resolver.
    pub async fn beside_on(database: OwnDatabase, resolver: Resolver, settings: &[(&str, &str)]) -> Self {
        let server = Self::at(START, database, settings, None, resolver).await;
        server.add_user(USER, PASSWORD, Role::User).await;
        server
    }

    /// Another copy of this server on the same database, behind the same address, with a clock of its own that
    /// shows the same time.
    pub async fn replica(&self, settings: &[(&str, &str)]) -> Self {
        Self::at(self.now().0, self.database.clone(), settings, Some(&self.origin), self.resolver.clone()).await
    }

    async fn at(
        start: i64,
        database: OwnDatabase,
        settings: &[(&str, &str)],
        public_url: Option<&str>,
        resolver: Resolver,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let origin = public_url.map_or_else(|| own.clone(), str::to_owned);
        let mut env: Vec<(String, String)> = [
            ("PORTCULLIS__PUBLIC_URL", origin.as_str()),
            ("PORTCULLIS__DATABASE__URL", &database.url),
            ("PORTCULLIS__DATABASE__MAX_CONNECTIONS", "4"),
            ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
            ("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64"),
            ("PORTCULLIS__PASSWORDS__ITERATIONS", "1"),
            ("PORTCULLIS__LIMITS__ENABLED", "false"),
            ("PORTCULLIS__DOCUMENTS__CA_FILE", ca_file().to_str().unwrap()),
            ("PORTCULLIS__DOCUMENTS__ALLOWED_NETWORKS", "127.0.0.1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for (name, value) in settings {
            env.retain(|(own, _)| own != name);
            env.push(((*name).to_owned(), (*value).to_owned()));
        }
        let file = settings.iter().find(|(name, _)| *name == "PORTCULLIS_CONFIG").map(|(_, path)| Path::new(path));
        let config = Config::load(file, env).unwrap();
        let store =
            Store::connect(&config.database.url, config.database.max_connections, config.database.acquire_timeout)
                .await
                .unwrap();
        store.migrate().await.unwrap();
        let (clock, hand) = Clock::settable(start);
        let app = Box::pin(App::build(config.clone(), store, clock, Random::system(), resolver.clone())).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = app.clone();
        let beside = !settings.contains(&NOTHING_BESIDE);
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            if beside {
                portcullis::serve::serve(listener, serving, stopped).await;
            } else {
                let router = portcullis::server::router(&serving).into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, router).with_graceful_shutdown(stopped).await.unwrap();
                serving.store().close().await;
            }
        });
        Self { app, origin, address: own, config, database, hand, resolver, stop: Some(stop), task: Some(task) }
    }

    /// Makes an account.
    pub async fn add_user(&self, name: &str, password: &str, role: Role) -> UserId {
        let passwords = Passwords::new(64, 1, 2).unwrap();
        let user = NewUser {
            id: Random::system().user_id(),
            username: Username::parse(name).unwrap(),
            display_name: format!("{name} the tester"),
            password_hash: passwords.hash(password.to_owned()).await.unwrap(),
            role,
            created_at: Timestamp(START),
        };
        self.app.store().insert_user(&user).await.unwrap();
        user.id
    }

    /// The id of an account.
    pub async fn user_id(&self, name: &str) -> UserId {
        self.app.store().find_user_by_name(&Username::parse(name).unwrap()).await.unwrap().unwrap().id
    }

    /// Runs SQL past the server.
    pub async fn sql(&self, sql: &str) {
        raw(&self.database.url, &[sql]).await.unwrap();
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        self.text(sql).await.parse().unwrap()
    }

    /// The one text that a query gives.
    pub async fn text(&self, sql: &str) -> String {
        raw(&self.database.url, &[sql]).await.unwrap()[0][0].clone()
    }

    /// What time it is there.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.hand.load(Ordering::SeqCst))
    }

    /// Moves the clock, and lets the server notice what changed elsewhere.
    pub async fn advance(&self, seconds: i64) {
        self.hand.fetch_add(seconds, Ordering::SeqCst);
        self.app.poll().await.unwrap();
    }

    /// Moves the clock and nothing else, as time passes for a server that can't reach its database.
    pub fn pass(&self, seconds: i64) {
        self.hand.fetch_add(seconds, Ordering::SeqCst);
    }

    /// An absolute URL of this server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The MCP endpoint: the resource.
    pub fn mcp(&self) -> String {
        self.url("/mcp")
    }

    /// Stops the server, as a deployment does, and starts another on the same database, at the same time of day.
    pub async fn restart(self, settings: &[(&str, &str)]) -> Self {
        self.restart_after(&[], settings).await
    }

    /// The same, with these statements run on the database in between.
    pub async fn restart_after(self, statements: &[&str], settings: &[(&str, &str)]) -> Self {
        let (now, origin, resolver) = (self.now().0, self.origin.clone(), self.resolver.clone());
        let database = self.stop().await;
        if !statements.is_empty() {
            raw(&database.url, statements).await.unwrap();
        }
        Self::at(now, database, settings, Some(&origin), resolver).await
    }

    /// Stops the server; its database stays.
    pub async fn stop(mut self) -> OwnDatabase {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
        self.database.clone()
    }
}

/// An HTTP client that neither follows redirects nor keeps cookies.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
