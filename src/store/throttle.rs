//! `sign_in_failure`: counts of wrong passwords, shared by all replicas.

use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, write};

impl Store {
    /// Counts a failure of `subject` and returns how many there are in its window, which begins with the first
    /// failure and ends at `window_ends_at`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_sign_in_failure(
        &self,
        subject: &str,
        now: Timestamp,
        window_ends_at: Timestamp,
    ) -> Result<i64, StoreError> {
        let (failures,): (i64,) = write!(
            self,
            sql("insert into sign_in_failure (subject, failures, window_ends_at) values ($1, 1, $3)
             on conflict (subject) do update set
                 failures = case when sign_in_failure.window_ends_at <= $2 then 1 else sign_in_failure.failures + 1 end,
                 window_ends_at = case when sign_in_failure.window_ends_at <= $2 then $3
                                       else sign_in_failure.window_ends_at end
             returning failures")
            .bind(subject)
            .bind(now)
            .bind(window_ends_at),
            fetch_one
        )?;
        Ok(failures)
    }

    /// Takes one count back: the try turned out to be none of the failures that are counted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_back_sign_in_failure(&self, subject: &str) -> Result<(), StoreError> {
        write!(
            self,
            sql("update sign_in_failure set failures = failures - 1 where subject = $1 and failures > 0").bind(subject),
            execute
        )?;
        Ok(())
    }

    /// The failures of `subject` in its present window, and when that ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_in_failures(
        &self,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<(i64, Timestamp)>, StoreError> {
        Ok(read!(
            self,
            sql("select failures, window_ends_at from sign_in_failure where subject = $1 and window_ends_at > $2")
                .bind(subject)
                .bind(now),
            fetch_optional
        )?)
    }

    /// Forgets the failures of `subject`: it has signed in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear_sign_in_failures(&self, subject: &str) -> Result<(), StoreError> {
        write!(self, sql("delete from sign_in_failure where subject = $1").bind(subject), execute)?;
        Ok(())
    }
}
