//! What of a request may be kept. Only names that are known to be harmless keep their values; of all others the name
//! tells enough. Secrets end up in wrong places: a value that looks like one is hidden wherever it stands.

use oauth::params::Params;

/// The most characters of one value, of a reason, of a user agent.
const MAX_VALUE: usize = 300;
const MAX_REASON: usize = 500;
const MAX_AGENT: usize = 200;
/// The longest name of a parameter that is kept, and how many. Every secret of ours is longer.
const MAX_NAME: usize = 32;
const MAX_NAMES: usize = 30;
/// The most bytes of all values of one step.
const MAX_ALL: usize = 3 * 1024;

/// Parameters whose values are kept.
const HARMLESS: [&str; 9] = [
    "client_id",
    "response_type",
    "response_mode",
    "grant_type",
    "scope",
    "code_challenge_method",
    "prompt",
    "client_assertion_type",
    "token_type_hint",
];
/// Parameters that are addresses: kept without query and fragment.
const ADDRESSES: [&str; 3] = ["redirect_uri", "resource", "audience"];

/// What a request's parameters leave: harmless values, and the names of the rest under `also`.
#[must_use]
pub fn params(params: &Params) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let mut also = Vec::new();
    for (name, text) in params.iter().take(MAX_NAMES) {
        if HARMLESS.contains(&name) {
            push(&mut kept, name, value(text));
        } else if ADDRESSES.contains(&name) {
            push(&mut kept, name, address(text));
        } else {
            also.push(short_name(name));
        }
    }
    if !also.is_empty() {
        push(&mut kept, "also", also.join(" "));
    }
    kept
}

/// Adds a value, as long as there is room: strangers decide what stands here, and every step is stored.
pub fn push(kept: &mut Vec<(String, String)>, name: &str, text: String) {
    let taken: usize = kept.iter().map(|(name, text)| name.len() + text.len()).sum();
    if taken + name.len() + text.len() <= MAX_ALL {
        kept.push((name.to_owned(), text));
    }
}

/// The name of a parameter, if it is no more than that: a client that mixes things up sends secrets as names.
fn short_name(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if plain && name.len() <= MAX_NAME && !looks_secret(name) { name.to_owned() } else { "(other)".to_owned() }
}

/// A value: cleaned, cut, and hidden if it looks like a secret.
#[must_use]
pub fn value(text: &str) -> String {
    clean(text, MAX_VALUE)
}

/// A sentence that a client was told.
#[must_use]
pub fn reason(text: &str) -> String {
    clean(text, MAX_REASON)
}

/// A `User-Agent`.
#[must_use]
pub fn agent(text: &str) -> String {
    clean(text, MAX_AGENT)
}

/// An address without what may be secret in it: name and password, query, fragment.
#[must_use]
pub fn address(text: &str) -> String {
    let bare = text.split(['?', '#']).next().unwrap_or_default();
    let bare = match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => bare.to_owned(),
    };
    value(&bare)
}

fn clean(text: &str, most: usize) -> String {
    let mut words = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        words.push(if looks_secret(word) { "(hidden)".to_owned() } else { word.chars().map(visible).collect() });
    }
    let text = words.join(" ");
    if text.chars().count() <= most { text } else { text.chars().take(most).chain(['…']).collect() }
}

/// Whether a word holds what looks like a secret: one of ours (`pcr_…`, `pss_…`; three letters and much after them) or
/// a JWT.
fn looks_secret(word: &str) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Anywhere in a piece: `%3Dpcc_…` is one piece with what its percent-encoding leaves in front.
    word.as_bytes().split(|byte| !part(byte)).any(|piece| {
        piece.windows(16).any(|window| {
            let own = matches!(window, [b'p', b'c' | b's', kind, b'_', ..] if kind.is_ascii_alphanumeric());
            own || window.starts_with(b"eyJ")
        })
    })
}

/// What a terminal would take for a command, and what can't be seen, is shown as such.
const fn visible(c: char) -> char {
    match c {
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use oauth::params::Params;

    use super::{MAX_ALL, address, agent, params, push, value};

    /// Every step is stored, and a stranger decides what stands in it.
    #[test]
    fn a_step_has_a_ceiling() {
        let mut kept = params(&Params::parse("resource=https://h.example/&".repeat(100).as_bytes()).unwrap());
        for n in 0..100 {
            push(&mut kept, &format!("n{n}"), value(&"x".repeat(300)));
        }
        assert!(kept.len() > 12);
        assert!(kept.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>() <= MAX_ALL);
    }

    /// Only harmless values are kept; of everything else the name.
    #[test]
    fn secrets_leave_their_names_only() {
        let text =
            b"grant_type=authorization_code&code=pcc_abc&code_verifier=v3r1f13r&client_secret=s3cr3t&state=st4te\
            &client_assertion=eyJhbGciOi.x.y&scope=a+b&redirect_uri=https://u:p@h.example/cb?token=t0ken%23frag\
            &resource=https://h.example/mcp?api_key=hunter2&username=ada&password=pa55&pcr_0123456789012345678901234567890123456789=1&x=y";
        let kept = params(&Params::parse(text).unwrap());
        let find = |name: &str| kept.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        assert_eq!(find("redirect_uri"), Some("https://h.example/cb"));
        assert_eq!(find("resource"), Some("https://h.example/mcp"));
        assert_eq!(find("scope"), Some("a b"));
        assert_eq!(
            find("also"),
            Some("code code_verifier client_secret state client_assertion username password (other) x")
        );
        let all = format!("{kept:?}");
        for secret in ["pcc_abc", "v3r1f13r", "s3cr3t", "st4te", "eyJ", "t0ken", "pa55", "ada", "pcr_", "hunter2"] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
    }

    /// Secrets turn up where they don't belong.
    #[test]
    fn what_looks_like_a_secret_is_hidden_anywhere() {
        assert_eq!(value("docs pcr_0123456789abcdef end"), "docs (hidden) end");
        assert_eq!(value("x=eyJhbGciOiJFUzI1NiJ9.e30.sig"), "(hidden)");
        assert_eq!(value("https://h.example/%3Fcode%3Dpcc_0123456789abcdef"), "(hidden)");
        assert_eq!(value("https://chatgpt.com/oauth/client.json"), "https://chatgpt.com/oauth/client.json");
        assert_eq!(value("pc_0123456789abcdef"), "pc_0123456789abcdef");
        assert_eq!(address("myapp://user@host/cb?code=1"), "myapp://host/cb");
    }

    #[test]
    fn user_agents_are_cleaned_and_cut() {
        assert_eq!(agent("a\u{1b}[31mb\u{202e}\r\nc"), "a [31mb\u{fffd} c");
        assert_eq!(agent(&"x".repeat(500)).chars().count(), 201);
    }
}
