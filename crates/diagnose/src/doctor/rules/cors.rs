//! What pages in browsers may do (S-13; E2). Hosted and installed clients need none of it.

use super::{IN_BROWSERS, list};
use oauth::text::shortened;

use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Observations, Preflight};
use crate::doctor::reply::{Answer, Reply, in_words};

/// What came of a preflight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Redirected,
    Guarded,
    Refused,
    NoOrigin,
    NoHeaders,
}

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let all: Vec<(&Preflight, Outcome)> = seen
        .preflights
        .iter()
        // Where an ordinary request goes wrong too, the fault is not about browsers.
        .filter(|preflight| seen.ordinary(&preflight.path).is_none_or(is_ordinary))
        .map(|preflight| (preflight, outcome(preflight)))
        .collect();
    let mut findings: Vec<Finding> = [Outcome::Redirected, Outcome::Guarded, Outcome::Refused, Outcome::NoHeaders]
        .into_iter()
        .filter_map(|kind| refused(&all, kind))
        .collect();
    findings.extend([no_cors(seen, &all), not_exposed(seen), on_authorize(seen)].into_iter().flatten());
    findings
}

fn is_ordinary(reply: &Reply) -> bool {
    reply
        .as_ref()
        .is_ok_and(|answer| !answer.is_redirect() && answer.status < 500 && !matches!(answer.status, 403 | 404))
}

fn outcome(preflight: &Preflight) -> Outcome {
    let Ok(answer) = &preflight.reply else { return Outcome::Refused };
    match answer.status {
        200..=299 if answer.header("access-control-allow-origin").is_none() => Outcome::NoOrigin,
        200..=299 if lacking(answer, preflight.wants).is_empty() => Outcome::Good,
        200..=299 => Outcome::NoHeaders,
        300..=399 => Outcome::Redirected,
        401 | 403 | 407 => Outcome::Guarded,
        _ => Outcome::Refused,
    }
}

/// `*` stands for all but Authorization (Fetch standard).
fn lacking<'a>(answer: &Answer, wants: &[&'a str]) -> Vec<&'a str> {
    let allowed = |name: &str| {
        answer.lists("access-control-allow-headers", name)
            || (name != "authorization" && answer.lists("access-control-allow-headers", "*"))
    };
    wants.iter().copied().filter(|name| !allowed(name)).collect()
}

fn browsers(finding: Finding) -> Finding {
    finding.for_clients(Hurts::only(IN_BROWSERS), Hurts::Nobody)
}

fn refused(all: &[(&Preflight, Outcome)], kind: Outcome) -> Option<Finding> {
    let hit: Vec<&Preflight> = all.iter().filter(|(_, own)| *own == kind).map(|(preflight, _)| *preflight).collect();
    let first = hit.first()?;
    let paths: Vec<&str> = hit.iter().map(|preflight| preflight.path.as_str()).collect();
    let mut saw = format!("OPTIONS {}: {}", list(&paths), in_words(&first.reply));
    let expected = "2xx without a login: browsers send no token with this question";
    let login = "Something in front demands a login for OPTIONS: let these requests through to the server, which answers them itself.";
    let (id, fix) = match kind {
        Outcome::Redirected => ("preflight-redirected", login),
        Outcome::Guarded => ("preflight-guarded", login),
        Outcome::NoHeaders => {
            if let Ok(answer) = &first.reply {
                saw = format!(
                    "OPTIONS {}: these headers are not allowed: {}",
                    list(&paths),
                    list(&lacking(answer, first.wants))
                );
            }
            (
                "preflight-headers",
                "Something in front answers with a list of its own: let OPTIONS through to the server, which allows what is asked for.",
            )
        }
        Outcome::Refused | Outcome::Good | Outcome::NoOrigin => {
            ("preflight-refused", "Let OPTIONS through to the server at every path.")
        }
    };
    Some(browsers(Finding::breaks(id, saw, expected, fix).ways(front::PREFLIGHT)))
}

fn no_cors(seen: &Observations, all: &[(&Preflight, Outcome)]) -> Option<Finding> {
    let mut places: Vec<String> = all
        .iter()
        .filter(|(_, own)| *own == Outcome::NoOrigin)
        .map(|(preflight, _)| format!("OPTIONS {}", preflight.path))
        .collect();
    let challenge = seen.probe().filter(|answer| answer.status == 401);
    if challenge.is_some_and(|answer| answer.header("access-control-allow-origin").is_none()) {
        places.push(format!("POST {}", seen.target.mcp_path()));
    }
    (!places.is_empty()).then(|| {
        browsers(
            Finding::breaks(
                "cors-missing",
                format!("no Access-Control-Allow-Origin at {}", list(&places)),
                "Access-Control-Allow-Origin on every answer for programs, errors too",
                "The server sends it: something in front drops it or answers in its place.",
            )
            .ways(front::CORS),
        )
    })
}

fn not_exposed(seen: &Observations) -> Option<Finding> {
    let answer = seen.probe().filter(|answer| answer.status == 401 && answer.header("www-authenticate").is_some())?;
    let allowed = answer.header("access-control-allow-origin").is_some();
    (allowed
        && !answer.lists("access-control-expose-headers", "www-authenticate")
        && !answer.lists("access-control-expose-headers", "*"))
    .then(|| {
        browsers(
            Finding::breaks(
                "challenge-not-exposed",
                "Access-Control-Expose-Headers does not name WWW-Authenticate on the 401".to_owned(),
                "WWW-Authenticate exposed: pages else can't read where to sign in",
                "The server exposes it: something in front replaces its CORS headers.",
            )
            .ways(front::CORS),
        )
    })
}

/// OAuth 2.1 §3.1: the authorization endpoint is for people, not for scripts.
fn on_authorize(seen: &Observations) -> Option<Finding> {
    let answer = seen.authorize.as_ref()?.as_ref().ok()?;
    answer.header("access-control-allow-origin").map(|value| {
        Finding::advice(
            "cors-on-authorize",
            format!("Access-Control-Allow-Origin: {} on the authorization page", shortened(value)),
            "no CORS there: pages of others have no business with it",
            "The server sends none: something in front adds it to every answer.",
        )
        .ways(front::CORS)
    })
}
