//! Log lines: for people on a terminal, JSON elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// The MCP library has something to say at level info about every single request: several lines for each tool call,
/// which cost more than the bearer check. Who wants them names them (`rmcp=info`).
const QUIET: &str = "rmcp=warn";

/// Starts logging to standard error; standard output stays for what commands say.
pub(super) fn start(log: &Log) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.filter)).unwrap_or_else(|_| EnvFilter::new("info"));
    let human = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) finds logging started, which is what it wants.
    let _ = if human { builder.with_target(false).try_init() } else { builder.json().flatten_event(true).try_init() };
}
