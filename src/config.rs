//! Everything an administrator can set, read once at start and turned into types that can't be wrong.
//!
//! Owns the layers (embedded reference, file, environment, files of secrets), the names of the keys and what values are
//! lawful, each by itself and together. Doesn't read the process's environment or choose the file: [`Config::load`] is
//! given both. `config/default.toml` is the reference for people and the schema for this module.

mod address;
mod check;
pub(crate) mod duration;
mod layers;
mod parse;
pub(crate) mod problems;
mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use oauth::algorithm::Algorithm;
use oauth::client::AuthMethod;
use oauth::scope::{Scope, ScopeToken};
use oauth::web_origin::{self, Host, WebOrigin};
use url::Url;

pub use problems::{Origin, Problem, Problems};

/// The longest that an access token may live. Revocations and keys are remembered at least this long, whatever
/// `tokens.access_ttl` is now: tokens may be about that were issued under another setting.
pub const MAX_ACCESS_TTL: Duration = Duration::from_hours(24);

/// The settings in effect.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, in plain HTTP.
    pub listen: SocketAddr,
    /// The issuer: an origin. `Url` writes it with a slash at the end; [`Config::origin`] and [`Config::url`] don't.
    pub public_url: Url,
    /// The name that people see.
    pub name: String,
    pub connections: Connections,
    pub shutdown: Shutdown,
    pub database: Database,
    pub keys: Keys,
    pub tokens: Tokens,
    pub sessions: Sessions,
    pub passwords: Passwords,
    pub registration: Registration,
    pub documents: Documents,
    pub pkce: Pkce,
    pub consent: Consent,
    pub paths: Paths,
    pub scopes: Scopes,
    pub tools: Tools,
    pub clients: Clients,
    pub docs: Docs,
    pub mcp: Mcp,
    pub api: Api,
    pub limits: Limits,
    pub attempts: Attempts,
    pub log: Log,
    /// What an administrator should hear at start though it stops nothing.
    pub notices: Vec<String>,
    effective: String,
}

/// `[connections]`
#[derive(Debug, Clone)]
pub struct Connections {
    pub max: usize,
    pub max_per_network: usize,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    /// At least what the HTTP library needs.
    pub header_bytes: usize,
}

/// `[shutdown]`
#[derive(Debug, Clone)]
pub struct Shutdown {
    pub delay: Duration,
}

/// `[database]`
#[derive(Clone)]
pub struct Database {
    /// `sqlite:…`, `postgres://…` or `postgresql://…`; may hold a password. [`Database::shown`] doesn't.
    pub url: String,
    pub max_connections: u32,
    pub acquire_timeout: Duration,
}

/// `[keys]`
#[derive(Clone)]
pub struct Keys {
    /// `None` on SQLite only, where one is then made beside the database.
    pub master_key: Option<[u8; 32]>,
    pub algorithm: Algorithm,
    /// `None`: never by itself.
    pub rotate_every: Option<Duration>,
    pub publish_ahead: Duration,
}

/// `[tokens]`
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_ttl: Duration,
    pub refresh: bool,
    pub refresh_idle_ttl: Duration,
    pub refresh_absolute_ttl: Duration,
    pub refresh_grace: Duration,
    pub refresh_grace_uses: u32,
    pub code_ttl: Duration,
}

/// `[sessions]`
#[derive(Debug, Clone)]
pub struct Sessions {
    pub ttl: Duration,
    /// Until somebody signs in.
    pub sign_in_ttl: Duration,
    pub authorization_ttl: Duration,
    pub known_browser_ttl: Duration,
}

/// `[passwords]`
#[derive(Debug, Clone)]
pub struct Passwords {
    /// In characters.
    pub min_length: usize,
    pub memory_kib: u32,
    pub iterations: u32,
}

/// `[registration]`
#[derive(Debug, Clone)]
pub struct Registration {
    pub policy: RegistrationPolicy,
    /// Never empty.
    pub auth_methods: Vec<AuthMethod>,
    pub unused_ttl: Duration,
    pub max_unused: u32,
    /// Lower case, without the colon.
    pub private_use_schemes: Vec<String>,
}

/// Who may register a client.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistrationPolicy {
    Open,
    /// Who presents this initial access token.
    Token(String),
    Off,
}

/// `[documents]`
#[derive(Debug, Clone)]
pub struct Documents {
    pub policy: DocumentsPolicy,
    pub timeout: Duration,
    pub min_fresh: Duration,
    pub max_fresh: Duration,
    pub max_stale: Duration,
    pub new_per_minute: u32,
    pub copies_folder: Option<PathBuf>,
    /// May hold a password.
    pub proxy: Option<Hidden>,
    pub ca_file: Option<PathBuf>,
    pub allowed_networks: Vec<IpNet>,
    /// Never empty.
    pub allowed_ports: Vec<u16>,
}

/// A text that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

/// Without the text.
impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Whose metadata documents count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentsPolicy {
    Open,
    Known,
    /// Whole URLs or hosts.
    List(Vec<String>),
    Off,
}

/// `[pkce]`
#[derive(Debug, Clone)]
pub struct Pkce {
    /// Lower case, exact, never a loopback host.
    pub exempt_redirect_hosts: Vec<String>,
}

/// `[consent]`
#[derive(Debug, Clone)]
pub struct Consent {
    pub remember: bool,
}

/// `[paths]`: each starts with a slash, doesn't end with one, and is there once.
#[derive(Debug, Clone)]
pub struct Paths {
    pub mcp: String,
    pub authorize: String,
    pub token: String,
    pub register: String,
    pub revoke: String,
    pub jwks: String,
    pub login: String,
    pub logout: String,
    pub consent: String,
    pub setup: String,
    pub account: String,
    pub docs: String,
}

/// `[scopes]`
#[derive(Debug, Clone)]
pub struct Scopes {
    /// Each is described. Never empty.
    pub default: Scope,
    /// Every scope there is, except the built-in `offline_access`, with its sentence for the consent page.
    pub describe: BTreeMap<ScopeToken, String>,
}

/// `[tools]`
#[derive(Debug, Clone)]
pub struct Tools {
    pub whoami: Tool,
    pub search: Tool,
    pub fetch: Tool,
}

/// `[tools.…]`
#[derive(Debug, Clone)]
pub struct Tool {
    pub enabled: bool,
    /// A call needs all of them.
    pub scopes: Scope,
}

/// `[clients]`
#[derive(Debug, Clone)]
pub struct Clients {
    /// `None`: the built-in profiles alone.
    pub profiles_file: Option<PathBuf>,
}

/// `[docs]`
#[derive(Debug, Clone)]
pub struct Docs {
    /// `None`: the product's own manual.
    pub folder: Option<PathBuf>,
}

/// `[mcp]`
#[derive(Debug, Clone)]
pub struct Mcp {
    pub allowed_origins: Vec<WebOrigin>,
    pub allowed_hosts: Vec<Host>,
}

/// `[api]`
#[derive(Debug, Clone)]
pub struct Api {
    /// Whether the admin API is mounted.
    pub enabled: bool,
}

/// `[limits]`
#[derive(Debug, Clone)]
pub struct Limits {
    pub enabled: bool,
    pub trusted_proxies: Vec<IpNet>,
    /// The one header in which they are believed.
    pub forwarded_header: String,
    pub register_per_minute: NonZeroU32,
    pub register_per_minute_total: NonZeroU32,
    pub authorize_per_minute: NonZeroU32,
    pub authorize_kib_per_minute: NonZeroU32,
    pub authorize_kib_per_minute_total: NonZeroU32,
    pub token_per_minute: NonZeroU32,
    pub api_failures_per_minute: NonZeroU32,
    pub sign_in_failures: NonZeroU32,
    pub sign_in_window: Duration,
    pub body_bytes: usize,
    pub mcp_body_bytes: usize,
    pub mcp_json_depth: usize,
    pub mcp_json_values: usize,
}

/// `[attempts]`
#[derive(Debug, Clone)]
pub struct Attempts {
    pub enabled: bool,
    pub keep: Duration,
    pub max_events: u32,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// Known to be readable by `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    Human,
    Json,
}

impl Config {
    /// Puts the layers together and checks them. `env` are all the variables of the process; others than
    /// `PORTCULLIS_…` are passed over.
    ///
    /// # Errors
    /// Everything that is wrong, at once, with where it was set.
    pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        check::config(reader::Reader::new(layers::Layers::load(file, env)))
    }

    /// What is in effect, as TOML with the origin of each value that isn't the default. Secrets read `(hidden)`.
    #[must_use]
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// `public_url` the way it is compared and joined: without a slash at the end. This is the issuer.
    #[must_use]
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// The address of `path` (which starts with a slash) on this server, as seen from outside.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// The address people type into their client; the audience of tokens.
    #[must_use]
    pub fn resource(&self) -> String {
        self.url(&self.paths.mcp)
    }

    /// Whether people come by HTTPS, so that cookies can say so.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

impl Database {
    /// PostgreSQL, or else SQLite.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// The address for people: without the password, and without anything that could be a part of one.
    #[must_use]
    pub fn shown(&self) -> String {
        address::shown_database(&self.url)
    }

    /// The address as PostgreSQL's own tools take it: without the password, which they ask for.
    #[must_use]
    pub fn for_tools(&self) -> String {
        address::for_tools(&self.url, None)
    }

    /// The name of the PostgreSQL database.
    #[must_use]
    pub fn name(&self) -> String {
        address::database_name(&self.url)
    }

    /// The same for another database of that server.
    #[must_use]
    pub fn for_tools_at(&self, database: &str) -> String {
        address::for_tools(&self.url, Some(database))
    }
}

impl Paths {
    /// All of them, with their keys.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &str); 12] {
        [
            ("mcp", &self.mcp),
            ("authorize", &self.authorize),
            ("token", &self.token),
            ("register", &self.register),
            ("revoke", &self.revoke),
            ("jwks", &self.jwks),
            ("login", &self.login),
            ("logout", &self.logout),
            ("consent", &self.consent),
            ("setup", &self.setup),
            ("account", &self.account),
            ("docs", &self.docs),
        ]
    }
}

/// Without the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.shown())
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish()
    }
}

/// Without the key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("master_key", &self.master_key.map(|_| "(hidden)"))
            .field("algorithm", &self.algorithm)
            .field("rotate_every", &self.rotate_every)
            .field("publish_ahead", &self.publish_ahead)
            .finish()
    }
}

/// Without the token.
impl fmt::Debug for RegistrationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token(\"(hidden)\")",
            Self::Off => "Off",
        })
    }
}

/// Whether requests to `url` never leave the machine, so that plain HTTP is safe (RFC 8252 §8.3, RFC 6761 §6.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        None => false,
        Some(url::Host::Domain(name)) => web_origin::is_loopback(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests;
