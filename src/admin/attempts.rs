//! Attempts to connect: what was recorded of them, told.

use known_clients::profile::Profiles;
use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, AdminError, Unknown};
use crate::attempts::rules::Finding;
use crate::attempts::story::{Line, Story};
use crate::attempts::{Summary, explain, latest};

/// An attempt in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AttemptLine {
    /// Its id, as pages and errors show it.
    pub attempt: String,
    /// When it began.
    pub began: String,
    /// Which client it seems to be.
    pub client: String,
    /// Whether all is well with it.
    pub good: bool,
    /// The most important thing to say about it.
    pub finding: String,
}

/// An attempt, told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AttemptStory {
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
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AttemptFinding {
    /// The rule's name; it stays, the words may change.
    rule: &'static str,
    good: bool,
    what: String,
    /// What to do, one sentence each.
    remedy: Vec<String>,
}

/// A step of an attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AttemptStep {
    at: i64,
    /// Seconds since the attempt began.
    after: i64,
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
            after: line.after,
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
        let finding =
            |own: Finding| AttemptFinding { rule: own.rule, good: own.good, what: own.what, remedy: own.remedy };
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

/// Lists the latest attempts.
///
/// # Errors
/// When the store fails.
pub async fn list(admin: &Admin<'_>, profiles: &Profiles, limit: u32) -> Result<Vec<AttemptLine>, AdminError> {
    Ok(latest(admin.store, profiles, limit, admin.now).await?.into_iter().map(AttemptLine::from).collect())
}

/// Tells one attempt, by its id as pages and errors show it: its steps, what is wrong, and what did not arrive.
///
/// # Errors
/// When the text is no id of an attempt, nothing is recorded of it, or the store fails.
pub async fn show(admin: &Admin<'_>, profiles: &Profiles, id: &str) -> Result<Story, AdminError> {
    let attempt = AttemptId::parse(id).ok_or(Unknown::AttemptId)?;
    let story = explain(admin.store, profiles, &attempt, admin.now).await?;
    Ok(story.ok_or(Unknown::Attempt(attempt))?)
}
