//! `doctor`: examines a deployment from outside.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;
use diagnose::doctor::{Options, Target, examine};
use known_clients::profile::Profiles;

use super::outside::OutsideArgs;
use super::{CliError, attempts, documents, say};
use crate::config::Config;
use crate::model::clock::Clock;

/// `--fetch` without an address.
const ALL_KNOWN: &str = "all";

/// What to examine, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The MCP URL, as people type it into their client, or the origin; by default that of the configuration
    url: Option<String>,
    /// The older spelling of `attempts show ID`
    #[arg(long, hide = true, value_name = "ID", conflicts_with_all = ["url", "assume_public", "register", "ca_file", "proxy"])]
    attempt: Option<String>,
    /// The older spelling of `documents check [URL]`
    #[arg(long, hide = true, value_name = "URL", num_args = 0..=1, default_missing_value = ALL_KNOWN, conflicts_with_all = ["url", "attempt", "assume_public", "register", "ca_file", "proxy"])]
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
        return documents::check(&config()?, url, arguments.json).await;
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
