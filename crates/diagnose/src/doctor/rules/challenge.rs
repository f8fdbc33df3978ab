//! The 401 with which everything begins (D-23…D-29; A3, A8).

use oauth::metadata::{PROTECTED_RESOURCE, well_known_paths};
use oauth::text::shortened;

use super::list;
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{ChallengeProbe, Observations};
use crate::doctor::reply::{Answer, in_words};

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        [redirected(seen), refused_host(seen), not_401(seen), missing(seen)].into_iter().flatten().collect();
    if let Some(answer) = seen.probe().filter(|answer| answer.status == 401) {
        if answer.header("www-authenticate").is_some() {
            findings.extend([form(answer), pointer(seen, answer)].into_iter().flatten());
        }
        findings.extend(reason(answer));
    }
    findings
}

/// A parameter of a challenge, found as clients find it: by searching the text.
pub(super) fn parameter(challenge: &str, name: &str) -> Option<String> {
    let (_, rest) = challenge.split_once(&format!("{name}="))?;
    match rest.strip_prefix('"') {
        Some(quoted) => Some(quoted.split_once('"')?.0.to_owned()),
        None => Some(rest.split([',', ' ']).next().unwrap_or_default().to_owned()),
    }
}

fn tell(probe: &ChallengeProbe) -> String {
    format!("{} {}: {}", probe.what, probe.path, in_words(&probe.reply))
}

fn with<'a>(seen: &'a Observations, holds: impl Fn(&Answer) -> bool + 'a) -> Vec<&'a ChallengeProbe> {
    seen.challenges.iter().filter(|probe| probe.reply.as_ref().is_ok_and(&holds)).collect()
}

fn redirected(seen: &Observations) -> Option<Finding> {
    let hit = with(seen, Answer::is_redirect);
    let first = hit.iter().find(|probe| probe.exact).or_else(|| hit.first())?;
    let slash = hit.iter().all(|probe| {
        let location = probe.reply.as_ref().ok().and_then(|answer| answer.header("location")).unwrap_or_default();
        location.trim_end_matches('/').ends_with(probe.path.trim_end_matches('/'))
    });
    let (fix, ways) = if slash {
        (
            "Serve the MCP path with and without a slash, without a redirect: a POST loses its body or its token on the way, and clients see another resource.",
            front::NO_REDIRECT,
        )
    } else {
        (
            "A login or a redirect in front answers in the server's place: let the MCP path through to the server, which has its own login.",
            front::NO_LOGIN,
        )
    };
    let finding =
        Finding::breaks("mcp-redirected", tell(first), "401 with WWW-Authenticate, at once and at both spellings", fix)
            .ways(ways);
    Some(if hit.iter().any(|probe| probe.exact) {
        finding
    } else {
        finding.for_clients(Hurts::Nobody, Hurts::Everyone)
    })
}

fn is_refused_host(answer: &Answer) -> bool {
    matches!(answer.error().as_deref(), Some("host_not_allowed" | "invalid_host"))
}

fn refused_host(seen: &Observations) -> Option<Finding> {
    let hit = with(seen, is_refused_host);
    let first = hit.first()?;
    Some(
        Finding::breaks(
            "host-rewritten",
            format!("{}: the request reached the server under another host name", tell(first)),
            &format!("Host: {}", seen.target.authority()),
            "Have the proxy pass the original Host header on, or list the name that it sends in mcp.allowed_hosts.",
        )
        .ways(front::HOST),
    )
}

fn not_401(seen: &Observations) -> Option<Finding> {
    let hit: Vec<&ChallengeProbe> = seen
        .challenges
        .iter()
        .filter(|probe| match &probe.reply {
            Ok(answer) => answer.status != 401 && !answer.is_redirect() && !is_refused_host(answer),
            Err(_) => true,
        })
        .collect();
    let first = hit.iter().find(|probe| probe.exact).or_else(|| hit.first())?;
    let told: Vec<String> = hit.iter().map(|probe| tell(probe)).collect();
    let missing = first.reply.as_ref().is_ok_and(|answer| answer.status == 404);
    let fix = if missing {
        "Check the path (the default is /mcp) and that the proxy passes it on, with and without a slash."
    } else {
        "Let every method at the MCP path through to the server, without a login, a filter or a page of your own."
    };
    let finding = Finding::breaks(
        "challenge-not-401",
        list(&told),
        "401 for every request without a token, before method and body are looked at: that is how clients find out that they must sign in",
        fix,
    )
    .ways(front::PASS_ALL);
    // Those that begin with a GET; all others POST.
    let gets = hit.iter().all(|probe| probe.what == "GET");
    Some(match (hit.iter().any(|probe| probe.exact), gets) {
        (false, _) => finding.for_clients(Hurts::Nobody, Hurts::Everyone),
        (true, true) => finding.for_clients(Hurts::only(&["codex"]), Hurts::all_but(&["codex"])),
        (true, false) => finding,
    })
}

fn missing(seen: &Observations) -> Option<Finding> {
    let hit = with(seen, |answer| answer.status == 401 && answer.header("www-authenticate").is_none());
    let first = hit.iter().find(|probe| probe.exact).or_else(|| hit.first())?;
    let finding = Finding::breaks(
        "challenge-missing",
        format!("{}, without WWW-Authenticate", tell(first)),
        "WWW-Authenticate: Bearer resource_metadata=\"…\": without it clients don't know where to sign in",
        "The server sends the header with every 401: something in front drops it or answers with a 401 of its own.",
    )
    .ways(front::HEADERS_OUT);
    Some(if hit.iter().any(|probe| probe.exact) {
        finding
    } else {
        finding.for_clients(Hurts::Nobody, Hurts::Everyone)
    })
}

/// D-28: clients read the first scheme only, then search the text.
fn form(answer: &Answer) -> Option<Finding> {
    let values: Vec<&str> = answer.all("www-authenticate").collect();
    let first = values.first()?;
    let bearer = first.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    (values.len() > 1 || !bearer).then(|| {
        Finding::breaks(
            "challenge-form",
            format!("WWW-Authenticate: {}", list(&values)),
            "one challenge, with Bearer first",
            "Take the login in front (Basic, Negotiate) off the MCP path: the server has its own.",
        )
        .ways(front::NO_LOGIN)
    })
}

fn pointer(seen: &Observations, answer: &Answer) -> Option<Finding> {
    let value = answer.header("www-authenticate")?;
    let [_, inserted, _] = well_known_paths(PROTECTED_RESOURCE, seen.target.mcp_path());
    let expected = seen.target.url(&inserted);
    let said = parameter(value, "resource_metadata");
    // Another scheme or host is a finding about addresses.
    let elsewhere =
        said.as_deref().and_then(|text| url::Url::parse(text).ok()).is_some_and(|url| url.path() == inserted);
    (!elsewhere).then(|| {
        Finding::breaks(
            "challenge-pointer",
            said.map_or_else(|| "the challenge has no resource_metadata".to_owned(), |text| format!("the challenge points to {}", shortened(&text))),
            &format!("resource_metadata=\"{expected}\""),
            "Portcullis writes it: something in front rewrites the header, or the path that you typed is not the one of paths.mcp.",
        )
        .ways(front::HEADERS_OUT)
    })
}

fn reason(answer: &Answer) -> Option<Finding> {
    answer.error().is_none().then(|| {
        Finding::advice(
            "reason-missing",
            "the 401 has no JSON body with the reason".to_owned(),
            "the server's own body: it says in words what was wrong with the token",
            "Pass the bodies of errors on unchanged.",
        )
        .ways(front::HEADERS_OUT)
    })
}

#[cfg(test)]
mod tests {
    use super::parameter;

    /// D-28: the way clients read it.
    #[test]
    fn a_challenges_parameters_are_found_by_search() {
        let text = r#"Bearer error="invalid_token", resource_metadata="https://h/x", scope=a"#;
        assert_eq!(parameter(text, "resource_metadata").as_deref(), Some("https://h/x"));
        assert_eq!(parameter(text, "scope").as_deref(), Some("a"));
        assert_eq!(parameter(text, "realm"), None);
        assert_eq!(parameter("Bearer resource_metadata=\"x", "resource_metadata"), None);
    }
}
