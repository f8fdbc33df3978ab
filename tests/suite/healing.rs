//! Stale registrations (B8): who presents an id that is not stored any more is taken in again where that is safe, and
//! else told what to do in that very client.

use oauth::time::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

use crate::browser::Browser;
use crate::connector::Connector;
use crate::on_both_databases;
use crate::server::{Database, TestServer};

const VENDOR: &str = "https://chatgpt.com/connector_platform_oauth_redirect";

async fn client(server: &TestServer, redirect_uri: &str, method: &str) -> Connector {
    let body = json!({
        "client_name": "Some client", "redirect_uris": [redirect_uri], "token_endpoint_auth_method": method,
    });
    Connector::registered(server, &body).await
}

/// The same client at a server that has never heard of it: another database under the same address.
async fn elsewhere(database: Database, redirect_uri: &str, method: &str) -> (TestServer, Connector) {
    let before = TestServer::start(database).await;
    let client = client(&before, redirect_uri, method).await;
    let after = TestServer::start(database).await;
    let mut moved = client.turned_to(&after);
    moved.resource = after.mcp();
    (after, moved)
}

on_both_databases! {
    /// B8: an id of ours that was lost here works again for a public client whose answer goes to a reviewed vendor or to
    /// this device. The person is asked like for any new client.
    async fn a_lost_public_registration_heals_where_it_is_safe(database) {
        for redirect_uri in [VENDOR, "http://127.0.0.1:33418/"] {
            let (server, client) = elsewhere(database, redirect_uri, "none").await;
            let mut browser = Browser::new(&server);
            let callback = client.authorize(&mut browser, &[]).await;
            let tokens = client.redeem(&callback.one("code")).await.tokens();
            assert!(client.is_let_in(&tokens.access).await, "{redirect_uri}");
            client.refresh(tokens.refresh()).await.tokens();
        }
    }

    /// C3, RFC 9700 §4.11: nobody can wait with a website of their own at an id that they have seen.
    async fn a_lost_registration_does_not_heal_to_an_unknown_website(database) {
        let (server, client) = elsewhere(database, "https://evil.example/cb", "none").await;
        let page = Browser::new(&server).open(&client.authorize_url(&[])).await.page();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text().contains("not registered here"), "{}", page.text());
    }

    /// B8: only ids of our own making, and only where anybody may register.
    async fn ids_that_are_not_ours_are_not_taken_in(database) {
        let server = TestServer::start(database).await;
        let client = client(&server, VENDOR, "none").await;
        for id in ["pc_short", "made-up", "pc_AAAAAAAAAAAAAAAAAAAAA%", "xx_AAAAAAAAAAAAAAAAAAAAAA"] {
            let url = client.authorize_url(&[("client_id", id)]);
            assert_eq!(Browser::new(&server).open(&url).await.page().status, StatusCode::BAD_REQUEST, "{id}");
        }
        let closed = TestServer::with(database, &[("PORTCULLIS__REGISTRATION__POLICY", "off")]).await;
        let mut turned = client.turned_to(&closed);
        turned.resource = closed.mcp();
        let page = Browser::new(&closed).open(&turned.authorize_url(&[])).await.page();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
    }

    /// T-05: a confidential client that was lost can't heal at the token endpoint; the code that it gets makes it register anew.
    async fn a_lost_confidential_client_is_told_to_register_again(database) {
        let (server, client) = elsewhere(database, VENDOR, "client_secret_post").await;
        let mut browser = Browser::new(&server);
        let callback = client.authorize(&mut browser, &[]).await;
        let answer = client.redeem(&callback.one("code")).await;
        answer.refused(401, "invalid_client");
    }

    /// RFC 7592 §2.3: what was deleted stays deleted.
    async fn a_deleted_client_is_not_taken_in_again(database) {
        let server = TestServer::start(database).await;
        let client = client(&server, VENDOR, "client_secret_post").await;
        let deleted = crate::server::http()
            .delete(client.registration["registration_client_uri"].as_str().unwrap())
            .bearer_auth(client.registration["registration_access_token"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        let page = Browser::new(&server).open(&client.authorize_url(&[])).await.page();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text().contains("deleted here"), "{}", page.text());
    }

    /// B8: the way out is the one of the client at hand, told by its callback, and not a list of thirteen.
    async fn an_unknown_client_is_told_the_way_out_of_its_own_program(database) {
        let server = TestServer::start(database).await;
        let client = client(&server, VENDOR, "none").await;
        for (redirect_uri, advice, other) in [
            ("http://127.0.0.1:33418/", "Remove Dynamic Authentication Providers", "~/.mcp-auth"),
            ("http://localhost:49152/oauth/callback", "~/.mcp-auth", "Remove Dynamic"),
            (VENDOR, "In ChatGPT, open Settings", "~/.mcp-auth"),
            ("https://app.insomnia.rest/oauth/redirect", "clear the OAuth 2 session", "In ChatGPT"),
        ] {
            let url = client.authorize_url(&[("client_id", "gone"), ("redirect_uri", redirect_uri)]);
            let text = Browser::new(&server).open(&url).await.page().text();
            assert!(text.contains(advice) && !text.contains(other), "{redirect_uri}: {text}");
        }
        let url = client.authorize_url(&[("client_id", "gone"), ("redirect_uri", "https://unknown.example/")]);
        let text = Browser::new(&server).open(&url).await.page().text();
        assert!(text.contains("~/.mcp-auth") && text.contains("In ChatGPT"), "{text}");
    }

    /// B7: what was taken in and never used is forgotten like any registration.
    async fn what_was_taken_in_and_never_used_is_swept(database) {
        let (server, client) = elsewhere(database, VENDOR, "none").await;
        Browser::new(&server).open(&client.authorize_url(&[])).await;
        let store = server.app.store();
        let id = oauth::id::ClientId::new(&client.client_id);
        assert!(store.find_client(&id).await.unwrap().is_some());
        let later = Timestamp(server.now().0 + 400 * 86_400);
        store.forget_unused_clients(later).await.unwrap();
        assert!(store.find_client(&id).await.unwrap().is_none());
    }
}
