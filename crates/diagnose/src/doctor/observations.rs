//! Everything that was seen, before anybody judges it.

use std::net::IpAddr;
use std::time::Duration;

use oauth::time::Timestamp;

use super::agents::Agent;
use super::reply::{Answer, Reply};
use super::target::Target;

/// What the rules look at.
#[derive(Clone, Debug)]
pub(crate) struct Observations {
    /// What was looked at.
    pub(crate) target: Target,
    /// When, by the clock of this machine.
    pub(crate) now: Timestamp,
    /// Whether to take for granted that the internet can reach it.
    pub(crate) assume_public: bool,
    /// The addresses of the host; `None` where a proxy resolves them.
    pub(crate) addresses: Option<Vec<IpAddr>>,
    /// The very first request: without an answer to it there is nothing else.
    pub(crate) first: Reply,
    /// The same over plain http on port 80, for an https target on the usual port.
    pub(crate) plain: Option<Reply>,
    /// Well-known addresses.
    pub(crate) documents: Vec<WellKnown>,
    /// Requests at the MCP endpoint without a token.
    pub(crate) challenges: Vec<ChallengeProbe>,
    /// Preflight requests.
    pub(crate) preflights: Vec<Preflight>,
    /// Harmless wrong requests at the endpoints that programs call.
    pub(crate) endpoints: Vec<Posted>,
    /// The authorization endpoint, opened without parameters.
    pub(crate) authorize: Option<Reply>,
    /// The key set, at the address that the metadata names.
    pub(crate) keys: Option<Reply>,
    /// A request at the MCP endpoint with a token that is none.
    pub(crate) bearer: Option<Reply>,
    /// `/probe`.
    pub(crate) probe: Option<Reply>,
    /// `/probe/stream`, and how far apart its first and last event arrived.
    pub(crate) stream: Option<(Reply, Duration)>,
    /// The same request at the MCP endpoint under other names.
    pub(crate) agents: Vec<(Agent, Reply)>,
    /// Registrations as clients make them, by client id of the profile: only when asked for.
    pub(crate) registrations: Vec<(String, Reply)>,
}

/// Which document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Protected resource metadata (RFC 9728).
    Resource,
    /// Authorization server metadata (RFC 8414).
    Server,
    /// The same under the name that OpenID clients look for.
    OpenId,
    /// None that exists.
    Unknown,
}

/// Where it was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// At the host's root.
    Root,
    /// With the MCP path after the well-known name: the lawful place of a resource with a path.
    Inserted,
    /// Below the MCP path.
    Appended,
    /// With a slash too many.
    Slashed,
}

/// A well-known address.
#[derive(Clone, Debug)]
pub(crate) struct WellKnown {
    /// Which document.
    pub(crate) kind: Kind,
    /// In which spelling.
    pub(crate) spelling: Spelling,
    /// The path.
    pub(crate) path: String,
    /// What came.
    pub(crate) reply: Reply,
}

/// A request at the MCP endpoint.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeProbe {
    /// `GET`, `POST` or `POST (empty)`.
    pub(crate) what: &'static str,
    /// The path, with or without a slash at its end.
    pub(crate) path: String,
    /// Whether the path is the one that people type.
    pub(crate) exact: bool,
    /// What came.
    pub(crate) reply: Reply,
}

/// A preflight request.
#[derive(Clone, Debug)]
pub(crate) struct Preflight {
    /// The path.
    pub(crate) path: String,
    /// The headers that the page wants to send.
    pub(crate) wants: &'static [&'static str],
    /// What came.
    pub(crate) reply: Reply,
}

/// A request at an endpoint for programs.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// token, register or revoke.
    pub(crate) name: &'static str,
    /// The path.
    pub(crate) path: String,
    /// What came.
    pub(crate) reply: Reply,
}

impl Observations {
    /// Of one kind, the good document in the best spelling.
    #[must_use]
    pub(crate) fn document(&self, kind: Kind) -> Option<serde_json::Value> {
        let order = match kind {
            Kind::Resource => [Spelling::Inserted, Spelling::Root, Spelling::Appended],
            Kind::Server | Kind::OpenId | Kind::Unknown => [Spelling::Root, Spelling::Inserted, Spelling::Appended],
        };
        order.into_iter().find_map(|spelling| self.good(kind, spelling)?.json())
    }

    /// A document that came with 200 and is JSON.
    #[must_use]
    pub(crate) fn good(&self, kind: Kind, spelling: Spelling) -> Option<&Answer> {
        let found = self.documents.iter().find(|document| document.kind == kind && document.spelling == spelling)?;
        found.reply.as_ref().ok().filter(|answer| answer.status == 200 && answer.json().is_some())
    }

    /// What the authorization server says of itself, under either name.
    #[must_use]
    pub(crate) fn server(&self) -> Option<serde_json::Value> {
        self.document(Kind::Server).or_else(|| self.document(Kind::OpenId))
    }

    /// The plain request at the MCP endpoint, as every client begins.
    #[must_use]
    pub(crate) fn probe(&self) -> Option<&Answer> {
        self.challenges.iter().find(|probe| probe.exact && probe.what == "POST")?.reply.as_ref().ok()
    }

    /// What an ordinary request to a path met.
    #[must_use]
    pub(crate) fn ordinary(&self, path: &str) -> Option<&Reply> {
        let document = self.documents.iter().find(|document| document.path == path).map(|document| &document.reply);
        let probe = || self.challenges.iter().rev().find(|probe| probe.path == path).map(|probe| &probe.reply);
        let posted = || self.endpoints.iter().find(|posted| posted.path == path).map(|posted| &posted.reply);
        document.or_else(probe).or_else(posted)
    }
}
