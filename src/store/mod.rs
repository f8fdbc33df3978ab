//! Everything the server remembers, and all SQL. One file per table or family of tables: its verbs, its row.
//!
//! One SQL text serves SQLite and PostgreSQL: `$N` placeholders, portable columns, no `now()`, no `FOR UPDATE`.
//! A verb is one statement or one transaction and decides single uses by a guarded write, never by an earlier
//! read. No connection, transaction or row type leaves this module.
//!
//! A verb is carried out by `engine`, in a task of its own: no client can cut it short.

mod api_token;
mod assertion;
mod attempt;
mod authorization;
pub mod backup;
mod budget;
mod client;
mod client_before;
mod code;
mod connect;
mod connection;
mod document;
mod ending;
mod engine;
mod fault;
mod grant;
mod in_use;
mod key;
mod logo;
mod managed;
mod pooler;
mod schema;
mod session;
mod statement;
mod sweep;
mod throttle;
mod user;

pub use api_token::NewApiToken;
pub use attempt::{Listed, key_of as attempt_key};
pub use authorization::{Approval, Decided};
pub use budget::within;
pub use client::NewRegistration;
pub use code::Redeem;
pub use connect::ConnectError;
pub use connection::{LiveGrant, Whose};
pub use document::{NewDocument, StoredDocument, StoredKeys};
pub use ending::{Ending, Party};
pub use grant::{Connection, Rotate};
pub use in_use::InUse;
pub use managed::{NewManaged, Page};
use oauth::time::Timestamp;
pub use pooler::SharedSessions;
pub use schema::{Applied, SchemaError, judge_schema, known_schema};
pub use sweep::{BITE, Expired};
pub use user::{AccountError, NewUser};

use std::sync::Arc;

use sqlx::{Postgres, Sqlite};

use crate::revocations::Revocations;
use engine::Lane;
pub use fault::StoreError;
use statement::sql;

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    /// Who is told at once of the grants that this process ends.
    view: Option<Arc<Revocations>>,
    /// SQLite only: keeps a restoration from replacing the file meanwhile.
    _in_use: Option<Arc<InUse>>,
}

#[derive(Clone, Debug)]
enum Pool {
    /// One connection writes, several read: SQLite has one writer at a time anyway, and a queue in front of it
    /// is fairer and quicker than its lock.
    Sqlite {
        write: Lane<Sqlite>,
        read: Lane<Sqlite>,
    },
    Postgres(Lane<Postgres>),
}

/// Runs one statement on a connection that reads. Its values are taken before it leaves the request's task.
macro_rules! read {
    ($store:expr, $statement:expr, $fetch:ident) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { read, .. } => crate::store::lone!(read, sqlx::Sqlite, $statement, $fetch),
            crate::store::Pool::Postgres(lane) => crate::store::lone!(lane, sqlx::Postgres, $statement, $fetch),
        }
    };
}

/// Runs one statement on a connection that writes; `execute` gives the number of rows that it touched.
macro_rules! write {
    ($store:expr, $statement:expr, $fetch:ident) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { write, .. } => crate::store::lone!(write, sqlx::Sqlite, $statement, $fetch),
            crate::store::Pool::Postgres(lane) => crate::store::lone!(lane, sqlx::Postgres, $statement, $fetch),
        }
    };
}

/// One statement as a job of its own.
macro_rules! lone {
    ($lane:expr, $database:ty, $statement:expr, $fetch:ident) => {{
        let statement: crate::store::statement::Statement<$database> = $statement;
        $lane
            .run(crate::store::engine::Patience::Request, move |connection| Box::pin(statement.$fetch(connection)))
            .await
    }};
}

/// Runs a block in one transaction and commits it. The block is a job that outlives the request, so it owns what it
/// needs; `?` and `return Err(…)` end the block and roll back. With `long`, it may touch any number of rows.
macro_rules! transact {
    ($store:expr, |$tx:ident| $body:block) => {
        crate::store::transact!($store, Request, |$tx| $body)
    };
    ($store:expr, long, |$tx:ident| $body:block) => {
        crate::store::transact!($store, Long, |$tx| $body)
    };
    ($store:expr, $patience:ident, |$tx:ident| $body:block) => {
        match &$store.pool {
            crate::store::Pool::Sqlite { write, .. } => {
                write
                    .transact(crate::store::engine::Patience::$patience, move |$tx| {
                        Box::pin(async move {
                            let outcome = $body;
                            Ok(outcome)
                        })
                    })
                    .await
            }
            crate::store::Pool::Postgres(lane) => {
                lane.transact(crate::store::engine::Patience::$patience, move |$tx| {
                    Box::pin(async move {
                        let outcome = $body;
                        Ok(outcome)
                    })
                })
                .await
            }
        }
    };
}

pub(crate) use {lone, read, transact, write};

impl Store {
    /// The same store, whose verbs tell `view` of the grants that they end before they return.
    #[must_use]
    pub fn telling(self, view: Arc<Revocations>) -> Self {
        Self { view: Some(view), ..self }
    }

    /// Writes the time into the one row that is there for that: whether the database takes writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        write!(
            self,
            sql("insert into heartbeat (id, at) values ('readiness', $1) on conflict (id) do update set at = excluded.at")
                .bind(now),
            execute
        )?;
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

    /// Waits for the work under way and closes all connections; SQLite's log is folded into its file.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(lane) => lane.close().await,
        }
    }
}
