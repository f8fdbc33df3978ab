//! A client (RFC 6749 §2.2): a program that asks for access.

use super::id::ClientId;
use super::secret::SecretHash;
use super::time::Timestamp;
use crate::oauth::client::ClientMetadata;

/// A stored client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its public identifier.
    pub id: ClientId,
    /// What it registered.
    pub metadata: ClientMetadata,
    /// Digest of its secret; present exactly when its authentication method needs one.
    pub secret_hash: Option<SecretHash>,
    /// Whether several registrations of the same public metadata led to this row.
    pub shared: bool,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When somebody first let it in; a client that was never used is forgotten after a while.
    pub first_used_at: Option<Timestamp>,
    /// When it was deleted; the row stays as a tombstone.
    pub deleted_at: Option<Timestamp>,
}

impl Client {
    /// What pages call it; self-asserted.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or("An unnamed client")
    }
}
