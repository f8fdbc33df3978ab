//! Proof Key for Code Exchange (RFC 7636), S256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::cause::Cause;
use super::error::Refusal;

/// An S256 code challenge: 43 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// The advice that most people who meet a refusal here need: their client's PKCE switch.
const ADVICE: &str = "turn PKCE on in your client and choose SHA-256 (S256)";

fn unfit(text: impl Into<String>) -> Refusal {
    Refusal::invalid_request(text).because(Cause::ChallengeUnfit)
}

impl CodeChallenge {
    /// Reads `code_challenge` and `code_challenge_method`.
    ///
    /// `Ok(None)` means that neither was sent; whether that may be, the caller decides.
    ///
    /// # Errors
    /// `invalid_request` when the method is not `S256` (absent means `plain`, RFC 7636 §4.3, and `plain` proves
    /// nothing) or when the challenge can't be a SHA-256 digest.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Option<Self>, Refusal> {
        match (challenge, method) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Self::missing()),
            (Some(challenge), Some("S256")) => Self::from_text(challenge).map(Some).ok_or_else(|| {
                unfit("code_challenge must be 43 characters of base64url without padding (RFC 7636 4.2)")
            }),
            (Some(_), None) => Err(unfit(format!("code_challenge_method is missing: {ADVICE}"))),
            (Some(_), Some(_)) => Err(unfit(format!("code_challenge_method must be S256: {ADVICE}"))),
        }
    }

    /// The refusal for a client that sent no challenge and must.
    #[must_use]
    pub fn missing() -> Refusal {
        unfit(format!("code_challenge is missing: {ADVICE}"))
    }

    /// Reads a stored challenge.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let digest = URL_SAFE_NO_PAD.decode(text).ok()?;
        (digest.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The challenge's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is lawful (43 to 128 unreserved characters, RFC 7636 §4.1) and has this digest;
    /// compared in constant time.
    #[must_use]
    pub fn accepts(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
            return false;
        }
        let own = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        own.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::CodeChallenge;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    /// RFC 7636 Appendix B.
    #[test]
    fn vector_of_rfc7636_appendix_b() {
        let challenge = CodeChallenge::parse(Some(CHALLENGE), Some("S256")).unwrap().unwrap();
        assert!(challenge.accepts(VERIFIER));
        assert!(!challenge.accepts(&VERIFIER.replace('d', "e")));
    }

    /// A-05, B-03, I7: everything but a whole S256 pair is refused, and the words name the switch.
    #[test]
    fn only_s256_is_accepted() {
        for (challenge, method) in [
            (Some(CHALLENGE), None),
            (Some(CHALLENGE), Some("plain")),
            (Some(CHALLENGE), Some("s256")),
            (Some("short"), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
            (None, Some("S256")),
        ] {
            assert!(CodeChallenge::parse(challenge, method).is_err(), "{challenge:?} {method:?}");
        }
        let refusal = CodeChallenge::parse(Some(CHALLENGE), None).unwrap_err();
        assert!(refusal.description.contains("SHA-256"));
        assert_eq!(CodeChallenge::parse(None, None).unwrap(), None);
    }

    /// T-10: verifier length and alphabet.
    #[test]
    fn verifiers_outside_the_grammar_are_refused() {
        let challenge = CodeChallenge::from_text(CHALLENGE).unwrap();
        for verifier in ["", "a", &"a".repeat(42), &"a".repeat(129), &format!("{VERIFIER} "), &"é".repeat(43)] {
            assert!(!challenge.accepts(verifier));
        }
    }
}
