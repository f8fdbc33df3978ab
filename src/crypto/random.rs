//! The source of randomness, a value that is handed in.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::attempt_id::AttemptId;
use oauth::id::{ApiTokenId, AuthorizationId, ClientId, GrantId, UserId};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::model::secret::{Secret, SecretKind};

/// Where random bytes come from.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The operating system's generator, through the thread-local CSPRNG of `rand`.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A repeatable sequence: for tests only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Thirty-two bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's generator")]
    fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => rand::rng().fill_bytes(bytes),
            Source::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes),
        }
    }

    /// A new secret: 256 bits.
    #[must_use]
    pub fn secret(&self, kind: SecretKind) -> Secret {
        Secret::from_bytes(kind, &self.bytes())
    }

    /// An identifier with this prefix: 128 bits.
    #[must_use]
    pub fn id(&self, prefix: &str) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A new client's id. It never begins with `https://`, which would mean a metadata document.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        ClientId::new(self.id("pc_"))
    }

    /// A new user's id.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        UserId::new(self.id("usr_"))
    }

    /// The id of a new attempt to connect.
    #[must_use]
    pub fn attempt_id(&self) -> AttemptId {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        AttemptId::from_bits(u64::from_be_bytes(bytes))
    }

    /// A new grant's id. The attempt that led to it stands inside, so that everything that knows the grant knows it
    /// too; what can't be guessed comes after it.
    #[must_use]
    pub fn grant_id(&self, attempt: &AttemptId) -> GrantId {
        GrantId::new(self.id(&format!("grt_{}_", attempt.as_str())))
    }

    /// A new authorization request's id, with its attempt inside.
    #[must_use]
    pub fn authorization_id(&self, attempt: &AttemptId) -> AuthorizationId {
        AuthorizationId::new(self.id(&format!("ath_{}_", attempt.as_str())))
    }

    /// A new admin API token's id.
    #[must_use]
    pub fn api_token_id(&self) -> ApiTokenId {
        ApiTokenId::new(self.id("tok_"))
    }

    /// A short id by which a person and a log line can find each other.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut bytes = [0; 6];
        self.fill(&mut bytes);
        format!("ref_{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}
