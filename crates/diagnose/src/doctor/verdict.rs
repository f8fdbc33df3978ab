//! For each client: will it connect?

use known_clients::profile::{Profile, Profiles};

use super::finding::Finding;

/// Whether a client will connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing stands in its way.
    Yes,
    /// It will, and something may go wrong later.
    Remarks,
    /// It won't.
    No,
}

impl Answer {
    /// The word for it in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Remarks => "remarks",
            Self::No => "no",
        }
    }
}

/// What becomes of one client.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The id of its profile.
    pub client: String,
    /// What people call it.
    pub name: String,
    /// Whether it will connect.
    pub answer: Answer,
    /// The findings behind it, the worst first.
    pub because: Vec<&'static str>,
    /// The same as a sentence.
    pub sentence: String,
}

/// The verdict on each client.
#[must_use]
pub(super) fn verdicts(findings: &[Finding], profiles: &Profiles) -> Vec<Verdict> {
    profiles.iter().map(|profile| verdict(findings, profile)).collect()
}

fn verdict(findings: &[Finding], profile: &Profile) -> Verdict {
    let breaking: Vec<&Finding> = findings.iter().filter(|finding| finding.breaks.includes(profile)).collect();
    let bothering: Vec<&Finding> = findings.iter().filter(|finding| finding.bothers.includes(profile)).collect();
    let (answer, because) = match (breaking.is_empty(), bothering.is_empty()) {
        (false, _) => (Answer::No, breaking),
        (true, false) => (Answer::Remarks, bothering),
        (true, true) => (Answer::Yes, Vec::new()),
    };
    let sentence = sentence(&profile.label(), answer, &because);
    let because = because.into_iter().map(|finding| finding.id).collect();
    Verdict { client: profile.id.clone(), name: profile.label(), answer, because, sentence }
}

fn sentence(name: &str, answer: Answer, because: &[&Finding]) -> String {
    let more = match because.len() {
        0 | 1 => String::new(),
        2 => " One more thing below.".to_owned(),
        count => format!(" {} more things below.", count - 1),
    };
    match (answer, because.first()) {
        (Answer::No, Some(first)) => format!("{name}: no, because {}. {}{more}", first.saw, first.fix),
        (Answer::Remarks, Some(first)) => format!("{name}: will connect, with remarks: {}.{more}", first.saw),
        (Answer::Yes | Answer::Remarks | Answer::No, _) => format!("{name}: will connect"),
    }
}
