//! The application: what all endpoints share, put together in one place, and the few things that several of
//! them do: recognising a browser, authenticating a client, recording an approval.

pub(crate) mod approve;
mod assertion;
pub(crate) mod browser;
pub(crate) mod client_auth;
pub(crate) mod context;
pub mod directory;
pub(crate) mod jobs;
pub(crate) mod known;
pub(crate) mod limits;
mod readiness;
mod watch;

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::header::InvalidHeaderName;
use known_clients::copies::CopiesError;
use known_clients::profile::{Profiles, ProfilesError};
use oauth::client::MetadataRules;
use oauth::issuer::Issuer;
use oauth::metadata::{EndpointPaths, Offer};
use oauth::resource::Resource;
use oauth::scope::InvalidScopeToken;
use oauth::time::Timestamp;

use crate::attempts::recorder::{self, Inbox, Recorder};
use crate::clients::Directory;
use crate::config::{Config, DocumentsPolicy, MAX_ACCESS_TTL, RegistrationPolicy};
use crate::crypto::jwt::LEEWAY_SECONDS;
use crate::crypto::keys::{self, KeyError, KeyRing};
use crate::crypto::master::MasterKey;
use crate::crypto::password::{HashingFailed, Passwords};
use crate::crypto::random::Random;
use crate::fetch::{FetchSetupError, Resolver};
use crate::library::{Library, LibraryError};
use crate::manual::address;
use crate::model::client::Client;
use crate::model::clock::Clock;
use crate::request::address::Proxies;
use crate::request::context::Contexts;
use crate::request::cookie::Cookies;
use crate::response::respond::Edge;
use crate::revocations::Revocations;
use crate::store::{Store, StoreError};
use crate::tokens::Mint;
pub use jobs::JobError;
use limits::Limits;
use watch::Watch;

/// The application, cheap to clone: one value that every handler takes.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
#[expect(missing_debug_implementations, reason = "it holds keys; an App's Debug says which one it is")]
pub struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) master: MasterKey,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) mint: Mint,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) passwords: Passwords,
    pub(crate) issuer: Issuer,
    pub(crate) resource: Resource,
    pub(crate) paths: EndpointPaths,
    pub(crate) offer: Offer,
    pub(crate) rules: MetadataRules,
    pub(crate) profiles: Profiles,
    pub(crate) clients: Directory,
    pub(crate) library: Library,
    pub(crate) cookies: Cookies,
    pub(crate) edge: Edge,
    pub(crate) limits: Option<Limits>,
    pub(crate) contexts: Contexts,
    /// The server is about to stop: nothing new should be sent here.
    pub(crate) stopping: Arc<AtomicBool>,
    inbox: std::sync::Mutex<Option<Inbox>>,
    readiness: readiness::Readiness,
    polling: tokio::sync::Mutex<Watch>,
}

/// How long one client's tokens live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) access: Duration,
    /// Whether it gets refresh tokens at all.
    pub(crate) refresh: bool,
    pub(crate) refresh_idle: Duration,
    pub(crate) refresh_absolute: Duration,
}

/// Why the application can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing keys can't be opened.
    #[error("the signing keys in the database can't be used: {0}")]
    Keys(#[from] KeyError),
    /// The password cost is not usable.
    #[error("the settings under [passwords] can't be used: {0}")]
    Passwords(#[from] HashingFailed),
    /// A scope is malformed.
    #[error(transparent)]
    Scope(#[from] InvalidScopeToken),
    /// The document folder can't be read.
    #[error("the documents can't be read: {0}")]
    Library(#[from] LibraryError),
    /// The client profiles can't be used.
    #[error(transparent)]
    Profiles(#[from] ProfilesError),
    /// Nothing can be fetched with the settings under `[documents]`.
    #[error("the settings under [documents] can't be used: {0}")]
    Fetch(#[from] FetchSetupError),
    /// The operator's copies of documents can't be read.
    #[error(transparent)]
    Copies(#[from] CopiesError),
    /// The header that proxies write has no name that a header can have.
    #[error("limits.forwarded_header can't be used: {0}")]
    ForwardedHeader(#[from] InvalidHeaderName),
    /// There is no master key.
    #[error("there is no master key")]
    NoMasterKey,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the application together over a store whose schema is up to date. Makes the first signing key if
    /// there is none; of several replicas that start at once, one does.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(
        config: Config,
        store: Store,
        clock: Clock,
        random: Random,
        resolver: Resolver,
    ) -> Result<Self, BuildError> {
        let master = MasterKey::new(&config.keys.master_key.ok_or(BuildError::NoMasterKey)?);
        let keys = Arc::new(first_keys(&config, &store, &master, &random, clock.now()).await?);
        let issuer = Issuer::from_origin(&config.public_url);
        let resource = Resource::from_canonical(config.resource());
        let rules = directory::rules(&config)?;
        let paths = EndpointPaths {
            mcp: config.paths.mcp.clone(),
            authorize: config.paths.authorize.clone(),
            token: config.paths.token.clone(),
            register: (config.registration.policy != RegistrationPolicy::Off).then(|| config.paths.register.clone()),
            revoke: config.paths.revoke.clone(),
            jwks: config.paths.jwks.clone(),
        };
        let offer = Offer {
            auth_methods: rules.auth_methods.clone(),
            grant_types: rules.grant_types.clone(),
            scope: directory::described(&config),
            default_scope: config.scopes.default.clone(),
            signing_alg: config.keys.algorithm.as_str(),
            name: config.name.clone(),
            documents: config.documents.policy != DocumentsPolicy::Off,
        };
        let profiles = Profiles::load(config.clients.profiles_file.as_deref())?;
        let clients = directory::directory(&config, &rules, profiles.clone(), resolver)?;
        let mint = Mint { keys: Arc::clone(&keys), issuer: issuer.clone(), random: random.clone() };
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let passwords = Passwords::new(config.passwords.memory_kib, config.passwords.iterations, at_once)?;
        passwords.take_note(&store.password_costs().await?);
        let library = Library::open(config.docs.folder.as_deref(), config.url(&config.paths.docs))?;
        let limits = Limits::of(&config.limits);
        let (recorder, inbox) = if config.attempts.enabled {
            let (recorder, inbox) = recorder::open();
            (recorder, Some(inbox))
        } else {
            (Recorder::off(), None)
        };
        let contexts = Contexts {
            key: master.attempts(),
            clock: clock.clone(),
            recorder,
            proxies: Proxies::new(&config.limits.trusted_proxies, &config.limits.forwarded_header)?,
        };
        // As long as a token can be shown that was signed a moment before its grant was revoked.
        let keep = MAX_ACCESS_TTL + Duration::from_secs(2 * LEEWAY_SECONDS.unsigned_abs());
        let revocations = Arc::new(Revocations::new(keep));
        let app = Self(Arc::new(Parts {
            cookies: Cookies::new(config.is_https()),
            edge: Edge {
                service: config.name.clone(),
                manual_url: address(&config.paths.docs),
                random: random.clone(),
            },
            profiles,
            clients,
            store: store.telling(Arc::clone(&revocations)),
            revocations,
            config,
            clock,
            random,
            master,
            keys,
            mint,
            passwords,
            issuer,
            resource,
            paths,
            offer,
            rules,
            library,
            limits,
            contexts,
            stopping: Arc::default(),
            inbox: std::sync::Mutex::new(inbox),
            readiness: readiness::Readiness::default(),
            polling: tokio::sync::Mutex::default(),
        }));
        app.poll().await?;
        Ok(app)
    }

    /// Reads what other replicas may have changed: grants that have ended, and signing keys. A cheap query each; gives the
    /// number of rows that were read about grants.
    ///
    /// # Errors
    /// When the store fails or a key can't be opened; the old view stays.
    pub async fn poll(&self) -> Result<u64, BuildError> {
        // One at a time: each goes on where the one before has stopped.
        let mut watch = self.polling.lock().await;
        let rows = watch.look(&self.store, &self.revocations, self.clock.now()).await?;
        self.keys.replace(&self.store.signing_keys().await?, &self.master)?;
        Ok(rows)
    }

    /// The same after the keys were changed here, so that it holds on this replica at once. A failure costs a quarter of
    /// a second: the next poll sees it.
    pub(crate) async fn poll_quietly(&self) {
        if let Err(error) = self.poll().await {
            tracing::warn!(%error, "what has just changed is noticed a little later");
        }
    }

    /// Does at once what the background jobs do by and by: forgets what has had its time, and rotates the signing key if
    /// it is due.
    ///
    /// # Errors
    /// The first failure; the other jobs were done all the same.
    pub async fn sweep(&self) -> Result<(), JobError> {
        jobs::sweep(self).await
    }

    /// What was recorded and is to be written: for the one task that writes it.
    pub(crate) fn take_inbox(&self) -> Option<Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How long this client's tokens live: as its administrator says, else as the settings say.
    pub(crate) fn lifetimes(&self, client: &Client) -> Lifetimes {
        let (tokens, terms) = (&self.config.tokens, &client.terms);
        Lifetimes {
            access: terms.access_ttl.unwrap_or(tokens.access_ttl),
            refresh: tokens.refresh && client.may_refresh(),
            refresh_idle: terms.refresh_idle_ttl.unwrap_or(tokens.refresh_idle_ttl),
            refresh_absolute: terms.refresh_absolute_ttl.unwrap_or(tokens.refresh_absolute_ttl),
        }
    }

    /// The store: for the command line and for tests that look behind the curtain.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

async fn first_keys(
    config: &Config,
    store: &Store,
    master: &MasterKey,
    random: &Random,
    now: Timestamp,
) -> Result<KeyRing, BuildError> {
    let stored = store.signing_keys().await?;
    // Also after a change of `keys.algorithm`: the next key is of the new kind and takes over in time.
    if stored.last().is_some_and(|newest| newest.algorithm == config.keys.algorithm.as_str()) {
        return Ok(KeyRing::open(&stored, master)?);
    }
    store
        .insert_signing_key(&keys::next(
            config.keys.algorithm,
            config.keys.publish_ahead,
            &stored,
            master,
            random,
            now,
        )?)
        .await?;
    Ok(KeyRing::open(&store.signing_keys().await?, master)?)
}
