//! How fast the server is: each operation against a ceiling that is measured in the same run, in turns, with the
//! CPU time that it takes. Prints a table for docs/performance.md.
//!
//!     cargo bench --features bench --bench main [-- WORD]      only the rows whose names hold the word
//!
//! PostgreSQL comes from `PORTCULLIS_TEST_POSTGRES`, a URL.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement stops at the first surprise and prints what it finds"
)]

mod calls;
mod ceilings;
mod client;
mod commits;
mod flows;
mod process;
mod rounds;
mod startup;

use std::process::ExitCode;

use process::Database;
use rounds::Row;
use tokio::runtime::Builder;

/// How many connections work at the same time.
const CONNECTIONS: usize = 8;

/// What is to be measured.
#[derive(Debug)]
struct Wanted(Option<String>);

impl Wanted {
    fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|word| name.to_lowercase().contains(&word.to_lowercase()))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--ceiling", kind, rest @ ..] = arguments.as_slice() {
        // The runtime that the server has.
        Builder::new_multi_thread().enable_all().build().unwrap().block_on(ceilings::run(kind, rest));
        return ExitCode::SUCCESS;
    }
    if !arguments.contains(&"--bench") {
        println!("nothing is measured in a test run; use: make bench");
        return ExitCode::SUCCESS;
    }
    let wanted = Wanted(arguments.iter().find(|text| !text.starts_with("--")).map(|&text| text.to_owned()));
    // One thread for all connections: what the load costs is taken from the server.
    Builder::new_current_thread().enable_all().build().unwrap().block_on(measure(&wanted));
    ExitCode::SUCCESS
}

async fn measure(wanted: &Wanted) {
    let mut notes = vec![machine()];
    let mut rows = Vec::new();
    let database = Database::sqlite("calls");
    rows.extend(calls::measure(&database, wanted).await);
    let sqlite = Database::sqlite("flows");
    rows.extend(flows::measure("SQLite", &sqlite, &Database::sqlite("commits"), wanted).await);
    match std::env::var("PORTCULLIS_TEST_POSTGRES") {
        Ok(base) => {
            notes.push(commits::durability(&base).await);
            let (own, ceiling) = (Database::postgres(&base, "flows").await, Database::postgres(&base, "commits").await);
            rows.extend(flows::measure("PostgreSQL", &own, &ceiling, wanted).await);
        }
        Err(_) => notes.push(
            "PostgreSQL was NOT measured: set PORTCULLIS_TEST_POSTGRES=postgres://user@host/database \
             (scripts/postgres-for-tests.sh starts one)."
                .to_owned(),
        ),
    }
    println!("\n{}\n", notes.join("\n\n"));
    if !rows.is_empty() {
        println!("{}\n{}\n", Row::HEAD, rows.iter().map(Row::to_string).collect::<Vec<_>>().join("\n"));
    }
    if wanted.any(&[startup::NAME]) {
        println!("{}", startup::measure(&database).await);
    }
}

/// What the numbers were measured on, without names.
fn machine() -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib: f64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    format!(
        "{cores} cores, {:.0} GiB, {os} on {arch}; load average {} when it began; load and servers share the cores; \
         {CONNECTIONS} connections at a time.",
        kib / 1024.0 / 1024.0,
        load.split(' ').next().unwrap(),
    )
}
