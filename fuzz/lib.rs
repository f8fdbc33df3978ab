//! What the targets share.

use oauth::client::{AuthMethod, MetadataRules};
use oauth::scope::Scope;

/// What a server with default settings offers.
pub fn rules() -> MetadataRules {
    MetadataRules {
        auth_methods: vec![AuthMethod::None, AuthMethod::PrivateKeyJwt],
        grant_types: vec!["authorization_code", "refresh_token"],
        scope: Scope::parse("docs:search docs:read offline_access").expect("these are scopes"),
        known_schemes: vec!["cursor".to_owned(), "vscode".to_owned()],
        allowed_ports: vec![443],
    }
}
