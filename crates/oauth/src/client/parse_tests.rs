//! Tests of the one parser, by source and across sources.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{MAX_BYTES, MetadataRules, Source};
use crate::client::{AuthMethod, ClientIdUrl, ClientKeys, ClientMetadata, Member, MetadataFault, Problem};
use crate::error::{ErrorCode, Refusal};
use crate::https_url::InvalidHttpsUrl;
use crate::json::{Excess, InvalidJson};
use crate::jwks::InvalidJwkSet;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;

const URL: &str = "https://app.example.com/client.json";

fn rules() -> MetadataRules {
    MetadataRules {
        auth_methods: vec![AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt],
        grant_types: vec!["authorization_code", "refresh_token"],
        scope: Scope::parse("a b offline_access").unwrap(),
        known_schemes: vec!["cursor".to_owned()],
        allowed_ports: vec![443],
    }
}

fn only(methods: &[AuthMethod]) -> MetadataRules {
    MetadataRules { auth_methods: methods.to_vec(), ..rules() }
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

fn read(document: &Value, rules: &MetadataRules) -> Result<ClientMetadata, MetadataFault> {
    let url = ClientIdUrl::parse(URL, &[443]).unwrap();
    ClientMetadata::parse_document(document.to_string().as_bytes(), &url, rules)
}

fn refused(changes: &Value) -> MetadataFault {
    read(&with(changes), &rules()).unwrap_err()
}

fn fault(member: Member, problem: Problem) -> MetadataFault {
    MetadataFault::Member { member, problem }
}

fn register(members: &Value, rules: &MetadataRules) -> Result<ClientMetadata, MetadataFault> {
    ClientMetadata::parse(members.as_object().unwrap(), Source::Registration, rules)
}

fn rsa_keys() -> Value {
    use base64::Engine as _;
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([0xAB; 256]);
    json!({ "keys": [{ "kty": "RSA", "kid": "k", "n": n, "e": "AQAB" }] })
}

/// what the vendors publish is read, and each client can connect.
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
        let document = ClientMetadata::parse_document(text.as_bytes(), &url, &rules()).unwrap();
        for callback in callbacks {
            assert!(RedirectUri::select(callback, &document.redirect_uris).is_some(), "{id}: {callback}");
        }
        assert_eq!(document.auth_methods, methods, "{id}");
        assert_eq!(document.grant_types.len(), grants, "{id}");
        assert_eq!(document.keys.is_some(), methods.len() == 2, "{id}");
    }
}

/// R-34, SEP-3149: the array decides, the single method only says what is preferred.
#[test]
fn the_array_of_methods_is_authoritative() {
    const KEY: AuthMethod = AuthMethod::PrivateKeyJwt;
    const NONE: AuthMethod = AuthMethod::None;
    let jwks_uri = json!("https://app.example.com/jwks.json");
    let methods = |single: Value, array: Value, rules: &MetadataRules| {
        let changes = json!({
            "token_endpoint_auth_method": single, "token_endpoint_auth_methods_supported": array, "jwks_uri": jwks_uri,
        });
        read(&with(&changes), rules).map(|document| document.auth_methods)
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
    assert!(matches!(inline.keys, Some(ClientKeys::Inline(text)) if text.contains("\"kid\":\"k\"")));
    let uri = json!({ "token_endpoint_auth_method": key, "jwks_uri": "https://k.example/j" });
    assert_eq!(read(&with(&uri), &rules()).unwrap().keys, Some(ClientKeys::Uri("https://k.example/j".into())));
    assert_eq!(refused(&json!({ "token_endpoint_auth_method": key })), fault(Member::Jwks, Problem::NoKeys));
    let both = json!({ "jwks_uri": "https://k.example/j", "jwks": rsa_keys() });
    assert_eq!(refused(&both), fault(Member::Jwks, Problem::KeysTwice));
    // Without keys the other method is left.
    let either =
        read(&with(&json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"] })), &rules());
    assert_eq!(either.unwrap().auth_methods, [AuthMethod::None]);
    for (url, why) in [
        ("http://k.example/j", InvalidHttpsUrl::PlainHttp),
        ("https://127.0.0.1/j", InvalidHttpsUrl::AddressHost),
        ("https://k.example:22/j", InvalidHttpsUrl::Port(22)),
    ] {
        let changes = json!({ "token_endpoint_auth_method": key, "jwks_uri": url });
        assert_eq!(refused(&changes), fault(Member::JwksUri, Problem::KeysUrl(why)), "{url}");
    }
    let mut private = rsa_keys();
    private["keys"][0]["d"] = json!("AQAB");
    // A danger to its owner, whether the keys are needed or not.
    assert!(matches!(
        refused(&json!({ "jwks": private })),
        MetadataFault::Member { problem: Problem::Keys(InvalidJwkSet::PrivateKey { .. }), .. }
    ));
    assert!(read(&with(&json!({ "jwks": { "keys": [] }, "jwks_uri": null })), &rules()).unwrap().keys.is_none());
    assert!(matches!(
        refused(&json!({ "jwks": "x" })),
        MetadataFault::Member { member: Member::Jwks, problem: Problem::Unlike(_) }
    ));
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
        assert_eq!(
            refused(&json!({ "client_id": id })),
            fault(Member::ClientId, Problem::OtherClientId(id.to_owned())),
            "{id}"
        );
    }
    for absent in [json!(null), json!("")] {
        let said = refused(&json!({ "client_id": absent })).to_string();
        assert!(said.starts_with("client_id is missing"), "{said}");
    }
}

/// R-33, B-12: each rule has its own refusal.
#[test]
fn every_broken_rule_is_named() {
    for (changes, words) in [
        (json!({ "client_name": null }), "client_name is missing"),
        (json!({ "client_name": "\u{202e}" }), "client_name is missing"),
        (json!({ "client_name": 5 }), "client_name must be a string"),
        (json!({ "redirect_uris": [] }), "redirect_uris is missing"),
        (json!({ "redirect_uris": "https://a/cb" }), "redirect_uris must be an array"),
        (
            json!({ "redirect_uris": ["https://app.example.com/cb", "javascript:alert(1)"] }),
            "javascript:alert(1), which uses",
        ),
        (json!({ "redirect_uris": ["http://app.example.com/cb"] }), "http://app.example.com/cb, which uses http"),
        (json!({ "redirect_uris": ["unknown://cb"] }), "unknown://cb, which uses a private scheme"),
        (json!({ "redirect_uris": vec!["https://a.example/cb"; 51] }), "redirect_uris has 51 entries"),
        (json!({ "client_secret": "x" }), "(client_secret)"),
        (json!({ "client_secret_expires_at": 0 }), "(client_secret_expires_at)"),
        (json!({ "grant_types": ["client_credentials"] }), "must include authorization_code"),
        (json!({ "response_types": ["token"] }), "must include code"),
        (json!({ "jwks_uri": 5 }), "jwks_uri must be a string"),
    ] {
        let said = refused(&changes).to_string();
        assert!(said.contains(words), "{changes}: {said}");
    }
    let url = ClientIdUrl::parse(URL, &[443]).unwrap();
    let judge = |bytes: &[u8]| ClientMetadata::parse_document(bytes, &url, &rules()).unwrap_err();
    assert_eq!(judge(&vec![b' '; MAX_BYTES + 1]), MetadataFault::Json(InvalidJson::TooLarge(MAX_BYTES)));
    assert!(judge(b"<!doctype html>").to_string().contains("web page"));
    assert_eq!(judge(b"[]"), MetadataFault::Json(InvalidJson::NotAnObject));
    let deep = Excess::Depth { found: 1000, most: 16 };
    assert_eq!(judge("[".repeat(1000).as_bytes()), MetadataFault::Json(InvalidJson::Excess(deep)));
}

/// RFC 7591 §2, R-15, R-16, S13: what is unknown is left out and spoils nothing.
#[test]
fn unknown_members_schemes_and_grants_are_left_out() {
    let document = read(
        &with(&json!({
            "redirect_uris": ["unknown://cb", "cursor://x/cb", "https://app.example.com/cb", "https://app.example.com/cb"],
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer", "refresh_token"],
            "client_name": " A\u{202e}pp ",
            "scope": "a unknown",
            "software_version": "javascript:alert(1)\u{0}",
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
    assert_eq!(document.redirect_uris.len(), 2);
    assert_eq!(document.grant_types, ["authorization_code", "refresh_token"]);
    assert_eq!((document.name.as_deref().unwrap(), document.scope.to_string().as_str()), ("App", "a"));
    assert_eq!(document.uri.as_deref(), Some("https://app.example.com"));
    assert_eq!(
        (document.tos_uri.as_deref(), document.policy_uri.as_deref()),
        (Some("http://app.example.com/tos"), None)
    );
    assert_eq!(read(&base(), &rules()).unwrap().grant_types, ["authorization_code"]);
}

/// RFC 7591 §2 defaults.
#[test]
fn omitted_members_get_the_defaults_of_rfc7591() {
    let client = register(&json!({ "redirect_uris": ["https://a.example/cb"] }), &rules()).unwrap();
    assert_eq!(client.auth_methods, [AuthMethod::ClientSecretBasic]);
    assert_eq!(client.grant_types, ["authorization_code"]);
    assert_eq!(client.scope, rules().scope);
}

/// B-11, B3: of a registration, nulls, empty texts and unknown members are absent; wrong types are named.
#[test]
fn nulls_and_unknown_members_are_ignored_and_wrong_types_named() {
    let lenient =
        json!({ "redirect_uris": ["http://127.0.0.1/"], "client_name": null, "scope": "", "logo_uri": "", "x": {} });
    assert_eq!(register(&lenient, &rules()).unwrap().name, None);
    let (uri, other) = (ErrorCode::InvalidRedirectUri, ErrorCode::InvalidClientMetadata);
    for (changes, code, words) in [
        (json!({ "redirect_uris": "https://a/cb" }), other, "redirect_uris must be"),
        (json!({ "redirect_uris": [1] }), other, "redirect_uris must be"),
        (json!({ "client_name": 1 }), other, "client_name must be"),
        (json!({ "software_id": ["x"] }), other, "software_id must be"),
        (json!({ "redirect_uris": null }), uri, "redirect_uris is missing"),
        (json!({ "redirect_uris": ["javascript:alert(1)", "https://a/cb"] }), uri, "javascript"),
        (json!({ "grant_types": ["client_credentials"] }), other, "grant_types must include"),
        (json!({ "response_types": ["token"] }), other, "response_types must include"),
        (json!({ "client_name": "a\u{0}" }), other, "client_name holds a NUL"),
        (json!({ "client_name": "a".repeat(201) }), other, "client_name is longer than 200"),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), other, "jwks is missing"),
    ] {
        let mut members = json!({ "redirect_uris": ["https://a/cb"] });
        for (name, value) in changes.as_object().unwrap() {
            members[name] = value.clone();
        }
        let refusal = Refusal::from(register(&members, &rules()).unwrap_err());
        assert_eq!(refusal.code, code, "{members}");
        assert!(refusal.description.contains(words), "{} lacks {words}", refusal.description);
    }
}

/// what isn't offered is replaced, never refused.
#[test]
fn what_is_not_offered_is_replaced_and_echoed() {
    let public_only = only(&[AuthMethod::None]);
    let any = only(&AuthMethod::ALL);
    let body = json!({
        "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback", "unknownapp://cb", "http://localhost:8787/callback"],
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "application_type": "web",
        "scope": "a admin",
        "client_name": "Cur\u{202e}sor",
    });
    let client = register(&body, &public_only).unwrap();
    assert_eq!(client.auth_methods, [AuthMethod::None]);
    assert_eq!(client.redirect_uris.len(), 2);
    assert_eq!(client.grant_types, ["authorization_code", "refresh_token"]);
    assert_eq!(client.scope.to_string(), "a");
    assert_eq!(client.name.as_deref(), Some("Cursor"));
    assert_eq!(register(&body, &any).unwrap().auth_methods, [AuthMethod::ClientSecretPost]);
    let echoed = Value::Object(client.registered());
    assert_eq!(echoed["token_endpoint_auth_method"], "none");
    assert_eq!(echoed["response_types"], json!(["code"]));
    assert!(echoed.get("client_uri").is_none(), "absent members are left out: {echoed}");
}

/// What all three sources say of one member.
fn by_source(changes: &Value) -> [Result<ClientMetadata, MetadataFault>; 3] {
    let url = ClientIdUrl::parse(URL, &[443]).unwrap();
    let mut members = json!({
        "client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"],
    });
    for (name, value) in changes.as_object().unwrap() {
        members[name] = value.clone();
    }
    let sources = [Source::Registration, Source::Document(&url), Source::Administrator(None)];
    sources.map(|source| ClientMetadata::parse(members.as_object().unwrap(), source, &rules()))
}

/// One fact, one limit: what is lawful in one source is lawful in all.
#[test]
fn the_sources_agree_on_what_is_lawful() {
    let uris = |count: usize| (0..count).map(|n| format!("https://app.example.com/{n}")).collect::<Vec<_>>();
    for lawful in [
        json!({ "redirect_uris": uris(50) }),
        json!({ "client_uri": "http://app.example.com/about" }),
        json!({ "tos_uri": "https://app.example.com/terms" }),
        json!({ "client_name": "\u{928}\u{94d}\u{200d}\u{92f}" }),
    ] {
        for read in by_source(&lawful) {
            let read = serde_json::to_value(read.unwrap()).unwrap();
            for (member, value) in lawful.as_object().unwrap() {
                assert_eq!(&read[member], value);
            }
        }
    }
    let mut private = rsa_keys();
    private["keys"][0]["d"] = json!("AQAB");
    for unlawful in [
        json!({ "redirect_uris": uris(51) }),
        json!({ "redirect_uris": ["https://app.example.com/cb", "javascript:alert(1)"] }),
        json!({ "redirect_uris": ["http://app.example.com/cb"] }),
        json!({ "redirect_uris": ["https://app.example.com/".repeat(90)] }),
        json!({ "redirect_uris": (0..50).map(|n| format!("https://a.example/{n}{}", "x".repeat(500))).collect::<Vec<_>>() }),
        json!({ "jwks": private }),
        json!({ "jwks": rsa_keys(), "jwks_uri": "https://app.example.com/keys" }),
        json!({ "client_name": 5 }),
        json!({ "client_name": "a\u{0}b" }),
        json!({ "response_types": ["token"] }),
    ] {
        for (at, read) in by_source(&unlawful).into_iter().enumerate() {
            assert!(read.is_err(), "source {at} takes {unlawful}");
        }
    }
    // Keys at addresses that nobody here would ever fetch: of documents and administrators as of registrations.
    for uri in ["http://k.example/j", "https://127.0.0.1/j", "https://k.example:22/j", "https://u@k.example/j"] {
        let methods = json!(["private_key_jwt"]);
        let by_key = json!({
            "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": methods, "jwks_uri": uri,
        });
        for read in by_source(&by_key) {
            let fault = read.unwrap_err();
            assert!(fault.to_string().starts_with("jwks_uri can't be fetched from"), "{uri}: {fault}");
        }
    }
}

/// RFC 7396: what an administrator doesn't name stays, whatever the rules have become since; null goes back to the default.
#[test]
fn an_administrator_changes_what_is_named() {
    let parse = |members: &Value, before| {
        ClientMetadata::parse(members.as_object().unwrap(), Source::Administrator(before), &rules())
    };
    let new = json!({
        "client_name": "App", "redirect_uris": ["https://a.example/cb"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"], "jwks": rsa_keys(), "client_uri": "https://a.example/",
    });
    let mut before = parse(&new, None).unwrap();
    assert_eq!(before.grant_types, ["authorization_code", "refresh_token"]);
    before.redirect_uris.push(RedirectUri::from_stored("oncelawful://cb").unwrap());
    let same = parse(&json!({}), Some(&before)).unwrap();
    assert_eq!(same, before);
    assert_eq!(same.digest(), before.digest());
    let renamed = parse(&json!({ "client_name": "Another", "client_uri": null }), Some(&before)).unwrap();
    assert_eq!(renamed, ClientMetadata { name: Some("Another".to_owned()), uri: None, ..before.clone() });
    let elsewhere = parse(&json!({ "jwks_uri": "https://a.example/keys", "jwks": null }), Some(&before)).unwrap();
    assert_eq!(elsewhere.keys, Some(ClientKeys::Uri("https://a.example/keys".to_owned())));
    assert_eq!(parse(&json!({ "jwks": null }), Some(&before)), Err(fault(Member::Jwks, Problem::NoKeys)));
    let methods = json!({ "token_endpoint_auth_methods_supported": null });
    let by_secret = parse(&methods, Some(&before)).unwrap();
    assert_eq!((by_secret.keys, by_secret.auth_methods.len()), (None, 2), "keys without use are forgotten");
}

/// RFC 7591 §2: kept and echoed as they show, and part of what people approve.
#[test]
fn contacts_are_kept_from_every_source() {
    let without = by_source(&json!({ "contacts": [] })).map(Result::unwrap);
    let with = by_source(&json!({ "contacts": ["ada@example.com", " sup\u{202e}port ", ""] })).map(Result::unwrap);
    for (without, with) in without.iter().zip(&with) {
        assert_eq!(with.contacts, ["ada@example.com", "support"]);
        assert_eq!(with.registered()["contacts"], json!(with.contacts));
        assert!(!without.registered().contains_key("contacts"));
        assert!(with.digest() != without.digest() && with.fingerprint() != without.fingerprint());
    }
    let [registered, published, entered] = by_source(&json!({ "contacts": "ada@example.com" }));
    let named = |read: Result<_, MetadataFault>| read.unwrap_err().to_string().starts_with("contacts must be");
    assert!(named(registered) && named(entered));
    assert!(published.unwrap().contacts.is_empty(), "a person can't mend a document");
}

/// What is stored comes back as it was: a digest that an approval was kept with stays good.
#[test]
fn stored_metadata_comes_back_as_it_was() {
    for keys in [json!({}), json!({ "jwks": rsa_keys() }), json!({ "jwks_uri": "https://app.example.com/keys" })] {
        let mut members = with(&json!({
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"], "client_uri": "https://app.example.com",
            "policy_uri": "https://app.example.com/p", "software_id": "s", "software_version": "1", "application_type": "web",
        }));
        members.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let client = read(&members, &rules()).unwrap();
        let text = serde_json::to_string(&client).unwrap();
        let back: ClientMetadata = serde_json::from_str(&text).unwrap();
        assert_eq!((&back, back.digest()), (&client, client.digest()), "{text}");
        let mut of_tomorrow: Map<String, Value> = serde_json::from_str(&text).unwrap();
        of_tomorrow.insert("member_of_tomorrow".to_owned(), json!({ "a": 1 }));
        assert_eq!(serde_json::from_value::<ClientMetadata>(Value::Object(of_tomorrow)).unwrap(), client);
    }
}

/// Digests are kept in rows for years: these are those of the first release.
#[test]
fn digests_stay_what_they_were() {
    let client = read(&with(&json!({ "software_version": "1" })), &rules()).unwrap();
    assert_eq!(client.digest(), "sQdN01abLWXGy5uIviRoo7qJ-ldSbzQ89mU7bU7mBpM");
    assert_eq!(client.fingerprint(), "K0AqSjaSZW6pdzCO1l-nBcgb5OkgWonckPiIuKpsjVU");
}

proptest! {
    #[test]
    fn no_input_panics(text in ".{0,300}", id in ".{0,100}") {
        let url = ClientIdUrl::parse(URL, &[443]).unwrap();
        let _ = ClientMetadata::parse_document(text.as_bytes(), &url, &rules());
        if let Ok(url) = ClientIdUrl::parse(&id, &[443]) {
            prop_assert!(url.as_str() == id);
        }
    }
}
