//! `serve`: the server, with what a person needs to hear when it starts.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{CliError, keys, logging, master_of, open, say, with_master_key};
use crate::app::{App, BuildError};
use crate::config::Config;
use crate::crypto::keys::KeyError;
use crate::crypto::random::Random;
use crate::fetch::Resolver;
use crate::model::clock::Clock;
use crate::model::secret::SecretKind;
use crate::serve::serve;

/// How long a set-up link is good.
const SETUP_LINK: Duration = Duration::from_hours(24);

pub(super) async fn run(config: Config) -> Result<(), CliError> {
    logging::start(&config.log);
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let store = open(&config).await?;
    let place = keys::place(&config);
    let (config, made) = with_master_key(config, &store, false).await?;
    if let Some(path) = &made {
        tracing::info!(path = %path.display(), "master key made; keep a copy: without it the database opens no tokens");
    }
    // A key that was there before the database is the trace of a server that people used.
    if made.is_none() && store.signing_keys().await?.is_empty() && !store.has_users().await? {
        tracing::warn!(
            "the database is empty, though there was a master key: as it should be for a first start. If people used this \
             server before, stop it now and bring the database back: portcullis restore FILE, and see the manual on operations"
        );
    }
    let (clock, random) = (Clock::system(), Random::system());
    let app = App::build(config.clone(), store, clock.clone(), random.clone(), Resolver::system()).await;
    let app = match app {
        Err(BuildError::Keys(KeyError::Master(_))) => {
            let fingerprint = master_of(&config)?.fingerprint().to_owned();
            return Err(CliError::WrongKey { fingerprint, place });
        }
        built => built?,
    };
    // From the first connection on a signal is a stop in order.
    let stop = stop_signal();
    let listener =
        TcpListener::bind(config.listen).await.map_err(|source| CliError::Listen { address: config.listen, source })?;
    tracing::info!(listen = %config.listen, public_url = config.origin(), database = app.store().engine(), "serving");
    greet(&config, &app, &clock, &random).await?;
    serve(listener, app, stop).await;
    Ok(())
}

async fn greet(config: &Config, app: &App, clock: &Clock, random: &Random) -> Result<(), CliError> {
    let mcp = config.resource();
    if app.store().has_users().await? {
        announce(&format!(
            "\n  Portcullis is ready.\n\n  MCP URL      {mcp}\n  Your account {}\n",
            config.url(&config.paths.account)
        ));
        return Ok(());
    }
    let link = random.secret(SecretKind::SetupLink);
    app.store().insert_setup_link(&link.hash(), clock.now().plus(SETUP_LINK)).await?;
    let setup = config.url(&format!("{}?token={}", config.paths.setup, link.expose()));
    announce(&format!(
        "\n  Portcullis is ready. Two steps are left:\n\n  1. Create the first account (the link works once, for a day):\n     {setup}\n\n  \
         2. Give this MCP URL to your client (ChatGPT, Claude, VS Code, Cursor, Insomnia …):\n     {mcp}\n"
    ));
    Ok(())
}

/// Tells the person at the terminal. Nobody listening there is no reason not to serve.
fn announce(text: &str) {
    if let Err(error) = say(text) {
        tracing::warn!(%error, "the greeting could not be printed");
    }
}

/// Resolves at the first interrupt or termination signal that comes from now on.
pub(super) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let terminate = async move {
        #[cfg(unix)]
        if let Ok(mut signal) = terminate {
            signal.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    };
    async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminate => {}
        }
        tracing::info!("stopping");
    }
}
