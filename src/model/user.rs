//! A user: somebody who can sign in and let clients act for them.

use super::id::UserId;
use super::time::Timestamp;

/// What a user may do on this server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs the server.
    Admin,
    /// Uses it.
    User,
}

impl Role {
    /// The role's name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::User].into_iter().find(|own| own.as_str() == text)
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no role"))
    }
}

/// The name that a user signs in with, lower-case.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Username(String);

/// A text that can't be a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A login name has 1 to 64 letters, digits or any of . _ - @ +, and begins with a letter or digit.")]
pub struct InvalidUsername;

impl Username {
    /// Parses what somebody typed: case and surrounding blanks don't matter.
    ///
    /// # Errors
    /// When other characters are in it or it is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        let text = text.trim().to_ascii_lowercase();
        let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'+');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && text.len() <= 64 && text.bytes().all(lawful) { Ok(Self(text)) } else { Err(InvalidUsername) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which of an account's credentials something was opened with. The number goes up with each new password and each
/// disabling, and what carries an older one is no longer good. A password that is only hashed anew stays the same
/// credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Credential(pub i64);

/// A stored user.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    /// The `sub` of tokens.
    pub id: UserId,
    /// What they sign in with.
    pub username: Username,
    /// What pages call them.
    pub display_name: String,
    /// PHC text of the password's argon2id hash.
    pub password_hash: String,
    /// What they may do.
    #[sqlx(try_from = "String")]
    pub role: Role,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Since when it can't be used.
    pub disabled_at: Option<Timestamp>,
    /// The credential that is good now.
    pub credential: Credential,
}

/// A signed-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is.
    pub user: User,
    /// When the password was given.
    pub authenticated_at: Timestamp,
}

/// Who makes a password, and what is wrong with it.
///
/// # Errors
/// A sentence for the person, when it is too short, too long or the user's own name.
pub fn check_password(password: &str, username: &str, min_length: usize) -> Result<(), String> {
    let length = password.chars().count();
    if length < min_length {
        return Err(format!(
            "The password has {length} characters; use {min_length} or more. A few random words are a good one."
        ));
    }
    if password.len() > 1024 {
        return Err("The password is longer than 1024 bytes.".to_owned());
    }
    if password.eq_ignore_ascii_case(username) {
        return Err("The password is the login name; choose something that others can't guess.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Username, check_password};

    #[test]
    fn usernames_are_trimmed_lower_case_and_plain() {
        assert_eq!(Username::parse(" Ada@Example.org ").unwrap().as_str(), "ada@example.org");
        for bad in ["", "a b", "é", "-a", "<a>", &"a".repeat(65)] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_long_and_not_the_name() {
        assert!(check_password("short", "ada", 10).is_err());
        assert!(check_password("adalovelace", "AdaLovelace", 10).is_err());
        assert!(check_password("correct horse", "ada", 10).is_ok());
    }
}
