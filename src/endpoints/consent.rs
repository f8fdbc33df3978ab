//! The consent page: a person decides whether a client may come in, and as whom. It is short where they let it in before:
//! then one click says that it is they who come, and not a strange page that sent their browser.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::redirect_uri::{Destination, RedirectUri};
use oauth::scope::Scope;
use oauth::time::Timestamp;

use crate::app::App;
use crate::app::browser::{self, SignedIn, ago, check_form, destination, signed_in, step};
use crate::clients::logo_path;
use crate::model::attempt::Stage;
use crate::model::authorization::{Authorization, Step};
use crate::model::client::{Client, ClientOrigin};
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::page::{Consent, Continue, DestinationKind, Page};
use crate::response::respond::{Failure, PageRejection, Rejection, see_other};

/// The page that shows all that is asked for.
const WHOLE: &str = "whole";
/// The page that asks to continue.
const SHORT: &str = "short";

/// `GET` asks, `POST` decides.
pub(crate) async fn handle(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, &mut context, request).await;
    app.edge.page("consent", &context, outcome)
}

async fn serve(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, PageRejection> {
    context.stage = Stage::Consent;
    let (parts, body) = request.into_parts();
    let now = app.clock.now();
    let params = body::params(&parts, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
    let authorization =
        browser::authorization(app, context, &parts.headers, params.first("authorization"), now).await?;
    let back = step(&app.paths.authorize, &authorization.id);
    let (None, Some(visitor)) = (&authorization.decision, signed_in(app, &parts.headers, now).await?) else {
        return Ok(see_other(&back)?);
    };
    let Some(client) = app.store.find_client(&authorization.client_id).await? else {
        return Err(Failure::Answer("the client of a stored request is gone").into());
    };
    let callbacks = &client.metadata.redirect_uris;
    if !client.is_active()
        || authorization.request.resource != app.resource
        || RedirectUri::select(authorization.redirect_uri.as_str(), callbacks).is_none()
    {
        // The dispatcher says what has become of it.
        return Ok(see_other(&back)?);
    }
    let (scope, short) = match app.next_step(&authorization, &client, Some(&visitor)).await? {
        Step::AskConsent(scope) => (scope, false),
        Step::Continue(scope) => (scope, true),
        Step::SignIn
        | Step::PassFirstParty(_)
        | Step::HandOver
        | Step::TellDenied
        | Step::LoginRequired
        | Step::ConsentRequired
        | Step::InteractionRequired => return Ok(see_other(&back)?),
    };
    let question = Question { authorization: &authorization, client: &client, visitor: &visitor, scope };
    if parts.method != Method::POST && short {
        return Ok(ask_to_continue(app, context, &question, now));
    }
    if parts.method != Method::POST {
        let logo = match client.origin {
            ClientOrigin::Managed => app.store.logo_set_at(&client.id).await?.map(|at| logo_path(&client.id, at)),
            ClientOrigin::Registered | ClientOrigin::Document => None,
        };
        return Ok(ask(app, context, &question, logo, now));
    }
    let csrf = params.first("csrf").unwrap_or_default();
    let (form, shown) = csrf.split_once('.').unwrap_or_default();
    check_form(app, Some(&authorization.browser_hash), &question.purpose(), form)?;
    let was_shown = |page| app.master.form_token_matches(&authorization.browser_hash, &question.shown(page), shown);
    let read = was_shown(WHOLE) || (short && was_shown(SHORT));
    if !read {
        // Another account has signed in meanwhile, the client has changed, or other scopes are up for decision: what was
        // read is not what would be granted. The page is shown again, and whole if it has to be.
        return Ok(see_other(&back)?);
    }
    decide(app, context, &parts.headers, question, params.first("decision"), now).await
}

/// What a person is asked.
struct Question<'a> {
    authorization: &'a Authorization,
    client: &'a Client,
    visitor: &'a SignedIn,
    scope: Scope,
}

impl Question<'_> {
    /// What the form's token is bound to, beside the browser: the request, as long as it lasts. It outlives a new
    /// sign-in in another tab (C5).
    fn purpose(&self) -> String {
        format!("consent {}", self.authorization.id)
    }

    /// What its second half is bound to: which page it was, the account, the client and the very scopes that were
    /// shown, so that what is granted is what was read.
    fn shown(&self, page: &str) -> String {
        let (user, client) = (&self.visitor.session.user.id, self.client.metadata.digest());
        format!("shown {page} {} {user} {client} {}", self.authorization.id, self.scope)
    }

    /// The form's token.
    fn token(&self, app: &App, page: &str) -> String {
        let half = |purpose: &str| app.master.form_token(&self.authorization.browser_hash, purpose);
        format!("{}.{}", half(&self.purpose()), half(&self.shown(page)))
    }
}

async fn decide(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    question: Question<'_>,
    decision: Option<&str>,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let Question { authorization, client, visitor, scope } = question;
    let back = step(&app.paths.authorize, &authorization.id);
    match decision {
        Some("approve") => {
            app.approve(authorization, client, &visitor.session, scope, now).await?;
            context.done_with(Stage::Consent, Cause::Allowed, "allowed");
        }
        Some("switch") => return Ok(browser::sign_out(app, headers, &back).await?),
        // Everything but a clear yes is a no.
        _ => {
            let decided = app.store.deny_authorization(&authorization.id, now).await?;
            tracing::info!(client = %authorization.client_id, user = %visitor.session.user.id, ?decided, "access denied");
            context.refused(Stage::Consent, Cause::Denied, "the person did not allow access", None);
        }
    }
    Ok(see_other(&back)?)
}

fn ask(
    app: &App,
    context: &mut RequestContext,
    question: &Question<'_>,
    logo: Option<String>,
    now: Timestamp,
) -> Response {
    let Question { authorization, client, visitor, scope } = question;
    let redirect_uri = &authorization.redirect_uri;
    let user = &visitor.session.user;
    let page = Consent {
        service: app.config.name.clone(),
        action: app.config.paths.consent.clone(),
        csrf: question.token(app, WHOLE),
        authorization: authorization.id.to_string(),
        client_name: client.display_name().to_owned(),
        logo_url: logo,
        verified: verified(app, client, redirect_uri),
        description: client.description.clone(),
        known_by: known_by(client, now),
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
        attempt: context.attempt().to_string(),
    };
    context.done_with(Stage::Consent, Cause::Asked, "asked");
    Page(StatusCode::OK, page).into_response()
}

fn ask_to_continue(app: &App, context: &mut RequestContext, question: &Question<'_>, now: Timestamp) -> Response {
    let Question { authorization, client, visitor, scope } = question;
    let redirect_uri = &authorization.redirect_uri;
    let user = &visitor.session.user;
    let vendor = app.profiles.of(redirect_uri).map(|profile| profile.name.clone());
    let page = Continue {
        service: app.config.name.clone(),
        action: app.config.paths.consent.clone(),
        csrf: question.token(app, SHORT),
        authorization: authorization.id.to_string(),
        name: vendor.unwrap_or_else(|| client.display_name().to_owned()),
        client_name: client.display_name().to_owned(),
        verified: verified(app, client, redirect_uri),
        known_by: known_by(client, now),
        destination: destination(redirect_uri),
        display_name: user.display_name.clone(),
        login_name: user.username.as_str().to_owned(),
        scopes: app.scope_lines(scope),
        offline: app.lifetimes(client).refresh,
        attempt: context.attempt().to_string(),
    };
    context.done_with(Stage::Consent, Cause::AskedToContinue, "asked to continue");
    Page(StatusCode::OK, page).into_response()
}

/// What vouches for the client's name: an answer that goes to a reviewed vendor's own server, or an administrator who
/// entered name and addresses. Nothing that a client says of itself does (C3).
fn verified(app: &App, client: &Client, redirect_uri: &RedirectUri) -> Option<String> {
    let vendor = app.profiles.of(redirect_uri).map(|profile| format!("Verified: {}", profile.label()));
    let managed = client.origin == ClientOrigin::Managed;
    vendor.or_else(|| managed.then(|| format!("Set up by the administrator of {}", app.config.name)))
}

/// How the client came to be known, as a whole sentence.
fn known_by(client: &Client, now: Timestamp) -> String {
    let since = ago(client.registered_at, now);
    match client.origin {
        ClientOrigin::Registered => format!("It registered itself {since}."),
        ClientOrigin::Managed => format!("It was entered here {since}."),
        ClientOrigin::Document => {
            let url = client.id.as_str();
            let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or(url);
            format!("The name comes from its document at {host}.")
        }
    }
}
