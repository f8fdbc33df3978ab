//! What happens on the way in and out: headers that get lost, filters, streams that are collected (E1, E3, E7).

use std::time::Duration;

use super::list;
use oauth::text::shortened;

use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::gather::EVENTS_APART;
use crate::doctor::observations::Observations;
use crate::doctor::reply::{Answer, Reply, in_words};

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    [
        authorization(seen),
        bearer(seen),
        agents(seen),
        buffered(seen),
        compressed(seen),
        host(seen),
        scheme(seen),
        all_as_one(seen),
        no_probe(seen),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn answered(reply: Option<&Reply>) -> Option<&Answer> {
    reply?.as_ref().ok()
}

fn probe(seen: &Observations) -> Option<serde_json::Value> {
    answered(seen.probe.as_ref())
        .filter(|answer| answer.status == 200)?
        .json()
        .filter(|body| body.get("authorization").is_some())
}

fn authorization(seen: &Observations) -> Option<Finding> {
    let lost_on_mcp =
        answered(seen.bearer.as_ref()).and_then(Answer::error).as_deref() == Some("no_authorization_header");
    let lost_on_probe = probe(seen).is_some_and(|body| body.get("authorization") == Some(&false.into()));
    let saw = match (lost_on_mcp, lost_on_probe) {
        (false, false) => return None,
        (true, true) => "the Authorization header was sent and did not arrive, neither at the MCP path nor at /probe",
        (true, false) => "the Authorization header was sent and did not arrive at the MCP path (at /probe it did)",
        (false, true) => "the Authorization header was sent and did not arrive at /probe",
    };
    let finding = Finding::breaks(
        "authorization-stripped",
        saw.to_owned(),
        "the header as it was sent: it carries the token; clients would sign in and then be refused for ever",
        "Have the proxy pass the Authorization header on.",
    )
    .ways(front::AUTHORIZATION);
    Some(if lost_on_mcp { finding } else { finding.for_clients(Hurts::Nobody, Hurts::Everyone) })
}

/// A token changes what somebody in front does with the request.
fn bearer(seen: &Observations) -> Option<Finding> {
    let reply = seen.bearer.as_ref()?;
    let plain = seen.probe().is_some_and(|answer| answer.status == 401);
    let good = reply.as_ref().is_ok_and(|answer| answer.status == 401 && answer.error().is_some());
    (plain && !good).then(|| {
        Finding::breaks(
            "bearer-intercepted",
            format!("a request with a token: {}; without one it reaches the server", in_words(reply)),
            "the server's own answer, 401 (invalid_token)",
            "Something in front looks at tokens itself: take it off the MCP path.",
        )
        .ways(front::NO_LOGIN)
    })
}

fn agents(seen: &Observations) -> Option<Finding> {
    // Only against a plain answer that is good.
    seen.probe().filter(|answer| answer.status == 401)?;
    let blocked: Vec<_> =
        seen.agents.iter().filter(|(_, reply)| !reply.as_ref().is_ok_and(|answer| answer.status == 401)).collect();
    let (_, example) = blocked.first()?;
    let words: Vec<&str> = blocked.iter().map(|(agent, _)| agent.word.as_str()).collect();
    let clients: Vec<String> = blocked.iter().flat_map(|(agent, _)| agent.clients.iter().cloned()).collect();
    let finding = Finding::breaks(
        "agent-blocked",
        format!(
            "requests that call themselves {} are stopped: {}; the same request under another name reaches the server",
            list(&words),
            in_words(example)
        ),
        "the same answer whatever the User-Agent says",
        "A bot filter, a firewall (WAF) or a block list in front stops these clients: exempt this host from it.",
    )
    .ways(front::BOTS);
    // What no known client says is blocked at nobody's cost but an unknown one's.
    let finding = if clients.is_empty() {
        finding.for_clients(Hurts::Nobody, Hurts::Nobody)
    } else {
        finding.for_clients(Hurts::Only(clients), Hurts::Nobody)
    };
    Some(finding)
}

fn stream(seen: &Observations) -> Option<(&Answer, Duration)> {
    let (reply, apart) = seen.stream.as_ref()?;
    let answer = reply.as_ref().ok().filter(|answer| answer.status == 200)?;
    Some((answer, *apart))
}

fn is_compressed(answer: &Answer) -> bool {
    answer.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
}

fn buffered(seen: &Observations) -> Option<Finding> {
    let (answer, apart) = stream(seen)?;
    let of_ours = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    (of_ours && apart < EVENTS_APART).then(|| {
        Finding::remark(
            "stream-buffered",
            format!("three events that were sent 0.3 s apart arrived within {} ms", apart.as_millis()),
            "each event as it is sent: a stream that is collected looks dead to clients, and they give up",
            "Switch collecting (buffering) of answers off for this host.",
        )
        .ways(front::STREAM)
    })
}

fn compressed(seen: &Observations) -> Option<Finding> {
    let (answer, _) = stream(seen)?;
    is_compressed(answer).then(|| {
        Finding::remark(
            "stream-compressed",
            format!("the event stream arrives compressed ({})", answer.header("content-encoding").unwrap_or_default()),
            "event streams as they are: compression collects them",
            "Leave text/event-stream out of compression.",
        )
        .ways(front::STREAM)
    })
}

/// The request is let in because the name that arrives is one of this machine, which no stranger can claim.
fn host(seen: &Observations) -> Option<Finding> {
    let arrived = probe(seen)?.get("host")?.as_str()?.to_ascii_lowercase();
    let lost = arrived != seen.target.authority() && seen.probe().is_some_and(|answer| answer.status == 401);
    lost.then(|| {
        Finding::advice(
            "host-replaced",
            format!("the server sees Host: {}", shortened(&arrived)),
            &format!("Host: {}", seen.target.authority()),
            "Have the proxy pass the original Host header on: the check against DNS rebinding then has something to check.",
        )
        .ways(front::HOST)
    })
}

fn scheme(seen: &Observations) -> Option<Finding> {
    let said = probe(seen)?.get("forwarded_proto")?.as_str()?.to_owned();
    (seen.target.is_https() && !said.eq_ignore_ascii_case("https")).then(|| {
        Finding::advice(
            "forwarded-proto",
            format!("your proxy sends X-Forwarded-Proto: {} for an https request", shortened(&said)),
            "https. Portcullis takes its addresses from public_url and does not mind; other servers behind the same proxy do",
            "Have each proxy pass the scheme on that the browser used.",
        )
        .ways(front::SCHEME)
    })
}

/// The server says itself whether it believes the headers by which proxies say for whom they pass a request on; one that
/// doesn't is judged by the network that it sees.
fn all_as_one(seen: &Observations) -> Option<Finding> {
    let body = probe(seen)?;
    let text = |member: &str| body.get(member).and_then(serde_json::Value::as_str);
    let network = text("network")?;
    let (saw, fix) = match text("forwarded") {
        Some("unlisted") => (
            format!("your proxy says for whom it passes requests on and is not believed: all count as {}", shortened(network)),
            "Name the address from which the proxy connects to the server in limits.trusted_proxies, and restart the server; \
             its log says the address.",
        ),
        Some("missing") => (
            "your proxy is listed in limits.trusted_proxies, and the header that counts does not arrive: another one does".to_owned(),
            "Name the header that the proxy itself sets in limits.forwarded_header, or have the proxy set that one.",
        ),
        Some("unreadable") => (
            "the header by which your proxies say for whom they pass requests on holds something that is no address".to_owned(),
            "Have every proxy in the chain write addresses, in the form of X-Forwarded-For or of Forwarded (RFC 7239).",
        ),
        _ => {
            // Only where the internet comes in: on one's own network the caller is where the limits say.
            let is_public = super::reach::is_public;
            let network = network.parse().ok()?;
            let forwarded = body.get("forwarded_for") == Some(&true.into());
            let outside = seen.addresses.as_ref().is_some_and(|all| all.iter().any(|address| is_public(*address)));
            if !forwarded || !outside || is_public(network) {
                return None;
            }
            (
                format!("the server counts you as {network}, which is a proxy's address"),
                "Name every proxy's address in limits.trusted_proxies.",
            )
        }
    };
    let expected = "the caller's own network: else all people share one limit, and a few typing errors or one flood lock \
                    everybody out";
    Some(Finding::remark("all-count-as-one", saw, expected, fix).ways(front::FORWARDED))
}

fn no_probe(seen: &Observations) -> Option<Finding> {
    let reply = seen.probe.as_ref()?;
    // Where the filter for tokens or a ceiling stopped it, that has been said.
    (probe(seen).is_none() && seen.probe().is_some_and(|answer| answer.status == 401)).then(|| {
        Finding::advice(
            "probe-away",
            format!("/probe: {}", in_words(reply)),
            "the server's own answer: the doctor reads there what arrives",
            "Pass /probe and /probe/stream on to the server; lost headers and collected streams else can't be told.",
        )
        .ways(front::PASS_ALL)
    })
}
