//! `user`: accounts from the shell.

use clap::Subcommand;

use super::{CliError, PasswordSource, open, say};
use crate::config::Config;
use crate::crypto::password::Passwords;
use crate::crypto::random::Random;
use crate::model::clock::Clock;
use crate::model::user::{Role, User, Username, check_password};
use crate::store::{NewUser, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account
    Add {
        /// The name to sign in with
        name: String,
        #[command(flatten)]
        password: PasswordSource,
        /// admin or user
        #[arg(long, default_value = "user", value_parser = ["admin", "user"])]
        role: String,
        /// What pages call the person; the name if left out
        #[arg(long)]
        display_name: Option<String>,
    },
    /// List the accounts
    List,
    /// Stop an account: it can't sign in, and all its connections end
    Disable {
        /// The name that it signs in with
        name: String,
    },
    /// Let an account sign in again
    Enable {
        /// The name that it signs in with
        name: String,
    },
    /// Set a new password: browsers are signed out and connections end
    Password {
        /// The name that it signs in with
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let store = open(config).await?;
    let now = Clock::system().now();
    match command {
        Command::Add { name, password, role, display_name } => {
            let username = Username::parse(&name).map_err(|error| CliError::Other(error.to_string()))?;
            let password_hash = hash(config, &username, &password).await?;
            let user = NewUser {
                id: Random::system().user_id(),
                display_name: display_name.unwrap_or_else(|| username.as_str().to_owned()),
                username,
                password_hash,
                role: Role::parse(&role).unwrap_or(Role::User),
                created_at: now,
            };
            store.insert_user(&user).await?;
            say(&format!("Account {} made ({}).", user.username.as_str(), role))
        }
        Command::List => {
            say("NAME                     ROLE   STATE     ID")?;
            for user in store.users().await? {
                let state = if user.disabled_at.is_some() { "disabled" } else { "active" };
                say(&format!("{:<24} {:<6} {state:<9} {}", user.username.as_str(), user.role.as_str(), user.id))?;
            }
            Ok(())
        }
        Command::Disable { name } => {
            let user = find(&store, &name).await?;
            store.disable_user(&user.id, now).await?;
            say(&format!("Account {} is disabled; its connections have ended.", user.username.as_str()))
        }
        Command::Enable { name } => {
            let user = find(&store, &name).await?;
            store.enable_user(&user.id).await?;
            say(&format!("Account {} can sign in again.", user.username.as_str()))
        }
        Command::Password { name, password } => {
            let user = find(&store, &name).await?;
            let password_hash = hash(config, &user.username, &password).await?;
            store.set_password(&user.id, &password_hash, now).await?;
            say(&format!("Account {} has a new password; its connections have ended.", user.username.as_str()))
        }
    }
}

async fn find(store: &Store, name: &str) -> Result<User, CliError> {
    let unknown = || CliError::Other(format!("there is no account {name:?}; see: portcullis user list"));
    let username = Username::parse(name).map_err(|_| unknown())?;
    store.find_user_by_name(&username).await?.ok_or_else(unknown)
}

async fn hash(config: &Config, username: &Username, source: &PasswordSource) -> Result<String, CliError> {
    let password = source.read()?;
    check_password(&password, username.as_str(), config.passwords.min_length).map_err(CliError::Other)?;
    let failed = |error: crate::crypto::password::HashingFailed| CliError::Other(error.to_string());
    let passwords = Passwords::new(config.passwords.memory_kib, config.passwords.iterations, 1).map_err(failed)?;
    passwords.hash(password).await.map_err(failed)
}
