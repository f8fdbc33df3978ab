//! How this program looks at a deployment from outside, as clients do: the HTTP client of `doctor` and `simulate`.
//!
//! Nothing that serves requests uses it: what a stranger makes the server fetch goes through `fetch`, which judges
//! every address.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one exchange may take: hosted assistants give up after this time too (D-20).
const PATIENCE: Duration = Duration::from_secs(10);

/// How to reach the deployment.
#[derive(Clone, Default)]
pub struct Outside {
    /// Certificates (PEM) to be trusted beside the system's: for a server whose certificate is of an own authority.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy on the way. The environment is not asked: what is tested must be what was said.
    pub proxy: Option<String>,
}

/// Why the deployment can't even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The certificates can't be read.
    #[error("the certificates in {} can't be read: {why}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The proxy's address makes no sense. Not echoed: it may hold a password.
    #[error("the proxy's address is not one like http://proxy.example:3128")]
    Proxy,
    /// TLS can't be set up.
    #[error("HTTP can't be set up: {0}")]
    Setup(#[from] reqwest::Error),
}

/// Without the proxy's address, which may hold a password.
impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("ca_file", &self.ca_file).field("proxy", &self.proxy.is_some()).finish()
    }
}

impl Outside {
    /// An HTTP client that neither follows redirects nor keeps cookies: each hop is something to look at.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub fn client(&self) -> Result<Client, OutsideError> {
        Ok(self.builder()?.build()?)
    }

    /// The same with a jar for cookies: a person's browser.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub fn browser(&self) -> Result<Client, OutsideError> {
        Ok(self.builder()?.cookie_store(true).build()?)
    }

    fn builder(&self) -> Result<ClientBuilder, OutsideError> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .no_proxy()
            .tls_info(true);
        if let Some(path) = &self.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy).map_err(|_| OutsideError::Proxy)?);
        }
        Ok(builder)
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, OutsideError> {
    let refuse = |why: String| OutsideError::Certificates { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(error.to_string()))?;
    if certificates.is_empty() { Err(refuse("it holds no certificate".to_owned())) } else { Ok(certificates) }
}
