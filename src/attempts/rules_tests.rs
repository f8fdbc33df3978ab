//! Every rule, by steps that were made up.

use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::time::Timestamp;

use super::{Finding, judge};
use crate::attempts::case::{Case, Step};
use crate::model::attempt::{ELSEWHERE, Event, FIRST_USE, Outcome, Recorded, Stage};
use crate::model::grant::{FirstUse, Rotation};

const BEGIN: i64 = 1_000;

fn step(stage: Stage, outcome: Outcome, at: i64, cause: Option<Cause>) -> Step {
    let event = Event {
        attempt: AttemptId::from_bits(1),
        early: false,
        at: Timestamp(BEGIN + at),
        stage,
        outcome,
        cause,
        reason: cause.map(|cause| format!("(the words for {})", cause.as_str())).unwrap_or_default(),
        detail: Vec::new(),
        agent: "python-httpx/0.27".to_owned(),
        network: "160.79.106.1".to_owned(),
        client_id: None,
        grant_id: None,
    };
    Step { recorded: Recorded { last_at: event.at, count: 1, event }, related: false }
}

fn ok(stage: Stage, at: i64) -> Step {
    step(stage, Outcome::Ok, at, None)
}

fn refused(stage: Stage, at: i64, cause: Cause) -> Step {
    step(stage, Outcome::Refused, at, Some(cause))
}

fn with(mut step: Step, detail: &[(&str, &str)]) -> Step {
    step.recorded.event.detail = detail.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    step
}

fn often(mut step: Step, count: i64, until: i64) -> Step {
    step.recorded.count = count;
    step.recorded.last_at = Timestamp(BEGIN + until);
    step
}

/// What is judged of these steps by Claude at this time after the beginning.
fn findings(steps: Vec<Step>, now: i64) -> Vec<Finding> {
    let profile = Profiles::embedded().unwrap().by_id("claude").cloned();
    let case =
        Case { attempt: AttemptId::from_bits(1), steps, client: None, client_name: None, profile, also: Vec::new() };
    judge(&case, Timestamp(BEGIN + now))
}

fn only(steps: Vec<Step>, now: i64) -> Finding {
    let found = findings(steps, now);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// The steps of a connection up to its tokens, at 10 seconds.
fn tokens() -> Vec<Step> {
    vec![
        refused(Stage::Challenge, 0, Cause::TokenMissing),
        ok(Stage::ResourceMetadata, 1),
        ok(Stage::ServerMetadata, 1),
        ok(Stage::Registration, 2),
        ok(Stage::Authorize, 3),
        step(Stage::SignIn, Outcome::Ok, 4, Some(Cause::Asked)),
        ok(Stage::SignIn, 5),
        step(Stage::Consent, Outcome::Ok, 6, Some(Cause::Asked)),
        step(Stage::Consent, Outcome::Ok, 7, Some(Cause::Allowed)),
        ok(Stage::CodeSent, 8),
        with(ok(Stage::Redeem, 10), &[("expires_in", "3600"), ("refresh_token", "issued")]),
    ]
}

fn after_tokens(more: Vec<Step>) -> Vec<Step> {
    let mut steps = tokens();
    steps.extend(more);
    steps
}

/// The first `count` steps of [`tokens`].
fn up_to(stage: Stage) -> Vec<Step> {
    let steps = tokens();
    let end = steps.iter().rposition(|step| step.recorded.event.stage == stage).unwrap();
    steps.into_iter().take(end + 1).collect()
}

/// E1: the client's names, its networks, and where to look at Cloudflare and elsewhere.
#[test]
fn a_token_without_a_call_names_what_is_in_front() {
    let found = only(tokens(), 10 + 30);
    assert_eq!((found.rule, found.good), ("no_call_since_token", false));
    let text = format!("{} {}", found.what, found.remedy.join(" "));
    for part in ["Claude-User", "160.79.104.0/21", "Cloudflare", "AI Crawl Control", "WAF", "Bots"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(only(tokens(), 10 + 29).rule, "waiting");
}

/// E7: calls come, and the header doesn't.
#[test]
fn a_stripped_authorization_header_is_told_from_silence() {
    // The same row as the first challenge: it was repeated after the token was issued.
    let mut steps = tokens();
    steps[0] = often(steps[0].clone(), 3, 14);
    assert_eq!(only(steps, 60).rule, "authorization_header_stripped");
    let host = refused(Stage::Challenge, 12, Cause::HostNotAllowed);
    let found = only(after_tokens(vec![host]), 60);
    assert_eq!(found.rule, "calls_refused");
    assert!(found.remedy[0].contains("mcp.allowed_hosts"), "{found:?}");
}

/// C9.
#[test]
fn a_code_that_nobody_redeems_is_the_clients_side() {
    let mut steps = up_to(Stage::CodeSent);
    let sent = steps.pop().unwrap();
    steps.push(with(sent, &[("redirect_uri", "https://claude.ai/api/mcp/auth_callback")]));
    let found = only(steps.clone(), 8 + 30);
    assert_eq!(found.rule, "code_never_redeemed");
    assert!(found.what.contains("claude.ai/api/mcp/auth_callback"), "{found:?}");
    assert_eq!(only(steps, 20).rule, "waiting");
}

#[test]
fn steps_that_nothing_follows_are_named() {
    let last = |stage| only(up_to(stage), 100_000).rule;
    assert_eq!(last(Stage::Challenge), "challenge_and_stopped");
    assert_eq!(last(Stage::ResourceMetadata), "metadata_and_stopped");
    assert_eq!(last(Stage::ServerMetadata), "metadata_and_stopped");
    assert_eq!(last(Stage::Registration), "registered_and_stopped");
    assert_eq!(last(Stage::Authorize), "never_signed_in");
    assert_eq!(last(Stage::Consent), "allowed_and_lost");
    let mut asked = up_to(Stage::Consent);
    asked.pop();
    assert_eq!(only(asked.clone(), 100_000).rule, "never_decided");
    assert_eq!(only(asked, 30).rule, "waiting");
}

/// B8, C1, C10: why, and how to mend it in that very client.
#[test]
fn refused_authorization_says_why_and_what_to_do_in_that_client() {
    let mut steps = up_to(Stage::ServerMetadata);
    steps.push(refused(Stage::Authorize, 3, Cause::ClientUnknown));
    let found = only(steps, 60);
    assert_eq!(found.rule, "authorize_refused");
    assert!(
        found.what.contains("the words for client_unknown") && found.remedy[0].contains("In Claude, open Settings")
    );
    let pkce = refused(Stage::Authorize, 3, Cause::ChallengeUnfit);
    assert!(only(vec![pkce], 60).remedy[0].contains("S256"));
}

#[test]
fn a_person_who_does_not_get_through_is_named() {
    let mut wrong = up_to(Stage::Authorize);
    wrong.push(often(refused(Stage::SignIn, 5, Cause::CredentialsWrong), 3, 9));
    let found = only(wrong, 600);
    assert_eq!(found.rule, "sign_in_failed");
    assert!(found.what.contains("3 times"));
    let mut denied = up_to(Stage::SignIn);
    denied.push(step(Stage::Consent, Outcome::Ok, 6, Some(Cause::Asked)));
    denied.push(refused(Stage::Consent, 7, Cause::Denied));
    assert_eq!(only(denied, 8).rule, "denied");
}

/// C10, B1, B4, A2: each with its own advice.
#[test]
fn refused_token_requests_are_told_apart() {
    for (cause, rule) in [
        (Cause::VerifierUnfit, "pkce_failed"),
        (Cause::RedirectUriDiffers, "redirect_differs"),
        (Cause::ClientAuthentication, "client_authentication_failed"),
        (Cause::ResourceUnknown, "wrong_resource"),
        (Cause::CodeExpired, "code_expired"),
        (Cause::CodeUnknown, "code_unknown"),
        (Cause::CodeOfAnotherClient, "code_of_another_client"),
        (Cause::Malformed, "token_refused"),
    ] {
        let mut steps = up_to(Stage::CodeSent);
        steps.push(refused(Stage::Redeem, 9, cause));
        let found = only(steps, 60);
        assert_eq!(found.rule, rule, "{found:?}");
        assert!(!found.remedy[0].is_empty());
    }
}

/// D1.
#[test]
fn refresh_races_and_replays_are_told() {
    let repeated = often(step(Stage::Refresh, Outcome::Ok, 3700, Some(Cause::Repeated)), 4, 9_000);
    let steps = after_tokens(vec![ok(Stage::Call, 12), often(ok(Stage::Refresh, 3700), 9, 9_000), repeated]);
    let found = findings(steps, 9_010);
    assert_eq!(found.iter().map(|found| found.rule).collect::<Vec<_>>(), ["works", "refresh_races"]);
    assert!(found[1].what.contains("4 times") && found[1].good);

    let replay = refused(Stage::Refresh, 3900, Cause::RefreshReplayed);
    let found = only(after_tokens(vec![ok(Stage::Call, 12), ok(Stage::Refresh, 3700), replay]), 4_000);
    assert_eq!(found.rule, "refresh_replayed");
    assert!(found.remedy[1].contains("tokens.refresh_grace"));
    let replay = refused(Stage::Redeem, 30, Cause::CodeReplayed);
    assert_eq!(only(after_tokens(vec![replay]), 60).rule, "code_replayed");
}

/// D1: a slower process is refused, and the connection goes on: nothing is wrong with it.
#[test]
fn an_overtaken_refresh_is_a_race() {
    let cause = Rotation::Overtaken(FirstUse::Here).refusal().cause;
    let overtaken = often(refused(Stage::Refresh, 3701, cause), 2, 3_701);
    let steps = after_tokens(vec![ok(Stage::Call, 12), ok(Stage::Refresh, 3700), overtaken]);
    let found = findings(steps, 3_710);
    assert_eq!(
        found.iter().map(|found| (found.rule, found.good)).collect::<Vec<_>>(),
        [("works", true), ("refresh_races", true),]
    );
    assert!(found[1].what.contains("Refused 2 times"), "{found:?}");
}

/// RFC 9700 §4.14: what two networks with one token may be is said, unless the vendor has published both.
#[test]
fn a_token_in_two_networks_is_told() {
    let repeated = |network: &str, outcome, cause: Cause| {
        let mut step = with(step(Stage::Refresh, outcome, 3705, Some(cause)), &[(FIRST_USE, ELSEWHERE)]);
        step.recorded.event.network = network.to_owned();
        step
    };
    let story = |step: Step| {
        let steps = after_tokens(vec![ok(Stage::Call, 12), ok(Stage::Refresh, 3700), step]);
        findings(steps, 3_710).into_iter().find(|found| found.rule == "token_in_two_networks")
    };
    let found = story(repeated("203.0.113.9", Outcome::Ok, Cause::Repeated)).unwrap();
    for part in ["160.79.106.1", "203.0.113.9", "stolen", "two addresses"] {
        assert!(found.what.contains(part), "{part}: {found:?}");
    }
    assert!(!found.good && found.remedy[1].contains("end the connection"));
    let replay = repeated("203.0.113.9", Outcome::Refused, Cause::RefreshReplayed);
    assert!(story(replay).is_some());
    assert!(story(repeated("160.79.110.7", Outcome::Ok, Cause::Repeated)).is_none(), "both are Claude's own");
}

/// D3: it goes on with a token that has run out.
#[test]
fn a_client_that_never_refreshes_is_named() {
    let expired = often(refused(Stage::Call, 3700, Cause::TokenExpired), 7, 3_800);
    let found = only(after_tokens(vec![ok(Stage::Call, 12), expired]), 4_000);
    assert_eq!(found.rule, "never_refreshes");
    assert!(found.remedy.iter().any(|line| line.contains("tokens.access_ttl")), "{found:?}");

    let quiet = findings(after_tokens(vec![ok(Stage::Call, 12)]), 5_000);
    assert_eq!(quiet.iter().map(|found| found.rule).collect::<Vec<_>>(), ["works", "not_refreshed"]);
}

#[test]
fn loops_and_missing_scopes_are_named() {
    let revoked = often(refused(Stage::Call, 20, Cause::TokenRevoked), 40, 90);
    assert_eq!(only(after_tokens(vec![ok(Stage::Call, 12), revoked]), 100).rule, "refused_in_a_loop");
    let scope = refused(Stage::Call, 20, Cause::ScopeInsufficient);
    assert_eq!(only(after_tokens(vec![ok(Stage::Call, 12), scope]), 100).rule, "insufficient_scope");
}

#[test]
fn a_connection_that_works_is_said_to_work() {
    let stream = refused(Stage::Call, 30, Cause::WrongMethod);
    let found = only(after_tokens(vec![ok(Stage::Call, 12), stream]), 60);
    assert_eq!((found.rule, found.good), ("works", true));
    let ended = step(Stage::Revoke, Outcome::Ok, 40, Some(Cause::TokenGivenBack));
    assert_eq!(only(after_tokens(vec![ok(Stage::Call, 12), ended]), 60).rule, "ended");
}

#[test]
fn our_own_fault_comes_first() {
    let mut steps = up_to(Stage::CodeSent);
    steps.push(with(step(Stage::Redeem, Outcome::Failed, 9, Some(Cause::ServerFault)), &[("note", "ref_1")]));
    let found = findings(steps.clone(), 60);
    assert_eq!(found[0].rule, "our_fault");
    assert!(found[0].what.contains("ref_1"));
    steps.push(ok(Stage::Redeem, 11));
    assert!(findings(steps, 12).iter().all(|found| found.rule != "our_fault"));
}

#[test]
fn refused_registrations_and_documents_are_told() {
    let closed = refused(Stage::Registration, 2, Cause::RegistrationClosed);
    let found = only(vec![closed], 60);
    assert_eq!(found.rule, "registration_refused");
    assert!(found.remedy[0].contains("registration.policy"));
    let document = refused(Stage::Document, 2, Cause::DocumentUnfetched);
    assert_eq!(only(vec![document], 60).rule, "document_refused");
}

/// Whatever the cause, there is something to do; and what is told is judged by the cause, not by its words.
#[test]
fn every_cause_has_advice_and_words_decide_nothing() {
    for cause in Cause::ALL {
        for stage in [Stage::Redeem, Stage::Authorize, Stage::Registration, Stage::Challenge, Stage::Document] {
            let found = only(vec![refused(stage, 0, *cause)], 600);
            assert!(!found.remedy.is_empty() && found.remedy.iter().all(|line| !line.is_empty()), "{found:?}");
            let mut reworded = refused(stage, 0, *cause);
            reworded.recorded.event.reason = "expired used before code_verifier form revoked".to_owned();
            let other = only(vec![reworded], 600);
            assert_eq!((other.rule, other.good, other.remedy), (found.rule, found.good, found.remedy), "{cause:?}");
        }
    }
}

/// What a release before causes recorded is told as it stands.
#[test]
fn a_refusal_without_a_cause_is_told_in_its_own_words() {
    let mut old = step(Stage::Redeem, Outcome::Refused, 0, None);
    old.recorded.event.reason = "invalid_grant: whatever it was".to_owned();
    let found = only(vec![old], 600);
    assert_eq!(found.rule, "token_refused");
    assert!(found.what.contains("whatever it was") && found.remedy[0].contains("In Claude"), "{found:?}");
}
