//! `config check`: what is in effect.

use clap::Subcommand;

use super::{CliError, say};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the configuration and print the values in effect, secrets hidden
    Check,
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), CliError> {
    match command {
        Command::Check => {
            say(config.effective())?;
            for notice in &config.notices {
                say(&format!("# note: {notice}"))?;
            }
            Ok(())
        }
    }
}
