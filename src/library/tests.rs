//! The library as its callers see it, over real folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Library;

/// A folder of its own for one test, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-library-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn open(&self) -> Library {
        Library::open(Some(&self.0), "https://h.example/docs".into()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ids(library: &Library) -> Vec<String> {
    library.list().into_iter().map(|hit| hit.id).collect()
}

fn found(library: &Library, query: &str) -> Vec<String> {
    library.search(query, 10).into_iter().map(|hit| hit.id).collect()
}

#[test]
fn manual_is_there_without_any_folder() {
    let library = Library::open(None, "https://h.example/docs".into()).unwrap();
    let hits = library.search("How do I connect ChatGPT?", 3);
    assert_eq!(hits[0].id, "chatgpt.md");
    assert_eq!(hits[0].url, "https://h.example/docs/chatgpt.md");
    for hit in library.list() {
        let document = library.get(&hit.id).unwrap();
        assert!(document.text.len() > 200 && !document.title.is_empty() && document.modified.is_none(), "{}", hit.id);
    }
}

#[test]
fn folder_is_read_below_and_only_documents_count() {
    let folder = Folder::new("kinds");
    folder.write("a.md", "# Alpha");
    folder.write("sub/deep/b c.TXT", "beta");
    folder.write("sub/d.markdown", "no heading");
    folder.write("e.html", "# no");
    folder.write(".hidden.md", "# no");
    folder.write(".git/f.md", "# no");
    folder.write("latin1.md", b"caf\xe9");
    folder.write("big.txt", "x".repeat(1024 * 1024 + 1));
    let library = folder.open();
    assert_eq!(ids(&library), ["a.md", "sub/d.markdown", "sub/deep/b c.TXT"]);
    let document = library.get("sub/deep/b c.TXT").unwrap();
    assert_eq!((document.title.as_str(), document.text.as_str()), ("B c", "beta"));
    assert_eq!(document.url, "https://h.example/docs/sub/deep/b%20c.TXT");
    assert!(document.modified.unwrap().0 > 1_500_000_000);
}

#[test]
fn ids_never_reach_the_disk() {
    let folder = Folder::new("traversal");
    folder.write("a.md", "# Alpha");
    let library = folder.open();
    for id in ["", ".", "..", "../a.md", "/etc/passwd", "./a.md", "a.md/", "A.md", "sub/../a.md", "a.md\0", "%61.md"] {
        assert!(library.get(id).is_none(), "{id:?}");
    }
    assert!(library.get("a.md").is_some());
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_the_folder_only() {
    let outside = Folder::new("outside");
    outside.write("secret.md", "# Secret");
    let folder = Folder::new("links");
    // How mounted volumes look: a hidden folder with the files, links to them beside it.
    folder.write("..data/page.md", "# Page");
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, folder.0.join(name)).unwrap();
    link(Path::new("..data/page.md"), "page.md");
    link(&outside.0.join("secret.md"), "secret.md");
    link(&outside.0, "out");
    link(&folder.0, "loop");
    link(Path::new("nowhere.md"), "dangling.md");
    assert_eq!(ids(&folder.open()), ["page.md"]);
}

#[test]
fn missing_folder_is_an_error_that_names_it() {
    let error = Library::open(Some(Path::new("/nonexistent/docs")), String::new()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/docs"), "{error}");
}

#[test]
fn search_stems_ranks_titles_first_and_falls_back_to_beginnings() {
    let folder = Folder::new("ranking");
    folder.write("refresh.md", "# Refreshing tokens\nHow they rotate.");
    folder.write("other.md", "# Something else\nMentions a token and that one may refresh the page at times.");
    folder.write("configuration.md", "# Settings\nEvery key explained.");
    let library = folder.open();
    assert_eq!(found(&library, "refreshed token"), ["refresh.md", "other.md"]);
    assert_eq!(found(&library, "conf"), ["configuration.md"]);
    assert!(found(&library, "zebra").is_empty());
    assert_eq!(library.search("token", 1).len(), 1);
    assert_eq!(library.search("token", 0).len(), 1, "a limit of nothing is no panic");
}

/// What takes long is in nobody's way, and finds the same.
#[tokio::test]
async fn large_libraries_are_searched_off_the_runtime() {
    let folder = Folder::new("large");
    folder.write("small.md", "# Small\nneedle");
    assert!(!folder.open().0.snapshot.load().is_large());
    for number in 0..3 {
        folder.write(&format!("{number}.md"), format!("# Number {number}\nneedle {}", "straw ".repeat(60_000)));
    }
    let library = folder.open();
    assert!(library.0.snapshot.load().is_large());
    for query in ["needle", "need", "number 2", "zebra", ""] {
        assert_eq!(library.search_aside(query, 10).await, library.search(query, 10), "{query}");
    }
}

#[test]
fn any_text_is_a_lawful_query() {
    let library = Library::open(None, String::new()).unwrap();
    let nested = "(".repeat(100_000);
    let long = "word ".repeat(100_000);
    for query in ["", " ", "\"", "a AND", "title:", "body:[a TO", "+-!(){}", "*", "\\", "\0", "日本語", &nested, &long]
    {
        let _ = library.search(query, 5);
    }
    assert!(!library.search("error: \"invalid_token\" (401)", 5).is_empty());
}

/// Searches until `wanted` holds; the folder is looked at in the background.
async fn eventually(library: &Library, wanted: impl Fn(&Library) -> bool) {
    for _ in 0..200 {
        if wanted(library) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the change was never seen: {library:?}");
}

#[tokio::test]
async fn changes_of_the_folder_are_picked_up() {
    let folder = Folder::new("changes");
    folder.write("a.md", "# Alpha");
    folder.write("b.md", "# Beta");
    let library = folder.open();
    folder.write("c.md", "# Gamma");
    eventually(&library, |library| found(library, "gamma") == ["c.md"]).await;
    folder.write("a.md", "# Omega, which is longer");
    std::fs::remove_file(folder.0.join("b.md")).unwrap();
    eventually(&library, |library| found(library, "omega") == ["a.md"] && library.get("b.md").is_none()).await;
    assert!(found(&library, "alpha").is_empty());
}

#[tokio::test]
async fn folder_that_goes_away_leaves_the_last_state() {
    let folder = Folder::new("away");
    folder.write("a.md", "# Alpha");
    let library = folder.open();
    std::fs::remove_dir_all(&folder.0).unwrap();
    library.list();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ids(&library), ["a.md"]);
}
