//! Request parameters (RFC 6749 §3.1, §3.2): a form or query as the protocol reads it.
//!
//! A parameter without a value counts as absent, an unknown one is ignored, a repeated one is refused, save
//! for `resource`, which RFC 8707 lets repeat. Sizes are bounded before anything is kept.

use super::error::Refusal;

/// The most bytes that one value may have: 8 KB states are real (VS Code, Entra), more is abuse.
const MAX_VALUE: usize = 16 * 1024;
/// The most parameters of one request.
const MAX_COUNT: usize = 100;

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `application/x-www-form-urlencoded` text (RFC 6749 Appendix B).
    ///
    /// # Errors
    /// `invalid_request` for broken percent-encoding, text that is not UTF-8, NUL bytes, too many or too long
    /// parameters.
    pub fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        let pieces = || text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
        // Those without a value count too: each is decoded before it turns out to have none.
        let count = pieces().count();
        if count > MAX_COUNT {
            return Err(Refusal::invalid_request(format!("{count} parameters are too many; send {MAX_COUNT} at most")));
        }
        for piece in pieces() {
            let (name, value) = match piece.iter().position(|byte| *byte == b'=') {
                Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at + 1..).unwrap_or_default()),
                None => (piece, &[][..]),
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if value.len() > MAX_VALUE || name.len() > 256 {
                return Err(Refusal::invalid_request(format!("a parameter is longer than {MAX_VALUE} bytes")));
            }
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may stand once.
    ///
    /// # Errors
    /// `invalid_request` when it is repeated (RFC 6749 §3.1).
    pub fn one<'a>(&'a self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Refusal::invalid_request(format!("{name} is given more than once"))),
        }
    }

    /// The value of a parameter that must stand once.
    ///
    /// # Errors
    /// `invalid_request` when it is missing or repeated.
    pub fn required<'a>(&'a self, name: &str) -> Result<&'a str, Refusal> {
        self.one(name)?.ok_or_else(|| Refusal::invalid_request(format!("{name} is missing")))
    }

    /// The first value of a parameter, repeated or not: for what must be echoed even in a refusal.
    #[must_use]
    pub fn first<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All of them with their values, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All values of a parameter that may repeat.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Percent-decoding with `+` as space. A lone `%` is an error here: what a client did not encode must not
/// silently become another value.
fn decode(text: &[u8]) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = (rest.next().copied().and_then(hex), rest.next().copied().and_then(hex));
                let (Some(high), Some(low)) = pair else {
                    return Err(Refusal::invalid_request("broken percent-encoding: % needs two hex digits after it"));
                };
                high << 4 | low
            }
            other => *other,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) => Err(Refusal::invalid_request("a parameter holds a NUL byte")),
        Err(_) => Err(Refusal::invalid_request("a parameter is not UTF-8")),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::Params;
    use proptest::prelude::*;

    #[test]
    fn empty_means_absent_and_repeats_are_refused() {
        let params = Params::parse(b"scope=&state=a%2Bb+c&x&resource=1&resource=2&client_id=a&client_id=a").unwrap();
        assert_eq!(params.one("scope").unwrap(), None);
        assert_eq!(params.one("state").unwrap(), Some("a+b c"));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["1", "2"]);
        assert!(params.one("client_id").is_err());
        assert!(params.required("code").is_err());
    }

    /// B-26: broken encodings, NUL bytes and floods get a clear `invalid_request`.
    #[test]
    fn broken_text_is_refused() {
        for text in [&b"a=%"[..], b"a=%2", b"a=%zz", b"a=%ff", b"a=%00"] {
            assert!(Params::parse(text).is_err(), "{text:?}");
        }
        for many in ["a=b&", "a=&", "a&", "&a&&", "%61=+&"] {
            let refusal = Params::parse(many.repeat(101).as_bytes()).unwrap_err();
            assert_eq!(refusal.description, "101 parameters are too many; send 100 at most", "{many}");
            assert!(Params::parse(many.repeat(100).as_bytes()).is_ok(), "{many}");
        }
        assert!(Params::parse(format!("a={}", "x".repeat(17_000)).as_bytes()).is_err());
        assert!(Params::parse(format!("state={}", "x".repeat(8192)).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_input_panics_and_encoded_values_come_back(value in "[^\0]{1,64}") {
            let text = url::form_urlencoded::Serializer::new(String::new()).append_pair("k", &value).finish();
            let params = Params::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(params.one("k").unwrap(), Some(value.as_str()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::parse(&bytes);
        }
    }
}
