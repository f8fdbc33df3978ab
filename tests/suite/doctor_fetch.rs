//! `documents check`: whether this machine can read what clients publish of themselves.

use known_clients::profile::Profiles;
use portcullis::app::directory;
use portcullis::clients::trial::{Outcome, Trial, fetch_documents, trials_json, trials_text};

use crate::documents::{APP, NAMES, app_document};
use crate::server::{Database, TestServer};
use crate::vendor::{Reply, Vendor, resolver};

async fn tried(server: &TestServer, vendor: &Vendor, url: Option<&str>) -> Vec<Trial> {
    let directory = directory::alone(&server.config, vendor.resolver()).unwrap();
    fetch_documents(&directory, &Profiles::embedded().unwrap(), url, server.now()).await
}

/// Good, broken, blocked with a copy; nothing is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_tried_and_not_kept() {
    let vendor = Vendor::start(&NAMES).await;
    let server = TestServer::beside(Database::Sqlite, &vendor, &[]).await;
    vendor.answer("/client.json", Reply::json(&app_document()));
    let trials = tried(&server, &vendor, Some(APP)).await;
    assert_eq!((trials.len(), trials[0].outcome), (1, Outcome::Fetched));
    assert_eq!(trials[0].words, "authenticates by none");
    let mut other = app_document();
    other["client_id"] = "https://app.example.com/other.json".into();
    vendor.answer("/client.json", Reply::json(&other));
    let trials = tried(&server, &vendor, Some(APP)).await;
    assert_eq!(trials[0].outcome, Outcome::Refused, "{}", trials[0].words);

    // What a bot filter says to a data centre.
    vendor
        .answer("/oauth/mcp-oauth-client-metadata", Reply::new("403 Forbidden", &[("content-type", "text/html")], "x"));
    let trials = tried(&server, &vendor, None).await;
    let of = |id: &str| trials.iter().find(|trial| trial.client_id == id).unwrap();
    let claude = of("https://claude.ai/oauth/mcp-oauth-client-metadata");
    assert_eq!(claude.outcome, Outcome::Copy);
    assert!(claude.words.contains("403") && claude.words.contains("copy"), "{}", claude.words);
    // No certificate for this name.
    assert_eq!(of("https://cursor.com/oauth/mcp-client.json").outcome, Outcome::Copy);
    let text = trials_text(&trials);
    assert!(text.contains("copy  Claude (Anthropic)") && text.contains("copy  Cursor (Anysphere)"), "{text}");
    assert_eq!(trials_json(&trials)["documents"][0]["outcome"], "copy");
    let kept = crate::bed::raw(&server.database.url, &["select count(*) from client"]).await.unwrap();
    assert_eq!(kept, [["0"]]);
}

/// the same judgement as when a stranger names the address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_does_not_reach_inside() {
    let vendor = Vendor::start(&NAMES).await;
    let server =
        TestServer::beside(Database::Sqlite, &vendor, &[("PORTCULLIS__DOCUMENTS__ALLOWED_NETWORKS", "")]).await;
    let directory = directory::alone(&server.config, resolver(&["10.0.0.1"], 443)).unwrap();
    let trials = fetch_documents(&directory, &Profiles::embedded().unwrap(), Some(APP), server.now()).await;
    assert_eq!(trials[0].outcome, Outcome::Refused);
    assert!(trials[0].words.contains("not a public address"), "{}", trials[0].words);
}
