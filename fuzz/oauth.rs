//! The parsers and what they need, from the product's sources.

#[path = "../src/oauth/assertion.rs"]
pub mod assertion;
#[path = "../src/oauth/client.rs"]
pub mod client;
#[path = "../src/oauth/document.rs"]
pub mod document;
#[path = "../src/oauth/error.rs"]
pub mod error;
#[path = "../src/oauth/https_url.rs"]
pub mod https_url;
#[path = "../src/oauth/json.rs"]
pub mod json;
#[path = "../src/oauth/jwks.rs"]
pub mod jwks;
#[path = "../src/oauth/redirect_uri.rs"]
pub mod redirect_uri;
#[path = "../src/oauth/scope.rs"]
pub mod scope;
