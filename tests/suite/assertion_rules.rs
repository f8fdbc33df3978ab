//! `private_key_jwt` without a server: which assertions prove a client (R-06, B-13).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::jwks::JwkSet;
use oauth::time::Timestamp;
use portcullis::crypto::assertion::{AssertionRefusal, VerifiedAssertion, verify};
use serde_json::{Value, json};

use crate::signer::{Signer, claims};

const NOW: i64 = 1_800_000_000;
const ID: &str = "https://app.example.com/client.json";
const ISSUER: &str = "https://h.example";
const TOKEN: &str = "https://h.example/token";

fn set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn judge(assertion: &str, keys: &JwkSet) -> Result<VerifiedAssertion, AssertionRefusal> {
    verify(assertion, ID, keys, &[ISSUER, TOKEN], Timestamp(NOW))
}

/// R-06: each algorithm on offer works, for both names of this server.
#[test]
fn an_assertion_is_verified_under_each_algorithm() {
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let signer = Signer::new("k", alg);
        for audience in [ISSUER, TOKEN] {
            let verified = judge(&signer.assertion(ID, audience, NOW), &set(&[signer.jwk()])).unwrap();
            assert_eq!(verified.dead_at, Timestamp(NOW + 60 + 60), "{alg}");
            assert!(verified.jti.starts_with("jti-"));
        }
        let mut claims = claims(ID, ISSUER, NOW);
        claims["aud"] = json!([ISSUER]);
        for typ in [json!("client-authentication+jwt"), json!("application/jwt"), json!("jwt"), json!(null)] {
            let header = json!({ "alg": alg, "kid": "k", "typ": typ });
            assert!(judge(&signer.sign(&header, &claims), &set(&[signer.jwk()])).is_ok(), "{alg} {typ}");
        }
    }
}

/// B-13: every claim that RFC 7523 §3 asks about.
#[test]
fn every_broken_claim_is_refused_for_its_own_reason() {
    type Refusal = AssertionRefusal;
    let signer = Signer::new("k", "ES256");
    let keys = set(&[signer.jwk()]);
    let with = |changes: &Value| {
        let mut claims = claims(ID, ISSUER, NOW);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        judge(&signer.sign(&signer.header(), &claims), &keys)
    };
    assert!(with(&json!({ "iat": null, "nbf": NOW + 60 })).is_ok());
    for changes in [
        json!({ "iss": "https://app.example.com/client.json/" }),
        json!({ "sub": "https://evil.example/client.json" }),
        json!({ "iss": "x", "sub": "x" }),
    ] {
        assert_eq!(with(&changes), Err(Refusal::NotTheClient), "{changes}");
    }
    for audience in [
        json!("https://evil.example"),
        json!("https://h.example/"),
        json!("https://h.example/mcp"),
        json!("https://H.example"),
        json!([ISSUER, "https://evil.example"]),
        json!([ISSUER, TOKEN]),
    ] {
        assert!(matches!(with(&json!({ "aud": audience })), Err(Refusal::Audience { .. })), "{audience}");
    }
    for (changes, why) in [
        (json!({ "exp": NOW - 60, "iat": NOW - 120 }), Refusal::Expired),
        (json!({ "exp": 0 }), Refusal::Expired),
        (json!({ "exp": NOW + 361 }), Refusal::TooLong),
        (json!({ "exp": NOW + 300, "iat": NOW - 61 }), Refusal::TooLong),
        (json!({ "exp": NOW + 10, "iat": NOW - 86_400 }), Refusal::TooLong),
        (json!({ "iat": NOW + 61, "exp": NOW + 90 }), Refusal::NotYetValid),
        (json!({ "nbf": NOW + 61 }), Refusal::NotYetValid),
    ] {
        assert_eq!(with(&changes), Err(why), "{changes}");
    }
    for (changes, seconds) in [(json!({ "exp": NOW - 59, "iat": NOW - 119 }), 1), (json!({ "exp": NOW + 300 }), 360)] {
        assert_eq!(with(&changes).unwrap().dead_at, Timestamp(NOW + seconds), "{changes}");
    }
    for missing in ["iss", "sub", "aud", "exp", "jti"] {
        let refusal = with(&json!({ missing: null })).unwrap_err();
        assert!(refusal.to_string().contains(&format!("lacks {missing}")), "{refusal}");
    }
}

/// B-13, RFC 8725 §2.1: `none`, a shared secret made of the public key, another key's algorithm, another kind of JWT.
#[test]
fn algorithm_and_key_confusion_are_refused() {
    let (rsa, ec) = (Signer::new("r", "RS256"), Signer::new("e", "ES256"));
    let keys = set(&[rsa.jwk(), ec.jwk()]);
    let claims = claims(ID, ISSUER, NOW);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for name in ["none", "None", "HS256", "HS512", "RS512", "rs256", "ES256K"] {
        let refused = judge(&rsa.sign(&json!({ "alg": name, "kid": "r" }), &claims), &keys);
        assert_eq!(refused, Err(AssertionRefusal::Algorithm(name.to_owned())), "{name}");
    }
    let unsigned = format!("{}.{}.", encode(&json!({ "alg": "none" })), encode(&claims));
    assert!(matches!(judge(&unsigned, &keys), Err(AssertionRefusal::Algorithm(_))));
    // HMAC with the public key as the secret, under the name of the key's own algorithm and under HMAC's.
    for (name, refused) in
        [("RS256", AssertionRefusal::BadSignature), ("HS256", AssertionRefusal::Algorithm("HS256".to_owned()))]
    {
        let message = format!("{}.{}", encode(&json!({ "alg": name, "kid": "r" })), encode(&claims));
        for secret in [rsa.jwk()["n"].as_str().unwrap().as_bytes(), keys.as_str().as_bytes()] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(judge(&forged, &keys), Err(refused.clone()), "{name}");
        }
    }
    for (header, refused) in [
        (json!({ "alg": "RS256", "kid": "e" }), AssertionRefusal::KeyMismatch),
        (json!({ "alg": "PS256", "kid": "r" }), AssertionRefusal::BadSignature),
        (json!({ "alg": "ES384", "kid": "e" }), AssertionRefusal::KeyMismatch),
        (json!({ "alg": "EdDSA" }), AssertionRefusal::KeyMismatch),
        (json!({ "alg": "RS256", "kid": "r", "typ": "at+jwt" }), AssertionRefusal::Type("at+jwt".to_owned())),
    ] {
        assert_eq!(judge(&rsa.sign(&header, &claims), &keys), Err(refused), "{header}");
    }
    // A key in the header is the sender's choice and counts for nothing.
    let mallory = Signer::new("r", "RS256");
    let header = json!({ "alg": "RS256", "kid": "r", "jwk": mallory.jwk(), "jku": "https://evil.example/jwks" });
    assert_eq!(judge(&mallory.sign(&header, &claims), &keys), Err(AssertionRefusal::BadSignature));
    let good = rsa.sign(&rsa.header(), &claims);
    let other = rsa.assertion("https://evil.example/x", ISSUER, NOW);
    let spliced = format!("{}.{}", other.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
    assert_eq!(judge(&spliced, &keys), Err(AssertionRefusal::BadSignature));
    assert!(judge(&rsa.sign(&json!({ "alg": "RS256", "kid": "r", "crit": ["x"] }), &claims), &keys).is_err());
}

/// Which key: by `kid`; those without one may be tried, a few.
#[test]
fn the_key_is_chosen_by_its_name() {
    let (one, two) = (Signer::new("1", "ES256"), Signer::new("2", "ES256"));
    let assertion = two.assertion(ID, ISSUER, NOW);
    assert!(judge(&assertion, &set(&[one.jwk(), two.jwk()])).is_ok());
    assert_eq!(judge(&assertion, &set(&[one.jwk()])), Err(AssertionRefusal::UnknownKey));
    assert!(judge(&assertion, &set(&[one.jwk()])).unwrap_err().may_be_new_key());
    let nameless = |signer: &Signer| {
        let mut jwk = signer.jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    assert!(judge(&assertion, &set(&[one.jwk(), nameless(&two)])).is_ok());
    let without_kid = two.sign(&json!({ "alg": "ES256" }), &claims(ID, ISSUER, NOW));
    assert!(judge(&without_kid, &set(&[one.jwk(), two.jwk()])).is_ok());
    // A name that several keys have, as after a careless rotation.
    let twin = Signer::new("2", "ES256");
    assert!(judge(&assertion, &set(&[twin.jwk(), two.jwk()])).is_ok());
    let many: Vec<Value> = (0..4).map(|_| nameless(&Signer::new("", "ES256"))).chain([nameless(&two)]).collect();
    assert_eq!(judge(&without_kid, &set(&many)), Err(AssertionRefusal::Ambiguous));
    assert_eq!(judge(&assertion, &set(&many[..4])), Err(AssertionRefusal::BadSignature));
}
