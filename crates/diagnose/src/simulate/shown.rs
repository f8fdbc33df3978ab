//! What a report shows of what was sent and came: secrets are shortened before anything is kept (V-06).

use reqwest::header::{AUTHORIZATION, LOCATION};
use serde_json::Value;

/// The most characters of a body that a report shows.
const MOST_SHOWN: usize = 400;
/// Parameters and members whose values are secrets, wherever they stand.
const SECRETS: &[&str] = &[
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "registration_access_token",
    "code",
    "code_verifier",
    "token",
];
/// What a person types in, and what belongs to their browser alone: not even its beginning is shown.
const HIDDEN: &[&str] = &["password", "csrf"];

/// The first six characters: enough to tell two secrets apart, not enough to use one. Of a short one nothing.
pub(super) fn shortened(secret: &str) -> String {
    match secret.chars().count() {
        0 => String::new(),
        1..=12 => "…".to_owned(),
        _ => format!("{}…", secret.chars().take(6).collect::<String>()),
    }
}

/// An address with the codes and tokens in its query shortened.
pub(super) fn shown_url(url: &str) -> String {
    match url.split_once('?') {
        Some((base, query)) => format!("{base}?{}", shown_form(query)),
        None => url.to_owned(),
    }
}

fn shown_form(text: &str) -> String {
    text.split('&')
        .map(|piece| match piece.split_once('=') {
            Some((name, _)) if HIDDEN.contains(&name) => format!("{name}=…"),
            Some((name, value)) if SECRETS.contains(&name) => format!("{name}={}", shortened(value)),
            _ => piece.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}

/// A header with its secrets shortened.
pub(super) fn shown_header(name: &str, value: &str) -> (String, String) {
    let shown = match name {
        own if own == AUTHORIZATION.as_str() => match value.split_once(' ') {
            Some((scheme, secret)) => format!("{scheme} {}", shortened(secret)),
            None => shortened(value),
        },
        own if own == LOCATION.as_str() => shown_url(value),
        _ => value.to_owned(),
    };
    (name.to_owned(), shown)
}

/// The beginning of a body with its secrets shortened.
pub(super) fn shown_body(text: &str) -> String {
    let shown = match serde_json::from_str::<Value>(text) {
        Ok(value) => shown_json(text, value),
        Err(_) if text.trim_start().starts_with('<') => "(a page)".to_owned(),
        Err(_) => shown_form(text),
    };
    if shown.chars().count() > MOST_SHOWN {
        format!("{}…", shown.chars().take(MOST_SHOWN).collect::<String>())
    } else {
        shown
    }
}

/// JSON as it was written, order and all: shortened in the text, or, if a secret is spelled there in another way than
/// usual, written anew.
fn shown_json(text: &str, mut value: Value) -> String {
    let mut shown = text.to_owned();
    let mut usual = true;
    shorten_members(&mut value, &mut |secret| {
        let spelled = Value::from(secret).to_string();
        usual &= shown.contains(&spelled);
        shown = shown.replace(&spelled, &Value::from(shortened(secret)).to_string());
    });
    if usual { shown } else { value.to_string() }
}

fn shorten_members(value: &mut Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if let Value::String(text) = member
                    && SECRETS.contains(&name.as_str())
                {
                    found(text);
                    *text = shortened(text);
                } else {
                    shorten_members(member, found);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten_members(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{shown_body, shown_header, shown_url};

    /// V-06: whatever carries a secret is shown by its first six characters.
    #[test]
    fn secrets_are_shortened_wherever_they_stand() {
        assert_eq!(shown_url("https://a/cb?code=pcc_abcdefghij&state=s"), "https://a/cb?code=pcc_ab…&state=s");
        // A password is hidden whole, and so is a secret so short that six characters would be half of it.
        assert_eq!(shown_body("username=ada&password=correct+horse+battery"), "username=ada&password=…");
        assert_eq!(shown_body("client_secret=hunter2"), "client_secret=…");
        assert_eq!(
            shown_body("grant_type=refresh_token&refresh_token=pcr_1234567890"),
            "grant_type=refresh_token&refresh_token=pcr_12…"
        );
        assert_eq!(
            shown_body(r#"{"a":[{"access_token":"abcdefghijklm"}],"code":-32001}"#),
            r#"{"a":[{"access_token":"abcdef…"}],"code":-32001}"#
        );
        // Written in another way than usual, it is shortened all the same; the order stays where it can.
        assert_eq!(shown_body("{\"token\":\"\\u0061bcdefghijklm\", \"a\":1}"), r#"{"a":1,"token":"abcdef…"}"#);
        assert_eq!(shown_body(r#"{"z":1, "token":"abcdefghijklm", "a":2}"#), r#"{"z":1, "token":"abcdef…", "a":2}"#);
        assert_eq!(shown_header("authorization", "Bearer abcdefghijklm").1, "Bearer abcdef…");
        assert_eq!(shown_header("location", "https://a/cb?code=abcdefghijklm").1, "https://a/cb?code=abcdef…");
    }
}
