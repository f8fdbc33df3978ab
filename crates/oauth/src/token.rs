//! The token request (OAuth 2.1 §3.2.2, §4.1.3, §4.3), without the client's credentials.

use super::cause::Cause;
use super::error::{ErrorCode, Refusal};
use super::params::Params;
use super::scope::Scope;
use crate::pkce::CodeChallenge;

/// A parsed token request: one variant per grant type that this server knows.
#[derive(Debug)]
pub enum TokenRequest {
    /// `grant_type=authorization_code`.
    AuthorizationCode(CodeRequest),
    /// `grant_type=refresh_token`.
    RefreshToken(RefreshRequest),
}

/// What a code is redeemed with.
#[derive(Debug)]
pub struct CodeRequest {
    /// The code, unverified.
    pub code: String,
    /// OAuth 2.1 dropped it; when sent, it must be the one of the authorization request (T-11).
    pub redirect_uri: Option<String>,
    /// The PKCE verifier.
    pub code_verifier: Option<String>,
    /// RFC 8707 §2.2.
    pub resources: Vec<String>,
}

/// What a refresh token is exchanged with.
#[derive(Debug)]
pub struct RefreshRequest {
    /// The refresh token, unverified.
    pub refresh_token: String,
    /// A narrower scope for the new access token.
    pub scope: Option<Scope>,
    /// RFC 8707 §2.2.
    pub resources: Vec<String>,
}

impl TokenRequest {
    /// Reads the grant type and its parameters.
    ///
    /// # Errors
    /// `invalid_request` and `unsupported_grant_type` (RFC 6749 §5.2).
    pub fn parse(params: &Params, refresh_offered: bool) -> Result<Self, Refusal> {
        let resources = params.all("resource").map(str::to_owned).collect();
        match params.required("grant_type")? {
            "authorization_code" => Ok(Self::AuthorizationCode(CodeRequest {
                code: params.required("code")?.to_owned(),
                redirect_uri: params.one("redirect_uri")?.map(str::to_owned),
                code_verifier: params.one("code_verifier")?.map(str::to_owned),
                resources,
            })),
            "refresh_token" if refresh_offered => Ok(Self::RefreshToken(RefreshRequest {
                refresh_token: params.required("refresh_token")?.to_owned(),
                scope: params.one("scope")?.map(Scope::parse_lossy).filter(|scope| !scope.is_empty()),
                resources,
            })),
            _ => {
                let offered =
                    if refresh_offered { "authorization_code and refresh_token" } else { "authorization_code" };
                Err(Refusal::new(
                    ErrorCode::UnsupportedGrantType,
                    Cause::GrantTypeUnsupported,
                    format!("this server offers {offered}"),
                ))
            }
        }
    }
}

/// Judges a PKCE verifier against the stored challenge (RFC 7636 §4.6, RFC 9700 §2.1.1).
///
/// # Errors
/// `invalid_grant` for a wrong or missing verifier; `invalid_request` for a verifier without a challenge,
/// which is the sign of a downgrade: somebody removed the challenge from the authorization request.
pub fn check_verifier(challenge: Option<&CodeChallenge>, verifier: Option<&str>) -> Result<(), Refusal> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(challenge), Some(verifier)) if challenge.accepts(verifier) => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::invalid_grant(
            Cause::VerifierUnfit,
            "code_verifier does not match the code_challenge of the authorization request",
        )),
        (Some(_), None) => Err(Refusal::invalid_grant(
            Cause::VerifierUnfit,
            "code_verifier is missing; the authorization request had a code_challenge",
        )),
        (None, Some(_)) => {
            Err(Refusal::invalid_request("code_verifier was sent, but the authorization request had no code_challenge")
                .because(Cause::VerifierUnfit))
        }
    }
}

/// Judges the scope of a refresh request: what was granted, or less (OAuth 2.1 §4.3.1). `offline_access` and
/// scopes that never existed are ignored, because clients repeat what they once asked for.
///
/// # Errors
/// `invalid_scope` when something is asked for that exists but was not granted.
pub fn narrow(asked: Option<&Scope>, granted: &Scope, offered: &Scope) -> Result<Scope, Refusal> {
    let Some(asked) = asked else { return Ok(granted.clone()) };
    let known = asked.intersection(offered);
    if known.without_offline_access().is_subset_of(granted) {
        let narrowed = known.intersection(granted);
        return Ok(if narrowed.without_offline_access().is_empty() { granted.clone() } else { narrowed });
    }
    Err(Refusal::new(
        ErrorCode::InvalidScope,
        Cause::ScopeUnfit,
        format!("a refresh can't add scopes; granted: {granted}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::{check_verifier, narrow};
    use crate::error::ErrorCode;
    use crate::pkce::CodeChallenge;
    use crate::scope::Scope;

    /// B-03, T-10.
    #[test]
    fn verifier_and_challenge_come_in_pairs() {
        let challenge = CodeChallenge::from_text("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(check_verifier(Some(&challenge), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")).is_ok());
        assert_eq!(check_verifier(Some(&challenge), Some("x")).unwrap_err().code, ErrorCode::InvalidGrant);
        assert_eq!(check_verifier(Some(&challenge), None).unwrap_err().code, ErrorCode::InvalidGrant);
        assert_eq!(check_verifier(None, Some("x")).unwrap_err().code, ErrorCode::InvalidRequest);
        assert!(check_verifier(None, None).is_ok());
    }

    /// B-07, T-22.
    #[test]
    fn refresh_narrows_and_never_widens() {
        let scope = |text| Scope::parse(text).unwrap();
        let (granted, offered) = (scope("a b"), scope("a b c offline_access"));
        assert_eq!(narrow(None, &granted, &offered).unwrap(), granted);
        assert_eq!(narrow(Some(&scope("a")), &granted, &offered).unwrap(), scope("a"));
        assert_eq!(narrow(Some(&scope("a b offline_access")), &granted, &offered).unwrap(), granted);
        assert_eq!(narrow(Some(&scope("a c")), &granted, &offered).unwrap_err().code, ErrorCode::InvalidScope);
    }
}
