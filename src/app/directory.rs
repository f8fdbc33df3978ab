//! The directory of clients, put together from the settings.

use crate::clients::profile::Profiles;
use crate::clients::{Directory, DocumentPolicy, DocumentSettings};
use crate::config::{Config, DocumentsPolicy};
use crate::fetch::{FetchSettings, Fetcher, Resolver};
use crate::oauth::client::RegistrationRules;
use crate::oauth::document::DocumentRules;

use super::BuildError;

/// How many documents and key sets are fetched at once.
const AT_ONCE: usize = 16;

pub(super) fn directory(
    config: &Config,
    rules: &RegistrationRules,
    profiles: Profiles,
    resolver: Resolver,
) -> Result<Directory, BuildError> {
    let own = &config.documents;
    let fetcher = Fetcher::new(
        FetchSettings {
            timeout: own.timeout,
            at_once: AT_ONCE,
            proxy: own.proxy.clone(),
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
    let rules = DocumentRules {
        auth_methods: rules.auth_methods.clone(),
        grant_types: rules.grant_types.clone(),
        scope: rules.scope.clone(),
        known_schemes: rules.known_schemes.clone(),
        allowed_ports: rules.allowed_ports.clone(),
    };
    Ok(Directory::new(settings, rules, profiles, fetcher)?)
}
