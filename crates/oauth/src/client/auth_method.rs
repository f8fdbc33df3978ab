//! How a client proves itself at the token endpoint (RFC 7591 §2, OAuth 2.1 §2.4).

use serde::{Deserialize, Serialize};

/// A client authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client: nothing to prove, PKCE protects it.
    None,
    /// A secret in the `Authorization` header.
    ClientSecretBasic,
    /// A secret in the body.
    ClientSecretPost,
    /// An assertion signed with the client's own key (RFC 7523 §2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method with this registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == text)
    }

    /// Whether the method needs a secret that both sides know.
    #[must_use]
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

impl TryFrom<String> for AuthMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no client authentication method"))
    }
}
