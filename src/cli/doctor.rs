//! `doctor`: examines a deployment from outside.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use known_clients::profile::Profiles;

use super::outside::OutsideArgs;
use super::{CliError, attempts, say};
use crate::app::{BuildError, directory};
use crate::clients::trial::{Outcome, fetch_documents, trials_json, trials_text};
use crate::config::Config;
use crate::fetch::Resolver;
use crate::model::clock::Clock;
use diagnose::doctor::{Options, Target, examine};

/// `--fetch` without an address.
const ALL_KNOWN: &str = "all";

/// What to examine, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The MCP URL, as people type it into their client, or the origin; by default that of the configuration
    url: Option<String>,
    /// Tell what became of this attempt instead: its id stands on every page and in every error
    #[arg(long, value_name = "ID", conflicts_with_all = ["url", "assume_public", "register", "ca_file", "proxy"])]
    attempt: Option<String>,
    /// Try instead, on the server's machine and with its configuration, whether the metadata document at this URL can be
    /// fetched; without a URL those of all known clients
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = ALL_KNOWN, conflicts_with_all = ["url", "attempt", "assume_public", "register", "ca_file", "proxy"])]
    fetch: Option<String>,
    /// Skip the judgement whether the internet can reach the address: for split DNS and for trials
    #[arg(long)]
    assume_public: bool,
    /// Register as each client does, and take it back afterwards
    #[arg(long)]
    register: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    outside: OutsideArgs,
}

/// 0: all clients will connect; 1: at least one won't; 2: nothing could be looked at.
pub(super) async fn run(
    arguments: Arguments,
    config: impl FnOnce() -> Result<Config, CliError>,
) -> Result<ExitCode, CliError> {
    if let Some(attempt) = &arguments.attempt {
        return attempts::show(&config()?, attempt, arguments.json).await.map(|()| ExitCode::SUCCESS);
    }
    if let Some(url) = &arguments.fetch {
        let url = Some(url.as_str()).filter(|url| *url != ALL_KNOWN);
        return fetch(&config()?, url, arguments.json).await;
    }
    // Who names an address needs no configuration: the deployment may be elsewhere.
    let url = match arguments.url {
        Some(url) => url,
        None => config().map_err(|error| CliError::CannotBegin(error.to_string()))?.resource(),
    };
    let unseen = |error: &dyn std::error::Error| CliError::CannotBegin(error.to_string());
    let target = Target::parse(&url).map_err(|error| unseen(&error))?;
    let profiles = Profiles::embedded().map_err(|error| unseen(&error))?;
    let options = Options { assume_public: arguments.assume_public, register: arguments.register };
    let report = examine(target, &arguments.outside.into(), options, &profiles, Clock::system().now())
        .await
        .map_err(|error| unseen(&error))?;
    if arguments.json {
        say(&format!("{:#}", report.to_json()))?;
    } else {
        say(&report.to_text(std::io::stdout().is_terminal()))?;
    }
    Ok(ExitCode::from(report.exit_code()))
}

/// 0: all can be had, if need be by a copy; 1: one can't.
async fn fetch(config: &Config, url: Option<&str>, as_json: bool) -> Result<ExitCode, CliError> {
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
