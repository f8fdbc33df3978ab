//! A person's own pages: the start page, what is connected, signing out.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::id::GrantId;
use oauth::redirect_uri::RedirectUri;

use crate::app::App;
use crate::app::browser::{self, ago, check_form, destination, signed_in};
use crate::manual::address;
use crate::model::attempt::Stage;
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::page::{Account, Connection, Landing, Page};
use crate::response::respond::{PageRejection, Rejection, see_other};

/// What the forms' tokens are bound to.
const PURPOSE: &str = "account";

/// `GET /`: what this is and how to connect to it.
pub(crate) async fn landing(State(app): State<App>, context: RequestContext, headers: HeaderMap) -> Response {
    let outcome = async {
        let visitor = signed_in(&app, &headers, app.clock.now()).await?;
        let page = Landing {
            service: app.config.name.clone(),
            mcp_url: app.resource.to_string(),
            display_name: visitor.map(|own| own.session.user.display_name),
            notice: None,
            login_url: app.config.paths.login.clone(),
            account_url: app.config.paths.account.clone(),
            manual_url: address(&app.config.paths.docs),
        };
        Ok(Page(StatusCode::OK, page).into_response())
    };
    app.edge.page("landing", &context, outcome.await)
}

/// `GET` the account page.
pub(crate) async fn show(State(app): State<App>, context: RequestContext, headers: HeaderMap) -> Response {
    let outcome = account(&app, &headers).await;
    app.edge.page("account", &context, outcome)
}

async fn account(app: &App, headers: &HeaderMap) -> Result<Response, PageRejection> {
    let now = app.clock.now();
    let Some(visitor) = signed_in(app, headers, now).await? else {
        return Ok(see_other(&app.config.paths.login)?);
    };
    let user = &visitor.session.user;
    let stored = app.store.connections(&user.id, now).await?;
    let connections = stored.into_iter().map(|own| Connection {
        id: own.id.to_string(),
        revoke_action: format!("{}/connections/{}/revoke", app.config.paths.account, own.id),
        client_name: own.client_name.unwrap_or_else(|| "An unnamed client".to_owned()),
        destination: RedirectUri::from_stored(&own.redirect_uri).map(|uri| destination(&uri)).unwrap_or_default(),
        scopes: app.scope_lines(&own.scope),
        connected_at: ago(own.created_at, now),
        last_used: own.refreshed_at.map_or_else(|| ago(own.created_at, now), |at| ago(at, now)),
    });
    let page = Account {
        service: app.config.name.clone(),
        display_name: user.display_name.clone(),
        login_name: user.username.as_str().to_owned(),
        csrf: app.master.form_token(&visitor.hash, PURPOSE),
        logout_action: app.config.paths.logout.clone(),
        mcp_url: app.resource.to_string(),
        notice: None,
        connections: connections.collect(),
    };
    Ok(Page(StatusCode::OK, page).into_response())
}

/// `POST`: end a connection.
pub(crate) async fn disconnect(
    State(app): State<App>,
    mut context: RequestContext,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id.ok().and_then(|Path(id)| GrantId::parse(id).ok());
    let outcome = disconnected(&app, &mut context, id.as_ref(), request).await;
    app.edge.page("account", &context, outcome)
}

async fn disconnected(
    app: &App,
    context: &mut RequestContext,
    grant: Option<&GrantId>,
    request: Request,
) -> Result<Response, PageRejection> {
    let (parts, body) = request.into_parts();
    let now = app.clock.now();
    let Some(visitor) = signed_in(app, &parts.headers, now).await? else {
        return Ok(see_other(&app.config.paths.login)?);
    };
    let form = body::form(&parts.headers, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
    check_form(app, Some(&visitor.hash), PURPOSE, form.first("csrf").unwrap_or_default())?;
    // A path that is no id names no connection.
    let Some(grant) = grant else { return Ok(see_other(&app.config.paths.account)?) };
    let ended = app.store.disconnect(&visitor.session.user.id, grant, now).await?;
    tracing::info!(user = %visitor.session.user.id, %grant, ended, "disconnected");
    if ended {
        context.is_about(grant);
        context.done_with(Stage::Revoke, Cause::Disconnected, "the person disconnected it");
    }
    Ok(see_other(&app.config.paths.account)?)
}

/// `POST`: sign out of this browser.
pub(crate) async fn logout(State(app): State<App>, context: RequestContext, request: Request) -> Response {
    let outcome = logged_out(&app, request).await;
    app.edge.page("account", &context, outcome)
}

async fn logged_out(app: &App, request: Request) -> Result<Response, PageRejection> {
    let (parts, body) = request.into_parts();
    if let Some(visitor) = signed_in(app, &parts.headers, app.clock.now()).await? {
        let form =
            body::form(&parts.headers, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
        check_form(app, Some(&visitor.hash), PURPOSE, form.first("csrf").unwrap_or_default())?;
    }
    Ok(browser::sign_out(app, &parts.headers, "/").await?)
}
