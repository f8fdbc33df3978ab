//! Logos of managed clients: pictures and nothing else, from this server and nowhere else.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_NONE_MATCH};
use serde_json::json;

use crate::admin::Admin;
use crate::browser::Browser;
use crate::connector::{Connector, answer};
use crate::on_both_databases;
use crate::server::{TestServer, http};

const CHATGPT: &str = "https://chatgpt.com/connector/oauth/abc123";

/// A whole picture, one colour: PNG needs no compression library for that.
fn png(side: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(side.to_be_bytes());
    bytes.extend(side.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

on_both_databases! {
    /// judged by content, kept here, shown as a picture whatever it holds, and never from anywhere else.
    async fn a_logo_is_a_picture_from_this_server(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = admin.typed(&server, CHATGPT, "client_secret_post", json!({ "id": "with~logo" })).await;
        let put = async |kind: &str, body: Vec<u8>| {
            answer(admin.request(Method::PUT, "/clients/with~logo/logo").header(CONTENT_TYPE, kind).body(body)).await
        };
        put("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()).await.refused(400, "invalid_request");
        put("image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()).await.refused(400, "invalid_request");
        put("image/jpeg", png(64)).await.refused(400, "invalid_request");
        put("image/png", png(8)).await.refused(400, "invalid_request");
        put("image/png", [png(64), vec![0; 64 * 1024]].concat()).await.refused(413, "too_large");
        assert_eq!(put("image/png", png(64)).await.status, 204);

        let url = admin.get("/clients/with~logo").await.json["logo_url"].as_str().unwrap().to_owned();
        let shown = http().get(&url).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        for (name, value) in [
            ("content-type", "image/png"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cache-control", "public, max-age=86400"),
        ] {
            assert_eq!(shown.headers()[name], value);
        }
        let tag = shown.headers()["etag"].clone();
        assert_eq!(shown.bytes().await.unwrap(), png(64));
        assert_eq!(http().get(&url).header(IF_NONE_MATCH, &tag).send().await.unwrap().status(), 304);

        let mut browser = Browser::new(&server);
        let page = browser.open(&client.authorize_url(&[])).await.page();
        let page = browser.sign_in(&page).await.page();
        let path = url.strip_prefix(&server.origin).unwrap();
        assert!(page.body.contains(&format!("src=\"{path}\"")), "{}", page.body);

        server.advance(5).await;
        assert_eq!(put("image/png", png(32)).await.status, 204);
        assert_ne!(admin.get("/clients/with~logo").await.json["logo_url"], json!(url), "a new one is seen at once");
        assert_eq!(admin.delete("/clients/with~logo/logo").await.status, 204);
        admin.delete("/clients/with~logo/logo").await.refused(404, "not_found");
        assert_eq!(http().get(&url).send().await.unwrap().status(), 404);
        assert!(admin.get("/clients/with~logo").await.json.get("logo_url").is_none());
    }

    /// a client that speaks for itself has no logo: a picture would say more than is known.
    async fn only_managed_clients_have_a_logo(database) {
        let server = TestServer::start(database).await;
        let admin = Admin::of(&server).await;
        let client = Connector::public(&server).await;
        let path = format!("/clients/{}/logo", client.client_id);
        let put = admin.request(Method::PUT, &path).header(CONTENT_TYPE, "image/png").body(png(64));
        answer(put).await.refused(404, "not_found");
        admin.get(&path).await.refused(404, "not_found");
    }
}
