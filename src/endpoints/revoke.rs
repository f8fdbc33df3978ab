//! The revocation endpoint (RFC 7009). Either token ends the whole connection: a client that lets go of one
//! has no use for the other, and "Disconnect" must mean it (V-01).

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::id::{ClientId, GrantId};

use crate::app::App;
use crate::app::client_auth::authenticate;
use crate::crypto::jwt::verify_issued;
use crate::model::attempt::Stage;
use crate::model::client::Client;
use crate::model::secret::Secret;
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::respond::Rejection;

/// `POST` at the revocation endpoint.
pub(crate) async fn handle(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, &mut context, request).await;
    app.edge.json("revoke", &context, outcome)
}

async fn serve(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let params = body::form(&parts.headers, body, app.config.limits.body_bytes).await?;
    context.received(&params);
    let now = app.clock.now();
    let token = params.required("token")?;
    let found = find(app, token).await?;
    if let Some((grant, _)) = &found {
        context.is_about(grant);
    }
    let owner = found.as_ref().map(|(_, client)| client.clone());
    let client = authenticate(app, &parts.headers, &params, owner, now).await?;
    if let Some((grant, owner)) = found {
        // RFC 7009 §2.1: only the client that the token was issued to; others learn nothing and change nothing.
        if owner.id == client.id {
            let ended = app.store.revoke_grant(&grant, "revoked by the client", now).await?;
            tracing::info!(client = %client.id, %grant, ended, "revoked");
            context.is_of(&client.id);
            context.done_with(Stage::Revoke, Cause::TokenGivenBack, "the client gave its token back");
        } else {
            tracing::warn!(client = %client.id, owner = %owner.id, "tried to revoke another client's token");
        }
    }
    // RFC 7009 §2.2: also for a token that is unknown or dead.
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}

/// The grant that a token is from, and its client. The hint is not needed: the two kinds look different.
async fn find(app: &App, token: &str) -> Result<Option<(GrantId, Client)>, Rejection> {
    if let Some(stored) = app.store.find_refresh_token(&Secret::presented(token).hash()).await? {
        return Ok(Some((stored.grant.id, stored.client)));
    }
    // Also an access token that has expired, or is for an address that this server had: it still says which connection
    // is meant.
    let Ok(claims) = verify_issued(token, &app.keys, &app.issuer) else { return Ok(None) };
    let client = app.store.find_client(&ClientId::new(claims.client_id)).await?;
    Ok(client.map(|client| (GrantId::new(claims.grant), client)))
}
