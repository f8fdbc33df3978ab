//! Who a client is: what the store says of its id, what its own metadata document says, and what is known of its
//! vendor.

mod keys;
mod resolve;
pub mod trial;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use known_clients::copies::{self, CopiesError};
use known_clients::profile::Profiles;
use oauth::client::{InvalidClientIdUrl, MetadataFault, MetadataRules};
use oauth::id::ClientId;
use oauth::time::Timestamp;
use tokio::sync::OnceCell;

use crate::fetch::{FetchError, Fetcher};
use crate::model::client::Client;
use crate::store::StoreError;

pub use keys::KeysError;

/// Where a managed client's logo is. The moment it was set is part of it, so that a new one is seen at once.
#[must_use]
pub fn logo_path(id: &ClientId, set_at: Timestamp) -> String {
    // The ids that a managed client may have need no encoding, save for those that nobody should have: `byte_serialize`
    // writes blanks as plus signs, which a path would keep.
    let id: String = url::form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
    format!("/clients/{}/logo?v={}", id.replace('+', "%20"), set_at.0)
}

/// Which metadata documents count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentPolicy {
    /// Anybody's.
    Open,
    /// Those of the clients in the profiles.
    Known,
    /// Those at these exact URLs, or anywhere at these hosts.
    List(Vec<String>),
    /// Nobody's.
    Off,
}

/// How documents are kept.
#[derive(Clone, Debug)]
pub struct DocumentSettings {
    /// Which ones count.
    pub policy: DocumentPolicy,
    /// How long a copy is good at least, whatever its server says.
    pub min_fresh: Duration,
    /// How long it is good at most.
    pub max_fresh: Duration,
    /// How long it stands in when no fresh one is to be had.
    pub max_stale: Duration,
    /// How many clients that nobody here has seen are fetched in a minute.
    pub new_per_minute: u32,
    /// The operator's own copies.
    pub copies_folder: Option<PathBuf>,
}

/// Why a `client_id` leads to no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Not the URL of a document, and no client has it.
    #[error("no client has this id")]
    Unknown,
    ///
    #[error("{0}")]
    Url(#[from] InvalidClientIdUrl),
    /// the operator decides.
    #[error("this server does not take clients by metadata documents")]
    Off,
    /// The same.
    #[error("this server takes the documents of some clients only, and this is none of them")]
    NotAllowed,
    ///
    #[error("{0}")]
    Fetch(#[from] FetchError),
    ///
    #[error("{0}")]
    Document(#[from] MetadataFault),
    /// Too many that nobody here has seen before.
    #[error("too many new clients are being looked up; try again in {} seconds", .0.as_secs())]
    TooMany(Duration),
}

/// How a client was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the store, and it has no document.
    Stored,
    /// Its document was fetched just now.
    Fetched,
    /// The copy of its document here is fresh.
    Fresh,
    /// The last copy stands in for a document that can't be had.
    Stale,
    /// A reviewed copy does.
    Reviewed,
}

impl Found {
    /// In words for the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "no document",
            Self::Fetched => "fetched",
            Self::Fresh => "the copy here is still fresh",
            Self::Stale => "it can't be fetched now: the last copy stands in",
            Self::Reviewed => "it can't be fetched: a reviewed copy stands in",
        }
    }
}

/// A client, and how it was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The client; it may be disabled or deleted.
    pub client: Client,
    /// How it was found.
    pub found: Found,
}

impl From<Client> for Resolved {
    fn from(client: Client) -> Self {
        Self { client, found: Found::Stored }
    }
}

/// Clients and what they publish of themselves. Shared by all requests; what must last is in the store.
#[derive(Debug)]
pub struct Directory {
    settings: DocumentSettings,
    rules: MetadataRules,
    profiles: Profiles,
    fetcher: Fetcher,
    copies: HashMap<String, copies::Copy>,
    documents: Flights<Result<Resolved, Unresolved>>,
    key_sets: Flights<Result<oauth::jwks::JwkSet, KeysError>>,
    /// When fetching failed though there is a copy to live on: not tried again at once.
    failures: Mutex<HashMap<String, Timestamp>>,
    newcomers: Mutex<(Timestamp, u32)>,
}

/// How long to live on an old copy before its server is asked again.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

impl Directory {
    /// Puts it together.
    ///
    /// # Errors
    /// When the operator's copies can't be read.
    pub fn new(
        settings: DocumentSettings,
        rules: MetadataRules,
        profiles: Profiles,
        fetcher: Fetcher,
    ) -> Result<Self, CopiesError> {
        let copies = copies::all(settings.copies_folder.as_deref())?;
        Ok(Self {
            settings,
            rules,
            profiles,
            fetcher,
            copies,
            documents: Flights::default(),
            key_sets: Flights::default(),
            failures: Mutex::default(),
            newcomers: Mutex::new((Timestamp(0), 0)),
        })
    }

    /// Whether metadata documents count at all: what discovery says.
    #[must_use]
    pub fn takes_documents(&self) -> bool {
        self.settings.policy != DocumentPolicy::Off
    }

    fn failed_lately(&self, what: &str, now: Timestamp) -> bool {
        self.failed_within(what, AFTER_FAILURE, now)
    }

    fn failed_within(&self, what: &str, span: Duration, now: Timestamp) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(what).is_some_and(|at| at.plus(span) > now)
    }

    fn note_failure(&self, what: &str, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, at| at.plus(AFTER_FAILURE) > now);
        failures.insert(what.to_owned(), now);
    }

    /// Lets a newcomer in, unless this minute has had enough of them.
    fn admit_newcomer(&self, now: Timestamp) -> Result<(), Unresolved> {
        const MINUTE: i64 = 60;
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = *newcomers;
        let age = now.since(began);
        if !(0..MINUTE).contains(&age) {
            *newcomers = (now, 1);
            return Ok(());
        }
        if count >= self.settings.new_per_minute {
            let left = u64::try_from(MINUTE - age).unwrap_or(1);
            return Err(Unresolved::TooMany(Duration::from_secs(left)));
        }
        newcomers.1 += 1;
        Ok(())
    }
}

/// One piece of work at a time for each name; who comes meanwhile gets the same outcome.
#[derive(Debug)]
struct Flights<T>(Mutex<HashMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// Does the work, or waits for whoever is at it. When that one is cut off or our own store fails, the next goes on.
    async fn join(&self, name: &str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(name.to_owned()).or_default())
        };
        let outcome = flight.get_or_try_init(|| work).await.cloned();
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(name).is_some_and(|own| Arc::ptr_eq(own, &flight)) {
            flights.remove(name);
        }
        // Those whose callers all went away before the end.
        flights.retain(|_, own| Arc::strong_count(own) > 1);
        outcome
    }
}
