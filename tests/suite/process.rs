//! The built binary, serving in a process of its own: its clock, its runtime, its log and its memory are not the test's.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oauth::time::Timestamp;
use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::model::user::{Role, Username};
use portcullis::store::{NewUser, Store};
use reqwest::StatusCode;

use crate::cli::{Place, free_port};
use crate::server::{MASTER_KEY, PASSWORD, START, USER, http};

/// How long a server may take to stand, on a machine that is busy with other tests.
const STANDING: Duration = Duration::from_mins(1);

/// A running server, its log collected, killed when dropped.
pub struct Process {
    /// `http://127.0.0.1:port`: the issuer.
    pub origin: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    _place: Place,
}

/// The program under test: the one that this build made, or the one that `PORTCULLIS_BIN` names.
#[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
fn program() -> PathBuf {
    std::env::var_os("PORTCULLIS_BIN")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_portcullis")).to_owned(), Into::into)
}

impl Process {
    /// Starts on a fresh database with [`USER`] in it, without rate limits, with these settings besides.
    pub async fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let store = Store::connect(database_url, 2, Duration::from_secs(5)).await.unwrap();
        store.migrate().await.unwrap();
        add_user(&store).await;
        store.close().await;
        Self::at(&format!("http://127.0.0.1:{}", free_port()), database_url, settings).await
    }

    /// Starts at this address, on the database as it is.
    pub async fn at(origin: &str, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let mut child = command(&place, origin, database_url, settings).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (pipe, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let process = Self { origin: origin.to_owned(), child, log, reader: Some(reader), _place: place };
        process.stands().await;
        process
    }

    async fn stands(&self) {
        let began = Instant::now();
        let (ready, client) = (format!("{}/readyz", self.origin), http());
        while !client.get(&ready).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            assert!(began.elapsed() < STANDING, "the server does not start:\n{}", self.trouble());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it keeps, in MiB: now, and at its highest so far.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> (f64, f64) {
        memory_of(self.pid())
    }

    /// The last warnings and errors that it wrote.
    pub fn trouble(&self) -> String {
        let lines = self.log.lock().unwrap();
        let bad: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.contains("INFO")).collect();
        bad[bad.len().saturating_sub(30)..].join("\n")
    }

    /// Ends it without any warning and returns all that it wrote.
    pub fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.log.lock().unwrap()).join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory that a process keeps, in MiB: now, and at its highest so far.
#[cfg(target_os = "linux")]
pub fn memory_of(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    (line("VmRSS:"), line("VmHWM:"))
}

/// What starts a server. A file that may not grow must fail the write and not end the process, as a full disk does:
/// hence the shell, which leaves the signal for it ignored.
fn command(place: &Place, origin: &str, database_url: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(program())
        .arg("serve")
        .current_dir(&place.0)
        .env_clear()
        .env("PORTCULLIS__LISTEN", origin.strip_prefix("http://").unwrap())
        .env("PORTCULLIS__PUBLIC_URL", origin)
        .env("PORTCULLIS__DATABASE__URL", database_url)
        .env("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY)
        .env("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64")
        .env("PORTCULLIS__LIMITS__ENABLED", "false")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

async fn add_user(store: &Store) {
    let passwords = Passwords::new(64, 1, 2).unwrap();
    let user = NewUser {
        id: Random::system().user_id(),
        username: Username::parse(USER).unwrap(),
        display_name: "Ada".to_owned(),
        password_hash: passwords.hash(PASSWORD.to_owned()).await.unwrap(),
        role: Role::User,
        created_at: Timestamp(START),
    };
    store.insert_user(&user).await.unwrap();
}
