//! Signature algorithms (RFC 7518 §3.1, RFC 8037).

/// The algorithms that tokens can be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256: the default, small and quick.
    Es256,
    /// RSA with SHA-256, 2048 bits: for verifiers that know nothing newer.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The registered name, in JOSE headers and key sets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with this registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Es256, Self::Rs256, Self::EdDsa].into_iter().find(|own| own.as_str() == text)
    }
}
