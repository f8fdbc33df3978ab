//! Passwords: argon2id (RFC 9106) off the runtime, the same work for known and unknown users.
//!
//! How much runs at once is bounded by the work and not by the requests that want it: a turn belongs to the hash under
//! way, whoever has hung up meanwhile. The memory that a hash fills is kept for the next one, as much as runs at once.
//!
//! When the settings are changed, stored hashes have another cost than new ones until their owners come back. So that a
//! name isn't told from an unknown one by what its check costs, every check does the work of all costs that are in use.

mod cost;
mod memory;

use std::sync::{Arc, PoisonError, RwLock};

use argon2::ARGON2ID_IDENT;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Params, Version};
use tokio::sync::Semaphore;

use crate::model::user::PasswordForms;
use cost::Cost;
use memory::Memory;

/// How many may wait for each that is under way. At the default cost that is a wait of some seconds; who comes after
/// them is told to come back rather than kept waiting for a page that nobody looks at any more.
const WAITING: usize = 256;
/// The digest's length (RFC 9106 §4 and the default of argon2), and a salt for hashes that nobody compares.
const DIGEST: usize = Params::DEFAULT_OUTPUT_LEN;
const NO_SALT: [u8; 16] = [0; 16];

/// Hashes and checks passwords, a bounded number at a time. Clones share the bound and the memory.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What a new hash costs.
    cost: Cost,
    /// What stored hashes cost, [`Self::cost`] among them.
    in_use: RwLock<Vec<Cost>>,
    /// One for each hash that may be under way.
    turns: Arc<Semaphore>,
    /// One for each that may be under way or wait.
    places: Arc<Semaphore>,
    memory: Memory,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It isn't the password.
    Wrong,
    /// It is.
    Right {
        /// Another hash of the same password, to be stored in place of the one that was checked: that one has another
        /// cost than new ones, or was made of the password as it was typed once.
        renewed: Option<String>,
    },
}

/// The work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashingFailed {
    /// No memory, or what is stored is no hash, or the server stops.
    #[error("the password could not be hashed")]
    Failed,
    /// Nothing is wrong, except that everybody signs in at once.
    #[error("more passwords wait to be checked than can be checked in time")]
    Busy,
}

impl Passwords {
    /// Prepares hashing with this cost (RFC 9106 §4; memory in KiB).
    ///
    /// # Errors
    /// When argon2 does not take the cost.
    pub fn new(memory_kib: u32, iterations: u32, at_once: usize) -> Result<Self, HashingFailed> {
        let cost = Cost::new(memory_kib, iterations)?;
        let at_once = at_once.max(1);
        Ok(Self(Arc::new(Inner {
            in_use: RwLock::new(vec![cost.clone()]),
            cost,
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once.saturating_mul(1 + WAITING))),
            memory: Memory::default(),
        })))
    }

    /// The hash (PHC text) of a new password.
    ///
    /// # Errors
    /// When it can't be computed.
    pub async fn hash(&self, password: String) -> Result<String, HashingFailed> {
        self.turn(move |inner| inner.hash(&PasswordForms::of(&password).prepared)).await
    }

    /// Whether `password` is the one behind `stored`. With `None` (no such user) the same work is done and the
    /// answer is no.
    ///
    /// # Errors
    /// When it can't be computed.
    pub async fn check(&self, password: String, stored: Option<String>) -> Result<Checked, HashingFailed> {
        self.turn(move |inner| inner.check(&PasswordForms::of(&password), stored.as_deref())).await
    }

    /// Takes note of what the stored hashes cost: the beginnings of their texts, each cost once.
    pub fn take_note(&self, stored: &[String]) {
        let mut costs = vec![self.0.cost.clone()];
        for cost in stored.iter().filter_map(|text| Cost::of_text(text)) {
            if !costs.contains(&cost) {
                costs.push(cost);
            }
        }
        *self.0.in_use.write().unwrap_or_else(PoisonError::into_inner) = costs;
    }

    /// Whether there are stored hashes that cost something else than new ones.
    #[must_use]
    pub fn has_old_costs(&self) -> bool {
        self.0.in_use().len() > 1
    }

    /// Gives the memory back that lies idle.
    pub fn sweep(&self) {
        self.0.memory.give_back();
    }

    /// Waits for a turn and does the work on a thread where it is in nobody's way.
    async fn turn<T, W>(&self, work: W) -> Result<T, HashingFailed>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T, HashingFailed> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        let place = Arc::clone(&inner.places).try_acquire_owned().map_err(|_| HashingFailed::Busy)?;
        let turn = Arc::clone(&inner.turns).acquire_owned().await.map_err(|_| HashingFailed::Failed)?;
        tokio::task::spawn_blocking(move || {
            // Both go with the work: a request that is given up while it runs makes no room for another.
            let _held = (place, turn);
            work(&inner)
        })
        .await
        .map_err(|_| HashingFailed::Failed)?
    }
}

impl Inner {
    fn in_use(&self) -> Vec<Cost> {
        self.in_use.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hash(&self, password: &str) -> Result<String, HashingFailed> {
        let salt = Salt::generate();
        let mut digest = [0; DIGEST];
        self.cost.fill(&self.memory, password, &salt, &mut digest)?;
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(self.cost.params()).map_err(|_| HashingFailed::Failed)?,
            salt: Some(salt),
            hash: Some(Output::new(&digest).map_err(|_| HashingFailed::Failed)?),
        };
        Ok(hash.to_string())
    }

    /// Each form of the password is hashed once at each cost in use, at the cost of the stored hash with its salt. What
    /// is hashed depends on what was typed alone: not on whether there is such a name, nor on how old its hash is.
    fn check(&self, password: &PasswordForms, stored: Option<&str>) -> Result<Checked, HashingFailed> {
        let stored = stored.map(PasswordHash::new).transpose().map_err(|_| HashingFailed::Failed)?;
        let own_cost = stored.as_ref().map(Cost::of).transpose()?;
        let mut costs = self.in_use();
        if let Some(own) = own_cost.as_ref().filter(|own| !costs.contains(own)) {
            // A hash made elsewhere, with other settings: from now on all names cost that too.
            costs.push((*own).clone());
            self.in_use.write().unwrap_or_else(PoisonError::into_inner).clone_from(&costs);
        }
        let mut fits = None;
        for cost in &costs {
            let own = stored.as_ref().filter(|_| own_cost.as_ref() == Some(cost));
            for form in [Some(&password.prepared), password.typed.as_ref()].into_iter().flatten() {
                let length = own.and_then(|own| own.hash.as_ref()).map_or(DIGEST, Output::len);
                let salt = own.and_then(|own| own.salt.as_ref()).map_or(&NO_SALT[..], |salt| salt.as_ref());
                let mut digest = vec![0; length];
                cost.fill(&self.memory, form, salt, &mut digest)?;
                let digest = Output::new(&digest).map_err(|_| HashingFailed::Failed)?;
                // Compared in constant time.
                if own.and_then(|own| own.hash.as_ref()) == Some(&digest) {
                    fits = fits.or(Some(form));
                }
            }
        }
        let Some(form) = fits else { return Ok(Checked::Wrong) };
        let as_new = own_cost.as_ref() == Some(&self.cost) && *form == password.prepared;
        let renewed = if as_new { None } else { Some(self.hash(&password.prepared)?) };
        Ok(Checked::Right { renewed })
    }
}

#[cfg(test)]
mod tests;
