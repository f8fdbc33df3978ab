//! Signing keys at rest.

use oauth::time::Timestamp;

/// A signing key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredKey {
    /// The key's id, in token headers and in the key set.
    pub kid: String,
    /// Counts up with each rotation; unique, so that replicas can't rotate twice at once.
    pub generation: i64,
    /// The registered name of its algorithm.
    pub algorithm: String,
    /// The private key, sealed by the master key.
    pub sealed: String,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// From when on it signs. Verifiers have had since `created_at` to fetch it.
    pub active_at: Timestamp,
}
