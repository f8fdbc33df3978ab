//! `client_document` and `client_keys`: what was last fetched from clients' own addresses.

use oauth::client::ClientMetadata;
use oauth::id::ClientId;
use oauth::time::Timestamp;

use super::client::{Said, bind_client, said_columns, said_values};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};

/// A metadata document to be remembered, and the client that it describes.
#[derive(Clone, Debug)]
pub struct NewDocument<'a> {
    /// The client's id: the document's URL.
    pub id: &'a ClientId,
    /// What the document says.
    pub metadata: &'a ClientMetadata,
    /// The document itself.
    pub body: &'a str,
    /// Where this copy is from: `fetched`, `built-in` or `operator`.
    pub source: &'a str,
    /// Now.
    pub fetched_at: Timestamp,
    /// Until when it need not be fetched again.
    pub fresh_until: Timestamp,
}

/// A remembered document.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredDocument {
    /// The document itself.
    pub body: String,
    /// Where this copy is from.
    pub source: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Until when it need not be fetched again.
    pub fresh_until: Timestamp,
}

/// Remembered keys.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredKeys {
    /// The text of the set.
    pub jwks: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

impl Store {
    /// Remembers a document and makes or updates its client; tells whether it did. A client of another origin with
    /// this id, a disabled and a deleted one are left as they are: what an administrator decided holds. So is one whose
    /// newer document another replica has stored meanwhile.
    ///
    /// Approvals that were given to what the document said before don't count any more: they keep the client's digest
    /// (R-41, [`ClientMetadata::digest`]).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_document_client(&self, new: &NewDocument<'_>) -> Result<bool, StoreError> {
        let (id, body, source) = (new.id.clone(), new.body.to_owned(), new.source.to_owned());
        let NewDocument { fetched_at, fresh_until, metadata, .. } = *new;
        let said = Said::of(metadata)?;
        transact!(self, |tx| {
            let put = sqlx::query(concat!(
                "insert into client (id, ",
                said_columns!(),
                ", shared, origin, registered_at) values ($1, ",
                said_values!(),
                ", false, 'document', $16)
                 on conflict (id) do update set (",
                said_columns!(),
                ") = (",
                said_values!(),
                "), registered_at = case when client.first_used_at is null then excluded.registered_at
                     else client.registered_at end
                 where client.origin = 'document' and client.deleted_at is null and client.disabled_at is null
                   and not exists (select 1 from client_document d where d.client_id = $1 and d.fetched_at > $16)"
            ));
            let done = bind_client!(put, &id, &said).bind(fetched_at).execute(&mut *tx).await?;
            if done.rows_affected() == 1 {
                sqlx::query(
                    "insert into client_document (client_id, body, source, fetched_at, fresh_until)
                     values ($1, $2, $3, $4, $5)
                     on conflict (client_id) do update set body = excluded.body, source = excluded.source,
                         fetched_at = excluded.fetched_at, fresh_until = excluded.fresh_until",
                )
                .bind(&id)
                .bind(&body)
                .bind(&source)
                .bind(fetched_at)
                .bind(fresh_until)
                .execute(&mut *tx)
                .await?;
                // Keys of an address that is not the client's any more prove nothing.
                sqlx::query("delete from client_keys where client_id = $1 and uri <> coalesce($2, '')")
                    .bind(&id)
                    .bind(&said.before.jwks_uri)
                    .execute(&mut *tx)
                    .await?;
            }
            done.rows_affected() == 1
        })
    }

    /// The document that was last read for this client.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_document(&self, id: &ClientId) -> Result<Option<StoredDocument>, StoreError> {
        Ok(read!(
            self,
            sql("select body, source, fetched_at, fresh_until from client_document where client_id = $1").bind(id),
            fetch_optional
        )?)
    }

    /// The keys that were last fetched for this client from this address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_keys(&self, id: &ClientId, uri: &str) -> Result<Option<StoredKeys>, StoreError> {
        Ok(read!(
            self,
            sql("select jwks, fetched_at from client_keys where client_id = $1 and uri = $2").bind(id).bind(uri),
            fetch_optional
        )?)
    }

    /// Remembers keys that were fetched for this client. Older ones never replace newer ones.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_keys(&self, id: &ClientId, uri: &str, jwks: &str, now: Timestamp) -> Result<(), StoreError> {
        write!(
            self,
            sql("insert into client_keys (client_id, uri, jwks, fetched_at) values ($1, $2, $3, $4)
                 on conflict (client_id) do update set uri = excluded.uri, jwks = excluded.jwks,
                     fetched_at = excluded.fetched_at
                 where client_keys.fetched_at <= excluded.fetched_at",)
            .bind(id)
            .bind(uri)
            .bind(jwks)
            .bind(now),
            execute
        )?;
        Ok(())
    }
}
