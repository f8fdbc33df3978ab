//! The doctor: looks at a deployment from outside, exactly as clients do, and says for each client whether it will connect,
//! and if not, what to change.
//!
//! Three steps that don't mix: `gather` asks and writes down what came, `rules` judge that without a network, `verdict` says
//! what it means for each client. Nothing that serves requests uses this module; it changes nothing at the deployment,
//! except that it registers, if it is told to.

mod agents;
mod certificate;
mod finding;
mod front;
mod gather;
mod observations;
mod prober;
mod reply;
mod report;
mod rules;
mod target;
mod verdict;

pub use finding::{Finding, Hurts, Severity};
pub use front::Front;
use known_clients::profile::Profiles;
use oauth::time::Timestamp;
pub use report::Report;
pub use target::{InvalidTarget, Target};
pub use verdict::{Answer, Verdict};

use crate::outside::{Outside, OutsideError};

/// How to examine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take for granted that the internet can reach the address.
    pub assume_public: bool,
    /// Register as clients do, and take it back.
    pub register: bool,
}

/// Examines a deployment. Takes about a minute at most.
///
/// # Errors
/// When there is no way to look at anything: see [`OutsideError`]. A deployment that does not answer is a report.
pub async fn examine(
    target: Target,
    outside: &Outside,
    options: Options,
    profiles: &Profiles,
    now: Timestamp,
) -> Result<Report, OutsideError> {
    let plan = gather::Plan {
        now,
        assume_public: options.assume_public,
        register: options.register,
        via_proxy: outside.proxy.is_some(),
    };
    let seen = gather::gather(outside.client()?, target, profiles, &plan).await;
    let findings = rules::judge(&seen, profiles);
    let verdicts = verdict::verdicts(&findings, profiles);
    Ok(Report {
        url: seen.target.mcp_url(),
        reached: seen.first.is_ok(),
        front: seen.first.as_ref().ok().and_then(Front::of),
        findings,
        verdicts,
        notes: notes(options, outside),
    })
}

fn notes(options: Options, outside: &Outside) -> Vec<String> {
    let mut notes = Vec::new();
    if outside.proxy.is_some() {
        notes.push("the proxy resolves the name and connects: nothing is said about addresses.".to_owned());
    }
    if options.assume_public {
        notes.push("whether the internet can reach the address was taken for granted.".to_owned());
    } else {
        notes.push(
            "this was seen from this machine; whether a firewall keeps hosted clients out shows only when they connect.".to_owned(),
        );
    }
    if !options.register {
        notes
            .push("nothing was registered; --register tries what each client registers, and takes it back.".to_owned());
    }
    notes
}
