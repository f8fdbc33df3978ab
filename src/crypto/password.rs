//! Passwords: argon2id (RFC 9106) off the runtime, the same time for known and unknown users.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
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
        let decoy = hash(&params, "a password that nobody has")?;
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
        assert!(!passwords.matches("a password that nobody has".to_owned(), None).await.unwrap());
    }
}
