//! A trial: a server at work, a fault of its database that begins and ends, and what clients saw of it.

use std::time::{Duration, Instant};

use crate::load::caller::{Outcome, Sample};
use crate::load::dice::seed;
use crate::load::world::{Workers, World};
use crate::load::{Table, alone, length, report};

/// `database.acquire_timeout` of the servers here.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long the server may take until it is good again.
pub const AGAIN: Duration = Duration::from_secs(5);
/// `/readyz` may remember for a second what it said.
const REMEMBERED: Duration = Duration::from_secs(1);
/// How many honest clients work at a time.
const HONEST: u8 = 6;
/// Their pause before each request.
const PACE: Duration = Duration::from_millis(20);

/// What every test machine takes for itself: nearly nothing when nothing else runs.
fn slack() -> Duration {
    if alone() { Duration::from_secs(1) } else { Duration::from_secs(6) }
}

/// How long before it is written down a fault may be there: bringing it about is a command of its own.
const MOMENT: Duration = Duration::from_secs(1);

/// How long everything has to be well before it is believed.
fn calm() -> Duration {
    Duration::from_millis(if alone() { 3000 } else { 1500 })
}

/// How long faults last here: longer than any request waits, and than `/readyz` remembers.
pub fn span() -> Duration {
    (length() / 6).clamp(PATIENCE + REMEMBERED + Duration::from_secs(1), Duration::from_secs(10))
}

/// What can't be done while the fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing that needs the database.
    All,
    /// Nothing that changes something.
    Writes,
    /// Some of it, by turns, or it is over before one can look.
    Some,
    /// Single statements that readiness can't know of.
    Parts,
}

/// So old may the view of revocations be before `/mcp` says that it doesn't know any more; less what a poll takes.
const VIEW_AGES: Duration = Duration::from_secs(28);
/// The kinds of requests that have to be answered again in the end.
const NEEDED: [&str; 8] = ["authorize", "login", "consent", "token", "register", "api read", "api write", "readyz"];
/// The kinds of requests each of which writes.
const SURE_WRITES: [&str; 4] = ["token", "revoke", "register", "api write"];
/// An administrator's work on any number of rows has a minute, and so has its answer.
const LONG: &str = "api long";
/// Those that never touch the database.
const FREE: [&str; 2] = ["healthz", "mcp"];

/// A server at work.
pub struct Trial {
    name: &'static str,
    pub world: World,
    workers: Workers,
    broken: Broken,
    began: Option<Instant>,
    ended: Option<Instant>,
}

/// What was seen, as a row of a table.
#[derive(Debug)]
struct Seen {
    asked: usize,
    refused: usize,
    slowest: Duration,
    /// From the beginning of the fault until `/readyz` said no.
    no_after: Option<Duration>,
    /// From its end until the last request that was answered with 503.
    again_after: Duration,
    /// From its end until `/readyz` said yes and went on to.
    ready_after: Duration,
    faults: Vec<String>,
}

impl Trial {
    /// A server on the database `direct`, which it reaches at `url`, and clients that are busy with it.
    pub async fn begin(name: &'static str, direct: &str, url: &str, more: &[(&str, &str)]) -> Self {
        let patience = format!("{}s", PATIENCE.as_secs());
        let settings = [&[("PORTCULLIS__DATABASE__ACQUIRE_TIMEOUT", patience.as_str())], more].concat();
        let world = World::new(direct, url, &settings, seed(), PACE).await;
        let workers = world.work(HONEST).await;
        tokio::time::sleep(calm() / 2).await;
        Self { name, world, workers, broken: Broken::All, began: None, ended: None }
    }

    /// The fault is there now.
    pub fn breaks(&mut self, broken: Broken) {
        (self.broken, self.began) = (broken, Some(Instant::now()));
    }

    /// Its cause is gone.
    pub fn mends(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Waits until a kind of request is answered with 503.
    pub async fn notices(&self, kinds: &[&str]) {
        let began = Instant::now();
        while !self
            .world
            .samples
            .since(began)
            .iter()
            .any(|own| kinds.contains(&own.kind) && own.outcome == Outcome::Unavailable)
        {
            assert!(began.elapsed() < Duration::from_mins(1), "{}: nobody notices", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until everything is answered again, ends the work, and judges.
    pub async fn judge(self) {
        let ended = self.ended.unwrap();
        // A while after the bound, so that what falls back is seen too; or until all has long been well.
        let most = AGAIN + slack() + Duration::from_secs(2);
        while ended.elapsed() < most {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.is_well(ended) {
                break;
            }
        }
        let stuck = !self.is_well(ended);
        let Self { name, world, workers, broken, began, .. } = self;
        let mut seen = look(&world.samples.all(), broken, began.unwrap(), ended);
        if stuck {
            seen.faults.push(format!("not good again after {:?}", ended.elapsed()));
        } else {
            workers.stop().await;
            let (lost, looked) = world.lost().await;
            seen.faults.extend(lost.into_iter().map(|what| format!("of {looked} acknowledged: {what}")));
            seen.faults.extend(world.ledger.facts().broken.iter().map(|what| format!("an honest flow ended: {what}")));
        }
        report(Table::Faults, &seen.row(name, began.unwrap(), ended));
        assert!(seen.faults.is_empty(), "{name}: {:#?}\nthe server said:\n{}", seen.faults, world.server.trouble());
    }

    /// Whether every kind of request has been answered well for a while.
    fn is_well(&self, ended: Instant) -> bool {
        if ended.elapsed() < calm() {
            return false;
        }
        let recent = self.world.samples.since(Instant::now().checked_sub(calm()).unwrap().max(ended));
        recent.iter().all(|own| own.outcome == Outcome::Good || own.kind == LONG)
            && NEEDED.iter().chain(&FREE).all(|kind| recent.iter().any(|own| own.kind == *kind))
    }
}

/// Judges what was seen.
fn look(samples: &[Sample], broken: Broken, began: Instant, ended: Instant) -> Seen {
    let view = View { samples, broken, began, ended };
    let faults = [view.answers(), view.impossible(), view.readiness(), view.readiness_by_the_rest()].concat();
    let again_after = view.last_refused(|kind| kind != LONG);
    let affected = |own: &&Sample| own.began > began && own.ended() <= ended + again_after;
    let counted = |own: &&Sample| own.kind != "readyz" && !FREE.contains(&own.kind);
    let affected: Vec<_> = samples.iter().filter(affected).filter(counted).collect();
    let mut seen = Seen {
        asked: affected.len(),
        refused: affected.iter().filter(|own| own.is_unavailable()).count(),
        slowest: samples.iter().filter(|own| own.kind != LONG).map(|own| own.took).max().unwrap_or_default(),
        no_after: view.no_after(),
        again_after,
        ready_after: view.last_refused(|kind| kind == "readyz"),
        faults,
    };
    if seen.again_after > AGAIN + if alone() { Duration::ZERO } else { slack() } {
        seen.faults.push(format!("still 503 {:?} after the cause was gone", seen.again_after));
    }
    seen.faults.truncate(20);
    seen
}

/// All requests, and when the fault was there.
struct View<'a> {
    samples: &'a [Sample],
    broken: Broken,
    began: Instant,
    ended: Instant,
}

impl View<'_> {
    /// Requests that were sent and answered while the fault was there.
    fn during(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|own| own.began > self.began && own.ended() < self.ended)
    }

    fn ready(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|own| own.kind == "readyz")
    }

    /// Every request is answered in time, in a way that a client understands.
    fn answers(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for own in self.samples {
            let when = format!("{} at {:+.1} s", own.kind, self.moment(own.began));
            if let Outcome::Wrong(what) = &own.outcome {
                faults.push(format!("{when}: {what}"));
            }
            if own.took > PATIENCE + slack() && own.kind != LONG {
                faults.push(format!("{when} took {:?}", own.took));
            }
            // After half a minute nobody knows any more which tokens were revoked meanwhile.
            let unsure = own.kind == "mcp" && own.ended() > self.began + VIEW_AGES;
            if FREE.contains(&own.kind) && own.is_unavailable() && !unsure {
                faults.push(format!("{when} needs no database and got 503"));
            }
        }
        faults
    }

    /// Seconds after the fault began.
    fn moment(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.began).as_secs_f64() - self.began.saturating_duration_since(at).as_secs_f64()
    }

    /// Nothing is acknowledged that can't have been done.
    fn impossible(&self) -> Vec<String> {
        let impossible = |kind: &str| match self.broken {
            // The start page of a browser that is not signed in needs none either.
            Broken::All => !FREE.contains(&kind) && !["readyz", "page"].contains(&kind),
            Broken::Writes => SURE_WRITES.contains(&kind),
            Broken::Some | Broken::Parts => false,
        };
        let answered = self.during().filter(|own| impossible(own.kind) && own.outcome == Outcome::Good);
        answered.map(|own| format!("{} was answered at {:+.1} s", own.kind, self.moment(own.began))).collect()
    }

    /// `/readyz` says no when nothing can be written, and never before.
    fn readiness(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let total = matches!(self.broken, Broken::All | Broken::Writes);
        let noticed = self.began + REMEMBERED + PATIENCE + slack();
        for own in self.ready() {
            let when = self.moment(own.began);
            if total && own.began > noticed && own.ended() < self.ended && own.outcome == Outcome::Good {
                faults.push(format!("/readyz said yes at {when:+.1} s"));
            }
            if own.ended() + MOMENT < self.began && own.is_unavailable() {
                faults.push(format!("/readyz said no at {when:+.1} s"));
            }
        }
        if total && self.no_after().is_none() {
            faults.push("/readyz never said no".to_owned());
        }
        faults
    }

    /// `/readyz` agrees with what clients see: where no write succeeds it says no, where nothing fails it says yes.
    fn readiness_by_the_rest(&self) -> Vec<String> {
        if self.broken == Broken::Parts {
            return Vec::new();
        }
        let mut faults = Vec::new();
        for own in self.ready() {
            let from = own.began.checked_sub(REMEMBERED + PATIENCE + slack()).unwrap();
            let others = |until: Instant| {
                let near = self.samples.iter().filter(move |other| other.ended() > from && other.began < until);
                near.filter(|other| other.kind != "readyz" && !FREE.contains(&other.kind))
            };
            let writes: Vec<_> = others(own.ended()).filter(|other| SURE_WRITES.contains(&other.kind)).collect();
            let none = writes.len() > 5 && writes.iter().all(|other| other.is_unavailable());
            if own.outcome == Outcome::Good && none {
                faults.push(format!("/readyz said yes at {:+.1} s, and no write succeeds", self.moment(own.began)));
            }
            // It may be the first to notice: those that fail next count too.
            if own.is_unavailable() && others(own.ended() + slack()).all(|other| other.outcome == Outcome::Good) {
                faults.push(format!("/readyz said no at {:+.1} s, and nothing fails", self.moment(own.began)));
            }
        }
        faults
    }

    /// From the beginning of the fault until `/readyz` said no.
    fn no_after(&self) -> Option<Duration> {
        let first = self.ready().find(|own| own.ended() > self.began && own.is_unavailable());
        first.map(|own| own.ended() - self.began)
    }

    /// From the end of the fault until the last 503.
    fn last_refused(&self, of: impl Fn(&str) -> bool) -> Duration {
        let refused = self.samples.iter().filter(|own| own.is_unavailable() && of(own.kind));
        refused.map(|own| own.ended().saturating_duration_since(self.ended)).max().unwrap_or_default()
    }
}

impl Seen {
    fn row(&self, name: &str, began: Instant, ended: Instant) -> [String; 8] {
        let seconds = |span: Duration| format!("{:.1} s", span.as_secs_f64());
        [
            name.to_owned(),
            seconds(ended.duration_since(began)),
            format!("{} of {}", self.refused, self.asked),
            seconds(self.slowest),
            self.no_after.map_or("–".to_owned(), seconds),
            seconds(self.again_after),
            seconds(self.ready_after),
            self.faults.len().to_string(),
        ]
    }
}
