//! As whom the doctor knocks: the `User-Agent` headers with which clients come, for filters in front decide by them.

use known_clients::profile::Profiles;

/// One way of calling oneself, and which clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// The word that filters look for.
    pub(crate) word: String,
    /// The whole header, as it was seen.
    pub(crate) header: String,
    /// Ids of the clients' profiles.
    pub(crate) clients: Vec<String>,
}

/// Headers as they were seen in requests of autumn 2026, by the word of a profile. Versions change, filters go by the word.
const SEEN: &[(&str, &str)] = &[
    (
        "ChatGPT-User",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    ),
    ("openai-mcp", "openai-mcp/1.0.0"),
    ("aiohttp", "Python/3.12 aiohttp/3.13.2"),
    (
        "Claude-User",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0; +Claude-User@anthropic.com)",
    ),
    ("python-httpx", "python-httpx/0.28.1"),
    ("codex", "codex_cli_rs/0.61.0"),
    ("claude-code", "claude-code/2.0.50 (cli)"),
    ("vscode", "vscode/1.107.0"),
    ("Cursor", "Cursor/2.1.0"),
    ("insomnia", "insomnia/12.1.0"),
    (
        "Perplexity-User",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)",
    ),
    ("PostmanRuntime", "PostmanRuntime/7.49.1"),
];

/// What runtimes and libraries say for clients that say nothing themselves.
const RUNTIMES: &[(&str, &str, &[&str])] = &[
    ("node", "node", &["vscode", "cursor", "claude-code", "inspector", "mcp-remote", "insomnia"]),
    ("undici", "undici", &["inspector", "mcp-remote"]),
    ("Go-http-client", "Go-http-client/2.0", &[]),
];

/// All of them, each once.
#[must_use]
pub(crate) fn agents(profiles: &Profiles) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    let own = profiles.iter().flat_map(|profile| profile.agents.iter().map(|word| (word, profile.id.as_str())));
    for (word, client) in own {
        if let Some(agent) = agents.iter_mut().find(|agent| agent.word == *word) {
            agent.clients.push(client.to_owned());
            continue;
        }
        let seen = SEEN.iter().find(|(own, _)| own == word).map(|(_, header)| (*header).to_owned());
        let header = seen.unwrap_or_else(|| format!("{}/1.0", word.trim_end_matches('/')));
        agents.push(Agent { word: word.clone(), header, clients: vec![client.to_owned()] });
    }
    agents.extend(RUNTIMES.iter().map(|(word, header, clients)| Agent {
        word: (*word).to_owned(),
        header: (*header).to_owned(),
        clients: clients.iter().map(|client| (*client).to_owned()).collect(),
    }));
    agents
}

#[cfg(test)]
mod tests {
    use known_clients::profile::Profiles;

    use super::{RUNTIMES, SEEN, agents};

    /// E1: every client's agents are tried, with headers that hold the word by which traffic is told apart.
    #[test]
    fn every_clients_agents_are_tried() {
        let profiles = Profiles::embedded().unwrap();
        let agents = agents(&profiles);
        for profile in profiles.iter() {
            let own: Vec<_> = agents.iter().filter(|agent| agent.clients.contains(&profile.id)).collect();
            assert!(!own.is_empty(), "{}", profile.id);
        }
        for agent in &agents {
            assert!(agent.header.contains(agent.word.trim_end_matches('/')), "{agent:?}");
            assert_eq!(agents.iter().filter(|other| other.word == agent.word).count(), 1, "{agent:?}");
        }
        for (word, _) in SEEN {
            assert!(profiles.iter().any(|profile| profile.agents.iter().any(|own| own == word)), "{word}");
        }
        for id in RUNTIMES.iter().flat_map(|(_, _, clients)| *clients) {
            assert!(profiles.by_id(id).is_some(), "{id}");
        }
    }
}
