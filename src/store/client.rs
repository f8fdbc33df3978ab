//! `client` and `client_registration`.

use std::time::Duration;

use oauth::client::{AuthMethod, ClientKeys, ClientMetadata};
use oauth::id::ClientId;
use oauth::redirect_uri::RedirectUri;
use oauth::scope::Scope;
use oauth::time::Timestamp;

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
    name: Option<String>,
    uri: Option<String>,
    software_id: Option<String>,
    software_version: Option<String>,
    application_type: Option<String>,
    redirect_uris: String,
    auth_method: String,
    grant_types: String,
    scope: String,
    secret_hash: Option<SecretHash>,
    shared: bool,
    registered_at: Timestamp,
    first_used_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    origin: String,
    description: Option<String>,
    tos_uri: Option<String>,
    policy_uri: Option<String>,
    jwks: Option<String>,
    jwks_uri: Option<String>,
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
        let uris: Vec<String> = parse_list(&row.redirect_uris)?;
        let redirect_uris = uris
            .iter()
            .map(|text| RedirectUri::from_stored(text).map_err(|error| StoreError::corrupt("redirect URI", error)))
            .collect::<Result<_, _>>()?;
        let unreadable = |error: String| StoreError::corrupt("client", error);
        let auth_methods = row
            .auth_method
            .split(' ')
            .map(|word| AuthMethod::try_from(word.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let span =
            |seconds: Option<i64>| seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let scope = |text: String| Scope::try_from(text).map_err(|error| StoreError::corrupt("client", error));
        let metadata = ClientMetadata {
            redirect_uris,
            auth_methods,
            keys: row.jwks.map(ClientKeys::Inline).or_else(|| row.jwks_uri.map(ClientKeys::Uri)),
            grant_types: parse_list(&row.grant_types)?,
            scope: scope(row.scope)?,
            name: row.name,
            uri: row.uri,
            tos_uri: row.tos_uri,
            policy_uri: row.policy_uri,
            software_id: row.software_id,
            software_version: row.software_version,
            application_type: row.application_type,
        };
        Ok(Self {
            id: row.id,
            origin: ClientOrigin::parse(&row.origin)
                .ok_or_else(|| unreadable(format!("{:?} is no origin", row.origin)))?,
            metadata,
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

fn parse_list(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::corrupt("client", error))
}

/// The ways of authenticating, as stored: preferred first, separated by spaces.
pub(super) fn methods(metadata: &ClientMetadata) -> String {
    metadata.auth_methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" ")
}

pub(super) fn inline_keys(metadata: &ClientMetadata) -> Option<&str> {
    metadata.keys.as_ref().and_then(|keys| match keys {
        ClientKeys::Inline(set) => Some(set.as_str()),
        ClientKeys::Uri(_) => None,
    })
}

pub(super) fn keys_uri(metadata: &ClientMetadata) -> Option<&str> {
    metadata.keys.as_ref().and_then(|keys| match keys {
        ClientKeys::Uri(uri) => Some(uri.as_str()),
        ClientKeys::Inline(_) => None,
    })
}

pub(super) fn list<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    serde_json::Value::from(items.map(|item| item.as_ref().to_owned()).collect::<Vec<_>>()).to_string()
}

macro_rules! client_columns {
    () => {
        "c.id, c.name, c.uri, c.software_id, c.software_version, c.application_type, c.redirect_uris, c.auth_method,
         c.grant_types, c.scope, c.secret_hash, c.shared, c.registered_at, c.first_used_at, c.deleted_at, c.origin,
         c.description, c.tos_uri, c.policy_uri, c.jwks, c.jwks_uri, c.allowed_scope, c.access_ttl, c.refresh_idle_ttl,
         c.refresh_absolute_ttl, c.first_party, c.disabled_at, c.old_secret_hash, c.old_secret_expires_at"
    };
}

/// Lets others register what a deleted client was. The last step of its deletion: PostgreSQL locks a row whose unique
/// value changes against everybody who refers to it, and a redemption that is waited for must not wait for this.
macro_rules! forget_fingerprint {
    ($tx:expr, $id:expr) => {
        sqlx::query("update client set fingerprint = null where id = $1").bind($id).execute(&mut *$tx).await?;
    };
}

pub(super) use {client_columns, forget_fingerprint};

impl Store {
    /// Remembers a registration and returns the id that it got: its own, or that of the public client with the
    /// very same metadata, which is marked as shared and counts as registered now. Racing identical registrations
    /// meet at the unique fingerprint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_registration(&self, new: &NewRegistration) -> Result<ClientId, StoreError> {
        let new = new.clone();
        transact!(self, |tx| {
            let uris = list(new.metadata.redirect_uris.iter().map(RedirectUri::as_str));
            let grants = list(new.metadata.grant_types.iter());
            let (id,): (ClientId,) = sqlx::query_as(
                "insert into client (id, name, uri, software_id, software_version, application_type, redirect_uris,
                     auth_method, grant_types, scope, secret_hash, fingerprint, shared, registered_at, tos_uri,
                     policy_uri, jwks, jwks_uri)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false, $13, $14, $15, $16, $17)
                 on conflict (fingerprint) do update set shared = true, registered_at = excluded.registered_at
                 returning id",
            )
            .bind(&new.id)
            .bind(&new.metadata.name)
            .bind(&new.metadata.uri)
            .bind(&new.metadata.software_id)
            .bind(&new.metadata.software_version)
            .bind(&new.metadata.application_type)
            .bind(&uris)
            .bind(methods(&new.metadata))
            .bind(&grants)
            .bind(new.metadata.scope.to_string())
            .bind(&new.secret_hash)
            .bind(&new.fingerprint)
            .bind(new.registered_at)
            .bind(&new.metadata.tos_uri)
            .bind(&new.metadata.policy_uri)
            .bind(inline_keys(&new.metadata))
            .bind(keys_uri(&new.metadata))
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
        write!(
            self,
            sql("insert into client (id, name, redirect_uris, auth_method, grant_types, scope, shared, registered_at)
             values ($1, $2, $3, $4, $5, $6, false, $7) on conflict (id) do nothing")
            .bind(id)
            .bind(&metadata.name)
            .bind(list(metadata.redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(methods(metadata))
            .bind(list(metadata.grant_types.iter()))
            .bind(metadata.scope.to_string())
            .bind(now),
            execute
        )?;
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
    /// tokens for it. Its remembered approvals go, because they were given to something else.
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
        let (id, metadata) = (id.clone(), metadata.clone());
        let (secret_hash, fingerprint) = (secret_hash.cloned(), fingerprint.map(str::to_owned));
        transact!(self, |tx| {
            let uris = list(metadata.redirect_uris.iter().map(RedirectUri::as_str));
            let grants = list(metadata.grant_types.iter());
            let done = sqlx::query(
                "update client set name = $2, uri = $3, software_id = $4, software_version = $5,
                     application_type = $6, redirect_uris = $7, auth_method = $8, grant_types = $9, scope = $10,
                     secret_hash = $11, fingerprint = $12, tos_uri = $13, policy_uri = $14, jwks = $15, jwks_uri = $16
                 where id = $1 and not shared and deleted_at is null
                   and not exists (select 1 from client other where other.fingerprint = $12 and other.id <> $1)",
            )
            .bind(&id)
            .bind(&metadata.name)
            .bind(&metadata.uri)
            .bind(&metadata.software_id)
            .bind(&metadata.software_version)
            .bind(&metadata.application_type)
            .bind(&uris)
            .bind(methods(&metadata))
            .bind(&grants)
            .bind(metadata.scope.to_string())
            .bind(&secret_hash)
            .bind(&fingerprint)
            .bind(&metadata.tos_uri)
            .bind(&metadata.policy_uri)
            .bind(inline_keys(&metadata))
            .bind(keys_uri(&metadata))
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 {
                sqlx::query("delete from consent where client_id = $1").bind(&id).execute(&mut *tx).await?;
            }
            done.rows_affected() == 1
        })
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
