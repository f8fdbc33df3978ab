//! `authorization_code`.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::pkce::CodeChallenge;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::ending::{Ended, end_grant};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::grant::{Code, Grant, MAX_CODE_ATTEMPTS, Redemption};
use crate::model::secret::SecretHash;

/// A redemption to be carried out.
#[derive(Clone, Debug)]
pub struct Redeem<'a> {
    /// Digest of the code.
    pub code_hash: &'a SecretHash,
    /// Digest of the first refresh token and when it dies, if one is issued.
    pub refresh: Option<(SecretHash, Timestamp)>,
    /// When the grant ends.
    pub grant_expires_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    grant_id: GrantId,
    client_id: ClientId,
    user_id: UserId,
    redirect_uri: String,
    scope: String,
    resource: String,
    code_challenge: Option<String>,
    authenticated_at: Timestamp,
    expires_at: Timestamp,
    attempts: i64,
    redeemed_at: Option<Timestamp>,
}

impl Store {
    /// The code with this digest.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_code(&self, code_hash: &SecretHash) -> Result<Option<Code>, StoreError> {
        let row: Option<Row> =
            read!(self, sql(
            "select grant_id, client_id, user_id, redirect_uri, scope, resource, code_challenge, authenticated_at,
                    expires_at, attempts, redeemed_at
             from authorization_code where code_hash = $1"
        )
        .bind(code_hash), fetch_optional)?;
        let Some(row) = row else { return Ok(None) };
        let code_challenge = match row.code_challenge {
            None => None,
            Some(text) => {
                Some(CodeChallenge::from_text(&text).ok_or_else(|| StoreError::corrupt("code", "challenge"))?)
            }
        };
        Ok(Some(Code {
            grant: Grant {
                id: row.grant_id,
                user_id: row.user_id,
                client_id: row.client_id,
                scope: Scope::try_from(row.scope).map_err(|error| StoreError::corrupt("code", error))?,
                resource: Resource::from_canonical(row.resource),
                authenticated_at: row.authenticated_at,
                expires_at: row.expires_at,
            },
            redirect_uri: row.redirect_uri,
            code_challenge,
            expires_at: row.expires_at,
            attempts: row.attempts,
            redeemed_at: row.redeemed_at,
        }))
    }

    /// Counts a redemption that was refused for its verifier or client; enough of them kill the code (T-13).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_code_attempt(&self, code_hash: &SecretHash) -> Result<(), StoreError> {
        write!(
            self,
            sql("update authorization_code set attempts = attempts + 1 where code_hash = $1").bind(code_hash),
            execute
        )?;
        Ok(())
    }

    /// Redeems a code, once: the guard on `redeemed_at` lets one of several racers through, and the grant and
    /// its refresh token come to be in the same transaction (T-14). A code of a credential that its user no longer has
    /// is none. A code that was redeemed before takes its grant down with it, and that is committed before the refusal
    /// is returned (RFC 9700 §4.5).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn redeem_code(&self, redeem: &Redeem<'_>) -> Result<Redemption, StoreError> {
        let Redeem { grant_expires_at, now, .. } = *redeem;
        let (code_hash, refresh) = (redeem.code_hash.clone(), redeem.refresh.clone());
        let outcome: Result<(Redemption, Ended), StoreError> = transact!(self, |tx| {
            let done = sqlx::query(
                "update authorization_code set redeemed_at = $2
                 where code_hash = $1 and redeemed_at is null and expires_at > $2 and attempts < $3
                   and exists (select 1 from user_account u where u.id = user_id and u.disabled_at is null
                               and u.credential = authorization_code.credential)
                   and exists (select 1 from client c
                               where c.id = client_id and c.disabled_at is null and c.deleted_at is null)",
            )
            .bind(&code_hash)
            .bind(now)
            .bind(MAX_CODE_ATTEMPTS)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 {
                sqlx::query(
                    "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                         created_at, expires_at)
                     select grant_id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                         redeemed_at, $2
                     from authorization_code where code_hash = $1",
                )
                .bind(&code_hash)
                .bind(grant_expires_at)
                .execute(&mut *tx)
                .await?;
                if let Some((hash, expires_at)) = &refresh {
                    sqlx::query(
                        "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, repeats)
                         select $2, grant_id, redeemed_at, $3, 0 from authorization_code where code_hash = $1",
                    )
                    .bind(&code_hash)
                    .bind(hash)
                    .bind(*expires_at)
                    .execute(&mut *tx)
                    .await?;
                }
                (Redemption::Redeemed, Ended::NOTHING)
            } else {
                let redeemed: Option<(GrantId,)> = sqlx::query_as(
                    "select grant_id from authorization_code where code_hash = $1 and redeemed_at is not null",
                )
                .bind(&code_hash)
                .fetch_optional(&mut *tx)
                .await?;
                match redeemed {
                    Some((grant,)) => (Redemption::Replayed, end_grant!(tx, &grant, now, "code replayed")),
                    None => (Redemption::Unknown, Ended::NOTHING),
                }
            }
        });
        let (redemption, ended) = outcome?;
        self.tell(ended).await?;
        Ok(redemption)
    }
}
