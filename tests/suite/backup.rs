//! Backup and restoration of SQLite, as the manual tells them: the built binary beside a server in use.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oauth::id::ClientId;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::bed::raw;
use crate::browser::Browser;
use crate::cli::{Answer, OTHER_KEY, Place, env_of, names, run_aside};
use crate::connector::{Connector, register};
use crate::durability::newer;
use crate::server::{Database, OwnDatabase, TestServer};

/// The address of a database file in this folder.
fn url_of(place: &Place, name: &str) -> String {
    format!("sqlite://{}", place.0.join(name).display())
}

fn file_of(url: &str) -> PathBuf {
    PathBuf::from(url.strip_prefix("sqlite://").unwrap())
}

/// Makes a backup of a server's database.
async fn back_up(place: &Place, server: &TestServer, name: &str) -> Answer {
    let answer = run_aside(place, &["backup", name], &env_of(&server.database.url)).await;
    assert!(answer.good, "{answer:?}");
    answer
}

/// Restores a backup into a new place and starts a server on it, behind the address of the old one.
async fn restored(place: &Place, backup: &str, old: &TestServer) -> TestServer {
    let url = url_of(place, "restored/portcullis.db");
    let answer = run_aside(place, &["restore", backup], &env_of(&url)).await;
    assert!(answer.good, "{answer:?}");
    TestServer::on(OwnDatabase::at(url), &[], Some(&old.origin)).await
}

/// A database of the place's own, made and filled by commands: one account, one signing key.
fn filled(place: &Place) -> PathBuf {
    assert!(place.run_with_input(&["user", "add", "ada", "--password-stdin"], "correct horse battery\n").good);
    assert!(place.run(&["keys", "rotate"]).good);
    place.0.join("data/portcullis.db")
}

/// What clients hold from before the backup goes on working: access tokens, refresh tokens, a browser's session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_connected_before_a_backup_goes_on_after_its_restoration() {
    let (place, server) = (Place::new(), TestServer::start(Database::Sqlite).await);
    let client = Connector::public(&server).await;
    let mut browser = Browser::new(&server);
    let code = client.authorize(&mut browser, &[]).await.one("code");
    let tokens = client.redeem(&code).await.tokens();
    let said = back_up(&place, &server, "monday.db").await;
    assert!(said.out.contains("accounts     1") && said.out.contains("connections  1 live"), "{said:?}");
    assert!(said.out.contains("It is not in the backup"), "{said:?}");
    // Afterwards life goes on, and is lost with the machine.
    let late = Connector::named(&server, "Late").await;
    late.connect().await;
    let server = {
        let new = restored(&place, "monday.db", &server).await;
        drop(server.stop().await);
        new
    };
    let client = client.turned_to(&server);
    assert!(client.is_let_in(&tokens.access).await);
    let renewed = client.refresh(tokens.refresh()).await.tokens();
    assert!(client.is_let_in(&renewed.access).await);
    browser.turn_to(&server);
    let page = browser.open(&client.authorize_url(&[])).await.page();
    assert!(page.body.contains("value=\"approve\""), "still signed in: {}", page.url);
    assert!(server.app.store().find_client(&ClientId::new(late.client_id)).await.unwrap().is_none());
    let tables =
        raw(&server.database.url, &["select count(*) from sqlite_master where name = 'portcullis_backup'"]).await;
    assert_eq!(tables.unwrap(), [["0"]], "the label stays with the backup");
}

/// Four writers write all the time: whatever was acknowledged before the backup began is in it, and it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before() {
    let (place, server) = (Place::new(), Arc::new(TestServer::start(Database::Sqlite).await));
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
    let latest = Arc::new(Mutex::new(std::collections::BTreeMap::<usize, (Connector, Vec<String>)>::new()));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (server, stop, count) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&count));
        let (acknowledged, latest) = (Arc::clone(&acknowledged), Arc::clone(&latest));
        writers.spawn(async move {
            let client = Connector::named(&server, &format!("Writer {writer}")).await;
            let mut token = client.connect().await.refresh().to_owned();
            let mut turn = 0;
            while !stop.load(Ordering::SeqCst) {
                turn += 1;
                token = client.refresh(&token).await.tokens().refresh().to_owned();
                let mut latest = latest.lock().await;
                latest.entry(writer).or_insert_with(|| (client.clone(), Vec::new())).1.push(token.clone());
                drop(latest);
                let body = json!({
                    "client_name": format!("Made by {writer} in turn {turn}"),
                    "redirect_uris": ["https://app.example/callback"],
                    "token_endpoint_auth_method": "none",
                });
                let made = register(&server, &body).await;
                assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
                acknowledged.lock().await.push(made.json["client_id"].as_str().unwrap().to_owned());
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let reach = async |wanted: usize| {
        while count.load(Ordering::SeqCst) < wanted {
            assert!(writers.len() == 4);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut backups = Vec::new();
    for round in 0..3 {
        reach(count.load(Ordering::SeqCst) + 12).await;
        let before = (acknowledged.lock().await.clone(), latest.lock().await.clone());
        let name = format!("under-load-{round}.db");
        back_up(&place, &server, &name).await;
        backups.push((name, before));
    }
    reach(count.load(Ordering::SeqCst) + 4).await;
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let all = latest.lock().await.clone();
    for (name, (registered, tokens)) in backups {
        let found = raw(&url_of(&place, &name), &["select id from client"]).await.unwrap();
        let found: BTreeSet<String> = found.into_iter().flatten().collect();
        let lost: Vec<&String> = registered.iter().filter(|id| !found.contains(*id)).collect();
        assert!(registered.len() >= 12 && lost.is_empty(), "{name}: {lost:?}");
        let new = restored(&place, &name, &server).await;
        assert_eq!(tokens.len(), 4);
        for (writer, (client, before)) in &tokens {
            // The backup may hold more than was acknowledged when it began, never less: of the tokens that this writer got
            // until the end, the newest that the copy knows is no older than that one.
            let client = client.turned_to(&new);
            let mut good = None;
            for (index, token) in all[writer].1.iter().enumerate().rev() {
                if client.refresh(token).await.status == StatusCode::OK {
                    good = Some(index);
                    break;
                }
            }
            assert!(good.is_some_and(|index| index + 1 >= before.len()), "{name}: {good:?} of {}", before.len());
        }
        drop(new.stop().await);
    }
}

/// A backup is one file that only its owner can read, in the place of nothing unless told to, and never of the database.
#[test]
fn a_backup_is_one_private_file_and_replaces_nothing_unasked() {
    let place = Place::new();
    let missing = place.run(&["backup", "x.db"]);
    assert!(!missing.good && missing.err.contains("nothing to back up"), "{missing:?}");
    assert!(!place.0.join("data").exists(), "a look makes no database");
    filled(&place);
    let made = place.run(&["backup", "one.db"]);
    assert!(made.good, "{made:?}");
    let fingerprint = place.run(&["keys", "fingerprint"]).out;
    assert!(made.out.contains(fingerprint.trim()) && fingerprint.trim().len() == 19, "{made:?} {fingerprint}");
    let key = fs::read_to_string(place.0.join("data/master.key")).unwrap();
    let bytes = fs::read(place.0.join("one.db")).unwrap();
    assert!(!bytes.windows(key.trim().len()).any(|own| own == key.trim().as_bytes()), "the key is not in it");
    #[cfg(unix)]
    assert_eq!(crate::cli::mode_of(&place.0.join("one.db")), 0o600);
    assert_eq!(names(&place.0), ["data", "one.db"].map(str::to_owned).into());

    let again = place.run(&["backup", "one.db"]);
    assert!(!again.good && again.err.contains("--force"), "{again:?}");
    assert_eq!(fs::read(place.0.join("one.db")).unwrap(), bytes);
    assert!(place.run_with_input(&["user", "add", "bob", "--password-stdin"], "correct horse battery\n").good);
    let forced = place.run(&["backup", "--force", "one.db"]);
    assert!(forced.good && forced.out.contains("accounts     2"), "{forced:?}");
    #[cfg(unix)]
    std::os::unix::fs::symlink("data/portcullis.db", place.0.join("link.db")).unwrap();
    for itself in ["data/portcullis.db", "data/../data/portcullis.db", "link.db"] {
        for force in [&["--force"][..], &[]] {
            let refused = place.run(&[&["backup", itself], force].concat());
            assert!(!refused.good && refused.err.contains("the database itself"), "{itself}: {refused:?}");
            let refused = place.run(&["restore", itself]);
            assert!(!refused.good, "{itself}: {refused:?}");
        }
    }
    assert!(place.run(&["user", "list"]).good);
}

/// What can't be written is said, and nothing is left behind that could be taken for a backup.
#[test]
fn a_backup_that_fails_leaves_nothing() {
    let place = Place::new();
    filled(&place);
    fs::write(place.0.join("file"), "").unwrap();
    for (target, word) in [
        ("missing/x.db", "there is no folder missing"),
        ("file/x.db", "there is no folder file"),
        ("data", "is a folder"),
        ("/proc/x.db", "can't be written"),
    ] {
        let refused = place.run(&["backup", target]);
        assert!(!refused.good && refused.err.contains(word), "{target}: {refused:?}");
    }
    // A disk that takes no more: files may not grow beyond this many blocks of 512 bytes.
    for blocks in ["0", "8", "100"] {
        let mut full = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" backup full.db");
        full.args(["-c", &script, env!("CARGO_BIN_EXE_portcullis")]).current_dir(&place.0).env_clear();
        let refused = Answer::of(&full.output().unwrap());
        assert!(!refused.good && refused.err.contains("full.db can't be made"), "{blocks}: {refused:?}");
        assert_eq!(names(&place.0), ["data", "file"].map(str::to_owned).into());
    }
}

/// A backup that is stopped or killed leaves nothing under its name.
#[cfg(unix)]
#[test]
fn an_interrupted_backup_leaves_nothing_that_looks_like_one() {
    let place = Place::new();
    let database = filled(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("sqlite://{}", database.display());
    let fill = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
                insert into attempt_event (id, attempt, early, stage, outcome, reason, detail, agent, network, first_at, last_at, times)
                select 'row' || i, 'a', 0, 's', 'o', 'r', hex(randomblob(100)), 'x', 'n', 1, 1, 1 from n";
    runtime.block_on(raw(&url, &[fill])).unwrap();
    let drafts = || names(&place.0).into_iter().filter(|name| name.contains(".part")).collect::<Vec<_>>();
    for signal in ["TERM", "INT", "KILL"] {
        let mut child = place.command(&["backup", "cut.db"], &[]).spawn().unwrap();
        let begun = Instant::now();
        while drafts().is_empty() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_mins(1));
            std::thread::yield_now();
        }
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        let ended = child.wait_with_output().unwrap();
        if ended.status.success() {
            // Quicker than the signal.
            fs::remove_file(place.0.join("cut.db")).unwrap();
            continue;
        }
        if place.0.join("cut.db").exists() {
            // It was whole before the signal came.
            let url = url_of(&place, "cut.db");
            let rows = runtime.block_on(raw(&url, &["select count(*) from attempt_event"])).unwrap();
            assert_eq!(rows[0][0], "200000", "{signal}: {ended:?}");
            fs::remove_file(place.0.join("cut.db")).unwrap();
        }
        for draft in drafts() {
            assert!(signal == "KILL" && draft.starts_with(".cut.db."), "{signal}: {draft}");
            fs::remove_file(place.0.join(draft)).unwrap();
        }
    }
    assert!(place.run(&["backup", "cut.db"]).good);
}

/// A log that was left beside the old database, or beside none, is never read into the restored one; what was there is
/// kept together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_log_never_gets_into_a_restored_database() {
    let place = Place::new();
    let database = filled(&place);
    assert!(place.run(&["backup", "good.db"]).good);
    let url = format!("sqlite://{}", database.display());
    // A server that was killed: one account more, in the log alone.
    let (wal, shm) = (database.with_extension("db-wal"), database.with_extension("db-shm"));
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for sql in [
        "pragma journal_mode = wal",
        "pragma wal_autocheckpoint = 0",
        "insert into user_account (id, username, display_name, password_hash, role, created_at)
         values ('usr_late', 'late', 'Late', 'x', 'user', 1)",
    ] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    let kill = place.0.join("killed");
    fs::create_dir(&kill).unwrap();
    for file in [&database, &wal, &shm] {
        fs::copy(file, kill.join(file.file_name().unwrap())).unwrap();
    }
    connection.close().await.unwrap();
    let garbage = vec![0x5a_u8; 9000];
    for (case, body, log) in [
        ("as it was", true, None),
        ("the database is gone", false, None),
        ("the database is damaged", true, Some(&garbage)),
    ] {
        let folder = database.parent().unwrap();
        for name in names(folder).into_iter().filter(|name| name.starts_with("portcullis.db")) {
            fs::remove_file(folder.join(name)).unwrap();
        }
        for name in names(&kill) {
            fs::copy(kill.join(&name), folder.join(name)).unwrap();
        }
        if !body {
            fs::remove_file(&database).unwrap();
        }
        if let Some(garbage) = log {
            fs::write(&database, garbage).unwrap();
        }
        let answer = run_aside(&place, &["restore", "good.db"], &[]).await;
        assert!(answer.good, "{case}: {answer:?}");
        assert!(!wal.exists() && !shm.exists(), "{case}");
        let rows = raw(&url, &["select username from user_account order by username"]).await.unwrap();
        assert_eq!(rows, [["ada"]], "{case}");
        assert_eq!(raw(&url, &["pragma integrity_check"]).await.unwrap(), [["ok"]], "{case}");
        #[cfg(unix)]
        assert_eq!(crate::cli::mode_of(&database), 0o600, "{case}");
        let kept: Vec<String> = names(folder).into_iter().filter(|name| name.contains("before-restore")).collect();
        assert!(answer.out.contains("is kept as") && !kept.is_empty(), "{case}: {kept:?}");
        if body && log.is_none() {
            // The log is folded into what is kept.
            assert_eq!(kept.len(), 1, "{kept:?}");
            let kept = format!("sqlite://{}", folder.join(&kept[0]).display());
            let rows = raw(&kept, &["select username from user_account order by username"]).await.unwrap();
            assert_eq!(rows, [["ada"], ["late"]]);
        } else {
            assert!(kept.iter().any(|name| name.ends_with("-wal")), "{case}: {kept:?}");
        }
        assert!(place.run(&["user", "list"]).good, "{case}");
    }
}

/// While anything has the database open it isn't replaced, and while it is being replaced nothing opens it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_use_is_not_replaced() {
    let (place, server) = (Place::new(), TestServer::start(Database::Sqlite).await);
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    back_up(&place, &server, "one.db").await;
    let (url, database) = (server.database.url.clone(), file_of(&server.database.url));
    let before = names(database.parent().unwrap());
    let refused = run_aside(&place, &["restore", "one.db"], &env_of(&url)).await;
    assert!(!refused.good && refused.err.contains("is in use"), "{refused:?}");
    assert_eq!(names(database.parent().unwrap()), before, "nothing was changed");
    client.refresh(tokens.refresh()).await.tokens();
    // A check changes nothing and may be made at any time.
    let checked = run_aside(&place, &["restore", "--check", "one.db"], &env_of(&url)).await;
    assert!(checked.good && checked.out.contains("connections  1 live"), "{checked:?}");
    let database_of = server.stop().await;

    // Other programs than this one hold no lock of ours.
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("pragma journal_mode = wal; select count(*) from client").execute(&mut other).await.unwrap();
    let refused = run_aside(&place, &["restore", "one.db"], &env_of(&url)).await;
    assert!(!refused.good && refused.err.contains("is in use"), "{refused:?}");
    other.close().await.unwrap();

    let alone = portcullis::store::InUse::alone(&database).unwrap().unwrap();
    for command in [&["user", "list"][..], &["migrate"], &["serve"], &["restore", "one.db"]] {
        let refused = run_aside(&place, command, &env_of(&url)).await;
        assert!(!refused.good, "{command:?}: {refused:?}");
        assert!(refused.err.contains("being restored") || refused.err.contains("is in use"), "{refused:?}");
    }
    drop(alone);
    assert!(run_aside(&place, &["restore", "one.db"], &env_of(&url)).await.good);
    drop(database_of);
}

/// Another master key than the backup's is noticed before anything is changed, and so is none; who lost it for good has
/// a way, on which clients go on by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_master_key_is_noticed_before_anything_is_changed() {
    let (place, server) = (Place::new(), TestServer::start(Database::Sqlite).await);
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    back_up(&place, &server, "one.db").await;
    let right = run_aside(&place, &["keys", "fingerprint"], &env_of(&server.database.url)).await.out;
    let url = url_of(&place, "new/portcullis.db");
    let wrong = [("PORTCULLIS__DATABASE__URL", url.as_str()), ("PORTCULLIS__KEYS__MASTER_KEY", OTHER_KEY)];
    let found = run_aside(&place, &["keys", "fingerprint"], &wrong).await.out;
    for (env, words) in [
        (&wrong[..], vec![right.trim(), found.trim(), "keys.master_key_file"]),
        (&wrong[..1], vec![right.trim(), "there is no master key here", "new/master.key"]),
    ] {
        for command in [&["restore", "one.db"][..], &["restore", "--check", "one.db"]] {
            let refused = run_aside(&place, command, env).await;
            assert!(!refused.good, "{refused:?}");
            for word in &words {
                assert!(refused.err.contains(word), "{word}: {refused:?}");
            }
            assert!(!place.0.join("new/portcullis.db").exists() && !place.0.join("new/master.key").exists());
        }
    }
    // A copy that `backup` didn't make has no label: its sealed keys tell.
    fs::copy(place.0.join("one.db"), place.0.join("bare.db")).unwrap();
    raw(&url_of(&place, "bare.db"), &["drop table portcullis_backup"]).await.unwrap();
    let refused = run_aside(&place, &["restore", "bare.db"], &wrong).await;
    assert!(!refused.good && refused.err.contains("needs the master key"), "{refused:?}");
    assert!(run_aside(&place, &["restore", "--check", "bare.db"], &env_of(&url)).await.good);

    let lost = run_aside(&place, &["restore", "--key-lost", "one.db"], &wrong).await;
    assert!(lost.good && lost.out.contains("rotate --emergency"), "{lost:?}");
    let refused = run_aside(&place, &["keys", "rotate"], &wrong).await;
    assert!(!refused.good && refused.err.contains("master key does not open"), "{refused:?}");
    assert!(run_aside(&place, &["keys", "rotate", "--emergency"], &wrong).await.good);
    let settings = [("PORTCULLIS__KEYS__MASTER_KEY", OTHER_KEY)];
    let new = TestServer::on(OwnDatabase::at(url.clone()), &settings, Some(&server.origin)).await;
    let client = client.turned_to(&new);
    assert!(!client.is_let_in(&tokens.access).await);
    let renewed = client.refresh(tokens.refresh()).await.tokens();
    assert!(client.is_let_in(&renewed.access).await);
}

/// What is cut off, damaged, or something else is refused before anything is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_whole_is_refused() {
    let place = Place::new();
    let database = filled(&place);
    assert!(place.run(&["backup", "good.db"]).good);
    let good = fs::read(place.0.join("good.db")).unwrap();
    let before = fs::read(&database).unwrap();
    let mut bad: Vec<(String, Vec<u8>)> = vec![
        ("empty".to_owned(), Vec::new()),
        (
            "text".to_owned(),
            b"not a database at all, but long enough to have a header of its own, whatever it says there".repeat(4),
        ),
    ];
    for length in [1, 50, 99, 100, 512, 4095, 4096, 8192, good.len() / 2, good.len() - 4096, good.len() - 1] {
        bad.push((format!("cut to {length}"), good[..length].to_vec()));
    }
    for page in [1, 2, 3, 5, 8] {
        let mut damaged = good.clone();
        damaged[page * 4096..page * 4096 + 600].fill(0xff);
        bad.push((format!("page {page}"), damaged));
    }
    for (case, bytes) in bad {
        fs::write(place.0.join("bad.db"), bytes).unwrap();
        for command in [&["restore", "bad.db"][..], &["restore", "--check", "bad.db"]] {
            let refused = run_aside(&place, command, &[]).await;
            assert!(!refused.good && refused.err.contains("bad.db can't be used"), "{case}: {refused:?}");
        }
    }
    raw(&format!("sqlite://{}?mode=rwc", place.0.join("other.db").display()), &["create table x (y text)"])
        .await
        .unwrap();
    fs::create_dir(place.0.join("folder")).unwrap();
    // A database in use: what its log holds is missing in its file.
    fs::copy(place.0.join("good.db"), place.0.join("live.db")).unwrap();
    fs::write(place.0.join("live.db-wal"), "something").unwrap();
    for (file, word) in [
        ("other.db", "not one of Portcullis"),
        ("folder", "there is no file"),
        ("missing.db", "there is no file"),
        ("live.db", "portcullis backup NEW-FILE"),
    ] {
        let refused = run_aside(&place, &["restore", file], &[]).await;
        assert!(!refused.good && refused.err.contains(word), "{file}: {refused:?}");
    }
    assert_eq!(fs::read(&database).unwrap(), before);
    assert!(place.run(&["restore", "good.db"]).good);
}

/// A disk that is full while the backup is brought in: the database stays as it was.
#[test]
fn a_restoration_that_fails_changes_nothing() {
    let place = Place::new();
    let database = filled(&place);
    assert!(place.run(&["backup", "good.db"]).good);
    let (before, there) = (fs::read(&database).unwrap(), names(database.parent().unwrap()));
    for blocks in ["0", "8", "100"] {
        let mut full = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" restore good.db");
        full.args(["-c", &script, env!("CARGO_BIN_EXE_portcullis")]).current_dir(&place.0).env_clear();
        let refused = Answer::of(&full.output().unwrap());
        assert!(!refused.good && refused.err.contains("can't be written"), "{blocks}: {refused:?}");
        assert_eq!(names(database.parent().unwrap()), there);
        assert_eq!(fs::read(&database).unwrap(), before);
    }
}

/// A backup made by a newer version, or by another build, is refused with the way out; an older one is brought up to date.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_another_version_is_named_so() {
    let place = Place::new();
    filled(&place);
    assert!(place.run(&["backup", "one.db"]).good);
    let known = portcullis::store::known_schema();
    for (sql, words) in [
        (newer(known + 3), vec![format!("number {}", known + 3), format!("up to {known}")]),
        ("update _sqlx_migrations set checksum = x'00' where version = 2".to_owned(), vec!["another build".to_owned()]),
        (
            "update _sqlx_migrations set success = false where version = 2".to_owned(),
            vec!["middle of migration 2".to_owned()],
        ),
    ] {
        fs::copy(place.0.join("one.db"), place.0.join("odd.db")).unwrap();
        raw(&url_of(&place, "odd.db"), &[&sql]).await.unwrap();
        for command in [&["restore", "odd.db"][..], &["restore", "--check", "odd.db"]] {
            let refused = run_aside(&place, command, &[]).await;
            assert!(!refused.good && words.iter().all(|word| refused.err.contains(word)), "{sql}: {refused:?}");
        }
    }
}

/// The way back from an upgrade is the backup from before it; and a backup of an older version is brought up to date.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_from_an_upgrade_is_the_backup_from_before() {
    let (place, server) = (Place::new(), TestServer::start(Database::Sqlite).await);
    let client = Connector::public(&server).await;
    let tokens = client.connect().await;
    back_up(&place, &server, "before-upgrade.db").await;
    let origin = server.origin.clone();
    let database = server.stop().await;
    raw(&database.url, &[&newer(portcullis::store::known_schema() + 1)]).await.unwrap();
    let refused = run_aside(&place, &["serve"], &env_of(&database.url)).await;
    assert!(!refused.good && refused.err.contains("newer version"), "{refused:?}");
    let back = run_aside(&place, &["restore", "before-upgrade.db"], &env_of(&database.url)).await;
    assert!(back.good, "{back:?}");
    let server = TestServer::on(database, &[], Some(&origin)).await;
    client.turned_to(&server).refresh(tokens.refresh()).await.tokens();

    let old = url_of(&place, "old.db");
    let mut connection = SqliteConnection::connect(&format!("{old}?mode=rwc")).await.unwrap();
    sqlx::migrate!("./migrations").run_to(2, &mut connection).await.unwrap();
    connection.close().await.unwrap();
    let url = url_of(&place, "upgraded/portcullis.db");
    let restored = run_aside(&place, &["restore", "old.db"], &env_of(&url)).await;
    assert!(restored.good && restored.out.contains("schema       2"), "{restored:?}");
    let upgraded = run_aside(&place, &["migrate"], &env_of(&url)).await;
    assert!(upgraded.good && run_aside(&place, &["token", "list"], &env_of(&url)).await.good, "{upgraded:?}");
}

/// Every command that the manual tells is one.
#[test]
fn the_manual_of_operations_tells_commands_that_exist() {
    let page = include_str!("../../docs/manual/operations.md");
    let place = Place::new();
    let mut tried = 0;
    for line in page.lines().filter(|line| line.starts_with("    ")) {
        let Some((_, command)) =
            line.split_once("portcullis ").filter(|(before, _)| before.trim().is_empty() || before.ends_with("| "))
        else {
            continue;
        };
        let words: Vec<&str> =
            command.split_whitespace().take_while(|word| !word.starts_with('#')).chain(["--help"]).collect();
        let answer = place.run(&words);
        assert!(answer.good && answer.out.contains("Usage"), "{line}: {answer:?}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}
