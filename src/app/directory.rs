//! The directory of clients, put together from the settings.

use known_clients::profile::Profiles;
use oauth::client::MetadataRules;
use oauth::scope::{InvalidScopeToken, OFFLINE_ACCESS, Scope, ScopeToken};

use crate::clients::{Directory, DocumentPolicy, DocumentSettings};
use crate::config::{Config, DocumentsPolicy};
use crate::fetch::{FetchSettings, Fetcher, Resolver};

use super::BuildError;

/// How many documents and key sets are fetched at once.
const AT_ONCE: usize = 16;

/// Every scope that there is, without the built-in one.
pub(super) fn described(config: &Config) -> Scope {
    config.scopes.describe.keys().cloned().collect()
}

/// What clients may ask for, however they make themselves known.
pub(super) fn rules(config: &Config) -> Result<MetadataRules, InvalidScopeToken> {
    let refresh = config.tokens.refresh;
    Ok(MetadataRules {
        auth_methods: config.registration.auth_methods.clone(),
        grant_types: if refresh { vec!["authorization_code", "refresh_token"] } else { vec!["authorization_code"] },
        scope: described(config).with(ScopeToken::parse(OFFLINE_ACCESS)?),
        known_schemes: config.registration.private_use_schemes.clone(),
        allowed_ports: config.documents.allowed_ports.clone(),
    })
}

/// The directory alone, without a database: for trying out whether documents can be fetched from this machine.
///
/// # Errors
/// When the settings make no sense.
pub fn alone(config: &Config, resolver: Resolver) -> Result<Directory, BuildError> {
    let profiles = Profiles::load(config.clients.profiles_file.as_deref())?;
    directory(config, &rules(config)?, profiles, resolver)
}

pub(super) fn directory(
    config: &Config,
    rules: &MetadataRules,
    profiles: Profiles,
    resolver: Resolver,
) -> Result<Directory, BuildError> {
    let own = &config.documents;
    let fetcher = Fetcher::new(
        FetchSettings {
            timeout: own.timeout,
            at_once: AT_ONCE,
            proxy: own.proxy.as_ref().map(|proxy| proxy.0.clone()),
            ca_file: own.ca_file.clone(),
            allowed_networks: own.allowed_networks.clone(),
        },
        resolver,
    )?;
    let settings = DocumentSettings {
        policy: match &own.policy {
            DocumentsPolicy::Open => DocumentPolicy::Open,
            DocumentsPolicy::Known => DocumentPolicy::Known,
            DocumentsPolicy::List(list) => DocumentPolicy::List(list.clone()),
            DocumentsPolicy::Off => DocumentPolicy::Off,
        },
        min_fresh: own.min_fresh,
        max_fresh: own.max_fresh,
        max_stale: own.max_stale,
        new_per_minute: own.new_per_minute,
        copies_folder: own.copies_folder.clone(),
    };
    Ok(Directory::new(settings, rules.clone(), profiles, fetcher)?)
}
