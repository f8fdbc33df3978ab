//! Following what ends in the database, wherever it was ended: what the poll does for the view of revocations.
//!
//! Each look reads what is new and no more. "New" is told by `revoked_at`, with an overlap: a transaction's moment is that
//! of its request, on the clock of its own replica, and it is committed later. What no overlap would find (a clock that is
//! far off, a database restored from a copy) a reading of the whole finds, which goes on beside, a page at each look.

use std::collections::HashMap;
use std::time::Duration;

use oauth::id::GrantId;
use oauth::time::{Timestamp, whole_seconds};

use crate::revocations::Revocations;
use crate::store::{Ending, Party, Store, StoreError};

/// How far back each look reads: longer than the longest transaction that ends grants (a minute, see `store`), and the
/// difference of two clocks that tokens bear.
const OVERLAP: Duration = Duration::from_mins(2);
/// How often the whole is read.
const WHOLE_EVERY: Duration = Duration::from_mins(5);
/// How many rows of it are read at each look.
const PAGE: i64 = 1_000;

/// How far the database has been followed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked_at: Option<Timestamp>,
    /// How many grants that ended together were read.
    together: HashMap<(Party, Timestamp), i64>,
    whole: Whole,
}

/// How far the whole has been read.
#[derive(Debug, Default)]
enum Whole {
    #[default]
    Never,
    UpTo((Timestamp, GrantId)),
    Done(Timestamp),
}

impl Watch {
    /// Brings the view up to date; the number of rows that were read for it. The first look reads the whole.
    ///
    /// # Errors
    /// When the store fails: then the next look reads the same again.
    pub(super) async fn look(&mut self, store: &Store, view: &Revocations, now: Timestamp) -> Result<u64, StoreError> {
        let since = self.looked_at.map_or(now, |at| at.min(now)).minus(OVERLAP);
        let mut rows = self.read_news(store, view, since).await?;
        if self.is_due(view, now) {
            self.whole = Whole::UpTo((view.horizon(now), GrantId::new("")));
        }
        loop {
            rows += self.read_on(store, view, now).await?;
            // Afterwards a page is enough: the news are known.
            if self.looked_at.is_some() || matches!(self.whole, Whole::Done(_)) {
                break;
            }
        }
        self.looked_at = Some(now);
        view.confirm(now);
        view.forget(now);
        Ok(rows)
    }

    async fn read_news(&mut self, store: &Store, view: &Revocations, since: Timestamp) -> Result<u64, StoreError> {
        let mut rows = 0;
        for ending in store.endings(since).await? {
            rows += 1;
            match ending {
                Ending::Alone(id, at) => view.add(&id, at),
                Ending::Together(party, at, grants) => {
                    let key = (party, at);
                    if self.together.get(&key) != Some(&grants) {
                        rows += store.tell_together(&key.0, at, view).await?;
                        self.together.insert(key, grants);
                    }
                }
            }
        }
        self.together.retain(|(_, at), _| *at >= since);
        Ok(rows)
    }

    /// Also after a time without news: who knows what has happened to the database.
    fn is_due(&self, view: &Revocations, now: Timestamp) -> bool {
        match self.whole {
            Whole::Never => true,
            Whole::UpTo(_) => false,
            Whole::Done(at) => view.is_stale(now) || now.since(at).abs() >= whole_seconds(WHOLE_EVERY),
        }
    }

    /// Reads the next page of the whole, if it is being read.
    async fn read_on(&mut self, store: &Store, view: &Revocations, now: Timestamp) -> Result<u64, StoreError> {
        let Whole::UpTo(after) = &self.whole else { return Ok(0) };
        let page = store.ended_grants(after, PAGE).await?;
        for (id, at) in &page {
            view.add(id, *at);
        }
        let rows = u64::try_from(page.len()).unwrap_or_default();
        let full = i64::try_from(page.len()).is_ok_and(|rows| rows == PAGE);
        self.whole = match page.into_iter().next_back() {
            Some((id, at)) if full => Whole::UpTo((at, id)),
            _ => Whole::Done(now),
        };
        Ok(rows)
    }
}
