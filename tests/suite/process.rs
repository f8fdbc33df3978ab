//! The built binary, serving in a process of its own: for what can't be seen from inside, such as its log and its memory.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::model::time::Timestamp;
use portcullis::model::user::{Role, Username};
use portcullis::store::{NewUser, Store};

use crate::server::{MASTER_KEY, PASSWORD, START, USER, http};

/// A running server with [`USER`], its log collected.
pub struct Process {
    pub origin: String,
    child: Child,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Process {
    /// Starts on a fresh database, without rate limits, with these settings besides.
    pub async fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let store = Store::connect(database_url, 2, Duration::from_secs(5)).await.unwrap();
        store.migrate().await.unwrap();
        add_user(&store).await;
        store.close().await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let origin = format!("http://127.0.0.1:{port}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("PORTCULLIS__LISTEN", format!("127.0.0.1:{port}"))
            .env("PORTCULLIS__PUBLIC_URL", &origin)
            .env("PORTCULLIS__DATABASE__URL", database_url)
            .env("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY)
            .env("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64")
            .env("PORTCULLIS__LIMITS__ENABLED", "false")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        let process = Self { origin, child, log: Some(log) };
        let began = Instant::now();
        while http().get(format!("{}/readyz", process.origin)).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the server does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        process
    }

    /// The memory that it keeps, in MiB: now, and at its highest so far.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        (line("VmRSS:"), line("VmHWM:"))
    }

    /// Ends it and returns all that it wrote.
    pub fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
