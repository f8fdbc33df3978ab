//! JSON that a stranger sends (RFC 8259): bounded in bytes, depth and number of values before anything is made of it.
//!
//! A value in memory costs some hundred times the two bytes that it may have on the wire, so a limit on bytes alone
//! bounds nothing.

use serde_json::{Map, Value};

/// How much JSON may hold, whatever its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most arrays and objects inside each other.
    pub depth: usize,
    /// The most values, the names of members counted as such: each becomes something of its own in memory.
    pub values: usize,
}

impl Bounds {
    /// For all that says something about a client or an account: registrations, metadata documents, key sets,
    /// assertions, requests to the admin API. What is read there is three deep, and fifty keys with all their members
    /// are fewer than a thousand values.
    pub const METADATA: Self = Self { depth: 16, values: 4096 };

    /// Whether `bytes` stay within the bounds: decided in one pass that keeps nothing, before they are parsed.
    ///
    /// # Errors
    /// What is there, and what may be.
    pub fn check(self, bytes: &[u8]) -> Result<(), Excess> {
        let size = Size::of(bytes);
        if size.depth > self.depth {
            return Err(Excess::Depth { found: size.depth, most: self.depth });
        }
        if size.values > self.values {
            return Err(Excess::Values { found: size.values, most: self.values });
        }
        Ok(())
    }
}

/// JSON that holds more than is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// More brackets inside each other than anything real has.
    #[error("has {found} arrays or objects inside each other; at most {most} are read")]
    Depth {
        /// How deep it is.
        found: usize,
        /// How deep it may be.
        most: usize,
    },
    /// More values than anything real has.
    #[error("holds {found} values, counting the names of members; at most {most} are read")]
    Values {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
}

/// What JSON holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Arrays and objects inside each other.
    pub depth: usize,
    /// Values and names of members.
    pub values: usize,
}

impl Size {
    /// Counts without parsing and without recursion. For a text that is JSON the count is exact. For any other it is
    /// no less than what a parser has made by the time that it finds the fault: both see the same tokens up to there.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (mut size, mut open) = (Self::default(), 0_usize);
        let mut rest = bytes.iter();
        // Whether the byte before belongs to a number or a word, which goes on then.
        let mut within = false;
        while let Some(byte) = rest.next() {
            let was_within = std::mem::replace(&mut within, false);
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {}
                b']' | b'}' => open = open.saturating_sub(1),
                b'[' | b'{' => {
                    open += 1;
                    size.depth = size.depth.max(open);
                    size.values += 1;
                }
                b'"' => {
                    size.values += 1;
                    while let Some(byte) = rest.next() {
                        match byte {
                            b'"' => break,
                            b'\\' => {
                                rest.next();
                            }
                            _ => {}
                        }
                    }
                }
                _ => {
                    size.values += usize::from(!was_within);
                    within = true;
                }
            }
        }
        size
    }
}

/// Why bytes are not the JSON object that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// More bytes than anything real has.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// More in it than anything real has.
    #[error(transparent)]
    Excess(#[from] Excess),
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
    Bounds::METADATA.check(bytes)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Bounds, Excess, InvalidJson, Size, object};

    /// B-26: size and depth are bounded, and what is wrong is told.
    #[test]
    fn size_depth_and_form_are_judged() {
        assert!(object(br#"{"a":"[[[[[[[[[[[[[[[[[[[[\"[[[[[[[[[[[[[[[["}"#, 100).is_ok());
        assert_eq!(object(b"{}      ", 7), Err(InvalidJson::TooLarge(7)));
        let too_deep = |found| Err(Excess::Depth { found, most: 16 }.into());
        assert_eq!(object("[".repeat(17).as_bytes(), 100), too_deep(17));
        assert_eq!(object("{\"a\":".repeat(100_000).as_bytes(), 1_000_000), too_deep(100_000));
        assert_eq!(object(b"[]", 100), Err(InvalidJson::NotAnObject));
        for (text, word) in [("", "ends too early"), ("{", "ends too early"), ("{,}", "syntax"), ("<html>", "web page")]
        {
            let error = object(text.as_bytes(), 100).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", 100).is_err());
    }

    #[test]
    fn excess_says_what_came_and_what_may_come() {
        let body = format!("[{}0]", "0,".repeat(4095));
        let told = Bounds::METADATA.check(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(told, "holds 4097 values, counting the names of members; at most 4096 are read");
        let body = format!("[{}0]", "0,".repeat(4094));
        assert_eq!(Bounds::METADATA.check(body.as_bytes()), Ok(()));
    }

    /// What no JSON may be counts at least as much as a parser makes of it before it gives up.
    #[test]
    fn broken_texts_are_not_undercounted() {
        for (text, values) in [
            ("", 0),
            ("\"", 1),
            ("\"\\", 1),
            ("[1 2\"a\"3{}", 6),
            ("]]}}[0", 2),
            ("nulltrue", 1),
            ("\u{feff}{}", 2),
            ("{\"a\\\"b\\\\\":\"\\u005b[{\"}", 3),
        ] {
            assert_eq!(Size::of(text.as_bytes()).values, values, "{text}");
        }
    }

    /// The slow way: by what was built.
    fn built(value: &Value) -> Size {
        let below: Vec<Size> = match value {
            Value::Array(items) => items.iter().map(built).collect(),
            Value::Object(members) => members.values().map(built).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Size { depth: 0, values: 1 },
        };
        let names = value.as_object().map_or(0, serde_json::Map::len);
        Size {
            depth: 1 + below.iter().map(|own| own.depth).max().unwrap_or_default(),
            values: 1 + names + below.iter().map(|own| own.values).sum::<usize>(),
        }
    }

    fn anything() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            "\\PC{0,8}|[\\[\\]{}\":,\\\\ ]{0,8}".prop_map(Value::from),
        ];
        scalar.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[a\"\\\\]{0,3}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_count_is_what_a_parser_builds(value in anything(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(Size::of(text.as_bytes()), built(&value), "{}", text);
        }
    }
}
