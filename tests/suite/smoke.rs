//! The whole path, once.

use serde_json::json;

use crate::connector::Connector;
use crate::on_both_databases;
use crate::server::TestServer;

on_both_databases! {
    /// From registration over sign-in and consent to a tool call, a refresh and another call.
    async fn the_whole_path_works(database) {
        let server = TestServer::start(database).await;
        let client = Connector::public(&server).await;
        let tokens = client.connect().await;
        let answer = client.call(&tokens.access, "whoami", json!({})).await;
        assert_eq!(answer.json["result"]["structuredContent"]["nickname"], "ada", "{}", answer.text);
        let renewed = client.refresh(tokens.refresh()).await.tokens();
        assert_ne!(renewed.refresh, tokens.refresh);
        assert!(client.is_let_in(&renewed.access).await);
        assert_eq!(client.revoke(renewed.refresh()).await.status, 200);
        server.advance(1).await;
        assert!(!client.is_let_in(&renewed.access).await);
    }
}
