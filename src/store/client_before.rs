//! The columns that held client metadata before it became one JSON column. A copy of the release before reads and writes
//! them while an upgrade is under way; the release after this one can drop them, and this file with them.

use oauth::client::{AuthMethod, ClientKeys, ClientMetadata};
use oauth::id::ClientId;
use oauth::redirect_uri::RedirectUri;
use oauth::scope::Scope;

use super::statement::sql;
use super::{Store, StoreError, read, transact};

/// Client metadata in the columns of the release before.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Before {
    pub(super) name: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) software_id: Option<String>,
    pub(super) software_version: Option<String>,
    pub(super) application_type: Option<String>,
    pub(super) redirect_uris: String,
    /// Preferred first, separated by spaces.
    pub(super) auth_method: String,
    pub(super) grant_types: String,
    pub(super) scope: String,
    pub(super) tos_uri: Option<String>,
    pub(super) policy_uri: Option<String>,
    pub(super) jwks: Option<String>,
    pub(super) jwks_uri: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Unfilled {
    id: ClientId,
    #[sqlx(flatten)]
    before: Before,
}

impl Before {
    pub(super) fn of(metadata: &ClientMetadata) -> Self {
        let list = |items: Vec<&str>| serde_json::Value::from(items).to_string();
        let (jwks, jwks_uri) = match metadata.keys.clone() {
            None => (None, None),
            Some(ClientKeys::Inline(set)) => (Some(set), None),
            Some(ClientKeys::Uri(uri)) => (None, Some(uri)),
        };
        Self {
            name: metadata.name.clone(),
            uri: metadata.uri.clone(),
            software_id: metadata.software_id.clone(),
            software_version: metadata.software_version.clone(),
            application_type: metadata.application_type.clone(),
            redirect_uris: list(metadata.redirect_uris.iter().map(RedirectUri::as_str).collect()),
            auth_method: metadata.auth_methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" "),
            grant_types: list(metadata.grant_types.iter().map(String::as_str).collect()),
            scope: metadata.scope.to_string(),
            tos_uri: metadata.tos_uri.clone(),
            policy_uri: metadata.policy_uri.clone(),
            jwks,
            jwks_uri,
        }
    }

    pub(super) fn metadata(self) -> Result<ClientMetadata, StoreError> {
        let list = |json: &str| serde_json::from_str::<Vec<String>>(json).map_err(unreadable);
        let redirect_uris = list(&self.redirect_uris)?
            .into_iter()
            .map(RedirectUri::try_from)
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::corrupt("redirect URI", error))?;
        let auth_methods = self
            .auth_method
            .split(' ')
            .map(|word| AuthMethod::try_from(word.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let scope = Scope::try_from(self.scope).map_err(unreadable)?;
        Ok(ClientMetadata {
            keys: self.jwks.map(ClientKeys::Inline).or_else(|| self.jwks_uri.map(ClientKeys::Uri)),
            name: self.name,
            uri: self.uri,
            tos_uri: self.tos_uri,
            policy_uri: self.policy_uri,
            software_id: self.software_id,
            software_version: self.software_version,
            application_type: self.application_type,
            ..ClientMetadata::bare(redirect_uris, auth_methods, list(&self.grant_types)?, scope)
        })
    }
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt("client", error)
}

/// Rows that are filled in one transaction.
const BITE: i64 = 200;

impl Store {
    /// Fills the metadata of clients that an earlier release wrote. Any number of replicas may be at it at once. A row that
    /// can't be read stays as it is, for whoever asks for that client to be told.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn fill_client_metadata(&self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows: Vec<Unfilled> =
                read!(
                self,
                sql("select id, name, uri, software_id, software_version, application_type, redirect_uris, auth_method,
                         grant_types, scope, tos_uri, policy_uri, jwks, jwks_uri
                     from client where metadata is null and id > $1 order by id limit $2")
                .bind(after.as_str())
                .bind(BITE),
                fetch_all
            )?;
            let Some(last) = rows.last() else { return Ok(()) };
            last.id.as_str().clone_into(&mut after);
            let mut filled = Vec::new();
            for Unfilled { id, before } in rows {
                match before.metadata().and_then(|metadata| serde_json::to_string(&metadata).map_err(unreadable)) {
                    Ok(metadata) => filled.push((id, metadata)),
                    Err(error) => tracing::warn!(client = %id, %error, "this client's row can't be read"),
                }
            }
            let done: Result<(), StoreError> = transact!(self, long, |tx| {
                for (id, metadata) in &filled {
                    sqlx::query("update client set metadata = $2 where id = $1 and metadata is null")
                        .bind(id)
                        .bind(metadata)
                        .execute(&mut *tx)
                        .await?;
                }
            });
            done?;
        }
    }
}
