//! The clock is a value that is handed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use oauth::time::{Timestamp, whole_seconds};

/// Where the time comes from. A request reads it once and passes the [`Timestamp`] on.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until the holder of the handle moves it.
    #[must_use]
    pub fn settable(start: i64) -> (Self, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(start));
        (Self(Source::Set(Arc::clone(&hand))), hand)
    }

    /// The present moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        Timestamp(match &self.0 {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, whole_seconds),
            Source::Set(hand) => hand.load(Ordering::SeqCst),
        })
    }
}
