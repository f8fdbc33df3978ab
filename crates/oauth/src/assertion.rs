//! Client assertions (RFC 7523 §2.2) as they arrive: what one says of itself, before anything of it is believed.
//!
//! Who the client is has to be known before its keys are, so header and claims are read first. Everything here is
//! named `unverified`; `crypto::assertion` checks the signature over the very same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json::{self, InvalidJson};
use super::jwks::MAX_KID;

/// `client_assertion_type` (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest assertion. One with an RSA signature of 8192 bits and long URLs has 3 KB.
const MAX_BYTES: usize = 8 * 1024;
/// The longest text in a claim that is looked at.
const MAX_CLAIM: usize = 2048;
/// The longest `jti`.
const MAX_JTI: usize = 512;

/// What an assertion says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedAssertion {
    /// The algorithm that its header names.
    pub algorithm: String,
    /// The key that its header names.
    pub kid: Option<String>,
    /// The type that its header names.
    pub typ: Option<String>,
    /// Who says that they made it.
    pub issuer: String,
    /// Whom it is about: the client.
    pub subject: String,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// When it ends, unix seconds.
    pub expires_at: i64,
    /// When it begins.
    pub not_before: Option<i64>,
    /// When it was made.
    pub issued_at: Option<i64>,
    /// Its own id.
    pub jti: String,
}

/// Why a text is not a client assertion, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAssertion {
    /// More than anything real has.
    #[error("client_assertion is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not three parts of base64url.
    #[error("client_assertion is not a JWT: three parts of base64url with dots between them")]
    NotAJwt,
    /// A part is not a JSON object.
    #[error("the {part} of client_assertion {why}")]
    Json {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        why: InvalidJson,
    },
    /// RFC 7515 §4.1.11: what must be understood and isn't.
    #[error("the header of client_assertion has crit, which is not understood here")]
    Critical,
    /// A claim or header that must be there.
    #[error("client_assertion lacks {0}")]
    Missing(&'static str),
    /// A claim or header of the wrong type, empty or too long.
    #[error("{0} in client_assertion has the wrong type, is empty or too long")]
    Wrong(&'static str),
}

impl UnverifiedAssertion {
    /// Reads an assertion.
    ///
    /// # Errors
    /// When it is none, or lacks what RFC 7523 §3 requires.
    pub fn read(text: &str) -> Result<Self, InvalidAssertion> {
        if text.len() > MAX_BYTES {
            return Err(InvalidAssertion::TooLong);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidAssertion::NotAJwt);
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidAssertion::NotAJwt);
        decode(signature)?;
        let object = |part: &'static str, text: &str| {
            json::object(&decode(text)?, MAX_BYTES).map_err(|why| InvalidAssertion::Json { part, why })
        };
        let (header, claims) = (object("header", header)?, object("claims", claims)?);
        if header.contains_key("crit") {
            return Err(InvalidAssertion::Critical);
        }
        Ok(Self {
            algorithm: required(&header, "alg", 32)?,
            kid: text_of(&header, "kid", MAX_KID)?,
            typ: text_of(&header, "typ", 64)?,
            issuer: required(&claims, "iss", MAX_CLAIM)?,
            subject: required(&claims, "sub", MAX_CLAIM)?,
            audience: audience(&claims)?,
            expires_at: time(&claims, "exp")?.ok_or(InvalidAssertion::Missing("exp"))?,
            not_before: time(&claims, "nbf")?,
            issued_at: time(&claims, "iat")?,
            jti: required(&claims, "jti", MAX_JTI)?,
        })
    }
}

fn text_of(members: &Map<String, Value>, name: &'static str, most: usize) -> Result<Option<String>, InvalidAssertion> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= most && !text.contains('\0') => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(InvalidAssertion::Wrong(name)),
    }
}

fn required(members: &Map<String, Value>, name: &'static str, most: usize) -> Result<String, InvalidAssertion> {
    text_of(members, name, most)?.ok_or(InvalidAssertion::Missing(name))
}

/// RFC 7519 §4.1.3: one text, or an array of texts.
fn audience(claims: &Map<String, Value>) -> Result<Vec<String>, InvalidAssertion> {
    const NAME: &str = "aud";
    match claims.get(NAME) {
        Some(Value::Array(items)) if (1..=10).contains(&items.len()) => items
            .iter()
            .map(|item| {
                let text = item.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_CLAIM);
                text.map(str::to_owned).ok_or(InvalidAssertion::Wrong(NAME))
            })
            .collect(),
        Some(Value::Array(_)) => Err(InvalidAssertion::Wrong(NAME)),
        _ => Ok(vec![required(claims, NAME, MAX_CLAIM)?]),
    }
}

/// RFC 7519 §2: a `NumericDate` may have a fraction, which is cut off.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, InvalidAssertion> {
    /// Beyond the year 9999 there are only mistakes.
    const LAST: i64 = 253_402_300_799;
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(InvalidAssertion::Wrong(name)),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the range is checked after it")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|float| float.floor() as i64));
    seconds.filter(|seconds| (0..=LAST).contains(seconds)).map(Some).ok_or(InvalidAssertion::Wrong(name))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{InvalidAssertion, UnverifiedAssertion};

    fn text(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.AAAA", part(header), part(claims))
    }

    fn read_with(name: &str, value: Value) -> Result<UnverifiedAssertion, InvalidAssertion> {
        let mut header = json!({ "alg": "RS256", "kid": "k", "typ": "JWT" });
        let mut claims = json!({ "iss": "c", "sub": "c", "aud": "https://h", "exp": 10, "jti": "j" });
        let part = if ["alg", "kid", "typ", "crit"].contains(&name) { &mut header } else { &mut claims };
        part[name] = value;
        UnverifiedAssertion::read(&text(&header, &claims))
    }

    /// what RFC 7523 §3 asks for is there.
    #[test]
    fn header_and_claims_are_read() {
        let read = read_with("aud", json!(["https://h", "https://x"])).unwrap();
        assert_eq!((read.algorithm.as_str(), read.kid.as_deref()), ("RS256", Some("k")));
        assert_eq!((read.issuer.as_str(), read.subject.as_str(), read.jti.as_str()), ("c", "c", "j"));
        assert_eq!(read.audience, ["https://h", "https://x"]);
        assert_eq!((read.expires_at, read.not_before, read.issued_at), (10, None, None));
        assert_eq!(read_with("exp", json!(10.9)).unwrap().expires_at, 10);
        assert_eq!(read_with("kid", Value::Null).unwrap().kid, None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for name in ["alg", "iss", "sub", "aud", "exp", "jti"] {
            assert_eq!(read_with(name, Value::Null), Err(InvalidAssertion::Missing(name)), "{name}");
            assert_eq!(read_with(name, json!({})), Err(InvalidAssertion::Wrong(name)), "{name}");
        }
        for (name, value) in [
            ("exp", json!("10")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("iat", json!(true)),
            ("nbf", json!(i64::MAX)),
            ("jti", json!("")),
            ("jti", json!("j".repeat(513))),
            ("jti", json!("a\u{0}")),
            ("aud", json!([])),
            ("aud", json!([1])),
            ("aud", json!(vec!["a"; 11])),
            ("kid", json!("k".repeat(257))),
            ("typ", json!(1)),
        ] {
            assert_eq!(read_with(name, value), Err(InvalidAssertion::Wrong(name)), "{name}");
        }
        assert_eq!(read_with("crit", json!(["b64"])), Err(InvalidAssertion::Critical));
    }

    #[test]
    fn what_is_no_jwt_is_refused() {
        let good = text(&json!({}), &json!({}));
        for text in ["", "a", "a.b", "....", &good.replace('.', ""), &format!("{good}.x"), &good.replace("AAAA", "A A")]
        {
            assert_eq!(UnverifiedAssertion::read(text), Err(InvalidAssertion::NotAJwt), "{text}");
        }
        assert_eq!(UnverifiedAssertion::read(&"a".repeat(9000)), Err(InvalidAssertion::TooLong));
        assert!(matches!(UnverifiedAssertion::read("W10.e30."), Err(InvalidAssertion::Json { part: "header", .. })));
        assert!(matches!(UnverifiedAssertion::read("e30.W10."), Err(InvalidAssertion::Json { part: "claims", .. })));
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".{0,200}") {
            let _ = UnverifiedAssertion::read(&text);
        }
    }
}
