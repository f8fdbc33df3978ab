//! What the commands of administration share: the context that `admin` works with, and the log of their changes.

use known_clients::profile::Profiles;

use super::{CliError, logging, open};
use crate::admin::{Actor, Admin, AdminError, Fault, Unknown};
use crate::config::Config;
use crate::crypto::password::Passwords;
use crate::crypto::random::Random;
use crate::model::clock::Clock;
use crate::store::Store;

/// An open database, and who sits at it.
pub(super) struct Desk<'a> {
    config: &'a Config,
    store: Store,
    random: Random,
    clock: Clock,
    actor: Actor,
}

impl<'a> Desk<'a> {
    /// Opens the database. From here on changes are logged on standard error, as the server logs them; standard output
    /// stays for what the command says.
    pub(super) async fn open(config: &'a Config) -> Result<Self, CliError> {
        logging::start(&config.log);
        Ok(Self::at(config, open(config).await?))
    }

    /// The same over a store that is open.
    pub(super) fn at(config: &'a Config, store: Store) -> Self {
        Self { config, store, random: Random::system(), clock: Clock::system(), actor: Actor::CommandLine }
    }

    pub(super) fn admin(&self) -> Admin<'_> {
        Admin {
            store: &self.store,
            config: self.config,
            random: &self.random,
            now: self.clock.now(),
            actor: &self.actor,
        }
    }

    /// What hashes passwords.
    pub(super) fn passwords(&self) -> Result<Passwords, CliError> {
        let cost = &self.config.passwords;
        Ok(Passwords::new(cost.memory_kib, cost.iterations, 1).map_err(AdminError::Hashing)?)
    }

    /// What is known of clients.
    pub(super) fn profiles(&self) -> Result<Profiles, CliError> {
        Profiles::load(self.config.clients.profiles_file.as_deref()).map_err(|error| CliError::Build(error.into()))
    }
}

/// The sentence of an error, with the names that the command line has: of options, and of the list to look into.
pub(super) fn sentence(error: &AdminError) -> String {
    if let AdminError::Fault(Fault { field, message }) = error
        && let Some((_, option)) = OPTIONS.iter().find(|(own, _)| own == field)
    {
        return format!("{option}: {message}");
    }
    if let AdminError::Unknown(unknown) = error {
        return format!("{unknown}; see: portcullis {} list", command_of(unknown));
    }
    error.to_string()
}

/// Fields whose option has another name.
const OPTIONS: [(&str, &str); 3] = [("expires_in", "--expires"), ("overlap", "--overlap"), ("scopes", "--scope")];

const fn command_of(unknown: &Unknown) -> &'static str {
    match unknown {
        Unknown::Client(_) | Unknown::ManagedClient(_) | Unknown::Logo(_) => "client",
        Unknown::Account(_) => "user",
        Unknown::Token => "token",
        Unknown::Connection(_) => "connections",
        Unknown::Attempt(_) | Unknown::AttemptId => "attempts",
    }
}
