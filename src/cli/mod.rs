//! The command line: what each subcommand does lives in its own file.

mod attempts;
mod backup;
mod clients;
mod config;
mod connections;
mod desk;
mod doctor;
mod documents;
mod dump;
mod files;
mod health;
mod keys;
mod logging;
mod outside;
mod reference;
mod restore;
mod serve;
mod simulate;
mod table;
mod tokens;
mod users;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use oauth::id::InvalidId;

use crate::admin::AdminError;
use crate::app::BuildError;
use crate::config::{Config, Problems};
use crate::crypto::master::MasterKey;
use crate::store::backup::FileError;
use crate::store::{ConnectError, Store, StoreError};

/// How long threads may take to end after everything else.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// OAuth 2.1 authorization server and bearer-protected MCP server in one binary.
///
/// Without a command it serves. Without any configuration it serves on <http://localhost:8080> with a SQLite
/// database under ./data.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, long_about)]
struct Arguments {
    /// The configuration file (TOML); ./portcullis.toml is read if it is there
    #[arg(long, global = true, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until a signal to stop (the default)
    Serve,
    /// Bring the database schema up to date and exit
    Migrate,
    /// Back up everything the server remembers into one file, while it runs; the master key is not in it
    Backup(backup::Arguments),
    /// Put a backup in the place of the database, which is kept under another name; or check one
    Restore(restore::Arguments),
    /// Accounts of people
    #[command(subcommand)]
    User(users::Command),
    /// Clients: those that you enter yourself, and disabling any
    #[command(subcommand)]
    Client(clients::Command),
    /// Tokens of the admin API
    #[command(subcommand)]
    Token(tokens::Command),
    /// Signing keys and the master key
    #[command(subcommand)]
    Keys(keys::Command),
    /// Connections: which person has let which client in
    #[command(subcommand)]
    Connections(connections::Command),
    /// What was recorded of attempts to connect
    #[command(subcommand)]
    Attempts(attempts::Command),
    /// Documents that clients publish of themselves
    #[command(subcommand)]
    Documents(documents::Command),
    /// Examine a deployment from outside, as clients see it, and say for each client whether it will connect
    ///
    /// What became of one attempt to connect: `portcullis attempts show ID`. Whether the server can fetch the metadata
    /// documents of clients: `portcullis documents check [URL]`.
    ///
    /// Exit code: 0 all clients will connect, 1 at least one won't, 2 nothing could be looked at.
    Doctor(doctor::Arguments),
    /// The configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Play a known client against a deployment, from the first call to the revocation, and say where it would stop
    Simulate(simulate::Arguments),
    /// Ask the running server on this machine whether it is ready: for container health checks
    Health,
    /// Print what makes a shell complete these commands
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder: one for the program and one for each command
    Man {
        /// The folder, such as ~/.local/share/man/man1
        folder: PathBuf,
    },
}

/// A password, never as an argument: arguments are seen by every process of the machine.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PasswordSource {
    /// Read the password from standard input (the first line)
    #[arg(long)]
    password_stdin: bool,
    /// Read the password from a file (the first line)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordSource {
    fn read(&self) -> Result<String, CliError> {
        let mut text = String::new();
        match &self.password_file {
            Some(path) => text = read_file(path)?,
            None => {
                std::io::stdin()
                    .take(4096)
                    .read_to_string(&mut text)
                    .map_err(|source| CliError::Read { path: PathBuf::from("standard input"), source })?;
            }
        }
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// A client's secret, never as an argument either.
fn read_secret() -> Result<String, CliError> {
    PasswordSource { password_stdin: true, password_file: None }.read()
}

fn read_file(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::Read { path: path.to_owned(), source })
}

/// Reads an id. What can be none names nothing, as `command list` shows.
fn parse_id<T: TryFrom<String, Error = InvalidId>>(text: String, command: &str) -> Result<T, CliError> {
    T::try_from(text)
        .map_err(|why| CliError::Other(format!("there is nothing with this id: {why}; see: portcullis {command} list")))
}

/// What can end a command.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0}")]
    Config(#[from] Problems),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", desk::sentence(.0))]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("{} can't be read: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} can't be written: {source}", .path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{address} can't be listened on: {source}; is another server running there? Set listen to another address")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("the backup {} can't be made: {source}; nothing was left behind", .file.display())]
    Backup { file: PathBuf, source: FileError },
    #[error("{} can't be used: {source}. Nothing was changed", .file.display())]
    NoBackup { file: PathBuf, source: FileError },
    #[error("{} can't be used: {source}", .file.display())]
    NoDump { file: PathBuf, source: dump::DumpError },
    #[error(
        "{} needs the master key{needed}, but {found}. Nothing was changed. Put the right key {place}; `portcullis keys \
         fingerprint` names the one in use. If it is lost for good, restore with --key-lost: then every access token stops, \
         and clients fetch new ones",
        .file.display()
    )]
    OtherKey { file: PathBuf, needed: String, found: String, place: String },
    #[error(
        "the master key does not open the signing keys in the database: it has the fingerprint {fingerprint}, and they were \
         sealed with another. Put that one {place}; a backup names the fingerprint of the key that it needs. Only if it is \
         lost for good: `portcullis keys rotate --emergency` makes new signing keys; every access token stops, and clients \
         fetch new ones"
    )]
    WrongKey { fingerprint: String, place: String },
    #[error(
        "there is no master key, but the database has signing keys that one sealed. Put it {place}. Only if it is lost for \
         good: `portcullis keys rotate --emergency` makes a new one and new signing keys; every access token stops, and \
         clients fetch new ones"
    )]
    KeyGone { place: String },
    /// A look from outside that found nothing to look at.
    #[error("{0}")]
    CannotBegin(String),
    #[error("{0}")]
    Other(String),
}

/// The commands and their arguments: what `--help`, the manual pages, completions and the page of commands are made from.
#[must_use]
pub fn commands() -> clap::Command {
    Arguments::command()
}

/// Parses the arguments, runs the command and gives the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::Other(format!("the runtime can't start: {error}"))),
    };
    let outcome = runtime.block_on(dispatch(arguments));
    // Work that blocks a thread is not waited for: a stop has its time.
    runtime.shutdown_timeout(LAST_THREADS);
    match outcome {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// A command's end: most have but one good one.
async fn dispatch(arguments: Arguments) -> Result<ExitCode, CliError> {
    let file = arguments.config;
    // Not all commands need a configuration.
    let config = || load(file);
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => Box::pin(serve::run(config()?)).await,
        Command::Migrate => {
            let store = open(&config()?).await?;
            say(&format!("The {} database is up to date.", store.engine()))
        }
        Command::Backup(own) => backup::run(&config()?, own).await,
        Command::Restore(own) => restore::run(&config()?, own).await,
        Command::User(command) => users::run(&config()?, command).await,
        Command::Client(command) => clients::run(&config()?, command).await,
        Command::Token(command) => tokens::run(&config()?, command).await,
        Command::Keys(keys::Command::Master) => keys::print_master(),
        Command::Keys(keys::Command::Fingerprint) => keys::print_fingerprint(&config()?),
        Command::Keys(command) => keys::run(config()?, command).await,
        Command::Connections(command) => connections::run(&config()?, command).await,
        Command::Attempts(command) => attempts::run(&config()?, command).await,
        Command::Documents(command) => return documents::run(&config()?, command).await,
        Command::Doctor(own) => return doctor::run(own, config).await,
        Command::Config(command) => config::run(&config()?, &command),
        Command::Simulate(own) => return simulate::run(own).await,
        Command::Health => health::run(&config()?).await,
        Command::Completions { shell } => reference::completions(shell),
        Command::Man { folder } => reference::man(&folder),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn load(file: Option<PathBuf>) -> Result<Config, CliError> {
    let file = file.or_else(|| Some(PathBuf::from("portcullis.toml")).filter(|path| path.exists()));
    let mut env = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => env.push((name, value)),
            // A setting that was passed over in silence would be the default, which may be the weaker one.
            (Ok(name), Err(_)) if name.starts_with("PORTCULLIS_") => {
                return Err(CliError::Other(format!("{name} is not UTF-8 text; set it anew")));
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
    Ok(Config::load(file.as_deref(), env)?)
}

/// Opens the database and brings its schema up to date.
async fn open(config: &Config) -> Result<Store, CliError> {
    let database = &config.database;
    let store = Store::connect(&database.url, database.max_connections, database.acquire_timeout).await?;
    store.migrate().await?;
    Ok(store)
}

/// Fills in the master key on SQLite: reads it from beside the database file, or makes it there. None is made for a
/// database whose keys another one sealed, unless they are about to be replaced: it would open nothing, and stand where
/// the right one is to be put.
async fn with_master_key(
    mut config: Config,
    store: &Store,
    replacing: bool,
) -> Result<(Config, Option<PathBuf>), CliError> {
    if config.keys.master_key.is_some() {
        return Ok((config, None));
    }
    let Some(path) = keys::file_beside(&config.database.url) else {
        return Err(CliError::Other("keys.master_key is missing; make one with: portcullis keys master".to_owned()));
    };
    if !path.exists() && !replacing && !store.signing_keys().await?.is_empty() {
        return Err(CliError::KeyGone { place: keys::place(&config) });
    }
    let (key, made) = keys::read_or_make(&path)?;
    config.keys.master_key = Some(key);
    Ok((config, made.then_some(path)))
}

fn master_of(config: &Config) -> Result<MasterKey, CliError> {
    let bytes = config.keys.master_key.ok_or_else(|| CliError::Build(BuildError::NoMasterKey))?;
    Ok(MasterKey::new(&bytes))
}

/// Prints a line for the person at the terminal.
fn say(text: &str) -> Result<(), CliError> {
    writeln!(std::io::stdout(), "{text}")
        .map_err(|source| CliError::Write { path: PathBuf::from("standard output"), source })
}

fn fail(error: &CliError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "portcullis: {error}");
    // Scripts tell "the deployment is not right" from "it was not even looked at".
    if matches!(error, CliError::CannotBegin(_)) { ExitCode::from(2) } else { ExitCode::FAILURE }
}
