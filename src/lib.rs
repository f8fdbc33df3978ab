//! Portcullis: an OAuth 2.1 authorization server and a bearer-protected MCP server in one binary.

pub mod crypto;
pub mod model;
pub mod oauth;
pub mod revocations;
pub mod store;
