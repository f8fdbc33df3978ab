//! `simulate`: plays a known client's requests against a deployment, exactly and from outside, from the first call to
//! the revocation, and says where and why that client would stop.
//!
//! What the seven clients do is data (`replica`, `known`); the steps are the same for all. Callbacks of hosted clients
//! are never followed: the redirect to them is caught and read as they would.

mod authorization;
mod calls;
mod challenge;
mod classic;
mod conversation;
mod discovery;
mod exchange;
mod identity;
mod metadata;
mod person;
mod report;
mod schema;
mod shown;
mod steps;
mod tokens;

use std::cell::OnceCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use known_clients::profile::{AsksBy, Profile, Profiles};
use known_clients::replica::Replica;
use known_clients::replicas::{self, IDS};
use reqwest::Client;
use url::Url;

use crate::outside::{Outside, OutsideError};

pub use exchange::Exchange;
pub use report::{Outcome, Report, Step};

use person::Person;
use report::Trace;

/// What to simulate, and where.
#[derive(Clone)]
pub struct Options {
    /// The client's id: one of [`IDS`].
    pub client: String,
    /// The MCP URL, as a person would type it in.
    pub url: String,
    /// Who signs in.
    pub user: String,
    /// Their password.
    pub password: String,
    /// Say no at the consent page.
    pub deny: bool,
    /// How the client makes itself known, instead of by its own preference.
    pub identity: Option<AsksBy>,
    /// A client id that a person typed in.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<String>,
    /// How to reach the deployment.
    pub outside: Outside,
    /// Where random bytes come from.
    pub random: fn() -> [u8; 32],
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the password, never the secret.
        let Self { client, url, user, .. } = self;
        f.debug_struct("Options").field("client", client).field("url", url).field("user", user).finish_non_exhaustive()
    }
}

/// Why a simulation could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    /// No such client.
    #[error("there is no client {0:?} to play; there are: {known}", known = IDS.join(", "))]
    Client(String),
    /// The address is none.
    #[error("{0:?} is no http or https address of an MCP endpoint")]
    Address(String),
    /// `typed` without an id.
    #[error("a typed identity needs the client id")]
    NoClientId,
    /// The way out can't be built.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// Nobody is there.
    #[error("{url} can't be reached: {why}")]
    Silence {
        /// The address.
        url: String,
        /// What happened.
        why: String,
    },
    /// The product's own data is broken, which tests rule out.
    #[error("the client profiles can't be read: {0}")]
    Profiles(String),
}

/// One run.
struct Run<'a> {
    replica: &'static Replica,
    profile: &'a Profile,
    options: &'a Options,
    http: Client,
    browser: Client,
    random: fn() -> [u8; 32],
    /// The id of ChatGPT's connector in this run.
    connector: String,
    /// The revision of MCP that was agreed on.
    revision: OnceCell<&'static str>,
}

impl Run<'_> {
    fn url(&self) -> &str {
        &self.options.url
    }

    fn name(&self) -> &str {
        &self.profile.name
    }

    fn person(&self) -> Person<'_> {
        let Options { user, password, deny, .. } = self.options;
        Person { browser: &self.browser, user, password, denies: *deny }
    }

    /// A port as a system hands them out (RFC 6335): nobody has to listen there, the redirect is caught before.
    fn free_port(&self) -> u16 {
        let [high, low, ..] = (self.random)();
        49_152 + (u16::from_be_bytes([high, low]) & 0x3fff)
    }
}

/// Plays the client.
///
/// # Errors
/// When it could not begin. What fails later is in the report.
pub async fn simulate(options: &Options) -> Result<Report, CannotBegin> {
    let profiles = Profiles::embedded().map_err(|error| CannotBegin::Profiles(error.to_string()))?;
    let unknown = || CannotBegin::Client(options.client.clone());
    let replica = replicas::replica(&options.client).ok_or_else(unknown)?;
    let profile = profiles.by_id(replica.id).ok_or_else(unknown)?;
    let is_web = Url::parse(&options.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web {
        return Err(CannotBegin::Address(options.url.clone()));
    }
    if options.identity == Some(AsksBy::Typed) && options.client_id.is_none() {
        return Err(CannotBegin::NoClientId);
    }
    let run = Run {
        replica,
        profile,
        options,
        http: options.outside.client()?,
        browser: options.outside.browser()?,
        connector: URL_SAFE_NO_PAD.encode((options.random)()).chars().take(22).collect(),
        revision: OnceCell::new(),
        random: options.random,
    };
    let mut trace = Trace::default();
    let passed = steps::take(&run, &mut trace).await.is_ok();
    if let Some(why) = trace.silence() {
        return Err(CannotBegin::Silence { url: options.url.clone(), why: why.to_owned() });
    }
    Ok(Report {
        client: replica.id.to_owned(),
        name: profile.label(),
        url: options.url.clone(),
        passed,
        steps: trace.into_steps(&options.password),
    })
}
