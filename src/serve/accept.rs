//! Taking connections: how many at a time, in all and from one network, and going on whatever happens.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Stop;
use super::connection::{Order, Pulse, connection};
use crate::config::Connections;
use crate::request::address::{Network, Proxies};

/// How long to wait when the operating system has no more for us: others may end meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// At most one line about the same trouble in this time: it comes with every connection.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// A peer that vanished without a word is noticed after about two minutes, also on an event stream that is silent.
const ALIVE_AFTER: Duration = Duration::from_mins(1);
const ALIVE_EVERY: Duration = Duration::from_secs(15);
const ALIVE_TRIES: u32 = 4;
/// Descriptors that are neither connections from outside nor the database's: the listener, the log, the runtime's, requests
/// that go out, and some to spare.
const OTHER_FILES: usize = 64;
/// Connections that are taken however few files the operating system allows.
const LEAST: usize = 16;

/// Accepts connections until it is told to stop.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) router: Router,
    pub(super) seats: Arc<Seats>,
    pub(super) stop: Arc<Stop>,
    pub(super) tasks: TaskTracker,
}

impl Acceptor {
    /// Accepts. Nothing that happens to one connection, or to the operating system, ends this.
    pub(super) async fn run(self, listener: TcpListener) {
        let failing = Seldom::default();
        loop {
            let accepted = tokio::select! {
                () = self.stop.closing.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(times) = failing.say() {
                        tracing::error!(
                            %error,
                            times,
                            open = self.seats.open(),
                            "no connection can be accepted now; accepting goes on. If too many files are open, raise the limit \
                             (ulimit -n, LimitNOFILE=) or lower connections.max"
                        );
                    }
                    self.seats.make_room();
                    tokio::select! {
                        () = self.stop.closing.cancelled() => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(seat) = self.seats.admit(peer) else { return };
        // An event goes out as it is written. Without either option the connection is as good as the system makes it.
        let alive = TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_EVERY).with_retries(ALIVE_TRIES);
        if let Err(error) = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&alive)) {
            tracing::debug!(%peer, %error, "a connection could not be set up as it should be");
        }
        let (router, stop) = (self.router.clone(), Arc::clone(&self.stop));
        self.tasks.spawn(async move {
            let (limits, pulse) = (Arc::clone(&seat.seats.limits), Arc::clone(&seat.pulse));
            connection(stream, peer, router, limits, pulse, stop).await;
            drop(seat);
        });
    }
}

/// The peer gave up before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Who is connected.
pub(super) struct Seats {
    limits: Arc<Connections>,
    /// `connections.max`, or what the operating system allows.
    most: usize,
    proxies: Proxies,
    taken: Mutex<Taken>,
    full: Seldom,
    crowded: Seldom,
}

#[derive(Default)]
struct Taken {
    last: u64,
    open: HashMap<u64, Arc<Pulse>>,
    /// How many of them make room for others.
    leaving: usize,
    networks: HashMap<Network, usize>,
}

/// One connection's place, free again when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    network: Option<Network>,
    pulse: Arc<Pulse>,
}

impl Seats {
    /// Places for as many connections as the settings say, and the operating system.
    pub(super) fn new(limits: Connections, proxies: Proxies, database_files: u32) -> Self {
        let others = usize::try_from(database_files).unwrap_or(usize::MAX).saturating_add(OTHER_FILES);
        let most = match open_files() {
            Some(files) if files < limits.max.saturating_add(others) => {
                let most = files.saturating_sub(others).max(LEAST).min(limits.max);
                tracing::info!(
                    files,
                    connections = most,
                    "the operating system lets this process open fewer files than connections.max needs; so many connections \
                     are taken at a time (raise it with ulimit -n or LimitNOFILE=)"
                );
                most
            }
            Some(_) | None => limits.max,
        };
        Self {
            limits: Arc::new(limits),
            most,
            proxies,
            taken: Mutex::default(),
            full: Seldom::default(),
            crowded: Seldom::default(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> usize {
        self.taken().open.len()
    }

    /// A place for a connection from `peer`. When all are taken, the one that has been idle longest makes room.
    fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<Seat> {
        let of_proxy = self.proxies.list(peer.ip());
        let network = (!of_proxy).then(|| Network::of(peer.ip()));
        let mut taken = self.taken();
        if let Some(network) = network
            && taken.networks.get(&network).is_some_and(|count| *count >= self.limits.max_per_network)
        {
            drop(taken);
            if let Some(times) = self.crowded.say() {
                tracing::warn!(
                    %network,
                    times,
                    limit = self.limits.max_per_network,
                    "connections refused: connections.max_per_network are open from one network; if it is your proxy's, list \
                     it in limits.trusted_proxies"
                );
            }
            return None;
        }
        if taken.staying() >= self.most && !taken.make_room() {
            let open = taken.staying();
            drop(taken);
            if let Some(times) = self.full.say() {
                tracing::warn!(%peer, times, open, "connections refused: connections.max are open, all of them busy");
            }
            return None;
        }
        taken.last += 1;
        let (number, pulse) = (taken.last, Arc::new(Pulse::new(of_proxy)));
        taken.open.insert(number, Arc::clone(&pulse));
        if let Some(network) = network {
            *taken.networks.entry(network).or_default() += 1;
        }
        Some(Seat { seats: Arc::clone(self), number, network, pulse })
    }

    /// Ends the connection that has been idle longest, if any is.
    fn make_room(&self) {
        self.taken().make_room();
    }

    /// Tells all connections what to do.
    pub(super) fn order(&self, order: Order) {
        self.taken().open.values().for_each(|pulse| pulse.order(order));
    }
}

impl Taken {
    fn staying(&self) -> usize {
        self.open.len().saturating_sub(self.leaving)
    }

    /// Strangers go before proxies: behind one connection of a proxy there are many people.
    fn make_room(&mut self) -> bool {
        let staying = self.open.values().filter(|pulse| !pulse.is_leaving());
        let idle = staying.filter_map(|pulse| Some((pulse.of_proxy, pulse.idle_since()?, pulse)));
        let Some((_, _, pulse)) = idle.min_by_key(|(of_proxy, since, _)| (*of_proxy, *since)) else { return false };
        pulse.order(Order::Leave);
        self.leaving += 1;
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.open.remove(&self.number);
        if self.pulse.is_leaving() {
            taken.leaving = taken.leaving.saturating_sub(1);
        }
        if let Some(network) = self.network
            && let Some(count) = taken.networks.get_mut(&network)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.networks.remove(&network);
            }
        }
    }
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats").field("most", &self.most).field("open", &self.open()).finish_non_exhaustive()
    }
}

/// Something that is said now and then, however often it happens.
#[derive(Debug, Default)]
struct Seldom {
    times: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Seldom {
    /// How often it happened since it was said last, if it is time to say it again.
    fn say(&self) -> Option<u64> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.is_some_and(|said| now.duration_since(said) < SAY_EVERY) {
            return None;
        }
        *said = Some(now);
        Some(self.times.swap(0, Ordering::Relaxed))
    }
}

/// How many files this process may open, where the system says so without `unsafe`.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    soft_limit(&limits)
}

fn soft_limit(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Seats, Seldom, soft_limit};
    use crate::config::Connections;
    use crate::request::address::Proxies;

    fn seats(max: usize, max_per_network: usize) -> Arc<Seats> {
        let limits = Connections {
            max,
            max_per_network,
            header_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            header_bytes: 8192,
        };
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap()], "x-forwarded-for").unwrap();
        let mut seats = Seats::new(limits, proxies, 0);
        seats.most = max;
        Arc::new(seats)
    }

    fn from(address: &str) -> std::net::SocketAddr {
        format!("{address}:1").parse().unwrap()
    }

    #[test]
    fn a_network_has_so_many_connections_and_a_proxy_as_many_as_there_are() {
        let seats = seats(10, 2);
        let [one, _two] = [1, 2].map(|_| seats.admit(from("192.0.2.1")).unwrap());
        let _busy = one.pulse.begins(false);
        assert!(seats.admit(from("192.0.2.1")).is_none());
        assert!(seats.admit(from("[::ffff:192.0.2.1]")).is_none());
        let _other = seats.admit(from("192.0.2.2")).unwrap();
        // One network: the /56 of a household.
        let _three = [1, 2].map(|n| seats.admit(from(&format!("[2001:db8::{n}]"))).unwrap());
        assert!(seats.admit(from("[2001:db8:0:7f::9]")).is_none());
        let _proxied: Vec<_> = (0..4).map(|_| seats.admit(from("10.0.0.1")).unwrap()).collect();
        drop(one);
        assert!(seats.admit(from("192.0.2.1")).is_some());
        assert_eq!(seats.taken().networks.len(), 3);
    }

    #[test]
    fn the_longest_idle_makes_room_and_busy_ones_stay() {
        let seats = seats(3, 10);
        let proxied = seats.admit(from("10.0.0.1")).unwrap();
        let first = seats.admit(from("192.0.2.1")).unwrap();
        let second = seats.admit(from("192.0.2.2")).unwrap();
        let busy = first.pulse.begins(false);
        // The stranger that is idle goes before the proxy that has been so for longer.
        let third = seats.admit(from("192.0.2.3")).unwrap();
        let here = |seat: &super::Seat| !seat.pulse.is_leaving();
        assert!(here(&proxied) && here(&first) && !here(&second) && here(&third));
        let _busy_too = third.pulse.begins(false);
        let fourth = seats.admit(from("192.0.2.4")).unwrap();
        assert!(!here(&proxied) && here(&fourth));
        let _all_busy = fourth.pulse.begins(true);
        assert!(seats.admit(from("192.0.2.5")).is_none());
        drop(busy);
        let fifth = seats.admit(from("192.0.2.5")).unwrap();
        assert!(!here(&first) && here(&fifth));
        drop([proxied, first, second, third, fourth, fifth]);
        let taken = seats.taken();
        assert_eq!((taken.open.len(), taken.leaving, taken.networks.len()), (0, 0, 0));
    }

    #[test]
    fn a_trouble_is_said_once_in_a_while() {
        let seldom = Seldom::default();
        assert_eq!(seldom.say(), Some(1));
        assert_eq!([1, 2, 3].map(|_| seldom.say()), [None; 3]);
    }

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max processes             100                  200                  processes\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(soft_limit("Max open files            unlimited            unlimited            files\n"), None);
    }
}
