//! The upgrade from the release before: its database, and its copies that run on while the new ones start.

use serde_json::json;

use crate::admin::Admin;
use crate::bed::raw;
use crate::browser::Browser;
use crate::connector::{CALLBACK, Connector, answer, register_at};
use crate::documents::{APP, NAMES, app_document};
use crate::on_both_databases;
use crate::server::{TestServer, http};
use crate::vendor::{Reply, Vendor};

const PATH: &str = "/client.json";
const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";
const CHATGPT: &str = "https://chatgpt.com/connector/oauth/abc123";

/// Takes the newest migration back, so that the database is as the release before left it.
const AS_BEFORE: [&str; 2] =
    ["alter table client drop column metadata", "delete from _sqlx_migrations where version = 10"];

/// A client's columns as the release before reads them.
async fn columns(server: &TestServer, client: &Connector) -> Vec<String> {
    let sql = format!(
        "select name, redirect_uris, auth_method, grant_types, scope from client where id = '{}'",
        client.client_id
    );
    raw(&server.database.url, &[&sql]).await.unwrap().remove(0)
}

on_both_databases! {
    /// B-38: clients of all origins, their connections, what people approved and the record of attempts live on.
    async fn nobody_connects_again_after_an_upgrade(database) {
        let vendor = Vendor::start(&NAMES).await;
        let mut document = app_document();
        document["redirect_uris"] = json!([CLAUDE]);
        vendor.answer(PATH, Reply::json(&document));
        let server = TestServer::beside(database, &vendor, &[]).await;
        let admin = Admin::of(&server).await;
        let clients = [
            Connector::public(&server).await,
            Connector::confidential(&server, "client_secret_basic").await,
            Connector::known(&server, APP, CLAUDE),
            admin.typed(&server, CHATGPT, "client_secret_post", json!({ "description": "For the team" })).await,
        ];
        let mut browser = Browser::new(&server);
        let mut connections = Vec::new();
        for client in &clients {
            let callback = client.authorize(&mut browser, &[]).await;
            connections.push(client.redeem(&callback.one("code")).await.tokens());
        }
        server.advance(2).await;
        let asked = vendor.count(PATH);
        let before = server.number("select count(*) from client").await;

        let server = server.restart_after(&AS_BEFORE, &[]).await;

        assert_eq!(server.number("select count(*) from client where metadata is not null").await, before);
        let told = server.number("select count(distinct client_id) from attempt_event where stage = 'redeem'").await;
        assert_eq!(told, 4, "the record of each client's attempt is there");
        browser.turn_to(&server);
        for (client, tokens) in clients.iter().zip(&connections) {
            let client = client.turned_to(&server);
            assert!(client.is_let_in(&tokens.access).await, "{}", client.client_id);
            let again = client.refresh(tokens.refresh()).await.tokens();
            assert!(client.is_let_in(&again.access).await, "{}", client.client_id);
            // A website's approval is remembered; a program on this device is asked about each time, in either release.
            if client.redirect_uri == CLAUDE {
                assert!(!browser.open(&client.authorize_url(&[])).await.page().asks(), "{}", client.client_id);
            }
        }
        assert_eq!(vendor.count(PATH), asked, "the copy of the document is as fresh as it was");
        // The same registration is the same client.
        let said: Vec<_> = ["client_name", "redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types"]
            .into_iter()
            .map(|member| (member.to_owned(), clients[0].registration[member].clone()))
            .collect();
        let again = register_at(&server.address, &said.into_iter().collect()).await;
        assert_eq!(again.json["client_id"], clients[0].client_id.as_str(), "{}", again.text);
    }

    /// While an upgrade is under way, each release lets in the clients of the other, and what either wrote last counts.
    async fn copies_of_both_releases_work_side_by_side(database) {
        let server = TestServer::start(database).await;
        let client = Connector::named(&server, "App").await;
        let scope = server.text("select scope from client").await;
        let grants = "[\"authorization_code\"]";
        assert_eq!(columns(&server, &client).await, ["App", "[\"http://127.0.0.1:9/callback\"]", "none", grants, &scope]);

        // The statements of the release before, which knows no column named metadata.
        server
            .sql(&format!(
                "insert into client (id, name, redirect_uris, auth_method, grant_types, scope, shared, registered_at)
                 values ('pc_old', 'Old', '[\"{CALLBACK}\"]', 'none', '{grants}', '{scope}', false, 1)"
            ))
            .await;
        let old = Connector::known(&server, "pc_old", CALLBACK);
        let tokens = old.connect().await;
        assert!(old.is_let_in(&tokens.access).await);

        let elsewhere = "http://127.0.0.1:9/elsewhere";
        server
            .sql(&format!(
                "update client set redirect_uris = '[\"{elsewhere}\"]', name = 'Renamed' where id = '{}'",
                client.client_id
            ))
            .await;
        let page = Browser::new(&server).open(&client.authorize_url(&[])).await.page();
        assert!(page.text().contains("does not match"), "{}", page.text());
        let mut moved = client.clone();
        elsewhere.clone_into(&mut moved.redirect_uri);
        let mut browser = Browser::new(&server);
        let question = browser.open(&moved.authorize_url(&[])).await.page();
        let question = browser.sign_in(&question).await.page();
        assert!(question.text().contains("Renamed"), "{}", question.text());

        // Another start fills what is missing and takes nothing back; a change by the new release is whole again.
        let server = server.restart(&[]).await;
        assert_eq!(server.number("select count(*) from client where metadata is null").await, 0);
        assert_eq!(columns(&server, &client).await[0], "Renamed");
        let management = client.registration["registration_client_uri"].as_str().unwrap();
        let management = management.replace(&server.origin, &server.address);
        let token = client.registration["registration_access_token"].as_str().unwrap();
        let body = json!({ "client_name": "Third", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
        let put = http().put(management).bearer_auth(token).header("content-type", "application/json");
        assert_eq!(answer(put.body(body.to_string())).await.json["client_name"], "Third");
        assert_eq!(columns(&server, &client).await[..2], ["Third", "[\"http://127.0.0.1:9/callback\"]"]);
        let stored = server.text(&format!("select metadata from client where id = '{}'", client.client_id)).await;
        assert!(stored.contains("\"client_name\":\"Third\"") && stored.contains(CALLBACK), "{stored}");
    }
}
