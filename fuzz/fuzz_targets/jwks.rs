//! A key set of any content: it is refused, or what is kept of it is public, reads as the same and fits an algorithm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oauth::jwks::{AssertionAlgorithm, JwkSet};

fuzz_target!(|bytes: &[u8]| {
    match JwkSet::parse(bytes) {
        Ok(set) => {
            assert_eq!(JwkSet::parse(set.as_str().as_bytes()).as_ref(), Ok(&set));
            for key in set.keys() {
                let fitting = AssertionAlgorithm::ALL.into_iter().filter(|own| key.fits(*own)).count();
                assert!(fitting >= 1 && fitting <= 2);
                assert!(key.algorithm.is_none_or(|own| key.fits(own)));
                assert!(key.kid.as_ref().is_none_or(|kid| set.has(kid)));
            }
            let kept: serde_json::Value = serde_json::from_str(set.as_str()).expect("what is kept is JSON");
            for key in kept["keys"].as_array().expect("with keys") {
                let lawful = ["kty", "crv", "kid", "alg", "n", "e", "x", "y"];
                assert!(key.as_object().expect("objects").keys().all(|name| lawful.contains(&name.as_str())));
            }
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
