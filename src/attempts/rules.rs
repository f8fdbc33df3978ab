//! What went wrong, judged from the steps: the furthest one that was reached decides, then what came after it, and what
//! did not come. Each rule has a name, which tests and programs use.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use oauth::cause::Cause;
use oauth::time::Timestamp;
use serde::Serialize;

use super::advice;
use super::case::{Case, Step};
use crate::model::attempt::{ELSEWHERE, FIRST_USE, Outcome, Stage};

/// After this long without the next request it is not coming by itself (E1).
const PATIENCE: Duration = Duration::from_secs(30);
/// How long people may take on a page.
const THINKING: Duration = Duration::from_mins(2);
/// A refusal that ended nothing: a quicker request of the same client had gone on.
const OVERTAKEN: &[Cause] = &[Cause::RefreshOvertaken];
/// From so many refused calls on, a client goes in circles.
const LOOP: i64 = 5;

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Whether all is well as far as this goes.
    pub good: bool,
    /// What happened, and what did not arrive.
    pub what: String,
    /// What to do, one sentence each.
    pub remedy: Vec<String>,
}

impl Finding {
    pub(super) fn bad(rule: &'static str, what: impl Into<String>, remedy: Vec<String>) -> Self {
        Self { rule, good: false, what: what.into(), remedy }
    }

    pub(super) fn good(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, good: true, what: what.into(), remedy: Vec::new() }
    }
}

/// The steps with the questions that the rules ask of them.
pub(super) struct Judge<'a> {
    pub(super) case: &'a Case,
    pub(super) now: Timestamp,
}

impl<'a> Judge<'a> {
    pub(super) fn all(&self, stage: Stage, outcome: Outcome) -> impl Iterator<Item = &'a Step> + use<'a> {
        self.case.steps.iter().filter(move |step| step.is(stage, outcome))
    }

    /// The last of these steps.
    pub(super) fn last(&self, stage: Stage, outcome: Outcome) -> Option<&'a Step> {
        self.all(stage, outcome).max_by_key(|step| step.recorded.last_at)
    }

    fn last_at(&self, stage: Stage, outcome: Outcome) -> Option<Timestamp> {
        self.last(stage, outcome).map(|step| step.recorded.last_at)
    }

    fn ok(&self, stage: Stage) -> bool {
        self.all(stage, Outcome::Ok).next().is_some()
    }

    fn waited(&self, since: Timestamp, patience: Duration) -> bool {
        self.now >= since.plus(patience)
    }

    /// The client, as sentences name it.
    pub(super) fn name(&self) -> String {
        let known = self.case.profile.as_ref().map(|profile| profile.name.clone());
        known.or_else(|| self.case.client_name.clone()).unwrap_or_else(|| "The client".to_owned())
    }

    /// A refusal in words: what the client was told.
    pub(super) fn told(step: &Step) -> String {
        step.recorded.event.reason.trim_end_matches('.').to_owned()
    }

    /// How to start over in this client.
    pub(super) fn start_over(&self) -> String {
        self.case
            .profile
            .as_ref()
            .map_or_else(|| "In the client, remove this server and add it again.".to_owned(), |own| own.forget.clone())
    }
}

/// Judges an attempt: what matters most first.
#[must_use]
pub fn judge(case: &Case, now: Timestamp) -> Vec<Finding> {
    let judge = Judge { case, now };
    let mut findings = Vec::new();
    findings.extend(our_fault(&judge));
    let main = if judge.ok(Stage::Call) {
        connected(&judge)
    } else if judge.ok(Stage::Redeem) {
        has_tokens(&judge)
    } else if judge.ok(Stage::CodeSent) {
        code_sent(&judge)
    } else if judge.all(Stage::Authorize, Outcome::Ok).next().is_some() {
        in_the_browser(&judge)
    } else {
        before(&judge)
    };
    findings.extend(main);
    findings.extend(refresh_races(&judge));
    findings.extend(two_networks(&judge));
    findings
}

fn our_fault(judge: &Judge<'_>) -> Option<Finding> {
    let failed = judge.case.steps.iter().filter(|step| step.recorded.event.outcome == Outcome::Failed && !step.related);
    let last = failed.max_by_key(|step| step.recorded.last_at)?;
    let healed =
        judge.all(last.recorded.event.stage, Outcome::Ok).any(|ok| ok.recorded.last_at > last.recorded.last_at);
    if healed {
        return None;
    }
    let reference = last.received("note").unwrap_or("(none)");
    let what = format!("This server had a problem of its own; the log has it under the reference {reference}.");
    let remedy = vec!["Look at the log, mend what it says, then connect again.".to_owned()];
    Some(Finding::bad("our_fault", what, remedy))
}

/// D1: repetitions inside the grace window do no harm, and tell of several processes with one token. Nor do those that
/// were refused because another was quicker: the connection goes on.
fn refresh_races(judge: &Judge<'_>) -> Option<Finding> {
    let times = |count: i64| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let repeated = judge.all(Stage::Refresh, Outcome::Ok).filter(|step| step.is_for(&[Cause::Repeated]));
    let answered: i64 = repeated.map(|step| step.recorded.count).sum();
    let overtaken: i64 = judge
        .all(Stage::Refresh, Outcome::Refused)
        .filter(|step| step.is_for(OVERTAKEN))
        .map(|step| step.recorded.count)
        .sum();
    if answered + overtaken == 0 {
        return None;
    }
    let mut what = format!(
        "{} refreshed the same token twice at almost the same time, {}: several of its processes share one connection.",
        judge.name(),
        times(answered + overtaken)
    );
    if overtaken == 0 {
        what.push_str(" That was answered well each time.");
    } else {
        let _ = write!(
            what,
            " Refused {}, because the newer token was in use already; the connection went on.",
            times(overtaken)
        );
    }
    Some(Finding::good("refresh_races", what))
}

/// RFC 9700 §4.14: a refresh token that is used from two networks is stolen, or its client has two addresses. Of those
/// that a vendor has published it is known.
fn two_networks(judge: &Judge<'_>) -> Option<Finding> {
    let refreshed = [Outcome::Ok, Outcome::Refused].into_iter().flat_map(|outcome| judge.all(Stage::Refresh, outcome));
    let refreshed: Vec<&Step> = refreshed.collect();
    let elsewhere: Vec<&Step> =
        refreshed.iter().copied().filter(|step| step.received(FIRST_USE) == Some(ELSEWHERE)).collect();
    let published = |step: &&Step| {
        let address = step.recorded.event.network.parse::<IpAddr>();
        let networks = judge.case.profile.iter().flat_map(|profile| &profile.networks);
        address.is_ok_and(|address| networks.clone().any(|network| network.contains(&address)))
    };
    if elsewhere.is_empty() || refreshed.iter().all(published) {
        return None;
    }
    Some(advice::two_networks(judge, &elsewhere))
}

/// It has called with a token at least once.
fn connected(judge: &Judge<'_>) -> Vec<Finding> {
    let Some(called) = judge.last_at(Stage::Call, Outcome::Ok) else { return Vec::new() };
    if let Some(ended) = ended(judge) {
        return vec![ended];
    }
    if let Some(refused) = refused_calls(judge).filter(|step| step.recorded.last_at >= called) {
        return vec![advice::refused_call(judge, refused)];
    }
    let refused = judge.all(Stage::Refresh, Outcome::Refused).filter(|step| !step.is_for(OVERTAKEN));
    if let Some(refused) = refused.max_by_key(|step| step.recorded.last_at)
        && judge.last_at(Stage::Refresh, Outcome::Ok).is_none_or(|good| refused.recorded.last_at > good)
        && refused.recorded.last_at >= called
    {
        return vec![advice::refused_refresh(judge, refused)];
    }
    let mut findings =
        vec![Finding::good("works", format!("This connection works: {} calls with its token.", judge.name()))];
    findings.extend(token_ran_out(judge, called));
    findings
}

/// Calls with a token of this connection that were refused, the last of them. A GET that is told to POST is how
/// clients ask whether there is a stream, and no trouble.
fn refused_calls<'a>(judge: &Judge<'a>) -> Option<&'a Step> {
    judge
        .all(Stage::Call, Outcome::Refused)
        .filter(|step| !step.is_for(&[Cause::WrongMethod]))
        .max_by_key(|step| step.recorded.last_at)
}

/// The connection is over: by a replay, by the client, or by the person.
fn ended(judge: &Judge<'_>) -> Option<Finding> {
    for cause in [Cause::RefreshReplayed, Cause::CodeReplayed] {
        if judge.case.steps.iter().any(|step| step.is_for(&[cause])) {
            return Some(advice::replayed(judge, cause));
        }
    }
    let revoked = judge.last(Stage::Revoke, Outcome::Ok)?;
    let what = format!("This connection was ended: {}.", Judge::told(revoked));
    // Nothing went wrong: somebody wanted it so.
    let remedy = vec!["To use it again, connect again in the client.".to_owned()];
    Some(Finding { rule: "ended", good: true, what, remedy })
}

/// D3: the token has run out, and nobody has refreshed it.
fn token_ran_out(judge: &Judge<'_>, called: Timestamp) -> Option<Finding> {
    let redeemed = judge.last(Stage::Redeem, Outcome::Ok)?;
    let refreshed = judge.last(Stage::Refresh, Outcome::Ok);
    let issued = refreshed.unwrap_or(redeemed);
    let lives: i64 = issued.received("expires_in").or_else(|| redeemed.received("expires_in"))?.parse().ok()?;
    let ended = issued.recorded.last_at.plus(Duration::from_secs(lives.unsigned_abs()));
    let over = judge.now > ended && called <= ended && redeemed.received("refresh_token") == Some("issued");
    over.then(|| advice::not_refreshed(judge))
}

/// It has tokens and has not called with them.
fn has_tokens(judge: &Judge<'_>) -> Vec<Finding> {
    let Some(issued) = judge.last_at(Stage::Redeem, Outcome::Ok) else { return Vec::new() };
    if let Some(ended) = ended(judge) {
        return vec![ended];
    }
    if let Some(refused) = refused_calls(judge) {
        return vec![advice::refused_call(judge, refused)];
    }
    let after = judge.all(Stage::Challenge, Outcome::Refused).filter(|step| step.recorded.last_at > issued);
    if let Some(bare) = after.max_by_key(|step| (step.is_for(&[Cause::TokenMissing]), step.recorded.last_at)) {
        return vec![advice::without_token(judge, bare)];
    }
    if judge.waited(issued, PATIENCE) {
        return vec![advice::no_call_since_token(judge)];
    }
    vec![Finding::good(
        "waiting",
        "The tokens were issued a moment ago; its first call is still to come. Ask again shortly.",
    )]
}

/// The browser took the code away.
fn code_sent(judge: &Judge<'_>) -> Vec<Finding> {
    let refused = judge.last(Stage::Redeem, Outcome::Refused).or_else(|| judge.last(Stage::Token, Outcome::Refused));
    if let Some(refused) = refused {
        return vec![advice::refused_code(judge, refused)];
    }
    let Some(sent) = judge.last(Stage::CodeSent, Outcome::Ok) else { return Vec::new() };
    if judge.waited(sent.recorded.last_at, PATIENCE) {
        return vec![advice::code_never_redeemed(judge, sent)];
    }
    vec![Finding::good(
        "waiting",
        "The code was sent a moment ago; the client has not come for its token yet. Ask again shortly.",
    )]
}

/// A person is, or was, at the pages.
fn in_the_browser(judge: &Judge<'_>) -> Vec<Finding> {
    let asked = judge.last(Stage::Consent, Outcome::Ok);
    if judge.last(Stage::Consent, Outcome::Refused).is_some_and(|no| no.is_for(&[Cause::Denied])) {
        let what = "The person chose Deny or Cancel on the consent page.";
        return vec![Finding::bad("denied", what, vec!["Connect again and choose Allow or Continue.".to_owned()])];
    }
    if let Some(refused) = judge.last(Stage::Consent, Outcome::Refused) {
        return vec![advice::refused_page(judge, "consent_refused", refused)];
    }
    if let Some(refused) = judge.last(Stage::Authorize, Outcome::Refused) {
        return vec![advice::refused_page(judge, "authorize_refused", refused)];
    }
    if let Some(asked) = asked {
        let allowed =
            judge.all(Stage::Consent, Outcome::Ok).any(|step| step.is_for(&[Cause::Allowed, Cause::AllowedFirstParty]));
        if allowed {
            return vec![advice::allowed_and_lost(judge)];
        }
        if judge.waited(asked.recorded.last_at, THINKING) {
            return vec![advice::never_decided(judge)];
        }
        return vec![Finding::good("waiting", "The consent page is open; nobody has decided yet.")];
    }
    let failed: i64 = judge.all(Stage::SignIn, Outcome::Refused).map(|step| step.recorded.count).sum();
    let signed_in = judge.all(Stage::SignIn, Outcome::Ok).any(|step| !step.is_for(&[Cause::Asked]));
    if failed > 0 && !signed_in {
        return vec![advice::sign_in_failed(judge, failed)];
    }
    let last = judge.case.steps.iter().filter(|step| !step.related).map(|step| step.recorded.last_at).max();
    if last.is_some_and(|last| !judge.waited(last, THINKING)) {
        return vec![Finding::good("waiting", "The sign-in page is open; nobody has signed in yet.")];
    }
    vec![advice::never_signed_in(judge)]
}

/// It never got a lawful authorization request through.
fn before(judge: &Judge<'_>) -> Vec<Finding> {
    let refused = |stage| judge.last(stage, Outcome::Refused).filter(|step| !step.related || stage == Stage::Document);
    if let Some(refused) = refused(Stage::Authorize) {
        return vec![advice::refused_page(judge, "authorize_refused", refused)];
    }
    if let Some(refused) = refused(Stage::Redeem).or_else(|| refused(Stage::Token)) {
        return vec![advice::refused_code(judge, refused)];
    }
    if let Some(refused) = refused(Stage::Refresh) {
        return vec![advice::refused_refresh(judge, refused)];
    }
    if let Some(refused) = refused(Stage::Document) {
        return vec![advice::refused_page(judge, "document_refused", refused)];
    }
    if judge.ok(Stage::Registration) || judge.ok(Stage::Document) {
        return vec![advice::registered_and_stopped(judge)];
    }
    if let Some(refused) = judge.last(Stage::Registration, Outcome::Refused) {
        return vec![advice::registration_refused(judge, refused)];
    }
    let failed: i64 = judge.all(Stage::SignIn, Outcome::Refused).map(|step| step.recorded.count).sum();
    if failed > 0 {
        return vec![advice::sign_in_failed(judge, failed)];
    }
    if let Some(refused) = refused_calls(judge) {
        return vec![advice::refused_call(judge, refused)];
    }
    if judge.ok(Stage::ServerMetadata) || judge.ok(Stage::ResourceMetadata) {
        return vec![advice::looked_and_stopped(judge)];
    }
    if let Some(challenge) = judge.last(Stage::Challenge, Outcome::Refused) {
        return vec![advice::challenged(judge, challenge, LOOP)];
    }
    let refused = judge.case.steps.iter().filter(|step| step.recorded.event.outcome == Outcome::Refused);
    refused
        .max_by_key(|step| step.recorded.last_at)
        .map(|step| advice::refused_page(judge, "refused", step))
        .into_iter()
        .collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
