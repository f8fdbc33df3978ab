//! What the API takes of a client: the form of a draft.

use crate::admin::clients::draft::Change;

/// What may be said of a client. Absent members stay as they are, `null` goes back to what holds for everybody.
macro_rules! client_body {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$field_meta])* #[serde(default)] pub(super) $field: $kind,)*
            /// What people read when they are asked to let it in.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) name: Change<String>,
            /// What it is for; people read it when they are asked.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) description: Change<String>,
            /// Its callbacks, each to the character.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(super) redirect_uris: Change<Vec<String>>,
            /// `none`; one or both of `client_secret_post` and `client_secret_basic`, which is the default; or
            /// `private_key_jwt`.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(super) auth_methods: Change<Vec<String>>,
            /// Public keys for `private_key_jwt` (RFC 7517).
            #[serde(default)]
            #[schema(value_type = Option<Object>)]
            pub(super) jwks: Change<serde_json::Value>,
            /// Where those keys are.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) jwks_uri: Change<String>,
            /// Whether it gets refresh tokens; default true.
            #[serde(default)]
            #[schema(value_type = Option<bool>)]
            pub(super) refresh: Change<bool>,
            /// The most that it can be granted; null for all scopes.
            #[serde(default)]
            #[schema(value_type = Option<Vec<String>>)]
            pub(super) allowed_scopes: Change<Vec<String>>,
            /// Instead of `tokens.access_ttl`: `1s` to `1d`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) access_ttl: Change<String>,
            /// Instead of `tokens.refresh_idle_ttl`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) refresh_idle_ttl: Change<String>,
            /// Instead of `tokens.refresh_absolute_ttl`.
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) refresh_absolute_ttl: Change<String>,
            /// The operator's own: nobody is asked for consent when its answer goes to an https callback.
            #[serde(default)]
            #[schema(value_type = Option<bool>)]
            pub(super) first_party: Change<bool>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) client_uri: Change<String>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) tos_uri: Change<String>,
            #[serde(default)]
            #[schema(value_type = Option<String>)]
            pub(super) policy_uri: Change<String>,
        }

        impl $name {
            pub(super) fn draft(&self) -> crate::admin::clients::draft::Draft {
                crate::admin::clients::draft::Draft {
                    name: self.name.clone(),
                    description: self.description.clone(),
                    redirect_uris: self.redirect_uris.clone(),
                    add_redirect_uris: Vec::new(),
                    remove_redirect_uris: Vec::new(),
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
