//! The policy: which scopes a tool needs, and whether a caller has them. Pure: names and sets in, a decision out.
//!
//! There is no hierarchy among scopes (D-30): none contains another, so a subset is all that sufficiency
//! means. Which tools a message calls, `envelope` says; how a refusal looks, `answer` does.

use std::collections::BTreeMap;

use oauth::scope::Scope;

/// What every tool needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy(BTreeMap<&'static str, Scope>);

/// The caller lacks scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insufficient {
    /// What the caller doesn't have.
    pub(crate) missing: Scope,
    /// What the caller should ask for: what it has and what it lacks. Clients ask for exactly the scope of the
    /// challenge, so without the former, stepping up would take away what was granted before (D-26).
    pub(crate) sufficient: Scope,
}

impl Policy {
    /// The policy of these tools.
    pub(crate) fn new(tools: impl IntoIterator<Item = (&'static str, Scope)>) -> Self {
        Self(tools.into_iter().collect())
    }

    /// Decides whether `granted` suffices for calling all of `tools`. A name that no tool has needs nothing:
    /// calling it leads to an error that says so.
    ///
    /// # Errors
    /// With all that is missing for all of the calls together, so that one step up is enough.
    pub(crate) fn decide<'a, T: IntoIterator<Item = &'a str>>(
        &self,
        granted: &Scope,
        tools: T,
    ) -> Result<(), Insufficient> {
        let mut missing = Scope::default();
        for need in tools.into_iter().filter_map(|tool| self.0.get(tool)) {
            if !need.is_subset_of(granted) {
                missing = missing.union(&need.difference(granted));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Insufficient { sufficient: granted.union(&missing), missing }) }
    }
}

#[cfg(test)]
mod tests {
    use oauth::scope::Scope;

    use super::{Insufficient, Policy};

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    fn policy() -> Policy {
        Policy::new([
            ("whoami", scope("account:read")),
            ("search", scope("docs:search docs:read")),
            ("open", scope("")),
        ])
    }

    /// B-10.
    #[test]
    fn refusal_names_all_that_is_missing_beside_what_is_granted() {
        let granted = scope("docs:read extra");
        assert_eq!(policy().decide(&granted, ["open", "unknown"]), Ok(()));
        assert_eq!(policy().decide(&granted, []), Ok(()));
        assert_eq!(
            policy().decide(&granted, ["search", "whoami", "open"]),
            Err(Insufficient {
                missing: scope("account:read docs:search"),
                sufficient: scope("account:read docs:read docs:search extra"),
            })
        );
        assert_eq!(policy().decide(&scope("account:read docs:search docs:read"), ["search", "whoami"]), Ok(()));
    }

    /// D-30: a scope whose name begins like another's is another scope.
    #[test]
    fn scopes_are_compared_as_wholes() {
        for granted in ["account", "account:", "account:read:all", "ACCOUNT:READ", ""] {
            assert!(policy().decide(&scope(granted), ["whoami"]).is_err(), "{granted}");
        }
    }
}
