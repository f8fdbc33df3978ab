//! `authorization_request` and `consent`.

use oauth::authorize::{AuthorizationRequest, Prompt};
use oauth::id::{AuthorizationId, ClientId, UserId};
use oauth::pkce::CodeChallenge;
use oauth::redirect_uri::RedirectUri;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, transact, write};
use crate::model::authorization::{Authorization, Consent, Decision};
use crate::model::grant::Grant;
use crate::model::secret::SecretHash;
use crate::model::user::Credential;

/// An approval to be carried out.
#[derive(Clone, Debug)]
pub struct Approval<'a> {
    /// What is approved.
    pub authorization: &'a Authorization,
    /// The grant that the code will become.
    pub grant: &'a Grant,
    /// The credential with which whoever approves it has signed in.
    pub credential: Credential,
    /// What the client says of itself (`ClientMetadata::digest`).
    pub client_digest: &'a str,
    /// Digest of the code.
    pub code_hash: SecretHash,
    /// When the code dies.
    pub code_expires_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Whether a decision was the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It counts.
    Now,
    /// There was one already, the request has expired, or the credential of whoever decides is no longer good.
    Before,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: AuthorizationId,
    client_id: ClientId,
    redirect_uri: String,
    scope: Option<String>,
    offline: bool,
    resource: String,
    state: Option<String>,
    code_challenge: Option<String>,
    prompt: String,
    login_hint: Option<String>,
    browser_hash: SecretHash,
    nonce: String,
    created_at: Timestamp,
    expires_at: Timestamp,
    decision: Option<String>,
    user_id: Option<UserId>,
}

impl TryFrom<Row> for Authorization {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |why: String| StoreError::corrupt("authorization request", why);
        let decision = match (row.decision.as_deref(), row.user_id) {
            (None, _) => None,
            (Some("approved"), Some(user)) => Some(Decision::Approved(user)),
            (Some("denied"), _) => Some(Decision::Denied),
            (Some(other), _) => return Err(corrupt(format!("decision {other:?}"))),
        };
        let challenge = match row.code_challenge {
            None => None,
            Some(text) => Some(CodeChallenge::from_text(&text).ok_or_else(|| corrupt("code challenge".to_owned()))?),
        };
        Ok(Self {
            id: row.id,
            client_id: row.client_id,
            redirect_uri: RedirectUri::from_stored(&row.redirect_uri).map_err(|error| corrupt(error.to_string()))?,
            request: AuthorizationRequest {
                scope: row.scope.map(Scope::try_from).transpose().map_err(|error| corrupt(error.to_string()))?,
                offline: row.offline,
                resource: Resource::from_canonical(row.resource),
                state: row.state,
                code_challenge: challenge,
                prompt: Prompt::from_text(&row.prompt).ok_or_else(|| corrupt("prompt".to_owned()))?,
                login_hint: row.login_hint,
            },
            browser_hash: row.browser_hash,
            nonce: row.nonce,
            created_at: row.created_at,
            expires_at: row.expires_at,
            decision,
        })
    }
}

#[derive(sqlx::FromRow)]
struct ConsentRow {
    redirect_uri: String,
    scope: String,
    offline: bool,
    client_digest: Option<String>,
}

impl Store {
    /// Remembers a request that passed its checks.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_authorization(&self, new: &Authorization) -> Result<(), StoreError> {
        let request = &new.request;
        write!(
            self,
            sql("insert into authorization_request (id, client_id, redirect_uri, scope, offline, resource, state,
                 code_challenge, prompt, login_hint, browser_hash, nonce, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")
            .bind(&new.id)
            .bind(&new.client_id)
            .bind(new.redirect_uri.as_str())
            .bind(request.scope.as_ref().map(ToString::to_string))
            .bind(request.offline)
            .bind(request.resource.as_str())
            .bind(&request.state)
            .bind(request.code_challenge.as_ref().map(CodeChallenge::as_str))
            .bind(request.prompt.to_text())
            .bind(&request.login_hint)
            .bind(&new.browser_hash)
            .bind(&new.nonce)
            .bind(new.created_at)
            .bind(new.expires_at),
            execute
        )?;
        Ok(())
    }

    /// Lets a request that is undecided and in time wait until `until`, if that is later.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn extend_authorization(
        &self,
        id: &AuthorizationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        write!(
            self,
            sql("update authorization_request set expires_at = $2
                 where id = $1 and decision is null and expires_at > $3 and expires_at < $2")
            .bind(id)
            .bind(until)
            .bind(now),
            execute
        )?;
        Ok(())
    }

    /// The request with this id, expired or not.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_authorization(&self, id: &AuthorizationId) -> Result<Option<Authorization>, StoreError> {
        let row: Option<Row> = read!(self, sql(
            "select id, client_id, redirect_uri, scope, offline, resource, state, code_challenge, prompt, login_hint,
                    browser_hash, nonce, created_at, expires_at, decision, user_id
             from authorization_request where id = $1"
        )
        .bind(id), fetch_optional)?;
        row.map(Authorization::try_from).transpose()
    }

    /// What a user approved before for this client and resource with the credential that they have now, newest first.
    ///
    /// # Errors
    /// When the database fails or a row can't be read.
    pub async fn consents(
        &self,
        user: &UserId,
        client: &ClientId,
        resource: &Resource,
    ) -> Result<Vec<Consent>, StoreError> {
        let rows: Vec<ConsentRow> = read!(
            self,
            sql("select c.redirect_uri, c.scope, c.offline, c.client_digest from consent c
             join user_account u on u.id = c.user_id and u.credential = c.credential
             where c.user_id = $1 and c.client_id = $2 and c.resource = $3 order by c.granted_at desc")
            .bind(user)
            .bind(client)
            .bind(resource.as_str()),
            fetch_all
        )?;
        rows.into_iter()
            .map(|row| {
                let scope = Scope::try_from(row.scope).map_err(|error| StoreError::corrupt("consent", error))?;
                let ConsentRow { redirect_uri, offline, client_digest, .. } = row;
                Ok(Consent { redirect_uri, scope, offline, client_digest })
            })
            .collect()
    }

    /// Approves a request, once: its code and the memory of the approval are stored with it or not at all. The
    /// guard on `decision` lets one of several clicks through. Both carry the credential, so that neither is good if it
    /// was being replaced at this moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn approve_authorization(&self, approval: &Approval<'_>) -> Result<Decided, StoreError> {
        let Approval { credential, code_expires_at, now, .. } = *approval;
        let (authorization, grant) = (approval.authorization.clone(), approval.grant.clone());
        let (code_hash, client_digest) = (approval.code_hash.clone(), approval.client_digest.to_owned());
        transact!(self, |tx| {
            let done = sqlx::query(
                "update authorization_request set decision = 'approved', user_id = $2
                 where id = $1 and decision is null and expires_at > $3 and exists
                     (select 1 from client c
                      where c.id = client_id and c.disabled_at is null and c.deleted_at is null)
                   and exists (select 1 from user_account u
                               where u.id = $2 and u.credential = $4 and u.disabled_at is null)",
            )
            .bind(&authorization.id)
            .bind(&grant.user_id)
            .bind(now)
            .bind(credential)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(Decided::Before);
            }
            sqlx::query(
                "insert into authorization_code (code_hash, grant_id, client_id, user_id, redirect_uri, scope, resource,
                     code_challenge, authenticated_at, expires_at, attempts, credential)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11)",
            )
            .bind(code_hash)
            .bind(&grant.id)
            .bind(&grant.client_id)
            .bind(&grant.user_id)
            .bind(authorization.redirect_uri.as_str())
            .bind(grant.scope.to_string())
            .bind(grant.resource.as_str())
            .bind(authorization.request.code_challenge.as_ref().map(CodeChallenge::as_str))
            .bind(grant.authenticated_at)
            .bind(code_expires_at)
            .bind(credential)
            .execute(&mut *tx)
            .await?;
            sqlx::query(
                "insert into consent (user_id, client_id, redirect_uri, resource, scope, offline, granted_at, credential,
                     client_digest)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 on conflict (user_id, client_id, redirect_uri, resource)
                 do update set scope = $5, offline = $6, granted_at = $7, credential = $8, client_digest = $9",
            )
            .bind(&grant.user_id)
            .bind(&grant.client_id)
            .bind(authorization.redirect_uri.as_str())
            .bind(grant.resource.as_str())
            .bind(grant.scope.without_offline_access().to_string())
            .bind(authorization.request.offline)
            .bind(now)
            .bind(credential)
            .bind(client_digest)
            .execute(&mut *tx)
            .await?;
            sqlx::query("update client set first_used_at = $2 where id = $1 and first_used_at is null")
                .bind(&grant.client_id)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            Decided::Now
        })
    }

    /// Refuses a request, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deny_authorization(&self, id: &AuthorizationId, now: Timestamp) -> Result<Decided, StoreError> {
        let done = write!(self, sql(
            "update authorization_request set decision = 'denied' where id = $1 and decision is null and expires_at > $2"
        )
        .bind(id)
        .bind(now), execute)?;
        Ok(if done == 1 { Decided::Now } else { Decided::Before })
    }
}
