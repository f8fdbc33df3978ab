//! `token_grant` and `refresh_token`.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::client::{Row as ClientRow, client_columns};
use super::ending::{Ended, end_grant};
use super::statement::sql;
use super::{Store, StoreError, read, transact};
use crate::model::grant::{FirstUse, Grant, RefreshToken, Repetition, Rotation, Successor};
use crate::model::secret::SecretHash;

/// A rotation to be carried out.
#[derive(Clone, Debug)]
pub struct Rotate<'a> {
    /// Digest of the token that was presented.
    pub old: &'a SecretHash,
    /// Digest of its successor.
    pub new: &'a SecretHash,
    /// Digest of the successor's successor.
    pub after_new: &'a SecretHash,
    /// When the successor dies unless used.
    pub new_expires_at: Timestamp,
    /// First uses before this moment are past the grace window.
    pub grace_began_at: Timestamp,
    /// How often a token may be used again inside the window.
    pub grace_uses: i64,
    /// First uses after this moment may be of requests that are under way at once.
    pub under_way_since: Timestamp,
    /// What tells from which network the token is used now.
    pub used_from: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// A live grant as its user sees it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The grant.
    pub id: GrantId,
    /// The client's self-asserted name.
    pub client_name: Option<String>,
    /// Where its code went.
    pub redirect_uri: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub refreshed_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct RefreshRow {
    grant_id: GrantId,
    user_id: UserId,
    client_id: ClientId,
    grant_scope: String,
    resource: String,
    authenticated_at: Timestamp,
    grant_expires_at: Timestamp,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    #[sqlx(flatten)]
    client: ClientRow,
}

#[derive(sqlx::FromRow)]
struct UsedRow {
    grant_id: GrantId,
    used_at: Timestamp,
    used_from: Option<String>,
    alive: bool,
}

impl UsedRow {
    /// Tokens that an older version rotated don't say from where.
    fn seen_from(&self, place: &str) -> FirstUse {
        if self.used_from.as_deref().is_none_or(|own| own == place) { FirstUse::Here } else { FirstUse::Elsewhere }
    }
}

#[derive(sqlx::FromRow)]
struct ConnectionRow {
    id: GrantId,
    client_name: Option<String>,
    redirect_uri: String,
    scope: String,
    created_at: Timestamp,
    refreshed_at: Option<Timestamp>,
}

/// Gives an unused token out again, counted in its own row. A use of it that is under way holds that row: the guard is
/// judged again after it. Gives whether it was given.
macro_rules! give_again {
    ($tx:expr, $hash:expr, $most:expr, $now:expr) => {
        sqlx::query(
            "update refresh_token set repeats = repeats + 1
             where token_hash = $1 and used_at is null and repeats < $2 and exists
                 (select 1 from token_grant g
                  where g.id = refresh_token.grant_id and g.revoked_at is null and g.expires_at > $3)",
        )
        .bind($hash)
        .bind($most)
        .bind($now)
        .execute(&mut *$tx)
        .await?
        .rows_affected()
            == 1
    };
}

impl Store {
    /// The refresh token with this digest, its grant and its client, whatever state they are in: all that a
    /// refresh has to know, in one look.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_refresh_token(&self, hash: &SecretHash) -> Result<Option<RefreshToken>, StoreError> {
        let row: Option<RefreshRow> = read!(
            self,
            sql(concat!(
            "select g.id as grant_id, g.user_id, g.client_id, g.scope as grant_scope, g.resource, g.authenticated_at,
                    g.expires_at as grant_expires_at, r.expires_at, r.used_at, ",
            client_columns!(),
            " from refresh_token r join token_grant g on g.id = r.grant_id join client c on c.id = g.client_id
              where r.token_hash = $1"
        ))
            .bind(hash),
            fetch_optional
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RefreshToken {
            grant: Grant {
                id: row.grant_id,
                user_id: row.user_id,
                client_id: row.client_id,
                scope: Scope::try_from(row.grant_scope).map_err(|error| StoreError::corrupt("grant", error))?,
                resource: Resource::from_canonical(row.resource),
                authenticated_at: row.authenticated_at,
                expires_at: row.grant_expires_at,
            },
            client: row.client.try_into()?,
            expires_at: row.expires_at,
            used_at: row.used_at,
        }))
    }

    /// Rotates a refresh token. The first guard lets one of several racers make the successor. Whoever comes after it
    /// meets the second guard, in the row of the successor, at which its use and its being given again exclude each
    /// other: the same one is handed out as long as nobody has used it (T-20, T-21). What is left is reuse: it takes the
    /// grant down, and that is committed before the refusal is returned (RFC 9700 §4.14.2).
    ///
    /// # Errors
    /// When the database fails: then nothing has changed, and the client may try again (T-26).
    pub async fn rotate_refresh_token(&self, rotate: &Rotate<'_>) -> Result<Rotation, StoreError> {
        let Rotate { new_expires_at, grace_began_at, grace_uses, under_way_since, now, .. } = *rotate;
        let (old, new, used_from) = (rotate.old.clone(), rotate.new.clone(), rotate.used_from.to_owned());
        let after_new = rotate.after_new.clone();
        let outcome: Result<(Rotation, Ended), StoreError> = transact!(self, |tx| {
            'decided: {
                let rotated: Option<(GrantId,)> = sqlx::query_as(
                    "update refresh_token set used_at = $2, used_from = $3
                     where token_hash = $1 and used_at is null and expires_at > $2 and exists
                         (select 1 from token_grant g
                          where g.id = refresh_token.grant_id and g.revoked_at is null and g.expires_at > $2)
                     returning grant_id",
                )
                .bind(&old)
                .bind(now)
                .bind(&used_from)
                .fetch_optional(&mut *tx)
                .await?;
                if let Some((grant_id,)) = rotated {
                    sqlx::query(
                        "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
                         values ($1, $2, $3, $4, 0)",
                    )
                    .bind(&new)
                    .bind(&grant_id)
                    .bind(now)
                    .bind(new_expires_at)
                    .execute(&mut *tx)
                    .await?;
                    break 'decided (Rotation::Rotated, Ended::NOTHING);
                }
                // What is read here is written once and stays; a grant that has ended stays ended.
                let used: Option<UsedRow> = sqlx::query_as(
                    "select r.grant_id, r.used_at, r.used_from, g.revoked_at is null and g.expires_at > $2 as alive
                     from refresh_token r join token_grant g on g.id = r.grant_id
                     where r.token_hash = $1 and r.used_at is not null",
                )
                .bind(&old)
                .bind(now)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(used) = used else { break 'decided (Rotation::Unknown, Ended::NOTHING) };
                let first_use = used.seen_from(&used_from);
                if used.used_at > grace_began_at && give_again!(tx, &new, grace_uses, now) {
                    break 'decided (Rotation::Repeated(first_use), Ended::NOTHING);
                }
                let successor: Option<(Option<Timestamp>,)> =
                    sqlx::query_as("select used_at from refresh_token where token_hash = $1")
                        .bind(&new)
                        .fetch_optional(&mut *tx)
                        .await?;
                let repetition =
                    Repetition { used_at: used.used_at, successor: Successor::of(successor.map(|(used_at,)| used_at)) };
                if !repetition.is_reuse(under_way_since, grace_began_at) {
                    // The successor is in use, by a quicker one of several requests: the slower ones get what that one
                    // got. One step, for seconds, for the same network: no ancestor leads any further.
                    if first_use == FirstUse::Here && give_again!(tx, &after_new, grace_uses, now) {
                        break 'decided (Rotation::CaughtUp, Ended::NOTHING);
                    }
                    let rotation = if used.alive { Rotation::Overtaken(first_use) } else { Rotation::Unknown };
                    break 'decided (rotation, Ended::NOTHING);
                }
                let ended = end_grant!(tx, &used.grant_id, now, "refresh token replayed");
                (if ended.now { Rotation::Replayed(first_use) } else { Rotation::Unknown }, ended)
            }
        });
        let (rotation, ended) = outcome?;
        self.tell(ended).await?;
        Ok(rotation)
    }

    /// Ends a grant with all its tokens; tells whether it was still alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_grant(&self, id: &GrantId, because: &'static str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        let ended: Result<Ended, StoreError> = transact!(self, |tx| { end_grant!(tx, &id, now, because) });
        self.tell(ended?).await
    }

    /// Ends a grant of this user, if it is theirs, and forgets that they ever approved its client there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disconnect(&self, user: &UserId, id: &GrantId, now: Timestamp) -> Result<bool, StoreError> {
        let (user, id) = (user.clone(), id.clone());
        let ended: Result<Ended, StoreError> = transact!(self, |tx| {
            let theirs: Option<(ClientId,)> =
                sqlx::query_as("select client_id from token_grant where id = $1 and user_id = $2")
                    .bind(&id)
                    .bind(&user)
                    .fetch_optional(&mut *tx)
                    .await?;
            if let Some((client,)) = theirs {
                let ended = end_grant!(tx, &id, now, "disconnected by the user");
                sqlx::query("delete from consent where user_id = $1 and client_id = $2")
                    .bind(&user)
                    .bind(&client)
                    .execute(&mut *tx)
                    .await?;
                ended
            } else {
                Ended::NOTHING
            }
        });
        self.tell(ended?).await
    }

    /// A user's live connections, newest first.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn connections(&self, user: &UserId, now: Timestamp) -> Result<Vec<Connection>, StoreError> {
        let rows: Vec<ConnectionRow> = read!(
            self,
            sql("select g.id, c.name as client_name, g.redirect_uri, g.scope, g.created_at,
                    (select max(r.issued_at) from refresh_token r where r.grant_id = g.id) as refreshed_at
             from token_grant g join client c on c.id = g.client_id
             where g.user_id = $1 and g.revoked_at is null and g.expires_at > $2
             order by g.created_at desc limit 200")
            .bind(user)
            .bind(now),
            fetch_all
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(Connection {
                    id: row.id,
                    client_name: row.client_name,
                    redirect_uri: row.redirect_uri,
                    scope: Scope::try_from(row.scope).map_err(|error| StoreError::corrupt("grant", error))?,
                    created_at: row.created_at,
                    refreshed_at: row.refreshed_at,
                })
            })
            .collect()
    }
}
