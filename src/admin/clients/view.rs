//! Clients as they are shown. Never a secret, and no digest of one.

use oauth::client::ClientKeys;
use oauth::redirect_uri::RedirectUri;
use oauth::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::config::{Config, duration};
use crate::model::client::Client;

/// A client. Members that don't apply are absent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientView {
    /// Its `client_id`.
    pub id: String,
    /// `managed` by administrators, `registered` by itself, or known by its metadata `document`.
    pub origin: &'static str,
    /// What people read when they are asked to let it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, in the administrator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its callbacks, each to the character.
    pub redirect_uris: Vec<String>,
    /// `none`, `client_secret_post`, `client_secret_basic`, `private_key_jwt`; the preferred one first.
    pub auth_methods: Vec<&'static str>,
    /// Its public keys (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Whether it gets refresh tokens.
    pub refresh: bool,
    /// The most that it can be granted; absent for all scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_scopes: Option<Vec<String>>,
    /// Absent where the general setting holds; a duration such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_ttl: Option<String>,
    /// Instead of `tokens.refresh_idle_ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_idle_ttl: Option<String>,
    /// Instead of `tokens.refresh_absolute_ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_absolute_ttl: Option<String>,
    /// Whether nobody is asked for consent when its answer goes to an https callback.
    pub first_party: bool,
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Its privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Ways to reach the people who look after it, as it says itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Whether it has a secret.
    pub has_secret: bool,
    /// Until when the secret from before the last rotation is good, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub old_secret_expires_at: Option<Timestamp>,
    /// Where its logo is shown; only when one client is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// When it was added, or registered itself.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// When somebody first let it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub first_used_at: Option<Timestamp>,
    /// Since when it is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub disabled_at: Option<Timestamp>,
}

impl ClientView {
    /// What is shown of a client at `now`, but for its logo.
    #[must_use]
    pub fn of(client: &Client, now: Timestamp) -> Self {
        let (metadata, terms) = (&client.metadata, &client.terms);
        let (jwks, jwks_uri) = match &metadata.keys {
            Some(ClientKeys::Inline(text)) => (serde_json::from_str(text).ok(), None),
            Some(ClientKeys::Uri(uri)) => (None, Some(uri.clone())),
            None => (None, None),
        };
        Self {
            id: client.id.to_string(),
            origin: client.origin.as_str(),
            name: metadata.name.clone(),
            description: client.description.clone(),
            redirect_uris: metadata.redirect_uris.iter().map(RedirectUri::as_str).map(str::to_owned).collect(),
            auth_methods: metadata.auth_methods.iter().map(|method| method.as_str()).collect(),
            jwks,
            jwks_uri,
            refresh: client.may_refresh(),
            allowed_scopes: terms.allowed_scope.as_ref().map(|scope| scope.iter().map(ToString::to_string).collect()),
            access_ttl: terms.access_ttl.map(duration::format),
            refresh_idle_ttl: terms.refresh_idle_ttl.map(duration::format),
            refresh_absolute_ttl: terms.refresh_absolute_ttl.map(duration::format),
            first_party: terms.first_party,
            client_uri: metadata.uri.clone(),
            tos_uri: metadata.tos_uri.clone(),
            policy_uri: metadata.policy_uri.clone(),
            contacts: metadata.contacts.clone(),
            has_secret: client.secrets.current.is_some(),
            old_secret_expires_at: client.secrets.old.as_ref().map(|(_, until)| *until).filter(|until| *until > now),
            logo_url: None,
            created_at: client.registered_at,
            first_used_at: client.first_used_at,
            disabled_at: client.disabled_at,
        }
    }

    /// `disabled`, `used` or `unused`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.disabled_at, self.first_used_at) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "used",
            (None, None) => "unused",
        }
    }
}

/// What has to be typed into the client's form, beside its id and secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoints {
    /// The address of the MCP server.
    pub mcp_url: String,
    /// The address of the authorization endpoint.
    pub authorization_url: String,
    /// The address of the token endpoint.
    pub token_url: String,
}

impl Endpoints {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            mcp_url: config.resource(),
            authorization_url: config.url(&config.paths.authorize),
            token_url: config.url(&config.paths.token),
        }
    }
}

/// A client whose secret has just been made: the only answer that shows it.
#[derive(Serialize, ToSchema)]
#[expect(missing_debug_implementations, reason = "a live secret must not end up in a log")]
pub struct NewSecret {
    /// The client.
    pub client: ClientView,
    /// Shown this once; absent for a client that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What else its form asks for.
    pub endpoints: Endpoints,
}
