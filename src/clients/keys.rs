//! A client's public keys: those in its metadata, or those at its `jwks_uri`, kept and fetched again when an assertion
//! names one that isn't among them.

use std::time::Duration;

use oauth::client::ClientKeys;
use oauth::https_url::{HttpsUrl, InvalidHttpsUrl};
use oauth::jwks::{InvalidJwkSet, JwkSet, MAX_BYTES};
use oauth::time::Timestamp;

use super::Directory;
use crate::fetch::FetchError;
use crate::model::client::Client;
use crate::store::{Store, StoreError, StoredKeys};

/// How long fetched keys are used without asking again: a key that is taken back is gone after this time.
const FRESH: Duration = Duration::from_hours(1);
/// How soon an unknown key may make us ask again. Anybody can name an unknown key.
const BETWEEN: Duration = Duration::from_mins(1);

/// How long a client whose keys were never read waits after a failure: anybody can make us ask.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a client's keys are not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It has none.
    #[error("this client has no keys here")]
    None,
    /// They can't be read.
    #[error("this client's keys can't be used: {0}")]
    Invalid(#[from] InvalidJwkSet),
    /// They are somewhere that isn't fetched from.
    #[error("in this client's jwks_uri, {0}")]
    Url(#[from] InvalidHttpsUrl),
    /// They could not be fetched a moment ago, and what is kept doesn't help.
    #[error("this client's keys could not be fetched a moment ago")]
    Away,
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
    ) -> Result<Result<JwkSet, KeysError>, StoreError> {
        let uri = match &client.metadata.keys {
            None => return Ok(Err(KeysError::None)),
            Some(ClientKeys::Inline(text)) => return Ok(JwkSet::parse(text.as_bytes()).map_err(KeysError::from)),
            Some(ClientKeys::Uri(uri)) => uri,
        };
        let stored = store.find_keys(&client.id, uri).await?;
        let good_for = if unknown { BETWEEN } else { FRESH };
        // By client: one client's trouble must not keep another's keys at the same address from being read.
        let mark = format!("{} {uri}", client.id);
        match &stored {
            Some(stored) if stored.fetched_at.plus(good_for) > now => return Ok(read(stored)),
            Some(stored) if self.failed_lately(&mark, now) => {
                // A key that we could not ask about is not wrong: that is our trouble, not the client's (T-05).
                return Ok(if unknown { Err(KeysError::Away) } else { read(stored) });
            }
            None if self.failed_within(&mark, PAUSE, now) => return Ok(Err(KeysError::Away)),
            Some(_) | None => {}
        }
        let work = Box::pin(self.renew_keys(store, client, uri, stored.as_ref(), unknown, now));
        self.key_sets.join(&format!("{mark} {unknown}"), work).await
    }

    async fn renew_keys(
        &self,
        store: &Store,
        client: &Client,
        uri: &str,
        stored: Option<&StoredKeys>,
        unknown: bool,
        now: Timestamp,
    ) -> Result<Result<JwkSet, KeysError>, StoreError> {
        match self.fetch_keys(uri, now).await {
            Ok(keys) => {
                store.put_keys(&client.id, uri, keys.as_str(), now).await?;
                tracing::info!(client = %client.id, "keys fetched");
                Ok(Ok(keys))
            }
            Err(why) => {
                tracing::warn!(client = %client.id, %why, "keys not to be had");
                if !matches!(&why, KeysError::Fetch(error) if error.is_ours()) {
                    self.note_failure(&format!("{} {uri}", client.id), now);
                }
                // A set that can be read and breaks a rule is its owner's word: an empty one takes all keys back. Only
                // what could not be read at all is stood in for.
                let unreadable = matches!(&why, KeysError::Fetch(_) | KeysError::Invalid(InvalidJwkSet::Json(_)));
                match stored.filter(|own| unreadable && own.fetched_at.plus(self.settings.max_stale) > now) {
                    Some(_) if unknown => Ok(Err(KeysError::Away)),
                    Some(stored) => Ok(read(stored)),
                    None => Ok(Err(why)),
                }
            }
        }
    }

    async fn fetch_keys(&self, uri: &str, now: Timestamp) -> Result<JwkSet, KeysError> {
        let url = HttpsUrl::parse(uri, &self.rules.allowed_ports)?;
        let fetched = self.fetcher.fetch(&url, MAX_BYTES, now).await?;
        Ok(JwkSet::parse(&fetched.body)?)
    }
}

fn read(stored: &StoredKeys) -> Result<JwkSet, KeysError> {
    JwkSet::parse(stored.jwks.as_bytes()).map_err(KeysError::from)
}
