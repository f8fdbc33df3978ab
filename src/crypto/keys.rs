//! Signing keys: made here, sealed at rest, published as a key set (RFC 7517), rotated with overlap so that
//! no verifier ever meets a key that it could not have seen before (V-04, B-29).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{DecodingKey, EncodingKey};
use oauth::algorithm::Algorithm;
use oauth::time::Timestamp;

use super::master::MasterKey;
use super::random::Random;
use crate::model::key::StoredKey;

/// The algorithm's name in the JWT library.
pub(super) const fn jwt_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// Why keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The configured master key is not the one that sealed them.
    #[error(transparent)]
    Master(#[from] super::master::WrongMasterKey),
    /// The row names an algorithm that this version does not know.
    #[error("signing key {kid} has the unknown algorithm {algorithm:?}")]
    UnknownAlgorithm {
        /// The key.
        kid: String,
        /// What its row says.
        algorithm: String,
    },
    /// The key material is broken.
    #[error("signing key {kid} can't be read")]
    Broken {
        /// The key.
        kid: String,
    },
    /// No key could be made.
    #[error("a signing key could not be made")]
    Generate,
}

/// Makes the key that follows the stored ones: published now, signing after `publish_ahead`, or at once if there are none.
///
/// # Errors
/// When the system can't make one.
pub fn next(
    algorithm: Algorithm,
    publish_ahead: Duration,
    stored: &[StoredKey],
    master: &MasterKey,
    random: &Random,
    now: Timestamp,
) -> Result<StoredKey, KeyError> {
    let generation = stored.last().map_or(0, |newest| newest.generation) + 1;
    let active_at = if stored.is_empty() { now } else { now.plus(publish_ahead) };
    generate(algorithm, generation, now, active_at, master, random)
}

/// Makes a key of this generation.
///
/// # Errors
/// When the system can't make one.
pub fn generate(
    algorithm: Algorithm,
    generation: i64,
    now: Timestamp,
    active_at: Timestamp,
    master: &MasterKey,
    random: &Random,
) -> Result<StoredKey, KeyError> {
    let kid = random.id("key_");
    let der = private_der(algorithm).ok_or(KeyError::Generate)?;
    let sealed = master.seal(&kid, &der)?;
    Ok(StoredKey { kid, generation, algorithm: algorithm.as_str().to_owned(), sealed, created_at: now, active_at })
}

fn private_der(algorithm: Algorithm) -> Option<Vec<u8>> {
    Some(match algorithm {
        Algorithm::Es256 => {
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?.to_pkcs8v1().ok()?.as_ref().to_vec()
        }
        Algorithm::Rs256 => rsa_private_key(RsaKeyPair::generate(KeySize::Rsa2048).ok()?.as_der().ok()?.as_ref())?,
        Algorithm::EdDsa => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?.as_ref().to_vec(),
    })
}

/// The `RSAPrivateKey` (RFC 8017 A.1.2) inside a PKCS#8 wrapping, which is what the JWT library reads. Before
/// it stand 26 bytes whose form is fixed for 2048 bits (RFC 5208 §5).
fn rsa_private_key(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let der = pkcs8.get(26..)?;
    RsaKeyPair::from_der(der).ok()?;
    Some(der.to_vec())
}

/// An opened key.
pub(super) struct OpenKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) signer: EncodingKey,
    pub(super) verifier: DecodingKey,
    active_at: Timestamp,
    public: Jwk,
}

impl OpenKey {
    fn open(stored: &StoredKey, master: &MasterKey) -> Result<Self, KeyError> {
        let broken = || KeyError::Broken { kid: stored.kid.clone() };
        let algorithm = Algorithm::parse(&stored.algorithm).ok_or_else(|| KeyError::UnknownAlgorithm {
            kid: stored.kid.clone(),
            algorithm: stored.algorithm.clone(),
        })?;
        let der = master.open(&stored.kid, &stored.sealed)?;
        let signer = match algorithm {
            Algorithm::Es256 => EncodingKey::from_ec_der(&der),
            Algorithm::Rs256 => EncodingKey::from_rsa_der(&der),
            Algorithm::EdDsa => EncodingKey::from_ed_der(&der),
        };
        let mut public = Jwk::from_encoding_key(&signer, jwt_algorithm(algorithm)).map_err(|_| broken())?;
        public.common.key_id = Some(stored.kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifier = DecodingKey::from_jwk(&public).map_err(|_| broken())?;
        Ok(Self { kid: stored.kid.clone(), algorithm, signer, verifier, active_at: stored.active_at, public })
    }
}

/// The keys that are in force now. Shared by both halves; replaced as a whole when the store has others.
pub struct KeyRing(ArcSwap<Keys>);

struct Keys {
    by_kid: HashMap<String, Arc<OpenKey>>,
    jwks: Arc<str>,
}

impl KeyRing {
    /// Opens all stored keys.
    ///
    /// # Errors
    /// When one can't be opened: the server must not start with half its keys.
    pub fn open(stored: &[StoredKey], master: &MasterKey) -> Result<Self, KeyError> {
        Ok(Self(ArcSwap::from_pointee(Keys::open(stored, master)?)))
    }

    /// Puts another set of stored keys in force.
    ///
    /// # Errors
    /// As for [`open`](Self::open); the old set stays.
    pub fn replace(&self, stored: &[StoredKey], master: &MasterKey) -> Result<(), KeyError> {
        let same = {
            let keys = self.0.load();
            keys.by_kid.len() == stored.len() && stored.iter().all(|key| keys.by_kid.contains_key(&key.kid))
        };
        if !same {
            self.0.store(Arc::new(Keys::open(stored, master)?));
        }
        Ok(())
    }

    /// The public key set as JSON (RFC 7517 §5), every key that may be met now or soon.
    #[must_use]
    pub fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.0.load().jwks)
    }

    /// The key that signs at `now`: the one that became active last.
    pub(super) fn signing(&self, now: Timestamp) -> Option<Arc<OpenKey>> {
        let keys = self.0.load();
        let active = keys.by_kid.values().filter(|key| key.active_at <= now).max_by_key(|key| key.active_at);
        active.or_else(|| keys.by_kid.values().min_by_key(|key| key.active_at)).cloned()
    }

    pub(super) fn find(&self, kid: &str) -> Option<Arc<OpenKey>> {
        self.0.load().by_kid.get(kid).cloned()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.load().by_kid.keys()).finish()
    }
}

impl Keys {
    fn open(stored: &[StoredKey], master: &MasterKey) -> Result<Self, KeyError> {
        let mut by_kid = HashMap::new();
        let mut public = Vec::new();
        for stored in stored {
            let key = OpenKey::open(stored, master)?;
            public.push(key.public.clone());
            by_kid.insert(key.kid.clone(), Arc::new(key));
        }
        let jwks = serde_json::json!({ "keys": public }).to_string().into();
        Ok(Self { by_kid, jwks })
    }
}
