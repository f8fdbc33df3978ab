//! The seven clients. Sources: their published code where there is any, else recorded requests, autumn 2026.

mod hosted;
mod local;

use hosted::{CHATGPT, CLAUDE, INSOMNIA};
use local::{CLAUDE_CODE, CURSOR, INSPECTOR, VSCODE};

use crate::replica::{Finds, IssuerRule, Member, PkceRule, Reading, Replica, ResourceRule};

const LATEST_HANDSHAKE: &str = "2025-11-25";
const GRANTS: Member = Member::List(&["authorization_code", "refresh_token"]);
const CODE: Member = Member::List(&["code"]);
const PUBLIC: Member = Member::Text("none");

/// What the TypeScript SDK sends, for the clients built on it.
const SDK_AUTHORIZE: &[&str] = &[
    "response_type",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "state",
    "scope",
    "prompt",
    "resource",
];
const SDK_EXCHANGE: &[&str] =
    &["grant_type", "code", "code_verifier", "redirect_uri", "resource", "client_id", "client_secret"];
const SDK_REFRESH: &[&str] = &["grant_type", "refresh_token", "resource", "client_id", "client_secret"];
const SDK_HEADERS: &[(&str, &str)] = &[("mcp-protocol-version", LATEST_HANDSHAKE), ("accept", "application/json")];
const SDK_MCP_ACCEPT: &str = "application/json, text/event-stream";

/// How the SDK finds the metadata, version 1: it compares no issuer.
const fn sdk(issuer: IssuerRule, resource: ResourceRule, pkce: PkceRule) -> Finds {
    Finds {
        path_inserted_only: false,
        bearer_as_spelled: false,
        resource,
        reading: Reading::Sdk,
        openid_too: false,
        issuer,
        pkce,
        headers: SDK_HEADERS,
    }
}

/// The replica with this id.
#[must_use]
pub fn replica(id: &str) -> Option<&'static Replica> {
    ALL.iter().find(|own| own.id == id)
}

/// The ids of all replicas.
pub const IDS: [&str; 7] = ["chatgpt", "claude", "claude-code", "vscode", "cursor", "insomnia", "inspector"];

static ALL: [Replica; 7] = [CHATGPT, CLAUDE, CLAUDE_CODE, VSCODE, CURSOR, INSOMNIA, INSPECTOR];

#[cfg(test)]
mod tests {
    use super::{ALL, IDS};
    use crate::profile::Profiles;
    use crate::replica::Callback;

    /// Each replica has a reviewed profile, and its callback is one of those that the profile knows.
    #[test]
    fn replicas_agree_with_their_profiles() {
        let profiles = Profiles::embedded().unwrap();
        assert_eq!(ALL.iter().map(|own| own.id).collect::<Vec<_>>(), IDS);
        for replica in &ALL {
            let profile = profiles.by_id(replica.id).unwrap();
            let callback = match replica.callback {
                Callback::Hosted(text) | Callback::Scheme(text) => text.to_owned(),
                Callback::ChatGpt => "https://chatgpt.com/connector/oauth/abc".to_owned(),
                Callback::Loopback { before, after, first_port } => {
                    format!("{before}{}{after}", first_port.unwrap_or(49_152))
                }
            };
            let guessed = profiles.guess_by_callback(&callback).unwrap();
            assert_eq!(guessed.id, replica.id, "{callback}");
            assert!(replica.document.is_none() || profile.identities().next().is_some(), "{}", replica.id);
        }
    }
}
