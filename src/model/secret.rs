//! Secrets and their digests. What is handed out is a [`Secret`]; what is stored is a [`SecretHash`]; neither
//! can stand in for the other.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a secret is for; its prefix tells secret scanners and people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// An authorization code.
    Code,
    /// A refresh token.
    RefreshToken,
    /// A client's secret.
    ClientSecret,
    /// A registration access token (RFC 7592 §3).
    RegistrationToken,
    /// A browser session.
    Session,
    /// The cookie that ties an authorization request to the browser that began it.
    Browser,
    /// The link that creates the first account.
    SetupLink,
    /// A token of the admin API.
    ApiToken,
    /// The cookie by which a browser is known to accounts that it signed in to.
    KnownBrowser,
}

impl SecretKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "pcc_",
            Self::RefreshToken => "pcr_",
            Self::ClientSecret => "pcs_",
            Self::RegistrationToken => "pcm_",
            Self::Session => "pss_",
            Self::Browser => "psb_",
            Self::SetupLink => "pst_",
            Self::ApiToken => "pca_",
            Self::KnownBrowser => "psk_",
        }
    }
}

/// A secret in the clear: made or received, shown once, never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Builds the secret of a kind from 32 random (or keyed-hash) bytes.
    #[must_use]
    pub fn from_bytes(kind: SecretKind, bytes: &[u8; 32]) -> Self {
        Self(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Takes what somebody presented. Whether it is right, a lookup by its [`hash`](Self::hash) decides.
    #[must_use]
    pub fn presented(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: for the one answer or cookie that hands the secret out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest under which it is stored. SHA-256 alone is enough: the secrets are 256 random bits, so
    /// there is nothing to guess and nothing to salt.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes())))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The SHA-256 digest of a secret, base64url. A lookup by digest leaks nothing through its timing about the
/// secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// The digest's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same digest, in constant time (B-28).
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}
