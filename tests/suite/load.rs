//! Honest clients that work without a pause and remember what was acknowledged to them, rude ones that hang up, and
//! the look afterwards whether everything acknowledged is true.

pub mod caller;
pub mod dice;
pub mod ledger;
pub mod life;
pub mod rude;
pub mod verify;
pub mod visitor;
pub mod world;

use std::time::Duration;

use dice::number;

/// How long the trials of this run take: some seconds, and as long as `make chaos` says.
pub fn length() -> Duration {
    Duration::from_secs(number("PORTCULLIS_CHAOS_SECONDS").unwrap_or(5))
}

/// Whether nothing else runs beside: then the bounds are those that are promised. Beside other tests, on a machine
/// that is busy with them, they are wider.
pub fn alone() -> bool {
    number("PORTCULLIS_CHAOS_SECONDS").is_some()
}

/// A table of what was seen.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    HangUps,
    Faults,
    Memory,
}

impl Table {
    const fn heading(self) -> &'static str {
        match self {
            Self::HangUps => {
                "| Database | For | Hang-ups | Honest requests | Acknowledged changes | Looked at afterwards | Lost \
                 | Flows ended | Idle in transaction |"
            }
            Self::Faults => {
                "| What broke | For | Answered with 503 | Slowest answer | `/readyz` no after | Last 503 after its end \
                 | `/readyz` yes after | Faults |"
            }
            Self::Memory => "| What was done | Before | At its highest | Afterwards | What came of it |",
        }
    }
}

/// Prints a row of a table, and appends it to the file that `PORTCULLIS_CHAOS_REPORT` names.
#[expect(clippy::print_stdout, reason = "what was measured is for people to read")]
#[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
pub fn report(table: Table, cells: &[String]) {
    use std::io::Write as _;
    let row = format!("| {} |", cells.join(" | "));
    println!("{row}");
    if let Some(path) = std::env::var_os("PORTCULLIS_CHAOS_REPORT") {
        let heading = table.heading();
        let begun = std::fs::read_to_string(&path).is_ok_and(|text| text.contains(heading));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        if !begun {
            writeln!(file, "\n{heading}\n|{}", "---|".repeat(cells.len())).unwrap();
        }
        writeln!(file, "{row}").unwrap();
    }
}
