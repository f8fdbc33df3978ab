//! What an administrator writes down about a client, read strictly: a slip must be told, never mended in silence.
//!
//! The same for the command line and the API: both fill a [`Draft`], and [`Rules::apply`] turns it into
//! [`Properties`] or names the field that is wrong.

use std::time::Duration;

use oauth::client::{AuthMethod, ClientKeys, ClientMetadata};
use oauth::jwks::JwkSet;
use oauth::redirect_uri::RedirectUri;
use oauth::scope::{Scope, ScopeToken};
use serde::{Deserialize, Deserializer};

use crate::config::problems::closest;
use crate::config::{Config, MAX_ACCESS_TTL, duration};
use crate::model::client::{Client, ClientOrigin, Terms};
use crate::model::managed::Properties;

/// What becomes of one property (RFC 7396: absent keeps, null clears).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes back to what holds for everybody.
    Clear,
    /// It is this from now on.
    Set(T),
}

/// Of a member that is there; one that is absent is the default of its struct.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T> Change<T> {
    /// Sets the value if there is one, and else keeps what is there.
    #[must_use]
    pub fn to(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    /// The same with another value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(change(value)),
        }
    }

    fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// Properties as they were written, each under the name that a fault gives it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the property of its name; `docs/manual/clients.md` explains them")]
pub struct Draft {
    pub name: Change<String>,
    pub description: Change<String>,
    pub redirect_uris: Change<Vec<String>>,
    pub auth_methods: Change<Vec<String>>,
    /// The text of a JWK set.
    pub jwks: Change<String>,
    pub jwks_uri: Change<String>,
    pub refresh: Change<bool>,
    pub allowed_scopes: Change<Vec<String>>,
    pub access_ttl: Change<String>,
    pub refresh_idle_ttl: Change<String>,
    pub refresh_absolute_ttl: Change<String>,
    pub first_party: Change<bool>,
    pub client_uri: Change<String>,
    pub tos_uri: Change<String>,
    pub policy_uri: Change<String>,
}

/// What is wrong with a property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Fault {
    /// The property.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// What is lawful here.
#[derive(Clone, Debug)]
pub struct Rules {
    scopes: Scope,
    known_schemes: Vec<String>,
    grace: Duration,
    idle: Duration,
    absolute: Duration,
}

const MAX_REDIRECT_URIS: usize = 20;
const MAX_KEYS: usize = 16 * 1024;
const MINUTE: Duration = Duration::from_mins(1);

fn fault(field: &'static str, message: impl Into<String>) -> Fault {
    Fault { field, message: message.into() }
}

impl Rules {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            scopes: config.scopes.describe.keys().cloned().collect(),
            known_schemes: config.registration.private_use_schemes.clone(),
            grace: config.tokens.refresh_grace,
            idle: config.tokens.refresh_idle_ttl,
            absolute: config.tokens.refresh_absolute_ttl,
        }
    }

    /// The properties of a new managed client.
    ///
    /// # Errors
    /// The first property that is wrong.
    pub fn new_client(&self, draft: &Draft) -> Result<Properties, Fault> {
        let blank = Properties {
            metadata: ClientMetadata {
                redirect_uris: Vec::new(),
                // Which of the two a program uses is seldom said in its form: both are good.
                auth_methods: vec![AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic],
                keys: None,
                grant_types: grant_types(true),
                scope: Scope::default(),
                name: None,
                uri: None,
                tos_uri: None,
                policy_uri: None,
                software_id: None,
                software_version: None,
                application_type: None,
            },
            description: None,
            terms: Terms::default(),
        };
        self.apply(blank, draft)
    }

    /// The properties of a stored client after a change. Of a client that speaks for itself only what the
    /// administrator decides can be changed.
    ///
    /// # Errors
    /// The first property that is wrong.
    pub fn edited(&self, client: &Client, draft: &Draft) -> Result<Properties, Fault> {
        if client.origin != ClientOrigin::Managed {
            let own = [
                ("name", draft.name.is_keep()),
                ("redirect_uris", draft.redirect_uris.is_keep()),
                ("auth_methods", draft.auth_methods.is_keep()),
                ("jwks", draft.jwks.is_keep()),
                ("jwks_uri", draft.jwks_uri.is_keep()),
                ("refresh", draft.refresh.is_keep()),
                ("first_party", draft.first_party.is_keep()),
                ("client_uri", draft.client_uri.is_keep()),
                ("tos_uri", draft.tos_uri.is_keep()),
                ("policy_uri", draft.policy_uri.is_keep()),
            ];
            if let Some((field, _)) = own.into_iter().find(|(_, keep)| !keep) {
                return Err(fault(
                    field,
                    "this client speaks for itself; only description, allowed_scopes and the lifetimes can be set here",
                ));
            }
            return self.terms_of(Properties::of(client), draft);
        }
        self.apply(Properties::of(client), draft)
    }

    fn apply(&self, base: Properties, draft: &Draft) -> Result<Properties, Fault> {
        let mut new = self.terms_of(base, draft)?;
        let metadata = &mut new.metadata;
        metadata.name = line("name", metadata.name.take(), &draft.name, 200)?;
        if metadata.name.is_none() {
            return Err(fault("name", "is missing: people see it when they are asked to let the client in"));
        }
        match &draft.redirect_uris {
            Change::Keep => {}
            Change::Clear => metadata.redirect_uris.clear(),
            Change::Set(texts) => metadata.redirect_uris = self.redirect_uris(texts)?,
        }
        if metadata.redirect_uris.is_empty() {
            return Err(fault("redirect_uris", "at least one is needed: the client's callback, where answers go"));
        }
        match &draft.auth_methods {
            Change::Keep => {}
            Change::Clear => {
                metadata.auth_methods = vec![AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic];
            }
            Change::Set(texts) => metadata.auth_methods = auth_methods(texts)?,
        }
        metadata.keys = keys(metadata, draft)?;
        match draft.refresh {
            Change::Keep => {}
            Change::Clear => metadata.grant_types = grant_types(true),
            Change::Set(refresh) => metadata.grant_types = grant_types(refresh),
        }
        metadata.uri = link("client_uri", metadata.uri.take(), &draft.client_uri)?;
        metadata.tos_uri = link("tos_uri", metadata.tos_uri.take(), &draft.tos_uri)?;
        metadata.policy_uri = link("policy_uri", metadata.policy_uri.take(), &draft.policy_uri)?;
        metadata.scope = match &new.terms.allowed_scope {
            Some(allowed) => allowed.clone(),
            None => self.scopes.clone(),
        };
        match draft.first_party {
            Change::Keep => {}
            Change::Clear => new.terms.first_party = false,
            Change::Set(first_party) => new.terms.first_party = first_party,
        }
        Ok(new)
    }

    fn terms_of(&self, mut new: Properties, draft: &Draft) -> Result<Properties, Fault> {
        new.description = line("description", new.description.take(), &draft.description, 1000)?;
        match &draft.allowed_scopes {
            Change::Keep => {}
            Change::Clear => new.terms.allowed_scope = None,
            Change::Set(names) => new.terms.allowed_scope = Some(self.ceiling(names)?),
        }
        let terms = &mut new.terms;
        let second = Duration::from_secs(1);
        terms.access_ttl = span("access_ttl", terms.access_ttl, &draft.access_ttl, second, MAX_ACCESS_TTL)?;
        terms.refresh_idle_ttl =
            span("refresh_idle_ttl", terms.refresh_idle_ttl, &draft.refresh_idle_ttl, MINUTE, Duration::MAX)?;
        terms.refresh_absolute_ttl = span(
            "refresh_absolute_ttl",
            terms.refresh_absolute_ttl,
            &draft.refresh_absolute_ttl,
            MINUTE,
            Duration::MAX,
        )?;
        let idle = terms.refresh_idle_ttl.unwrap_or(self.idle);
        let absolute = terms.refresh_absolute_ttl.unwrap_or(self.absolute);
        if terms.refresh_idle_ttl.is_some() && idle <= self.grace {
            let grace = duration::format(self.grace);
            return Err(fault("refresh_idle_ttl", format!("must be longer than tokens.refresh_grace ({grace})")));
        }
        if absolute < idle {
            // Told of the one that the administrator can see.
            let (field, words) = if terms.refresh_absolute_ttl.is_some() {
                (
                    "refresh_absolute_ttl",
                    format!("must not be shorter than refresh_idle_ttl ({})", duration::format(idle)),
                )
            } else {
                (
                    "refresh_idle_ttl",
                    format!("must not be longer than refresh_absolute_ttl ({})", duration::format(absolute)),
                )
            };
            return Err(fault(field, words));
        }
        Ok(new)
    }

    fn redirect_uris(&self, texts: &[String]) -> Result<Vec<RedirectUri>, Fault> {
        const FIELD: &str = "redirect_uris";
        if texts.len() > MAX_REDIRECT_URIS {
            return Err(fault(FIELD, format!("{} are too many; {MAX_REDIRECT_URIS} at most", texts.len())));
        }
        let mut uris = Vec::new();
        for text in texts {
            let uri = RedirectUri::parse(text, &self.known_schemes)
                .map_err(|why| fault(FIELD, format!("{:?} {why}", shortened(text))))?;
            if uris.contains(&uri) {
                return Err(fault(FIELD, format!("{:?} is there twice", shortened(text))));
            }
            uris.push(uri);
        }
        Ok(uris)
    }

    fn ceiling(&self, names: &[String]) -> Result<Scope, Fault> {
        const FIELD: &str = "allowed_scopes";
        if names.is_empty() {
            return Err(fault(
                FIELD,
                "is empty: a client that may have nothing can't be let in; clear it to allow all",
            ));
        }
        let mut tokens = Vec::new();
        for name in names {
            let Some(known) = self.scopes.iter().find(|own| own.as_str() == name) else {
                let hint = closest(name, self.scopes.iter().map(ScopeToken::as_str))
                    .map(|meant| format!("; did you mean {meant:?}?"))
                    .unwrap_or_default();
                return Err(fault(FIELD, format!("{:?} is not in [scopes.describe]{hint}", shortened(name))));
            };
            tokens.push(known.clone());
        }
        Ok(tokens.into_iter().collect())
    }
}

fn grant_types(refresh: bool) -> Vec<String> {
    let mut types = vec!["authorization_code".to_owned()];
    types.extend(refresh.then(|| "refresh_token".to_owned()));
    types
}

/// A client has nothing to prove, a secret, or a key. Several at once would make the weakest of them count.
fn auth_methods(texts: &[String]) -> Result<Vec<AuthMethod>, Fault> {
    const FIELD: &str = "auth_methods";
    let mut methods = Vec::new();
    for text in texts {
        let method = AuthMethod::parse(text).ok_or_else(|| {
            let known = "none, client_secret_post, client_secret_basic or private_key_jwt";
            fault(FIELD, format!("{:?} is not one of {known}", shortened(text)))
        })?;
        if methods.contains(&method) {
            return Err(fault(FIELD, format!("{text:?} is there twice")));
        }
        methods.push(method);
    }
    if methods.is_empty() {
        return Err(fault(FIELD, "at least one is needed; none is for a client that can keep no secret"));
    }
    if methods.len() > 1 && !methods.iter().all(|method| method.needs_secret()) {
        return Err(fault(FIELD, "none and private_key_jwt stand alone: beside another method the weaker would count"));
    }
    Ok(methods)
}

fn keys(metadata: &ClientMetadata, draft: &Draft) -> Result<Option<ClientKeys>, Fault> {
    let by_key = metadata.auth_methods.contains(&AuthMethod::PrivateKeyJwt);
    let keys = match (&draft.jwks, &draft.jwks_uri) {
        (Change::Set(_), Change::Set(_)) => {
            return Err(fault("jwks_uri", "give jwks or jwks_uri, not both"));
        }
        (Change::Set(text), _) => Some(ClientKeys::Inline(public_keys(text)?)),
        (_, Change::Set(text)) => Some(ClientKeys::Uri(keys_uri(text)?)),
        (jwks, jwks_uri) => match &metadata.keys {
            Some(ClientKeys::Inline(_)) if *jwks == Change::Clear => None,
            Some(ClientKeys::Uri(_)) if *jwks_uri == Change::Clear => None,
            // Keys that nothing is checked with any more are forgotten.
            kept => kept.clone().filter(|_| by_key),
        },
    };
    match (&keys, by_key) {
        (None, true) => Err(fault("jwks", "private_key_jwt needs the client's public keys: give jwks or jwks_uri")),
        (Some(ClientKeys::Inline(_)), false) => Err(fault("jwks", "is for private_key_jwt; set auth_methods to it")),
        (Some(ClientKeys::Uri(_)), false) => Err(fault("jwks_uri", "is for private_key_jwt; set auth_methods to it")),
        (Some(_), true) | (None, false) => Ok(keys),
    }
}

/// RFC 7517 §5. Private and shared keys are refused: they would lie readable in the database, and whoever sent them
/// should make new ones.
fn public_keys(text: &str) -> Result<String, Fault> {
    const FIELD: &str = "jwks";
    if text.len() > MAX_KEYS {
        return Err(fault(FIELD, format!("is larger than {MAX_KEYS} bytes")));
    }
    let set: serde_json::Value =
        serde_json::from_str(text).map_err(|error| fault(FIELD, format!("is not JSON: {error}")))?;
    let keys = set.get("keys").and_then(|keys| keys.as_array()).map(Vec::as_slice).unwrap_or_default();
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if let Some(member) = keys.iter().find_map(|key| private.into_iter().find(|name| key.get(*name).is_some())) {
        let words = format!(
            "holds a private or shared key (member {member:?}): send public keys, and make new ones, because these were shown"
        );
        return Err(fault(FIELD, words));
    }
    let usable = JwkSet::parse(text.as_bytes()).map_err(|why| fault(FIELD, why.to_string()))?;
    Ok(usable.as_str().to_owned())
}

fn keys_uri(text: &str) -> Result<String, Fault> {
    let https = url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https" && url.host_str().is_some() && url.username().is_empty() && url.fragment().is_none()
    });
    if https && text.len() <= 2000 && text.is_ascii() {
        Ok(text.to_owned())
    } else {
        Err(fault("jwks_uri", "must be an https URL without user name and fragment"))
    }
}

/// One line of text that shows as it reads: what can't be seen or turns the writing direction is refused.
fn line(
    field: &'static str,
    before: Option<String>,
    change: &Change<String>,
    most: usize,
) -> Result<Option<String>, Fault> {
    let text = match change {
        Change::Keep => return Ok(before),
        Change::Clear => return Ok(None),
        Change::Set(text) => text.trim(),
    };
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.is_empty() {
        return Err(fault(field, "is empty"));
    }
    if text.chars().count() > most {
        return Err(fault(field, format!("is longer than {most} characters")));
    }
    if text.chars().any(hidden) {
        return Err(fault(field, "holds a character that can't be seen, such as a line break"));
    }
    Ok(Some(text.to_owned()))
}

fn link(field: &'static str, before: Option<String>, change: &Change<String>) -> Result<Option<String>, Fault> {
    let text = match change {
        Change::Keep => return Ok(before),
        Change::Clear => return Ok(None),
        Change::Set(text) => text,
    };
    let lawful = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.host_str().is_some() && url.username().is_empty()
    });
    if lawful && text.len() <= 2000 && text.is_ascii() && !text.contains(char::is_whitespace) {
        Ok(Some(text.clone()))
    } else {
        Err(fault(field, "must be a web address such as https://example.com/about"))
    }
}

fn span(
    field: &'static str,
    before: Option<Duration>,
    change: &Change<String>,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Fault> {
    let text = match change {
        Change::Keep => return Ok(before),
        Change::Clear => return Ok(None),
        Change::Set(text) => text,
    };
    let span = duration::parse(text).map_err(|words| fault(field, words))?;
    if span < least {
        return Err(fault(field, format!("must be at least {}; found {text:?}", duration::format(least))));
    }
    if span > most {
        return Err(fault(field, format!("must be at most {}; found {text:?}", duration::format(most))));
    }
    Ok(Some(span))
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
