//! The other direction: whether the machine of the server can read what clients publish of themselves. Only the machine
//! itself can tell; the server does not fetch on a stranger's word, so this is a command and no endpoint.

use known_clients::profile::{Profile, Profiles};
use oauth::id::ClientId;
use oauth::text::shortened;
use oauth::time::Timestamp;
use serde_json::{Value, json};

use super::{Directory, Unresolved};

/// What came of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was fetched, and it is good.
    Fetched,
    /// It could not be read, and a copy stands in for it.
    Copy,
    /// Its client can't come.
    Refused,
}

/// One document.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its address.
    pub client_id: String,
    /// Whose it is.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, or what it says.
    pub words: String,
}

/// Tries the document at `url`, or those of all known clients.
pub async fn fetch_documents(
    directory: &Directory,
    profiles: &Profiles,
    url: Option<&str>,
    now: Timestamp,
) -> Vec<Trial> {
    let known = profiles.iter().filter_map(|profile| Some((profile.identities().next()?.to_owned(), profile.label())));
    let asked: Vec<(String, String)> = match url {
        Some(url) => {
            let name = profiles.of_identity(&ClientId::new(url)).map_or("a client".to_owned(), Profile::label);
            vec![(url.to_owned(), name)]
        }
        None => known.collect(),
    };
    let mut trials = Vec::new();
    for (url, name) in asked {
        trials.push(trial(directory, url, name, now).await);
    }
    trials
}

async fn trial(directory: &Directory, client_id: String, name: String, now: Timestamp) -> Trial {
    let id = ClientId::new(client_id.as_str());
    let (outcome, words) = match Box::pin(directory.try_out(&id, now)).await {
        Ok(document) => {
            let methods: Vec<&str> = document.auth_methods.iter().map(|method| method.as_str()).collect();
            (Outcome::Fetched, format!("authenticates by {}", methods.join(", ")))
        }
        // As when somebody signs in: what can't be fetched is stood in for, what breaks a rule is not.
        Err(why @ Unresolved::Fetch(_)) if directory.has_copy(&id) => {
            (Outcome::Copy, format!("{why}; a copy stands in for it"))
        }
        Err(why) => (Outcome::Refused, why.to_string()),
    };
    Trial { client_id, name, outcome, words: shortened(&words) }
}

/// For people.
#[must_use]
pub fn trials_text(trials: &[Trial]) -> String {
    let widest = trials.iter().map(|trial| trial.name.chars().count()).max().unwrap_or_default();
    let mut lines = vec!["Fetched from this machine, as the server does:".to_owned(), String::new()];
    for trial in trials {
        let mark = match trial.outcome {
            Outcome::Fetched => "ok  ",
            Outcome::Copy => "copy",
            Outcome::Refused => "no  ",
        };
        lines.push(format!("  {mark}  {:<widest$}  {}", trial.name, shortened(&trial.client_id)));
        lines.push(format!("        {:<widest$}  {}", "", trial.words));
    }
    lines.join("\n")
}

/// For scripts.
#[must_use]
pub fn trials_json(trials: &[Trial]) -> Value {
    let documents: Vec<Value> = trials
        .iter()
        .map(|trial| {
            let outcome = match trial.outcome {
                Outcome::Fetched => "fetched",
                Outcome::Copy => "copy",
                Outcome::Refused => "refused",
            };
            json!({ "client_id": trial.client_id, "name": trial.name, "outcome": outcome, "words": trial.words })
        })
        .collect();
    json!({ "documents": documents })
}
