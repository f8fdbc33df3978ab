//! What comes next of an authorization request, for the dispatcher and the consent page alike, and recording an approval:
//! by the consent page, or by the dispatcher for the operator's own clients.

use oauth::scope::{OFFLINE_ACCESS, Scope, ScopeToken};
use oauth::time::Timestamp;

use super::App;
use super::browser::SignedIn;
use crate::model::authorization::{Authorization, Offered, Step, Visitor};
use crate::model::client::Client;
use crate::model::grant::Grant;
use crate::model::secret::Secret;
use crate::model::user::Session;
use crate::response::page::ScopeLine;
use crate::response::respond::Failure;
use crate::store::Approval;

impl App {
    /// What comes next: read afresh at each step, and decided by [`Authorization::next`].
    pub(crate) async fn next_step(
        &self,
        authorization: &Authorization,
        client: &Client,
        visitor: Option<&SignedIn>,
    ) -> Result<Step, Failure> {
        let session = visitor.map(|own| &own.session);
        let consents = match session {
            Some(own) => self.store.consents(&own.user.id, &client.id, &authorization.request.resource).await?,
            None => Vec::new(),
        };
        let visitor = Visitor {
            session: session.map(|own| (&own.user.id, own.authenticated_at)),
            consents: &consents,
            may_remember: self.config.consent.remember && self.profiles.of(&authorization.redirect_uri).is_some(),
        };
        Ok(authorization.next(&visitor, Offered { client, default_scope: &self.offer.default_scope }))
    }

    /// Stores an approval with its code; of several clicks the first counts.
    pub(crate) async fn approve(
        &self,
        authorization: &Authorization,
        client: &Client,
        session: &Session,
        scope: Scope,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let lifetimes = self.lifetimes(client);
        // what was asked of `offline_access` is echoed in token answers; it opens nothing at the resource.
        let offline = self.rules.scope.iter().filter(|token| token.as_str() == OFFLINE_ACCESS).cloned();
        let offline: Scope = offline.filter(|_| authorization.request.offline && lifetimes.refresh).collect();
        let grant = Grant {
            id: self.random.grant_id(&authorization.id.attempt().unwrap_or_else(|| self.random.attempt_id())),
            user_id: session.user.id.clone(),
            client_id: authorization.client_id.clone(),
            scope: scope.union(&offline),
            resource: authorization.request.resource.clone(),
            authenticated_at: session.authenticated_at,
            expires_at: now.plus(lifetimes.refresh_absolute),
        };
        let approval = Approval {
            authorization,
            grant: &grant,
            credential: session.user.credential,
            client_digest: &client.metadata.digest(),
            code_hash: self.code_of(authorization).hash(),
            code_expires_at: now.plus(self.config.tokens.code_ttl),
            now,
        };
        let decided = self.store.approve_authorization(&approval).await?;
        tracing::info!(client = %grant.client_id, user = %grant.user_id, grant = %grant.id, scope = %grant.scope, ?decided, "access allowed");
        Ok(())
    }

    /// The code of a request: the same on every replica and at every click.
    pub(crate) fn code_of(&self, authorization: &Authorization) -> Secret {
        self.master.authorization_code(authorization.id.as_str(), &authorization.nonce)
    }

    /// Scopes in plain words.
    pub(crate) fn scope_lines(&self, scope: &Scope) -> Vec<ScopeLine> {
        let line = |token: &ScopeToken| {
            let description = self.config.scopes.describe.get(token)?.clone();
            Some(ScopeLine { token: token.to_string(), description })
        };
        scope.iter().filter_map(line).collect()
    }
}
