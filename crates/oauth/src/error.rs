//! Refusals: what is wrong with a request, as a value with a public code and a private detail.

use std::fmt;

use crate::cause::Cause;

/// The registered error codes that this server sends. Each says in which RFC it is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 6749 §4.1.2.1, §5.2: a parameter is missing, repeated or malformed.
    InvalidRequest,
    /// RFC 6749 §5.2: client authentication failed, or the client is unknown.
    InvalidClient,
    /// RFC 6749 §5.2: the code or refresh token is invalid, expired, revoked or another client's.
    InvalidGrant,
    /// RFC 6749 §5.2: the client may not use this grant type.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1, §5.2: no requested scope can be granted.
    InvalidScope,
    /// RFC 6749 §4.1.2.1: the person said no.
    AccessDenied,
    /// RFC 8707 §2: the resource is not one of this server's.
    InvalidTarget,
    /// RFC 7591 §3.2.2.
    InvalidRedirectUri,
    /// RFC 7591 §3.2.2.
    InvalidClientMetadata,
    /// RFC 6750 §3.1: the access token is not good.
    InvalidToken,
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType,
    /// OpenID Connect Core §3.1.2.6: `prompt=none`, and nobody is signed in.
    LoginRequired,
    /// OpenID Connect Core §3.1.2.6: `prompt=none`, and consent is needed.
    ConsentRequired,
    /// OpenID Connect Core §3.1.2.6: `prompt=none`, and the person would have to do something.
    InteractionRequired,
    /// OpenID Connect Core §6.1: `request` objects are not read.
    RequestNotSupported,
    /// RFC 6749 §4.1.2.1: too much at once; try again later.
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code as it goes over the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidToken => "invalid_token",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InteractionRequired => "interaction_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The request's fault.
///
/// `description` goes to the client's developer: short, plain, says what to do, holds no secret. `detail`
/// goes to the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The public code.
    pub code: ErrorCode,
    /// What the record of attempts decides by. Finer than the code, and not told to the client.
    pub cause: Cause,
    /// The public sentence, in the characters that RFC 6749 §5.2 allows.
    pub description: String,
    /// What only the log may know.
    pub detail: Option<String>,
}

impl Refusal {
    /// A refusal with its public sentence. Characters that RFC 6749 §5.2 forbids are replaced.
    #[must_use]
    pub fn new(code: ErrorCode, cause: Cause, description: impl Into<String>) -> Self {
        let description = description
            .into()
            .chars()
            .map(|c| match c {
                '"' | '\\' => '\'',
                ' '..='~' => c,
                _ => '?',
            })
            .collect();
        Self { code, cause, description, detail: None }
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names a finer cause.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    /// The most frequent one.
    #[must_use]
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, Cause::Malformed, description)
    }

    /// Client authentication failed or the client is unknown.
    #[must_use]
    pub fn invalid_client(description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidClient, Cause::ClientAuthentication, description)
    }

    /// The code or token is no good.
    #[must_use]
    pub fn invalid_grant(cause: Cause, description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidGrant, cause, description)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    /// T-03: `error_description` holds only the characters of RFC 6749 §5.2.
    #[test]
    fn description_holds_only_lawful_characters() {
        assert_eq!(Refusal::invalid_request("a \"b\" \\ \n é").description, "a 'b' ' ? ?");
    }
}
