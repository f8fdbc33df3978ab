//! `backup`: a copy of everything the server remembers, but for the master key.

use std::path::{Path, PathBuf};

use clap::Args;
use oauth::time::Timestamp;

use super::files::{Draft, folder_of};
use super::{CliError, dump, keys, say, serve};
use crate::attempts::story::date;
use crate::config::Config;
use crate::crypto::keys::KeyRing;
use crate::crypto::master::MasterKey;
use crate::model::clock::Clock;
use crate::store::backup::{self, Contents, Label};
use crate::store::{ConnectError, InUse, known_schema};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the backup goes; with PostgreSQL, a dump to check, or the place for one
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(config: &Config, arguments: Arguments) -> Result<(), CliError> {
    let now = Clock::system().now();
    let Some(database) = backup::sqlite_file(&config.database.url) else {
        return dump::backup(config, &arguments.file, now).await;
    };
    let file = &arguments.file;
    refuse_place(&database, file, arguments.force)?;
    let held = InUse::shared(&database).map_err(|source| CliError::Write { path: database.clone(), source })?;
    let _held = held.ok_or_else(|| ConnectError::BeingRestored(database.clone()))?;
    let mut stop = std::pin::pin!(serve::stop_signal());
    let stopped = || CliError::Other("stopped; no backup was made".to_owned());
    // From here on a signal doesn't end the process at once: the draft goes first.
    tokio::select! {
        biased;
        () = &mut stop => return Err(stopped()),
        () = std::future::ready(()) => {}
    }
    let draft = Draft::beside(file)?;
    let failed = |source| CliError::Backup { file: file.clone(), source };
    tokio::select! {
        copied = backup::copy_in_use(&database, draft.path()) => copied.map_err(failed)?,
        () = &mut stop => return Err(stopped()),
    }
    let contents = backup::inspect(draft.path(), now).await.map_err(failed)?;
    let (_, master) = keys::known_master(config)?;
    let opened = master.as_ref().filter(|master| KeyRing::open(&contents.keys, master).is_ok());
    let label = Label {
        made_at: now,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        master_key: opened.filter(|_| !contents.keys.is_empty()).map(|master| master.fingerprint().to_owned()),
    };
    backup::label(draft.path(), &label).await.map_err(failed)?;
    let size = std::fs::metadata(draft.path()).map_or(0, |metadata| metadata.len());
    let placed = draft.sync().and_then(|()| if arguments.force { draft.replace(file) } else { draft.place_new(file) });
    placed.map_err(|source| CliError::Write { path: file.clone(), source })?;
    say(&format!("{} is a whole and checked backup of {} ({} KiB).", file.display(), database.display(), size / 1024))?;
    say(&told(&contents))?;
    say(&match (&label.master_key, &master) {
        (Some(key), _) => format!(
            "  master key   {key}. It is not in the backup: keep a copy of it in another place, for neither is worth \
             anything without the other"
        ),
        (None, _) if contents.keys.is_empty() => "  master key   none needed yet: there are no signing keys".to_owned(),
        (None, None) => {
            "  master key   NOT FOUND: no keys.master_key is set and none lies beside the database. Without \
                         it the server can't be started on this backup"
                .to_owned()
        }
        (None, Some(master)) => format!(
            "  master key   THE WRONG ONE: {} does not open the signing keys. Without the right one the server can't be \
             started on this backup",
            master.fingerprint()
        ),
    })
}

/// What a backup or a dump holds, in lines.
pub(super) fn told(contents: &Contents) -> String {
    let Contents { schema, accounts, clients, connections, .. } = contents;
    let mut text = format!(
        "  schema       {schema} (this program knows up to {})\n  accounts     {accounts}\n  clients      {clients}\n  \
         connections  {connections} live",
        known_schema()
    );
    if let Some(Label { made_at, program, .. }) = &contents.label {
        text = format!("  made         {} by Portcullis {program}\n{text}", date(*made_at));
    }
    text
}

fn refuse_place(database: &Path, file: &Path, force: bool) -> Result<(), CliError> {
    let refuse = |why: String| Err(CliError::Other(why));
    if !database.is_file() {
        return refuse(format!(
            "there is no database at {}: nothing to back up. Is the command run in the server's folder and with its \
             configuration?",
            database.display()
        ));
    }
    if file.is_dir() || file.file_name().is_none() {
        return refuse(format!("{} is a folder; name the file in it", file.display()));
    }
    // Also under another name: the folder is resolved, and the file need not exist.
    let resolved = |path: &Path| {
        folder_of(path).canonicalize().ok().map(|folder| folder.join(path.file_name().unwrap_or_default()))
    };
    if resolved(database) == resolved(file) || same_file(database, file) {
        return refuse(format!("{} is the database itself", file.display()));
    }
    if !force && file.symlink_metadata().is_ok() {
        return refuse(format!("{} is there already; name another file, or replace it with --force", file.display()));
    }
    Ok(())
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Whether the configured master key is the one that a backup needs.
///
/// # Errors
/// When it isn't, with what to do.
pub(super) fn check_key(
    config: &Config,
    contents: &Contents,
    file: &Path,
    key_lost: bool,
) -> Result<Option<MasterKey>, CliError> {
    if contents.keys.is_empty() {
        return Ok(None);
    }
    let (place, master) = keys::known_master(config)?;
    if let Some(master) = master {
        if KeyRing::open(&contents.keys, &master).is_ok() {
            return Ok(Some(master));
        }
        if !key_lost {
            return Err(CliError::OtherKey {
                file: file.to_owned(),
                needed: needed(contents),
                found: format!("the master key here has the fingerprint {}", master.fingerprint()),
                place,
            });
        }
    } else if !key_lost {
        let found = "there is no master key here".to_owned();
        return Err(CliError::OtherKey { file: file.to_owned(), needed: needed(contents), found, place });
    }
    Ok(None)
}

fn needed(contents: &Contents) -> String {
    let key = contents.label.as_ref().and_then(|label| label.master_key.as_deref());
    key.map_or_else(String::new, |key| format!(" with the fingerprint {key}"))
}

/// Says what has not come back with a backup.
pub(super) fn since(made: Option<Timestamp>) -> String {
    let since = made.map_or_else(|| "the backup was made".to_owned(), date);
    format!(
        "What happened since {since} is not in it: connections that were ended, accounts that were disabled and passwords \
         that were changed since then are as they were before. If that matters, run `portcullis keys rotate --emergency` \
         before you start the server: it ends all access tokens at once; then disable and end again what must be."
    )
}
