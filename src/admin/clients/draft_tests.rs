use oauth::client::ClientKeys;
use serde_json::json;

use super::{Change, Draft, Rules};
use crate::config::Config;
use crate::model::managed::Properties;

/// RFC 7517 Appendix A.1.
const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

fn rules() -> Rules {
    Rules::of(&Config::load(None, []).unwrap())
}

fn texts(items: &[&str]) -> Change<Vec<String>> {
    Change::Set(items.iter().map(|item| (*item).to_owned()).collect())
}

fn set(text: &str) -> Change<String> {
    Change::Set(text.to_owned())
}

fn draft() -> Draft {
    Draft { name: set("An app"), redirect_uris: texts(&["https://a.example/cb"]), ..Draft::default() }
}

/// The field and the message of a draft that is wrong.
fn fault(draft: &Draft) -> (&'static str, String) {
    let fault = rules().new_client(draft).unwrap_err();
    (fault.field, fault.message)
}

#[test]
fn little_has_to_be_said() {
    let Properties { metadata, description, terms } = rules().new_client(&draft()).unwrap();
    let methods: Vec<_> = metadata.auth_methods.iter().map(|method| method.as_str()).collect();
    assert_eq!(methods, ["client_secret_post", "client_secret_basic"]);
    assert_eq!(metadata.grant_types, ["authorization_code", "refresh_token"]);
    assert_eq!((description, terms), (None, super::Terms::default()));
}

/// A slip is told with the name of the property, never mended in silence.
#[test]
fn each_fault_names_its_property() {
    for (change, field, word) in [
        (Draft { name: Change::Keep, ..draft() }, "name", "missing"),
        (Draft { name: set("a\u{202e}b"), ..draft() }, "name", "can't be seen"),
        (Draft { name: set(" "), ..draft() }, "name", "empty"),
        (Draft { description: set("a\nb"), ..draft() }, "description", "line break"),
        (Draft { redirect_uris: Change::Keep, ..draft() }, "redirect_uris", "at least one"),
        (Draft { redirect_uris: texts(&["http://a.example/cb"]), ..draft() }, "redirect_uris", "https"),
        (Draft { redirect_uris: texts(&["https://a/", "unknown://x"]), ..draft() }, "redirect_uris", "unknown://x"),
        (Draft { redirect_uris: texts(&["https://a/", "https://a/"]), ..draft() }, "redirect_uris", "twice"),
        (Draft { auth_methods: texts(&["basic"]), ..draft() }, "auth_methods", "client_secret_basic"),
        (Draft { auth_methods: texts(&[]), ..draft() }, "auth_methods", "at least one"),
        (Draft { auth_methods: texts(&["none", "client_secret_post"]), ..draft() }, "auth_methods", "alone"),
        (Draft { auth_methods: texts(&["private_key_jwt"]), ..draft() }, "jwks", "public keys"),
        (Draft { jwks_uri: set("https://a.example/keys"), ..draft() }, "jwks_uri", "private_key_jwt"),
        (Draft { allowed_scopes: texts(&["docs:reed"]), ..draft() }, "allowed_scopes", "docs:read"),
        (Draft { allowed_scopes: texts(&[]), ..draft() }, "allowed_scopes", "empty"),
        (Draft { access_ttl: set("25h"), ..draft() }, "access_ttl", "at most 1d"),
        (Draft { access_ttl: set("10"), ..draft() }, "access_ttl", "unit"),
        (Draft { refresh_idle_ttl: set("1m"), ..draft() }, "refresh_idle_ttl", "refresh_grace"),
        (Draft { refresh_idle_ttl: set("400d"), ..draft() }, "refresh_idle_ttl", "refresh_absolute_ttl"),
        (Draft { refresh_absolute_ttl: set("1d"), ..draft() }, "refresh_absolute_ttl", "refresh_idle_ttl"),
        (Draft { client_uri: set("javascript:alert(1)"), ..draft() }, "client_uri", "web address"),
    ] {
        let (found, message) = fault(&change);
        assert_eq!(found, field, "{message}");
        assert!(message.contains(word), "{field}: {message}");
    }
}

/// public keys only; what was shown is not safe any more.
#[test]
fn private_and_shared_keys_are_refused() {
    let with = |jwks: serde_json::Value| Draft {
        auth_methods: texts(&["private_key_jwt"]),
        jwks: Change::Set(jwks.to_string()),
        ..draft()
    };
    for (jwks, word) in [
        (json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "c"}]}), "private"),
        (json!({"keys": [{"kty": "oct", "k": "c"}]}), "shared secret"),
        (json!({"keys": []}), ""),
        (json!([]), ""),
        (json!({"keys": [{}]}), ""),
    ] {
        let (field, message) = fault(&with(jwks));
        assert!(field == "jwks" && message.contains(word), "{field}: {message}");
    }
    let good = rules().new_client(&with(json!({"keys": [{"kty": "EC", "crv": "P-256", "x": X, "y": Y}]}))).unwrap();
    assert!(matches!(good.metadata.keys, Some(ClientKeys::Inline(_))));
}

/// whatever people relied on when they approved is asked about again.
#[test]
fn what_people_relied_on_is_approved_again() {
    let before = rules().new_client(&draft()).unwrap();
    let after = |change: Draft| rules().apply(Some(before.clone()), &change).unwrap();
    for (change, again) in [
        (Draft { redirect_uris: texts(&["https://b.example/cb"]), ..Draft::default() }, true),
        (Draft { auth_methods: texts(&["none"]), ..Draft::default() }, true),
        (Draft { allowed_scopes: texts(&["docs:read"]), ..Draft::default() }, true),
        (Draft { name: set("Another name"), ..Draft::default() }, true),
        (Draft { description: set("For the team"), ..Draft::default() }, false),
        (Draft { access_ttl: set("5m"), ..Draft::default() }, false),
        (Draft::default(), false),
    ] {
        assert_eq!(before.must_be_approved_again(&after(change.clone())), again, "{change:?}");
    }
}
