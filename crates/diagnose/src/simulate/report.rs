//! What a simulation found, step by step, for people and for machines.

use std::fmt::Write as _;

use serde::Serialize;

use super::exchange::Exchange;

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The client's id.
    #[serde(rename = "as")]
    pub client: String,
    /// The product and its vendor.
    pub name: String,
    /// The MCP URL, as given.
    pub url: String,
    /// Whether all went as this client needs it.
    pub passed: bool,
    /// The steps that were taken, in order. After one that failed there is none.
    pub steps: Vec<Step>,
}

/// One step of a client.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What is done.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// What this client needs from the answer.
    pub needs: String,
    /// What was sent and what came.
    pub exchanges: Vec<Exchange>,
    /// What is worth knowing, though the client goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why this client stops here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The client goes on.
    Passed,
    /// The client stops.
    Failed,
}

/// Why a client stops: a sentence for people.
#[derive(Clone, Debug)]
pub(super) struct Why(pub(super) String);

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Why {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A step failed; the trace says how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped;

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Trace(Vec<Step>);

impl Trace {
    /// Takes a step and keeps how it went.
    pub(super) async fn step<T>(
        &mut self,
        name: impl Into<String>,
        needs: impl Into<String>,
        work: impl AsyncFnOnce(&mut Step) -> Result<T, Why>,
    ) -> Result<T, Stopped> {
        let mut step = Step::new(name.into(), needs.into());
        let outcome = work(&mut step).await;
        let outcome = outcome.map_err(|Why(why)| {
            step.outcome = Outcome::Failed;
            step.why = Some(why);
            Stopped
        });
        self.0.push(step);
        outcome
    }

    /// Why nothing could be begun: the very first request got no answer at all.
    pub(super) fn silence(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] if only.exchanges.iter().all(|own| own.status.is_none()) => only.why.as_deref(),
            _ => None,
        }
    }

    /// The steps, without the password, wherever a page or a redirect may have repeated it.
    pub(super) fn into_steps(mut self, password: &str) -> Vec<Step> {
        if !password.is_empty() {
            for text in self.0.iter_mut().flat_map(Step::texts) {
                if text.contains(password) {
                    *text = text.replace(password, "…");
                }
            }
        }
        self.0
    }
}

impl Step {
    /// Everything in it that somebody else's words can have got into.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let exchanges = self.exchanges.iter_mut().flat_map(|own| {
            let headers = own.came_headers.iter_mut().chain(&mut own.sent_headers).map(|(_, value)| value);
            [&mut own.url].into_iter().chain(&mut own.sent).chain(&mut own.came).chain(headers)
        });
        self.notes.iter_mut().chain(&mut self.why).chain(exchanges)
    }

    pub(super) fn new(name: String, needs: String) -> Self {
        Self { name, outcome: Outcome::Passed, needs, exchanges: Vec::new(), notes: Vec::new(), why: None }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl Report {
    /// The report for a person; with colours only where they are seen.
    #[must_use]
    pub fn to_text(&self, coloured: bool) -> String {
        let mut text = format!("{} at {}\n\n", self.name, self.url);
        for step in &self.steps {
            step.write(&mut text, coloured);
        }
        let last = match self.steps.iter().find(|step| step.outcome == Outcome::Failed) {
            Some(step) => format!("{} stops at “{}”.", self.name, step.name),
            None => format!("{} connects and stays connected.", self.name),
        };
        let _ = write!(text, "\n{last}");
        text
    }

    /// The report for machines.
    ///
    /// # Errors
    /// None that is known: everything in it has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

impl Step {
    fn write(&self, text: &mut String, coloured: bool) {
        let (mark, colour) = match self.outcome {
            Outcome::Passed => ("✓", "32"),
            Outcome::Failed => ("✗", "31"),
        };
        let mark = if coloured { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        let _ = writeln!(text, "{mark} {}", line(&self.name));
        for own in &self.exchanges {
            let status = own.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let _ = writeln!(text, "    {} {} → {status}", own.method, line(&own.url));
            // Headers matter where something is wrong, the challenge always; machines get them all.
            let failed = self.outcome == Outcome::Failed;
            for (name, value) in own.sent_headers.iter().filter(|_| failed) {
                let _ = writeln!(text, "      sent  {name}: {}", line(value));
            }
            if let Some(body) = &own.sent {
                let _ = writeln!(text, "      sent  {}", line(body));
            }
            for (name, value) in own.came_headers.iter().filter(|(name, _)| failed || name == "www-authenticate") {
                let _ = writeln!(text, "      came  {name}: {}", line(value));
            }
            if let Some(body) = &own.came {
                let _ = writeln!(text, "      came  {}", line(body));
            }
        }
        let _ = writeln!(text, "    needs {}", line(&self.needs));
        for note in &self.notes {
            let _ = writeln!(text, "    note  {}", line(note));
        }
        if let Some(why) = &self.why {
            let _ = writeln!(text, "    why   {}", line(why));
        }
    }
}

/// What came from a stranger, on one line: a deployment that is looked at can't write lines of its own into the report,
/// nor tell the terminal anything.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Report, Step};

    /// T37: what a deployment says can't forge a line of the report, nor steer the terminal.
    #[test]
    fn a_deployment_writes_no_lines_into_the_report() {
        let mut step = Step::new("Step".to_owned(), "needs".to_owned());
        step.note("x\n✓ forged\u{1b}[2J");
        let report = Report {
            client: "x".to_owned(),
            name: "X".to_owned(),
            url: "https://h/mcp".to_owned(),
            passed: true,
            steps: vec![step],
        };
        let text = report.to_text(false);
        assert!(text.contains("x ✓ forged") && !text.contains('\u{1b}'), "{text}");
    }
}
