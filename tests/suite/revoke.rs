//! Ending connections: by the client, by the person, by the administrator; and how soon each replica knows.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use portcullis::model::user::Role;

use crate::browser::{Browser, Page};
use crate::connector::{Answer, Connector, FORM, basic, form, post_form};
use crate::on_both_databases;
use crate::server::{TestServer, http};

/// How soon a revocation must bite, and some more for a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// Revokes with exactly these parameters.
async fn revoke_with(server: &TestServer, params: &[(&str, &str)]) -> Answer {
    post_form(&server.url("/revoke"), &[FORM], form(params)).await
}

/// Expects the one good answer: 200 without a body.
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// Waits, in real time and without moving any clock, until a token is refused.
async fn assert_stops_soon(client: &Connector, access_token: &str) {
    let began = Instant::now();
    while client.is_let_in(access_token).await {
        assert!(began.elapsed() < SOON, "still let in after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A browser that is signed in, at the account page.
async fn account_page(server: &TestServer, name: &str, password: &str) -> (Browser, Page) {
    let mut browser = Browser::new(server);
    let page = browser.open("/login").await.page();
    let page = browser.sign_in_as(&page, name, password).await.page();
    assert!(page.url.ends_with("/account"), "{}", page.url);
    (browser, page)
}

on_both_databases! {
    /// V-01, B-19, C-11: what ChatGPT's Disconnect sends ends the connection, whichever token it sends.
    async fn either_token_ends_the_connection(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        for by_refresh in [true, false] {
            let tokens = client.connect().await;
            let bystander = client.connect().await;
            let token = if by_refresh { tokens.refresh() } else { &tokens.access };
            assert_done(&client.revoke(token).await);
            client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
            server.advance(1).await;
            assert!(!client.is_let_in(&tokens.access).await);
            assert!(client.is_let_in(&bystander.access).await);
            assert_eq!(client.refresh(bystander.refresh()).await.status, StatusCode::OK);
        }
    }

    /// V-01: a refresh token that was rotated away still names its connection.
    async fn a_used_refresh_token_ends_the_connection(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        assert_done(&client.revoke(first.refresh()).await);
        client.refresh(second.refresh()).await.refused(400, "invalid_grant");
    }

    /// V-01, B-19, RFC 7009 §2.2: unknown, revoked and foreign tokens get the same empty 200.
    async fn revocation_is_idempotent(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        for token in [tokens.refresh(), tokens.refresh(), &tokens.access, &tokens.access, "unknown", "a.b.c", "pcr_x"] {
            assert_done(&client.revoke(token).await);
        }
    }

    /// S4: nobody ends another client's connection, by either token.
    async fn a_client_cannot_revoke_anothers_token(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let other = Connector::named(&server, "Another client").await;
        let tokens = client.connect().await;
        assert_done(&other.revoke(tokens.refresh()).await);
        assert_done(&other.revoke(&tokens.access).await);
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await);
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
    }

    /// RFC 7009 §2.1: the hint is a hint, also a wrong or unknown one.
    async fn the_hint_changes_nothing(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        for hint in ["access_token", "refresh_token", "id_token", ""] {
            let tokens = client.connect().await;
            let id = client.client_id.as_str();
            let params = [("token", tokens.refresh()), ("token_type_hint", hint), ("client_id", id)];
            assert_done(&revoke_with(&server, &params).await);
            client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
        }
    }

    /// V-01, R-03: a confidential client proves itself as at the token endpoint; a thief of a token can't end it.
    async fn a_confidential_client_must_authenticate_to_revoke(database) {
        let server = TestServer::start(database).await;
        let client = Connector::confidential(&server, "client_secret_basic").await;
        let (id, secret) = (client.client_id.clone(), client.client_secret.clone().unwrap());
        let tokens = client.connect().await;
        let token = [("token", tokens.refresh())];
        revoke_with(&server, &token).await.refused(401, "invalid_client");
        let named = [("token", tokens.refresh()), ("client_id", id.as_str())];
        revoke_with(&server, &named).await.refused(401, "invalid_client");
        let posted = [("token", tokens.refresh()), ("client_id", id.as_str()), ("client_secret", secret.as_str())];
        revoke_with(&server, &posted).await.refused(401, "invalid_client");
        let wrong = basic(&id, "pcs_wrong");
        let answer = post_form(&server.url("/revoke"), &[FORM, ("authorization", &wrong)], form(&token)).await;
        assert!(answer.refused(401, "invalid_client").headers["www-authenticate"].as_bytes().starts_with(b"Basic "));
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await);
        let right = basic(&id, &secret);
        assert_done(&post_form(&server.url("/revoke"), &[FORM, ("authorization", &right)], form(&token)).await);
        server.advance(1).await;
        assert!(!client.is_let_in(&tokens.access).await);
    }

    /// V-01: faults of the request are JSON with the codes of the token endpoint.
    async fn a_broken_revocation_is_refused_plainly(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let id = [("client_id", client.client_id.as_str())];
        revoke_with(&server, &id).await.refused(400, "invalid_request");
        revoke_with(&server, &[("token", "x"), ("token", "y"), id[0]]).await.refused(400, "invalid_request");
        revoke_with(&server, &[("token", "x")]).await.refused(401, "invalid_client");
        revoke_with(&server, &[("token", "x"), ("client_id", "pc_gone")]).await.refused(401, "invalid_client");
        let json = post_form(&server.url("/revoke"), &[("content-type", "application/json")], r#"{"token":"x"}"#).await;
        json.refused(400, "invalid_request");
        let got = http().get(server.url("/revoke")).send().await.unwrap();
        assert_eq!(got.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    /// V-01, T15: nobody moves a clock here: the servers learn of it by themselves, the other replica too.
    async fn a_revocation_bites_within_a_second_on_every_replica(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        let client = Connector::public(&server).await;
        let there = client.turned_to(&replica);
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await && there.is_let_in(&tokens.access).await);
        assert_done(&client.revoke(tokens.refresh()).await);
        assert_stops_soon(&client, &tokens.access).await;
        assert_stops_soon(&there, &tokens.access).await;
        let answer = there.call(&tokens.access, "whoami", json!({})).await;
        assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
        there.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
    }

    /// T-25, B-07: an administrator who disables an account ends its tokens on every replica within a second.
    async fn disabling_a_user_stops_their_tokens_within_a_second(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        server.add_user("grace", "another long password", Role::User).await;
        let client = Connector::public(&server).await;
        let there = client.turned_to(&replica);
        let (one, two) = (client.connect().await, Connector::named(&server, "Another").await.connect().await);
        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in_as(&page, "grace", "another long password").await.page();
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        let grace = client.redeem(&callback.one("code")).await.tokens();
        let ada = server.user_id("ada").await;
        server.app.store().disable_user(&ada, server.now()).await.unwrap();
        for client in [&client, &there] {
            assert_stops_soon(client, &one.access).await;
            assert_stops_soon(client, &two.access).await;
        }
        assert!(client.is_let_in(&grace.access).await && there.is_let_in(&grace.access).await);
    }

    /// V-05: a person ends a connection on their account page; it is gone from the page and from /mcp.
    async fn a_person_disconnects_a_client(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let (one, two) = (client.connect().await, Connector::named(&server, "Kept").await.connect().await);
        let (mut browser, page) = account_page(&server, "ada", crate::server::PASSWORD).await;
        assert_eq!(page.body.matches("/revoke\"").count(), 2);
        let grant = one.claims()["grant"].as_str().unwrap().to_owned();
        let page = browser.submit_to(&page, &format!("/account/connections/{grant}/revoke")).await.page();
        assert_eq!((page.status, page.body.matches("/revoke\"").count()), (StatusCode::OK, 1));
        client.refresh(one.refresh()).await.refused(400, "invalid_grant");
        assert_stops_soon(&client, &one.access).await;
        assert!(client.is_let_in(&two.access).await);
    }

    /// B-15, B-27: nobody ends another person's connection, nor one's own without the form's token.
    async fn a_person_ends_only_their_own_connections(database) {
        let server = TestServer::start(database).await;
        server.add_user("grace", "another long password", Role::User).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let grant = tokens.claims()["grant"].as_str().unwrap().to_owned();
        let path = format!("/account/connections/{grant}/revoke");
        let (mut grace, page) = account_page(&server, "grace", "another long password").await;
        assert!(!page.body.contains(&grant));
        let (_, fields) = page.fields("csrf");
        grace.send(Method::POST, &path, Some(&fields)).await;
        let (mut ada, _) = account_page(&server, "ada", crate::server::PASSWORD).await;
        // With the token of another person's form, and without any.
        let foreign = ada.send(Method::POST, &path, Some(&fields)).await;
        let without = ada.send(Method::POST, &path, Some(&std::collections::BTreeMap::new())).await;
        for page in [foreign, without] {
            assert!(page.status.is_client_error(), "{}", page.status);
        }
        let stranger = Browser::new(&server).send(Method::POST, &path, Some(&fields)).await;
        assert_eq!(stranger.status, StatusCode::SEE_OTHER);
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await);
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
    }
}
