//! `attempts`, and `doctor --attempt`: what was recorded of attempts to connect, told.

use clap::Subcommand;
use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use serde::Serialize;

use super::{CliError, open, say};
use crate::attempts::{Summary, explain, latest};
use crate::config::Config;
use crate::model::clock::Clock;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the latest attempts with what became of them; `doctor --attempt ID` tells one whole
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let Command::List { json, limit } = command;
    let (store, profiles) = (open(config).await?, profiles(config)?);
    let now = Clock::system().now();
    let list = latest(&store, &profiles, limit, now).await?;
    if json {
        return say_json(&list);
    }
    if list.is_empty() {
        return say("Nothing is recorded yet.");
    }
    for Summary { attempt, began, client, good, finding } in &list {
        let mark = if *good { "OK   " } else { "WRONG" };
        say(&format!("{attempt}  {began}  {mark}  {client}\n           {finding}"))?;
    }
    Ok(())
}

/// Tells one attempt: what `doctor --attempt ID` does.
pub(super) async fn tell(config: &Config, id: &str, json: bool) -> Result<(), CliError> {
    let attempt = AttemptId::parse(id)
        .ok_or_else(|| CliError::Other(format!("{id:?} is no attempt's id; it looks like this: K7QD-2M4X")))?;
    let (opened, profiles) = (open(config).await?, profiles(config)?);
    let story = explain(&opened, &profiles, &attempt, Clock::system().now()).await?.ok_or_else(|| {
        CliError::Other(format!(
            "nothing is recorded of {attempt}: it is older than attempts.keep, or it is another server's; see: portcullis attempts list"
        ))
    })?;
    if json { say_json(&story) } else { say(story.text().trim_end()) }
}

fn profiles(config: &Config) -> Result<Profiles, CliError> {
    Profiles::load(config.clients.profiles_file.as_deref()).map_err(|error| CliError::Build(error.into()))
}

fn say_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    say(&serde_json::to_string_pretty(value).map_err(|error| CliError::Other(error.to_string()))?)
}
