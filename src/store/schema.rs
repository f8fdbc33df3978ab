//! The form of the database: which migrations made it, and whether this program is theirs.

use sqlx::migrate::{Migrate, MigrateError};

use super::connect::{ConnectError, MIGRATIONS};

/// The table in which migrations are counted.
const TABLE: &str = "_sqlx_migrations";

/// A migration that a database or a copy of one has gone through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// SHA-384 of its text.
    pub checksum: Vec<u8>,
    /// Whether it came to its end.
    pub success: bool,
}

/// Why a database isn't this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It was upgraded.
    #[error(
        "the database was made by a newer version of Portcullis: its schema has number {schema}, this program knows up to \
         {known}. Use that version, or restore a backup from before the upgrade (portcullis restore FILE)"
    )]
    Newer {
        /// The number of its newest migration.
        schema: i64,
        /// The number of ours.
        known: i64,
    },
    /// Another program's, or a build with other migrations.
    #[error(
        "the database was made by another build of Portcullis: its migration {version} is not the one that this program has. \
         Use the build that made it"
    )]
    Foreign {
        /// The migration that differs.
        version: i64,
    },
    /// It was left half-way.
    #[error("the database was left in the middle of migration {version}: restore a backup (portcullis restore FILE)")]
    Half {
        /// The migration.
        version: i64,
    },
}

/// The number of the newest migration that this program knows.
#[must_use]
pub fn known_schema() -> i64 {
    MIGRATIONS.iter().map(|own| own.version).max().unwrap_or(0)
}

/// Whether this program can open a database that went through these migrations; the number of the newest.
///
/// # Errors
/// See [`SchemaError`].
pub fn judge_schema(applied: &[Applied]) -> Result<i64, SchemaError> {
    let known = known_schema();
    let schema = applied.iter().map(|own| own.version).max().unwrap_or(0);
    if schema > known {
        return Err(SchemaError::Newer { schema, known });
    }
    for own in applied {
        let ours = MIGRATIONS.iter().find(|ours| ours.version == own.version);
        if ours.is_none_or(|ours| *ours.checksum != *own.checksum) {
            return Err(SchemaError::Foreign { version: own.version });
        }
        if !own.success {
            return Err(SchemaError::Half { version: own.version });
        }
    }
    Ok(schema)
}

/// Runs the migrations that are missing.
///
/// # Errors
/// When the database is not this program's, or one fails. The connection may hold the lock of migrations then: close it.
pub(super) async fn migrate<C: Migrate>(connection: &mut C) -> Result<(), ConnectError> {
    let Err(error) = MIGRATIONS.run_direct(None, connection, false).await else { return Ok(()) };
    if matches!(error, MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) {
        let applied = connection.list_applied_migrations(TABLE).await?;
        let applied: Vec<Applied> = applied
            .into_iter()
            .map(|own| Applied { version: own.version, checksum: own.checksum.into_owned(), success: true })
            .collect();
        judge_schema(&applied)?;
    }
    Err(error.into())
}
