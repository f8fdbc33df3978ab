//! Bringing events into the store, a batch at a time. A database that fails loses events, never requests.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::recorder::{Inbox, Recorder};
use crate::model::attempt::{Event, Recorded};
use crate::store::{Store, attempt_key};

/// How long a batch is gathered: long enough that a database file is not synced for each step.
const GATHER: Duration = Duration::from_millis(200);
/// The most events of one batch.
const BATCH: usize = 512;
/// The most rows that one network gets of a batch.
const PER_NETWORK: usize = 128;
/// How often losses are told.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Writes what comes in until `stopped`, then what is left.
pub async fn run(store: Store, recorder: Recorder, mut inbox: Inbox, mut stopped: watch::Receiver<bool>) {
    let mut tell = tokio::time::interval(TELL_EVERY);
    let mut lost = 0;
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            _ = tell.tick() => {
                lost += recorder.take_lost();
                if lost > 0 {
                    tracing::warn!(lost, "steps of attempts to connect were not recorded");
                    lost = 0;
                }
                continue;
            }
            taken = inbox.take(&mut batch, BATCH) => if taken == 0 { break },
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = tokio::time::sleep(GATHER) => {}
        }
        inbox.take_waiting(&mut batch, BATCH);
        lost += write_apart(&store, &mut batch).await;
    }
    loop {
        inbox.take_waiting(&mut batch, BATCH);
        if batch.is_empty() {
            return;
        }
        write_apart(&store, &mut batch).await;
    }
}

/// Writes a batch and empties it, in a task of its own: a panic loses this batch, never those that follow. Tells how many
/// events were lost.
async fn write_apart(store: &Store, batch: &mut Vec<Event>) -> u64 {
    let (store, batch) = (store.clone(), std::mem::take(batch));
    let events = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    match AbortOnDropHandle::new(tokio::spawn(async move { write(&store, batch).await })).await {
        Ok(lost) => lost,
        Err(error) => {
            tracing::error!(%error, events, "steps of attempts could not be recorded");
            events
        }
    }
}

/// Writes a batch; tells how many events were lost.
async fn write(store: &Store, batch: Vec<Event>) -> u64 {
    let events = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    let (rows, crowded_out) = gather(batch);
    let mut outcome = store.add_attempt_events(&rows).await;
    if outcome.is_err() {
        // Once more: after an outage the first statement may meet a connection that the outage cut.
        outcome = store.add_attempt_events(&rows).await;
    }
    match outcome {
        Ok(()) => crowded_out,
        Err(error) => {
            tracing::debug!(%error, events, "steps of attempts could not be recorded");
            events
        }
    }
}

/// Makes one row of equal events. Of what one network brought beyond its share, the count is told.
fn gather(batch: Vec<Event>) -> (Vec<Recorded>, u64) {
    let mut rows: HashMap<String, Recorded> = HashMap::new();
    let mut of_network: HashMap<String, usize> = HashMap::new();
    let mut crowded_out = 0;
    for event in batch {
        let key = attempt_key(&event);
        if let Some(row) = rows.get_mut(&key) {
            row.count += 1;
            row.last_at = row.last_at.max(event.at);
            continue;
        }
        let share = of_network.entry(event.network.clone()).or_default();
        if *share >= PER_NETWORK {
            crowded_out += 1;
            continue;
        }
        *share += 1;
        rows.insert(key, Recorded { last_at: event.at, count: 1, event });
    }
    (rows.into_values().collect(), crowded_out)
}

#[cfg(test)]
mod tests {
    use oauth::attempt_id::AttemptId;
    use oauth::time::Timestamp;

    use super::{PER_NETWORK, gather};
    use crate::model::attempt::{Event, Outcome, Stage};

    fn event(network: &str, reason: &str, at: i64) -> Event {
        Event {
            attempt: AttemptId::from_bits(1),
            early: true,
            at: Timestamp(at),
            stage: Stage::Challenge,
            outcome: Outcome::Refused,
            cause: None,
            reason: reason.to_owned(),
            detail: Vec::new(),
            agent: String::new(),
            network: network.to_owned(),
            client_id: None,
            grant_id: None,
        }
    }

    #[test]
    fn repetitions_are_one_row_with_a_count() {
        let (rows, lost) = gather(vec![event("a", "x", 5), event("a", "x", 9), event("a", "y", 6), event("b", "x", 7)]);
        assert_eq!((rows.len(), lost), (3, 0));
        let row = rows.iter().find(|row| row.count == 2).unwrap();
        assert_eq!((row.event.at, row.last_at), (Timestamp(5), Timestamp(9)));
    }

    #[test]
    fn one_network_gets_its_share_of_a_batch() {
        let mut batch: Vec<Event> = (0..PER_NETWORK * 2).map(|index| event("a", &index.to_string(), 1)).collect();
        batch.push(event("b", "x", 1));
        let (rows, lost) = gather(batch);
        assert_eq!((rows.len(), usize::try_from(lost).unwrap()), (PER_NETWORK + 1, PER_NETWORK));
        assert!(rows.iter().any(|row| row.event.network == "b"));
    }
}
