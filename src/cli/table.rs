//! What lists are printed as: a table for people, JSON for programs.

use serde::Serialize;

use super::{CliError, say};

/// Rows below a head, each column as wide as its widest text.
pub(super) struct Table<const N: usize>(Vec<[String; N]>);

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&str; N]) -> Self {
        Self(vec![head.map(str::to_owned)])
    }

    /// Adds a row. Strangers choose some of the texts: nothing in them moves the cursor or hides.
    pub(super) fn row(&mut self, cells: [&str; N]) {
        self.0.push(cells.map(plain));
    }

    pub(super) fn say(&self) -> Result<(), CliError> {
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        });
        for row in &self.0 {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            say(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A text that a stranger chose, for a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn say_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    say(&serde_json::to_string_pretty(value).map_err(|error| CliError::Other(error.to_string()))?)
}
