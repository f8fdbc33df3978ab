//! Signing keys: their ids and states. The keys themselves never leave the store but sealed.

use oauth::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, AdminError};
use crate::crypto::keys::{self, KeyRing};
use crate::crypto::master::MasterKey;
use crate::model::key::StoredKey;

/// A signing key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: String,
    /// `published` ahead of its time, `signs`, or only `verifies` what it signed.
    pub state: &'static str,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// From when on it signs.
    #[schema(value_type = i64)]
    pub active_at: Timestamp,
}

fn views(stored: &[StoredKey], now: Timestamp) -> Vec<KeyView> {
    let signing = stored.iter().filter(|key| key.active_at <= now).map(|key| key.generation).max();
    let state = |key: &StoredKey| match signing {
        Some(generation) if generation == key.generation => "signs",
        Some(generation) if generation > key.generation => "verifies",
        Some(_) | None => "published",
    };
    let view = |key: &StoredKey| KeyView {
        kid: key.kid.clone(),
        algorithm: key.algorithm.clone(),
        state: state(key),
        created_at: key.created_at,
        active_at: key.active_at,
    };
    stored.iter().map(view).collect()
}

/// Lists the signing keys, oldest first.
///
/// # Errors
/// When the store fails.
pub async fn list(admin: &Admin<'_>) -> Result<Vec<KeyView>, AdminError> {
    Ok(views(&admin.store.signing_keys().await?, admin.now))
}

/// Publishes a new signing key, which signs after `keys.publish_ahead`; gives its id and from when on it signs. In an
/// `emergency` it signs at once and all older keys go.
///
/// # Errors
/// When a published key has not begun to sign, the master key is another than theirs, another process was quicker, no key
/// can be made, or the store fails.
pub async fn rotate(admin: &Admin<'_>, master: &MasterKey, emergency: bool) -> Result<(String, Timestamp), AdminError> {
    let stored = admin.store.signing_keys().await?;
    if !emergency {
        // A key that another one than theirs sealed would stop every copy of the server.
        if KeyRing::open(&stored, master).is_err() {
            return Err(AdminError::WrongMasterKey);
        }
        if let Some(waiting) = stored.iter().find(|key| key.active_at > admin.now) {
            return Err(AdminError::KeyWaits { kid: waiting.kid.clone(), from: waiting.active_at });
        }
    }
    let mut key = keys::next(
        admin.config.keys.algorithm,
        admin.config.keys.publish_ahead,
        &stored,
        master,
        admin.random,
        admin.now,
    )
    .map_err(AdminError::Keys)?;
    let done = if emergency {
        key.active_at = admin.now;
        admin.store.replace_signing_keys(&key).await?
    } else {
        admin.store.insert_signing_key(&key).await?
    };
    if !done {
        return Err(AdminError::KeyRotated);
    }
    admin.did(if emergency { "signing keys replaced" } else { "signing key rotated" }, &key.kid);
    Ok((key.kid, key.active_at))
}
