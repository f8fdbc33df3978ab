//! Background work. Each job runs by itself: one that fails, hangs or has much to do keeps no other from its work, and
//! none holds the database for long.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use oauth::time::Timestamp;
use tokio::sync::watch::Receiver;
use tokio::task::{JoinError, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::{App, BuildError};
use crate::config::MAX_ACCESS_TTL;
use crate::crypto::keys;
use crate::store::{BITE, Expired, StoreError};

/// How often other replicas' changes are looked for: revocations must bite within a second.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// How often what has had its time is forgotten, and the signing keys are looked after.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long a job may take; what is left then waits for the next time.
const LIMIT: Duration = Duration::from_mins(1);
/// How long the database is left to requests between two bites.
const PAUSE: Duration = Duration::from_millis(20);
/// How long what can't be used any more is still recognised when it is presented again.
const EVIDENCE: Duration = Duration::from_hours(24);

type Work = Pin<Box<dyn Future<Output = Result<u64, BuildError>> + Send>>;

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Failed(#[from] BuildError),
    /// A fault of ours, which costs this one time and not the job.
    #[error("{0}")]
    Panicked(JoinError),
}

/// One job.
struct Job {
    /// What it is called in the log.
    name: &'static str,
    every: Duration,
    work: fn(App) -> Work,
}

/// All jobs. Each tells how many rows it touched.
const JOBS: [Job; 7] = [
    Job { name: "poll", every: POLL_EVERY, work: |app| Box::pin(async move { app.poll().await.map(|_| 0) }) },
    Job { name: "forget expired rows", every: SWEEP_EVERY, work: |app| Box::pin(forget_expired(app)) },
    Job { name: "forget unused clients", every: SWEEP_EVERY, work: |app| Box::pin(forget_unused_clients(app)) },
    Job { name: "forget attempts", every: SWEEP_EVERY, work: |app| Box::pin(forget_attempts(app)) },
    Job { name: "rotate signing keys", every: SWEEP_EVERY, work: |app| Box::pin(rotate_keys(app)) },
    Job { name: "renew passwords", every: SWEEP_EVERY, work: |app| Box::pin(renew_passwords(app)) },
    Job { name: "forget networks", every: SWEEP_EVERY, work: |app| Box::pin(async move { Ok(forget_networks(&app)) }) },
];

/// Starts all jobs; they end when `stopped` says so.
pub(crate) fn start(app: &App, stopped: &Receiver<bool>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for job in &JOBS {
        let app = app.clone();
        running.spawn(repeat(job.name, job.every, move || (job.work)(app.clone()), stopped.clone()));
    }
    running
}

/// Does a job's work in a task of its own: a panic there is a failure, and ends with whoever waits for it.
async fn carry_out(work: Work) -> Result<u64, JobError> {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(outcome) => Ok(outcome?),
        Err(panicked) => Err(JobError::Panicked(panicked)),
    }
}

/// Runs every job but the poll once. A failure stops none of the others; the first one is told.
pub(super) async fn sweep(app: &App) -> Result<(), JobError> {
    let mut outcome = Ok(());
    for job in JOBS.iter().filter(|job| job.every == SWEEP_EVERY) {
        if let Err(error) = carry_out((job.work)(app.clone())).await
            && outcome.is_ok()
        {
            outcome = Err(error);
        }
    }
    outcome
}

/// Runs a job again and again. A failure is reported once, and once when it is over.
async fn repeat(job: &'static str, every: Duration, work: impl Fn() -> Work, mut stopped: Receiver<bool>) {
    let mut failing = false;
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(every) => {}
        }
        let outcome = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            outcome = tokio::time::timeout(LIMIT, carry_out(work())) => outcome,
        };
        match outcome {
            Ok(Ok(rows)) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(job, "background work goes on again");
                }
                if rows > 0 {
                    tracing::debug!(job, rows, "background work done");
                }
            }
            Ok(Err(error)) if !failing => {
                failing = true;
                tracing::error!(job, %error, "background work fails; it is tried again");
            }
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!(job, "background work took too long; what is left is done later"),
        }
    }
}

/// Repeats a bite until it finds less than it could take.
async fn in_bites<F>(mut bite: impl FnMut() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut rows = 0;
    loop {
        let taken = bite().await?;
        rows += taken;
        if taken < BITE {
            return Ok(rows);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until when what can't be used any more is forgotten.
fn evidence_before(now: Timestamp) -> Timestamp {
    now.minus(MAX_ACCESS_TTL + EVIDENCE)
}

/// A table that can't be swept keeps no other from being swept.
async fn forget_expired(app: App) -> Result<u64, BuildError> {
    let now = app.clock.now();
    let mut outcome = Ok(0);
    for what in Expired::ALL {
        match in_bites(|| app.store.forget(what, now, evidence_before(now))).await {
            Ok(rows) => outcome = outcome.map(|sum| sum + rows),
            Err(error) => outcome = outcome.and(Err(error.into())),
        }
    }
    outcome
}

async fn forget_unused_clients(app: App) -> Result<u64, BuildError> {
    let registration = &app.config.registration;
    let before = app.clock.now().minus(registration.unused_ttl);
    let old = in_bites(|| app.store.forget_unused_clients(before)).await?;
    let surplus = in_bites(|| app.store.forget_surplus_clients(i64::from(registration.max_unused))).await?;
    Ok(old + surplus)
}

async fn forget_attempts(app: App) -> Result<u64, BuildError> {
    let attempts = &app.config.attempts;
    let before = app.clock.now().minus(attempts.keep);
    let old = in_bites(|| app.store.forget_attempts(before)).await?;
    let most = i64::from(attempts.max_events);
    let mut surplus = 0;
    loop {
        match app.store.forget_surplus_attempts(most, most / 10).await? {
            0 => return Ok(old + surplus),
            taken => surplus += taken,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes the next signing key when it is due, and forgets those that no living token was signed with.
async fn rotate_keys(app: App) -> Result<u64, BuildError> {
    let now = app.clock.now();
    let rows = app.store.sweep_signing_keys(evidence_before(now)).await?;
    if let Some(every) = app.config.keys.rotate_every {
        let stored = app.store.signing_keys().await?;
        if stored.last().is_some_and(|newest| newest.created_at.plus(every) <= now) {
            let (algorithm, ahead) = (app.config.keys.algorithm, app.config.keys.publish_ahead);
            let key = keys::next(algorithm, ahead, &stored, &app.master, &app.random, now)?;
            let rotated = app.store.insert_signing_key(&key).await?;
            tracing::info!(kid = key.kid, rotated, "signing key rotation is due");
        }
    }
    Ok(rows)
}

/// Gives back the memory of password checks, and looks whether hashes of an older cost are left: until the last of them is
/// renewed, all sign-ins do their work too.
async fn renew_passwords(app: App) -> Result<u64, BuildError> {
    app.passwords.sweep();
    if app.passwords.has_old_costs() {
        app.passwords.take_note(&app.store.password_costs().await?);
    }
    Ok(0)
}

/// Forgets the counts of networks that have not been seen for a while. They are in memory.
fn forget_networks(app: &App) -> u64 {
    app.contexts.recorder.sweep();
    if let Some(limits) = &app.limits {
        limits.sweep();
    }
    0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::{mpsc, watch};

    use super::{JobError, Work, carry_out, repeat};
    use crate::app::BuildError;

    /// Whatever becomes of a job once, it is done again: a panic at any point costs that one time.
    #[tokio::test]
    async fn a_job_that_panics_or_fails_is_done_again() {
        let (stop, stopped) = watch::channel(false);
        let (done, mut times) = mpsc::channel(1);
        let count = Arc::new(AtomicU32::new(0));
        let work = move || -> Work {
            let (done, time) = (done.clone(), count.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move {
                assert_ne!(time, 0, "before anything is awaited");
                done.send(time).await.unwrap();
                assert_ne!(time, 2, "after something was awaited");
                if time == 3 { Err(BuildError::NoMasterKey) } else { Ok(1) }
            })
        };
        let running = tokio::spawn(repeat("test", Duration::from_millis(1), work, stopped));
        for time in 1..6 {
            assert_eq!(times.recv().await, Some(time));
        }
        stop.send(true).unwrap();
        // What is under way waits for nobody here; the loop ends all the same.
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_told_with_its_words() {
        let error = carry_out(Box::pin(async { panic!("no such day") })).await.unwrap_err();
        assert!(matches!(error, JobError::Panicked(_)) && error.to_string().contains("no such day"), "{error}");
    }

    /// A job that is given up stops working: nothing goes on unseen.
    #[tokio::test]
    async fn work_ends_with_whoever_waits_for_it() {
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let work: Work = Box::pin(async move {
            let _alive = alive;
            std::future::pending().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), carry_out(work)).await.is_err());
        assert_eq!(ended.recv().await, None);
    }
}
