//! Backups of PostgreSQL: made and put back by its own tools. Here they are checked, and the commands are told.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use oauth::time::Timestamp;

use super::{CliError, backup, keys, say};
use crate::config::Config;
use crate::model::key::StoredKey;
use crate::store::backup::Contents;
use crate::store::{Applied, Store, judge_schema};

/// The first bytes of `pg_dump --format=custom`.
const CUSTOM: &[u8] = b"PGDMP";
/// The last words of a dump as text.
const END: &[u8] = b"-- PostgreSQL database dump complete";

/// Why a dump is none that can be restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error("it can't be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("it does not come to its end: the dump was cut off, or is still being written")]
    CutOff,
    #[error(
        "it is not a dump of Portcullis' tables with their rows: it lacks {0}. Make it as `portcullis backup NEW-FILE` says"
    )]
    Lacks(&'static str),
    #[error(transparent)]
    Schema(#[from] crate::store::SchemaError),
    #[error("a row of {0} in it can't be read")]
    Row(&'static str),
    #[error(
        "it is packed by another program; unpack it on the way: gunzip --stdout FILE | portcullis restore --check -"
    )]
    Packed,
    #[error(
        "it can be read by pg_restore only, which is not on this machine. Where it is, run: pg_restore --file=- FILE | \
         portcullis restore --check -"
    )]
    NoTool,
    #[error("pg_restore can't read it: {0}")]
    Tool(String),
}

/// `backup` with PostgreSQL: says how, or checks what is there.
pub(super) async fn backup(config: &Config, file: &Path, now: Timestamp) -> Result<(), CliError> {
    if file.exists() {
        return check(config, file, false, now).map(drop);
    }
    let store =
        Store::connect(&config.database.url, config.database.max_connections, config.database.acquire_timeout).await?;
    let place = store.whereabouts().await?;
    // A pattern: without quotes upper case and special characters would mean something else.
    let schema = place.schema.filter(|schema| schema != "public");
    let schema = schema.map(|name| format!(" --schema={}", quoted(&identifier(&name, ""))));
    say(&format!(
        "PostgreSQL's own tool makes the backup, while the server runs; it must not be older than the database (version {}):\n\n  \
         pg_dump --format=custom{} --file={} --dbname={}\n\n{}\n\nThen check it:\n\n  portcullis restore --check {}\n",
        place.version,
        schema.unwrap_or_default(),
        quoted(&file.to_string_lossy()),
        quoted(&config.database.for_tools()),
        PASSWORD,
        quoted(&file.to_string_lossy()),
    ))?;
    if let (_, Some(master)) = keys::known_master(config)? {
        say(&format!("The master key {} is not in it: keep a copy of it in another place.", master.fingerprint()))?;
    }
    Err(CliError::Other("no backup was made: make it with the command above".to_owned()))
}

const PASSWORD: &str = "The password is asked for. For a script put it into a file of mode 0600, as one line \
                        HOST:PORT:DATABASE:USER:PASSWORD, and set PGPASSFILE to the file's path.";

/// `restore` with PostgreSQL: checks the dump and says how.
pub(super) fn restore(
    config: &Config,
    file: &Path,
    only_check: bool,
    key_lost: bool,
    now: Timestamp,
) -> Result<(), CliError> {
    check(config, file, key_lost, now)?;
    if only_check {
        return Ok(());
    }
    let (url, name) = (config.database.for_tools(), config.database.name());
    let shown = quoted(&file.to_string_lossy());
    let command = if is_text(file) {
        format!("psql --set=ON_ERROR_STOP=1 --single-transaction --file={shown} --dbname={}", quoted(&url))
    } else {
        format!("pg_restore --exit-on-error --single-transaction --no-owner --dbname={} {shown}", quoted(&url))
    };
    say(&format!(
        "\nPostgreSQL's own tools put it back. Stop every copy of the server first. Restore into an empty database: keep the one \
         that is there under another name, make a new one, and fill it:\n\n  psql --dbname={} --command={}\n  psql --dbname={} \
         --command={}\n  {command}\n\n{PASSWORD}\n\nThen start the server. {}",
        quoted(&config.database.for_tools_at("postgres")),
        quoted(&format!("alter database {} rename to {}", identifier(&name, ""), identifier(&name, "_before_restore"))),
        quoted(&config.database.for_tools_at("postgres")),
        quoted(&format!("create database {}", identifier(&name, ""))),
        backup::since(None),
    ))?;
    Err(CliError::Other("nothing was restored: the dump is good, and the commands above put it back".to_owned()))
}

/// A name as an SQL identifier.
fn identifier(name: &str, ending: &str) -> String {
    format!("\"{}{ending}\"", name.replace('"', "\"\""))
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn check(config: &Config, file: &Path, key_lost: bool, now: Timestamp) -> Result<Contents, CliError> {
    let contents = read(file, now).map_err(|source| CliError::NoDump { file: file.to_owned(), source })?;
    let key = backup::check_key(config, &contents, file, key_lost)?;
    say(&format!("{} is a whole dump that this program can use.", file.display()))?;
    say(&backup::told(&contents))?;
    if let Some(key) = key {
        say(&format!("  master key   {}, which is the one configured here", key.fingerprint()))?;
    }
    Ok(contents)
}

/// Whether it is a dump as text.
fn is_text(file: &Path) -> bool {
    file.as_os_str() == "-" || begin(file).is_ok_and(|bytes| kind(file, &bytes) == Kind::Text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// A format of `pg_dump` that `pg_restore` reads.
    Archive,
    Packed,
}

fn begin(file: &Path) -> std::io::Result<Vec<u8>> {
    if file.is_dir() {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(512).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind(file: &Path, begin: &[u8]) -> Kind {
    if file.is_dir() || begin.starts_with(CUSTOM) || begin.starts_with(b"toc.dat\0") {
        Kind::Archive
    } else if begin.starts_with(&[0x1f, 0x8b])
        || begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || begin.starts_with(b"BZh")
    {
        Kind::Packed
    } else {
        Kind::Text
    }
}

fn read(file: &Path, now: Timestamp) -> Result<Contents, DumpError> {
    if file.as_os_str() == "-" {
        return contents(std::io::stdin().lock(), now);
    }
    match kind(file, &begin(file)?) {
        Kind::Text => contents(BufReader::new(File::open(file)?), now),
        Kind::Packed => Err(DumpError::Packed),
        Kind::Archive => unpacked(file, now),
    }
}

/// Has `pg_restore` write the archive out as text. It looks at every byte on the way.
fn unpacked(file: &Path, now: Timestamp) -> Result<Contents, DumpError> {
    let child = Command::new("pg_restore")
        .arg("--file=-")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(DumpError::NoTool),
        Err(error) => return Err(error.into()),
    };
    let said = child.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        })
    });
    let found = match child.stdout.take() {
        Some(pipe) => contents(BufReader::new(pipe), now),
        None => Err(DumpError::CutOff),
    };
    let status = child.wait()?;
    let said = said.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if !status.success() {
        // What it found to complain about comes before what followed from it.
        return Err(DumpError::Tool(said.lines().next().unwrap_or("it failed").to_owned()));
    }
    found
}

/// What is taken from a dump.
#[derive(Default)]
struct Found {
    applied: Option<Vec<Applied>>,
    keys: Option<Vec<StoredKey>>,
    accounts: Option<i64>,
    clients: Option<i64>,
    connections: Option<i64>,
}

/// Reads a dump as text: the rows stand behind `COPY … FROM stdin;`, one a line, and end with `\.`.
fn contents(mut text: impl BufRead, now: Timestamp) -> Result<Contents, DumpError> {
    let (mut found, mut ended, mut line) = (Found::default(), false, Vec::new());
    while next(&mut text, &mut line)? {
        if line == END {
            ended = true;
        } else if let Some((table, columns)) = copied(&line) {
            loop {
                if !next(&mut text, &mut line)? {
                    return Err(DumpError::CutOff);
                }
                if line == br"\." {
                    found.begin(&table);
                    break;
                }
                found.row(&table, &Row::of(&columns, &line), now)?;
            }
        }
    }
    if !ended {
        return Err(DumpError::CutOff);
    }
    let applied = found.applied.ok_or(DumpError::Lacks("the list of migrations"))?;
    let schema = judge_schema(&applied)?;
    Ok(Contents {
        schema,
        accounts: found.accounts.ok_or(DumpError::Lacks("the accounts"))?,
        clients: found.clients.ok_or(DumpError::Lacks("the clients"))?,
        connections: found.connections.ok_or(DumpError::Lacks("the connections"))?,
        keys: found.keys.ok_or(DumpError::Lacks("the signing keys"))?,
        label: None,
    })
}

fn next(text: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    if text.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(true)
}

/// The table and the columns of `COPY schema.table (one, two) FROM stdin;`.
fn copied(line: &[u8]) -> Option<(String, Vec<String>)> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("COPY ")?.strip_suffix(") FROM stdin;")?;
    let (table, columns) = text.split_once(" (")?;
    let bare = |name: &str| name.trim().trim_matches('"').to_owned();
    let table = table.rsplit('.').next().map(bare)?;
    Some((table, columns.split(',').map(bare).collect()))
}

struct Row<'a> {
    columns: &'a [String],
    fields: Vec<&'a [u8]>,
}

impl<'a> Row<'a> {
    fn of(columns: &'a [String], line: &'a [u8]) -> Self {
        Self { columns, fields: line.split(|byte| *byte == b'\t').collect() }
    }

    /// A column; `None` for null. The columns asked for hold nothing that `COPY` escapes, but for the backslash of a
    /// digest's `\x`.
    fn text(&self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|own| own == column)?;
        self.fields.get(at).filter(|field| **field != br"\N").and_then(|field| std::str::from_utf8(field).ok())
    }

    fn number(&self, column: &str) -> Option<i64> {
        self.text(column)?.parse().ok()
    }

    fn applied(&self) -> Option<Applied> {
        let hex = self.text("checksum")?.strip_prefix(r"\\x")?;
        let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let checksum = (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        Some(Applied { version: self.number("version")?, checksum, success: self.text("success")? == "t" })
    }

    fn key(&self) -> Option<StoredKey> {
        Some(StoredKey {
            kid: self.text("kid")?.to_owned(),
            generation: self.number("generation")?,
            algorithm: self.text("algorithm")?.to_owned(),
            sealed: self.text("sealed")?.to_owned(),
            created_at: Timestamp(self.number("created_at")?),
            active_at: Timestamp(self.number("active_at")?),
        })
    }
}

impl Found {
    /// Notes that a table is there, with or without rows.
    fn begin(&mut self, table: &str) {
        match table {
            "_sqlx_migrations" => drop(self.applied.get_or_insert_default()),
            "signing_key" => drop(self.keys.get_or_insert_default()),
            "user_account" => drop(self.accounts.get_or_insert_default()),
            "client" => drop(self.clients.get_or_insert_default()),
            "token_grant" => drop(self.connections.get_or_insert_default()),
            _ => {}
        }
    }

    fn row(&mut self, table: &str, row: &Row<'_>, now: Timestamp) -> Result<(), DumpError> {
        match table {
            "_sqlx_migrations" => {
                let applied = row.applied().ok_or(DumpError::Row("the list of migrations"))?;
                self.applied.get_or_insert_default().push(applied);
            }
            "signing_key" => {
                self.keys.get_or_insert_default().push(row.key().ok_or(DumpError::Row("the signing keys"))?);
            }
            "user_account" => *self.accounts.get_or_insert_default() += 1,
            "client" => *self.clients.get_or_insert_default() += i64::from(row.text("deleted_at").is_none()),
            "token_grant" => {
                let lives = row.text("revoked_at").is_none() && row.number("expires_at").is_some_and(|at| at > now.0);
                *self.connections.get_or_insert_default() += i64::from(lives);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Result<Contents, DumpError> {
        contents(text.as_bytes(), Timestamp(1000))
    }

    #[test]
    fn a_dump_without_its_last_line_is_cut_off() {
        assert!(matches!(row(""), Err(DumpError::CutOff)));
        assert!(matches!(row("COPY public.client (id) FROM stdin;\nx\n"), Err(DumpError::CutOff)));
        assert!(matches!(
            row("COPY public.client (id) FROM stdin;\nx\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n"),
            Err(DumpError::Lacks("the list of migrations"))
        ));
    }

    #[test]
    fn tables_are_found_in_any_schema() {
        for line in ["COPY public.client (id, \"name\") FROM stdin;", "COPY test_1.client (id, name) FROM stdin;"] {
            let (table, columns) = copied(line.as_bytes()).unwrap();
            assert_eq!((table.as_str(), columns), ("client", vec!["id".to_owned(), "name".to_owned()]));
        }
        assert_eq!(copied(b"COPY public.client (id) TO stdout;"), None);
    }

    #[test]
    fn words_for_the_shell_stay_one_word() {
        assert_eq!(quoted("/var/backups/a.dump"), "/var/backups/a.dump");
        assert_eq!(quoted("it's a $(file)"), "'it'\\''s a $(file)'");
    }
}
