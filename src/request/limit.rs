//! Rate limits, per network and in all. They are ceilings against floods, kept in memory by each replica;
//! what must be exact (wrong passwords) is counted in the database.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use super::address::Network;

/// One ceiling.
#[derive(Debug)]
pub(crate) struct Limit {
    per_network: DefaultKeyedRateLimiter<Network>,
    total: Option<DefaultDirectRateLimiter>,
}

impl Limit {
    /// So many a minute from one network and, if given, from all together.
    pub(crate) fn new(per_network: NonZeroU32, total: Option<NonZeroU32>) -> Self {
        Self {
            per_network: RateLimiter::keyed(Quota::per_minute(per_network)),
            total: total.map(|total| RateLimiter::direct(Quota::per_minute(total))),
        }
    }

    /// Counts one request; the error is the time after which another would pass.
    pub(crate) fn check(&self, network: Network) -> Result<(), Duration> {
        self.check_many(network, NonZeroU32::MIN, true)
    }

    /// Counts `many`, of the network and, unless it is exempt from that, of all together.
    pub(crate) fn check_many(&self, network: Network, many: NonZeroU32, of_all: bool) -> Result<(), Duration> {
        let now = DefaultClock::default().now();
        let wait = |wait: NotUntil<_>| wait.wait_time_from(now);
        // More than a whole minute's worth at once never passes.
        let too_many = |_| Duration::from_mins(1);
        self.per_network.check_key_n(&network, many).map_err(too_many)?.map_err(wait)?;
        match self.total.as_ref().filter(|_| of_all) {
            Some(total) => total.check_n(many).map_err(too_many)?.map_err(wait),
            None => Ok(()),
        }
    }

    /// Forgets networks that have not been seen for a while.
    pub(crate) fn sweep(&self) {
        self.per_network.retain_recent();
        self.per_network.shrink_to_fit();
    }
}
