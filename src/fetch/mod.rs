//! What strangers make this server fetch: metadata documents and key sets, from addresses that they choose.
//!
//! Whoever names an address must not reach anything through it that they could not reach themselves. So: `https` URLs
//! of public names only ([`HttpsUrl`]); the name is resolved once, by us, every address is judged, and the connection
//! goes to exactly those; no redirect, no cookie, no proxy from the environment; one GET, 200 or nothing, JSON, small,
//! in time, and few at once. One special address among several refuses them all: a name that leads both outside and
//! inside is no vendor's.
//!
//! Checked in the libraries' sources: `hyper-util` connects to what its resolver returns and asks it once for each
//! connection; it does not ask for a host that is an address, which is why [`HttpsUrl`] has none. A port that the URL
//! doesn't name is the resolver's to choose, which only tests do.

mod error;
mod freshness;
mod resolver;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use oauth::https_url::HttpsUrl;
use oauth::special_use::special_use;
use oauth::time::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Certificate, Client, Proxy, Response};
use tokio::sync::Semaphore;

pub use error::FetchError;
pub use freshness::Freshness;
pub use resolver::{Addresses, Resolver};

/// How long a request waits for its turn when many run.
const TURN: Duration = Duration::from_secs(2);

/// How this server fetches.
#[derive(Clone)]
pub struct FetchSettings {
    /// From the first step to the last byte.
    pub timeout: Duration,
    /// How many at once.
    pub at_once: usize,
    /// The proxy that leads outside, if there is no other way.
    pub proxy: Option<String>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Networks that may be fetched from though they are not public.
    pub allowed_networks: Vec<IpNet>,
}

/// Why fetching can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The certificates can't be read.
    #[error("the certificates in {} can't be read: {why}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The proxy's address makes no sense. Not echoed: it may hold a password.
    #[error("the proxy's address is not one like http://proxy.example:3128")]
    Proxy,
}

/// Without the proxy's address, which may hold a password.
impl fmt::Debug for FetchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchSettings")
            .field("timeout", &self.timeout)
            .field("at_once", &self.at_once)
            .field("proxy", &self.proxy.is_some())
            .field("ca_file", &self.ca_file)
            .field("allowed_networks", &self.allowed_networks)
            .finish()
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes.
    pub body: Vec<u8>,
    /// How long they may be kept, by the answer's own words.
    pub freshness: Freshness,
}

/// Fetches.
#[derive(Debug)]
pub struct Fetcher {
    /// Or why there is none.
    client: Result<Client, String>,
    judge: Arc<Judge>,
    turns: Semaphore,
    settings: FetchSettings,
}

impl Fetcher {
    /// Makes ready to fetch. A machine without root certificates can't; it says so at each use, and in the log.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(settings: FetchSettings, resolver: Resolver) -> Result<Self, FetchSetupError> {
        let judge = Arc::new(Judge { resolver, allowed: settings.allowed_networks.clone() });
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(true)
            // Every request gets a connection of its own, and with it a judgement of its own.
            .pool_max_idle_per_host(0)
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout)
            .user_agent(concat!("Portcullis/", env!("CARGO_PKG_VERSION")));
        builder = match &settings.proxy {
            // The proxy is the operator's own choice, wherever it is; names behind it are judged before it is asked.
            Some(proxy) => builder.proxy(Proxy::all(proxy).map_err(|_| FetchSetupError::Proxy)?),
            None => builder.dns_resolver(Arc::clone(&judge)),
        };
        if let Some(path) = &settings.ca_file {
            let refuse = |why: String| FetchSetupError::Certificates { path: path.clone(), why };
            let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(innermost(&error)))?;
            if certificates.is_empty() {
                return Err(refuse("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| innermost(&error));
        if let Err(why) = &client {
            tracing::warn!(why, "metadata documents and key sets can't be fetched");
        }
        Ok(Self { client, judge, turns: Semaphore::new(settings.at_once), settings })
    }

    /// Fetches at most `most` bytes of JSON.
    ///
    /// # Errors
    /// The rule that was broken; see [`FetchError`].
    pub async fn fetch(&self, url: &HttpsUrl, most: usize, now: Timestamp) -> Result<Fetched, FetchError> {
        let client = self.client.as_ref().map_err(|why| FetchError::Setup(why.clone()))?;
        let turn = tokio::time::timeout(TURN, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(FetchError::Busy)?;
        let slow = || FetchError::TooSlow(self.settings.timeout);
        let fetched = tokio::time::timeout(self.settings.timeout, async {
            if self.settings.proxy.is_some() {
                self.judge.before_proxy(url.host()).await?;
            }
            let sent = client.get(url.as_str()).header(ACCEPT, "application/json").send().await;
            let response = sent.map_err(|error| self.explain(url, &error))?;
            let freshness = judge_head(&response, most, now)?;
            Ok(Fetched { body: self.body(url, response, most).await?, freshness })
        });
        fetched.await.map_err(|_| slow())?
    }

    async fn body(&self, url: &HttpsUrl, mut response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(url, &error))? {
            if body.len() + chunk.len() > most {
                return Err(FetchError::TooLarge(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What an error of the library means.
    fn explain(&self, url: &HttpsUrl, error: &reqwest::Error) -> FetchError {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut tls = false;
        while let Some(own) = cause {
            if let Some(judged) = own.downcast_ref::<FetchError>() {
                return judged.clone();
            }
            tls |= own.downcast_ref::<std::io::Error>().is_some_and(is_tls);
            cause = own.source();
        }
        let (host, why) = (url.host().to_owned(), innermost(error));
        if error.is_timeout() {
            FetchError::TooSlow(self.settings.timeout)
        } else if tls {
            FetchError::Tls { host, why }
        } else if error.is_connect() && self.settings.proxy.is_some() {
            FetchError::Proxy { host, why }
        } else if error.is_connect() {
            FetchError::Connect { host, why }
        } else {
            FetchError::Broken(why)
        }
    }
}

/// The TLS library speaks through I/O errors, one inside the other; the network itself never says "invalid data".
fn is_tls(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
        || error.to_string().contains("tls handshake")
        || error.get_ref().and_then(|inner| inner.downcast_ref::<std::io::Error>()).is_some_and(is_tls)
}

/// status, media type and announced length, before a byte of the body is read.
fn judge_head(response: &Response, most: usize, now: Timestamp) -> Result<Freshness, FetchError> {
    let status = response.status();
    let headers = response.headers();
    let text = |name| shown(headers.get(name).map_or(&[][..], |value| value.as_bytes()));
    if status.is_redirection() && headers.contains_key(LOCATION) {
        return Err(FetchError::Redirect { status: status.as_u16(), to: text(LOCATION) });
    }
    if status != reqwest::StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    if !is_json(headers) {
        let got = text(CONTENT_TYPE);
        return Err(FetchError::MediaType(if got.is_empty() { "of no media type".to_owned() } else { got }));
    }
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(FetchError::TooLarge(most));
    }
    Ok(Freshness::of(headers, now))
}

/// `application/json` or any `application/…+json` (RFC 6839 §3.1), whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.strip_prefix("application/").is_some_and(|subtype| subtype.len() > 5 && subtype.ends_with("+json"))
}

/// What a stranger's server said, fit to be shown.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(200).map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    shown(last.to_string().as_bytes())
}

/// Resolves names and judges what they lead to.
#[derive(Debug)]
struct Judge {
    resolver: Resolver,
    allowed: Vec<IpNet>,
}

impl Judge {
    async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, FetchError> {
        let name = |why: String| FetchError::Name { host: host.to_owned(), why };
        let addresses = self.resolver.resolve(host).await.map_err(|error| name(shown(error.to_string().as_bytes())))?;
        if addresses.is_empty() {
            return Err(name("it has no address".to_owned()));
        }
        for address in &addresses {
            let ip = address.ip();
            if self.allowed.iter().any(|network| network.contains(&ip)) {
                continue;
            }
            if let Some(kind) = special_use(ip) {
                return Err(FetchError::SpecialUse { host: host.to_owned(), address: ip, kind });
            }
        }
        Ok(addresses)
    }

    /// Behind a proxy the proxy resolves, and a name that only it knows is no fault. What is known here to lead inside
    /// is refused all the same.
    async fn before_proxy(&self, host: &str) -> Result<(), FetchError> {
        match self.addresses(host).await {
            Err(refused @ FetchError::SpecialUse { .. }) => Err(refused),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// What the library connects to: the addresses that were judged, and no others.
impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let judge = Self { resolver: self.resolver.clone(), allowed: self.allowed.clone() };
        Box::pin(async move {
            let addresses: Addrs = Box::new(judge.addresses(name.as_str()).await?.into_iter());
            Ok(addresses)
        })
    }
}
