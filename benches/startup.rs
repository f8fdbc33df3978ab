//! What starting and idling cost.

use std::time::Duration;

use crate::process::{Database, Server};
use crate::rounds::median;

pub(crate) const NAME: &str = "start memory";
/// How many starts.
const STARTS: u8 = 10;
/// How long the server idles before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// Starts the server on a warm store again and again; a table.
pub(crate) async fn measure(database: &Database) -> String {
    let (mut times, mut cpu, mut memory, mut peak) = (Vec::new(), 0.0, 0.0, 0.0);
    for start in 0..STARTS {
        let (server, time) = Server::restart(database).await;
        times.push(time.as_secs_f64() * 1000.0);
        cpu += server.process.cpu() * 1000.0;
        if start == 0 {
            tokio::time::sleep(IDLE).await;
            (memory, peak) = server.process.memory();
        }
    }
    // The kernel counts in steps of 10 ms, which a single start hardly takes.
    let cpu = cpu / f64::from(STARTS);
    format!(
        "| What | Measured | Aim |\n|---|---:|---:|\n\
         | Time to first answer (`/readyz`) on a warm store, median of {STARTS} | {:.0} ms | < 100 ms |\n\
         | CPU time until then, mean | {cpu:.0} ms | |\n\
         | Memory after a start and {} s of idling (RSS) | {memory:.1} MiB | < 30 MiB |\n\
         | Highest memory until then | {peak:.1} MiB | |",
        median(times),
        IDLE.as_secs(),
    )
}
