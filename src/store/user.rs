//! `user_account` and `setup_link`.

use oauth::id::{GrantId, UserId};
use oauth::time::Timestamp;

use super::ending::{Ended, end_grant, end_grants_of_user};
use super::fault::{Fate, Fault};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::secret::SecretHash;
use crate::model::user::{Role, User, Username};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// What they sign in with.
    pub username: Username,
    /// What pages call them.
    pub display_name: String,
    /// PHC text.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
    /// Now.
    pub created_at: Timestamp,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("there is a user with this name already")]
    NameTaken,
    /// The set-up link was used, has expired or never was one.
    #[error("the set-up link has been used or has expired")]
    LinkUsed,
    /// Our trouble.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        if error.is_unique_violation() { Self::NameTaken } else { Self::Store(error) }
    }
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Fault for AccountError {
    fn fate(&self) -> Fate {
        match self {
            Self::NameTaken | Self::LinkUsed => Fate::Clean,
            Self::Store(error) => error.fate(),
        }
    }
}

const INSERT_USER: &str = "insert into user_account (id, username, display_name, password_hash, role, created_at)
     values ($1, $2, $3, $4, $5, $6)";

macro_rules! insert_user {
    ($query:expr, $user:expr) => {
        $query
            .bind(&$user.id)
            .bind(&$user.username)
            .bind(&$user.display_name)
            .bind(&$user.password_hash)
            .bind($user.role.as_str())
            .bind($user.created_at)
    };
}

/// Ends what an account's earlier credentials have opened: sessions, codes that wait, connections (as `$grants` says),
/// remembered approvals. What the present one has opened meanwhile stays. Gives what `$grants` gives.
macro_rules! end_earlier {
    ($tx:expr, $user:expr, $grants:expr) => {{
        sqlx::query(
            "delete from session where user_id = $1 and credential < (select credential from user_account where id = $1)",
        )
        .bind($user)
        .execute(&mut *$tx)
        .await?;
        sqlx::query(
            "delete from authorization_code where user_id = $1 and redeemed_at is null
               and credential < (select credential from user_account where id = $1)",
        )
        .bind($user)
        .execute(&mut *$tx)
        .await?;
        // Codes go before grants: a redemption under way is waited for, and its grant is then seen.
        let ended = $grants;
        sqlx::query(
            "delete from consent where user_id = $1 and credential < (select credential from user_account where id = $1)",
        )
        .bind($user)
        .execute(&mut *$tx)
        .await?;
        ended
    }};
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// When the name is taken or the database fails.
    pub async fn insert_user(&self, user: &NewUser) -> Result<(), AccountError> {
        write!(self, insert_user!(sql(INSERT_USER), user), execute)?;
        Ok(())
    }

    /// Makes the first account by a set-up link, which dies with it; so do all other such links. Of two people
    /// with two links one wins: the second finds no rows left to delete.
    ///
    /// # Errors
    /// When the link is dead, the name is taken or the database fails.
    pub async fn insert_first_user(
        &self,
        link: &SecretHash,
        user: &NewUser,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let (link, user) = (link.clone(), user.clone());
        transact!(self, |tx| {
            let deleted = sqlx::query(
                "delete from setup_link where exists
                 (select 1 from setup_link own where own.token_hash = $1 and own.expires_at > $2)",
            )
            .bind(&link)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if deleted.rows_affected() == 0 {
                return Err(AccountError::LinkUsed);
            }
            insert_user!(sqlx::query(INSERT_USER), user).execute(&mut *tx).await?;
        })
    }

    /// Remembers a set-up link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_setup_link(&self, link: &SecretHash, expires_at: Timestamp) -> Result<(), StoreError> {
        write!(
            self,
            sql("insert into setup_link (token_hash, expires_at) values ($1, $2)").bind(link).bind(expires_at),
            execute
        )?;
        Ok(())
    }

    /// Whether a set-up link is good.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_setup_link(&self, link: &SecretHash, now: Timestamp) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = read!(
            self,
            sql("select expires_at from setup_link where token_hash = $1 and expires_at > $2").bind(link).bind(now),
            fetch_optional
        )?;
        Ok(found.is_some())
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        let found: Option<(String,)> = read!(self, sql("select id from user_account limit 1"), fetch_optional)?;
        Ok(found.is_some())
    }

    /// The user who signs in with this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_user_by_name(&self, username: &Username) -> Result<Option<User>, StoreError> {
        Ok(read!(
            self,
            sql("select id, username, display_name, password_hash, role, created_at, disabled_at, credential
             from user_account where username = $1")
            .bind(username),
            fetch_optional
        )?)
    }

    /// The user with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(read!(
            self,
            sql("select id, username, display_name, password_hash, role, created_at, disabled_at, credential
             from user_account where id = $1")
            .bind(id),
            fetch_optional
        )?)
    }

    /// Users by name, a page at a time, beginning behind the name `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users_after(&self, after: &str, limit: i64) -> Result<Vec<User>, StoreError> {
        Ok(read!(
            self,
            sql("select id, username, display_name, password_hash, role, created_at, disabled_at, credential
             from user_account where username > $1 order by username limit $2")
            .bind(after)
            .bind(limit),
            fetch_all
        )?)
    }

    /// All users by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        Ok(read!(
            self,
            sql("select id, username, display_name, password_hash, role, created_at, disabled_at, credential
             from user_account order by username"),
            fetch_all
        )?)
    }

    /// Disables an account: it can't sign in, its browsers are signed out and all its connections end (T-25).
    ///
    /// # Errors
    /// When the database fails; then it is to be done again.
    pub async fn disable_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        let user = id.clone();
        let ended: Result<Ended, StoreError> = transact!(self, long, |tx| {
            sqlx::query(
                "update user_account set disabled_at = $2, credential = credential + 1
                 where id = $1 and disabled_at is null",
            )
            .bind(&user)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            end_earlier!(tx, &user, end_grants_of_user!(tx, &user, now, "user disabled"))
        });
        self.tell(ended?).await?;
        self.end_what_was_under_way(id, now, "user disabled").await
    }

    /// Ends what the old credential opened while it was being replaced. On PostgreSQL a code may be approved after the
    /// replacing transaction has looked for codes, and be redeemed before that transaction is committed. From the commit
    /// on no code of the old credential can be redeemed, so a second look misses nothing; the change is acknowledged
    /// only after it. What the new credential has opened meanwhile stays.
    async fn end_what_was_under_way(
        &self,
        id: &UserId,
        now: Timestamp,
        because: &'static str,
    ) -> Result<(), StoreError> {
        let user = id.clone();
        let ended: Result<Vec<Ended>, StoreError> = transact!(self, long, |tx| {
            end_earlier!(tx, &user, {
                let late: Vec<(GrantId,)> = sqlx::query_as(
                    "select g.id from authorization_code c join token_grant g on g.id = c.grant_id
                     where c.user_id = $1 and g.revoked_at is null
                       and c.credential < (select credential from user_account where id = $1)",
                )
                .bind(&user)
                .fetch_all(&mut *tx)
                .await?;
                let mut ended = Vec::new();
                for (grant,) in &late {
                    ended.push(end_grant!(tx, grant, now, because));
                }
                ended
            })
        });
        for ended in ended? {
            self.tell(ended).await?;
        }
        Ok(())
    }

    /// Lets an account sign in again. Its old connections stay ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_user(&self, id: &UserId) -> Result<(), StoreError> {
        write!(self, sql("update user_account set disabled_at = null where id = $1").bind(id), execute)?;
        Ok(())
    }

    /// Sets a new password. Browsers are signed out, connections end and remembered approvals go, because whoever knew
    /// the old one may have made them (T-25).
    ///
    /// # Errors
    /// When the database fails; then it is to be done again.
    pub async fn set_password(&self, id: &UserId, password_hash: &str, now: Timestamp) -> Result<(), StoreError> {
        let (user, password_hash) = (id.clone(), password_hash.to_owned());
        let ended: Result<Ended, StoreError> = transact!(self, long, |tx| {
            sqlx::query("update user_account set password_hash = $2, credential = credential + 1 where id = $1")
                .bind(&user)
                .bind(password_hash)
                .execute(&mut *tx)
                .await?;
            end_earlier!(tx, &user, end_grants_of_user!(tx, &user, now, "password changed"))
        });
        self.tell(ended?).await?;
        self.end_what_was_under_way(id, now, "password changed").await
    }

    /// Puts another hash of the same password in the place of `checked`; tells whether it did. Not if that isn't the
    /// stored one any more: a password that was set meanwhile must not be undone. Nothing ends by it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_password_hash(&self, id: &UserId, checked: &str, renewed: &str) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql("update user_account set password_hash = $3 where id = $1 and password_hash = $2")
                .bind(id)
                .bind(checked)
                .bind(renewed),
            execute
        )?;
        Ok(done == 1)
    }

    /// What the stored password hashes cost: the text of each up to its salt, equal ones once. Salt and digest have 67
    /// characters in all of ours.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn password_costs(&self) -> Result<Vec<String>, StoreError> {
        let found: Vec<(String,)> = read!(
            self,
            sql("select distinct substr(password_hash, 1, length(password_hash) - 67) from user_account
                 where length(password_hash) > 67"),
            fetch_all
        )?;
        Ok(found.into_iter().map(|(text,)| text).collect())
    }
}
