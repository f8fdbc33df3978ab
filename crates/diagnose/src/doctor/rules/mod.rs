//! The rules: from what was seen to what is wrong. Pure; each names a cause once, so that a fault that shows in many
//! places is one finding.

mod addresses;
mod challenge;
mod cors;
mod endpoints;
mod members;
mod passage;
mod reach;
mod well_known;

#[cfg(test)]
mod tests;

use known_clients::profile::Profiles;

use super::finding::Finding;
use super::observations::Observations;

/// Clients that run in a browser page, at least at times: for them CORS decides.
const IN_BROWSERS: &[&str] = &["inspector"];

/// Everything that is wrong, the worst first.
#[must_use]
pub(crate) fn judge(seen: &Observations, profiles: &Profiles) -> Vec<Finding> {
    let mut findings = reach::judge(seen);
    // Without an answer from the server itself there is nothing to say about its answers.
    if seen.first.is_ok() && !reach::is_server_away(seen) {
        findings.extend(well_known::judge(seen));
        findings.extend(addresses::judge(seen));
        findings.extend(members::judge(seen, profiles));
        findings.extend(challenge::judge(seen));
        findings.extend(cors::judge(seen));
        findings.extend(endpoints::judge(seen));
        findings.extend(passage::judge(seen));
    }
    findings.sort_by_key(Finding::severity);
    findings
}

/// At most a few of many, for a sentence.
fn list<T: AsRef<str>>(items: &[T]) -> String {
    const MOST: usize = 6;
    let text = items.iter().take(MOST).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if items.len() > MOST { format!("{text} and {} more", items.len() - MOST) } else { text }
}
