//! The command line, as scripts and people use it: the built binary, in a folder of its own.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::server::{MASTER_KEY, unique};

/// Another master key than every test server's.
pub const OTHER_KEY: &str = "AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A folder in which a command runs with no other environment than the given one.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis_cli_{}", unique()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn command(&self, arguments: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(&self.0).env_clear().envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(arguments, &[]).output().unwrap())
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Answer {
        self.run_with(arguments, &[], input)
    }

    pub fn run_with(&self, arguments: &[&str], env: &[(&str, &str)], input: &str) -> Answer {
        let mut child = self.command(arguments, env).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Answer::of(&child.wait_with_output().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
pub struct Answer {
    pub good: bool,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Answer {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            good: output.status.success(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// A server process, killed when dropped.
pub struct Serving(pub Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command without holding up the server that runs in this process.
pub async fn run_aside(place: &Place, arguments: &[&str], env: &[(&str, &str)]) -> Answer {
    let mut command = place.command(arguments, env);
    tokio::task::spawn_blocking(move || Answer::of(&command.output().unwrap())).await.unwrap()
}

/// The settings of a command on this database.
pub fn env_of(url: &str) -> [(&'static str, &str); 2] {
    [("PORTCULLIS__DATABASE__URL", url), ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY)]
}

/// The names in a folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The interface that others script against: the password comes from standard input or a file, never as an argument.
#[test]
fn accounts_are_made_listed_disabled_and_enabled_from_the_shell() {
    let place = Place::new();
    let made =
        place.run_with_input(&["user", "add", "Ada", "--password-stdin", "--role", "admin"], "correct horse battery\n");
    assert!(made.good, "{made:?}");
    assert!(!made.out.contains("correct horse"));
    std::fs::write(place.0.join("password"), "another long password\n").unwrap();
    assert!(place.run(&["user", "add", "bob", "--password-file", "password"]).good);

    let twice = place.run_with_input(&["user", "add", "ada", "--password-stdin"], "correct horse battery\n");
    assert!(!twice.good && twice.err.contains("already"), "{twice:?}");
    let short = place.run_with_input(&["user", "add", "carl", "--password-stdin"], "short\n");
    assert!(!short.good && short.err.contains("10 or more"), "{short:?}");
    let argument = place.run(&["user", "add", "carl"]);
    assert!(!argument.good && argument.err.contains("--password-stdin"), "{argument:?}");
    let unknown = place.run(&["user", "disable", "nobody"]);
    assert!(!unknown.good && unknown.err.contains("user list"), "{unknown:?}");

    assert!(place.run(&["user", "disable", "bob"]).good);
    let list = place.run(&["user", "list"]).out;
    assert!(
        list.lines().any(|line| line.starts_with("ada ") && line.contains("admin") && line.contains("active")),
        "{list}"
    );
    assert!(list.lines().any(|line| line.starts_with("bob ") && line.contains("disabled")), "{list}");
    assert!(place.run(&["user", "enable", "bob"]).good);
    assert!(!place.run(&["user", "list"]).out.contains("disabled"));
}

/// V-04: rotation publishes ahead; an emergency drops what was.
#[test]
fn signing_keys_are_rotated_from_the_shell() {
    let place = Place::new();
    assert!(place.run(&["migrate"]).good);
    assert!(place.run(&["keys", "rotate"]).good);
    assert!(place.run(&["keys", "rotate"]).good);
    let list = place.run(&["keys", "list"]).out;
    assert_eq!(list.lines().filter(|line| line.starts_with("key_")).count(), 2, "{list}");
    assert_eq!(list.matches("signs\n").count(), 1, "{list}");
    assert!(list.contains("published"), "{list}");
    assert!(place.run(&["keys", "rotate", "--emergency"]).good);
    let list = place.run(&["keys", "list"]).out;
    assert_eq!(list.lines().filter(|line| line.starts_with("key_")).count(), 1, "{list}");
    let master = place.run(&["keys", "master"]).out;
    assert_eq!(master.trim().len(), 43);
    assert_ne!(master, place.run(&["keys", "master"]).out);
}

/// D6: a PostgreSQL deployment without a master key is refused with the way to make one; secrets are never shown.
#[test]
fn configuration_is_checked_and_secrets_are_hidden() {
    let place = Place::new();
    let url = "postgres://portcullis:hunter2hunter2@127.0.0.1:1/x";
    let refused =
        Answer::of(&place.command(&["config", "check"], &[("PORTCULLIS__DATABASE__URL", url)]).output().unwrap());
    assert!(!refused.good && refused.err.contains("portcullis keys master"), "{refused:?}");
    assert!(!refused.err.contains("hunter2"), "{refused:?}");
    let master = place.run(&["keys", "master"]).out;
    let env = [("PORTCULLIS__DATABASE__URL", url), ("PORTCULLIS__KEYS__MASTER_KEY", master.trim())];
    let good = Answer::of(&place.command(&["config", "check"], &env).output().unwrap());
    assert!(good.good, "{good:?}");
    assert!(good.out.contains("(hidden)") && !good.out.contains("hunter2") && !good.out.contains(master.trim()));
    let unreachable = Answer::of(&place.command(&["migrate"], &env).output().unwrap());
    assert!(!unreachable.good && !unreachable.err.contains("hunter2"), "{unreachable:?}");
    let unknown =
        Answer::of(&place.command(&["config", "check"], &[("PORTCULLIS__TOKENS__ACESS_TTL", "1h")]).output().unwrap());
    assert!(!unknown.good && unknown.err.contains("ACCESS_TTL?"), "{unknown:?}");
}

/// The first start with no configuration at all prints the MCP URL and a set-up link; a signal ends it in order; the next
/// start keeps keys and accounts and prints no link any more.
#[test]
fn the_first_start_tells_what_to_do_and_a_signal_ends_it_in_order() {
    let place = Place::new();
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let env = [("PORTCULLIS__LISTEN", listen.as_str()), ("PORTCULLIS__PUBLIC_URL", url.as_str())];
    let start = || {
        let mut serving = Serving(place.command(&[], &env).spawn().unwrap());
        let mut reader = BufReader::new(serving.0.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains(&format!("{url}/mcp")) && reader.read_line(&mut text).unwrap() > 0 {}
        (serving, text)
    };
    let (mut serving, text) = start();
    assert!(text.contains(&format!("{url}/setup?token=pst_")), "{text}");
    let health = Answer::of(&place.command(&["health"], &env).output().unwrap());
    assert!(health.good, "{health:?}");
    #[cfg(unix)]
    assert_eq!(mode_of(&place.0.join("data/master.key")), 0o600);
    let second = Answer::of(&place.command(&["serve"], &env).output().unwrap());
    assert!(!second.good && second.err.contains("another server"), "{second:?}");

    assert!(Command::new("kill").args(["-TERM", &serving.0.id().to_string()]).status().unwrap().success());
    assert!(serving.0.wait().unwrap().success());
    let mut log = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("stopping") && !log.contains("pst_"), "{log}");
    assert!(!Answer::of(&place.command(&["health"], &env).output().unwrap()).good);

    let keys = place.run(&["keys", "list"]).out;
    assert!(place.run_with_input(&["user", "add", "ada", "--password-stdin"], "correct horse battery\n").good);
    let (_serving, text) = start();
    assert!(!text.contains("pst_"), "{text}");
    assert_eq!(place.run(&["keys", "list"]).out, keys);
}

/// D6: a database sealed by another master key is not opened.
#[test]
fn a_wrong_master_key_stops_the_start() {
    let place = Place::new();
    assert!(place.run(&["keys", "rotate"]).good);
    std::fs::remove_file(place.0.join("data/master.key")).unwrap();
    let env = [("PORTCULLIS__LISTEN", "127.0.0.1:0"), ("PORTCULLIS__PUBLIC_URL", "http://127.0.0.1:1")];
    let refused = Answer::of(&place.command(&["serve"], &env).output().unwrap());
    assert!(!refused.good && refused.err.contains("there is no master key"), "{refused:?}");
}

#[cfg(unix)]
pub fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// F: an id from any error is enough to hear what went wrong; the list knows it too.
#[test]
fn attempts_are_told_in_the_shell() {
    let place = Place::new();
    assert!(place.run(&["attempts", "list"]).out.contains("Nothing is recorded"));
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let public_url = format!("http://localhost:{port}");
    let env = [("PORTCULLIS__LISTEN", listen.as_str()), ("PORTCULLIS__PUBLIC_URL", &public_url)];
    let mut serving = Serving(place.command(&[], &env).spawn().unwrap());
    let body = until_answered(&listen, "/mcp");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let id = body["attempt"].as_str().unwrap().to_owned();
    // A stop writes what was recorded last.
    assert!(Command::new("kill").args(["-TERM", &serving.0.id().to_string()]).status().unwrap().success());
    assert!(serving.0.wait().unwrap().success());
    let typed = id.to_lowercase().replace('-', "");
    let story = place.run(&["doctor", "--attempt", &typed]);
    assert!(story.good && story.out.contains("no_authorization_header") && story.out.contains(&id), "{story:?}");
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["doctor", "--attempt", &id, "--json"]).out).unwrap();
    assert_eq!((json["attempt"].as_str(), json["steps"][0]["step"].as_str()), (Some(id.as_str()), Some("challenge")));
    let list = place.run(&["attempts", "list"]);
    assert!(list.good && list.out.contains(&id), "{list:?}");
    let list: serde_json::Value = serde_json::from_str(&place.run(&["attempts", "list", "--json"]).out).unwrap();
    assert_eq!(list[0]["attempt"].as_str(), Some(id.as_str()));
    let unknown = place.run(&["doctor", "--attempt", "0000-0000"]);
    assert!(!unknown.good && unknown.err.contains("nothing is recorded"), "{unknown:?}");
    let broken = place.run(&["doctor", "--attempt", "nonsense!"]);
    assert!(!broken.good && broken.err.contains("K7QD-2M4X"), "{broken:?}");
}

/// Asks a server that is starting, for at most some seconds; gives the body.
fn until_answered(address: &str, path: &str) -> String {
    let begun = std::time::Instant::now();
    loop {
        if let Ok(mut stream) = std::net::TcpStream::connect(address) {
            write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            return text.split_once("\r\n\r\n").unwrap().1.to_owned();
        }
        assert!(begun.elapsed().as_secs() < 30, "it does not start");
        std::thread::yield_now();
    }
}

/// Starts the server and gives what it logs until it is ready or ends.
pub fn first_words(place: &Place, env: &[(&str, &str)]) -> (String, bool) {
    let env =
        [&[("PORTCULLIS__LISTEN", "127.0.0.1:0"), ("PORTCULLIS__PUBLIC_URL", "http://127.0.0.1:1")], env].concat();
    let mut child = place.command(&["serve"], &env).spawn().unwrap();
    let mut ready = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if line.unwrap().contains("Portcullis is ready") {
            ready = true;
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    (log, ready)
}

/// A key that was there before the database is remarked at start, once; a first start without one is not.
#[test]
fn a_master_key_beside_an_empty_database_is_remarked() {
    const REMARK: &str = "the database is empty, though there was a master key";
    let place = Place::new();
    let (log, ready) = first_words(&place, &[]);
    assert!(ready && !log.contains(REMARK), "{log}");
    for name in names(&place.0.join("data")).into_iter().filter(|name| name.starts_with("portcullis.db")) {
        std::fs::remove_file(place.0.join("data").join(name)).unwrap();
    }
    let (log, ready) = first_words(&place, &[]);
    assert!(ready && log.contains(REMARK) && log.contains("portcullis restore FILE"), "{log}");
    let (log, ready) = first_words(&place, &[]);
    assert!(ready && !log.contains(REMARK), "{log}");
    let elsewhere = Place::new();
    let (log, ready) = first_words(&elsewhere, &[("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY)]);
    assert!(ready && log.contains(REMARK), "{log}");
}

/// No new key is made where the right one is to be put, and a wrong one is named with the remedy; no key is sealed by it.
#[test]
fn a_master_key_that_is_gone_or_wrong_stops_the_start_with_the_remedy() {
    let place = Place::new();
    assert!(place.run(&["keys", "rotate"]).good);
    let key = place.0.join("data/master.key");
    let fingerprint = place.run(&["keys", "fingerprint"]).out;
    std::fs::rename(&key, place.0.join("away")).unwrap();
    for command in [&["serve"][..], &["keys", "rotate"], &["keys", "fingerprint"]] {
        let refused = place.run(command);
        assert!(!refused.good && refused.err.contains("data/master.key"), "{command:?}: {refused:?}");
        assert!(!key.exists(), "{command:?}");
    }
    std::fs::write(&key, OTHER_KEY).unwrap();
    for command in [&["serve"][..], &["keys", "rotate"]] {
        let refused = place.run(command);
        let words = ["master key does not open", "data/master.key", "rotate --emergency"];
        assert!(!refused.good && words.iter().all(|word| refused.err.contains(word)), "{refused:?}");
        assert!(!refused.err.contains(OTHER_KEY) && !refused.err.contains(fingerprint.trim()), "{refused:?}");
    }
    assert_eq!(place.run(&["keys", "list"]).out.matches("key_").count(), 1);
    std::fs::rename(place.0.join("away"), &key).unwrap();
    assert!(first_words(&place, &[]).1);
}
