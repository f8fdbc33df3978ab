//! The story of an attempt: its steps in plain words, and what went wrong.

use std::fmt::Write as _;

use oauth::attempt_id::AttemptId;
use oauth::cause::Cause;
use oauth::id::ClientId;
use oauth::time::Timestamp;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::case::{Case, Step};
use super::rules::{Finding, judge};
use crate::model::attempt::{Outcome, Stage};

/// An attempt, told.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it began, as people write it.
    pub began: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// What that client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Which known client it seems to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks_like: Option<String>,
    /// Its steps.
    pub steps: Vec<Line>,
    /// What is to be said about it, the most important first.
    pub findings: Vec<Finding>,
    /// Attempts that began in the same place at the same time.
    pub also: Vec<AttemptId>,
}

/// A step, told.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When, unix seconds.
    pub at: Timestamp,
    /// Seconds since the attempt began.
    pub after: i64,
    /// Which step.
    pub step: Stage,
    /// How it ended.
    pub outcome: Outcome,
    /// The same in words.
    pub what: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What was said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What was received, without secrets.
    pub received: Vec<(String, String)>,
    /// The `User-Agent`.
    pub agent: String,
    /// From where.
    pub network: String,
    /// How often, up to when.
    pub count: i64,
    /// When it was last repeated, unix seconds.
    pub last_at: Timestamp,
    /// Whether it may be somebody else's: it came from the same network at the time.
    pub related: bool,
}

impl Story {
    /// Tells a case as it stands now.
    #[must_use]
    pub fn of(case: &Case, now: Timestamp) -> Self {
        let began = case.steps.iter().map(|step| step.recorded.event.at).min().unwrap_or(now);
        Self {
            attempt: case.attempt.clone(),
            began: date(began),
            client_id: case.client.clone(),
            client_name: case.client_name.clone(),
            looks_like: case.profile.as_ref().map(known_clients::profile::Profile::label),
            steps: case.steps.iter().map(|step| Line::of(step, began)).collect(),
            findings: judge(case, now),
            also: case.also.clone(),
        }
    }

    /// The most important finding in one line.
    #[must_use]
    pub fn headline(&self) -> &str {
        self.findings.first().map_or("Nothing can be said about it.", |finding| finding.what.as_str())
    }

    /// The story as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("Attempt {}, began {}\n", self.attempt, self.began);
        let who = [self.client_name.as_deref(), self.client_id.as_ref().map(ClientId::as_str)];
        let who: Vec<&str> = who.into_iter().flatten().collect();
        if !who.is_empty() {
            let _ = writeln!(text, "Client  {}", who.join(", "));
        }
        if let Some(known) = &self.looks_like {
            let _ = writeln!(text, "Known   looks like {known}");
        }
        text.push('\n');
        for line in &self.steps {
            line.write(&mut text);
        }
        if self.steps.iter().any(|line| line.related) {
            text.push_str("\n  ~ came from the same place at the time; it may be somebody else's\n");
        }
        for finding in &self.findings {
            let _ = writeln!(text, "\n{}  {}", if finding.good { "OK   " } else { "WRONG" }, finding.what);
            for step in &finding.remedy {
                let _ = writeln!(text, "   - {step}");
            }
        }
        if !self.also.is_empty() {
            let also: Vec<String> = self.also.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "\nMore than one attempt went on from here: {}", also.join(", "));
        }
        text
    }
}

impl Line {
    fn of(step: &Step, began: Timestamp) -> Self {
        let event = &step.recorded.event;
        Self {
            at: event.at,
            after: event.at.since(began),
            step: event.stage,
            outcome: event.outcome,
            what: what(event.stage, event.outcome, event.cause).to_owned(),
            cause: event.cause,
            reason: event.reason.clone(),
            received: event.detail.clone(),
            agent: event.agent.clone(),
            network: event.network.clone(),
            count: step.recorded.count,
            last_at: step.recorded.last_at,
            related: step.related,
        }
    }

    fn write(&self, text: &mut String) {
        let mark = match (self.related, self.outcome) {
            (true, _) => '~',
            (false, Outcome::Ok) => ' ',
            (false, Outcome::Refused | Outcome::Failed) => '!',
        };
        let mut line = format!("{:>8} {mark} {}", format!("+{}", span(self.after)), self.what);
        if self.count > 1 {
            let _ = write!(line, " ({} times until +{})", self.count, span(self.after + self.last_at.since(self.at)));
        }
        let _ = writeln!(text, "{line}");
        let mut more = Vec::new();
        // Those are told by the line above.
        let told = matches!(self.cause, Some(Cause::Asked | Cause::AskedToContinue | Cause::Allowed));
        if !told && !self.reason.is_empty() {
            more.push(self.reason.clone());
        }
        // The client stands in the heading.
        let received = self.received.iter().filter(|(name, _)| name != "client_id");
        let received: Vec<String> = received.map(|(name, value)| format!("{name}: {value}")).collect();
        if !received.is_empty() {
            more.push(received.join(" | "));
        }
        let from: Vec<&str> =
            [self.agent.as_str(), self.network.as_str()].into_iter().filter(|text| !text.is_empty()).collect();
        if !from.is_empty() {
            more.push(format!("from {}", from.join(", ")));
        }
        for piece in more {
            let _ = writeln!(text, "{:>10} {piece}", "");
        }
    }
}

fn what(stage: Stage, outcome: Outcome, cause: Option<Cause>) -> &'static str {
    let good = matches!(outcome, Outcome::Ok);
    match (stage, good) {
        (Stage::Challenge, _) => "Called the MCP endpoint without a good token; was told where to get one",
        (Stage::Preflight, _) => "A web page asked whether it may call (CORS)",
        (Stage::ResourceMetadata, _) => "Read the resource's metadata",
        (Stage::ServerMetadata, true) => "Read the authorization server's metadata",
        (Stage::ServerMetadata, false) => "Asked for a well-known document that is not here",
        (Stage::Registration, true) => "Registered",
        (Stage::Registration, false) => "Registration refused",
        (Stage::Document, true) => "Its metadata document was fetched",
        (Stage::Document, false) => "Its metadata document could not be used",
        (Stage::Authorize, true) => "Authorization request taken",
        (Stage::Authorize, false) => "Authorization request refused",
        (Stage::SignIn, true) if cause == Some(Cause::Asked) => "Sign-in page shown",
        (Stage::SignIn, true) => "Signed in",
        (Stage::SignIn, false) => "Sign-in failed",
        (Stage::Consent, true) if cause == Some(Cause::Asked) => "Consent page shown",
        (Stage::Consent, true) if cause == Some(Cause::AskedToContinue) => "Asked to continue: it was allowed before",
        (Stage::Consent, true) => "Access allowed",
        (Stage::Consent, false) => "Access not allowed",
        (Stage::CodeSent, _) => "Code sent to the client through the browser",
        (Stage::Redeem, true) => "Code exchanged for tokens",
        (Stage::Redeem, false) => "Exchange of the code refused",
        (Stage::Call, true) => "Called the MCP endpoint with its token",
        (Stage::Call, false) => "A call was refused",
        (Stage::Refresh, true) => "Token refreshed",
        (Stage::Refresh, false) => "Refresh refused",
        (Stage::Revoke, true) => "Connection ended",
        (Stage::Revoke, false) => "Revocation refused",
        (Stage::Token, _) => "Token request refused",
        (Stage::Other, _) => "Another request was refused",
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A moment as people write it, in UTC.
#[must_use]
pub fn date(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let date = OffsetDateTime::from_unix_timestamp(at.0).ok().and_then(|date| date.format(&format).ok());
    date.unwrap_or_else(|| at.0.to_string())
}
