//! `grant_type=refresh_token` (OAuth 2.1 §4.3): rotation with a grace window.

use axum::response::Response;
use oauth::cause::Cause;
use oauth::error::{ErrorCode, Refusal};
use oauth::time::Timestamp;
use oauth::token::{RefreshRequest, narrow};

use super::respond;
use crate::app::App;
use crate::model::attempt::{ELSEWHERE, FIRST_USE, Stage};
use crate::model::client::Client;
use crate::model::grant::{FirstUse, RefreshToken, Rotation, UNDER_WAY, check_resource, check_served};
use crate::model::secret::Secret;
use crate::request::context::RequestContext;
use crate::response::respond::Rejection;
use crate::store::Rotate;

/// What is said of a refresh that came again in time.
const REPEATED: &str = "repeated: the same successor was sent again";

pub(super) async fn rotate(
    app: &App,
    context: &mut RequestContext,
    client: &Client,
    request: &RefreshRequest,
    stored: Option<RefreshToken>,
    now: Timestamp,
) -> Result<Response, Rejection> {
    let presented = Secret::presented(&request.refresh_token);
    let Some(stored) = stored.filter(|stored| stored.grant.client_id == client.id) else {
        return Err(Rotation::Unknown.refusal().into());
    };
    // Judged before anything is spent: a request that fails here may be mended and sent again (D5).
    check_served(&stored.grant.resource, &app.resource)?;
    check_resource(&stored.grant.resource, &request.resources)?;
    let lifetimes = app.lifetimes(client);
    if !lifetimes.refresh {
        let text = "this client gets no refresh tokens any more; connect again";
        return Err(Refusal::new(ErrorCode::UnauthorizedClient, Cause::RefreshNotAllowed, text).into());
    }
    // T-25: what an administrator has since taken from the client is not given again.
    let granted = client.ceiling(&stored.grant.scope);
    if granted.without_offline_access().is_empty() {
        let text = "the scopes of this connection are no longer allowed to this client; connect again";
        return Err(Refusal::invalid_grant(Cause::ScopeWithdrawn, text).into());
    }
    let scope = narrow(request.scope.as_ref(), &granted, &app.rules.scope)?;
    let access = app.mint.issue(&stored.grant, &scope, lifetimes.access, now)?;
    let tokens = &app.config.tokens;
    let used_from = app.contexts.key.place(&context.network_name());
    let successor = app.master.refresh_successor(&presented);
    let after_successor = app.master.refresh_successor(&successor);
    let rotate = Rotate {
        old: &presented.hash(),
        new: &successor.hash(),
        after_new: &after_successor.hash(),
        new_expires_at: now.plus(lifetimes.refresh_idle).min(stored.grant.expires_at),
        grace_began_at: now.minus(tokens.refresh_grace),
        grace_uses: i64::from(tokens.refresh_grace_uses),
        under_way_since: now.minus(UNDER_WAY),
        used_from: &used_from,
        now,
    };
    let rotation = app.store.rotate_refresh_token(&rotate).await?;
    let grant = &stored.grant.id;
    if let Rotation::Repeated(FirstUse::Elsewhere)
    | Rotation::Overtaken(FirstUse::Elsewhere)
    | Rotation::Replayed(FirstUse::Elsewhere) = rotation
    {
        // A theft, or one program behind two addresses: nobody can tell from here.
        context.note(FIRST_USE, ELSEWHERE);
        tracing::warn!(client = %client.id, %grant, network = context.network_name(), "a refresh token is used from two networks");
    }
    match rotation {
        Rotation::Rotated => {
            tracing::info!(client = %client.id, %grant, "token refreshed");
            context.done(Stage::Refresh);
            respond(&access, &scope, Some(&successor))
        }
        Rotation::Repeated(_) => {
            tracing::info!(client = %client.id, %grant, "refresh repeated inside the grace window: the same successor");
            context.done_with(Stage::Refresh, Cause::Repeated, REPEATED);
            respond(&access, &scope, Some(&successor))
        }
        Rotation::CaughtUp => {
            tracing::info!(client = %client.id, %grant, "refresh overtaken: it gets what the quicker one got");
            context.done_with(Stage::Refresh, Cause::Repeated, REPEATED);
            respond(&access, &scope, Some(&after_successor))
        }
        Rotation::Overtaken(_) => {
            tracing::info!(client = %client.id, %grant, "refresh overtaken: its successor is in use already");
            Err(rotation.refusal().into())
        }
        Rotation::Replayed(_) => {
            tracing::warn!(client = %client.id, %grant, "refresh token replayed: the grant is revoked");
            Err(rotation.refusal().into())
        }
        // It is there, so its time is over, or its grant has ended.
        Rotation::Unknown => Err(rotation.refusal().because(Cause::RefreshExpired).into()),
    }
}
