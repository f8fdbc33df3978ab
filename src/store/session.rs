//! `session`: signed-in browsers.

use oauth::id::UserId;
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, write};
use crate::model::secret::SecretHash;
use crate::model::user::{Credential, Session, User};

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: User,
    authenticated_at: Timestamp,
}

impl Store {
    /// Remembers a browser that signed in with this credential; tells whether it did. Not if the account has another
    /// credential meanwhile. One that was written while the credential was being replaced is never found again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_session(
        &self,
        session: &SecretHash,
        (user, credential): (&UserId, Credential),
        authenticated_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql("insert into session (token_hash, user_id, authenticated_at, expires_at, credential)
             select $1, u.id, $4, $5, u.credential from user_account u
             where u.id = $2 and u.credential = $3 and u.disabled_at is null")
            .bind(session)
            .bind(user)
            .bind(credential)
            .bind(authenticated_at)
            .bind(expires_at),
            execute
        )?;
        Ok(done == 1)
    }

    /// The session with this digest, if it and its user are good, and the credential that it began with is still the
    /// user's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_session(&self, session: &SecretHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let row: Option<Row> = read!(
            self,
            sql("select u.id, u.username, u.display_name, u.password_hash, u.role, u.created_at, u.disabled_at,
                    u.credential, s.authenticated_at
             from session s join user_account u on u.id = s.user_id and u.credential = s.credential
             where s.token_hash = $1 and s.expires_at > $2 and u.disabled_at is null")
            .bind(session)
            .bind(now),
            fetch_optional
        )?;
        Ok(row.map(|row| Session { user: row.user, authenticated_at: row.authenticated_at }))
    }

    /// Forgets a signed-in browser.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_session(&self, session: &SecretHash) -> Result<(), StoreError> {
        write!(self, sql("delete from session where token_hash = $1").bind(session), execute)?;
        Ok(())
    }
}
