//! Forgetting what has had its time, in bites: one write lasts milliseconds, however much has gathered, and requests that
//! write get their turn between two.

use std::time::Duration;

use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, write};

/// The most rows that one bite takes.
pub const BITE: u64 = 500;
const MOST: i64 = BITE.cast_signed();

/// What ends by itself. In the order in which it is forgotten: children before parents, so that no row drags others
/// along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Browser sessions.
    Sessions,
    /// Assertions of clients that were used.
    Assertions,
    /// Set-up links.
    SetupLinks,
    /// Counts of wrong passwords.
    SignInFailures,
    /// Authorization requests that nobody decided.
    UndecidedAuthorizations,
    /// Decided ones.
    Authorizations,
    /// Authorization codes.
    Codes,
    /// Refresh tokens.
    RefreshTokens,
    /// Refresh tokens of grants that were revoked.
    RevokedRefreshTokens,
    /// Grants that ended.
    Grants,
    /// Grants that were revoked.
    RevokedGrants,
    /// News of grants that ended together.
    Endings,
    /// Tokens of the admin API that ended.
    ApiTokens,
    /// Tokens of the admin API that were revoked.
    RevokedApiTokens,
}

impl Expired {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sessions,
        Self::Assertions,
        Self::SetupLinks,
        Self::SignInFailures,
        Self::UndecidedAuthorizations,
        Self::Authorizations,
        Self::Codes,
        Self::RefreshTokens,
        Self::RevokedRefreshTokens,
        Self::Grants,
        Self::RevokedGrants,
        Self::Endings,
        Self::ApiTokens,
        Self::RevokedApiTokens,
    ];
}

macro_rules! bite {
    ($store:expr, $sql:literal, $before:expr) => {
        write!($store, sql($sql).bind($before).bind(MOST), execute)
    };
}

impl Store {
    /// Takes one bite of what ended before its moment: `now` for what nobody can present any more, `evidence_before` for
    /// what must still be recognised when it is presented again (redeemed codes, ended grants). Tells how many rows it
    /// took; fewer than [`BITE`] were the last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self, what: Expired, now: Timestamp, evidence_before: Timestamp) -> Result<u64, StoreError> {
        // A replica whose clock is behind must still find them.
        let skewed = now.minus(Duration::from_mins(5));
        match what {
            Expired::Sessions => bite!(
                self,
                "delete from session where token_hash in
                 (select token_hash from session where expires_at <= $1 limit $2)",
                now
            ),
            Expired::Assertions => bite!(
                self,
                "delete from client_assertion where (client_id, jti_hash) in
                 (select client_id, jti_hash from client_assertion where expires_at <= $1 limit $2)",
                skewed
            ),
            Expired::SetupLinks => bite!(
                self,
                "delete from setup_link where token_hash in
                 (select token_hash from setup_link where expires_at <= $1 limit $2)",
                now
            ),
            Expired::SignInFailures => bite!(
                self,
                "delete from sign_in_failure where subject in
                 (select subject from sign_in_failure where window_ends_at <= $1 limit $2)",
                now
            ),
            Expired::UndecidedAuthorizations => bite!(
                self,
                "delete from authorization_request where id in
                 (select id from authorization_request where decision is null and expires_at <= $1 limit $2)",
                skewed
            ),
            Expired::Authorizations => bite!(
                self,
                "delete from authorization_request where id in
                 (select id from authorization_request where expires_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::Codes => bite!(
                self,
                "delete from authorization_code where code_hash in
                 (select code_hash from authorization_code where expires_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::RefreshTokens => bite!(
                self,
                "delete from refresh_token where token_hash in
                 (select token_hash from refresh_token where expires_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::RevokedRefreshTokens => bite!(
                self,
                "delete from refresh_token where token_hash in
                 (select r.token_hash from token_grant g join refresh_token r on r.grant_id = g.id
                  where g.revoked_at is not null and g.revoked_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::Grants => bite!(
                self,
                "delete from token_grant where id in
                 (select id from token_grant where expires_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::RevokedGrants => bite!(
                self,
                "delete from token_grant where id in
                 (select id from token_grant where revoked_at is not null and revoked_at <= $1 limit $2)",
                evidence_before
            ),
            // Replicas look for them for some minutes; the grants themselves say the rest.
            Expired::Endings => bite!(
                self,
                "delete from grant_ending where (at, kind, subject) in
                 (select at, kind, subject from grant_ending where at <= $1 limit $2)",
                now.minus(Duration::from_hours(1))
            ),
            Expired::ApiTokens => bite!(
                self,
                "delete from api_token where id in (select id from api_token where expires_at <= $1 limit $2)",
                evidence_before
            ),
            Expired::RevokedApiTokens => bite!(
                self,
                "delete from api_token where id in
                 (select id from api_token where revoked_at is not null and revoked_at <= $1 limit $2)",
                evidence_before
            ),
        }
    }

    /// Takes one bite of the clients that nobody ever let in and that are older than `before`; managed ones are kept, and
    /// so is what an administrator decided about a client, which its revision tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_unused_clients(&self, before: Timestamp) -> Result<u64, StoreError> {
        bite!(
            self,
            "delete from client where first_used_at is null and id in
             (select id from client where first_used_at is null and origin <> 'managed' and revision = 0
                and registered_at < $1 order by registered_at limit $2)",
            before
        )
    }

    /// Takes one bite of such clients beyond the newest `most`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_surplus_clients(&self, most: i64) -> Result<u64, StoreError> {
        bite!(
            self,
            "delete from client where first_used_at is null and id in
             (select id from client where first_used_at is null and origin <> 'managed' and revision = 0
              order by registered_at desc, id limit $2 offset $1)",
            most
        )
    }

    /// Takes one bite of the steps of attempts that were last repeated before a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_attempts(&self, before: Timestamp) -> Result<u64, StoreError> {
        bite!(
            self,
            "delete from attempt_event where id in (select id from attempt_event where last_at <= $1 limit $2)",
            before
        )
    }

    /// Takes one bite of the surplus, if more than `most` steps are there: of the network that left most of them the
    /// oldest, as long as it has left more than `per_network`; then the oldest of all. A flood from one place pushes out
    /// itself and nobody else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_surplus_attempts(&self, most: i64, per_network: i64) -> Result<u64, StoreError> {
        let (count,): (i64,) = read!(self, sql("select count(*) from attempt_event"), fetch_one)?;
        let surplus = count - most;
        if surplus <= 0 {
            return Ok(0);
        }
        let loudest: Option<(String, i64)> = read!(
            self,
            sql("select network, count(*) as steps from attempt_event group by network
                 having count(*) > $1 order by count(*) desc, network limit 1")
            .bind(per_network),
            fetch_optional
        )?;
        match loudest {
            Some((network, steps)) => {
                let bite = MOST.min(steps - per_network);
                write!(
                    self,
                    sql("delete from attempt_event where id in
                         (select id from attempt_event where network = $1 order by last_at, id limit $2)")
                    .bind(&network)
                    .bind(bite),
                    execute
                )
            }
            None => write!(
                self,
                sql("delete from attempt_event where id in
                     (select id from attempt_event order by last_at, id limit $1)")
                .bind(MOST.min(surplus)),
                execute
            ),
        }
    }
}
