//! The flags with which commands that look at a deployment from outside say how to reach it.

use std::path::PathBuf;

use clap::Args;
use diagnose::outside::Outside;

/// How to reach the deployment.
#[derive(Debug, Args)]
pub(super) struct OutsideArgs {
    /// Trust the certificates in this file (PEM) beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Go through this HTTP proxy, for example `http://proxy.example:3128`
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

impl From<OutsideArgs> for Outside {
    fn from(arguments: OutsideArgs) -> Self {
        Self { ca_file: arguments.ca_file, proxy: arguments.proxy }
    }
}
