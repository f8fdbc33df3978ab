//! Recording an approval: by the consent page, or by the dispatcher where it is remembered.

use super::App;
use crate::http::page::ScopeLine;
use crate::http::respond::Failure;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::grant::Grant;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::oauth::scope::{OFFLINE_ACCESS, Scope, ScopeToken};
use crate::store::Approval;

impl App {
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
