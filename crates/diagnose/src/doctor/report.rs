//! The report: for people as text, for scripts as JSON.

use serde_json::{Value, json};

use super::finding::{Finding, Severity};
use super::front::Front;
use super::verdict::{Answer, Verdict};

/// What an examination came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The MCP URL that was examined.
    pub url: String,
    /// Whether there was anything to look at.
    pub reached: bool,
    /// What stands in front, if it says so.
    pub front: Option<Front>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What becomes of each client.
    pub verdicts: Vec<Verdict>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// How many characters a line of the report has, about.
const WIDTH: usize = 100;

impl Report {
    /// Whether every client will connect.
    #[must_use]
    pub fn all_will_connect(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.answer != Answer::No)
    }

    /// 0: all clients will connect. 1: at least one won't. 2: there was nothing to look at.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.reached, self.all_will_connect()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    /// For people. `colour` is for terminals.
    #[must_use]
    pub fn to_text(&self, colour: bool) -> String {
        let mut lines = vec![format!("Examined {}", self.url)];
        if let Some(front) = self.front {
            lines.push(format!("In front of it: {}", front.name()));
        }
        lines.push(String::new());
        let widest = self.verdicts.iter().map(|verdict| verdict.name.chars().count()).max().unwrap_or_default();
        for verdict in &self.verdicts {
            let (mark, words) = match verdict.answer {
                Answer::Yes => (paint("ok  ", GREEN, colour), "will connect".to_owned()),
                Answer::Remarks => (
                    paint("ok !", YELLOW, colour),
                    format!("will connect, with remarks: {}", verdict.because.join(", ")),
                ),
                Answer::No => (paint("no  ", RED, colour), format!("won't connect: {}", verdict.because.join(", "))),
            };
            lines.push(format!("  {mark}  {:<widest$}  {words}", verdict.name));
        }
        for finding in &self.findings {
            lines.push(String::new());
            lines.extend(self.about(finding, colour));
        }
        if self.findings.is_empty() {
            lines.extend([String::new(), "Nothing is wrong.".to_owned()]);
        }
        if !self.notes.is_empty() {
            lines.push(String::new());
            for note in &self.notes {
                lines.extend(wrapped("Note: ", note));
            }
        }
        lines.join("\n")
    }

    fn about(&self, finding: &Finding, colour: bool) -> Vec<String> {
        let shade = match finding.severity() {
            Severity::Breaks => RED,
            Severity::Remark => YELLOW,
            Severity::Advice => GREEN,
        };
        let mut lines = vec![format!("{} ({})", paint(finding.id, shade, colour), finding.severity().as_str())];
        lines.extend(wrapped("  saw       ", &finding.saw));
        lines.extend(wrapped("  expected  ", &finding.expected));
        lines.extend(wrapped("  change    ", &finding.fix));
        // Who says what he is gets his own advice; else all is shown.
        let known = self.front.is_some_and(|front| finding.ways.iter().any(|(own, _)| *own == front));
        for (front, way) in finding.ways.iter().filter(|(own, _)| !known || Some(*own) == self.front) {
            lines.extend(wrapped(&format!("  {:<10}  ", front.name()), way));
        }
        lines
    }

    /// For scripts. Ids, answers and severities are stable; sentences are not.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(finding_json).collect();
        let clients: Vec<Value> = self
            .verdicts
            .iter()
            .map(|verdict| {
                json!({
                    "id": verdict.client,
                    "name": verdict.name,
                    "connects": verdict.answer.as_str(),
                    "because": verdict.because,
                    "sentence": verdict.sentence,
                })
            })
            .collect();
        json!({
            "url": self.url,
            "reached": self.reached,
            "all_will_connect": self.reached && self.all_will_connect(),
            "in_front": self.front.map(Front::name),
            "clients": clients,
            "findings": findings,
            "notes": self.notes,
        })
    }
}

fn finding_json(finding: &Finding) -> Value {
    let ways: serde_json::Map<String, Value> =
        finding.ways.iter().map(|(front, way)| (front.name().to_lowercase(), Value::from(*way))).collect();
    json!({
        "id": finding.id,
        "severity": finding.severity().as_str(),
        "saw": finding.saw,
        "expected": finding.expected,
        "fix": finding.fix,
        "ways": ways,
    })
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn paint(text: &str, shade: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{shade}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A paragraph behind a label, its lines aligned.
fn wrapped(label: &str, text: &str) -> Vec<String> {
    let indent = " ".repeat(label.chars().count());
    let mut lines = Vec::new();
    let mut line = label.to_owned();
    let mut filled = false;
    for word in text.split_whitespace() {
        if filled && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            filled = false;
        }
        if filled {
            line.push(' ');
        }
        // Some of it was written by whoever answered: nothing that steers a terminal.
        line.extend(word.chars().filter(|c| !c.is_control()));
        filled = true;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn paragraphs_are_aligned() {
        let lines = wrapped("  saw  ", &"word ".repeat(40));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
        assert!(lines[0].starts_with("  saw  word") && lines[1].starts_with("       word"), "{lines:?}");
    }
}
