//! A client's public keys (RFC 7517, RFC 7518 §6, RFC 8037 §2): which keys of a set can check its assertions.
//!
//! A set may hold keys of kinds that nobody here knows; those are passed over. A private or shared key in it is
//! another matter: whoever could read the set could sign as the client, so nothing is taken from such a set.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::json::{self, InvalidJson};

/// The most bytes of a set.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most keys of a set.
const MAX_KEYS: usize = 50;
/// The longest `kid`.
pub const MAX_KID: usize = 256;

/// The algorithms that a client may sign an assertion with. No shared secrets, no `none` (RFC 8725 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256: what ChatGPT signs with.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA, P-256.
    Es256,
    /// ECDSA, P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl AssertionAlgorithm {
    /// All of them, in the order in which they are advertised.
    pub const ALL: [Self; 5] = [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with this registered name; `Ed25519` is the newer name of the one `EdDSA` here (RFC 9864).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = if text == "Ed25519" { "EdDSA" } else { text };
        Self::ALL.into_iter().find(|own| own.as_str() == text)
    }
}

/// The key itself. Numbers are base64url without padding and without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// 2048 to 8192 bits.
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
    /// A point on P-256.
    P256 {
        /// One coordinate.
        x: String,
        /// The other.
        y: String,
    },
    /// A point on P-384.
    P384 {
        /// One coordinate.
        x: String,
        /// The other.
        y: String,
    },
    /// An Ed25519 key.
    Ed25519 {
        /// The key.
        x: String,
    },
}

/// A key that can check an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Its name in the set.
    pub kid: Option<String>,
    /// The one algorithm that it is meant for, if it says so.
    pub algorithm: Option<AssertionAlgorithm>,
    /// The key.
    pub key: PublicKey,
}

impl Jwk {
    /// Whether a signature by this algorithm can be checked with this key: never decided by the signature's header
    /// alone (RFC 8725 §3.1).
    #[must_use]
    pub fn fits(&self, algorithm: AssertionAlgorithm) -> bool {
        let kind = match (&self.key, algorithm) {
            (PublicKey::Rsa { .. }, AssertionAlgorithm::Rs256 | AssertionAlgorithm::Ps256)
            | (PublicKey::P256 { .. }, AssertionAlgorithm::Es256)
            | (PublicKey::P384 { .. }, AssertionAlgorithm::Es384)
            | (PublicKey::Ed25519 { .. }, AssertionAlgorithm::EdDsa) => true,
            (
                PublicKey::Rsa { .. } | PublicKey::P256 { .. } | PublicKey::P384 { .. } | PublicKey::Ed25519 { .. },
                _,
            ) => false,
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn to_json(&self) -> Value {
        let mut members = match &self.key {
            PublicKey::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
            PublicKey::P256 { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
            PublicKey::P384 { x, y } => json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }),
            PublicKey::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
        };
        if let Value::Object(members) = &mut members {
            if let Some(kid) = &self.kid {
                members.insert("kid".to_owned(), json!(kid));
            }
            if let Some(algorithm) = self.algorithm {
                members.insert("alg".to_owned(), json!(algorithm.as_str()));
            }
        }
        members
    }
}

/// Keys of a client; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    text: String,
}

/// Why a set of keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwkSet {
    /// Not readable at all.
    #[error("the key set {0}")]
    Json(#[from] InvalidJson),
    /// RFC 7517 §5: `keys` is required.
    #[error("the key set has no array named keys")]
    NoKeys,
    /// More than anything real has.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// A key that signs, in public.
    #[error(
        "the key set holds a private key ({kid}); whoever reads it can sign as this client: publish public keys only, and replace that one"
    )]
    PrivateKey {
        /// Its name.
        kid: String,
    },
    /// A shared secret, in public.
    #[error("the key set holds a shared secret (kty oct, {kid}), which may not be published")]
    SharedSecret {
        /// Its name.
        kid: String,
    },
    /// Nothing left after passing over what can't be used; the reason is the first key's.
    #[error("the key set has no key that can be used here: {why}")]
    NoneUsable {
        /// Why not.
        why: Unusable,
    },
}

/// Why one key of a set is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The set is empty.
    #[error("it is empty")]
    Empty,
    /// Not an object, or a member of the wrong type.
    #[error("a key is malformed")]
    Malformed,
    /// A kind or curve that isn't read here.
    #[error("keys must be RSA, EC with P-256 or P-384, or OKP with Ed25519")]
    Kind,
    /// `use` or `key_ops` say that it is for something else.
    #[error("a key is not for signatures (use, key_ops)")]
    Purpose,
    /// `alg` is none of ours, or doesn't go with the key.
    #[error("a key's alg is not one of RS256, PS256, ES256, ES384, EdDSA, or not one for its kty")]
    Algorithm,
    /// RFC 7518 §3.3: 2048 bits at least; more than 8192 only costs time.
    #[error("an RSA key must have 2048 to 8192 bits and an odd exponent of 3 or more, in four bytes at most")]
    RsaSize,
    /// A coordinate of the wrong length.
    #[error("a key's numbers have the wrong length or are not base64url")]
    Number,
    /// `kid` is too long.
    #[error("a key's kid is longer than {MAX_KID} bytes")]
    Kid,
}

impl JwkSet {
    /// Reads a set as it was fetched.
    ///
    /// # Errors
    /// The rule that is broken; see [`InvalidJwkSet`].
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidJwkSet> {
        Self::from_members(&json::object(bytes, MAX_BYTES)?)
    }

    /// Reads a set that is part of a larger document, whose size is bounded already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, InvalidJwkSet> {
        let Some(Value::Array(items)) = members.get("keys") else { return Err(InvalidJwkSet::NoKeys) };
        if items.len() > MAX_KEYS {
            return Err(InvalidJwkSet::TooMany);
        }
        let mut keys = Vec::new();
        let mut passed_over = None;
        for item in items {
            if let Some(members) = item.as_object() {
                refuse_secrets(members)?;
            }
            match item.as_object().ok_or(Unusable::Malformed).and_then(key) {
                Ok(key) => keys.push(key),
                Err(why) => passed_over = passed_over.or(Some(why)),
            }
        }
        if keys.is_empty() {
            return Err(InvalidJwkSet::NoneUsable { why: passed_over.unwrap_or(Unusable::Empty) });
        }
        let text = json!({ "keys": keys.iter().map(Jwk::to_json).collect::<Vec<_>>() }).to_string();
        Ok(Self { keys, text })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The set as JSON for storage: what is used here of each usable key, and nothing else. Reading it gives the same
    /// set, and equal keys give equal text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a key has this name.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }
}

impl fmt::Display for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Members that only a private or shared key has (RFC 7518 §6.2.2, §6.3.2, §6.4).
fn refuse_secrets(members: &Map<String, Value>) -> Result<(), InvalidJwkSet> {
    let present = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    let kid = || {
        let kid = members.get("kid").and_then(Value::as_str).unwrap_or_default();
        let shown: String = kid.chars().filter(char::is_ascii_graphic).take(64).collect();
        if shown.is_empty() { "without a kid".to_owned() } else { format!("kid {shown}") }
    };
    if members.get("kty").and_then(Value::as_str) == Some("oct") || present("k") {
        return Err(InvalidJwkSet::SharedSecret { kid: kid() });
    }
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"].into_iter().any(present) {
        return Err(InvalidJwkSet::PrivateKey { kid: kid() });
    }
    Ok(())
}

fn key(members: &Map<String, Value>) -> Result<Jwk, Unusable> {
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Unusable::Malformed),
    };
    let number = |name: &str| text(name)?.ok_or(Unusable::Malformed).and_then(decoded);
    // RFC 7517 §4.2, §4.3: a key that is for encryption only doesn't check signatures.
    if text("use")?.is_some_and(|usage| usage != "sig") {
        return Err(Unusable::Purpose);
    }
    match members.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(operations)) if operations.iter().any(|own| own == "verify") => {}
        Some(_) => return Err(Unusable::Purpose),
    }
    let kid = text("kid")?.filter(|kid| !kid.is_empty());
    if kid.is_some_and(|kid| kid.len() > MAX_KID) {
        return Err(Unusable::Kid);
    }
    let key = match (text("kty")?, text("crv")?) {
        (Some("RSA"), _) => rsa(&number("n")?, &number("e")?)?,
        (Some("EC"), Some("P-256")) => {
            PublicKey::P256 { x: coordinate(&number("x")?, 32)?, y: coordinate(&number("y")?, 32)? }
        }
        (Some("EC"), Some("P-384")) => {
            PublicKey::P384 { x: coordinate(&number("x")?, 48)?, y: coordinate(&number("y")?, 48)? }
        }
        (Some("OKP"), Some("Ed25519")) => PublicKey::Ed25519 { x: coordinate(&number("x")?, 32)? },
        _ => return Err(Unusable::Kind),
    };
    let algorithm = match text("alg")?.filter(|own| !own.is_empty()) {
        None => None,
        Some(name) => Some(AssertionAlgorithm::parse(name).ok_or(Unusable::Algorithm)?),
    };
    let key = Jwk { kid: kid.map(str::to_owned), algorithm, key };
    // RFC 8725 §3.1: an alg that doesn't go with the key could be checked with nothing.
    if algorithm.is_some_and(|own| !key.fits(own)) {
        return Err(Unusable::Algorithm);
    }
    Ok(key)
}

fn rsa(n: &[u8], e: &[u8]) -> Result<PublicKey, Unusable> {
    let strip = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let (n, e) = (strip(n), strip(e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    // An exponent of 1 makes every message its own signature; a long one makes checking dear.
    if !(2048..=8192).contains(&bits) || !odd || e == [1] || e.len() > 4 {
        return Err(Unusable::RsaSize);
    }
    Ok(PublicKey::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) })
}

fn coordinate(bytes: &[u8], length: usize) -> Result<String, Unusable> {
    if bytes.len() == length { Ok(URL_SAFE_NO_PAD.encode(bytes)) } else { Err(Unusable::Number) }
}

/// RFC 7515 §2: base64url without padding; some write the padding all the same.
fn decoded(text: &str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| Unusable::Number)
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
