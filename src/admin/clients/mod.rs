//! What an administrator does to a client: adding, editing, a new secret. The command line and the API are two doors
//! to these.

pub mod draft;
pub(crate) mod logo;
pub(crate) mod view;

use std::time::Duration;

use known_clients::profile::{Profile, Profiles};
use oauth::id::ClientId;
use oauth::time::Timestamp;

use crate::crypto::random::Random;
use crate::model::client::{Client, ClientOrigin, ClientSecrets};
use crate::model::managed::Properties;
use crate::model::secret::{Secret, SecretHash, SecretKind};
use crate::store::{NewManaged, Store, StoreError};
use draft::{Change, Draft, Fault, Rules};

/// The longest that an old secret may stay good beside the new one.
pub const MAX_OVERLAP: Duration = Duration::from_hours(24 * 90);
/// How long it does unless something else is said: long enough to bring the new one everywhere within a working day.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// A property is wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// There is no such client, or it was deleted.
    #[error("there is no client {0:?}")]
    Unknown(ClientId),
    /// The id is, or was, another client's.
    #[error("the id {0:?} is taken; ids of deleted clients are never given again")]
    Taken(ClientId),
    /// The client is not one that an administrator entered.
    #[error("{0} is not a managed client; it speaks for itself")]
    NotManaged(ClientId),
    /// It has no secret that could be changed.
    #[error("{0} has no secret: it proves itself in another way")]
    NoSecret(ClientId),
    /// Somebody else changed the client meanwhile.
    #[error("the client was changed by somebody else meanwhile; look at it again")]
    Changed,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client after a change, with the secret that the change made: to be shown once. It is all there is to tell, so that
/// nothing has to be read, and can fail, between the change and telling the secret.
#[derive(Debug)]
pub struct Managed {
    /// The client as it was written.
    pub client: Client,
    /// Its revision.
    pub revision: i64,
    /// Its new secret.
    pub secret: Option<Secret>,
    /// Whether people who had approved it are asked again.
    pub asks_again: bool,
}

/// A client to be added.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    /// Its properties.
    pub draft: Draft,
    /// The id that it shall have; a new one is made otherwise.
    pub id: Option<String>,
    /// The secret that it shall have; a new one is made otherwise.
    pub secret: Option<String>,
}

impl Draft {
    /// Fills in what is known of a client by its profile, where nothing was said: name, callbacks, and that programs
    /// on people's own machines keep no secret.
    ///
    /// # Errors
    /// When there is no such profile.
    pub fn fill_for(&mut self, id: &str, profiles: &Profiles) -> Result<(), Fault> {
        let Some(profile) = profiles.by_id(id) else {
            let known = profiles.iter().map(|profile| profile.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Fault { field: "for", message: format!("{id:?} is not one of {known}") });
        };
        if self.name == Change::Keep {
            self.name = Change::Set(profile.name.clone());
        }
        if self.redirect_uris == Change::Keep {
            self.redirect_uris = Change::Set(callbacks(profile));
        }
        let keyless = self.jwks == Change::Keep && self.jwks_uri == Change::Keep;
        if self.auth_methods == Change::Keep && keyless && profile.callbacks().next().is_none() {
            self.auth_methods = Change::Set(vec!["none".to_owned()]);
        }
        Ok(())
    }
}

/// All callbacks of a client that are known whole.
#[must_use]
pub fn callbacks(profile: &Profile) -> Vec<String> {
    profile.callbacks().chain(profile.local_callbacks()).map(str::to_owned).collect()
}

/// Adds a client.
///
/// # Errors
/// See [`ManageError`].
pub async fn add(
    store: &Store,
    rules: &Rules,
    random: &Random,
    addition: &Addition,
    now: Timestamp,
) -> Result<Managed, ManageError> {
    let properties = rules.new_client(&addition.draft)?;
    let id = match &addition.id {
        Some(text) => own_id(text)?,
        None => random.client_id(),
    };
    let secret = secret_for(&properties, addition.secret.as_deref(), random)?;
    let hash = secret.as_ref().map(Secret::hash);
    let new = NewManaged { id: &id, properties: &properties, secret_hash: hash.as_ref(), now };
    if !store.insert_managed_client(&new).await? {
        return Err(ManageError::Taken(id));
    }
    let Properties { metadata, description, terms } = properties;
    let client = Client {
        id,
        origin: ClientOrigin::Managed,
        metadata,
        description,
        terms,
        secrets: ClientSecrets { current: hash, old: None },
        shared: false,
        registered_at: now,
        first_used_at: None,
        disabled_at: None,
        deleted_at: None,
    };
    Ok(Managed { client, revision: 0, secret, asks_again: false })
}

/// Changes a client. Without `revision` the change is put on top of whatever others did meanwhile; with it, only on
/// what the caller saw.
///
/// # Errors
/// See [`ManageError`].
pub async fn edit(
    store: &Store,
    rules: &Rules,
    random: &Random,
    id: &ClientId,
    draft: &Draft,
    revision: Option<i64>,
) -> Result<Managed, ManageError> {
    /// Lost so often in a row, something else is wrong.
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let found = store.find_revised_client(id).await?;
        let (mut client, found_revision) = found.ok_or_else(|| ManageError::Unknown(id.clone()))?;
        if revision.is_some_and(|revision| revision != found_revision) {
            return Err(ManageError::Changed);
        }
        let before = Properties::of(&client);
        let after = rules.edited(&client, draft)?;
        let asks_again = before.must_be_approved_again(&after);
        if client.origin != ClientOrigin::Managed {
            if store.edit_client_terms(id, found_revision, &after, asks_again).await? {
                (client.description, client.terms) = (after.description, after.terms);
                return Ok(Managed { client, revision: found_revision + 1, secret: None, asks_again });
            }
            continue;
        }
        let present = client.secrets.current.clone().filter(|_| after.metadata.needs_secret());
        let secret =
            (after.metadata.needs_secret() && present.is_none()).then(|| random.secret(SecretKind::ClientSecret));
        let hash = secret.as_ref().map(Secret::hash).or(present);
        if store.edit_client(id, found_revision, &after, hash.as_ref(), asks_again).await? {
            let old = client.secrets.old.take().filter(|_| hash.is_some());
            let Properties { metadata, description, terms } = after;
            let secrets = ClientSecrets { current: hash, old };
            let client = Client { metadata, description, terms, secrets, ..client };
            return Ok(Managed { client, revision: found_revision + 1, secret, asks_again });
        }
    }
    Err(ManageError::Changed)
}

/// Gives a client a new secret; the old one stays good for `overlap`.
///
/// # Errors
/// See [`ManageError`].
pub async fn rotate_secret(
    store: &Store,
    random: &Random,
    id: &ClientId,
    own: Option<&str>,
    overlap: Duration,
    now: Timestamp,
) -> Result<Managed, ManageError> {
    if overlap > MAX_OVERLAP {
        return Err(Fault { field: "overlap", message: "must be at most 90d".to_owned() }.into());
    }
    let (mut client, revision, present) = confidential(store, id).await?;
    let secret = match own {
        Some(text) => own_secret(text)?,
        None => random.secret(SecretKind::ClientSecret),
    };
    let hash = secret.hash();
    if present.matches(&hash) {
        return Err(Fault { field: "client_secret", message: "is the present one".to_owned() }.into());
    }
    let old_until = (!overlap.is_zero()).then(|| now.plus(overlap));
    if !store.rotate_client_secret(id, &present, &hash, old_until).await? {
        return Err(ManageError::Changed);
    }
    client.secrets = ClientSecrets { current: Some(hash), old: old_until.map(|until| (present, until)) };
    Ok(Managed { client, revision: revision + 1, secret: Some(secret), asks_again: false })
}

async fn confidential(store: &Store, id: &ClientId) -> Result<(Client, i64, SecretHash), ManageError> {
    let found = store.find_revised_client(id).await?;
    let (client, revision) = found.ok_or_else(|| ManageError::Unknown(id.clone()))?;
    if client.origin != ClientOrigin::Managed {
        return Err(ManageError::NotManaged(client.id));
    }
    match client.secrets.current.clone() {
        Some(present) => Ok((client, revision, present)),
        None => Err(ManageError::NoSecret(client.id)),
    }
}

fn secret_for(properties: &Properties, own: Option<&str>, random: &Random) -> Result<Option<Secret>, Fault> {
    match (properties.metadata.needs_secret(), own) {
        (true, Some(text)) => own_secret(text).map(Some),
        (true, None) => Ok(Some(random.secret(SecretKind::ClientSecret))),
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Fault {
            field: "client_secret",
            message: "this client has no use for a secret: see auth_methods".to_owned(),
        }),
    }
}

/// An id that somebody chose: for clients that other systems know already. Never one that looks like a metadata
/// document's, and nothing that has to be encoded anywhere.
fn own_id(text: &str) -> Result<ClientId, Fault> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && text.len() <= 128 && text.bytes().all(lawful) {
        Ok(ClientId::new(text))
    } else {
        let words = "must be 1 to 128 letters, digits or any of . _ ~ - and begin with a letter or digit";
        Err(Fault { field: "id", message: words.to_owned() })
    }
}

/// A secret that somebody brings along. It is stored as one SHA-256 digest, which is enough only for what can't be
/// guessed: hence the length. Any visible ASCII will do, however the client encodes it.
fn own_secret(text: &str) -> Result<Secret, Fault> {
    let wrong = |message: &str| Err(Fault { field: "client_secret", message: message.to_owned() });
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("must be visible ASCII characters without blanks");
    }
    if !(32..=512).contains(&text.len()) {
        return wrong("must have 32 to 512 characters; leave it out to have one made");
    }
    let mut kinds: Vec<u8> = text.bytes().collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() < 8 {
        return wrong("repeats few characters and could be guessed; leave it out to have one made");
    }
    Ok(Secret::presented(text))
}

#[cfg(test)]
mod tests {
    use super::{own_id, own_secret};

    /// nothing that could be a metadata document's URL or has to be encoded.
    #[test]
    fn own_ids_are_plain() {
        for good in ["chatgpt", "Team.App_1~x-2", "0"] {
            assert_eq!(own_id(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "https://a.example/x", "a b", "a:b", "a/b", "-a", "ä", &"a".repeat(129)] {
            assert!(own_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn own_secrets_are_long_and_visible() {
        assert!(own_secret("a:b%c+d/e=f&g?h#i\"j\\k'l<m>n|o~p.q").is_ok());
        for bad in ["short", &"a".repeat(40), &format!("{} ", "abcdefgh".repeat(5)), &"abcdefghä".repeat(5)] {
            assert!(own_secret(bad).is_err(), "{bad:?}");
        }
    }
}
