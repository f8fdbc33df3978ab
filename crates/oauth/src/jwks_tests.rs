//! Tests of [`JwkSet`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AssertionAlgorithm, InvalidJwkSet, JwkSet, PublicKey, Unusable};

fn number(bytes: usize) -> String {
    URL_SAFE_NO_PAD.encode(vec![0xAB; bytes])
}

fn rsa() -> Value {
    json!({ "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": number(256), "e": "AQAB" })
}

fn parse(keys: &[Value]) -> Result<JwkSet, InvalidJwkSet> {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// R-35: the kinds of keys that clients publish.
#[test]
fn rsa_ec_and_ed25519_keys_are_read() {
    let set = parse(&[
        rsa(),
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": number(32), "y": number(32) }),
        json!({ "kty": "EC", "crv": "P-384", "x": number(48), "y": number(48), "key_ops": ["verify"] }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": number(32), "alg": "Ed25519", "x5c": ["ignored"] }),
    ])
    .unwrap();
    assert_eq!(set.keys().len(), 4);
    assert!(set.has("r") && set.has("a") && !set.has("b"));
    assert!(matches!(&set.keys()[0].key, PublicKey::Rsa { e, .. } if e == "AQAB"));
    assert_eq!(set.keys()[3].algorithm, Some(AssertionAlgorithm::EdDsa));
    assert_eq!(JwkSet::parse(set.as_str().as_bytes()).unwrap(), set, "what is stored reads as the same");
}

/// RFC 8725 §3.1: the key decides which algorithms it can be used with.
#[test]
fn a_key_fits_its_own_algorithms_only() {
    let mut any_rsa = rsa();
    any_rsa.as_object_mut().unwrap().remove("alg");
    let set =
        parse(&[rsa(), any_rsa, json!({ "kty": "EC", "crv": "P-256", "x": number(32), "y": number(32) })]).unwrap();
    let fits = |at: usize| {
        let fitting = AssertionAlgorithm::ALL.into_iter().filter(|own| set.keys()[at].fits(*own));
        fitting.map(AssertionAlgorithm::as_str).collect::<Vec<_>>()
    };
    assert_eq!(fits(0), ["RS256"]);
    assert_eq!(fits(1), ["RS256", "PS256"]);
    assert_eq!(fits(2), ["ES256"]);
    for name in ["none", "HS256", "RS384", "ES512", "rs256", ""] {
        assert_eq!(AssertionAlgorithm::parse(name), None, "{name}");
    }
}

/// R-35: a published private or shared key spoils the whole set.
#[test]
fn private_and_shared_keys_are_refused() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let mut key = rsa();
        key[member] = json!("AQAB");
        assert_eq!(parse(&[rsa(), key]), Err(InvalidJwkSet::PrivateKey { kid: "kid r".into() }), "{member}");
    }
    let oct = json!({ "kty": "oct", "k": "c2VjcmV0" });
    assert_eq!(parse(&[rsa(), oct]), Err(InvalidJwkSet::SharedSecret { kid: "without a kid".into() }));
}

/// What can't be used is passed over, with the reason when nothing is left.
#[test]
fn keys_of_other_kinds_are_passed_over() {
    let with = |name: &str, value: Value| {
        let mut key = rsa();
        key[name] = value;
        key
    };
    for (key, why) in [
        (with("use", json!("enc")), Unusable::Purpose),
        (with("key_ops", json!(["encrypt"])), Unusable::Purpose),
        (with("key_ops", json!("verify")), Unusable::Purpose),
        (with("alg", json!("HS256")), Unusable::Algorithm),
        (with("alg", json!("ES256")), Unusable::Algorithm),
        (with("alg", json!("RS512")), Unusable::Algorithm),
        (with("n", json!(number(255))), Unusable::RsaSize),
        (with("n", json!(format!("{}{}", URL_SAFE_NO_PAD.encode([0; 3]), number(255)))), Unusable::RsaSize),
        (with("n", json!(number(1025))), Unusable::RsaSize),
        (with("e", json!("AQ")), Unusable::RsaSize),
        (with("e", json!("AAAC")), Unusable::RsaSize),
        (with("e", json!(number(5))), Unusable::RsaSize),
        (with("n", json!("not base64")), Unusable::Number),
        (with("n", json!(5)), Unusable::Malformed),
        (with("n", Value::Null), Unusable::Malformed),
        (with("kid", json!("k".repeat(257))), Unusable::Kid),
        (with("kty", json!("PQC")), Unusable::Kind),
        (json!({ "kty": "EC", "crv": "P-521", "x": number(66), "y": number(66) }), Unusable::Kind),
        (json!({ "kty": "EC", "crv": "P-256", "x": number(31), "y": number(32) }), Unusable::Number),
        (json!("x"), Unusable::Malformed),
    ] {
        assert_eq!(parse(std::slice::from_ref(&key)), Err(InvalidJwkSet::NoneUsable { why }), "{key}");
        assert_eq!(parse(&[key.clone(), rsa()]).unwrap().keys().len(), 1, "{key}");
    }
    assert_eq!(parse(&[]), Err(InvalidJwkSet::NoneUsable { why: Unusable::Empty }));
    assert_eq!(parse(&vec![rsa(); 51]), Err(InvalidJwkSet::TooMany));
    assert_eq!(JwkSet::parse(b"{}"), Err(InvalidJwkSet::NoKeys));
    assert!(JwkSet::parse(b"[]").is_err());
}

proptest! {
    #[test]
    fn no_input_panics(text in ".{0,200}") {
        let _ = JwkSet::parse(text.as_bytes());
    }
}
