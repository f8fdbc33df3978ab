//! Backup and restoration of PostgreSQL: with its own tools, by the commands that `portcullis` says.

use std::fs;
use std::process::Command;

use sqlx::{Connection as _, PgConnection};

use crate::bed::raw;
use crate::cli::{Answer, OTHER_KEY, Place, first_words, run_aside};
use crate::connector::Connector;
use crate::durability::newer;
use crate::pooler::own_database;
use crate::server::{MASTER_KEY, OwnDatabase, PASSWORD, TestServer, USER, unique};

struct Deployment {
    place: Place,
    url: String,
    password: String,
    server: TestServer,
}

impl Deployment {
    /// A server on a whole database of its own, with an account.
    async fn start() -> Self {
        let url = own_database(&format!("dumped_{}", unique())).await;
        let password = url::Url::parse(&url).unwrap().password().unwrap().to_owned();
        let server = TestServer::on(OwnDatabase::at(url.clone()), &[], None).await;
        server.add_user(USER, PASSWORD, portcullis::model::user::Role::User).await;
        Self { place: Place::new(), url, password, server }
    }

    fn env(&self) -> [(&'static str, &str); 4] {
        [
            ("PORTCULLIS__DATABASE__URL", &self.url),
            ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
        ]
    }

    async fn portcullis(&self, arguments: &[&str]) -> Answer {
        run_aside(&self.place, arguments, &self.env()).await
    }

    /// Runs a command as it was told, with the password from where the tools take it.
    async fn shell(&self, command: &str) -> Answer {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.place.0).env("PGPASSWORD", &self.password);
        tokio::task::spawn_blocking(move || Answer::of(&shell.output().unwrap())).await.unwrap()
    }

    /// Makes a dump by the command that `backup` tells.
    async fn dump(&self, file: &str) {
        let told = self.portcullis(&["backup", file]).await;
        assert!(!told.good && told.err.contains("no backup was made"), "{told:?}");
        assert!(!told.out.contains(&self.password) && !told.err.contains(&self.password), "{told:?}");
        let commands = commands(&told.out);
        assert_eq!(commands.len(), 2, "{told:?}");
        let made = self.shell(&commands[0]).await;
        assert!(made.good, "{}: {made:?}", commands[0]);
        assert_eq!(commands[1], format!("portcullis restore --check {file}"));
    }
}

/// The lines that are to be typed.
fn commands(text: &str) -> Vec<String> {
    let tools = ["pg_dump ", "pg_restore ", "psql ", "portcullis "];
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    lines.filter(|line| tools.iter().any(|tool| line.starts_with(tool))).map(str::to_owned).collect()
}

/// The commands that are told make a dump, and bring it back; what was connected goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_that_are_told_make_a_dump_and_bring_it_back() {
    for text in [false, true] {
        let deployment = Deployment::start().await;
        let client = Connector::public(&deployment.server).await;
        let tokens = client.connect().await;
        deployment.dump("a.dump").await;
        let mut file = "a.dump";
        if text {
            // People make dumps in other formats too.
            let made = deployment.shell("pg_restore --file=a.sql a.dump").await;
            assert!(made.good, "{made:?}");
            file = "a.sql";
        }
        let checked = deployment.portcullis(&["restore", "--check", file]).await;
        assert!(checked.good && checked.out.contains("connections  1 live"), "{checked:?}");
        assert!(checked.out.contains("which is the one configured here"), "{checked:?}");
        // `backup` of a file that is there is the same look.
        assert!(deployment.portcullis(&["backup", file]).await.good);
        let late = Connector::named(&deployment.server, "Late").await;
        late.connect().await;

        let told = deployment.portcullis(&["restore", file]).await;
        assert!(!told.good && told.err.contains("nothing was restored"), "{told:?}");
        let (origin, password) = (deployment.server.origin.clone(), deployment.password.clone());
        let Deployment { place, url, server, .. } = deployment;
        drop(server.stop().await);
        let commands = commands(&told.out);
        assert_eq!(commands.len(), 3, "{told:?}");
        for command in commands {
            assert!(!command.contains(&password));
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).current_dir(&place.0).env("PGPASSWORD", &password);
            let done = Answer::of(&shell.output().unwrap());
            assert!(done.good, "{command}: {done:?}");
        }
        let server = TestServer::on(OwnDatabase::at(url), &[], Some(&origin)).await;
        let client = client.turned_to(&server);
        assert!(client.is_let_in(&tokens.access).await);
        client.refresh(tokens.refresh()).await.tokens();
        late.turned_to(&server).token(&[]).await.refused(401, "invalid_client");
    }
}

/// A dump that is cut off, of something else, of another version or for another key is refused, whatever its format.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_can_not_be_used_is_refused() {
    let deployment = Deployment::start().await;
    Connector::public(&deployment.server).await.connect().await;
    deployment.dump("a.dump").await;
    for command in [
        "pg_restore --file=a.sql a.dump",
        "gzip --keep a.sql",
        "pg_restore --schema-only --file=bare.sql a.dump",
        "pg_restore --table=client --file=part.sql a.dump",
    ] {
        let made = deployment.shell(command).await;
        assert!(made.good, "{command}: {made:?}");
    }
    for file in ["a.dump", "a.sql"] {
        let whole = fs::read(deployment.place.0.join(file)).unwrap();
        for length in [0, 3, 200, whole.len() / 2, whole.len() - 100] {
            fs::write(deployment.place.0.join("cut"), &whole[..length]).unwrap();
            let refused = deployment.portcullis(&["restore", "--check", "cut"]).await;
            assert!(!refused.good && refused.err.contains("cut can't be used"), "{file} cut to {length}: {refused:?}");
        }
    }
    fs::write(deployment.place.0.join("other.sql"), "-- PostgreSQL database dump complete\n").unwrap();
    for (file, word) in [
        ("missing.dump", "No such file"),
        ("a.sql.gz", "gunzip --stdout"),
        ("bare.sql", "lacks the list of migrations"),
        ("part.sql", "lacks the list of migrations"),
        ("other.sql", "lacks the list of migrations"),
    ] {
        let refused = deployment.portcullis(&["restore", "--check", file]).await;
        assert!(!refused.good && refused.err.contains(word), "{file}: {refused:?}");
    }
    let mut env = deployment.env();
    env[1].1 = OTHER_KEY;
    let refused = run_aside(&deployment.place, &["restore", "a.dump"], &env).await;
    assert!(!refused.good && refused.err.contains("needs the master key"), "{refused:?}");
    assert!(run_aside(&deployment.place, &["restore", "--check", "--key-lost", "a.dump"], &env).await.good);
    // Without the tool: the way is told.
    env[1].1 = MASTER_KEY;
    env[2].1 = "/nowhere";
    let refused = run_aside(&deployment.place, &["restore", "--check", "a.dump"], &env).await;
    assert!(
        !refused.good && refused.err.contains("pg_restore --file=- FILE | portcullis restore --check -"),
        "{refused:?}"
    );
    assert!(run_aside(&deployment.place, &["restore", "--check", "a.sql"], &env).await.good);
    let portcullis = format!(
        "PORTCULLIS__DATABASE__URL='{}' PORTCULLIS__KEYS__MASTER_KEY={MASTER_KEY} '{}' restore --check -",
        deployment.url,
        env!("CARGO_BIN_EXE_portcullis")
    );
    for source in
        ["cat a.sql", "gunzip --stdout a.sql.gz", "pg_restore --file=- a.dump", "pg_restore --file=- < a.dump"]
    {
        let piped = deployment.shell(&format!("{source} | {portcullis}")).await;
        assert!(piped.good && piped.out.contains("accounts     1"), "{source}: {piped:?}");
    }
    let cut = deployment.shell(&format!("head --bytes=5000 a.sql | {portcullis}")).await;
    assert!(!cut.good && cut.err.contains("does not come to its end"), "{cut:?}");

    let known = portcullis::store::known_schema();
    raw(&deployment.url, &[&newer(known + 1)]).await.unwrap();
    deployment.dump("newer.dump").await;
    let refused = deployment.portcullis(&["restore", "newer.dump"]).await;
    assert!(!refused.good && refused.err.contains("newer version of Portcullis"), "{refused:?}");
}

/// Neither a command nor a log line of any level holds a part of the password: not when the database can't be reached,
/// not when it refuses the password, and not when all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_and_no_log_line_holds_the_database_password() {
    let deployment = Deployment::start().await;
    let shown = format!("{:?} {:?}", deployment.server.app.store(), deployment.server.config);
    assert!(!shown.contains(&deployment.password));
    let good = url::Url::parse(&deployment.url).unwrap();
    let (mut wrong, mut away) = (good.clone(), good.clone());
    wrong.set_password(Some("hunter2hunter2")).unwrap();
    away.set_password(Some("hunter2hunter2")).unwrap();
    away.set_port(Some(9)).unwrap();
    let unencoded = format!("postgres://ada:12/hunter2hunter2@{}:9/x", good.host_str().unwrap());
    for url in [wrong.as_str(), away.as_str(), &unencoded] {
        for command in [
            &["serve"][..],
            &["migrate"],
            &["config", "check"],
            &["user", "list"],
            &["keys", "list"],
            &["backup", "x.dump"],
            &["restore", "x.dump"],
            &["health"],
            &["doctor"],
        ] {
            let env = [
                ("PORTCULLIS__DATABASE__URL", url),
                ("PORTCULLIS__DATABASE__ACQUIRE_TIMEOUT", "1s"),
                ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
                ("PORTCULLIS__LISTEN", "127.0.0.1:0"),
                ("PORTCULLIS__LOG__FILTER", "trace"),
            ];
            let answer = run_aside(&deployment.place, command, &env).await;
            for text in [&answer.out, &answer.err] {
                assert!(!text.contains("hunter2") && !text.contains(MASTER_KEY), "{command:?}: {answer:?}");
            }
        }
    }
    let (url, password) = (deployment.url.clone(), deployment.password.clone());
    let (log, ready) = tokio::task::spawn_blocking(move || {
        let env = [
            ("PORTCULLIS__DATABASE__URL", url.as_str()),
            ("PORTCULLIS__KEYS__MASTER_KEY", MASTER_KEY),
            ("PORTCULLIS__LOG__FILTER", "trace"),
        ];
        first_words(&Place::new(), &env)
    })
    .await
    .unwrap();
    assert!(ready && log.len() > 1000 && !log.contains(&password) && !log.contains(MASTER_KEY), "{log}");
}

/// Tables in a schema of their own are dumped by its name, and found in the dump.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_in_a_schema_of_their_own_are_found() {
    let mut deployment = Deployment::start().await;
    let mut connection = PgConnection::connect(&deployment.url).await.unwrap();
    sqlx::raw_sql("create schema \"Own schema\"").execute(&mut connection).await.unwrap();
    drop(deployment.server.stop().await);
    deployment.url = format!("{}?options=-c%20search_path%3D%22Own%5C%20schema%22", deployment.url);
    deployment.server = TestServer::on(OwnDatabase::at(deployment.url.clone()), &[], None).await;
    deployment.dump("own.dump").await;
    let checked = deployment.portcullis(&["restore", "--check", "own.dump"]).await;
    assert!(checked.good && checked.out.contains("accounts     0"), "{checked:?}");
}
