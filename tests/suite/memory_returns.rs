//! Memory comes back: after everything that strangers and people can make the server do, it holds about what it held
//! before.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::load::caller::{Caller, Samples};
use crate::load::dice::seed;
use crate::load::visitor::Visitor;
use crate::load::world::World;
use crate::load::{Table, report};
use crate::process::memory_of;
use crate::server::{Database, OwnDatabase, PASSWORD};

/// How much more it may hold than when it had nothing to do, in MiB.
const MORE: f64 = 30.0;
/// How long it may take to give memory back: the blocks in which passwords are hashed go once a minute.
const SETTLES: Duration = Duration::from_secs(90);
/// How long it has nothing to do before its memory counts as idle: the allocator keeps what was just freed for ten seconds.
const RESTS: Duration = Duration::from_secs(15);

/// A server whose memory is looked at.
struct Watched {
    pid: u32,
    idle: f64,
    faults: Vec<String>,
}

/// The highest memory while something goes on.
struct Peak {
    stop: Arc<AtomicBool>,
    task: JoinHandle<f64>,
}

impl Peak {
    fn of(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut peak: f64 = 0.0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(memory_of(pid).0);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            peak
        });
        Self { stop, task }
    }

    async fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

fn mib(memory: f64) -> String {
    format!("{memory:.0} MiB")
}

impl Watched {
    /// Does this, and looks whether the memory comes back.
    async fn after(&mut self, what: &str, work: impl Future<Output = String>) {
        let (began, peak) = (Instant::now(), Peak::of(self.pid));
        let said = work.await;
        let (took, peak, ended) = (began.elapsed(), peak.end().await, Instant::now());
        let mut now = memory_of(self.pid).0;
        while now > self.idle + MORE && ended.elapsed() < SETTLES {
            tokio::time::sleep(Duration::from_millis(100)).await;
            now = memory_of(self.pid).0;
        }
        let said = format!("{said}, {:.0} s", took.as_secs_f64());
        report(Table::Memory, &[what.to_owned(), mib(self.idle), mib(peak), mib(now), said]);
        if now > self.idle + MORE {
            self.faults.push(format!("{what}: {} idle, {} afterwards", mib(self.idle), mib(now)));
        }
    }
}

/// Does something so many times, some at a time.
async fn many<F: Future<Output = ()> + Send + 'static>(
    times: u64,
    at_once: u64,
    work: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) {
    let next = Arc::new(AtomicU64::new(0));
    let workers: JoinSet<()> = (0..at_once)
        .map(|_| {
            let (next, work) = (Arc::clone(&next), work.clone());
            async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= times {
                        return;
                    }
                    work(n).await;
                }
            }
        })
        .collect();
    workers.join_all().await;
}

/// Five hundred sign-ins of as many browsers, from two hundred addresses.
async fn sign_ins(world: &World) -> String {
    let samples = Samples::default();
    let callers: Arc<Vec<Caller>> =
        Arc::new((1..=200).map(|n| Caller::new(n, &world.server.origin, &samples, SETTLES, Duration::ZERO)).collect());
    many(500, 8, move |n| {
        let callers = Arc::clone(&callers);
        async move {
            let mut visitor = Visitor::new(&callers[usize::try_from(n).unwrap() % callers.len()]);
            let page = visitor.open("/login").await;
            let person = format!("person{}", n % 12 + 1);
            let fields = [("username", person.as_str()), ("password", PASSWORD)];
            let page = visitor.fill_in(&page, "password", &fields).await.unwrap();
            assert_eq!(page.status, 200, "{}", page.text());
            assert!(page.url.ends_with("/account"), "{}", page.url);
        }
    })
    .await;
    "500 let in".to_owned()
}

/// A hundred thousand registrations, of which the limits let some through.
async fn registrations(world: &World) -> String {
    let (url, made) = (format!("{}/register", world.server.origin), Arc::new(AtomicU64::new(0)));
    let clients: Arc<Vec<Client>> = Arc::new(
        (1..=8)
            .map(|n| Client::builder().local_address(Some(Ipv4Addr::new(127, 0, 3, n).into())).build().unwrap())
            .collect(),
    );
    let count = Arc::clone(&made);
    many(100_000, 8, move |n| {
        let (clients, url, count) = (Arc::clone(&clients), url.clone(), Arc::clone(&count));
        async move {
            let body = format!(r#"{{"client_name":"Stranger {n}","redirect_uris":["https://{n}.example/callback"]}}"#);
            let client = &clients[usize::try_from(n).unwrap() % clients.len()];
            let answer = client.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
            match answer.status().as_u16() {
                201 => drop(count.fetch_add(1, Ordering::Relaxed)),
                429 => {}
                other => panic!("{other}"),
            }
            // Read to the end, so that the connection is used again.
            drop(answer.bytes().await);
        }
    })
    .await;
    format!("{} of them made", made.load(Ordering::Relaxed))
}

/// Fifty calls whose arguments are four mebibytes of the shortest values that there are.
async fn bombs(world: &World) -> String {
    const LIMIT: usize = 4 * 1024 * 1024;
    let head = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":["#;
    let tail = r"0]}}}";
    let item = r#"{"":0},"#;
    let items = (LIMIT - head.len() - tail.len()) / item.len();
    let body: Arc<str> = format!("{head}{}{tail}", item.repeat(items)).into();
    let honest = world.honest(102);
    let client_id = honest.register().await;
    let (_, code) = honest.let_in(&client_id).await;
    let (_, tokens) = honest.redeem(&client_id, &code).await.unwrap();
    let (caller, refused) = (honest.caller, Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&refused);
    many(50, 3, move |_| {
        let request = caller.tool_call(&tokens.access).body(body.to_string());
        let count = Arc::clone(&count);
        async move {
            let status = request.send().await.unwrap().status();
            if status.is_client_error() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    format!("{} of them refused", refused.load(Ordering::Relaxed))
}

/// Two thousand connections that send half of a request and wait.
async fn slow_connections(world: &World) -> String {
    // Not all of it may be allowed; the loop below says what came of it.
    let own = std::process::id().to_string();
    drop(Command::new("prlimit").args(["--pid", &own, "--nofile=8192:"]).output());
    let address = world.server.origin.strip_prefix("http://").unwrap().parse().unwrap();
    let mut open: Vec<TcpStream> = Vec::new();
    for n in 0..2_000_u32 {
        let socket = TcpSocket::new_v4().unwrap();
        let [.., third, fourth] = (n / 8).to_be_bytes();
        socket.bind((Ipv4Addr::new(127, 1, third, fourth.max(1)), 0).into()).unwrap();
        let Ok(mut stream) = socket.connect(address).await else { continue };
        let begun =
            b"POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-www-form-urlencoded\r\nx-slow: ";
        if stream.write_all(begun).await.is_ok() {
            open.push(stream);
        }
    }
    let opened = open.len();
    // Meanwhile the server serves.
    let caller = Caller::new(201, &world.server.origin, &Samples::default(), SETTLES, Duration::ZERO);
    for _ in 0..30 {
        caller.send("healthz", caller.request(Method::GET, "/healthz")).await.expect(200);
        for stream in &mut open {
            let _ = stream.write_all(b"a").await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    format!("{opened} of them opened")
}

/// What came is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make chaos` runs it"]
async fn memory_returns_to_what_it_was() {
    let own = OwnDatabase::new(Database::Sqlite).await;
    // As it comes: limits, and the cost of passwords.
    let settings = [
        ("PORTCULLIS__LIMITS__ENABLED", "true"),
        ("PORTCULLIS__PASSWORDS__MEMORY_KIB", "19456"),
        ("PORTCULLIS__PASSWORDS__ITERATIONS", "2"),
        ("PORTCULLIS__DATABASE__MAX_CONNECTIONS", "10"),
    ];
    let world = World::new(&own.url, &own.url, &settings, seed(), Duration::ZERO).await;
    // Everything has been used once.
    let (honest, mut dice) = (world.honest(1), world.dice(1));
    for _ in 0..5 {
        honest.live(&mut dice).await;
    }
    tokio::time::sleep(RESTS).await;
    let pid = world.server.pid();
    let mut watched = Watched { pid, idle: memory_of(pid).0, faults: Vec::new() };
    watched.after("500 sign-ins, 8 at a time", sign_ins(&world)).await;
    watched.after("100,000 registrations tried", registrations(&world)).await;
    watched.after("50 calls with 4 MiB of `{\"\":0},`, 3 at a time", bombs(&world)).await;
    watched.after("2,000 slow connections", slow_connections(&world)).await;
    assert!(watched.faults.is_empty(), "{:#?}\n{}", watched.faults, world.server.trouble());
}
