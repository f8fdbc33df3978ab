//! The vocabulary of OAuth: pure types and rules, no I/O, no clock, no framework. With the feature `sqlx` ids and times are
//! column types.
//!
//! Every type here is parsed once, at the door, and can't be wrong afterwards. A request's fault is a
//! [`error::Refusal`]; nothing in this crate can fail in any other way.

pub mod algorithm;
pub mod assertion;
pub mod attempt_id;
pub mod authorize;
pub mod cause;
pub mod challenge;
pub mod client;
pub mod error;
pub mod https_url;
pub mod id;
pub mod issuer;
pub mod json;
pub mod jwks;
pub mod metadata;
pub mod params;
pub mod pkce;
pub mod redirect_uri;
pub mod resource;
pub mod scope;
pub mod special_use;
pub mod text;
pub mod time;
pub mod token;
pub mod web_origin;
mod words;
