//! The authorization endpoint (OAuth 2.1 §4.1.1) and the dispatcher behind it.
//!
//! A request that passes its checks is stored, and the browser comes back with its id. From then on this is the
//! dispatcher: it reads the stored request, decides the next step and sends the browser there. Faults in client
//! or redirect URI are pages; everything after that is told to the client by redirect.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::app::browser::{self, BrowserCookie, signed_in, step};
use crate::http::address::Network;
use crate::http::body;
use crate::http::page::{Handoff, Page};
use crate::http::respond::{Failure, PageRejection, Rejection, Trouble, see_other};
use crate::model::authorization::{Authorization, Offered, Step, Visitor};
use crate::model::client::Client;
use crate::model::id::ClientId;
use crate::model::time::Timestamp;
use crate::oauth::authorize::{AuthorizationRequest, AuthorizationRules};
use crate::oauth::error::{ErrorCode, Refusal};
use crate::oauth::params::Params;
use crate::oauth::redirect_uri::{Destination, RedirectUri};

/// `GET` and `POST` at the authorization endpoint.
pub(crate) async fn handle(State(app): State<App>, request: Request) -> Response {
    let outcome = serve(&app, request).await;
    app.edge.page("authorize", outcome)
}

async fn serve(app: &App, request: Request) -> Result<Response, PageRejection> {
    let (parts, body) = request.into_parts();
    let params = body::params(&parts, body, app.config.limits.body_bytes).await.map_err(unreadable)?;
    let now = app.clock.now();
    match params.first("authorization") {
        Some(id) if params.first("client_id").is_none() => {
            let authorization = browser::authorization(app, &parts.headers, Some(id), now).await?;
            dispatch(app, &parts.headers, authorization, now).await
        }
        _ => begin(app, &parts, &params, now).await,
    }
}

fn unreadable(rejection: Rejection) -> PageRejection {
    let (happened, detail) = match rejection {
        Rejection::Failed(failure) => return PageRejection::Failed(failure),
        Rejection::TooLarge { limit } => (format!("The request is larger than {limit} bytes."), String::new()),
        Rejection::Refused(refusal) => (
            format!("Your client sent a request that can't be read: {}.", refusal.description),
            refusal.detail.unwrap_or_default(),
        ),
        Rejection::RefusedBasic(_)
        | Rejection::RefusedBearer(_)
        | Rejection::Forbidden(_)
        | Rejection::TooMany { .. } => ("Your client sent a request that can't be read.".to_owned(), String::new()),
    };
    let to_do = vec!["Tell the maker of your client; this is not something that you did.".to_owned()];
    trouble("This request can't be read", happened, None, None, to_do, detail)
}

fn trouble(
    title: &str,
    happened: String,
    received: Option<String>,
    expected: Option<String>,
    to_do: Vec<String>,
    detail: String,
) -> PageRejection {
    let status = StatusCode::BAD_REQUEST;
    Trouble { status, title: title.to_owned(), happened, received, expected, to_do, detail }.into()
}

/// A new request: whose it is, where the answer may go, what it asks; then it is stored.
async fn begin(app: &App, parts: &Parts, params: &Params, now: Timestamp) -> Result<Response, PageRejection> {
    if let Some(limits) = &app.limits {
        let network = Network::of_request(parts, &app.config.limits.trusted_proxies);
        limits.authorize.check(network).map_err(|wait| PageRejection::TooMany { wait })?;
    }
    let (client, redirect_uri) = identify(app, params).await?;
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
            let trusted = client.first_used_at.is_some() || signed_in(app, &parts.headers, now).await?.is_some();
            return refuse(app, &client, &redirect_uri, params.first("state"), &refusal, trusted);
        }
    };
    if request.code_challenge.is_none() {
        tracing::warn!(client = %client.id, host = redirect_uri.host(), "request without PKCE let through: its redirect host is in pkce.exempt_redirect_hosts");
    }
    let cookie = BrowserCookie::of(app, &parts.headers);
    let authorization = Authorization {
        id: app.random.authorization_id(),
        client_id: client.id,
        redirect_uri,
        request,
        browser_hash: cookie.hash.clone(),
        nonce: app.random.id(""),
        created_at: now,
        expires_at: now.plus(app.config.sessions.authorization_ttl),
        decision: None,
    };
    app.store.insert_authorization(&authorization).await?;
    let response = see_other(&step(&app.paths.authorize, &authorization.id))?;
    Ok(cookie.attach(app, response))
}

/// Finds the client and the redirect URI. Until both are good, nothing may be redirected anywhere.
async fn identify(app: &App, params: &Params) -> Result<(Client, RedirectUri), PageRejection> {
    let once = |name| params.one(name).map_err(|refusal: Refusal| unreadable(refusal.into()));
    let Some(client_id) = once("client_id")? else {
        let happened = "Your client did not say who it is: client_id is missing.".to_owned();
        let to_do = vec!["Start from your client instead of opening this address by hand.".to_owned()];
        return Err(trouble("Who is asking?", happened, None, None, to_do, String::new()));
    };
    let found = app.store.find_client(&ClientId::new(client_id)).await?.filter(Client::is_active);
    let Some(client) = found else {
        let happened =
            "Your client uses a registration that this server does not have. It was made at another server, \
                        or it was removed here because nobody had used it."
                .to_owned();
        let mut to_do =
            vec!["Make your client forget its registration and connect again; it then registers anew.".to_owned()];
        to_do.extend(app.profiles.ways_to_forget().map(str::to_owned));
        let received = Some(format!("client_id: {}", client_id.chars().take(200).collect::<String>()));
        return Err(trouble(
            "This client is not registered here",
            happened,
            received,
            None,
            to_do,
            "unknown client".to_owned(),
        ));
    };
    let registered = &client.metadata.redirect_uris;
    let redirect_uri = match (once("redirect_uri")?, registered.as_slice()) {
        (Some(requested), _) => RedirectUri::select(requested, registered).ok_or(requested),
        // OAuth 2.1 §4.1.1: may be left out when there is only one.
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err("(none)"),
    };
    match redirect_uri {
        Ok(redirect_uri) => Ok((client, redirect_uri)),
        Err(requested) => {
            let happened =
                "Your client wants the answer at an address that it did not register. Nothing was sent there."
                    .to_owned();
            let expected = registered.iter().map(RedirectUri::as_str).collect::<Vec<_>>().join("\n");
            let to_do = vec![
                "In the client's settings, make the redirect (callback) URL exactly one of those expected: every character counts, also a slash at the end.".to_owned(),
                "Or make the client forget its registration and connect again.".to_owned(),
            ];
            let received: String = requested.chars().take(500).collect();
            Err(trouble(
                "The callback address does not match",
                happened,
                Some(received),
                Some(expected),
                to_do,
                format!("client {}", client.id),
            ))
        }
    }
}

/// Tells the client by redirect why its request is refused (OAuth 2.1 §4.1.2.1).
///
/// One exception: a browser without a session is not sent to the website of a client that nobody here has ever
/// let in and whose callback is no known vendor's; otherwise anybody could register a redirect to a phishing page
/// under this server's name (RFC 9700 §4.11.2). The person gets the link and decides.
fn refuse(
    app: &App,
    client: &Client,
    redirect_uri: &RedirectUri,
    state: Option<&str>,
    refusal: &Refusal,
    trusted: bool,
) -> Result<Response, PageRejection> {
    let website = redirect_uri.destination() == Destination::Https;
    if website && !trusted && app.profiles.of(redirect_uri).is_none() {
        let happened =
            format!("{} sent a request that this server refuses: {}.", client.display_name(), refusal.description);
        let received = Some(format!("error: {}", refusal.code));
        let to_do = vec![
            format!(
                "Its answer would go to {}. Nobody here has let this client in before, so you were not sent there.",
                redirect_uri.host()
            ),
            "If you set this client up yourself, mend its settings as said above and connect again.".to_owned(),
        ];
        return Err(trouble("This client's request is not right", happened, received, None, to_do, String::new()));
    }
    answer(
        app,
        client,
        redirect_uri,
        &[("error", refusal.code.as_str()), ("error_description", &refusal.description)],
        state,
    )
}

/// Sends an answer to the client: its parameters, `state` as it came, and `iss` (RFC 9207), each once.
fn answer(
    app: &App,
    client: &Client,
    redirect_uri: &RedirectUri,
    params: &[(&str, &str)],
    state: Option<&str>,
) -> Result<Response, PageRejection> {
    let mut params = params.to_vec();
    if let Some(state) = state {
        params.push(("state", state));
    }
    params.push(("iss", app.issuer.as_str()));
    let location = redirect_uri.with_params(&params);
    if redirect_uri.destination() == Destination::CustomScheme {
        // A redirect to an app leaves the browser on a dead page, and some browsers drop it: a page with a link
        // works in all of them (C2).
        let page =
            Handoff { service: app.config.name.clone(), client_name: client.display_name().to_owned(), url: location };
        return Ok(Page(StatusCode::OK, page).into_response());
    }
    Ok(see_other(&location)?)
}

/// Reads the stored request and sends the browser to the next step.
async fn dispatch(
    app: &App,
    headers: &HeaderMap,
    authorization: Authorization,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let Some(client) = app.store.find_client(&authorization.client_id).await? else {
        return Err(Failure::Answer("the client of a stored request is gone").into());
    };
    let visitor = signed_in(app, headers, now).await?;
    let consents = match &visitor {
        Some(own) => app.store.consents(&own.session.user.id, &client.id, &authorization.request.resource).await?,
        None => Vec::new(),
    };
    let next = authorization.next(
        &Visitor {
            session: visitor.as_ref().map(|own| (&own.session.user.id, own.session.authenticated_at)),
            consents: &consents,
            may_skip_consent: app.config.consent.remember && app.profiles.of(&authorization.redirect_uri).is_some(),
        },
        Offered { client: &client, default_scope: &app.offer.default_scope },
    );
    let (redirect_uri, state) = (&authorization.redirect_uri, authorization.request.state.as_deref());
    let tell = |code: ErrorCode, text: &str| {
        answer(app, &client, redirect_uri, &[("error", code.as_str()), ("error_description", text)], state)
    };
    match next {
        Step::SignIn => Ok(see_other(&step(&app.config.paths.login, &authorization.id))?),
        Step::AskConsent(_) => Ok(see_other(&step(&app.config.paths.consent, &authorization.id))?),
        Step::Remembered(scope) => {
            let Some(own) = visitor else { return Err(Failure::Answer("a step without a session").into()) };
            app.approve(&authorization, &client, &own.session, scope, now).await?;
            hand_over(app, &client, &authorization, now).await
        }
        Step::HandOver => hand_over(app, &client, &authorization, now).await,
        Step::TellDenied => tell(ErrorCode::AccessDenied, "the person did not allow access"),
        Step::LoginRequired => tell(ErrorCode::LoginRequired, "nobody is signed in, and prompt=none forbids asking"),
        Step::ConsentRequired => tell(ErrorCode::ConsentRequired, "consent is needed, and prompt=none forbids asking"),
    }
}

/// Redirects with the code: the same one however often the approval was clicked, as long as it is good.
async fn hand_over(
    app: &App,
    client: &Client,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<Response, PageRejection> {
    let code = app.code_of(authorization);
    let stored = app.store.find_code(&code.hash()).await?;
    let (title, happened) = match stored {
        Some(stored) if stored.redeemed_at.is_none() && stored.expires_at > now => {
            let state = authorization.request.state.as_deref();
            return answer(app, client, &authorization.redirect_uri, &[("code", code.expose())], state);
        }
        Some(stored) if stored.redeemed_at.is_some() => (
            "This is done already",
            format!("{} has been let in; there is nothing left to do on this page.", client.display_name()),
        ),
        _ => ("This took too long", format!("{} did not pick up its answer in time.", client.display_name())),
    };
    let to_do = vec![
        "Close this tab and go back to your client. If it is not connected, choose Connect there again.".to_owned(),
    ];
    Err(trouble(title, happened, None, None, to_do, String::new()))
}
