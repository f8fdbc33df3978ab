//! `/api/v1/attempts`: what was recorded of attempts to connect, told as `attempts show` tells it.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::{Path, Request};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Outcome, limit, ok, query};
use super::guard::Caller;
use crate::admin::attempts::{self, AttemptLine, AttemptStory};

/// Which attempts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AttemptsQuery {
    /// How many, 1 to 200; 50 if left out.
    limit: Option<String>,
}

/// The latest attempts.
#[derive(Serialize, ToSchema)]
pub(super) struct AttemptList {
    attempts: Vec<AttemptLine>,
}

/// List the latest attempts to connect
#[utoipa::path(get, path = "/api/v1/attempts", tag = "attempts", operation_id = "listAttempts", params(AttemptsQuery),
    responses((status = 200, description = "The attempts", body = AttemptList)))]
pub(super) async fn list(caller: Caller, request: Request) -> Outcome {
    let asked: AttemptsQuery = query(request.uri().query())?;
    let limit = u32::try_from(limit(asked.limit.as_deref())?).unwrap_or(1);
    ok(&AttemptList { attempts: attempts::list(&caller.admin(), &caller.app.profiles, limit).await? })
}

/// Tell one attempt: its steps, what is wrong, and what did not arrive
#[utoipa::path(get, path = "/api/v1/attempts/{id}", tag = "attempts", operation_id = "showAttempt",
    params(("id" = String, Path, description = "Its id, as pages and errors show it")),
    responses((status = 200, description = "Its story", body = AttemptStory),
        (status = 404, description = "Nothing is recorded of it", body = super::answer::Error)))]
pub(super) async fn show(caller: Caller, Path(id): Path<String>) -> Outcome {
    let story = attempts::show(&caller.admin(), &caller.app.profiles, &id).await?;
    ok(&AttemptStory::from(story))
}
