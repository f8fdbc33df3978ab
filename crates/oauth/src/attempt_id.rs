//! The short id of an attempt to connect, which people read aloud and type.

use std::fmt;

/// Crockford's base32: no I, L, O or U, so that nothing is mistaken when it is read aloud or typed.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many of its characters an id has: 40 bits.
const LENGTH: usize = 8;

/// The id of an attempt, shown as `K7QD-2M4X`. It names records, it opens nothing.
///
/// Before a client asks for authorization nothing ties its requests together but where they come from: the id is then
/// derived from network and time, the same on every replica. From the authorization request on it is random, and it
/// travels inside the ids of the request and of the grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
pub struct AttemptId(String);

impl AttemptId {
    /// The id of these bits; the upper 24 don't count.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let digit = |at: usize| {
            let five = (bits >> (5 * (LENGTH - 1 - at))) & 31;
            usize::try_from(five).ok().and_then(|five| ALPHABET.get(five)).copied().map_or('0', char::from)
        };
        Self((0..LENGTH).map(digit).collect())
    }

    /// Reads what a person typed: in either case, with or without the hyphen, with `O` for 0 and `I` or `L` for 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().chars().filter(|c| !matches!(c, '-' | ' '));
        let digits: Option<String> = digits
            .map(|c| match c.to_ascii_uppercase() {
                'O' => Some('0'),
                'I' | 'L' => Some('1'),
                c if c.is_ascii() && ALPHABET.contains(&u8::try_from(c).unwrap_or_default()) => Some(c),
                _ => None,
            })
            .collect();
        digits.filter(|digits| digits.len() == LENGTH).map(Self)
    }

    /// Its eight characters, as they stand in rows and inside other ids.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The attempt inside `PREFIX_<attempt>_<random>`; ids from before attempts were recorded have none.
    pub(crate) fn inside(id: &str) -> Option<Self> {
        /// What 128 random bits are long.
        const RANDOM: usize = 22;
        let (_, rest) = id.split_once('_')?;
        let (attempt, random) = rest.split_at_checked(LENGTH)?;
        let shaped = random.len() == RANDOM + 1 && random.starts_with('_');
        let own = Self(attempt.to_owned());
        (shaped && Self::parse(attempt).as_ref() == Some(&own)).then_some(own)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at_checked(LENGTH / 2).unwrap_or((&self.0, ""));
        write!(f, "{first}-{second}")
    }
}

impl serde::Serialize for AttemptId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::AttemptId;
    use crate::id::{AuthorizationId, GrantId};

    #[test]
    fn an_id_is_read_as_people_write_it() {
        let id = AttemptId::parse("K7QD-2M4X").unwrap();
        for typed in ["k7qd-2m4x", "K7QD2M4X", " k7qd 2m4x ", "K7QD-2M4X"] {
            assert_eq!(AttemptId::parse(typed).as_ref(), Some(&id), "{typed}");
        }
        assert_eq!(id.to_string(), "K7QD-2M4X");
        assert_eq!(AttemptId::parse("OIlo-0000"), AttemptId::parse("0110-0000"));
        for broken in ["", "K7QD", "K7QD-2M4XX", "U7QD-2M4X", "K7QD-2M4*", "K7QD-2M4é"] {
            assert_eq!(AttemptId::parse(broken), None, "{broken}");
        }
    }

    /// Ids from before attempts were recorded stay readable; they have none.
    #[test]
    fn an_attempt_travels_inside_other_ids() {
        let random = "abcdefghijklmnopqrstuv";
        let id = AuthorizationId::new(format!("ath_K7QD2M4X_{random}"));
        assert_eq!(id.attempt(), AttemptId::parse("K7QD-2M4X"));
        assert_eq!(GrantId::new(format!("grt_K7QD2M4X_{random}")).attempt(), AttemptId::parse("K7QD-2M4X"));
        for old in ["grt_1", "grt_abcdefghijklmnopqrstuv", "grt_K7QD2M4X_defghijklmnop", "", "grt", "grt_é"] {
            assert_eq!(GrantId::new(old).attempt(), None, "{old}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back_from_what_is_shown(bits: u64) {
            let id = AttemptId::from_bits(bits);
            prop_assert_eq!(AttemptId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = AttemptId::parse(&text);
            let _ = AttemptId::inside(&text);
        }
    }
}
