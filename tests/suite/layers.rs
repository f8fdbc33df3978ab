//! The house keeps its form: which module may use which, who may touch which library, and a map that says so truly.
//!
//! Rust enforces none of this inside one crate, so the sources are read as text: every `crate::…` and `super::…` path, in
//! `use` lines and in the code. The rules are stated once, in the tables below, and explained in docs/ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod requirements;

/// A module uses modules of a lower level only.
const LEVELS: &[(&str, u8)] = &[
    ("model", 1),
    ("config", 2),
    ("store", 2),
    ("crypto", 2),
    ("revocations", 2),
    ("fetch", 2),
    ("clients", 3),
    ("tokens", 3),
    ("library", 3),
    ("manual", 2),
    ("attempts", 3),
    ("admin", 4),
    ("app", 4),
    ("request", 4),
    ("response", 4),
    ("endpoints", 5),
    ("account", 5),
    ("console", 5),
    ("api", 5),
    ("mcp", 5),
    ("server", 6),
    ("serve", 6),
    ("cli", 6),
];

/// Same-level edges that are meant, with the reason.
const MEANT: &[(&str, &str, &str)] = &[
    ("app", "request", "the application holds the shell's parts: cookies, limits, proxies"),
    ("app", "response", "the application holds what gives refusals their form"),
    ("request", "response", "what can't be read is refused in a form"),
    ("response", "request", "a refusal is recorded with the context of its request"),
    ("attempts", "clients", "the story gives the advice of the client's profile"),
    ("serve", "server", "the route table is what is served"),
    ("cli", "serve", "the command `serve` starts it"),
    ("store", "revocations", "it tells the view what it has ended, so that no caller can forget to"),
];

/// The protected half could move to another host, so it sees none of the authorization server.
const MCP_SEES: &[&str] = &["mcp", "model", "crypto", "revocations", "library", "request"];

/// Modules whose children don't know each other: what two of them need lies lower down.
const PEERS: &[&str] = &["endpoints"];

/// Libraries that belong to a few modules: one way to do each thing, in one place.
const LIBRARIES: &[(&str, &[&str])] = &[
    // All SQL is in `store`; `model` derives column types.
    ("sqlx", &["store", "model"]),
    ("rmcp", &["mcp"]),
    ("clap", &["cli", "main"]),
    ("jsonwebtoken", &["crypto"]),
    ("argon2", &["crypto"]),
    ("tantivy", &["library"]),
    ("pulldown_cmark", &["manual"]),
    // What strangers make the server fetch goes through `fetch`.
    ("reqwest", &["fetch"]),
    ("utoipa", &["admin", "api"]),
    ("utoipa_axum", &["api"]),
    ("imagesize", &["admin"]),
    (
        "axum",
        &["app", "request", "response", "endpoints", "account", "console", "api", "mcp", "server", "serve", "cli"],
    ),
    ("hyper", &["serve"]),
    ("hyper_util", &["serve"]),
    ("socket2", &["serve"]),
    ("askama", &["response", "endpoints", "account", "console"]),
];

#[test]
fn modules_use_lower_levels_only() {
    let tree = Tree::read(&root().join("src")).unwrap();
    assert!(!tree.files.is_empty(), "no sources found");
    let faults: Vec<String> = tree.files.iter().flat_map(|file| tree.faults(file)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_has_a_level() {
    let tree = Tree::read(&root().join("src")).unwrap();
    let unplaced: Vec<&String> = tree.top_level().into_iter().filter(|name| level(name).is_none()).collect();
    assert!(unplaced.is_empty(), "give these a level: {unplaced:?}");
}

#[test]
fn the_map_names_what_exists_and_nothing_else() {
    let tree = Tree::read(&root().join("src")).unwrap();
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map is readable");
    let mut faults = map_faults(&map, &tree.top_level());
    faults.extend(crate_faults(&map, &crates().unwrap()));
    assert!(faults.is_empty(), "docs/ARCHITECTURE.md:\n{}\n", faults.join("\n"));
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).expect("the page is readable");
    let mut sources = Tree::read(&root().join("src")).unwrap().files;
    sources.extend(Tree::read(&root().join("tests/suite")).unwrap().files);
    sources.extend(Tree::read(&root().join("crates")).unwrap().files);
    let missing = missing_tests(&page, &sources);
    assert!(missing.is_empty(), "docs/threat-model.md names tests that don't exist:\n{}\n", missing.join("\n"));
}

/// A stranger who follows the page arrives.
#[test]
fn the_hops_of_the_map_lead_somewhere() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the page is readable");
    let mut hops = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains(".rs` |")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, file, functions] = cells[..] else { panic!("{line}: three cells are expected") };
        let source =
            fs::read_to_string(root().join(file.trim_matches('`'))).unwrap_or_else(|error| panic!("{file}: {error}"));
        for function in functions.split(", ").map(|name| name.trim_matches('`')) {
            assert!(source.contains(&format!("fn {function}(")), "{file} has no function named {function}");
            hops += 1;
        }
    }
    assert!(hops >= 10, "{hops}");
}

/// The image's layer of dependencies is made from the manifests alone, so it names each.
#[test]
fn the_image_is_built_from_every_package() {
    let recipe = fs::read_to_string(root().join("Dockerfile")).expect("the recipe is readable");
    for name in crates().unwrap() {
        for part in [format!("COPY crates/{name}/Cargo.toml crates/{name}/\n"), format!("crates/{name}/src/lib.rs ")] {
            assert!(recipe.contains(&part), "the Dockerfile lacks {part:?}");
        }
    }
}

/// What strangers and people present as an id is parsed: the store asks no database for what can't be one. An id may be
/// taken as it is from what this server has signed.
#[test]
fn ids_from_outside_are_parsed() {
    const DOORS: [&str; 4] = ["endpoints", "api", "account", "cli"];
    const SIGNED: [&str; 1] = ["src/endpoints/revoke.rs"];
    let tree = Tree::read(&root().join("src")).unwrap();
    let at_the_door = |file: &&File| {
        file.module.first().is_some_and(|top| DOORS.contains(&top.as_str())) && !SIGNED.contains(&file.path.as_str())
    };
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(at_the_door) {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let taken = code.lines().enumerate().filter(|(_, line)| line.contains("Id::new("));
        faults.extend(taken.map(|(number, line)| format!("{}:{}: {}", file.path, number + 1, line.trim())));
    }
    assert!(faults.is_empty(), "parse these:\n{}\n", faults.join("\n"));
}

/// T19: an MCP endpoint without its guard is there for benchmarks, which ask for it by name, and in nothing that is shipped.
#[test]
fn an_unguarded_endpoint_is_not_shipped() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is readable");
    assert!(manifest.contains("\nbench = []\n") && !manifest.contains("\ndefault = ["), "no default has the feature");
    let mut found = 0;
    for file in Tree::read(&root().join("src")).unwrap().files {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (number, line) in
            lines.iter().enumerate().filter(|(_, line)| line.contains("fn unprotected") || line.contains("fn bare("))
        {
            let above = lines[..number].iter().rev().take_while(|line| !line.is_empty());
            let gated = above.into_iter().any(|line| *line == "#[cfg(feature = \"bench\")]");
            // In an `impl` block of its own the block is what is gated.
            let block = file.text.contains("#[cfg(feature = \"bench\")]\nimpl McpState {");
            assert!(gated || block, "{}: {line}", file.path);
            found += 1;
        }
    }
    assert_eq!(found, 3, "the names have changed: see benches/ceilings.rs");
}

/// The folders of `crates/`, each a package.
fn crates() -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("crates"))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The lines below `crates/` in the map, such as `  oauth/       the vocabulary`, against what exists.
fn crate_faults(map: &str, existing: &BTreeSet<String>) -> Vec<String> {
    let entries = map.lines().skip_while(|line| *line != "crates/").skip(1).take_while(|line| line.starts_with("  "));
    let named: BTreeSet<String> = entries
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| Some(line.trim_start().split_once("/ ")?.0.to_owned()))
        .collect();
    let gone = named.difference(existing).map(|name| format!("names crates/{name}, which doesn't exist"));
    let new = existing.difference(&named).map(|name| format!("lacks a line for crates/{name}"));
    gone.chain(new).collect()
}

/// The names in paragraphs that begin with `Tests:` that are no function of `sources`.
fn missing_tests(page: &str, sources: &[File]) -> Vec<String> {
    let mut missing = Vec::new();
    for block in page.split("\n\n") {
        let Some((_, tests)) = block.split_once("Tests: ") else { continue };
        for name in tests.split('`').skip(1).step_by(2) {
            let definition = format!("fn {name}(");
            if !sources.iter().any(|file| file.text.contains(&definition)) {
                missing.push(name.to_owned());
            }
        }
    }
    missing
}

/// The tree in the map: lines of a code block such as `  store/      L2 all SQL`, indented by two spaces.
fn map_faults(map: &str, existing: &BTreeSet<&String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for line in map.lines() {
        let Some(entry) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        let mut words = entry.split_whitespace();
        let (Some(file), Some(said)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(name) = file.strip_suffix('/').or_else(|| file.strip_suffix(".rs")) else {
            continue;
        };
        let Some(said) = said.strip_prefix('L').and_then(|digit| digit.parse::<u8>().ok()) else {
            continue;
        };
        if level(name) != Some(said) {
            faults.push(format!("says L{said} for {name}, which has level {:?}", level(name)));
        }
        if !existing.contains(&name.to_owned()) {
            faults.push(format!("names {name}, which doesn't exist"));
        }
        named.insert(name.to_owned());
    }
    for name in existing {
        if !named.contains(*name) {
            faults.push(format!("lacks a line for {name}: \"  {name}/   L… what it is\""));
        }
    }
    faults
}

fn level(module: &str) -> Option<u8> {
    LEVELS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

/// Why a module may not use another, if it may not. Both as paths below the crate.
fn objection(from: &[String], to: &[String], children_of_peers: &BTreeSet<(String, String)>) -> Option<String> {
    let (Some(from_top), Some(to_top)) = (from.first(), to.first()) else {
        return None;
    };
    // The entry points put the parts together.
    if from_top == "main" || from_top == "lib" {
        return None;
    }
    if from_top == to_top {
        let (Some(own), Some(other)) = (from.get(1), to.get(1)) else {
            return None;
        };
        let is_module = children_of_peers.contains(&(to_top.clone(), other.clone()));
        return (PEERS.contains(&from_top.as_str()) && own != other && is_module)
            .then(|| format!("peers don't import peers: {from_top}::{own} uses {to_top}::{other}"));
    }
    let Some(to_level) = level(to_top) else {
        return Some(format!("crate::{to_top} is not a module with a level"));
    };
    if from_top == "mcp" && !MCP_SEES.contains(&to_top.as_str()) {
        return Some(format!("mcp stands alone: it may not use {to_top}"));
    }
    let from_level = level(from_top)?;
    let meant = MEANT.iter().any(|(from, to, _)| from == from_top && to == to_top);
    (to_level >= from_level && !meant).then(|| format!("{from_top} (L{from_level}) may not use {to_top} (L{to_level})"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

struct File {
    path: String,
    module: Vec<String>,
    text: String,
}

struct Tree {
    files: Vec<File>,
}

impl Tree {
    fn read(src: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![src.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let inside = path.strip_prefix(src).map_err(io::Error::other)?;
                    files.push(File {
                        path: format!("src/{}", inside.display()),
                        module: module_of(inside),
                        text: fs::read_to_string(&path)?,
                    });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    fn top_level(&self) -> BTreeSet<&String> {
        self.files
            .iter()
            .filter_map(|file| file.module.first())
            .filter(|name| !matches!(name.as_str(), "main" | "lib"))
            .collect()
    }

    fn children_of_peers(&self) -> BTreeSet<(String, String)> {
        self.files.iter().filter_map(|file| Some((file.module.first()?.clone(), file.module.get(1)?.clone()))).collect()
    }

    fn faults(&self, file: &File) -> Vec<String> {
        let children = self.children_of_peers();
        let mut faults = BTreeSet::new();
        for (line, path) in references(&file.module, &file.text) {
            let why = match path {
                Reference::Own(to) => objection(&file.module, &to, &children),
                Reference::Library(name) => library_objection(&file.module, &name),
            };
            if let Some(why) = why {
                faults.insert((line, why));
            }
        }
        faults.into_iter().map(|(line, why)| format!("{}:{line}: {why}", file.path)).collect()
    }
}

fn library_objection(from: &[String], library: &str) -> Option<String> {
    let (_, homes) = LIBRARIES.iter().find(|(name, _)| *name == library)?;
    let top = from.first()?;
    let at_home = top == "lib" || homes.contains(&top.as_str());
    (!at_home).then(|| format!("{library} belongs to {}, not to {top}", homes.join(", ")))
}

fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if module.len() > 1 && module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

#[derive(Debug, PartialEq, Eq)]
enum Reference {
    /// A path below the crate.
    Own(Vec<String>),
    /// The first part of any other path; a library, or a local name.
    Library(String),
}

/// All paths in `text` that lead to our own modules or may lead to a library, with their lines.
fn references(module: &[String], text: &str) -> Vec<(usize, Reference)> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
    let mut found = Vec::new();
    // Modules written inside the file, with the depth of braces they opened at.
    let mut inline: Vec<(usize, String)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some((line, token)) = tokens.get(at) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|(opened, _)| *opened < depth + 1);
            }
            "mod" if word(at + 2) == "{" => inline.push((depth + 1, word(at + 1).to_owned())),
            "crate" | "super" if word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                let mut base: Vec<String> = Vec::new();
                let mut next = at;
                if token == "super" {
                    base = module.to_vec();
                    base.extend(inline.iter().map(|(_, name)| name.clone()));
                    while word(next) == "super" {
                        base.pop();
                        next += 2;
                    }
                } else {
                    next += 2;
                }
                let mut paths = Vec::new();
                use_tree(&tokens, &mut next, &base, &mut paths);
                found.extend(paths.into_iter().map(|path| (*line, Reference::Own(path))));
            }
            name if word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                found.push((*line, Reference::Library(name.to_owned())));
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Expands `a::{b, c::d}` from `next` on, below `base`.
fn use_tree(tokens: &[(usize, String)], next: &mut usize, base: &[String], found: &mut Vec<Vec<String>>) {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
    let mut path = base.to_vec();
    loop {
        let token = word(*next);
        if token == "{" {
            *next += 1;
            while !matches!(word(*next), "}" | "") {
                use_tree(tokens, next, &path, found);
                while !matches!(word(*next), "," | "}" | "") {
                    *next += 1;
                }
                if word(*next) == "," {
                    *next += 1;
                }
            }
            *next += 1;
            return;
        }
        if token != "self" {
            path.push(token.to_owned());
        }
        *next += 1;
        let goes_on = word(*next) == "::" && !matches!(word(*next + 1), "<" | "");
        if !goes_on {
            found.push(path);
            return;
        }
        *next += 1;
    }
}

/// Words and signs with their lines; comments, texts and characters left out.
fn tokens(text: &str) -> Vec<(usize, String)> {
    lexemes(text).into_iter().filter(|(_, kind, _)| *kind == Kind::Code).map(|(line, _, text)| (line, text)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A word, or a sign.
    Code,
    /// A whole comment.
    Comment,
    /// A whole text between quotes.
    Text,
}

/// What a source consists of, with the lines where it begins; white space and characters left out.
fn lexemes(text: &str) -> Vec<(usize, Kind, String)> {
    let chars: Vec<char> = text.chars().collect();
    let char_at = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let c = char_at(at);
        let start = at;
        let mut kind = None;
        if c == '/' && char_at(at + 1) == '/' {
            while at < chars.len() && char_at(at) != '\n' {
                at += 1;
            }
            kind = Some(Kind::Comment);
        } else if c == '/' && char_at(at + 1) == '*' {
            let mut open = 1;
            at += 2;
            while at < chars.len() && open > 0 {
                match (char_at(at), char_at(at + 1)) {
                    ('/', '*') => {
                        open += 1;
                        at += 1;
                    }
                    ('*', '/') => {
                        open -= 1;
                        at += 1;
                    }
                    _ => {}
                }
                at += 1;
            }
            kind = Some(Kind::Comment);
        } else if let Some(hashes) = raw_string(&chars, at) {
            let closing: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += chars.iter().skip(at).take_while(|c| **c != '"').count() + 1;
            while at < chars.len() && !chars.iter().skip(at).take(hashes + 1).copied().eq(closing.chars()) {
                at += 1;
            }
            at += hashes + 1;
            kind = Some(Kind::Text);
        } else if c == '"' {
            at += 1;
            while at < chars.len() && char_at(at) != '"' {
                at += if char_at(at) == '\\' { 2 } else { 1 };
            }
            at += 1;
            kind = Some(Kind::Text);
        } else if c == '\'' && char_at(at + 1) == '\\' {
            at += 3;
            while at < chars.len() && char_at(at) != '\'' {
                at += 1;
            }
            at += 1;
        } else if c == '\'' && char_at(at + 2) == '\'' {
            at += 3;
        } else if c.is_alphabetic() || c == '_' {
            while char_at(at).is_alphanumeric() || char_at(at) == '_' {
                at += 1;
            }
            kind = Some(Kind::Code);
        } else if c == ':' && char_at(at + 1) == ':' {
            at += 2;
            kind = Some(Kind::Code);
        } else {
            at += 1;
            if !c.is_whitespace() {
                kind = Some(Kind::Code);
            }
        }
        let own = chars.iter().skip(start).take(at - start);
        if let Some(kind) = kind {
            found.push((line, kind, own.clone().collect()));
        }
        line += own.filter(|c| **c == '\n').count();
    }
    found
}

/// The number of hashes, if a raw text begins here.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| chars.get(before));
    if before.is_some_and(|c| c.is_alphanumeric() || *c == '_') {
        return None;
    }
    let mut rest = chars.iter().skip(at).copied().peekable();
    rest.next_if(|c| matches!(c, 'b' | 'c'));
    rest.next_if_eq(&'r')?;
    let mut hashes = 0;
    while rest.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    (rest.next() == Some('"')).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about `text` as the file at `path`, in a small house.
    fn faults(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File {
            path: format!("src/{path}"),
            module: module_of(Path::new(path)),
            text: text.to_owned(),
        };
        let tree = Tree {
            files: ["endpoints/token/mod.rs", "endpoints/login.rs", "store/mod.rs", "app.rs"]
                .iter()
                .map(|path| file(path, ""))
                .collect(),
        };
        tree.faults(&file(path, text))
    }

    #[test]
    fn planted_edges_are_found() {
        for (path, text, part) in [
            ("model/grant.rs", "use crate::store::Store;", "model (L1) may not use store (L2)"),
            ("store/client.rs", "use crate::config::Database;", "store (L2) may not use config (L2)"),
            ("tokens.rs", "fn f() { let _ = crate::app::App::build(); }", "tokens (L3) may not use app (L4)"),
            (
                "model/id.rs",
                "use crate::{model::grant::Grant, response::{page, csrf}};",
                "model (L1) may not use response (L4)",
            ),
            ("mcp/guard.rs", "use crate::app::App;", "mcp stands alone: it may not use app"),
            ("mcp/guard.rs", "use crate::store::{self, Store};", "mcp stands alone: it may not use store"),
            ("mcp/tools/whoami.rs", "use super::super::super::clients::Client;", "mcp stands alone"),
            ("mcp/mod.rs", "use crate::tokens;", "mcp stands alone"),
            ("endpoints/login.rs", "use crate::endpoints::token::Pipeline;", "peers don't import peers"),
            ("endpoints/login.rs", "use super::token;", "peers don't import peers"),
            ("endpoints/login.rs", "mod tests { use super::super::token::x; }", "peers don't import peers"),
            ("endpoints/login.rs", "use crate::account::pages;", "endpoints (L5) may not use account (L5)"),
            ("app.rs", "use crate::server::serve;", "app (L4) may not use server (L6)"),
            ("app.rs", "macro_rules! m { () => { $crate::endpoints::x() } }", "app (L4) may not use endpoints (L5)"),
            ("app.rs", "use crate::misc::helper;", "crate::misc is not a module with a level"),
            ("endpoints/login.rs", "let x = sqlx::query(\"\");", "sqlx belongs to store, model"),
            ("model/grant.rs", "use axum::http::StatusCode;", "axum belongs to"),
        ] {
            let found = faults(path, text);
            assert!(found.iter().any(|fault| fault.contains(part)), "{path}: {text}: {found:?}");
        }
    }

    #[test]
    fn lawful_edges_pass() {
        for (path, text) in [
            ("store/client.rs", "use oauth::scope::Scope;\nuse crate::model::{client::Client, *};\nuse super::Store;"),
            ("mcp/guard.rs", "use crate::{crypto::jwt, request::body, model::grant, mcp::policy};"),
            ("endpoints/token/refresh.rs", "use super::client_auth;\nuse crate::endpoints::token::client_auth::x;"),
            (
                "endpoints/login.rs",
                "use super::Shared;\nuse crate::app::App;\nmod tests { use super::*; use super::token; }",
            ),
            ("endpoints/mod.rs", "pub mod token; pub use token::router; use self::login::x;"),
            ("model/grant.rs", "// use crate::store::Store;\n/* crate::app::App /* crate::x */ crate::y */"),
            (
                "model/grant.rs",
                "const A: &str = \"crate::store::x\"; const B: &str = r#\"use crate::\"app::x\"#; const C: char = '\"';",
            ),
            (
                "model/grant.rs",
                "fn f<'a>(x: &'a str) -> char { '\\'' }\npub(crate) fn g() {}\npub(in crate::model) fn h() {}",
            ),
            ("main.rs", "use portcullis::cli;"),
            ("cli/mod.rs", "use crate::serve;"),
        ] {
            assert_eq!(faults(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn lines_are_told() {
        let found = faults("model/grant.rs", "//! Doc\n\nconst A: &str = \"\n\n\";\nuse crate::store::Store;\n");
        assert_eq!(found, ["src/model/grant.rs:6: model (L1) may not use store (L2)"]);
    }

    #[test]
    fn tests_that_are_gone_are_found() {
        let source = |text: &str| File { path: String::new(), module: Vec::new(), text: text.to_owned() };
        let page = "**T1.** By `measure`.\nTests: `there`,\n`gone`.\n\nNothing of `other`.";
        let sources = [source("fn there() {}"), source("fn gone_too() {}")];
        assert_eq!(missing_tests(page, &sources), ["gone"]);
    }

    #[test]
    fn a_map_that_lies_is_found() {
        let names = ["model".to_owned(), "store".to_owned()];
        let existing: BTreeSet<&String> = names.iter().collect();
        let truth = "```\nsrc/\n  lib.rs      the crate\n  model/      L1 plain values\n    grant.rs  L9 one of them\n  store/      L2 all SQL\n```\n";
        assert_eq!(map_faults(truth, &existing), Vec::<String>::new());
        for (lie, part) in [
            (truth.replace("  store/      L2 all SQL\n", ""), "lacks a line for store"),
            (truth.replace("L2", "L3"), "says L3 for store"),
            (truth.replace("```\n\n", "").replace("  model/ ", "  request/   L4 x\n  model/ "), "names request"),
        ] {
            let faults = map_faults(&lie, &existing);
            assert!(faults.iter().any(|fault| fault.contains(part)), "{faults:?}");
        }
    }
    #[test]
    fn a_map_that_lies_about_crates_is_found() {
        let existing = BTreeSet::from(["oauth".to_owned()]);
        let truth =
            "```\ncrates/\n  oauth/      the vocabulary,\n              pure\nsrc/\n  store/      L2 all SQL\n```\n";
        assert_eq!(crate_faults(truth, &existing), Vec::<String>::new());
        for (lie, part) in [
            (truth.replace("  oauth/ ", "  other/ "), "lacks a line for crates/oauth"),
            (truth.replace("  oauth/ ", "  other/      x\n  oauth/ "), "names crates/other"),
        ] {
            let faults = crate_faults(&lie, &existing);
            assert!(faults.iter().any(|fault| fault.contains(part)), "{faults:?}");
        }
    }
}
