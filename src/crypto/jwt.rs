//! Access tokens as JWTs (RFC 9068): signing them, and the one function that decides whether a received
//! text is one of ours.

use jsonwebtoken::{Header, Validation};
use oauth::issuer::Issuer;
use oauth::resource::Resource;
use oauth::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys::{KeyRing, jwt_algorithm};

/// Tokens are accepted this long after `exp` and before `nbf`: clocks of replicas differ (RFC 7519 §4.1.4).
pub const LEEWAY_SECONDS: i64 = 30;

/// The media type in the header that tells an access token from every other JWT (RFC 9068 §2.1).
const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token (RFC 9068 §2.2): all of these and nothing about the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// The one resource that it is for.
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// When it was issued, unix seconds.
    pub iat: i64,
    /// When it ends, unix seconds.
    pub exp: i64,
    /// Its own id.
    pub jti: String,
    /// What it allows, space-separated.
    pub scope: String,
    /// When the user last proved who they are, unix seconds.
    pub auth_time: i64,
    /// The grant that it came from, by which it can be stopped before `exp`. A private claim.
    pub grant: String,
}

/// Why a text is not an access token for this resource now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not a JWT, another type of JWT, an algorithm other than its key's, or claims missing.
    #[error("this is not an access token of this server")]
    Malformed,
    /// No key has its `kid`: another issuer's, or so old that the key is gone.
    #[error("the token was signed with a key that this server does not have")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Signed by us, issued by another issuer: the public URL was changed.
    #[error("the token was issued by {got}, expected {expected}")]
    WrongIssuer {
        /// What the token says.
        got: String,
        /// What it would have to say.
        expected: String,
    },
    /// Signed by us, for another resource (RFC 8707 §2).
    #[error("the token is for {got}, expected {expected}")]
    WrongAudience {
        /// What the token says.
        got: String,
        /// What it would have to say.
        expected: String,
    },
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come: a clock is wrong.
    #[error("the token is not valid yet; a clock is wrong")]
    NotYetValid,
}

/// No key to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access token could not be signed")]
pub struct SigningFailed;

/// Signs claims with the key that is active at `now`.
///
/// # Errors
/// When no key is there or it can't sign.
pub fn sign(claims: &AccessTokenClaims, keys: &KeyRing, now: Timestamp) -> Result<String, SigningFailed> {
    let key = keys.signing(now).ok_or(SigningFailed)?;
    let mut header = Header::new(jwt_algorithm(key.algorithm));
    header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
    header.kid = Some(key.kid.clone());
    jsonwebtoken::encode(&header, claims, &key.signer).map_err(|_| SigningFailed)
}

/// Judges a received text by all but its time: for what may be said about a token whose time is over.
///
/// # Errors
/// As [`verify`], without the two about time.
pub fn verify_signed(
    unverified: &str,
    keys: &KeyRing,
    issuer: &Issuer,
    resource: &Resource,
) -> Result<AccessTokenClaims, TokenRefusal> {
    let claims = verify_issued(unverified, keys, issuer)?;
    if claims.aud != resource.as_str() {
        return Err(TokenRefusal::WrongAudience { got: claims.aud, expected: resource.to_string() });
    }
    Ok(claims)
}

/// Judges a received text by whether this server issued it: for the issuer itself, which takes its tokens back wherever
/// they were meant to be used.
///
/// # Errors
/// As [`verify`], without those about audience and time.
pub fn verify_issued(unverified: &str, keys: &KeyRing, issuer: &Issuer) -> Result<AccessTokenClaims, TokenRefusal> {
    let header = jsonwebtoken::decode_header(unverified).map_err(|_| TokenRefusal::Malformed)?;
    // RFC 9068 §4: an id token or any other JWT of ours is not an access token.
    let typ = header.typ.as_deref().unwrap_or_default();
    if !typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) && !typ.eq_ignore_ascii_case("application/at+jwt") {
        return Err(TokenRefusal::Malformed);
    }
    let key = keys.find(header.kid.as_deref().unwrap_or_default()).ok_or(TokenRefusal::UnknownKey)?;
    // RFC 8725 §3.1: the algorithm is the key's, whatever the header says; `none` and HMAC can't be chosen.
    let mut validation = Validation::new(jwt_algorithm(key.algorithm));
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<AccessTokenClaims>(unverified, &key.verifier, &validation)
        .map_err(|error| {
            let forged = matches!(error.kind(), jsonwebtoken::errors::ErrorKind::InvalidSignature);
            if forged { TokenRefusal::BadSignature } else { TokenRefusal::Malformed }
        })?
        .claims;
    if claims.iss != issuer.as_str() {
        return Err(TokenRefusal::WrongIssuer { got: claims.iss, expected: issuer.to_string() });
    }
    Ok(claims)
}

/// Judges a received text: type, key, algorithm, signature, issuer, audience, time, in this order, so that
/// only holders of something that we signed learn what is wrong with it (RFC 9068 §4, RFC 8725 §3).
///
/// # Errors
/// The first rule that is broken.
pub fn verify(
    unverified: &str,
    keys: &KeyRing,
    issuer: &Issuer,
    resource: &Resource,
    now: Timestamp,
) -> Result<AccessTokenClaims, TokenRefusal> {
    let claims = verify_signed(unverified, keys, issuer, resource)?;
    in_time(&claims, now)?;
    Ok(claims)
}

/// Judges the time of claims that are ours.
///
/// # Errors
/// When it is over, or has not come.
pub fn in_time(claims: &AccessTokenClaims, now: Timestamp) -> Result<(), TokenRefusal> {
    if claims.exp.saturating_add(LEEWAY_SECONDS) <= now.0 {
        return Err(TokenRefusal::Expired);
    }
    if claims.iat.saturating_sub(LEEWAY_SECONDS) > now.0 {
        return Err(TokenRefusal::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AccessTokenClaims, LEEWAY_SECONDS, TokenRefusal, sign, verify};
    use crate::crypto::keys::{KeyRing, generate};
    use crate::crypto::master::MasterKey;
    use crate::crypto::random::Random;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use oauth::algorithm::Algorithm;
    use oauth::issuer::Issuer;
    use oauth::resource::Resource;
    use oauth::time::Timestamp;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn ring(algorithm: Algorithm) -> KeyRing {
        ring_with(algorithm, 1)
    }

    fn place() -> (Issuer, Resource) {
        (Issuer::from_origin(&url::Url::parse("https://h").unwrap()), Resource::from_canonical("https://h/mcp"))
    }

    fn claims() -> AccessTokenClaims {
        AccessTokenClaims {
            iss: "https://h".into(),
            aud: "https://h/mcp".into(),
            sub: "usr_1".into(),
            client_id: "pc_1".into(),
            iat: NOW.0,
            exp: NOW.0 + 60,
            jti: "j".into(),
            scope: "a".into(),
            auth_time: NOW.0,
            grant: "grt_1".into(),
        }
    }

    /// T-30: all three algorithms, header and claims.
    #[test]
    fn a_signed_token_verifies_under_each_algorithm() {
        let (issuer, resource) = place();
        for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
            let ring = ring(algorithm);
            let token = sign(&claims(), &ring, NOW).unwrap();
            assert_eq!(verify(&token, &ring, &issuer, &resource, NOW).unwrap(), claims());
            let header = jsonwebtoken::decode_header(&token).unwrap();
            assert_eq!((header.typ.as_deref(), header.kid.is_some()), (Some("at+jwt"), true));
            assert!(ring.jwks().contains(algorithm.as_str()));
            assert!(!ring.jwks().contains("\"d\""));
        }
    }

    /// B-08, B-09, B-30, S-02.
    #[test]
    fn every_broken_rule_is_refused_for_its_own_reason() {
        let (issuer, resource) = place();
        let ring = ring(Algorithm::Es256);
        let judge =
            |claims: &AccessTokenClaims| verify(&sign(claims, &ring, NOW).unwrap(), &ring, &issuer, &resource, NOW);
        let wrong_issuer = AccessTokenClaims { iss: "https://h/".into(), ..claims() };
        assert!(matches!(judge(&wrong_issuer), Err(TokenRefusal::WrongIssuer { .. })));
        let wrong_audience = AccessTokenClaims { aud: "https://h/mcp/".into(), ..claims() };
        assert!(matches!(judge(&wrong_audience), Err(TokenRefusal::WrongAudience { .. })));
        let expired = AccessTokenClaims { exp: NOW.0 - LEEWAY_SECONDS, ..claims() };
        assert_eq!(judge(&expired), Err(TokenRefusal::Expired));
        assert!(judge(&AccessTokenClaims { exp: NOW.0 - LEEWAY_SECONDS + 1, ..claims() }).is_ok());
        let early = AccessTokenClaims { iat: NOW.0 + LEEWAY_SECONDS + 1, ..claims() };
        assert_eq!(judge(&early), Err(TokenRefusal::NotYetValid));
        let token = sign(&claims(), &ring, NOW).unwrap();
        let other = sign(&AccessTokenClaims { sub: "usr_2".into(), ..claims() }, &ring, NOW).unwrap();
        let spliced = format!("{}.{}", other.rsplit_once('.').unwrap().0, token.rsplit_once('.').unwrap().1);
        assert_eq!(verify(&spliced, &ring, &issuer, &resource, NOW), Err(TokenRefusal::BadSignature));
        for garbage in ["", "a", "a.b.c", "....", &token.replace('.', "")] {
            assert_eq!(verify(garbage, &ring, &issuer, &resource, NOW), Err(TokenRefusal::Malformed), "{garbage}");
        }
        let foreign = ring_with(Algorithm::Es256, 2);
        assert_eq!(
            verify(&sign(&claims(), &foreign, NOW).unwrap(), &ring, &issuer, &resource, NOW),
            Err(TokenRefusal::UnknownKey)
        );
    }

    fn ring_with(algorithm: Algorithm, seed: u64) -> KeyRing {
        let (master, random) = (MasterKey::new(&[1; 32]), Random::seeded(seed));
        KeyRing::open(&[generate(algorithm, 1, NOW, NOW, &master, &random).unwrap()], &master).unwrap()
    }

    /// B-08, RFC 8725 §2.1: `none`, HMAC with the public key, and another type are no access tokens.
    #[test]
    fn algorithm_and_type_confusion_are_refused() {
        let (issuer, resource) = place();
        let ring = ring(Algorithm::Es256);
        let token = sign(&claims(), &ring, NOW).unwrap();
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let body = token.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#));
        assert!(verify(&format!("{none}.{body}."), &ring, &issuer, &resource, NOW).is_err());
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.typ = Some("at+jwt".into());
        header.kid = Some(kid.clone());
        let secret = jsonwebtoken::EncodingKey::from_secret(ring.jwks().as_bytes());
        let forged = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        assert_eq!(verify(&forged, &ring, &issuer, &resource, NOW), Err(TokenRefusal::Malformed));
        let id_token = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#));
        assert_eq!(
            verify(&format!("{id_token}.{body}.AAAA"), &ring, &issuer, &resource, NOW),
            Err(TokenRefusal::Malformed)
        );
    }
}
