//! The endpoints that programs call: JSON at once, whatever is wrong with the request (D-22; A8, C7).

use super::list;
use oauth::text::shortened;

use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Observations, Posted};
use crate::doctor::reply::{Answer, Reply, in_words};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Redirected,
    Page,
    Unexpected,
}

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        [Fault::Redirected, Fault::Page, Fault::Unexpected].into_iter().filter_map(|kind| faulty(seen, kind)).collect();
    findings.extend([authorize(seen), limited(seen)].into_iter().flatten());
    findings.extend(registrations(seen));
    findings
}

fn fault(posted: &Posted) -> Option<Fault> {
    match &posted.reply {
        Ok(answer) if answer.is_redirect() => Some(Fault::Redirected),
        Ok(answer) if answer.is_html() => Some(Fault::Page),
        // A ceiling is a finding of its own.
        Ok(answer) if matches!(answer.status, 400 | 401 | 429) && answer.json().is_some() => None,
        Ok(_) | Err(_) => Some(Fault::Unexpected),
    }
}

fn faulty(seen: &Observations, kind: Fault) -> Option<Finding> {
    let hit: Vec<&Posted> = seen.endpoints.iter().filter(|posted| fault(posted) == Some(kind)).collect();
    let first = hit.first()?;
    let names: Vec<&str> = hit.iter().map(|posted| posted.path.as_str()).collect();
    let saw = format!("POST {}: {}", list(&names), in_words(&first.reply));
    let expected = "400 or 401 with JSON for a wrong request, at once";
    let (id, fix, ways) = match kind {
        Fault::Redirected => (
            "endpoint-redirected",
            "Let these paths through as they are: a POST that is redirected loses its body.",
            front::NO_REDIRECT,
        ),
        Fault::Page => (
            "endpoint-html",
            "A page or a filter in front answers in the server's place: let these paths through.",
            front::PASS_ALL,
        ),
        Fault::Unexpected => (
            "endpoint-unexpected",
            "Let these paths through to the server with every method; then see the server's log.",
            front::PASS_ALL,
        ),
    };
    let finding = Finding::breaks(id, saw, expected, fix).ways(ways);
    // Without revocation clients connect; only Disconnect leaves something behind.
    let only_revoke = hit.iter().all(|posted| posted.name == "revoke");
    Some(if only_revoke { finding.for_clients(Hurts::Nobody, Hurts::Everyone) } else { finding })
}

fn authorize(seen: &Observations) -> Option<Finding> {
    let reply = seen.authorize.as_ref()?;
    let good = reply.as_ref().is_ok_and(|answer| matches!(answer.status, 400 | 429) && answer.is_html());
    if good {
        return None;
    }
    let fix = "Let the authorization page and the sign-in pages through to the server: people sign in there.";
    let expected = "a page of the server that says what is wrong with the request (400)";
    let saw = format!("the authorization page, opened by a browser: {}", in_words(reply));
    let redirected = reply.as_ref().is_ok_and(Answer::is_redirect);
    let finding = if redirected {
        // Whoever passes the login in front gets to the page after all.
        Finding::remark("authorize-redirected", saw, expected, fix).ways(front::NO_LOGIN)
    } else {
        Finding::breaks("authorize-unexpected", saw, expected, fix).ways(front::PASS_ALL)
    };
    Some(finding)
}

fn limited(seen: &Observations) -> Option<Finding> {
    let busy = |reply: &Reply| reply.as_ref().is_ok_and(|answer| answer.status == 429);
    let hit: Vec<&str> =
        seen.endpoints.iter().filter(|posted| busy(&posted.reply)).map(|posted| posted.path.as_str()).collect();
    (!hit.is_empty()).then(|| {
        Finding::advice(
            "limited",
            format!("too many requests (429) at {}", list(&hit)),
            "room for the doctor's requests; nothing can be said about these endpoints",
            "Wait a minute and examine again. Behind a proxy set limits.trusted_proxies, or all people count as one.",
        )
    })
}

/// One finding for each reason: a policy refuses all alike.
fn registrations(seen: &Observations) -> Vec<Finding> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    let refused =
        seen.registrations.iter().filter(|(_, reply)| !reply.as_ref().is_ok_and(|answer| answer.status == 201));
    for (client, reply) in refused {
        let why = reply
            .as_ref()
            .ok()
            .and_then(|answer| Some(format!(": {}", shortened(answer.json()?.get("error_description")?.as_str()?))));
        let reason = format!("{}{}", in_words(reply), why.unwrap_or_default());
        match reasons.iter_mut().find(|(own, _)| *own == reason) {
            Some((_, clients)) => clients.push(client.clone()),
            None => reasons.push((reason, vec![client.clone()])),
        }
    }
    reasons
        .into_iter()
        .map(|(reason, clients)| {
            Finding::breaks(
                "registration-refused",
                format!("a registration as {} makes it: {reason}", list(&clients)),
                "201 (RFC 7591 §3.2.1)",
                "The reason is in the answer; see [registration] in the configuration.",
            )
            .for_clients(Hurts::Only(clients), Hurts::Nobody)
        })
        .collect()
}
