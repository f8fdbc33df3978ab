//! Why an administrator's wish was not carried out: one sentence for every face.

use oauth::attempt_id::AttemptId;
use oauth::id::{ClientId, GrantId};
use oauth::time::Timestamp;

use super::date;
use crate::crypto::keys::KeyError;
use crate::crypto::password::HashingFailed;
use crate::store::{AccountError, StoreError};

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    /// The field's name in the admin API.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of this field.
    #[must_use]
    pub fn of(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

/// What there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No client has this id, or it was deleted.
    #[error("there is no client {:?}", .0.as_str())]
    Client(ClientId),
    /// No client with this id was entered by an administrator.
    #[error("there is no managed client {:?}; other clients have no logo", .0.as_str())]
    ManagedClient(ClientId),
    /// The client has no logo.
    #[error("client {:?} has no logo", .0.as_str())]
    Logo(ClientId),
    /// No account has this id or name.
    #[error("there is no account {0:?}")]
    Account(String),
    /// No token has this id or name. What was given may be the text of one, and is not repeated.
    #[error("there is no such token")]
    Token,
    /// No connection that has not ended has this id.
    #[error("there is no live connection {:?}", .0.as_str())]
    Connection(GrantId),
    /// Nothing is recorded of the attempt.
    #[error("nothing is recorded of attempt {0}: it is older than attempts.keep, or another server recorded it")]
    Attempt(AttemptId),
    /// The text is not the id of an attempt.
    #[error("this is not the id of an attempt; ids look like this: K7QD-2M4X")]
    AttemptId,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A field is wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// There is no such thing.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The client id is, or was, another client's.
    #[error("id: {:?} is taken; ids of deleted clients are never given again", .0.as_str())]
    ClientTaken(ClientId),
    /// Another account has the login name.
    #[error("username: there is an account with this name already")]
    UsernameTaken,
    /// Another token has the name.
    #[error("name: there is a token named {0:?} already")]
    TokenTaken(String),
    /// The actor may not pass on what it does not have.
    #[error("{0}")]
    Beyond(Fault),
    /// The token that makes another was revoked or has expired meanwhile.
    #[error("this token was revoked or has expired meanwhile; it makes none")]
    MakerGone,
    /// The client is not one that an administrator entered.
    #[error("client {:?} is not managed: it describes itself", .0.as_str())]
    NotManaged(ClientId),
    /// The client has no secret that could be changed.
    #[error("client {:?} has no secret: it authenticates in another way", .0.as_str())]
    NoSecret(ClientId),
    /// A published key has not begun to sign.
    #[error("{kid} is published and signs from {}; rotate again after that", date(*.from))]
    KeyWaits {
        /// Its id.
        kid: String,
        /// When it begins to sign.
        from: Timestamp,
    },
    /// Another process rotated the key at the same time.
    #[error("another process has just rotated the key; nothing was done")]
    KeyRotated,
    /// Somebody else changed the client meanwhile.
    #[error("the client was changed by somebody else meanwhile; look at it again")]
    Changed,
    /// The signing keys in the database were sealed by another master key.
    #[error("the master key does not open the signing keys in the database")]
    WrongMasterKey,
    /// No signing key could be made.
    #[error(transparent)]
    Keys(KeyError),
    /// The password could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused an account for a reason that can't occur here.
    #[error(transparent)]
    Account(AccountError),
}

impl From<AccountError> for AdminError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NameTaken => Self::UsernameTaken,
            AccountError::Store(error) => Self::Store(error),
            AccountError::LinkUsed => Self::Account(error),
        }
    }
}
