//! A client's public keys: those in its metadata, or those at its `jwks_uri`, kept and fetched again when an assertion
//! names one that isn't among them.

use std::time::Duration;

use super::Directory;
use crate::fetch::FetchError;
use crate::model::client::Client;
use crate::model::time::Timestamp;
use crate::oauth::client::ClientKeys;
use crate::oauth::https_url::{HttpsUrl, InvalidHttpsUrl};
use crate::oauth::jwks::{InvalidJwkSet, JwkSet, MAX_BYTES};
use crate::store::{Store, StoreError, StoredKeys};

/// How long fetched keys are used without asking again: a key that is taken back is gone after this time.
const FRESH: Duration = Duration::from_hours(1);
/// How soon an unknown key may make us ask again. Anybody can name an unknown key.
const BETWEEN: Duration = Duration::from_mins(1);

/// Why a client's keys are not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysTrouble {
    /// It has none.
    #[error("this client has no keys here")]
    None,
    /// They can't be read.
    #[error("this client's keys can't be used: {0}")]
    Invalid(#[from] InvalidJwkSet),
    /// They are somewhere that isn't fetched from.
    #[error("in this client's jwks_uri, {0}")]
    Url(#[from] InvalidHttpsUrl),
    /// They can't be fetched now: not the client's fault, as far as anybody can tell.
    #[error("this client's keys can't be fetched: {0}")]
    Fetch(#[from] FetchError),
}

impl Directory {
    /// The keys of a client. `unknown` says that an assertion named a key that was not among those given out before: then
    /// they are fetched again, unless that was done a moment ago.
    ///
    /// # Errors
    /// Inside, why there are none; outside, when the store fails.
    pub async fn keys_of(
        &self,
        store: &Store,
        client: &Client,
        unknown: bool,
        now: Timestamp,
    ) -> Result<Result<JwkSet, KeysTrouble>, StoreError> {
        let uri = match &client.metadata.keys {
            None => return Ok(Err(KeysTrouble::None)),
            Some(ClientKeys::Inline(text)) => return Ok(JwkSet::parse(text.as_bytes()).map_err(KeysTrouble::from)),
            Some(ClientKeys::Uri(uri)) => uri,
        };
        let stored = store.find_keys(&client.id, uri).await?;
        let good_for = if unknown { BETWEEN } else { FRESH };
        if let Some(stored) = &stored
            && (stored.fetched_at.plus(good_for) > now || self.failed_lately(uri, now))
        {
            return Ok(read(stored));
        }
        let work = Box::pin(self.renew_keys(store, client, uri, stored.as_ref(), now));
        self.key_sets.join(client.id.as_str(), work).await
    }

    async fn renew_keys(
        &self,
        store: &Store,
        client: &Client,
        uri: &str,
        stored: Option<&StoredKeys>,
        now: Timestamp,
    ) -> Result<Result<JwkSet, KeysTrouble>, StoreError> {
        match self.fetch_keys(uri, now).await {
            Ok(keys) => {
                store.put_keys(&client.id, uri, keys.as_str(), now).await?;
                tracing::info!(client = %client.id, "keys fetched");
                Ok(Ok(keys))
            }
            Err(why) => {
                tracing::warn!(client = %client.id, %why, "keys not to be had");
                match stored.filter(|stored| stored.fetched_at.plus(self.settings.max_stale) > now) {
                    Some(stored) => {
                        self.note_failure(uri, now);
                        Ok(read(stored))
                    }
                    None => Ok(Err(why)),
                }
            }
        }
    }

    async fn fetch_keys(&self, uri: &str, now: Timestamp) -> Result<JwkSet, KeysTrouble> {
        let url = HttpsUrl::parse(uri, &self.rules.allowed_ports)?;
        let fetched = self.fetcher.fetch(&url, MAX_BYTES, now).await?;
        Ok(JwkSet::parse(&fetched.body)?)
    }
}

fn read(stored: &StoredKeys) -> Result<JwkSet, KeysTrouble> {
    JwkSet::parse(stored.jwks.as_bytes()).map_err(KeysTrouble::from)
}
