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

use crate::clients::profile::Profiles;
use crate::model::attempt::AttemptId;
use crate::model::time::Timestamp;
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
