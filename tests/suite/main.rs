//! Drives the server over HTTP, on SQLite and PostgreSQL: one module for each endpoint or theme. Test names are
//! rules; doc lines cite the requirement.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod admin;
mod bed;
mod broken_proxy;
mod browser;
mod cli;
mod cli_clients;
mod cluster;
mod connector;
mod layers;
mod link;
mod load;
mod log;
mod meddler;
mod process;
mod server;
mod signer;
mod trial;
mod vendor;
mod wire;

mod administration;
mod api;
mod assertion_rules;
mod assertions;
mod attempts;
mod authorize;
mod backup;
mod backup_postgres;
mod caddy;
mod chaos;
mod chatgpt;
mod connections;
mod consent;
mod credentials;
mod discovery;
mod doctor;
mod doctor_fetch;
mod documents;
mod durability;
mod ending;
mod failover;
mod faults_postgres;
mod faults_sqlite;
mod fetch;
mod healing;
mod hostile;
mod insomnia;
mod jobs;
mod lock_out;
mod logo;
mod managed;
mod manual;
mod mcp;
mod memory;
mod memory_returns;
mod pooler;
mod reference;
mod register;
mod revoke;
mod sign_in;
mod simulate;
mod smoke;
mod stopping;
mod store;
mod store_engine;
mod store_lookups;
mod store_races;
mod store_random;
mod token_code;
mod token_jwt;
mod token_refresh;
mod upgrade;

/// Runs each test on both databases. PostgreSQL comes from `PORTCULLIS_TEST_POSTGRES`, which `make test` sets.
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident) $body:block)+) => {
        $(
            $(#[$attribute])*
            mod $name {
                use super::*;

                async fn test($database: crate::server::Database) $body

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn sqlite() {
                    test(crate::server::Database::Sqlite).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn postgres() {
                    test(crate::server::Database::Postgres).await;
                }
            }
        )+
    };
}
pub(crate) use on_both_databases;
