//! One thing that is wrong, whom it hurts and what to do about it.

use known_clients::profile::Profile;

use super::front::Front;

/// Which clients something hurts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hurts {
    /// None: good to know.
    Nobody,
    /// All.
    Everyone,
    /// Those whose servers call from the internet.
    Remote,
    /// These, by the ids of their profiles.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Hurts {
    /// These, by the ids of their profiles.
    #[must_use]
    pub fn only(ids: &[&str]) -> Self {
        Self::Only(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    /// All but these.
    #[must_use]
    pub fn all_but(ids: &[&str]) -> Self {
        Self::AllBut(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    /// Whether it hurts this client.
    #[must_use]
    pub fn includes(&self, profile: &Profile) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everyone => true,
            Self::Remote => profile.remote,
            Self::Only(ids) => ids.contains(&profile.id),
            Self::AllBut(ids) => !ids.contains(&profile.id),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Some client can't connect.
    Breaks,
    /// Clients connect, and something may go wrong.
    Remark,
    /// No client minds.
    Advice,
}

impl Severity {
    /// The word for it in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Breaks => "breaks",
            Self::Remark => "remark",
            Self::Advice => "advice",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The word for it, stable: scripts may rely on it.
    pub id: &'static str,
    /// What was seen.
    pub saw: String,
    /// What clients need.
    pub expected: String,
    /// What to change.
    pub fix: String,
    /// The same in the words of what may stand in front.
    pub ways: &'static [(Front, &'static str)],
    /// Who can't connect because of it.
    pub breaks: Hurts,
    /// Who connects and may stumble over it.
    pub bothers: Hurts,
}

impl Finding {
    /// Something that keeps clients out: all of them, unless [`Finding::for_clients`] says which.
    pub(super) fn breaks(id: &'static str, saw: String, expected: &str, fix: &str) -> Self {
        let (breaks, bothers) = (Hurts::Everyone, Hurts::Nobody);
        Self { id, saw, expected: expected.to_owned(), fix: fix.to_owned(), ways: &[], breaks, bothers }
    }

    /// Something that clients can live with.
    pub(super) fn remark(id: &'static str, saw: String, expected: &str, fix: &str) -> Self {
        Self { breaks: Hurts::Nobody, bothers: Hurts::Everyone, ..Self::breaks(id, saw, expected, fix) }
    }

    /// Something that no client minds.
    pub(super) fn advice(id: &'static str, saw: String, expected: &str, fix: &str) -> Self {
        Self { breaks: Hurts::Nobody, ..Self::breaks(id, saw, expected, fix) }
    }

    /// Whom it keeps out, and whom it only bothers.
    pub(super) fn for_clients(self, breaks: Hurts, bothers: Hurts) -> Self {
        Self { breaks, bothers, ..self }
    }

    /// How to do it in what stands in front.
    pub(super) fn ways(self, ways: &'static [(Front, &'static str)]) -> Self {
        Self { ways, ..self }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match (&self.breaks, &self.bothers) {
            (Hurts::Nobody, Hurts::Nobody) => Severity::Advice,
            (Hurts::Nobody, _) => Severity::Remark,
            _ => Severity::Breaks,
        }
    }
}
