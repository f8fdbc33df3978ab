//! `keys`: signing keys, and the master key that seals them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use super::desk::Desk;
use super::table::{Table, say_json};
use super::{CliError, logging, master_of, open, read_file, say, with_master_key};
use crate::admin::{AdminError, date, keys};
use crate::config::Config;
use crate::crypto::master::MasterKey;
use crate::crypto::random::Random;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the signing keys, oldest first
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish a new signing key; it signs after `keys.publish_ahead`, when all verifiers know it
    Rotate {
        /// The old key was stolen: drop it at once. Every access token becomes invalid; clients refresh
        #[arg(long)]
        emergency: bool,
    },
    /// Print a fresh master key, for `keys.master_key_file`
    Master,
    /// Print the fingerprint of the master key in use: backups name the key that they need by it
    Fingerprint,
}

pub(super) async fn run(config: Config, command: Command) -> Result<(), CliError> {
    logging::start(&config.log);
    let store = open(&config).await?;
    let (replacing, place) = (matches!(command, Command::Rotate { emergency: true }), place(&config));
    let (config, _) = with_master_key(config, &store, replacing).await?;
    let desk = Desk::at(&config, store);
    let admin = desk.admin();
    match command {
        Command::List { json } => {
            let keys = keys::list(&admin).await?;
            if json {
                return say_json(&keys);
            }
            let mut table = Table::new(["KID", "ALGORITHM", "MADE", "SIGNS FROM", "STATE"]);
            for key in &keys {
                table.row([&key.kid, &key.algorithm, &date(key.created_at), &date(key.active_at), key.state]);
            }
            table.say()
        }
        Command::Rotate { emergency } => {
            let master = master_of(&config)?;
            let (kid, from) = match keys::rotate(&admin, &master, emergency).await {
                Err(AdminError::WrongMasterKey) => {
                    return Err(CliError::WrongKey { fingerprint: master.fingerprint().to_owned(), place });
                }
                rotated => rotated?,
            };
            if emergency {
                say(&format!("Signing key {kid} is in force; all older keys are gone."))
            } else {
                say(&format!("Signing key {kid} is published and signs from {}.", date(from)))
            }
        }
        Command::Master => print_master(),
        Command::Fingerprint => print_fingerprint(&config),
    }
}

/// Prints a fresh master key.
pub(super) fn print_master() -> Result<(), CliError> {
    say(&URL_SAFE_NO_PAD.encode(Random::system().bytes()))
}

/// Names the master key in use.
pub(super) fn print_fingerprint(config: &Config) -> Result<(), CliError> {
    match known_master(config)? {
        (_, Some(master)) => say(master.fingerprint()),
        (place, None) => Err(CliError::Other(format!("there is no master key; it would be looked for {place}"))),
    }
}

/// The master key, if there is one, and in words where it belongs. Makes none.
pub(super) fn known_master(config: &Config) -> Result<(String, Option<MasterKey>), CliError> {
    let place = place(config);
    if let Some(key) = config.keys.master_key {
        return Ok((place, Some(MasterKey::new(&key))));
    }
    let Some(path) = file_beside(&config.database.url).filter(|path| path.exists()) else { return Ok((place, None)) };
    Ok((place, Some(MasterKey::new(&read(&path)?))))
}

/// Where the master key is looked for: by a configuration in which none was filled in yet.
pub(super) fn place(config: &Config) -> String {
    match file_beside(&config.database.url) {
        Some(path) if config.keys.master_key.is_none() => {
            format!("at {} or where keys.master_key_file says", path.display())
        }
        _ => "where keys.master_key or keys.master_key_file says".to_owned(),
    }
}

/// Where the master key of a SQLite database lies when none is configured.
pub(super) fn file_beside(database_url: &str) -> Option<PathBuf> {
    let path = database_url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or_default();
    Some(Path::new(path).parent().unwrap_or_else(|| Path::new("")).join("master.key"))
}

/// Reads the key file, or makes it so that only its owner can read it; tells whether it made it. Of two processes
/// that start at once one makes it: the file is made exclusively, and the other reads it.
pub(super) fn read_or_make(path: &Path) -> Result<([u8; 32], bool), CliError> {
    if !path.exists() {
        let failed = |source| CliError::Write { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let key = Random::system().bytes();
        let text = format!("{}\n", URL_SAFE_NO_PAD.encode(key));
        // Written whole under another name and then linked: a reader never sees half a key.
        let draft = path.with_extension(format!("key.{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft).map_err(failed)?;
        match linked {
            Ok(()) => return Ok((key, true)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok((read(path)?, false))
}

fn read(path: &Path) -> Result<[u8; 32], CliError> {
    let text = read_file(path)?;
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        CliError::Other(format!("{} is not a master key: 32 bytes as base64url are expected", path.display()))
    })
}
