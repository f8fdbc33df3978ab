//! Refresh: rotation, the grace window, what a refresh may ask, and what ends it.

use reqwest::{Method, StatusCode};

use crate::browser::Browser;
use crate::connector::{Answer, Connector, Tokens};
use crate::on_both_databases;
use crate::server::{TestServer, http};

const DAY: i64 = 24 * 3600;

/// Refreshes so many times at once.
async fn at_once(count: usize, client: &Connector, refresh_token: &str) -> Vec<Answer> {
    let racers: Vec<_> = (0..count)
        .map(|_| {
            let (client, token) = (client.clone(), refresh_token.to_owned());
            tokio::spawn(async move { client.refresh(&token).await })
        })
        .collect();
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    answers
}

/// Refreshes with more parameters.
async fn refresh_with(client: &Connector, token: &str, more: &[(&str, &str)]) -> Answer {
    client.token(&[&[("grant_type", "refresh_token"), ("refresh_token", token)], more].concat()).await
}

/// A connection that allows this scope.
async fn connect_with(server: &TestServer, client: &Connector, scope: &str) -> Tokens {
    let callback = client.authorize(&mut Browser::new(server), &[("scope", scope)]).await;
    client.redeem(&callback.one("code")).await.tokens()
}

/// Nothing of this connection works any more.
async fn assert_ended(server: &TestServer, client: &Connector, tokens: &[&Tokens]) {
    server.advance(1).await;
    for tokens in tokens {
        assert!(!client.is_let_in(&tokens.access).await);
        client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
    }
}

on_both_databases! {
    /// T-20, T-22, B-07: each refresh gives a new token of both kinds, with the same scope, audience and grant.
    async fn refresh_rotates_both_tokens(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let mut last = first.clone();
        for _ in 0..3 {
            server.advance(3600).await;
            let next = client.refresh(last.refresh()).await.tokens();
            assert_ne!((&next.access, &next.refresh), (&last.access, &last.refresh));
            assert_eq!(next.scope, first.scope);
            for claim in ["aud", "iss", "sub", "client_id", "grant", "auth_time", "scope"] {
                assert_eq!(next.claims()[claim], first.claims()[claim], "{claim}");
            }
            assert_ne!(next.claims()["jti"], last.claims()["jti"]);
            assert!(client.is_let_in(&next.access).await);
            last = next;
        }
    }

    /// T-21, B-07, D1: one lost answer costs nothing.
    async fn refresh_repeated_inside_the_grace_gets_the_same_successor(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let lost = client.refresh(tokens.refresh()).await.tokens();
        let again = client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(again.refresh, lost.refresh);
        assert!(client.is_let_in(&again.access).await);
        // Retries have been seen up to 76 seconds later.
        server.advance(76).await;
        let late = client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(late.refresh, lost.refresh);
        // From then on it is the successor's turn, which may be repeated itself.
        let next = client.refresh(lost.refresh()).await.tokens();
        assert_eq!(client.refresh(late.refresh()).await.tokens().refresh, next.refresh);
        assert!(client.is_let_in(&next.access).await);
    }

    /// RFC 9700 §4.14.2, T12: once the successor is in use, its ancestors are dead, and a late one ends the connection,
    /// inside the window too: owner and finder can't both go on.
    async fn an_ancestor_of_a_used_token_ends_the_connection(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        for ancestor in 0..2 {
            let mut line = vec![client.connect().await];
            for _ in 0..3 {
                line.push(client.refresh(line.last().unwrap().refresh()).await.tokens());
            }
            server.advance(10).await;
            let refused = client.refresh(line[ancestor].refresh()).await;
            refused.refused(400, "invalid_grant");
            assert!(refused.text.contains("for safety the connection was ended"), "{}", refused.text);
            assert_ended(&server, &client, &line.iter().collect::<Vec<_>>()).await;
        }
    }

    /// T12: requests that were sent at once and arrive after a quicker one has gone on are refused, and end nothing.
    async fn an_overtaken_refresh_is_refused_and_ends_nothing(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        let third = client.refresh(second.refresh()).await.tokens();
        let fourth = client.refresh(third.refresh()).await.tokens();
        server.advance(9).await;
        for _ in 0..3 {
            let refused = client.refresh(first.refresh()).await;
            refused.refused(400, "invalid_grant");
            assert!(refused.text.contains("go on with the new one"), "{}", refused.text);
        }
        assert!(client.is_let_in(&fourth.access).await);
        assert_eq!(client.refresh(fourth.refresh()).await.status, StatusCode::OK);
    }

    /// T12: a program that asks several times at once, and reads the new token while a request with the old one is still
    /// under way, gets the same tokens everywhere: one step ahead, for ten seconds, as long as nobody has gone further.
    async fn requests_sent_at_once_get_what_the_quickest_got(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        let third = client.refresh(second.refresh()).await.tokens();
        server.advance(9).await;
        let slow = client.refresh(first.refresh()).await.tokens();
        assert_eq!(slow.refresh, third.refresh);
        assert!(client.is_let_in(&slow.access).await);
        let fourth = client.refresh(third.refresh()).await.tokens();
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert!(client.is_let_in(&fourth.access).await);
        server.advance(1).await;
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert!(!client.is_let_in(&fourth.access).await, "after ten seconds it is reuse");
    }

    /// However many of them come, and in whatever order: requests sent at once end nothing. Those beyond
    /// `refresh_grace_uses` are refused.
    async fn many_requests_sent_at_once_end_nothing(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH_GRACE_USES", "3")]).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        let third = client.refresh(second.refresh()).await.tokens();
        for time in 1..=8 {
            let answer = client.refresh(first.refresh()).await;
            if time <= 3 {
                assert_eq!(answer.tokens().refresh, third.refresh, "{time}");
            } else {
                answer.refused(400, "invalid_grant");
            }
        }
        assert!(client.is_let_in(&third.access).await, "nothing was ended");
        assert_eq!(client.refresh(third.refresh()).await.status, StatusCode::OK);
    }

    /// `refresh_grace` bounds the time for requests under way, too: without it nothing is forgiven.
    async fn a_short_grace_shortens_the_time_for_requests_under_way(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH_GRACE", "3s")]).await;
        let client = Connector::public(&server).await;
        for (after, ends) in [(2, false), (3, true)] {
            let first = client.connect().await;
            let second = client.refresh(first.refresh()).await.tokens();
            let third = client.refresh(second.refresh()).await.tokens();
            server.advance(after).await;
            assert_eq!(client.refresh(first.refresh()).await.status == StatusCode::OK, !ends, "after {after} seconds");
            let went_on = client.refresh(third.refresh()).await.status == StatusCode::OK;
            assert_eq!(went_on, !ends, "after {after} seconds");
        }
    }

    /// T-21, B-07, D1: ten processes with one token, under default settings.
    async fn parallel_refreshes_agree(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let answers = at_once(10, &client, tokens.refresh()).await;
        let all: Vec<_> = answers.iter().map(Answer::tokens).collect();
        assert!(all.iter().all(|own| own.refresh == all[0].refresh && own.refresh != tokens.refresh));
        for own in &all {
            assert!(client.is_let_in(&own.access).await);
        }
        let answers = at_once(10, &client, all[0].refresh()).await;
        let next: Vec<_> = answers.iter().map(Answer::tokens).collect();
        assert!(next.iter().all(|own| own.refresh == next[0].refresh && own.refresh != all[0].refresh));
    }

    /// T-21: fifty, where the operator allows so many repetitions.
    async fn fifty_parallel_refreshes_agree(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH_GRACE_USES", "50")]).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let answers = at_once(50, &client, tokens.refresh()).await;
        let all: Vec<_> = answers.iter().map(Answer::tokens).collect();
        assert!(all.iter().all(|own| own.refresh == all[0].refresh));
        assert_eq!(client.refresh(all[0].refresh()).await.status, StatusCode::OK);
    }

    /// T-20, B-07: after the window a repetition ends the connection, and the newest tokens die with it.
    async fn refresh_replayed_after_the_grace_revokes_the_grant(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let bystander = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        server.advance(119).await;
        assert_eq!(client.refresh(first.refresh()).await.tokens().refresh, second.refresh);
        let third = client.refresh(second.refresh()).await.tokens();
        server.advance(1).await;
        assert!(client.is_let_in(&third.access).await);
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert_ended(&server, &client, &[&first, &second, &third]).await;
        assert!(client.is_let_in(&bystander.access).await, "another connection of the same client lives on");
    }

    /// T-21: a token from days ago, as one client has been seen to send, ends the connection as well.
    async fn a_token_of_four_days_ago_revokes_the_grant(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        server.advance(4 * DAY).await;
        let third = client.refresh(second.refresh()).await.tokens();
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert_ended(&server, &client, &[&third]).await;
    }

    /// T-21: repetitions inside the window are counted, and one too many counts as theft.
    async fn too_many_repeats_revoke_the_grant(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH_GRACE_USES", "3")]).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        for _ in 0..3 {
            assert_eq!(client.refresh(first.refresh()).await.tokens().refresh, second.refresh);
        }
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert_ended(&server, &client, &[&second]).await;
    }

    /// T-21: the operator can do without a window; then the first repetition is theft.
    async fn without_grace_the_first_repeat_revokes_the_grant(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH_GRACE", "0s")]).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        let second = client.refresh(first.refresh()).await.tokens();
        client.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert_ended(&server, &client, &[&second]).await;
    }

    /// T-22, B-07: less may be asked for a while; the connection keeps what it had.
    async fn a_narrowed_refresh_narrows_one_access_token_only(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let narrow = refresh_with(&client, tokens.refresh(), &[("scope", "docs:read")]).await.tokens();
        assert_eq!((narrow.scope.as_str(), narrow.claims()["scope"].as_str()), ("docs:read", Some("docs:read")));
        assert_eq!(client.call(&narrow.access, "whoami", serde_json::json!({})).await.status, StatusCode::FORBIDDEN);
        let whole = client.refresh(narrow.refresh()).await.tokens();
        assert_eq!(whole.scope, tokens.scope);
        assert!(client.is_let_in(&whole.access).await);
    }

    /// T-22, B-07: more than was granted is refused, and the token is not spent by asking.
    async fn a_widened_refresh_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = connect_with(&server, &client, "docs:read").await;
        let wide = [("scope", "docs:read docs:search")];
        refresh_with(&client, tokens.refresh(), &wide).await.refused(400, "invalid_scope");
        refresh_with(&client, tokens.refresh(), &[("scope", "account:read")]).await.refused(400, "invalid_scope");
        server.advance(3600).await;
        assert_eq!(client.refresh(tokens.refresh()).await.tokens().scope, "docs:read");
    }

    /// T-22: clients repeat what they once asked for, also `offline_access` and scopes that never existed.
    async fn repeated_offline_access_and_unknown_scopes_are_ignored(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        for (asked, granted) in [("docs:read openid", "docs:read"), ("docs:read offline_access", "docs:read offline_access")] {
            let mut tokens = connect_with(&server, &client, asked).await;
            for scope in ["docs:read offline_access openid", "offline_access", "openid profile", ""] {
                tokens = refresh_with(&client, tokens.refresh(), &[("scope", scope)]).await.tokens();
                assert_eq!(tokens.scope, granted, "asked for {scope:?}");
                assert_eq!(tokens.claims()["scope"], "docs:read");
            }
        }
    }

    /// T-25, B-07: another client gets nothing out of a token, and its owner loses nothing.
    async fn a_refresh_token_of_another_client_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let other = Connector::named(&server, "Another client").await;
        let first = client.connect().await;
        other.refresh(first.refresh()).await.refused(400, "invalid_grant");
        let second = client.refresh(first.refresh()).await.tokens();
        // Not even a used one, long after: otherwise any client could end others' connections.
        server.advance(300).await;
        other.refresh(first.refresh()).await.refused(400, "invalid_grant");
        assert_eq!(client.refresh(second.refresh()).await.status, StatusCode::OK);
    }

    /// T-23, B-09, A2: any spelling of the resource, or none; another is refused and spends nothing.
    async fn a_refresh_is_for_the_resource_of_its_grant(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut tokens = client.connect().await;
        let mcp = server.mcp();
        let slash = format!("{mcp}/");
        for resource in [mcp.as_str(), &slash, &server.origin.clone(), ""] {
            tokens = refresh_with(&client, tokens.refresh(), &[("resource", resource)]).await.tokens();
            assert_eq!(tokens.claims()["aud"], mcp, "{resource}");
        }
        let foreign = [("resource", "https://other.example/mcp")];
        refresh_with(&client, tokens.refresh(), &foreign).await.refused(400, "invalid_target");
        server.advance(600).await;
        assert_eq!(client.refresh(tokens.refresh()).await.tokens().claims()["aud"], mcp);
    }

    /// A grant is for the address that was approved. When that has moved, a refresh that went well would lead to tokens
    /// which are refused, and so on for ever: the client is told to connect again, and nothing is spent by asking.
    async fn a_grant_for_a_resource_that_has_moved_is_refused(database) {
        let server = TestServer::start(database).await;
        let old = Connector::public(&server).await;
        let (tokens, given_back) = (old.connect().await, old.connect().await);
        let code = old.authorize(&mut Browser::new(&server), &[]).await.one("code");
        let mut waiting = Browser::new(&server);
        let login = waiting.open(&old.authorize_url(&[])).await.page();
        let server = server.restart(&[("PORTCULLIS__PATHS__MCP", "/v2/mcp")]).await;
        let resource = server.url("/v2/mcp");
        let moved = old.turned_to(&server).asking_for(&resource);

        assert!(!moved.is_let_in(&tokens.access).await);
        let before = [("resource", old.resource.as_str())];
        let now = [("resource", resource.as_str())];
        for more in [&[][..], &before, &now] {
            let refused = refresh_with(&moved, tokens.refresh(), more).await;
            refused.refused(400, "invalid_grant");
            assert!(refused.text.contains(&old.resource) && refused.text.contains(&resource), "{}", refused.text);
        }
        for client in [&moved, &moved.asking_for(&old.resource)] {
            let refused = client.redeem(&code).await;
            assert!(refused.refused(400, "invalid_grant").text.contains(&resource), "{}", refused.text);
        }
        // A person who was asked before the move is not made to allow what is not there.
        waiting.turn_to(&server);
        let page = waiting.sign_in(&login).await.page();
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text().contains("has moved") && page.text().contains(&resource), "{}", page.text());
        // An old access token is not good for calls, and says whose connection is to end.
        assert_eq!(moved.revoke(&given_back.access).await.status, StatusCode::OK);

        let again = moved.connect().await;
        assert!(moved.is_let_in(&again.access).await);
        assert_eq!(moved.refresh(again.refresh()).await.tokens().claims()["aud"], resource);

        // Moved back: nothing was ended or spent.
        let server = server.restart(&[]).await;
        let back = old.turned_to(&server);
        assert!(back.is_let_in(&back.refresh(tokens.refresh()).await.tokens().access).await);
        assert!(!back.is_let_in(&given_back.access).await);
        assert_eq!(back.redeem(&code).await.status, StatusCode::OK);
    }

    /// The same for another `public_url`, which moves everything.
    async fn a_grant_of_another_public_url_is_refused(database) {
        let server = TestServer::start(database).await;
        let old = Connector::public(&server).await;
        let tokens = old.connect().await;
        let database = server.stop().await;
        let server = TestServer::on(database, &[], Some("http://localhost:4711")).await;
        let moved = old.turned_to(&server);
        let refused = moved.refresh(tokens.refresh()).await;
        refused.refused(400, "invalid_grant");
        assert!(refused.text.contains("http://localhost:4711/mcp"), "{}", refused.text);
    }

    /// T-25: a disabled account's connections end, and don't come back with the account.
    async fn refresh_ends_with_its_user(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let ada = server.user_id("ada").await;
        server.app.store().disable_user(&ada, server.now()).await.unwrap();
        assert_ended(&server, &client, &[&tokens]).await;
        server.app.store().enable_user(&ada).await.unwrap();
        assert_ended(&server, &client, &[&tokens]).await;
        assert!(client.is_let_in(&client.connect().await.access).await);
    }

    /// T-25: a changed password ends the connections that were made under the old one.
    async fn refresh_ends_with_the_password(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let ada = server.user_id("ada").await;
        let hash = server.app.store().find_user(&ada).await.unwrap().unwrap().password_hash;
        server.app.store().set_password(&ada, &hash, server.now()).await.unwrap();
        assert_ended(&server, &client, &[&tokens]).await;
    }

    /// T-25, RFC 7592 §2.3: a client that deletes its registration is unknown from then on, and its tokens end.
    async fn refresh_ends_with_its_client(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let own = |name: &str| client.registration[name].as_str().unwrap().to_owned();
        let request = http().request(Method::DELETE, own("registration_client_uri"));
        let deleted = request.bearer_auth(own("registration_access_token")).send().await.unwrap();
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        client.refresh(tokens.refresh()).await.refused(401, "invalid_client");
        server.advance(1).await;
        assert!(!client.is_let_in(&tokens.access).await);
    }

    /// T-24: a token that is not used for 30 days dies; use keeps the connection alive.
    async fn refresh_expires_when_idle(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let first = client.connect().await;
        server.advance(30 * DAY - 1).await;
        let second = client.refresh(first.refresh()).await.tokens();
        server.advance(30 * DAY - 1).await;
        let third = client.refresh(second.refresh()).await.tokens();
        server.advance(30 * DAY).await;
        client.refresh(third.refresh()).await.refused(400, "invalid_grant");
    }

    /// T-24: after 180 days the connection ends however much it was used, and no access token outlives it.
    async fn refresh_ends_absolutely(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mut tokens = client.connect().await;
        for _ in 0..8 {
            server.advance(20 * DAY).await;
            tokens = client.refresh(tokens.refresh()).await.tokens();
        }
        server.advance(20 * DAY - 100).await;
        let last = client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(last.expires_in, 100);
        assert!(client.is_let_in(&last.access).await);
        server.advance(100).await;
        client.refresh(last.refresh()).await.refused(400, "invalid_grant");
        client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
    }

    /// T-24: turning refresh off ends refreshing for tokens that are out already, with a plain word.
    async fn refresh_can_be_turned_off(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let off = [("PORTCULLIS__TOKENS__REFRESH", "false")];
        let replica = server.replica(&off).await;
        client.turned_to(&replica).refresh(tokens.refresh()).await.refused(400, "unsupported_grant_type");
        let metadata = http().get(format!("{}/.well-known/oauth-authorization-server", replica.address));
        let metadata: serde_json::Value = metadata.send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["grant_types_supported"], serde_json::json!(["authorization_code"]));
    }

    /// T-25: confidential clients authenticate to refresh, too.
    async fn a_confidential_client_must_authenticate_to_refresh(database) {
        let server = TestServer::start(database).await;
        for method in ["client_secret_basic", "client_secret_post"] {
            let client = Connector::confidential(&server, method).await;
            let tokens = client.connect().await;
            let id = [("client_id", client.client_id.as_str())];
            refresh_with(&client, tokens.refresh(), &id).await.refused(401, "invalid_client");
            let wrong = [("client_id", client.client_id.as_str()), ("client_secret", "pcs_wrong")];
            refresh_with(&client, tokens.refresh(), &wrong).await.refused(401, "invalid_client");
            assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
        }
    }
}
