//! The narrow view of revoked grants that the resource half reads on every call.
//!
//! A poll of the database feeds it (see `server`), so that a revoked grant stops within a second on every
//! replica while no call at `/mcp` touches the database. It forgets a grant once the last access token that
//! it could have given has expired: memory is bounded by revocations per token lifetime.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::model::time::Timestamp;

/// After this many seconds without news from the database the view is too old to trust: a grant may have
/// been revoked elsewhere. The resource half then answers 503, not 401: it is our trouble.
pub const STALE_AFTER_SECONDS: i64 = 30;

/// Which grants are revoked, as of the last poll.
#[derive(Debug)]
pub struct Revocations {
    revoked: ArcSwap<HashSet<String>>,
    seen_at: AtomicI64,
}

impl Revocations {
    /// An empty view that is stale until its first [`replace`](Self::replace).
    #[must_use]
    pub fn new() -> Self {
        Self { revoked: ArcSwap::from_pointee(HashSet::new()), seen_at: AtomicI64::new(i64::MIN) }
    }

    /// Puts the full set as read from the database at `now` in place of the old one.
    pub fn replace(&self, revoked: HashSet<String>, now: Timestamp) {
        self.revoked.store(revoked.into());
        self.confirm(now);
    }

    /// Notes that the database was asked at `now` and had nothing new.
    pub fn confirm(&self, now: Timestamp) {
        self.seen_at.store(now.0, Ordering::Release);
    }

    /// Whether this very set is what is held already: the poll's usual answer.
    #[must_use]
    pub fn equals(&self, revoked: &HashSet<String>) -> bool {
        **self.revoked.load() == *revoked
    }

    /// Whether tokens of this grant must no longer pass.
    #[must_use]
    pub fn is_revoked(&self, grant_id: &str) -> bool {
        self.revoked.load().contains(grant_id)
    }

    /// Whether the last news is too old to decide by.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(Timestamp(self.seen_at.load(Ordering::Acquire))) > STALE_AFTER_SECONDS
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}
