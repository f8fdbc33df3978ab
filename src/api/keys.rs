//! `/api/v1/keys`: the signing keys. Their ids and states; the keys themselves never leave the store but sealed.

use axum::extract::{Request, State};
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Denied, Outcome, created, object, ok};
use super::guard::Caller;
use crate::app::App;
use crate::crypto::keys;
use crate::http::respond::Failure;
use crate::model::key::StoredKey;

/// A signing key.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyView {
    kid: String,
    algorithm: String,
    /// `published` ahead of its time, `signs`, or only `verifies` what it signed.
    state: &'static str,
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// From when on it signs.
    #[schema(value_type = i64)]
    active_at: Timestamp,
}

/// The signing keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    keys: Vec<KeyView>,
}

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRotation {
    /// The old key is in wrong hands: all older keys go at once, every access token stops, and clients refresh.
    #[serde(default)]
    emergency: bool,
}

fn views(stored: &[StoredKey], now: Timestamp) -> Vec<KeyView> {
    let signing = stored.iter().filter(|key| key.active_at <= now).map(|key| key.generation).max();
    let state = |key: &StoredKey| match signing {
        Some(generation) if generation == key.generation => "signs",
        Some(generation) if generation > key.generation => "verifies",
        Some(_) | None => "published",
    };
    stored
        .iter()
        .map(|key| KeyView {
            kid: key.kid.clone(),
            algorithm: key.algorithm.clone(),
            state: state(key),
            created_at: key.created_at,
            active_at: key.active_at,
        })
        .collect()
}

/// List the signing keys, oldest first
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "listKeys",
    responses((status = 200, description = "The keys", body = KeyList)))]
pub(super) async fn list(State(app): State<App>) -> Outcome {
    ok(&KeyList { keys: views(&app.store.signing_keys().await?, app.clock.now()) })
}

/// Publish a new signing key
///
/// It signs after `keys.publish_ahead`, when all verifiers know it.
#[utoipa::path(post, path = "/api/v1/keys/rotate", tag = "keys", operation_id = "rotateKeys",
    request_body = Option<KeyRotation>,
    responses((status = 201, description = "The keys now", body = KeyList),
        (status = 409, description = "A published key still waits for its time, or another process has just rotated", body = super::answer::Error)))]
pub(super) async fn rotate(State(app): State<App>, request: Request) -> Outcome {
    let caller = Caller::of(&request)?;
    let (parts, body) = request.into_parts();
    let asked: KeyRotation = object(&parts.headers, body, app.config.limits.body_bytes, true).await?;
    let (stored, now) = (app.store.signing_keys().await?, app.clock.now());
    if !asked.emergency
        && let Some(waiting) = stored.iter().find(|key| key.active_at > now)
    {
        let (kid, from) = (&waiting.kid, waiting.active_at.0);
        return Err(Denied::conflict(format!("{kid} is published and signs from {from}; rotate again after that")));
    }
    let (algorithm, ahead) = (app.config.keys.algorithm, app.config.keys.publish_ahead);
    let mut key = keys::next(algorithm, ahead, &stored, &app.master, &app.random, now)
        .map_err(|_| Failure::Answer("a signing key could not be made"))?;
    let done = if asked.emergency {
        key.active_at = now;
        app.store.replace_signing_keys(&key).await?
    } else {
        app.store.insert_signing_key(&key).await?
    };
    if !done {
        return Err(Denied::conflict("another process has just rotated the key; nothing was done"));
    }
    app.poll_quietly().await;
    caller.did(if asked.emergency { "signing keys replaced" } else { "signing key rotated" }, &key.kid);
    created(&KeyList { keys: views(&app.store.signing_keys().await?, now) })
}
