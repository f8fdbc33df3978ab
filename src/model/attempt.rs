//! An attempt to connect: its short id, which people read aloud and type, and the steps that are recorded of it.

use std::fmt;

use super::id::{ClientId, GrantId};
use super::time::Timestamp;

/// Crockford's base32: no I, L, O or U, so that nothing is mistaken when it is read aloud or typed.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many of its characters an id has: 40 bits.
const LENGTH: usize = 8;

/// The id of an attempt, shown as `K7QD-2M4X`. It names records, it opens nothing.
///
/// Before a client asks for authorization nothing ties its requests together but where they come from: the id is then
/// derived from network and time, the same on every replica. From the authorization request on it is random, and it
/// travels inside the ids of the request and of the grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
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
    pub(super) fn inside(id: &str) -> Option<Self> {
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

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            /// The word in rows and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value that this word stands for.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

/// What is said of a step that can end well in several ways: the page was shown.
pub const ASKED: &str = "asked";
/// The short page was shown: this was allowed before.
pub const ASKED_TO_CONTINUE: &str = "asked to continue";
/// The person allowed it.
pub const ALLOWED: &str = "allowed";
/// What is said of a refresh that came again in time.
pub const REPEATED: &str = "repeated: the same successor was sent again";
/// What is noted of a refresh token that comes again, if it was first used from another network.
pub const FIRST_USE: &str = "first_use";
/// The value of that note.
pub const ELSEWHERE: &str = "from another network";

words! {
    /// The steps of connecting, in the order in which a client takes them.
    Stage {
        /// A request without a good token was told where to get one.
        Challenge = "challenge",
        /// A browser asked whether a page may call (CORS).
        Preflight = "preflight",
        /// The protected resource's metadata was read (RFC 9728).
        ResourceMetadata = "resource_metadata",
        /// The authorization server's metadata was read (RFC 8414).
        ServerMetadata = "server_metadata",
        /// A client registered itself (RFC 7591) or changed its registration.
        Registration = "registration",
        /// A client's metadata document was fetched.
        Document = "document",
        /// The authorization request.
        Authorize = "authorize",
        /// The person signs in.
        SignIn = "sign_in",
        /// The person decides.
        Consent = "consent",
        /// The browser was sent back with a code.
        CodeSent = "code_sent",
        /// The code was exchanged for tokens.
        Redeem = "redeem",
        /// The MCP endpoint was called with a token.
        Call = "call",
        /// Tokens were refreshed.
        Refresh = "refresh",
        /// A token was given back, or the connection was ended.
        Revoke = "revoke",
        /// The token endpoint, before it was clear what was wanted.
        Token = "token",
        /// Anything else that was refused.
        Other = "other",
    }
}

words! {
    /// How a step ended.
    Outcome {
        /// It did what it is for.
        Ok = "ok",
        /// The request was at fault.
        Refused = "refused",
        /// This server was at fault.
        Failed = "failed",
    }
}

/// One step, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Whether the id was derived from network and time: others may share it.
    pub early: bool,
    /// When.
    pub at: Timestamp,
    /// What.
    pub stage: Stage,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in words that the client saw too.
    pub reason: String,
    /// What was received, without secrets: names and values.
    pub detail: Vec<(String, String)>,
    /// The `User-Agent`, cleaned and cut.
    pub agent: String,
    /// The network that it came from.
    pub network: String,
    /// Whose request it was, if that was known.
    pub client_id: Option<ClientId>,
    /// Which grant it was about.
    pub grant_id: Option<GrantId>,
}

/// A recorded step and its repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The step as it was first.
    pub event: Event,
    /// When it was last repeated.
    pub last_at: Timestamp,
    /// How often it was.
    pub count: i64,
}

#[cfg(test)]
mod tests {
    use super::{AttemptId, Outcome, Stage};
    use crate::model::id::{AuthorizationId, GrantId};
    use proptest::prelude::*;

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

    #[test]
    fn words_come_back() {
        for stage in [Stage::Challenge, Stage::CodeSent, Stage::Other, Stage::ResourceMetadata] {
            assert_eq!(Stage::parse(stage.as_str()), Some(stage));
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
        assert_eq!(Outcome::parse("refused"), Some(Outcome::Refused));
        assert_eq!(Stage::parse("nonsense"), None);
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
