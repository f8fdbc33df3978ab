//! The one parser of client metadata, whoever brings it.
//!
//! Who says something of a client decides how a slip is met. A program that registers reads the answer: what decides
//! something is refused by name, what this server doesn't offer is replaced, and the answer shows the result (RFC 7591 §2,
//! §3.2.1). A metadata document is read by the person's browser, who can't mend it: what only decorates is left out when it
//! is wrong. An administrator is told of every slip, and nothing is mended in silence.

use serde_json::{Map, Value};

use super::auth_method::AuthMethod;
use super::fault::{Member, MetadataFault, Problem};
use super::id_url::ClientIdUrl;
use super::metadata::{ClientKeys, ClientMetadata};
use crate::https_url::{HttpsUrl, MAX_URL};
use crate::json;
use crate::jwks::{InvalidJwkSet, JwkSet};
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::text::{is_hidden, printable};

/// The most bytes of a metadata document, and of what is kept of any client. The draft recommends 5 KiB; real ones have
/// 1 to 2.
pub const MAX_BYTES: usize = 16 * 1024;

/// Of a list, such as `redirect_uris`.
const MAX_ITEMS: usize = 50;
const MAX_NAME: usize = 200;
const MAX_TEXT: usize = 2000;
const MAX_SCOPE: usize = 4096;

const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";

/// What this server offers to clients.
#[derive(Clone, Debug)]
pub struct MetadataRules {
    /// Methods on offer, the preferred one first. An administrator may choose others.
    pub auth_methods: Vec<AuthMethod>,
    /// Grant types on offer.
    pub grant_types: Vec<&'static str>,
    /// Scopes on offer, `offline_access` included.
    pub scope: Scope,
    /// Private-use schemes without a dot that are accepted (see [`RedirectUri::parse`]).
    pub known_schemes: Vec<String>,
    /// Ports that a `jwks_uri` may have.
    pub allowed_ports: Vec<u16>,
}

/// Who says what a client is.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The client itself, at the registration endpoint (RFC 7591).
    Registration,
    /// The document at this URL.
    Document(&'a ClientIdUrl),
    /// An administrator: of a new client, or of one that was this before. Members that are absent stay (RFC 7396).
    Administrator(Option<&'a ClientMetadata>),
}

impl ClientMetadata {
    /// Reads the members of client metadata. Unknown ones are ignored; `null` and empty texts count as absent, save where
    /// an administrator wrote them (RFC 7591 §2).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(
        members: &Map<String, Value>,
        source: Source<'_>,
        rules: &MetadataRules,
    ) -> Result<Self, MetadataFault> {
        let reader = Reader { members, source, rules };
        reader.refuse_foreign()?;
        let (name, redirect_uris) = (reader.name()?, reader.redirect_uris()?);
        let (auth_methods, keys) = reader.authentication()?;
        let metadata = Self {
            name,
            redirect_uris,
            auth_methods,
            keys,
            grant_types: reader.grant_types()?,
            scope: reader.scope()?,
            uri: reader.link(Member::ClientUri, |before| &before.uri)?,
            tos_uri: reader.link(Member::TosUri, |before| &before.tos_uri)?,
            policy_uri: reader.link(Member::PolicyUri, |before| &before.policy_uri)?,
            contacts: reader.contacts()?,
            software_id: reader.line(Member::SoftwareId, MAX_NAME, |before| &before.software_id)?,
            software_version: reader.line(Member::SoftwareVersion, MAX_NAME, |before| &before.software_version)?,
            application_type: reader.line(Member::ApplicationType, 32, |before| &before.application_type)?,
        };
        let found = serde_json::to_string(&metadata).map_or(0, |text| text.len());
        if found > MAX_BYTES {
            return Err(MetadataFault::TooLarge { found, most: MAX_BYTES });
        }
        Ok(metadata)
    }

    /// Reads the document that was fetched from `url`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse_document(bytes: &[u8], url: &ClientIdUrl, rules: &MetadataRules) -> Result<Self, MetadataFault> {
        Self::parse(&json::object(bytes, MAX_BYTES)?, Source::Document(url), rules)
    }
}

fn fault(member: Member, problem: Problem) -> MetadataFault {
    MetadataFault::Member { member, problem }
}

struct Reader<'a> {
    members: &'a Map<String, Value>,
    source: Source<'a>,
    rules: &'a MetadataRules,
}

impl<'a> Reader<'a> {
    fn is_administrator(&self) -> bool {
        matches!(self.source, Source::Administrator(_))
    }

    /// The value of a member, `null` being none.
    fn value(&self, member: Member) -> Option<&'a Value> {
        self.members.get(member.as_str()).filter(|value| !value.is_null())
    }

    /// What the client was before, if this member is to stay.
    fn kept(&self, member: Member) -> Option<&'a ClientMetadata> {
        match self.source {
            Source::Administrator(before) if !self.members.contains_key(member.as_str()) => before,
            Source::Administrator(_) | Source::Registration | Source::Document(_) => None,
        }
    }

    /// A member that decides something: absent, or a text.
    fn text(&self, member: Member, most: usize) -> Result<Option<&'a str>, MetadataFault> {
        match self.value(member) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() && !self.is_administrator() => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Err(fault(member, Problem::Empty)),
            Some(Value::String(text)) if text.contains('\0') => Err(fault(member, Problem::Nul)),
            Some(Value::String(text)) if text.len() > most => Err(fault(member, Problem::TooLong { most })),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(fault(member, Problem::Unlike("a string"))),
        }
    }

    /// A member that decides something: absent, or texts.
    fn texts(&self, member: Member) -> Result<Option<Vec<&'a str>>, MetadataFault> {
        let wrong = || fault(member, Problem::Unlike("an array of strings"));
        match self.value(member) {
            None => Ok(None),
            Some(Value::Array(items)) if items.is_empty() => Ok(None),
            Some(Value::Array(items)) if items.len() > MAX_ITEMS => {
                Err(fault(member, Problem::TooMany { found: items.len(), most: MAX_ITEMS }))
            }
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// One line of text that shows as it reads: what can't be seen or turns the writing direction could make it lie
    /// (S13). An administrator is told, from others it is taken out.
    fn line(
        &self,
        member: Member,
        most: usize,
        before: impl Fn(&ClientMetadata) -> &Option<String>,
    ) -> Result<Option<String>, MetadataFault> {
        if let Some(kept) = self.kept(member) {
            return Ok(before(kept).clone());
        }
        let text = match (self.text(member, most), self.source) {
            (Err(_), Source::Document(_)) => None,
            (text, _) => text?,
        };
        if self.is_administrator() && text.is_some_and(|text| text.trim().contains(is_hidden)) {
            return Err(fault(member, Problem::Hidden));
        }
        Ok(text.map(printable).filter(|text| !text.is_empty()))
    }

    /// A link for pages: a web address, so that nothing else can be clicked (S13).
    fn link(
        &self,
        member: Member,
        before: impl Fn(&ClientMetadata) -> &Option<String>,
    ) -> Result<Option<String>, MetadataFault> {
        match self.line(member, MAX_TEXT, before)? {
            Some(text) if self.kept(member).is_none() && !is_web_address(&text) => {
                if self.is_administrator() {
                    Err(fault(member, Problem::Unlike("a web address such as https://example.com/about")))
                } else {
                    Ok(None)
                }
            }
            link => Ok(link),
        }
    }

    /// What a document may not hold, and the one thing that it must (draft-ietf-oauth-client-id-metadata-document §4).
    fn refuse_foreign(&self) -> Result<(), MetadataFault> {
        let Source::Document(url) = self.source else { return Ok(()) };
        match self.text(Member::ClientId, MAX_TEXT)? {
            None => return Err(fault(Member::ClientId, Problem::Missing("it names the document"))),
            // Byte for byte: anything looser lets one host speak for another's client.
            Some(id) if id != url.as_str() => {
                return Err(fault(Member::ClientId, Problem::OtherClientId(shown(id))));
            }
            Some(_) => {}
        }
        let secret = self.members.iter().find(|(name, value)| name.starts_with("client_secret") && !value.is_null());
        secret.map_or(Ok(()), |(name, _)| Err(fault(Member::ClientSecret, Problem::Published(shown(name)))))
    }

    /// Required of a document (§4 there) and of an administrator: people see it when they are asked.
    fn name(&self) -> Result<Option<String>, MetadataFault> {
        const MEMBER: Member = Member::ClientName;
        const MISSING: Problem = Problem::Missing("people see it when they are asked to let the client in");
        if let Some(kept) = self.kept(MEMBER) {
            return Ok(kept.name.clone());
        }
        let text = self.text(MEMBER, MAX_TEXT)?.map(str::trim);
        if self.is_administrator() && text.is_some_and(|text| text.contains(is_hidden)) {
            return Err(fault(MEMBER, Problem::Hidden));
        }
        // That of a document is cut: the person whom it would stop can't mend it.
        let is_document = matches!(self.source, Source::Document(_));
        if !is_document && text.is_some_and(|text| text.chars().count() > MAX_NAME) {
            return Err(fault(MEMBER, Problem::TooLong { most: MAX_NAME }));
        }
        let name = text.map(shown).filter(|name| !name.is_empty());
        match self.source {
            Source::Registration => Ok(name),
            Source::Document(_) | Source::Administrator(_) => name.map(Some).ok_or_else(|| fault(MEMBER, MISSING)),
        }
    }

    fn redirect_uris(&self) -> Result<Vec<RedirectUri>, MetadataFault> {
        const MEMBER: Member = Member::RedirectUris;
        if let Some(kept) = self.kept(MEMBER) {
            return Ok(kept.redirect_uris.clone());
        }
        let asked = self.texts(MEMBER)?.unwrap_or_default();
        let mut accepted: Vec<RedirectUri> = Vec::new();
        let mut left_out = None;
        for text in asked {
            match RedirectUri::parse(text, &self.rules.known_schemes) {
                Ok(uri) if accepted.contains(&uri) && self.is_administrator() => {
                    return Err(fault(MEMBER, Problem::Twice(shown(text))));
                }
                Ok(uri) if accepted.contains(&uri) => {}
                Ok(uri) => accepted.push(uri),
                Err(why) => {
                    let problem = fault(MEMBER, Problem::RedirectUri { uri: shown(text), why });
                    // a private scheme that nobody here knows is left out; what is dangerous fails the whole.
                    if self.is_administrator() || !why.may_be_dropped() {
                        return Err(problem);
                    }
                    left_out = Some(problem);
                }
            }
        }
        if accepted.is_empty() {
            return Err(left_out.unwrap_or_else(|| {
                fault(
                    MEMBER,
                    Problem::Missing("at least one is needed, as an array: the client's callback, where answers go"),
                )
            }));
        }
        Ok(accepted)
    }

    fn contacts(&self) -> Result<Vec<String>, MetadataFault> {
        const MEMBER: Member = Member::Contacts;
        if let Some(kept) = self.kept(MEMBER) {
            return Ok(kept.contacts.clone());
        }
        let contacts = match (self.texts(MEMBER), self.source) {
            (Err(_), Source::Document(_)) => None,
            (contacts, _) => contacts?,
        };
        Ok(contacts.unwrap_or_default().into_iter().map(shown).filter(|text| !text.is_empty()).collect())
    }

    fn grant_types(&self) -> Result<Vec<String>, MetadataFault> {
        if let Some(kept) = self.kept(Member::GrantTypes) {
            return Ok(kept.grant_types.clone());
        }
        let usual = if self.is_administrator() { vec![CODE, REFRESH] } else { vec![CODE] };
        // Claude lists jwt-bearer, VS Code device_code; what isn't offered is left out.
        let mut granted: Vec<String> = Vec::new();
        for grant in self.texts(Member::GrantTypes)?.unwrap_or(usual) {
            if self.rules.grant_types.contains(&grant) && !granted.iter().any(|own| own == grant) {
                granted.push(grant.to_owned());
            }
        }
        if !granted.iter().any(|grant| grant == CODE) {
            return Err(fault(Member::GrantTypes, Problem::NoCodeGrant(self.rules.grant_types.join(", "))));
        }
        if self.texts(Member::ResponseTypes)?.is_some_and(|types| !types.contains(&"code")) {
            return Err(fault(Member::ResponseTypes, Problem::NoCodeResponse));
        }
        Ok(granted)
    }

    fn scope(&self) -> Result<Scope, MetadataFault> {
        if let Some(kept) = self.kept(Member::Scope) {
            return Ok(kept.scope.clone());
        }
        let asked = match (self.text(Member::Scope, MAX_SCOPE), self.source) {
            (Err(_), Source::Document(_)) => None,
            (asked, _) => asked?,
        };
        let asked = asked.map(|text| Scope::parse_lossy(text).intersection(&self.rules.scope));
        Ok(asked.filter(|scope| !scope.is_empty()).unwrap_or_else(|| self.rules.scope.clone()))
    }

    /// How the client proves itself, and the keys for it, which are there if and only if `private_key_jwt` is.
    fn authentication(&self) -> Result<(Vec<AuthMethod>, Option<ClientKeys>), MetadataFault> {
        match self.source {
            Source::Registration => {
                let method = self.registered_method()?;
                let keys = self.keys(method == AuthMethod::PrivateKeyJwt)?;
                if keys.is_none() && method == AuthMethod::PrivateKeyJwt {
                    return Err(fault(Member::Jwks, Problem::NoKeys));
                }
                Ok((vec![method], keys))
            }
            Source::Document(_) => {
                let mut methods = self.published_methods()?;
                let keys = self.keys(methods.contains(&AuthMethod::PrivateKeyJwt))?;
                if keys.is_none() {
                    methods.retain(|own| *own != AuthMethod::PrivateKeyJwt);
                    if methods.is_empty() {
                        return Err(fault(Member::Jwks, Problem::NoKeys));
                    }
                }
                Ok((methods, keys))
            }
            Source::Administrator(_) => {
                let methods = self.chosen_methods()?;
                let keys = self.chosen_keys(methods.contains(&AuthMethod::PrivateKeyJwt))?;
                Ok((methods, keys))
            }
        }
    }

    /// RFC 7591 §2, R-13: the default when omitted; what isn't offered is replaced.
    fn registered_method(&self) -> Result<AuthMethod, MetadataFault> {
        let offered = &self.rules.auth_methods;
        let asked = match self.text(Member::AuthMethod, MAX_NAME)? {
            None => AuthMethod::ClientSecretBasic,
            Some(name) => AuthMethod::parse(name).unwrap_or(AuthMethod::None),
        };
        let substitute =
            || [AuthMethod::None].into_iter().find(|own| offered.contains(own)).or(offered.first().copied());
        Ok(if offered.contains(&asked) { asked } else { substitute().unwrap_or(AuthMethod::ClientSecretBasic) })
    }

    /// R-34 and SEP-3149: the array is authoritative, the single method an older way to say which is preferred; neither
    /// means `none`. What both sides can do is what may be used.
    fn published_methods(&self) -> Result<Vec<AuthMethod>, MetadataFault> {
        let preferred = self.text(Member::AuthMethod, MAX_TEXT)?;
        let listed = self.texts(Member::AuthMethods)?;
        let wanted = match (listed, preferred) {
            (Some(listed), _) => listed,
            (None, Some(one)) => vec![one],
            (None, None) => vec![AuthMethod::None.as_str()],
        };
        if let Some(shared) = wanted.iter().copied().chain(preferred).find(|name| name.starts_with("client_secret")) {
            return Err(fault(Member::AuthMethod, Problem::SharedSecret(shown(shared))));
        }
        let offered =
            || self.rules.auth_methods.iter().filter(|own| matches!(own, AuthMethod::None | AuthMethod::PrivateKeyJwt));
        let mut usable: Vec<AuthMethod> = Vec::new();
        // The preferred one first, if the array has it too.
        for method in wanted.iter().filter(|own| Some(**own) == preferred).chain(&wanted) {
            if let Some(own) = offered().find(|own| own.as_str() == *method)
                && !usable.contains(own)
            {
                usable.push(*own);
            }
        }
        if usable.is_empty() {
            let can: Vec<_> = offered().map(|own| own.as_str()).collect();
            let can = if can.is_empty() { "neither none nor private_key_jwt".to_owned() } else { can.join(" or ") };
            let problem = Problem::NoCommonMethod { wants: shown(&wanted.join(" or ")), can };
            return Err(fault(Member::AuthMethod, problem));
        }
        Ok(usable)
    }

    /// A client has nothing to prove, a secret, or a key. Several kinds at once would make the weakest of them count.
    fn chosen_methods(&self) -> Result<Vec<AuthMethod>, MetadataFault> {
        const MEMBER: Member = Member::AuthMethods;
        if let Some(kept) = self.kept(MEMBER) {
            return Ok(kept.auth_methods.clone());
        }
        // Which of the two a program uses is seldom said in its form: both are good.
        let usual = || vec![AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic];
        let Some(asked) = self.value(MEMBER) else { return Ok(usual()) };
        if asked.as_array().is_some_and(Vec::is_empty) {
            let missing = Problem::Missing("at least one is needed; none is for a client that can keep no secret");
            return Err(fault(MEMBER, missing));
        }
        let mut methods = Vec::new();
        for text in self.texts(MEMBER)?.unwrap_or_default() {
            let method = AuthMethod::parse(text).ok_or_else(|| fault(MEMBER, Problem::UnknownMethod(shown(text))))?;
            if methods.contains(&method) {
                return Err(fault(MEMBER, Problem::Twice(shown(text))));
            }
            methods.push(method);
        }
        if methods.len() > 1 && !methods.iter().all(|method| method.needs_secret()) {
            return Err(fault(MEMBER, Problem::UnequalMethods));
        }
        Ok(methods)
    }

    /// RFC 7591 §2, R-35: `jwks` or `jwks_uri`, not both. Keys that aren't needed are not kept, and wrong only if they
    /// are a danger to their owner.
    fn keys(&self, needed: bool) -> Result<Option<ClientKeys>, MetadataFault> {
        let inline = match self.value(Member::Jwks) {
            None => None,
            Some(Value::Object(set)) => Some(set),
            Some(_) => return Err(fault(Member::Jwks, Problem::Unlike("an object with keys"))),
        };
        let keys = match (inline, self.text(Member::JwksUri, MAX_URL)?) {
            (Some(_), Some(_)) => return Err(fault(Member::Jwks, Problem::KeysTwice)),
            (Some(set), None) => match JwkSet::from_members(set) {
                Ok(set) => Some(ClientKeys::Inline(set.as_str().to_owned())),
                Err(why @ (InvalidJwkSet::PrivateKey { .. } | InvalidJwkSet::SharedSecret { .. })) => {
                    return Err(fault(Member::Jwks, why.into()));
                }
                Err(why) if needed => return Err(fault(Member::Jwks, why.into())),
                Err(_) => None,
            },
            (None, Some(uri)) if needed => {
                let url = HttpsUrl::parse(uri, &self.rules.allowed_ports)
                    .map_err(|why| fault(Member::JwksUri, why.into()))?;
                Some(ClientKeys::Uri(url.as_str().to_owned()))
            }
            (None, _) => None,
        };
        Ok(keys.filter(|_| needed))
    }

    /// As [`Self::keys`], but told of keys that nothing would be checked with, and keeping what is there: keys at an
    /// address stay when those in the metadata are cleared, and the other way round.
    fn chosen_keys(&self, needed: bool) -> Result<Option<ClientKeys>, MetadataFault> {
        let named = [Member::Jwks, Member::JwksUri].into_iter().find(|member| self.value(*member).is_some());
        let keys = match (named, self.source) {
            (Some(member), _) if !needed => return Err(fault(member, Problem::KeysUnused)),
            (Some(_), _) => self.keys(needed)?,
            (None, Source::Administrator(Some(before))) => before.keys.clone().filter(|keys| {
                let member = match keys {
                    ClientKeys::Inline(_) => Member::Jwks,
                    ClientKeys::Uri(_) => Member::JwksUri,
                };
                // Keys that nothing is checked with any more are forgotten.
                needed && self.kept(member).is_some()
            }),
            (None, _) => None,
        };
        if needed && keys.is_none() { Err(fault(Member::Jwks, Problem::NoKeys)) } else { Ok(keys) }
    }
}

/// What a stranger wrote, fit to be shown: short, and nothing that hides or turns what stands beside it.
fn shown(text: &str) -> String {
    printable(text).chars().take(MAX_NAME).collect()
}

fn is_web_address(text: &str) -> bool {
    text.is_ascii()
        && !text.contains(char::is_whitespace)
        && url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
