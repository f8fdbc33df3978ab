//! The sign-in page.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::params::Params;
use oauth::time::Timestamp;

use crate::app::App;
use crate::app::browser::{self, BrowserCookie, check_form, destination, lasting, signed_in, step};
use crate::app::known;
use crate::crypto::password::Checked;
use crate::model::attempt::Stage;
use crate::model::authorization::Authorization;
use crate::model::secret::SecretKind;
use crate::model::user::{MAX_PASSWORD, User, Username};
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::page::{Login, Page, Requester};
use crate::response::respond::{Failure, PageRejection, Rejection, see_other};

/// What the form's token is bound to.
const PURPOSE: &str = "login";

/// `GET` shows the form, `POST` signs in.
pub(crate) async fn handle(State(app): State<App>, mut context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, &mut context, request).await;
    app.edge.page("login", &context, outcome)
}

/// Where the browser goes after sign-in: only places that this server knows, never an address from the request
/// (open redirect, B-16).
enum Target {
    Authorization(Box<Authorization>),
    Document(String),
    Account,
}

impl Target {
    fn location(&self, app: &App) -> String {
        match self {
            Self::Authorization(own) => step(&app.paths.authorize, &own.id),
            Self::Document(id) => {
                let id = url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
                format!("{}/{}", app.config.paths.docs, id.replace("%2F", "/").replace('+', "%20"))
            }
            Self::Account => app.config.paths.account.clone(),
        }
    }
}

async fn serve(app: &App, context: &mut RequestContext, request: Request) -> Result<Response, PageRejection> {
    context.stage = Stage::SignIn;
    let (parts, body) = request.into_parts();
    let now = app.clock.now();
    let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    if parts.method != Method::POST {
        let target = target(app, context, &parts, &query, &query, now).await?;
        let hint = match &target {
            Target::Authorization(own) => own.request.login_hint.clone().unwrap_or_default(),
            Target::Document(_) | Target::Account => {
                if signed_in(app, &parts.headers, now).await?.is_some() {
                    return Ok(see_other(&target.location(app))?);
                }
                String::new()
            }
        };
        if matches!(target, Target::Authorization(_)) {
            context.done_with(Stage::SignIn, Cause::Asked, "asked");
        }
        return show(app, context, &parts, &target, StatusCode::OK, hint, None).await;
    }
    let form = body::form(&parts.headers, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
    let cookie = app.cookies.read(&parts.headers, SecretKind::Browser).map(|secret| secret.hash());
    check_form(app, cookie.as_ref(), PURPOSE, form.first("csrf").unwrap_or_default())?;
    let target = target(app, context, &parts, &query, &form, now).await?;
    let typed = form.first("username").unwrap_or_default().to_owned();
    match authenticate(app, context, &parts.headers, &typed, form.first("password").unwrap_or_default(), now).await? {
        Outcome::Welcome(user) => {
            let (proved, location) = ((&user.id, user.credential), target.location(app));
            if let Some(response) = browser::sign_in(app, &parts.headers, proved, &location, now).await? {
                tracing::info!(user = %user.id, "signed in");
                context.done(Stage::SignIn);
                if let Target::Authorization(own) = &target {
                    // From now on it waits for a person, not for anybody.
                    let until = own.created_at.plus(app.config.sessions.authorization_ttl);
                    app.store.extend_authorization(&own.id, until, now).await?;
                }
                return Ok(response);
            }
            tracing::info!(user = %user.id, "not signed in: the password was changed or the account disabled meanwhile");
            wrong(app, context, &parts, &target, typed).await
        }
        Outcome::Wrong => wrong(app, context, &parts, &target, typed).await,
        Outcome::Wait { seconds, known } => {
            let mut text = format!("Too many failed attempts. Wait {} and try again.", lasting(seconds));
            if !known {
                text.push_str(
                    " A browser in which you have signed in to this account before does not wait for others' attempts.",
                );
            }
            context.refused(Stage::SignIn, Cause::LockedOut, "too many failed attempts", None);
            let mut response =
                show(app, context, &parts, &target, StatusCode::TOO_MANY_REQUESTS, typed, Some(text)).await?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

async fn wrong(
    app: &App,
    context: &mut RequestContext,
    parts: &Parts,
    target: &Target,
    typed: String,
) -> Result<Response, PageRejection> {
    let text = "The login name or the password is wrong.".to_owned();
    context.refused(Stage::SignIn, Cause::CredentialsWrong, &text, None);
    show(app, context, parts, target, StatusCode::UNAUTHORIZED, typed, Some(text)).await
}

async fn target(
    app: &App,
    context: &mut RequestContext,
    parts: &Parts,
    query: &Params,
    form: &Params,
    now: Timestamp,
) -> Result<Target, PageRejection> {
    if let Some(id) = form.first("authorization").or_else(|| query.first("authorization")) {
        let own = browser::authorization(app, context, &parts.headers, Some(id), now).await?;
        return Ok(Target::Authorization(Box::new(own)));
    }
    let document = query.first("document").and_then(|id| app.library.get(id));
    Ok(document.map_or(Target::Account, |document| Target::Document(document.id.clone())))
}

async fn show(
    app: &App,
    context: &RequestContext,
    parts: &Parts,
    target: &Target,
    status: StatusCode,
    username: String,
    problem: Option<String>,
) -> Result<Response, PageRejection> {
    let cookie = BrowserCookie::of(app, &parts.headers);
    let requester = match target {
        Target::Authorization(own) => app.store.find_client(&own.client_id).await?.map(|client| Requester {
            client_name: client.display_name().to_owned(),
            destination: destination(&own.redirect_uri),
        }),
        Target::Document(_) | Target::Account => None,
    };
    let page = Login {
        service: app.config.name.clone(),
        action: match target {
            Target::Document(id) => {
                let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("document", id).finish();
                format!("{}?{query}", app.config.paths.login)
            }
            Target::Authorization(_) | Target::Account => app.config.paths.login.clone(),
        },
        csrf: app.master.form_token(&cookie.hash, PURPOSE),
        authorization: match target {
            Target::Authorization(own) => Some(own.id.to_string()),
            Target::Document(_) | Target::Account => None,
        },
        requester,
        username,
        problem,
        attempt: context.attempt().to_string(),
    };
    Ok(cookie.attach(app, Page(status, page).into_response()))
}

enum Outcome {
    Welcome(Box<User>),
    Wrong,
    Wait {
        seconds: u64,
        /// Whether it is for this browser's own failures.
        known: bool,
    },
}

/// Judges name and password. Unknown, disabled and mistaken users get the same answer after the same work. Failures are
/// counted for the pair of name and network, for the name, and for the network: guessing is slow from one place and from
/// many. A browser that has signed in to this account before is counted by itself, so that no stranger, also not one
/// behind the same address, can lock its owner out.
async fn authenticate(
    app: &App,
    context: &RequestContext,
    headers: &HeaderMap,
    typed: &str,
    password: &str,
    now: Timestamp,
) -> Result<Outcome, PageRejection> {
    let network = context.network_name();
    let username = Username::parse(typed).ok();
    let name = username.as_ref().map_or("", Username::as_str);
    let user = match &username {
        Some(username) => app.store.find_user_by_name(username).await?.filter(|user| user.disabled_at.is_none()),
        None => None,
    };
    let browser = known::recognise(app, headers, user.as_ref(), now);
    let most = i64::from(app.config.limits.sign_in_failures.get());
    let subjects = match &browser {
        Some(nonce) => vec![(format!("browser {nonce}"), most)],
        None => vec![
            // Quoted, and no name has a quote in it: a name that reads "… from 192.0.2.1" is still another subject.
            (format!("user \"{name}\" from {network}"), most),
            (format!("user \"{name}\""), most * 10),
            (format!("network {network}"), most * 10),
        ],
    };
    if app.limits.is_some()
        && let Some(seconds) = count_try(app, &subjects, now).await?
    {
        return Ok(Outcome::Wait { seconds, known: browser.is_some() });
    }
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let checked = if password.len() <= MAX_PASSWORD {
        app.passwords.check(password.to_owned(), stored).await?
    } else {
        Checked::Wrong
    };
    match (user, checked) {
        (Some(user), Checked::Right { renewed }) => {
            if let Some(new) = renewed {
                // Not while the password is being changed: only the hash that was checked is replaced.
                let done = app.store.renew_password_hash(&user.id, &user.password_hash, &new).await?;
                tracing::info!(user = %user.id, done, "password hash made anew at today's cost");
            }
            if app.limits.is_some() {
                for (subject, _) in &subjects {
                    app.store.take_back_sign_in_failure(subject).await?;
                }
            }
            if let Some((subject, _)) = subjects.first() {
                app.store.clear_sign_in_failures(subject).await?;
            }
            Ok(Outcome::Welcome(Box::new(user)))
        }
        (None, _) | (Some(_), Checked::Wrong) => {
            tracing::info!(network, "sign-in failed");
            Ok(Outcome::Wrong)
        }
    }
}

/// Counts a try as a failure before the password is looked at, and tells how long to wait if that is one too
/// many. Success takes it back. Counting afterwards would let a burst of guesses through, all of which had
/// looked before the first was counted.
async fn count_try(app: &App, subjects: &[(String, i64)], now: Timestamp) -> Result<Option<u64>, Failure> {
    let ends = now.plus(app.config.limits.sign_in_window);
    for (index, (subject, most)) in subjects.iter().enumerate() {
        let failures = app.store.count_sign_in_failure(subject, now, ends).await?;
        if failures > *most {
            // A try that one limit refuses is not counted as a failure by the others.
            for (counted, _) in subjects.iter().take(index) {
                app.store.take_back_sign_in_failure(counted).await?;
            }
            let ends = app.store.sign_in_failures(subject, now).await?.map_or(ends, |(_, ends)| ends);
            tracing::warn!(subject, failures, "sign-in refused: too many failures");
            return Ok(Some(ends.since(now).max(1).unsigned_abs()));
        }
    }
    Ok(None)
}
