//! A fail-over of PostgreSQL: the primary is lost, its synchronous standby is promoted, and the address leads there.
//! What was acknowledged is on both of them, so nothing is lost.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::link::Link;
use crate::load::length;
use crate::trial::{Broken, Trial};

/// A primary whose commits wait for its standby, and one address for both.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    link: Link,
}

impl Pair {
    async fn start() -> Self {
        let primary = Cluster::start(&["max_connections=50", "fsync=on", "synchronous_commit=on"]);
        let standby = primary.standby().await;
        primary.sql("alter system set synchronous_standby_names = '*'").await;
        primary.sql("select pg_reload_conf()").await;
        let began = Instant::now();
        while primary.text("select sync_state from pg_stat_replication").await != "sync" {
            assert!(began.elapsed() < Duration::from_secs(30), "the standby is not synchronous");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let link = Link::to(&primary.address());
        Self { primary, standby, link }
    }

    /// A server that reaches the database at the one address, at work.
    async fn trial(&self, name: &'static str) -> Trial {
        // What was acknowledged is looked for in what the address leads to in the end.
        let url = self.link.url(&self.primary.url("postgres"));
        Trial::begin(name, &url, &url, &[]).await
    }

    /// Makes the standby the primary, and the address lead there.
    async fn promote(&mut self, trial: &mut Trial) {
        assert_eq!(self.standby.text("select pg_promote()::text").await, "true");
        self.link.lead_to(&self.standby.address());
        trial.mends();
    }
}

/// The primary crashes: its connections are closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn nothing_acknowledged_is_lost_when_the_primary_crashes() {
    let mut pair = Pair::start().await;
    let mut trial = pair.trial("Fail-over: primary crashed, standby promoted").await;
    tokio::time::sleep(length() / 6).await;
    pair.primary.stop_immediately();
    trial.breaks(Broken::All);
    tokio::time::sleep(Duration::from_secs(3)).await;
    pair.promote(&mut trial).await;
    trial.judge().await;
}

/// The primary vanishes: nothing comes from it any more, no reset either, and it is still running somewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn nothing_acknowledged_is_lost_when_the_primary_vanishes() {
    let mut pair = Pair::start().await;
    let mut trial = pair.trial("Fail-over: primary unreachable (no reset), standby promoted").await;
    tokio::time::sleep(length() / 6).await;
    pair.link.freeze();
    trial.breaks(Broken::All);
    tokio::time::sleep(Duration::from_secs(3)).await;
    pair.promote(&mut trial).await;
    // Fenced: new connections lead elsewhere, and nothing comes through the old ones any more.
    pair.link.leave_behind().await;
    trial.judge().await;
}

/// The standby is gone: a commit that is on the primary alone is not acknowledged, for it would be lost with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn a_commit_that_is_on_one_machine_only_is_not_acknowledged() {
    let mut pair = Pair::start().await;
    let mut trial = pair.trial("Fail-over: standby cut off first, then promoted").await;
    tokio::time::sleep(length() / 6).await;
    pair.standby.signal("STOP");
    trial.breaks(Broken::Writes);
    tokio::time::sleep(length() / 4).await;
    pair.primary.stop_immediately();
    pair.standby.signal("CONT");
    pair.promote(&mut trial).await;
    trial.judge().await;
}
