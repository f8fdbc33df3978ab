//! What an administrator writes down about a client, read strictly: a slip must be told, never mended in silence.
//!
//! The same for the command line and the API: both fill a [`Draft`], and [`Rules`] turn it into [`Properties`] or name the
//! field that is wrong.

use std::time::Duration;

use known_clients::profile::Profiles;
use oauth::client::{AuthMethod, ClientMetadata, Member, MetadataFault, MetadataRules, Source};
use oauth::scope::{Scope, ScopeToken};
use oauth::text::is_hidden;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::admin::Fault;
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
    /// Redirect URIs beside those of `redirect_uris`, or those that the client has.
    pub add_redirect_uris: Vec<String>,
    /// Redirect URIs that go.
    pub remove_redirect_uris: Vec<String>,
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

/// What is lawful here.
#[derive(Clone, Debug)]
pub struct Rules {
    scopes: Scope,
    metadata: MetadataRules,
    grace: Duration,
    idle: Duration,
    absolute: Duration,
}

const MINUTE: Duration = Duration::from_mins(1);

fn fault(field: &'static str, message: impl Into<String>) -> Fault {
    Fault::of(field, message)
}

/// The faults of members under the names that properties have here.
impl From<MetadataFault> for Fault {
    fn from(why: MetadataFault) -> Self {
        match why {
            MetadataFault::Member { member, problem } => fault(field_of(member), problem.to_string()),
            MetadataFault::TooLarge { .. } | MetadataFault::Json(_) => fault("redirect_uris", why.to_string()),
        }
    }
}

const fn field_of(member: Member) -> &'static str {
    match member {
        Member::ClientName => "name",
        Member::AuthMethod | Member::AuthMethods => "auth_methods",
        Member::GrantTypes | Member::ResponseTypes => "refresh",
        Member::Scope => "allowed_scopes",
        Member::RedirectUris
        | Member::Jwks
        | Member::JwksUri
        | Member::ClientUri
        | Member::TosUri
        | Member::PolicyUri
        | Member::Contacts
        | Member::SoftwareId
        | Member::SoftwareVersion
        | Member::ApplicationType
        | Member::ClientId
        | Member::ClientSecret => member.as_str(),
    }
}

impl Draft {
    /// Fills in what is known of a client by its profile, where nothing was said: name, callbacks, and that programs
    /// on people's own machines keep no secret.
    ///
    /// # Errors
    /// When there is no such profile.
    pub fn fill_for(&mut self, id: &str, profiles: &Profiles) -> Result<(), Fault> {
        let Some(profile) = profiles.by_id(id) else {
            let known = profiles.iter().map(|profile| profile.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(fault("for", format!("{id:?} is not one of {known}")));
        };
        if self.name == Change::Keep {
            self.name = Change::Set(profile.name.clone());
        }
        if self.redirect_uris == Change::Keep {
            let callbacks = profile.callbacks().chain(profile.local_callbacks());
            self.redirect_uris = Change::Set(callbacks.map(str::to_owned).collect());
        }
        let keyless = self.jwks == Change::Keep && self.jwks_uri == Change::Keep;
        if self.auth_methods == Change::Keep && keyless && profile.callbacks().next().is_none() {
            self.auth_methods = Change::Set(vec!["none".to_owned()]);
        }
        Ok(())
    }

    /// The properties that are members of client metadata, under the names that they have there (RFC 7591 §2).
    #[expect(clippy::unneeded_field_pattern, reason = "a new one has to be put on either side")]
    fn members(&self, before: Option<&ClientMetadata>) -> Result<[(Member, Change<Value>); 9], Fault> {
        let Self {
            name,
            redirect_uris: _,
            add_redirect_uris: _,
            remove_redirect_uris: _,
            auth_methods,
            jwks,
            jwks_uri,
            refresh,
            client_uri,
            tos_uri,
            policy_uri,
            description: _,
            allowed_scopes: _,
            access_ttl: _,
            refresh_idle_ttl: _,
            refresh_absolute_ttl: _,
            first_party: _,
        } = self;
        let text = |change: &Change<String>| change.clone().map(Value::String);
        let texts = |change: &Change<Vec<String>>| change.clone().map(Value::from);
        let set = match jwks {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(set) => {
                Change::Set(serde_json::from_str(set).map_err(|error| fault("jwks", format!("is not JSON: {error}")))?)
            }
        };
        let grants = |refresh: bool| json!(if refresh { &GRANTS[..] } else { &GRANTS[..1] });
        Ok([
            (Member::ClientName, text(name)),
            (Member::RedirectUris, texts(&self.redirect_uris_after(before)?)),
            (Member::AuthMethods, texts(auth_methods)),
            (Member::Jwks, set),
            (Member::JwksUri, text(jwks_uri)),
            (Member::GrantTypes, refresh.clone().map(grants)),
            (Member::ClientUri, text(client_uri)),
            (Member::TosUri, text(tos_uri)),
            (Member::PolicyUri, text(policy_uri)),
        ])
    }

    /// What becomes of the redirect URIs of a client that was this before.
    fn redirect_uris_after(&self, before: Option<&ClientMetadata>) -> Result<Change<Vec<String>>, Fault> {
        if self.add_redirect_uris.is_empty() && self.remove_redirect_uris.is_empty() {
            return Ok(self.redirect_uris.clone());
        }
        let mut uris = match &self.redirect_uris {
            Change::Set(uris) => uris.clone(),
            Change::Clear => Vec::new(),
            Change::Keep => {
                let present = before.into_iter().flat_map(|metadata| &metadata.redirect_uris);
                present.map(|uri| uri.as_str().to_owned()).collect()
            }
        };
        for gone in &self.remove_redirect_uris {
            if !uris.contains(gone) {
                return Err(fault("redirect_uris", format!("{:?} is not one of its callbacks", shortened(gone))));
            }
            uris.retain(|own| own != gone);
        }
        uris.extend(self.add_redirect_uris.iter().cloned());
        Ok(Change::Set(uris))
    }
}

const GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];

impl Rules {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let scopes: Scope = config.scopes.describe.keys().cloned().collect();
        Self {
            metadata: MetadataRules {
                auth_methods: AuthMethod::ALL.to_vec(),
                grant_types: GRANTS.to_vec(),
                scope: scopes.clone(),
                known_schemes: config.registration.private_use_schemes.clone(),
                allowed_ports: config.documents.allowed_ports.clone(),
            },
            scopes,
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
        self.apply(None, draft)
    }

    /// The properties of a stored client after a change. Of a client that speaks for itself only what the
    /// administrator decides can be changed.
    ///
    /// # Errors
    /// The first property that is wrong.
    pub fn edited(&self, client: &Client, draft: &Draft) -> Result<Properties, Fault> {
        let before = Properties::of(client);
        if client.origin == ClientOrigin::Managed {
            return self.apply(Some(before), draft);
        }
        let own = draft
            .members(Some(&before.metadata))?
            .into_iter()
            .find(|(_, change)| !change.is_keep())
            .map(|(member, _)| field_of(member));
        let own = own.or_else(|| (!draft.first_party.is_keep()).then_some("first_party"));
        if let Some(field) = own {
            return Err(fault(
                field,
                "this client speaks for itself; only description, allowed_scopes and the lifetimes can be set here",
            ));
        }
        let (description, terms) = self.terms_of(before.description, before.terms, draft)?;
        Ok(Properties { metadata: before.metadata, description, terms })
    }

    fn apply(&self, before: Option<Properties>, draft: &Draft) -> Result<Properties, Fault> {
        let mut members = Map::new();
        for (member, change) in draft.members(before.as_ref().map(|properties| &properties.metadata))? {
            let value = match change {
                Change::Keep => continue,
                Change::Clear => Value::Null,
                Change::Set(value) => value,
            };
            members.insert(member.as_str().to_owned(), value);
        }
        let (before, description, terms) = match before {
            Some(Properties { metadata, description, terms }) => (Some(metadata), description, terms),
            None => (None, None, Terms::default()),
        };
        let mut metadata = ClientMetadata::parse(&members, Source::Administrator(before.as_ref()), &self.metadata)?;
        let (description, mut terms) = self.terms_of(description, terms, draft)?;
        metadata.scope = terms.allowed_scope.as_ref().unwrap_or(&self.scopes).clone();
        match draft.first_party {
            Change::Keep => {}
            Change::Clear => terms.first_party = false,
            Change::Set(first_party) => terms.first_party = first_party,
        }
        Ok(Properties { metadata, description, terms })
    }

    fn terms_of(
        &self,
        description: Option<String>,
        mut terms: Terms,
        draft: &Draft,
    ) -> Result<(Option<String>, Terms), Fault> {
        let description = line("description", description, &draft.description, 1000)?;
        match &draft.allowed_scopes {
            Change::Keep => {}
            Change::Clear => terms.allowed_scope = None,
            Change::Set(names) => terms.allowed_scope = Some(self.ceiling(names)?),
        }
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
        Ok((description, terms))
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

/// One line of text that shows as it reads.
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
    if text.is_empty() {
        return Err(fault(field, "is empty"));
    }
    if text.chars().count() > most {
        return Err(fault(field, format!("is longer than {most} characters")));
    }
    if text.contains(is_hidden) {
        return Err(fault(field, "holds a character that can't be seen, such as a line break"));
    }
    Ok(Some(text.to_owned()))
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
