//! JSON that a stranger sends (RFC 8259): bounded in size and depth before anything is made of it.

use serde_json::{Map, Value};

/// How deep arrays and objects may lie in each other. What is read here is three deep at most.
const MAX_DEPTH: usize = 16;

/// Why bytes are not the JSON object that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// More bytes than anything real has.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// More brackets inside each other than anything real has.
    #[error("has more than {MAX_DEPTH} arrays or objects inside each other")]
    TooDeep,
    /// No JSON, or not UTF-8.
    #[error("is not JSON ({0})")]
    Malformed(String),
    /// JSON, but no object.
    #[error("is JSON but not an object, which begins with a brace")]
    NotAnObject,
}

/// Reads an object of at most `most` bytes.
///
/// # Errors
/// The first of the rules in [`InvalidJson`] that is broken.
pub fn object(bytes: &[u8], most: usize) -> Result<Map<String, Value>, InvalidJson> {
    if bytes.len() > most {
        return Err(InvalidJson::TooLarge(most));
    }
    if depth(bytes) > MAX_DEPTH {
        return Err(InvalidJson::TooDeep);
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(InvalidJson::NotAnObject),
        Err(error) => {
            let what = match error.classify() {
                serde_json::error::Category::Eof => "it ends too early",
                serde_json::error::Category::Syntax
                | serde_json::error::Category::Data
                | serde_json::error::Category::Io => "its syntax is broken",
            };
            let html = bytes.trim_ascii_start().starts_with(b"<");
            let what = if html { "it looks like a web page" } else { what };
            Err(InvalidJson::Malformed(format!("{what} at line {}, column {}", error.line(), error.column())))
        }
    }
}

/// The most brackets open at once. Counted before parsing, without recursion.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut most, mut text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'[' | b'{' if !text => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' if !text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{InvalidJson, object};

    /// B-26: size and depth are bounded, and what is wrong is told.
    #[test]
    fn size_depth_and_form_are_judged() {
        assert!(object(br#"{"a":"[[[[[[[[[[[[[[[[[[[[\"[[[[[[[[[[[[[[[["}"#, 100).is_ok());
        assert_eq!(object(b"{}      ", 7), Err(InvalidJson::TooLarge(7)));
        assert_eq!(object("[".repeat(17).as_bytes(), 100), Err(InvalidJson::TooDeep));
        assert_eq!(object("{\"a\":".repeat(100_000).as_bytes(), 1_000_000), Err(InvalidJson::TooDeep));
        assert_eq!(object(b"[]", 100), Err(InvalidJson::NotAnObject));
        for (text, word) in [("", "ends too early"), ("{", "ends too early"), ("{,}", "syntax"), ("<html>", "web page")]
        {
            let error = object(text.as_bytes(), 100).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", 100).is_err());
    }
}
