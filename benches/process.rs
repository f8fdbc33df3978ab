//! The processes that are measured: each alone, so that the kernel's count of its CPU time is exact.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The person of every server.
pub(crate) const USER: &str = "ada";
/// Their password.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The master key of every server.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// What a second has in `/proc/PID/stat` (`USER_HZ`, the same on every Linux).
const TICKS: f64 = 100.0;

/// A running process, ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

impl Process {
    fn spawn(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }

    /// The CPU time, user and system, that the process has used so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name in parentheses may hold blanks; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
    }

    /// The memory that the process keeps, in MiB, now and at its highest.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (line("VmRSS:"), line("VmHWM:"))
    }
}

/// A database of its own, gone when dropped (a schema in PostgreSQL stays; the next run's name is another).
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
    folder: Option<PathBuf>,
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

fn unique(what: &str) -> String {
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("bench_{what}_{nanos}")
}

impl Database {
    /// A SQLite file below Cargo's target directory: on a disk, which a temporary directory need not be.
    pub(crate) fn sqlite(what: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique(what));
        std::fs::create_dir_all(&folder).unwrap();
        Self { url: format!("sqlite://{}/bench.db", folder.display()), folder: Some(folder) }
    }

    /// A schema in the PostgreSQL at `base`.
    pub(crate) async fn postgres(base: &str, what: &str) -> Self {
        let schema = unique(what);
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(base).await.unwrap();
        let sql = format!("create schema {schema}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let separator = if base.contains('?') { '&' } else { '?' };
        Self { url: format!("{base}{separator}options=-c%20search_path%3D{schema}"), folder: None }
    }
}

/// The server under test: the release binary with default settings, without rate limits.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// A port that is free now.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The binary with the settings of all measurements.
fn portcullis(database: &Database, address: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .env_clear()
        .env("PORTCULLIS__LISTEN", address.to_string())
        .env("PORTCULLIS__PUBLIC_URL", format!("http://{address}"))
        .env("PORTCULLIS__DATABASE__URL", &database.url)
        .env("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY)
        .env("PORTCULLIS__LIMITS__ENABLED", "false")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Server {
    /// Starts a server on a database that has [`USER`].
    pub(crate) async fn start(database: &Database) -> Self {
        let add = ["user", "add", USER, "--password-stdin"];
        let mut child =
            portcullis(database, free_port()).args(add).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(PASSWORD.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "no account could be made");
        Self::restart(database).await.0
    }

    /// Starts a server on a database that is ready, and says how long it took to its first answer.
    pub(crate) async fn restart(database: &Database) -> (Self, Duration) {
        let address = free_port();
        let begun = Instant::now();
        let process = Process::spawn(&mut portcullis(database, address));
        let request = super::client::get(address, "/readyz", "");
        while begun.elapsed() < Duration::from_secs(30) {
            if std::net::TcpStream::connect(address).is_ok() {
                super::client::Connection::open(address).await.send(&request).await.expect(200);
                return (Self { process, address }, begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the server did not start");
    }
}

/// A ceiling: this very program as a process of its own. It says that it is ready with its address, if it has
/// one.
#[derive(Debug)]
pub(crate) struct Ceiling {
    pub(crate) process: Process,
    pub(crate) address: Option<SocketAddr>,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Ceiling {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--ceiling").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let stdin = process.child.stdin.take().unwrap();
        let mut stdout = BufReader::new(process.child.stdout.take().unwrap()).lines();
        let ready = stdout.next().unwrap_or_else(|| panic!("no ceiling {arguments:?}")).unwrap();
        Self { process, address: ready.strip_prefix("ready ").and_then(|text| text.parse().ok()), stdin, stdout }
    }

    /// Has it work for a while by itself; how often it did. Nothing else goes on here meanwhile.
    pub(crate) fn work(&mut self, span: Duration) -> u64 {
        writeln!(self.stdin, "{}", span.as_millis()).unwrap();
        self.stdout.next().unwrap().unwrap().parse().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }
}

/// The environment of a ceiling that is the server without its guard.
pub(crate) fn settings(database_url: &str, public_url: &str) -> Vec<(String, String)> {
    [
        ("PORTCULLIS__DATABASE__URL", database_url),
        ("PORTCULLIS__PUBLIC_URL", public_url),
        ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
