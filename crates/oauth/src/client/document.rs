//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): a client whose `client_id` is the
//! `https` URL of a document about it.
//!
//! Pure: the URL and the bytes come in, a client or the rule that was broken comes out. A broken rule is shown to the
//! person on a page, so each has its sentence. Fetching is `fetch`'s business, remembering is `clients`'.

use std::fmt;

use serde_json::{Map, Value};

use super::{AuthMethod, ClientKeys, ClientMetadata, printable};
use crate::https_url::{HttpsUrl, InvalidHttpsUrl};
use crate::json::{self, InvalidJson};
use crate::jwks::{InvalidJwkSet, JwkSet};
use crate::redirect_uri::{InvalidRedirectUri, RedirectUri};
use crate::scope::Scope;

/// The most bytes of a document. The draft recommends 5 KiB; real ones have 1 to 2.
pub const MAX_BYTES: usize = 16 * 1024;
const MAX_REDIRECT_URIS: usize = 50;
const MAX_ITEMS: usize = 50;
const MAX_NAME: usize = 200;

/// A `client_id` that is the URL of a metadata document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdUrl(HttpsUrl);

/// Why a `client_id` that looks like a URL names no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientIdUrl {
    /// Not a URL that may be fetched.
    #[error(transparent)]
    Url(#[from] InvalidHttpsUrl),
    /// The whole host as one client: the draft asks for a path.
    #[error("the URL has no path: a client_id names a document, such as https://app.example.com/client.json")]
    NoPath,
    /// Read differently by different programs.
    #[error("the URL has a . or .. segment in its path")]
    DotSegment,
}

impl ClientIdUrl {
    /// Whether a `client_id` is to be read as a document's URL. No other client has an id that begins so. Plain
    /// `http` counts too, so that it is refused for what it is.
    #[must_use]
    pub fn is_meant_by(client_id: &str) -> bool {
        ["https://", "http://"]
            .iter()
            .any(|scheme| client_id.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    }

    /// Judges a `client_id`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(text: &str, allowed_ports: &[u16]) -> Result<Self, InvalidClientIdUrl> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let path = path.strip_prefix("https://").and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
        // Before the URL's normal form is judged: it has no dot segments any more, which would be the wrong words.
        let plain = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
        let dots = plain.split('/').any(|segment| matches!(segment, "." | ".."));
        match HttpsUrl::parse(text, allowed_ports) {
            Ok(_) | Err(InvalidHttpsUrl::NotNormal(_)) if dots => Err(InvalidClientIdUrl::DotSegment),
            Ok(_) | Err(InvalidHttpsUrl::NotNormal(_)) if path.is_empty() => Err(InvalidClientIdUrl::NoPath),
            Ok(url) => Ok(Self(url)),
            Err(why) => Err(why.into()),
        }
    }

    /// The URL, byte for byte: the `client_id`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host that a person must judge by.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// The URL to fetch.
    #[must_use]
    pub fn url(&self) -> &HttpsUrl {
        &self.0
    }
}

impl fmt::Display for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What this server offers to clients of documents.
#[derive(Clone, Debug)]
pub struct DocumentRules {
    /// Methods on offer. Those with a secret never count: a document can't hold one.
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

/// A document after the rules were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientDocument {
    /// What it says of the client. The ways of authenticating are those that both sides can use, the client's preferred
    /// one first; where `private_key_jwt` is one of them, there are keys.
    pub metadata: ClientMetadata,
    /// The picture that it shows.
    pub logo_uri: Option<String>,
}

/// The rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Not readable at all.
    #[error("the document {0}")]
    Json(#[from] InvalidJson),
    ///
    #[error("the document has no client_id")]
    NoClientId,
    /// simple string comparison.
    #[error(
        "the document's client_id is {0}, which is not the address that it was fetched from; both must be the same, character for character"
    )]
    OtherClientId(String),
    ///
    #[error("the document has no client_name")]
    NoName,
    ///
    #[error("the document has no redirect_uris")]
    NoRedirectUris,
    /// More than anything real has.
    #[error("the document has more than {MAX_REDIRECT_URIS} redirect_uris")]
    TooManyRedirectUris,
    /// One that is dangerous, or none that is known.
    #[error("the document's redirect URI {uri} {why}")]
    RedirectUri {
        /// Which one.
        uri: String,
        /// Why not.
        why: InvalidRedirectUri,
    },
    /// What everybody can read is no secret.
    #[error("the document has {0}; a secret that everybody can read is none")]
    Secret(String),
    /// The same.
    #[error("the document says {0}, which needs a shared secret; clients with a document use none or private_key_jwt")]
    SymmetricMethod(String),
    ///
    #[error("this client wants {wants}, this server can do {can}")]
    NoCommonMethod {
        /// What the document names.
        wants: String,
        /// What is on offer.
        can: String,
    },
    ///
    #[error("this client wants private_key_jwt, but its document has neither jwks nor jwks_uri")]
    NoKeys,
    /// RFC 7591 §2.
    #[error("the document has both jwks and jwks_uri; one of them is allowed")]
    KeysTwice,
    /// Keys that can't be used.
    #[error("in the document's jwks, {0}")]
    Keys(#[from] InvalidJwkSet),
    /// An address that isn't fetched.
    #[error("in the document's jwks_uri, {0}")]
    KeysUrl(#[from] InvalidHttpsUrl),
    ///
    #[error("the document's grant_types lack authorization_code")]
    NoCodeGrant,
    /// RFC 7591 §2.
    #[error("the document's response_types lack code")]
    NoCodeResponse,
    /// Wrong type or too long.
    #[error("in the document, {member} must be {wanted}")]
    Wrong {
        /// Which member.
        member: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

impl ClientDocument {
    /// Reads the document that was fetched from `url`. Unknown members are ignored, `null` and empty texts count as
    /// absent, members that only decorate are left out when they are wrong (RFC 7591 §2).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(bytes: &[u8], url: &ClientIdUrl, rules: &DocumentRules) -> Result<Self, DocumentFault> {
        let members = json::object(bytes, MAX_BYTES)?;
        match text(&members, "client_id")? {
            None => return Err(DocumentFault::NoClientId),
            // Byte for byte: anything looser lets one host speak for another's client.
            Some(id) if id != url.as_str() => return Err(DocumentFault::OtherClientId(shown(id))),
            Some(_) => {}
        }
        if let Some((name, _)) =
            members.iter().find(|(name, value)| name.starts_with("client_secret") && !value.is_null())
        {
            return Err(DocumentFault::Secret(shown(name)));
        }
        let name: String = text(&members, "client_name")?.map(shown).unwrap_or_default();
        if name.is_empty() {
            return Err(DocumentFault::NoName);
        }
        let redirect_uris = redirect_uris(&members, rules)?;
        let (auth_methods, keys) = authentication(&members, rules)?;
        let asked = scope(&members, rules);
        let metadata = ClientMetadata {
            redirect_uris,
            auth_methods,
            keys,
            grant_types: grant_types(&members, rules)?,
            scope: asked.unwrap_or_else(|| rules.scope.clone()),
            name: Some(name),
            uri: web_url(&members, "client_uri"),
            tos_uri: web_url(&members, "tos_uri"),
            policy_uri: web_url(&members, "policy_uri"),
            software_id: decoration(&members, "software_id", MAX_NAME),
            software_version: decoration(&members, "software_version", MAX_NAME),
            application_type: decoration(&members, "application_type", 32),
        };
        Ok(Self { metadata, logo_uri: web_url(&members, "logo_uri") })
    }
}

fn redirect_uris(members: &Map<String, Value>, rules: &DocumentRules) -> Result<Vec<RedirectUri>, DocumentFault> {
    const NAME: &str = "redirect_uris";
    let asked = match members.get(NAME) {
        Some(Value::Array(items)) if items.len() > MAX_REDIRECT_URIS => return Err(DocumentFault::TooManyRedirectUris),
        _ => texts(members, NAME)?.unwrap_or_default(),
    };
    let mut accepted: Vec<RedirectUri> = Vec::new();
    let mut dropped = None;
    for text in asked {
        match RedirectUri::parse(text, &rules.known_schemes) {
            Ok(uri) if accepted.contains(&uri) => {}
            Ok(uri) => accepted.push(uri),
            // a private scheme that nobody here knows is left out; what is dangerous fails the whole document.
            Err(why) if why.may_be_dropped() => dropped = Some(DocumentFault::RedirectUri { uri: shown(text), why }),
            Err(why) => return Err(DocumentFault::RedirectUri { uri: shown(text), why }),
        }
    }
    if accepted.is_empty() { Err(dropped.unwrap_or(DocumentFault::NoRedirectUris)) } else { Ok(accepted) }
}

/// R-34 and SEP-3149: the array is authoritative, the single method an older way to say which is preferred; neither
/// means `none`. What both sides can do is what may be used.
fn authentication(
    members: &Map<String, Value>,
    rules: &DocumentRules,
) -> Result<(Vec<AuthMethod>, Option<ClientKeys>), DocumentFault> {
    let preferred = text(members, "token_endpoint_auth_method")?;
    let listed = texts(members, "token_endpoint_auth_methods_supported")?;
    let wanted = match (&listed, preferred) {
        (Some(listed), _) => listed.clone(),
        (None, Some(one)) => vec![one],
        (None, None) => vec![AuthMethod::None.as_str()],
    };
    if let Some(shared) = wanted.iter().copied().chain(preferred).find(|method| method.starts_with("client_secret")) {
        return Err(DocumentFault::SymmetricMethod(shown(shared)));
    }
    let offered =
        || rules.auth_methods.iter().filter(|own| matches!(own, AuthMethod::None | AuthMethod::PrivateKeyJwt));
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
        return Err(DocumentFault::NoCommonMethod { wants: shown(&wanted.join(" or ")), can });
    }
    let keys = keys(members, rules, usable.contains(&AuthMethod::PrivateKeyJwt))?;
    if keys.is_none() {
        usable.retain(|own| *own != AuthMethod::PrivateKeyJwt);
        if usable.is_empty() {
            return Err(DocumentFault::NoKeys);
        }
    }
    Ok((usable, keys))
}

/// Keys that aren't needed are not kept, and wrong only if they are a danger to their owner.
fn keys(
    members: &Map<String, Value>,
    rules: &DocumentRules,
    needed: bool,
) -> Result<Option<ClientKeys>, DocumentFault> {
    let inline = match members.get("jwks") {
        None | Some(Value::Null) => None,
        Some(Value::Object(set)) => Some(set),
        Some(_) => return Err(DocumentFault::Wrong { member: "jwks", wanted: "an object with keys" }),
    };
    let uri = text(members, "jwks_uri")?;
    let keys = match (inline, uri) {
        (Some(_), Some(_)) => return Err(DocumentFault::KeysTwice),
        (Some(set), None) => match JwkSet::from_members(set) {
            Ok(set) => Some(ClientKeys::Inline(set.as_str().to_owned())),
            Err(why @ (InvalidJwkSet::PrivateKey { .. } | InvalidJwkSet::SharedSecret { .. })) => {
                return Err(why.into());
            }
            Err(why) if needed => return Err(why.into()),
            Err(_) => None,
        },
        (None, Some(uri)) if needed => {
            Some(ClientKeys::Uri(HttpsUrl::parse(uri, &rules.allowed_ports)?.as_str().to_owned()))
        }
        (None, _) => None,
    };
    Ok(keys.filter(|_| needed))
}

fn grant_types(members: &Map<String, Value>, rules: &DocumentRules) -> Result<Vec<String>, DocumentFault> {
    const CODE: &str = "authorization_code";
    let asked = texts(members, "grant_types")?.unwrap_or_else(|| vec![CODE]);
    if !asked.contains(&CODE) {
        return Err(DocumentFault::NoCodeGrant);
    }
    if texts(members, "response_types")?.is_some_and(|types| !types.contains(&"code")) {
        return Err(DocumentFault::NoCodeResponse);
    }
    // Claude lists jwt-bearer, VS Code device_code; what isn't offered is left out.
    let mut granted: Vec<String> = Vec::new();
    for grant in asked {
        if rules.grant_types.contains(&grant) && !granted.iter().any(|own| own == grant) {
            granted.push(grant.to_owned());
        }
    }
    Ok(granted)
}

fn scope(members: &Map<String, Value>, rules: &DocumentRules) -> Option<Scope> {
    let asked = decoration(members, "scope", 4096)?;
    Some(Scope::parse_lossy(&asked).intersection(&rules.scope)).filter(|scope| !scope.is_empty())
}

/// A member that decides something: absent, or a text.
fn text<'a>(members: &'a Map<String, Value>, member: &'static str) -> Result<Option<&'a str>, DocumentFault> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() <= 2000 && !text.contains('\0') => Ok(Some(text)),
        Some(_) => Err(DocumentFault::Wrong { member, wanted: "a text of at most 2000 bytes" }),
    }
}

/// A member that decides something: absent, or an array of texts.
fn texts<'a>(members: &'a Map<String, Value>, member: &'static str) -> Result<Option<Vec<&'a str>>, DocumentFault> {
    let wrong = || DocumentFault::Wrong { member, wanted: "an array of at most 50 texts" };
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) if items.is_empty() => Ok(None),
        Some(Value::Array(items)) if items.len() <= MAX_ITEMS => {
            items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

/// A member that decides nothing: left out when it is wrong.
fn decoration(members: &Map<String, Value>, name: &str, most: usize) -> Option<String> {
    let text = members.get(name)?.as_str()?;
    let clean = printable(text);
    (clean.len() <= most && !clean.is_empty()).then_some(clean)
}

/// A link for pages: a web address, so that nothing else can be clicked (S13).
fn web_url(members: &Map<String, Value>, name: &str) -> Option<String> {
    let text = decoration(members, name, 2000)?;
    let url = url::Url::parse(&text).ok()?;
    (url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none()).then_some(text)
}

/// What a stranger wrote, fit to be shown: short, and nothing that hides or turns what stands beside it.
fn shown(text: &str) -> String {
    printable(text).chars().take(MAX_NAME).collect()
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
