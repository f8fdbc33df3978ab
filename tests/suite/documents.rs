//! Clients whose id is the URL of their metadata document: the vendors' real ones, and what goes wrong with documents.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::{Browser, Page};
use crate::connector::{CALLBACK, Connector, FORM, VERIFIER, basic, form, post_form};
use crate::on_both_databases;
use crate::server::{Database, OwnDatabase, TestServer};
use crate::vendor::{Reply, Vendor, lost, resolver};

const CLAUDE: &str = include_str!("../../crates/known-clients/documents/claude.json");
const VSCODE: &str = include_str!("../../crates/known-clients/documents/vscode.json");
/// A client that nobody knows.
pub const APP: &str = "https://app.example.com/client.json";
const PATH: &str = "/client.json";

/// The names under which the outside world answers here.
pub const NAMES: [&str; 5] = ["app.example.com", "chatgpt.com", "claude.ai", "vscode.dev", "other.example.com"];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The document of a client that nobody knows.
pub fn app_document() -> Value {
    json!({
        "client_id": APP,
        "client_name": "Some App",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}

/// A connector that comes with this id and callback.
pub fn connector(server: &TestServer, id: &str, redirect_uri: &str) -> Connector {
    Connector::known(server, id, redirect_uri)
}

/// The page that an authorization request of this client leads to: never a redirect to a client.
async fn page(server: &TestServer, id: &str) -> Page {
    let client = connector(server, id, CALLBACK);
    Browser::new(server).open(&client.authorize_url(&[])).await.page()
}

/// A person lets the client in; it redeems, calls a tool and refreshes.
async fn works(client: &Connector) {
    let tokens = client.connect().await;
    assert!(client.is_let_in(&tokens.access).await);
    let again = client.refresh(tokens.refresh()).await.tokens();
    assert!(client.is_let_in(&again.access).await);
    assert_eq!(again.claims()["client_id"], client.client_id.as_str());
}

async fn world() -> Vendor {
    Vendor::start(&NAMES).await
}

on_both_databases! {
    /// Claude, as its document says it is.
    async fn claude_connects_by_its_document(database) {
        let vendor = world().await;
        vendor.answer("/oauth/mcp-oauth-client-metadata", Reply::cached(&parsed(CLAUDE), "max-age=3600"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        for callback in ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"] {
            works(&connector(&server, "https://claude.ai/oauth/mcp-oauth-client-metadata", callback)).await;
        }
        assert_eq!(vendor.count("/oauth/mcp-oauth-client-metadata"), 1, "the copy is fresh for an hour");
        server.advance(3601).await;
        works(&connector(&server, "https://claude.ai/oauth/mcp-oauth-client-metadata", "https://claude.ai/api/mcp/auth_callback")).await;
        assert_eq!(vendor.count("/oauth/mcp-oauth-client-metadata"), 2);
    }

    /// D8, D9: Basic with the id of a document, raw or percent-encoded, and an empty secret; the first colon is the id's.
    async fn a_documents_url_comes_in_a_basic_header_too(database) {
        const ID: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
        let vendor = world().await;
        vendor.answer("/oauth/mcp-oauth-client-metadata", Reply::cached(&parsed(CLAUDE), "max-age=3600"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, ID, "https://claude.ai/api/mcp/auth_callback");
        let mut last = client.connect().await;
        for id in [ID.to_owned(), url::form_urlencoded::byte_serialize(ID.as_bytes()).collect()] {
            let body = form(&[("grant_type", "refresh_token"), ("refresh_token", last.refresh())]);
            let headers = [FORM, ("authorization", &basic(&id, ""))];
            last = post_form(&server.url("/token"), &headers, body).await.tokens();
            assert_eq!(last.claims()["client_id"], ID, "{id}");
        }
    }

    /// B2: VS Code's document may not be kept, and its callback is on any port of the device. Fetched once for
    /// each authorization; everything after it, also the refresh, lives on what was stored.
    async fn vscode_connects_though_its_document_may_not_be_kept(database) {
        const DOCUMENT: &str = "/oauth/client-metadata.json";
        let vendor = world().await;
        vendor.answer(DOCUMENT, Reply::cached(&parsed(VSCODE), "no-store"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let id = "https://vscode.dev/oauth/client-metadata.json";
        for (at, callback) in ["http://127.0.0.1:33418/", "http://127.0.0.1:50123/", "https://vscode.dev/redirect"].iter().enumerate() {
            works(&connector(&server, id, callback)).await;
            assert_eq!(vendor.count(DOCUMENT), at + 1, "{callback}");
            server.advance(1).await;
        }
        let client = connector(&server, id, "http://127.0.0.1:33418/");
        let tokens = client.connect().await;
        vendor.answer(DOCUMENT, Reply::new("500 Oh", &[], ""));
        server.advance(8 * 86_400).await;
        let before = vendor.asked().len();
        client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(vendor.asked().len(), before, "a refresh needs no document");
    }

    /// R-37, B6: the last copy stands in for a document that can't be fetched, for a bounded time, and its server is not
    /// asked at each request.
    async fn a_stale_copy_stands_in_for_a_bounded_time(database) {
        let vendor = world().await;
        vendor.answer(PATH, Reply::json(&app_document()));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, CALLBACK);
        works(&client).await;
        for (broken, seconds) in [
            (Reply::new("404 Not Found", &[], ""), 61),
            (Reply::new("403 Forbidden", &[("content-type", "text/html")], "<html>"), 61),
            (Reply::new("200 OK", &[("content-type", "application/json")], "<html>"), 6 * 86_400),
        ] {
            vendor.answer(PATH, broken);
            server.advance(seconds).await;
            let before = vendor.count(PATH);
            works(&client).await;
            works(&client).await;
            assert_eq!(vendor.count(PATH), before + 1, "a minute's peace after a failure");
        }
        server.advance(86_400).await;
        let page = page(&server, APP).await;
        assert!(page.text().contains("looks like a web page"), "{}", page.text());
        vendor.answer(PATH, Reply::json(&app_document()));
        works(&client).await;
    }

    /// B-12: an error is a page that names it, is not remembered, and makes no client.
    async fn errors_are_told_on_a_page_and_not_kept(database) {
        let vendor = world().await;
        let server = TestServer::beside(database, &vendor, &[]).await;
        let json_type = ("content-type", "application/json");
        let with = |changes: Value| {
            let mut document = app_document();
            for (name, value) in changes.as_object().unwrap() {
                document[name] = value.clone();
            }
            Reply::json(&document)
        };
        let cases = [
            (Reply::new("404 Not Found", &[], ""), "status 404"),
            (Reply::new("302 Found", &[("location", "https://other.example.com/x")], ""), "redirect (302)"),
            (Reply::new("201 Created", &[json_type], app_document().to_string()), "status 201"),
            (Reply::new("204 No Content", &[], ""), "status 204"),
            (Reply::new("200 OK", &[("content-type", "text/html")], "<html>"), "text/html"),
            (Reply::new("200 OK", &[json_type], " ".repeat(22 * 1024)), "larger than 16384 bytes"),
            (with(json!({ "client_id": format!("{APP}/") })), "character for character"),
            (with(json!({ "client_id": "https://app.example.com/Client.json" })), "character for character"),
            (with(json!({ "token_endpoint_auth_method": "client_secret_post" })), "shared secret"),
            (with(json!({ "token_endpoint_auth_method": "tls_client_auth" })), "this client wants tls_client_auth, this server can do none or private_key_jwt"),
            (with(json!({ "client_secret": "x" })), "client_secret"),
            (with(json!({ "client_name": "" })), "client_name"),
            (with(json!({ "redirect_uris": ["javascript:alert(1)"] })), "javascript:alert(1)"),
        ];
        for (at, (reply, words)) in cases.into_iter().enumerate() {
            vendor.answer(PATH, reply);
            let page = page(&server, APP).await;
            assert_eq!(page.status.as_u16(), 400);
            assert!(page.text().contains(words), "{words}: {}", page.text());
            assert!(!page.text().contains("not registered here"), "{}", page.text());
            assert_eq!(vendor.count(PATH), at + 1, "{words}");
        }
        assert_eq!(vendor.count("/x"), 0, "no redirect is followed");
        vendor.answer(PATH, Reply::json(&app_document()));
        works(&connector(&server, APP, CALLBACK)).await;
    }

    /// what was approved was another client.
    async fn changed_callbacks_methods_or_keys_ask_for_consent_again(database) {
        let vendor = world().await;
        let website = "https://claude.ai/api/mcp/auth_callback";
        let mut document = app_document();
        document["redirect_uris"] = json!([website]);
        vendor.answer(PATH, Reply::cached(&document, "no-store"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let client = connector(&server, APP, website);
        let mut browser = Browser::new(&server);
        client.authorize(&mut browser, &[]).await;
        let asked = async |browser: &mut Browser| {
            server.advance(2).await;
            browser.open(&client.authorize_url(&[])).await.page().asks()
        };
        assert!(!asked(&mut browser).await, "remembered");
        for (name, value) in [
            ("client_name", json!("Renamed")),
            ("client_uri", json!("https://app.example.com/")),
            ("redirect_uris", json!([website, "https://evil.example/cb"])),
            ("token_endpoint_auth_methods_supported", json!(["none", "private_key_jwt"])),
            ("jwks_uri", json!("https://app.example.com/jwks.json")),
            ("jwks_uri", json!("https://app.example.com/other.json")),
        ] {
            document[name] = value;
            vendor.answer(PATH, Reply::cached(&document, "no-store"));
            // Methods without keys are no methods, so nothing has changed before there are keys.
            let changes = name != "token_endpoint_auth_methods_supported";
            assert_eq!(asked(&mut browser).await, changes, "{name}");
            client.authorize(&mut browser, &[]).await;
            assert!(!asked(&mut browser).await, "{name}");
        }
    }

    /// a vendor that turns data centres away is known by a reviewed copy; the operator's own comes first.
    async fn reviewed_copies_stand_in_for_vendors_out_of_reach(database) {
        let vendor = world().await;
        vendor.answer("/oauth/mcp-oauth-client-metadata", Reply::new("403 Forbidden", &[("content-type", "text/html")], "<html>"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let id = "https://claude.ai/oauth/mcp-oauth-client-metadata";
        works(&connector(&server, id, "https://claude.ai/api/mcp/auth_callback")).await;

        let folder = std::env::temp_dir().join(format!("portcullis_copies_{}", crate::server::unique()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut own = parsed(CLAUDE);
        own["redirect_uris"] = json!(["https://claude.example.com/cb"]);
        std::fs::write(folder.join("claude.json"), own.to_string()).unwrap();
        std::fs::write(folder.join("app.json"), app_document().to_string()).unwrap();
        let settings = [("PORTCULLIS__DOCUMENTS__COPIES_FOLDER", folder.to_str().unwrap())];
        let server = TestServer::beside(database, &vendor, &settings).await;
        works(&connector(&server, id, "https://claude.example.com/cb")).await;
        works(&connector(&server, APP, CALLBACK)).await;
        // The vendor's own word counts as soon as it is to be had.
        vendor.answer("/oauth/mcp-oauth-client-metadata", Reply::json(&parsed(CLAUDE)));
        server.advance(61).await;
        works(&connector(&server, id, "https://claude.ai/api/mcp/auth_callback")).await;
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// the operator decides whose documents count.
    async fn the_policy_is_the_operators(database) {
        let vendor = world().await;
        let claude = "https://claude.ai/oauth/mcp-oauth-client-metadata";
        vendor.answer("/oauth/mcp-oauth-client-metadata", Reply::json(&parsed(CLAUDE)));
        vendor.answer(PATH, Reply::json(&app_document()));
        for (policy, allowed, lets_in) in [
            ("open", "", [true, true]),
            ("known", "", [true, false]),
            ("list", "app.example.com", [false, true]),
            ("list", "https://app.example.com/client.json", [false, true]),
            ("list", "https://app.example.com/other.json,claude.ai", [true, false]),
            ("off", "", [false, false]),
        ] {
            let settings = [("PORTCULLIS__DOCUMENTS__POLICY", policy), ("PORTCULLIS__DOCUMENTS__ALLOWED", allowed)];
            let settings = if allowed.is_empty() { &settings[..1] } else { &settings[..] };
            let server = TestServer::beside(database, &vendor, settings).await;
            let before = vendor.asked().len();
            for (id, callback, lets_in) in [(claude, "https://claude.ai/api/mcp/auth_callback", lets_in[0]), (APP, CALLBACK, lets_in[1])] {
                let landing = Browser::new(&server).open(&connector(&server, id, callback).authorize_url(&[])).await;
                let page = landing.page();
                let refused = page.text().contains("not let in here");
                assert_eq!(!refused, lets_in, "{policy} {allowed} {id}: {}", page.text());
            }
            let fetched = lets_in.iter().filter(|own| **own).count();
            assert_eq!(vendor.asked().len() - before, fetched, "{policy}: what is not let in is not fetched");
            let metadata = crate::server::http().get(server.url("/.well-known/oauth-authorization-server"));
            let metadata: Value = metadata.send().await.unwrap().json().await.unwrap();
            let advertised = metadata.get("client_id_metadata_document_supported");
            assert_eq!(advertised, (policy != "off").then_some(&json!(true)), "{policy}");
        }
    }

    /// S2: URLs that are not fetched, and names that lead inside; the listener there hears nothing.
    async fn nothing_inside_is_reached_through_a_client_id(database) {
        let inside = world().await;
        inside.answer(PATH, Reply::json(&app_document()));
        let port = inside.address.port();
        for address in ["127.0.0.2", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"] {
            let own = OwnDatabase::new(database).await;
            let server = TestServer::beside_on(own, resolver(&[address], port), &[]).await;
            let page = page(&server, APP).await;
            assert!(page.text().contains("does not lead to a public address"), "{address}: {}", page.text());
        }
        let server = TestServer::beside(database, &inside, &[]).await;
        for id in [
            "https://127.0.0.1/client.json",
            "https://[::1]/client.json",
            "https://localhost/client.json",
            "https://app.example.com:8443/client.json",
            "https://app.example.com:443/client.json",
            "https://app.example.com/a/../client.json",
            "https://app.example.com/a/%2e%2e/client.json",
            "https://user@app.example.com/client.json",
            "https://app.example.com/client.json#x",
            "https://app.example.com/",
            "https://APP.example.com/client.json",
            "http://app.example.com/client.json",
        ] {
            let page = page(&server, id).await;
            assert!(page.text().contains("The client's id is not right"), "{id}: {}", page.text());
        }
        assert_eq!(inside.connections(), 0);
    }

    /// B6, T-05: a client that needs its document is not told that it is unknown, at the token endpoint neither.
    async fn names_that_do_not_resolve_are_told(database) {
        let own = OwnDatabase::new(database).await;
        let server = TestServer::beside_on(own, lost(), &[]).await;
        let page = page(&server, APP).await;
        // The same words as for a name that leads inside: strangers learn nothing of the names there.
        assert!(page.text().contains("does not lead to a public address"), "{}", page.text());
    }

    /// many requests for one document make one fetch; newcomers are let in a few at a time.
    async fn a_document_is_fetched_once_for_many_and_newcomers_are_counted(database) {
        let vendor = world().await;
        vendor.answer(PATH, Reply::cached(&app_document(), "no-store").dripping(Duration::from_millis(1)));
        let server = TestServer::beside(database, &vendor, &[("PORTCULLIS__DOCUMENTS__NEW_PER_MINUTE", "2")]).await;
        let url = connector(&server, APP, CALLBACK).authorize_url(&[]);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let request = crate::server::http().get(url.clone());
                tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 303);
        }
        assert!(vendor.count(PATH) <= 3, "{}", vendor.count(PATH));
        for id in ["https://other.example.com/1", "https://other.example.com/2", "https://other.example.com/3"] {
            page(&server, id).await;
        }
        assert_eq!(vendor.count("/3"), 0, "the third newcomer of this minute waits");
        server.advance(61).await;
        page(&server, "https://other.example.com/3").await;
        assert_eq!(vendor.count("/3"), 1);
    }

    /// What an administrator decided holds, whatever a document says.
    async fn disabled_and_deleted_clients_stay_out(database) {
        let vendor = world().await;
        vendor.answer(PATH, Reply::cached(&app_document(), "no-store"));
        let server = TestServer::beside(database, &vendor, &[]).await;
        works(&connector(&server, APP, CALLBACK)).await;
        for column in ["disabled_at", "deleted_at"] {
            crate::bed::raw(&server.database.url, &[&format!("update client set {column} = 5 where id = '{APP}'")]).await.unwrap();
            server.advance(100).await;
            let before = vendor.count(PATH);
            let page = page(&server, APP).await;
            assert!(page.text().contains("disabled") || page.text().contains("deleted"), "{}", page.text());
            assert_eq!(vendor.count(PATH), before);
        }
    }
}

/// the page is the same on every engine, so one is enough: what a person reads when a document is out of reach.
#[tokio::test]
async fn the_page_names_client_and_rule() {
    let vendor = world().await;
    vendor.answer("/oauth/x/client.json", Reply::new("403 Forbidden", &[], ""));
    let server = TestServer::beside(Database::Sqlite, &vendor, &[]).await;
    let page = page(&server, "https://chatgpt.com/oauth/x/client.json").await;
    for words in [
        "ChatGPT says who it is by a document",
        "status 403; only 200 counts",
        "https://chatgpt.com/oauth/x/client.json",
    ] {
        assert!(page.text().contains(words), "{}", page.text());
    }
    let token = connector(&server, APP, CALLBACK);
    token
        .token(&[("grant_type", "authorization_code"), ("code", "x"), ("code_verifier", VERIFIER)])
        .await
        .refused(401, "invalid_client");
}
