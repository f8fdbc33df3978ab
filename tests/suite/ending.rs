//! Grants end at once where they are ended, and soon everywhere; and looking for what has ended costs nothing as long as
//! nothing ends. Nobody polls here but the test.

use oauth::id::{ClientId, GrantId};
use portcullis::model::user::Role;
use reqwest::Method;
use serde_json::json;

use crate::admin::Admin;
use crate::bed::raw;
use crate::browser::Browser;
use crate::connector::{Connector, Tokens};
use crate::on_both_databases;
use crate::server::{Database, NOTHING_BESIDE, PASSWORD, TestServer, http};

/// How many grants of a popular client end with it.
const MANY: u64 = 20_000;

async fn server(database: Database) -> TestServer {
    TestServer::with(database, &[NOTHING_BESIDE]).await
}

fn grant(tokens: &Tokens) -> String {
    tokens.claims()["grant"].as_str().unwrap().to_owned()
}

/// Another copy of the server, which learns of nothing by itself.
async fn replica(server: &TestServer) -> TestServer {
    server.replica(&[NOTHING_BESIDE]).await
}

/// Gives a client many more grants, of the kind that it has.
async fn add_many(server: &TestServer, client: &Connector) {
    let sql = format!(
        "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at, created_at,
             expires_at)
         with recursive number (n) as (select 1 union all select n + 1 from number where n < {MANY})
         select 'grt_many_' || n, g.user_id, g.client_id, g.redirect_uri, g.scope, g.resource, g.authenticated_at,
                g.created_at, g.expires_at
         from number, (select * from token_grant where client_id = '{}' limit 1) as g where true",
        client.client_id
    );
    raw(&server.database.url, &[&sql]).await.unwrap();
}

/// Rows that a poll reads.
async fn poll(server: &TestServer) -> u64 {
    server.app.poll().await.unwrap()
}

on_both_databases! {
    /// RFC 7009 §2, T15: whoever ends a connection in whatever way: when the answer is there, its tokens have stopped at
    /// the process that gave it. Others' go on.
    async fn every_ending_bites_before_it_is_answered(database) {
        let server = server(database).await;
        let elsewhere = replica(&server).await;
        let admin = Admin::of(&server).await;
        server.add_user("zoe", PASSWORD, Role::User).await;
        let zoe = server.user_id("zoe").await;
        let kept = Connector::named(&server, "Kept").await;
        let bystander = kept.connect().await;
        let kinds = [
            "refresh token revoked", "access token revoked", "ended elsewhere, then revoked", "code replayed",
            "refresh token replayed", "disconnected by the person", "ended by an administrator", "client disabled",
            "client disabled elsewhere, then here", "client deleted", "registration deleted", "password changed",
            "user disabled",
        ];
        for kind in kinds {
            let client = Connector::named(&server, kind).await;
            let mut browser = Browser::new(&server);
            let page = browser.open(&client.authorize_url(&[])).await.page();
            let page = browser.sign_in_as(&page, "zoe", PASSWORD).await.page();
            let code = browser.submit(&page, &[("decision", "approve")]).await.callback().one("code");
            let tokens = client.redeem(&code).await.tokens();
            assert!(client.is_let_in(&tokens.access).await, "{kind}");
            let id = grant(&tokens);
            match kind {
                "refresh token revoked" => drop(client.revoke(tokens.refresh()).await),
                "access token revoked" => drop(client.revoke(&tokens.access).await),
                "ended elsewhere, then revoked" => {
                    client.turned_to(&elsewhere).revoke(tokens.refresh()).await;
                    client.revoke(tokens.refresh()).await;
                }
                "code replayed" => drop(client.redeem(&code).await.refused(400, "invalid_grant")),
                "refresh token replayed" => {
                    let next = client.refresh(tokens.refresh()).await.tokens();
                    client.refresh(next.refresh()).await.tokens();
                    server.pass(10);
                    client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
                }
                "disconnected by the person" => {
                    let page = browser.open("/account").await.page();
                    browser.submit_to(&page, &format!("/account/connections/{id}/revoke")).await;
                }
                "ended by an administrator" => {
                    assert_eq!(admin.delete(&format!("/connections/{id}")).await.status, 204);
                }
                "client disabled" => {
                    assert_eq!(admin.post(&format!("/clients/{}/disable", client.client_id), &json!({})).await.status, 200);
                }
                "client disabled elsewhere, then here" => {
                    let own = ClientId::new(client.client_id.as_str());
                    elsewhere.app.store().disable_client(&own, server.now()).await.unwrap();
                    assert_eq!(admin.post(&format!("/clients/{}/disable", client.client_id), &json!({})).await.status, 200);
                }
                "client deleted" => {
                    assert_eq!(admin.delete(&format!("/clients/{}", client.client_id)).await.status, 204);
                }
                "registration deleted" => {
                    let own = |name: &str| client.registration[name].as_str().unwrap().to_owned();
                    let request = http().request(Method::DELETE, own("registration_client_uri"));
                    let request = request.bearer_auth(own("registration_access_token"));
                    assert_eq!(request.send().await.unwrap().status(), 204);
                }
                "password changed" => {
                    let body = json!({ "password": PASSWORD });
                    let answer = admin.send(Method::PUT, &format!("/users/{zoe}/password"), &body).await;
                    assert_eq!(answer.status, 204, "{}", answer.text);
                }
                "user disabled" => {
                    assert_eq!(admin.post(&format!("/users/{zoe}/disable"), &json!({})).await.status, 200);
                }
                other => panic!("{other}"),
            }
            assert!(!client.is_let_in(&tokens.access).await, "let in after: {kind}");
            assert!(kept.is_let_in(&bystander.access).await, "{kind}");
            // The other copy knows it after its next look.
            poll(&elsewhere).await;
            assert!(!client.turned_to(&elsewhere).is_let_in(&tokens.access).await, "let in elsewhere after: {kind}");
        }
    }

    /// T15: whoever asks for a code or a token of somebody else's, or in vain, ends nothing.
    async fn what_ends_nothing_stops_nothing(database) {
        let server = server(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let (id, store) = (GrantId::new(grant(&tokens)), server.app.store());
        server.add_user("zoe", PASSWORD, Role::User).await;
        let zoe = server.user_id("zoe").await;
        assert!(!store.disconnect(&zoe, &id, server.now()).await.unwrap());
        assert!(!store.revoke_grant(&GrantId::new("grt_nobody"), "x", server.now()).await.unwrap());
        assert!(!store.end_connection(&GrantId::new("grt_nobody"), server.now()).await.unwrap());
        store.disable_user(&zoe, server.now()).await.unwrap();
        client.redeem("pcc_never_was").await.refused(400, "invalid_grant");
        client.refresh("pcr_never_was").await.refused(400, "invalid_grant");
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// A look reads what is new: after a popular client was deleted there is one row to read, not all its grants each
    /// time, and soon none. All the same every copy knows all of them, also one that has just started.
    async fn a_poll_reads_what_is_new_and_no_more(database) {
        let server = server(database).await;
        let client = Connector::public(&server).await;
        let popular = Connector::named(&server, "Popular").await;
        let (alone, first) = (client.connect().await, popular.connect().await);
        add_many(&server, &popular).await;
        let last = popular.connect().await;
        let elsewhere = replica(&server).await;
        let there = popular.turned_to(&elsewhere);
        assert_eq!((poll(&server).await, poll(&elsewhere).await), (0, 0));

        let own = ClientId::new(popular.client_id.as_str());
        assert!(server.app.store().delete_client(&own, server.now()).await.unwrap());
        for tokens in [&first, &last] {
            assert!(!popular.is_let_in(&tokens.access).await);
            assert!(there.is_let_in(&tokens.access).await, "nobody has looked there");
        }
        assert_eq!(poll(&elsewhere).await, 1 + MANY + 2);
        for tokens in [&first, &last] {
            assert!(!there.is_let_in(&tokens.access).await);
        }
        // A quarter of a second later, and so on.
        for _ in 0..8 {
            assert_eq!(poll(&elsewhere).await, 1);
        }
        client.revoke(alone.refresh()).await;
        assert_eq!(poll(&elsewhere).await, 2);
        assert!(!client.turned_to(&elsewhere).is_let_in(&alone.access).await);
        for _ in 0..5 {
            elsewhere.pass(25);
            poll(&elsewhere).await;
        }
        assert_eq!(poll(&elsewhere).await, 0);

        // From time to time the whole is read, beside the rest and a page at a time.
        elsewhere.pass(300);
        let (mut all, mut looks) = (0, 0);
        while all < MANY + 3 {
            let rows = poll(&elsewhere).await;
            assert!((1..=1_000).contains(&rows), "{rows}");
            (all, looks) = (all + rows, looks + 1);
            assert!(looks < 100);
        }
        assert_eq!(poll(&elsewhere).await, 0);

        let late = replica(&server).await;
        for tokens in [&first, &last] {
            assert!(!popular.turned_to(&late).is_let_in(&tokens.access).await, "a copy that started later");
        }
    }

    /// What is committed late, by a transaction that took long or a replica whose clock is behind, is found by the overlap
    /// at the next look; what no overlap finds is found by the reading of the whole.
    async fn late_news_are_found(database) {
        let server = server(database).await;
        let client = Connector::public(&server).await;
        for (behind, found_at_once) in [(0, true), (119, true), (3_000, false)] {
            let tokens = client.connect().await;
            poll(&server).await;
            let sql = format!(
                "update token_grant set revoked_at = {}, revoked_because = 'late' where id = '{}'",
                server.now().0 - behind,
                grant(&tokens)
            );
            raw(&server.database.url, &[&sql]).await.unwrap();
            poll(&server).await;
            assert_eq!(!client.is_let_in(&tokens.access).await, found_at_once, "{behind} s behind");
            if !found_at_once {
                server.advance(300).await;
                assert!(!client.is_let_in(&tokens.access).await);
            }
        }
    }

    /// However long a copy could not look, it goes on where it had stopped.
    async fn a_look_goes_on_where_the_last_one_stopped(database) {
        let server = server(database).await;
        let client = Connector::public(&server).await;
        let elsewhere = replica(&server).await;
        let there = client.turned_to(&elsewhere);
        let ended = [client.connect().await, client.connect().await];
        for tokens in &ended {
            server.pass(900);
            client.revoke(tokens.refresh()).await;
        }
        let alive = client.connect().await;
        elsewhere.pass(1_900);
        poll(&elsewhere).await;
        for tokens in &ended {
            assert!(!there.is_let_in(&tokens.access).await);
        }
        assert!(there.is_let_in(&alive.access).await);
    }
}

/// The rule behind all of them: `revoked_at` of a grant is written in one file, whose macros give what is to be told.
#[test]
fn grants_are_ended_in_one_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
    let mut places = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        places.extend(text.match_indices("update token_grant set").map(|_| name.clone()));
    }
    assert_eq!(places, ["ending.rs"; 3]);
}
