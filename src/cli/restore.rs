//! `restore`: puts a backup in the place of the database.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use oauth::time::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

use super::files::{BESIDE, Draft, folder_of, give_to_owner_of, sync_folder, with_ending};
use super::{CliError, backup, dump, say};
use crate::config::Config;
use crate::model::clock::Clock;
use crate::store::InUse;
use crate::store::backup::{Contents, FileError, inspect, settle, sqlite_file, take_label};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The backup; with PostgreSQL, a dump, or - for the text of one on standard input
    file: PathBuf,
    /// Only check it: whole, of a version that this one can read, and for the master key that is configured
    #[arg(long)]
    check: bool,
    /// The master key that the backup needs is lost for good: restore without it
    #[arg(long)]
    key_lost: bool,
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CliError> {
    let now = Clock::system().now();
    let Arguments { file, check, key_lost } = arguments;
    let Some(database) = sqlite_file(&config.database.url) else {
        return dump::restore(config, &file, check, key_lost, now);
    };
    let contents = checked(&file, now).await?;
    let key = backup::check_key(config, &contents, &file, key_lost)?;
    if check {
        say(&format!("{} is a whole backup that this program can restore.", file.display()))?;
        say(&backup::told(&contents))?;
        return match key {
            Some(key) => say(&format!("  master key   {}, which is the one configured here", key.fingerprint())),
            None => Ok(()),
        };
    }
    let kept = replace(&database, &file, now).await?;
    say(&format!("{} is restored from {}.", database.display(), file.display()))?;
    say(&backup::told(&contents))?;
    if let Some(kept) = kept {
        say(&format!("The database that was there is kept as {}.", kept.display()))?;
    }
    if key_lost && key.is_none() && !contents.keys.is_empty() {
        say("The master key is lost: run `portcullis keys rotate --emergency` before you start the server.")?;
    }
    say(&backup::since(contents.label.map(|label| label.made_at)))
}

/// Looks through a backup before anything is changed.
async fn checked(file: &Path, now: Timestamp) -> Result<Contents, CliError> {
    if !file.is_file() {
        return Err(CliError::Other(format!("there is no file {}", file.display())));
    }
    for ending in BESIDE {
        let beside = with_ending(file, ending);
        if beside.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            return Err(CliError::Other(format!(
                "{} lies beside {}: that is a database, perhaps one in use, and no backup. Make a backup of it first: \
                 PORTCULLIS__DATABASE__URL=sqlite://{} portcullis backup NEW-FILE",
                beside.display(),
                file.display(),
                file.display()
            )));
        }
    }
    inspect(file, now).await.map_err(|source| CliError::NoBackup { file: file.to_owned(), source })
}

/// Puts a copy of `file` in the place of the database; gives the name under which that one is kept.
async fn replace(database: &Path, file: &Path, now: Timestamp) -> Result<Option<PathBuf>, CliError> {
    let written = |source| CliError::Write { path: database.to_owned(), source };
    let same = database.canonicalize().ok().zip(file.canonicalize().ok()).is_some_and(|(one, other)| one == other);
    if same {
        return Err(CliError::Other(format!("{} is the database itself", file.display())));
    }
    fs::create_dir_all(folder_of(database)).map_err(written)?;
    let busy = || {
        CliError::Other(format!(
            "{} is in use: stop the server (and whatever else has the database open), then restore. Nothing was changed",
            database.display()
        ))
    };
    let _alone = InUse::alone(database).map_err(written)?.ok_or_else(busy)?;

    let draft = Draft::beside(database)?;
    let read = |source| CliError::Read { path: file.to_owned(), source };
    let mut from = fs::File::open(file).map_err(read)?;
    let mut into = fs::OpenOptions::new().write(true).open(draft.path()).map_err(written)?;
    std::io::copy(&mut from, &mut into).map_err(written)?;
    drop(into);
    let broken = |source| CliError::NoBackup { file: file.to_owned(), source };
    take_label(draft.path()).await.map_err(broken)?;
    // What is put in place is what was looked at.
    inspect(draft.path(), now).await.map_err(broken)?;
    let model = if database.exists() { database } else { folder_of(database) };
    give_to_owner_of(model, draft.path()).and_then(|()| draft.sync()).map_err(written)?;

    if database.exists() {
        match settle(database).await {
            // A database that can't be read any more may be the very reason.
            Ok(()) | Err(FileError::NotSqlite | FileError::Damaged(_)) => {}
            Err(FileError::Busy) => return Err(busy()),
            Err(source) => return Err(CliError::NoBackup { file: database.to_owned(), source }),
        }
    }
    let kept = put_aside(database, now).map_err(written)?;
    draft.replace(database).map_err(written)?;
    Ok(kept)
}

/// Keeps the database that is there under another name, with all that SQLite left beside it: a log of the old one beside
/// the new one would be written into it. The database itself stays under its name too, until the new one replaces it.
fn put_aside(database: &Path, now: Timestamp) -> std::io::Result<Option<PathBuf>> {
    let beside: Vec<&str> =
        BESIDE.into_iter().filter(|ending| with_ending(database, ending).symlink_metadata().is_ok()).collect();
    if !database.exists() && beside.is_empty() {
        return Ok(None);
    }
    let kept = free_name(database, now)?;
    for ending in beside {
        fs::rename(with_ending(database, ending), with_ending(&kept, ending))?;
    }
    if database.exists() && fs::hard_link(database, &kept).is_err() {
        // A file system without links.
        fs::rename(database, &kept)?;
    }
    sync_folder(database)?;
    Ok(Some(kept))
}

fn free_name(database: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = OffsetDateTime::from_unix_timestamp(now.0).ok().and_then(|date| date.format(&format).ok());
    let date = date.unwrap_or_else(|| now.0.to_string());
    for count in 1..1000 {
        let more = if count == 1 { String::new() } else { format!("-{count}") };
        let name = with_ending(database, &format!(".before-restore-{date}{more}"));
        let taken =
            std::iter::once("").chain(BESIDE).any(|ending| with_ending(&name, ending).symlink_metadata().is_ok());
        if !taken {
            return Ok(name);
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}
