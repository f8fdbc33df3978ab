//! The facts of one attempt, put together from what was recorded: its own steps, what came before it was known whose
//! they were, and what came without a token afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use known_clients::profile::{Profile, Profiles};
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::ClientId;
use oauth::time::Timestamp;

use crate::model::attempt::{Outcome, Recorded, Stage};
use crate::store::{Store, StoreError};

/// How long before an authorization request its client may have looked around and registered.
const BEFORE: Duration = Duration::from_mins(15);
/// How long after the last step something may still belong to it.
const AFTER: Duration = Duration::from_mins(30);
/// The most clients of one early id that are followed.
const MOST_CLIENTS: usize = 5;

/// A step of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was recorded.
    pub recorded: Recorded,
    /// Whether it belongs here by its network and time only: it may be somebody else's.
    pub related: bool,
}

/// All that is known of an attempt.
#[derive(Clone, Debug)]
pub struct Case {
    /// The id that was asked for, or the attempt that it became.
    pub attempt: AttemptId,
    /// Its steps in time.
    pub steps: Vec<Step>,
    /// Whose it is.
    pub client: Option<ClientId>,
    /// What that client calls itself.
    pub client_name: Option<String>,
    /// What is known of such clients.
    pub profile: Option<Profile>,
    /// Other attempts that began under the same early id.
    pub also: Vec<AttemptId>,
}

impl Step {
    /// Whether it is this step with this outcome.
    pub(super) fn is(&self, stage: Stage, outcome: Outcome) -> bool {
        self.recorded.event.stage == stage && self.recorded.event.outcome == outcome
    }

    /// Whether it has one of these causes.
    pub(super) fn is_for(&self, causes: &[Cause]) -> bool {
        self.recorded.event.cause.is_some_and(|cause| causes.contains(&cause))
    }

    /// The value of something that was received.
    pub(super) fn received(&self, name: &str) -> Option<&str> {
        self.recorded.event.detail.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Puts the facts together; `None` where nothing is recorded under this id.
///
/// # Errors
/// When the store fails.
pub async fn gather(store: &Store, profiles: &Profiles, asked: &AttemptId) -> Result<Option<Case>, StoreError> {
    let mut own = store.attempt_events(asked).await?;
    let Some((first, last)) = span(&own) else { return Ok(None) };
    let (mut attempt, mut also) = (asked.clone(), Vec::new());
    if own.iter().all(|step| step.event.early) {
        also = became(store, &own, first, last).await?;
        if let [only] = also.as_slice() {
            attempt = only.clone();
            own.extend(store.attempt_events(&attempt).await?);
            also.clear();
        }
    }
    let client = own.iter().rev().find_map(|step| step.event.client_id.clone());
    let stored = match &client {
        Some(client) => store.find_client(client).await?,
        None => None,
    };
    let profile = stored.as_ref().and_then(|client| profiles.guess(&client.id, &client.metadata));
    let profile = profile.or_else(|| guess(profiles, client.as_ref(), &own));
    let mut steps: Vec<Step> = own.into_iter().map(|recorded| Step { recorded, related: false }).collect();
    add_related(store, &mut steps, client.as_ref(), profile).await?;
    steps.sort_by_key(|step| {
        let event = &step.recorded.event;
        // Within one second, the clock's unit: a page is shown, then refused, then it does what it is for.
        let turn = match (event.outcome, event.cause) {
            (Outcome::Ok, Some(Cause::Asked | Cause::AskedToContinue)) => 0,
            (Outcome::Refused | Outcome::Failed, _) => 1,
            (Outcome::Ok, _) => 2,
        };
        (event.at, event.stage, turn, step.recorded.last_at)
    });
    let mut seen = BTreeSet::new();
    steps.retain(|step| seen.insert(crate::store::attempt_key(&step.recorded.event)));
    let client_name = stored.map(|client| client.display_name().to_owned());
    Ok(Some(Case { attempt, steps, client, client_name, profile: profile.cloned(), also }))
}

fn span(steps: &[Recorded]) -> Option<(Timestamp, Timestamp)> {
    let first = steps.iter().map(|step| step.event.at).min()?;
    Some((first, steps.iter().map(|step| step.last_at).max()?))
}

/// The attempts of their own that clients of an early id began.
async fn became(
    store: &Store,
    early: &[Recorded],
    first: Timestamp,
    last: Timestamp,
) -> Result<Vec<AttemptId>, StoreError> {
    let clients: BTreeSet<&ClientId> = early.iter().filter_map(|step| step.event.client_id.as_ref()).collect();
    let mut found = BTreeSet::new();
    for client in clients.into_iter().take(MOST_CLIENTS) {
        let steps = store.attempt_events_of_client(client, false, first.minus(BEFORE), last.plus(AFTER)).await?;
        found.extend(steps.into_iter().map(|step| step.event.attempt));
    }
    Ok(found.into_iter().collect())
}

/// A client that is not stored any more, or never was, is guessed by what it sent.
fn guess<'a>(profiles: &'a Profiles, client: Option<&ClientId>, steps: &[Recorded]) -> Option<&'a Profile> {
    let sent = |name: &'static str| {
        let values = steps.iter().flat_map(|step| &step.event.detail);
        values.filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    };
    client
        .and_then(|client| profiles.of_identity(client))
        .or_else(|| sent("redirect_uri").find_map(|uri| profiles.guess_by_callback(uri)))
        .or_else(|| sent("client_name").find_map(|name| profiles.by_name(name)))
        .or_else(|| steps.iter().find_map(|step| profiles.by_agent(&step.event.agent)))
}

/// Adds what belongs to the attempt though it does not have its id: what its client did before under an early id, what
/// came from the same networks just before, and calls without a good token after a token was issued.
async fn add_related(
    store: &Store,
    steps: &mut Vec<Step>,
    client: Option<&ClientId>,
    profile: Option<&Profile>,
) -> Result<(), StoreError> {
    let own: Vec<Recorded> = steps.iter().map(|step| step.recorded.clone()).collect();
    let begun = own.iter().filter(|step| !step.event.early).map(|step| step.event.at).min();
    let Some(begun) = begun.or_else(|| span(&own).map(|(first, _)| first)) else { return Ok(()) };
    let mut related = Vec::new();
    if let Some(client) = client {
        // The steps of a connection go on for months; what its client did without an id is asked for the beginning.
        let until = begun.plus(AFTER);
        related.extend(store.attempt_events_of_client(client, true, begun.minus(BEFORE), until).await?);
    }
    let began_by = |step: &&Recorded| {
        matches!(step.event.stage, Stage::Registration | Stage::Document | Stage::Authorize) && step.event.at <= begun
    };
    let networks: BTreeSet<String> =
        own.iter().chain(&related).filter(began_by).map(|step| step.event.network.clone()).collect();
    for network in networks {
        let before = store.early_attempt_events(&network, begun.minus(BEFORE), begun).await?;
        let looks_around = |stage| {
            matches!(stage, Stage::Challenge | Stage::Preflight | Stage::ResourceMetadata | Stage::ServerMetadata)
        };
        related.extend(before.into_iter().filter(|step| looks_around(step.event.stage)));
    }
    let redeemed = own.iter().filter(|step| step.event.stage == Stage::Redeem && step.event.outcome == Outcome::Ok);
    if let Some(issued) = redeemed.map(|step| step.event.at).min() {
        let theirs: BTreeSet<&str> = own.iter().chain(&related).map(|step| step.event.network.as_str()).collect();
        let same = |step: &Recorded| {
            theirs.contains(step.event.network.as_str())
                || profile.is_some_and(|profile| is_agent_of(profile, &step.event.agent))
        };
        let after = store.challenges(issued, issued.plus(AFTER)).await?;
        let after: Vec<Recorded> = after.into_iter().filter(same).collect();
        related.extend(after);
    }
    steps.extend(related.into_iter().map(|recorded| {
        // Anybody can fail in a client's name; what went well for it is its own.
        let own = client.is_some() && recorded.event.client_id.as_ref() == client;
        let related = !own || recorded.event.outcome != Outcome::Ok;
        Step { recorded, related }
    }));
    Ok(())
}

/// Whether a request with this user agent may be this client's.
pub(super) fn is_agent_of(profile: &Profile, agent: &str) -> bool {
    let agent = agent.to_ascii_lowercase();
    profile.agents.iter().any(|word| agent.contains(&word.to_ascii_lowercase()))
}
