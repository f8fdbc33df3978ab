//! ChatGPT connecting and reconnecting, as people have recorded it.

use reqwest::StatusCode;
use serde_json::json;

use crate::browser::{Browser, Callback, Landing, Page};
use crate::connector::{Answer, Connector, FORM, Tokens, VERIFIER, challenge, form, post_form};
use crate::on_both_databases;
use crate::server::TestServer;

/// Both callbacks that ChatGPT uses: one for all connectors, and one for each.
const CALLBACKS: [&str; 2] =
    ["https://chatgpt.com/connector_platform_oauth_redirect", "https://chatgpt.com/connector/oauth/Zx3kP0qLr9-a"];
/// What its first request asks for here: not the default, so that the default can't pass for it.
const SCOPE: &str = "docs:search docs:read";

/// A connector: registered once, then used for years.
struct ChatGpt {
    client: Connector,
    authorize: String,
    token: String,
    revoke: String,
}

impl ChatGpt {
    /// The person creates the connector: ChatGPT registers.
    async fn created(server: &TestServer, callback: &str) -> Self {
        let client = Connector::registered(
            server,
            &json!({
                "client_name": "ChatGPT",
                "redirect_uris": [callback],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            }),
        )
        .await;
        let url = |path| server.url(path);
        Self { client, authorize: url("/authorize"), token: url("/token"), revoke: url("/revoke") }
    }

    /// The authorization request, parameters in the recorded order; without `scope` as on a reconnection.
    fn authorize_url(&self, state: &str, scope: Option<&str>, with_challenge: bool) -> String {
        let challenge = challenge(VERIFIER);
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", &self.client.client_id),
            ("redirect_uri", &self.client.redirect_uri),
            ("state", state),
        ];
        params.extend(scope.map(|scope| ("scope", scope)));
        if with_challenge {
            params.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        params.push(("resource", &self.client.resource));
        format!("{}?{}", self.authorize, form(&params))
    }

    /// The token request.
    async fn redeem(&self, callback: &Callback, verifier: Option<&str>) -> Answer {
        let code = callback.one("code");
        let mut params = vec![
            ("grant_type", "authorization_code"),
            ("client_id", self.client.client_id.as_str()),
            ("code", &code),
            ("redirect_uri", &self.client.redirect_uri),
        ];
        params.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        params.push(("resource", &self.client.resource));
        post_form(&self.token, &[FORM], form(&params)).await
    }

    /// The person connects: the window of their browser opens, and they allow everything.
    async fn connect(&self, browser: &mut Browser, state: &str, scope: Option<&str>) -> Tokens {
        let callback = browser.allow(&self.authorize_url(state, scope, true)).await;
        self.arrived(&callback, state);
        self.redeem(&callback, Some(VERIFIER)).await.tokens()
    }

    /// The callback is the registered one, with the very `state`.
    fn arrived(&self, callback: &Callback, state: &str) {
        assert!(callback.url.as_str().starts_with(&format!("{}?", self.client.redirect_uri)), "{}", callback.url);
        assert_eq!(callback.one("state"), state);
    }

    /// The person disconnects: ChatGPT revokes what it holds.
    async fn disconnect(&self, tokens: &Tokens) {
        let params = [
            ("token", tokens.refresh()),
            ("token_type_hint", "refresh_token"),
            ("client_id", self.client.client_id.as_str()),
        ];
        let answer = post_form(&self.revoke, &[FORM], form(&params)).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    }

    /// The tools of these tokens answer.
    async fn works(&self, tokens: &Tokens) {
        let answer = self.client.call(&tokens.access, "search", json!({ "query": "connect" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.json["result"]["content"].is_array(), "{}", answer.text);
    }
}

/// The page that a landing shows must be the consent page.
fn consent(landing: Landing) -> Page {
    let page = landing.page();
    assert!(page.status == StatusCode::OK && page.asks(), "{}: {}", page.url, page.text());
    page
}

fn words(scope: &str) -> Vec<&str> {
    let mut words: Vec<_> = scope.split(' ').collect();
    words.sort_unstable();
    words
}

on_both_databases! {
    /// The first connection: create, allow, use, refresh.
    async fn a_new_connector_connects(database) {
        let server = TestServer::start(database).await;
        for callback in CALLBACKS {
            let chatgpt = ChatGpt::created(&server, callback).await;
            let mut browser = Browser::new(&server);
            let state = "oauth_s_691b55f5b11481919ddp59nge4998443f";
            let tokens = chatgpt.connect(&mut browser, state, Some(SCOPE)).await;
            assert_eq!(words(&tokens.scope), words(SCOPE));
            chatgpt.works(&tokens).await;
            let renewed = chatgpt.client.refresh(tokens.refresh()).await.tokens();
            assert_eq!(words(&renewed.scope), words(SCOPE));
            chatgpt.works(&renewed).await;
        }
    }

    /// C1: after Disconnect and Connect the request has no `scope`; the previous one is granted.
    async fn a_reconnection_without_scope_gets_the_previous_scope(database) {
        let server = TestServer::start(database).await;
        for callback in CALLBACKS {
            let chatgpt = ChatGpt::created(&server, callback).await;
            let mut browser = Browser::new(&server);
            let first = chatgpt.connect(&mut browser, "oauth_s_1", Some(SCOPE)).await;
            for reconnection in 0..2 {
                chatgpt.disconnect(&first).await;
                server.advance(600).await;
                assert!(!chatgpt.client.is_let_in(&first.access).await);
                let state = format!("oauth_s_691b57560b648191a5a85lt8e30e089{reconnection}");
                let again = chatgpt.connect(&mut browser, &state, None).await;
                assert_eq!(words(&again.scope), words(SCOPE));
                chatgpt.works(&again).await;
                assert_eq!(words(&chatgpt.client.refresh(again.refresh()).await.tokens().scope), words(SCOPE));
            }
        }
    }

    /// C1: an empty `scope` is an absent one.
    async fn a_reconnection_with_an_empty_scope_gets_the_previous_scope(database) {
        let server = TestServer::start(database).await;
        let chatgpt = ChatGpt::created(&server, CALLBACKS[0]).await;
        let mut browser = Browser::new(&server);
        chatgpt.connect(&mut browser, "1", Some(SCOPE)).await;
        let again = chatgpt.connect(&mut browser, "2", Some("")).await;
        assert_eq!(words(&again.scope), words(SCOPE));
    }

    /// C1: who never connected, or ended the connection here, is asked again, for the documented default.
    async fn without_a_previous_grant_the_default_scope_is_asked_for(database) {
        let server = TestServer::start(database).await;
        let chatgpt = ChatGpt::created(&server, CALLBACKS[1]).await;
        let mut browser = Browser::new(&server);
        let default = "account:read docs:read docs:search";
        let first = chatgpt.connect(&mut browser, "1", None).await;
        assert_eq!(words(&first.scope), words(default));
        let narrow = chatgpt.connect(&mut browser, "2", Some("docs:read")).await;
        assert_eq!(narrow.scope, "docs:read");
        // On the account page the person ends it and with it the memory of their approval.
        let page = browser.open("/account").await.page();
        let grant = narrow.claims()["grant"].as_str().unwrap().to_owned();
        browser.submit_to(&page, &format!("/{grant}/revoke")).await.page();
        let page = consent(browser.open(&chatgpt.authorize_url("3", None, true)).await);
        let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
        let again = chatgpt.redeem(&callback, Some(VERIFIER)).await.tokens();
        assert_eq!(words(&again.scope), words(default));
    }

    /// C1: the tab is closed at the consent page; Connect again brings `scope`, or not.
    async fn a_connection_given_up_at_the_consent_page_can_be_begun_again(database) {
        for callback in CALLBACKS {
            for scope in [Some(SCOPE), None] {
                let server = TestServer::start(database).await;
                let chatgpt = ChatGpt::created(&server, callback).await;
                let mut browser = Browser::new(&server);
                let login = browser.open(&chatgpt.authorize_url("oauth_s_first", Some(SCOPE), true)).await.page();
                let abandoned = consent(browser.sign_in(&login).await);
                let page = consent(browser.open(&chatgpt.authorize_url("oauth_s_second", scope, true)).await);
                let landing = browser.submit(&page, &[("decision", "approve")]).await.callback();
                chatgpt.arrived(&landing, "oauth_s_second");
                let tokens = chatgpt.redeem(&landing, Some(VERIFIER)).await.tokens();
                let expected = scope.unwrap_or("account:read docs:read docs:search");
                assert_eq!(words(&tokens.scope), words(expected));
                chatgpt.works(&tokens).await;
                // The tab that was left behind is no danger and no dead end either.
                let late = browser.submit(&abandoned, &[("decision", "approve")]).await.callback();
                chatgpt.arrived(&late, "oauth_s_first");
                chatgpt.works(&tokens).await;
                chatgpt.disconnect(&tokens).await;
            }
        }
    }

    /// the person says no, and ChatGPT hears it in its own window; it may ask again.
    async fn a_denied_connection_can_be_asked_for_again(database) {
        let server = TestServer::start(database).await;
        let chatgpt = ChatGpt::created(&server, CALLBACKS[1]).await;
        let mut browser = Browser::new(&server);
        let login = browser.open(&chatgpt.authorize_url("no", Some(SCOPE), true)).await.page();
        let page = consent(browser.sign_in(&login).await);
        let callback = browser.submit(&page, &[("decision", "deny")]).await.callback();
        chatgpt.arrived(&callback, "no");
        assert_eq!(callback.one("error"), "access_denied");
        assert!(callback.all("code").is_empty());
        let tokens = chatgpt.connect(&mut browser, "yes", None).await;
        chatgpt.works(&tokens).await;
    }

    /// C-11, A-20: once approved, the same request of this known vendor takes one click; more takes the whole page.
    async fn the_same_again_takes_one_click_and_more_the_whole_page(database) {
        let server = TestServer::start(database).await;
        let chatgpt = ChatGpt::created(&server, CALLBACKS[0]).await;
        let mut browser = Browser::new(&server);
        let tokens = chatgpt.connect(&mut browser, "1", Some("docs:read")).await;
        chatgpt.disconnect(&tokens).await;
        for scope in [Some("docs:read"), None] {
            let page = browser.open(&chatgpt.authorize_url("2", scope, true)).await.page();
            assert!(page.asks_to_continue(), "{}", page.text());
            let callback = browser.submit(&page, &[("decision", "approve")]).await.callback();
            assert_eq!(chatgpt.redeem(&callback, Some(VERIFIER)).await.tokens().scope, "docs:read");
        }
        consent(browser.open(&chatgpt.authorize_url("3", Some(SCOPE), true)).await);
    }

    /// C10, A-05: without PKCE nobody connects, ChatGPT neither.
    async fn pkce_is_required_unless_configured(database) {
        let server = TestServer::start(database).await;
        for callback in CALLBACKS {
            let chatgpt = ChatGpt::created(&server, callback).await;
            let refused = Browser::new(&server).open(&chatgpt.authorize_url("s", Some(SCOPE), false)).await.callback();
            chatgpt.arrived(&refused, "s");
            assert_eq!(refused.one("error"), "invalid_request");
            assert!(refused.one("error_description").contains("code_challenge"), "{}", refused.url);
            assert!(refused.all("code").is_empty());
        }
    }

    /// C10: the exception is for the named callback host alone, and a challenge that is sent is checked.
    async fn the_pkce_exception_holds_for_its_host_only(database) {
        let server = TestServer::with(database, &[("PORTCULLIS__PKCE__EXEMPT_REDIRECT_HOSTS", "chatgpt.com")]).await;
        for callback in CALLBACKS {
            let chatgpt = ChatGpt::created(&server, callback).await;
            let mut browser = Browser::new(&server);
            let landing = browser.allow(&chatgpt.authorize_url("s", Some(SCOPE), false)).await;
            let tokens = chatgpt.redeem(&landing, None).await.tokens();
            chatgpt.works(&tokens).await;
            // Who sends a challenge is held to it.
            let landing = browser.allow(&chatgpt.authorize_url("s", Some(SCOPE), true)).await;
            chatgpt.redeem(&landing, None).await.refused(400, "invalid_grant");
            chatgpt.redeem(&landing, Some(&"a".repeat(43))).await.refused(400, "invalid_grant");
            assert_eq!(chatgpt.redeem(&landing, Some(VERIFIER)).await.status, StatusCode::OK);
        }
        for callback in ["https://chat.gpt.com/x", "https://evil.chatgpt.com/x", "http://127.0.0.1:9/chatgpt.com"] {
            let other = ChatGpt::created(&server, callback).await;
            let mut browser = Browser::new(&server);
            let login = browser.open("/login").await.page();
            browser.sign_in(&login).await;
            let refused = browser.open(&other.authorize_url("s", Some(SCOPE), false)).await.callback();
            assert_eq!(refused.one("error"), "invalid_request", "{callback}");
        }
    }

    /// C-11: an expired connection shows as 401 with the pointer, then `invalid_grant`, then a plain reconnection.
    async fn an_expired_connection_is_reconnected(database) {
        let server = TestServer::start(database).await;
        let chatgpt = ChatGpt::created(&server, CALLBACKS[1]).await;
        let mut browser = Browser::new(&server);
        let tokens = chatgpt.connect(&mut browser, "1", Some(SCOPE)).await;
        server.advance(31 * 24 * 3600).await;
        let answer = chatgpt.client.call(&tokens.access, "search", json!({ "query": "x" })).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let header = answer.headers["www-authenticate"].to_str().unwrap();
        let pointer = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", server.origin);
        assert!(header.contains("error=\"invalid_token\"") && header.contains(&pointer), "{header}");
        chatgpt.client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
        let again = chatgpt.connect(&mut browser, "2", None).await;
        assert_eq!(words(&again.scope), words(SCOPE));
        chatgpt.works(&again).await;
    }
}
