//! The library: the documents that the tools `search` and `fetch` serve, and what the documentation pages show.
//!
//! Owns a folder of Markdown and text files, or the manual that is built into the program, their ids, titles
//! and addresses, and the full-text index over them. Knows nothing of HTTP, of tokens or of tools.
//!
//! Everything a reader sees is one [`Snapshot`] behind an atomic pointer. A changed folder is read and indexed
//! in the background and then put in place of the old one, so that nobody ever waits for a rebuild.

mod folder;
mod index;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use folder::Listing;
use index::Index;
use oauth::time::Timestamp;

/// The least time between two looks at the folder. Readers don't wait for a look, so this bounds the disk's
/// work, and how long a new file stays unseen.
const PAUSE: Duration = Duration::from_secs(2);

/// The most bytes of text that are looked through without leaving the caller's thread.
const LARGE: usize = 1024 * 1024;

/// What a search finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The document's id.
    pub(crate) id: String,
    /// Its title.
    pub(crate) title: String,
    /// Its absolute address.
    pub(crate) url: String,
}

/// One document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Its path below the folder with `/` between the parts: stable as long as the file keeps its name.
    pub(crate) id: String,
    /// The front matter's title, else the first heading, else the file's name in words.
    pub(crate) title: String,
    /// The file's text.
    pub(crate) text: String,
    /// Its absolute address.
    pub(crate) url: String,
    /// When the file was last changed; the built-in manual doesn't say.
    pub(crate) modified: Option<Timestamp>,
}

impl Document {
    fn new(id: &str, text: String, modified: Option<Timestamp>, base_url: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: text::title(&text).unwrap_or_else(|| text::title_from_name(id)),
            text,
            url: format!("{base_url}/{}", text::percent_encoded(id)),
            modified,
        }
    }

    fn hit(&self) -> Hit {
        Hit { id: self.id.clone(), title: self.title.clone(), url: self.url.clone() }
    }
}

/// Why no library can be opened.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The folder is missing or can't be read.
    #[error("the folder {} can't be read: {source}", path.display())]
    Folder {
        /// The folder as it is configured.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The index can't be built.
    #[error("the documents can't be indexed: {0}")]
    Index(#[from] tantivy::TantivyError),
}

/// A set of documents that can be searched. Clones share it.
#[derive(Clone)]
pub(crate) struct Library(Arc<Inner>);

struct Inner {
    /// The folder, resolved; `None` for the built-in manual, which can't change.
    folder: Option<PathBuf>,
    base_url: String,
    snapshot: ArcSwap<Snapshot>,
    /// Whether somebody looks at the folder, or has looked a moment ago.
    looking: AtomicBool,
}

/// The documents at one moment with the index over exactly them.
struct Snapshot {
    listing: Listing,
    documents: BTreeMap<String, Arc<Document>>,
    /// The documents in the order of the index's ordinals.
    ordered: Vec<Arc<Document>>,
    index: Index,
    /// The length of all texts.
    bytes: usize,
}

impl Library {
    /// Opens the documents of a folder, or the built-in manual. `base_url` is the absolute address below
    /// which the documents are shown, without a trailing slash.
    ///
    /// # Errors
    /// When the folder can't be read or the index can't be built. Single files that can't be used are left
    /// out with a line in the log.
    pub(crate) fn open(folder: Option<&Path>, base_url: String) -> Result<Self, LibraryError> {
        let (folder, snapshot) = match folder {
            None => (None, Snapshot::of_manual(&base_url)?),
            Some(path) => {
                let unreadable = |source| LibraryError::Folder { path: path.to_owned(), source };
                // Resolved once: whether a symlink stays inside is judged against this.
                let root = path.canonicalize().map_err(unreadable)?;
                let listing = Listing::read(&root).map_err(unreadable)?;
                let snapshot = Snapshot::of_listing(&root, listing, None, &base_url)?;
                if snapshot.ordered.is_empty() {
                    tracing::warn!(folder = %path.display(), "no .md, .markdown or .txt file in the documents' folder");
                }
                (Some(root), snapshot)
            }
        };
        Ok(Self(Arc::new(Inner {
            folder,
            base_url,
            snapshot: ArcSwap::from_pointee(snapshot),
            looking: AtomicBool::new(false),
        })))
    }

    /// The documents that match `query` best, best first, at most `limit`. Any text is a lawful query.
    pub(crate) fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        self.look();
        let snapshot = self.0.snapshot.load();
        let ordinals = snapshot.index.search(query, limit).unwrap_or_else(|error| {
            tracing::error!(%error, "the search in the documents failed");
            Vec::new()
        });
        ordinals
            .into_iter()
            .filter_map(|ordinal| snapshot.ordered.get(ordinal))
            .map(|document| document.hit())
            .collect()
    }

    /// The same for callers on the runtime: where there is much to look through, another thread does it. A search goes
    /// through the postings of all its words, and through all words that begin like them if none is there.
    pub(crate) async fn search_aside(&self, query: &str, limit: usize) -> Vec<Hit> {
        if !self.0.snapshot.load().is_large() {
            return self.search(query, limit);
        }
        let (own, query) = (self.clone(), query.to_owned());
        tokio::task::spawn_blocking(move || own.search(&query, limit)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the search in the documents broke off");
            Vec::new()
        })
    }

    /// The document with this id. The id is looked up among the known ones, never opened as a path.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Document>> {
        self.look();
        self.0.snapshot.load().documents.get(id).cloned()
    }

    /// All documents in the order of their ids.
    #[cfg(test)]
    fn list(&self) -> Vec<Hit> {
        self.look();
        self.0.snapshot.load().ordered.iter().map(|document| document.hit()).collect()
    }

    /// Begins a look at the folder in the background, unless one is under way or was a moment ago.
    fn look(&self) {
        let Some(root) = &self.0.folder else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.0.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, root) = (Arc::clone(&self.0), root.clone());
        runtime.spawn(async move {
            let worker = Arc::clone(&inner);
            if let Err(error) = tokio::task::spawn_blocking(move || worker.refresh(&root)).await {
                tracing::error!(%error, "the look at the documents' folder broke off");
            }
            tokio::time::sleep(PAUSE).await;
            inner.looking.store(false, Ordering::Release);
        });
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("folder", &self.0.folder)
            .field("documents", &self.0.snapshot.load().ordered.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Puts a new snapshot in place when the folder has changed. A folder that can't be read keeps what was
    /// known: a share that is away for a moment shouldn't empty the library.
    fn refresh(&self, root: &Path) {
        let old = self.snapshot.load_full();
        let listing = match Listing::read(root) {
            Ok(listing) if listing == old.listing => return,
            Ok(listing) => listing,
            Err(error) => {
                tracing::warn!(folder = %root.display(), %error, "the documents' folder can't be read; the last state stays");
                return;
            }
        };
        match Snapshot::of_listing(root, listing, Some(&old), &self.base_url) {
            Ok(new) => {
                tracing::info!(documents = new.ordered.len(), "the documents' folder has changed");
                self.snapshot.store(Arc::new(new));
            }
            Err(error) => tracing::error!(%error, "the documents can't be indexed; the last state stays"),
        }
    }
}

impl Snapshot {
    /// Whether a search may take longer than the runtime should wait for it: some hundred microseconds for each
    /// mebibyte.
    fn is_large(&self) -> bool {
        self.bytes > LARGE
    }

    fn of_manual(base_url: &str) -> Result<Self, LibraryError> {
        let documents =
            crate::manual::PAGES.iter().map(|(id, text)| Document::new(id, (*text).to_owned(), None, base_url));
        Self::of(Listing::default(), documents.map(Arc::new))
    }

    /// Reads what the listing names. Files that `old` holds unchanged are taken from there.
    fn of_listing(root: &Path, listing: Listing, old: Option<&Self>, base_url: &str) -> Result<Self, LibraryError> {
        let kept = |file: &folder::File| {
            let old = old.filter(|old| old.listing.contains(file))?;
            old.documents.get(&file.id).cloned()
        };
        let documents: Vec<_> = listing
            .files_within_limits()
            .filter_map(|file| {
                kept(file).or_else(|| {
                    let text = file.read(root)?;
                    Some(Arc::new(Document::new(&file.id, text, file.modified_at(), base_url)))
                })
            })
            .collect();
        Self::of(listing, documents.into_iter())
    }

    fn of(listing: Listing, documents: impl Iterator<Item = Arc<Document>>) -> Result<Self, LibraryError> {
        let documents: BTreeMap<_, _> = documents.map(|document| (document.id.clone(), document)).collect();
        let ordered: Vec<_> = documents.values().cloned().collect();
        let index = Index::build(&ordered)?;
        let bytes = ordered.iter().map(|document| document.text.len()).sum();
        Ok(Self { listing, documents, ordered, index, bytes })
    }
}

#[cfg(test)]
mod tests;
