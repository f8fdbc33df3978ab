//! What SQLite's file meets in its life: a lock, a full disk, writes and commits that fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use crate::cli::{Place, Serving, free_port};
use crate::connector::register_at;
use crate::load::{Table, report};
use crate::server::{Database, OwnDatabase, http, unique};
use crate::trial::{Broken, Trial, span};

/// Another program holds the lock of the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_is_503_until_it_is_free() {
    let own = OwnDatabase::new(Database::Sqlite).await;
    let mut trial = Trial::begin("SQLite: file locked by another program", &own.url, &own.url, &[]).await;
    let mut other = SqliteConnection::connect(&own.url).await.unwrap();
    sqlx::raw_sql("begin exclusive").execute(&mut other).await.unwrap();
    trial.breaks(Broken::Writes);
    tokio::time::sleep(span()).await;
    trial.mends();
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    trial.judge().await;
}

/// The statement succeeds and COMMIT fails, as it does when the disk is full: SQLite leaves the transaction open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_on_sqlite_harms_nothing_after_it() {
    let own = OwnDatabase::new(Database::Sqlite).await;
    let mut trial = Trial::begin("SQLite: COMMIT fails", &own.url, &own.url, &[]).await;
    let mut other = SqliteConnection::connect(&own.url).await.unwrap();
    let sql = "create table fault_parent (id integer primary key);
        create table fault (id integer references fault_parent (id) deferrable initially deferred);
        create trigger fault_client after insert on client begin insert into fault values (1); end;
        create trigger fault_session after insert on session begin insert into fault values (1); end;
        create trigger fault_token after insert on refresh_token begin insert into fault values (1); end;
        create trigger fault_grant after update on token_grant begin insert into fault values (1); end;";
    sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
    trial.breaks(Broken::Parts);
    tokio::time::sleep(span()).await;
    let sql =
        "drop trigger fault_client; drop trigger fault_session; drop trigger fault_token; drop trigger fault_grant";
    trial.mends();
    sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
    trial.judge().await;
}

/// Every write to a file fails with an I/O error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_io_error_is_503_and_leaves_nothing_broken() {
    let own = OwnDatabase::new(Database::Sqlite).await;
    let mut trial = Trial::begin("SQLite: I/O error on every write", &own.url, &own.url, &[]).await;
    let pid = trial.world.server.pid();
    limit_files(pid, "0");
    trial.breaks(Broken::Writes);
    tokio::time::sleep(span()).await;
    trial.mends();
    limit_files(pid, "unlimited");
    trial.judge().await;
}

/// How large the files of a process may get from now on.
fn limit_files(pid: u32, size: &str) {
    let (pid, size) = (pid.to_string(), format!("--fsize={size}:"));
    let output = Command::new("prlimit").args(["--pid", &pid, &size]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A small disk of a test's own.
struct Disk(PathBuf);

impl Disk {
    /// Nothing where nobody may mount one.
    fn mount(size: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("portcullis-disk-{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output().unwrap();
        output.status.success().then(|| Self(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg::<&Path>(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The disk is full, and then it isn't any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_503_until_there_is_room() {
    let Some(disk) = Disk::mount("24m") else {
        let why = "NOT TRIED: only root may mount a small disk; the failed COMMIT and the I/O error were tried";
        report(Table::Faults, &["SQLite: disk full".to_owned(), why.to_owned()]);
        return;
    };
    let url = format!("sqlite://{}/test.db", disk.0.display());
    let mut trial = Trial::begin("SQLite: disk full", &url, &url, &[]).await;
    // What room the log had inside is used up by and by: nothing is certain but that it comes back. From before the disk is
    // full: readiness may notice it first.
    trial.breaks(Broken::Some);
    disk.fill();
    trial.notices(&["register", "token", "revoke", "api write"]).await;
    tokio::time::sleep(span()).await;
    trial.mends();
    disk.empty();
    trial.judge().await;
}

/// The disk that the log goes to is full: the server says less, and serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cant_be_written_ends_nothing() {
    let place = Place::new();
    let origin = format!("http://127.0.0.1:{}", free_port());
    let env = [
        ("PORTCULLIS__LISTEN", origin.strip_prefix("http://").unwrap()),
        ("PORTCULLIS__PUBLIC_URL", &origin),
        ("PORTCULLIS__LOG__FILTER", "debug"),
    ];
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = place.command(&["serve"], &env).stdout(full()).stderr(full()).spawn().unwrap();
    let mut server = Serving(server);
    let began = Instant::now();
    while !http().get(format!("{origin}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200) {
        assert_eq!(server.0.try_wait().unwrap(), None, "it ended");
        assert!(began.elapsed() < Duration::from_mins(1), "it does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let client = json!({ "redirect_uris": ["https://client.example/callback"] });
    assert_eq!(register_at(&origin, &client).await.status, 201);
    assert_eq!(register_at(&origin, &json!({})).await.status, 400);
    assert_eq!(server.0.try_wait().unwrap(), None, "it ended");
}
