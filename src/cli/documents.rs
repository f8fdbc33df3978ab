//! `documents`: whether the server can read what clients publish of themselves.

use std::process::ExitCode;

use clap::Subcommand;
use known_clients::profile::Profiles;

use super::{CliError, say};
use crate::app::{BuildError, directory};
use crate::clients::trial::{Outcome, fetch_documents, trials_json, trials_text};
use crate::config::Config;
use crate::fetch::Resolver;
use crate::model::clock::Clock;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check, on the server's machine and with its configuration, whether client metadata documents can be fetched
    ///
    /// Exit code: 0 all can be had, if need be as a copy; 1 at least one can't.
    Check {
        /// The URL of one document; without it, those of all known clients
        url: Option<String>,
        /// Print the outcome as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<ExitCode, CliError> {
    let Command::Check { url, json } = command;
    check(config, url.as_deref(), json).await
}

/// 0: all can be had, if need be by a copy; 1: one can't. Also what `doctor --fetch [URL]` does.
pub(super) async fn check(config: &Config, url: Option<&str>, as_json: bool) -> Result<ExitCode, CliError> {
    let directory = directory::alone(config, Resolver::system())?;
    let profiles = Profiles::load(config.clients.profiles_file.as_deref()).map_err(BuildError::from)?;
    let trials = fetch_documents(&directory, &profiles, url, Clock::system().now()).await;
    if as_json {
        say(&format!("{:#}", trials_json(&trials)))?;
    } else {
        say(&trials_text(&trials))?;
    }
    let refused = trials.iter().any(|trial| trial.outcome == Outcome::Refused);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
