//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::crypto::random::Random;

/// What SQLite keeps beside a database.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file in the making: beside its place, under a name that nobody takes for it, readable by its owner alone. Unless it
/// is put in its place, it goes.
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Makes an empty one.
    pub(super) fn beside(place: &Path) -> Result<Self, CliError> {
        let folder = folder_of(place);
        if !folder.is_dir() {
            return Err(CliError::Other(format!(
                "{} can't be written: there is no folder {}; make it first",
                place.display(),
                folder.display()
            )));
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!(".{name}.{}.part", Random::system().id("")));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(|source| CliError::Write { path: place.to_owned(), source })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings its bytes to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        OpenOptions::new().read(true).write(true).open(&self.path)?.sync_all()
    }

    /// Puts it in its place, where nothing must be.
    pub(super) fn place_new(self, place: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // A file system without links; between the question and the renaming somebody could come first.
            Err(_) if place.try_exists()? => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(&self.path, place)?,
        }
        drop(self);
        sync_folder(place)
    }

    /// Puts it in the place of what is there.
    pub(super) fn replace(self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        drop(self);
        sync_folder(place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        for ending in BESIDE {
            let _ = fs::remove_file(with_ending(&self.path, ending));
        }
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with this at its end.
pub(super) fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Brings the names in a file's folder to the disk.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(file))?.sync_all() } else { Ok(()) }
}

/// Gives a file to whoever owns `model`: an administrator restores as root, and the server runs as somebody else.
#[cfg(unix)]
pub(super) fn give_to_owner_of(model: &Path, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (wanted, now) = (fs::metadata(model)?, fs::metadata(file)?);
    if (wanted.uid(), wanted.gid()) == (now.uid(), now.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(file, Some(wanted.uid()), Some(wanted.gid()))
}

/// Owners are a matter of Unix.
#[cfg(not(unix))]
pub(super) fn give_to_owner_of(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}
