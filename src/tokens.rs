//! The only mint: access tokens come from here and from nowhere else (RFC 9068).

use std::sync::Arc;
use std::time::Duration;

use oauth::issuer::Issuer;
use oauth::scope::Scope;
use oauth::time::Timestamp;

use crate::crypto::jwt::{AccessTokenClaims, SigningFailed, sign};
use crate::crypto::keys::KeyRing;
use crate::crypto::random::Random;
use crate::model::grant::Grant;

/// Issues access tokens.
#[derive(Clone, Debug)]
pub struct Mint {
    /// What signs.
    pub keys: Arc<KeyRing>,
    /// The `iss` of every token.
    pub issuer: Issuer,
    /// Where token ids come from.
    pub random: Random,
}

/// An access token and how many seconds it lives.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a live token must not end up in a log")]
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// `expires_in` (RFC 6749 §5.1).
    pub expires_in: i64,
}

impl Mint {
    /// Issues a token of this grant with this scope, which must not exceed the grant's, for `ttl` unless the grant
    /// ends earlier. `offline_access` is not written into it: it means nothing to the resource.
    ///
    /// # Errors
    /// When no key can sign.
    pub fn issue(
        &self,
        grant: &Grant,
        scope: &Scope,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<AccessToken, SigningFailed> {
        let exp = now.plus(ttl).min(grant.expires_at);
        let claims = AccessTokenClaims {
            iss: self.issuer.to_string(),
            aud: grant.resource.to_string(),
            sub: grant.user_id.to_string(),
            client_id: grant.client_id.to_string(),
            iat: now.0,
            exp: exp.0,
            jti: self.random.id(""),
            scope: scope.without_offline_access().to_string(),
            auth_time: grant.authenticated_at.0,
            grant: grant.id.to_string(),
        };
        Ok(AccessToken { token: sign(&claims, &self.keys, now)?, expires_in: exp.since(now) })
    }
}
