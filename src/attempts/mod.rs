//! The record of attempts to connect: what came in at which step, so that "it doesn't connect" has an answer.
//!
//! Writing: `recorder` takes events from requests and never makes one wait, `scrub` keeps secrets out of them, `writer`
//! brings them into the store. Reading: `case` puts together what belongs to an attempt, `rules` judge it with the words
//! of `advice`, `story` tells it.

mod advice;
pub mod case;
pub mod recorder;
pub mod rules;
pub mod scrub;
pub mod story;
pub mod writer;

use std::collections::BTreeSet;

use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use oauth::time::Timestamp;
use serde::Serialize;

use crate::store::{Store, StoreError};
use story::Story;

/// Tells the story of an attempt; `None` where nothing is recorded under this id.
///
/// # Errors
/// When the store fails.
pub async fn explain(
    store: &Store,
    profiles: &Profiles,
    attempt: &AttemptId,
    now: Timestamp,
) -> Result<Option<Story>, StoreError> {
    Ok(case::gather(store, profiles, attempt).await?.map(|case| Story::of(&case, now)))
}

/// An attempt in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it began, as people write it.
    pub began: String,
    /// Which client it seems to be.
    pub client: String,
    /// Whether all is well with it.
    pub good: bool,
    /// The most important thing to say about it.
    pub finding: String,
}

/// The latest attempts, told in a line each.
///
/// # Errors
/// When the store fails.
pub async fn latest(
    store: &Store,
    profiles: &Profiles,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Summary>, StoreError> {
    let (mut shown, mut list) = (BTreeSet::new(), Vec::new());
    for listed in store.recent_attempts(limit).await? {
        // What began under an early id and went on under its own is one attempt.
        if let Some(story) = explain(store, profiles, &listed.attempt, now).await?
            && shown.insert(story.attempt.clone())
        {
            list.push(Summary::of(&story));
        }
    }
    Ok(list)
}

impl Summary {
    fn of(story: &Story) -> Self {
        let client = story.looks_like.clone().or_else(|| story.client_name.clone());
        Self {
            attempt: story.attempt.clone(),
            began: story.began.clone(),
            client: client.unwrap_or_else(|| "an unknown client".to_owned()),
            good: story.findings.iter().all(|finding| finding.good),
            finding: story.headline().to_owned(),
        }
    }
}
