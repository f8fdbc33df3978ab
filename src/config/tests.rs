//! Configurations the way administrators write them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

const KEY_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::load(None, env(pairs))
}

/// A file of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn with_file(name: &str, text: &str) -> Result<Config, Problems> {
    let file = Scratch::new(name, text);
    Config::load(Some(&file.0), [])
}

/// The messages, without the path of the scratch file.
fn told(problems: &Problems) -> Vec<String> {
    problems
        .0
        .iter()
        .map(|problem| {
            let place = problem.origin.to_string();
            let line = place.rsplit(':').next().unwrap();
            format!("{line}: {}: {}", problem.key, problem.message)
        })
        .collect()
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], key: &str, part: &str) {
    let problems = with(pairs).expect_err("must be refused");
    assert!(
        problems.0.iter().any(|problem| problem.key == key && problem.message.contains(part)),
        "no problem of {key} with {part:?} in\n{problems}"
    );
}

#[test]
fn nothing_set_is_a_lawful_configuration() {
    let config = with(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.origin(), "http://localhost:8080");
    assert_eq!(config.resource(), "http://localhost:8080/mcp");
    assert!(!config.is_https());
    assert!(!config.database.is_postgres());
    assert_eq!(config.database.url, "sqlite://data/portcullis.db");
    assert_eq!(config.keys.master_key, None);
    assert_eq!(config.keys.algorithm, Algorithm::Es256);
    assert_eq!(config.keys.rotate_every, Some(Duration::from_hours(90 * 24)));
    assert_eq!(config.tokens.access_ttl, Duration::from_hours(1));
    assert!(config.tokens.refresh);
    assert_eq!(config.registration.policy, RegistrationPolicy::Open);
    assert_eq!(config.registration.auth_methods.len(), 4);
    assert_eq!(config.docs.folder, None);
    assert_eq!(config.tools.search.scopes.to_string(), "docs:search");
    assert_eq!(config.notices, Vec::<String>::new());
}

#[test]
fn environment_wins_over_file_wins_over_default() {
    let file = Scratch::new("layers.toml", "name = 'From file'\n[tokens]\naccess_ttl = '2h'\ncode_ttl = '30s'\n");
    let config = Config::load(
        Some(&file.0),
        env(&[("PORTCULLIS__TOKENS__ACCESS_TTL", "3h"), ("PATH", "/bin"), ("PORTCULLIS_CONFIG", "x")]),
    )
    .unwrap();
    assert_eq!(config.name, "From file");
    assert_eq!(config.tokens.access_ttl, Duration::from_hours(3));
    assert_eq!(config.tokens.code_ttl, Duration::from_secs(30));
    assert_eq!(config.tokens.refresh_idle_ttl, Duration::from_hours(30 * 24));
}

#[test]
fn environment_values_are_read_by_the_kind_of_the_key() {
    let config = with(&[
        ("PORTCULLIS__TOKENS__REFRESH", "false"),
        ("PORTCULLIS__DATABASE__MAX_CONNECTIONS", "3"),
        ("PORTCULLIS__PKCE__EXEMPT_REDIRECT_HOSTS", r#"["chatgpt.com"]"#),
        ("PORTCULLIS__SCOPES__DEFAULT", "mcp, mcp:write"),
        ("PORTCULLIS__SCOPES__DESCRIBE", r#"{ mcp = "Use the tools", "mcp:write" = "Change things" }"#),
        ("PORTCULLIS__TOOLS__WHOAMI__SCOPES", "[]"),
        ("PORTCULLIS__TOOLS__SEARCH__SCOPES", "mcp"),
        ("PORTCULLIS__TOOLS__FETCH__SCOPES", "mcp"),
        ("PORTCULLIS__NAME", "12"),
    ])
    .unwrap();
    assert!(!config.tokens.refresh);
    assert_eq!(config.database.max_connections, 3);
    assert_eq!(config.pkce.exempt_redirect_hosts, ["chatgpt.com"]);
    assert_eq!(config.scopes.default.to_string(), "mcp mcp:write");
    assert_eq!(config.scopes.describe.len(), 2);
    assert!(config.tools.whoami.scopes.is_empty());
    assert_eq!(config.name, "12");
    assert_eq!(config.notices.len(), 1, "{:?}", config.notices);
}

#[test]
fn empty_means_not_set() {
    let config = with(&[
        ("PORTCULLIS__PUBLIC_URL", ""),
        ("PORTCULLIS__TOKENS__REFRESH", ""),
        ("PORTCULLIS__SCOPES__DEFAULT", ""),
        ("PORTCULLIS__KEYS__MASTER_KEY_FILE", ""),
    ])
    .unwrap();
    assert_eq!(config.origin(), "http://localhost:8080");
    assert!(config.tokens.refresh);
    let config = with_file("empty.toml", "public_url = ''\n").unwrap();
    assert_eq!(config.origin(), "http://localhost:8080");
}

#[test]
fn secrets_come_from_files() {
    let key = Scratch::new("master.key", &format!("{KEY_HEX}\n"));
    let url = Scratch::new("database.url", "postgres://p:hunter2@db/portcullis\n");
    let config = with(&[
        ("PORTCULLIS__KEYS__MASTER_KEY_FILE", key.path()),
        ("PORTCULLIS__DATABASE__URL_FILE", url.path()),
        ("PORTCULLIS__DATABASE__URL", "sqlite://elsewhere.db"),
    ])
    .unwrap();
    assert!(config.database.is_postgres());
    assert_eq!(config.keys.master_key.unwrap()[31], 31);
    assert!(config.notices[0].contains("the file is used"));
    let shown = format!("{config:?}{}", config.effective());
    assert!(!shown.contains("hunter2") && !shown.contains(KEY_HEX), "{shown}");
    assert!(shown.contains("postgres://p:(hidden)@db/portcullis"), "{shown}");
    assert!(config.effective().contains("master_key = \"(hidden)\""));
}

/// What a person may see of a configuration: the problems or the values in effect, the notices, and `Debug`.
fn seen(result: &Result<Config, Problems>) -> String {
    match result {
        Ok(config) => format!("{}\n{config:?}\n{}", config.effective(), config.notices.join("\n")),
        Err(problems) => format!("{problems}\n{problems:?}"),
    }
}

/// No part of a password is shown, whichever characters it has and however few of them are encoded.
#[test]
fn no_part_of_a_password_is_ever_printed() {
    let key = ("PORTCULLIS__KEYS__MASTER_KEY", KEY_HEX);
    let marks = [
        "/", "?", "#", "@", ":", "%", "&", "=", "+", " ", "[", "]", "\\", "\"", "'", ";", ",", "%zz", "%41", "?x=",
        "&x=",
    ];
    let mut tried = 0;
    for one in marks {
        for two in ["/", "?", "#", "@", "?x=", "%"] {
            for (a, b, c) in [("Zq7Xw", "Vk3Yj", "Hf9Gb"), ("12", "Vk3Yj", "Hf9Gb"), ("", "Vk3Yj", "5432")] {
                let password = format!("{a}{one}{b}{two}{c}");
                for (name, url) in [
                    ("PORTCULLIS__DATABASE__URL", format!("postgres://ada:{password}@db.example:5432/portcullis")),
                    (
                        "PORTCULLIS__DATABASE__URL",
                        format!("postgresql://ada:{password}@db.example/portcullis?sslmode=require"),
                    ),
                    (
                        "PORTCULLIS__DATABASE__URL",
                        format!("postgres://db.example/portcullis?user=ada&password={password}"),
                    ),
                    ("PORTCULLIS__DATABASE__URL", format!("ada:{password}@db.example")),
                    ("PORTCULLIS__DOCUMENTS__PROXY", format!("http://ada:{password}@proxy.example:3128")),
                    ("PORTCULLIS__PUBLIC_URL", format!("https://ada:{password}@auth.example.com")),
                    (
                        "PORTCULLIS__DOCUMENTS__ALLOWED",
                        format!("[\"https://ada:{}@x.example/c\"]", password.replace(['\\', '"'], "_")),
                    ),
                    (
                        "PORTCULLIS__MCP__ALLOWED_ORIGINS",
                        format!("[\"https://ada:{}@x.example\"]", password.replace(['\\', '"'], "_")),
                    ),
                    (
                        "PORTCULLIS__MCP__ALLOWED_HOSTS",
                        format!("[\"ada:{}@x.example\"]", password.replace(['\\', '"'], "_")),
                    ),
                ] {
                    let shown = seen(&with(&[key, (name, &url)]));
                    for part in [a, b, c].into_iter().filter(|part| part.len() == 5) {
                        assert!(!shown.contains(part), "{name}={url}:\n{shown}");
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 3_000);
}

/// A password that isn't encoded is a problem with a way out, never an address that means something else.
#[test]
fn a_password_that_is_not_encoded_is_refused() {
    let key = ("PORTCULLIS__KEYS__MASTER_KEY", KEY_HEX);
    for (url, part) in [
        ("postgres://ada:pa/ss@db/x", "percent-encode"),
        ("postgres://ada:12/ss@db/x", "percent-encode"),
        ("postgres://ada:12?ss@db/x", "percent-encode"),
        ("postgres://ada:12#ss@db/x", "percent-encode"),
        ("postgres://ada:12#ss", "%23"),
        ("postgres://ada:12?a=b@db/x", "%40"),
        ("postgres://ada:pw@db/x?sslmode=Vk3Yj", "verify-full"),
    ] {
        refused(&[key, ("PORTCULLIS__DATABASE__URL", url)], "database.url", part);
    }
    for url in
        ["http://ada:12/ss@proxy.example", "http://ada:12?ss@proxy.example", "http://proxy.example/path", "ftp://proxy"]
    {
        refused(&[("PORTCULLIS__DOCUMENTS__PROXY", url)], "documents.proxy", "http://proxy.example:3128");
    }
    for (url, shown) in [
        ("postgres://ada:p%40ss%2Fword@db:5432/x", "postgres://ada:(hidden)@db:5432/x"),
        ("postgres://ada:p@ss@db/x", "postgres://ada:(hidden)@db/x"),
        ("postgres://ada@[::1]:5432/x?sslmode=verify-full", "postgres://ada@[::1]:5432/x?sslmode=verify-full"),
        ("postgres:///x?host=/run/postgresql&password=pw", "postgres:///x?host=/run/postgresql&password=(hidden)"),
        ("postgres://ada:pw@db/x?options=-c%20search_path%3Da", "postgres://ada:(hidden)@db/x?options=(hidden)"),
    ] {
        let config = with(&[key, ("PORTCULLIS__DATABASE__URL", url)]).unwrap();
        assert_eq!((config.database.url.as_str(), config.database.shown().as_str()), (url, shown));
        assert!(config.effective().contains(&format!("url = \"{shown}\"")), "{}", config.effective());
    }
    // The driver would log what it doesn't know, with its value.
    let url = "postgres://ada:pw@db/x?sslpassword=hunter2&sslmode=require&connect_timeout=10";
    let config = with(&[key, ("PORTCULLIS__DATABASE__URL", url)]).unwrap();
    assert_eq!(config.database.url, "postgres://ada:pw@db/x?sslmode=require");
    assert!(config.notices.iter().any(|notice| notice.contains("connect_timeout")), "{:?}", config.notices);
    assert!(!seen(&Ok(config)).contains("hunter2"));
    let proxy = with(&[("PORTCULLIS__DOCUMENTS__PROXY", "http://token:x@proxy.example:3128")]).unwrap();
    assert!(proxy.effective().contains("proxy = \"http://(hidden)@proxy.example:3128/\""), "{}", proxy.effective());
}

/// PostgreSQL's own tools refuse parameters that they don't know, and ask for the password.
#[test]
fn the_address_for_tools_has_no_password_and_only_their_parameters() {
    let key = ("PORTCULLIS__KEYS__MASTER_KEY", KEY_HEX);
    for (url, tools, name) in [
        ("postgres://ada:p%40w@db:5432/x%20y", "postgres://ada@db:5432/x%20y", "x y"),
        (
            "postgresql://ada:pw@db?ssl-mode=require&password=pw&statement-cache-capacity=5",
            "postgresql://ada@db?sslmode=require",
            "ada",
        ),
        ("postgres:///x?host=/run/postgresql&user=ada", "postgres:///x?host=/run/postgresql&user=ada", "x"),
        (
            "postgres://ada:pw@db/x?dbname=y&options=-c%20search_path%3Da",
            "postgres://ada@db/x?dbname=y&options=-c%20search_path%3Da",
            "y",
        ),
    ] {
        let database = with(&[key, ("PORTCULLIS__DATABASE__URL", url)]).unwrap().database;
        assert_eq!((database.for_tools().as_str(), database.name().as_str()), (tools, name));
    }
    let database = with(&[key, ("PORTCULLIS__DATABASE__URL", "postgres://ada:pw@db/x?dbname=y&sslmode=require")])
        .unwrap()
        .database;
    assert_eq!(database.for_tools_at("postgres"), "postgres://ada@db/postgres?sslmode=require");
}

/// A secret that was set in the place of its file's name, or without quotes, is not repeated either.
#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let random = "+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (name, secret) in [
        ("PORTCULLIS__DATABASE__URL_FILE", "postgres://ada:hunter2hunter2@db/x"),
        ("PORTCULLIS__DATABASE__URL_FILE", "ada:hunter2hunter2@db/x"),
        ("PORTCULLIS__KEYS__MASTER_KEY_FILE", KEY_HEX),
        ("PORTCULLIS__KEYS__MASTER_KEY_FILE", random),
        ("PORTCULLIS__KEYS__MASTER_KEY_FILE", &random.replace('+', "/")),
        ("PORTCULLIS__REGISTRATION__INITIAL_ACCESS_TOKEN_FILE", "hunter2-hunter2-hunter2"),
    ] {
        let problems = with(&[(name, secret)]).unwrap_err().to_string();
        assert!(problems.contains("can't be read") && !problems.contains(secret), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let missing = std::env::temp_dir().join("portcullis-no-such-file");
    let problems = with(&[("PORTCULLIS__KEYS__MASTER_KEY_FILE", missing.to_str().unwrap())]).unwrap_err().to_string();
    assert!(problems.contains(missing.to_str().unwrap()), "{problems}");
    for text in [
        "[keys]\nmaster_key = 123456789012e4\n",
        "[keys]\nmaster_key = 123456789012\n",
        "[keys]\nmaster_key = [123456789012]\n",
    ] {
        let problems = with_file("digits.toml", text).unwrap_err().to_string();
        assert!(problems.contains("expected a text") && !problems.contains("123456789012"), "{problems}");
    }
}

#[test]
fn a_file_of_a_secret_must_be_there_and_hold_something() {
    let empty = Scratch::new("blank.key", " \n");
    refused(&[("PORTCULLIS__KEYS__MASTER_KEY_FILE", empty.path())], "keys.master_key_file", "is empty");
    refused(&[("PORTCULLIS__KEYS__MASTER_KEY_FILE", "/nowhere/at/all")], "keys.master_key_file", "can't be read");
}

#[test]
fn all_problems_are_listed_at_once_with_their_places() {
    let problems = with_file(
        "problems.toml",
        r#"
publik_url = "https://auth.example.com"
listen = 8080

[token]
access_ttl = "2h"
code_ttl = "2h"

[tokens]
acess_ttl = "2h"
code_ttl = "11m"
refresh = "yes"
refresh_idle_ttl = 3600

[limits]
trusted_proxies = ["10.0.0.0/99"]
"#,
    )
    .unwrap_err();
    assert_eq!(
        told(&problems),
        [
            "2: publik_url: unknown key; did you mean public_url?",
            "3: listen: expected a text in quotes, such as \"127.0.0.1:8080\"; found a whole number",
            "6: token: unknown section; did you mean tokens?",
            "10: tokens.acess_ttl: unknown key; did you mean tokens.access_ttl?",
            "11: tokens.code_ttl: must be from 1s to 10m; found \"11m\"",
            "12: tokens.refresh: expected true or false; found a text in quotes",
            "13: tokens.refresh_idle_ttl: expected a text in quotes, such as \"30d\"; found a whole number",
            "16: limits.trusted_proxies: \"10.0.0.0/99\" is not a network; write \"10.0.0.0/8\", or an address such as \"10.0.0.5\"",
        ]
    );
    assert_eq!(problems.to_string().lines().count(), 8);
}

#[test]
fn unreadable_files_are_problems() {
    let problems = with_file("broken.toml", "name = \n[tokens\n").unwrap_err();
    assert!(told(&problems)[0].starts_with("1: "), "{problems}");
    let problems = Config::load(Some(Path::new("/nowhere/portcullis.toml")), []).unwrap_err();
    assert!(problems.to_string().starts_with("/nowhere/portcullis.toml: can't be read"), "{problems}");
}

#[test]
fn misspelt_variables_are_refused() {
    refused(&[("PORTCULLIS__PUBLC_URL", "https://a.example")], "publc_url", "did you mean PORTCULLIS__PUBLIC_URL?");
    refused(&[("PORTCULLIS__SCOPES__DESCRIBE__MCP", "x")], "scopes.describe.mcp", "is set as a whole");
    refused(&[("PORTCULLIS__TOKENS", "x")], "tokens", "is a section");
    refused(
        &[("PORTCULLIS_PUBLIC_URL", "https://a.example")],
        "",
        "did you mean PORTCULLIS__PUBLIC_URL (two underscores)?",
    );
    // Kubernetes sets such for a service of that name.
    with(&[("PORTCULLIS_SERVICE_HOST", "10.0.0.1"), ("PORTCULLIS_PORT", "tcp://10.0.0.1:80")]).unwrap();
    refused(&[("PORTCULLIS__TOKENS__REFRESH", "yes")], "tokens.refresh", "expected true or false; found \"yes\"");
    refused(&[("PORTCULLIS__SCOPES__DEFAULT", "[1]")], "scopes.default", "expected a list of texts");
}

#[test]
fn a_section_must_be_a_table() {
    let problems = with_file("section.toml", "tokens = true\nmcp = []\n").unwrap_err();
    assert_eq!(
        told(&problems),
        ["1: tokens: is a section, written [tokens], not a value", "2: mcp: is a section, written [mcp], not a value",]
    );
    let problems = with_file("value.toml", "[listen]\nport = 1\n").unwrap_err();
    assert_eq!(told(&problems), ["2: listen.port: unknown key"]);
}

#[test]
fn public_url_is_an_origin() {
    for (text, origin) in [
        ("https://auth.example.com", "https://auth.example.com"),
        ("https://auth.example.com/", "https://auth.example.com"),
        ("https://AUTH.example.com:443//", "https://auth.example.com"),
        ("https://auth.example.com:8443", "https://auth.example.com:8443"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://auth.localhost", "http://auth.localhost"),
    ] {
        let config = with(&[("PORTCULLIS__PUBLIC_URL", text)]).unwrap();
        assert_eq!(config.origin(), origin);
        let told = config.notices.iter().any(|notice| notice.starts_with("public_url"));
        assert_eq!(told, text != origin, "{text}");
    }
    for (text, part) in [
        ("auth.example.com", "is not a web address"),
        ("ftp://auth.example.com", "is not a web address"),
        ("https://auth.example.com/v1", "mcp = \"/v1/mcp\""),
        ("https://auth.example.com/?x", "query"),
        ("https://auth.example.com/#x", "fragment"),
        ("https://me:secret@auth.example.com", "user name or password"),
        ("http://auth.example.com", "OAuth needs HTTPS"),
        ("http://192.168.1.5:8080", "OAuth needs HTTPS"),
        ("http://localhost.example.com", "OAuth needs HTTPS"),
    ] {
        refused(&[("PORTCULLIS__PUBLIC_URL", text)], "public_url", part);
    }
    let problems = with(&[("PORTCULLIS__PUBLIC_URL", "https://me:secret@h.example")]).unwrap_err();
    assert!(!problems.to_string().contains("secret"));
}

#[test]
fn postgres_needs_a_master_key() {
    let url = ("PORTCULLIS__DATABASE__URL", "postgres://p:w@db/portcullis");
    refused(&[url], "keys.master_key", "portcullis keys master");
    with(&[url, ("PORTCULLIS__KEYS__MASTER_KEY", KEY_HEX)]).unwrap();
}

#[test]
fn master_keys_are_read_in_the_usual_spellings() {
    let url_safe = "-_8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let standard = "+/8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let key = |text: &str| with(&[("PORTCULLIS__KEYS__MASTER_KEY", text)]).unwrap().keys.master_key.unwrap();
    assert_eq!(key(url_safe), key(standard));
    assert_eq!(key(KEY_HEX)[1], 1);
    for (text, part) in
        [("secret", "32 bytes"), (KEY_HEX.trim_start_matches('0'), "32 bytes"), (&"00".repeat(32), "one byte repeated")]
    {
        refused(&[("PORTCULLIS__KEYS__MASTER_KEY", text)], "keys.master_key", part);
    }
    let problems = with(&[("PORTCULLIS__KEYS__MASTER_KEY", "hunter2")]).unwrap_err();
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[test]
fn times_are_held_against_each_other() {
    refused(
        &[("PORTCULLIS__TOKENS__REFRESH_GRACE", "10m"), ("PORTCULLIS__TOKENS__REFRESH_IDLE_TTL", "10m")],
        "tokens.refresh_grace",
        "must be shorter than tokens.refresh_idle_ttl (10m)",
    );
    refused(
        &[("PORTCULLIS__TOKENS__REFRESH_ABSOLUTE_TTL", "29d")],
        "tokens.refresh_absolute_ttl",
        "must not be shorter",
    );
    refused(&[("PORTCULLIS__TOKENS__CODE_TTL", "601s")], "tokens.code_ttl", "from 1s to 10m");
    refused(&[("PORTCULLIS__TOKENS__ACCESS_TTL", "25h")], "tokens.access_ttl", "from 1s to 1d");
    refused(&[("PORTCULLIS__TOKENS__ACCESS_TTL", "0s")], "tokens.access_ttl", "from 1s to 1d");
    refused(
        &[("PORTCULLIS__KEYS__PUBLISH_AHEAD", "2h"), ("PORTCULLIS__KEYS__ROTATE_EVERY", "1h")],
        "keys.publish_ahead",
        "must be shorter than keys.rotate_every",
    );
    let config = with(&[
        ("PORTCULLIS__KEYS__ROTATE_EVERY", "never"),
        ("PORTCULLIS__TOKENS__REFRESH_GRACE", "0s"),
        ("PORTCULLIS__TOKENS__ACCESS_TTL", "24h"),
    ])
    .unwrap();
    assert_eq!(config.keys.rotate_every, None);
    // One mistake is one problem: what depends on the value is not judged.
    let problems = with(&[("PORTCULLIS__TOKENS__REFRESH_IDLE_TTL", "soon")]).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
}

#[test]
fn words_are_exact() {
    refused(
        &[("PORTCULLIS__KEYS__ALGORITHM", "HS256")],
        "keys.algorithm",
        "\"ES256\", \"RS256\", \"EdDSA\"; found \"HS256\"",
    );
    refused(&[("PORTCULLIS__LOG__FORMAT", "xml")], "log.format", "\"auto\"");
    refused(&[("PORTCULLIS__LOG__FILTER", "info,=x=")], "log.filter", "can't be read");
    refused(&[("PORTCULLIS__REGISTRATION__POLICY", "closed")], "registration.policy", "\"off\"");
    refused(
        &[("PORTCULLIS__REGISTRATION__AUTH_METHODS", "none,tls_client_auth")],
        "registration.auth_methods",
        "\"tls_client_auth\" is not one of",
    );
    refused(&[("PORTCULLIS__REGISTRATION__AUTH_METHODS", "[]")], "registration.auth_methods", "at least one");
    refused(&[("PORTCULLIS__REGISTRATION__AUTH_METHODS", "none,none")], "registration.auth_methods", "twice");
}

#[test]
fn registration_by_token_needs_a_token() {
    let policy = ("PORTCULLIS__REGISTRATION__POLICY", "token");
    let key = "registration.initial_access_token";
    refused(&[policy], key, "at least 16");
    refused(&[policy, ("PORTCULLIS__REGISTRATION__INITIAL_ACCESS_TOKEN", "with a blank inside")], key, "at least 16");
    let config =
        with(&[policy, ("PORTCULLIS__REGISTRATION__INITIAL_ACCESS_TOKEN", "hunter2-hunter2-hunter2")]).unwrap();
    assert_eq!(config.registration.policy, RegistrationPolicy::Token("hunter2-hunter2-hunter2".to_owned()));
    let shown = format!("{config:?}{}", config.effective());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn schemes_that_browsers_run_are_never_private_use() {
    let key = "PORTCULLIS__REGISTRATION__PRIVATE_USE_SCHEMES";
    for scheme in ["javascript", "DATA", "https", "1password", "a b", "cursor:"] {
        assert!(with(&[(key, scheme)]).is_err(), "{scheme}");
    }
    let config = with(&[(key, "Cursor,com.example.app")]).unwrap();
    assert_eq!(config.registration.private_use_schemes, ["cursor", "com.example.app"]);
}

#[test]
fn pkce_exemptions_name_whole_hosts() {
    let key = "PORTCULLIS__PKCE__EXEMPT_REDIRECT_HOSTS";
    for host in ["*.chatgpt.com", "localhost", "127.0.0.1", "[::1]", "https://chatgpt.com", "com", "a b.com"] {
        assert!(with(&[(key, host)]).is_err(), "{host}");
    }
    let config = with(&[(key, "ChatGPT.com,chat.openai.com")]).unwrap();
    assert_eq!(config.pkce.exempt_redirect_hosts, ["chatgpt.com", "chat.openai.com"]);
    assert!(config.notices[0].contains("chatgpt.com, chat.openai.com"));
}

/// R-36, R-41: whose documents count, and what they may lead to.
#[test]
fn documents_are_let_in_by_policy_and_nothing_inside_by_default() {
    let config = with(&[]).unwrap();
    assert_eq!(config.documents.policy, DocumentsPolicy::Open);
    assert_eq!((config.documents.allowed_ports.as_slice(), config.documents.allowed_networks.len()), (&[443][..], 0));
    let list = with(&[
        ("PORTCULLIS__DOCUMENTS__POLICY", "list"),
        ("PORTCULLIS__DOCUMENTS__ALLOWED", "app.example.com,https://other.example.com/client.json"),
    ]);
    let expected =
        DocumentsPolicy::List(vec!["app.example.com".into(), "https://other.example.com/client.json".into()]);
    assert_eq!(list.unwrap().documents.policy, expected);
    refused(&[("PORTCULLIS__DOCUMENTS__POLICY", "list")], "documents.allowed", "at least one");
    refused(&[("PORTCULLIS__DOCUMENTS__POLICY", "any")], "documents.policy", "\"known\"");
    for text in
        ["app", "*.example.com", "http://app.example.com/x", "https://app.example.com", "10.0.0.1", "App.example.com"]
    {
        refused(&[("PORTCULLIS__DOCUMENTS__ALLOWED", text)], "documents.allowed", "is not a URL or host");
    }
    refused(&[("PORTCULLIS__DOCUMENTS__ALLOWED_PORTS", "0")], "documents.allowed_ports", "is not a port");
    refused(
        &[("PORTCULLIS__DOCUMENTS__ALLOWED_NETWORKS", "0.0.0.0/0")],
        "documents.allowed_networks",
        "whole internet",
    );
    refused(&[("PORTCULLIS__DOCUMENTS__PROXY", "proxy:3128")], "documents.proxy", "http://proxy.example:3128");
    refused(
        &[("PORTCULLIS__DOCUMENTS__MIN_FRESH", "2h"), ("PORTCULLIS__DOCUMENTS__MAX_FRESH", "1h")],
        "documents.min_fresh",
        "longer",
    );
    let inside = with(&[("PORTCULLIS__DOCUMENTS__ALLOWED_NETWORKS", "10.1.0.0/16")]).unwrap();
    assert!(inside.notices.iter().any(|notice| notice.contains("10.1.0.0/16")));
    let proxy = with(&[("PORTCULLIS__DOCUMENTS__PROXY", "http://me:hunter2@proxy.example:3128")]).unwrap();
    assert!(!proxy.effective().contains("hunter2") && !format!("{proxy:?}").contains("hunter2"));
}

#[test]
fn paths_are_plain_and_apart() {
    for (path, part) in [
        ("mcp", "must start with a slash"),
        ("/", "landing page"),
        ("/mcp/", "write \"/mcp\""),
        ("/a//b", "between single slashes"),
        ("/a/../b", "between single slashes"),
        ("/a/{id}", "between single slashes"),
        ("/a b", "between single slashes"),
        ("/.well-known/mcp", "below /.well-known"),
        ("/healthz", "health checks"),
        ("/token", "is the path of"),
        ("/account/mcp", "lies below paths.account"),
    ] {
        let problems = with(&[("PORTCULLIS__PATHS__MCP", path)]).unwrap_err();
        assert!(problems.to_string().contains(part), "{path}: {problems}");
    }
    refused(
        &[("PORTCULLIS__PATHS__TOKEN", "/oauth/token"), ("PORTCULLIS__PATHS__LOGIN", "/token")],
        "paths.login",
        "is kept for paths.token",
    );
}

#[test]
fn scopes_are_lawful_and_described() {
    refused(&[("PORTCULLIS__SCOPES__DEFAULT", "docs:raed")], "scopes.default", "did you mean \"docs:read\"?");
    refused(&[("PORTCULLIS__SCOPES__DEFAULT", "[]")], "scopes.default", "at least one");
    refused(&[("PORTCULLIS__SCOPES__DEFAULT", "docs:read,offline_access")], "scopes.default", "built in");
    refused(&[("PORTCULLIS__TOOLS__FETCH__SCOPES", "[\"a b\"]")], "tools.fetch.scopes", "is not a scope");
    refused(&[("PORTCULLIS__SCOPES__DESCRIBE", "{ \"docs:read\" = \"\" }")], "scopes.describe", "has no sentence");
    refused(&[("PORTCULLIS__SCOPES__DESCRIBE", "{ mcp = \"Use it\" }")], "tools.whoami.scopes", "not described");
}

/// A tool whose scopes were left out would be open to every token.
#[test]
fn scopes_of_tools_that_cannot_be_read_stop_the_start() {
    for tool in ["whoami", "search", "fetch"] {
        let key = format!("tools.{tool}.scopes");
        let name = format!("PORTCULLIS__TOOLS__{}__SCOPES", tool.to_uppercase());
        for bad in ["a b", "", "\\\\", "\\\"", "é", "docs:read\\t", "docs:read\\n", "offline_access", "docs:raed"] {
            let problems = with(&[(&name, &format!("[\"docs:read\", \"{bad}\"]"))]).expect_err(bad);
            assert!(problems.0.iter().all(|problem| problem.key == key), "{bad}: {problems}");
        }
    }
}

#[test]
fn cheap_passwords_are_for_trials_only() {
    let cheap = ("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64");
    with(&[cheap]).unwrap();
    refused(&[cheap, ("PORTCULLIS__PUBLIC_URL", "https://a.example")], "passwords.memory_kib", "8192");
    refused(&[("PORTCULLIS__PASSWORDS__MIN_LENGTH", "4")], "passwords.min_length", "from 8 to 128");
    refused(&[("PORTCULLIS__PASSWORDS__ITERATIONS", "0")], "passwords.iterations", "from 1");
}

#[test]
fn limits_are_positive_and_proxies_are_networks() {
    refused(&[("PORTCULLIS__LIMITS__TOKEN_PER_MINUTE", "0")], "limits.token_per_minute", "at least 1");
    refused(&[("PORTCULLIS__LIMITS__TOKEN_PER_MINUTE", "-5")], "limits.token_per_minute", "at least 1");
    refused(&[("PORTCULLIS__LIMITS__BODY_BYTES", "0")], "limits.body_bytes", "at least 1024");
    refused(&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "0.0.0.0/0")], "limits.trusted_proxies", "whole internet");
    refused(&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "caddy")], "limits.trusted_proxies", "is not a network");
    let config = with(&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "10.1.2.3/8, ::1,127.0.0.1")]).unwrap();
    assert_eq!(texts(&config.limits.trusted_proxies), ["10.0.0.0/8", "::1/128", "127.0.0.1/32"]);
    let mapped =
        with(&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "::ffff:10.1.2.3, ::ffff:192.0.2.0/120,2001:db8::/32")])
            .unwrap();
    assert_eq!(texts(&mapped.limits.trusted_proxies), ["10.1.2.3/32", "192.0.2.0/24", "2001:db8::/32"]);
    for whole in ["::/0", "::ffff:0:0/96", "::ffff:1.2.3.4/96"] {
        refused(&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", whole)], "limits.trusted_proxies", "whole internet");
    }
    assert_eq!(config.limits.forwarded_header, "X-Forwarded-For");
    for name in ["Forwarded", "CF-Connecting-IP", "fly-client-ip"] {
        with(&[("PORTCULLIS__LIMITS__FORWARDED_HEADER", name)]).unwrap();
    }
    for name in ["X-Forwarded-For, Forwarded", "X Forwarded", "X-Forwarded-For:", "é"] {
        refused(&[("PORTCULLIS__LIMITS__FORWARDED_HEADER", name)], "limits.forwarded_header", "name of a header");
    }
}

#[test]
fn origins_and_hosts_of_mcp_are_normal_forms() {
    let config = with(&[
        ("PORTCULLIS__MCP__ALLOWED_ORIGINS", "https://App.example.com:443/,vscode-webview://abc"),
        ("PORTCULLIS__MCP__ALLOWED_HOSTS", "MCP.internal,10.1.2.3:8080,[::1]:80"),
    ])
    .unwrap();
    assert_eq!(texts(&config.mcp.allowed_origins), ["https://app.example.com", "vscode-webview://abc"]);
    assert_eq!(texts(&config.mcp.allowed_hosts), ["mcp.internal", "10.1.2.3:8080", "[::1]:80"]);
    for origin in
        ["*", "app.example.com", "https://app.example.com/x", "null", "https://*.example.com", "https://bücher.example"]
    {
        assert!(with(&[("PORTCULLIS__MCP__ALLOWED_ORIGINS", origin)]).is_err(), "{origin}");
    }
    for host in ["https://a", "a/b", "*", "*.example.com", "a@b", "a%20b", "bücher.example", "[::1", "a:b", "a:70000"]
    {
        assert!(with(&[("PORTCULLIS__MCP__ALLOWED_HOSTS", host)]).is_err(), "{host}");
    }
}

#[test]
fn the_folder_of_documents_must_exist() {
    refused(&[("PORTCULLIS__DOCS__FOLDER", "/nowhere/at/all")], "docs.folder", "can be opened");
    let here = std::env::temp_dir();
    let config = with(&[("PORTCULLIS__DOCS__FOLDER", here.to_str().unwrap())]).unwrap();
    assert_eq!(config.docs.folder, Some(here));
}

#[test]
fn notices_tell_what_will_surprise() {
    let config = with(&[("PORTCULLIS__LISTEN", "0.0.0.0:8080")]).unwrap();
    assert!(config.notices[0].contains("set public_url"), "{:?}", config.notices);
    // Who passes requests on is on this machine, or may be anywhere.
    let https = ("PORTCULLIS__PUBLIC_URL", "https://a.example");
    for listen in ["127.0.0.1:8080", "[::1]:8080", "127.1.2.3:1"] {
        for limits in ["true", "false"] {
            let listen = ("PORTCULLIS__LISTEN", listen);
            let config = with(&[https, listen, ("PORTCULLIS__LIMITS__ENABLED", limits)]).unwrap();
            assert!(config.notices[0].contains("trusted_proxies = [\"127.0.0.1\", \"::1\"]"), "{:?}", config.notices);
            let named = with(&[https, listen, ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1")]).unwrap();
            assert_eq!(named.notices, Vec::<String>::new());
        }
    }
    let config = with(&[https, ("PORTCULLIS__LISTEN", "0.0.0.0:8080")]).unwrap();
    assert!(config.notices[0].contains("name the proxy's address"), "{:?}", config.notices);
}

#[test]
fn what_is_in_effect_can_be_read_back() {
    let config = with(&[("PORTCULLIS__TOKENS__ACCESS_TTL", "30m")]).unwrap();
    let shown = config.effective();
    assert!(shown.contains("access_ttl = \"30m\"  # PORTCULLIS__TOKENS__ACCESS_TTL"), "{shown}");
    let again = with_file("effective.toml", shown).unwrap();
    assert_eq!(again.tokens.access_ttl, Duration::from_mins(30));
    assert_eq!(format!("{:?}", again.scopes), format!("{:?}", config.scopes));
    assert_eq!(again.effective().lines().count(), shown.lines().count());
}

#[test]
fn the_examples_load() {
    let config = Config::load(Some(Path::new("config/examples/path-prefix.toml")), []).unwrap();
    assert_eq!(config.resource(), "http://localhost:3333/v1/ai/mcp");
    assert_eq!(config.paths.token, "/v1/oauth/token");
    assert_eq!(config.registration.auth_methods, [AuthMethod::None]);
    assert_eq!(config.scopes.default.to_string(), "mcp");
    assert_eq!(config.tools.search.scopes.to_string(), "mcp");
    assert!(config.tokens.refresh && config.pkce.exempt_redirect_hosts.is_empty());

    let password = Scratch::new("url.secret", "postgres://portcullis:pw@postgres/portcullis");
    let key = Scratch::new("key.secret", KEY_HEX);
    let config = Config::load(
        Some(Path::new("config/examples/production.toml")),
        env(&[("PORTCULLIS__DATABASE__URL_FILE", password.path()), ("PORTCULLIS__KEYS__MASTER_KEY_FILE", key.path())]),
    )
    .unwrap();
    assert!(config.database.is_postgres() && config.is_https());
    assert_eq!(config.notices, Vec::<String>::new());
}
