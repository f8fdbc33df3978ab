//! `private_key_jwt` (RFC 7523 §3, OpenID Connect Core §9): whether an assertion was signed by a client's key, for this
//! server, now. That it is used once only is for the store to decide.

use jsonwebtoken::DecodingKey;
use oauth::assertion::{InvalidAssertion, UnverifiedAssertion};
use oauth::jwks::{AssertionAlgorithm, Jwk, JwkSet, PublicKey};
use oauth::time::Timestamp;

/// The furthest that an assertion may end in the future: it is made for one request.
pub const MAX_LIFETIME_SECONDS: i64 = 300;
/// How wrong the clocks of two machines may be.
pub const LEEWAY_SECONDS: i64 = 60;
/// How many keys are tried where `kid` doesn't tell which: checking costs time that anybody could ask for.
const MAX_TRIES: usize = 4;

/// A verified assertion, by which it can be recognised when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAssertion {
    /// Its own id.
    pub jti: String,
    /// Until when it could be presented: its end, with the leeway.
    pub dead_at: Timestamp,
}

/// Why an assertion proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRefusal {
    /// Not an assertion at all.
    #[error(transparent)]
    Malformed(#[from] InvalidAssertion),
    /// RFC 8725 §3.11: another kind of JWT.
    #[error("client_assertion has the type {0}; it must be JWT or client-authentication+jwt, or have none")]
    Type(String),
    /// RFC 8725 §3.1.
    #[error("client_assertion is signed with {0}; this server takes RS256, PS256, ES256, ES384 and EdDSA")]
    Algorithm(String),
    /// No key has its `kid`: perhaps the client has new keys.
    #[error("client_assertion names a key (kid) that is not among the client's keys")]
    UnknownKey,
    /// There are keys, of another kind.
    #[error("none of the client's keys goes with the algorithm of client_assertion")]
    KeyMismatch,
    /// No `kid`, and too many keys to try.
    #[error("client_assertion must name its key (kid): the client has several")]
    Ambiguous,
    /// The signature is wrong.
    #[error("the signature of client_assertion is wrong")]
    BadSignature,
    /// RFC 7523 §3 no. 1 and 2.
    #[error("iss and sub of client_assertion must both be the client_id")]
    NotTheClient,
    /// RFC 7523 §3 no. 3.
    #[error("client_assertion is for {got}; aud must be {wanted} alone")]
    Audience {
        /// What it says.
        got: String,
        /// What it should say.
        wanted: String,
    },
    /// RFC 7523 §3 no. 4.
    #[error("client_assertion has expired")]
    Expired,
    ///
    #[error("client_assertion lives too long; exp may be 5 minutes ahead at most")]
    TooLong,
    /// RFC 7523 §3 no. 5 and 6.
    #[error("client_assertion is not valid yet; a clock is wrong")]
    NotYetValid,
}

impl AssertionRefusal {
    /// Whether fresh keys could change the answer.
    #[must_use]
    pub fn may_be_new_key(&self) -> bool {
        matches!(self, Self::UnknownKey)
    }
}

/// Judges an assertion that `client_id` presents. `audiences` are the names of this server, the preferred one first:
/// the issuer, and the token endpoint.
///
/// # Errors
/// The first rule that is broken. Signature before claims, so that only the client learns what is wrong with those.
pub fn verify(
    unverified: &str,
    client_id: &str,
    keys: &JwkSet,
    audiences: &[&str],
    now: Timestamp,
) -> Result<VerifiedAssertion, AssertionRefusal> {
    let said = UnverifiedAssertion::read(unverified)?;
    if let Some(typ) = &said.typ {
        let short = typ.to_ascii_lowercase();
        if !matches!(short.trim_start_matches("application/"), "jwt" | "client-authentication+jwt") {
            return Err(AssertionRefusal::Type(shown(typ)));
        }
    }
    let algorithm = AssertionAlgorithm::parse(&said.algorithm)
        .ok_or_else(|| AssertionRefusal::Algorithm(shown(&said.algorithm)))?;
    let candidates = candidates(keys, said.kid.as_deref(), algorithm)?;
    if !candidates.into_iter().any(|key| is_signed_by(unverified, key, algorithm)) {
        return Err(AssertionRefusal::BadSignature);
    }
    // From here on the claims are the client's: what was read above are the bytes that were signed.
    if said.issuer != client_id || said.subject != client_id {
        return Err(AssertionRefusal::NotTheClient);
    }
    // One audience and no other: an assertion that is good at two servers can be used by one at the other.
    let for_us = matches!(said.audience.as_slice(), [one] if audiences.contains(&one.as_str()));
    if !for_us {
        let wanted = audiences.first().copied().unwrap_or_default().to_owned();
        return Err(AssertionRefusal::Audience { got: shown(&said.audience.join(", ")), wanted });
    }
    judge_times(&said, now)?;
    let dead_at = Timestamp(said.expires_at.saturating_add(LEEWAY_SECONDS));
    Ok(VerifiedAssertion { jti: said.jti, dead_at })
}

fn judge_times(said: &UnverifiedAssertion, now: Timestamp) -> Result<(), AssertionRefusal> {
    const LONGEST: i64 = MAX_LIFETIME_SECONDS + LEEWAY_SECONDS;
    if said.expires_at.saturating_add(LEEWAY_SECONDS) <= now.0 {
        return Err(AssertionRefusal::Expired);
    }
    if said.expires_at > now.0.saturating_add(LONGEST) {
        return Err(AssertionRefusal::TooLong);
    }
    // One made for a year would be taken in its last minutes: whoever found it only had to wait.
    if said.issued_at.is_some_and(|issued| said.expires_at.saturating_sub(issued) > LONGEST) {
        return Err(AssertionRefusal::TooLong);
    }
    let early = |moment: i64| moment > now.0.saturating_add(LEEWAY_SECONDS);
    if said.not_before.is_some_and(early) || said.issued_at.is_some_and(early) {
        return Err(AssertionRefusal::NotYetValid);
    }
    Ok(())
}

/// The keys that the assertion may be signed with: those of its `kid`; else those without one.
fn candidates<'a>(
    keys: &'a JwkSet,
    kid: Option<&str>,
    algorithm: AssertionAlgorithm,
) -> Result<Vec<&'a Jwk>, AssertionRefusal> {
    let all = || keys.keys().iter();
    let found: Vec<&Jwk> = match kid {
        Some(kid) if keys.has(kid) => all().filter(|key| key.kid.as_deref() == Some(kid)).collect(),
        Some(_) => all().filter(|key| key.kid.is_none()).collect(),
        None => all().collect(),
    };
    if found.is_empty() {
        return Err(AssertionRefusal::UnknownKey);
    }
    let fitting: Vec<&Jwk> = found.into_iter().filter(|key| key.fits(algorithm)).collect();
    match fitting.len() {
        0 => Err(AssertionRefusal::KeyMismatch),
        1..=MAX_TRIES => Ok(fitting),
        _ => Err(AssertionRefusal::Ambiguous),
    }
}

fn is_signed_by(assertion: &str, key: &Jwk, algorithm: AssertionAlgorithm) -> bool {
    let Some((message, signature)) = assertion.rsplit_once('.') else { return false };
    let Ok(decoding) = decoding_key(&key.key) else { return false };
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), &decoding, jwt_algorithm(algorithm)).unwrap_or(false)
}

fn decoding_key(key: &PublicKey) -> jsonwebtoken::errors::Result<DecodingKey> {
    match key {
        PublicKey::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
        PublicKey::P256 { x, y } | PublicKey::P384 { x, y } => DecodingKey::from_ec_components(x, y),
        PublicKey::Ed25519 { x } => DecodingKey::from_ed_components(x),
    }
}

const fn jwt_algorithm(algorithm: AssertionAlgorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        AssertionAlgorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        AssertionAlgorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        AssertionAlgorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        AssertionAlgorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        AssertionAlgorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// What a stranger wrote, fit for an error description.
fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(200).collect()
}
