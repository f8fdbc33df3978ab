//! The guard: who calls (RFC 6750 §2.1, §3; RFC 9068 §4). It looks at headers only and stands before method and
//! body, so that a stranger learns nothing but where to get a token (D-29).
//!
//! A token that has been verified is remembered by its digest, so that the usual request costs a hash and a
//! lookup in place of a signature check. What is remembered never outlives the token's `exp`, its grant or the
//! key set under which it was verified. Forged tokens are not remembered: they can't push good ones out.
//!
//! What a caller may do is the policy's matter, how a refusal looks `answer`'s.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use oauth::cause::Cause;
use oauth::id::{ClientId, GrantId};
use oauth::issuer::Issuer;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::crypto::jwt::{self, TokenRefusal};
use crate::crypto::keys::KeyRing;
use crate::revocations::Revocations;

/// The longest token that is looked at. Ours have less than a kilobyte.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How many verified tokens are remembered: some megabytes.
const REMEMBERED: usize = 10_000;

/// Who calls: what a verified token says. Handlers find it in the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user's id.
    pub(crate) sub: String,
    /// The client that the token was issued to.
    pub(crate) client_id: String,
    /// The grant that the token came from.
    pub(crate) grant: String,
    /// What the token allows.
    pub(crate) scope: Scope,
    /// When the token ends.
    pub(crate) exp: Timestamp,
}

impl Caller {
    /// The client and the grant that the token is from.
    pub(crate) fn origin(&self) -> (ClientId, GrantId) {
        (ClientId::new(self.client_id.as_str()), GrantId::new(self.grant.as_str()))
    }
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No token came, or not where it belongs.
    NoToken {
        /// For the record.
        cause: Cause,
        /// A word for programs.
        reason: &'static str,
        /// A sentence for people.
        description: &'static str,
    },
    /// Bearer use that breaks the rules, such as two tokens at once (RFC 6750 §3.1).
    Malformed(&'static str),
    /// A token came, and it is not good.
    InvalidToken {
        /// For the record.
        cause: Cause,
        /// Why, as a sentence.
        why: String,
        /// The client and the grant that it was signed for, where it is one of ours.
        of: Option<(ClientId, GrantId)>,
    },
    /// The token is good as far as it goes, and whether it has been revoked is unknown.
    Unsure,
}

/// Somebody who is let in.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// Who.
    pub(crate) caller: Arc<Caller>,
    /// Whether their token was not remembered: its first call here.
    pub(crate) first: bool,
}

/// A verified token.
#[derive(Clone)]
struct Known {
    caller: Arc<Caller>,
    /// The key set under which it was verified. Another set is another pointer: after a rotation every token
    /// is verified afresh, so that a key that was withdrawn in an emergency stops working at once.
    key_set: Arc<str>,
}

/// Verifies bearer tokens.
pub(crate) struct Guard {
    issuer: Issuer,
    resource: Resource,
    keys: Arc<KeyRing>,
    revocations: Arc<Revocations>,
    known: Cache<[u8; 32], Known>,
}

impl Guard {
    /// A guard that lets in tokens of `issuer` for `resource`.
    pub(crate) fn new(issuer: Issuer, resource: Resource, keys: Arc<KeyRing>, revocations: Arc<Revocations>) -> Self {
        Self { issuer, resource, keys, revocations, known: Cache::new(REMEMBERED) }
    }

    /// Decides who calls, by the request's headers and query.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn admit(&self, headers: &HeaderMap, query: Option<&str>, now: Timestamp) -> Result<Admitted, Denied> {
        let token = presented(headers, query)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (caller, first) = match self.remembered(&digest, now) {
            Some(caller) => (caller, false),
            None => (self.verified(token, digest, now)?, true),
        };
        if self.revocations.is_revoked(&caller.grant) {
            self.known.remove(&digest);
            let why = "The connection that this token belongs to has been revoked.".to_owned();
            return Err(Denied::InvalidToken { cause: Cause::TokenRevoked, why, of: Some(caller.origin()) });
        }
        if self.revocations.is_stale(now) {
            return Err(Denied::Unsure);
        }
        Ok(Admitted { caller, first })
    }

    fn remembered(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Caller>> {
        let known = self.known.get(digest)?;
        if known.caller.exp > now && Arc::ptr_eq(&known.key_set, &self.keys.jwks()) {
            return Some(known.caller);
        }
        self.known.remove(digest);
        None
    }

    fn verified(&self, token: &str, digest: [u8; 32], now: Timestamp) -> Result<Arc<Caller>, Denied> {
        if token.contains([' ', '\t', ',']) {
            return Err(Denied::Malformed("The Authorization header must hold exactly one token."));
        }
        // Read before the check: keys that change meanwhile must not vouch for what they never saw.
        let key_set = self.keys.jwks();
        let refuse = |refusal: &TokenRefusal, of| {
            tracing::debug!(reason = %refusal, "refused a token");
            Denied::InvalidToken { cause: cause_of(refusal), why: in_words(refusal), of }
        };
        let claims = jwt::verify_signed(token, &self.keys, &self.issuer, &self.resource)
            .map_err(|refusal| refuse(&refusal, None))?;
        jwt::in_time(&claims, now).map_err(|refusal| {
            let of = (ClientId::new(claims.client_id.as_str()), GrantId::new(claims.grant.as_str()));
            refuse(&refusal, Some(of))
        })?;
        let caller = Arc::new(Caller {
            sub: claims.sub,
            client_id: claims.client_id,
            grant: claims.grant,
            scope: Scope::parse_lossy(&claims.scope),
            exp: Timestamp(claims.exp),
        });
        if caller.exp > now {
            self.known.insert(digest, Known { caller: Arc::clone(&caller), key_set });
        }
        Ok(caller)
    }
}

/// The one token of a request (S-01).
fn presented<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Result<&'a str, Denied> {
    let in_query = query
        .is_some_and(|query| url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token"));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), in_query) {
        (None, false) => {
            return Err(Denied::NoToken {
                cause: Cause::TokenMissing,
                reason: "no_authorization_header",
                description: "This server needs an access token in the Authorization header, and none arrived. If your \
                              client sent one, a proxy in between has dropped it.",
            });
        }
        // MCP authorization, access token usage: tokens in URLs end up in logs and histories.
        (None, true) => {
            return Err(Denied::NoToken {
                cause: Cause::TokenMisplaced,
                reason: "token_in_query",
                description: "An access token in the URL is not accepted; send it in the Authorization header.",
            });
        }
        (Some(_), true) => {
            return Err(Denied::Malformed(
                "The request carries tokens both in the URL and in the Authorization header.",
            ));
        }
        (Some(value), false) => value,
    };
    if values.next().is_some() {
        return Err(Denied::Malformed("The request has more than one Authorization header."));
    }
    let text = value.to_str().map_err(|_| Denied::Malformed("The Authorization header is not plain ASCII."))?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    // RFC 9110 §11.1: schemes are case-insensitive.
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Denied::NoToken {
            cause: Cause::TokenMisplaced,
            reason: "not_a_bearer_token",
            description: "The Authorization header must have the scheme Bearer.",
        });
    }
    let token = token.trim();
    if token.is_empty() {
        return Err(Denied::NoToken {
            cause: Cause::TokenMisplaced,
            reason: "empty_bearer_token",
            description: "The Authorization header says Bearer, and no token follows.",
        });
    }
    if token.len() > MAX_TOKEN_BYTES {
        let why = format!("The token is longer than {MAX_TOKEN_BYTES} bytes: it is not ours.");
        return Err(Denied::InvalidToken { cause: Cause::TokenInvalid, why, of: None });
    }
    Ok(token)
}

fn cause_of(refusal: &TokenRefusal) -> Cause {
    match refusal {
        TokenRefusal::Malformed | TokenRefusal::UnknownKey | TokenRefusal::BadSignature | TokenRefusal::NotYetValid => {
            Cause::TokenInvalid
        }
        TokenRefusal::WrongIssuer { .. } | TokenRefusal::WrongAudience { .. } => Cause::TokenElsewhere,
        TokenRefusal::Expired => Cause::TokenExpired,
    }
}

/// A refusal as a sentence for the caller. Only who holds something that this server signed gets to read more
/// than that the token is not good.
fn in_words(refusal: &TokenRefusal) -> String {
    let text = refusal.to_string();
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("resource", &self.resource)
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}
