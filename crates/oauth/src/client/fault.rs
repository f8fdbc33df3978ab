//! What is wrong with client metadata: the member, and the rule that it breaks.

use std::fmt;

use crate::cause::Cause;
use crate::error::{ErrorCode, Refusal};
use crate::https_url::InvalidHttpsUrl;
use crate::json::InvalidJson;
use crate::jwks::InvalidJwkSet;
use crate::redirect_uri::InvalidRedirectUri;

crate::words! {
    /// A member of client metadata that is read here (RFC 7591 §2, draft-ietf-oauth-client-id-metadata-document).
    Member {
        /// Of a document only: its own URL.
        ClientId = "client_id",
        /// The name that people see.
        ClientName = "client_name",
        /// Where answers may go.
        RedirectUris = "redirect_uris",
        /// The one method of authentication.
        AuthMethod = "token_endpoint_auth_method",
        /// Several methods of authentication.
        AuthMethods = "token_endpoint_auth_methods_supported",
        /// The public keys themselves.
        Jwks = "jwks",
        /// Where the public keys are.
        JwksUri = "jwks_uri",
        /// The grants that the client uses.
        GrantTypes = "grant_types",
        /// The response types that the client uses.
        ResponseTypes = "response_types",
        /// The scopes that the client says it will ask for.
        Scope = "scope",
        /// The client's home page.
        ClientUri = "client_uri",
        /// Its terms of service.
        TosUri = "tos_uri",
        /// Its privacy policy.
        PolicyUri = "policy_uri",
        /// Ways to reach the people who look after the client.
        Contacts = "contacts",
        /// Which software it is.
        SoftwareId = "software_id",
        /// Which version of the software.
        SoftwareVersion = "software_version",
        /// `web` or `native`.
        ApplicationType = "application_type",
        /// Of a document: what may not be there.
        ClientSecret = "client_secret",
    }
}

/// The rule that is broken. Each reads as the end of a sentence that begins with the member's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is required; with what it is for.
    #[error("is missing: {0}")]
    Missing(&'static str),
    /// It is of another kind.
    #[error("must be {0}")]
    Unlike(&'static str),
    /// It is longer than anything real.
    #[error("is longer than {most} characters")]
    TooLong {
        /// How long it may be.
        most: usize,
    },
    /// It is there and says nothing.
    #[error("is empty")]
    Empty,
    /// A text with a NUL, which no database keeps.
    #[error("holds a NUL character")]
    Nul,
    /// A text that shows otherwise than it reads.
    #[error("holds a character that can't be seen, such as a line break")]
    Hidden,
    /// More entries than anything real has.
    #[error("has {found} entries; at most {most} are taken")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// An administrator's slip.
    #[error("has {0:?} twice")]
    Twice(String),
    /// One that is dangerous, or none that is known.
    #[error("has {uri}, which {why}")]
    RedirectUri {
        /// Which one.
        uri: String,
        /// Why not.
        why: InvalidRedirectUri,
    },
    /// The client ID metadata document draft: simple string comparison.
    #[error(
        "is {0}, which is not the address that the document was fetched from; both must be the same, character for character"
    )]
    OtherClientId(String),
    /// What everybody can read is no secret.
    #[error("is in a document that everybody can read ({0}), so it is no secret")]
    Published(String),
    /// The same.
    #[error("says {0}, which needs a shared secret; clients with a document use none or private_key_jwt")]
    SharedSecret(String),
    /// No such method.
    #[error("has {0:?}, which is not one of none, client_secret_post, client_secret_basic or private_key_jwt")]
    UnknownMethod(String),
    /// The weakest of several kinds of proof would count.
    #[error("has none or private_key_jwt beside another method, and the weaker would count: each of them stands alone")]
    UnequalMethods,
    /// The client and this server have no method in common.
    #[error("don't go together: this client wants {wants}, this server can do {can}")]
    NoCommonMethod {
        /// What the client names.
        wants: String,
        /// What is on offer.
        can: String,
    },
    /// Without keys `private_key_jwt` proves nothing.
    #[error("is missing: private_key_jwt needs jwks or jwks_uri with the client's public keys")]
    NoKeys,
    /// Keys that nothing is checked with.
    #[error("is for private_key_jwt, which is not among the methods of authentication")]
    KeysUnused,
    /// RFC 7591 §2.
    #[error("and jwks_uri are both there; one of them is allowed")]
    KeysTwice,
    /// Keys that can't be used.
    #[error("can't be used: {0}")]
    Keys(#[from] InvalidJwkSet),
    /// An address that isn't fetched.
    #[error("can't be fetched from: {0}")]
    KeysUrl(#[from] InvalidHttpsUrl),
    /// The one grant that every client here uses.
    #[error("must include authorization_code; this server offers {0}")]
    NoCodeGrant(String),
    /// The one response type of that grant.
    #[error("must include code")]
    NoCodeResponse,
}

/// Why metadata can't be taken. It names the first rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    /// A document that isn't readable at all.
    #[error("the document {0}")]
    Json(#[from] InvalidJson),
    /// A member breaks a rule.
    #[error("{member} {problem}")]
    Member {
        /// Which one.
        member: Member,
        /// Which rule.
        problem: Problem,
    },
    /// All of it together is more than is kept of a client.
    #[error("the metadata to be kept are {found} bytes; at most {most} are kept (shorter keys, fewer redirect_uris)")]
    TooLarge {
        /// How many bytes there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 7591 §3.2.2.
impl From<MetadataFault> for Refusal {
    fn from(fault: MetadataFault) -> Self {
        let (code, cause) = match &fault {
            MetadataFault::Member { member: Member::RedirectUris, problem }
                if !matches!(problem, Problem::Unlike(_)) =>
            {
                (ErrorCode::InvalidRedirectUri, Cause::RedirectUriUnfit)
            }
            MetadataFault::Json(_) | MetadataFault::Member { .. } | MetadataFault::TooLarge { .. } => {
                (ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit)
            }
        };
        Self::new(code, cause, fault.to_string())
    }
}
