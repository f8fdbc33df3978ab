//! `/api/v1/keys`: the signing keys.

use axum::extract::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Outcome, created, object, ok};
use super::guard::Caller;
use crate::admin::keys::{self, KeyView};

/// The signing keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    keys: Vec<KeyView>,
}

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRotation {
    /// The old key was stolen: all older keys go at once, every access token becomes invalid, and clients refresh.
    #[serde(default)]
    emergency: bool,
}

/// List the signing keys, oldest first
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "listKeys",
    responses((status = 200, description = "The keys", body = KeyList)))]
pub(super) async fn list(caller: Caller) -> Outcome {
    ok(&KeyList { keys: keys::list(&caller.admin()).await? })
}

/// Publish a new signing key
///
/// The new key signs after `keys.publish_ahead`, when all verifiers know it.
#[utoipa::path(post, path = "/api/v1/keys/rotate", tag = "keys", operation_id = "rotateKeys",
    request_body = Option<KeyRotation>,
    responses((status = 201, description = "The keys now", body = KeyList),
        (status = 409, description = "A published key still waits for its time, or another process has just rotated", body = super::answer::Error)))]
pub(super) async fn rotate(caller: Caller, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let asked: KeyRotation = object(&parts.headers, body, caller.app.config.limits.body_bytes, true).await?;
    keys::rotate(&caller.admin(), &caller.app.master, asked.emergency).await?;
    caller.app.poll_quietly().await;
    created(&KeyList { keys: keys::list(&caller.admin()).await? })
}
