//! `client_document` and `client_keys`: what was last fetched from clients' own addresses.

use oauth::client::ClientMetadata;
use oauth::id::ClientId;
use oauth::redirect_uri::RedirectUri;
use oauth::time::Timestamp;

use super::client::{inline_keys, keys_uri, list, methods};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::client::ClientOrigin;

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
    /// When redirect URIs, ways of authenticating or keys are others than before, remembered approvals go: they were
    /// given to something else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_document_client(&self, new: &NewDocument<'_>) -> Result<bool, StoreError> {
        let (id, body, source) = (new.id.clone(), new.body.to_owned(), new.source.to_owned());
        let NewDocument { fetched_at, fresh_until, .. } = *new;
        let metadata = new.metadata.clone();
        let uris = list(metadata.redirect_uris.iter().map(RedirectUri::as_str));
        let grants = list(metadata.grant_types.iter());
        let methods = methods(&metadata);
        let origin = ClientOrigin::Document.as_str();
        transact!(self, |tx| {
            let (inline, uri) = (inline_keys(&metadata), keys_uri(&metadata));
            sqlx::query(
                "delete from consent where client_id = $1 and exists (select 1 from client c where c.id = $1
                     and c.origin = $6 and (c.redirect_uris <> $2 or c.auth_method <> $3
                     or coalesce(c.jwks, '') <> coalesce($4, '') or coalesce(c.jwks_uri, '') <> coalesce($5, '')))
                 and not exists (select 1 from client_document d where d.client_id = $1 and d.fetched_at > $7)",
            )
            .bind(&id)
            .bind(&uris)
            .bind(&methods)
            .bind(inline)
            .bind(uri)
            .bind(origin)
            .bind(fetched_at)
            .execute(&mut *tx)
            .await?;
            let done = sqlx::query(
                "insert into client (id, name, uri, software_id, software_version, application_type, redirect_uris,
                     auth_method, grant_types, scope, shared, registered_at, tos_uri, policy_uri, jwks, jwks_uri, origin)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, $11, $12, $13, $14, $15, $16)
                 on conflict (id) do update set name = excluded.name, uri = excluded.uri,
                     software_id = excluded.software_id, software_version = excluded.software_version,
                     application_type = excluded.application_type, redirect_uris = excluded.redirect_uris,
                     auth_method = excluded.auth_method, grant_types = excluded.grant_types, scope = excluded.scope,
                     tos_uri = excluded.tos_uri, policy_uri = excluded.policy_uri, jwks = excluded.jwks,
                     jwks_uri = excluded.jwks_uri,
                     registered_at = case when client.first_used_at is null then excluded.registered_at
                         else client.registered_at end
                 where client.origin = $16 and client.deleted_at is null and client.disabled_at is null
                   and not exists (select 1 from client_document d where d.client_id = $1 and d.fetched_at > $11)",
            )
            .bind(&id)
            .bind(&metadata.name)
            .bind(&metadata.uri)
            .bind(&metadata.software_id)
            .bind(&metadata.software_version)
            .bind(&metadata.application_type)
            .bind(&uris)
            .bind(&methods)
            .bind(&grants)
            .bind(metadata.scope.to_string())
            .bind(fetched_at)
            .bind(&metadata.tos_uri)
            .bind(&metadata.policy_uri)
            .bind(inline)
            .bind(uri)
            .bind(origin)
            .execute(&mut *tx)
            .await?;
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
                    .bind(uri)
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
