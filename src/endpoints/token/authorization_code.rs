//! `grant_type=authorization_code` (OAuth 2.1 §4.1.3).

use axum::response::Response;
use oauth::cause::Cause;
use oauth::error::ErrorCode;
use oauth::time::Timestamp;
use oauth::token::CodeRequest;

use super::respond;
use crate::app::App;
use crate::model::attempt::Stage;
use crate::model::client::Client;
use crate::model::grant::{Grant, Redemption, check_served};
use crate::model::secret::{Secret, SecretKind};
use crate::request::context::RequestContext;
use crate::response::respond::Rejection;
use crate::store::Redeem;

pub(super) async fn redeem(
    app: &App,
    context: &mut RequestContext,
    client: &Client,
    request: &CodeRequest,
    now: Timestamp,
) -> Result<Response, Rejection> {
    let code_hash = Secret::presented(&request.code).hash();
    let Some(code) = app.store.find_code(&code_hash).await? else {
        return Err(Redemption::Unknown.refusal().into());
    };
    // Whoever holds the code is part of its story, whether it is theirs or not.
    context.is_about(&code.grant.id);
    if code.redeemed_at.is_none() && code.grant.client_id == client.id {
        check_served(&code.grant.resource, &app.resource)?;
    }
    // A redeemed code of this client goes on to the store, which takes its grant down (RFC 9700 §4.5). All
    // else is judged first and burns nothing: a stolen code without its verifier must not cost the rightful
    // client its own.
    if (code.redeemed_at.is_none() || code.grant.client_id != client.id)
        && let Err(refusal) = code.accepts(request, &client.id)
    {
        if refusal.code == ErrorCode::InvalidGrant {
            app.store.count_code_attempt(&code_hash).await?;
        }
        return Err(refusal.into());
    }
    let lifetimes = app.lifetimes(client);
    let grant = Grant { expires_at: now.plus(lifetimes.refresh_absolute), ..code.grant };
    // Signed before anything is spent: if it fails, the code is still good (D5).
    let access = app.mint.issue(&grant, &grant.scope, lifetimes.access, now)?;
    let refresh = lifetimes.refresh.then(|| app.random.secret(SecretKind::RefreshToken));
    let refresh_expires_at = now.plus(lifetimes.refresh_idle).min(grant.expires_at);
    let redemption = app
        .store
        .redeem_code(&Redeem {
            code_hash: &code_hash,
            refresh: refresh.as_ref().map(|secret| (secret.hash(), refresh_expires_at)),
            grant_expires_at: grant.expires_at,
            now,
        })
        .await?;
    match redemption {
        Redemption::Redeemed => {
            tracing::info!(client = %client.id, grant = %grant.id, scope = %grant.scope, "code redeemed");
            context.note("expires_in", &access.expires_in.to_string());
            context.note("refresh_token", if refresh.is_some() { "issued" } else { "none" });
            context.done(Stage::Redeem);
            respond(&access, &grant.scope, refresh.as_ref())
        }
        Redemption::Replayed => {
            tracing::warn!(client = %client.id, grant = %grant.id, "code replayed: the grant is revoked");
            Err(redemption.refusal().into())
        }
        // It was there a moment ago, so its time is over, or it was withdrawn.
        Redemption::Unknown => Err(redemption.refusal().because(Cause::CodeExpired).into()),
    }
}
