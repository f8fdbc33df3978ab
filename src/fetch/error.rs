//! Why something could not be fetched: one variant for each rule, each with its sentence, because a page shows it.

use std::net::IpAddr;
use std::time::Duration;

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The name doesn't resolve.
    #[error("the name {host} can't be resolved ({why})")]
    Name {
        /// The name.
        host: String,
        /// What the resolver says.
        why: String,
    },
    /// an address that isn't on the public internet.
    #[error("{host} leads to {address}, which is not a public address ({kind})")]
    SpecialUse {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is.
        kind: &'static str,
    },
    /// Nobody answers there.
    #[error("no connection to {host} could be made ({why})")]
    Connect {
        /// The name.
        host: String,
        /// What happened.
        why: String,
    },
    /// The certificate is not good, or TLS fails otherwise.
    #[error("{host} could not prove who it is: TLS failed ({why})")]
    Tls {
        /// The name.
        host: String,
        /// What happened.
        why: String,
    },
    /// The configured proxy did not let it through.
    #[error("the proxy of this server did not connect to {host} ({why})")]
    Proxy {
        /// The name.
        host: String,
        /// What happened.
        why: String,
    },
    /// no redirect is followed.
    #[error("the answer is a redirect ({status}) to {to}; redirects are not followed here")]
    Redirect {
        /// The status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// only 200 counts.
    #[error("the answer has status {0}; only 200 counts")]
    Status(u16),
    ///
    #[error("the answer is {0}, not application/json")]
    MediaType(String),
    ///
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// whole and in time, or not at all.
    #[error("the answer was not there whole after {} seconds", .0.as_secs_f32())]
    TooSlow(Duration),
    /// The connection broke off.
    #[error("the answer broke off ({0})")]
    Broken(String),
    /// Too many are being fetched already.
    #[error("too many addresses are being fetched at once; try again in a moment")]
    Busy,
    /// Not the network's fault: this server has no certificates to trust, or its settings don't work.
    #[error("this server can't fetch anything: {0}")]
    Setup(String),
}

impl FetchError {
    /// Whether this is the requested server's doing; what isn't may be over in a moment.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Busy | Self::Setup(_) | Self::Proxy { .. })
    }
}
