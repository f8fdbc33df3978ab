//! Opening the database and bringing its schema up to date.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Postgres, Sqlite,
    SqliteConnection,
};

use super::engine::{Boxed, Engine, Lane};
use super::{InUse, Pool, SchemaError, SharedSessions, Store, StoreError, in_use, pooler, schema};

/// The driver's words may repeat a part of the address, and with it of a password.
const UNREADABLE: &str = "it can't be read as an address of PostgreSQL";

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Why the store can't be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of no known kind or malformed.
    #[error("database.url is not usable: {0}; write sqlite://path/to/file.db or postgres://user:password@host/name")]
    Url(String),
    /// The folder of the SQLite file can't be made.
    #[error("the folder {} for the database can't be made: {source}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database can't be reached.
    #[error(transparent)]
    Open(#[from] StoreError),
    /// A file beside the SQLite file can't be had.
    #[error("the lock beside the database {} can't be taken: {source}", .path.display())]
    Lock {
        /// The database.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The SQLite file is about to be replaced.
    #[error("the database {} is being restored from a backup; try again when that is done", .0.display())]
    BeingRestored(PathBuf),
    /// The schema is another program's.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A pooler stands in between that takes sessions away.
    #[error(transparent)]
    Pooler(#[from] SharedSessions),
    /// The schema can't be brought up to date.
    #[error("the database schema can't be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl Store {
    /// Opens the database of this URL without touching its schema.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(url: &str, max_connections: u32, acquire_timeout: Duration) -> Result<Self, ConnectError> {
        let mut in_use = None;
        let pool = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(|error| ConnectError::Url(error.to_string()))?;
            if let Some(folder) = options.get_filename().parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .map_err(|source| ConnectError::Folder { path: folder.to_owned(), source })?;
            }
            let path = options.get_filename();
            let held = InUse::shared(path)
                .map_err(|source| ConnectError::Lock { path: path.to_owned(), source })?
                .ok_or_else(|| ConnectError::BeingRestored(path.to_owned()))?;
            in_use = Some(Arc::new(held));
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // An acknowledged token survives a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                // Our own limit for the work comes later, so that the database's own words are told.
                .busy_timeout(acquire_timeout * 2 / 5);
            let place = options.get_filename().display().to_string();
            let write = Lane::new(options.clone(), place.clone(), 1, acquire_timeout);
            write.open().await?;
            let read = Lane::new(options, place, max_connections.clamp(1, 4), acquire_timeout);
            Pool::Sqlite { write, read }
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url).map_err(|_| ConnectError::Url(UNREADABLE.to_owned()))?;
            let place = match options.get_socket() {
                Some(socket) => socket.display().to_string(),
                None => format!("{}:{}", options.get_host(), options.get_port()),
            };
            // No column is a float, and PgBouncer refuses what it doesn't keep track of.
            let options = options.extra_float_digits(None);
            let options = match options.get_application_name() {
                Some(_) => options,
                None => options.application_name("portcullis"),
            };
            pooler::check(&options, acquire_timeout / 2).await?;
            let lane = Lane::new(options, place, max_connections, acquire_timeout);
            lane.open().await?;
            Pool::Postgres(lane)
        } else {
            return Err(ConnectError::Url("it begins with neither sqlite: nor postgres:".to_owned()));
        };
        Ok(Self { pool, view: None, _in_use: in_use })
    }

    /// Brings the schema up to date, one process at a time: several replicas may start at once. PostgreSQL
    /// holds an advisory lock meanwhile, SQLite a lock on a file beside the database.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn migrate(&self) -> Result<(), ConnectError> {
        match &self.pool {
            Pool::Sqlite { write, .. } => {
                let path = write.options().get_filename().to_owned();
                // Waiting for the lock must not hold up the runtime: whoever has it may need the very thread to go on.
                let lock = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || lock_beside(&path)
                })
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)))
                .map_err(|source| ConnectError::Lock { path, source })?;
                let mut connection = write.options().connect().await.map_err(StoreError::from)?;
                schema::migrate(&mut connection).await?;
                connection.close().await.map_err(StoreError::from)?;
                drop(lock);
            }
            Pool::Postgres(lane) => {
                // A connection of its own: waiting for another replica's migration may take long.
                let mut connection = lane.options().connect().await.map_err(StoreError::from)?;
                schema::migrate(&mut connection).await?;
                connection.close().await.map_err(StoreError::from)?;
            }
        }
        self.fill_client_metadata().await?;
        Ok(())
    }
}

impl Engine for Sqlite {
    // A lock taken later can't wait, it can only fail.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    fn prepare(_: &mut SqliteConnection, _: Duration) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn extend(_: &mut SqliteConnection, _: Duration) -> Boxed<'_, Result<(), sqlx::Error>> {
        Box::pin(async { Ok(()) })
    }

    fn run<'c>(connection: &'c mut SqliteConnection, statement: &'static str) -> Boxed<'c, Result<(), sqlx::Error>> {
        Box::pin(async move { connection.execute(statement).await.map(drop) })
    }
}

impl Engine for Postgres {
    const BEGIN: &'static str = "BEGIN";

    /// The server ends by itself what this process has given up or left behind: a statement that takes too long, a
    /// transaction that stands open, a session whose peer is gone.
    fn prepare(connection: &mut PgConnection, limit: Duration) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let settings = format!(
                "set statement_timeout = {limit}; set idle_in_transaction_session_timeout = {idle};
                 set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3",
                limit = limit.as_millis(),
                idle = 2 * limit.as_millis(),
            );
            connection.execute(AssertSqlSafe(settings)).await?;
            let (read_only,): (String,) = sqlx::query_as("show transaction_read_only").fetch_one(connection).await?;
            if read_only == "on" { Err(StoreError::ReadOnly) } else { Ok(()) }
        })
    }

    fn extend(connection: &mut PgConnection, limit: Duration) -> Boxed<'_, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let setting = format!("set local statement_timeout = {}", limit.as_millis());
            connection.execute(AssertSqlSafe(setting)).await.map(drop)
        })
    }

    fn run<'c>(connection: &'c mut PgConnection, statement: &'static str) -> Boxed<'c, Result<(), sqlx::Error>> {
        Box::pin(async move { connection.execute(statement).await.map(drop) })
    }
}

fn lock_beside(database: &Path) -> std::io::Result<std::fs::File> {
    let file = in_use::open_beside(database, ".lock")?;
    file.lock()?;
    Ok(file)
}
