//! The resource half: a bearer-protected MCP endpoint (MCP, Streamable HTTP; RFC 6750; RFC 9728 §5).
//!
//! It could move to another host: it knows keys, the issuer, the resource's URL, the view of revoked grants,
//! and one question to a directory of people. It never sees the store.
//!
//! A request walks through, in this order: `door` (Host, Origin) → `guard` (who calls) → method → `media` → `envelope`
//! (what is called) → `policy` (may they) → `transport` (the MCP library) → `server` and its `tools`. `endpoint`
//! leads it; `answer` is how refusals look.

mod answer;
mod door;
mod endpoint;
mod envelope;
mod guard;
mod media;
mod policy;
mod server;
mod tools;
mod transport;

#[cfg(test)]
mod tests;

pub(crate) use endpoint::{McpSettings, McpState, handle};
pub(crate) use tools::ToolSettings;
pub(crate) use tools::whoami::{Directory, Person};
