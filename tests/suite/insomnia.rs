//! Insomnia, exactly: each request in the shape in which it was recorded, headers and body order included.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, Landing};
use crate::connector::{Answer, Connector, FORM, VERIFIER, answer, basic, challenge, form, post_form};
use crate::on_both_databases;
use crate::server::{PASSWORD, TestServer, USER, http};

/// What the person typed; nobody listens there, and Insomnia's own window catches it.
const CALLBACK: &str = "http://localhost/callback";
/// The fixed callback of "Using default browser" and of its MCP client.
const REDIRECT: &str = "https://app.insomnia.rest/oauth/redirect";

const ACCEPT: (&str, &str) = ("accept", "application/x-www-form-urlencoded, application/json");
const AGENT: (&str, &str) = ("user-agent", "insomnia/10.1.1");

/// The classic "OAuth 2" tab of a request.
struct Tab {
    client: Connector,
    authorize: String,
    token: String,
    resource: String,
    /// "As Basic Auth Header", the default, or "In Request Body".
    in_header: bool,
    pkce: bool,
}

impl Tab {
    /// A tab filled in with a client that was registered by hand.
    async fn public(server: &TestServer) -> Self {
        Self::of(server, "none").await
    }

    async fn of(server: &TestServer, method: &str) -> Self {
        let registration = json!({
            "client_name": "Insomnia", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        });
        Self {
            client: Connector::registered(server, &registration).await,
            authorize: server.url("/authorize"),
            token: server.url("/token"),
            resource: server.mcp(),
            in_header: method != "client_secret_post",
            pkce: true,
        }
    }

    /// The authorization request: these parameters in this order, empty ones left out.
    fn authorize_url(&self, scope: &str, state: &str) -> String {
        let challenge = challenge(VERIFIER);
        let (challenge, method) = if self.pkce { (challenge.as_str(), "S256") } else { ("", "") };
        self.authorize_url_with(scope, state, challenge, method)
    }

    fn authorize_url_with(&self, scope: &str, state: &str, challenge: &str, method: &str) -> String {
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", self.client.client_id.as_str()),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", state),
            ("audience", ""),
            ("resource", &self.resource),
            ("code_challenge", challenge),
            ("code_challenge_method", method),
        ];
        params.retain(|(_, value)| !value.is_empty());
        format!("{}?{}", self.authorize, form(&params))
    }

    /// A code, by way of the built-in window.
    async fn code(&self, server: &TestServer) -> String {
        let callback = Browser::new(server).allow(&self.authorize_url("docs:read docs:search account:read", "s")).await;
        assert_eq!(callback.url.host_str(), Some("localhost"));
        callback.one("code")
    }

    /// The secret, where there is one.
    fn secret(&self) -> &str {
        self.client.client_secret.as_deref().unwrap_or_default()
    }

    /// Sends a body with the headers of every token request, and the credentials where this tab puts them. In Basic
    /// mode the header is sent also for an empty secret, and no `client_id` in the body.
    async fn post(&self, params: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
        let mut params = params.to_vec();
        let credentials = basic(&self.client.client_id, self.secret());
        let mut headers = vec![FORM, ACCEPT, AGENT];
        if self.in_header {
            headers.push(("authorization", &credentials));
        } else {
            params.push(("client_id", &self.client.client_id));
            if !self.secret().is_empty() {
                params.push(("client_secret", self.secret()));
            }
        }
        headers.extend(more);
        post_form(&self.token, &headers, form(&params)).await
    }

    /// The code exchange; `more` comes where Insomnia has `state` (10.1.1).
    async fn redeem(&self, code: &str, state: Option<&str>, more: &[(&str, &str)]) -> Answer {
        let mut params = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        params.extend(state.map(|state| ("state", state)));
        if !self.resource.is_empty() {
            params.push(("resource", &self.resource));
        }
        if self.pkce {
            params.push(("code_verifier", VERIFIER));
        }
        self.post(&params, more).await
    }

    /// The refresh: `scope` if typed, never `resource`.
    async fn refresh(&self, token: &str, scope: &str) -> Answer {
        let mut params = vec![("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        params.retain(|(_, value)| !value.is_empty());
        self.post(&params, &[]).await
    }
}

/// Whether Insomnia's window would take this address for the end of the flow.
fn ends_the_window(url: &str) -> bool {
    ["?code=", "&code=", "?error=", "&error="].iter().any(|mark| url.contains(mark))
}

on_both_databases! {
    /// I1: Basic with an empty secret, S256, resource; a public client.
    async fn i1_basic_header_with_an_empty_secret(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        assert_eq!(tokens.claims()["aud"], server.mcp());
        assert!(tab.client.is_let_in(&tokens.access).await);
    }

    /// I2: the same with the credentials in the body.
    async fn i2_credentials_in_the_body(database) {
        let server = TestServer::start(database).await;
        let tab = Tab { in_header: false, ..Tab::public(&server).await };
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        assert!(tab.client.is_let_in(&tokens.access).await);
        assert_eq!(tab.refresh(tokens.refresh(), "").await.status, StatusCode::OK);
    }

    /// I3: no `resource` anywhere; the audience is the MCP endpoint all the same.
    async fn i3_without_resource_the_audience_is_canonical(database) {
        let server = TestServer::start(database).await;
        let tab = Tab { resource: String::new(), ..Tab::public(&server).await };
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        assert_eq!(tokens.claims()["aud"], server.mcp());
        assert!(tab.client.is_let_in(&tokens.access).await);
    }

    /// I4: `resource` with a slash at its end.
    async fn i4_resource_with_a_slash_has_the_same_audience(database) {
        let server = TestServer::start(database).await;
        let tab = Tab { resource: format!("{}/", server.mcp()), ..Tab::public(&server).await };
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        assert_eq!(tokens.claims()["aud"], server.mcp());
        assert!(tab.client.is_let_in(&tokens.access).await);
    }

    /// I5: refresh by Basic with an empty secret, scope repeated, no resource.
    async fn i5_refresh_repeats_the_scope_and_names_no_resource(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        let renewed = tab.refresh(tokens.refresh(), "docs:read docs:search account:read").await.tokens();
        assert_ne!(renewed.refresh, tokens.refresh);
        assert_eq!((&renewed.scope, &renewed.claims()["aud"]), (&tokens.scope, &tokens.claims()["aud"]));
        assert!(tab.client.is_let_in(&renewed.access).await);
    }

    /// I6: versions before September 2025 refresh without naming their client at all.
    async fn i6_refresh_without_any_client_is_enough_for_a_public_client_only(database) {
        let server = TestServer::start(database).await;
        let refresh = |token: String| {
            let body = form(&[("grant_type", "refresh_token"), ("refresh_token", &token)]);
            let url = server.url("/token");
            async move { post_form(&url, &[FORM, ACCEPT, AGENT], body).await }
        };
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        let renewed = refresh(tokens.refresh().to_owned()).await.tokens();
        assert!(tab.client.is_let_in(&renewed.access).await);
        for method in ["client_secret_basic", "client_secret_post"] {
            let tab = Tab::of(&server, method).await;
            let code = tab.code(&server).await;
            let tokens = tab.redeem(&code, None, &[]).await.tokens();
            let refused = refresh(tokens.refresh().to_owned()).await;
            let text = refused.refused(401, "invalid_client").json["error_description"].as_str().unwrap();
            assert!(text.contains(method), "{text}");
            assert_eq!(tab.refresh(tokens.refresh(), "").await.status, StatusCode::OK, "it was not spent");
        }
        refresh("pcr_unknown".to_owned()).await.refused(401, "invalid_client");
    }

    /// I7: 10.1.1 sends the raw verifier as challenge and no method when none was chosen; "Plain" says so.
    async fn i7_a_challenge_without_method_is_refused_with_words(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        for method in ["", "plain"] {
            let url = tab.authorize_url_with("docs:read", "s", VERIFIER, method);
            let callback = Browser::new(&server).open(&url).await.callback();
            assert_eq!(callback.one("error"), "invalid_request");
            let words = callback.one("error_description");
            assert!(words.contains("S256") && words.contains("SHA-256"), "{words}");
            assert!(ends_the_window(callback.url.as_str()));
        }
    }

    /// I8: PKCE is a toggle there, and off by default.
    async fn i8_without_pkce_is_refused_with_words(database) {
        let server = TestServer::start(database).await;
        for method in ["none", "client_secret_basic"] {
            let tab = Tab { pkce: false, ..Tab::of(&server, method).await };
            let callback = Browser::new(&server).open(&tab.authorize_url("docs:read", "s")).await.callback();
            assert_eq!(callback.one("error"), "invalid_request");
            assert!(callback.one("error_description").contains("PKCE"), "{}", callback.url);
        }
    }

    /// I9: 10.1.1 repeats `state` in the token request.
    async fn i9_state_in_the_token_body_is_ignored(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        assert_eq!(tab.redeem(&code, Some("s"), &[]).await.status, StatusCode::OK);
    }

    /// I10: 400 with `invalid_grant` is what makes it drop its tokens and sign in again.
    async fn i10_an_expired_refresh_token_is_invalid_grant(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        server.advance(30 * 24 * 3600).await;
        let refused = tab.refresh(tokens.refresh(), "").await;
        refused.refused(400, "invalid_grant");
        // Only behind "Response Timeline" is this seen: it must be short, and say so first.
        assert!(refused.text.starts_with("{\"error\":\"invalid_grant\"") && refused.text.len() < 250, "{}", refused.text);
    }

    /// I11: the relay page navigates to us from another site; a person who is signed in stays so.
    async fn i11_the_relay_page_finds_the_person_signed_in(database) {
        let server = TestServer::start(database).await;
        let client = Connector::registered(
            &server,
            &json!({ "client_name": "Insomnia", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none" }),
        )
        .await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&client.authorize_url(&[])).await.page();
        let (action, mut fields) = login.fields("username");
        fields.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
        let signed_in = browser.send(Method::POST, &action, Some(&fields)).await;
        let cookies: Vec<_> = signed_in.headers.get_all("set-cookie").iter().map(|own| own.to_str().unwrap()).collect();
        assert!(!cookies.is_empty() && cookies.iter().all(|own| own.contains("SameSite=Lax") && own.contains("HttpOnly")));
        let jar = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let arrived = http()
            .get(client.authorize_url(&[]))
            .header("referer", "https://app.insomnia.rest/oauth/relay?authCodeUrl=x&publicKey=y")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("cookie", jar)
            .send()
            .await
            .unwrap();
        assert_eq!(arrived.status(), StatusCode::SEE_OTHER);
        let next = arrived.headers()["location"].to_str().unwrap().to_owned();
        let Landing::Page(page) = browser.open(&next).await else { panic!("no consent asked") };
        assert!(page.url.contains("/consent?"), "{}", page.url);
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        assert!(callback.url.as_str().starts_with(REDIRECT));
        assert_eq!(client.redeem(&callback.one("code")).await.status, StatusCode::OK);
    }

    /// I12: the Origin field of the tab is free text.
    async fn i12_a_typed_origin_does_not_matter(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        for origin in ["https://evil.example", "null", "not an origin"] {
            let code = tab.code(&server).await;
            let answer = tab.redeem(&code, None, &[("origin", origin)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
            assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        }
    }

    /// I13: the window closes at the first address with `code=` or `error=`; none of ours has them.
    async fn i13_no_own_address_ends_the_window(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let mut browser = Browser::new(&server);
        let mut seen = Vec::new();
        let mut wrong_password_tried = false;
        // Each step by hand, to see every address on the way: the first request, then forms and redirects.
        let mut page = browser.send(Method::GET, &tab.authorize_url("docs:read", "code=1&error=2"), None).await;
        let callback = loop {
            seen.push(page.url.clone());
            if let Some(location) = page.headers.get("location") {
                let next = url::Url::parse(&page.url).unwrap().join(location.to_str().unwrap()).unwrap();
                if next.host_str() == Some("localhost") {
                    break next;
                }
                page = browser.send(Method::GET, next.as_str(), None).await;
            } else if page.body.contains("name=\"password\"") {
                let (action, mut fields) = page.fields("username");
                fields.insert("username".to_owned(), USER.to_owned());
                let password = if wrong_password_tried { PASSWORD } else { "wrong" };
                wrong_password_tried = true;
                fields.insert("password".to_owned(), password.to_owned());
                page = browser.send(Method::POST, &action, Some(&fields)).await;
            } else {
                let (action, mut fields) = page.fields("authorization");
                fields.insert("decision".to_owned(), "approve".to_owned());
                page = browser.send(Method::POST, &action, Some(&fields)).await;
            }
        };
        assert!(seen.len() >= 8, "{seen:?}");
        assert!(seen.iter().all(|url| !ends_the_window(url)), "{seen:?}");
        assert!(ends_the_window(callback.as_str()) && callback.query_pairs().any(|(_, own)| own == "code=1&error=2"));
    }

    /// I14: form encoding writes spaces as `+`, in the query too.
    async fn i14_scopes_are_separated_by_plus(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let url = tab.authorize_url("docs:read docs:search", "a state");
        assert!(url.contains("scope=docs%3Aread+docs%3Asearch") && url.contains("state=a+state"), "{url}");
        let callback = Browser::new(&server).allow(&url).await;
        assert_eq!(callback.one("state"), "a state");
        let tokens = tab.redeem(&callback.one("code"), None, &[]).await.tokens();
        assert_eq!(tokens.scope, "docs:read docs:search");
    }

    /// I15: two requests of one folder refresh at once.
    async fn i15_two_requests_refresh_at_once(database) {
        let server = TestServer::start(database).await;
        let tab = Tab::public(&server).await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        server.advance(3600).await;
        let (one, two) = tokio::join!(tab.refresh(tokens.refresh(), ""), tab.refresh(tokens.refresh(), ""));
        let (one, two) = (one.tokens(), two.tokens());
        assert_eq!(one.refresh, two.refresh);
        assert!(tab.client.is_let_in(&one.access).await && tab.client.is_let_in(&two.access).await);
        assert_eq!(tab.refresh(one.refresh(), "").await.status, StatusCode::OK);
    }

    /// I16: a secret with `:`, `%` and `+` in the Basic header, raw.
    async fn i16_a_secret_with_odd_characters_is_sent_raw(database) {
        let server = TestServer::start(database).await;
        let mut tab = Tab::of(&server, "client_secret_basic").await;
        crate::token_code::set_secret(&server, &mut tab.client, "p:q%2Fr+s%").await;
        let code = tab.code(&server).await;
        let tokens = tab.redeem(&code, None, &[]).await.tokens();
        assert_eq!(tab.refresh(tokens.refresh(), "").await.status, StatusCode::OK);
    }

    /// IM1: Insomnia's own MCP client, from the first 401 to a refreshed token.
    async fn im1_its_mcp_client_connects(database) {
        let server = TestServer::start(database).await;
        let mcp = McpClient::connecting(&server).await;
        let tokens = mcp.signed_in(&server).await;
        assert!(mcp.client.is_let_in(tokens["access_token"].as_str().unwrap()).await);
        let refresh = form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
            ("client_id", &mcp.client.client_id),
            ("resource", &server.mcp()),
        ]);
        let renewed = post_form(&server.url("/token"), &[FORM, ("accept", "application/json")], refresh).await.tokens();
        assert!(mcp.client.is_let_in(&renewed.access).await);
    }

    /// IM2: it reads `resource_metadata` and `scope` from the first challenge, both quoted.
    async fn im2_the_challenge_says_where_and_for_what(database) {
        let server = TestServer::start(database).await;
        let refused = first_call(&server).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let header = refused.headers["www-authenticate"].to_str().unwrap();
        let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", server.origin);
        assert!(header.starts_with("Bearer ") && header.contains(&metadata), "{header}");
        assert!(header.contains("scope=\"account:read docs:read docs:search\""), "{header}");
        assert!(!header.contains("error="), "no token was sent: {header}");
    }

    /// IM3: it waits three minutes for a person who has to look up a password.
    async fn im3_a_slow_person_has_three_minutes(database) {
        let server = TestServer::start(database).await;
        let mcp = McpClient::connecting(&server).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&mcp.authorize_url(&server)).await.page();
        server.advance(90).await;
        let consent = browser.sign_in(&login).await.page();
        server.advance(85).await;
        let callback = browser.submit(&consent, &[("decision", "approve")]).await.callback();
        mcp.redeem(&server, &callback.one("code")).await.tokens();
    }

    /// IM4: it ends its session with DELETE, if it has one; here there is none, and that is no 401.
    async fn im4_delete_is_405_and_no_401_loop(database) {
        let server = TestServer::start(database).await;
        let mcp = McpClient::connecting(&server).await;
        let tokens = mcp.signed_in(&server).await;
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let request = http().delete(server.mcp()).header("authorization", bearer).header("mcp-session-id", "x");
        let refused = answer(request).await;
        assert_eq!((refused.status, refused.headers["allow"].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..]));
        assert!(!refused.headers.contains_key("www-authenticate"));
    }

    /// IM5: it does not step up on a 403, it shows the body.
    async fn im5_a_403_is_readable(database) {
        let server = TestServer::start(database).await;
        let mcp = McpClient::connecting(&server).await;
        let callback = mcp.client.authorize(&mut Browser::new(&server), &[("scope", "docs:read")]).await;
        let tokens = mcp.client.redeem(&callback.one("code")).await.tokens();
        let refused = mcp.client.call(&tokens.access, "whoami", json!({})).await;
        assert_eq!((refused.status, refused.headers["content-type"].as_bytes()), (StatusCode::FORBIDDEN, &b"application/json"[..]));
        assert!(refused.text.contains("account:read"), "{}", refused.text);
        assert!(refused.headers["www-authenticate"].to_str().unwrap().contains("error=\"insufficient_scope\""));
    }

    /// IM6: it keeps its client id; after a restart of the server that id still works, and so do its tokens.
    async fn im6_the_same_client_works_after_a_restart(database) {
        let server = TestServer::start(database).await;
        let mut mcp = McpClient::connecting(&server).await;
        let tokens = mcp.signed_in(&server).await;
        let server = server.restart(&[]).await;
        mcp.client = mcp.client.turned_to(&server);
        assert!(mcp.client.is_let_in(tokens["access_token"].as_str().unwrap()).await);
        let renewed = mcp.client.refresh(tokens["refresh_token"].as_str().unwrap()).await.tokens();
        assert!(mcp.client.is_let_in(&renewed.access).await);
        let again = mcp.client.connect().await;
        assert!(mcp.client.is_let_in(&again.access).await);
    }
}

/// The first thing it sends: `initialize`, without a token.
async fn first_call(server: &TestServer) -> Answer {
    let body = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": { "roots": { "listChanged": true }, "sampling": {}, "elicitation": {} },
            "clientInfo": { "name": "insomnia", "version": "12.0.0" },
        },
    });
    let request = http().post(server.mcp()).header("content-type", "application/json");
    answer(request.header("accept", "application/json, text/event-stream").body(body.to_string())).await
}

/// Insomnia's MCP client.
struct McpClient {
    client: Connector,
    authorize: String,
    token: String,
    scope: String,
}

impl McpClient {
    /// 401, resource metadata, server metadata, registration.
    async fn connecting(server: &TestServer) -> Self {
        let refused = first_call(server).await;
        let header = refused.headers["www-authenticate"].to_str().unwrap();
        let quoted = |name: &str| header.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
        let get = async |url: &str| {
            let request = http().get(url).header("mcp-protocol-version", "2025-06-18");
            let found = answer(request.header("accept", "application/json")).await;
            assert_eq!(found.status, StatusCode::OK, "{url}");
            found.json
        };
        let resource = get(quoted("resource_metadata")).await;
        let issuer = resource["authorization_servers"][0].as_str().unwrap();
        let metadata = get(&format!("{issuer}/.well-known/oauth-authorization-server")).await;
        let registration = json!({
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "client_name": "Insomnia MCP Client",
            "client_uri": "https://github.com/Kong/insomnia",
        });
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(text(&metadata["registration_endpoint"]), server.url("/register"));
        let client = Connector::registered(server, &registration).await;
        assert_eq!(client.registration["token_endpoint_auth_method"], "none");
        assert!(client.client_secret.is_none());
        Self {
            client,
            authorize: text(&metadata["authorization_endpoint"]),
            token: text(&metadata["token_endpoint"]),
            scope: quoted("scope").to_owned(),
        }
    }

    fn authorize_url(&self, server: &TestServer) -> String {
        let resource = url::Url::parse(&server.mcp()).unwrap();
        let params = [
            ("response_type", "code"),
            ("client_id", self.client.client_id.as_str()),
            ("code_challenge", &challenge(VERIFIER)),
            ("code_challenge_method", "S256"),
            ("redirect_uri", REDIRECT),
            ("scope", &self.scope),
            ("resource", resource.as_str()),
        ];
        format!("{}?{}", self.authorize, form(&params))
    }

    async fn redeem(&self, server: &TestServer, code: &str) -> Answer {
        let params = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
            ("client_id", self.client.client_id.as_str()),
            ("resource", &server.mcp()),
        ];
        post_form(&self.token, &[FORM, ("accept", "application/json")], form(&params)).await
    }

    /// The default browser opens by way of the relay; the person signs in and allows. `state` was not sent, and
    /// none comes back.
    async fn signed_in(&self, server: &TestServer) -> BTreeMap<String, Value> {
        let callback = Browser::new(server).allow(&self.authorize_url(server)).await;
        assert!(callback.url.as_str().starts_with(REDIRECT));
        assert!(callback.all("state").is_empty());
        let redeemed = self.redeem(server, &callback.one("code")).await;
        redeemed.tokens();
        serde_json::from_value(redeemed.json).unwrap()
    }
}
