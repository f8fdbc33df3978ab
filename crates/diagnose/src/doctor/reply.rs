//! What came of one request: an answer, or why there is none. Plain values, so that rules need no network.

use oauth::text::shortened;
use serde_json::Value;

/// One answer, as it arrived: redirects are not followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Names (lower case) and values in the order of their arrival.
    pub(crate) headers: Vec<(String, String)>,
    /// The beginning of the body.
    pub(crate) body: String,
    /// The certificate that the server showed (DER).
    pub(crate) certificate: Option<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// The name leads to no address.
    Name(String),
    /// Nobody accepts the connection.
    Connection(String),
    /// TLS does not come about; what the library says of the certificate.
    Tls(String),
    /// No answer in time.
    Time,
    /// The connection ended before the answer did.
    Closed(String),
}

/// An answer, or why there is none.
pub(crate) type Reply = Result<Answer, NoReply>;

impl Answer {
    /// The first value of a header.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether a list header (in one line or several) has an entry.
    #[must_use]
    pub(crate) fn lists(&self, name: &str, entry: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|own| own.trim().eq_ignore_ascii_case(entry))
    }

    /// Whether it sends the caller elsewhere.
    #[must_use]
    pub(crate) fn is_redirect(&self) -> bool {
        (300..400).contains(&self.status) && self.status != 304
    }

    /// Whether it is a page for people.
    #[must_use]
    pub(crate) fn is_html(&self) -> bool {
        let said = self.header("content-type").is_some_and(|value| value.to_ascii_lowercase().contains("html"));
        let start = self.body.trim_start().get(..14).unwrap_or_else(|| self.body.trim_start()).to_ascii_lowercase();
        said || start.starts_with("<!doctype html") || start.starts_with("<html")
    }

    /// Whether its type says JSON.
    #[must_use]
    pub(crate) fn says_json(&self) -> bool {
        self.header("content-type").is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
        })
    }

    /// The body, if it is a JSON object.
    #[must_use]
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str::<Value>(&self.body).ok().filter(Value::is_object)
    }

    /// The `error` member of a JSON body.
    #[must_use]
    pub(crate) fn error(&self) -> Option<String> {
        Some(self.json()?.get("error")?.as_str()?.to_owned())
    }

    /// Whether a proxy says that it can't reach what is behind it.
    #[must_use]
    pub(crate) fn is_from_a_lonely_proxy(&self) -> bool {
        let code = matches!(self.status, 502..=504 | 520..=526 | 530);
        code && self.json().is_none_or(|body| body.get("error").is_none())
    }
}

/// An outcome in a few words: `302 to /login`, `403 with a page (HTML)`, `no answer in time`.
#[must_use]
pub(crate) fn in_words(reply: &Reply) -> String {
    let answer = match reply {
        Ok(answer) => answer,
        Err(missed) => return missed.to_string(),
    };
    let status = answer.status;
    match (answer.header("location").filter(|_| answer.is_redirect()), answer.error()) {
        (Some(location), _) => format!("{status} to {}", shortened(location)),
        (None, _) if answer.is_html() => format!("{status} with a page (HTML)"),
        (None, Some(error)) => format!("{status} ({})", shortened(&error)),
        (None, None) => status.to_string(),
    }
}

impl std::fmt::Display for NoReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(why) => write!(f, "the name leads nowhere ({why})"),
            Self::Connection(why) => write!(f, "no connection ({why})"),
            Self::Tls(why) => write!(f, "no TLS ({why})"),
            Self::Time => f.write_str("no answer in time"),
            Self::Closed(why) => write!(f, "the connection was closed without an answer ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, NoReply, in_words, shortened};

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { status, headers, body: body.to_owned(), certificate: None }
    }

    #[test]
    fn an_answer_is_told_in_a_few_words() {
        let told = |status, headers: &[(&str, &str)], body| in_words(&Ok(answer(status, headers, body)));
        assert_eq!(told(302, &[("location", "https://login.example/")], ""), "302 to https://login.example/");
        assert_eq!(told(403, &[("content-type", "text/html")], "x"), "403 with a page (HTML)");
        assert_eq!(told(200, &[], "\n<!DOCTYPE html><p>"), "200 with a page (HTML)");
        assert_eq!(told(401, &[], r#"{"error":"invalid_token"}"#), "401 (invalid_token)");
        assert_eq!(told(204, &[], "é"), "204");
        assert_eq!(in_words(&Err(NoReply::Time)), "no answer in time");
        assert_eq!(shortened("a\u{1b}[31mb\n"), "a[31mb");
    }

    #[test]
    fn a_list_header_may_come_in_one_line_or_several() {
        let answer =
            answer(204, &[("access-control-allow-headers", "a, B"), ("access-control-allow-headers", "c")], "");
        for name in ["A", "b", "c"] {
            assert!(answer.lists("access-control-allow-headers", name), "{name}");
        }
        assert!(!answer.lists("access-control-allow-headers", "d"));
    }
}
