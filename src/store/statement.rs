//! One statement with its values: built in the task of the request, run as a job.

use sqlx::error::BoxDynError;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Arguments as _, Database, Encode, FromRow, PgConnection, Postgres, Sqlite, SqliteConnection, Type};

use super::fault::StoreError;

/// A statement and its values. It owns them, so that it can outlive the request that made it.
pub(super) struct Statement<DB: Database> {
    text: &'static str,
    arguments: Result<DB::Arguments, BoxDynError>,
}

/// A statement without values yet.
pub(super) fn sql<DB: Database>(text: &'static str) -> Statement<DB> {
    Statement { text, arguments: Ok(DB::Arguments::default()) }
}

impl<DB: Database> Statement<DB> {
    /// Adds the next value.
    pub(super) fn bind<'t, T: Encode<'t, DB> + Type<DB>>(mut self, value: T) -> Self {
        if let Ok(arguments) = &mut self.arguments
            && let Err(error) = arguments.add(value)
        {
            self.arguments = Err(error);
        }
        self
    }

    fn arguments(self) -> Result<DB::Arguments, StoreError> {
        self.arguments.map_err(|error| sqlx::Error::Encode(error).into())
    }
}

macro_rules! run {
    ($database:ty, $connection:ty, $row:ty) => {
        impl Statement<$database> {
            /// Runs it; the number of rows that it touched.
            pub(super) async fn execute(self, connection: &mut $connection) -> Result<u64, StoreError> {
                let text = self.text;
                let done = sqlx::query_with(text, self.arguments()?).execute(connection).await?;
                Ok(done.rows_affected())
            }

            /// The one row, if there is one.
            pub(super) async fn fetch_optional<O>(self, connection: &mut $connection) -> Result<Option<O>, StoreError>
            where
                O: for<'r> FromRow<'r, $row> + Send + Unpin,
            {
                let text = self.text;
                Ok(sqlx::query_as_with(text, self.arguments()?).fetch_optional(connection).await?)
            }

            /// The one row that there always is.
            pub(super) async fn fetch_one<O>(self, connection: &mut $connection) -> Result<O, StoreError>
            where
                O: for<'r> FromRow<'r, $row> + Send + Unpin,
            {
                let text = self.text;
                Ok(sqlx::query_as_with(text, self.arguments()?).fetch_one(connection).await?)
            }

            /// All rows.
            pub(super) async fn fetch_all<O>(self, connection: &mut $connection) -> Result<Vec<O>, StoreError>
            where
                O: for<'r> FromRow<'r, $row> + Send + Unpin,
            {
                let text = self.text;
                Ok(sqlx::query_as_with(text, self.arguments()?).fetch_all(connection).await?)
            }
        }
    };
}

run!(Sqlite, SqliteConnection, SqliteRow);
run!(Postgres, PgConnection, PgRow);
