//! The forms in which answers leave: JSON, redirect, page. (The fourth, the bearer challenge, is the resource
//! half's own.) An endpoint returns a [`Rejection`] or a [`PageRejection`], and the edge gives it its form,
//! logs it once and puts a reference id on what is our fault.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::error::{ErrorCode, Refusal};
use serde::Serialize;

use super::page::{Page, Problem};
use crate::attempts::scrub;
use crate::crypto::jwt::SigningFailed;
use crate::crypto::password::HashingFailed;
use crate::crypto::random::Random;
use crate::model::attempt::Outcome;
use crate::request::context::RequestContext;
use crate::store::{AccountError, StoreError};

/// Our fault. Never told apart to the outside, never blamed on the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    /// A password could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    /// What a client's proof is checked with is not to be had now. Not the client's fault as far as anybody can tell, and
    /// never told as `invalid_client`, at which it would throw its registration away (T-05).
    #[error("{0}")]
    Keys(String),
    /// An answer could not be written.
    #[error("an answer could not be built: {0}")]
    Answer(&'static str),
}

/// Why a request that is answered in JSON was not granted.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The request's fault.
    Refused(Refusal),
    /// The request's fault, and the client had used the `Authorization` header (RFC 6749 §5.2).
    RefusedBasic(Refusal),
    /// The bearer token of a registration is wrong (RFC 7592 §2, RFC 6750 §3).
    RefusedBearer(Refusal),
    /// Not allowed (RFC 7592 §2.2).
    Forbidden(Refusal),
    /// The body is larger than this endpoint reads.
    TooLarge {
        /// What it reads, in bytes.
        limit: usize,
    },
    /// Too many requests.
    TooMany {
        /// When to try again.
        wait: Duration,
    },
    /// There is nothing at this address.
    NotFound(&'static str),
    /// The address does not take this method.
    WrongMethod(&'static str),
    /// Our fault.
    Failed(Failure),
}

/// Too many requests: when to try again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooMany(pub(crate) Duration);

impl From<TooMany> for Rejection {
    fn from(TooMany(wait): TooMany) -> Self {
        Self::TooMany { wait }
    }
}

impl From<TooMany> for PageRejection {
    fn from(TooMany(wait): TooMany) -> Self {
        Self::TooMany { wait }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<Failure>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Rejection {
    /// The same trouble with a form that a page had shown.
    pub(crate) fn into_page(self) -> PageRejection {
        match self {
            Self::Failed(failure) => PageRejection::Failed(failure),
            Self::TooMany { wait } => PageRejection::TooMany { wait },
            Self::TooLarge { .. }
            | Self::NotFound(_)
            | Self::WrongMethod(_)
            | Self::Refused(_)
            | Self::RefusedBasic(_)
            | Self::RefusedBearer(_)
            | Self::Forbidden(_) => ErrorPage {
                to_do: vec!["Go back, reload the page and try again.".to_owned()],
                ..ErrorPage::new(
                    Cause::Malformed,
                    StatusCode::BAD_REQUEST,
                    "The form can't be read",
                    "What your browser sent is not the form of this page.",
                )
            }
            .into(),
        }
    }
}

/// What a person sees when a page can't do what they came for.
#[derive(Debug)]
pub(crate) enum PageRejection {
    /// Something about the request or its time.
    Problem(Box<ErrorPage>),
    /// Too many requests.
    TooMany {
        /// When to try again.
        wait: Duration,
    },
    /// Our fault.
    Failed(Failure),
}

/// What an error page says: what happened, what came in, what was expected, what to do.
#[derive(Debug)]
pub(crate) struct ErrorPage {
    pub(crate) cause: Cause,
    pub(crate) status: StatusCode,
    pub(crate) title: String,
    pub(crate) happened: String,
    pub(crate) received: Option<String>,
    pub(crate) expected: Option<String>,
    pub(crate) to_do: Vec<String>,
    /// For the log only.
    pub(crate) detail: String,
}

impl ErrorPage {
    /// What happened, with nothing else to say of it.
    pub(crate) fn new(cause: Cause, status: StatusCode, title: &str, happened: impl Into<String>) -> Self {
        let (title, happened) = (title.to_owned(), happened.into());
        let (received, expected, to_do, detail) = (None, None, Vec::new(), String::new());
        Self { cause, status, title, happened, received, expected, to_do, detail }
    }
}

impl From<ErrorPage> for PageRejection {
    fn from(error_page: ErrorPage) -> Self {
        Self::Problem(Box::new(error_page))
    }
}

impl<E: Into<Failure>> From<E> for PageRejection {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the edge needs to give rejections their form.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// What the operator calls this server.
    pub(crate) service: String,
    /// Where the manual is.
    pub(crate) manual_url: String,
    /// Where reference ids come from.
    pub(crate) random: Random,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    attempt: &'a AttemptId,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
}

/// How long clients are asked to wait when the database is away.
const RETRY_AFTER_SECONDS: u64 = 5;

impl Edge {
    /// Gives a JSON endpoint's outcome its form, and records a refusal.
    pub(crate) fn json(
        &self,
        endpoint: &'static str,
        context: &RequestContext,
        outcome: Result<Response, Rejection>,
    ) -> Response {
        let rejection = match outcome {
            Ok(response) => return response,
            Err(rejection) => rejection,
        };
        let (status, refusal, challenge) = match rejection {
            Rejection::Failed(failure) => return self.failed_json(endpoint, context, &failure),
            Rejection::TooMany { wait } => {
                let text = format!("too many requests; try again in {} seconds", seconds(wait));
                tracing::warn!(endpoint, attempt = %context.attempt(), "refused: rate limit");
                context.ends(Outcome::Refused, Cause::RateLimited, "too many requests", None);
                let status = StatusCode::TOO_MANY_REQUESTS;
                let mut response = error_json(status, "temporarily_unavailable", &text, context, None);
                retry_after(&mut response, seconds(wait));
                return response;
            }
            Rejection::TooLarge { limit } => {
                let refusal =
                    Refusal::invalid_request(format!("the body is larger than the {limit} bytes that are read here"))
                        .because(Cause::TooLarge);
                (StatusCode::PAYLOAD_TOO_LARGE, refusal, None)
            }
            Rejection::NotFound(text) => {
                context.ends(Outcome::Refused, Cause::NotFound, text, None);
                return error_json(StatusCode::NOT_FOUND, "not_found", text, context, None);
            }
            Rejection::WrongMethod(text) => {
                context.ends(Outcome::Refused, Cause::WrongMethod, text, None);
                return error_json(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text, context, None);
            }
            Rejection::RefusedBasic(refusal) => {
                let challenge = HeaderValue::from_static("Basic realm=\"token endpoint\", charset=\"UTF-8\"");
                (StatusCode::UNAUTHORIZED, refusal, Some(challenge))
            }
            Rejection::RefusedBearer(refusal) => {
                (StatusCode::UNAUTHORIZED, refusal, Some(HeaderValue::from_static("Bearer error=\"invalid_token\"")))
            }
            Rejection::Forbidden(refusal) => (StatusCode::FORBIDDEN, refusal, None),
            // RFC 6749 §5.2: invalid_client is 401, all else 400.
            Rejection::Refused(refusal) if refusal.code == ErrorCode::InvalidClient => {
                (StatusCode::UNAUTHORIZED, refusal, None)
            }
            Rejection::Refused(refusal) => (StatusCode::BAD_REQUEST, refusal, None),
        };
        let reference = self.random.reference();
        tracing::info!(
            endpoint,
            reference,
            attempt = %context.attempt(),
            error = refusal.code.as_str(),
            description = scrub::reason(&refusal.description),
            detail = refusal.detail.as_deref().map(scrub::value),
            "refused"
        );
        context.ends(Outcome::Refused, refusal.cause, &refusal.to_string(), refusal.detail.as_deref());
        let mut response = error_json(status, refusal.code.as_str(), &refusal.description, context, Some(&reference));
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn failed_json(&self, endpoint: &'static str, context: &RequestContext, failure: &Failure) -> Response {
        let reference = self.random.reference();
        tracing::error!(endpoint, reference, attempt = %context.attempt(), error = %failure, "failed");
        context.ends(Outcome::Failed, Cause::ServerFault, "this server had a problem", Some(&reference));
        let (status, code) = status_of(failure);
        let text = format!("this server has a problem; nothing was changed, try again; reference {reference}");
        let mut response = error_json(status, code, &text, context, Some(&reference));
        retry_after(&mut response, RETRY_AFTER_SECONDS);
        response
    }

    /// Gives a page's outcome its form, and records a refusal.
    pub(crate) fn page(
        &self,
        endpoint: &'static str,
        context: &RequestContext,
        outcome: Result<Response, PageRejection>,
    ) -> Response {
        let rejection = match outcome {
            Ok(response) => return response,
            Err(rejection) => rejection,
        };
        let reference = self.random.reference();
        let (error_page, wait) = match rejection {
            PageRejection::Problem(error_page) => {
                tracing::info!(
                    endpoint,
                    reference,
                    attempt = %context.attempt(),
                    title = error_page.title,
                    detail = scrub::value(&error_page.detail),
                    "showed a problem page"
                );
                context.ends(
                    Outcome::Refused,
                    error_page.cause,
                    &format!("{}: {}", error_page.title, error_page.happened),
                    Some(&error_page.detail),
                );
                (*error_page, None)
            }
            PageRejection::TooMany { wait } => {
                tracing::warn!(endpoint, reference, attempt = %context.attempt(), "refused: rate limit");
                context.ends(Outcome::Refused, Cause::RateLimited, "too many requests", None);
                let error_page = ErrorPage {
                    to_do: vec![format!("Wait {} seconds, then reload this page.", seconds(wait))],
                    ..ErrorPage::new(
                        Cause::RateLimited,
                        StatusCode::TOO_MANY_REQUESTS,
                        "Too many requests",
                        "More requests came from your network than this server takes in a minute.",
                    )
                };
                (error_page, Some(seconds(wait)))
            }
            PageRejection::Failed(failure) => {
                tracing::error!(endpoint, reference, attempt = %context.attempt(), error = %failure, "failed");
                context.ends(Outcome::Failed, Cause::ServerFault, "this server had a problem", Some(&reference));
                let error_page = ErrorPage {
                    to_do: vec![
                        "Wait a moment, then reload this page.".to_owned(),
                        "If it stays, tell the administrator the reference below.".to_owned(),
                    ],
                    ..ErrorPage::new(
                        Cause::ServerFault,
                        status_of(&failure).0,
                        "This server has a problem",
                        "It is not your fault, and nothing was changed.",
                    )
                };
                (error_page, Some(RETRY_AFTER_SECONDS))
            }
        };
        let page = Problem {
            service: self.service.clone(),
            manual_url: self.manual_url.clone(),
            status: error_page.status.as_u16(),
            title: error_page.title,
            happened: error_page.happened,
            received: error_page.received,
            expected: error_page.expected,
            to_do: error_page.to_do,
            reference,
            attempt: context.attempt().to_string(),
        };
        let mut response = Page(error_page.status, page).into_response();
        if let Some(wait) = wait {
            retry_after(&mut response, wait);
        }
        response
    }
}

/// The status and the code of what is our fault.
pub(crate) fn status_of(failure: &Failure) -> (StatusCode, &'static str) {
    match failure {
        Failure::Store(StoreError::Corrupt { .. })
        | Failure::Signing(_)
        | Failure::Hashing(HashingFailed::Failed)
        | Failure::Answer(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        Failure::Store(_) | Failure::Keys(_) | Failure::Hashing(HashingFailed::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            AccountError::NameTaken | AccountError::LinkUsed => Self::Answer("an account error that is the person's"),
        }
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}

/// Says when to try again.
pub(crate) fn retry_after(response: &mut Response, seconds: u64) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

/// A JSON answer that no cache keeps (OAuth 2.1 §3.2.3).
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response, Failure> {
    let body = serde_json::to_vec(body).map_err(|_| Failure::Answer("JSON"))?;
    Ok(no_store(status, body))
}

fn no_store(status: StatusCode, body: Vec<u8>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (status, headers, body).into_response()
}

fn error_json(
    status: StatusCode,
    error: &str,
    error_description: &str,
    context: &RequestContext,
    reference: Option<&str>,
) -> Response {
    let body = ErrorBody { error, error_description, attempt: context.attempt(), reference };
    no_store(status, serde_json::to_vec(&body).unwrap_or_default())
}

/// A redirect with 303: whatever the request's method was, the next one is GET (RFC 9700 §4.12).
pub(crate) fn see_other(location: &str) -> Result<Response, Failure> {
    let location = HeaderValue::from_str(location).map_err(|_| Failure::Answer("Location"))?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Adds a `Set-Cookie` header.
pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::{Failure, HashingFailed, status_of};

    /// Everybody signs in at once: nothing is broken, and it is worth coming back.
    #[test]
    fn a_full_queue_for_passwords_is_503() {
        let busy = (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
        assert_eq!(status_of(&Failure::Hashing(HashingFailed::Busy)), busy);
        assert_eq!(status_of(&Failure::Hashing(HashingFailed::Failed)).0, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
