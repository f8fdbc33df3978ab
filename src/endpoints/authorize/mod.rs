//! The authorization endpoint (OAuth 2.1 §4.1.1) and the dispatcher behind it.
//!
//! A request that passes its checks is stored, and the browser comes back with its id. From then on this is the
//! dispatcher: it reads the stored request, decides the next step and sends the browser there. Faults in client
//! or redirect URI are pages; everything after that is told to the client by redirect.

mod answer;
mod document;
mod identify;

use std::num::NonZeroU32;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use oauth::authorize::{AuthorizationRequest, AuthorizationRules};
use oauth::cause::Cause;
use oauth::error::{ErrorCode, Refusal};
use oauth::params::Params;
use oauth::redirect_uri::Destination;
use oauth::time::Timestamp;

use self::answer::{answer, refuse};
use self::identify::{error_page, identify, still_stands, unreadable};
use crate::app::App;
use crate::app::browser::{self, BrowserCookie, signed_in, step};
use crate::app::limits::Class;
use crate::model::attempt::Stage;
use crate::model::authorization::{Authorization, Step};
use crate::model::client::Client;
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::respond::{Failure, PageRejection, see_other};

/// `GET` and `POST` at the authorization endpoint.
pub(crate) async fn handle(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, &mut context, request).await;
    app.edge.page("authorize", &context, outcome)
}

async fn serve(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, PageRejection> {
    context.stage = Stage::Authorize;
    let (parts, body) = request.into_parts();
    let params = body::params(&parts, body, app.config.limits.body_bytes).await.map_err(unreadable)?;
    let now = app.clock.now();
    match params.first("authorization") {
        Some(id) if params.first("client_id").is_none() => {
            let authorization = browser::authorization(app, context, &parts.headers, Some(id), now).await?;
            dispatch(app, context, &parts.headers, authorization, now).await
        }
        _ => begin(app, context, &parts.headers, &params, now).await,
    }
}

/// A new request: whose it is, where the answer may go, what it asks; then it is stored.
async fn begin(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    params: &Params,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let attempt = app.random.attempt_id();
    context.begins(attempt.clone());
    context.received(params);
    app.admit(Class::Authorization, context)?;
    let (client, redirect_uri) = identify(app, context, params, now).await?;
    let exempt = &app.config.pkce.exempt_redirect_hosts;
    let scope = client.ceiling(&app.rules.scope);
    let rules = AuthorizationRules {
        resource: &app.resource,
        scope: &scope,
        pkce_exempt: redirect_uri.destination() == Destination::Https
            && exempt.iter().any(|host| host == redirect_uri.host()),
    };
    let request = match AuthorizationRequest::check(params, &rules) {
        Ok(request) => request,
        Err(refusal) => {
            tracing::info!(client = %client.id, error = %refusal, detail = refusal.detail, "authorization request refused");
            context.refused(Stage::Authorize, refusal.cause, &refusal.to_string(), refusal.detail.as_deref());
            let trusted = client.first_used_at.is_some() || signed_in(app, headers, now).await?.is_some();
            return refuse(app, context, &client, &redirect_uri, params.first("state"), &refusal, trusted);
        }
    };
    if request.code_challenge.is_none() {
        tracing::warn!(client = %client.id, host = redirect_uri.host(), "request without PKCE let through: its redirect host is in pkce.exempt_redirect_hosts");
    }
    let visitor = signed_in(app, headers, now).await?;
    let sessions = &app.config.sessions;
    let ttl = if visitor.is_some() {
        sessions.authorization_ttl
    } else {
        sessions.sign_in_ttl.min(sessions.authorization_ttl)
    };
    app.admit_kept(kib(params), visitor.is_none(), context)?;
    let cookie = BrowserCookie::of(app, headers);
    let authorization = Authorization {
        id: app.random.authorization_id(&attempt),
        client_id: client.id,
        redirect_uri,
        request,
        browser_hash: cookie.hash.clone(),
        nonce: app.random.id(""),
        created_at: now,
        expires_at: now.plus(ttl),
        decision: None,
    };
    app.store.insert_authorization(&authorization).await?;
    context.is_of(&authorization.client_id);
    context.done(Stage::Authorize);
    let response = see_other(&step(&app.paths.authorize, &authorization.id))?;
    Ok(cookie.attach(app, response))
}

/// What a request takes up once it is stored, in KiB.
fn kib(params: &Params) -> NonZeroU32 {
    /// Ids, times and indexes.
    const ROW: usize = 512;
    let bytes = ROW + params.iter().map(|(_, value)| value.len()).sum::<usize>();
    u32::try_from(bytes.div_ceil(1024)).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX)
}

/// Reads the stored request and sends the browser to the next step.
async fn dispatch(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    authorization: Authorization,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let Some(client) = app.store.find_client(&authorization.client_id).await? else {
        return Err(Failure::Answer("the client of a stored request is gone").into());
    };
    still_stands(app, &client, &authorization)?;
    let visitor = signed_in(app, headers, now).await?;
    let next = app.next_step(&authorization, &client, visitor.as_ref()).await?;
    let (redirect_uri, state) = (&authorization.redirect_uri, authorization.request.state.as_deref());
    let tell = |context: &mut RequestContext, code: ErrorCode, cause: Cause, text: &str| {
        context.refused(Stage::Authorize, cause, &format!("{code}: {text}"), None);
        answer::tell(app, context, &client, redirect_uri, (code, text), state)
    };
    match next {
        Step::SignIn => Ok(see_other(&step(&app.config.paths.login, &authorization.id))?),
        Step::AskConsent(_) | Step::Continue(_) => Ok(see_other(&step(&app.config.paths.consent, &authorization.id))?),
        Step::PassFirstParty(scope) => {
            let Some(own) = visitor else { return Err(Failure::Answer("a step without a session").into()) };
            app.approve(&authorization, &client, &own.session, scope, now).await?;
            let remark = "allowed without a question: a client of the server's own";
            context.done_with(Stage::Consent, Cause::AllowedFirstParty, remark);
            hand_over(app, context, &client, &authorization, now).await
        }
        Step::HandOver => hand_over(app, context, &client, &authorization, now).await,
        Step::TellDenied => tell(context, ErrorCode::AccessDenied, Cause::Denied, "the person did not allow access"),
        Step::LoginRequired => {
            // Like any refusal: a browser without a session goes to no stranger's website (RFC 9700 §4.11.2).
            let text = "nobody is signed in, and prompt=none forbids asking";
            let refusal = Refusal::new(ErrorCode::LoginRequired, Cause::LoginRequired, text);
            context.refused(Stage::Authorize, refusal.cause, &refusal.to_string(), None);
            let trusted = client.first_used_at.is_some() || visitor.is_some();
            refuse(app, context, &client, redirect_uri, state, &refusal, trusted)
        }
        Step::ConsentRequired => {
            let text = "consent is needed, and prompt=none forbids asking";
            tell(context, ErrorCode::ConsentRequired, Cause::InteractionRequired, text)
        }
        Step::InteractionRequired => {
            let text = "the person has to continue, and prompt=none forbids asking";
            tell(context, ErrorCode::InteractionRequired, Cause::InteractionRequired, text)
        }
    }
}

/// Redirects with the code: the same one however often the approval was clicked, as long as it is good.
async fn hand_over(
    app: &App,
    context: &mut RequestContext,
    client: &Client,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let code = app.code_of(authorization);
    let stored = app.store.find_code(&code.hash()).await?;
    let (cause, title, happened) = match stored {
        Some(stored) if stored.redeemed_at.is_none() && stored.expires_at > now => {
            let state = authorization.request.state.as_deref();
            context.is_about(&stored.grant.id);
            context.note_address("redirect_uri", authorization.redirect_uri.as_str());
            context.done(Stage::CodeSent);
            return answer(app, context, client, &authorization.redirect_uri, &[("code", code.expose())], state);
        }
        Some(stored) if stored.redeemed_at.is_some() => (
            Cause::AlreadyDone,
            "This is done already",
            format!("{} has been let in; there is nothing left to do on this page.", client.display_name()),
        ),
        _ => (
            Cause::CodeExpired,
            "This took too long",
            format!("{} did not pick up its answer in time.", client.display_name()),
        ),
    };
    let to_do = vec![
        "Close this tab and go back to your client. If it is not connected, choose Connect there again.".to_owned(),
    ];
    Err(error_page(cause, title, happened, None, None, to_do, String::new()))
}
