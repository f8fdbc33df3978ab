//! Tests of [`ClientIdUrl`] and [`ClientDocument`].

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ClientDocument, ClientIdUrl, DocumentFault, DocumentRules, InvalidClientIdUrl, MAX_BYTES};
use crate::client::{AuthMethod, ClientKeys};
use crate::https_url::InvalidHttpsUrl;
use crate::json::{Excess, InvalidJson};
use crate::jwks::InvalidJwkSet;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;

const URL: &str = "https://app.example.com/client.json";

fn rules() -> DocumentRules {
    DocumentRules {
        auth_methods: vec![AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt],
        grant_types: vec!["authorization_code", "refresh_token"],
        scope: Scope::parse("a b offline_access").unwrap(),
        known_schemes: vec!["cursor".to_owned()],
        allowed_ports: vec![443],
    }
}

fn only(methods: &[AuthMethod]) -> DocumentRules {
    DocumentRules { auth_methods: methods.to_vec(), ..rules() }
}

fn base() -> Value {
    json!({ "client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"] })
}

fn with(changes: &Value) -> Value {
    let mut document = base();
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

fn read(document: &Value, rules: &DocumentRules) -> Result<ClientDocument, DocumentFault> {
    let url = ClientIdUrl::parse(URL, &[443]).unwrap();
    ClientDocument::parse(document.to_string().as_bytes(), &url, rules)
}

fn fault(changes: &Value) -> DocumentFault {
    read(&with(changes), &rules()).unwrap_err()
}

fn rsa_keys() -> Value {
    use base64::Engine as _;
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([0xAB; 256]);
    json!({ "keys": [{ "kty": "RSA", "kid": "k", "n": n, "e": "AQAB" }] })
}

///
#[test]
fn a_client_id_url_has_a_path_and_one_spelling() {
    for text in [URL, "https://chatgpt.com/oauth/abc/client.json", "https://a.example/x?y", "https://a.example/..x"] {
        assert_eq!(ClientIdUrl::parse(text, &[443]).unwrap().as_str(), text);
    }
    for (text, why) in [
        ("https://a.example", InvalidClientIdUrl::NoPath),
        ("https://a.example/", InvalidClientIdUrl::NoPath),
        ("https://a.example/?x", InvalidClientIdUrl::NoPath),
        ("https://a.example/a/../b", InvalidClientIdUrl::DotSegment),
        ("https://a.example/a/./b", InvalidClientIdUrl::DotSegment),
        ("https://a.example/a/..", InvalidClientIdUrl::DotSegment),
        ("https://a.example/a/%2e%2E/b", InvalidClientIdUrl::DotSegment),
        ("https://a.example/a/.%2e", InvalidClientIdUrl::DotSegment),
        ("https://a.example/a%2f..%2Fb", InvalidClientIdUrl::DotSegment),
        ("http://a.example/x", InvalidHttpsUrl::PlainHttp.into()),
        ("https://a.example/x#y", InvalidHttpsUrl::Fragment.into()),
        ("https://u@a.example/x", InvalidHttpsUrl::UserInfo.into()),
        ("https://10.0.0.1/x", InvalidHttpsUrl::AddressHost.into()),
        ("https://localhost/x", InvalidHttpsUrl::LocalHost("localhost".into()).into()),
        ("https://a.example:8443/x", InvalidHttpsUrl::Port(8443).into()),
        ("https://A.example/x", InvalidHttpsUrl::NotNormal("https://a.example/x".into()).into()),
    ] {
        assert_eq!(ClientIdUrl::parse(text, &[443]), Err(why), "{text}");
    }
    for (text, meant) in
        [(URL, true), ("HTTPS://x", true), ("http://x", true), ("pc_1", false), ("https:x", false), ("\u{e9}", false)]
    {
        assert_eq!(ClientIdUrl::is_meant_by(text), meant, "{text}");
    }
}

/// Section 2.4: what the vendors publish is read, and each client can connect.
#[test]
fn documents_of_known_vendors_are_read() {
    for (text, callbacks, methods, grants) in [
        (
            include_str!("../../../known-clients/documents/chatgpt.json"),
            &["https://chatgpt.com/connector_platform_oauth_redirect"][..],
            &[AuthMethod::PrivateKeyJwt, AuthMethod::None][..],
            2,
        ),
        (
            include_str!("../../../known-clients/documents/codex.json"),
            &["http://127.0.0.1:5555/callback", "http://localhost:1/callback"],
            &[AuthMethod::None],
            2,
        ),
        (
            include_str!("../../../known-clients/documents/claude.json"),
            &["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
            &[AuthMethod::None],
            2,
        ),
        (
            include_str!("../../../known-clients/documents/claude-code.json"),
            &["http://localhost:49152/callback", "http://127.0.0.1:49152/callback"],
            &[AuthMethod::None],
            2,
        ),
        (
            include_str!("../../../known-clients/documents/vscode.json"),
            &["http://127.0.0.1:33418/", "http://127.0.0.1:50000/", "https://vscode.dev/redirect"],
            &[AuthMethod::None],
            2,
        ),
    ] {
        let id = serde_json::from_str::<Value>(text).unwrap()["client_id"].as_str().unwrap().to_owned();
        let url = ClientIdUrl::parse(&id, &[443]).unwrap();
        let document = ClientDocument::parse(text.as_bytes(), &url, &rules()).unwrap();
        for callback in callbacks {
            assert!(RedirectUri::select(callback, &document.metadata.redirect_uris).is_some(), "{id}: {callback}");
        }
        assert_eq!(document.metadata.auth_methods, methods, "{id}");
        assert_eq!(document.metadata.grant_types.len(), grants, "{id}");
        assert_eq!(document.metadata.keys.is_some(), methods.len() == 2, "{id}");
    }
}

/// R-34, SEP-3149: the array decides, the single method only says what is preferred.
#[test]
fn the_array_of_methods_is_authoritative() {
    const KEY: AuthMethod = AuthMethod::PrivateKeyJwt;
    const NONE: AuthMethod = AuthMethod::None;
    let jwks_uri = json!("https://app.example.com/jwks.json");
    let methods = |single: Value, array: Value, rules: &DocumentRules| {
        let changes = json!({
            "token_endpoint_auth_method": single, "token_endpoint_auth_methods_supported": array, "jwks_uri": jwks_uri,
        });
        read(&with(&changes), rules).map(|document| document.metadata.auth_methods)
    };
    let (any, public) = (rules(), only(&[NONE, AuthMethod::ClientSecretPost]));
    for (single, array, rules, usable) in [
        (json!("private_key_jwt"), json!(["none", "private_key_jwt"]), &any, vec![KEY, NONE]),
        (json!("private_key_jwt"), json!(["none", "private_key_jwt"]), &public, vec![NONE]),
        (json!(null), json!(["none", "private_key_jwt", "none"]), &any, vec![NONE, KEY]),
        (json!("tls_client_auth"), json!(["none"]), &any, vec![NONE]),
        (json!("private_key_jwt"), json!(["none"]), &any, vec![NONE]),
        (json!("none"), json!(["private_key_jwt"]), &any, vec![KEY]),
        (json!("private_key_jwt"), json!(null), &any, vec![KEY]),
        (json!(""), json!([]), &any, vec![NONE]),
        (json!(null), json!(null), &public, vec![NONE]),
    ] {
        assert_eq!(methods(single.clone(), array.clone(), rules).unwrap(), usable, "{single} {array}");
    }
    for (single, array, rules, words) in [
        (json!("private_key_jwt"), json!(null), &public, "this client wants private_key_jwt, this server can do none"),
        (json!("none"), json!(["private_key_jwt"]), &public, "wants private_key_jwt, this server can do none"),
        (
            json!("tls_client_auth"),
            json!(null),
            &any,
            "wants tls_client_auth, this server can do none or private_key_jwt",
        ),
        (json!(null), json!(["x"]), &only(&[AuthMethod::ClientSecretPost]), "neither none nor private_key_jwt"),
        (json!("client_secret_post"), json!(null), &any, "client_secret_post, which needs a shared secret"),
        (json!(null), json!(["none", "client_secret_jwt"]), &any, "client_secret_jwt, which needs a shared secret"),
        (json!("client_secret_basic"), json!(["none"]), &any, "client_secret_basic, which needs a shared secret"),
    ] {
        let said = methods(single, array, rules).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}

///
#[test]
fn keys_are_inline_or_at_an_address() {
    let key = json!("private_key_jwt");
    let inline = read(&with(&json!({ "token_endpoint_auth_method": key, "jwks": rsa_keys() })), &rules()).unwrap();
    assert!(matches!(inline.metadata.keys, Some(ClientKeys::Inline(text)) if text.contains("\"kid\":\"k\"")));
    let uri = json!({ "token_endpoint_auth_method": key, "jwks_uri": "https://k.example/j" });
    assert_eq!(read(&with(&uri), &rules()).unwrap().metadata.keys, Some(ClientKeys::Uri("https://k.example/j".into())));
    assert_eq!(fault(&json!({ "token_endpoint_auth_method": key })), DocumentFault::NoKeys);
    let both = json!({ "jwks_uri": "https://k.example/j", "jwks": rsa_keys() });
    assert_eq!(fault(&both), DocumentFault::KeysTwice);
    // Without keys the other method is left.
    let either =
        read(&with(&json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"] })), &rules());
    assert_eq!(either.unwrap().metadata.auth_methods, [AuthMethod::None]);
    for (url, why) in [
        ("http://k.example/j", InvalidHttpsUrl::PlainHttp),
        ("https://127.0.0.1/j", InvalidHttpsUrl::AddressHost),
        ("https://k.example:22/j", InvalidHttpsUrl::Port(22)),
    ] {
        let changes = json!({ "token_endpoint_auth_method": key, "jwks_uri": url });
        assert_eq!(fault(&changes), DocumentFault::KeysUrl(why), "{url}");
    }
    let mut private = rsa_keys();
    private["keys"][0]["d"] = json!("AQAB");
    // A danger to its owner, whether the keys are needed or not.
    assert!(matches!(fault(&json!({ "jwks": private })), DocumentFault::Keys(InvalidJwkSet::PrivateKey { .. })));
    assert!(
        read(&with(&json!({ "jwks": { "keys": [] }, "jwks_uri": null })), &rules()).unwrap().metadata.keys.is_none()
    );
    assert!(matches!(fault(&json!({ "jwks": "x" })), DocumentFault::Wrong { member: "jwks", .. }));
}

/// R-33, B-12: the document must be the URL's own, by simple string comparison.
#[test]
fn client_id_is_compared_as_text() {
    for id in [
        "https://app.example.com/client.json/",
        "https://app.example.com/Client.json",
        "https://APP.example.com/client.json",
        "https://app.example.com:443/client.json",
        "https://app.example.com/client.json?",
        "https://evil.example/client.json",
    ] {
        assert_eq!(fault(&json!({ "client_id": id })), DocumentFault::OtherClientId(id.to_owned()), "{id}");
    }
    for absent in [json!(null), json!("")] {
        assert_eq!(fault(&json!({ "client_id": absent })), DocumentFault::NoClientId);
    }
}

/// R-33, B-12: each rule has its own refusal.
#[test]
fn every_broken_rule_is_named() {
    for (changes, words) in [
        (json!({ "client_name": null }), "no client_name"),
        (json!({ "client_name": "\u{202e}" }), "no client_name"),
        (json!({ "client_name": 5 }), "client_name must be a text"),
        (json!({ "redirect_uris": [] }), "no redirect_uris"),
        (json!({ "redirect_uris": "https://a/cb" }), "redirect_uris must be an array"),
        (json!({ "redirect_uris": ["https://app.example.com/cb", "javascript:alert(1)"] }), "javascript:alert(1) uses"),
        (json!({ "redirect_uris": ["http://app.example.com/cb"] }), "http://app.example.com/cb uses http"),
        (json!({ "redirect_uris": ["unknown://cb"] }), "unknown://cb uses a private scheme"),
        (json!({ "redirect_uris": vec!["https://a.example/cb"; 51] }), "more than 50 redirect_uris"),
        (json!({ "client_secret": "x" }), "has client_secret;"),
        (json!({ "client_secret_expires_at": 0 }), "has client_secret_expires_at;"),
        (json!({ "grant_types": ["client_credentials"] }), "lack authorization_code"),
        (json!({ "response_types": ["token"] }), "lack code"),
        (json!({ "jwks_uri": 5 }), "jwks_uri must be a text"),
    ] {
        let said = fault(&changes).to_string();
        assert!(said.contains(words), "{changes}: {said}");
    }
    let url = ClientIdUrl::parse(URL, &[443]).unwrap();
    let judge = |bytes: &[u8]| ClientDocument::parse(bytes, &url, &rules()).unwrap_err();
    assert_eq!(judge(&vec![b' '; MAX_BYTES + 1]), DocumentFault::Json(InvalidJson::TooLarge(MAX_BYTES)));
    assert!(judge(b"<!doctype html>").to_string().contains("web page"));
    assert_eq!(judge(b"[]"), DocumentFault::Json(InvalidJson::NotAnObject));
    let deep = Excess::Depth { found: 1000, most: 16 };
    assert_eq!(judge("[".repeat(1000).as_bytes()), DocumentFault::Json(InvalidJson::Excess(deep)));
}

/// RFC 7591 §2, R-15, R-16: what is unknown is left out and spoils nothing.
#[test]
fn unknown_members_schemes_and_grants_are_left_out() {
    let document = read(
        &with(&json!({
            "redirect_uris": ["unknown://cb", "cursor://x/cb", "https://app.example.com/cb", "https://app.example.com/cb"],
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer", "refresh_token"],
            "client_name": " A\u{202e}pp ",
            "scope": "a unknown",
            "logo_uri": "javascript:alert(1)",
            "client_uri": "https://app.example.com",
            "tos_uri": "http://app.example.com/tos",
            "policy_uri": 5,
            "software_id": null,
            "contacts": ["x"],
            "post_logout_redirect_uris": 7,
        })),
        &rules(),
    )
    .unwrap();
    assert_eq!(document.metadata.redirect_uris.len(), 2);
    assert_eq!(document.metadata.grant_types, ["authorization_code", "refresh_token"]);
    assert_eq!(
        (document.metadata.name.as_deref().unwrap(), document.metadata.scope.to_string().as_str()),
        ("App", "a")
    );
    assert_eq!(document.metadata.uri.as_deref(), Some("https://app.example.com"));
    assert_eq!((document.logo_uri, document.metadata.tos_uri, document.metadata.policy_uri), (None, None, None));
    assert_eq!(read(&base(), &rules()).unwrap().metadata.grant_types, ["authorization_code"]);
}

proptest! {
    #[test]
    fn no_input_panics(text in ".{0,300}", id in ".{0,100}") {
        let url = ClientIdUrl::parse(URL, &[443]).unwrap();
        let _ = ClientDocument::parse(text.as_bytes(), &url, &rules());
        if let Ok(url) = ClientIdUrl::parse(&id, &[443]) {
            prop_assert!(url.as_str() == id);
        }
    }
}
