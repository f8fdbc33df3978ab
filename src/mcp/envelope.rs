//! The envelope: as much of a JSON-RPC message as must be known before the tools see it. One pass over the
//! bytes that borrows from them; everything else is left to the MCP library, which reads the same bytes.
//!
//! Since two parsers read a message, it must not be able to mean two things: members that decide are refused
//! when they are repeated.

use std::borrow::Cow;
use std::fmt;

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::answer::{INVALID_REQUEST, PARSE_ERROR, Refused};

/// The most messages of one batch (2025-03-26 only).
const MAX_BATCH: usize = 32;

/// What a POST carries.
#[derive(Debug)]
pub(crate) enum Envelope<'a> {
    /// One message.
    One(Message<'a>),
    /// A batch, each message as bytes of its own.
    Batch(Vec<Vec<u8>>),
}

/// One message's outside.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    /// The request's id; notifications have none.
    #[serde(default, deserialize_with = "id")]
    pub(crate) id: Option<Value>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `params.name`, if it is a text; whatever else is in `params` doesn't matter here.
#[derive(Debug, Default)]
struct Params<'a> {
    name: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a POST's body.
    ///
    /// # Errors
    /// 400 with a JSON-RPC error for what is no JSON, or no JSON-RPC.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Refused> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
            return Message::parse(body).map(Self::One);
        }
        let values: Vec<Value> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        if values.is_empty() || values.len() > MAX_BATCH {
            let message = format!("a batch has 1 to {MAX_BATCH} messages");
            return Err(Refused::rpc(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &message));
        }
        Ok(Self::Batch(values.iter().map(|value| value.to_string().into_bytes()).collect()))
    }
}

impl<'a> Message<'a> {
    /// Reads one message's envelope.
    ///
    /// # Errors
    /// As [`Envelope::parse`].
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Refused> {
        serde_json::from_slice(body).map_err(|error| unreadable(&error))
    }

    /// The method; responses have none.
    pub(crate) fn method(&self) -> Option<&str> {
        self.method.as_ref().map(|method| &*method.0)
    }

    /// Whether the message has `params` at all.
    pub(crate) fn has_params(&self) -> bool {
        self.params.is_some()
    }

    /// The tool that the message calls.
    pub(crate) fn tool(&self) -> Option<&str> {
        self.params.as_ref().filter(|_| self.method() == Some("tools/call"))?.name.as_deref()
    }
}

fn unreadable(error: &serde_json::Error) -> Refused {
    // serde_json's message names what it expected and where; it never quotes more than a scalar.
    let (code, message) = match error.classify() {
        serde_json::error::Category::Data => (INVALID_REQUEST, format!("Invalid Request: {error}")),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            (PARSE_ERROR, format!("Parse error: {error}"))
        }
    };
    Refused::rpc(StatusCode::BAD_REQUEST, None, code, &message)
}

/// MCP, base protocol: an id is a text or a whole number, never null.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) if !number.is_f64() => Ok(Some(Value::Number(number))),
        Value::String(text) => Ok(Some(Value::String(text))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(D::Error::custom("id must be a string or an integer"))
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Params<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Params<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("params to be an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params<'de>, A::Error> {
                let mut params = Params::default();
                let mut seen = false;
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if key.0 != "name" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if std::mem::replace(&mut seen, true) {
                        return Err(A::Error::custom("duplicate field `name`"));
                    }
                    params.name = match map.next_value::<Name<'de>>()? {
                        Name::Text(text) => Some(text),
                        Name::Other(_) => None,
                    };
                }
                Ok(params)
            }
        }

        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Name<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Other(IgnoredAny),
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Message};

    fn tool(body: &str) -> Option<String> {
        Message::parse(body.as_bytes()).unwrap().tool().map(str::to_owned)
    }

    #[test]
    fn tool_is_the_name_of_a_call_and_of_nothing_else() {
        assert_eq!(tool(r#"{"method":"tools/call","params":{"name":"a"}}"#).as_deref(), Some("a"));
        assert_eq!(tool(r#"{"params":{"x":[{}],"name":"a"},"id":1,"method":"tools/call"}"#).as_deref(), Some("a"));
        // Escapes are resolved before anything is compared.
        assert_eq!(tool(r#"{"m\u0065thod":"tools\/c\u0061ll","params":{"n\u0061me":"\u0061"}}"#).as_deref(), Some("a"));
        for other in [
            r#"{"method":"prompts/get","params":{"name":"a"}}"#,
            r#"{"method":"tools/call","params":{"arguments":{"name":"a"}}}"#,
            r#"{"method":"tools/call","params":{"name":1}}"#,
            r#"{"method":"tools/call","params":null}"#,
            r#"{"method":"tools/call"}"#,
            r#"{"id":1,"result":{"method":"tools/call"}}"#,
        ] {
            assert_eq!(tool(other), None, "{other}");
        }
    }

    /// A message that two parsers could read in two ways is nobody's.
    #[test]
    fn repeated_members_are_refused() {
        for body in [
            r#"{"method":"tools/list","method":"tools/call"}"#,
            r#"{"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#,
            r#"{"id":1,"id":2}"#,
        ] {
            assert!(Message::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    /// B-26: neither depth nor rubbish does any harm.
    #[test]
    fn what_is_no_message_is_refused() {
        let deep = format!("{{\"method\":\"x\",\"params\":{}{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [
            "",
            "x",
            "1",
            "null",
            "\"a\"",
            "{",
            "[]",
            r#"{"id":null}"#,
            r#"{"id":1.5}"#,
            r#"{"id":{}}"#,
            r#"{"method":1}"#,
            r#"{"method":"a","params":[1]}"#,
            "{\"method\":\"\u{0}\"}",
            &deep,
            &nested,
        ] {
            assert!(Envelope::parse(body.as_bytes()).is_err(), "{}", body.get(..40).unwrap_or(body));
        }
        assert!(Envelope::parse(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}']).is_err());
        let many = format!("[{}{{}}]", "{},".repeat(40));
        assert!(Envelope::parse(many.as_bytes()).is_err());
    }
}
