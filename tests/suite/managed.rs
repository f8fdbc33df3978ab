//! Clients that an administrator enters, as the forms of ChatGPT, Claude and Insomnia want them: an id and a secret that
//! a person types in.

use oauth::id::ClientId;
use portcullis::model::secret::Secret;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::browser::{Browser, Landing};
use crate::connector::{CALLBACK, Connector, FORM, VERIFIER, basic, form, post_form};
use crate::on_both_databases;
use crate::server::TestServer;
use crate::signer::Signer;

const CHATGPT: &str = "https://chatgpt.com/connector/oauth/abc123";
const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";

/// A code for this client, fresh from a browser that says yes to everything.
async fn code(server: &TestServer, client: &Connector) -> String {
    client.authorize(&mut Browser::new(server), &[]).await.one("code")
}

/// `Authorization: Basic` as RFC 6749 §2.3.1 wants it: both parts percent-encoded.
fn encoded_basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    basic(&encode(id), &encode(secret))
}

/// The status of a code exchange in which the client proves itself like this.
async fn exchange(server: &TestServer, client: &Connector, header: Option<String>, secret: Option<&str>) -> u16 {
    let code = code(server, client).await;
    let mut params = vec![
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    if let Some(secret) = secret {
        params.extend([("client_id", client.client_id.as_str()), ("client_secret", secret)]);
    }
    let mut headers = vec![FORM];
    if let Some(header) = &header {
        headers.push(("authorization", header));
    }
    post_form(&server.url("/token"), &headers, form(&params)).await.status.as_u16()
}

on_both_databases! {
    /// which of the two places a program uses for its secret isn't said in its form, and how it encodes
    /// it isn't either: all work with what was typed.
    async fn an_id_and_a_secret_work_in_every_form(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let made = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        let own = "a:b%41c+d/e=f&g?h#i~k'l<m>n|o.p!q";
        let brought = admin.typed(&server, CLAUDE, "client_secret_post", json!({ "id": "claude.team~1", "client_secret": own })).await;
        assert_eq!((brought.client_id.as_str(), brought.client_secret.as_deref()), ("claude.team~1", Some(own)));
        for client in [&made, &brought] {
            let (id, secret) = (client.client_id.as_str(), client.client_secret.as_deref().unwrap());
            assert_eq!(exchange(&server, client, None, Some(secret)).await, 200, "body");
            assert_eq!(exchange(&server, client, Some(basic(id, secret)), None).await, 200, "raw Basic");
            assert_eq!(exchange(&server, client, Some(encoded_basic(id, secret)), None).await, 200, "encoded Basic");
            assert_eq!(exchange(&server, client, None, secret.strip_suffix(|_: char| true)).await, 401);
            assert_eq!(exchange(&server, client, Some(basic(id, &secret.to_uppercase())), None).await, 401);
            assert_eq!(exchange(&server, client, Some(basic(id, "")), None).await, 401, "no secret");
        }
        let generated = made.client_secret.unwrap();
        assert!(generated.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{generated}");
        let tokens = brought.connect().await;
        assert!(brought.is_let_in(&tokens.access).await);
        assert_eq!(brought.refresh(tokens.refresh()).await.status, 200);
    }

    /// several callbacks; each counts, and none beside them.
    async fn each_entered_callback_counts(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let made = admin.add(&json!({ "name": "Two", "redirect_uris": [CHATGPT, CALLBACK] })).await;
        let (id, secret) = (made["client"]["id"].as_str().unwrap(), made["client_secret"].as_str());
        for uri in [CHATGPT, CALLBACK] {
            let client = Connector::typed(&server, id, secret, uri, "client_secret_basic");
            assert!(client.connect().await.refresh.is_some());
        }
        let other = Connector::typed(&server, id, secret, CLAUDE, "client_secret_basic");
        let page = Browser::new(&server).open(&other.authorize_url(&[])).await.page();
        assert!(page.text().contains("does not match") && page.text().contains(CHATGPT), "{}", page.text());
    }

    /// The terms of one client: a ceiling, lifetimes, no refresh tokens, no consent page for the operator's own.
    async fn an_administrators_terms_hold(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let narrow = json!({ "allowed_scopes": ["docs:read"], "access_ttl": "90s", "refresh_idle_ttl": "10m", "refresh_absolute_ttl": "1h" });
        let client = admin.typed(&server, CHATGPT, "client_secret_post", narrow).await;
        let tokens = client.connect().await;
        assert_eq!((tokens.scope.as_str(), tokens.expires_in), ("docs:read", 90));
        let mut browser = Browser::new(&server);
        let wide = client.authorize(&mut browser, &[("scope", "docs:read account:read")]).await;
        assert_eq!(client.redeem(&wide.one("code")).await.tokens().scope, "docs:read");
        server.advance(601).await;
        client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");

        let without = admin.typed(&server, CLAUDE, "client_secret_post", json!({ "refresh": false })).await;
        assert_eq!(without.connect().await.refresh, None);

        let own = admin.typed(&server, "https://own.example/cb", "client_secret_post", json!({ "first_party": true })).await;
        let mut browser = Browser::new(&server);
        let page = browser.open(&own.authorize_url(&[])).await.page();
        assert!(matches!(browser.sign_in(&page).await, Landing::Callback(_)), "nobody is asked");
    }

    /// while a rotation is under way two secrets are good, then one; a second rotation ends the older at once.
    async fn two_secrets_are_good_during_a_rotation(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        let path = format!("/clients/{}", client.client_id);
        let rotate = async |body: Value| {
            let answer = admin.post(&format!("{path}/rotate-secret"), &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            answer.json["client_secret"].as_str().unwrap().to_owned()
        };
        let status = async |secret: &str| exchange(&server, &client, None, Some(secret)).await;
        let first = client.client_secret.clone().unwrap();
        let second = rotate(json!({ "overlap": "10m" })).await;
        assert_eq!((status(&first).await, status(&second).await), (200, 200));
        assert_eq!(admin.get(&path).await.json["old_secret_expires_at"], server.now().0 + 600);
        let third = rotate(json!({ "overlap": "10m" })).await;
        assert_eq!((status(&first).await, status(&second).await, status(&third).await), (401, 200, 200));
        server.advance(600).await;
        assert_eq!((status(&second).await, status(&third).await), (401, 200));
        assert!(admin.get(&path).await.json.get("old_secret_expires_at").is_none());
        let fourth = rotate(json!({})).await;
        assert_eq!(admin.get(&path).await.json["old_secret_expires_at"], server.now().0 + 86400);
        assert_eq!(admin.post(&format!("{path}/end-old-secret"), &json!({})).await.status, 200);
        assert_eq!((status(&third).await, status(&fourth).await), (401, 200));
        let own = "my own secret has blanks and is not taken";
        let refused = admin.post(&format!("{path}/rotate-secret"), &json!({ "client_secret": own })).await;
        assert!(refused.refused(400, "invalid_request").text.contains("client_secret"), "{}", refused.text);
        let fifth = rotate(json!({ "overlap": "0s" })).await;
        assert_eq!((status(&fourth).await, status(&fifth).await), (401, 200));
    }

    /// of two who rotate at once one wins; the secret that was told to the other never replaces it in silence.
    async fn of_two_rotations_at_once_one_wins(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        let (id, store) = (ClientId::new(&client.client_id), server.app.store());
        let present = Secret::presented(client.client_secret.clone().unwrap()).hash();
        let (one, two) = (Secret::presented("one").hash(), Secret::presented("two").hash());
        let (first, second) = tokio::join!(
            store.rotate_client_secret(&id, &present, &one, None),
            store.rotate_client_secret(&id, &present, &two, None)
        );
        assert_ne!(first.unwrap(), second.unwrap());
        assert!(!store.rotate_client_secret(&id, &present, &two, None).await.unwrap());
    }

    /// T-25: a client that is stopped is stopped everywhere, and what it had stays ended when it may work again. So for
    /// clients that registered themselves.
    async fn a_stopped_client_is_stopped_everywhere(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let typed = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        for client in [typed, Connector::public(&server).await] {
            let path = format!("/clients/{}", client.client_id);
            let tokens = client.connect().await;
            let waiting = code(&server, &client).await;
            let mut browser = Browser::new(&server);
            let page = browser.open(&client.authorize_url(&[("prompt", "consent")])).await.page();
            let page = browser.sign_in(&page).await.page();
            assert!(page.body.contains("approve"));

            let disabled = admin.post(&format!("{path}/disable"), &json!({})).await;
            assert_eq!((disabled.status.as_u16(), &disabled.json["disabled_at"]), (200, &json!(server.now().0)));
            assert!(!client.is_let_in(&tokens.access).await);
            client.refresh(tokens.refresh()).await.refused(401, "invalid_client");
            client.redeem(&waiting).await.refused(401, "invalid_client");
            assert!(browser.submit(&page, &[("decision", "approve")]).await.page().status.is_client_error());
            assert!(Browser::new(&server).open(&client.authorize_url(&[])).await.page().status.is_client_error());

            let enabled = admin.post(&format!("{path}/enable"), &json!({})).await;
            assert_eq!((enabled.status.as_u16(), enabled.json.get("disabled_at")), (200, None));
            assert!(!client.is_let_in(&tokens.access).await);
            client.refresh(tokens.refresh()).await.refused(400, "invalid_grant");
            client.redeem(&waiting).await.refused(400, "invalid_grant");
            assert!(client.is_let_in(&client.connect().await.access).await);
        }
    }

    /// T-25: a deleted client is gone with all it had, and its id is never another's.
    async fn a_deleted_client_is_gone_for_good(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = admin.typed(&server, CHATGPT, "client_secret_basic", json!({ "id": "once" })).await;
        let tokens = client.connect().await;
        assert_eq!(admin.delete("/clients/once").await.status, 204);
        assert!(!client.is_let_in(&tokens.access).await);
        client.refresh(tokens.refresh()).await.refused(401, "invalid_client");
        admin.get("/clients/once").await.refused(404, "not_found");
        admin.delete("/clients/once").await.refused(404, "not_found");
        admin.post("/clients/once/disable", &json!({})).await.refused(404, "not_found");
        admin.patch("/clients/once", &json!({ "name": "x" })).await.refused(404, "not_found");
        let again = json!({ "id": "once", "name": "Again", "redirect_uris": [CLAUDE] });
        assert!(admin.post("/clients", &again).await.refused(409, "conflict").text.contains("once"));
        assert_eq!(admin.get("/clients").await.json["clients"], json!([]));
    }

    /// people are asked again when a client changes in what they relied on, and only then.
    async fn a_change_of_callbacks_asks_people_again(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        let path = format!("/clients/{}", client.client_id);
        let mut browser = Browser::new(&server);
        client.authorize(&mut browser, &[]).await;
        let remembered = async |browser: &mut Browser| {
            browser.open(&client.authorize_url(&[])).await.page().asks_to_continue()
        };
        assert!(remembered(&mut browser).await);
        assert_eq!(admin.patch(&path, &json!({ "description": "For the team", "access_ttl": "5m" })).await.status, 200);
        assert!(remembered(&mut browser).await);
        for change in [
            json!({ "name": "Renamed" }),
            json!({ "client_uri": "https://example.com/" }),
            json!({ "redirect_uris": [CHATGPT, CLAUDE] }),
            json!({ "auth_methods": ["client_secret_post"] }),
            json!({ "allowed_scopes": ["account:read", "docs:read", "docs:search"] }),
        ] {
            assert_eq!(admin.patch(&path, &change).await.status, 200);
            assert!(!remembered(&mut browser).await, "{change}");
            client.authorize(&mut browser, &[]).await;
            assert!(remembered(&mut browser).await);
        }
    }

    /// what is under way when a client changes ends with the change: a callback that was removed gets no answer.
    async fn what_is_under_way_ends_with_the_change(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let typed = admin.typed(&server, CHATGPT, "client_secret_post", json!({})).await;
        let registered = Connector::public(&server).await;
        for (client, change) in [
            (typed, json!({ "redirect_uris": [CLAUDE] })),
            (registered, json!({ "allowed_scopes": ["docs:read"] })),
        ] {
            let path = format!("/clients/{}", client.client_id);
            let begin = async || {
                let mut browser = Browser::new(&server);
                let page = browser.open(&client.authorize_url(&[("prompt", "consent")])).await.page();
                let page = browser.sign_in(&page).await.page();
                assert!(page.body.contains("approve"));
                (browser, page)
            };
            let waiting = code(&server, &client).await;
            let (mut browser, page) = begin().await;
            assert_eq!(admin.patch(&path, &json!({ "description": "For the team" })).await.status, 200);
            assert!(matches!(browser.submit(&page, &[("decision", "approve")]).await, Landing::Callback(_)), "stays");
            let (mut browser, page) = begin().await;
            assert_eq!(admin.patch(&path, &change).await.status, 200);
            assert!(browser.submit(&page, &[("decision", "approve")]).await.page().status.is_client_error());
            client.redeem(&waiting).await.refused(400, "invalid_grant");
        }
    }

    /// a client that an administrator entered with its public key proves itself by an assertion, and by
    /// nothing less; another key put in its place is the only one that counts.
    async fn an_entered_key_is_the_only_proof(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let (first, second) = (Signer::new("one", "ES256"), Signer::new("two", "ES256"));
        let key = json!({ "id": "signed", "auth_methods": ["private_key_jwt"], "jwks": first.jwks() });
        let client = admin.typed(&server, CLAUDE, "none", key).await;
        assert_eq!(client.client_secret, None);
        let redeem = async |signer: Option<&Signer>| {
            let code = code(&server, &client).await;
            let assertion = signer.map(|signer| signer.assertion("signed", &server.origin, server.now().0));
            let mut params = vec![
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", CLAUDE),
                ("code_verifier", VERIFIER),
                ("client_id", "signed"),
            ];
            if let Some(assertion) = &assertion {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                params.extend([("client_assertion_type", kind), ("client_assertion", assertion)]);
            }
            post_form(&server.url("/token"), &[FORM], form(&params)).await.status.as_u16()
        };
        assert_eq!((redeem(Some(&first)).await, redeem(Some(&second)).await, redeem(None).await), (200, 401, 401));
        assert_eq!(admin.patch("/clients/signed", &json!({ "jwks": second.jwks() })).await.status, 200);
        assert_eq!((redeem(Some(&first)).await, redeem(Some(&second)).await), (401, 200));
        let shown = admin.get("/clients/signed").await.json;
        assert_eq!(shown["jwks"]["keys"][0]["kid"], "two");
    }
}
