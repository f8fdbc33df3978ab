//! The consent page: a person decides whether a client may come in, and as whom.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::app::browser::{self, SignedIn, ago, check_form, destination, signed_in, step};
use crate::clients::profile::Profile;
use crate::http::body;
use crate::http::page::{Consent, DestinationKind, Page, logo_path};
use crate::http::respond::{Failure, PageRejection, Rejection, see_other};
use crate::model::authorization::{Authorization, Offered};
use crate::model::client::{Client, ClientOrigin};
use crate::model::time::Timestamp;
use crate::oauth::redirect_uri::Destination;
use crate::oauth::scope::Scope;

/// `GET` asks, `POST` decides.
pub(crate) async fn handle(State(app): State<App>, request: Request) -> Response {
    let outcome = serve(&app, request).await;
    app.edge.page("consent", outcome)
}

async fn serve(app: &App, request: Request) -> Result<Response, PageRejection> {
    let (parts, body) = request.into_parts();
    let now = app.clock.now();
    let params = body::params(&parts, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
    let authorization = browser::authorization(app, &parts.headers, params.first("authorization"), now).await?;
    let back = step(&app.paths.authorize, &authorization.id);
    let (None, Some(visitor)) = (&authorization.decision, signed_in(app, &parts.headers, now).await?) else {
        return Ok(see_other(&back)?);
    };
    let Some(client) = app.store.find_client(&authorization.client_id).await? else {
        return Err(Failure::Answer("the client of a stored request is gone").into());
    };
    let consents =
        app.store.consents(&visitor.session.user.id, &authorization.client_id, &authorization.request.resource).await?;
    let scope =
        authorization.scope_for(&consents, Offered { client: &client, default_scope: &app.offer.default_scope });
    if parts.method != Method::POST {
        let logo = match client.origin {
            ClientOrigin::Managed => app.store.logo_set_at(&client.id).await?.map(|at| logo_path(&client.id, at)),
            ClientOrigin::Registered | ClientOrigin::Document => None,
        };
        return ask(app, &authorization, &client, &visitor, &scope, logo, now);
    }
    let csrf = params.first("csrf").unwrap_or_default();
    let (form, shown) = csrf.split_once('.').unwrap_or_default();
    check_form(app, Some(&authorization.browser_hash), &purpose(&authorization), form)?;
    if !app.master.form_token_matches(&authorization.browser_hash, &shown_to(&authorization, &visitor, &scope), shown) {
        // Another account has signed in meanwhile, or other scopes are up for decision: what was read is not what
        // would be granted. The page is shown again.
        return Ok(see_other(&back)?);
    }
    decide(app, &parts.headers, &authorization, &client, &visitor, scope, params.first("decision"), now).await
}

/// What the form's token is bound to, beside the browser: the request, as long as it lasts. It outlives a new
/// sign-in in another tab (C5).
fn purpose(authorization: &Authorization) -> String {
    format!("consent {}", authorization.id)
}

/// What its second half is bound to: the account and the very scopes that were shown, so that what is granted
/// is what was read.
fn shown_to(authorization: &Authorization, visitor: &SignedIn, scope: &Scope) -> String {
    format!("shown {} {} {scope}", authorization.id, visitor.session.user.id)
}

async fn decide(
    app: &App,
    headers: &HeaderMap,
    authorization: &Authorization,
    client: &Client,
    visitor: &SignedIn,
    scope: Scope,
    decision: Option<&str>,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let back = step(&app.paths.authorize, &authorization.id);
    match decision {
        Some("approve") => {
            app.approve(authorization, client, &visitor.session, scope, now).await?;
        }
        Some("switch") => return Ok(browser::sign_out(app, headers, &back).await?),
        // Everything but a clear yes is a no.
        _ => {
            let decided = app.store.deny_authorization(&authorization.id, now).await?;
            tracing::info!(client = %authorization.client_id, user = %visitor.session.user.id, ?decided, "access denied");
        }
    }
    Ok(see_other(&back)?)
}

fn ask(
    app: &App,
    authorization: &Authorization,
    client: &Client,
    visitor: &SignedIn,
    scope: &Scope,
    logo: Option<String>,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let redirect_uri = &authorization.redirect_uri;
    let user = &visitor.session.user;
    let page = Consent {
        service: app.config.name.clone(),
        action: app.config.paths.consent.clone(),
        csrf: format!(
            "{}.{}",
            app.master.form_token(&authorization.browser_hash, &purpose(authorization)),
            app.master.form_token(&authorization.browser_hash, &shown_to(authorization, visitor, scope)),
        ),
        authorization: authorization.id.to_string(),
        client_name: client.display_name().to_owned(),
        logo_url: logo,
        verified: app.profiles.of(redirect_uri).map(Profile::label),
        registered: registered(client, now),
        destination: destination(redirect_uri),
        destination_kind: match redirect_uri.destination() {
            Destination::Https => DestinationKind::Https,
            Destination::Loopback => DestinationKind::Loopback,
            Destination::CustomScheme => DestinationKind::CustomScheme,
        },
        resource_name: app.config.name.clone(),
        resource_url: app.resource.to_string(),
        display_name: user.display_name.clone(),
        login_name: user.username.as_str().to_owned(),
        scopes: app.scope_lines(scope),
        offline: app.lifetimes(client).refresh,
        warnings: Vec::new(),
    };
    Ok(Page(StatusCode::OK, page).into_response())
}

fn registered(client: &Client, now: Timestamp) -> String {
    format!("registered itself {}", ago(client.registered_at, now))
}
