//! A user: somebody who can sign in and let clients act for them.

use oauth::id::UserId;
use oauth::time::Timestamp;

use super::precis::{self, BadCharacter, BadName};

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

/// The name that a user signs in with, in the one form in which names are stored and compared (RFC 8265 §3.3, §3.5).
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Username(String);

/// The most characters of a name: e-mail addresses and the names of people have fewer.
const MAX_NAME: usize = 128;

/// A text that can't be a user name: the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "A login name has 1 to {MAX_NAME} letters, digits, single spaces or characters of e-mail addresses such as . _ - @ + ' \
     and begins with a letter or digit; {0}."
)]
pub struct InvalidUsername(BrokenRule);

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum BrokenRule {
    #[error("this one is empty")]
    Empty,
    #[error("this one has {0} characters")]
    TooLong(usize),
    #[error("this one begins with {0:?}")]
    Begins(char),
    // Written so that what can't be seen shows.
    #[error("{0:?} (U+{code:04X}) can't be in it", code = u32::from(*.0))]
    Character(char),
    #[error("this one mixes letters that are written from left to right and from right to left, and reads in two ways")]
    Direction,
}

impl Username {
    /// Parses what somebody typed: case, width, the way accents are put together, and spaces around it don't matter.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, InvalidUsername> {
        Self::judge(text).map_err(InvalidUsername)
    }

    fn judge(text: &str) -> Result<Self, BrokenRule> {
        let typed = text.chars().count();
        // Far more than any preparation takes away: not worth preparing.
        if typed > 4 * MAX_NAME {
            return Err(BrokenRule::TooLong(typed));
        }
        let name = precis::name(text.trim()).map_err(|bad| match bad {
            BadName::Empty => BrokenRule::Empty,
            BadName::Character(c) => BrokenRule::Character(c),
            BadName::Direction => BrokenRule::Direction,
        })?;
        // RFC 5322 §3.2.3: the specials, without the two that every address has. Files and shells are full of them.
        if let Some(special) = name.chars().find(|c| "()<>[]:;\\,\"".contains(*c)) {
            return Err(BrokenRule::Character(special));
        }
        if let Some(first) = name.chars().next().filter(|c| !c.is_alphanumeric()) {
            return Err(BrokenRule::Begins(first));
        }
        let length = name.chars().count();
        if length > MAX_NAME { Err(BrokenRule::TooLong(length)) } else { Ok(Self(name)) }
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

/// The longest password in bytes. Longer ones are no better and cost more to prepare.
pub const MAX_PASSWORD: usize = 1024;

/// Who makes a password, and what is wrong with it.
///
/// # Errors
/// A sentence for the person, when it is too short, too long, the user's own name, or holds a character that might not
/// be typed again.
pub fn check_password(password: &str, username: &str, min_length: usize) -> Result<(), String> {
    if password.len() > MAX_PASSWORD {
        return Err(format!("The password has {} bytes; use {MAX_PASSWORD} at most.", password.len()));
    }
    let prepared = precis::password(password).map_err(|BadCharacter(c)| {
        let code = u32::from(c);
        format!(
            "The password holds the character {c:?} (U+{code:04X}), which can't be seen or which some keyboards leave \
             out; leave it out."
        )
    })?;
    let length = prepared.chars().count();
    if length < min_length {
        return Err(format!(
            "The password has {length} characters; use {min_length} or more. A few random words are a good one."
        ));
    }
    if precis::name(prepared.trim()).is_ok_and(|own| precis::name(username.trim()) == Ok(own)) {
        return Err("The password is the login name; choose something that others can't guess.".to_owned());
    }
    Ok(())
}

/// A password in the forms in which its hash may have been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordForms {
    /// The form in which it is hashed today: prepared (RFC 8265 §4.2), or as it was typed if it can't be.
    pub prepared: String,
    /// As it was typed, where that is another: old hashes were made of it.
    pub typed: Option<String>,
}

impl PasswordForms {
    /// The forms of what somebody typed.
    #[must_use]
    pub fn of(typed: &str) -> Self {
        let prepared = precis::password(typed).unwrap_or_else(|_| typed.to_owned());
        Self { typed: (prepared != typed).then(|| typed.to_owned()), prepared }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PasswordForms, Username, check_password};

    fn name(text: &str) -> Option<String> {
        Username::parse(text).ok().map(|name| name.as_str().to_owned())
    }

    /// RFC 8265 §3.3, §3.5: one rule for the command line, the API and the set-up page.
    #[test]
    fn names_of_people_and_email_addresses_are_login_names() {
        for (typed, stored) in [
            (" Ada@Example.org ", "ada@example.org"),
            ("Ada Lovelace", "ada lovelace"),
            ("  Ada \u{3000} Lovelace", "ada lovelace"),
            ("Zo\u{eb}", "zo\u{eb}"),
            ("ZOE\u{308}", "zo\u{eb}"),
            ("O'Brien", "o'brien"),
            ("m.müller+mcp@bücher.example", "m.müller+mcp@bücher.example"),
            ("first/last=x!#$%&*?^`{|}~@h.example", "first/last=x!#$%&*?^`{|}~@h.example"),
            ("\u{ff21}\u{ff24}\u{ff21}", "ada"),
            ("Σίσυφος", "σίσυφος"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("fußball", "fußball"),
            ("Юрий Гагарин", "юрий гагарин"),
            ("山田 太郎", "山田 太郎"),
            ("ﾔﾏﾀﾞ", "ヤマダ"),
            ("김연아", "김연아"),
            ("\u{5d3}\u{5d5}\u{5d3} \u{5db}\u{5d4}\u{5df}", "\u{5d3}\u{5d5}\u{5d3} \u{5db}\u{5d4}\u{5df}"),
            ("محمد", "محمد"),
            ("श्रीमती", "श्रीमती"),
            ("\u{0dc1}\u{0dca}\u{200d}\u{0dbb}\u{0dd3}", "\u{0dc1}\u{0dca}\u{200d}\u{0dbb}\u{0dd3}"),
            // Newer than the tables of the registry.
            ("\u{1e900}\u{1e923}", "\u{1e922}\u{1e923}"),
        ] {
            assert_eq!(name(typed).as_deref(), Some(stored), "{typed:?}");
        }
    }

    /// What would look like another name, or can't be seen, or steers a terminal.
    #[test]
    fn deceptive_names_are_refused() {
        let long = "a".repeat(129);
        let huge = "a\u{308}".repeat(10_000);
        for (bad, why) in [
            ("", "empty"),
            ("   ", "empty"),
            (&long, "129 characters"),
            (&huge, "20000 characters"),
            ("-a", "begins with '-'"),
            ("@a", "begins with '@'"),
            ("\u{308}a", "begins with"),
            ("<a>", "'<' (U+003C)"),
            ("a\"b", "(U+0022)"),
            ("a\\b", "(U+005C)"),
            ("a,b", "(U+002C)"),
            ("a\tb", "'\\t' (U+0009)"),
            ("a\nb", "(U+000A)"),
            ("a\0b", "(U+0000)"),
            ("a\u{1b}[31mb", "'\\u{1b}' (U+001B)"),
            ("a\u{7f}", "(U+007F)"),
            ("a\u{a0}b", "(U+00A0)"),
            ("a\u{ad}b", "(U+00AD)"),
            ("a\u{200b}b", "'\\u{200b}' (U+200B)"),
            ("a\u{200d}b", "(U+200D)"),
            ("a\u{202e}b", "(U+202E)"),
            ("a\u{2066}b", "(U+2066)"),
            ("a\u{feff}b", "(U+FEFF)"),
            ("a\u{e0041}", "(U+E0041)"),
            ("a\u{fe0f}", "(U+FE0F)"),
            ("a\u{115f}", "(U+115F)"),
            ("a\u{3164}", "(U+"),
            ("a\u{2800}", "(U+2800)"),
            ("a\u{e000}", "(U+E000)"),
            ("a\u{fdd0}", "(U+FDD0)"),
            ("a\u{10ffff}", "(U+10FFFF)"),
            ("henry\u{2163}", "(U+2163)"),
            ("a\u{221e}", "(U+221E)"),
            ("a\u{ffe3}b", "(U+FFE3)"),
            ("\u{1f600}", "(U+1F600)"),
            ("\u{212a}elvin", "(U+212A)"),
            ("abc\u{5d0}", "reads in two ways"),
            ("\u{5d0}abc", "reads in two ways"),
            ("\u{5d0}-", "reads in two ways"),
            ("a\u{b7}b", "(U+00B7)"),
            ("\u{661}\u{6f1}", "(U+0661)"),
        ] {
            let told = Username::parse(bad).unwrap_err().to_string();
            assert!(told.starts_with("A login name has 1 to 128 ") && told.contains(why), "{bad:?}: {told}");
            assert!(!told.chars().any(|c| c.is_control() || matches!(c, '\u{200b}'..='\u{206f}')), "{told:?}");
        }
    }

    #[test]
    fn passwords_are_long_and_not_the_name() {
        assert!(check_password("short", "ada", 10).is_err());
        assert!(check_password("adalovelace", "AdaLovelace", 10).is_err());
        assert!(check_password("ADA  LOVELACE", " ada lovelace", 10).is_err());
        assert!(check_password("correct horse", "ada", 10).is_ok());
        assert!(check_password(&"x".repeat(1025), "ada", 10).unwrap_err().contains("1025 bytes"));
        // Ten characters, not ten bytes.
        assert!(check_password("ääääääääää", "ada", 10).is_ok());
        assert!(check_password("äääääääää", "ada", 10).unwrap_err().contains("9 characters"));
        assert!(
            check_password("a\u{308}a\u{308}a\u{308}a\u{308}a\u{308}", "ada", 10).unwrap_err().contains("5 characters")
        );
    }

    /// RFC 8265 §4.2, with its examples.
    #[test]
    fn passwords_are_the_same_from_every_keyboard() {
        let prepared = |typed: &str| PasswordForms::of(typed).prepared;
        for (typed, same) in [
            ("correct horse battery staple", "correct horse battery staple"),
            ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
            ("\u{3c0}\u{df}\u{e5}", "\u{3c0}\u{df}a\u{30a}"),
            ("Jack of \u{2666}s", "Jack of \u{2666}s"),
            ("foo bar", "foo\u{1680}bar"),
            ("foo bar", "foo\u{a0}bar"),
            ("foo bar", "foo\u{3000}bar"),
            ("cr\u{1f980}b", "cr\u{1f980}b"),
        ] {
            assert_eq!(prepared(typed), prepared(same), "{typed}");
            assert!(check_password(same, "ada", 3).is_ok(), "{same}");
        }
        // Compatible characters are others here, and case counts.
        assert_ne!(prepared("\u{ff21}"), prepared("A"));
        assert_ne!(prepared("a"), prepared("A"));
        for bad in ["my cat is a \t by", "a\0b", "heart \u{2764}\u{fe0f}", "a\u{200b}b", "a\u{202e}b", "a\u{e000}"] {
            let told = check_password(bad, "ada", 3).unwrap_err();
            assert!(told.contains("(U+") && told.contains("leave it out"), "{told}");
            // Who has one from before signs in with it.
            assert_eq!(PasswordForms::of(bad), PasswordForms { prepared: bad.to_owned(), typed: None });
        }
        assert_eq!(PasswordForms::of("plain").typed, None);
        assert_eq!(PasswordForms::of("e\u{301}").typed.as_deref(), Some("e\u{301}"));
    }

    /// The names that were lawful before any other script was.
    fn was_lawful(text: &str) -> bool {
        let lawful = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'+')
        };
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        begins && text.len() <= 64 && text.bytes().all(lawful)
    }

    proptest! {
        /// A stored name is found by what it was made of, and by itself.
        #[test]
        fn a_name_is_its_own_prepared_form(text in "\\PC{0,12}|[a-zA-ZäÖß '@.éΣςσİıǅﬁ\u{308}\u{345}]{1,8}") {
            if let Some(stored) = name(&text) {
                let again = name(&stored);
                prop_assert_eq!(again.as_deref(), Some(stored.as_str()), "{:?}", text);
            }
        }

        #[test]
        fn names_from_before_stay_what_they_are(text in "[a-z0-9][a-z0-9._@+-]{0,63}") {
            prop_assert!(was_lawful(&text));
            prop_assert_eq!(name(&text), Some(text));
        }

        #[test]
        fn a_password_is_its_own_prepared_form(text in "\\PC{0,20}") {
            let prepared = PasswordForms::of(&text).prepared;
            prop_assert_eq!(PasswordForms::of(&prepared), PasswordForms { prepared, typed: None });
        }
    }
}
