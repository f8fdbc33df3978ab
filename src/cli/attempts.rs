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
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let Command::List { json, limit } = command;
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

/// Shows one attempt: what `doctor --attempt ID` does.
pub(super) async fn show(config: &Config, id: &str, json: bool) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let story = attempts::show(&desk.admin(), &desk.profiles()?, id).await?;
    if json { say_json(&AttemptStory::from(story)) } else { say(story.text().trim_end()) }
}
