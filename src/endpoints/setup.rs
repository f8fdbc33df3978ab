//! The set-up page: whoever holds the one-time link makes the first account.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use oauth::cause::Cause;
use oauth::params::Params;

use crate::app::App;
use crate::app::browser::{self, BrowserCookie, check_form};
use crate::model::secret::{Secret, SecretKind};
use crate::model::user::{Credential, Role, Username, check_password};
use crate::request::body;
use crate::request::context::RequestContext;
use crate::response::page::{FieldProblem, Page, Setup, SetupField};
use crate::response::respond::{ErrorPage, PageRejection, Rejection, see_other};
use crate::store::{AccountError, NewUser};

/// What the form's token is bound to.
const PURPOSE: &str = "setup";

/// `GET` shows the form, `POST` makes the account.
pub(crate) async fn handle(State(app): State<App>, context: RequestContext, request: Request) -> Response {
    let outcome = serve(&app, request).await;
    app.edge.page("setup", &context, outcome)
}

async fn serve(app: &App, request: Request) -> Result<Response, PageRejection> {
    let (parts, body) = request.into_parts();
    let now = app.clock.now();
    let params = body::params(&parts, body, app.config.limits.body_bytes).await.map_err(Rejection::into_page)?;
    let link = Secret::presented(params.first("token").unwrap_or_default());
    // The link makes the first account. Where one was made on the command line meanwhile, it makes no other
    // administrator.
    if !app.store.is_setup_link(&link.hash(), now).await? || app.store.has_users().await? {
        return Err(dead_link());
    }
    if parts.method != Method::POST {
        return Ok(show(app, &parts.headers, &link, &params, Vec::new(), StatusCode::OK));
    }
    let cookie = app.cookies.read(&parts.headers, SecretKind::Browser).map(|secret| secret.hash());
    check_form(app, cookie.as_ref(), PURPOSE, params.first("csrf").unwrap_or_default())?;
    let typed = params.first("username").unwrap_or_default();
    let password = params.first("password").unwrap_or_default();
    let username = Username::parse(typed);
    let mut problems = Vec::new();
    if let Err(error) = &username {
        problems.push(FieldProblem { field: SetupField::Name, message: error.to_string() });
    }
    if let Err(message) = check_password(password, typed, app.config.passwords.min_length) {
        problems.push(FieldProblem { field: SetupField::Password, message });
    }
    let (Ok(username), true) = (username, problems.is_empty()) else {
        return Ok(show(app, &parts.headers, &link, &params, problems, StatusCode::UNPROCESSABLE_ENTITY));
    };
    let display_name = params.first("display_name").map(str::trim).filter(|name| !name.is_empty());
    let user = NewUser {
        id: app.random.user_id(),
        display_name: display_name.unwrap_or(username.as_str()).chars().take(100).collect(),
        username,
        password_hash: app.passwords.hash(password.to_owned()).await?,
        role: Role::Admin,
        created_at: now,
    };
    match app.store.insert_first_user(&link.hash(), &user, now).await {
        Ok(()) => {}
        Err(AccountError::LinkUsed) => return Err(dead_link()),
        Err(AccountError::NameTaken) => {
            let message = "There is an account with this name already; choose another.".to_owned();
            let problems = vec![FieldProblem { field: SetupField::Name, message }];
            return Ok(show(app, &parts.headers, &link, &params, problems, StatusCode::UNPROCESSABLE_ENTITY));
        }
        Err(AccountError::Store(error)) => return Err(error.into()),
    }
    tracing::info!(user = %user.id, "first account made");
    let location = &app.config.paths.account;
    match browser::sign_in(app, &parts.headers, (&user.id, Credential::default()), location, now).await? {
        Some(response) => Ok(response),
        None => Ok(see_other(&app.config.paths.login)?),
    }
}

fn dead_link() -> PageRejection {
    ErrorPage {
        to_do: vec![
            "If the first account exists, sign in with it.".to_owned(),
            "If there is no account yet, restart the server: it prints a new link.".to_owned(),
            "Or make an account on the server's command line: portcullis user add NAME --role admin --password-stdin"
                .to_owned(),
        ],
        ..ErrorPage::new(
            Cause::LinkUnfit,
            StatusCode::NOT_FOUND,
            "This set-up link is not valid",
            "A set-up link works once and for a day.",
        )
    }
    .into()
}

fn show(
    app: &App,
    headers: &axum::http::HeaderMap,
    link: &Secret,
    typed: &Params,
    problems: Vec<FieldProblem>,
    status: StatusCode,
) -> Response {
    let cookie = BrowserCookie::of(app, headers);
    let page = Setup {
        service: app.config.name.clone(),
        action: app.config.paths.setup.clone(),
        token: link.expose().to_owned(),
        csrf: app.master.form_token(&cookie.hash, PURPOSE),
        name: typed.first("username").unwrap_or_default().to_owned(),
        display_name: typed.first("display_name").unwrap_or_default().to_owned(),
        problems,
        password_min: app.config.passwords.min_length,
    };
    cookie.attach(app, Page(status, page).into_response())
}
