//! The built server as a supervisor runs it: what it says in its log, and how it stops.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::cli::{Place, Serving, free_port};
use crate::wire::{PATIENCE, Wire, request};

/// A server with its log.
struct Running {
    address: String,
    process: Serving,
    log: Arc<Mutex<String>>,
    _place: Place,
}

impl Running {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let env = [&[("PORTCULLIS__LISTEN", address.as_str()), ("PORTCULLIS__PUBLIC_URL", &url)], settings].concat();
        let mut process = Serving(place.command(&["serve"], &env).stdout(Stdio::null()).spawn().unwrap());
        let (log, stderr) = (Arc::new(Mutex::new(String::new())), process.0.stderr.take().unwrap());
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let running = Self { address, process, log, _place: place };
        running.until("it does not start", async || running.status("/readyz").await == Some(200)).await;
        running
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for something to become true.
    async fn until(&self, why: &str, mut holds: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < PATIENCE, "{why}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The status of a path on a connection of its own, if it answers.
    async fn status(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        stream.write_all(request(&format!("GET {path}"), "connection: close\r\n", "").as_bytes()).await.ok()?;
        let mut text = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text);
        tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?;
        text.split(' ').nth(1)?.parse().ok()
    }

    fn signal(&self) {
        let pid = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for its end in order; how long that took.
    async fn ends(&mut self) -> Duration {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.0.try_wait().unwrap() {
                assert!(status.success(), "{}", self.log());
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A balancer that asks `/readyz` has sent its last request here before the listener closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_says_no_for_a_while_before_the_listener_closes() {
    let mut running = Running::start(&[("PORTCULLIS__SHUTDOWN__DELAY", "8s")]).await;
    let mut kept = Wire::to(&running.address).await;
    kept.request("GET /healthz", "", "").await;
    assert!(!kept.told().await.closes());
    running.signal();
    let begun = Instant::now();
    running.until("/readyz goes on saying yes", async || running.status("/readyz").await == Some(503)).await;
    // Everything else is served, on new connections and on old ones, and the old ones are let go.
    assert_eq!(running.status("/healthz").await, Some(200));
    kept.request("GET /.well-known/oauth-authorization-server", "", "").await;
    let told = kept.told().await;
    assert_eq!((told.status, told.closes()), (200, true));
    assert!(begun.elapsed() < Duration::from_secs(8), "too slow to show anything");
    running.until("the listener stays open", async || running.status("/healthz").await.is_none()).await;
    assert!(begun.elapsed() >= Duration::from_millis(7900), "{:?}", begun.elapsed());
    running.ends().await;
}

/// Under ten seconds in all, whatever clients do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_takes_less_than_ten_seconds_whatever_clients_do() {
    let mut running = Running::start(&[]).await;
    let mut open = Vec::new();
    for begun in [
        String::new(),
        "GET / HTTP/1.1\r\nx: y\r\n".to_owned(),
        request("GET /healthz", "", ""),
        "POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\ngrant".to_owned(),
        "POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n5\r\ngr".to_owned(),
        request("GET /probe/stream", "", ""),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
    ] {
        let mut stream = TcpStream::connect(&running.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // One that asks and never reads: what is sent to it waits for ever.
    let mut greedy = TcpStream::connect(&running.address).await.unwrap();
    let asking = tokio::spawn(async move {
        let one = request("GET /.well-known/oauth-authorization-server", "", "");
        while greedy.write_all(one.repeat(100).as_bytes()).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.signal();
    let took = running.ends().await;
    assert!(took < Duration::from_secs(10), "{took:?}\n{}", running.log());
    asking.abort();
}

/// Said once, with the peer and the setting, and believed never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlisted_proxy_is_said_in_the_log_once() {
    let running = Running::start(&[]).await;
    for header in ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1", "x-real-ip: 192.0.2.1"] {
        let mut wire = Wire::to(&running.address).await;
        for _ in 0..3 {
            wire.request("GET /probe", &format!("{header}\r\n"), "").await;
            let told: serde_json::Value = serde_json::from_str(&wire.told().await.body).unwrap();
            assert_eq!((told["network"].as_str(), told["forwarded"].as_str()), (Some("127.0.0.1"), Some("unlisted")));
        }
    }
    let lines: Vec<_> =
        running.log().lines().filter(|line| line.contains("trusted_proxies")).map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].contains("127.0.0.1") && lines[0].contains("x-forwarded-for"), "{lines:?}");
    let listed =
        [("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"), ("PORTCULLIS__LIMITS__FORWARDED_HEADER", "Forwarded")];
    let listed = Running::start(&listed).await;
    for (headers, network, forwarded) in [
        ("forwarded: for=192.0.2.1\r\nx-forwarded-for: 192.0.2.9\r\n", "192.0.2.1", "believed"),
        ("x-forwarded-for: 192.0.2.9\r\n", "127.0.0.1", "missing"),
        ("forwarded: for=192.0.2.9, for=unknown\r\n", "127.0.0.1", "unreadable"),
        ("", "127.0.0.1", "none"),
    ] {
        for _ in 0..2 {
            let mut wire = Wire::to(&listed.address).await;
            wire.request("GET /probe", headers, "").await;
            let told: serde_json::Value = serde_json::from_str(&wire.told().await.body).unwrap();
            assert_eq!(
                (told["network"].as_str(), told["forwarded"].as_str()),
                (Some(network), Some(forwarded)),
                "{headers}"
            );
        }
    }
    let log = listed.log();
    assert_eq!(log.matches("said once").count(), 2, "{log}");
}

/// The operating system's limit is reached: it is said, and when it is over the server goes on by itself.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_out_of_files_is_said_and_never_ends_accepting() {
    let running = Running::start(&[]).await;
    let pid = running.process.0.id().to_string();
    let limit = |files: usize| {
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:4096")]).status().unwrap();
        assert!(set.success());
    };
    let used = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit(used + 3);
    // Each has a request under way, so that none makes room for another.
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&running.address).await.unwrap();
        let _ = stream.write_all(b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\ngrant").await;
        open.push(stream);
    }
    let lines = || running.log().lines().filter(|line| line.contains("no connection can be accepted")).count();
    running.until("nothing is said", async || lines() > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lines(), 1, "{}", running.log());
    drop(open);
    running.until("it does not answer any more", async || running.status("/healthz").await == Some(200)).await;
    limit(used + 100);
    assert_eq!(running.status("/readyz").await, Some(200));
}
