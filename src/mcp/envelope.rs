//! The envelope: as much of a JSON-RPC message as must be known before the tools see it. One pass over the
//! bytes that borrows from them; everything else is left to the MCP library, which reads the same bytes.
//!
//! Since two parsers read a message, it must not be able to mean two things: members that decide are refused
//! when they are repeated. And since the second builds all that it reads, several times over, how much it may
//! have to build is judged here first.

use std::borrow::Cow;
use std::fmt;

use axum::http::StatusCode;
use oauth::json::{Bounds, Excess};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{INVALID_REQUEST, PARSE_ERROR, Refused};

/// The most messages of one batch (2025-03-26 only).
const MAX_BATCH: usize = 32;
/// The longest id in bytes. It comes back in the answer, and nobody's is longer than a UUID with a prefix.
const MAX_ID: usize = 1024;

/// What a POST carries.
#[derive(Debug)]
pub(crate) enum Envelope<'a> {
    /// One message.
    One(Message<'a>),
    /// A batch, each message as it stands there.
    Batch(Vec<&'a RawValue>),
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
    /// 400 with a JSON-RPC error for what holds more than `bounds` allow, is no JSON, or no JSON-RPC.
    pub(crate) fn parse(body: &'a [u8], bounds: Bounds) -> Result<Self, Refused> {
        bounds.check(body).map_err(|excess| too_much(body, excess))?;
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
            return Message::parse(body).map(Self::One);
        }
        let messages: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        if messages.is_empty() || messages.len() > MAX_BATCH {
            let message =
                format!("Invalid Request: a batch has 1 to {MAX_BATCH} messages, this one {}", messages.len());
            return Err(Refused::rpc(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &message));
        }
        Ok(Self::Batch(messages))
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

/// The refusal of a message that holds too much. Its id is in it all the same: reading the envelope builds nothing
/// but the id.
fn too_much(body: &[u8], excess: Excess) -> Refused {
    let id = Message::parse(body).ok().and_then(|message| message.id);
    let (setting, way) = match excess {
        Excess::Values { .. } => ("limits.mcp_json_values", "send fewer in one message, or one text that holds them"),
        Excess::Depth { .. } => ("limits.mcp_json_depth", "send it flatter"),
    };
    let message = format!("Invalid Request: the message {excess} ({setting}); {way}");
    Refused::rpc(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, &message)
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

/// MCP, base protocol: an id is a text or a whole number, never null. What could hold other values isn't built to see
/// that it is neither.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    let text = <&RawValue>::deserialize(deserializer)?.get();
    if text.len() > MAX_ID {
        return Err(D::Error::custom(format_args!("id has {} bytes; at most {MAX_ID} are read", text.len())));
    }
    let scalar = !text.starts_with(['[', '{']);
    match scalar.then(|| serde_json::from_str(text)) {
        Some(Ok(Value::Number(number))) if !number.is_f64() => Ok(Some(Value::Number(number))),
        Some(Ok(Value::String(text))) => Ok(Some(Value::String(text))),
        Some(_) | None => Err(D::Error::custom("id must be a string or an integer")),
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
                    let value = map.next_value::<&'de RawValue>()?.get();
                    if value.starts_with('"') {
                        let Text(name) = serde_json::from_str(value).map_err(A::Error::custom)?;
                        params.name = Some(name);
                    }
                }
                Ok(params)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use oauth::json::Bounds;

    use super::{Envelope, Message};

    const BOUNDS: Bounds = Bounds { depth: 64, values: 10_000 };

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
            r#"{"method":"tools/call","params":{"name":{"name":"a"}}}"#,
            r#"{"method":"tools/call","params":{"name":["a"]}}"#,
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
            r#"{"id":[1]}"#,
            r#"{"id":true}"#,
            r#"{"id":1e400}"#,
            r#"{"id":18446744073709551616}"#,
            &format!(r#"{{"id":"{}"}}"#, "x".repeat(1025)),
            r#"{"method":1}"#,
            r#"{"method":"a","params":[1]}"#,
            "{\"method\":\"\u{0}\"}",
            &deep,
            &nested,
        ] {
            assert!(Envelope::parse(body.as_bytes(), BOUNDS).is_err(), "{}", body.get(..40).unwrap_or(body));
        }
        assert!(Envelope::parse(&[b'{', b'"', 0xff, b'"', b':', b'1', b'}'], BOUNDS).is_err());
        let many = format!("[{}{{}}]", "{},".repeat(40));
        assert!(Envelope::parse(many.as_bytes(), BOUNDS).is_err());
    }
}
