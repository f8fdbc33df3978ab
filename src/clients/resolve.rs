//! From a `client_id` to a client: stored ones as they are, metadata documents fetched when it is time.
//!
//! Only an authorization request resolves. What comes after it, code and refresh, lives on the stored client, so that a
//! document which may not be kept, or whose server is away, ends no connection.

use oauth::client::{ClientIdUrl, ClientMetadata, MAX_BYTES, MetadataFault};
use oauth::id::ClientId;
use oauth::time::Timestamp;

use super::{Directory, DocumentPolicy, Found, Resolved, Unresolved};
use crate::fetch::{Fetched, Freshness};
use crate::model::client::{Client, ClientOrigin};
use crate::store::{NewDocument, Store, StoreError, StoredDocument};

impl Directory {
    /// The client that this id names; a disabled or deleted one is found too and says so.
    ///
    /// # Errors
    /// Inside, why there is none; outside, when the store fails.
    pub async fn resolve(
        &self,
        store: &Store,
        id: &ClientId,
        now: Timestamp,
    ) -> Result<Result<Resolved, Unresolved>, StoreError> {
        let stored = store.find_client(id).await?;
        if !ClientIdUrl::is_meant_by(id.as_str()) {
            return Ok(stored.map(Resolved::from).ok_or(Unresolved::Unknown));
        }
        // An administrator may enter a client whose id is a URL; then that entry counts, and nothing is fetched.
        let own_document = |client: &Client| client.origin == ClientOrigin::Document && client.is_active();
        if let Some(client) = stored.as_ref().filter(|client| !own_document(client)) {
            return Ok(Ok(client.clone().into()));
        }
        let url = match self.permitted(id) {
            Ok(url) => url,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(client) = stored
            && let Some(document) = store.find_document(id).await?
        {
            if document.fresh_until > now {
                return Ok(Ok(Resolved { client, found: Found::Fresh }));
            }
            if self.may_live_on(id, &document, now) {
                return Ok(Ok(Resolved { client, found: Found::Stale }));
            }
        }
        // On the heap: fetching is a large future, and rare.
        self.documents.join(id.as_str(), Box::pin(self.renew(store, id, &url, now))).await
    }

    /// Fetches and judges a document and keeps nothing: whether this client could come, seen from this machine.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn try_out(&self, id: &ClientId, now: Timestamp) -> Result<ClientMetadata, Unresolved> {
        let url = self.permitted(id)?;
        Ok(self.fetch(&url, now).await?.1)
    }

    /// Whether there is a copy to go on with when a document can't be had.
    #[must_use]
    pub fn has_copy(&self, id: &ClientId) -> bool {
        self.copies.contains_key(id.as_str())
    }

    /// a lawful URL that the operator's policy lets through.
    fn permitted(&self, id: &ClientId) -> Result<ClientIdUrl, Unresolved> {
        if self.settings.policy == DocumentPolicy::Off {
            return Err(Unresolved::Off);
        }
        let url = ClientIdUrl::parse(id.as_str(), &self.rules.allowed_ports)?;
        let allowed = match &self.settings.policy {
            DocumentPolicy::Open => true,
            DocumentPolicy::Known => self.profiles.of_identity(id).is_some(),
            DocumentPolicy::List(list) => list.iter().any(|own| own == url.as_str() || own == url.host()),
            DocumentPolicy::Off => false,
        };
        if allowed { Ok(url) } else { Err(Unresolved::NotAllowed) }
    }

    /// Whether to go on with an old copy without asking: its server failed a moment ago.
    fn may_live_on(&self, id: &ClientId, document: &StoredDocument, now: Timestamp) -> bool {
        self.failed_lately(id.as_str(), now) && self.may_stand_in(document, now)
    }

    /// What was fetched stands in for a while. A reviewed copy is read anew each time: the operator may have mended it.
    fn may_stand_in(&self, document: &StoredDocument, now: Timestamp) -> bool {
        document.source == "fetched" && document.fetched_at.plus(self.settings.max_stale) > now
    }

    async fn renew(
        &self,
        store: &Store,
        id: &ClientId,
        url: &ClientIdUrl,
        now: Timestamp,
    ) -> Result<Result<Resolved, Unresolved>, StoreError> {
        let stored = store.find_document(id).await?;
        if stored.is_none()
            && !self.copies.contains_key(id.as_str())
            && let Err(why) = self.admit_newcomer(now)
        {
            return Ok(Err(why));
        }
        let failure = match self.fetch(url, now).await {
            Ok((body, document, fetched)) => {
                let fresh_until = self.fresh_until(fetched.freshness, now);
                tracing::info!(client = %id, "metadata document fetched");
                return self.put(store, id, &document, &body, ("fetched", Found::Fetched), (now, fresh_until)).await;
            }
            Err(why) => why,
        };
        // A readable document that breaks a rule is its owner's word; only what could not be read at all is stood in for.
        if matches!(&failure, Unresolved::Document(fault) if !matches!(fault, MetadataFault::Json(_))) {
            tracing::info!(client = %id, why = %failure, "metadata document refused");
            return Ok(Err(failure));
        }
        if let Some(document) = &stored
            && self.may_stand_in(document, now)
            && let Some(client) = store.find_client(id).await?
        {
            tracing::warn!(client = %id, why = %failure, since = document.fetched_at.0, "metadata document not to be had: going on with the last copy");
            self.note_failure(id.as_str(), now);
            return Ok(Ok(Resolved { client, found: Found::Stale }));
        }
        if let Some(copy) = self.copies.get(id.as_str()) {
            let parsed = ClientMetadata::parse_document(copy.body.as_bytes(), url, &self.rules);
            match parsed {
                Ok(document) => {
                    tracing::warn!(client = %id, why = %failure, source = copy.source, "metadata document not to be had: going on with a reviewed copy");
                    let fresh_until = now.plus(super::AFTER_FAILURE);
                    return self
                        .put(store, id, &document, &copy.body, (copy.source, Found::Reviewed), (now, fresh_until))
                        .await;
                }
                Err(fault) => {
                    tracing::warn!(client = %id, %fault, source = copy.source, "a reviewed copy can't be used");
                }
            }
        }
        tracing::info!(client = %id, why = %failure, "metadata document not to be had");
        Ok(Err(failure))
    }

    async fn fetch(&self, url: &ClientIdUrl, now: Timestamp) -> Result<(String, ClientMetadata, Fetched), Unresolved> {
        let fetched = self.fetcher.fetch(url.url(), MAX_BYTES, now).await?;
        let document = ClientMetadata::parse_document(&fetched.body, url, &self.rules)?;
        let body = String::from_utf8_lossy(&fetched.body).replace('\0', "");
        Ok((body, document, fetched))
    }

    /// R-37: what the answer says of itself, between our own floor and ceiling. `no-store` is honoured as "ask again next
    /// time": the client itself has to be kept for what it is about to do.
    fn fresh_until(&self, freshness: Freshness, now: Timestamp) -> Timestamp {
        match freshness {
            Freshness::None => now,
            Freshness::Unsaid => now.plus(self.settings.min_fresh),
            Freshness::For(span) => now.plus(span.min(self.settings.max_fresh).max(self.settings.min_fresh)),
        }
    }

    async fn put(
        &self,
        store: &Store,
        id: &ClientId,
        document: &ClientMetadata,
        body: &str,
        (source, how): (&str, Found),
        (fetched_at, fresh_until): (Timestamp, Timestamp),
    ) -> Result<Result<Resolved, Unresolved>, StoreError> {
        let new = NewDocument { id, metadata: document, body, source, fetched_at, fresh_until };
        store.put_document_client(&new).await?;
        let found = store.find_client(id).await?;
        Ok(found.map(|client| Resolved { client, found: how }).ok_or(Unresolved::Unknown))
    }
}
