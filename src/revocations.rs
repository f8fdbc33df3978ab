//! The narrow view of revoked grants that the resource half reads on every call.
//!
//! Two things feed it. The store tells it which grants it has just ended, before whoever asked for that gets an answer
//! (RFC 7009 §2). A poll of the database finds what other replicas have ended, within a second (see `app::watch`). No
//! call at `/mcp` touches the database.
//!
//! It only grows by what is added and shrinks by time: it forgets a grant once the last access token that it could have
//! given has expired. Of a grant it keeps a hash of 64 bits under a key of this process: some thirty bytes for each. With
//! a million grants revoked and a million alive the odds that one of the latter is refused are one in twenty million, and
//! nobody can prepare ids whose hashes meet.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use oauth::id::GrantId;
use oauth::time::Timestamp;

/// After this many seconds without news from the database the view is too old to trust: a grant may have
/// been revoked elsewhere. The resource half then answers 503, not 401: it is our trouble.
pub const STALE_AFTER_SECONDS: i64 = 30;

/// How often it is looked for what may be forgotten.
const FORGET_EVERY_SECONDS: i64 = 60;
/// So many parts, each with a lock of its own: a call waits for nothing but an insertion into its part.
const PARTS: usize = 64;

/// Which grants are revoked, as far as this process knows.
pub struct Revocations {
    keep: Duration,
    key: RandomState,
    parts: Vec<RwLock<Part>>,
    known: AtomicUsize,
    seen_at: AtomicI64,
    forgot_at: AtomicI64,
}

/// Hashes of grants, and when they were revoked.
type Part = HashMap<u64, Timestamp, BuildHasherDefault<Hashed>>;

/// What is a hash already needs no other.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Revocations {
    /// An empty view that is stale until its first [`confirm`](Self::confirm). A grant's last access token has expired
    /// `keep` after the grant was revoked.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            key: RandomState::new(),
            parts: (0..PARTS).map(|_| RwLock::default()).collect(),
            known: AtomicUsize::new(0),
            seen_at: AtomicI64::new(i64::MIN),
            forgot_at: AtomicI64::new(i64::MIN),
        }
    }

    /// Notes that this grant was revoked then. From now on none of its tokens passes.
    pub fn add(&self, grant: &GrantId, revoked_at: Timestamp) {
        let hash = self.key.hash_one(grant.as_str());
        let Some(part) = self.part(hash) else { return };
        let mut part = part.write().unwrap_or_else(PoisonError::into_inner);
        if part.insert(hash, revoked_at).is_none() {
            self.known.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether tokens of this grant must no longer pass.
    #[must_use]
    pub fn is_revoked(&self, grant: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let hash = self.key.hash_one(grant);
        self.part(hash).is_some_and(|part| part.read().unwrap_or_else(PoisonError::into_inner).contains_key(&hash))
    }

    /// Notes that all that the database had to tell at `now` has been added.
    pub fn confirm(&self, now: Timestamp) {
        self.seen_at.store(now.0, Ordering::Release);
    }

    /// Whether the last news is too old to decide by.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(Timestamp(self.seen_at.load(Ordering::Acquire))) > STALE_AFTER_SECONDS
    }

    /// Grants that were revoked before this moment are of no interest any more: all their tokens have expired.
    #[must_use]
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        now.minus(self.keep)
    }

    /// Forgets what is of no interest any more; looks for it once a minute.
    pub fn forget(&self, now: Timestamp) {
        if now.since(Timestamp(self.forgot_at.load(Ordering::Relaxed))) < FORGET_EVERY_SECONDS || self.is_empty() {
            return;
        }
        self.forgot_at.store(now.0, Ordering::Relaxed);
        let horizon = self.horizon(now);
        for part in &self.parts {
            let mut part = part.write().unwrap_or_else(PoisonError::into_inner);
            let before = part.len();
            part.retain(|_, revoked_at| *revoked_at >= horizon);
            let gone = before - part.len();
            if gone > 0 {
                self.known.fetch_sub(gone, Ordering::Release);
                part.shrink_to_fit();
            }
        }
    }

    /// How many grants it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.load(Ordering::Acquire)
    }

    /// Whether it holds none: the usual case, and then a call costs one load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// By bits from the middle: a part spreads its hashes by the lowest and tells them apart by the highest.
    fn part(&self, hash: u64) -> Option<&RwLock<Part>> {
        self.parts.get(usize::try_from(hash >> 32).unwrap_or_default() % PARTS)
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations").field("known", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oauth::id::GrantId;
    use oauth::time::Timestamp;

    use super::Revocations;

    fn view() -> Revocations {
        Revocations::new(Duration::from_secs(1_000))
    }

    fn grant(n: usize) -> GrantId {
        GrantId::new(format!("grt_{n}"))
    }

    /// T15: what was added is known at once, and nothing else is.
    #[test]
    fn what_is_added_is_revoked_and_nothing_else() {
        let view = view();
        assert!(view.is_empty() && !view.is_revoked("grt_1"));
        for n in (0..20_000).step_by(2) {
            view.add(&grant(n), Timestamp(10));
            view.add(&grant(n), Timestamp(11));
        }
        assert_eq!(view.len(), 10_000, "told twice, known once");
        for n in 0..20_000 {
            assert_eq!(view.is_revoked(grant(n).as_str()), n % 2 == 0, "{n}");
        }
        assert!(!view.is_revoked(""));
    }

    /// Memory is bounded by the revocations within a token's life: what is older goes, and only that.
    #[test]
    fn a_grant_is_forgotten_with_its_last_token() {
        let view = view();
        for n in 0..10_000 {
            view.add(&grant(n), Timestamp(i64::try_from(n).unwrap() / 10));
        }
        view.forget(Timestamp(1_000));
        assert_eq!(view.len(), 10_000, "the first was revoked a thousand seconds ago, and no more");
        view.forget(Timestamp(1_059));
        assert_eq!(view.len(), 10_000, "not looked at again within a minute");
        view.forget(Timestamp(1_500));
        assert_eq!(view.len(), 5_000);
        assert!(!view.is_revoked("grt_4999") && view.is_revoked("grt_5000"));
        view.forget(Timestamp(10_000));
        assert!(view.is_empty());
    }

    /// Without news for half a minute it decides nothing.
    #[test]
    fn a_view_without_news_is_stale() {
        let view = view();
        assert!(view.is_stale(Timestamp(0)));
        view.confirm(Timestamp(100));
        assert!(!view.is_stale(Timestamp(130)) && view.is_stale(Timestamp(131)));
    }
}
