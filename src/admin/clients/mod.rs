//! Clients: those that an administrator enters, and disabling any.

pub mod draft;
pub mod logo;
pub mod view;

use std::time::Duration;

use oauth::id::ClientId;
use oauth::time::Timestamp;

use super::{Admin, AdminError, Fault, Listed, Unknown};
use crate::clients::logo_path;
use crate::config::duration;
use crate::crypto::random::Random;
use crate::model::client::{Client, ClientOrigin, ClientSecrets};
use crate::model::managed::Properties;
use crate::model::secret::{Secret, SecretHash, SecretKind};
use crate::store::{NewManaged, Page};
use draft::{Draft, Rules};
use view::{ClientView, Endpoints, NewSecret};

/// The longest that an old secret may stay good beside the new one.
const MAX_OVERLAP: Duration = Duration::from_hours(24 * 90);
/// How long it does unless something else is said: long enough to bring the new one everywhere within a working day.
const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

/// A client after a change, with the secret that the change made: to be shown once. It is all there is to tell, so that
/// nothing has to be read, and can fail, between the change and telling the secret.
#[expect(missing_debug_implementations, reason = "it may hold a live secret")]
pub struct Changed {
    /// The client as it was written, its new secret, and what to type into its form.
    pub answer: NewSecret,
    /// Its revision.
    pub revision: i64,
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

/// Lists clients that are not deleted, newest first: all, or those of one origin.
///
/// # Errors
/// When the origin is none, or the store fails.
pub async fn list(
    admin: &Admin<'_>,
    origin: Option<&str>,
    page: &Page,
) -> Result<Listed<ClientView, (Timestamp, String)>, AdminError> {
    let wrong = || Fault::of("origin", "must be managed, registered or document");
    let origin = origin.map(|text| ClientOrigin::parse(text).ok_or_else(wrong)).transpose()?;
    let clients = admin.store.clients(origin, page).await?;
    let views = clients.iter().map(|client| ClientView::of(client, admin.now)).collect();
    Ok(Listed::new(views, page.limit, |last: &ClientView| (last.created_at, last.id.clone())))
}

/// Shows a client, and its revision.
///
/// # Errors
/// When there is no such client, or the store fails.
pub async fn show(admin: &Admin<'_>, id: &ClientId) -> Result<(ClientView, i64), AdminError> {
    let (client, revision) = found(admin, id).await?;
    let mut view = ClientView::of(&client, admin.now);
    view.logo_url = present_logo(admin, id).await?;
    Ok((view, revision))
}

/// Adds a client.
///
/// # Errors
/// When a property is wrong, the id is taken, or the store fails.
pub async fn add(admin: &Admin<'_>, addition: &Addition) -> Result<Changed, AdminError> {
    let properties = Rules::of(admin.config).new_client(&addition.draft)?;
    let id = match &addition.id {
        Some(text) => own_id(text)?,
        None => admin.random.client_id(),
    };
    let secret = secret_for(&properties, addition.secret.as_deref(), admin.random)?;
    let hash = secret.as_ref().map(Secret::hash);
    let new = NewManaged { id: &id, properties: &properties, secret_hash: hash.as_ref(), now: admin.now };
    if !admin.store.insert_managed_client(&new).await? {
        return Err(AdminError::ClientTaken(id));
    }
    admin.did("client added", id.as_str());
    let Properties { metadata, description, terms } = properties;
    let client = Client {
        id,
        origin: ClientOrigin::Managed,
        metadata,
        description,
        terms,
        secrets: ClientSecrets { current: hash, old: None },
        shared: false,
        registered_at: admin.now,
        first_used_at: None,
        disabled_at: None,
        deleted_at: None,
    };
    Ok(changed(admin, &client, 0, secret.as_ref(), None))
}

/// Changes a client. Without `revision` the change is put on top of whatever others did meanwhile; with it, only on
/// what the caller saw.
///
/// # Errors
/// When there is no such client, a property is wrong, somebody else changed it meanwhile, or the store fails.
pub async fn edit(
    admin: &Admin<'_>,
    id: &ClientId,
    draft: &Draft,
    revision: Option<i64>,
) -> Result<Changed, AdminError> {
    /// Lost so often in a row, something else is wrong.
    const TRIES: usize = 5;
    let rules = Rules::of(admin.config);
    let logo = present_logo(admin, id).await?;
    for _ in 0..TRIES {
        let (mut client, found_revision) = found(admin, id).await?;
        if revision.is_some_and(|revision| revision != found_revision) {
            return Err(AdminError::Changed);
        }
        let before = Properties::of(&client);
        let after = rules.edited(&client, draft)?;
        let asks_again = before.must_be_approved_again(&after);
        let mut secret = None;
        let done = if client.origin == ClientOrigin::Managed {
            let present = client.secrets.current.take().filter(|_| after.metadata.needs_secret());
            secret = (after.metadata.needs_secret() && present.is_none())
                .then(|| admin.random.secret(SecretKind::ClientSecret));
            let hash = secret.as_ref().map(Secret::hash).or(present);
            let old = client.secrets.old.take().filter(|_| hash.is_some());
            client.secrets = ClientSecrets { current: hash, old };
            admin.store.edit_client(id, found_revision, &after, client.secrets.current.as_ref(), asks_again).await?
        } else {
            admin.store.edit_client_terms(id, found_revision, &after, asks_again).await?
        };
        if done {
            admin.did("client changed", id.as_str());
            let Properties { metadata, description, terms } = after;
            let client = Client { metadata, description, terms, ..client };
            let told = changed(admin, &client, found_revision + 1, secret.as_ref(), logo);
            return Ok(Changed { asks_again, ..told });
        }
    }
    Err(AdminError::Changed)
}

/// Gives a client a new secret: its own, or one that is made. The old one stays good for `overlap`, a day if left out.
///
/// # Errors
/// When there is no such client, it has no secret, the secret or the overlap is wrong, somebody else changed the secret
/// meanwhile, or the store fails.
pub async fn rotate_secret(
    admin: &Admin<'_>,
    id: &ClientId,
    own: Option<&str>,
    overlap: Option<&str>,
) -> Result<Changed, AdminError> {
    let wrong = |message| Fault::of("overlap", message);
    let overlap = overlap.map_or(Ok(DEFAULT_OVERLAP), duration::parse).map_err(wrong)?;
    if overlap > MAX_OVERLAP {
        return Err(wrong("must be at most 90d".to_owned()).into());
    }
    let logo = present_logo(admin, id).await?;
    let (mut client, revision, present) = confidential(admin, id).await?;
    let secret = match own {
        Some(text) => own_secret(text)?,
        None => admin.random.secret(SecretKind::ClientSecret),
    };
    let hash = secret.hash();
    if present.matches(&hash) {
        return Err(Fault::of("client_secret", "is the present one").into());
    }
    let old_until = (!overlap.is_zero()).then(|| admin.now.plus(overlap));
    if !admin.store.rotate_client_secret(id, &present, &hash, old_until).await? {
        return Err(AdminError::Changed);
    }
    admin.did("client secret rotated", id.as_str());
    client.secrets = ClientSecrets { current: Some(hash), old: old_until.map(|until| (present, until)) };
    Ok(changed(admin, &client, revision + 1, Some(&secret), logo))
}

/// Ends the old secret of the last rotation at once; gives the client, and whether there was one to end.
///
/// # Errors
/// When there is no such client, or the store fails.
pub async fn end_old_secret(admin: &Admin<'_>, id: &ClientId) -> Result<(ClientView, bool), AdminError> {
    found(admin, id).await?;
    let ended = admin.store.end_old_client_secret(id).await?;
    if ended {
        admin.did("old client secret ended", id.as_str());
    }
    Ok((show(admin, id).await?.0, ended))
}

/// Disables a client of any origin: its connections end, and it can begin no new ones.
///
/// # Errors
/// When there is no such client, or the store fails.
pub async fn disable(admin: &Admin<'_>, id: &ClientId) -> Result<ClientView, AdminError> {
    if !admin.store.disable_client(id, admin.now).await? {
        return Err(Unknown::Client(id.clone()).into());
    }
    admin.did("client disabled", id.as_str());
    Ok(show(admin, id).await?.0)
}

/// Enables a disabled client. Its old connections stay ended.
///
/// # Errors
/// When there is no such client, or the store fails.
pub async fn enable(admin: &Admin<'_>, id: &ClientId) -> Result<ClientView, AdminError> {
    if admin.store.enable_client(id, admin.now).await? {
        admin.did("client enabled", id.as_str());
    }
    Ok(show(admin, id).await?.0)
}

/// Deletes a client of any origin: its connections end, and its id is never given again.
///
/// # Errors
/// When there is no such client, or the store fails.
pub async fn delete(admin: &Admin<'_>, id: &ClientId) -> Result<(), AdminError> {
    if !admin.store.delete_client(id, admin.now).await? {
        return Err(Unknown::Client(id.clone()).into());
    }
    admin.did("client deleted", id.as_str());
    Ok(())
}

/// Where the logo of a client is shown that was set at this time.
#[must_use]
pub fn logo_url(admin: &Admin<'_>, id: &ClientId, set_at: Timestamp) -> String {
    admin.config.url(&logo_path(id, set_at))
}

async fn present_logo(admin: &Admin<'_>, id: &ClientId) -> Result<Option<String>, AdminError> {
    Ok(admin.store.logo_set_at(id).await?.map(|at| logo_url(admin, id, at)))
}

async fn found(admin: &Admin<'_>, id: &ClientId) -> Result<(Client, i64), AdminError> {
    let found = admin.store.find_revised_client(id).await?;
    Ok(found.ok_or_else(|| Unknown::Client(id.clone()))?)
}

async fn confidential(admin: &Admin<'_>, id: &ClientId) -> Result<(Client, i64, SecretHash), AdminError> {
    let (client, revision) = found(admin, id).await?;
    if client.origin != ClientOrigin::Managed {
        return Err(AdminError::NotManaged(client.id));
    }
    match client.secrets.current.clone() {
        Some(present) => Ok((client, revision, present)),
        None => Err(AdminError::NoSecret(client.id)),
    }
}

/// Reads nothing: the secret is in the store by now, and this answer is the only one to tell it.
fn changed(
    admin: &Admin<'_>,
    client: &Client,
    revision: i64,
    secret: Option<&Secret>,
    logo_url: Option<String>,
) -> Changed {
    let mut client = ClientView::of(client, admin.now);
    client.logo_url = logo_url;
    let client_secret = secret.map(Secret::expose).map(str::to_owned);
    let answer = NewSecret { client, client_secret, endpoints: Endpoints::of(admin.config) };
    Changed { answer, revision, asks_again: false }
}

fn secret_for(properties: &Properties, own: Option<&str>, random: &Random) -> Result<Option<Secret>, Fault> {
    match (properties.metadata.needs_secret(), own) {
        (true, Some(text)) => own_secret(text).map(Some),
        (true, None) => Ok(Some(random.secret(SecretKind::ClientSecret))),
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Fault::of("client_secret", "this client has no use for a secret: see auth_methods")),
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
        Err(Fault::of("id", words))
    }
}

/// A secret that somebody brings along. It is stored as one SHA-256 digest, which is enough only for what can't be
/// guessed: hence the length. Any visible ASCII will do, however the client encodes it.
fn own_secret(text: &str) -> Result<Secret, Fault> {
    let wrong = |message: &str| Err(Fault::of("client_secret", message));
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
