//! Everything the server remembers, and all SQL. One file per table or family of tables: its verbs, its row.
//!
//! One SQL text serves SQLite and PostgreSQL: `$N` placeholders, portable columns, no `now()`, no `FOR UPDATE`.
//! A verb is one statement or one transaction and decides single uses by a guarded write, never by an earlier
//! read. No connection, transaction or row type leaves this module.

mod api_token;
mod assertion;
mod attempt;
mod authorization;
mod client;
mod code;
mod connect;
mod connection;
mod document;
mod grant;
mod key;
mod logo;
mod managed;
mod session;
mod sweep;
mod throttle;
mod user;

pub use api_token::NewApiToken;
pub use attempt::{Listed, key_of as attempt_key};
pub use authorization::{Approval, Decided};
pub use client::NewRegistration;
pub use code::Redeem;
pub use connect::ConnectError;
pub use connection::{LiveGrant, Whose};
pub use document::{NewDocument, StoredDocument, StoredKeys};
pub use grant::{Connection, Rotate};
pub use managed::{NewManaged, Page};
pub use user::{AccountError, NewUser};

use sqlx::{PgPool, SqlitePool};

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
}

#[derive(Clone, Debug)]
enum Pool {
    /// One connection writes, several read: SQLite has one writer at a time anyway, and a queue in front of it
    /// is fairer and quicker than its lock.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// Our trouble, never the client's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, is busy beyond the time-out, or failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row holds what this version can't read.
    #[error("a stored {what} can't be read: {why}")]
    Corrupt {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it; no secret.
        why: String,
    },
}

impl StoreError {
    fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, why: why.to_string() }
    }
}

/// Runs a query on a connection that reads.
macro_rules! read {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { read: $db, .. } => $body,
            crate::store::Pool::Postgres($db) => $body,
        }
    };
}

/// Runs one statement on a connection that writes.
macro_rules! write {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { write: $db, .. } => $body,
            crate::store::Pool::Postgres($db) => $body,
        }
    };
}

/// Runs a block in one transaction and commits it. `?` inside the block leaves the function and rolls back.
/// SQLite takes its write lock at once (`BEGIN IMMEDIATE`): a lock taken later can't wait, it can only fail.
macro_rules! transact {
    ($store:expr, |$tx:ident| $body:block) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { write, .. } => {
                let mut $tx = write.begin_with("BEGIN IMMEDIATE").await?;
                let outcome = $body;
                $tx.commit().await?;
                outcome
            }
            crate::store::Pool::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let outcome = $body;
                $tx.commit().await?;
                outcome
            }
        }
    };
}

pub(crate) use {read, transact, write};

/// Whether a text that a stranger chose can be the key of a row. PostgreSQL's `text` holds no NUL and fails the
/// statement, which would look like an outage; there is no row with such a key.
fn storable(key: &str) -> bool {
    !key.contains('\0')
}

impl Store {
    /// Whether the database answers: what readiness tells.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self, |db| sqlx::query("select 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// The engine's name, for logs and the ready answer.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite { .. } => "sqlite",
            Pool::Postgres(_) => "postgres",
        }
    }

    /// Closes all connections; SQLite's log is folded into its file.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}
