//! The end of grants: the one place that writes `revoked_at`, so that nobody can end a grant without telling the view by
//! which the resource half judges its tokens. When the answer goes out, they have stopped here (RFC 7009 §2).
//!
//! A grant that ends alone is found by its own row. Grants that end with their client or user stand in one row of
//! `grant_ending` together: replicas look for news several times a second, and must not read a hundred thousand rows each
//! time because one popular client was deleted a minute ago.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read};
use crate::revocations::Revocations;

/// How many grants are read at a time.
const PAGE: i64 = 1_000;

/// With whom grants end together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Their client.
    Client(ClientId),
    /// Their user.
    User(UserId),
}

/// News about grants that have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// One ended alone.
    Alone(GrantId, Timestamp),
    /// So many ended together, up to now.
    Together(Party, Timestamp, i64),
}

/// What a transaction has ended. After its commit [`Store::tell`] takes it.
#[derive(Debug)]
#[must_use = "the view of revocations is to be told: `Store::tell`"]
pub(super) struct Ended {
    what: What,
    /// Whether it was this transaction that ended something.
    pub(super) now: bool,
}

#[derive(Debug)]
enum What {
    Nothing,
    Alone(GrantId, Timestamp),
    Together(Party, Timestamp),
}

impl Ended {
    pub(super) const NOTHING: Self = Self { what: What::Nothing, now: false };

    /// Ended by this transaction.
    pub(super) fn alone(id: &GrantId, at: Timestamp) -> Self {
        Self { what: What::Alone(id.clone(), at), now: true }
    }

    /// Not ended by this transaction, but perhaps by another, of which this process may not know yet.
    pub(super) fn before(id: &GrantId, at: Option<(Timestamp,)>) -> Self {
        Self { what: at.map_or(What::Nothing, |(at,)| What::Alone(id.clone(), at)), now: false }
    }

    /// This, and then what `later` says about the same party.
    pub(super) fn and(self, later: Self) -> Self {
        Self { now: self.now || later.now, ..later }
    }

    /// So many of this party's were ended by this transaction, and others perhaps by another a moment ago.
    pub(super) fn together(party: Party, at: Timestamp, grants: u64) -> Self {
        Self { what: What::Together(party, at), now: grants > 0 }
    }
}

/// Ends one grant in a transaction. Gives an [`Ended`], also for one that had ended before.
macro_rules! end_grant {
    ($tx:expr, $id:expr, $now:expr, $because:expr) => {{
        let done = sqlx::query(
            "update token_grant set revoked_at = $2, revoked_because = $3 where id = $1 and revoked_at is null",
        )
        .bind($id)
        .bind($now)
        .bind($because)
        .execute(&mut *$tx)
        .await?;
        if done.rows_affected() == 1 {
            crate::store::ending::Ended::alone($id, $now)
        } else {
            let before: Option<(Timestamp,)> =
                sqlx::query_as("select revoked_at from token_grant where id = $1 and revoked_at is not null")
                    .bind($id)
                    .fetch_optional(&mut *$tx)
                    .await?;
            crate::store::ending::Ended::before($id, before)
        }
    }};
}

/// Ends all grants of a client in a transaction. Gives an [`Ended`].
macro_rules! end_grants_of_client {
    ($tx:expr, $id:expr, $now:expr, $because:expr) => {{
        let done = sqlx::query(
            "update token_grant set revoked_at = $2, revoked_because = $3, revoked_with = 'client'
             where client_id = $1 and revoked_at is null",
        )
        .bind($id)
        .bind($now)
        .bind($because)
        .execute(&mut *$tx)
        .await?;
        crate::store::ending::note_together!($tx, "client", $id, $now, done.rows_affected());
        let party = crate::store::ending::Party::Client($id.clone());
        crate::store::ending::Ended::together(party, $now, done.rows_affected())
    }};
}

/// Ends all grants of a user in a transaction. Gives an [`Ended`].
macro_rules! end_grants_of_user {
    ($tx:expr, $id:expr, $now:expr, $because:expr) => {{
        let done = sqlx::query(
            "update token_grant set revoked_at = $2, revoked_because = $3, revoked_with = 'user'
             where user_id = $1 and revoked_at is null",
        )
        .bind($id)
        .bind($now)
        .bind($because)
        .execute(&mut *$tx)
        .await?;
        crate::store::ending::note_together!($tx, "user", $id, $now, done.rows_affected());
        let party = crate::store::ending::Party::User($id.clone());
        crate::store::ending::Ended::together(party, $now, done.rows_affected())
    }};
}

/// Counts what ended together: whoever sees another count than before looks again.
macro_rules! note_together {
    ($tx:expr, $kind:literal, $id:expr, $now:expr, $grants:expr) => {
        if $grants > 0 {
            sqlx::query(
                "insert into grant_ending (at, kind, subject, grants) values ($1, $2, $3, $4)
                 on conflict (at, kind, subject) do update set grants = grant_ending.grants + excluded.grants",
            )
            .bind($now)
            .bind($kind)
            .bind($id)
            .bind(i64::try_from($grants).unwrap_or(i64::MAX))
            .execute(&mut *$tx)
            .await?;
        }
    };
}

pub(super) use {end_grant, end_grants_of_client, end_grants_of_user, note_together};

#[derive(sqlx::FromRow)]
struct EndingRow {
    kind: String,
    subject: String,
    at: Timestamp,
    grants: i64,
}

impl TryFrom<EndingRow> for Ending {
    type Error = StoreError;

    fn try_from(row: EndingRow) -> Result<Self, StoreError> {
        Ok(match row.kind.as_str() {
            "grant" => Self::Alone(GrantId::new(row.subject), row.at),
            "client" => Self::Together(Party::Client(ClientId::new(row.subject)), row.at, row.grants),
            "user" => Self::Together(Party::User(UserId::new(row.subject)), row.at, row.grants),
            other => return Err(StoreError::corrupt("ending", format!("kind {other:?}"))),
        })
    }
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    id: GrantId,
    created_at: Timestamp,
    revoked_at: Timestamp,
}

impl Store {
    /// What has ended since a moment.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn endings(&self, since: Timestamp) -> Result<Vec<Ending>, StoreError> {
        let rows: Vec<EndingRow> = read!(
            self,
            sql("select 'grant' as kind, id as subject, revoked_at as at, cast(1 as bigint) as grants from token_grant
             where revoked_at is not null and revoked_with is null and revoked_at >= $1
             union all select kind, subject, at, grants from grant_ending where at >= $1")
            .bind(since),
            fetch_all
        )?;
        rows.into_iter().map(Ending::try_from).collect()
    }

    /// The grants that have ended, however they did, by when and by id: a page behind `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ended_grants(
        &self,
        (at, id): &(Timestamp, GrantId),
        limit: i64,
    ) -> Result<Vec<(GrantId, Timestamp)>, StoreError> {
        read!(
            self,
            sql("select id, revoked_at from token_grant where revoked_at is not null and (revoked_at, id) > ($1, $2)
             order by revoked_at, id limit $3")
            .bind(*at)
            .bind(id)
            .bind(limit),
            fetch_all
        )
    }

    /// Tells a view which grants of a party have ended since a moment; how many there are.
    ///
    /// # Errors
    /// When the database fails; then some may have been told.
    pub async fn tell_together(&self, party: &Party, since: Timestamp, view: &Revocations) -> Result<u64, StoreError> {
        let (mut told, mut after) = (0, (Timestamp(i64::MIN), GrantId::new("")));
        loop {
            let page = self.ended_of(party, since, &after).await?;
            for grant in &page {
                view.add(&grant.id, grant.revoked_at);
                told += 1;
            }
            match page.into_iter().next_back() {
                Some(last) if told % PAGE == 0 => after = (last.created_at, last.id),
                _ => return Ok(told.unsigned_abs()),
            }
        }
    }

    async fn ended_of(
        &self,
        party: &Party,
        since: Timestamp,
        (created_at, id): &(Timestamp, GrantId),
    ) -> Result<Vec<EndedRow>, StoreError> {
        match party {
            Party::Client(client) => read!(
                self,
                sql("select id, created_at, revoked_at from token_grant
                 where client_id = $1 and revoked_at >= $2 and (created_at, id) > ($3, $4)
                 order by created_at, id limit $5")
                .bind(client)
                .bind(since)
                .bind(*created_at)
                .bind(id)
                .bind(PAGE),
                fetch_all
            ),
            Party::User(user) => read!(
                self,
                sql("select id, created_at, revoked_at from token_grant
                 where user_id = $1 and revoked_at >= $2 and (created_at, id) > ($3, $4)
                 order by created_at, id limit $5")
                .bind(user)
                .bind(since)
                .bind(*created_at)
                .bind(id)
                .bind(PAGE),
                fetch_all
            ),
        }
    }

    /// Tells the view of this process what a transaction has ended, once that is committed and before the verb returns.
    /// Without a view, as on the command line, there is nothing to tell. Gives whether it was this transaction that ended
    /// something.
    ///
    /// # Errors
    /// When the database fails. What has ended stays ended; the poll tells of it.
    pub(super) async fn tell(&self, ended: Ended) -> Result<bool, StoreError> {
        let Some(view) = &self.view else { return Ok(ended.now) };
        match ended.what {
            What::Nothing => {}
            What::Alone(id, at) => view.add(&id, at),
            // Also what another replica ended a moment ago: the answer speaks of all of them.
            What::Together(party, at) => {
                self.tell_together(&party, view.horizon(at), view).await?;
            }
        }
        Ok(ended.now)
    }
}
