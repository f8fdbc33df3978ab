//! Hang-ups at random moments while others work: nothing acknowledged is lost, nobody's flow ends, and no connection to
//! the database is left in the middle of a transaction. `make chaos` runs it for a minute, `make test` for seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::task::{JoinHandle, JoinSet};

use crate::load::caller::Outcome;
use crate::load::dice::seed;
use crate::load::rude::{ADDRESSES, Rude};
use crate::load::world::World;
use crate::load::{Table, length, report};
use crate::on_both_databases;
use crate::server::{Database, OwnDatabase};

/// How many honest clients work at a time.
const HONEST: u8 = 6;
/// How long a transaction may wait for its next statement.
const IDLE: Duration = Duration::from_secs(2);

/// Looks at PostgreSQL's connections all the while.
struct Watch {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

/// What sits in a transaction and has not said anything for longer than this.
async fn idle(connection: &mut PgConnection, longer: Duration) -> Vec<String> {
    let sql = "select pid || ' for ' || (now() - state_change) || ' after ' || query from pg_stat_activity
               where datname = current_database() and state like 'idle in transaction%'
                 and now() - state_change > make_interval(secs => $1) and pid <> pg_backend_pid()";
    sqlx::query_scalar(sql).bind(longer.as_secs_f64()).fetch_all(connection).await.unwrap()
}

impl Watch {
    async fn over(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut found = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                found.extend(idle(&mut connection, IDLE).await);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            // When nobody asks for anything any more, there is no transaction at all.
            let began = Instant::now();
            loop {
                let left = idle(&mut connection, Duration::ZERO).await;
                if left.is_empty() || began.elapsed() > IDLE {
                    found.extend(left);
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { stop, task }
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Lets all addresses hang up until told to stop; gives how often they did.
fn hang_up(rude: Rude, world: &World, stop: &Arc<AtomicBool>, count: &Arc<AtomicU64>) -> JoinSet<()> {
    let rude = Arc::new(rude);
    (1..=ADDRESSES)
        .map(|n| {
            let (rude, mut dice) = (Arc::clone(&rude), world.dice(200 - n));
            let (stop, count) = (Arc::clone(stop), Arc::clone(count));
            async move {
                while !stop.load(Ordering::Relaxed) {
                    if rude.hang_up(n, &mut dice).await.is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })
        .collect()
}

on_both_databases! {
    /// A client that hangs up undoes nobody's acknowledged change, and ends nobody's flow.
    async fn hang_ups_lose_nothing_and_end_nobodys_flow(database) {
        let (length, seed) = (length(), seed());
        let own = OwnDatabase::whole(database).await;
        let world = World::new(&own.url, &own.url, &[], seed, Duration::ZERO).await;
        let watch = if database == Database::Postgres { Some(Watch::over(&own.url).await) } else { None };
        let rude = Rude::of(&world.honest(103)).await;
        let (stop, hang_ups) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let workers = world.work(HONEST).await;
        let rude = hang_up(rude, &world, &stop, &hang_ups);
        tokio::time::sleep(length).await;
        // The honest ones finish what they are at while the others go on.
        workers.stop().await;
        stop.store(true, Ordering::Relaxed);
        rude.join_all().await;
        let idle = match watch {
            Some(watch) => watch.end().await,
            None => Vec::new(),
        };
        let trouble = world.server.trouble();
        // By a server that has only the database to know anything from.
        let world = world.begin_anew().await;
        let (lost, looked) = world.lost().await;
        let samples = world.samples.all();
        let wrong: Vec<_> = samples.iter().filter(|own| matches!(own.outcome, Outcome::Wrong(_))).collect();
        let again = samples.iter().filter(|own| own.outcome == Outcome::Unavailable).count();
        let facts = world.ledger.facts();
        let all: u64 = facts.changes.values().sum();
        report(Table::HangUps, &[
            format!("{database:?}"), format!("{} s", length.as_secs()), hang_ups.load(Ordering::Relaxed).to_string(),
            format!("{}, of which {again} got 503", samples.len()), all.to_string(), looked.to_string(),
            lost.len().to_string(), facts.broken.len().to_string(), idle.len().to_string(),
        ]);
        assert!(facts.changes["connected"] > 5, "next to nothing was tried: {:?}", facts.changes);
        assert!(
            lost.is_empty() && facts.broken.is_empty() && idle.is_empty() && wrong.is_empty(),
            "seed {seed} (PORTCULLIS_CHAOS_SEED)\nlost: {lost:#?}\nflows ended: {:#?}\nidle: {idle:#?}\n\
             wrong: {wrong:#?}\nthe server said:\n{trouble}", facts.broken,
        );
    }
}
