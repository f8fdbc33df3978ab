//! Looks at everything, in parallel where that is kind to the server.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use known_clients::profile::{AsksBy, Profile, Profiles};
use oauth::metadata::{AUTHORIZATION_SERVER, OPENID_CONFIGURATION, PROTECTED_RESOURCE, well_known_paths};
use oauth::time::Timestamp;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::agents::agents;
use super::observations::{ChallengeProbe, Kind, Observations, Posted, Preflight, Spelling, WellKnown};
use super::prober::{Ask, Prober};
use super::reply::{NoReply, Reply};
use super::target::Target;

/// How long the whole examination may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(5);
/// How many requests are under way at once: a doctor is no flood.
const AT_ONCE: usize = 6;
/// Events that are sent this far apart arrive at least half as far apart, unless something collects them.
pub(super) const EVENTS_APART: Duration = Duration::from_millis(300);
/// A browser page that is on no list of the server's: the Inspector's, on this machine.
const PAGE: &str = "http://localhost:6274";
/// What pages send at the MCP endpoint, and elsewhere (S-13).
const MCP_HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "mcp-protocol-version",
    "mcp-session-id",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];
const OTHER_HEADERS: &[&str] = &["authorization", "content-type", "mcp-protocol-version"];
/// The first message of any client.
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"portcullis-doctor","version":"1"}}}"#;

/// What to look for, and how.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) now: Timestamp,
    pub(super) assume_public: bool,
    pub(super) register: bool,
    pub(super) via_proxy: bool,
}

/// Sends requests, a few at a time.
#[derive(Clone)]
struct Probes {
    prober: Prober,
    turns: Arc<Semaphore>,
}

impl Probes {
    fn ask(&self, ask: Ask) -> JoinHandle<Reply> {
        let probes = self.clone();
        tokio::spawn(async move {
            let _turn = probes.turns.acquire().await;
            probes.prober.ask(ask).await
        })
    }
}

async fn done(task: JoinHandle<Reply>) -> Reply {
    task.await.unwrap_or_else(|error| Err(NoReply::Closed(error.to_string())))
}

/// Looks at a deployment.
pub(super) async fn gather(client: Client, target: Target, profiles: &Profiles, plan: &Plan) -> Observations {
    let probes = Probes { prober: Prober::new(client, PATIENCE), turns: Arc::new(Semaphore::new(AT_ONCE)) };
    let addresses = if plan.via_proxy { None } else { Some(resolve(&target).await) };
    let begin = format!("/.well-known/{PROTECTED_RESOURCE}{}", target.path().unwrap_or_default());
    let first = done(probes.ask(Ask::get(target.url(&begin)))).await;
    let mut seen = Observations {
        target: with_path(target, &first),
        now: plan.now,
        assume_public: plan.assume_public,
        addresses,
        first,
        plain: None,
        documents: Vec::new(),
        challenges: Vec::new(),
        preflights: Vec::new(),
        endpoints: Vec::new(),
        authorize: None,
        keys: None,
        bearer: None,
        probe: None,
        stream: None,
        agents: Vec::new(),
        registrations: Vec::new(),
    };
    if seen.first.is_err() {
        return seen;
    }
    let port_80 = (seen.target.is_https() && seen.target.has_default_port())
        .then(|| probes.ask(Ask::get(format!("http://{}{begin}", seen.target.authority()))));
    seen.documents = documents(&probes, &seen.target).await;
    seen.challenges = challenges(&probes, &seen.target).await;
    let places = Places::of(&seen);
    endpoints(&probes, &places, &mut seen).await;
    preflights(&probes, &places, &mut seen).await;
    passage(&probes, profiles, &mut seen).await;
    if let Some(path) = places.register.as_ref().filter(|_| plan.register) {
        seen.registrations = registrations(&probes, &seen.target, path, profiles).await;
    }
    if let Some(port_80) = port_80 {
        seen.plain = Some(done(port_80).await);
    }
    seen
}

async fn resolve(target: &Target) -> Vec<IpAddr> {
    let host = target.host();
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host.as_str(), target.port()))).await;
    let mut addresses: Vec<IpAddr> = match found {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Who gave an origin means the resource that its metadata names.
fn with_path(target: Target, first: &Reply) -> Target {
    let named = || {
        let document = first.as_ref().ok()?.json()?;
        let resource = url::Url::parse(document.get("resource")?.as_str()?).ok()?;
        Some(resource.path().to_owned())
    };
    match named() {
        Some(path) => target.or_path(&path),
        None => target.or_path("/mcp"),
    }
}

async fn documents(probes: &Probes, target: &Target) -> Vec<WellKnown> {
    let mut asked = Vec::new();
    for (kind, name) in [
        (Kind::Resource, PROTECTED_RESOURCE),
        (Kind::Server, AUTHORIZATION_SERVER),
        (Kind::OpenId, OPENID_CONFIGURATION),
        (Kind::Unknown, "oauth-nothing-of-this-name"),
    ] {
        let [root, inserted, appended] = well_known_paths(name, target.mcp_path());
        asked.push((kind, Spelling::Slashed, format!("{root}/")));
        asked.push((kind, Spelling::Root, root));
        // With the MCP endpoint at the root the three are one.
        if !target.mcp_path().is_empty() {
            asked.push((kind, Spelling::Slashed, format!("{inserted}/")));
            asked.push((kind, Spelling::Inserted, inserted));
            asked.push((kind, Spelling::Appended, appended));
        }
    }
    let under_way: Vec<_> = asked
        .into_iter()
        .map(|(kind, spelling, path)| {
            let ask = Ask::get(target.url(&path)).header("accept", "application/json");
            (kind, spelling, probes.ask(ask.header("mcp-protocol-version", "2025-11-25")), path)
        })
        .collect();
    let mut seen = Vec::new();
    for (kind, spelling, task, path) in under_way {
        seen.push(WellKnown { kind, spelling, path, reply: done(task).await });
    }
    seen
}

/// As a client's first message.
fn initialize(url: String) -> Ask {
    Ask::post(url).header("accept", "application/json, text/event-stream").json(INITIALIZE)
}

async fn challenges(probes: &Probes, target: &Target) -> Vec<ChallengeProbe> {
    let exact = target.mcp_path().to_owned();
    let mut under_way = Vec::new();
    for (path, is_exact) in [(format!("{exact}/"), false), (exact, true)] {
        let url = target.url(&path);
        for (what, ask) in [
            ("GET", Ask::get(url.clone()).header("accept", "text/event-stream")),
            ("POST (empty)", Ask::post(url.clone())),
            // From a page, so that the answer also shows what pages get to read.
            ("POST", initialize(url.clone()).header("origin", PAGE)),
        ] {
            under_way.push((what, path.clone(), is_exact, probes.ask(ask)));
        }
    }
    let mut seen = Vec::new();
    for (what, path, exact, task) in under_way {
        seen.push(ChallengeProbe { what, path, exact, reply: done(task).await });
    }
    seen
}

/// Where the endpoints are, by the metadata or by custom, always on the origin that is examined: what a broken document
/// names may be an inner host.
struct Places {
    authorize: String,
    token: String,
    register: Option<String>,
    revoke: Option<String>,
    keys: Option<String>,
}

impl Places {
    fn of(seen: &Observations) -> Self {
        let metadata = seen.server();
        let named = |member: &str| {
            let text = metadata.as_ref()?.get(member)?.as_str()?;
            Some(url::Url::parse(text).ok()?.path().to_owned())
        };
        // Without metadata clients guess these (D-21).
        let guessed = |path: &str| metadata.is_none().then(|| path.to_owned());
        Self {
            authorize: named("authorization_endpoint").unwrap_or_else(|| "/authorize".to_owned()),
            token: named("token_endpoint").unwrap_or_else(|| "/token".to_owned()),
            register: named("registration_endpoint").or_else(|| guessed("/register")),
            revoke: named("revocation_endpoint").or_else(|| guessed("/revoke")),
            keys: named("jwks_uri"),
        }
    }
}

async fn endpoints(probes: &Probes, places: &Places, seen: &mut Observations) {
    let target = &seen.target;
    let mut under_way =
        vec![("token", places.token.clone(), Ask::post(target.url(&places.token)).form("grant_type=none"))];
    if let Some(path) = &places.register {
        // No redirect_uris: nothing that could be registered.
        under_way.push(("register", path.clone(), Ask::post(target.url(path)).json("{}")));
    }
    if let Some(path) = &places.revoke {
        under_way.push(("revoke", path.clone(), Ask::post(target.url(path)).form("nothing=none")));
    }
    let under_way: Vec<_> = under_way.into_iter().map(|(name, path, ask)| (name, path, probes.ask(ask))).collect();
    let keys = places.keys.as_ref().map(|path| probes.ask(Ask::get(target.url(path))));
    let authorize = Ask::get(target.url(&places.authorize)).header("accept", "text/html").header("origin", PAGE);
    let authorize = probes.ask(authorize);
    let mut posted = Vec::new();
    for (name, path, task) in under_way {
        posted.push(Posted { name, path, reply: done(task).await });
    }
    seen.endpoints = posted;
    seen.authorize = Some(done(authorize).await);
    if let Some(keys) = keys {
        seen.keys = Some(done(keys).await);
    }
}

async fn preflights(probes: &Probes, places: &Places, seen: &mut Observations) {
    let mcp = seen.target.mcp_path().to_owned();
    let [_, resource, _] = well_known_paths(PROTECTED_RESOURCE, &mcp);
    let [server, _, _] = well_known_paths(AUTHORIZATION_SERVER, &mcp);
    let mut asked = vec![
        (mcp, "POST", MCP_HEADERS),
        (resource, "GET", OTHER_HEADERS),
        (server, "GET", OTHER_HEADERS),
        (places.token.clone(), "POST", OTHER_HEADERS),
    ];
    asked.extend(
        [&places.register, &places.revoke].into_iter().flatten().map(|path| (path.clone(), "POST", OTHER_HEADERS)),
    );
    let under_way: Vec<_> = asked
        .into_iter()
        .map(|(path, method, wants)| {
            let ask = Ask::options(seen.target.url(&path))
                .header("origin", PAGE)
                .header("access-control-request-method", method)
                .header("access-control-request-headers", wants.join(","));
            (path, wants, probes.ask(ask))
        })
        .collect();
    for (path, wants, task) in under_way {
        seen.preflights.push(Preflight { path, wants, reply: done(task).await });
    }
}

/// What happens to a request on its way in, and to an answer on its way out.
async fn passage(probes: &Probes, profiles: &Profiles, seen: &mut Observations) {
    let mcp = seen.target.mcp_url();
    let bearer = probes.ask(initialize(mcp.clone()).header("authorization", "Bearer doctor"));
    let probe = probes.ask(Ask::get(seen.target.url("/probe")).header("authorization", "Bearer doctor"));
    let under_way: Vec<_> = agents(profiles)
        .into_iter()
        .map(|agent| {
            let ask = initialize(mcp.clone()).header("user-agent", agent.header.clone());
            (agent, probes.ask(ask))
        })
        .collect();
    seen.bearer = Some(done(bearer).await);
    seen.probe = Some(done(probe).await);
    for (agent, task) in under_way {
        seen.agents.push((agent, done(task).await));
    }
    // Last and alone, so that no other request delays what arrives. A busy machine can look like a collecting proxy once,
    // hardly three times.
    for _ in 0..3 {
        let ask = Ask::get(seen.target.url("/probe/stream"))
            .header("accept", "text/event-stream")
            .header("accept-encoding", "gzip, br");
        let (reply, apart) = probes.prober.listen(ask).await;
        let whole = reply.is_err() || apart >= EVENTS_APART;
        seen.stream = Some((reply, apart));
        if whole {
            break;
        }
    }
}

/// Registers as each client does, and takes it back (RFC 7592).
async fn registrations(probes: &Probes, target: &Target, path: &str, profiles: &Profiles) -> Vec<(String, Reply)> {
    let mut seen = Vec::new();
    for profile in profiles.iter().filter(|profile| profile.asks_by.contains(&AsksBy::Registration)) {
        let reply = done(probes.ask(Ask::post(target.url(path)).json(registration(profile).to_string()))).await;
        if let Some((url, token)) = reply.as_ref().ok().and_then(|answer| way_back(target, &answer.json()?)) {
            done(probes.ask(Ask::delete(url).header("authorization", format!("Bearer {token}")))).await.ok();
        }
        seen.push((profile.id.clone(), reply));
    }
    seen
}

/// A name of its own keeps it apart from the real client's registration, which must survive the deletion.
fn registration(profile: &Profile) -> Value {
    let method = if profile.id == "claude" { "client_secret_post" } else { "none" };
    let callbacks: Vec<&str> = profile.callbacks().chain(profile.local_callbacks()).collect();
    json!({
        "client_name": format!("portcullis doctor, as {}", profile.name),
        "redirect_uris": callbacks,
        "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    })
}

fn way_back(target: &Target, registered: &Value) -> Option<(String, String)> {
    let text = |member: &str| registered.get(member)?.as_str();
    let own = url::Url::parse(text("registration_client_uri")?).ok()?;
    Some((target.url(own.path()), text("registration_access_token")?.to_owned()))
}
