//! Portcullis: an OAuth 2.1 authorization server and a bearer-protected MCP server in one binary.

mod account;
pub mod admin;
mod api;
pub mod app;
pub mod attempts;
pub mod cli;
pub mod clients;
pub mod config;
pub mod crypto;
mod endpoints;
pub mod fetch;
mod library;
mod manual;
mod mcp;
pub mod model;
mod request;
mod response;
pub mod revocations;
pub mod serve;
pub mod server;
pub mod store;
pub mod tokens;
