//! The master key: seals the signing keys at rest and derives the keys of everything that must come out the
//! same on every replica.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::attempt_id::AttemptId;
use oauth::id::UserId;
use oauth::time::Timestamp;

use crate::model::secret::{Secret, SecretHash, SecretKind};
use crate::model::user::Credential;

/// The key that only the configuration knows; the database alone opens nothing.
pub struct MasterKey {
    seal: [u8; 32],
    refresh: hmac::Key,
    code: hmac::Key,
    form: hmac::Key,
    known: hmac::Key,
    attempt: AttemptKey,
    fingerprint: String,
}

/// What the early ids of attempts are derived with: nobody can tell from an id which network it stands for.
#[derive(Clone)]
pub struct AttemptKey(hmac::Key);

impl AttemptKey {
    /// The id of whatever this network tries in this quarter of an hour, the same on every replica.
    #[must_use]
    pub fn early(&self, network: &str, now: Timestamp) -> AttemptId {
        let quarter = now.0.div_euclid(15 * 60);
        let tag = hmac::sign(&self.0, format!("{network} {quarter}").as_bytes());
        let bits = tag.as_ref().iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        AttemptId::from_bits(bits)
    }

    /// What stands for this network wherever two uses of one token are compared: nobody can tell from it which it is.
    #[must_use]
    pub fn place(&self, network: &str) -> String {
        let tag = hmac::sign(&self.0, format!("place {network}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..12).unwrap_or_default())
    }
}

/// A sealed text that this master key can't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master key does not open what is stored: it is another key, or the row was changed")]
pub struct WrongMasterKey;

impl MasterKey {
    /// Derives the working keys, each for one purpose.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derive = |label: &str| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label.as_bytes()).as_ref());
        let mut seal = [0; 32];
        seal.copy_from_slice(hmac::sign(&root, b"portcullis seal v1").as_ref());
        let name = hmac::sign(&root, b"portcullis fingerprint v1");
        let part = |pair: &[u8]| pair.iter().fold(0_u16, |part, byte| part << 8 | u16::from(*byte));
        let name: Vec<String> = name.as_ref().chunks(2).take(4).map(|pair| format!("{:04x}", part(pair))).collect();
        Self {
            fingerprint: name.join("-"),
            seal,
            refresh: derive("portcullis refresh successor v1"),
            code: derive("portcullis authorization code v1"),
            form: derive("portcullis form token v1"),
            known: derive("portcullis known browser v1"),
            attempt: AttemptKey(derive("portcullis attempt v1")),
        }
    }

    /// What this key is called where it must not be shown: 64 bits of a keyed hash, which lead back to nothing. Written
    /// into backups, so that the key that belongs to one is found again.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The key of attempts' early ids alone, for who needs no other.
    #[must_use]
    pub fn attempts(&self) -> AttemptKey {
        self.attempt.clone()
    }

    /// Encrypts `plain` (AES-256-GCM); `context` must be the same when it is opened, so that a sealed value
    /// can't be moved to another row.
    ///
    /// # Errors
    /// Never with a key of the right length.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String, WrongMasterKey> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.seal).map_err(|_| WrongMasterKey)?;
        let mut text = plain.to_vec();
        let nonce =
            key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut text).map_err(|_| WrongMasterKey)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Decrypts what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// When it was sealed with another key or for another context, or was changed.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, WrongMasterKey> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| WrongMasterKey)?;
        let (nonce, text) = sealed.split_at_checked(12).ok_or(WrongMasterKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| WrongMasterKey)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.seal).map_err(|_| WrongMasterKey)?;
        let mut text = text.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut text).map_err(|_| WrongMasterKey)?;
        Ok(plain.to_vec())
    }

    /// The refresh token that follows `used`: a keyed hash of it. Whoever repeats a refresh inside the grace
    /// window gets the very same successor, on every replica, though only its digest is stored. Without this
    /// key nobody can compute it, not even from a token and a copy of the database.
    #[must_use]
    pub fn refresh_successor(&self, used: &Secret) -> Secret {
        derived(SecretKind::RefreshToken, &self.refresh, used.expose())
    }

    /// The code of an approved authorization request: the same however often the approval is clicked.
    /// `nonce` is random and stored with the request.
    #[must_use]
    pub fn authorization_code(&self, authorization_id: &str, nonce: &str) -> Secret {
        derived(SecretKind::Code, &self.code, &format!("{authorization_id} {nonce}"))
    }

    /// The token of a form: binds it to the browser's cookie and to what it decides (RFC 9700 §4.7).
    #[must_use]
    pub fn form_token(&self, cookie: &SecretHash, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.form, format!("{} {purpose}", cookie.as_str()).as_bytes()))
    }

    /// Judges a form's token, in constant time.
    #[must_use]
    pub fn form_token_matches(&self, cookie: &SecretHash, purpose: &str, token: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.form, format!("{} {purpose}", cookie.as_str()).as_bytes(), &tag).is_ok()
    }
}

impl MasterKey {
    /// Vouches that the browser with this nonce has signed in to an account with this credential, until then.
    #[must_use]
    pub fn known_browser(&self, user: &UserId, credential: Credential, entry: (&str, Timestamp)) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.known, known_text(user, credential, entry).as_bytes()))
    }

    /// Judges what [`known_browser`](Self::known_browser) made, in constant time.
    #[must_use]
    pub fn known_browser_matches(
        &self,
        user: &UserId,
        credential: Credential,
        entry: (&str, Timestamp),
        tag: &str,
    ) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        hmac::verify(&self.known, known_text(user, credential, entry).as_bytes(), &tag).is_ok()
    }
}

fn known_text(user: &UserId, credential: Credential, (nonce, expires_at): (&str, Timestamp)) -> String {
    format!("{user} {} {nonce} {}", credential.0, expires_at.0)
}

fn derived(kind: SecretKind, key: &hmac::Key, text: &str) -> Secret {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(key, text.as_bytes()).as_ref());
    Secret::from_bytes(kind, &bytes)
}

impl std::fmt::Debug for AttemptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttemptKey(hidden)")
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use oauth::id::UserId;
    use oauth::time::Timestamp;

    use super::MasterKey;
    use crate::model::secret::{Secret, SecretKind};
    use crate::model::user::Credential;

    /// Replicas have the same key and keep no state: the same place and time is the same id everywhere.
    #[test]
    fn early_attempt_ids_are_equal_on_replicas() {
        let (key, replica, other) = (MasterKey::new(&[1; 32]), MasterKey::new(&[1; 32]), MasterKey::new(&[2; 32]));
        let early = |key: &MasterKey, network: &str, at| key.attempts().early(network, Timestamp(at));
        let id = early(&key, "203.0.113.9", 900);
        assert_eq!(id, early(&replica, "203.0.113.9", 900 + 899));
        assert_ne!(id, early(&key, "203.0.113.9", 900 + 900));
        assert_ne!(id, early(&key, "203.0.113.8", 900));
        assert_ne!(id, early(&other, "203.0.113.9", 900));
    }

    /// Changing it would orphan every backup's label.
    #[test]
    fn a_fingerprint_names_one_key_for_ever() {
        assert_eq!(MasterKey::new(&[1; 32]).fingerprint(), "2329-7e06-d474-77f2");
        assert_ne!(MasterKey::new(&[1; 32]).fingerprint(), MasterKey::new(&[2; 32]).fingerprint());
    }

    #[test]
    fn sealed_text_opens_only_with_its_key_and_context() {
        let (key, other) = (MasterKey::new(&[1; 32]), MasterKey::new(&[2; 32]));
        let sealed = key.seal("a", b"plain").unwrap();
        assert_ne!(sealed, key.seal("a", b"plain").unwrap());
        assert_eq!(key.open("a", &sealed).unwrap(), b"plain");
        assert!(key.open("b", &sealed).is_err());
        assert!(other.open("a", &sealed).is_err());
        assert!(key.open("a", "").is_err());
    }

    #[test]
    fn derived_secrets_repeat_for_one_key_and_differ_for_another() {
        let (key, other) = (MasterKey::new(&[1; 32]), MasterKey::new(&[2; 32]));
        let used = Secret::from_bytes(SecretKind::RefreshToken, &[3; 32]);
        assert_eq!(key.refresh_successor(&used), key.refresh_successor(&used));
        assert_ne!(key.refresh_successor(&used), other.refresh_successor(&used));
        assert_ne!(key.refresh_successor(&used), used);
        let cookie = used.hash();
        let token = key.form_token(&cookie, "consent ath_1");
        assert!(key.form_token_matches(&cookie, "consent ath_1", &token));
        assert!(!key.form_token_matches(&cookie, "consent ath_2", &token));
        let (ada, entry) = (UserId::new("usr_ada"), ("nonce", Timestamp(5)));
        let tag = key.known_browser(&ada, Credential(1), entry);
        assert!(key.known_browser_matches(&ada, Credential(1), entry, &tag));
        assert!(!key.known_browser_matches(&ada, Credential(2), entry, &tag));
        assert!(!key.known_browser_matches(&UserId::new("usr_zoe"), Credential(1), entry, &tag));
        assert!(!key.known_browser_matches(&ada, Credential(1), ("other", Timestamp(5)), &tag));
        assert!(!key.known_browser_matches(&ada, Credential(1), ("nonce", Timestamp(6)), &tag));
        assert!(!other.known_browser_matches(&ada, Credential(1), entry, &tag));
        assert!(!other.form_token_matches(&cookie, "consent ath_1", &token));
    }
}
