//! `/api/v1/attempts`: what was recorded of attempts to connect, told as `doctor --attempt` tells it.

#![expect(unused_qualifications, reason = "the description of parameters is generated with whole paths")]

use axum::extract::{Path, Request, State};
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Denied, Outcome, limit, ok, query};
use crate::app::App;
use crate::attempts::story::{Line, Story};
use crate::attempts::{Summary, explain, latest};

/// Which attempts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AttemptsQuery {
    /// How many, 1 to 200; 50 if left out.
    limit: Option<String>,
}

/// An attempt in the list.
#[derive(Serialize, ToSchema)]
struct AttemptLine {
    /// Its id, as pages and errors show it.
    attempt: String,
    /// When it began.
    began: String,
    /// Which client it seems to be.
    client: String,
    /// Whether all is well with it.
    good: bool,
    /// The most important thing to say about it.
    finding: String,
}

/// The latest attempts.
#[derive(Serialize, ToSchema)]
pub(super) struct AttemptList {
    attempts: Vec<AttemptLine>,
}

/// An attempt, told.
#[derive(Serialize, ToSchema)]
pub(super) struct AttemptStory {
    attempt: String,
    began: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// What that client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    /// Which known client it seems to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_like: Option<String>,
    /// What is to be said about it, the most important first.
    findings: Vec<AttemptFinding>,
    steps: Vec<AttemptStep>,
    /// Attempts that began in the same place at the same time.
    also: Vec<String>,
}

/// What is to be said about an attempt.
#[derive(Serialize, ToSchema)]
struct AttemptFinding {
    /// The rule's name; it stays, the words may change.
    rule: &'static str,
    good: bool,
    what: String,
    /// What to do, one sentence each.
    remedy: Vec<String>,
}

/// A step of an attempt.
#[derive(Serialize, ToSchema)]
struct AttemptStep {
    at: i64,
    step: &'static str,
    /// `ok`, `refused` or `failed`.
    outcome: &'static str,
    what: String,
    /// Why, as a word that stays; the sentences may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// What the client was told.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// What was received, without secrets: names and values.
    received: Vec<Vec<String>>,
    agent: String,
    network: String,
    count: i64,
    last_at: i64,
    /// Whether it may be somebody else's.
    related: bool,
}

impl From<Summary> for AttemptLine {
    fn from(summary: Summary) -> Self {
        let Summary { attempt, began, client, good, finding } = summary;
        Self { attempt: attempt.to_string(), began, client, good, finding }
    }
}

impl From<Line> for AttemptStep {
    fn from(line: Line) -> Self {
        Self {
            at: line.at.0,
            step: line.step.as_str(),
            outcome: line.outcome.as_str(),
            what: line.what,
            cause: line.cause.map(Cause::as_str),
            reason: line.reason,
            received: line.received.into_iter().map(|(name, value)| vec![name, value]).collect(),
            agent: line.agent,
            network: line.network,
            count: line.count,
            last_at: line.last_at.0,
            related: line.related,
        }
    }
}

impl From<Story> for AttemptStory {
    fn from(story: Story) -> Self {
        let finding = |own: crate::attempts::rules::Finding| AttemptFinding {
            rule: own.rule,
            good: own.good,
            what: own.what,
            remedy: own.remedy,
        };
        Self {
            attempt: story.attempt.to_string(),
            began: story.began,
            client_id: story.client_id.map(|id| id.to_string()),
            client_name: story.client_name,
            looks_like: story.looks_like,
            findings: story.findings.into_iter().map(finding).collect(),
            steps: story.steps.into_iter().map(AttemptStep::from).collect(),
            also: story.also.iter().map(ToString::to_string).collect(),
        }
    }
}

/// List the latest attempts to connect
#[utoipa::path(get, path = "/api/v1/attempts", tag = "attempts", operation_id = "listAttempts", params(AttemptsQuery),
    responses((status = 200, description = "The attempts", body = AttemptList)))]
pub(super) async fn list(State(app): State<App>, request: Request) -> Outcome {
    let asked: AttemptsQuery = query(request.uri().query())?;
    let limit = u32::try_from(limit(asked.limit.as_deref())?).unwrap_or(1);
    let list = latest(&app.store, &app.profiles, limit, app.clock.now()).await?;
    ok(&AttemptList { attempts: list.into_iter().map(AttemptLine::from).collect() })
}

/// Tell one attempt: its steps, what is wrong, and what did not arrive
#[utoipa::path(get, path = "/api/v1/attempts/{id}", tag = "attempts", operation_id = "showAttempt",
    params(("id" = String, Path, description = "Its id, as pages and errors show it")),
    responses((status = 200, description = "Its story", body = AttemptStory),
        (status = 404, description = "Nothing is recorded of it", body = super::answer::Error)))]
pub(super) async fn show(State(app): State<App>, Path(id): Path<String>) -> Outcome {
    let nothing = || Denied::not_found("nothing is recorded under this id; ids look like this: K7QD-2M4X");
    let attempt = AttemptId::parse(&id).ok_or_else(nothing)?;
    let story = explain(&app.store, &app.profiles, &attempt, app.clock.now()).await?.ok_or_else(nothing)?;
    ok(&AttemptStory::from(story))
}
