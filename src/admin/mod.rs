//! What an administrator does: one set of use cases, to which the admin API and the command line give a form (ADR 11).
//!
//! Owns the use cases, the views that they answer with, and the log of changes. A face reads its form of input, calls one
//! of these and writes its form of output.

pub mod attempts;
pub mod clients;
pub mod connections;
mod error;
pub mod keys;
pub mod people;
pub mod tokens;

use std::fmt;

use oauth::time::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Config;
use crate::crypto::random::Random;
use crate::model::api_token::ApiToken;
use crate::store::Store;
pub use error::{AdminError, Fault, Unknown};

/// Who administers.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Somebody with a shell and the configuration.
    CommandLine,
    /// The holder of this token of the admin API.
    Token(ApiToken),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Token(token) => write!(f, "token {}", token.name),
        }
    }
}

/// What every use case works with. What only some need (passwords, the master key, profiles) is their argument.
#[derive(Clone, Copy, Debug)]
pub struct Admin<'a> {
    /// What the server remembers.
    pub store: &'a Store,
    /// The settings in effect.
    pub config: &'a Config,
    /// Where ids and secrets come from.
    pub random: &'a Random,
    /// The present moment.
    pub now: Timestamp,
    /// Who does it.
    pub actor: &'a Actor,
}

impl Admin<'_> {
    /// Logs a change: who made it, what it is, and the id of what was changed.
    fn did(&self, what: &'static str, to: &str) {
        tracing::info!(by = %self.actor, what, to, "administration");
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T, C> {
    /// The entries.
    pub entries: Vec<T>,
    /// Behind what the next page begins; `None` if this one is not full.
    pub next: Option<C>,
}

impl<T, C> Listed<T, C> {
    fn new(entries: Vec<T>, limit: i64, cursor: impl Fn(&T) -> C) -> Self {
        let full = i64::try_from(entries.len()).is_ok_and(|count| count >= limit);
        Self { next: entries.last().filter(|_| full).map(cursor), entries }
    }
}

/// A time as people and scripts read it (RFC 3339, UTC).
#[must_use]
pub fn date(at: Timestamp) -> String {
    let date = OffsetDateTime::from_unix_timestamp(at.0).ok().and_then(|date| date.format(&Rfc3339).ok());
    date.unwrap_or_else(|| at.0.to_string())
}

#[cfg(test)]
mod tests {
    use oauth::time::Timestamp;

    use super::{Listed, date};

    #[test]
    fn times_are_dates_in_utc() {
        assert_eq!(date(Timestamp(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(date(Timestamp(i64::MAX)), i64::MAX.to_string());
    }

    /// A page that is not full is the last one.
    #[test]
    fn a_full_page_tells_where_the_next_begins() {
        let page = |limit| Listed::new(vec!["a", "b"], limit, |last| (*last).to_owned()).next;
        assert_eq!((page(2), page(3)), (Some("b".to_owned()), None));
        assert_eq!(Listed::new(Vec::<&str>::new(), 2, |last| (*last).to_owned()).next, None);
    }
}
