//! Name, connection, certificate, address, clock.

use std::net::IpAddr;

use oauth::special_use::special_use;
use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::doctor::certificate::not_after;
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::Observations;
use crate::doctor::reply::{Answer, NoReply, Reply, in_words};

/// Certificates are renewed a month ahead; one with less than this left is being forgotten.
const RENEW_DAYS: i64 = 14;
/// What signed assertions and short-lived tokens forgive.
const SKEW_NOTICED: i64 = 60;
/// What no assertion forgives: they live five minutes.
const SKEW_BREAKS: i64 = 300;

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    if let Err(missed) = &seen.first {
        return vec![unreached(seen, missed)];
    }
    if is_server_away(seen) {
        return vec![Finding::breaks(
            "server-away",
            format!(
                "something answers at {} with {}: it can't reach the server behind it",
                seen.target.origin(),
                in_words(&seen.first)
            ),
            "an answer of the server itself",
            "See that the server runs (`portcullis health` on its machine) and that the proxy passes requests to the address of its `listen` setting.",
        )];
    }
    [https(seen), address(seen), ipv4(seen), certificate(seen), plain(seen), clock(seen)]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether only a proxy answers, with nobody behind it.
pub(super) fn is_server_away(seen: &Observations) -> bool {
    let lonely = |reply: &Reply| reply.as_ref().is_ok_and(Answer::is_from_a_lonely_proxy);
    lonely(&seen.first) && seen.challenges.iter().all(|probe| lonely(&probe.reply))
}

fn unreached(seen: &Observations, missed: &NoReply) -> Finding {
    let host = seen.target.host();
    let place = format!("{host} port {}", seen.target.port());
    match missed {
        NoReply::Name(why) => Finding::breaks(
            "name-not-resolved",
            format!("the name {host} leads to no address ({why})"),
            "an A record (and an AAAA record, if you like) for the name",
            "Make the DNS record, check the spelling, and wait until the old answer has run out.",
        ),
        NoReply::Connection(why) => Finding::breaks(
            "no-connection",
            format!("nothing accepts a connection at {place} ({why})"),
            "a server or a reverse proxy that listens there",
            "See that the reverse proxy (or Portcullis itself: `listen`) runs, and that firewall, router and security group let the port in.",
        ),
        NoReply::Tls(why) => tls(&host, why),
        NoReply::Time => Finding::breaks(
            "no-answer",
            format!("{place} gives no answer within ten seconds"),
            "an answer within a second or so; hosted clients give up after ten",
            "A firewall that drops packets looks like this, and so does a proxy whose server behind it hangs: try from the server's own machine with `portcullis health`.",
        ),
        NoReply::Closed(why) => Finding::breaks(
            "connection-closed",
            format!("{place} accepts the connection and closes it without an answer ({why})"),
            "an HTTP answer",
            "Look whether the port speaks what the address says (https or http), and into the log of what listens there.",
        ),
    }
}

fn tls(host: &str, why: &str) -> Finding {
    let lower = why.to_ascii_lowercase().replace(' ', "");
    let expected = "a certificate for this name, from an authority that systems trust, with its whole chain";
    let finding = if lower.contains("expired") {
        Finding::breaks(
            "certificate-expired",
            format!("the certificate of {host} has expired ({why})"),
            expected,
            "Renew the certificate and reload what shows it; then find out why it was not renewed by itself.",
        )
    } else if lower.contains("notvalidforname") || lower.contains("notvalidfor") {
        Finding::breaks(
            "certificate-name",
            format!("the certificate is for another name than {host} ({why})"),
            expected,
            "Get a certificate for this name, or see which site the proxy takes when it does not know the name.",
        )
    } else if ["unknownissuer", "selfsigned", "causedasendentity", "badsignature"]
        .iter()
        .any(|word| lower.contains(word))
    {
        Finding::breaks(
            "certificate-untrusted",
            format!(
                "the certificate of {host} is from nobody whom systems trust: self-signed, of an own authority, or without its intermediate ({why})"
            ),
            expected,
            "Take a certificate of a public authority (Let's Encrypt) and show the full chain. For an authority of your own, examine with --ca-file; hosted clients will refuse it all the same.",
        )
    } else {
        Finding::breaks(
            "tls-failed",
            format!("TLS with {host} does not come about ({why})"),
            "TLS 1.2 or 1.3 with a certificate for this name",
            "See that the port speaks TLS at all and that the proxy has a certificate for this name.",
        )
    };
    finding.ways(front::TLS)
}

fn https(seen: &Observations) -> Option<Finding> {
    let loopback = seen.addresses.as_ref().is_some_and(|all| !all.is_empty() && all.iter().all(IpAddr::is_loopback));
    let name = seen.target.host();
    let literal = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let local = loopback || literal || name == "localhost" || name.ends_with(".localhost");
    (!seen.target.is_https() && !local).then(|| {
        Finding::breaks(
            "not-https",
            format!("{} is plain http", seen.target.origin()),
            "https: clients refuse http for anything but this machine, and tokens would be readable on the way",
            "Put a reverse proxy with a certificate in front and set public_url to its https address.",
        )
    })
}

fn address(seen: &Observations) -> Option<Finding> {
    let addresses = seen.addresses.as_ref()?;
    if seen.assume_public || addresses.is_empty() || addresses.iter().any(|address| is_public(*address)) {
        return None;
    }
    let where_from = if addresses.iter().all(IpAddr::is_loopback) { "this machine" } else { "its own network" };
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let finding = Finding::breaks(
        "address-not-public",
        format!("{} is reachable from {where_from} only ({})", seen.target.origin(), super::list(&texts)),
        "a public address: this client's servers call from the internet",
        "Give the server a public name with https (a reverse proxy or a tunnel) and set public_url to it. Clients on your own devices work as it is. If the name means another address elsewhere, add --assume-public.",
    );
    Some(finding.for_clients(Hurts::Remote, Hurts::Nobody))
}

fn ipv4(seen: &Observations) -> Option<Finding> {
    let addresses = seen.addresses.as_ref()?;
    let only_six =
        !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv6) && addresses.iter().any(|ip| is_public(*ip));
    (only_six && !seen.assume_public).then(|| {
        Finding::breaks(
            "no-ipv4",
            format!("{} has IPv6 addresses only", seen.target.host()),
            "an A record: Claude's servers call over IPv4",
            "Add an A record, or put a network in front that has IPv4.",
        )
        .for_clients(Hurts::only(&["claude"]), Hurts::Nobody)
    })
}

fn certificate(seen: &Observations) -> Option<Finding> {
    let end = not_after(seen.first.as_ref().ok()?.certificate.as_ref()?)?;
    let days = (end - seen.now.0).div_euclid(24 * 60 * 60);
    (days < RENEW_DAYS).then(|| {
        Finding::remark(
            "certificate-ends-soon",
            format!("the certificate ends in {} days", days.max(0)),
            "renewal a month before the end",
            "Renew it now and find out why it was not renewed by itself.",
        )
        .ways(front::TLS)
    })
}

/// Nothing on port 80 is fine, and so is a redirect to https.
fn plain(seen: &Observations) -> Option<Finding> {
    let answer = seen.plain.as_ref()?.as_ref().ok()?;
    (answer.status == 200 && answer.json().is_some()).then(|| {
        Finding::advice(
            "plain-http-open",
            "the server also answers over plain http on port 80".to_owned(),
            "a redirect to https, or nobody there",
            "Redirect port 80 to https as a whole: a client given the http address would send its token readable.",
        )
    })
}

/// The server's own clock where it tells it, else that of whoever answered.
fn clock(seen: &Observations) -> Option<Finding> {
    let told = seen.probe.as_ref().and_then(|reply| reply.as_ref().ok()?.json()?.get("time")?.as_i64());
    let theirs = told.or_else(|| http_date(seen.probe()?.header("date")?))?;
    let skew = theirs - seen.now.0;
    let (amount, direction) = (skew.abs(), if skew > 0 { "ahead of" } else { "behind" });
    (amount > SKEW_NOTICED).then(|| {
        let finding = Finding::remark(
            "clock-skew",
            format!("the server's clock is {amount} seconds {direction} this machine's"),
            "clocks that agree: tokens, codes and signed assertions live for minutes",
            "Run a time service (chrony, systemd-timesyncd) on both machines; which of the two is wrong can't be told from here.",
        );
        // Signed assertions of ChatGPT would be from the future, or over.
        if amount > SKEW_BREAKS { finding.for_clients(Hurts::only(&["chatgpt"]), Hurts::all_but(&["chatgpt"])) } else { finding }
    })
}

/// RFC 9110 §5.6.7.
fn http_date(text: &str) -> Option<i64> {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    Some(PrimitiveDateTime::parse(text, format).ok()?.assume_utc().unix_timestamp())
}

/// Whether an address is anybody's on the internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    special_use(address).is_none()
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn the_date_header_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
    }
}
