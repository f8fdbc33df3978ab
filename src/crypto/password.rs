//! Passwords: argon2id (RFC 9106) off the runtime, the same time for known and unknown users.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;

/// Hashes and checks passwords, a bounded number at a time: each takes `memory_kib` of memory and a core.
#[derive(Clone, Debug)]
pub struct Passwords {
    params: Params,
    at_once: Arc<Semaphore>,
    /// What an unknown user's password is checked against, so that it takes as long as a known one's.
    decoy: Arc<str>,
}

/// The work could not be done: no memory, or shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashingFailed;

impl Passwords {
    /// Prepares hashing with this cost (RFC 9106 §4; memory in KiB).
    ///
    /// # Errors
    /// When argon2 does not take the cost.
    pub fn new(memory_kib: u32, iterations: u32, at_once: usize) -> Result<Self, HashingFailed> {
        let params = Params::new(memory_kib, iterations, 1, None).map_err(|_| HashingFailed)?;
        // Checking costs what the parameters say, whatever the digest is: nothing need be hashed at the start.
        let (salt, digest) = (STANDARD_NO_PAD.encode([0; 16]), STANDARD_NO_PAD.encode([0; 32]));
        let decoy = format!("$argon2id$v=19$m={memory_kib},t={iterations},p=1${salt}${digest}");
        Ok(Self { params, at_once: Arc::new(Semaphore::new(at_once.max(1))), decoy: decoy.into() })
    }

    /// The hash (PHC text) of a new password.
    ///
    /// # Errors
    /// When it can't be computed.
    pub async fn hash(&self, password: String) -> Result<String, HashingFailed> {
        let _permit = self.at_once.acquire().await.map_err(|_| HashingFailed)?;
        let params = self.params.clone();
        tokio::task::spawn_blocking(move || hash(&params, &password)).await.map_err(|_| HashingFailed)?
    }

    /// Whether `password` is the one behind `stored`. With `None` (no such user) the same work is done and the
    /// answer is no.
    ///
    /// # Errors
    /// When it can't be computed.
    pub async fn matches(&self, password: String, stored: Option<String>) -> Result<bool, HashingFailed> {
        let _permit = self.at_once.acquire().await.map_err(|_| HashingFailed)?;
        let decoy = Arc::clone(&self.decoy);
        tokio::task::spawn_blocking(move || {
            let known = stored.is_some();
            let text = stored.as_deref().unwrap_or(&decoy);
            let parsed = PasswordHash::new(text).map_err(|_| HashingFailed)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
        .map_err(|_| HashingFailed)?
    }
}

fn hash(params: &Params, password: &str) -> Result<String, HashingFailed> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| HashingFailed)
}

#[cfg(test)]
mod tests {
    use super::Passwords;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new(8192, 1, 2).unwrap();
        let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
        assert!(passwords.matches("correct horse".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.matches("wrong".to_owned(), Some(stored)).await.unwrap());
        assert!(!passwords.matches("correct horse".to_owned(), None).await.unwrap());
    }

    /// What an unknown user's password is checked against costs as much as a real hash: the same parameters, and
    /// a salt and a digest of the same length.
    #[tokio::test]
    async fn the_decoy_costs_what_a_hash_costs() {
        let passwords = Passwords::new(8192, 1, 2).unwrap();
        let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
        let shape = |text: &str| {
            let parts: Vec<_> = text.split('$').map(str::to_owned).collect();
            (parts[..4].to_vec(), parts[4].len(), parts[5].len(), parts.len())
        };
        assert_eq!(shape(&passwords.decoy), shape(&stored));
    }
}
