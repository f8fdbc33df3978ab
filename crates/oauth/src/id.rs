//! Identifiers: opaque text, one type per kind so that they can't be mixed up.

use std::fmt;

use crate::attempt_id::AttemptId;

/// The longest identifier, in bytes: the URL of a client's metadata document is one.
pub const MAX_BYTES: usize = 2048;

/// A text that can be no identifier: nothing has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {MAX_BYTES} bytes, and no control characters among them")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        pub struct $name(String);

        impl $name {
            /// Reads what somebody presents as an identifier; whether it names anything, the store decides.
            ///
            /// # Errors
            /// When nothing can have that name. No database is to be asked then: PostgreSQL's `text` holds no NUL and
            /// fails the statement, which would look like an outage.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let lawful = (1..=MAX_BYTES).contains(&text.len()) && !text.contains(|c: char| c.is_ascii_control());
                lawful.then_some(Self(text)).ok_or(InvalidId)
            }

            /// Takes an identifier that this server made, stored or signed. What others present is
            /// [parsed](Self::parse).
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

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
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

#[cfg(test)]
mod tests {
    use super::{ClientId, InvalidId, MAX_BYTES};

    #[test]
    fn what_can_be_no_id_is_refused() {
        let longest = "a".repeat(MAX_BYTES);
        for good in ["pc_1", "https://app.example/client.json", "\u{e9}", " ", longest.as_str()] {
            assert_eq!(ClientId::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_BYTES + 1);
        for bad in ["", "\0", "pc_1\0", "a\nb", "\u{7f}", long.as_str()] {
            assert_eq!(ClientId::parse(bad), Err(InvalidId), "{bad:?}");
            assert!(serde_json::from_value::<ClientId>(bad.into()).is_err(), "{bad:?}");
        }
        let id: ClientId = serde_json::from_str("\"pc_1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"pc_1\"");
    }
}
