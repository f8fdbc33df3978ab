//! `client` as an administrator works on it: entering, listing, changing, secrets, stopping, deleting.
//!
//! Every change counts up `revision`; a change that was worked out from what was read before names the revision that it
//! read, so that of two administrators the second notices.

use std::time::Duration;

use oauth::id::ClientId;
use oauth::time::{Timestamp, whole_seconds};

use super::client::{Row, Said, bind_client, client_columns, forget_fingerprint, said_columns, said_values};
use super::ending::{Ended, end_grants_of_client};
use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::client::{Client, ClientOrigin};
use crate::model::managed::Properties;
use crate::model::secret::SecretHash;

/// A client that an administrator enters.
#[derive(Clone, Debug)]
pub struct NewManaged<'a> {
    /// Its id.
    pub id: &'a ClientId,
    /// All that is known of it.
    pub properties: &'a Properties,
    /// Digest of its secret, if it has one.
    pub secret_hash: Option<&'a SecretHash>,
    /// Now.
    pub now: Timestamp,
}

/// Which part of a list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The time and id of the last row of the page before; the first page if there was none.
    pub after: Option<(Timestamp, String)>,
    /// The most rows.
    pub limit: i64,
}

impl Page {
    pub(super) fn start(&self) -> (Timestamp, &str) {
        self.after.as_ref().map_or((Timestamp(i64::MAX), ""), |(time, id)| (*time, id.as_str()))
    }
}

#[derive(sqlx::FromRow)]
struct RevisedRow {
    revision: i64,
    #[sqlx(flatten)]
    client: Row,
}

fn seconds(span: Option<Duration>) -> Option<i64> {
    span.map(whole_seconds)
}

/// Binds what an administrator decides about a client.
macro_rules! bind_terms {
    ($statement:expr, $description:expr, $terms:expr) => {
        $statement
            .bind($description)
            .bind($terms.allowed_scope.as_ref().map(ToString::to_string))
            .bind(seconds($terms.access_ttl))
            .bind(seconds($terms.refresh_idle_ttl))
            .bind(seconds($terms.refresh_absolute_ttl))
            .bind($terms.first_party)
    };
}

/// Ends what a client has: the requests that people are still looking at, its codes, its connections. In this order an
/// approval or a redemption that is under way is waited for, and what came of it is seen. Gives an `Ended`.
macro_rules! end_client {
    ($tx:expr, $id:expr, $now:expr, $because:expr) => {{
        sqlx::query("delete from authorization_request where client_id = $1").bind($id).execute(&mut *$tx).await?;
        sqlx::query("delete from authorization_code where client_id = $1 and redeemed_at is null")
            .bind($id)
            .execute(&mut *$tx)
            .await?;
        sqlx::query("delete from consent where client_id = $1").bind($id).execute(&mut *$tx).await?;
        end_grants_of_client!($tx, $id, $now, $because)
    }};
}

/// Forgets who approved a client, and what is under way for it: a callback that was removed gets no answer any more.
/// Requests go before codes: an approval that is being written down is waited for, and its code is then seen.
macro_rules! ask_again {
    ($tx:expr, $id:expr) => {
        sqlx::query("delete from consent where client_id = $1").bind($id).execute(&mut *$tx).await?;
        sqlx::query("delete from authorization_request where client_id = $1").bind($id).execute(&mut *$tx).await?;
        sqlx::query("delete from authorization_code where client_id = $1 and redeemed_at is null")
            .bind($id)
            .execute(&mut *$tx)
            .await?;
    };
}

impl Store {
    /// Remembers a client that an administrator entered; tells whether it did: not if the id is or was another's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_managed_client(&self, new: &NewManaged<'_>) -> Result<bool, StoreError> {
        let Properties { metadata, description, terms } = new.properties;
        let said = Said::of(metadata)?;
        let put = concat!(
            "insert into client (id, ",
            said_columns!(),
            ", shared, origin, registered_at, secret_hash, description, allowed_scope, access_ttl, refresh_idle_ttl,
                 refresh_absolute_ttl, first_party) values ($1, ",
            said_values!(),
            ", false, 'managed', $16, $17, $18, $19, $20, $21, $22, $23) on conflict (id) do nothing"
        );
        let done = write!(
            self,
            bind_terms!(bind_client!(sql(put), new.id, &said).bind(new.now).bind(new.secret_hash), description, terms),
            execute
        )?;
        Ok(done == 1)
    }

    /// Clients that are not deleted, newest first, a page at a time; those of one origin or all.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn clients(&self, origin: Option<ClientOrigin>, page: &Page) -> Result<Vec<Client>, StoreError> {
        let (before, before_id) = page.start();
        let rows: Vec<Row> = match origin {
            None => read!(
                self,
                sql(concat!(
                    "select ",
                    client_columns!(),
                    " from client c where (c.registered_at, c.id) < ($1, $2) and c.deleted_at is null
                  order by c.registered_at desc, c.id desc limit $3"
                ))
                .bind(before)
                .bind(before_id)
                .bind(page.limit),
                fetch_all
            )?,
            Some(origin) => read!(
                self,
                sql(concat!(
                    "select ",
                    client_columns!(),
                    " from client c where c.origin = $4 and (c.registered_at, c.id) < ($1, $2) and c.deleted_at is null
                  order by c.registered_at desc, c.id desc limit $3"
                ))
                .bind(before)
                .bind(before_id)
                .bind(page.limit)
                .bind(origin.as_str()),
                fetch_all
            )?,
        };
        rows.into_iter().map(Client::try_from).collect()
    }

    /// A client that is not deleted, with its revision.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_revised_client(&self, id: &ClientId) -> Result<Option<(Client, i64)>, StoreError> {
        let row: Option<RevisedRow> = read!(
            self,
            sql(concat!(
                "select c.revision, ",
                client_columns!(),
                " from client c where c.id = $1 and c.deleted_at is null"
            ))
            .bind(id),
            fetch_optional
        )?;
        row.map(|row| Ok((row.client.try_into()?, row.revision))).transpose()
    }

    /// Changes a managed client that still has this revision; tells whether it did. Without a secret the old ones go
    /// too. `ask_again` forgets who approved it and what is under way. Fetched keys are forgotten with their address.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_client(
        &self,
        id: &ClientId,
        revision: i64,
        properties: &Properties,
        secret_hash: Option<&SecretHash>,
        ask_again: bool,
    ) -> Result<bool, StoreError> {
        let (id, secret_hash) = (id.clone(), secret_hash.cloned());
        let Properties { metadata, description, terms } = properties.clone();
        let said = Said::of(&metadata)?;
        transact!(self, long, |tx| {
            let put = sqlx::query(concat!(
                "update client set (",
                said_columns!(),
                ") = (",
                said_values!(),
                "), revision = revision + 1, secret_hash = $17, description = $18, allowed_scope = $19, access_ttl = $20,
                     refresh_idle_ttl = $21, refresh_absolute_ttl = $22, first_party = $23
                 where id = $1 and revision = $16 and origin = 'managed' and deleted_at is null"
            ));
            let statement = bind_client!(put, &id, &said).bind(revision).bind(&secret_hash);
            let done = bind_terms!(statement, &description, &terms).execute(&mut *tx).await?;
            if done.rows_affected() == 1 {
                sqlx::query(
                    "update client set old_secret_hash = null, old_secret_expires_at = null
                     where id = $1 and secret_hash is null",
                )
                .bind(&id)
                .execute(&mut *tx)
                .await?;
                if ask_again {
                    ask_again!(tx, &id);
                    sqlx::query("delete from client_keys where client_id = $1 and uri <> coalesce($2, '')")
                        .bind(&id)
                        .bind(&said.before.jwks_uri)
                        .execute(&mut *tx)
                        .await?;
                }
            }
            done.rows_affected() == 1
        })
    }

    /// Changes what an administrator decides about a client that speaks for itself: the ceiling, the lifetimes and
    /// the description. The rest of the row is the client's, and may be changing at this moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edit_client_terms(
        &self,
        id: &ClientId,
        revision: i64,
        properties: &Properties,
        ask_again: bool,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        let Properties { description, terms, .. } = properties.clone();
        transact!(self, long, |tx| {
            let done = sqlx::query(
                "update client set revision = revision + 1, description = $3, allowed_scope = $4, access_ttl = $5,
                     refresh_idle_ttl = $6, refresh_absolute_ttl = $7
                 where id = $1 and revision = $2 and origin <> 'managed' and deleted_at is null",
            )
            .bind(&id)
            .bind(revision)
            .bind(&description)
            .bind(terms.allowed_scope.as_ref().map(ToString::to_string))
            .bind(seconds(terms.access_ttl))
            .bind(seconds(terms.refresh_idle_ttl))
            .bind(seconds(terms.refresh_absolute_ttl))
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 && ask_again {
                ask_again!(tx, &id);
            }
            done.rows_affected() == 1
        })
    }

    /// Puts a new secret in the place of `present`; tells whether it did: not if somebody else did meanwhile. The one
    /// before is good until `old_until`, if given, and the one before that no more: two at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_client_secret(
        &self,
        id: &ClientId,
        present: &SecretHash,
        new: &SecretHash,
        old_until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql(
                // What stands right of the equals signs are the values from before.
                "update client set revision = revision + 1, secret_hash = $2, old_secret_expires_at = $3,
                 old_secret_hash = case when cast($3 as bigint) is null then null else secret_hash end
             where id = $1 and origin = 'managed' and secret_hash = $4 and deleted_at is null"
            )
            .bind(id)
            .bind(new)
            .bind(old_until)
            .bind(present),
            execute
        )?;
        Ok(done == 1)
    }

    /// Ends the secret from before the last rotation at once; tells whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_old_client_secret(&self, id: &ClientId) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql("update client set revision = revision + 1, old_secret_hash = null, old_secret_expires_at = null
             where id = $1 and old_secret_hash is not null and deleted_at is null")
            .bind(id),
            execute
        )?;
        Ok(done == 1)
    }

    /// Stops a client of any origin: it can begin, finish and refresh nothing, and its connections end. Tells whether
    /// there is such a client; one that was stopped before stays as it was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disable_client(&self, id: &ClientId, now: Timestamp) -> Result<bool, StoreError> {
        let own = id.clone();
        let ended: Result<Option<Ended>, StoreError> = transact!(self, long, |tx| {
            let done = sqlx::query(
                "update client set revision = revision + 1, disabled_at = coalesce(disabled_at, $2)
                 where id = $1 and deleted_at is null",
            )
            .bind(&own)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 { Some(end_client!(tx, &own, now, "client disabled")) } else { None }
        });
        self.end_late_grants(id.clone(), ended?, "client disabled", now).await
    }

    /// Ends what began while a client was being stopped, and tells the view of all that ended; whether there was such a
    /// client. PostgreSQL lets an approval and a redemption that saw the client as it was before commit meanwhile: now that
    /// nothing can begin any more, what came of them ends as well.
    async fn end_late_grants(
        &self,
        id: ClientId,
        stopped: Option<Ended>,
        because: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(stopped) = stopped else { return Ok(false) };
        let late: Result<Ended, StoreError> =
            transact!(self, long, |tx| { end_grants_of_client!(tx, &id, now, because) });
        self.tell(stopped.and(late?)).await?;
        Ok(true)
    }

    /// Enables a disabled client; tells whether it was disabled. Its old connections stay ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_client(&self, id: &ClientId, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        let ended: Result<Option<Ended>, StoreError> = transact!(self, long, |tx| {
            let done = sqlx::query(
                "update client set revision = revision + 1, disabled_at = null
                 where id = $1 and disabled_at is not null and deleted_at is null",
            )
            .bind(&id)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 { Some(end_client!(tx, &id, now, "client disabled")) } else { None }
        });
        let Some(ended) = ended? else { return Ok(false) };
        self.tell(ended).await?;
        Ok(true)
    }

    /// Deletes a client of any origin; tells whether there was one. The row stays as a tombstone, so that its id is
    /// never another's; secrets, logo and connections go.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_client(&self, id: &ClientId, now: Timestamp) -> Result<bool, StoreError> {
        let own = id.clone();
        let ended: Result<Option<Ended>, StoreError> = transact!(self, long, |tx| {
            let done = sqlx::query(
                "update client set revision = revision + 1, deleted_at = $2, secret_hash = null,
                     old_secret_hash = null, old_secret_expires_at = null
                 where id = $1 and deleted_at is null",
            )
            .bind(&own)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 {
                sqlx::query("delete from client_registration where client_id = $1")
                    .bind(&own)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("delete from client_logo where client_id = $1").bind(&own).execute(&mut *tx).await?;
                let ended = end_client!(tx, &own, now, "client deleted");
                forget_fingerprint!(tx, &own);
                Some(ended)
            } else {
                None
            }
        });
        self.end_late_grants(id.clone(), ended?, "client deleted", now).await
    }
}
