//! Carrying out the store's work: each job in a task of its own, on a connection whose state is known.
//!
//! A request that is given up (its client hung up) must not cut a job short: a `BEGIN` or `COMMIT` that nobody waits for
//! any more would leave a transaction open on a connection that the next job gets. So a job never runs in the task of
//! the request that asked for it, and no connection comes back for the next job unless the last one is known to have
//! ended cleanly. Whatever else happened, the connection is closed and the database rolls back.
//!
//! Every wait has a limit: half of `database.acquire_timeout` for getting a connection, half for the work. A database
//! that stops to answer without closing its connections therefore costs a request that time, and the first job that
//! noticed makes all connections of the same age suspect: they are replaced, not tried one after the other. All that one
//! request asks for together waits no longer than `database.acquire_timeout` (`budget`).

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection, Database};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::budget;
use super::fault::{Fate, Fault, StoreError};

/// After this long without use a connection is asked whether it still lives before it gets work.
const RESTED: Duration = Duration::from_secs(1);
/// How long the answer to that question may take.
const PING: Duration = Duration::from_millis(500);
/// How long one try to connect may take; then a new one begins, which may find another way.
const CONNECT: Duration = Duration::from_millis(1500);
/// How long to wait between two tries to connect.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// A connection that nobody needed for this long is closed.
const IDLE: Duration = Duration::from_mins(10);
/// A connection of this age is replaced: a database behind a name that moves is found again.
const LIFETIME: Duration = Duration::from_mins(30);
/// How long work that touches many rows may take: an administrator's, never a stranger's.
const LONG: Duration = Duration::from_mins(1);
/// How long the work under way may take to end when the store is closed.
const CLOSE: Duration = Duration::from_secs(3);

/// A future in a box, as jobs are.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What differs between the databases.
pub(super) trait Engine: Database {
    /// Opens a transaction.
    const BEGIN: &'static str;

    /// Prepares a new connection, whose statements may take `limit`; refuses it if it can't write.
    fn prepare(connection: &mut Self::Connection, limit: Duration) -> Boxed<'_, Result<(), StoreError>>;

    /// Lets the statements of the open transaction take `limit`.
    fn extend(connection: &mut Self::Connection, limit: Duration) -> Boxed<'_, Result<(), sqlx::Error>>;

    /// Runs a statement that takes and gives nothing.
    fn run<'c>(connection: &'c mut Self::Connection, statement: &'static str) -> Boxed<'c, Result<(), sqlx::Error>>;
}

/// How long a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as a request waits.
    Request,
    /// Longer: it touches as many rows as there are.
    Long,
}

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// Connections to one database, and the turns to use them. Cheap to clone.
pub(super) struct Lane<DB: Engine>(Arc<Inner<DB>>);

struct Inner<DB: Engine> {
    options: Options<DB>,
    /// Where the database is, for messages: without user and password.
    place: String,
    turns: Arc<Semaphore>,
    most: u32,
    limit: Duration,
    idle: Mutex<Vec<Idle<DB>>>,
    /// Counts the moments at which all connections of before became suspect.
    era: AtomicU64,
    failing: AtomicBool,
}

/// A connection that waits for work.
struct Idle<DB: Engine> {
    lease: Lease<DB>,
    since: Instant,
}

/// A connection at work. Dropped, it is closed.
struct Lease<DB: Engine> {
    connection: DB::Connection,
    born: Instant,
    era: u64,
}

impl<DB: Engine> Clone for Lane<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Engine> std::fmt::Debug for Lane<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("place", &self.0.place).field("most", &self.0.most).finish_non_exhaustive()
    }
}

impl<DB: Engine> Lane<DB> {
    /// At most `most` connections; a request waits `limit` at most. Opens none yet.
    pub(super) fn new(options: Options<DB>, place: String, most: u32, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            options,
            place,
            turns: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1).max(1))),
            most,
            limit,
            idle: Mutex::new(Vec::new()),
            era: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }))
    }

    /// Opens a connection, so that a database that can't be reached is told at once.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.run(Patience::Request, |_| Box::pin(async { Ok(()) })).await
    }

    /// How connections are opened.
    pub(super) fn options(&self) -> &Options<DB> {
        &self.0.options
    }

    /// Runs one job outside of a transaction.
    ///
    /// # Errors
    /// The job's, or that it could not be run.
    pub(super) async fn run<T, E, J>(&self, patience: Patience, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: Fault,
        J: for<'c> FnOnce(&'c mut DB::Connection) -> Boxed<'c, Result<T, E>> + Send + 'static,
    {
        self.spawn(patience, false, job).await
    }

    /// Runs one job in a transaction, which is committed if the job succeeds.
    ///
    /// # Errors
    /// The job's, or that it could not be run; then nothing has changed, unless the database failed while it committed.
    pub(super) async fn transact<T, E, J>(&self, patience: Patience, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: Fault,
        J: for<'c> FnOnce(&'c mut DB::Connection) -> Boxed<'c, Result<T, E>> + Send + 'static,
    {
        self.spawn(patience, true, job).await
    }

    async fn spawn<T, E, J>(&self, patience: Patience, transaction: bool, job: J) -> Result<T, E>
    where
        T: Send + 'static,
        E: Fault,
        J: for<'c> FnOnce(&'c mut DB::Connection) -> Boxed<'c, Result<T, E>> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        let asked = Instant::now();
        let left = if patience == Patience::Request { budget::left() } else { None };
        let used_up = |waited| E::from(StoreError::Silent { place: self.0.place.clone(), waited });
        if let Some(Duration::ZERO) = left {
            return Err(used_up(self.0.limit));
        }
        let (mut answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let turn = tokio::select! {
                turn = inner.turn() => turn,
                // Nobody waits any more, and nothing has begun.
                () = answer.closed() => return,
            };
            let outcome = match turn {
                Ok(turn) => {
                    let outcome = inner.carry_out(patience, transaction, job).await;
                    drop(turn);
                    outcome
                }
                Err(error) => Err(E::from(error)),
            };
            // Whoever asked may have gone; what was done is done all the same.
            let _ = answer.send(outcome);
        });
        // A request that has waited enough is answered; what its job has begun ends all the same.
        let outcome = match left {
            Some(left) => timeout(left, answered).await.map_err(|_| used_up(left)),
            None => Ok(answered.await),
        };
        budget::spend(asked.elapsed());
        outcome?.unwrap_or_else(|_| Err(E::from(StoreError::Stopped)))
    }

    /// Ends: waits for the work under way and closes all connections.
    pub(super) async fn close(&self) {
        let inner = &self.0;
        // With all turns in hand nothing is at work; where that takes too long, what is at work is cut off.
        let all = timeout(CLOSE, inner.turns.acquire_many(inner.most.max(1))).await;
        inner.turns.close();
        drop(all);
        let idle = std::mem::take(&mut *inner.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for rested in idle {
            let _ = timeout(PING, rested.lease.connection.close()).await;
        }
    }
}

impl<DB: Engine> Inner<DB> {
    async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turns = Arc::clone(&self.turns);
        match timeout(self.limit / 2, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(StoreError::Stopped),
            Err(_) => Err(StoreError::Busy { place: self.place.clone(), most: self.most, waited: self.limit / 2 }),
        }
    }

    async fn carry_out<T, E, J>(&self, patience: Patience, transaction: bool, job: J) -> Result<T, E>
    where
        E: Fault,
        J: for<'c> FnOnce(&'c mut DB::Connection) -> Boxed<'c, Result<T, E>> + Send,
    {
        let mut lease = self.lease(transaction).await?;
        let limit = match patience {
            Patience::Request => self.limit / 2,
            Patience::Long => LONG.max(self.limit),
        };
        let work = async {
            if patience == Patience::Long {
                DB::extend(&mut lease.connection, limit).await.map_err(StoreError::from)?;
            }
            let done = job(&mut lease.connection).await;
            if transaction && done.is_ok() {
                // Whatever becomes of it, a transaction that failed here is not tried to be rescued.
                DB::run(&mut lease.connection, "COMMIT").await.map_err(StoreError::Commit)?;
            }
            done
        };
        let outcome = timeout(limit, work).await;
        match outcome {
            Ok(Ok(value)) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(database = self.place, "the database answers again");
                }
                self.rest(lease);
                Ok(value)
            }
            Ok(Err(error)) => {
                match error.fate() {
                    Fate::Clean => {
                        let clean = !transaction
                            || matches!(timeout(PING, DB::run(&mut lease.connection, "ROLLBACK")).await, Ok(Ok(())));
                        if clean {
                            self.rest(lease);
                        }
                    }
                    Fate::Suspect => drop(lease),
                    Fate::Gone => self.suspect(&lease, &error),
                }
                Err(error)
            }
            Err(_) => {
                let error = StoreError::Silent { place: self.place.clone(), waited: limit };
                self.suspect(&lease, &error);
                Err(error.into())
            }
        }
    }

    /// A connection that lives: one that rests, or a new one. For a transaction, with the transaction open.
    async fn lease(&self, transaction: bool) -> Result<Lease<DB>, StoreError> {
        let deadline = Instant::now() + self.limit / 2;
        while let Some(mut rested) = self.take() {
            let asked = rested.since.elapsed() > RESTED;
            let question = async {
                // To open the transaction is to ask.
                if transaction {
                    DB::run(&mut rested.lease.connection, DB::BEGIN).await
                } else if asked {
                    rested.lease.connection.ping().await
                } else {
                    Ok(())
                }
            };
            // Only what has rested is suspected of being dead; BEGIN may lawfully wait for another's transaction.
            let limit = if asked && !DB::BEGIN.contains("IMMEDIATE") { Instant::now() + PING } else { deadline };
            match timeout_at(limit.min(deadline), question).await {
                Ok(Ok(())) => return Ok(rested.lease),
                Ok(Err(error)) => {
                    let error = StoreError::from(error);
                    if Fault::fate(&error) != Fate::Gone {
                        return Err(error);
                    }
                    self.suspect(&rested.lease, &error);
                }
                Err(_) => {
                    self.suspect(&rested.lease, &StoreError::Silent { place: self.place.clone(), waited: PING });
                }
            }
        }
        let mut lease = self.connect(deadline).await?;
        if transaction {
            let silent = || StoreError::Silent { place: self.place.clone(), waited: self.limit / 2 };
            timeout_at(deadline, DB::run(&mut lease.connection, DB::BEGIN)).await.map_err(|_| silent())??;
        }
        Ok(lease)
    }

    /// Connects, and tries again until `deadline` where that can help. The error is that of the last try that had an answer.
    async fn connect(&self, deadline: Instant) -> Result<Lease<DB>, StoreError> {
        let mut told = None;
        loop {
            let era = self.era.load(Ordering::Acquire);
            let started = Instant::now();
            let try_until = deadline.min(started + CONNECT);
            let connecting = async {
                let mut connection = self.options.connect().await?;
                DB::prepare(&mut connection, self.limit / 2).await?;
                Ok::<_, StoreError>(connection)
            };
            match timeout_at(try_until, connecting).await {
                Ok(Ok(connection)) => return Ok(Lease { connection, born: started, era }),
                Ok(Err(error)) => told = Some(error.at(&self.place)),
                Err(_) => {}
            }
            let error =
                told.take().unwrap_or_else(|| StoreError::Silent { place: self.place.clone(), waited: self.limit / 2 });
            self.report(&error);
            if error.is_lasting() || Instant::now() + BETWEEN_TRIES >= deadline {
                return Err(error);
            }
            told = Some(error);
            sleep(BETWEEN_TRIES).await;
        }
    }

    /// The connection that rested last, and so is the likeliest to live.
    fn take(&self) -> Option<Idle<DB>> {
        let era = self.era.load(Ordering::Acquire);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(rested) = idle.pop() {
            if rested.lease.era == era && rested.lease.born.elapsed() < LIFETIME {
                return Some(rested);
            }
        }
        None
    }

    /// Takes a connection back. Those that nobody needed for long are closed.
    fn rest(&self, lease: Lease<DB>) {
        if lease.era != self.era.load(Ordering::Acquire) {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let unneeded = idle.iter().take_while(|rested| since.duration_since(rested.since) > IDLE).count();
        idle.drain(..unneeded);
        idle.push(Idle { lease, since });
    }

    /// What happened to this connection will have happened to all that are as old.
    fn suspect(&self, lease: &Lease<DB>, error: &dyn std::fmt::Display) {
        self.report(error);
        // Of many that notice the same, one begins the new era.
        let _ = self.era.compare_exchange(lease.era, lease.era + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    fn report(&self, error: &dyn std::fmt::Display) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(database = self.place, %error, "the database can't be used; its connections are replaced");
        }
    }
}
