//! From which network a request comes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use ipnet::IpNet;

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

    /// The network of a request. `X-Forwarded-For` is believed only as far as configured proxies wrote it: from
    /// its right end, the first address that is no such proxy.
    pub(crate) fn of_request(parts: &Parts, trusted_proxies: &[IpNet]) -> Self {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip().to_canonical());
        let trusted = |address: &IpAddr| trusted_proxies.iter().any(|proxy| proxy.contains(address));
        let mut client = peer;
        if trusted(&peer) {
            let hops = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
            let hops: Vec<IpAddr> = hops
                .flat_map(|value| value.split(','))
                .map_while(|hop| hop.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical()))
                .collect();
            for hop in hops.into_iter().rev() {
                client = hop;
                if !trusted(&hop) {
                    break;
                }
            }
        }
        Self::of(client)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Network;
    use axum::extract::ConnectInfo;
    use axum::http::Request;
    use std::net::SocketAddr;

    fn network(peer: &str, forwarded: Option<&str>) -> String {
        let mut request = Request::builder();
        if let Some(value) = forwarded {
            request = request.header("x-forwarded-for", value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        Network::of_request(&parts, &["10.0.0.0/8".parse().unwrap()]).to_string()
    }

    /// B-21: no trust in headers.
    #[test]
    fn forwarded_addresses_are_believed_only_from_configured_proxies() {
        assert_eq!(network("203.0.113.9:1", Some("198.51.100.1")), "203.0.113.9");
        assert_eq!(network("10.0.0.1:1", Some("198.51.100.1")), "198.51.100.1");
        assert_eq!(network("10.0.0.1:1", Some("1.1.1.1, 198.51.100.1, 10.0.0.2")), "198.51.100.1");
        assert_eq!(network("10.0.0.1:1", Some("garbage")), "10.0.0.1");
        assert_eq!(network("10.0.0.1:1", None), "10.0.0.1");
        assert_eq!(network("[2001:db8:1:2345::1]:1", None), "2001:db8:1:2300::");
        assert_eq!(network("[::ffff:203.0.113.9]:1", None), "203.0.113.9");
    }
}
