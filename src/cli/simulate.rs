//! `simulate`: plays a client against a deployment. Reads no configuration: it looks from outside.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use diagnose::simulate::{Options, simulate};
use known_clients::profile::AsksBy;
use known_clients::replicas::IDS;

use super::outside::OutsideArgs;
use super::{CliError, PasswordSource, read_file, say};
use crate::crypto::random::Random;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The client to play
    #[arg(long = "as", value_name = "CLIENT", value_parser = IDS)]
    client: String,
    /// The MCP endpoint's address, as a person would type it into the client
    url: String,
    /// The account that signs in
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    password: PasswordSource,
    /// Say no at the consent page, to see what the client is told
    #[arg(long)]
    deny: bool,
    /// How the client makes itself known, instead of as it prefers
    #[arg(long, value_enum)]
    identity: Option<Identity>,
    /// A client id that the person typed into the client
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with the secret that belongs to it (the first line)
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// Print JSON, with everything that was sent and came
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    outside: OutsideArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Identity {
    /// By its metadata document's address
    Document,
    /// By registering
    Registration,
    /// By --client-id
    Typed,
}

impl From<Identity> for AsksBy {
    fn from(identity: Identity) -> Self {
        match identity {
            Identity::Document => Self::Document,
            Identity::Registration => Self::Registration,
            Identity::Typed => Self::Typed,
        }
    }
}

/// 0: the client connects; 1: it stops somewhere; 2: it could not begin.
pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    let secret = arguments.client_secret_file.as_deref().map(read_file).transpose().map_err(cannot_begin)?;
    let options = Options {
        client: arguments.client,
        url: arguments.url,
        user: arguments.user,
        password: arguments.password.read().map_err(cannot_begin)?,
        deny: arguments.deny,
        identity: arguments.identity.map(AsksBy::from),
        client_id: arguments.client_id,
        client_secret: secret.map(|text| text.lines().next().unwrap_or_default().to_owned()),
        outside: arguments.outside.into(),
        random: || Random::system().bytes(),
    };
    let report = simulate(&options).await.map_err(cannot_begin)?;
    if arguments.json {
        say(&report.to_json().map_err(|error| CliError::Other(error.to_string()))?)?;
    } else {
        say(&report.to_text(std::io::stdout().is_terminal()))?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cannot_begin(error: impl std::fmt::Display) -> CliError {
    CliError::CannotBegin(error.to_string())
}
