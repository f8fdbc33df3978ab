//! Identifiers: opaque text made by the server, one type per kind so that they can't be mixed up.

use std::fmt;

use crate::attempt_id::AttemptId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text of an identifier; whether it names anything, the store decides.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A client (`pc_…`; RFC 6749 §2.2).
    ClientId
}
id! {
    /// A user (`usr_…`), the `sub` of tokens: stable for the account's life, never reused (T-31).
    UserId
}
id! {
    /// A grant (`grt_…`): what a user allowed a client, parent of all its tokens.
    GrantId
}
id! {
    /// A token of the admin API (`tok_…`): its id, not the token.
    ApiTokenId
}
id! {
    /// An authorization request that is being worked on (`ath_…`).
    AuthorizationId
}

impl GrantId {
    /// The attempt to connect that led to it.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        AttemptId::inside(&self.0)
    }
}

impl AuthorizationId {
    /// The attempt to connect that it belongs to.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        AttemptId::inside(&self.0)
    }
}

impl ClientId {
    /// Whether it has the form of the ids that this server gives to clients that register: `pc_` and 128 bits.
    #[must_use]
    pub fn is_of_our_making(&self) -> bool {
        let random = self.as_str().strip_prefix("pc_").unwrap_or_default();
        random.len() == 22 && random.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }
}
