//! How long one request may wait for the database in all, however many questions it asks. Each question has limits of its
//! own; a handler that asks five would still keep its client waiting for five of them.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

tokio::task_local! {
    static LEFT: Cell<Duration>;
}

/// Lets everything that `work` asks of the store wait `limit` at most, all together. Time that it spends elsewhere is
/// not counted.
pub fn within<F: Future>(limit: Duration, work: F) -> impl Future<Output = F::Output> {
    LEFT.scope(Cell::new(limit), work)
}

/// What is left of it; nothing where it is no request that asks.
pub(super) fn left() -> Option<Duration> {
    LEFT.try_with(Cell::get).ok()
}

/// Takes away what was waited.
pub(super) fn spend(waited: Duration) {
    // Where it is no request that asks, nothing is counted.
    let _ = LEFT.try_with(|left| left.set(left.get().saturating_sub(waited)));
}
