//! Taking events from requests: never waits, never fails. What finds no room is counted and forgotten.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::mpsc;

use crate::model::attempt::Event;

/// How many events may wait to be written.
const ROOM: usize = 4096;
/// How many events a minute one network may leave. More is a flood, which must not crowd out what others leave; a
/// hosted assistant brings all its people from few addresses, so it is not little.
const PER_NETWORK: NonZeroU32 = NonZeroU32::new(1200).unwrap();

/// Where requests leave their events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(Option<Arc<Sending>>);

#[derive(Debug)]
struct Sending {
    sender: mpsc::Sender<Event>,
    per_network: DefaultKeyedRateLimiter<String>,
    dropped: AtomicU64,
}

/// The other end: what was left, to be written.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Event>,
}

impl Inbox {
    /// Waits for events and takes up to `most` of them; none are left when there are none any more.
    pub async fn take(&mut self, into: &mut Vec<Event>, most: usize) -> usize {
        self.receiver.recv_many(into, most).await
    }

    /// Takes up to `most` of those that are there already.
    pub fn take_waiting(&mut self, into: &mut Vec<Event>, most: usize) {
        while into.len() < most
            && let Ok(event) = self.receiver.try_recv()
        {
            into.push(event);
        }
    }
}

/// A recorder and what it is read from.
#[must_use]
pub fn open() -> (Recorder, Inbox) {
    let (sender, receiver) = mpsc::channel(ROOM);
    let per_network = RateLimiter::keyed(Quota::per_minute(PER_NETWORK));
    (Recorder(Some(Arc::new(Sending { sender, per_network, dropped: AtomicU64::new(0) }))), Inbox { receiver })
}

impl Recorder {
    /// A recorder that forgets everything.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Leaves an event. When there is no room, or its network has left too many, it is counted as lost.
    pub fn record(&self, event: Event) {
        let Some(sending) = &self.0 else { return };
        let welcome = sending.per_network.check_key(&event.network).is_ok();
        if !welcome || sending.sender.try_send(event).is_err() {
            sending.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events were lost since this was last asked.
    #[must_use]
    pub fn take_lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |sending| sending.dropped.swap(0, Ordering::Relaxed))
    }

    /// Forgets networks that have left nothing for a while.
    pub fn sweep(&self) {
        if let Some(sending) = &self.0 {
            sending.per_network.retain_recent();
            sending.per_network.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use oauth::attempt_id::AttemptId;
    use oauth::time::Timestamp;

    use super::{PER_NETWORK, ROOM, Recorder, open};
    use crate::model::attempt::{Event, Outcome, Stage};

    fn event(network: &str) -> Event {
        Event {
            attempt: AttemptId::from_bits(1),
            early: true,
            at: Timestamp(1),
            stage: Stage::Challenge,
            outcome: Outcome::Refused,
            cause: None,
            reason: String::new(),
            detail: Vec::new(),
            agent: String::new(),
            network: network.to_owned(),
            client_id: None,
            grant_id: None,
        }
    }

    /// A request never waits for the record: what finds no room is counted and lost.
    #[test]
    fn a_full_record_loses_events_and_holds_nobody_up() {
        let (recorder, _inbox) = open();
        for index in 0..ROOM + 10 {
            recorder.record(event(&index.to_string()));
        }
        assert_eq!(recorder.take_lost(), 10);
        assert_eq!(recorder.take_lost(), 0);
        Recorder::off().record(event("x"));
    }

    /// One network's flood leaves room for the others.
    #[test]
    fn a_flooding_network_is_cut_short_and_others_are_heard() {
        let (recorder, mut inbox) = open();
        for _ in 0..PER_NETWORK.get() * 2 {
            recorder.record(event("203.0.113.9"));
        }
        recorder.record(event("198.51.100.1"));
        assert!(recorder.take_lost() > 0);
        let mut heard = Vec::new();
        while let Ok(event) = inbox.receiver.try_recv() {
            heard.push(event.network);
        }
        assert_eq!(heard.last().map(String::as_str), Some("198.51.100.1"));
        assert!(heard.len() < ROOM / 2);
    }
}
