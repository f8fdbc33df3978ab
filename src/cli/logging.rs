//! Log lines: for people on a terminal, JSON elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error; standard output stays for what commands say.
pub(super) fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let human = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // A log that can't be written (a full disk) is told nowhere: by default it would be told on the very same standard
    // error, and that fails with a panic in whatever was about to say something.
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // A second start in one process (tests) finds logging started, which is what it wants.
    let _ = if human { builder.with_target(false).try_init() } else { builder.json().flatten_event(true).try_init() };
}
