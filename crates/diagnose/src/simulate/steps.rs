//! The steps in order: connect, call, refresh, connect again as this client does, revoke.

use std::time::Duration;

use known_clients::replica::Reconnects;

use super::Run;
use super::authorization::{Asks, authorize};
use super::calls;
use super::classic;
use super::discovery::{Found, discover};
use super::identity::{Identity, identify};
use super::report::{Stopped, Trace, Why};
use super::tokens::{self, Tokens};

/// How often, and how far apart, a revoked token is tried until it is refused: replicas learn of it within a second.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Takes all steps of the client.
pub(super) async fn take(run: &Run<'_>, trace: &mut Trace) -> Result<(), Stopped> {
    let found = discover(run, trace).await?;
    let identity = identify(run, trace, &found, &found.scope, false).await?;
    let tokens = connect(run, trace, &found, &identity, "Sign-in and consent", &found.scope).await?;
    calls::converse(run, trace, &tokens.access).await?;
    let tokens = renew(run, trace, &found, &identity, tokens).await?;
    let (identity, tokens) = reconnect(run, trace, &found, identity, tokens).await?;
    disconnect(run, trace, &found, &identity, &tokens).await
}

async fn connect(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    title: &str,
    scope: &str,
) -> Result<Tokens, Stopped> {
    let asks = Asks {
        title,
        order: run.replica.authorize,
        scope,
        resource: &found.resource,
        state: run.replica.state,
        iss: run.replica.iss,
    };
    let code = authorize(run, trace, found, identity, &asks).await?;
    tokens::exchange(run, trace, found, identity, &code).await
}

/// Refreshes where there is something to refresh with, and uses what came.
async fn renew(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    tokens: Tokens,
) -> Result<Tokens, Stopped> {
    let Some(refresh) = tokens.refresh.clone() else { return Ok(tokens) };
    let renewed = tokens::refresh(run, trace, found, identity, &refresh, false).await?;
    opens(run, trace, "Call with the refreshed token", &renewed).await?;
    let Some(refresh) = renewed.refresh.clone().filter(|_| run.replica.reconnects == Reconnects::OtherPortAfterRace)
    else {
        return Ok(renewed);
    };
    let raced = tokens::refresh(run, trace, found, identity, &refresh, true).await?;
    opens(run, trace, "Call after the race", &raced).await?;
    Ok(raced)
}

async fn opens(run: &Run<'_>, trace: &mut Trace, title: &str, tokens: &Tokens) -> Result<(), Stopped> {
    trace
        .step(title, "200: the new token opens the endpoint", async |step| {
            let came = calls::knock(run, step, &tokens.access).await?;
            if came.is_good() { Ok(()) } else { Err(Why(format!("the new token is refused with {}", came.status))) }
        })
        .await
}

/// Connects again, as this client does it.
async fn reconnect(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: Identity,
    tokens: Tokens,
) -> Result<(Identity, Tokens), Stopped> {
    let typed = run.options.client_id.is_some();
    let scope = found.scope.as_str();
    let (identity, title, scope) = match run.replica.reconnects {
        Reconnects::DisconnectsThenAsksNoScope => {
            disconnect(run, trace, found, &identity, &tokens).await?;
            // C1: whoever asks for no scope gets what was granted before.
            (identity, "Connect after Disconnect, without scope", "")
        }
        Reconnects::ClassicTab => {
            let tokens = classic::connect(run, trace, found, &identity).await?;
            return Ok((identity, tokens));
        }
        Reconnects::OtherPort | Reconnects::OtherPortAfterRace => {
            let other = super::identity::at_another_port(run, found, &identity);
            (other, "Connect again from another port", scope)
        }
        Reconnects::RegistersWithoutScope if !typed => {
            (identify(run, trace, found, "", true).await?, "Connect again", scope)
        }
        Reconnects::IdentifiesAnew | Reconnects::RegistersAtLoad if !typed => {
            (identify(run, trace, found, scope, true).await?, "Connect again", scope)
        }
        Reconnects::IdentifiesAnew | Reconnects::RegistersAtLoad | Reconnects::RegistersWithoutScope => {
            (identity, "Connect again", scope)
        }
    };
    let tokens = connect(run, trace, found, &identity, title, scope).await?;
    opens(run, trace, "Call after connecting again", &tokens).await?;
    Ok((identity, tokens))
}

/// Revokes, and sees that the access token ends too (V-01).
async fn disconnect(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    tokens: &Tokens,
) -> Result<(), Stopped> {
    tokens::revoke(run, trace, found, identity, tokens).await?;
    if found.server.text("revocation_endpoint").is_none() {
        return Ok(());
    }
    trace
        .step("Call after the revocation", "401: what was disconnected stays out", async |step| {
            for attempt in 0..TRIES {
                // Only the last of them is worth showing.
                step.exchanges.clear();
                let came = calls::knock(run, step, &tokens.access).await?;
                if came.status == 401 {
                    return Ok(());
                }
                if attempt + 1 < TRIES {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Err(Why(format!("the revoked token still opens the endpoint: “Disconnect” in {} does nothing", run.name())))
        })
        .await
}
