//! A client (RFC 6749 §2.2): a program that asks for access.

use std::time::Duration;

use oauth::client::ClientMetadata;
use oauth::id::ClientId;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::secret::SecretHash;

/// How a client came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOrigin {
    /// It registered itself (RFC 7591).
    Registered,
    /// An administrator entered it.
    Managed,
    /// Its id is the URL of its metadata document.
    Document,
}

impl ClientOrigin {
    /// The word in the store, the API and the logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Managed => "managed",
            Self::Document => "document",
        }
    }

    /// Reads [`as_str`](Self::as_str) back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Registered, Self::Managed, Self::Document].into_iter().find(|own| own.as_str() == text)
    }
}

/// What an administrator decides about a client. The default is what holds for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The most that it can be granted, whoever asks; `None` is everything on offer.
    pub allowed_scope: Option<Scope>,
    /// Instead of `tokens.access_ttl`.
    pub access_ttl: Option<Duration>,
    /// Instead of `tokens.refresh_idle_ttl`.
    pub refresh_idle_ttl: Option<Duration>,
    /// Instead of `tokens.refresh_absolute_ttl`.
    pub refresh_absolute_ttl: Option<Duration>,
    /// Whether it is the operator's own: nobody is asked for consent when its answer goes to a website.
    pub first_party: bool,
}

/// The digests of a confidential client's secrets. Two are good while a rotation is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSecrets {
    /// The present one.
    pub current: Option<SecretHash>,
    /// The one before it, and until when it is good.
    pub old: Option<(SecretHash, Timestamp)>,
}

impl ClientSecrets {
    /// Whether a presented secret with this digest is one of them at `now`. Both are compared whatever the first
    /// comparison gave, each in constant time (B-28).
    #[must_use]
    pub fn accept(&self, presented: &SecretHash, now: Timestamp) -> bool {
        let current = self.current.as_ref().is_some_and(|own| own.matches(presented));
        let old = self.old.as_ref().is_some_and(|(own, until)| own.matches(presented) && *until > now);
        current | old
    }
}

/// A stored client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its public identifier.
    pub id: ClientId,
    /// How it came to be known.
    pub origin: ClientOrigin,
    /// What it registered, what its document says, or what the administrator entered.
    pub metadata: ClientMetadata,
    /// What it is for, in the administrator's words.
    pub description: Option<String>,
    /// What the administrator decided.
    pub terms: Terms,
    /// Digests of its secrets.
    pub secrets: ClientSecrets,
    /// Whether several registrations of the same public metadata led to this row.
    pub shared: bool,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When somebody first let it in; a client that was never used is forgotten after a while.
    pub first_used_at: Option<Timestamp>,
    /// When an administrator stopped it.
    pub disabled_at: Option<Timestamp>,
    /// When it was deleted; the row stays as a tombstone.
    pub deleted_at: Option<Timestamp>,
}

impl Client {
    /// What pages call it; self-asserted unless managed.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or("An unnamed client")
    }

    /// Whether it may be used at all.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.deleted_at.is_none() && self.disabled_at.is_none()
    }

    /// Whether it gets refresh tokens where the server gives any. What a managed client may is what its
    /// administrator said; for others the grant types that they named decide nothing.
    #[must_use]
    pub fn may_refresh(&self) -> bool {
        self.origin != ClientOrigin::Managed || self.metadata.grant_types.iter().any(|grant| grant == "refresh_token")
    }

    /// The part of `scope` that this client can be granted. `offline_access` opens nothing and always passes.
    #[must_use]
    pub fn ceiling(&self, scope: &Scope) -> Scope {
        let Some(allowed) = &self.terms.allowed_scope else { return scope.clone() };
        let beyond = scope.without_offline_access().difference(allowed);
        scope.difference(&beyond)
    }

    /// What it gets that asks for nothing in particular: the part of the usual default that it may have, or all that
    /// it may have if that is nothing.
    #[must_use]
    pub fn default_scope(&self, usual: &Scope) -> Scope {
        let part = self.ceiling(usual);
        match &self.terms.allowed_scope {
            Some(allowed) if part.is_empty() => allowed.clone(),
            Some(_) | None => part,
        }
    }
}

#[cfg(test)]
mod tests {
    use oauth::time::Timestamp;

    use super::ClientSecrets;
    use crate::model::secret::Secret;

    /// the old secret is good until its time is over, and not a second longer.
    #[test]
    fn two_secrets_are_good_during_a_rotation() {
        let hash = |text: &str| Secret::presented(text).hash();
        let secrets = ClientSecrets { current: Some(hash("new")), old: Some((hash("old"), Timestamp(100))) };
        assert!(secrets.accept(&hash("new"), Timestamp(500)));
        assert!(secrets.accept(&hash("old"), Timestamp(99)));
        assert!(!secrets.accept(&hash("old"), Timestamp(100)));
        assert!(!secrets.accept(&hash("other"), Timestamp(99)));
        assert!(!ClientSecrets::default().accept(&hash(""), Timestamp(0)));
    }
}
