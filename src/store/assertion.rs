//! `client_assertion`: assertions that were presented.

use oauth::id::ClientId;
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, write};
use crate::model::secret::SecretHash;

impl Store {
    /// Uses an assertion, of which there is one use: tells whether this was it. Decided by the insert itself, so that
    /// of many at once, on any replica, one wins (RFC 7523 §3 no. 7).
    ///
    /// # Errors
    /// When the database fails; the assertion then proves nothing.
    pub async fn use_assertion(
        &self,
        client: &ClientId,
        jti: &SecretHash,
        dead_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql("insert into client_assertion (client_id, jti_hash, expires_at) values ($1, $2, $3)
                 on conflict (client_id, jti_hash) do nothing",)
            .bind(client)
            .bind(jti)
            .bind(dead_at),
            execute
        )?;
        Ok(done == 1)
    }
}
