//! Scopes (RFC 6749 §3.3): the token grammar and sets of tokens.

use std::collections::BTreeSet;
use std::fmt;

/// One scope token: `1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(String);

/// A text that is no scope token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: use printable ASCII without space, quote or backslash")]
pub struct InvalidScopeToken(pub String);

impl ScopeToken {
    /// Parses one token.
    ///
    /// # Errors
    /// When the text breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidScopeToken> {
        let lawful = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if !text.is_empty() && text.bytes().all(lawful) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidScopeToken(text.to_owned()))
        }
    }

    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scope tokens. Its text form is space-separated and sorted, so that equal sets are equal texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope(BTreeSet<ScopeToken>);

/// `offline_access`: lawful for everyone, bound to nothing.
pub const OFFLINE_ACCESS: &str = "offline_access";

impl Scope {
    /// Parses a space-separated list; empty text is the empty set.
    ///
    /// # Errors
    /// When one of the tokens breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidScopeToken> {
        text.split(' ').filter(|part| !part.is_empty()).map(ScopeToken::parse).collect()
    }

    /// Keeps what can be parsed and drops the rest: for requests, where unknown scopes are dropped anyway.
    #[must_use]
    pub fn parse_lossy(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(|part| ScopeToken::parse(part).ok()).collect()
    }

    /// Whether no token is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set holds this token.
    #[must_use]
    pub fn contains(&self, token: &ScopeToken) -> bool {
        self.0.contains(token)
    }

    /// Whether the set holds the token with this text.
    #[must_use]
    pub fn contains_str(&self, token: &str) -> bool {
        self.0.iter().any(|own| own.as_str() == token)
    }

    /// Whether every token is in `other` too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// All tokens of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The tokens that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// The set without `offline_access`, which says something to the authorization server only.
    #[must_use]
    pub fn without_offline_access(&self) -> Self {
        self.0.iter().filter(|token| token.as_str() != OFFLINE_ACCESS).cloned().collect()
    }

    /// The set with one more token.
    #[must_use]
    pub fn with(mut self, token: ScopeToken) -> Self {
        self.0.insert(token);
        self
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }
}

impl FromIterator<ScopeToken> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token.as_str())?;
        }
        Ok(())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScopeToken;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, ScopeToken};

    #[test]
    fn grammar_of_rfc6749_appendix_a4() {
        for good in ["a", "docs:read", "https://x/y", "!", "#[~"] {
            assert!(ScopeToken::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "\"", "\\", "é", "\u{7f}", "a\n"] {
            assert!(ScopeToken::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn equal_sets_have_equal_text() {
        let one = Scope::parse("b a  b").unwrap();
        assert_eq!(one.to_string(), "a b");
        assert_eq!(one, Scope::parse("a b").unwrap());
        assert!(Scope::parse("").unwrap().is_empty());
    }
}
