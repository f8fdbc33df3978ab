//! Client metadata (RFC 7591 §2): what a client says of itself, read strictly where it decides something and
//! leniently where it doesn't.

pub mod document;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::cause::Cause;
use crate::error::{ErrorCode, Refusal};
use crate::https_url::{HttpsUrl, MAX_URL};
use crate::jwks::JwkSet;
use crate::redirect_uri::{InvalidRedirectUri, RedirectUri};
use crate::scope::Scope;

/// How a client proves itself at the token endpoint (RFC 7591 §2, OAuth 2.1 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client: nothing to prove, PKCE protects it.
    None,
    /// A secret in the `Authorization` header.
    ClientSecretBasic,
    /// A secret in the body.
    ClientSecretPost,
    /// An assertion signed with the client's own key (RFC 7523 §2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method with this registered name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt]
            .into_iter()
            .find(|own| own.as_str() == text)
    }

    /// Whether the method needs a secret that both sides know.
    #[must_use]
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

impl TryFrom<String> for AuthMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no client authentication method"))
    }
}

/// What this server lets clients register.
#[derive(Clone, Debug)]
pub struct RegistrationRules {
    /// Methods on offer, the preferred one first.
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

/// Where a client's public keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKeys {
    /// In its metadata: the text of a JWK set (RFC 7517 §5).
    Inline(String),
    /// At this URL.
    Uri(String),
}

/// The metadata of one client after the rules were applied: what is stored and echoed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Where answers may go; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it may authenticate, the preferred way first; never empty. A registration has one, a metadata document may
    /// name several.
    pub auth_methods: Vec<AuthMethod>,
    /// The keys of `private_key_jwt`.
    pub keys: Option<ClientKeys>,
    /// Which grants it uses.
    pub grant_types: Vec<String>,
    /// Which scopes it said it would ask for. Stored and echoed, neither a ceiling nor a default: a
    /// self-registered client could have written anything here.
    pub scope: Scope,
    /// Its name, self-asserted.
    pub name: Option<String>,
    /// Its home page, self-asserted.
    pub uri: Option<String>,
    /// Its terms of service, self-asserted.
    pub tos_uri: Option<String>,
    /// Its privacy policy, self-asserted.
    pub policy_uri: Option<String>,
    /// `software_id`, self-asserted.
    pub software_id: Option<String>,
    /// `software_version`, self-asserted.
    pub software_version: Option<String>,
    /// `application_type`, self-asserted. Not enforced: a widely used client registers loopback and
    /// private-use URIs as `web` (B1).
    pub application_type: Option<String>,
}

const MAX_REDIRECT_URIS: usize = 20;

impl ClientMetadata {
    /// About how many bytes are stored of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.name,
            &self.uri,
            &self.tos_uri,
            &self.policy_uri,
            &self.software_id,
            &self.software_version,
            &self.application_type,
        ];
        let keys = match &self.keys {
            None => 0,
            Some(ClientKeys::Inline(set)) => set.len(),
            Some(ClientKeys::Uri(uri)) => uri.as_str().len(),
        };
        self.redirect_uris.iter().map(|uri| uri.as_str().len()).sum::<usize>()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self.scope.to_string().len()
            + keys
    }

    /// The least that a public client can be: one callback, every grant type and scope on offer.
    #[must_use]
    pub fn of_public(redirect_uri: RedirectUri, name: Option<String>, rules: &RegistrationRules) -> Self {
        Self {
            redirect_uris: vec![redirect_uri],
            auth_methods: vec![AuthMethod::None],
            keys: None,
            grant_types: rules.grant_types.iter().map(|grant| (*grant).to_owned()).collect(),
            scope: rules.scope.clone(),
            name,
            uri: None,
            tos_uri: None,
            policy_uri: None,
            software_id: None,
            software_version: None,
            application_type: None,
        }
    }

    /// A digest of all that the client says of itself. To whoever approved it, one with another digest is another
    /// client. The order of lists makes no difference.
    #[must_use]
    pub fn digest(&self) -> String {
        let sorted = |mut words: Vec<String>| {
            words.sort_unstable();
            words
        };
        let uris = sorted(self.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect());
        let methods = sorted(self.auth_methods.iter().map(|method| method.as_str().to_owned()).collect());
        let (keys, keys_uri) = match &self.keys {
            Some(ClientKeys::Inline(set)) => (Some(set), None),
            Some(ClientKeys::Uri(uri)) => (None, Some(uri)),
            None => (None, None),
        };
        let text = serde_json::json!([
            uris,
            methods,
            keys,
            keys_uri,
            sorted(self.grant_types.clone()),
            self.scope.to_string(),
            self.name,
            self.uri,
            self.tos_uri,
            self.policy_uri,
            self.software_id,
            self.software_version,
            self.application_type,
        ]);
        URL_SAFE_NO_PAD.encode(Sha256::digest(text.to_string().as_bytes()))
    }

    /// The way of authenticating that the client prefers.
    #[must_use]
    pub fn preferred_method(&self) -> AuthMethod {
        self.auth_methods.first().copied().unwrap_or(AuthMethod::None)
    }

    /// Whether the client may come without any proof: its id proves nothing then.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.auth_methods.contains(&AuthMethod::None)
    }

    /// Whether one of its ways is a shared secret.
    #[must_use]
    pub fn needs_secret(&self) -> bool {
        self.auth_methods.iter().any(|method| method.needs_secret())
    }

    /// Reads a registration request. Unknown members are ignored (RFC 7591 §2), `null` and empty strings
    /// count as absent, what the server does not offer is replaced and the caller echoes the result.
    ///
    /// # Errors
    /// `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591 §3.2.2), naming the member.
    pub fn parse(document: &Value, rules: &RegistrationRules) -> Result<Self, Refusal> {
        let Value::Object(members) = document else {
            return Err(metadata("the body must be a JSON object with redirect_uris"));
        };
        let redirect_uris = redirect_uris(members, rules)?;
        let auth_method = match text(members, "token_endpoint_auth_method", 64)? {
            // RFC 7591 §2: the default when omitted.
            None => substitute(AuthMethod::ClientSecretBasic, rules),
            Some(name) => AuthMethod::parse(&name)
                .map_or_else(|| substitute(AuthMethod::None, rules), |method| substitute(method, rules)),
        };
        let asked = texts(members, "grant_types")?.unwrap_or_else(|| vec!["authorization_code".to_owned()]);
        let grant_types: Vec<String> =
            asked.into_iter().filter(|grant| rules.grant_types.contains(&grant.as_str())).collect();
        if !grant_types.iter().any(|grant| grant == "authorization_code") {
            return Err(metadata(format!(
                "grant_types must include authorization_code; this server offers {}",
                rules.grant_types.join(", ")
            )));
        }
        if texts(members, "response_types")?.is_some_and(|types| !types.iter().any(|own| own == "code")) {
            return Err(metadata("response_types must include code"));
        }
        let asked = text(members, "scope", 4096)?.map(|text| Scope::parse_lossy(&text).intersection(&rules.scope));
        Ok(Self {
            redirect_uris,
            auth_methods: vec![auth_method],
            keys: if auth_method == AuthMethod::PrivateKeyJwt { Some(keys(members, rules)?) } else { None },
            grant_types,
            scope: asked.filter(|scope| !scope.is_empty()).unwrap_or_else(|| rules.scope.clone()),
            name: text(members, "client_name", 200)?.map(|name| printable(&name)).filter(|name| !name.is_empty()),
            uri: text(members, "client_uri", 2000)?.filter(|uri| is_web_url(uri)),
            tos_uri: text(members, "tos_uri", 2000)?.filter(|uri| is_web_url(uri)),
            policy_uri: text(members, "policy_uri", 2000)?.filter(|uri| is_web_url(uri)),
            software_id: text(members, "software_id", 200)?,
            software_version: text(members, "software_version", 200)?,
            application_type: text(members, "application_type", 32)?,
        })
    }
}

fn substitute(asked: AuthMethod, rules: &RegistrationRules) -> AuthMethod {
    if rules.auth_methods.contains(&asked) {
        asked
    } else if rules.auth_methods.contains(&AuthMethod::None) {
        AuthMethod::None
    } else {
        rules.auth_methods.first().copied().unwrap_or(AuthMethod::ClientSecretBasic)
    }
}

/// RFC 7591 §2: `jwks` or `jwks_uri`, not both. Without keys the method proves nothing.
fn keys(members: &Map<String, Value>, rules: &RegistrationRules) -> Result<ClientKeys, Refusal> {
    let inline = members.get("jwks").filter(|value| !value.is_null());
    match (inline, text(members, "jwks_uri", MAX_URL)?) {
        (Some(_), Some(_)) => Err(metadata("jwks and jwks_uri are both there; send one of them")),
        (Some(Value::Object(set)), None) => JwkSet::from_members(set)
            .map(|set| ClientKeys::Inline(set.as_str().to_owned()))
            .map_err(|why| metadata(format!("jwks: {why}"))),
        (Some(_), None) => Err(metadata("jwks must be an object with keys")),
        (None, Some(uri)) => HttpsUrl::parse(&uri, &rules.allowed_ports)
            .map(|url| ClientKeys::Uri(url.as_str().to_owned()))
            .map_err(|why| metadata(format!("jwks_uri: {why}"))),
        (None, None) => Err(metadata("private_key_jwt needs jwks or jwks_uri with the client's public keys")),
    }
}

fn redirect_uris(members: &Map<String, Value>, rules: &RegistrationRules) -> Result<Vec<RedirectUri>, Refusal> {
    let refuse = |text: String| Refusal::new(ErrorCode::InvalidRedirectUri, Cause::RedirectUriUnfit, text);
    let asked = texts(members, "redirect_uris")?.unwrap_or_default();
    if asked.len() > MAX_REDIRECT_URIS {
        return Err(refuse(format!("{} redirect_uris are too many; send {MAX_REDIRECT_URIS} at most", asked.len())));
    }
    let mut accepted: Vec<RedirectUri> = Vec::new();
    let mut dropped: Option<(String, InvalidRedirectUri)> = None;
    for text in asked {
        match RedirectUri::parse(&text, &rules.known_schemes) {
            Ok(uri) if accepted.contains(&uri) => {}
            Ok(uri) => accepted.push(uri),
            Err(why) if why.may_be_dropped() => dropped = Some((text, why)),
            Err(why) => return Err(refuse(format!("redirect URI {} {why}", shortened(&text)))),
        }
    }
    match dropped {
        _ if !accepted.is_empty() => Ok(accepted),
        Some((text, why)) => Err(refuse(format!("redirect URI {} {why}", shortened(&text)))),
        None => Err(refuse("redirect_uris is missing: send an array with at least one URI".to_owned())),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Drops control and invisible direction-changing characters, which could make a name lie on the consent page.
pub(super) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
    };
    text.chars().filter(|c| !hidden(*c)).collect::<String>().trim().to_owned()
}

fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some())
}

fn metadata(text: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidClientMetadata, Cause::MetadataUnfit, text)
}

fn text(members: &Map<String, Value>, name: &str, most: usize) -> Result<Option<String>, Refusal> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => Err(metadata(format!("{name} holds a NUL character"))),
        Some(Value::String(text)) if text.len() > most => Err(metadata(format!("{name} is longer than {most} bytes"))),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(metadata(format!("{name} must be a string"))),
    }
}

fn texts(members: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Refusal> {
    let wrong = || metadata(format!("{name} must be an array of strings"));
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) if items.is_empty() => Ok(None),
        Some(Value::Array(items)) if items.len() > 100 => Err(metadata(format!("{name} has more than 100 entries"))),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{AuthMethod, ClientMetadata, RegistrationRules};
    use crate::error::ErrorCode;
    use crate::scope::Scope;

    fn rules() -> RegistrationRules {
        RegistrationRules {
            auth_methods: vec![AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost],
            grant_types: vec!["authorization_code", "refresh_token"],
            scope: Scope::parse("a b offline_access").unwrap(),
            known_schemes: vec!["cursor".to_owned()],
            allowed_ports: vec![443],
        }
    }

    /// RFC 7591 §2 defaults.
    #[test]
    fn omitted_members_get_the_defaults_of_rfc7591() {
        let client = ClientMetadata::parse(&json!({"redirect_uris": ["https://a.example/cb"]}), &rules()).unwrap();
        assert_eq!(client.preferred_method(), AuthMethod::ClientSecretBasic);
        assert_eq!(client.grant_types, ["authorization_code"]);
        assert_eq!(client.scope, rules().scope);
    }

    /// B-11, B3: nulls, empty strings and unknown members are absent; wrong types are named.
    #[test]
    fn nulls_and_unknown_members_are_ignored_and_wrong_types_named() {
        let client = ClientMetadata::parse(
            &json!({"redirect_uris": ["http://127.0.0.1/"], "client_name": null, "scope": "", "logo_uri": "", "x": {}}),
            &rules(),
        )
        .unwrap();
        assert_eq!(client.name, None);
        for (body, code, word) in [
            (json!({"redirect_uris": "https://a/cb"}), ErrorCode::InvalidClientMetadata, "redirect_uris"),
            (json!({"redirect_uris": [1]}), ErrorCode::InvalidClientMetadata, "redirect_uris"),
            (
                json!({"redirect_uris": ["https://a/cb"], "client_name": 1}),
                ErrorCode::InvalidClientMetadata,
                "client_name",
            ),
            (json!([]), ErrorCode::InvalidClientMetadata, "object"),
            (json!({}), ErrorCode::InvalidRedirectUri, "redirect_uris"),
            (
                json!({"redirect_uris": ["javascript:alert(1)", "https://a/cb"]}),
                ErrorCode::InvalidRedirectUri,
                "javascript",
            ),
            (
                json!({"redirect_uris": ["https://a/cb"], "grant_types": ["client_credentials"]}),
                ErrorCode::InvalidClientMetadata,
                "grant_types",
            ),
            (
                json!({"redirect_uris": ["https://a/cb"], "response_types": ["token"]}),
                ErrorCode::InvalidClientMetadata,
                "response_types",
            ),
            (
                json!({"redirect_uris": ["https://a/cb"], "client_name": "a\u{0}"}),
                ErrorCode::InvalidClientMetadata,
                "client_name",
            ),
        ] {
            let refusal = ClientMetadata::parse(&body, &rules()).unwrap_err();
            assert_eq!(refusal.code, code, "{body}");
            assert!(refusal.description.contains(word), "{} lacks {word}", refusal.description);
        }
    }

    /// what isn't offered is replaced, never refused.
    #[test]
    fn what_is_not_offered_is_replaced_and_echoed() {
        let mut public_only = rules();
        public_only.auth_methods = vec![AuthMethod::None];
        let body = json!({
            "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback", "unknownapp://cb", "http://localhost:8787/callback"],
            "token_endpoint_auth_method": "client_secret_post",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "application_type": "web",
            "scope": "a admin",
            "client_name": "Cur\u{202e}sor",
        });
        let client = ClientMetadata::parse(&body, &public_only).unwrap();
        assert_eq!(client.preferred_method(), AuthMethod::None);
        assert_eq!(client.redirect_uris.len(), 2);
        assert_eq!(client.grant_types, ["authorization_code", "refresh_token"]);
        assert_eq!(client.scope.to_string(), "a");
        assert_eq!(client.name.as_deref(), Some("Cursor"));
        assert_eq!(ClientMetadata::parse(&body, &rules()).unwrap().preferred_method(), AuthMethod::ClientSecretPost);
    }
}
