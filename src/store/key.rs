//! `signing_key`: the sealed signing keys.

use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::key::StoredKey;

macro_rules! insert_key {
    ($query:path, $key:expr) => {
        $query(
            "insert into signing_key (kid, generation, algorithm, sealed, created_at, active_at)
             values ($1, $2, $3, $4, $5, $6) on conflict (generation) do nothing",
        )
        .bind(&$key.kid)
        .bind($key.generation)
        .bind(&$key.algorithm)
        .bind(&$key.sealed)
        .bind($key.created_at)
        .bind($key.active_at)
    };
}

impl Store {
    /// All keys, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signing_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        Ok(read!(
            self,
            sql(
                "select kid, generation, algorithm, sealed, created_at, active_at from signing_key order by generation"
            ),
            fetch_all
        )?)
    }

    /// Adds a key unless another replica has added one of the same generation first; tells whether it did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_signing_key(&self, key: &StoredKey) -> Result<bool, StoreError> {
        let done = write!(self, insert_key!(sql, key), execute)?;
        Ok(done == 1)
    }

    /// Puts a key in the place of all others at once: for a key that got into wrong hands. Every token signed
    /// before stops. Tells whether it did: not if a key of the same generation came first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace_signing_keys(&self, key: &StoredKey) -> Result<bool, StoreError> {
        let key = key.clone();
        transact!(self, |tx| {
            let inserted = insert_key!(sqlx::query, key).execute(&mut *tx).await?.rows_affected() == 1;
            if inserted {
                sqlx::query("delete from signing_key where generation < $1")
                    .bind(key.generation)
                    .execute(&mut *tx)
                    .await?;
            }
            inserted
        })
    }

    /// Deletes the keys whose successor has been signing since before `successor_active_before`: no token that
    /// they signed can still be alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_signing_keys(&self, successor_active_before: Timestamp) -> Result<u64, StoreError> {
        Ok(write!(
            self,
            sql("delete from signing_key where generation <
             (select max(newer.generation) from signing_key newer where newer.active_at < $1)")
            .bind(successor_active_before),
            execute
        )?)
    }
}
