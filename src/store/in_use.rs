//! Whether processes use a SQLite database: a lock on a file beside it. A restoration needs the database for itself, and
//! whoever opens the database meanwhile would hold on to the file that is about to go.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A hold on a database. It ends when it is dropped, and with the process.
#[derive(Debug)]
pub struct InUse(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl InUse {
    /// Holds the database as one of several; `None` when somebody has it for themselves.
    ///
    /// # Errors
    /// When the file beside the database can't be opened or locked.
    pub fn shared(database: &Path) -> io::Result<Option<Self>> {
        let file = open(database)?;
        taken(file.try_lock_shared(), file)
    }

    /// Holds the database alone; `None` when others use it.
    ///
    /// # Errors
    /// When the file beside the database can't be opened or locked.
    pub fn alone(database: &Path) -> io::Result<Option<Self>> {
        let file = open(database)?;
        taken(file.try_lock(), file)
    }
}

fn taken(tried: Result<(), TryLockError>, file: File) -> io::Result<Option<InUse>> {
    match tried {
        Ok(()) => Ok(Some(InUse(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(database: &Path) -> io::Result<File> {
    open_beside(database, ".in-use")
}

/// Opens a file beside the database, or makes it. It belongs to whoever the database belongs to, as SQLite does it with
/// its own files: a command that root runs must not lock the server out.
pub(super) fn open_beside(database: &Path, ending: &str) -> io::Result<File> {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    let name = PathBuf::from(name);
    // Reading is enough for a lock.
    match OpenOptions::new().read(true).open(&name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = OpenOptions::new().read(true).append(true).create(true).open(&name)?;
            #[cfg(unix)]
            give_to_owner(database, &file);
            Ok(file)
        }
        opened => opened,
    }
}

/// Only root can, and only root needs to.
#[cfg(unix)]
fn give_to_owner(database: &Path, file: &File) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = database.metadata().or_else(|_| folder.metadata());
    if let Ok(owner) = owner {
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}
