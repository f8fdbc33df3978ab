//! `attempts`: what was recorded of attempts to connect, told.

use clap::Subcommand;

use super::desk::Desk;
use super::table::{plain, say_json};
use super::{CliError, say};
use crate::admin::attempts::{self, AttemptLine, AttemptStory};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the latest attempts with what became of them
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Show one attempt: its steps, what is wrong, and what to do
    Show {
        /// The id of the attempt: it stands on every page and in every error
        id: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { json, limit } => list(config, limit, json).await,
        Command::Show { id, json } => show(config, &id, json).await,
    }
}

async fn list(config: &Config, limit: u32, json: bool) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let list = attempts::list(&desk.admin(), &desk.profiles()?, limit).await?;
    if json {
        return say_json(&list);
    }
    if list.is_empty() {
        return say("Nothing is recorded yet.");
    }
    for AttemptLine { attempt, began, client, good, finding } in &list {
        let mark = if *good { "OK   " } else { "WRONG" };
        say(&format!("{attempt}  {began}  {mark}  {}\n           {finding}", plain(client)))?;
    }
    Ok(())
}

/// Shows one attempt: also what `doctor --attempt ID` does.
pub(super) async fn show(config: &Config, id: &str, json: bool) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let story = attempts::show(&desk.admin(), &desk.profiles()?, id).await?;
    if json { say_json(&AttemptStory::from(story)) } else { say(story.text().trim_end()) }
}
