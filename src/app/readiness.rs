//! Whether this copy can do its whole job now. A check costs one write; what it found holds for a second, and whoever asks
//! while one is under way waits for that one.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::App;

/// How long a finding holds.
const HOLDS: Duration = Duration::from_secs(1);
/// How long a check may take: balancers don't wait long either.
const LIMIT: Duration = Duration::from_secs(2);

/// What a server can't do; all is well if it is empty.
pub(crate) type Failing = Vec<&'static str>;

/// The last finding, or the check under way.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, watch::Receiver<Option<Failing>>)>>);

impl Readiness {
    /// The finding that holds at `now`, or what `check` finds.
    async fn ask<F>(&self, now: Instant, check: impl FnOnce() -> F) -> Failing
    where
        F: Future<Output = Failing> + Send + 'static,
    {
        let mut finding = {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some((since, finding)) if finding.borrow().is_none() || now.duration_since(*since) < HOLDS => {
                    finding.clone()
                }
                _ => {
                    let (sender, receiver) = watch::channel(None);
                    let found = check();
                    // In a task of its own: whoever asked first may go, and others wait for it.
                    tokio::spawn(async move {
                        let found = tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| vec!["database"]);
                        sender.send_replace(Some(found));
                    });
                    *last = Some((now, receiver.clone()));
                    receiver
                }
            }
        };
        match finding.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_default(),
            // The check ended without a word.
            Err(_) => vec!["server"],
        }
    }
}

impl App {
    /// What this copy can't do now.
    pub(crate) async fn failing(&self) -> Failing {
        let app = self.clone();
        self.readiness.ask(Instant::now(), || async move { check(&app).await }).await
    }
}

async fn check(app: &App) -> Failing {
    let now = app.clock.now();
    let mut failing = Failing::new();
    if let Err(error) = app.store.beat(now).await {
        tracing::warn!(%error, "not ready: the database takes no write");
        failing.push("database");
    }
    if app.revocations.is_stale(now) {
        tracing::warn!("not ready: the view of revocations is too old");
        failing.push("revocations");
    }
    // What can't be read because the database is away is told already.
    if let Ok(stored) = app.store.signing_keys().await
        && let Err(error) = app.keys.replace(&stored, &app.master)
    {
        tracing::error!(%error, "not ready: a signing key in the database can't be opened with this master key");
        failing.push("keys");
    }
    failing
}

#[cfg(test)]
mod tests {
    use super::{HOLDS, Readiness};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test]
    async fn readiness_is_remembered_for_a_second() {
        let readiness = Arc::new(Readiness::default());
        let checks = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let ask = async |after: Duration| {
            let checks = Arc::clone(&checks);
            readiness
                .ask(began + after, || async move {
                    tokio::task::yield_now().await;
                    checks.fetch_add(1, Ordering::SeqCst);
                    vec!["database"]
                })
                .await
        };
        let (one, two, three) = tokio::join!(ask(Duration::ZERO), ask(Duration::ZERO), ask(Duration::from_millis(999)));
        assert_eq!((one, two, three), (vec!["database"], vec!["database"], vec!["database"]));
        assert_eq!(checks.load(Ordering::SeqCst), 1, "who asks while a check is under way waits for that one");
        ask(HOLDS).await;
        ask(Duration::from_millis(1999)).await;
        assert_eq!(checks.load(Ordering::SeqCst), 2);
    }
}
