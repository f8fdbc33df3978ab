//! Reviewed copies of well-known clients' documents, for when their server can't be reached from here: some answer a
//! data centre with a challenge page. The operator's own copies come before the built-in ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The copies that come with the product, as published in autumn 2026; Cursor's has the callbacks of its registrations.
const BUILT_IN: [&str; 6] = [
    include_str!("../documents/chatgpt.json"),
    include_str!("../documents/codex.json"),
    include_str!("../documents/claude.json"),
    include_str!("../documents/claude-code.json"),
    include_str!("../documents/vscode.json"),
    include_str!("../documents/cursor.json"),
];

/// A copy, by the `client_id` in it.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The document.
    pub body: String,
    /// `built-in` or `operator`.
    pub source: &'static str,
}

/// Why the operator's copies can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CopiesError {
    /// The folder or a file can't be read.
    #[error("the copies of metadata documents in {} can't be read: {error}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// A file that is no document.
    #[error("{} is not a metadata document: it has no client_id", .0.display())]
    NotADocument(PathBuf),
}

/// All copies, by `client_id`.
pub fn all(folder: Option<&Path>) -> Result<HashMap<String, Copy>, CopiesError> {
    let mut copies = HashMap::new();
    for body in BUILT_IN {
        if let Some(id) = id_in(body) {
            copies.insert(id, Copy { body: body.to_owned(), source: "built-in" });
        }
    }
    let Some(folder) = folder else { return Ok(copies) };
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| CopiesError::Io { path, error }
    };
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let body = std::fs::read_to_string(&path).map_err(io(&path))?;
            let id = id_in(&body).ok_or_else(|| CopiesError::NotADocument(path.clone()))?;
            copies.insert(id, Copy { body, source: "operator" });
        }
    }
    Ok(copies)
}

fn id_in(body: &str) -> Option<String> {
    serde_json::from_str::<Value>(body).ok()?.get("client_id")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, all};

    ///
    #[test]
    fn every_built_in_copy_has_an_id_of_its_own() {
        assert_eq!(all(None).unwrap().len(), BUILT_IN.len());
    }
}
