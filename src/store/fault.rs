//! What can go wrong with the database, and what becomes of the connection then.

use std::time::Duration;

/// Our trouble, never the client's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed, or refused a statement.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// The database failed to commit: what was to be stored may be there or not.
    #[error("the database could not commit: {0}")]
    Commit(sqlx::Error),
    /// No connection can be made.
    #[error("the database at {place} can't be reached: {why}")]
    Unreachable {
        /// Host and port, or the file.
        place: String,
        /// The operating system's or the database's own words.
        why: String,
        /// Whether trying again is no use: a wrong password, no such database.
        lasting: bool,
    },
    /// The database gave no answer in time.
    #[error("the database at {place} did not answer within {} ms", .waited.as_millis())]
    Silent {
        /// Host and port, or the file.
        place: String,
        /// How long was waited.
        waited: Duration,
    },
    /// All connections were at work all the time.
    #[error(
        "none of the {most} connections to the database at {place} became free within {} ms (database.max_connections)",
        .waited.as_millis()
    )]
    Busy {
        /// Host and port, or the file.
        place: String,
        /// How many connections there are.
        most: u32,
        /// How long was waited.
        waited: Duration,
    },
    /// The database takes no writes: a standby, or a primary that was set read-only.
    #[error("the database takes reads only (it is a standby, or default_transaction_read_only is on)")]
    ReadOnly,
    /// The store is closed, or the work ended early.
    #[error("the store was closed while the work waited for it")]
    Stopped,
    /// A row holds what this version can't read.
    #[error("a stored {what} can't be read: {why}")]
    Corrupt {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it; no secret.
        why: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What becomes of a connection after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it was: the error is about data, or a decision of our own.
    Clean,
    /// Its state isn't known: it is closed.
    Suspect,
    /// The database behind it went away or changed its role: it and all of its age are closed.
    Gone,
}

/// What a job may fail with.
pub(super) trait Fault: From<StoreError> + std::fmt::Display + Send + 'static {
    /// What becomes of the connection.
    fn fate(&self) -> Fate;
}

impl Fault for StoreError {
    fn fate(&self) -> Fate {
        match self {
            Self::Corrupt { .. } | Self::Stopped | Self::Busy { .. } => Fate::Clean,
            Self::Database(error) => fate(error),
            // A connection whose COMMIT failed is never clean.
            Self::Commit(error) => {
                if fate(error) == Fate::Gone {
                    Fate::Gone
                } else {
                    Fate::Suspect
                }
            }
            Self::Unreachable { .. } | Self::Silent { .. } | Self::ReadOnly => Fate::Gone,
        }
    }
}

impl StoreError {
    pub(super) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, why: why.to_string() }
    }

    /// Whether the database broke one of our uniqueness rules.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// The error of a try to connect, which names the place.
    pub(super) fn at(self, place: &str) -> Self {
        let Self::Database(error) = self else { return self };
        let lasting = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code.starts_with("28") || code.starts_with("3D"))
            || matches!(error, sqlx::Error::Configuration(_) | sqlx::Error::Tls(_));
        Self::Unreachable { place: place.to_owned(), why: words(&error), lasting }
    }

    /// Whether another try to connect would end the same.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Unreachable { lasting: true, .. })
    }
}

/// The innermost words: the operating system's or the database's.
fn words(error: &sqlx::Error) -> String {
    if let sqlx::Error::Io(error) = error {
        return error.to_string();
    }
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn fate(error: &sqlx::Error) -> Fate {
    if let Some(error) = error.as_database_error() {
        return fate_told(error);
    }
    let of_data = matches!(
        error,
        sqlx::Error::RowNotFound
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::TypeNotFound { .. }
    );
    let of_the_wire = matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed
    );
    match (of_data, of_the_wire) {
        (true, _) => Fate::Clean,
        (false, true) => Fate::Gone,
        (false, false) => Fate::Suspect,
    }
}

/// By SQLSTATE; SQLite's codes are short numbers and match none of these.
fn fate_told(error: &dyn sqlx::error::DatabaseError) -> Fate {
    if error.is_unique_violation() || error.is_foreign_key_violation() || error.is_check_violation() {
        return Fate::Clean;
    }
    match error.code().as_deref() {
        // A session that became read-only; one that was ended or can't begin (57P01 to 57P03); a broken connection.
        Some(code) if code == "25006" || code.starts_with("57P") || code.starts_with("08") => Fate::Gone,
        // Data that does not fit (class 22), a serialization failure or deadlock (class 40).
        Some(code) if code.len() == 5 && (code.starts_with("22") || code.starts_with("40")) => Fate::Clean,
        Some(_) | None => Fate::Suspect,
    }
}
