//! `api_token`: tokens of the admin API, as digests.

use std::time::Duration;

use oauth::id::ApiTokenId;
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::api_token::{ApiScopes, ApiToken, Maker, Making};
use crate::model::secret::SecretHash;

/// How coarse the last use is: a row is not written at each call.
const LAST_USE: Duration = Duration::from_hours(1);

/// A token to be remembered.
#[derive(Clone, Debug)]
pub struct NewApiToken<'a> {
    /// Its id.
    pub id: &'a ApiTokenId,
    /// What it is called.
    pub name: &'a str,
    /// Digest of its text.
    pub hash: &'a SecretHash,
    /// What it may do.
    pub scopes: &'a ApiScopes,
    /// Now.
    pub created_at: Timestamp,
    /// The token that makes it; `None` for the command line.
    pub created_by: Option<Maker<'a>>,
    /// When it stops.
    pub expires_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: ApiTokenId,
    name: String,
    scopes: String,
    created_at: Timestamp,
    created_by: Option<String>,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl From<Row> for ApiToken {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            scopes: ApiScopes::from_stored(&row.scopes),
            created_at: row.created_at,
            created_by: row.created_by,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
        }
    }
}

impl Store {
    /// Remembers a token, unless another that is not revoked has the name, or its maker is no longer good.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_api_token(&self, new: &NewApiToken<'_>) -> Result<Making, StoreError> {
        let (id, name, hash) = (new.id.clone(), new.name.to_owned(), new.hash.clone());
        let (scopes, created_at, expires_at) = (new.scopes.to_string(), new.created_at, new.expires_at);
        let maker = new.created_by.map(|maker| (maker.id.clone(), maker.name.to_owned()));
        transact!(self, |tx| {
            let (maker_id, maker_name) = maker.as_ref().map(|(id, name)| (id, name)).unzip();
            if let Some(maker_id) = maker_id {
                // Changes nothing, and holds the maker's row: a revocation waits and then finds what was made, or came
                // first and is seen here.
                let held = sqlx::query(
                    "update api_token set revoked_at = null
                     where id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)",
                )
                .bind(maker_id)
                .bind(created_at)
                .execute(&mut *tx)
                .await?;
                if held.rows_affected() == 0 {
                    return Ok(Making::MakerGone);
                }
            }
            let done = sqlx::query(
                "insert into api_token (id, name, token_hash, scopes, created_at, created_by, made_by, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (name) where revoked_at is null do nothing",
            )
            .bind(&id)
            .bind(&name)
            .bind(&hash)
            .bind(&scopes)
            .bind(created_at)
            .bind(maker_name)
            .bind(maker_id)
            .bind(expires_at)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 { Making::Done } else { Making::NameTaken }
        })
    }

    /// The token with this digest, if it is good at `now`. Its last use is noted, at most once an hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn use_api_token(&self, hash: &SecretHash, now: Timestamp) -> Result<Option<ApiToken>, StoreError> {
        let row: Option<Row> = read!(
            self,
            sql("select id, name, scopes, created_at, created_by, last_used_at, expires_at from api_token
             where token_hash = $1 and revoked_at is null and (expires_at is null or expires_at > $2)")
            .bind(hash)
            .bind(now),
            fetch_optional
        )?;
        let Some(row) = row else { return Ok(None) };
        let noted_before = now.minus(LAST_USE);
        if row.last_used_at.is_none_or(|last| last <= noted_before) {
            write!(
                self,
                sql("update api_token set last_used_at = $2
                 where id = $1 and (last_used_at is null or last_used_at <= $3)")
                .bind(&row.id)
                .bind(now)
                .bind(noted_before),
                execute
            )?;
        }
        Ok(Some(row.into()))
    }

    /// The tokens that are not revoked, oldest first; expired ones are among them until they are swept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows: Vec<Row> = read!(
            self,
            sql("select id, name, scopes, created_at, created_by, last_used_at, expires_at from api_token
             where revoked_at is null order by created_at, id"),
            fetch_all
        )?;
        Ok(rows.into_iter().map(ApiToken::from).collect())
    }

    /// Stops a token and all that it made, and what those made; tells how many tokens that were. None if there was
    /// none to stop.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_api_token(&self, id: &ApiTokenId, now: Timestamp) -> Result<usize, StoreError> {
        let id = id.clone();
        transact!(self, |tx| {
            let done = sqlx::query("update api_token set revoked_at = $2 where id = $1 and revoked_at is null")
                .bind(&id)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            let mut stopped = Vec::new();
            if done.rows_affected() == 1 {
                stopped.push(id.clone());
            }
            // Each maker is stopped before its own are looked for: it can make no more behind our back.
            let mut looked_at = 0;
            while let Some(maker) = stopped.get(looked_at).cloned() {
                looked_at += 1;
                let made: Vec<(ApiTokenId,)> = sqlx::query_as(
                    "update api_token set revoked_at = $2 where made_by = $1 and revoked_at is null returning id",
                )
                .bind(&maker)
                .bind(now)
                .fetch_all(&mut *tx)
                .await?;
                stopped.extend(made.into_iter().map(|(id,)| id));
            }
            stopped.len()
        })
    }
}
