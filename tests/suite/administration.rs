//! Administration has one set of use cases and two faces (ADR 11): each operation of one table is carried out by the API
//! on one database and by the command line on another, and must have the same effect, answer, refusal and log line.

use std::time::Duration;

use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::time::Timestamp;
use portcullis::attempts;
use portcullis::model::attempt::{Event, Outcome, Recorded, Stage};
use portcullis::model::clock::Clock;
use portcullis::store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, Held, raw};
use crate::cli::{Answer, Place, env_of, free_port, run_aside};
use crate::connector::answer;
use crate::on_both_databases;
use crate::process::Process;
use crate::server::{Database, OwnDatabase, http};

const CALLBACK: &str = "https://a.example/cb";
const OTHER: &str = "https://b.example/cb";
const OWN_SECRET: &str = "a:b%41c+d/e=f&g?h#i~k'l<m>n|o.p!q";
const PASSWORD: &str = "correct horse battery";
const ATTEMPT: u64 = 7_345_678_901;

/// What both faces must come to.
enum Outcomes {
    /// The same view, at these places of the API's answer and of what the command line prints with `--json`.
    View(&'static str, &'static str),
    /// It is done; the answers have no form in common.
    Done,
    /// The same refusal, with this status in the API.
    Refused(u16),
}
use Outcomes::{Done, Refused, View};

/// One operation.
struct Operation {
    /// The API's request: `POST /clients`. `{user:NAME}` and `{token:NAME}` stand for ids.
    request: String,
    body: Value,
    /// The command line's arguments, and what it reads.
    arguments: Vec<String>,
    input: &'static str,
    outcome: Outcomes,
    /// What the log says that was done; nothing if it is empty.
    logged: &'static str,
}

fn op(request: &str, body: Value, arguments: &[&str], outcome: Outcomes, logged: &'static str) -> Operation {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Operation { request: request.to_owned(), body, arguments, input: "", outcome, logged }
}

/// The same for a command that reads a secret or a password.
fn reads(input: &'static str, operation: Operation) -> Operation {
    Operation { input, ..operation }
}

fn clients() -> Vec<Operation> {
    let nothing = || json!(null);
    let add = ["client", "add", "A", "--redirect-uri", CALLBACK];
    let mut table = vec![
        op(
            "POST /clients",
            json!({ "id": "dash", "name": "Dashboard", "redirect_uris": [CALLBACK], "description": "d",
                "access_ttl": "5m", "allowed_scopes": ["docs:read"] }),
            &[
                "client",
                "add",
                "Dashboard",
                "--id",
                "dash",
                "--redirect-uri",
                CALLBACK,
                "--description",
                "d",
                "--access-ttl",
                "5m",
                "--allow-scope",
                "docs:read",
                "--json",
            ],
            View("", ""),
            "client added",
        ),
        op(
            "POST /clients",
            json!({ "id": "cl", "for": "claude" }),
            &["client", "add", "--id", "cl", "--for", "claude", "--json"],
            View("", ""),
            "client added",
        ),
        op("GET /clients", nothing(), &["client", "list", "--json"], View("/clients", ""), ""),
        op(
            "GET /clients?origin=managed",
            nothing(),
            &["client", "list", "--origin", "managed", "--json"],
            View("/clients", ""),
            "",
        ),
        op("GET /clients/dash", nothing(), &["client", "show", "dash", "--json"], View("", ""), ""),
        op(
            "PATCH /clients/dash",
            json!({ "name": "Board", "refresh": false }),
            &["client", "edit", "dash", "--name", "Board", "--no-refresh", "--json"],
            View("", ""),
            "client changed",
        ),
        op(
            "PATCH /clients/dash",
            json!({ "access_ttl": null, "allowed_scopes": null }),
            &["client", "edit", "dash", "--clear", "access-ttl", "--clear", "allowed-scopes", "--json"],
            View("", ""),
            "client changed",
        ),
        op(
            "PATCH /clients/dash",
            json!({ "redirect_uris": [CALLBACK, OTHER] }),
            &["client", "edit", "dash", "--add-redirect-uri", OTHER, "--json"],
            View("", ""),
            "client changed",
        ),
        op(
            "PATCH /clients/pc_seed",
            json!({ "allowed_scopes": ["docs:read"] }),
            &["client", "edit", "pc_seed", "--allow-scope", "docs:read", "--json"],
            View("", ""),
            "client changed",
        ),
        op("POST /clients/dash/disable", nothing(), &["client", "disable", "dash"], Done, "client disabled"),
        op("GET /clients/dash", nothing(), &["client", "show", "dash", "--json"], View("", ""), ""),
        op("POST /clients/dash/enable", nothing(), &["client", "enable", "dash"], Done, "client enabled"),
        // A client that is not disabled: nothing changes, and nothing is logged.
        op("POST /clients/dash/enable", nothing(), &["client", "enable", "dash"], Done, ""),
        op(
            "POST /clients/dash/rotate-secret",
            json!({ "overlap": "1h" }),
            &["client", "rotate-secret", "dash", "--overlap", "1h", "--json"],
            View("", ""),
            "client secret rotated",
        ),
        op(
            "POST /clients/dash/end-old-secret",
            nothing(),
            &["client", "rotate-secret", "dash", "--end-old", "--json"],
            View("", ""),
            "old client secret ended",
        ),
        op(
            "POST /clients/dash/end-old-secret",
            nothing(),
            &["client", "rotate-secret", "dash", "--end-old", "--json"],
            View("", ""),
            "",
        ),
    ];
    let own = |outcome, logged| {
        let arguments = ["client", "rotate-secret", "dash", "--secret-stdin", "--json"];
        reads(
            OWN_SECRET,
            op("POST /clients/dash/rotate-secret", json!({ "client_secret": OWN_SECRET }), &arguments, outcome, logged),
        )
    };
    table.extend([own(View("", ""), "client secret rotated"), own(Refused(400), "")]);

    // Wrong fields, taken and unknown ids.
    let short = [&add[..], &["--secret-stdin"]].concat();
    let body = json!({ "name": "A", "redirect_uris": [CALLBACK], "client_secret": "short" });
    table.push(reads("short", op("POST /clients", body, &short, Refused(400), "")));
    for (body, arguments, status) in [
        (json!({ "id": "dash" }), &["--id", "dash"][..], 409),
        (json!({ "id": "a/b" }), &["--id", "a/b"], 400),
        (json!({ "access_ttl": "soon" }), &["--access-ttl", "soon"], 400),
        (json!({ "access_ttl": "2d" }), &["--access-ttl", "2d"], 400),
        (json!({ "allowed_scopes": ["docs:raed"] }), &["--allow-scope", "docs:raed"], 400),
        (json!({ "auth_methods": ["password"] }), &["--auth-method", "password"], 400),
        (json!({ "client_uri": "no url" }), &["--client-uri", "no url"], 400),
        (json!({ "for": "chatgtp" }), &["--for", "chatgtp"], 400),
    ] {
        let mut whole = json!({ "name": "A", "redirect_uris": [CALLBACK] });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        table.push(op("POST /clients", whole, &[&add[..], arguments].concat(), Refused(status), ""));
    }
    table.extend([
        op("POST /clients", json!({ "name": "A" }), &["client", "add", "A"], Refused(400), ""),
        op(
            "POST /clients",
            json!({ "name": "A", "redirect_uris": ["http://a.example/cb"] }),
            &["client", "add", "A", "--redirect-uri", "http://a.example/cb"],
            Refused(400),
            "",
        ),
        op(
            "PATCH /clients/pc_seed",
            json!({ "name": "B" }),
            &["client", "edit", "pc_seed", "--name", "B"],
            Refused(400),
            "",
        ),
        op("POST /clients/pc_seed/rotate-secret", nothing(), &["client", "rotate-secret", "pc_seed"], Refused(409), ""),
        op(
            "POST /clients/dash/rotate-secret",
            json!({ "overlap": "91d" }),
            &["client", "rotate-secret", "dash", "--overlap", "91d"],
            Refused(400),
            "",
        ),
        op("DELETE /clients/dash", nothing(), &["client", "delete", "dash"], Done, "client deleted"),
    ]);
    for id in ["dash", "nobody"] {
        for (request, command) in [
            ("GET", "show"),
            ("DELETE", "delete"),
            ("disable", "disable"),
            ("enable", "enable"),
            ("rotate-secret", "rotate-secret"),
        ] {
            let request = match request {
                method @ ("GET" | "DELETE") => format!("{method} /clients/{id}"),
                verb => format!("POST /clients/{id}/{verb}"),
            };
            table.push(op(&request, nothing(), &["client", command, id], Refused(404), ""));
        }
        let (edit, end) = (["client", "edit", id, "--name", "B"], ["client", "rotate-secret", id, "--end-old"]);
        table.push(op(&format!("PATCH /clients/{id}"), json!({ "name": "B" }), &edit, Refused(404), ""));
        table.push(op(&format!("POST /clients/{id}/end-old-secret"), nothing(), &end, Refused(404), ""));
    }
    table.push(op(
        "POST /clients",
        json!({ "id": "dash", "name": "A", "redirect_uris": [CALLBACK] }),
        &[&add[..], &["--id", "dash"]].concat(),
        Refused(409),
        "",
    ));
    table.push(op("GET /clients/a%0ab", nothing(), &["client", "show", "a\nb"], Refused(404), ""));
    table
}

fn people() -> Vec<Operation> {
    let nothing = || json!(null);
    let add = |name: &str, password: &'static str, more: Value, arguments: &[&str], outcome, logged| {
        let mut body = json!({ "username": name, "password": password });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let arguments = [&["user", "add", name, "--password-stdin"], arguments].concat();
        reads(password, op("POST /users", body, &arguments, outcome, logged))
    };
    let admin = json!({ "role": "admin", "display_name": "Ada L." });
    let password = |name: &str, password: &'static str, outcome, logged| {
        let request = if name == "nobody" {
            "PUT /users/nobody/password".to_owned()
        } else {
            format!("PUT /users/{{user:{name}}}/password")
        };
        let arguments = ["user", "password", name, "--password-stdin"];
        reads(password, op(&request, json!({ "password": password }), &arguments, outcome, logged))
    };
    vec![
        add(
            "Ada",
            PASSWORD,
            admin,
            &["--role", "admin", "--display-name", "Ada L.", "--json"],
            View("", ""),
            "account made",
        ),
        add("bob", PASSWORD, json!({}), &["--json"], View("", ""), "account made"),
        op("GET /users", nothing(), &["user", "list", "--json"], View("/users", ""), ""),
        op("POST /users/{user:bob}/disable", nothing(), &["user", "disable", "bob"], Done, "account disabled"),
        op("GET /users", nothing(), &["user", "list", "--json"], View("/users", ""), ""),
        op("POST /users/{user:bob}/enable", nothing(), &["user", "enable", "bob"], Done, "account enabled"),
        password("bob", "another long password", Done, "password set"),
        add("ADA", PASSWORD, json!({}), &[], Refused(409), ""),
        add("carl", "short", json!({}), &[], Refused(400), ""),
        add("b\u{202e}c", PASSWORD, json!({}), &[], Refused(400), ""),
        add("carl", PASSWORD, json!({ "display_name": " " }), &["--display-name", " "], Refused(400), ""),
        password("bob", "bob", Refused(400), ""),
        password("nobody", PASSWORD, Refused(404), ""),
        op("POST /users/nobody/disable", nothing(), &["user", "disable", "nobody"], Refused(404), ""),
        op("POST /users/nobody/enable", nothing(), &["user", "enable", "nobody"], Refused(404), ""),
    ]
}

fn tokens() -> Vec<Operation> {
    let nothing = || json!(null);
    let add = |name: &str, scopes: &[&str], expires_in: Option<&str>, outcome, logged| {
        let mut body = json!({ "name": name, "scopes": scopes });
        let scopes = scopes.join(",");
        let mut arguments = vec!["token", "add", name, "--scope", &scopes, "--json"];
        if let Some(span) = expires_in {
            body["expires_in"] = json!(span);
            arguments.extend(["--expires", span]);
        }
        op("POST /tokens", body, &arguments, outcome, logged)
    };
    vec![
        add("deploy bot", &["clients:write", "users:read"], Some("90d"), View("", ""), "token made"),
        op("GET /tokens", nothing(), &["token", "list", "--json"], View("/tokens", ""), ""),
        add("deploy bot", &["keys:read"], None, Refused(409), ""),
        add("x", &["clients:all"], None, Refused(400), ""),
        add("x", &["keys:read"], Some("soon"), Refused(400), ""),
        add("x", &["keys:read"], Some("0s"), Refused(400), ""),
        add(" x", &["keys:read"], None, Refused(400), ""),
        op("DELETE /tokens/{token:deploy bot}", nothing(), &["token", "revoke", "deploy bot"], Done, "token revoked"),
        op("DELETE /tokens/nobody", nothing(), &["token", "revoke", "nobody"], Refused(404), ""),
    ]
}

fn the_rest() -> Vec<Operation> {
    let nothing = || json!(null);
    let attempt = AttemptId::from_bits(ATTEMPT);
    let listed = |query: &str, more: &[&str]| {
        let arguments = [&["connections", "list", "--json"], more].concat();
        op(&format!("GET /connections{query}"), nothing(), &arguments, View("/connections", ""), "")
    };
    let keys = || op("GET /keys", nothing(), &["keys", "list", "--json"], View("/keys", ""), "");
    let end = |id: &str, outcome, logged| {
        op(&format!("DELETE /connections/{id}"), nothing(), &["connections", "end", id], outcome, logged)
    };
    let show = |id: &str, outcome| {
        op(&format!("GET /attempts/{id}"), nothing(), &["attempts", "show", id, "--json"], outcome, "")
    };
    vec![
        listed("", &[]),
        listed("?client=pc_seed", &["--client", "pc_seed"]),
        listed("?client=nobody", &["--client", "nobody"]),
        listed("?user={user:seed}", &["--user", "seed"]),
        op(
            "GET /connections?user={user:seed}&client=pc_seed",
            nothing(),
            &["connections", "list", "--user", "seed", "--client", "pc_seed"],
            Refused(400),
            "",
        ),
        end("grt_one", Done, "connection ended"),
        end("grt_one", Refused(404), ""),
        end("nobody", Refused(404), ""),
        listed("", &[]),
        keys(),
        op("POST /keys/rotate", json!({}), &["keys", "rotate"], Done, "signing key rotated"),
        keys(),
        op("POST /keys/rotate", json!({}), &["keys", "rotate"], Refused(409), ""),
        op(
            "POST /keys/rotate",
            json!({ "emergency": true }),
            &["keys", "rotate", "--emergency"],
            Done,
            "signing keys replaced",
        ),
        keys(),
        op("GET /attempts?limit=20", nothing(), &["attempts", "list", "--json"], View("/attempts", ""), ""),
        show(attempt.as_str(), View("", "")),
        show("0000-0000", Refused(404)),
        show("nonsense!", Refused(404)),
        // The older spelling says the same.
        op(
            &format!("GET /attempts/{attempt}"),
            nothing(),
            &["doctor", "--attempt", attempt.as_str(), "--json"],
            View("", ""),
            "",
        ),
    ]
}

/// What both databases hold to begin with, at the same time of day.
async fn seed(url: &str, now: Timestamp) {
    let store = Store::connect(url, 2, Duration::from_secs(30)).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_user(&Bed::new_user("seed")).await.unwrap();
    store.insert_registration(&Bed::registration("pc_seed", "Seed", "token")).await.unwrap();
    let (began, ends) = (now.0 - 10, now.0 + 86_400);
    let grant = |id: &str| {
        format!(
            "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at, created_at, expires_at)
             values ('{id}', 'usr_seed', 'pc_seed', 'https://client.example/cb', 'docs:read', 'https://h.example/mcp', {began}, {began}, {ends})"
        )
    };
    raw(url, &[&grant("grt_one"), &grant("grt_two")]).await.unwrap();
    let event = Event {
        attempt: AttemptId::from_bits(ATTEMPT),
        early: true,
        at: now,
        stage: Stage::Challenge,
        outcome: Outcome::Refused,
        cause: Cause::parse("no_token"),
        reason: "no token was sent".to_owned(),
        detail: vec![("method".to_owned(), "POST".to_owned())],
        agent: "a client".to_owned(),
        network: "192.0.2.0/24".to_owned(),
        client_id: None,
        grant_id: None,
    };
    store.add_attempt_events(&[Recorded { event, last_at: now, count: 1 }]).await.unwrap();
    // The seed must be worth telling.
    let told = attempts::latest(&store, &Profiles::embedded().unwrap(), 5, now).await.unwrap();
    assert_eq!(told.len(), 1);
    store.close().await;
}

/// All that administration may change, without random ids, secrets and times.
async fn effects(url: &str) -> Vec<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for sql in [
        "select id, origin, name, description, redirect_uris, allowed_scope, access_ttl, refresh_idle_ttl,
                refresh_absolute_ttl, first_party, revision, secret_hash is not null, old_secret_hash is not null,
                disabled_at is not null, deleted_at is not null from client order by id",
        "select username, display_name, role, credential, disabled_at is not null, substr(password_hash, 1, 9)
         from user_account order by username",
        "select name, scopes, revoked_at is not null, expires_at - created_at from api_token order by name",
        "select generation, algorithm, active_at > created_at from signing_key order by generation",
        "select id, user_id, client_id, scope, revoked_at is not null, revoked_because from token_grant order by id",
    ] {
        all.push(raw(url, &[sql]).await.unwrap());
    }
    all
}

/// A view without what differs between two runs: times, secrets, ids that were made at random, and who made a token.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !matches!(name.as_str(), "created_by" | "last_used_at"));
            let plain = |(name, value): (&String, &Value)| {
                let hidden = name.ends_with("_at") || matches!(name.as_str(), "client_secret" | "token");
                (name.clone(), if hidden && !value.is_null() { json!("…") } else { comparable(value) })
            };
            Value::Object(kept.map(plain).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(comparable).collect();
            // Of the same second, random ids decide the order.
            if items.iter().all(Value::is_object) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::String(text) => json!(plain(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A text without random ids and times.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        let random = ["usr_", "key_", "pat_", "tok_", "akt_"].iter().find(|prefix| word.starts_with(**prefix));
        let is_date = word.len() >= 20 && word.as_bytes()[4] == b'-' && word.contains('T');
        if is_date { "…".to_owned() } else { random.map_or_else(|| word.to_owned(), |prefix| format!("{prefix}…")) }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A refusal of the command line in the words of the API: options and commands are named otherwise there.
fn sentence(printed: &str) -> String {
    let said =
        printed.lines().find_map(|line| line.strip_prefix("portcullis: ")).unwrap_or_else(|| panic!("{printed}"));
    let said = said.split("; see: portcullis ").next().unwrap();
    for (option, field) in [("--expires: ", "expires_in: "), ("--overlap: ", "overlap: "), ("--scope: ", "scopes: ")] {
        if let Some(rest) = said.strip_prefix(option) {
            return plain(&format!("{field}{rest}"));
        }
    }
    plain(said)
}

/// The changes that a log tells of: who, what and to what.
fn changes(log: &str) -> Vec<(String, String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["message"] == "administration");
    let text = |line: &Value, member: &str| line[member].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
    lines.map(|line| (text(&line, "by"), text(&line, "what"), plain(&text(&line, "to")))).collect()
}

/// The command line on its own database, and a server with its API on another.
struct TwoFaces {
    place: Place,
    shell: OwnDatabase,
    served: OwnDatabase,
    process: Process,
    token: String,
}

impl TwoFaces {
    async fn new(database: Database) -> Self {
        let (shell, served) = (OwnDatabase::new(database).await, OwnDatabase::new(database).await);
        let now = Clock::system().now();
        for own in [&shell, &served] {
            seed(&own.url, now).await;
        }
        let origin = format!("http://127.0.0.1:{}", free_port());
        let place = Place::new();
        let run = |url: &str, arguments: &[&str]| {
            let mut command = place.command(arguments, &env_of(url));
            let answer = Answer::of(&command.output().unwrap());
            assert!(answer.good, "{arguments:?}: {answer:?}");
            answer.out
        };
        let root = ["token", "add", "root", "--scope", "all", "--json"];
        run(&shell.url, &root);
        let root: Value = serde_json::from_str(&run(&served.url, &root)).unwrap();
        let token = root["token"].as_str().unwrap().to_owned();
        // A server makes its first signing key when it starts.
        run(&shell.url, &["keys", "rotate"]);
        let process = Process::at(&origin, &served.url, &[]).await;
        Self { place, shell, served, process, token }
    }

    /// What the command line does; the server goes on meanwhile.
    fn run(&self, arguments: &[String], input: &str) -> Answer {
        let url =
            [("PORTCULLIS__PUBLIC_URL", self.process.origin.as_str()), ("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64")];
        let env = [&env_of(&self.shell.url)[..], &url].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.place.run_with(&arguments, &env, input)
    }

    async fn call(&self, request: &str, body: &Value) -> crate::connector::Answer {
        let (method, path) = request.split_once(' ').unwrap();
        let mut path = path.to_owned();
        while let Some((begin, rest)) = path.clone().split_once('{') {
            let (placeholder, end) = rest.split_once('}').unwrap();
            let (kind, name) = placeholder.split_once(':').unwrap();
            let (table, column) = if kind == "user" { ("user_account", "username") } else { ("api_token", "name") };
            let sql = format!("select id from {table} where {column} = '{name}'");
            path = format!("{begin}{}{end}", raw(&self.served.url, &[&sql]).await.unwrap()[0][0]);
        }
        let url = format!("{}/api/v1{path}", self.process.origin);
        let mut request = http().request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        request = request.header("authorization", format!("Bearer {}", self.token));
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        answer(request).await
    }

    /// Carries an operation out by both faces and compares what comes of it; gives what the command line logged.
    async fn compare(&self, operation: &Operation) -> Vec<(String, String, String)> {
        let Operation { request, body, arguments, input, outcome, logged } = operation;
        let called = self.call(request, body).await;
        let printed = self.run(arguments, input);
        let name = format!("{request} {body}, {arguments:?}: {}, {printed:?}", called.text);
        match outcome {
            View(api, cli) => {
                assert!(called.status.is_success() && printed.good, "{name}");
                let shown: Value = serde_json::from_str(&printed.out).unwrap_or_else(|why| panic!("{why}: {name}"));
                let (api, cli) = (called.json.pointer(api).unwrap(), shown.pointer(cli).unwrap());
                assert_eq!(comparable(api), comparable(cli), "{name}");
            }
            Done => assert!(called.status.is_success() && printed.good, "{name}"),
            Refused(status) => {
                assert!(called.status == *status && !printed.good && printed.out.is_empty(), "{name}");
                let said = called.json["error_description"].as_str().unwrap();
                let said = said.split("; GET /api/v1/").next().unwrap();
                assert_eq!(plain(said), sentence(&printed.err), "{name}");
            }
        }
        assert_eq!(effects(&self.served.url).await, effects(&self.shell.url).await, "{name}");
        let logged_here = changes(&printed.err);
        let what: Vec<&str> = logged_here.iter().map(|(_, what, _)| what.as_str()).collect();
        let wanted: Vec<&str> = Some(*logged).filter(|text| !text.is_empty()).into_iter().collect();
        assert_eq!(what, wanted, "{name}");
        logged_here
    }

    /// Carries all operations out, and compares the two logs at the end.
    async fn carry_out(self, table: Vec<Operation>) {
        let mut shell = Vec::new();
        for operation in &table {
            shell.extend(self.compare(operation).await);
        }
        let log = self.process.stop();
        let served = changes(&log);
        assert!(shell.iter().all(|(by, ..)| by == "command line"), "{shell:?}");
        assert!(served.iter().all(|(by, ..)| by == "token root"), "{served:?}");
        let without_names = |changes: Vec<(String, String, String)>| -> Vec<(String, String)> {
            changes.into_iter().map(|(_, what, to)| (what, to)).collect()
        };
        assert_eq!(without_names(served), without_names(shell));
        for secret in [OWN_SECRET, PASSWORD, &self.token, "pcs_", "pca_"] {
            assert!(!log.contains(secret), "the log tells {secret}");
        }
    }
}

on_both_databases! {
    /// ADR 11, F: clients.
    async fn clients_are_administered_alike_by_both_faces(database) {
        TwoFaces::new(database).await.carry_out(clients()).await;
    }

    /// ADR 11, F: accounts and tokens.
    async fn people_and_tokens_are_administered_alike_by_both_faces(database) {
        let table = people().into_iter().chain(tokens()).collect();
        TwoFaces::new(database).await.carry_out(table).await;
    }

    /// ADR 11, F: connections, keys and attempts.
    async fn the_rest_is_administered_alike_by_both_faces(database) {
        TwoFaces::new(database).await.carry_out(the_rest()).await;
    }
}

/// Who changes what somebody else has changed meanwhile is told so, in the same words. Only PostgreSQL tells when a
/// command waits between reading and writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_overtaken_is_refused_alike_by_both_faces() {
    let faces = TwoFaces::new(Database::Postgres).await;
    let body = json!({ "id": "a", "name": "A", "redirect_uris": [CALLBACK] });
    let add = ["client", "add", "A", "--id", "a", "--redirect-uri", CALLBACK, "--json"];
    faces.compare(&op("POST /clients", body, &add, View("", ""), "client added")).await;
    let overtake = "update client set secret_hash = 'another', revision = revision + 1 where id = 'a'";

    let mut held = Held::after(&faces.served.url, overtake).await;
    let none = json!(null);
    let (called, ()) = tokio::join!(faces.call("POST /clients/a/rotate-secret", &none), async {
        held.until_awaited().await;
        held.commit().await;
    });
    called.refused(412, "precondition_failed");

    let mut held = Held::after(&faces.shell.url, overtake).await;
    let env = env_of(&faces.shell.url);
    let (printed, ()) = tokio::join!(run_aside(&faces.place, &["client", "rotate-secret", "a"], &env), async {
        held.until_awaited().await;
        held.commit().await;
    });
    assert!(!printed.good, "{printed:?}");
    assert_eq!(called.json["error_description"], sentence(&printed.err));
}
