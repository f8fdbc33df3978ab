//! A token of the admin API: who holds it may do what its scopes say, and nothing that OAuth knows of.

use std::collections::BTreeSet;
use std::fmt;

use oauth::id::ApiTokenId;
use oauth::time::Timestamp;

/// One thing that a token of the admin API may do. Writing includes reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiScope {
    /// See what was recorded of attempts to connect.
    AttemptsRead,
    /// See clients and their logos.
    ClientsRead,
    /// Add, change, disable and delete clients, and make their secrets. One that is first party gets codes without
    /// anybody being asked: as good as everybody's access.
    ClientsWrite,
    /// See connections.
    ConnectionsRead,
    /// End connections.
    ConnectionsWrite,
    /// See the signing keys' ids and states.
    KeysRead,
    /// Rotate the signing keys.
    KeysWrite,
    /// See what the server is and its settings, secrets hidden.
    ServerRead,
    /// See the tokens of the admin API, never their texts.
    TokensRead,
    /// Make tokens with no more than the own scopes, and revoke any.
    TokensWrite,
    /// See accounts.
    UsersRead,
    /// Add and disable accounts, and set their passwords: those of administrators as well.
    UsersWrite,
}

impl ApiScope {
    /// All there are, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::AttemptsRead,
        Self::ClientsRead,
        Self::ClientsWrite,
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::ServerRead,
        Self::TokensRead,
        Self::TokensWrite,
        Self::UsersRead,
        Self::UsersWrite,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsRead => "attempts:read",
            Self::ClientsRead => "clients:read",
            Self::ClientsWrite => "clients:write",
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::ServerRead => "server:read",
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
        }
    }

    /// What it allows, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::AttemptsRead => "see what was recorded of attempts to connect: networks and user agents too",
            Self::ClientsRead => "see clients",
            Self::ClientsWrite => {
                "add, change, disable and delete clients, and make their secrets; with first_party nobody is asked for \
                 consent, so this is as good as everybody's access"
            }
            Self::ConnectionsRead => "see connections",
            Self::ConnectionsWrite => "end connections",
            Self::KeysRead => "see the signing keys' ids and states",
            Self::KeysWrite => "rotate the signing keys",
            Self::ServerRead => "see what the server is, and its settings without secrets",
            Self::TokensRead => "see the tokens of this API, never their texts",
            Self::TokensWrite => {
                "make tokens with no more than the own scopes, revoked with their maker, and revoke any"
            }
            Self::UsersRead => "see accounts",
            Self::UsersWrite => "add and disable accounts, and set their passwords, those of administrators too",
        }
    }

    /// The scope with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == text)
    }

    const fn included(self) -> Option<Self> {
        match self {
            Self::ClientsWrite => Some(Self::ClientsRead),
            Self::ConnectionsWrite => Some(Self::ConnectionsRead),
            Self::KeysWrite => Some(Self::KeysRead),
            Self::TokensWrite => Some(Self::TokensRead),
            Self::UsersWrite => Some(Self::UsersRead),
            Self::AttemptsRead
            | Self::ClientsRead
            | Self::ConnectionsRead
            | Self::KeysRead
            | Self::ServerRead
            | Self::TokensRead
            | Self::UsersRead => None,
        }
    }
}

/// The scopes of one token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiScopes(BTreeSet<ApiScope>);

impl ApiScopes {
    /// All there are.
    #[must_use]
    pub fn all() -> Self {
        Self(ApiScope::ALL.into_iter().collect())
    }

    /// Reads names.
    ///
    /// # Errors
    /// The first name that is no scope.
    pub fn parse<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, String> {
        names
            .into_iter()
            .map(|name| ApiScope::parse(name.as_ref()).ok_or_else(|| name.as_ref().to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Reads the text that is stored. What another version wrote and this one doesn't know allows nothing.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.split(' ').filter_map(ApiScope::parse).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they allow what `scope` does.
    #[must_use]
    pub fn allow(&self, scope: ApiScope) -> bool {
        self.0.contains(&scope) || self.0.iter().any(|own| own.included() == Some(scope))
    }

    /// The scopes of `other` that these don't allow: nobody passes on what they don't have.
    pub fn lacking<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = ApiScope> + 'a {
        other.0.iter().copied().filter(|scope| !self.allow(*scope))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|scope| scope.as_str())
    }
}

impl fmt::Display for ApiScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

/// The token that makes another.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// Its id.
    pub id: &'a ApiTokenId,
    /// Its name.
    pub name: &'a str,
}

/// What became of a token to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// It is made.
    Done,
    /// Another that is not revoked has the name.
    NameTaken,
    /// Its maker was revoked or expired meanwhile.
    MakerGone,
}

/// A stored token of the admin API.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// By which it is named in addresses; not the token.
    pub id: ApiTokenId,
    /// What its maker called it.
    pub name: String,
    /// What it may do.
    pub scopes: ApiScopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// The name of the token that made it; `None` for the command line.
    pub created_by: Option<String>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
    /// When it stops; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Whether a text has the form of a token: everything else need not be looked up.
#[must_use]
pub fn may_be_token(text: &str) -> bool {
    let random = text.strip_prefix("pca_").unwrap_or_default();
    random.len() == 43 && random.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Who makes a token, and what is wrong with its name.
///
/// # Errors
/// A sentence for the person.
pub fn check_name(name: &str) -> Result<(), String> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ' ');
    let edges = name.trim() == name && !name.is_empty();
    if edges && name.len() <= 64 && name.chars().all(lawful) {
        Ok(())
    } else {
        Err("a token's name has 1 to 64 letters, digits, blanks or any of . _ - @".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiScope, ApiScopes, check_name, may_be_token};
    use crate::model::secret::{Secret, SecretKind};

    /// Writing includes reading, and nothing else includes anything.
    #[test]
    fn a_scope_allows_itself_and_what_it_includes() {
        let scopes = ApiScopes::parse(["clients:write", "keys:read"]).unwrap();
        for scope in ApiScope::ALL {
            let wanted = matches!(scope, ApiScope::ClientsRead | ApiScope::ClientsWrite | ApiScope::KeysRead);
            assert_eq!(scopes.allow(scope), wanted, "{}", scope.as_str());
            assert_eq!(ApiScope::parse(scope.as_str()), Some(scope));
        }
        let wider = ApiScopes::parse(["clients:read", "keys:write"]).unwrap();
        assert_eq!(scopes.lacking(&wider).collect::<Vec<_>>(), [ApiScope::KeysWrite]);
        assert_eq!(scopes.lacking(&scopes).count(), 0);
        assert_eq!(ApiScopes::parse(["clients:all"]), Err("clients:all".to_owned()));
        assert_eq!(ApiScopes::from_stored("keys:read future:scope").to_string(), "keys:read");
    }

    #[test]
    fn only_what_has_the_form_of_a_token_is_looked_up() {
        for byte in [0, 0x7f, 0xff] {
            let token = Secret::from_bytes(SecretKind::ApiToken, &[byte; 32]);
            assert!(may_be_token(token.expose()));
            let other = Secret::from_bytes(SecretKind::RefreshToken, &[byte; 32]);
            let longer = format!("{}A", token.expose());
            for bad in [other.expose(), &longer, token.expose().trim_start_matches("pca_"), "pca_", ""] {
                assert!(!may_be_token(bad), "{bad}");
            }
        }
        assert!(!may_be_token(&format!("pca_{}\0", "A".repeat(42))));
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("deploy bot 2").is_ok());
        for bad in ["", " a", "a ", "a\nb", "é", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
