//! What is known of a client after the rules were applied: what is stored, echoed and approved.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::auth_method::AuthMethod;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;

/// Where a client's public keys are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientKeys {
    /// In its metadata: the text of a JWK set (RFC 7517 §5).
    #[serde(rename = "jwks", serialize_with = "as_json", deserialize_with = "as_text")]
    Inline(String),
    /// At this URL.
    #[serde(rename = "jwks_uri")]
    Uri(String),
}

/// The metadata of one client. As JSON it has the members of RFC 7591 §2, and of the metadata document draft where a client
/// names several methods of authentication. Members that are absent there are empty here, so that a member which a later
/// version adds is no obstacle to reading what an earlier one wrote, nor the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where answers may go; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it may authenticate, the preferred way first; never empty. A registration has one, a metadata document may
    /// name several.
    #[serde(rename = "token_endpoint_auth_methods_supported")]
    pub auth_methods: Vec<AuthMethod>,
    /// The keys of `private_key_jwt`.
    #[serde(flatten)]
    pub keys: Option<ClientKeys>,
    /// Which grants it uses.
    pub grant_types: Vec<String>,
    /// Which scopes it said it would ask for. Stored and echoed, neither a ceiling nor a default: a
    /// self-registered client could have written anything here.
    pub scope: Scope,
    /// Its name, self-asserted.
    #[serde(rename = "client_name", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its home page, self-asserted.
    #[serde(rename = "client_uri", default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its terms of service, self-asserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Its privacy policy, self-asserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Ways to reach the people who look after it, self-asserted: mostly e-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// `software_id`, self-asserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// `software_version`, self-asserted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// `application_type`, self-asserted. Not enforced: a widely used client registers loopback and
    /// private-use URIs as `web` (B1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
}

impl ClientMetadata {
    /// What every client has, and nothing else.
    #[must_use]
    pub fn bare(
        redirect_uris: Vec<RedirectUri>,
        auth_methods: Vec<AuthMethod>,
        grant_types: Vec<String>,
        scope: Scope,
    ) -> Self {
        Self {
            redirect_uris,
            auth_methods,
            keys: None,
            grant_types,
            scope,
            name: None,
            uri: None,
            tos_uri: None,
            policy_uri: None,
            contacts: Vec::new(),
            software_id: None,
            software_version: None,
            application_type: None,
        }
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

    /// The members that a registration is answered with (RFC 7591 §3.2.1): one method of authentication, and what this
    /// server adds by itself is left to the caller.
    #[must_use]
    pub fn registered(&self) -> Map<String, Value> {
        let mut members = match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) => Map::new(),
        };
        members.remove("token_endpoint_auth_methods_supported");
        members.insert("token_endpoint_auth_method".to_owned(), self.preferred_method().as_str().into());
        members.insert("response_types".to_owned(), json!(["code"]));
        members
    }

    /// A digest of all that the client says of itself. To whoever approved it, one with another digest is another
    /// client. The order of lists makes no difference.
    ///
    /// Digests are stored beside approvals: a new member must not change that of a client which doesn't have it.
    #[must_use]
    pub fn digest(&self) -> String {
        let Self {
            redirect_uris,
            auth_methods,
            keys,
            grant_types,
            scope,
            name,
            uri,
            tos_uri,
            policy_uri,
            contacts,
            software_id,
            software_version,
            application_type,
        } = self;
        let sorted = |mut words: Vec<&str>| {
            words.sort_unstable();
            words.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let (keys, keys_uri) = match keys {
            Some(ClientKeys::Inline(set)) => (Some(set), None),
            Some(ClientKeys::Uri(uri)) => (None, Some(uri)),
            None => (None, None),
        };
        let later = Self::later(&sorted(contacts.iter().map(String::as_str).collect()));
        digest_of(
            json!([
                sorted(redirect_uris.iter().map(RedirectUri::as_str).collect()),
                sorted(auth_methods.iter().map(|method| method.as_str()).collect()),
                keys,
                keys_uri,
                sorted(grant_types.iter().map(String::as_str).collect()),
                scope.to_string(),
                name,
                uri,
                tos_uri,
                policy_uri,
                software_id,
                software_version,
                application_type,
            ]),
            later,
        )
    }

    /// Members that came after digests were first stored: of a client that has none of them, nothing.
    fn later(contacts: &[String]) -> Option<Value> {
        (!contacts.is_empty()).then(|| json!({ "contacts": contacts }))
    }

    /// A digest of all that a public client registered: equal registrations are one client, and get one id (B7).
    #[must_use]
    #[expect(clippy::unneeded_field_pattern, reason = "a new one has to be put on either side")]
    pub fn fingerprint(&self) -> String {
        let Self {
            redirect_uris,
            // Of public clients alone, which have one method and no keys.
            auth_methods: _,
            keys: _,
            grant_types,
            scope,
            name,
            uri,
            tos_uri,
            policy_uri,
            contacts,
            software_id,
            software_version,
            application_type,
        } = self;
        digest_of(
            json!([
                redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
                grant_types,
                scope.to_string(),
                name,
                uri,
                tos_uri,
                policy_uri,
                software_id,
                software_version,
                application_type,
            ]),
            Self::later(contacts),
        )
    }
}

fn digest_of(mut value: Value, later: Option<Value>) -> String {
    if let (Value::Array(members), Some(later)) = (&mut value, later) {
        members.push(later);
    }
    URL_SAFE_NO_PAD.encode(Sha256::digest(value.to_string().as_bytes()))
}

fn as_json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<Value>(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

fn as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Value::deserialize(deserializer)?.to_string())
}
