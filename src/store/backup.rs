//! SQLite databases as files: a copy of one in use, what is in a copy, and a database made ready to be replaced.
//!
//! The files are the business of whoever calls; here is what needs SQL.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use oauth::time::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Postgres, SqliteConnection};

use super::engine::Patience;
use super::schema::{Applied, SchemaError, judge_schema};
use super::{Pool, Store, StoreError, sql};
use crate::model::key::StoredKey;

/// How long to wait for a lock: a server in use keeps one for moments only.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a file is no backup that this program can use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is something else.
    #[error("it is not a SQLite database")]
    NotSqlite,
    /// It is somebody else's.
    #[error("it is a SQLite database, but not one of Portcullis")]
    NotOurs,
    /// It can't be trusted.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is another version's.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Somebody has the database open.
    #[error("another program has it open")]
    Busy,
    /// Whatever else the database says.
    #[error("{0}")]
    Failed(sqlx::Error),
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Label {
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// The fingerprint of the master key that opens its signing keys; none if there were no keys, or nothing opened them.
    pub master_key: Option<String>,
}

/// What a database holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The number of its newest migration.
    pub schema: i64,
    /// How many accounts.
    pub accounts: i64,
    /// How many clients, deleted ones left out.
    pub clients: i64,
    /// How many live connections.
    pub connections: i64,
    /// The sealed signing keys.
    pub keys: Vec<StoredKey>,
    /// Its label, if `backup` made it.
    pub label: Option<Label>,
}

/// The file of a SQLite address; `None` for PostgreSQL.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok())??;
    Some(options.get_filename().to_owned())
}

/// Copies a database as it is at this moment into an empty file, while others read and write it.
///
/// # Errors
/// When one of the files fails; the copy is worth nothing then.
pub async fn copy_in_use(database: &Path, copy: &Path) -> Result<(), FileError> {
    let mut connection = open(at(database)).await?;
    let path = copy.to_str().ok_or_else(|| FileError::Damaged("its path is not UTF-8".to_owned()))?;
    // One read transaction from its beginning to its end: everything committed before is in it, whole.
    sqlx::query("vacuum into $1").bind(path).execute(&mut connection).await.map_err(explain)?;
    close(connection).await
}

/// Looks through the whole file, which nobody may be writing to.
///
/// # Errors
/// When it is damaged, or not a database that this program can open.
pub async fn inspect(file: &Path, now: Timestamp) -> Result<Contents, FileError> {
    let mut connection = open(at(file).read_only(true).immutable(true)).await?;
    let contents = look(&mut connection, now).await;
    close(connection).await?;
    let contents = contents?;
    has_all_pages(file)?;
    Ok(contents)
}

/// SQLite fills up a last page that was cut off, and finds nothing wrong with it.
fn has_all_pages(file: &Path) -> Result<(), FileError> {
    let failed = |error: std::io::Error| FileError::Failed(sqlx::Error::Io(error));
    let mut file = std::fs::File::open(file).map_err(failed)?;
    // <https://www.sqlite.org/fileformat.html>, 1.3: the size of a page at byte 16, their number at byte 28.
    let mut header = [0; 32];
    file.read_exact(&mut header).map_err(failed)?;
    let [.., s0, s1, _, _, _, _, _, _, _, _, _, _, n0, n1, n2, n3] = header;
    let size = match u16::from_be_bytes([s0, s1]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let length = file.metadata().map_err(failed)?.len();
    let whole = size * u64::from(u32::from_be_bytes([n0, n1, n2, n3]));
    if length < whole {
        return Err(FileError::Damaged(format!("{length} bytes are there of {whole}")));
    }
    Ok(())
}

async fn look(connection: &mut SqliteConnection, now: Timestamp) -> Result<Contents, FileError> {
    let found: Vec<String> =
        sqlx::query_scalar("pragma integrity_check").fetch_all(&mut *connection).await.map_err(explain)?;
    if found != ["ok"] {
        return Err(FileError::Damaged(found.into_iter().take(3).collect::<Vec<_>>().join("; ")));
    }
    let ours: i64 = sqlx::query_scalar(
        "select count(*) from sqlite_master where type = 'table' and name in ('_sqlx_migrations', 'signing_key', 'token_grant')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(explain)?;
    if ours != 3 {
        return Err(FileError::NotOurs);
    }
    let applied: Vec<(i64, Vec<u8>, bool)> =
        sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version")
            .fetch_all(&mut *connection)
            .await
            .map_err(explain)?;
    let applied: Vec<Applied> =
        applied.into_iter().map(|(version, checksum, success)| Applied { version, checksum, success }).collect();
    let schema = judge_schema(&applied)?;
    let (accounts, clients, connections): (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from user_account),
                (select count(*) from client where deleted_at is null),
                (select count(*) from token_grant where revoked_at is null and expires_at > $1)",
    )
    .bind(now)
    .fetch_one(&mut *connection)
    .await
    .map_err(explain)?;
    let keys = sqlx::query_as(
        "select kid, generation, algorithm, sealed, created_at, active_at from signing_key order by generation",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(explain)?;
    let labelled: i64 = sqlx::query_scalar("select count(*) from sqlite_master where name = 'portcullis_backup'")
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
    let label = if labelled == 1 {
        sqlx::query_as("select made_at, program, master_key from portcullis_backup")
            .fetch_optional(&mut *connection)
            .await
            .map_err(explain)?
    } else {
        None
    };
    Ok(Contents { schema, accounts, clients, connections, keys, label })
}

/// Writes a label into a copy, in the place of any other.
///
/// # Errors
/// When the file fails.
pub async fn label(copy: &Path, label: &Label) -> Result<(), FileError> {
    let mut connection = open(at(copy)).await?;
    let text = "drop table if exists portcullis_backup;
                create table portcullis_backup (made_at bigint not null, program text not null, master_key text)";
    sqlx::raw_sql(text).execute(&mut connection).await.map_err(explain)?;
    sqlx::query("insert into portcullis_backup (made_at, program, master_key) values ($1, $2, $3)")
        .bind(label.made_at)
        .bind(&label.program)
        .bind(&label.master_key)
        .execute(&mut connection)
        .await
        .map_err(explain)?;
    close(connection).await
}

/// Takes the label off a copy that becomes a database.
///
/// # Errors
/// When the file fails.
pub async fn take_label(copy: &Path) -> Result<(), FileError> {
    let mut connection = open(at(copy)).await?;
    sqlx::raw_sql("drop table if exists portcullis_backup").execute(&mut connection).await.map_err(explain)?;
    close(connection).await
}

/// Folds everything that stands beside a database into its one file, and finds out whether somebody has it open.
///
/// # Errors
/// [`FileError::Busy`] when somebody has; others when it can't be read any more.
pub async fn settle(database: &Path) -> Result<(), FileError> {
    let mut connection = open(at(database)).await?;
    // Leaving the mode of write-ahead needs the database alone.
    let mode: Result<String, _> = sqlx::query_scalar("pragma journal_mode = delete").fetch_one(&mut connection).await;
    let settled = match mode.map_err(explain) {
        Ok(mode) if mode == "delete" => Ok(()),
        Ok(_) => Err(FileError::Busy),
        Err(error) => Err(error),
    };
    close(connection).await?;
    settled
}

/// Where in a PostgreSQL server the tables are.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// The schema that new tables would come into.
    pub schema: Option<String>,
    /// The server's version.
    pub version: String,
}

impl Store {
    /// Asks PostgreSQL where the tables are; SQLite has no such places.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn whereabouts(&self) -> Result<Whereabouts, StoreError> {
        let Pool::Postgres(lane) = &self.pool else {
            return Ok(Whereabouts { schema: None, version: String::new() });
        };
        let text = "select current_schema()::text, current_setting('server_version')";
        let (schema, version) = lane
            .run(Patience::Request, move |connection| Box::pin(sql::<Postgres>(text).fetch_one(connection)))
            .await?;
        Ok(Whereabouts { schema, version })
    }
}

fn at(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).create_if_missing(false).busy_timeout(PATIENCE)
}

async fn open(options: SqliteConnectOptions) -> Result<SqliteConnection, FileError> {
    options.connect().await.map_err(explain)
}

async fn close(connection: SqliteConnection) -> Result<(), FileError> {
    connection.close().await.map_err(explain)
}

/// SQLite's primary result codes: <https://www.sqlite.org/rescode.html>.
fn explain(error: sqlx::Error) -> FileError {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok()).map(|code| code & 0xff);
    match code {
        Some(5 | 6) => FileError::Busy,
        Some(11) => FileError::Damaged("its pages contradict each other, or some are missing".to_owned()),
        Some(13) => FileError::Full,
        Some(26) => FileError::NotSqlite,
        _ => FileError::Failed(error),
    }
}
