//! A database, a server on it, and honest workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::crypto::password::Passwords;
use portcullis::crypto::random::Random;
use portcullis::model::api_token::{ApiScopes, Making};
use portcullis::model::clock::Clock;
use portcullis::model::secret::SecretKind;
use portcullis::model::user::{Role, Username};
use portcullis::store::{NewApiToken, NewUser, Store};
use reqwest::Method;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::caller::{Caller, Samples};
use super::dice::Dice;
use super::ledger::Ledger;
use super::life::Honest;
use crate::cli::free_port;
use crate::process::Process;
use crate::server::PASSWORD;

/// What the server says is for people to read.
const HUMAN_LOG: (&str, &str) = ("PORTCULLIS__LOG__FORMAT", "human");

/// Everything that takes part.
pub struct World {
    pub server: Process,
    pub samples: Samples,
    pub ledger: Ledger,
    /// The database as the test reaches it, whatever lies between it and the server.
    pub direct: String,
    seed: u64,
    api_token: String,
    settings: Vec<(String, String)>,
    url: String,
    patience: Duration,
    pace: Duration,
}

/// What works until it is told to stop.
pub struct Workers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl World {
    /// A server on the database `direct`, which it reaches at `url`. Callers pause for `pace` before each request.
    pub async fn new(direct: &str, url: &str, settings: &[(&str, &str)], seed: u64, pace: Duration) -> Self {
        // Few connections and cheap passwords, so that everything that can go wrong goes wrong sooner.
        let scarce =
            [("PORTCULLIS__DATABASE__MAX_CONNECTIONS", "4"), ("PORTCULLIS__PASSWORDS__ITERATIONS", "1"), HUMAN_LOG];
        let settings = [&scarce, settings].concat();
        let of =
            |name: &str| settings.iter().rfind(|(own, _)| own.ends_with(name)).map(|(_, text)| text.parse().unwrap());
        let cost = (of("MEMORY_KIB").unwrap_or(64), of("ITERATIONS").unwrap_or(1));
        let api_token = accounts(direct, cost).await;
        let origin = format!("http://127.0.0.1:{}", free_port());
        let server = Process::at(&origin, url, &settings).await;
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self {
            server,
            samples: Samples::default(),
            ledger: Ledger::default(),
            direct: direct.to_owned(),
            seed,
            api_token,
            settings,
            url: url.to_owned(),
            patience: Duration::from_mins(2),
            pace,
        }
    }

    /// The `n`th program.
    pub fn caller(&self, n: u8) -> Caller {
        Caller::new(n, &self.server.origin, &self.samples, self.patience, self.pace)
    }

    /// The `n`th honest client.
    pub fn honest(&self, n: u8) -> Honest {
        Honest {
            caller: self.caller(n),
            ledger: self.ledger.clone(),
            person: person(n),
            api_token: self.api_token.clone(),
        }
    }

    /// The choices of a worker.
    pub fn dice(&self, worker: u8) -> Dice {
        Dice::of(self.seed, worker.into())
    }

    /// So many honest clients, each life after life; and beside them what watches and administers.
    pub async fn work(&self, lives: u8) -> Workers {
        let mut workers = Workers { stop: Arc::default(), tasks: JoinSet::new() };
        for n in 1..=lives {
            let (honest, mut dice, ledger) = (self.honest(n), self.dice(n), self.ledger.clone());
            workers.every(Duration::ZERO, ledger, move || {
                let (honest, mut own) = (honest.clone(), dice.fork());
                tokio::spawn(async move { honest.live(&mut own).await })
            });
        }
        self.watch(&mut workers).await;
        workers
    }

    /// Readiness, liveness, calls with a good token, and an administrator who reads and writes.
    async fn watch(&self, workers: &mut Workers) {
        const OFTEN: Duration = Duration::from_millis(100);
        for (kind, path) in [("readyz", "/readyz"), ("healthz", "/healthz")] {
            let caller = self.caller(101);
            workers.every(OFTEN, self.ledger.clone(), move || {
                let (caller, request) = (caller.clone(), caller.request(Method::GET, path));
                tokio::spawn(async move { drop(caller.once(kind, request).await.unwrap()) })
            });
        }
        let (honest, ledger) = (self.honest(102), self.ledger.clone());
        let client_id = honest.register().await;
        let (_, code) = honest.let_in(&client_id).await;
        let (_, tokens) = honest.redeem(&client_id, &code).await.unwrap();
        let caller = honest.caller.clone();
        workers.every(OFTEN, ledger.clone(), move || {
            let (caller, request) = (caller.clone(), caller.tool_call(&tokens.access));
            tokio::spawn(async move {
                let reply = caller.once("mcp", request).await.unwrap();
                assert!([200, 503].contains(&reply.status.as_u16()), "mcp: {} {}", reply.status, reply.text);
            })
        });
        workers.every(OFTEN, ledger, move || {
            let honest = honest.clone();
            tokio::spawn(async move { administer(&honest).await })
        });
    }

    /// Kills the server and starts another one on the same database, at the same address.
    pub async fn begin_anew(mut self) -> Self {
        let origin = self.server.origin.clone();
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        drop(self.server.stop());
        self.server = Process::at(&origin, &self.url, &settings).await;
        self
    }

    /// What of the acknowledged is not so, and how much was looked at.
    pub async fn lost(&self) -> (Vec<String>, usize) {
        // The verifier is in no hurry of its own.
        let caller = Caller::new(103, &self.server.origin, &Samples::default(), self.patience, Duration::ZERO);
        super::verify::lost(&self.ledger, &caller, &self.direct).await
    }
}

/// Adds a client and takes it away again.
async fn administer(honest: &Honest) {
    let caller = &honest.caller;
    let list = caller.api(Method::GET, "/clients?limit=5", &honest.api_token, None);
    caller.send("api read", list).await.expect(200);
    let body = serde_json::json!({ "name": "By hand", "redirect_uris": ["https://client.example/callback"] });
    let add = caller.api(Method::POST, "/clients", &honest.api_token, Some(&body));
    let made = caller.send("api write", add).await.expect(201).json();
    let id = made["client"]["id"].as_str().unwrap().to_owned();
    honest.ledger.registered(&id);
    honest.ledger.deletes(&id, false);
    let delete = caller.api(Method::DELETE, &format!("/clients/{id}"), &honest.api_token, None);
    // It may touch any number of connections, and so it has more time.
    let reply = caller.send("api long", delete).await;
    assert!([204, 404].contains(&reply.status.as_u16()), "{} {}", reply.status, reply.text);
    honest.ledger.deletes(&id, true);
}

impl Workers {
    /// Does this again and again, with a pause between. What stops it is an honest flow that was ended.
    fn every(&mut self, pause: Duration, ledger: Ledger, mut work: impl FnMut() -> JoinHandle<()> + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if let Err(error) = work().await {
                    ledger.broke(said(error));
                }
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Lets all of them finish what they are at.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

/// What a panic said.
fn said(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn person(n: u8) -> String {
    format!("person{n}")
}

/// Makes the schema, accounts whose passwords cost so much, and a token of the admin API, past any server.
async fn accounts(database_url: &str, (memory, iterations): (u32, u32)) -> String {
    let store = Store::connect(database_url, 2, Duration::from_secs(30)).await.unwrap();
    store.migrate().await.unwrap();
    let (random, now) = (Random::system(), Clock::system().now());
    let password_hash = Passwords::new(memory, iterations, 2).unwrap().hash(PASSWORD.to_owned()).await.unwrap();
    for n in (1..=12).chain([101, 102, 103]) {
        let user = NewUser {
            id: random.user_id(),
            username: Username::parse(&person(n)).unwrap(),
            display_name: format!("Person {n}"),
            password_hash: password_hash.clone(),
            role: Role::User,
            created_at: now,
        };
        store.insert_user(&user).await.unwrap();
    }
    let secret = random.secret(SecretKind::ApiToken);
    let new = NewApiToken {
        id: &random.api_token_id(),
        name: "chaos",
        hash: &secret.hash(),
        scopes: &ApiScopes::all(),
        created_at: now,
        created_by: None,
        expires_at: None,
    };
    assert_eq!(store.insert_api_token(&new).await.unwrap(), Making::Done);
    store.close().await;
    secret.expose().to_owned()
}
