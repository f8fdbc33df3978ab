//! `client` and `token`, as administrators type them: the built binary, in a folder of its own.

use serde_json::{Value, json};

use crate::cli::Place;

const CALLBACK: &str = "https://a.example/cb";

fn json_of(place: &Place, arguments: &[&str]) -> Value {
    let answer = place.run(arguments);
    assert!(answer.good, "{answer:?}");
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}", answer.out))
}

fn refused(place: &Place, arguments: &[&str], word: &str) {
    let answer = place.run(arguments);
    assert!(!answer.good && answer.err.contains(word), "{arguments:?}: {answer:?}");
}

/// what is printed is what the form asks for, the secret once.
#[test]
fn a_client_is_entered_and_told_what_to_paste() {
    let place = Place::new();
    let made = place.run(&["client", "add", "--for", "claude"]);
    assert!(made.good, "{made:?}");
    for part in [
        "MCP server URL       http://localhost:8080/mcp",
        "Authorization URL    http://localhost:8080/authorize",
        "Token URL            http://localhost:8080/token",
        "client_secret_post or client_secret_basic",
        "https://claude.ai/api/mcp/auth_callback",
        "https://claude.com/api/mcp/auth_callback",
    ] {
        assert!(made.out.contains(part), "{part}: {}", made.out);
    }
    let secret = made.out.split_whitespace().find(|word| word.starts_with("pcs_")).unwrap();
    let listed = json_of(&place, &["client", "list", "--json"]);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!((&listed[0]["name"], listed.as_array().unwrap().len()), (&json!("Claude"), 1));
    assert!(place.run(&["client", "list"]).out.lines().any(|line| line.starts_with(id) && line.contains("managed")));
    for arguments in
        [["client", "show", id].as_slice(), &["client", "show", id, "--json"], &["client", "list", "--json"]]
    {
        assert!(!place.run(arguments).out.contains(secret), "{arguments:?}");
    }
    let local = json_of(&place, &["client", "add", "--for", "codex", "--json"]);
    assert_eq!((&local["client"]["auth_methods"], local.get("client_secret")), (&json!(["none"]), None));
}

/// A callback more than those that are known of a product.
#[test]
fn a_callback_is_added_to_those_that_are_known() {
    let place = Place::new();
    let local = "http://localhost/callback";
    let insomnia =
        ["client", "add", "--for", "insomnia", "--auth-method", "none", "--add-redirect-uri", local, "--json"];
    let made = json_of(&place, &insomnia);
    assert_eq!(made["client"]["redirect_uris"], json!(["https://app.insomnia.rest/oauth/redirect", local]));
    assert_eq!((&made["client"]["auth_methods"], made.get("client_secret")), (&json!(["none"]), None));
    let other = json_of(&place, &["client", "add", "A", "--add-redirect-uri", CALLBACK, "--json"]);
    assert_eq!(other["client"]["redirect_uris"], json!([CALLBACK]));
}

/// Everything that can be said of a client, and each slip by its name.
#[test]
fn a_client_is_entered_with_all_its_properties() {
    let place = Place::new();
    std::fs::write(
        place.0.join("keys.json"),
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}]}",
    )
    .unwrap();
    let made = json_of(
        &place,
        &[
            "client",
            "add",
            "Signed",
            "--id",
            "signed.1",
            "--redirect-uri",
            CALLBACK,
            "--redirect-uri",
            "http://localhost/cb",
            "--auth-method",
            "private_key_jwt",
            "--jwks-file",
            "keys.json",
            "--no-refresh",
            "--allow-scope",
            "docs:read",
            "--access-ttl",
            "10m",
            "--refresh-idle-ttl",
            "1h",
            "--refresh-absolute-ttl",
            "1d",
            "--first-party",
            "--description",
            "For tests",
            "--client-uri",
            "https://a.example/",
            "--json",
        ],
    );
    assert_eq!(made.get("client_secret"), None);
    let client = &made["client"];
    for (member, value) in [
        ("id", json!("signed.1")),
        ("redirect_uris", json!([CALLBACK, "http://localhost/cb"])),
        ("auth_methods", json!(["private_key_jwt"])),
        ("refresh", json!(false)),
        ("allowed_scopes", json!(["docs:read"])),
        ("access_ttl", json!("10m")),
        ("refresh_idle_ttl", json!("1h")),
        ("refresh_absolute_ttl", json!("1d")),
        ("first_party", json!(true)),
        ("description", json!("For tests")),
        ("client_uri", json!("https://a.example/")),
    ] {
        assert_eq!(client[member], value, "{member}");
    }
    assert_eq!(client["jwks"]["keys"][0]["kty"], "EC");
    refused(&place, &["client", "add", "A", "--id", "signed.1", "--redirect-uri", CALLBACK], "taken");
    refused(&place, &["client", "add", "A", "--id", "https://a.example/x", "--redirect-uri", CALLBACK], "id: ");
    refused(&place, &["client", "add", "A", "--redirect-uri", CALLBACK, "--allow-scope", "docs:reed"], "docs:read");
    refused(&place, &["client", "add", "A", "--redirect-uri", CALLBACK, "--access-ttl", "2d"], "access_ttl: ");
    refused(&place, &["client", "add", "A"], "redirect_uris: ");
    refused(&place, &["client", "add", "--for", "chatgtp"], "chatgpt");
    std::fs::write(place.0.join("logo.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    refused(&place, &["client", "add", "A", "--redirect-uri", CALLBACK, "--logo", "logo.svg"], "PNG, JPEG or WebP");
    assert_eq!(
        json_of(&place, &["client", "list", "--json"]).as_array().unwrap().len(),
        1,
        "nothing was made by halves"
    );
}

/// A secret that another server gave out is taken over; it comes from standard input, never as an argument.
#[test]
fn a_secret_can_be_brought_along() {
    let place = Place::new();
    let own = "a:b%41c+d/e=f&g?h#i~k'l<m>n|o.p!q";
    let add = ["client", "add", "A", "--id", "a", "--redirect-uri", CALLBACK, "--secret-stdin"];
    let short = place.run_with_input(&add, "short\n");
    assert!(!short.good && short.err.contains("client_secret: "), "{short:?}");
    let made = place.run_with_input(&add, &format!("{own}\n"));
    assert!(made.good && made.out.contains(own), "{made:?}");
    let rotated = json_of(&place, &["client", "rotate-secret", "a", "--overlap", "7d", "--json"]);
    assert!(rotated["client_secret"].as_str().unwrap().starts_with("pcs_"));
    assert!(rotated["client"]["old_secret_expires_at"].is_i64());
    assert!(place.run(&["client", "rotate-secret", "a", "--end-old"]).out.contains("no longer good"));
    assert!(json_of(&place, &["client", "show", "a", "--json"]).get("old_secret_expires_at").is_none());
    refused(&place, &["client", "rotate-secret", "a", "--overlap", "91d"], "90d");
    refused(&place, &["client", "rotate-secret", "b"], "no client");
}

#[test]
fn a_client_is_changed_stopped_and_deleted_from_the_shell() {
    let place = Place::new();
    assert!(place.run(&["client", "add", "A", "--id", "a", "--redirect-uri", CALLBACK]).good);
    let edit = |more: &[&str]| json_of(&place, &[&["client", "edit", "a", "--json"], more].concat())["client"].clone();
    let two = "https://b.example/cb";
    assert_eq!(edit(&["--add-redirect-uri", two])["redirect_uris"], json!([CALLBACK, two]));
    assert_eq!(edit(&["--remove-redirect-uri", CALLBACK])["redirect_uris"], json!([two]));
    refused(&place, &["client", "edit", "a", "--remove-redirect-uri", CALLBACK], "not one of its callbacks");
    refused(&place, &["client", "edit", "a", "--remove-redirect-uri", two], "at least one");
    let edited = edit(&["--name", "B", "--allow-scope", "docs:read,docs:search", "--access-ttl", "5m", "--no-refresh"]);
    assert_eq!((&edited["name"], &edited["refresh"]), (&json!("B"), &json!(false)));
    let cleared = edit(&["--clear", "allowed-scopes", "--clear", "access-ttl", "--refresh"]);
    assert_eq!((cleared.get("allowed_scopes"), cleared.get("access_ttl")), (None, None));
    assert_eq!((&cleared["refresh"], &cleared["name"]), (&json!(true), &json!("B")));
    assert!(place.run(&["client", "edit", "a", "--allow-scope", "docs:read"]).out.contains("asked again"));

    assert!(place.run(&["client", "disable", "a"]).good);
    assert!(place.run(&["client", "list"]).out.contains("disabled"));
    assert!(place.run(&["client", "enable", "a"]).good);
    assert!(!place.run(&["client", "list"]).out.contains("disabled"));
    assert!(place.run(&["client", "delete", "a"]).good);
    for command in ["show", "disable", "enable", "delete", "edit", "rotate-secret"] {
        refused(&place, &["client", command, "a"], "no client");
    }
    refused(&place, &["client", "add", "A", "--id", "a", "--redirect-uri", CALLBACK], "taken");
}

/// V-04: a second rotation before the first is in force would only pile up keys; an emergency doesn't wait.
#[test]
fn a_rotation_waits_for_the_one_before() {
    let place = Place::new();
    assert!(place.run(&["keys", "rotate"]).good);
    assert!(place.run(&["keys", "rotate"]).good);
    refused(&place, &["keys", "rotate"], "is published and signs from");
    assert_eq!(place.run(&["keys", "list"]).out.lines().filter(|line| line.starts_with("key_")).count(), 2);
    assert!(place.run(&["keys", "rotate", "--emergency"]).good);
}

#[test]
fn tokens_of_the_admin_api_are_made_listed_and_revoked() {
    let place = Place::new();
    let made = place.run(&["token", "add", "deploy bot", "--scope", "clients:write,users:read", "--expires", "90d"]);
    assert!(made.good && made.out.contains("http://localhost:8080/api/v1"), "{made:?}");
    let token = made.out.split_whitespace().find(|word| word.starts_with("pca_")).unwrap().to_owned();
    assert_eq!(token.len(), 47);
    let all = json_of(&place, &["token", "add", "root", "--scope", "all", "--json"]);
    assert_eq!(all["scopes"].as_array().unwrap().len(), 12);
    refused(&place, &["token", "add", "root", "--scope", "all"], "there is a token named");
    refused(&place, &["token", "add", "x", "--scope", "clients:all"], "clients:read");
    refused(&place, &["token", "add", "x"], "--scope");
    refused(&place, &["token", "add", "x", "--scope", "keys:read", "--expires", "soon"], "--expires");
    let list = place.run(&["token", "list"]).out;
    assert!(
        list.contains("deploy bot") && list.contains("clients:write users:read") && !list.contains(&token),
        "{list}"
    );
    assert!(list.contains("MADE BY") && list.contains("command line"), "{list}");
    assert!(place.run(&["token", "revoke", "deploy bot"]).good);
    assert!(!place.run(&["token", "list"]).out.contains("deploy bot"));
    refused(&place, &["token", "revoke", "deploy bot"], "token list");
    assert_eq!(json_of(&place, &["token", "list", "--json"])[0]["name"], "root");
}
