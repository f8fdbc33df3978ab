//! Poolers between this server and PostgreSQL: whether a connection keeps its session.
//!
//! A pooler in transaction mode (PgBouncer's `pool_mode = transaction`, and what many hosts offer as "the pooler") gives
//! each transaction whatever session is free. Prepared statements, time-outs and the lock that keeps two copies from
//! migrating at once belong to a session, so through such a pooler they land in others' hands: a statement fails because
//! it is unknown there, or known with another text; a time-out holds for somebody else; a lock is never given back.
//! Newer poolers carry prepared statements along, the rest they can't.
//!
//! Nothing in the protocol says that a pooler is there, so it is found out: two connections that are open at the same time
//! have two sessions, and keep them.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::time::timeout;

/// How often each of the two connections is asked for its session. One round finds an idle pooler, which gives out the
/// session that was given back last; under load the sessions change from one question to the next.
const ROUNDS: u32 = 4;

/// There is a pooler that gives each transaction another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pooler stands between this server and PostgreSQL and gives each transaction another session (PgBouncer: pool_mode = \
     transaction or statement), but this server needs sessions that it keeps, for prepared statements, time-outs and the \
     lock of migrations: set pool_mode = session for this database and user in the pooler, or let database.url lead to \
     PostgreSQL itself or to the pooler's port for sessions"
)]
pub struct SharedSessions;

/// Finds out whether connections keep their sessions. What can't be asked is not held against the database: whoever
/// connects next is told why that fails.
///
/// # Errors
/// When they don't.
pub(super) async fn check(options: &PgConnectOptions, limit: Duration) -> Result<(), SharedSessions> {
    match timeout(limit, keeps_sessions(options)).await {
        Ok(Ok(false)) => Err(SharedSessions),
        Ok(Ok(true) | Err(_)) | Err(_) => Ok(()),
    }
}

async fn keeps_sessions(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut one = open(options).await?;
    let mut two = open(options).await?;
    let (first, second) = (session(&mut one).await?, session(&mut two).await?);
    let mut kept = first != second;
    for _ in 1..ROUNDS {
        kept &= session(&mut one).await? == first && session(&mut two).await? == second;
    }
    // Politely, so that no pooler and no log speaks of a lost connection.
    let _ = one.close().await;
    let _ = two.close().await;
    Ok(kept)
}

async fn open(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    // Some poolers share sessions only until a client changes one, as this server does. This change harms nobody.
    sqlx::raw_sql("set application_name = 'portcullis'").execute(&mut connection).await?;
    Ok(connection)
}

/// Names a session: its process, and the server that the process belongs to, for behind one address there may be several.
async fn session(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    // By the simple protocol: a prepared statement is just what may not work.
    let text = "select pg_backend_pid()::text || ' of ' || pg_postmaster_start_time()::text";
    sqlx::raw_sql(text).fetch_one(connection).await?.try_get(0)
}
