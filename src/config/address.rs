//! Addresses that may hold a password: judged whole, and shown without it.
//!
//! A password that isn't percent-encoded ends the host's part too early: of `postgres://ada:12/ab@host/db` the library
//! takes `ada` for the host, `12` for the port and `ab@host` for the database, and whoever shows "all but the password"
//! shows the password. So an address is shown only if nothing in it can be a stray piece of one; all others are refused,
//! and never repeated.

use url::Url;

/// What is shown in the place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// The parameters of a PostgreSQL address that the driver understands.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
/// Those whose values are no secrets.
const SHOWN: [&str; 11] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const EXAMPLE: &str = "write \"postgres://USER:PASSWORD@HOST:PORT/DATABASE\"";

/// A PostgreSQL address in which every part is what it seems.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PostgresAddress {
    /// For the driver: without the parameters that it doesn't know. It would log them, values included.
    pub(super) connect: String,
    /// For people.
    pub(super) shown: String,
    /// The names of the parameters that were left out.
    pub(super) ignored: Vec<String>,
}

/// Reads a PostgreSQL address.
///
/// # Errors
/// What is wrong, in words that repeat no part of it.
pub(super) fn postgres(text: &str) -> Result<PostgresAddress, String> {
    let refuse = |why: &str| Err(format!("{why}; {EXAMPLE} and percent-encode special characters in the password"));
    let Ok(url) = Url::parse(text) else {
        return refuse("is not a readable PostgreSQL address");
    };
    if url.fragment().is_some() {
        return refuse("has a # in it, which ends an address (a # in a password is written %23)");
    }
    let query = url.query().unwrap_or_default();
    if url.path().contains('@') || query.contains('@') {
        return refuse("has an @ behind its host: / ? # @ in a password or name are written %2F %3F %23 %40");
    }
    let (mut kept, mut shown, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let Some((name, value)) = url::form_urlencoded::parse(part.as_bytes()).next() else { continue };
        if !part.contains('=') || !is_name(&name) {
            return refuse("has a parameter that is not written name=value");
        }
        if !KNOWN.contains(&&*name) && !name.starts_with("options[") {
            ignored.push(name.into_owned());
            continue;
        }
        if matches!(&*name, "sslmode" | "ssl-mode") && !SSL_MODES.contains(&&*value) {
            return Err(format!("has an sslmode that is none of {}", SSL_MODES.join(", ")));
        }
        kept.push(part);
        if SHOWN.contains(&&*name) {
            shown.push(part.to_owned());
        } else {
            shown.push(format!("{name}={HIDDEN}"));
        }
    }
    let base = text.split('?').next().unwrap_or_default();
    let with = |base: &str, query: &str| if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") };
    Ok(PostgresAddress {
        connect: with(base, &kept.join("&")),
        shown: with(&without_password(&url), &shown.join("&")),
        ignored,
    })
}

/// An address as PostgreSQL's own tools take it, without its password; perhaps of another database.
pub(super) fn for_tools(text: &str, database: Option<&str>) -> String {
    let Ok(mut url) = Url::parse(text) else { return HIDDEN.to_owned() };
    // An address without a host has no place for a password.
    if url.password().is_some() && url.set_password(None).is_err() {
        return HIDDEN.to_owned();
    }
    if let Some(database) = database {
        url.set_path(database);
    }
    let query = url.query().unwrap_or_default().to_owned();
    let known = query.split('&').filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        // The driver knows some names that are not PostgreSQL's.
        let name = match name {
            "ssl-mode" => "sslmode",
            "ssl-root-cert" | "ssl-ca" => "sslrootcert",
            "ssl-cert" => "sslcert",
            "ssl-key" => "sslkey",
            "password" | "statement-cache-capacity" | "application_name" => return None,
            "dbname" if database.is_some() => return None,
            name if name.starts_with("options[") => return None,
            name => name,
        };
        Some(format!("{name}={value}"))
    });
    let known = known.collect::<Vec<_>>().join("&");
    url.set_query(Some(known.as_str()).filter(|query| !query.is_empty()));
    url.into()
}

/// The name of the database that an address leads to; that of the user if it says none, as everywhere.
pub(super) fn database_name(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return String::new() };
    let query = |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    // The same decoding as that of a query.
    let plain = |text: &str| {
        url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    let path = url.path().trim_start_matches('/');
    let named = query("dbname").or_else(|| plain(path).filter(|name| !name.is_empty()));
    named.or_else(|| query("user")).or_else(|| plain(url.username())).unwrap_or_default()
}

/// A parameter's name, as people write them: `connect_timeout`, `options[search_path]`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-[]".contains(&byte))
}

/// Scheme, user, host, port and path.
fn without_password(url: &Url) -> String {
    let mut user = url.username().to_owned();
    if url.password().is_some() {
        user.push(':');
        user.push_str(HIDDEN);
    }
    let at = if user.is_empty() { "" } else { "@" };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{user}{at}{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Judges the address of an HTTP proxy: scheme, perhaps user and password, host, perhaps a port, and no more.
///
/// # Errors
/// When it is something else; the words repeat no part of it.
pub(super) fn proxy(text: &str) -> Result<Url, String> {
    let bare = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
    };
    Url::parse(text).ok().filter(bare).ok_or_else(|| {
        "is not the address of a proxy; write \"http://proxy.example:3128\" or \"http://USER:PASSWORD@proxy.example:3128\" \
         and percent-encode special characters in the password"
            .to_owned()
    })
}

/// A database address for showing. What can't be told from a password is left out whole.
pub(super) fn shown_database(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    postgres(text).map_or_else(|_| HIDDEN.to_owned(), |address| address.shown)
}

/// A proxy's address for showing: without user and password, for some proxies take a token as the user.
pub(super) fn shown_proxy(text: &str) -> String {
    let Ok(mut url) = proxy(text) else { return HIDDEN.to_owned() };
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return HIDDEN.to_owned();
    }
    url.as_str().replacen("://", &format!("://{HIDDEN}@"), 1)
}
