//! A client assertion of any content. Read twice: as it came, and as a JWT made of the input's lines, so that base64
//! doesn't keep the fuzzer from the claims.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use oauth::assertion::UnverifiedAssertion;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
    let parts: Vec<String> = bytes.splitn(2, |byte| *byte == b'\n').map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    check(&format!("{}.AAAA", parts.join(".")));
});

fn check(text: &str) {
    match UnverifiedAssertion::read(text) {
        Ok(read) => {
            assert!(!read.issuer.is_empty() && !read.subject.is_empty() && !read.jti.is_empty());
            assert!(!read.audience.is_empty() && read.audience.iter().all(|own| !own.is_empty()));
            assert!(read.expires_at >= 0);
            assert_eq!(text.split('.').count(), 3);
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}
