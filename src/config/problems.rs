//! What is wrong with a configuration, said so that it can be put right: which key, where it was set, what to write.
//! Values of secrets never appear here.

use std::fmt;
use std::path::PathBuf;

use strsim::osa_distance;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The embedded defaults.
    Default,
    /// A configuration file, with the line where it is known.
    File { path: PathBuf, line: Option<usize> },
    /// An environment variable, by name.
    Env(String),
    /// The file that a `…_file` key names.
    SecretFile(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Env(name) => f.write_str(name),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } | Self::SecretFile(path) => {
                write!(f, "{}", path.display())
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was set.
    pub origin: Origin,
    /// The key, dotted (`tokens.access_ttl`); empty when the trouble is with the file as a whole.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.origin, self.message)
        } else {
            write!(f, "{}: {}: {}", self.origin, self.key, self.message)
        }
    }
}

/// Everything that is wrong. Never empty as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, origin: &Origin, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { origin: origin.clone(), key: key.into(), message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order in which an administrator puts them right: down the file, then the rest.
    pub(super) fn in_order(mut self) -> Self {
        self.0.sort_by_key(|problem| match &problem.origin {
            Origin::File { line, .. } => (0, line.unwrap_or(0)),
            Origin::Env(_) | Origin::SecretFile(_) | Origin::Default => (1, 0),
        });
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A value for a message about it. An address with an @ in it may hold a password and is not repeated.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('@') { "(not repeated: it may hold a password)".to_owned() } else { format!("{text:?}") }
}

/// The known name that `unknown` was most likely meant to be.
pub(crate) fn closest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let leaf = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let wanted_leaf = leaf(unknown);
    known
        .filter_map(|candidate| {
            let whole = osa_distance(unknown, candidate);
            // The right key in the wrong section is a slip as common as a misspelling.
            let moved = osa_distance(&wanted_leaf, &leaf(candidate)).saturating_add(1);
            let off = whole.min(moved);
            let tolerance = match wanted_leaf.chars().count() {
                0..=3 => 1,
                4..=7 => 2,
                _ => 3,
            };
            (off <= tolerance).then_some((off, candidate))
        })
        .min_by_key(|(off, _)| *off)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_finds_misspelt_and_misplaced_keys() {
        let known = ["tokens.access_ttl", "tokens.refresh", "sessions.ttl", "public_url"];
        let find = |key| closest(key, known.iter().copied());
        assert_eq!(find("tokens.acess_ttl"), Some("tokens.access_ttl"));
        assert_eq!(find("access_ttl"), Some("tokens.access_ttl"));
        assert_eq!(find("server.public_url"), Some("public_url"));
        assert_eq!(find("publicurl"), Some("public_url"));
        assert_eq!(find("colour"), None);
    }
}
