//! What a client does, as data: what it sends at each stage, in which order, and how strictly it reads the answers.
//!
//! Names, callbacks and documents come from the client profiles; here is how those clients behave.

/// One client.
#[derive(Debug)]
pub struct Replica {
    /// The profile's id.
    pub id: &'static str,
    pub agents: Agents,
    pub opening: Opening,
    pub speaks: Speaks,
    pub finds: Finds,
    pub registers: Registers,
    pub document: Option<DocumentUse>,
    pub callback: Callback,
    /// Parameters of the authorization request, in order. What has no value is left out.
    pub authorize: &'static [&'static str],
    /// Parameters of the code exchange, in order.
    pub exchange: &'static [&'static str],
    /// Parameters of a refresh, in order.
    pub refresh: &'static [&'static str],
    pub secret: SecretPlace,
    /// `Accept` of token requests.
    pub token_accept: &'static str,
    /// `Accept` of MCP requests.
    pub mcp_accept: &'static str,
    /// Its name and version in the greeting.
    pub info: (&'static str, &'static str),
    pub envelope: Envelope,
    /// Whether MCP requests carry `MCP-Protocol-Version`.
    pub mcp_version_header: bool,
    pub state: StateForm,
    pub verifier: VerifierForm,
    pub scope: ScopeRule,
    pub iss: IssRule,
    pub reconnects: Reconnects,
}

/// The `User-Agent` at each stage: hosted clients sign in from one program and call from another.
#[derive(Debug)]
pub struct Agents {
    pub opening: &'static str,
    pub discovery: &'static str,
    pub token: &'static str,
    pub calls: &'static str,
}

impl Agents {
    pub const fn one(agent: &'static str) -> Self {
        Self { opening: agent, discovery: agent, token: agent, calls: agent }
    }
}

/// The first request at the MCP URL, without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A POST with nothing in it, after the documents have been read.
    EmptyPostAfterDocuments,
    /// `initialize`.
    Initialize,
}

/// The revision of MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// `initialize` with this revision.
    Handshake(&'static str),
    /// `server/discover` of 2026-07-28 first; where that is not known, `initialize` with this revision, twice.
    NewestElse(&'static str),
}

impl Speaks {
    /// The revision of `initialize`.
    pub fn handshake(self) -> &'static str {
        match self {
            Self::Handshake(revision) | Self::NewestElse(revision) => revision,
        }
    }
}

/// In which order the members of a JSON-RPC message stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `method`, `params`, `jsonrpc`, `id`: both SDKs; empty parameters are left out.
    MethodFirst,
    /// `jsonrpc`, `id`, `method`, `params`.
    VersionFirst,
}

/// How it finds and judges the metadata.
#[derive(Debug)]
pub struct Finds {
    /// Reads the resource metadata at the path-inserted address only, whatever the challenge says (D-02).
    pub path_inserted_only: bool,
    /// Takes a challenge only with the scheme spelled `Bearer`.
    pub bearer_as_spelled: bool,
    pub resource: ResourceRule,
    pub reading: Reading,
    /// Asks for the OpenID configuration even when the server metadata was there.
    pub openid_too: bool,
    pub issuer: IssuerRule,
    pub pkce: PkceRule,
    /// The headers of these requests.
    pub headers: &'static [(&'static str, &'static str)],
}

/// Whose way of reading it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The MCP TypeScript SDK: every known member has its type, or is absent. `null` is a wrong type.
    Sdk,
    /// Visual Studio Code: its own few checks.
    VsCode,
    /// Takes what it needs and looks at nothing else.
    Needed,
}

/// How `resource` must equal the address that was typed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceRule {
    /// To the character.
    Exact,
    /// To the character, once both have been parsed as URLs.
    Parsed,
    /// The same origin, and a path at or above it.
    Covers,
}

/// How `issuer` must equal the address under which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerRule {
    Exact,
    /// An extra slash at the end of the address is forgiven.
    ButForASlash,
    Unchecked,
}

/// What it needs to read about PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PkceRule {
    /// `code_challenge_methods_supported` must list S256.
    MustBeListed,
    /// If the list is there, it must have S256.
    IfListed,
    Unchecked,
}

/// The body of its registration, members in order.
#[derive(Debug)]
pub struct Registers {
    pub name: &'static str,
    pub members: &'static [(&'static str, Member)],
}

/// A member of the registration.
#[derive(Clone, Copy, Debug)]
pub enum Member {
    Name,
    Text(&'static str),
    List(&'static [&'static str]),
    /// The callback of this run alone.
    Callback,
    /// The grant types among these that the server offers; all of them when it doesn't say.
    GrantsOffered(&'static [&'static str]),
    /// The scope that will be asked for; left out when there is none.
    Scope,
    /// The same, and an empty text when there is none.
    ScopeOrEmpty,
}

/// How it uses its metadata document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentUse {
    /// The name in the document.
    pub name: &'static str,
    /// Only where `none` is advertised as an authentication method too (D-17).
    pub wants_none: bool,
}

/// Where its answers go.
#[derive(Clone, Copy, Debug)]
pub enum Callback {
    /// To the vendor's server.
    Hosted(&'static str),
    /// To ChatGPT: one address for all where `iss` is sent, else one for each connector (C-08).
    ChatGpt,
    /// To this device: what stands before and after the port. The first port is this one; later ones are free ones.
    Loopback { before: &'static str, after: &'static str, first_port: Option<u16> },
    /// To an app on this device by its scheme.
    Scheme(&'static str),
}

/// Where a secret goes in token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// Into the body.
    Body,
    /// As the registration said if the server lists that, else Basic, else the body: the SDK's rule.
    AsRegistered,
}

/// The form of `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateForm {
    None,
    /// `oauth_s_` and 32 hexadecimal digits.
    OauthS,
    /// Base64 with `/`, `+` and `=` (C9).
    Base64,
    /// Base64 for URLs.
    UrlSafe,
    /// 64 hexadecimal digits.
    Hex,
}

/// The form of the PKCE verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierForm {
    UrlSafe43,
    Hex64,
}

/// Which scope it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// The challenge's, else the resource metadata's.
    Challenge,
    /// The same, and `offline_access` where the server lists it.
    ChallengeAndOffline,
    /// The resource metadata's, all OpenID scopes that the server lists, and `offline_access` (C-07).
    ResourceAndOpenId,
}

/// Whether it reads `iss` (RFC 9207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssRule {
    /// Must be there if advertised, and right if there.
    Checked,
    Ignored,
}

/// What it does when it connects again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnects {
    /// Revokes (Disconnect), then asks without a scope (Connect) under the same identity.
    DisconnectsThenAsksNoScope,
    /// Removed and added again: a new registration, or the same document.
    IdentifiesAnew,
    /// Restarted: it registers as soon as its settings are read, then connects.
    RegistersAtLoad,
    /// The same identity from another loopback port.
    OtherPort,
    /// The same from another loopback port, after two processes have refreshed one token at once (D1).
    OtherPortAfterRace,
    /// By the classic OAuth 2 tab, with the client id copied there.
    ClassicTab,
    /// Registers anew with an empty scope.
    RegistersWithoutScope,
}
