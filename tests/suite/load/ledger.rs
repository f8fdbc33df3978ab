//! What was acknowledged. A thing whose change was asked for and not yet acknowledged is not known, and nothing is
//! expected of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A connection of a client.
#[derive(Clone, Debug)]
pub struct Grant {
    pub client_id: String,
    pub access: String,
    /// The newest one.
    pub refresh: String,
    /// Whether it lives; nothing while that is being changed.
    pub lives: Option<bool>,
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub struct Facts {
    /// Clients, and whether they are still there.
    pub clients: BTreeMap<String, Option<bool>>,
    /// Grants by their id.
    pub grants: BTreeMap<String, Grant>,
    /// Browsers by their session cookie, and whether they are still signed in.
    pub sessions: BTreeMap<String, Option<bool>>,
    /// How many changes were acknowledged, by their kind.
    pub changes: BTreeMap<&'static str, u64>,
    /// Honest flows that were ended by the server, and how.
    pub broken: Vec<String>,
}

/// The same, shared by all who work.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Facts>>);

impl Ledger {
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    fn count(facts: &mut Facts, what: &'static str) {
        *facts.changes.entry(what).or_default() += 1;
    }

    pub fn registered(&self, client_id: &str) {
        let mut facts = self.facts();
        facts.clients.insert(client_id.to_owned(), Some(true));
        Self::count(&mut facts, "registered");
    }

    pub fn signed_in(&self, cookie: &str) {
        let mut facts = self.facts();
        facts.sessions.insert(cookie.to_owned(), Some(true));
        Self::count(&mut facts, "signed in");
    }

    /// Signing out is under way, or acknowledged.
    pub fn signs_out(&self, cookie: &str, done: bool) {
        let mut facts = self.facts();
        facts.sessions.insert(cookie.to_owned(), done.then_some(false));
        if done {
            Self::count(&mut facts, "signed out");
        }
    }

    pub fn connected(&self, id: &str, grant: Grant) {
        let mut facts = self.facts();
        facts.grants.insert(id.to_owned(), grant);
        Self::count(&mut facts, "connected");
    }

    /// A refresh is under way, or acknowledged with these tokens.
    pub fn refreshes(&self, id: &str, tokens: Option<(&str, &str)>) {
        let mut facts = self.facts();
        let grant = facts.grants.get_mut(id).unwrap();
        grant.lives = tokens.is_some().then_some(true);
        if let Some((access, refresh)) = tokens {
            grant.access = access.to_owned();
            grant.refresh = refresh.to_owned();
            Self::count(&mut facts, "refreshed");
        }
    }

    /// The end of a grant is under way, or acknowledged.
    pub fn ends(&self, id: &str, how: &'static str, done: bool) {
        let mut facts = self.facts();
        facts.grants.get_mut(id).unwrap().lives = done.then_some(false);
        if done {
            Self::count(&mut facts, how);
        }
    }

    /// The deletion of a client is under way, or acknowledged.
    pub fn deletes(&self, client_id: &str, done: bool) {
        self.facts().clients.insert(client_id.to_owned(), done.then_some(false));
    }

    /// A code was used up and nobody knows by what.
    pub fn left_open(&self) {
        Self::count(&mut self.facts(), "code used up, answer unknown");
    }

    pub fn broke(&self, what: String) {
        self.facts().broken.push(what);
    }
}
