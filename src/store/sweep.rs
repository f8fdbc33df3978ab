//! Forgetting what has had its time.

use std::time::Duration;

use super::statement::sql;
use super::{Store, StoreError, write};
use crate::model::time::Timestamp;

macro_rules! delete {
    ($store:expr, $sql:literal, $before:expr) => {
        write!($store, sql($sql).bind($before), execute)?
    };
}

impl Store {
    /// Deletes what ended before its moment: `now` for what nobody can present any more, `evidence_before` for
    /// what must still be recognised when it is presented again (redeemed codes, ended grants).
    ///
    /// # Errors
    /// When the database fails; what was deleted until then stays deleted.
    pub async fn sweep(&self, now: Timestamp, evidence_before: Timestamp) -> Result<u64, StoreError> {
        let mut rows = delete!(self, "delete from session where expires_at <= $1", now);
        // A replica whose clock is behind must still find them.
        let skewed = now.minus(Duration::from_mins(5));
        rows += delete!(self, "delete from client_assertion where expires_at <= $1", skewed);
        rows += delete!(self, "delete from setup_link where expires_at <= $1", now);
        rows += delete!(self, "delete from sign_in_failure where window_ends_at <= $1", now);
        rows += delete!(self, "delete from authorization_request where expires_at <= $1", evidence_before);
        rows += delete!(self, "delete from authorization_code where expires_at <= $1", evidence_before);
        rows += delete!(self, "delete from refresh_token where expires_at <= $1", evidence_before);
        rows += delete!(self, "delete from token_grant where expires_at <= $1", evidence_before);
        rows +=
            delete!(self, "delete from token_grant where revoked_at is not null and revoked_at <= $1", evidence_before);
        rows += delete!(self, "delete from api_token where expires_at <= $1", evidence_before);
        rows +=
            delete!(self, "delete from api_token where revoked_at is not null and revoked_at <= $1", evidence_before);
        Ok(rows)
    }
}
