//! The record of attempts to connect: every step once, under one id, without secrets; never at a request's cost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::{ClientId, GrantId};
use oauth::time::Timestamp;
use portcullis::attempts::explain;
use portcullis::attempts::story::Story;
use portcullis::model::attempt::{Event, Outcome, Recorded, Stage};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bed::{Bed, NOW, connect, raw};
use crate::browser::Browser;
use crate::connector::{Answer, CALLBACK, Connector, FORM, VERIFIER, answer, challenge, form, post_form, register};
use crate::durability::Outage;
use crate::on_both_databases;
use crate::server::{Database, PASSWORD, TestServer, USER, http};

/// The story of an attempt as soon as it holds what is waited for: events are written a moment later.
async fn story_when(server: &TestServer, id: &str, done: impl Fn(&Story) -> bool) -> Story {
    let attempt = AttemptId::parse(id).expect("an attempt's id");
    let profiles = Profiles::embedded().unwrap();
    let begun = Instant::now();
    loop {
        // A connection that an outage cut may fail once more before it is replaced.
        let story = explain(server.app.store(), &profiles, &attempt, server.now()).await.unwrap_or_default();
        match story {
            Some(story) if done(&story) => return story,
            story if begun.elapsed() > Duration::from_secs(20) => panic!("{id}: {:?}", story.map(|own| own.text())),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn has(story: &Story, stage: Stage, outcome: Outcome) -> bool {
    story.steps.iter().any(|step| step.step == stage && step.outcome == outcome)
}

/// The attempt that an error answer names.
fn named(answer: &Answer) -> String {
    let id = answer.json["attempt"].as_str().unwrap_or_else(|| panic!("no attempt in {}", answer.text)).to_owned();
    assert!(AttemptId::parse(&id).is_some_and(|parsed| parsed.to_string() == id), "{id}");
    id
}

/// The attempt that a page names.
fn named_on(body: &str) -> String {
    let (_, rest) = body.split_once("Attempt <code>").unwrap_or_else(|| panic!("no attempt on {body}"));
    rest.split_once('<').unwrap().0.to_owned()
}

/// The attempt inside the grant of a token.
fn of_token(claims: &Value) -> String {
    GrantId::new(claims["grant"].as_str().unwrap()).attempt().unwrap().to_string()
}

/// What a client does before it registers.
async fn look_around(server: &TestServer) -> Answer {
    let challenged = answer(http().post(server.mcp()).header("user-agent", "python-httpx/0.27")).await;
    assert_eq!(challenged.status, StatusCode::UNAUTHORIZED);
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"] {
        let read = answer(http().get(server.url(path)).header("user-agent", "python-httpx/0.27")).await;
        assert_eq!(read.status, StatusCode::OK);
    }
    challenged
}

/// All text of all rows.
async fn all_text(server: &TestServer) -> String {
    let sql = "select attempt, reason, detail, agent, network, coalesce(client_id, ''), coalesce(grant_id, '')
               from attempt_event";
    raw(&server.database.url, &[sql]).await.unwrap().concat().join("\n")
}

on_both_databases! {
    /// F: from the first 401 to the first call each step is there, once, under one id, in order.
    async fn the_whole_way_is_one_story(database) {
        let server = TestServer::start(database).await;
        look_around(&server).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
        assert!(client.is_let_in(&tokens.access).await);
        let id = of_token(&tokens.claims());
        let story = story_when(&server, &id, |story| has(story, Stage::Call, Outcome::Ok)).await;
        let stages: Vec<Stage> = story.steps.iter().map(|step| step.step).collect();
        assert_eq!(stages, [
            Stage::Challenge,
            Stage::ResourceMetadata,
            Stage::ServerMetadata,
            Stage::Registration,
            Stage::Authorize,
            Stage::SignIn,
            Stage::SignIn,
            Stage::Consent,
            Stage::Consent,
            Stage::CodeSent,
            Stage::Redeem,
            Stage::Call,
        ], "{}", story.text());
        assert!(story.steps.iter().all(|step| step.count == 1), "a remembered token leaves nothing: {}", story.text());
        let finding = &story.findings[0];
        assert_eq!((finding.rule, finding.good), ("works", true), "{}", story.text());
        assert_eq!(story.client_id.as_ref().map(ClientId::as_str), Some(client.client_id.as_str()));

        server.advance(100).await;
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        assert_eq!(client.refresh(tokens.refresh()).await.status, StatusCode::OK);
        assert_eq!(client.revoke(renewed.refresh()).await.status, StatusCode::OK);
        let story = story_when(&server, &id, |story| has(story, Stage::Revoke, Outcome::Ok)).await;
        let rules: Vec<&str> = story.findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["ended", "refresh_races"], "{}", story.text());
    }

    /// RFC 9700 §4.14: one token in two networks is a theft, or a program with two addresses; the story says so, whatever
    /// became of the second use. Two uses in one network are no such thing.
    async fn a_token_in_two_networks_is_told_as_what_it_may_be(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__LIMITS__TRUSTED_PROXIES", "127.0.0.1")]).await;
        let client = Connector::public(&server).await;
        let refresh_from = async |network: &str, token: &str| {
            let own = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &client.client_id)];
            post_form(&server.url("/token"), &[FORM, ("x-forwarded-for", network)], form(&own)).await
        };
        let told = |story: &Story| story.findings.iter().any(|finding| finding.rule == "token_in_two_networks");
        let (here, there) = ("198.51.100.7", "203.0.113.9");
        for (second, elsewhere) in [(here, false), (there, true)] {
            for outcome in ["repeated", "overtaken", "replayed"] {
                let tokens = client.connect().await;
                assert!(client.is_let_in(&tokens.access).await);
                let next = refresh_from(here, tokens.refresh()).await.tokens();
                if outcome != "repeated" {
                    refresh_from(here, next.refresh()).await.tokens();
                }
                if outcome == "replayed" {
                    server.advance(10).await;
                }
                let status = refresh_from(second, tokens.refresh()).await.status;
                assert_eq!(status == StatusCode::OK, outcome == "repeated" || (outcome == "overtaken" && !elsewhere));
                let story = story_when(&server, &of_token(&tokens.claims()), |story| {
                    let refreshes = story.steps.iter().filter(|step| step.step == Stage::Refresh);
                    refreshes.map(|step| step.count).sum::<i64>() == if outcome == "repeated" { 2 } else { 3 }
                })
                .await;
                assert_eq!(told(&story), elsewhere, "{outcome} from {second}: {}", story.text());
                if elsewhere {
                    assert!(story.text().contains(here) && story.text().contains(there), "{}", story.text());
                }
            }
        }
        let kept = raw(&server.database.url, &["select coalesce(used_from, '') from refresh_token"]).await.unwrap().concat();
        assert!(kept.iter().all(|own| !own.contains("51.100")), "no address is kept beside a token: {kept:?}");
    }

    /// A connection by a remembered approval is told as such, and so is one that needed no click.
    async fn a_story_tells_what_was_asked(database) {
        let server = TestServer::start(database).await;
        let admin = crate::admin::Admin::of(&server).await;
        let vendors = admin.typed(&server, "https://claude.ai/api/mcp/auth_callback", "none", json!({})).await;
        let own = admin.typed(&server, "https://own.example/cb", "none", json!({ "first_party": true })).await;
        let mut browser = Browser::new(&server);
        for (client, words) in [
            (&vendors, "Consent page shown"),
            (&vendors, "Asked to continue: it was allowed before"),
            (&own, "a client of the server's own"),
        ] {
            let callback = client.authorize(&mut browser, &[]).await;
            let tokens = client.redeem(&callback.one("code")).await.tokens();
            let id = of_token(&tokens.claims());
            let story = story_when(&server, &id, |story| has(story, Stage::Redeem, Outcome::Ok)).await;
            assert!(story.text().contains(words) && story.text().contains("Access allowed"), "{}", story.text());
        }
        let page = browser.open(&vendors.authorize_url(&[])).await.page();
        let told = browser.submit(&page, &[("decision", "deny")]).await.callback();
        let description = told.one("error_description");
        let id = description.split("attempt ").nth(1).unwrap().trim_end_matches(')');
        let story = story_when(&server, id, |story| has(story, Stage::Consent, Outcome::Refused)).await;
        assert_eq!(story.findings[0].rule, "denied", "{}", story.text());
    }

    /// The note of the ids: what every error shows finds the very steps that led to it.
    async fn every_error_shows_the_id_that_finds_it(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let form = [("grant_type", "nonsense"), ("client_id", client.client_id.as_str())];
        for (answer, stage) in [
            (look_around(&server).await, Stage::Challenge),
            (answer(http().post(server.mcp()).header("authorization", "Bearer rubbish")).await, Stage::Challenge),
            (register(&server, &json!({ "redirect_uris": ["javascript:alert(1)"] })).await, Stage::Registration),
            (client.token(&form).await, Stage::Token),
            (client.redeem("pcc_nothing").await, Stage::Redeem),
            (client.refresh("pcr_nothing").await, Stage::Refresh),
            (answer(http().get(server.url("/token"))).await, Stage::Other),
            (answer(http().get(server.url("/nothing/here"))).await, Stage::Other),
            (answer(http().get(server.url("/.well-known/nothing"))).await, Stage::ServerMetadata),
        ] {
            let id = named(&answer);
            story_when(&server, &id, |story| has(story, stage, Outcome::Refused)).await;
        }
        let mut browser = Browser::new(&server);
        for (changes, title) in [
            (&[("client_id", "pc_unknown")][..], "This client is not registered here"),
            (&[("client_id", "")], "Who is asking?"),
            (&[("redirect_uri", "https://other.example/cb")], "The callback address does not match"),
        ] {
            let page = browser.open(&client.authorize_url(changes)).await.page();
            let id = named_on(&page.body);
            let story = story_when(&server, &id, |story| {
                story.steps.iter().any(|step| step.reason.starts_with(title))
            });
            assert_eq!(story.await.findings[0].rule, "authorize_refused");
        }
        // Refused by redirect: the client may show the words, and they name it.
        let callback = browser.open(&client.authorize_url(&[("code_challenge_method", "plain")])).await.callback();
        assert_eq!(callback.one("error"), "invalid_request");
        let words = callback.one("error_description");
        let id = words.rsplit_once("(attempt ").unwrap().1.trim_end_matches(')');
        story_when(&server, id, |story| has(story, Stage::Authorize, Outcome::Refused)).await;
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let id = named_on(&login.body);
        let wrong = browser.sign_in_as(&login, USER, "not the password").await.page();
        assert_eq!(named_on(&wrong.body), id);
        story_when(&server, &id, |story| has(story, Stage::SignIn, Outcome::Refused)).await;
        let consent = browser.sign_in(&wrong).await.page();
        assert_eq!(named_on(&consent.body), id);
        drop(browser.submit(&consent, &[("decision", "deny")]).await.callback());
        let story = story_when(&server, &id, |story| has(story, Stage::Consent, Outcome::Refused)).await;
        assert_eq!(story.findings[0].rule, "denied", "{}", story.text());
        let elsewhere = Browser::new(&server).open(&login.url).await.page();
        assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
        assert_eq!(named_on(&elsewhere.body), id);
    }

    /// An upgrade: what the release before recorded in sentences alone is judged as it was.
    async fn an_upgrade_finds_the_causes_of_old_sentences(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
        look_around(&server).await;
        drop(client.redeem("pcc_nothing").await);
        let mut browser = Browser::new(&server);
        let callback = client.authorize(&mut browser, &[]).await;
        let code = callback.one("code");
        let wrong = |name: &'static str, text: &'static str| {
            let exchange = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", if name == "redirect_uri" { text } else { &client.redirect_uri }),
                ("code_verifier", if name == "code_verifier" { text } else { VERIFIER }),
                ("resource", if name == "resource" { text } else { &client.resource }),
                ("client_id", if name == "client_id" { text } else { &client.client_id }),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            let client = &client;
            async move {
                let exchange: Vec<(&str, &str)> = exchange.iter().map(|(name, value)| (*name, value.as_str())).collect();
                assert!(client.token(&exchange).await.status.is_client_error());
            }
        };
        wrong("code_verifier", "another-verifier-that-is-long-enough-to-be-one").await;
        wrong("redirect_uri", "https://other.example/cb").await;
        wrong("resource", "https://other.example/mcp").await;
        wrong("client_id", "pc_unknown").await;
        client.redeem(&code).await.tokens();
        client.redeem(&code).await.refused(400, "invalid_grant");
        drop(browser.open(&client.authorize_url(&[("code_challenge_method", "plain")])).await.callback());
        drop(browser.open(&client.authorize_url(&[("client_id", "pc_unknown")])).await.page());
        drop(browser.open(&client.authorize_url(&[("redirect_uri", "https://other.example/cb")])).await.page());
        let asked = browser.open(&client.authorize_url(&[])).await.page();
        drop(browser.submit(&asked, &[("decision", "deny")]).await.callback());
        drop(answer(http().get(server.mcp()).header("authorization", format!("Bearer {}", tokens.access))).await);
        let next = client.refresh(tokens.refresh()).await.tokens();
        client.refresh(tokens.refresh()).await.tokens();
        client.refresh(next.refresh()).await.tokens();
        server.advance(100).await;
        client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
        assert!(!client.is_let_in(&tokens.access).await);
        let id = of_token(&tokens.claims());
        story_when(&server, &id, |story| has(story, Stage::Call, Outcome::Refused)).await;

        let database = server.stop().await;
        let url = &database.url;
        let causes = "select id, coalesce(cause, '') from attempt_event order by id";
        let before = raw(url, &[causes]).await.unwrap();
        let old = ["alter table attempt_event drop column cause", "delete from _sqlx_migrations where version = 9"];
        raw(url, &old).await.unwrap();
        connect(url).await.migrate().await.unwrap();
        let after = raw(url, &[causes]).await.unwrap();
        assert_eq!(before.len(), after.len());
        let mut found = BTreeSet::new();
        for (before, after) in before.iter().zip(&after) {
            assert!(after[1].is_empty() || after == before, "{before:?} became {after:?}");
            found.insert(after[1].clone());
        }
        for cause in [
            Cause::Asked,
            Cause::Allowed,
            Cause::Repeated,
            Cause::Denied,
            Cause::TokenMissing,
            Cause::TokenRevoked,
            Cause::WrongMethod,
            Cause::CodeUnknown,
            Cause::CodeReplayed,
            Cause::RefreshReplayed,
            Cause::VerifierUnfit,
            Cause::RedirectUriDiffers,
            Cause::RedirectUriUnregistered,
            Cause::ResourceUnknown,
            Cause::ClientUnknown,
            Cause::ChallengeUnfit,
        ] {
            assert!(found.contains(cause.as_str()), "{cause:?} is not among {found:?}");
        }
    }

    /// E2: what a web page asked before it called is part of the story.
    async fn preflights_are_steps(database) {
        let server = TestServer::start(database).await;
        let asked = http()
            .request(Method::OPTIONS, server.mcp())
            .header("origin", "http://localhost:6274")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,mcp-protocol-version");
        assert!(asked.send().await.unwrap().status().is_success());
        let id = named(&look_around(&server).await);
        let story = story_when(&server, &id, |story| has(story, Stage::Preflight, Outcome::Ok)).await;
        assert!(story.text().contains("authorization,mcp-protocol-version"), "{}", story.text());
    }

    /// A handoff to an app names the attempt as well.
    async fn a_page_that_hands_over_names_the_attempt(database) {
        let server = TestServer::start(database).await;
        let body = json!({ "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"], "token_endpoint_auth_method": "none" });
        let client = Connector::registered(&server, &body).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let consent = browser.sign_in(&login).await.page();
        let handoff = browser.submit(&consent, &[("decision", "approve")]).await.page();
        assert_eq!(named_on(&handoff.body), named_on(&login.body));
    }

    /// V-06, T28: neither a whole run nor clumsy clients leave a secret in the record.
    async fn no_secret_is_ever_recorded(database) {
        let server = TestServer::start(database).await;
        let client = Connector::confidential(&server, "client_secret_post").await;
        let secret = client.client_secret.clone().unwrap();
        let registration_token = client.registration["registration_access_token"].as_str().unwrap().to_owned();
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[("state", "s3cr3t-st4te")])).await.page();
        drop(browser.sign_in_as(&login, USER, "wr0ng-passw0rd").await);
        let login = browser.open(&client.authorize_url(&[("state", "s3cr3t-st4te")])).await.page();
        let consent = browser.sign_in(&login).await.page();
        let code = browser.submit(&consent, &[("decision", "approve")]).await.callback().one("code");
        // Secrets in places where they don't belong, before the right request.
        for params in [
            vec![("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", "wr0ng-v3r1f13r-000000000000000000000000000000000000")],
            vec![("grant_type", code.as_str())],
            vec![("grant_type", "refresh_token"), ("refresh_token", secret.as_str()), ("scope", code.as_str())],
            vec![("grant_type", "authorization_code"), ("client_id", secret.as_str()), ("client_assertion", "eyJhbGciOiJFUzI1NiJ9.4ss3rt10n.x")],
            vec![(code.as_str(), "x"), ("resource", secret.as_str())],
        ] {
            assert!(client.token(&params).await.status.is_client_error());
        }
        let tokens = client.redeem(&code).await.tokens();
        assert!(client.is_let_in(&tokens.access).await);
        let bearer = |token: &str| http().post(server.mcp()).header("authorization", format!("Bearer {token}"));
        drop(answer(bearer(&registration_token).header("user-agent", format!("agent {}", tokens.refresh()))).await);
        drop(answer(http().post(format!("{}?access_token={}", server.mcp(), tokens.access))).await);
        let own = format!("{}/{}", server.url("/register"), client.client_id);
        drop(answer(http().put(&own).bearer_auth(&registration_token).header("content-type", "application/json").body(json!({ "client_name": tokens.access, "redirect_uris": [CALLBACK] }).to_string())).await);
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        drop(client.revoke(renewed.refresh()).await);
        let id = of_token(&tokens.claims());
        story_when(&server, &id, |story| has(story, Stage::Call, Outcome::Ok) && has(story, Stage::Refresh, Outcome::Ok)).await;
        let database = server.stop().await;
        let server = TestServer::on(database, &[], None).await;
        let text = all_text(&server).await;
        assert!(text.contains("grant_type") && text.contains("(hidden)"), "{text}");
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let mut secrets = vec![
            code, secret, registration_token, tokens.refresh().to_owned(), renewed.refresh().to_owned(),
            VERIFIER.to_owned(), challenge(VERIFIER), "s3cr3t-st4te".into(), PASSWORD.into(), "wr0ng-".into(), "4ss3rt10n".into(),
        ];
        secrets.extend(parts(&tokens.access));
        secrets.extend(parts(&renewed.access));
        for own in secrets {
            assert!(!text.contains(&own), "{own} stands in:\n{text}");
        }
    }

    /// Replicas keep no state of their own: one attempt over two of them is one story, and early ids are equal.
    async fn replicas_write_one_story(database) {
        let server = TestServer::start(database).await;
        let replica = server.replica(&[]).await;
        let here = answer(http().post(server.mcp())).await;
        let there = answer(http().post(format!("{}/mcp", replica.address)).header("host", "localhost")).await;
        assert_eq!(named(&here), named(&there));
        let client = Connector::public(&server).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        browser.turn_to(&replica);
        let form = login.url.replace(&server.origin, &replica.address);
        let login = browser.open(&form).await.page();
        assert_eq!(browser.sign_in(&login).await.page().status, StatusCode::OK);
        let id = named_on(&login.body);
        let story = story_when(&server, &id, |story| {
            story.steps.iter().filter(|step| step.step == Stage::SignIn).map(|step| step.count).sum::<i64>() == 3
        });
        assert!(has(&story.await, Stage::Authorize, Outcome::Ok));
    }

    /// Our trouble costs no request, and no request waits for it: what can't be recorded is lost.
    async fn a_dead_database_slows_no_call_and_loses_only_the_record(database) {
        let (server, mut outage) = Outage::server(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
        outage.begin().await;
        // A request that waited for the database would wait for a second, its time-out.
        let (address, http, begun) = (server.mcp(), http(), Instant::now());
        for _ in 0..30 {
            assert_eq!(http.post(&address).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        }
        let call = client.call(&tokens.access, "search", json!({ "query": "connect" })).await;
        assert_eq!(call.status, StatusCode::OK);
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        outage.end().await;
        // More than one connection may have been cut, and each is found out by the statement that meets it.
        let profiles = Profiles::embedded().unwrap();
        for _ in 0..100 {
            let again = answer(http.post(&address).header("user-agent", "afterwards")).await;
            let id = AttemptId::parse(&named(&again)).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let story = explain(server.app.store(), &profiles, &id, server.now()).await.unwrap_or_default();
            if story.is_some_and(|story| story.steps.iter().any(|step| step.agent == "afterwards")) {
                return;
            }
        }
        panic!("nothing is recorded any more after an outage");
    }

    /// What was recorded last before a stop is there after it.
    async fn a_stop_loses_nothing(database) {
        let server = TestServer::start(database).await;
        let id = named(&answer(http().post(server.mcp())).await);
        let server = TestServer::on(server.stop().await, &[], None).await;
        assert_eq!(raw(&server.database.url, &["select attempt from attempt_event"]).await.unwrap(), [[id.replace('-', "")]]);
    }

    /// Switched off, nothing is recorded, and ids are shown all the same.
    async fn nothing_is_recorded_when_it_is_off(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__ATTEMPTS__ENABLED", "false")]).await;
        let client = Connector::public(&server).await;
        drop(client.connect().await);
        named(&answer(http().post(server.mcp())).await);
        let database = server.stop().await;
        assert_eq!(raw(&database.url, &["select count(*) from attempt_event"]).await.unwrap(), [["0"]]);
    }

    /// Old steps go; a flood from one place pushes out itself and nobody else; the rest is bounded.
    async fn the_record_is_bounded_and_a_flood_pushes_out_itself(database) {
        let bed = Bed::new(database).await;
        let event = |network: &str, reason: String, at: i64| Recorded {
            event: Event {
                attempt: AttemptId::from_bits(7),
                early: true,
                at: Timestamp(NOW + at),
                stage: Stage::Other,
                outcome: Outcome::Refused,
                cause: None,
                reason,
                detail: Vec::new(),
                agent: String::new(),
                network: network.to_owned(),
                client_id: None,
                grant_id: None,
            },
            last_at: Timestamp(NOW + at),
            count: 1,
        };
        let mut rows = vec![event("old", "x".into(), -100)];
        rows.extend((0..10).map(|index| event(&format!("quiet {index}"), "x".into(), index)));
        rows.extend((0..300).map(|index| event("loud", index.to_string(), 1000 + index)));
        bed.store.add_attempt_events(&rows).await.unwrap();
        // The same again is the same rows, counted.
        bed.store.add_attempt_events(&rows).await.unwrap();
        assert_eq!(bed.count("attempt_event").await, 311);
        assert_eq!(bed.number("select min(times) from attempt_event").await, 2);
        bed.sweep_attempts(Timestamp(NOW - 50), 100, 10).await;
        assert_eq!(bed.number("select count(*) from attempt_event where network = 'loud'").await, 10);
        assert_eq!(bed.number("select min(first_at) from attempt_event where network = 'loud'").await, NOW + 1290);
        assert_eq!(bed.count("attempt_event").await, 20);
        bed.sweep_attempts(Timestamp(NOW - 50), 15, 10).await;
        assert_eq!(bed.count("attempt_event").await, 15);
        assert_eq!(bed.number("select min(first_at) from attempt_event").await, NOW + 5);
    }

    /// E1, E7: what happens after the token is told from the outside.
    async fn silence_after_the_token_is_noticed(database) {
        let server = TestServer::start(database).await;
        look_around(&server).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let id = of_token(&tokens.claims());
        let story = story_when(&server, &id, |story| has(story, Stage::Redeem, Outcome::Ok)).await;
        assert_eq!(story.findings[0].rule, "waiting");
        server.advance(31).await;
        let story = story_when(&server, &id, |_| true).await;
        assert_eq!(story.findings[0].rule, "no_call_since_token", "{}", story.text());
        drop(answer(http().post(server.mcp()).header("user-agent", "Claude-User")).await);
        let story = story_when(&server, &id, |story| story.steps.iter().any(|step| step.agent == "Claude-User")).await;
        assert_eq!(story.findings[0].rule, "authorization_header_stripped", "{}", story.text());
    }

    /// D3, D7: calls with a token of ours that is over belong to its attempt.
    async fn calls_with_an_expired_token_belong_to_its_story(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert!(client.is_let_in(&tokens.access).await);
        server.advance(3600 + 60).await;
        let refused = client.call(&tokens.access, "whoami", json!({})).await;
        let id = of_token(&tokens.claims());
        assert_eq!((refused.status, named(&refused)), (StatusCode::UNAUTHORIZED, id.clone()));
        let story = story_when(&server, &id, |story| has(story, Stage::Call, Outcome::Refused)).await;
        assert_eq!(story.findings[0].rule, "never_refreshes", "{}", story.text());
    }

    /// An id from a registration leads to what became of it.
    async fn an_early_id_leads_to_the_attempt_that_it_became(database) {
        let server = TestServer::start(database).await;
        let early = named(&look_around(&server).await);
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let id = of_token(&tokens.claims());
        let story = story_when(&server, &early, |story| has(story, Stage::Redeem, Outcome::Ok)).await;
        assert_eq!(story.attempt.to_string(), id);
        let other = Connector::named(&server, "Another").await;
        drop(other.connect().await);
        let story = story_when(&server, &early, |story| story.also.len() == 2).await;
        assert_eq!(story.attempt.to_string(), early);
    }

    /// A made-up id of an authorization request writes into nobody's attempt.
    async fn a_forged_id_joins_no_attempt(database) {
        let server = TestServer::start(database).await;
        let mut browser = Browser::new(&server);
        let page = browser.send(Method::GET, "/login?authorization=ath_K7QD2M4X_abcdefghijklmnopqrstuv", None).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        let shown = named_on(&page.body);
        assert_ne!(shown, "K7QD-2M4X");
        story_when(&server, &shown, |story| has(story, Stage::SignIn, Outcome::Refused)).await;
        let attempt = AttemptId::parse("K7QD-2M4X").unwrap();
        assert!(server.app.store().attempt_events(&attempt).await.unwrap().is_empty());
    }
}

/// What people read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_reads_like_this() {
    let server = TestServer::start(Database::Sqlite).await;
    look_around(&server).await;
    let body = json!({
        "client_name": "Claude",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
        "token_endpoint_auth_method": "none",
    });
    let client = Connector::registered(&server, &body).await;
    let tokens = client.connect().await;
    server.advance(45).await;
    let id = of_token(&tokens.claims());
    let story = story_when(&server, &id, |story| has(story, Stage::Redeem, Outcome::Ok)).await;
    let text = story
        .text()
        .replace(&id, "K7QD-2M4X")
        .replace(&client.client_id, "pc_id")
        .replace(&server.origin, "http://server");
    insta::assert_snapshot!("story", text);
    let json = serde_json::to_value(&story).unwrap();
    assert_eq!(json["attempt"], id);
    assert_eq!(json["findings"][0]["rule"], "no_call_since_token");
    assert_eq!((&json["steps"][0]["step"], &json["steps"][0]["cause"]), (&json!("challenge"), &json!("token_missing")));
}
