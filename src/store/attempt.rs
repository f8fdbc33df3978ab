//! `attempt_event`: what was recorded of attempts to connect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::{ClientId, GrantId};
use oauth::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::statement::sql;
use super::{Store, StoreError, read, transact};
use crate::model::attempt::{Event, Outcome, Recorded, Stage};

/// The most rows that one question gives: a story that is longer is told by its newest.
const MOST: i64 = 500;

/// An attempt in a list.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// Which.
    pub attempt: AttemptId,
    /// When it began.
    pub first_at: Timestamp,
    /// When it was last heard of.
    pub last_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    attempt: AttemptId,
    early: bool,
    stage: String,
    outcome: String,
    cause: Option<String>,
    reason: String,
    detail: String,
    agent: String,
    network: String,
    client_id: Option<ClientId>,
    grant_id: Option<GrantId>,
    first_at: Timestamp,
    last_at: Timestamp,
    times: i64,
}

/// The columns of a [`Row`]. Never `*`: PostgreSQL refuses a prepared statement whose result has got a column more, and
/// an upgrade adds one while the release before still asks.
macro_rules! attempt_columns {
    () => {
        "attempt, early, stage, outcome, cause, reason, detail, agent, network, client_id, grant_id, first_at, last_at, times"
    };
}

impl TryFrom<Row> for Recorded {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |why: &str| StoreError::corrupt("attempt", why);
        Ok(Self {
            event: Event {
                attempt: row.attempt,
                early: row.early,
                at: row.first_at,
                stage: Stage::parse(&row.stage).ok_or_else(|| corrupt("unknown step"))?,
                outcome: Outcome::parse(&row.outcome).ok_or_else(|| corrupt("unknown outcome"))?,
                // A word of a newer release than this one: the sentence beside it still says it to people.
                cause: row.cause.as_deref().and_then(Cause::parse),
                reason: row.reason,
                detail: serde_json::from_str(&row.detail).map_err(|error| StoreError::corrupt("attempt", error))?,
                agent: row.agent,
                network: row.network,
                client_id: row.client_id,
                grant_id: row.grant_id,
            },
            last_at: row.last_at,
            count: row.times,
        })
    }
}

fn rows(rows: Vec<Row>) -> Result<Vec<Recorded>, StoreError> {
    rows.into_iter().map(Recorded::try_from).collect()
}

/// What makes two steps the same: everything but the time.
#[must_use]
pub fn key_of(event: &Event) -> String {
    let text = serde_json::json!([
        event.attempt,
        event.stage,
        event.outcome,
        event.cause,
        event.reason,
        event.detail,
        event.agent,
        event.network,
        event.client_id,
        event.grant_id,
    ]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.to_string().as_bytes()))
}

impl Store {
    /// Adds recorded steps in one transaction: a step that is known already gets a higher count and a later time.
    ///
    /// # Errors
    /// When the database fails; then none is added.
    pub async fn add_attempt_events(&self, events: &[Recorded]) -> Result<(), StoreError> {
        let mut keyed: Vec<(String, Recorded)> = events.iter().map(|own| (key_of(&own.event), own.clone())).collect();
        // In one order everywhere: of two replicas that add the same rows in different orders one would fail.
        keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
        transact!(self, |tx| {
            for (key, Recorded { event, last_at, count }) in &keyed {
                sqlx::query(
                    "insert into attempt_event (id, attempt, early, stage, outcome, cause, reason, detail, agent,
                         network, client_id, grant_id, first_at, last_at, times)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                     on conflict (id) do update set times = attempt_event.times + excluded.times,
                         last_at = case when attempt_event.last_at < excluded.last_at then excluded.last_at
                                        else attempt_event.last_at end",
                )
                .bind(key)
                .bind(&event.attempt)
                .bind(event.early)
                .bind(event.stage.as_str())
                .bind(event.outcome.as_str())
                .bind(event.cause.map(Cause::as_str))
                .bind(&event.reason)
                .bind(serde_json::to_string(&event.detail).unwrap_or_else(|_| "[]".to_owned()))
                .bind(&event.agent)
                .bind(&event.network)
                .bind(&event.client_id)
                .bind(&event.grant_id)
                .bind(event.at)
                .bind(last_at)
                .bind(count)
                .execute(&mut *tx)
                .await?;
            }
        })
    }

    /// What was recorded under this id.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn attempt_events(&self, attempt: &AttemptId) -> Result<Vec<Recorded>, StoreError> {
        rows(read!(
            self,
            sql(concat!(
                "select ",
                attempt_columns!(),
                " from attempt_event where attempt = $2 order by last_at desc limit $1"
            ))
            .bind(MOST)
            .bind(attempt),
            fetch_all
        )?)
    }

    /// What this client left between two moments: under early ids, or in attempts of its own. Many people may share
    /// one client, so only what is asked for is read.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn attempt_events_of_client(
        &self,
        client: &ClientId,
        early: bool,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Recorded>, StoreError> {
        rows(read!(
            self,
            sql(concat!(
                "select ",
                attempt_columns!(),
                " from attempt_event
                  where client_id = $2 and early = $5 and first_at <= $4 and last_at >= $3
                  order by last_at desc limit $1"
            ))
            .bind(MOST)
            .bind(client)
            .bind(from)
            .bind(until)
            .bind(early),
            fetch_all
        )?)
    }

    /// What came from this network between two moments before it was known whose attempt it was.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn early_attempt_events(
        &self,
        network: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Recorded>, StoreError> {
        rows(read!(
            self,
            sql(concat!(
                "select ",
                attempt_columns!(),
                " from attempt_event
                  where network = $2 and early = $5 and first_at <= $4 and last_at >= $3
                  order by last_at desc limit $1"
            ))
            .bind(MOST)
            .bind(network)
            .bind(from)
            .bind(until)
            .bind(true),
            fetch_all
        )?)
    }

    /// Calls without a good token between two moments, from anywhere.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn challenges(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Recorded>, StoreError> {
        rows(read!(
            self,
            sql(concat!(
                "select ",
                attempt_columns!(),
                " from attempt_event where stage = $2 and first_at <= $4 and last_at >= $3
                  order by last_at desc limit $1"
            ))
            .bind(MOST)
            .bind(Stage::Challenge.as_str())
            .bind(from)
            .bind(until),
            fetch_all
        )?)
    }

    /// The attempts that were last heard of, newest first: those that came as far as an authorization request, and
    /// those that did not. Visitors who only asked for what is not here tried no connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_attempts(&self, most: u32) -> Result<Vec<Listed>, StoreError> {
        Ok(read!(
            self,
            sql("select attempt, min(first_at) as first_at, max(last_at) as last_at from attempt_event
             where stage <> $2 group by attempt order by max(last_at) desc, attempt limit $1")
            .bind(i64::from(most))
            .bind(Stage::Other.as_str()),
            fetch_all
        )?)
    }
}
