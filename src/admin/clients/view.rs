//! Clients as they are shown: by the API, and by the command line's `--json`. Never a secret, and no digest of one.

use oauth::client::ClientKeys;
use oauth::redirect_uri::RedirectUri;
use oauth::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::admin::clients::draft::Change;
use crate::config::{Config, duration};
use crate::model::client::{Client, ClientOrigin};

/// A client. Members that don't apply are absent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientView {
    /// Its `client_id`.
    pub(crate) id: String,
    /// `managed` by administrators, `registered` by itself, or known by its metadata `document`.
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    redirect_uris: Vec<String>,
    /// `none`, `client_secret_post`, `client_secret_basic`, `private_key_jwt`; the preferred one first.
    auth_methods: Vec<&'static str>,
    /// Its public keys (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    /// Whether it gets refresh tokens.
    refresh: bool,
    /// The most that it can be granted; absent for all scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_scopes: Option<Vec<String>>,
    /// Absent where the general setting holds; a duration such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_idle_ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_absolute_ttl: Option<String>,
    /// Whether nobody is asked for consent when its answer goes to an https callback.
    first_party: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    /// Ways to reach the people who look after it, as it says itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<String>,
    /// Whether it has a secret.
    has_secret: bool,
    /// Until when the secret from before the last rotation is good, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    old_secret_expires_at: Option<Timestamp>,
    /// Where its logo is shown; only when one client is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logo_url: Option<String>,
    #[schema(value_type = i64)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    first_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    disabled_at: Option<Timestamp>,
}

impl ClientView {
    pub(crate) fn of(client: &Client, now: Timestamp) -> Self {
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

    pub(crate) fn has_secret(&self) -> bool {
        self.has_secret
    }

    pub(crate) fn auth_methods(&self) -> &[&'static str] {
        &self.auth_methods
    }

    pub(crate) fn redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// What stands in lists of the command line.
    pub(crate) fn state(&self) -> &'static str {
        match (self.disabled_at, self.first_used_at) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "used",
            (None, None) => "unused",
        }
    }
}

/// What has to be typed into the client's form, beside its id and secret.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the forms of clients name them so")]
pub(crate) struct Endpoints {
    /// The address of the MCP server.
    pub(crate) mcp_url: String,
    pub(crate) authorization_url: String,
    pub(crate) token_url: String,
}

impl Endpoints {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            mcp_url: config.resource(),
            authorization_url: config.url(&config.paths.authorize),
            token_url: config.url(&config.paths.token),
        }
    }
}

/// A client whose secret has just been made: the only answer that shows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSecret {
    pub(crate) client: ClientView,
    /// Shown this once; absent for a client that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<String>,
    pub(crate) endpoints: Endpoints,
}

/// What may be said of a client. Absent members stay as they are, `null` goes back to what holds for everybody.
macro_rules! client_body {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])* #[serde(default)] pub(crate) $field: $kind,)*
            /// What people read when they are asked to let it in.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) name: Change<String>,
            /// What it is for; people read it when they are asked.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) description: Change<String>,
            /// Its callbacks, each to the character.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(crate) redirect_uris: Change<Vec<String>>,
            /// `none`; one or both of `client_secret_post` and `client_secret_basic`, which is the default; or
            /// `private_key_jwt`.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(crate) auth_methods: Change<Vec<String>>,
            /// Public keys for `private_key_jwt` (RFC 7517).
            #[serde(default)]
            #[schema(value_type = Option<Object>)]
            pub(crate) jwks: Change<serde_json::Value>,
            /// Where those keys are.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) jwks_uri: Change<String>,
            /// Whether it gets refresh tokens; default true.
            #[serde(default)]
            #[schema(value_type = Option<bool>)]
            pub(crate) refresh: Change<bool>,
            /// The most that it can be granted; null for all scopes.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(crate) allowed_scopes: Change<Vec<String>>,
            /// Instead of `tokens.access_ttl`: `1s` to `1d`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) access_ttl: Change<String>,
            /// Instead of `tokens.refresh_idle_ttl`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) refresh_idle_ttl: Change<String>,
            /// Instead of `tokens.refresh_absolute_ttl`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) refresh_absolute_ttl: Change<String>,
            /// The operator's own: nobody is asked for consent when its answer goes to an https callback.
            #[serde(default)]
            #[schema(value_type = Option<bool>)]
            pub(crate) first_party: Change<bool>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) client_uri: Change<String>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) tos_uri: Change<String>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(crate) policy_uri: Change<String>,
        }

        impl $name {
            pub(crate) fn draft(&self) -> crate::admin::clients::draft::Draft {
                crate::admin::clients::draft::Draft {
                    name: self.name.clone(),
                    description: self.description.clone(),
                    redirect_uris: self.redirect_uris.clone(),
                    auth_methods: self.auth_methods.clone(),
                    jwks: self.jwks.clone().map(|set| set.to_string()),
                    jwks_uri: self.jwks_uri.clone(),
                    refresh: self.refresh.clone(),
                    allowed_scopes: self.allowed_scopes.clone(),
                    access_ttl: self.access_ttl.clone(),
                    refresh_idle_ttl: self.refresh_idle_ttl.clone(),
                    refresh_absolute_ttl: self.refresh_absolute_ttl.clone(),
                    first_party: self.first_party.clone(),
                    client_uri: self.client_uri.clone(),
                    tos_uri: self.tos_uri.clone(),
                    policy_uri: self.policy_uri.clone(),
                }
            }
        }
    };
}

client_body! {
    /// A client to be added: a name and a callback are enough.
    ClientAddition {
        /// The id that it shall have; a new one is made otherwise. Letters, digits and `._~-`.
        id: Option<String>,
        /// The secret that it shall have, 32 or more visible ASCII characters; a new one is made otherwise.
        client_secret: Option<String>,
        /// Fills in what is known of a client: `chatgpt`, `claude`, `insomnia` …
        r#for: Option<String>,
    }
}

client_body! {
    /// What changes of a client (RFC 7396): absent members stay, `null` goes back to what holds for everybody.
    ClientChange {}
}

/// The origins that a list can be of.
pub(crate) fn origin(text: &str) -> Option<ClientOrigin> {
    ClientOrigin::parse(text)
}
