//! Grants, the codes that they begin with and the refresh tokens that keep them going.

use std::time::Duration;

use oauth::cause::Cause;
use oauth::error::Refusal;
use oauth::id::{ClientId, GrantId, UserId};
use oauth::pkce::CodeChallenge;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;
use oauth::token::{CodeRequest, check_verifier};

use super::client::Client;

/// What a user allowed a client: parent of all its tokens; a "connection" on pages.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its identifier, in every access token.
    pub id: GrantId,
    /// Who allowed it.
    pub user_id: UserId,
    /// To whom.
    pub client_id: ClientId,
    /// What.
    pub scope: Scope,
    /// At which resource.
    pub resource: Resource,
    /// When the user had last given their password.
    pub authenticated_at: Timestamp,
    /// When it ends, however often it is refreshed.
    pub expires_at: Timestamp,
}

/// One text for a code that isn't there, has expired or is another client's: who guesses learns nothing.
const NO_CODE: &str = "the code is unknown, expired or was issued to another client";

/// Guesses at a code's verifier or client before it is dead (T-13).
pub const MAX_CODE_ATTEMPTS: i64 = 5;

/// A stored authorization code.
#[derive(Clone, Debug)]
pub struct Code {
    /// The grant that it becomes.
    pub grant: Grant,
    /// The redirect URI of the authorization request.
    pub redirect_uri: String,
    /// Its PKCE challenge.
    pub code_challenge: Option<CodeChallenge>,
    /// When it dies.
    pub expires_at: Timestamp,
    /// Wrong attempts so far.
    pub attempts: i64,
    /// When it was redeemed.
    pub redeemed_at: Option<Timestamp>,
}

impl Code {
    /// Judges a redemption by the code's rightful facts. Time and first use are not judged here: the store
    /// does that in the write that redeems.
    ///
    /// # Errors
    /// `invalid_grant` for another client, redirect URI or verifier; `invalid_target` for another resource.
    pub fn accepts(&self, request: &CodeRequest, client_id: &ClientId) -> Result<(), Refusal> {
        if self.grant.client_id != *client_id {
            return Err(Refusal::invalid_grant(Cause::CodeOfAnotherClient, NO_CODE)
                .with_detail(format!("code of client {} presented by {client_id}", self.grant.client_id)));
        }
        // OAuth 2.1 §10.2: absence is lawful, difference is not.
        if request.redirect_uri.as_deref().is_some_and(|uri| uri != self.redirect_uri) {
            return Err(Refusal::invalid_grant(
                Cause::RedirectUriDiffers,
                "redirect_uri differs from the one of the authorization request",
            ));
        }
        check_resource(&self.grant.resource, &request.resources)?;
        check_verifier(self.code_challenge.as_ref(), request.code_verifier.as_deref())
    }
}

/// Judges `resource` in a token request: the granted one in any accepted spelling, or none (RFC 8707 §2.2).
///
/// # Errors
/// `invalid_target`.
pub fn check_resource(granted: &Resource, asked: &[String]) -> Result<(), Refusal> {
    granted.select(&asked.iter().map(String::as_str).collect::<Vec<_>>()).map(|_| ())
}

/// Judges a grant, or a code that would become one, by the resource that is served now: `public_url` or `paths.mcp` may
/// have been changed since. New tokens of it would be refused at the resource, and the client would refresh for ever.
///
/// # Errors
/// `invalid_grant`: the client has to be approved for the resource that there is now.
pub fn check_served(granted: &Resource, served: &Resource) -> Result<(), Refusal> {
    if granted == served {
        return Ok(());
    }
    Err(Refusal::invalid_grant(
        Cause::ResourceNotServed,
        format!(
            "this was approved for {granted}, which is not served any more; this server protects {served} now: connect again"
        ),
    ))
}

/// A refresh token with the grant that it belongs to, and the client of both.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The grant.
    pub grant: Grant,
    /// Its client.
    pub client: Client,
    /// When this token dies unless used.
    pub expires_at: Timestamp,
    /// When it was first used.
    pub used_at: Option<Timestamp>,
}

/// What became of an attempt to redeem a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The one success.
    Redeemed,
    /// It had been redeemed: the grant is revoked now (RFC 9700 §4.5).
    Replayed,
    /// It was never there, has expired, or its user may not sign in any more.
    Unknown,
}

/// A refresh token that comes again so soon after its own first use may be a request that was under way meanwhile: it
/// is refused and ends nothing. Never longer than the grace window.
pub const UNDER_WAY: Duration = Duration::from_secs(10);

/// Where a refresh token was used first, seen from where it is used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstUse {
    /// In the same network, or nobody knows.
    Here,
    /// In another: there are two copies of the token, or one program that has two addresses.
    Elsewhere,
}

/// What became of an attempt to rotate a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// First use: the successor is stored.
    Rotated,
    /// Used again inside the grace window while its successor was unused: the same successor is given again.
    Repeated(FirstUse),
    /// Used again a moment after its first use, from the same network, while the token after its successor was unused:
    /// that one is given, as to the quicker request which used the successor.
    CaughtUp,
    /// Used again a moment after its first use, and nothing can be given any more: refused, and nothing ends.
    Overtaken(FirstUse),
    /// Used again otherwise: the grant is revoked now (RFC 9700 §4.14.2).
    Replayed(FirstUse),
    /// It was never there, has expired, or its grant has ended.
    Unknown,
}

/// A refresh token that is used again.
#[derive(Clone, Copy, Debug)]
pub struct Repetition {
    /// When it was used first.
    pub used_at: Timestamp,
    /// What has become of the token that it was exchanged for.
    pub successor: Successor,
}

/// The token that a used one was exchanged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// Nobody has used it.
    Unused,
    /// It has been used: whoever got it has it.
    Used,
    /// It is not there: it was derived with another key, or is long forgotten.
    Unknown,
}

impl Successor {
    /// By when it was used, if it is there.
    #[must_use]
    pub fn of(stored: Option<Option<Timestamp>>) -> Self {
        match stored {
            None => Self::Unknown,
            Some(None) => Self::Unused,
            Some(Some(_)) => Self::Used,
        }
    }
}

impl Repetition {
    /// Whether a repetition that was not answered is taken for theft, and ends the grant.
    ///
    /// Requests that ran at the same time are none: the quicker one may have gone on before the slower arrives. Neither
    /// is a repetition in time whose successor this server can't make out again because its key was changed.
    #[must_use]
    pub fn is_reuse(self, under_way_since: Timestamp, grace_began_at: Timestamp) -> bool {
        match self.successor {
            Successor::Unused => true,
            Successor::Used => self.used_at <= under_way_since.max(grace_began_at),
            Successor::Unknown => self.used_at <= grace_began_at,
        }
    }
}

impl Redemption {
    /// The refusal that the client sees.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Replayed => Refusal::invalid_grant(
                Cause::CodeReplayed,
                "the code was used before; for safety the connection was ended: connect again",
            ),
            Self::Redeemed | Self::Unknown => Refusal::invalid_grant(Cause::CodeUnknown, NO_CODE),
        }
    }
}

impl Rotation {
    /// The refusal that the client sees. `invalid_grant` in every case: it is the code at which clients throw
    /// the token away and send the person to sign in again (T-05).
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Replayed(_) => Refusal::invalid_grant(
                Cause::RefreshReplayed,
                "the refresh token was used before; for safety the connection was ended: connect again",
            ),
            Self::Overtaken(_) => Refusal::invalid_grant(
                Cause::RefreshOvertaken,
                "the refresh token was replaced a moment ago, and the new one is in use already: go on with the new \
                 one, or connect again",
            ),
            Self::Rotated | Self::Repeated(_) | Self::CaughtUp | Self::Unknown => Refusal::invalid_grant(
                Cause::RefreshUnknown,
                "the refresh token is unknown, expired or revoked: connect again",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use oauth::time::Timestamp;

    use super::{Repetition, Successor};

    /// RFC 9700 §4.14.2: reuse ends the grant; requests that ran at once are no reuse, nor is a changed key.
    #[test]
    fn only_reuse_ends_a_grant() {
        let (under_way, grace) = (Timestamp(90), Timestamp(50));
        let reuse =
            |used_at, successor| Repetition { used_at: Timestamp(used_at), successor }.is_reuse(under_way, grace);
        for used_at in [40, 50, 51, 90, 91, 100] {
            assert!(reuse(used_at, Successor::Unused), "repeated too often or too late: {used_at}");
            assert_eq!(reuse(used_at, Successor::Used), used_at <= 90, "{used_at}");
            assert_eq!(reuse(used_at, Successor::Unknown), used_at <= 50, "{used_at}");
        }
        // Without a window of grace there is none for requests under way either.
        let strict = Repetition { used_at: Timestamp(100), successor: Successor::Used };
        assert!(strict.is_reuse(under_way, Timestamp(100)));
    }
}
