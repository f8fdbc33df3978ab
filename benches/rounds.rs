//! Rounds: the two sides take turns, and each pair gives one ratio. A machine that is busy with something else
//! slows both; the median forgets the pair in which it slowed only one.

use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::process::{Ceiling, Process};

/// How many pairs.
const ROUNDS: usize = 9;
/// How long each side runs in a round.
const SPAN: Duration = Duration::from_millis(600);
/// How long each side runs before the first round counts.
const WARM_UP: Duration = Duration::from_millis(400);

/// What does one operation after the other.
pub(crate) trait Work: 'static {
    async fn operation(&mut self);
}

/// One side of a comparison.
pub(crate) trait Side {
    /// Runs for a while; how many operations it did.
    async fn run(&mut self, span: Duration) -> u64;
    /// Who does the work.
    fn process(&self) -> &Process;
}

/// A server under the load of some workers.
pub(crate) struct Load<'a, W> {
    pub(crate) process: &'a Process,
    pub(crate) workers: Vec<W>,
}

impl<W: Work> Side for Load<'_, W> {
    async fn run(&mut self, span: Duration) -> u64 {
        let until = Instant::now() + span;
        let tasks = LocalSet::new();
        let running: Vec<_> = self
            .workers
            .drain(..)
            .map(|mut worker| {
                tasks.spawn_local(async move {
                    let mut count = 0;
                    while Instant::now() < until {
                        worker.operation().await;
                        count += 1;
                    }
                    (worker, count)
                })
            })
            .collect();
        tasks
            .run_until(async {
                let mut total = 0;
                for task in running {
                    let (worker, count) = task.await.unwrap();
                    self.workers.push(worker);
                    total += count;
                }
                total
            })
            .await
    }

    fn process(&self) -> &Process {
        self.process
    }
}

impl Side for Ceiling {
    async fn run(&mut self, span: Duration) -> u64 {
        self.work(span)
    }

    fn process(&self) -> &Process {
        &self.process
    }
}

/// What one side did in all rounds.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    operations: f64,
    seconds: f64,
    cpu: f64,
}

impl Sum {
    /// One round; its operations per second.
    async fn round(&mut self, side: &mut impl Side) -> f64 {
        let (cpu, begun) = (side.process().cpu(), Instant::now());
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let operations = side.run(SPAN).await as f64;
        let seconds = begun.elapsed().as_secs_f64();
        self.operations += operations;
        self.seconds += seconds;
        self.cpu += side.process().cpu() - cpu;
        operations / seconds
    }

    fn per_second(&self) -> f64 {
        self.operations / self.seconds
    }

    fn cpu_per_thousand(&self) -> f64 {
        self.cpu / self.operations * 1000.0
    }
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    aim: Option<f64>,
    ratio: f64,
    lowest: f64,
    highest: f64,
    own: Sum,
    ceiling: Sum,
}

/// Compares a side with its ceiling.
pub(crate) async fn compare(name: &str, aim: Option<f64>, own: &mut impl Side, ceiling: &mut impl Side) -> Row {
    let (mut own_sum, mut ceiling_sum, mut ratios) = (Sum::default(), Sum::default(), Vec::new());
    own.run(WARM_UP).await;
    ceiling.run(WARM_UP).await;
    for round in 0..ROUNDS {
        // The order changes, so that neither side always has the other's aftermath.
        let (a, b);
        if round % 2 == 0 {
            a = own_sum.round(own).await;
            b = ceiling_sum.round(ceiling).await;
        } else {
            b = ceiling_sum.round(ceiling).await;
            a = own_sum.round(own).await;
        }
        ratios.push(a / b);
    }
    ratios.sort_by(f64::total_cmp);
    let row = Row {
        name: name.to_owned(),
        aim,
        ratio: ratios[ROUNDS / 2],
        lowest: ratios[0],
        highest: ratios[ROUNDS - 1],
        own: own_sum,
        ceiling: ceiling_sum,
    };
    eprintln!("{row}");
    row
}

impl Row {
    pub(crate) const HEAD: &str = "| Operation | Ratio | Aim | Pairs from … to | Per second | Ceiling per second | CPU s per 1000 | Ceiling's CPU s per 1000 |\n|---|---:|---:|---:|---:|---:|---:|---:|";
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let aim = self.aim.map(|aim| format!("{aim:.1}")).unwrap_or_default();
        let (own, ceiling) = (&self.own, &self.ceiling);
        write!(
            f,
            "| {} | **{:.2}** | {aim} | {:.2} … {:.2} | {:.0} | {:.0} | {:.4} | {:.4} |",
            self.name,
            self.ratio,
            self.lowest,
            self.highest,
            own.per_second(),
            ceiling.per_second(),
            own.cpu_per_thousand(),
            ceiling.cpu_per_thousand(),
        )
    }
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
