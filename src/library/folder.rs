//! The folder on the disk: which files it holds, within which limits they are read.
//!
//! Nothing outside the folder is ever read: links are resolved first and must end inside it, and ids that
//! come from callers never get here.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use oauth::time::{Timestamp, whole_seconds};

/// The largest file that is read: a million characters are far more than a model can take in.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The most that all files may have together; all of it is kept in memory.
const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024;
/// The most files.
const MAX_FILES: usize = 10_000;
/// The most entries of any kind that one look visits: a folder chosen by mistake (a home, a disk) must not
/// keep a thread busy for minutes.
const MAX_VISITED: usize = 200_000;
/// The deepest nesting of folders.
const MAX_DEPTH: usize = 16;

/// One file as a look at the folder saw it. Equal values mean that nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct File {
    /// The path below the folder with `/` between the parts.
    pub(super) id: String,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// The files of the folder, in the order of their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing(Vec<File>);

impl Listing {
    /// Looks at the folder. `root` must be resolved already.
    ///
    /// # Errors
    /// When the folder itself can't be read. What can't be read below it is left out.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut visited = 0_usize;
        let mut pending = vec![(fs::read_dir(root)?, String::new(), 0_usize)];
        while let Some((entries, prefix, depth)) = pending.pop() {
            for entry in entries.flatten() {
                visited += 1;
                if visited > MAX_VISITED || files.len() >= MAX_FILES {
                    tracing::debug!(root = %root.display(), "the documents' folder holds more than is served; the rest is left out");
                    files.sort();
                    return Ok(Self(files));
                }
                let name = entry.file_name();
                // Hidden names are not documents: .git, editors' leftovers, the `..data` of mounted volumes.
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
                let id = format!("{prefix}{name}");
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if depth < MAX_DEPTH
                        && let Ok(below) = fs::read_dir(entry.path())
                    {
                        pending.push((below, format!("{id}/"), depth + 1));
                    }
                } else if is_document(name)
                    && let Some(file) = File::see(root, &entry.path(), kind.is_symlink(), id)
                {
                    files.push(file);
                }
            }
        }
        files.sort();
        Ok(Self(files))
    }

    /// Whether the file is here, unchanged.
    pub(super) fn contains(&self, file: &File) -> bool {
        self.0.binary_search(file).is_ok()
    }

    /// The files that are small enough, each and together. What is left out is logged.
    pub(super) fn files_within_limits(&self) -> impl Iterator<Item = &File> {
        let mut total = 0_u64;
        self.0.iter().filter(move |file| {
            let fits = file.bytes <= MAX_FILE_BYTES && total.saturating_add(file.bytes) <= MAX_TOTAL_BYTES;
            if fits {
                total += file.bytes;
            } else {
                tracing::warn!(
                    id = file.id,
                    bytes = file.bytes,
                    "left out: a document may have {MAX_FILE_BYTES} bytes, all together {MAX_TOTAL_BYTES}"
                );
            }
            fits
        })
    }
}

fn is_document(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|own| ["md", "markdown", "txt"].iter().any(|known| own.eq_ignore_ascii_case(known)))
}

/// The file that a path leads to, when that lies inside the folder. Links inside the folder are lawful:
/// mounted volumes are made of them.
fn resolved(root: &Path, path: &Path) -> Option<PathBuf> {
    let target = path.canonicalize().ok()?;
    target.starts_with(root).then_some(target)
}

impl File {
    /// `is_link`: only links need resolving, for linked folders are not entered: all else lies inside.
    fn see(root: &Path, path: &Path, is_link: bool, id: String) -> Option<Self> {
        if is_link && resolved(root, path).is_none() {
            tracing::debug!(id, "left out: the link leads nowhere or out of the documents' folder");
            return None;
        }
        let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self { id, bytes: facts.len(), modified: facts.modified().ok() })
    }

    /// When the file was last changed.
    pub(super) fn modified_at(&self) -> Option<Timestamp> {
        let since = self.modified?.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp(whole_seconds(since)))
    }

    /// Reads the file's text. `None`, with a line in the log, when it can't be read, has grown over the limit
    /// since the look, or isn't UTF-8.
    pub(super) fn read(&self, root: &Path) -> Option<String> {
        // Resolved again: the entry may have been swapped for a link since the look.
        let target = resolved(root, &root.join(&self.id))?;
        let mut bytes = Vec::new();
        let read = fs::File::open(target).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Ok(count) if count as u64 > MAX_FILE_BYTES => None,
            Ok(_) => String::from_utf8(bytes)
                .inspect_err(|_| tracing::warn!(id = self.id, "left out: the document isn't UTF-8 text"))
                .ok(),
            Err(error) => {
                tracing::warn!(id = self.id, %error, "left out: the document can't be read");
                None
            }
        }
    }
}
