//! `user`: accounts from the shell.

use clap::Subcommand;

use super::desk::Desk;
use super::table::{Table, say_json};
use super::{CliError, PasswordSource, say};
use crate::admin::people::{self, Addition};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account
    Add {
        /// The login name
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        /// admin or user
        #[arg(long, default_value = "user", value_parser = ["admin", "user"])]
        role: String,
        /// What pages call the person; the login name if left out
        #[arg(long)]
        display_name: Option<String>,
        /// Print the account as JSON
        #[arg(long)]
        json: bool,
    },
    /// List accounts by name
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable an account and end its connections: nobody can sign in to it
    Disable {
        /// The login name
        name: String,
    },
    /// Enable a disabled account
    Enable {
        /// The login name
        name: String,
    },
    /// Set the password of an account: browsers are signed out and connections end
    Password {
        /// The login name
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
}

/// The most accounts that are read at once.
const PAGE: i64 = 200;

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let admin = desk.admin();
    match command {
        Command::Add { name, password, role, display_name, json } => {
            let addition = Addition { username: name, password: password.read()?, display_name, role: Some(role) };
            let made = people::add(&admin, &desk.passwords()?, addition).await?;
            if json { say_json(&made) } else { say(&format!("Account {} made ({}).", made.username, made.role)) }
        }
        Command::List { json } => {
            let (mut users, mut after) = (Vec::new(), Some(String::new()));
            while let Some(behind) = after {
                let page = people::list(&admin, &behind, PAGE).await?;
                users.extend(page.entries);
                after = page.next;
            }
            if json {
                return say_json(&users);
            }
            let mut table = Table::new(["NAME", "ROLE", "STATE", "ID"]);
            for user in &users {
                let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
                table.row([&user.username, user.role, state, &user.id]);
            }
            table.say()
        }
        Command::Disable { name } => {
            let user = people::named(&admin, &name).await?;
            people::disable(&admin, &user.id).await?;
            say(&format!("Account {} is disabled; its connections have ended.", user.username.as_str()))
        }
        Command::Enable { name } => {
            let user = people::named(&admin, &name).await?;
            people::enable(&admin, &user.id).await?;
            say(&format!("Account {} is enabled.", user.username.as_str()))
        }
        Command::Password { name, password } => {
            let user = people::named(&admin, &name).await?;
            people::set_password(&admin, &desk.passwords()?, &user.id, password.read()?).await?;
            say(&format!("Account {} has a new password; its connections have ended.", user.username.as_str()))
        }
    }
}
