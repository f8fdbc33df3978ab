//! `client` and `client_registration`.

use std::time::Duration;

use oauth::client::ClientMetadata;
use oauth::id::ClientId;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::client_before::Before;
use super::ending::{Ended, end_grants_of_client};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::client::{Client, ClientOrigin, ClientSecrets, Terms};
use crate::model::secret::SecretHash;

/// A registration to be remembered.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    /// The id that the client gets unless an identical public one is there.
    pub id: ClientId,
    /// Its metadata.
    pub metadata: ClientMetadata,
    /// Digest of its secret, for a confidential client.
    pub secret_hash: Option<SecretHash>,
    /// Digest of its metadata, for a public client: identical ones share a row.
    pub fingerprint: Option<String>,
    /// Digest of its registration access token.
    pub token_hash: SecretHash,
    /// Now.
    pub registered_at: Timestamp,
}

/// Registration access tokens that one shared client may have; beyond it the oldest stops working.
const MAX_REGISTRATION_TOKENS: i64 = 20;

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: ClientId,
    metadata: Option<String>,
    #[sqlx(flatten)]
    before: Before,
    secret_hash: Option<SecretHash>,
    shared: bool,
    registered_at: Timestamp,
    first_used_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    origin: String,
    description: Option<String>,
    allowed_scope: Option<String>,
    access_ttl: Option<i64>,
    refresh_idle_ttl: Option<i64>,
    refresh_absolute_ttl: Option<i64>,
    first_party: bool,
    disabled_at: Option<Timestamp>,
    old_secret_hash: Option<SecretHash>,
    old_secret_expires_at: Option<Timestamp>,
}

impl TryFrom<Row> for Client {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = |error: String| StoreError::corrupt("client", error);
        let span =
            |seconds: Option<i64>| seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let scope = |text: String| Scope::try_from(text).map_err(|error| StoreError::corrupt("client", error));
        let stored: Option<ClientMetadata> = row
            .metadata
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| StoreError::corrupt("client", error))?;
        Ok(Self {
            id: row.id,
            origin: ClientOrigin::parse(&row.origin)
                .ok_or_else(|| unreadable(format!("{:?} is no origin", row.origin)))?,
            metadata: match stored {
                Some(metadata) if Before::of(&metadata) == row.before => metadata,
                // A copy of the release before has written this row since.
                Some(_) | None => row.before.metadata()?,
            },
            description: row.description,
            terms: Terms {
                allowed_scope: row.allowed_scope.map(scope).transpose()?,
                access_ttl: span(row.access_ttl),
                refresh_idle_ttl: span(row.refresh_idle_ttl),
                refresh_absolute_ttl: span(row.refresh_absolute_ttl),
                first_party: row.first_party,
            },
            secrets: ClientSecrets {
                current: row.secret_hash,
                old: row.old_secret_hash.zip(row.old_secret_expires_at),
            },
            shared: row.shared,
            registered_at: row.registered_at,
            first_used_at: row.first_used_at,
            disabled_at: row.disabled_at,
            deleted_at: row.deleted_at,
        })
    }
}

/// Client metadata as it is written.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) metadata: String,
    pub(super) before: Before,
}

impl Said {
    pub(super) fn of(metadata: &ClientMetadata) -> Result<Self, StoreError> {
        let text = serde_json::to_string(metadata).map_err(|error| StoreError::corrupt("client", error))?;
        Ok(Self { metadata: text, before: Before::of(metadata) })
    }
}

macro_rules! client_columns {
    () => {
        "c.id, c.metadata, c.name, c.uri, c.software_id, c.software_version, c.application_type, c.redirect_uris,
         c.auth_method, c.grant_types, c.scope, c.secret_hash, c.shared, c.registered_at, c.first_used_at, c.deleted_at,
         c.origin, c.description, c.tos_uri, c.policy_uri, c.jwks, c.jwks_uri, c.allowed_scope, c.access_ttl,
         c.refresh_idle_ttl, c.refresh_absolute_ttl, c.first_party, c.disabled_at, c.old_secret_hash,
         c.old_secret_expires_at"
    };
}

/// The columns of a client's metadata, which every statement that writes a client names by this list. [`bind_client`] binds
/// them from $2 on, after the id; what else a statement needs begins at $16.
macro_rules! said_columns {
    () => {
        "metadata, name, uri, software_id, software_version, application_type, redirect_uris, auth_method, grant_types,
         scope, tos_uri, policy_uri, jwks, jwks_uri"
    };
}

macro_rules! said_values {
    () => {
        "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15"
    };
}

/// Binds a client's id and metadata.
macro_rules! bind_client {
    ($statement:expr, $id:expr, $said:expr) => {{
        let said: &crate::store::client::Said = $said;
        $statement
            .bind($id)
            .bind(&said.metadata)
            .bind(&said.before.name)
            .bind(&said.before.uri)
            .bind(&said.before.software_id)
            .bind(&said.before.software_version)
            .bind(&said.before.application_type)
            .bind(&said.before.redirect_uris)
            .bind(&said.before.auth_method)
            .bind(&said.before.grant_types)
            .bind(&said.before.scope)
            .bind(&said.before.tos_uri)
            .bind(&said.before.policy_uri)
            .bind(&said.before.jwks)
            .bind(&said.before.jwks_uri)
    }};
}

/// Lets others register what a deleted client was. The last step of its deletion: PostgreSQL locks a row whose unique
/// value changes against everybody who refers to it, and a redemption that is waited for must not wait for this.
macro_rules! forget_fingerprint {
    ($tx:expr, $id:expr) => {
        sqlx::query("update client set fingerprint = null where id = $1").bind($id).execute(&mut *$tx).await?;
    };
}

pub(super) use {bind_client, client_columns, forget_fingerprint, said_columns, said_values};

impl Store {
    /// Remembers a registration and returns the id that it got: its own, or that of the public client with the
    /// very same metadata, which is marked as shared and counts as registered now. Racing identical registrations
    /// meet at the unique fingerprint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_registration(&self, new: &NewRegistration) -> Result<ClientId, StoreError> {
        let (new, said) = (new.clone(), Said::of(&new.metadata)?);
        transact!(self, |tx| {
            let put = sqlx::query_as(concat!(
                "insert into client (id, ",
                said_columns!(),
                ", shared, registered_at, secret_hash, fingerprint) values ($1, ",
                said_values!(),
                ", false, $16, $17, $18)
                 on conflict (fingerprint) do update set shared = true, registered_at = excluded.registered_at
                 returning id"
            ));
            let (id,): (ClientId,) = bind_client!(put, &new.id, &said)
                .bind(new.registered_at)
                .bind(&new.secret_hash)
                .bind(&new.fingerprint)
                .fetch_one(&mut *tx)
                .await?;
            sqlx::query("insert into client_registration (token_hash, client_id, registered_at) values ($1, $2, $3)")
                .bind(&new.token_hash)
                .bind(&id)
                .bind(new.registered_at)
                .execute(&mut *tx)
                .await?;
            if id != new.id {
                sqlx::query(
                    // The new token stays even if more than the most were given out within its second.
                    "delete from client_registration where client_id = $1 and token_hash <> $3 and token_hash not in
                     (select token_hash from client_registration where client_id = $1 and token_hash <> $3
                      order by registered_at desc, token_hash limit $2)",
                )
                .bind(&id)
                .bind(MAX_REGISTRATION_TOKENS - 1)
                .bind(&new.token_hash)
                .execute(&mut *tx)
                .await?;
            }
            id
        })
    }

    /// Remembers a public client under an id that it brings. Somebody else who was quicker, or a client that was
    /// deleted under this id, stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn adopt_client(
        &self,
        id: &ClientId,
        metadata: &ClientMetadata,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let said = Said::of(metadata)?;
        let put = concat!(
            "insert into client (id, ",
            said_columns!(),
            ", shared, registered_at) values ($1, ",
            said_values!(),
            ", false, $16) on conflict (id) do nothing"
        );
        write!(self, bind_client!(sql(put), id, &said).bind(now), execute)?;
        Ok(())
    }

    /// The client with this id; a deleted one is found too and says so.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let row: Option<Row> = read!(
            self,
            sql(concat!("select ", client_columns!(), " from client c where c.id = $1")).bind(id),
            fetch_optional
        )?;
        row.map(Client::try_from).transpose()
    }

    /// The client that a registration access token is for (RFC 7592 §3).
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_registration(&self, id: &ClientId, token: &SecretHash) -> Result<Option<Client>, StoreError> {
        let row: Option<Row> = read!(
            self,
            sql(concat!(
                "select ",
                client_columns!(),
                " from client c join client_registration r on r.client_id = c.id
              where c.id = $1 and r.token_hash = $2 and c.deleted_at is null"
            ))
            .bind(id)
            .bind(token),
            fetch_optional
        )?;
        row.map(Client::try_from).transpose()
    }

    /// Changes a registration's metadata; tells whether it did. A shared one is never changed: strangers hold
    /// tokens for it. Approvals that were given to what it was before don't count any more: they keep its digest
    /// (R-41, [`ClientMetadata::digest`]).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn update_registration(
        &self,
        id: &ClientId,
        metadata: &ClientMetadata,
        secret_hash: Option<&SecretHash>,
        fingerprint: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (id, said) = (id.clone(), Said::of(metadata)?);
        let (secret_hash, fingerprint) = (secret_hash.cloned(), fingerprint.map(str::to_owned));
        let put = concat!(
            "update client set (",
            said_columns!(),
            ") = (",
            said_values!(),
            "), secret_hash = $16, fingerprint = $17
             where id = $1 and not shared and deleted_at is null
               and not exists (select 1 from client other where other.fingerprint = $17 and other.id <> $1)"
        );
        let done = write!(self, bind_client!(sql(put), &id, &said).bind(&secret_hash).bind(&fingerprint), execute)?;
        Ok(done == 1)
    }

    /// Ends a registration (RFC 7592 §2.3): its token stops working, and with the last token of a client the
    /// client itself is deleted and its connections end, unless others have registered the same.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_registration(
        &self,
        id: &ClientId,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, token) = (id.clone(), token.clone());
        let ended: Result<Ended, StoreError> = transact!(self, |tx| {
            sqlx::query("delete from client_registration where client_id = $1 and token_hash = $2")
                .bind(&id)
                .bind(&token)
                .execute(&mut *tx)
                .await?;
            let deleted = sqlx::query(
                // A shared one stays: by registering the same again, strangers come to hold all of its tokens.
                "update client set deleted_at = $2 where id = $1 and deleted_at is null
                   and not shared and not exists (select 1 from client_registration where client_id = $1)",
            )
            .bind(&id)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if deleted.rows_affected() == 1 {
                // Before the grants: a redemption that is under way is waited for, and its grant is seen.
                sqlx::query("delete from authorization_code where client_id = $1 and redeemed_at is null")
                    .bind(&id)
                    .execute(&mut *tx)
                    .await?;
                let ended = end_grants_of_client!(tx, &id, now, "client deleted");
                forget_fingerprint!(tx, &id);
                ended
            } else {
                Ended::NOTHING
            }
        });
        self.tell(ended?).await?;
        Ok(())
    }
}
