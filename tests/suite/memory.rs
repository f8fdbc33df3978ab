//! What the server keeps of what it was made to do: its memory, seen from outside.

#![cfg(target_os = "linux")]

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::browser::Browser;
use crate::connector::Connector;
use crate::process::Process;
use crate::server::{Database, OwnDatabase, PASSWORD, USER, http};

/// A client of this server, and its access token.
async fn connected(process: &Process) -> (Connector, String) {
    let metadata = json!({
        "client_name": "Memory", "redirect_uris": ["http://127.0.0.1:9/callback"], "token_endpoint_auth_method": "none",
    });
    let client = Connector::registered_at(&process.origin, &metadata).await;
    let mut browser = Browser::at(&process.origin);
    let login = browser.open(&client.authorize_url(&[])).await.page();
    let consent = browser.sign_in(&login).await.page();
    let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
    let access = client.redeem(&callback.one("code")).await.tokens().access;
    (client, access)
}

/// B-26: four mebibytes of JSON take the memory of four mebibytes, not a hundred times that, and leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expensive_json_costs_no_memory() {
    let own = OwnDatabase::new(Database::Sqlite).await;
    let process = Process::start(&own.url, &[]).await;
    let (client, access) = connected(&process).await;
    let call = |arguments: String| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{arguments}}}}}"#
        );
        let request = http().post(format!("{}/mcp", process.origin)).bearer_auth(&access);
        request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    };
    // What a lawful call of that size takes is no more than it must be, and is where the comparison begins.
    let text = format!(r#"{{"query":"{}"}}"#, "x".repeat(4_000_000));
    assert_eq!(call(text).send().await.unwrap().status(), StatusCode::OK);
    let (idle, highest) = process.memory();
    for piece in ["{\"\":0},", "{},", "[],", "0,", "\"\",", "{\"a\":{\"b\":[[0]]}},", "null,"] {
        let bomb = format!("[{}0]", piece.repeat(4_000_000 / piece.len()));
        let answer = call(bomb).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{piece}");
    }
    let (_, after) = process.memory();
    assert!(after < highest + 20.0, "at its highest {highest:.0} MiB before, {after:.0} MiB after");
    let mut together = JoinSet::new();
    for _ in 0..50 {
        while together.len() >= 4 {
            together.join_next().await;
        }
        let bomb = call(format!("[{}0]", "{\"\":0},".repeat(571_000)));
        together.spawn(async move { bomb.send().await.unwrap().status() });
    }
    while let Some(status) = together.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::BAD_REQUEST);
    }
    assert!(client.is_let_in(&access).await);
    let (now, _) = process.memory();
    assert!(now < idle + 30.0, "{idle:.0} MiB before, {now:.0} MiB after");
}

/// B-16: a sign-in leaves no memory behind: what its hash filled is used again, however many sign in, and whatever comes
/// of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_leave_no_memory_behind() {
    const BLOCKS_MIB: u32 = 24;
    let memory = (BLOCKS_MIB * 1024).to_string();
    let settings = [("PORTCULLIS__PASSWORDS__MEMORY_KIB", memory.as_str()), ("PORTCULLIS__PASSWORDS__ITERATIONS", "1")];
    let own = OwnDatabase::new(Database::Sqlite).await;
    let process = Process::start(&own.url, &settings).await;
    let mut browser = Browser::at(&process.origin);
    browser.open("/login").await.page();
    let (idle, _) = process.memory();
    let mut people = JoinSet::new();
    for person in 0..16 {
        let mut browser = Browser::at(&process.origin);
        people.spawn(async move {
            let (action, mut fields) = browser.open("/login").await.page().fields("password");
            for turn in 0..8 {
                let (name, password, status) = match (person + turn) % 4 {
                    0 => (USER, "a wrong password", StatusCode::UNAUTHORIZED),
                    1 => ("nobody", PASSWORD, StatusCode::UNAUTHORIZED),
                    _ => (USER, PASSWORD, StatusCode::SEE_OTHER),
                };
                fields.insert("username".to_owned(), name.to_owned());
                fields.insert("password".to_owned(), password.to_owned());
                assert_eq!(browser.send(Method::POST, &action, Some(&fields)).await.status, status);
                browser.cookies.remove("portcullis_session");
            }
        });
    }
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    // One piece for each that may run at once, and what a few requests leave.
    let at_once = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let (now, _) = process.memory();
    assert!(now < idle + f64::from(at_once * BLOCKS_MIB) + 20.0, "{idle:.0} MiB before, {now:.0} MiB after");
}
