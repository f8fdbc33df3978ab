//! The token endpoint: its door, client authentication, and codes.

use std::collections::BTreeSet;

use oauth::id::ClientId;
use portcullis::model::secret::Secret;
use reqwest::StatusCode;
use serde_json::json;

use crate::browser::{Browser, Landing};
use crate::connector::{Answer, CALLBACK, Connector, FORM, VERIFIER, basic, form, post_form};
use crate::on_both_databases;
use crate::server::{Database, TestServer, http};

/// A fresh code of this client.
async fn code(server: &TestServer, client: &Connector) -> String {
    client.authorize(&mut Browser::new(server), &[]).await.one("code")
}

/// The parameters of a usual redemption, without credentials.
fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]
}

/// Redeems with these parameters in place of the usual ones; an empty value leaves one out.
async fn redeem_with(client: &Connector, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut params = redemption(code);
    for (name, value) in changes {
        params.retain(|(own, _)| own != name);
        params.push((name, value));
    }
    params.retain(|(_, value)| !value.is_empty());
    client.token(&params).await
}

/// Gives a confidential client a secret of the test's own, as an administrator's import would.
pub async fn set_secret(server: &TestServer, client: &mut Connector, secret: &str) {
    let store = server.app.store();
    let stored = store.find_client(&ClientId::new(&client.client_id)).await.unwrap().unwrap();
    let hash = Secret::presented(secret).hash();
    assert!(store.update_registration(&stored.id, &stored.metadata, Some(&hash), None).await.unwrap());
    client.client_secret = Some(secret.to_owned());
}

on_both_databases! {
    /// T-01: a charset and the case of the media type don't matter; every other media type is 400, and never 415.
    async fn only_forms_are_read(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let url = server.url("/token");
        let code = code(&server, &client).await;
        let mut params = redemption(&code);
        params.push(("client_id", &client.client_id));
        for media_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form"] {
            post_form(&url, &[("content-type", media_type)], form(&params)).await.refused(400, "invalid_request");
        }
        post_form(&url, &[], form(&params)).await.refused(400, "invalid_request");
        let json = json!({ "grant_type": "authorization_code", "code": code }).to_string();
        post_form(&url, &[("content-type", "application/json")], json).await.refused(400, "invalid_request");
        let media_type = "Application/X-WWW-Form-Urlencoded; charset=ISO-8859-1";
        let answer = post_form(&url, &[("content-type", media_type)], form(&params)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    /// T-01, OAuth 2.1 §3.2: parameters in the URL are refused, also beside a good body, and spend nothing.
    async fn parameters_in_the_url_are_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let mut params = redemption(&code);
        params.push(("client_id", &client.client_id));
        let all = format!("{}?{}", server.url("/token"), form(&params));
        post_form(&all, &[FORM], "").await.refused(400, "invalid_request");
        let one = format!("{}?grant_type=authorization_code", server.url("/token"));
        post_form(&one, &[FORM], form(&params)).await.refused(400, "invalid_request");
        assert_eq!(client.redeem(&code).await.status, StatusCode::OK);
    }

    /// T-01: the endpoint takes POST, says so in JSON, and does not redirect the path with a slash (D-22).
    async fn only_post_is_taken_and_a_slash_at_the_end_is_served(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let got = http().get(server.url("/token")).send().await.unwrap();
        assert_eq!((got.status().as_u16(), got.headers()["content-type"].as_bytes()), (405, &b"application/json"[..]));
        assert_eq!(got.headers()["allow"], "POST");
        let mut params = redemption(&code);
        params.push(("client_id", &client.client_id));
        let answer = post_form(&server.url("/token/"), &[FORM], form(&params)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    /// T-02, B-23: every answer is JSON that no cache keeps, whatever it says.
    async fn every_token_answer_is_no_store(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let good = client.redeem(&code).await;
        let tokens = good.tokens();
        let url = server.url("/token");
        let answers = [
            good,
            client.refresh(tokens.refresh()).await,
            client.redeem("nonsense").await,
            client.refresh("nonsense").await,
            client.token(&[("grant_type", "password")]).await,
            client.token(&[]).await,
            client.token(&[("client_id", "nobody")]).await,
            post_form(&url, &[("content-type", "application/json")], "{}").await,
            post_form(&url, &[FORM, ("authorization", "Basic !")], "grant_type=refresh_token").await,
            post_form(&url, &[FORM], "a".repeat(70_000)).await,
        ];
        for answer in answers {
            assert_eq!(answer.headers["content-type"], "application/json", "{}", answer.text);
            assert_eq!(answer.headers["cache-control"], "no-store", "{}", answer.text);
            assert_eq!(answer.headers["pragma"], "no-cache", "{}", answer.text);
        }
    }

    /// T-03, A-12: the answer has exactly these members; `expires_in` is an integer, `scope` always stands.
    async fn the_answer_has_exactly_the_members_that_clients_read(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        for (scope, granted) in [
            ("", "account:read docs:read docs:search"),
            ("docs:read", "docs:read"),
            ("docs:search unknown docs:read", "docs:read docs:search"),
            // echoed to the client, and nothing to the resource.
            ("docs:read offline_access", "docs:read offline_access"),
        ] {
            let callback = client.authorize(&mut Browser::new(&server), &[("scope", scope)]).await;
            let answer = client.redeem(&callback.one("code")).await;
            let tokens = answer.tokens();
            let members: Vec<_> = answer.json.as_object().unwrap().keys().map(String::as_str).collect();
            let expected = ["access_token", "expires_in", "refresh_token", "scope", "token_type"];
            assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), expected.into());
            assert_eq!(answer.json["token_type"], "Bearer");
            assert!(answer.json["expires_in"].is_i64() && answer.text.contains("\"expires_in\":3600"), "{}", answer.text);
            let words = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(words(&tokens.scope), words(granted));
            let at_the_resource = granted.replace(" offline_access", "");
            assert_eq!(words(tokens.claims()["scope"].as_str().unwrap()), words(&at_the_resource));
        }
    }

    /// T-03: with refresh off no `refresh_token` is in the answer, and the grant type is neither offered nor taken.
    async fn without_refresh_no_refresh_token_is_given(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__TOKENS__REFRESH", "false")]).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        assert_eq!(tokens.refresh, None);
        assert!(client.is_let_in(&tokens.access).await);
        client.refresh("pcr_x").await.refused(400, "unsupported_grant_type");
    }

    /// T-04: each fault has its code, all of them 400 but `invalid_client`.
    async fn each_fault_has_its_code_and_status(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        client.token(&[]).await.refused(400, "invalid_request");
        client.token(&[("grant_type", "authorization_code")]).await.refused(400, "invalid_request");
        client.token(&[("grant_type", "refresh_token")]).await.refused(400, "invalid_request");
        for other in ["password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:device_code"] {
            client.token(&[("grant_type", other)]).await.refused(400, "unsupported_grant_type");
        }
        client.redeem("pcc_nonsense").await.refused(400, "invalid_grant");
        client.refresh("pcr_nonsense").await.refused(400, "invalid_grant");
        let twice = [("grant_type", "refresh_token"), ("grant_type", "refresh_token"), ("refresh_token", "x")];
        client.token(&twice).await.refused(400, "invalid_request");
        let answer = client.redeem("x\u{e9}\"\\").await;
        let text = answer.refused(400, "invalid_grant").json["error_description"].as_str().unwrap();
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'), "{text}");
    }

    /// T-05, T-06, R-05: an unknown or missing client is 401 `invalid_client`, with a Basic challenge only if
    /// the header was used.
    async fn an_unknown_client_is_401_invalid_client(database) {
        let server = TestServer::start(database).await;
        let url = server.url("/token");
        let body = "grant_type=authorization_code&code=x&code_verifier=y";
        let by_body = post_form(&url, &[FORM], format!("{body}&client_id=pc_gone")).await;
        by_body.refused(401, "invalid_client");
        assert!(!by_body.headers.contains_key("www-authenticate"));
        post_form(&url, &[FORM], body).await.refused(401, "invalid_client");
        let header = basic("pc_gone", "secret");
        let by_header = post_form(&url, &[FORM, ("authorization", &header)], body).await;
        by_header.refused(401, "invalid_client");
        assert!(by_header.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }

    /// B-14: each confidential client gets in by its own method, and by no other.
    async fn a_client_authenticates_by_its_registered_method_only(database) {
        let server = TestServer::start(database).await;
        let url = server.url("/token");
        for method in ["client_secret_basic", "client_secret_post"] {
            let client = Connector::confidential(&server, method).await;
            let (id, secret) = (client.client_id.clone(), client.client_secret.clone().unwrap());
            let code = code(&server, &client).await;
            let params = redemption(&code);
            let with = |extra: &[(&'static str, &str)]| form(&[params.as_slice(), extra].concat());
            let header = basic(&id, &secret);
            let by_header = [FORM, ("authorization", header.as_str())];
            let in_body = with(&[("client_id", id.as_str()), ("client_secret", secret.as_str())]);
            // Two methods at once, even when both are right.
            post_form(&url, &by_header, in_body.clone()).await.refused(400, "invalid_request");
            // The other method.
            let other = if method == "client_secret_basic" {
                post_form(&url, &[FORM], in_body.clone()).await
            } else {
                post_form(&url, &by_header, with(&[])).await
            };
            other.refused(401, "invalid_client");
            assert_eq!(other.headers.contains_key("www-authenticate"), method == "client_secret_post");
            // No proof at all, an empty one, a wrong one, another's id in the body.
            post_form(&url, &[FORM], with(&[("client_id", &id)])).await.refused(401, "invalid_client");
            let empty = basic(&id, "");
            post_form(&url, &[FORM, ("authorization", &empty)], with(&[])).await.refused(401, "invalid_client");
            let wrong = [("client_id", id.as_str()), ("client_secret", "pcs_wrong")];
            post_form(&url, &[FORM], with(&wrong)).await.refused(401, "invalid_client");
            let wrong = basic(&id, "pcs_wrong");
            post_form(&url, &[FORM, ("authorization", &wrong)], with(&[])).await.refused(401, "invalid_client");
            post_form(&url, &by_header, with(&[("client_id", "pc_other")])).await.refused(400, "invalid_request");
            // None of that spent the code.
            let right = if method == "client_secret_basic" {
                post_form(&url, &by_header, with(&[("client_id", &id)])).await
            } else {
                post_form(&url, &[FORM], in_body).await
            };
            assert_eq!(right.status, StatusCode::OK, "{method}: {}", right.text);
        }
    }

    /// T-06, B-14: a public client sends its id; a secret from it, or an assertion, is refused.
    async fn a_public_client_sends_no_secret(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let id = client.client_id.as_str();
        redeem_with(&client, &code, &[("client_id", id), ("client_secret", "x")]).await.refused(401, "invalid_client");
        let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let signed = [("client_id", id), kind, ("client_assertion", "e30.e30.AAAA")];
        redeem_with(&client, &code, &signed).await.refused(401, "invalid_client");
        assert_eq!(redeem_with(&client, &code, &[("client_id", id)]).await.status, StatusCode::OK);
    }

    /// R-02, B-14, I16: a secret with reserved characters is accepted raw and percent-encoded.
    async fn basic_secrets_are_read_raw_and_percent_encoded(database) {
        let server = TestServer::start(database).await;
        let mut client = Connector::confidential(&server, "client_secret_basic").await;
        let secret = "a:b%41+c /d&e=\u{e9}";
        set_secret(&server, &mut client, secret).await;
        let url = server.url("/token");
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for sent in [secret, &encoded] {
            let header = basic(&client.client_id, sent);
            let code = code(&server, &client).await;
            let answer = post_form(&url, &[FORM, ("authorization", &header)], form(&redemption(&code))).await;
            assert_eq!(answer.status, StatusCode::OK, "{sent}: {}", answer.text);
        }
        let decoded_once_too_often = basic(&client.client_id, "a:bA+c /d&e=\u{e9}");
        let code = code(&server, &client).await;
        post_form(&url, &[FORM, ("authorization", &decoded_once_too_often)], form(&redemption(&code)))
            .await
            .refused(401, "invalid_client");
    }

    /// S6: a malformed Authorization header is 401 `invalid_client` with a Basic challenge, two are 400.
    async fn a_broken_authorization_header_is_refused_plainly(database) {
        let server = TestServer::start(database).await;
        let url = server.url("/token");
        let no_colon = "Basic cGNfeA==";
        for header in ["Basic", "Basic ", "Basic !!", no_colon, "Basic /w==", "Bearer x", "Digest username=x", "x"] {
            let headers = [FORM, ("authorization", header)];
            let answer = post_form(&url, &headers, "grant_type=refresh_token&refresh_token=x").await;
            answer.refused(401, "invalid_client");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "), "{header}");
        }
        let two = [FORM, ("authorization", "Basic YTpi"), ("authorization", "Basic YTpi")];
        post_form(&url, &two, "grant_type=refresh_token&refresh_token=x").await.refused(400, "invalid_request");
    }

    /// B-04, T-13.
    async fn code_is_refused_after_first_use(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        assert_eq!(client.redeem(&code).await.status, StatusCode::OK);
        client.redeem(&code).await.refused(400, "invalid_grant");
        client.redeem(&code).await.refused(400, "invalid_grant");
    }

    /// B-04, T-14: of 64 at once exactly one succeeds, and the others, being replays, take its tokens down.
    async fn only_one_of_many_redeems_a_code(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let racers: Vec<_> = (0..64)
            .map(|_| {
                let (client, code) = (client.clone(), code.clone());
                tokio::spawn(async move { client.redeem(&code).await })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let answer = racer.await.unwrap();
            if answer.status == StatusCode::OK {
                winners.push(answer.tokens());
            } else {
                answer.refused(400, "invalid_grant");
            }
        }
        assert_eq!(winners.len(), 1);
        server.advance(1).await;
        assert!(!client.is_let_in(&winners[0].access).await);
        client.refresh(winners[0].refresh()).await.refused(400, "invalid_grant");
    }

    /// B-04, A-17.
    async fn code_is_refused_after_its_time(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let in_time = code(&server, &client).await;
        server.advance(59).await;
        assert_eq!(client.redeem(&in_time).await.status, StatusCode::OK);
        let late = code(&server, &client).await;
        server.advance(60).await;
        client.redeem(&late).await.refused(400, "invalid_grant");
    }

    /// B-04, T-13: another client gets nothing and burns nothing.
    async fn a_code_of_another_client_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let other = Connector::named(&server, "Another client").await;
        assert_ne!(client.client_id, other.client_id);
        let code = code(&server, &client).await;
        other.redeem(&code).await.refused(400, "invalid_grant");
        let tokens = client.redeem(&code).await.tokens();
        // A used code in another client's hands proves no theft by its owner: the grant lives.
        other.redeem(&code).await.refused(400, "invalid_grant");
        server.advance(1).await;
        assert!(client.is_let_in(&tokens.access).await);
    }

    /// B-04, T-11: if sent, `redirect_uri` is the one of the request to the letter; a difference burns nothing.
    async fn another_redirect_uri_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        for other in ["http://127.0.0.1:10/callback", "http://127.0.0.1:9/callback/", "http://localhost:9/callback"] {
            redeem_with(&client, &code, &[("redirect_uri", other)]).await.refused(400, "invalid_grant");
        }
        assert_eq!(client.redeem(&code).await.status, StatusCode::OK);
    }

    /// T-11, OAuth 2.1 §10.2.
    async fn a_missing_redirect_uri_is_accepted(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        assert_eq!(redeem_with(&client, &code, &[("redirect_uri", "")]).await.status, StatusCode::OK);
    }

    /// T-11, A-03: a loopback client that asked on another port than it registered redeems with the port it asked on.
    async fn the_redirect_uri_is_the_requested_one_and_not_the_registered(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let asked = "http://127.0.0.1:33418/callback";
        let callback = client.authorize(&mut Browser::new(&server), &[("redirect_uri", asked)]).await;
        let code = callback.one("code");
        redeem_with(&client, &code, &[]).await.refused(400, "invalid_grant");
        assert_eq!(redeem_with(&client, &code, &[("redirect_uri", asked)]).await.status, StatusCode::OK);
    }

    /// B-03, T-10, T-13: four wrong verifiers burn nothing.
    async fn a_wrong_verifier_does_not_burn_the_code(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let (short, long, other) = ("a".repeat(42), "a".repeat(129), "a".repeat(43));
        for wrong in [short.as_str(), &long, &other, ""] {
            redeem_with(&client, &code, &[("code_verifier", wrong)]).await.refused(400, "invalid_grant");
        }
        assert_eq!(client.redeem(&code).await.status, StatusCode::OK);
    }

    /// B-03, T-13.
    async fn wrong_verifiers_kill_the_code_after_a_few(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        for _ in 0..5 {
            let wrong = "a".repeat(43);
            redeem_with(&client, &code, &[("code_verifier", &wrong)]).await.refused(400, "invalid_grant");
        }
        client.redeem(&code).await.refused(400, "invalid_grant");
    }

    /// B-03, A-05: a challenge that is missing, plain, short, long or of no method is told by redirect.
    async fn only_a_good_challenge_is_accepted(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let (short, long) = ("a".repeat(42), "a".repeat(44));
        for changes in [
            &[("code_challenge", ""), ("code_challenge_method", "")][..],
            &[("code_challenge", "")],
            &[("code_challenge_method", "")],
            &[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)],
            &[("code_challenge_method", "s256")],
            &[("code_challenge", &short)],
            &[("code_challenge", &long)],
            &[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")],
        ] {
            let landing = Browser::new(&server).open(&client.authorize_url(changes)).await;
            let Landing::Callback(callback) = landing else { panic!("{changes:?}: {landing:?}") };
            assert_eq!(callback.one("error"), "invalid_request", "{changes:?}");
            assert_eq!((callback.one("state"), callback.one("iss")), ("st/a+te=1".to_owned(), server.origin.clone()));
            assert!(callback.all("code").is_empty());
        }
    }

    /// B-03, RFC 9700 §2.1.1: a verifier for a code without a challenge is the sign of a downgrade.
    async fn a_verifier_without_a_challenge_is_refused(database) {
        let settings = [("PORTCULLIS__PKCE__EXEMPT_REDIRECT_HOSTS", "client.example")];
        let server = TestServer::with(database, &settings).await;
        let redirect_uri = "https://client.example/callback";
        let client = Connector::registered(
            &server,
            &json!({ "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none" }),
        )
        .await;
        let without = [("code_challenge", ""), ("code_challenge_method", "")];
        let code = client.authorize(&mut Browser::new(&server), &without).await.one("code");
        let with = [("redirect_uri", redirect_uri), ("code_verifier", VERIFIER)];
        redeem_with(&client, &code, &with).await.refused(400, "invalid_request");
        let none = [("redirect_uri", redirect_uri), ("code_verifier", "")];
        assert_eq!(redeem_with(&client, &code, &none).await.status, StatusCode::OK);
    }

    /// B-04, T-13, RFC 9700 §4.5: a replay ends what the code began, access token at /mcp and refresh token alike.
    async fn a_replayed_code_revokes_its_grant(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let tokens = client.redeem(&code).await.tokens();
        let bystander = client.connect().await;
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        assert!(client.is_let_in(&renewed.access).await);
        client.redeem(&code).await.refused(400, "invalid_grant");
        server.advance(1).await;
        for access in [&tokens.access, &renewed.access] {
            assert!(!client.is_let_in(access).await);
        }
        client.refresh(renewed.refresh()).await.refused(400, "invalid_grant");
        assert!(client.is_let_in(&bystander.access).await, "only the grant of that code ends");
    }

    /// T-12, B-09, A2: spellings of the resource are one; another is `invalid_target` and burns nothing.
    async fn the_resource_is_one_in_every_spelling(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let mcp = server.mcp();
        let slash = format!("{mcp}/");
        let origin = server.origin.clone();
        let loud = mcp.replace("http://", "HTTP://");
        for spelling in ["", mcp.as_str(), &slash, &origin, &loud] {
            let code = code(&server, &client).await;
            let tokens = redeem_with(&client, &code, &[("resource", spelling)]).await.tokens();
            assert_eq!(tokens.claims()["aud"], mcp, "{spelling}");
            assert!(client.is_let_in(&tokens.access).await);
        }
        let code = code(&server, &client).await;
        let upper = mcp.replace("/mcp", "/MCP");
        let fragment = format!("{mcp}#x");
        for other in ["https://other.example/mcp", upper.as_str(), &fragment, "not a url"] {
            redeem_with(&client, &code, &[("resource", other)]).await.refused(400, "invalid_target");
        }
        let mut both = redemption(&code);
        both.extend([("resource", mcp.as_str()), ("resource", "https://other.example/mcp")]);
        client.token(&both).await.refused(400, "invalid_target");
        let mut twice = redemption(&code);
        twice.extend([("resource", mcp.as_str()), ("resource", slash.as_str())]);
        assert_eq!(client.token(&twice).await.tokens().claims()["aud"], mcp);
    }

    /// T-25: a person who was disabled between approval and redemption gets no tokens.
    async fn a_code_of_a_disabled_user_is_refused(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        let ada = server.user_id("ada").await;
        server.app.store().disable_user(&ada, server.now()).await.unwrap();
        client.redeem(&code).await.refused(400, "invalid_grant");
    }

    /// OAuth 2.1 §3.2: a repeated parameter is refused, an unknown or empty one ignored.
    async fn repeated_parameters_are_refused_and_unknown_ones_ignored(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let code = code(&server, &client).await;
        for name in ["code", "code_verifier", "redirect_uri", "client_id", "client_secret"] {
            let mut params = redemption(&code);
            params.push(("client_id", &client.client_id));
            params.push((name, "another"));
            if name == "client_secret" {
                params.push((name, "another"));
            }
            client.token(&params).await.refused(400, "invalid_request");
        }
        let mut params = redemption(&code);
        params.extend([("state", "s"), ("audience", "x"), ("scope", ""), ("nonce", "n"), ("client_secret", "")]);
        assert_eq!(client.token(&params).await.status, StatusCode::OK);
    }
}

/// B-04: what is stored of a code is its digest, and codes look like nothing that clients would have to decode.
#[tokio::test]
async fn codes_are_plain_url_characters() {
    let server = TestServer::start(Database::Sqlite).await;
    let client = Connector::public(&server).await;
    let code = code(&server, &client).await;
    assert!(code.starts_with("pcc_") && code.len() >= 4 + 43, "{code}");
    assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{code}");
    let stored = server.app.store().find_code(&Secret::presented(&code).hash()).await.unwrap();
    assert!(stored.is_some());
}
