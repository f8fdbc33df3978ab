//! Every id that a comment or a test cites is defined in docs/requirements.md, and nothing that people read holds one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::{Kind, lexemes, root};

const PAGE: &str = "docs/requirements.md";
/// It defines the ids of threats, and has names of its own for assets.
const THREATS: &str = "docs/threat-model.md";

/// Where ids may be cited.
const FOLDERS: &[&str] =
    &["benches", "config", "crates", "deploy", "docs", "fuzz", "migrations", "scripts", "src", "templates", "tests"];
/// What nobody wrote, or what others did.
const SKIPPED: &[&str] = &["artifacts", "corpus", "coverage", "node_modules", "snapshots", "target"];
const EXTENSIONS: &[&str] =
    &["rs", "md", "toml", "sql", "html", "css", "sh", "py", "mjs", "js", "yaml", "yml", "txt", ""];
/// What people read who have never seen the sources: it says things in words. Of sources, the texts between quotes.
const FOR_PEOPLE: &[&str] = &["config/", "crates/", "docs/manual/", "src/", "templates/"];

/// Letters of ids without a dash. Others stand for other things: levels of modules, versions of IP.
const REPORTS: &[&str] = &["A", "B", "C", "D", "E", "I", "IM", "S"];

#[test]
fn requirements_are_defined_where_they_are_cited() {
    let faults = House::read().unwrap().faults();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn what_people_read_holds_no_ids() {
    let house = House::read().unwrap();
    assert!(house.defined().len() > 200, "the page is not read");
    let faults = house.shown_ids();
    assert!(faults.is_empty(), "say it in words:\n{}\n", faults.join("\n"));
}

/// A file that may cite ids.
struct File {
    path: String,
    text: String,
}

/// A line of a table of the page.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    id: String,
    requirement: String,
    source: String,
    tests: Vec<String>,
}

struct House {
    page: String,
    threats: String,
    files: Vec<File>,
}

impl House {
    fn read() -> io::Result<Self> {
        let text = |path: &str| fs::read_to_string(root().join(path));
        let mut files = Vec::new();
        for folder in FOLDERS {
            gather(&root().join(folder), &mut files)?;
        }
        // Below, ids are planted.
        files.retain(|file| ![PAGE, THREATS, file!()].contains(&file.path.as_str()));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { page: text(PAGE)?, threats: text(THREATS)?, files })
    }

    /// Ids with a row, and those of threats.
    fn defined(&self) -> BTreeSet<String> {
        rows(&self.page).0.into_iter().map(|row| row.id).chain(threats(&self.threats)).collect()
    }

    fn faults(&self) -> Vec<String> {
        let (rows, mut faults) = rows(&self.page);
        let defined = self.defined();
        let mut cited = BTreeSet::new();
        for file in &self.files {
            for (line, id) in file.cites(|_| true) {
                if !defined.contains(&id) {
                    faults.push(format!("{}:{line}: cites {id}, which {PAGE} doesn't define", file.path));
                }
                cited.insert(id);
            }
        }
        let tests = tests(&self.files);
        let mut lines = BTreeMap::new();
        for row in &rows {
            let mut say = |what: &str| faults.push(format!("{PAGE}:{}: {} {what}", row.line, row.id));
            if let Some(first) = lines.insert(&row.id, row.line) {
                say(&format!("has a row already, in line {first}"));
            }
            if !cited.contains(&row.id) {
                say("is cited nowhere");
            }
            if row.requirement.is_empty() {
                say("requires nothing");
            }
            if row.source.is_empty() {
                say("has no source");
            }
            if row.tests.is_empty() {
                say("names no test");
            }
            for name in row.tests.iter().filter(|name| !tests.contains(name.as_str())) {
                say(&format!("names {name}, which is no test"));
            }
        }
        faults
    }

    fn shown_ids(&self) -> Vec<String> {
        let defined = self.defined();
        let for_people = |file: &&File| FOR_PEOPLE.iter().any(|folder| file.path.starts_with(folder));
        let mut faults = Vec::new();
        for file in self.files.iter().filter(for_people) {
            let shown = file.cites(|kind| kind == Kind::Text).into_iter().filter(|(_, id)| defined.contains(id));
            faults.extend(shown.map(|(line, id)| format!("{}:{line}: {id}", file.path)));
        }
        faults
    }
}

impl File {
    /// The ids in this file with their lines: of a source, those in comments and texts of the `wanted` kind; of any other
    /// file, all.
    fn cites(&self, wanted: impl Fn(Kind) -> bool) -> Vec<(usize, String)> {
        if !self.is_source() {
            return ids(1, &self.text);
        }
        let pieces = lexemes(&self.text);
        let pieces = pieces.iter().filter(|(_, kind, _)| *kind != Kind::Code && wanted(*kind));
        pieces.flat_map(|(line, _, text)| ids(*line, text)).collect()
    }

    fn is_source(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == "rs")
    }
}

/// Reads all files below a folder that people write.
fn gather(folder: &Path, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            gather(&path, files)?;
        } else if EXTENSIONS.contains(&path.extension().unwrap_or_default().to_string_lossy().as_ref()) {
            let inside = path.strip_prefix(root()).map_err(io::Error::other)?.display().to_string();
            files.push(File { path: inside, text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

/// The ids in a text that begins in this line.
fn ids(first: usize, text: &str) -> Vec<(usize, String)> {
    let of_a_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '%' | '\\');
    let lines = text.lines().enumerate();
    let words = lines.flat_map(|(number, line)| line.split(|c| !of_a_word(c)).map(move |word| (first + number, word)));
    words.map(|(line, word)| (line, word.trim_matches('-'))).filter(|(_, word)| is_id(word)).map(own).collect()
}

fn own((line, word): (usize, &str)) -> (usize, String) {
    (line, word.to_owned())
}

/// `R-41`, `D1`, `T12`. `P-256` and `S256` are none.
fn is_id(word: &str) -> bool {
    let number =
        |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((letter, digits)) = word.split_once('-') {
        return letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_uppercase()) && number(digits, &[2]);
    }
    let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = word.strip_suffix(digits).unwrap_or_default();
    (letters == "T" || REPORTS.contains(&letters)) && number(digits, &[1, 2])
}

/// The rows of the page's tables, and what is wrong with their form.
fn rows(page: &str) -> (Vec<Row>, Vec<String>) {
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in page.lines().enumerate() {
        let Some(inner) = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else { continue };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let is_head = cells.first().is_some_and(|first| *first == "id" || first.starts_with("--"));
        match cells[..] {
            _ if is_head => {}
            [id, requirement, source, tests] if is_id(id) => rows.push(Row {
                line: number + 1,
                id: id.to_owned(),
                requirement: requirement.to_owned(),
                source: source.to_owned(),
                tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
            }),
            _ => faults.push(format!("{PAGE}:{}: not | id | requirement | source | tests |", number + 1)),
        }
    }
    (rows, faults)
}

/// `T12` of `**T12. A refresh token is stolen.**`.
fn threats(page: &str) -> BTreeSet<String> {
    let heads = page.lines().filter_map(|line| line.strip_prefix("**")?.split_once('.'));
    heads.map(|(id, _)| id.to_owned()).filter(|id| id.starts_with('T') && is_id(id)).collect()
}

/// The names of all tests: functions with such an attribute, and those that a macro makes into tests.
fn tests(files: &[File]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let mut attributed = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                attributed = true;
            }
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some((name, rest)) = function.and_then(|rest| rest.split_once('(')) else { continue };
            // As in `on_both_databases!` and in `proptest!`.
            let by_macro = rest.starts_with("database)") || rest.contains(" in ");
            if attributed || by_macro {
                names.insert(name);
            }
            attributed = false;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE_PAGE: &str = "# Requirements\n\n| id | requirement | source | tests |\n|---|---|---|---|\n\
        | R-41 | Consent again. | RFC 1 §2 | `asks_again` |\n| D1 | No race. | observed | `asks_again`, `wins` |\n";

    fn house(page: &str, files: &[(&str, &str)]) -> House {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        let threats = "| A1 | passwords |\n\n**T1. Theft.** As in T3.\nTests: `x`.\n".to_owned();
        House { page: page.to_owned(), threats, files: files.iter().map(file).collect() }
    }

    /// A test and a comment that cite all that the page defines, beside this line.
    fn faults(page: &str, line: &str) -> Vec<String> {
        let cites = "/// R-41, D1, T1.\n#[test]\nfn asks_again() {}\n\nasync fn wins(database) {}\n\nfn helper() {}\n";
        house(page, &[("tests/suite/a.rs", cites), ("src/b.rs", line)]).faults()
    }

    #[test]
    fn a_true_page_passes() {
        assert_eq!(faults(TRUE_PAGE, "// R-41…D1 (T1); P-256, S256, ES256, HTTP/2, L2, V4\n"), Vec::<String>::new());
        assert_eq!(faults(TRUE_PAGE, "const R_42: char = 'R'; fn e5() -> E5 { B7 }\n"), Vec::<String>::new());
    }

    #[test]
    fn undefined_ids_are_found() {
        for line in
            ["\n// R-42.", "\n/// See D-01, R-41.", "\n/* (E7) */", "\n//! x B4/D1", "\nconst A: &str = \"T3\";"]
        {
            let found = faults(TRUE_PAGE, line);
            assert!(found.len() == 1 && found[0].starts_with("src/b.rs:2: cites "), "{line}: {found:?}");
        }
        let found = house(TRUE_PAGE, &[("migrations/0001_a.sql", "-- as\n-- R-99\n")]).faults();
        assert!(found.iter().any(|fault| fault.starts_with("migrations/0001_a.sql:2: cites R-99,")), "{found:?}");
    }

    #[test]
    fn a_page_that_lies_is_found() {
        for (lie, part) in [
            (TRUE_PAGE.replace("D1", "D2"), "D2 is cited nowhere"),
            (TRUE_PAGE.replace("D1", "R-41"), ":6: R-41 has a row already, in line 5"),
            (TRUE_PAGE.replace("`wins`", "`loses`"), "D1 names loses, which is no test"),
            (TRUE_PAGE.replace("`wins`", "`helper`"), "D1 names helper, which is no test"),
            (TRUE_PAGE.replace("| `asks_again` |", "| |"), "R-41 names no test"),
            (TRUE_PAGE.replace("| `asks_again` |", "| asks_again |"), "R-41 names no test"),
            (TRUE_PAGE.replace("| observed |", "| |"), "D1 has no source"),
            (TRUE_PAGE.replace("No race.", ""), "D1 requires nothing"),
            (TRUE_PAGE.replace("| observed |", ""), ":6: not | id | requirement"),
            (TRUE_PAGE.replace("| D1 |", "| d1 |"), ":6: not | id | requirement"),
        ] {
            let found = faults(&lie, "");
            assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {found:?}");
        }
    }

    #[test]
    fn ids_that_people_would_read_are_found() {
        let shown = |path: &str, text: &str| house(TRUE_PAGE, &[(path, text)]).shown_ids();
        for (path, text) in [
            ("src/a.rs", "fn f() -> String {\n    format!(\"refused (R-41)\")\n}\n"),
            ("crates/x/src/a.rs", "\nconst A: &str = r#\"see \"D1\"\"#;"),
            ("templates/a.html", "<p>\nT1</p>"),
            ("config/default.toml", "\n# R-41: the operator decides."),
            ("docs/manual/a.md", "\nSee D1."),
        ] {
            let found = shown(path, text);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{path}:2: ")), "{path}: {found:?}");
        }
        for (path, text) in [
            ("src/a.rs", "// R-41\nconst A: &str = \"R-42, P-256\";"),
            ("tests/suite/a.rs", "assert!(x, \"R-41\");"),
            ("docs/performance.md", "R-41"),
        ] {
            assert_eq!(shown(path, text), Vec::<String>::new(), "{path}");
        }
    }
}
