//! `token_grant` as an administrator sees it: who is connected with what.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::ending::{Ended, end_grant};
use super::managed::Page;
use super::statement::sql;
use super::{Store, StoreError, read, transact};

/// Whose connections are meant.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Everybody's.
    All,
    /// This person's.
    User(&'a UserId),
    /// Those of this client.
    Client(&'a ClientId),
}

/// A live grant as an administrator sees it.
#[derive(Clone, Debug)]
pub struct LiveGrant {
    /// The grant.
    pub id: GrantId,
    /// Whose.
    pub user_id: UserId,
    /// Their login name.
    pub username: String,
    /// The client.
    pub client_id: ClientId,
    /// What it calls itself.
    pub client_name: Option<String>,
    /// Where its code went.
    pub redirect_uri: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub refreshed_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: GrantId,
    user_id: UserId,
    username: String,
    client_id: ClientId,
    client_name: Option<String>,
    redirect_uri: String,
    scope: String,
    created_at: Timestamp,
    refreshed_at: Option<Timestamp>,
    expires_at: Timestamp,
}

impl Store {
    /// Live connections, newest first, a page at a time.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn live_grants(
        &self,
        whose: Whose<'_>,
        page: &Page,
        now: Timestamp,
    ) -> Result<Vec<LiveGrant>, StoreError> {
        let (before, before_id) = page.start();
        let rows: Vec<Row> =
            match whose {
                Whose::All => read!(self, sql(
                "select g.id, g.user_id, u.username, g.client_id, c.name as client_name, g.redirect_uri, g.scope,
                        g.created_at, g.expires_at,
                        (select max(r.issued_at) from refresh_token r where r.grant_id = g.id) as refreshed_at
                 from token_grant g join client c on c.id = g.client_id join user_account u on u.id = g.user_id
                 where (g.created_at, g.id) < ($1, $2) and g.revoked_at is null and g.expires_at > $3
                 order by g.created_at desc, g.id desc limit $4"
            )
            .bind(before)
            .bind(before_id)
            .bind(now)
            .bind(page.limit), fetch_all)?,
                Whose::User(user) => read!(self, sql(
                "select g.id, g.user_id, u.username, g.client_id, c.name as client_name, g.redirect_uri, g.scope,
                        g.created_at, g.expires_at,
                        (select max(r.issued_at) from refresh_token r where r.grant_id = g.id) as refreshed_at
                 from token_grant g join client c on c.id = g.client_id join user_account u on u.id = g.user_id
                 where g.user_id = $5 and (g.created_at, g.id) < ($1, $2) and g.revoked_at is null and g.expires_at > $3
                 order by g.created_at desc, g.id desc limit $4"
            )
            .bind(before)
            .bind(before_id)
            .bind(now)
            .bind(page.limit)
            .bind(user), fetch_all)?,
                Whose::Client(client) => read!(self, sql(
                "select g.id, g.user_id, u.username, g.client_id, c.name as client_name, g.redirect_uri, g.scope,
                        g.created_at, g.expires_at,
                        (select max(r.issued_at) from refresh_token r where r.grant_id = g.id) as refreshed_at
                 from token_grant g join client c on c.id = g.client_id join user_account u on u.id = g.user_id
                 where g.client_id = $5 and (g.created_at, g.id) < ($1, $2) and g.revoked_at is null
                   and g.expires_at > $3
                 order by g.created_at desc, g.id desc limit $4"
            )
            .bind(before)
            .bind(before_id)
            .bind(now)
            .bind(page.limit)
            .bind(client), fetch_all)?,
            };
        rows.into_iter()
            .map(|row| {
                Ok(LiveGrant {
                    id: row.id,
                    user_id: row.user_id,
                    username: row.username,
                    client_id: row.client_id,
                    client_name: row.client_name,
                    redirect_uri: row.redirect_uri,
                    scope: Scope::try_from(row.scope).map_err(|error| StoreError::corrupt("grant", error))?,
                    created_at: row.created_at,
                    refreshed_at: row.refreshed_at,
                    expires_at: row.expires_at,
                })
            })
            .collect()
    }

    /// Ends a connection for its user, and forgets that they approved its client: the next one is asked about
    /// again. Tells whether it was alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_connection(&self, id: &GrantId, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        let ended: Result<Ended, StoreError> = transact!(self, |tx| {
            let whose: Option<(UserId, ClientId)> =
                sqlx::query_as("select user_id, client_id from token_grant where id = $1 and expires_at > $2")
                    .bind(&id)
                    .bind(now)
                    .fetch_optional(&mut *tx)
                    .await?;
            if let Some((user, client)) = whose {
                let ended = end_grant!(tx, &id, now, "ended by an administrator");
                if ended.now {
                    sqlx::query("delete from consent where user_id = $1 and client_id = $2")
                        .bind(&user)
                        .bind(&client)
                        .execute(&mut *tx)
                        .await?;
                }
                ended
            } else {
                Ended::NOTHING
            }
        });
        self.tell(ended?).await
    }
}
