//! Opening the database and bringing its schema up to date.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Executor as _};

use super::{Pool, Store};

/// After this long without use a PostgreSQL connection is asked whether it still lives.
const RESTED: Duration = Duration::from_secs(1);
/// A statement that takes longer is given up: the request gets 503 instead of hanging.
const STATEMENT_TIMEOUT: &str = "set statement_timeout = '15s'";

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

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
    #[error("the database can't be opened: {0}")]
    Open(#[from] sqlx::Error),
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
        let pool = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url).map_err(|error| ConnectError::Url(error.to_string()))?;
            if let Some(folder) = options.get_filename().parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .map_err(|source| ConnectError::Folder { path: folder.to_owned(), source })?;
            }
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // An acknowledged token survives a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(acquire_timeout);
            let write = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(acquire_timeout)
                .test_before_acquire(false)
                .connect_with(options.clone())
                .await?;
            let read = SqlitePoolOptions::new()
                .max_connections(max_connections.clamp(1, 4))
                .acquire_timeout(acquire_timeout)
                .test_before_acquire(false)
                .connect_lazy_with(options);
            Pool::Sqlite { write, read }
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url).map_err(|error| ConnectError::Url(error.to_string()))?;
            let options = options.application_name("portcullis");
            let pool = PgPoolOptions::new()
                .max_connections(max_connections)
                .acquire_timeout(acquire_timeout)
                // Asking before each use would double the round trips; a connection that has rested may have
                // died meanwhile, though, and that must not cost a request.
                .test_before_acquire(false)
                .before_acquire(|connection, rest| {
                    Box::pin(async move {
                        if rest.idle_for > RESTED {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .after_connect(|connection, _| {
                    Box::pin(async move { connection.execute(STATEMENT_TIMEOUT).await.map(drop) })
                })
                .connect_with(options)
                .await?;
            Pool::Postgres(pool)
        } else {
            return Err(ConnectError::Url("it begins with neither sqlite: nor postgres:".to_owned()));
        };
        Ok(Self { pool })
    }

    /// Brings the schema up to date, one process at a time: several replicas may start at once. PostgreSQL
    /// holds an advisory lock meanwhile, SQLite a lock on a file beside the database.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn migrate(&self) -> Result<(), ConnectError> {
        match &self.pool {
            Pool::Sqlite { write, .. } => {
                let options = write.connect_options();
                let path = options.get_filename().to_owned();
                // Waiting for the lock must not hold up the runtime: whoever has it may need the very thread to go on.
                let lock = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || lock_beside(&path)
                })
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)))
                .map_err(|source| ConnectError::Folder { path, source })?;
                MIGRATIONS.run(write).await?;
                drop(lock);
            }
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                // Waiting for another replica's migration may take long.
                connection.execute("set statement_timeout = 0").await?;
                MIGRATIONS.run_direct(None, &mut *connection, false).await?;
                connection.execute(STATEMENT_TIMEOUT).await?;
            }
        }
        Ok(())
    }
}

fn lock_beside(database: &Path) -> std::io::Result<std::fs::File> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(PathBuf::from(name))?;
    file.lock()?;
    Ok(file)
}
