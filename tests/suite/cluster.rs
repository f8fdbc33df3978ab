//! PostgreSQL servers of a test's own: with their data safe on the disk, and to be stopped, frozen, and promoted.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::cli::free_port;
use crate::server::unique;

const USER: &str = "portcullis";
const PASSWORD: &str = "only-for-this-test";

/// A PostgreSQL server, gone when dropped.
pub struct Cluster {
    pub port: u16,
    folder: PathBuf,
    programs: PathBuf,
}

/// The folder of PostgreSQL's own programs, of the newest version there is.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> =
        versions.map(|version| version.path().join("bin")).filter(|folder| folder.join("initdb").exists()).collect();
    folders.sort_by_key(|folder| folder.to_str().unwrap().split('/').nth(4).unwrap().parse::<u32>().unwrap_or(0));
    folders.pop().expect("no PostgreSQL server here; scripts/setup-test-deps.sh installs one")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn good(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Cluster {
    /// A fresh server with these settings ("name=value").
    pub fn start(settings: &[&str]) -> Self {
        let cluster = Self::new();
        let password_file = cluster.folder.join("password");
        std::fs::write(&password_file, PASSWORD).unwrap();
        cluster.hand_over();
        let (data, file) = (cluster.data(), password_file.to_str().unwrap().to_owned());
        let pwfile = format!("--pwfile={file}");
        let username = format!("--username={USER}");
        good(&cluster.run(
            "initdb",
            &[
                "--pgdata",
                &data,
                &username,
                &pwfile,
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
        ));
        cluster.begin(settings);
        cluster
    }

    /// A copy of this server that follows it, byte by byte.
    pub async fn standby(&self) -> Self {
        let standby = Self::new();
        standby.hand_over();
        let source =
            format!("host=127.0.0.1 port={} user={USER} password={PASSWORD} application_name=standby", self.port);
        let data = standby.data();
        good(&standby.run(
            "pg_basebackup",
            &["--pgdata", &data, "--dbname", &source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"],
        ));
        standby.begin(&[]);
        let began = Instant::now();
        while self.text("select count(*)::text from pg_stat_replication where state = 'streaming'").await != "1" {
            assert!(began.elapsed() < Duration::from_secs(30), "the standby does not follow: {}", standby.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        standby
    }

    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis-cluster-{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { port: free_port(), folder, programs: programs() }
    }

    /// PostgreSQL refuses to run as root: then its own account does it.
    fn hand_over(&self) {
        if is_root() {
            good(&Command::new("chown").args(["-R", "postgres"]).arg(&self.folder).output().unwrap());
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir(&self.folder).output().unwrap()
    }

    fn data(&self) -> String {
        self.folder.join("data").to_str().unwrap().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Starts it.
    pub fn begin(&self, settings: &[&str]) {
        let own = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={}",
            self.port,
            self.folder.display()
        );
        let options = settings.iter().fold(own, |options, setting| options + " -c " + setting);
        let (data, log) = (self.data(), self.folder.join("server.log"));
        // Its output would keep the pipe open that we read.
        let output = self.run(
            "pg_ctl",
            &[
                "start",
                "--pgdata",
                &data,
                "--log",
                log.to_str().unwrap(),
                "--wait",
                "--timeout=60",
                "--options",
                &options,
            ],
        );
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), self.log());
    }

    /// Crashes it and starts it again, as it was.
    pub fn restart_immediately(&self) {
        good(&self.run(
            "pg_ctl",
            &[
                "restart",
                "--pgdata",
                &self.data(),
                "--mode=immediate",
                "--wait",
                "--timeout=60",
                "--log",
                self.folder.join("server.log").to_str().unwrap(),
            ],
        ));
    }

    /// Crashes it.
    pub fn stop_immediately(&self) {
        good(&self.run("pg_ctl", &["stop", "--pgdata", &self.data(), "--mode=immediate", "--wait", "--timeout=60"]));
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{}/{database}", self.address())
    }

    /// Runs SQL.
    pub async fn sql(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// The one text that a query gives.
    pub async fn text(&self, sql: &str) -> String {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    /// Sends a signal to the server and all its processes.
    pub fn signal(&self, name: &str) {
        let file = std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid")).unwrap_or_default();
        let Some(first) = file.lines().next().filter(|pid| !pid.is_empty()) else { return };
        // The parent first: it must not answer for its children.
        for pid in std::iter::once(first.to_owned()).chain(children(first)) {
            let _ = Command::new("kill").args([&format!("-{name}"), &pid]).output();
        }
    }
}

/// The processes that this one has started.
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| {
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            let after = stat.rsplit(") ").next()?;
            (after.split(' ').nth(1)? == parent).then(|| process.file_name().into_string().unwrap())
        })
        .collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal("CONT");
        let _ = self.run("pg_ctl", &["stop", "--pgdata", &self.data(), "--mode=immediate", "--wait", "--timeout=20"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
