//! What an administrator says of a client: the part of it that is entered and edited as a whole.

use oauth::client::ClientMetadata;

use super::client::{Client, Terms};

/// All of a client that an administrator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// What the client would otherwise say of itself.
    pub metadata: ClientMetadata,
    /// What it is for, in the administrator's words.
    pub description: Option<String>,
    /// What it may have.
    pub terms: Terms,
}

impl Properties {
    /// Those of a stored client.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        Self { metadata: client.metadata.clone(), description: client.description.clone(), terms: client.terms.clone() }
    }

    /// Whether people approved something else than what the client would be with `new`: its name and addresses, where
    /// answers go, how it proves itself, or how much it may have (R-41, T-25).
    #[must_use]
    pub fn must_be_approved_again(&self, new: &Self) -> bool {
        self.metadata.digest() != new.metadata.digest()
            || self.terms.allowed_scope != new.terms.allowed_scope
            || self.terms.first_party != new.terms.first_party
    }
}
