//! From which network a request comes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ConnectInfo;
use axum::http::header::{FORWARDED, HeaderName, InvalidHeaderName};
use axum::http::request::Parts;
use ipnet::IpNet;

use super::forwarded::{Form, hops};

/// Headers by which proxies say for whom they pass a request on, whether they are believed here or not.
const KNOWN: [&str; 9] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "fly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-azure-clientip",
];

/// The network that a request comes from: an IPv4 address, or the /56 that one household or machine gets in
/// IPv6. The unit in which limits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 72 << 72))),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What came of the headers by which proxies say for whom they pass a request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// None came.
    None,
    /// The one that counts was believed.
    Believed,
    /// The peer is not listed as a proxy: nothing that it says is believed.
    Unlisted,
    /// The peer is listed, and wrote another header than the one that counts.
    Missing,
    /// The peer is listed, and what it wrote can't be read.
    Unreadable,
}

impl Forwarding {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Believed => "believed",
            Self::Unlisted => "unlisted",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The proxies that are believed, and the one header in which they are. Clones share what has been warned of.
#[derive(Clone, Debug)]
pub(crate) struct Proxies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trusted: Vec<IpNet>,
    header: HeaderName,
    form: Form,
    /// Which troubles the log has been told of.
    told: [AtomicBool; 3],
}

impl Proxies {
    /// Proxies at these addresses, which write `header`. Nobody is trusted unlisted, loopback neither: any program of this
    /// machine, and a proxy that strangers come through, connect from there.
    ///
    /// # Errors
    /// When `header` is no name of a header.
    pub(crate) fn new(trusted: &[IpNet], header: &str) -> Result<Self, InvalidHeaderName> {
        let header = HeaderName::try_from(header)?;
        let form = if header == FORWARDED { Form::Forwarded } else { Form::List };
        Ok(Self(Arc::new(Inner { trusted: trusted.to_vec(), header, form, told: Default::default() })))
    }

    /// No proxies.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(&[], "x-forwarded-for").unwrap()
    }

    /// Whether a listed proxy has this address.
    pub(crate) fn list(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.trusted.iter().any(|proxy| proxy.contains(&address))
    }

    /// The network that a request comes from. Proxies that aren't set up right are said in the log, once.
    pub(crate) fn network_of(&self, parts: &Parts) -> Network {
        let (address, forwarding) = self.client_of(parts);
        self.warn(parts, forwarding);
        Network::of(address)
    }

    /// The address that a request comes from: from the right end of the header, the first that is no listed proxy's.
    /// Everything left of it can be made up by whoever is there. A hop that can't be read ends the walk as well, and the
    /// last one that could be read counts.
    pub(crate) fn client_of(&self, parts: &Parts) -> (IpAddr, Forwarding) {
        let peer = peer_of(parts);
        let said = |name: &HeaderName| parts.headers.contains_key(name);
        let any = || KNOWN.iter().any(|name| parts.headers.contains_key(*name)) || said(&self.0.header);
        if !self.list(peer) {
            return (peer, if any() { Forwarding::Unlisted } else { Forwarding::None });
        }
        if !said(&self.0.header) {
            return (peer, if any() { Forwarding::Missing } else { Forwarding::None });
        }
        let mut client = peer;
        for hop in hops(self.0.form, &parts.headers.get_all(&self.0.header)) {
            let Some(hop) = hop else { return (client, Forwarding::Unreadable) };
            client = hop;
            if !self.list(hop) {
                break;
            }
        }
        (client, Forwarding::Believed)
    }

    /// Once for each kind of trouble: a line for each request would be a flood, and strangers can make such requests.
    fn warn(&self, parts: &Parts, forwarding: Forwarding) {
        let kind = match forwarding {
            Forwarding::None | Forwarding::Believed => return,
            Forwarding::Unlisted => 0,
            Forwarding::Missing => 1,
            Forwarding::Unreadable => 2,
        };
        if self.0.told.get(kind).is_none_or(|told| told.load(Ordering::Relaxed) || told.swap(true, Ordering::Relaxed)) {
            return;
        }
        let (peer, believed) = (peer_of(parts), &self.0.header);
        let came = KNOWN.into_iter().find(|name| parts.headers.contains_key(*name)).unwrap_or(believed.as_str());
        match forwarding {
            Forwarding::Unlisted => tracing::warn!(
                %peer,
                header = came,
                "a request says for whom it is passed on and is not believed: limits.trusted_proxies doesn't list the peer; \
                 if it is your proxy, list it, because all people behind it now count as one for the limits and for failed \
                 sign-ins; if it is not, somebody made the header up (said once)"
            ),
            Forwarding::Missing => tracing::warn!(
                %peer,
                header = came,
                %believed,
                "a listed proxy writes another header than the one that limits.forwarded_header names: all people behind it \
                 count as one; name the header that the proxy itself sets, never one that it only passes on (said once)"
            ),
            Forwarding::None | Forwarding::Believed | Forwarding::Unreadable => tracing::warn!(
                %peer,
                %believed,
                "an address in the header that limits.forwarded_header names can't be read: the last proxy that could be read \
                 counts as the caller (said once)"
            ),
        }
    }
}

fn peer_of(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use axum::extract::ConnectInfo;
    use axum::http::request::Parts;
    use axum::http::{HeaderName, HeaderValue, Request};
    use proptest::prelude::*;

    use super::{Forwarding, KNOWN, Network, Proxies};

    fn request(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (name, value) in headers {
            let (name, value) =
                (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
            parts.headers.append(name, value);
        }
        parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        parts
    }

    /// Proxies in `10.0.0.0/8` and `2001:db8:a::/48` that write this header.
    fn proxies(header: &str) -> Proxies {
        Proxies::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8:a::/48".parse().unwrap()], header).unwrap()
    }

    fn seen(header: &str, peer: &str, headers: &[(&str, &str)]) -> (String, Forwarding) {
        let (address, forwarding) = proxies(header).client_of(&request(peer, headers));
        (Network::of(address).to_string(), forwarding)
    }

    fn network(peer: &str, forwarded: &str) -> String {
        seen("X-Forwarded-For", peer, &[("x-forwarded-for", forwarded)]).0
    }

    /// B-21: no trust in headers.
    #[test]
    fn forwarded_addresses_are_believed_only_from_configured_proxies() {
        for peer in ["203.0.113.9:1", "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "192.168.0.1:1"] {
            for header in KNOWN {
                let (found, forwarding) = seen("X-Forwarded-For", peer, &[(header, "198.51.100.1")]);
                let peer: SocketAddr = peer.parse().unwrap();
                assert_eq!(
                    (found, forwarding),
                    (Network::of(peer.ip()).to_string(), Forwarding::Unlisted),
                    "{peer} {header}"
                );
            }
        }
        assert_eq!(network("10.0.0.1:1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(network("[::ffff:10.0.0.1]:1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(network("10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(
            network("10.0.0.1:1", "1.1.1.1, 198.51.100.1:80, [2001:db8:a::7]:80, ::ffff:10.0.0.2"),
            "198.51.100.1"
        );
        assert_eq!(network("10.0.0.1:1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
        assert_eq!(seen("X-Forwarded-For", "10.0.0.1:1", &[]), ("10.0.0.1".to_owned(), Forwarding::None));
        assert_eq!(seen("X-Forwarded-For", "[2001:db8:1:2345::1]:1", &[]).0, "2001:db8:1:2300::");
        assert_eq!(seen("X-Forwarded-For", "[::ffff:203.0.113.9]:1", &[]).0, "203.0.113.9");
    }

    /// An entry that can't be read is never skipped: what stands left of it is the client's own writing.
    #[test]
    fn an_unreadable_hop_ends_the_walk_at_the_last_one_that_could_be_read() {
        for bad in ["x", "", "unknown", "_hidden", "unix:", "198.51.100.256", "198.51.100.1:", "\"198.51.100.1", "é"] {
            let read = |text: String| seen("X-Forwarded-For", "10.0.0.1:1", &[("x-forwarded-for", &text)]);
            assert_eq!(read(bad.to_owned()), ("10.0.0.1".to_owned(), Forwarding::Unreadable), "{bad}");
            assert_eq!(read(format!("198.51.100.7, {bad}")), ("10.0.0.1".to_owned(), Forwarding::Unreadable), "{bad}");
            assert_eq!(
                read(format!("198.51.100.7, {bad}, 10.0.0.2")),
                ("10.0.0.2".to_owned(), Forwarding::Unreadable),
                "{bad}"
            );
            assert_eq!(
                read(format!("198.51.100.7, {bad}, 198.51.100.1")),
                ("198.51.100.1".to_owned(), Forwarding::Believed),
                "{bad}"
            );
        }
    }

    /// A proxy that writes one header passes the others on as a client wrote them.
    #[test]
    fn one_header_is_believed_and_all_others_are_ignored() {
        for believed in KNOWN {
            let own = if believed == "forwarded" { "for=198.51.100.1" } else { "198.51.100.1" };
            let mut headers = vec![(believed, own)];
            headers.extend(
                KNOWN.into_iter().filter(|name| *name != believed).map(|name| (name, "for=192.0.2.66, 192.0.2.66")),
            );
            assert_eq!(
                seen(believed, "10.0.0.1:1", &headers),
                ("198.51.100.1".to_owned(), Forwarding::Believed),
                "{believed}"
            );
            let others = &headers[1..];
            assert_eq!(
                seen(believed, "10.0.0.1:1", others),
                ("10.0.0.1".to_owned(), Forwarding::Missing),
                "{believed}"
            );
        }
        assert_eq!(seen("My-Client", "10.0.0.1:1", &[("my-client", "198.51.100.1")]).0, "198.51.100.1");
        assert_eq!(seen("My-Client", "10.0.0.1:1", &[("x-forwarded-for", "198.51.100.1")]).0, "10.0.0.1");
    }

    proptest! {
        /// Whatever a client writes, readable or not, in one line or many, it counts as itself.
        #[test]
        fn no_prefix_that_a_client_writes_changes_who_it_is(
            written in proptest::collection::vec("[ -~\t]{0,30}|(192\\.0\\.2\\.[1-9](, ?|;)?){1,3}", 0..4),
            hops in 0_usize..3,
            forwarded in any::<bool>(),
            joined in any::<bool>(),
        ) {
            let (name, client) = if forwarded { ("forwarded", "for=198.51.100.1;proto=https") } else { ("x-forwarded-for", "198.51.100.1") };
            let inner = ["10.0.0.2", "[2001:db8:a::1]:80"].map(|hop| if forwarded { format!("by=_x;for=\"{hop}\"") } else { hop.to_owned() });
            let added = [&[client.to_owned()], &inner[..hops.min(2)]].concat().join(", ");
            let mut lines = written.clone();
            match lines.last_mut() {
                Some(last) if joined => *last = format!("{last}, {added}"),
                _ => lines.push(added),
            }
            let headers: Vec<_> = lines.iter().map(|line| (name, line.as_str())).collect();
            let (found, _) = proxies(name).client_of(&request("10.0.0.1:1", &headers));
            prop_assert_eq!(found, "198.51.100.1".parse::<IpAddr>().unwrap());
        }
    }
}
