//! What a hash costs, and the hashing itself.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};

use super::HashingFailed;
use super::memory::Memory;

/// Algorithm and parameters of a hash. Equal ones take equal time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    algorithm: Algorithm,
    version: Version,
    /// Without the digest's length, which costs nothing.
    params: Params,
}

impl Cost {
    /// Of a hash that is made today: one lane, because as many hashes as there are cores run side by side anyway.
    pub(super) fn new(memory_kib: u32, iterations: u32) -> Result<Self, HashingFailed> {
        let params = Params::new(memory_kib, iterations, 1, None).map_err(|_| HashingFailed::Failed)?;
        Ok(Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params })
    }

    /// Of a stored hash.
    pub(super) fn of(hash: &PasswordHash) -> Result<Self, HashingFailed> {
        let failed = |_| HashingFailed::Failed;
        let read = Params::try_from(&hash.params).map_err(failed)?;
        let params =
            Params::new(read.m_cost(), read.t_cost(), read.p_cost(), None).map_err(|_| HashingFailed::Failed)?;
        let version = hash.version.map(Version::try_from).transpose().map_err(|_| HashingFailed::Failed)?;
        Ok(Self {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).map_err(failed)?,
            version: version.unwrap_or_default(),
            params,
        })
    }

    /// Of a hash of whose text this is the beginning, up to the salt.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        PasswordHash::new(text).ok().filter(|hash| !hash.params.is_empty()).and_then(|hash| Self::of(&hash).ok())
    }

    pub(super) const fn params(&self) -> &Params {
        &self.params
    }

    /// Does the work: the digest of `password` with `salt` into `digest`.
    pub(super) fn fill(
        &self,
        memory: &Memory,
        password: &str,
        salt: &[u8],
        digest: &mut [u8],
    ) -> Result<(), HashingFailed> {
        #[cfg(test)]
        memory.seen.work(self);
        let hasher = Argon2::new(self.algorithm, self.version, self.params.clone());
        memory
            .lend(self.params.block_count(), |blocks| {
                hasher.hash_password_into_with_memory(password.as_bytes(), salt, digest, blocks)
            })?
            .map_err(|_| HashingFailed::Failed)
    }
}
