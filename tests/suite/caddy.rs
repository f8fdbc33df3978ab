//! The built product as people run it: behind Caddy, which ends TLS, under its https address; looked at from outside.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use diagnose::outside::Outside;
use diagnose::simulate::simulate;
use known_clients::replicas::IDS;
use reqwest::StatusCode;

use crate::cli::{Answer, Place, Serving, free_port};
use crate::on_both_databases;
use crate::server::{Database, MASTER_KEY, OwnDatabase, PASSWORD, USER};
use crate::simulate::options;

/// How long the two servers may take to stand: 60 seconds, on a machine that is busy with other tests.
const TRIES: u32 = 240;
const PAUSE: Duration = Duration::from_millis(250);

/// Portcullis behind Caddy, both stopped when dropped.
struct Deployment {
    public_url: String,
    outside: Outside,
    place: Place,
    _servers: [Serving; 2],
}

impl Deployment {
    async fn start(database: &OwnDatabase) -> Self {
        Self::with(database, "http", "", &[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1/32")]).await
    }

    /// One to which Caddy speaks by this protocol, with something more said about it, and settings of the server.
    async fn with(database: &OwnDatabase, protocol: &str, transport: &str, settings: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let (inner, outer) = (free_port(), free_port());
        let public_url = format!("https://localhost:{outer}");
        let listen = format!("127.0.0.1:{inner}");
        let env = [
            ("PORTCULLIS__LISTEN", listen.as_str()),
            ("PORTCULLIS__PUBLIC_URL", &public_url),
            ("PORTCULLIS__DATABASE__URL", &database.url),
            ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
            // Nobody is there: no document is fetched, copies stand in.
            ("PORTCULLIS__DOCUMENTS__PROXY", "http://127.0.0.1:9"),
        ];
        let env = [&env[..], settings].concat();
        std::fs::write(place.0.join("password"), PASSWORD).unwrap();
        let made =
            Answer::of(&place.command(&["user", "add", USER, "--password-file", "password"], &env).output().unwrap());
        assert!(made.good || made.err.contains("already"), "{made:?}");
        let quiet =
            |command: &mut Command| Serving(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let server = quiet(&mut place.command(&["serve"], &env));
        std::fs::write(
            place.0.join("Caddyfile"),
            caddyfile(&place, outer, &format!("{protocol}://127.0.0.1:{inner}"), transport),
        )
        .unwrap();
        let caddy = quiet(
            Command::new("caddy")
                .args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"])
                .current_dir(&place.0)
                .env_clear()
                .env("HOME", &place.0)
                .stdin(Stdio::null()),
        );
        let outside =
            Outside { ca_file: Some(place.0.join("caddy/pki/authorities/local/root.crt")), ..Outside::default() };
        let deployment = Self { public_url, outside, place, _servers: [server, caddy] };
        deployment.wait().await;
        deployment
    }

    async fn wait(&self) {
        for _ in 0..TRIES {
            if let Ok(client) = self.outside.client()
                && let Ok(answer) = client.get(format!("{}/readyz", self.public_url)).send().await
                && answer.status() == StatusCode::OK
            {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the deployment does not stand; is caddy installed? scripts/setup-test-deps.sh does it");
    }

    fn mcp(&self) -> String {
        format!("{}/mcp", self.public_url)
    }
}

/// Its own authority, its own data folder, loopback only, no administration, no redirects from port 80.
fn caddyfile(place: &Place, outer: u16, upstream: &str, transport: &str) -> String {
    let storage = place.0.join("caddy");
    format!(
        "{{
	admin off
	auto_https disable_redirects
	skip_install_trust
	storage file_system {}
	servers {{
		protocols h1 h2
	}}
}}

https://localhost:{outer} {{
	bind 127.0.0.1
	tls internal
	reverse_proxy {upstream} {{
		flush_interval -1
		{transport}
	}}
}}
",
        storage.display()
    )
}

on_both_databases! {
    /// S-12, A6: behind a proxy that ends TLS all seven connect to the https address, with limits as they come.
    async fn all_seven_connect_through_caddy(database) {
        let database = OwnDatabase::new(database).await;
        let deployment = Deployment::start(&database).await;
        for client in IDS {
            let mut options = options(client, &deployment.mcp());
            options.outside = deployment.outside.clone();
            let report = simulate(&options).await.unwrap();
            assert!(report.passed, "{}", report.to_text(false));
        }
        // Without the authority's certificate nothing is begun, and the command says why.
        let ca_file = deployment.outside.ca_file.clone().unwrap();
        let mcp = deployment.mcp();
        let plain = ["simulate", "--as", "claude", &mcp, "--user", USER, "--password-file", "password"];
        let refused = deployment.place.run(&plain);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("certificate"), "{refused:?}");
        let trusting = [&plain[..], &["--ca-file", ca_file.to_str().unwrap()]].concat();
        let good = deployment.place.run(&trusting);
        assert_eq!(good.code, Some(0), "{good:?}");
        // The doctor looks at the same, and agrees; that `localhost` is nothing for the internet is known here.
        let ca_file = ca_file.to_str().unwrap();
        let doctor = ["doctor", &mcp, "--assume-public", "--register", "--ca-file", ca_file];
        let examined = deployment.place.run(&doctor);
        assert_eq!(examined.code, Some(0), "{}{}", examined.out, examined.err);
    }
}

/// A client's first call has a body and no token: the refusal must not spoil the connection between Caddy and the server,
/// kept or not (RFC 9112 §9.3, §9.6). With HTTP/2 without TLS the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_calls_through_caddy_are_never_502() {
    const CALLS: usize = 400;
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    let listed = [("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1/32")];
    for (protocol, transport) in [("http", ""), ("http", "transport http {\n keepalive off\n}"), ("h2c", "")] {
        let database = OwnDatabase::new(Database::Sqlite).await;
        let deployment = Deployment::with(&database, protocol, transport, &listed).await;
        let (client, mcp) = (deployment.outside.client().unwrap(), deployment.mcp());
        let mut under_way = tokio::task::JoinSet::new();
        let mut seen = BTreeMap::new();
        for number in 0..CALLS {
            if under_way.len() >= 12 {
                *seen.entry(under_way.join_next().await.unwrap().unwrap()).or_insert(0) += 1;
            }
            let body = match number % 10 {
                8 => " ".repeat(100_000) + initialize,
                9 => " ".repeat(1_500_000) + initialize,
                _ => initialize.to_owned(),
            };
            let request = client.post(&mcp).header("content-type", "application/json").body(body);
            under_way.spawn(async move { request.send().await.map_or(0, |answer| answer.status().as_u16()) });
        }
        while let Some(status) = under_way.join_next().await {
            *seen.entry(status.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(seen, BTreeMap::from([(401, CALLS)]), "{protocol} {transport}");
    }
}

/// Where the proxy isn't listed, the log isn't the only one to say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_a_proxy_that_is_not_listed() {
    let database = OwnDatabase::new(Database::Sqlite).await;
    for (settings, found) in [
        (&[][..], true),
        (
            &[
                ("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1"),
                ("PORTCULLIS__LIMITS__FORWARDED_HEADER", "Forwarded"),
            ],
            true,
        ),
        (&[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1")], false),
    ] {
        let deployment = Deployment::with(&database, "http", "", settings).await;
        let ca_file = deployment.outside.ca_file.clone().unwrap();
        let doctor = ["doctor", &deployment.mcp(), "--assume-public", "--ca-file", ca_file.to_str().unwrap()];
        let examined = deployment.place.run(&doctor);
        // Clients connect all the same.
        assert_eq!(examined.code, Some(0), "{}{}", examined.out, examined.err);
        assert_eq!(examined.out.contains("all-count-as-one"), found, "{settings:?}\n{}", examined.out);
        assert_eq!(examined.out.contains("limits.trusted_proxies"), found, "{settings:?}\n{}", examined.out);
    }
}
