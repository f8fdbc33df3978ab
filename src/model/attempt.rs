//! An attempt to connect: the steps that are recorded of it.

use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::{ClientId, GrantId};
use oauth::time::Timestamp;

/// What is noted of a refresh token that comes again, if it was first used from another network.
pub const FIRST_USE: &str = "first_use";
/// The value of that note.
pub const ELSEWHERE: &str = "from another network";

oauth::words! {
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

oauth::words! {
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
    /// Why; none where there is nothing to say, and of steps that a release before causes recorded.
    pub cause: Option<Cause>,
    /// The same in words that the client saw too.
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
    use super::{Outcome, Stage};

    #[test]
    fn words_come_back() {
        for stage in [Stage::Challenge, Stage::CodeSent, Stage::Other, Stage::ResourceMetadata] {
            assert_eq!(Stage::parse(stage.as_str()), Some(stage));
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
        assert_eq!(Outcome::parse("refused"), Some(Outcome::Refused));
        assert_eq!(Stage::parse("nonsense"), None);
    }
}
