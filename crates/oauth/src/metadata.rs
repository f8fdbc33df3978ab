//! The two metadata documents (RFC 8414, RFC 9728) and the endpoint paths that they and the router are both
//! built from: what is advertised is what is mounted.

use serde::Serialize;

use super::client::AuthMethod;
use super::issuer::Issuer;
use super::jwks::AssertionAlgorithm;
use super::resource::Resource;
use super::scope::{OFFLINE_ACCESS, Scope};

/// The paths of the endpoints, each beginning with `/`. `register` is absent when registration is off.
#[derive(Clone, Debug)]
pub struct EndpointPaths {
    /// The MCP endpoint: the protected resource.
    pub mcp: String,
    /// The authorization endpoint.
    pub authorize: String,
    /// The token endpoint.
    pub token: String,
    /// The registration endpoint (RFC 7591).
    pub register: Option<String>,
    /// The revocation endpoint (RFC 7009).
    pub revoke: String,
    /// The key set (RFC 7517).
    pub jwks: String,
}

/// The well-known names (RFC 8414 §3, RFC 9728 §3, OpenID Connect Discovery §4).
pub const AUTHORIZATION_SERVER: &str = "oauth-authorization-server";
/// The alias under which OpenID clients look for the same document.
pub const OPENID_CONFIGURATION: &str = "openid-configuration";
/// The resource's document.
pub const PROTECTED_RESOURCE: &str = "oauth-protected-resource";

/// Where a document is served: at the root, with the resource's path inserted after the well-known name
/// (RFC 8414 §3.1, RFC 9728 §3.1), and appended to the resource's path, as some clients guess (A3).
#[must_use]
pub fn well_known_paths(name: &str, resource_path: &str) -> [String; 3] {
    [
        format!("/.well-known/{name}"),
        format!("/.well-known/{name}{resource_path}"),
        format!("{resource_path}/.well-known/{name}"),
    ]
}

/// The one URL that challenges name: the path-inserted one (D-02).
#[must_use]
pub fn protected_resource_url(issuer: &Issuer, paths: &EndpointPaths) -> String {
    issuer.join(&format!("/.well-known/{PROTECTED_RESOURCE}{}", paths.mcp))
}

/// What the authorization server offers; one value drives documents, routes and checks.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Client authentication methods.
    pub auth_methods: Vec<AuthMethod>,
    /// Grant types.
    pub grant_types: Vec<&'static str>,
    /// Grantable scopes without `offline_access`.
    pub scope: Scope,
    /// The scopes that a first connection needs: what resource metadata and challenges name (D-05).
    pub default_scope: Scope,
    /// The signing algorithm of tokens.
    pub signing_alg: &'static str,
    /// The product's or deployment's name.
    pub name: String,
    /// Whether a `client_id` may be the URL of a metadata document.
    pub documents: bool,
}

/// Authorization server metadata (RFC 8414 §2), with the members that OpenID discovery readers insist on
/// (D-16), so that one document serves at both places. Optional members are left out, never `null` (D-15).
#[derive(Debug, Serialize)]
pub struct AuthorizationServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<String>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    protected_resources: [String; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    service_documentation: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    client_id_metadata_document_supported: bool,
}

impl AuthorizationServerMetadata {
    /// Builds the document.
    #[must_use]
    pub fn new(issuer: &Issuer, paths: &EndpointPaths, resource: &Resource, offer: &Offer) -> Self {
        let methods: Vec<_> = offer.auth_methods.iter().map(|method| method.as_str()).collect();
        // RFC 8414 §2: with a method that signs, how; the verifier reads the same list.
        let signs = offer.auth_methods.contains(&AuthMethod::PrivateKeyJwt);
        let algorithms: Vec<_> =
            AssertionAlgorithm::ALL.into_iter().filter(|_| signs).map(AssertionAlgorithm::as_str).collect();
        let mut scopes: Vec<_> = offer.scope.iter().map(ToString::to_string).collect();
        if offer.grant_types.contains(&"refresh_token") {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        Self {
            issuer: issuer.to_string(),
            authorization_endpoint: issuer.join(&paths.authorize),
            token_endpoint: issuer.join(&paths.token),
            registration_endpoint: paths.register.as_deref().map(|path| issuer.join(path)),
            revocation_endpoint: issuer.join(&paths.revoke),
            jwks_uri: issuer.join(&paths.jwks),
            scopes_supported: scopes,
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: offer.grant_types.clone(),
            token_endpoint_auth_methods_supported: methods.clone(),
            token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
            revocation_endpoint_auth_signing_alg_values_supported: algorithms,
            revocation_endpoint_auth_methods_supported: methods,
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
            protected_resources: [resource.to_string()],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [offer.signing_alg],
            service_documentation: issuer.join("/"),
            client_id_metadata_document_supported: offer.documents,
        }
    }
}

/// Protected resource metadata (RFC 9728 §2).
#[derive(Debug, Serialize)]
pub struct ProtectedResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: String,
    resource_documentation: String,
}

impl ProtectedResourceMetadata {
    /// Builds the document.
    #[must_use]
    pub fn new(issuer: &Issuer, resource: &Resource, offer: &Offer) -> Self {
        Self {
            resource: resource.to_string(),
            authorization_servers: [issuer.to_string()],
            scopes_supported: offer.default_scope.iter().map(ToString::to_string).collect(),
            bearer_methods_supported: ["header"],
            resource_name: offer.name.clone(),
            resource_documentation: issuer.join("/"),
        }
    }
}
