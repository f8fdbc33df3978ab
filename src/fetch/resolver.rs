//! Where names become addresses: a value that is handed in, like the clock.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Addresses of a name; a port of 0 means the URL's.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Turns a host name into addresses.
#[derive(Clone)]
pub struct Resolver(Source);

#[derive(Clone)]
enum Source {
    System,
    Given(Arc<Answer>),
}

type Answer = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Resolver {
    /// The machine's resolver.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A function in place of the network: for tests only.
    #[must_use]
    pub fn given(answer: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self(Source::Given(Arc::new(answer)))
    }

    /// All addresses of a name.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Addresses {
        let name = name.to_owned();
        match &self.0 {
            Source::System => {
                Box::pin(async move { tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect) })
            }
            Source::Given(answer) => {
                let answer = answer(&name);
                Box::pin(async move { answer })
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Resolver(system)",
            Source::Given(_) => "Resolver(given)",
        })
    }
}
