//! PgBouncer between the server and PostgreSQL.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::store::{ConnectError, Store};
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cli::{Answer, Place, Serving, free_port};
use crate::connector::Connector;
use crate::server::{Database, MASTER_KEY, OwnDatabase, PASSWORD, TestServer, USER, unique};

/// How long PgBouncer may take to stand, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);
const WAIT: Duration = Duration::from_secs(20);

/// PgBouncer in front of a database of its own, on loopback, stopped when dropped.
struct Pooler {
    url: String,
    direct: String,
    _place: Place,
    _process: Serving,
}

impl Pooler {
    async fn start(settings: &str) -> Self {
        let place = Place::new();
        let (port, name) = (free_port(), format!("pooled_{}", unique()));
        let direct = own_database(&name).await;
        let url = url::Url::parse(&direct).unwrap();
        let config = format!(
            "[databases]\n{name} = host={} port={} dbname={name} user={} password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}\n",
            url.host_str().unwrap(),
            url.port().unwrap_or(5432),
            url.username(),
            url.password().unwrap_or_default(),
        );
        std::fs::write(place.0.join("pgbouncer.ini"), config).unwrap();
        let process = Serving(
            pgbouncer()
                .arg("pgbouncer.ini")
                .current_dir(&place.0)
                .spawn()
                .expect("PgBouncer must be installed: scripts/setup-test-deps.sh does it"),
        );
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "PgBouncer does not stand");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let url = format!("postgres://anybody:anything@127.0.0.1:{port}/{name}");
        Self { url, direct, _place: place, _process: process }
    }

    async fn opened(&self) -> Result<Store, ConnectError> {
        Store::connect(&self.url, 4, WAIT).await
    }
}

/// It refuses to run as root, and becomes somebody else by itself: no other process stands in between that would be
/// stopped in its place.
fn pgbouncer() -> Command {
    // Debian keeps it out of most people's PATH.
    let program =
        if std::path::Path::new("/usr/sbin/pgbouncer").exists() { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
    let mut command = Command::new(program);
    if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
        command.arg("--user=postgres");
    }
    command.arg("--quiet").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
pub async fn own_database(name: &str) -> String {
    let base = std::env::var("PORTCULLIS_TEST_POSTGRES").expect("`make test` sets PORTCULLIS_TEST_POSTGRES");
    let mut connection = PgConnection::connect(&base).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await.unwrap();
    let mut url = url::Url::parse(&base).unwrap();
    url.set_path(name);
    url.into()
}

/// A pooler that takes sessions away is named before anything is asked of the database, with the way out, by every
/// command that opens it; however it chooses its sessions, and however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_shares_sessions_is_refused_at_start() {
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\ndefault_pool_size = 1",
        "pool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1",
        "pool_mode = transaction\nmin_pool_size = 5",
        "pool_mode = statement",
        "pool_mode = statement\ndefault_pool_size = 2\nserver_round_robin = 1",
    ] {
        let pooler = Pooler::start(settings).await;
        let refused = pooler.opened().await;
        assert!(matches!(refused, Err(ConnectError::Pooler(_))), "{settings}: {refused:?}");
    }
    let pooler = Pooler::start("pool_mode = transaction").await;
    let place = Place::new();
    let env = [
        ("PORTCULLIS__DATABASE__URL", pooler.url.as_str()),
        ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
        ("PORTCULLIS__LISTEN", "127.0.0.1:0"),
    ];
    for command in [&["serve"][..], &["migrate"], &["user", "list"], &["keys", "list"], &["token", "list"]] {
        let refused = Answer::of(&place.command(command, &env).output().unwrap());
        assert!(!refused.good && refused.err.contains("set pool_mode = session"), "{command:?}: {refused:?}");
    }
}

/// The same while others use the pooler's sessions, so that none is where it was a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pooler_that_shares_sessions_is_refused_too() {
    let pooler = Pooler::start("pool_mode = transaction\ndefault_pool_size = 6").await;
    let mut others = JoinSet::new();
    for _ in 0..6 {
        let url = pooler.url.clone();
        others.spawn(async move {
            let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
            let mut connection = PgConnection::connect_with(&options.extra_float_digits(None)).await.unwrap();
            loop {
                sqlx::raw_sql("begin; select pg_sleep(0.002); commit").execute(&mut connection).await.unwrap();
            }
        });
    }
    for _ in 0..5 {
        let refused = pooler.opened().await;
        assert!(matches!(refused, Err(ConnectError::Pooler(_))), "{refused:?}");
    }
    others.shutdown().await;
}

/// Through a pooler that keeps sessions everything works, and a direct connection is never taken for a pooler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_sessions_works() {
    let pooler = Pooler::start("pool_mode = session\ndefault_pool_size = 8").await;
    let database = OwnDatabase::at(pooler.url.clone());
    let server = TestServer::on(database, &[], None).await;
    server.add_user(USER, PASSWORD, portcullis::model::user::Role::User).await;
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    let renewed = client.refresh(tokens.refresh()).await.tokens();
    assert!(client.is_let_in(&renewed.access).await);
    for _ in 0..10 {
        Store::connect(&pooler.direct, 4, WAIT).await.unwrap().close().await;
    }
}

/// A database that has room for one connection only can't be asked, and is not refused for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_one_connection_is_not_taken_for_a_pooler() {
    let database = OwnDatabase::new(Database::Postgres).await;
    let name = format!("lone_{}", unique());
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let sql = format!("create role {name} login password 'lone' connection limit 1");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some("lone")).unwrap();
    Store::connect(url.as_str(), 1, WAIT).await.unwrap().signing_keys().await.unwrap_err();
}
