//! What values are lawful, one by one and together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::Url;

use super::problems::{Problems, quoted};
use super::reader::Reader;
use super::{
    Algorithm, Api, Attempts, AuthMethod, Clients, Config, Connections, Consent, Database, Docs, Documents,
    DocumentsPolicy, Hidden, Keys, Limits, Log, LogFormat, MAX_ACCESS_TTL, Mcp, Passwords, Paths, Pkce, Registration,
    RegistrationPolicy, Scope, ScopeToken, Scopes, Sessions, Shutdown, Tokens, Tool, Tools, address, duration,
    is_loopback, parse,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn config(mut reader: Reader) -> Result<Config, Problems> {
    let r = &mut reader;
    let listen = r.address("listen");
    let public_url = public_url(r);
    let name = name(r);
    let connections = Connections {
        max: r.size("connections.max", 16..=1_000_000),
        max_per_network: r.size("connections.max_per_network", 1..=1_000_000),
        header_timeout: r.duration("connections.header_timeout", SECOND..=5 * MINUTE),
        idle_timeout: r.duration("connections.idle_timeout", SECOND..=DAY),
        header_bytes: r.size("connections.header_bytes", 8192..=1 << 20),
    };
    let shutdown = Shutdown { delay: r.duration("shutdown.delay", Duration::ZERO..=10 * MINUTE) };
    let database = database(r);
    let keys = keys(r, &database);
    let tokens = tokens(r);
    let sessions = Sessions {
        ttl: r.duration("sessions.ttl", MINUTE..=90 * DAY),
        sign_in_ttl: r.duration("sessions.sign_in_ttl", MINUTE..=DAY),
        authorization_ttl: r.duration("sessions.authorization_ttl", MINUTE..=DAY),
        known_browser_ttl: r.duration("sessions.known_browser_ttl", DAY..=365 * DAY),
    };
    let passwords = passwords(r, public_url.as_ref());
    let registration = registration(r);
    let documents = documents(r);
    let pkce = pkce(r);
    let consent = Consent { remember: r.flag("consent.remember") };
    let paths = paths(r);
    let scopes = scopes(r);
    let tools = tools(r, &scopes);
    let clients = clients(r);
    let docs = docs(r);
    let mcp = Mcp {
        allowed_origins: r.items("mcp.allowed_origins", parse::web_origin),
        allowed_hosts: r.items("mcp.allowed_hosts", parse::host_and_port),
    };
    let api = Api { enabled: r.flag("api.enabled") };
    let limits = limits(r);
    let attempts = Attempts {
        enabled: r.flag("attempts.enabled"),
        keep: r.duration("attempts.keep", HOUR..=DAY * 365),
        max_events: r.number("attempts.max_events", 1000..=10_000_000),
    };
    let log = log(r);

    if let Some(url) = &public_url {
        let loopback = is_loopback(url);
        if loopback && !listen.ip().is_loopback() {
            r.notice(format!(
                "listening on {listen}, while public_url is {}: from another machine that leads back to that machine; set public_url",
                url.origin().ascii_serialization()
            ));
        }
        if loopback && url.port_or_known_default() != Some(listen.port()) {
            r.notice(format!(
                "listening on {listen}, while public_url is {}: unless something passes requests on, clients knock at the wrong port; set public_url",
                url.origin().ascii_serialization()
            ));
        }
        if url.scheme() == "https" && limits.trusted_proxies.is_empty() {
            proxy_unnamed(r, listen, &limits);
        }
    }

    let effective = reader.effective();
    match public_url {
        Some(public_url) if reader.problems.is_empty() => Ok(Config {
            listen,
            public_url,
            name,
            connections,
            shutdown,
            database,
            keys,
            tokens,
            sessions,
            passwords,
            registration,
            documents,
            pkce,
            consent,
            paths,
            scopes,
            tools,
            clients,
            docs,
            mcp,
            api,
            limits,
            attempts,
            log,
            notices: reader.notices,
            effective,
        }),
        _ => Err(reader.problems.in_order()),
    }
}

/// TLS ends in front of this server, so somebody passes requests on; without a name for them nobody is told apart.
fn proxy_unnamed(r: &mut Reader, listen: SocketAddr, limits: &Limits) {
    if listen.ip().is_loopback() {
        r.notice(format!(
            "limits.trusted_proxies is empty, while public_url is https and only this machine reaches {listen}: requests come \
             through a proxy here, and all people behind it count as one for the limits, for failed sign-ins and in the \
             record of attempts; set limits.trusted_proxies = [\"127.0.0.1\", \"::1\"]"
        ));
    } else if limits.enabled {
        r.notice(
            "limits.trusted_proxies is empty: behind a proxy all people count as one for the limits; name the proxy's address",
        );
    }
}

/// RFC 8414 §2: https, no query, no fragment. An origin only, so that no client has to guess where a path goes.
fn public_url(r: &mut Reader) -> Option<Url> {
    const KEY: &str = "public_url";
    let text = r.text(KEY);
    let example = "write it as \"https://auth.example.com\"";
    let url = match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        _ => {
            r.refuse(KEY, format!("{} is not a web address; {example}", quoted(&text)));
            return None;
        }
    };
    // An @ further behind comes from a password that is not encoded.
    if text.contains('@') {
        // Not echoed: it holds a password.
        r.refuse(KEY, format!("must not hold a user name or password; {example}"));
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        r.refuse(KEY, format!("{text:?} must not have a query or fragment; {example}"));
        return None;
    }
    if url.path().chars().any(|c| c != '/') {
        r.refuse(
            KEY,
            format!(
                "{text:?} must not have a path; {example} and put the path into [paths], for example mcp = \"{}/mcp\"",
                url.path().trim_end_matches('/')
            ),
        );
        return None;
    }
    let loopback = is_loopback(&url);
    if url.scheme() == "http" && !loopback {
        r.refuse(
            KEY,
            format!(
                "OAuth needs HTTPS: {text:?} would send passwords and tokens readable over the network; \
                 use https with a reverse proxy in front, or http on localhost to try things out"
            ),
        );
        return None;
    }
    let origin = url.origin().ascii_serialization();
    if origin != text {
        r.notice(format!("public_url {text:?} is used as {origin:?}"));
    }
    Url::parse(&origin).ok()
}

fn name(r: &mut Reader) -> String {
    let name = r.text("name");
    if name.chars().any(char::is_control) || name.trim().is_empty() || name.chars().count() > 100 {
        r.refuse("name", "must be one line of 1 to 100 characters");
    }
    name
}

fn database(r: &mut Reader) -> Database {
    const KEY: &str = "database.url";
    let mut url = r.text(KEY);
    // Addresses are not echoed: they hold passwords.
    if let Some(path) = url.strip_prefix("sqlite:") {
        if path.trim_start_matches("//").is_empty() {
            r.refuse(KEY, "names no file; write \"sqlite://data/portcullis.db\"");
        } else if path.contains(":memory:") || path.contains("mode=memory") {
            r.refuse(KEY, "keeps nothing: a database in memory is gone when its connection ends; name a file");
        }
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        match address::postgres(&url) {
            Ok(address) => {
                for name in address.ignored {
                    r.notice(format!("database.url: the parameter {name} means nothing here and is left out"));
                }
                url = address.connect;
            }
            Err(message) => r.refuse(KEY, message),
        }
    } else {
        r.refuse(KEY, "must begin with \"sqlite:\", \"postgres://\" or \"postgresql://\"");
    }
    Database {
        url,
        max_connections: r.number("database.max_connections", 1..=10_000),
        acquire_timeout: r.duration("database.acquire_timeout", SECOND..=5 * MINUTE),
    }
}

fn keys(r: &mut Reader, database: &Database) -> Keys {
    const KEY: &str = "keys.master_key";
    let text = r.text(KEY);
    let master_key = if text.is_empty() {
        if database.is_postgres() {
            r.refuse(
                KEY,
                "is required with PostgreSQL: make one with `portcullis keys master > master.key`, \
                 keep it somewhere safe, and set keys.master_key_file = \"master.key\" on every copy of the server",
            );
        }
        None
    } else {
        match parse::master_key(&text) {
            Ok(key) => Some(key),
            Err(message) => {
                r.refuse(KEY, message);
                None
            }
        }
    };
    let rotate_every =
        (r.text("keys.rotate_every") != "never").then(|| r.duration("keys.rotate_every", HOUR..=Duration::MAX));
    let publish_ahead = r.duration("keys.publish_ahead", Duration::ZERO..=30 * DAY);
    if r.sound(&["keys.rotate_every", "keys.publish_ahead"]) && rotate_every.is_some_and(|every| publish_ahead >= every)
    {
        r.refuse("keys.publish_ahead", "must be shorter than keys.rotate_every");
    }
    Keys {
        master_key,
        algorithm: r.choice(
            "keys.algorithm",
            (Algorithm::Es256.as_str(), Algorithm::Es256),
            &[(Algorithm::Rs256.as_str(), Algorithm::Rs256), (Algorithm::EdDsa.as_str(), Algorithm::EdDsa)],
        ),
        rotate_every,
        publish_ahead,
    }
}

fn tokens(r: &mut Reader) -> Tokens {
    let tokens = Tokens {
        access_ttl: r.duration("tokens.access_ttl", SECOND..=MAX_ACCESS_TTL),
        refresh: r.flag("tokens.refresh"),
        refresh_idle_ttl: r.duration("tokens.refresh_idle_ttl", MINUTE..=Duration::MAX),
        refresh_absolute_ttl: r.duration("tokens.refresh_absolute_ttl", MINUTE..=Duration::MAX),
        refresh_grace: r.duration("tokens.refresh_grace", Duration::ZERO..=HOUR),
        refresh_grace_uses: r.number("tokens.refresh_grace_uses", 1..=10_000),
        // RFC 6749 §4.1.2: a maximum of ten minutes.
        code_ttl: r.duration("tokens.code_ttl", SECOND..=10 * MINUTE),
    };
    if r.sound(&["tokens.refresh_grace", "tokens.refresh_idle_ttl"]) && tokens.refresh_grace >= tokens.refresh_idle_ttl
    {
        r.refuse(
            "tokens.refresh_grace",
            format!("must be shorter than tokens.refresh_idle_ttl ({})", duration::format(tokens.refresh_idle_ttl)),
        );
    }
    if r.sound(&["tokens.refresh_idle_ttl", "tokens.refresh_absolute_ttl"])
        && tokens.refresh_absolute_ttl < tokens.refresh_idle_ttl
    {
        r.refuse(
            "tokens.refresh_absolute_ttl",
            format!("must not be shorter than tokens.refresh_idle_ttl ({})", duration::format(tokens.refresh_idle_ttl)),
        );
    }
    tokens
}

fn passwords(r: &mut Reader, public_url: Option<&Url>) -> Passwords {
    // Cheap hashes are for trying things out and for tests; whatever faces people gets the floor.
    let trial = public_url.is_some_and(|url| url.scheme() == "http");
    let least = if trial || public_url.is_none() { 8 } else { 8192 };
    Passwords {
        min_length: r.size("passwords.min_length", 8..=128),
        memory_kib: r.number("passwords.memory_kib", least..=4_194_304),
        iterations: r.number("passwords.iterations", 1..=64),
    }
}

fn registration(r: &mut Reader) -> Registration {
    let token = r.text("registration.initial_access_token");
    let policy = r.text("registration.policy");
    let policy = match policy.as_str() {
        "open" => RegistrationPolicy::Open,
        "off" => RegistrationPolicy::Off,
        "token" => {
            // RFC 6750 §2.1: what can stand after `Bearer`.
            let sendable = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
            if token.chars().count() < 16 || !sendable {
                r.refuse(
                    "registration.initial_access_token",
                    "policy = \"token\" needs one of at least 16 letters, digits or -._~+/=",
                );
            }
            RegistrationPolicy::Token(token.clone())
        }
        other => {
            r.refuse("registration.policy", format!("must be one of \"open\", \"token\", \"off\"; found {other:?}"));
            RegistrationPolicy::Off
        }
    };
    if !token.is_empty() && matches!(policy, RegistrationPolicy::Open) {
        r.notice("registration.initial_access_token is set but not asked for: registration.policy is \"open\"");
    }
    let auth_methods = r.items("registration.auth_methods", |text| match text {
        "none" => Ok(AuthMethod::None),
        "client_secret_basic" => Ok(AuthMethod::ClientSecretBasic),
        "client_secret_post" => Ok(AuthMethod::ClientSecretPost),
        "private_key_jwt" => Ok(AuthMethod::PrivateKeyJwt),
        other => Err(format!(
            "{other:?} is not one of \"none\", \"client_secret_basic\", \"client_secret_post\", \"private_key_jwt\""
        )),
    });
    if auth_methods.is_empty() && r.sound(&["registration.auth_methods"]) {
        r.refuse("registration.auth_methods", "must name at least one; \"none\" is for public clients with PKCE");
    }
    Registration {
        policy,
        auth_methods,
        unused_ttl: r.duration("registration.unused_ttl", HOUR..=Duration::MAX),
        max_unused: r.number("registration.max_unused", 1..=u32::MAX),
        private_use_schemes: r.items("registration.private_use_schemes", parse::private_use_scheme),
    }
}

fn documents(r: &mut Reader) -> Documents {
    let allowed = r.items("documents.allowed", parse::document_place);
    let policy = r.text("documents.policy");
    let policy = match policy.as_str() {
        "open" => DocumentsPolicy::Open,
        "known" => DocumentsPolicy::Known,
        "list" if allowed.is_empty() && r.sound(&["documents.allowed"]) => {
            r.refuse("documents.allowed", "policy = \"list\" needs at least one URL or host");
            DocumentsPolicy::Off
        }
        "list" => DocumentsPolicy::List(allowed.clone()),
        "off" => DocumentsPolicy::Off,
        other => {
            let text = format!("must be one of \"open\", \"known\", \"list\", \"off\"; found {other:?}");
            r.refuse("documents.policy", text);
            DocumentsPolicy::Off
        }
    };
    if !allowed.is_empty() && matches!(policy, DocumentsPolicy::Open | DocumentsPolicy::Known) {
        r.notice("documents.allowed is set but not asked for: documents.policy is not \"list\"");
    }
    let path = |text: String| (!text.is_empty()).then(|| PathBuf::from(text));
    let proxy = r.text("documents.proxy");
    if !proxy.is_empty()
        && let Err(message) = address::proxy(&proxy)
    {
        r.refuse("documents.proxy", message);
    }
    let allowed_networks = r.items("documents.allowed_networks", parse::network);
    if !allowed_networks.is_empty() {
        let list = allowed_networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        r.notice(format!("documents.allowed_networks: any stranger can make this server send requests to {list}"));
    }
    let allowed_ports = r.items("documents.allowed_ports", parse::port);
    if allowed_ports.is_empty() && r.sound(&["documents.allowed_ports"]) {
        r.refuse("documents.allowed_ports", "must name at least one; 443 is the usual one");
    }
    let documents = Documents {
        policy,
        timeout: r.duration("documents.timeout", SECOND..=30 * SECOND),
        min_fresh: r.duration("documents.min_fresh", Duration::ZERO..=DAY),
        max_fresh: r.duration("documents.max_fresh", MINUTE..=30 * DAY),
        max_stale: r.duration("documents.max_stale", Duration::ZERO..=90 * DAY),
        new_per_minute: r.number("documents.new_per_minute", 1..=u32::MAX),
        copies_folder: path(r.text("documents.copies_folder")),
        proxy: (!proxy.is_empty()).then_some(Hidden(proxy)),
        ca_file: path(r.text("documents.ca_file")),
        allowed_networks,
        allowed_ports,
    };
    if r.sound(&["documents.min_fresh", "documents.max_fresh"]) && documents.min_fresh > documents.max_fresh {
        r.refuse("documents.min_fresh", "must not be longer than documents.max_fresh");
    }
    documents
}

fn pkce(r: &mut Reader) -> Pkce {
    let exempt_redirect_hosts = r.items("pkce.exempt_redirect_hosts", parse::exempt_host);
    if !exempt_redirect_hosts.is_empty() {
        r.notice(format!(
            "pkce.exempt_redirect_hosts: clients with a callback on {} may leave PKCE out; a code that leaks on its way there can be used by its finder",
            exempt_redirect_hosts.join(", ")
        ));
    }
    Pkce { exempt_redirect_hosts }
}

fn paths(r: &mut Reader) -> Paths {
    let paths = Paths {
        mcp: path(r, "paths.mcp"),
        authorize: path(r, "paths.authorize"),
        token: path(r, "paths.token"),
        register: path(r, "paths.register"),
        revoke: path(r, "paths.revoke"),
        jwks: path(r, "paths.jwks"),
        login: path(r, "paths.login"),
        logout: path(r, "paths.logout"),
        consent: path(r, "paths.consent"),
        setup: path(r, "paths.setup"),
        account: path(r, "paths.account"),
        docs: path(r, "paths.docs"),
    };
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, path) in paths.all() {
        if let Some(other) = seen.insert(path, key) {
            r.refuse(&format!("paths.{key}"), format!("{path:?} is the path of paths.{other} already"));
        }
        // Clients that find no documents guess these (spec of 2025-03-26), so they can't mean anything else.
        for guessed in ["authorize", "token", "register"] {
            if path.strip_prefix('/') == Some(guessed) && key != guessed {
                r.refuse(&format!("paths.{key}"), format!("{path:?} is kept for paths.{guessed}: clients guess it"));
            }
        }
        for (above, room) in [("account", &paths.account), ("docs", &paths.docs), ("register", &paths.register)] {
            let below = path.strip_prefix(room.as_str()).is_some_and(|rest| rest.starts_with('/'));
            if below {
                r.refuse(
                    &format!("paths.{key}"),
                    format!("{path:?} lies below paths.{above}, which has pages of its own there"),
                );
            }
        }
    }
    paths
}

fn path(r: &mut Reader, key: &str) -> String {
    let text = r.text(key);
    if let Err(message) = parse::path(&text) {
        r.refuse(key, message);
    }
    text
}

fn scopes(r: &mut Reader) -> Scopes {
    let mut describe = BTreeMap::new();
    for (text, sentence) in r.table("scopes.describe") {
        match parse::scope_token(&text) {
            Ok(scope) => {
                if sentence.trim().is_empty() {
                    r.refuse("scopes.describe", format!("{text:?} has no sentence for the consent page"));
                }
                describe.insert(scope, sentence);
            }
            Err(message) => r.refuse("scopes.describe", message),
        }
    }
    let default = scope(r, "scopes.default", &describe);
    if default.is_empty() && r.sound(&["scopes.default"]) {
        r.refuse("scopes.default", "must name at least one: clients that ask for nothing get these");
    }
    Scopes { default, describe }
}

/// A list of scopes, each described. One that can't be read or isn't described stops the start: a scope that was left
/// out would open to everybody what was meant to be guarded.
fn scope(r: &mut Reader, key: &str, describe: &BTreeMap<ScopeToken, String>) -> Scope {
    let tokens = r.items(key, parse::scope_token);
    for token in &tokens {
        if !describe.contains_key(token) {
            let hint = super::problems::closest(token.as_str(), describe.keys().map(ScopeToken::as_str))
                .map(|meant| format!(", or did you mean {meant:?}?"))
                .unwrap_or_default();
            r.refuse(
                key,
                format!(
                    "{:?} is not described: add it to [scopes.describe] with a sentence for the consent page{hint}",
                    token.as_str()
                ),
            );
        }
    }
    tokens.into_iter().collect()
}

fn tools(r: &mut Reader, scopes: &Scopes) -> Tools {
    let mut tool = |name: &str| Tool {
        enabled: r.flag(&format!("tools.{name}.enabled")),
        scopes: scope(r, &format!("tools.{name}.scopes"), &scopes.describe),
    };
    Tools { whoami: tool("whoami"), search: tool("search"), fetch: tool("fetch") }
}

fn clients(r: &mut Reader) -> Clients {
    let file = r.text("clients.profiles_file");
    if file.is_empty() {
        return Clients { profiles_file: None };
    }
    let file = PathBuf::from(file);
    if !file.is_file() {
        r.refuse("clients.profiles_file", format!("{} is not a file that can be opened", file.display()));
    }
    Clients { profiles_file: Some(file) }
}

fn docs(r: &mut Reader) -> Docs {
    let folder = r.text("docs.folder");
    if folder.is_empty() {
        return Docs { folder: None };
    }
    let folder = PathBuf::from(folder);
    if !folder.is_dir() {
        r.refuse("docs.folder", format!("{} is not a folder that can be opened", folder.display()));
    }
    Docs { folder: Some(folder) }
}

fn limits(r: &mut Reader) -> Limits {
    Limits {
        enabled: r.flag("limits.enabled"),
        trusted_proxies: r.items("limits.trusted_proxies", parse::network),
        forwarded_header: forwarded_header(r),
        register_per_minute: r.count("limits.register_per_minute"),
        register_per_minute_total: r.count("limits.register_per_minute_total"),
        authorize_per_minute: r.count("limits.authorize_per_minute"),
        authorize_kib_per_minute: r.count("limits.authorize_kib_per_minute"),
        authorize_kib_per_minute_total: r.count("limits.authorize_kib_per_minute_total"),
        token_per_minute: r.count("limits.token_per_minute"),
        api_failures_per_minute: r.count("limits.api_failures_per_minute"),
        sign_in_failures: r.count("limits.sign_in_failures"),
        sign_in_window: r.duration("limits.sign_in_window", SECOND..=DAY),
        body_bytes: r.bytes("limits.body_bytes"),
        mcp_body_bytes: r.bytes("limits.mcp_body_bytes"),
        // The parsers behind stop at 128 by themselves, with a message that names no setting.
        mcp_json_depth: r.size("limits.mcp_json_depth", 8..=100),
        mcp_json_values: r.size("limits.mcp_json_values", 1000..=100_000),
    }
}

fn forwarded_header(r: &mut Reader) -> String {
    const KEY: &str = "limits.forwarded_header";
    let text = r.text(KEY);
    if let Err(message) = parse::header_name(&text) {
        r.refuse(KEY, message);
    }
    text
}

fn log(r: &mut Reader) -> Log {
    let log = Log {
        format: r.choice(
            "log.format",
            ("auto", LogFormat::Auto),
            &[("human", LogFormat::Human), ("json", LogFormat::Json)],
        ),
        filter: r.text("log.filter"),
    };
    if let Err(error) = EnvFilter::builder().parse(&log.filter) {
        r.refuse("log.filter", format!("{:?} can't be read: {error}", log.filter));
    }
    log
}
