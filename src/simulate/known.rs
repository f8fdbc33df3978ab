//! The seven clients. Sources: their published code where there is any, else recorded requests, autumn 2026.

use super::replica::{
    Agents, Callback, DocumentUse, Envelope, Finds, IssRule, IssuerRule, Member, Opening, PkceRule, Reconnects,
    Registers, Replica, ResourceRule, ScopeRule, SecretPlace, Speaks, StateForm, VerifierForm,
};
use super::schema::Reading;

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
pub(super) fn replica(id: &str) -> Option<&'static Replica> {
    ALL.iter().find(|own| own.id == id)
}

/// The ids of all replicas.
pub const IDS: [&str; 7] = ["chatgpt", "claude", "claude-code", "vscode", "cursor", "insomnia", "inspector"];

static ALL: [Replica; 7] = [CHATGPT, CLAUDE, CLAUDE_CODE, VSCODE, CURSOR, INSOMNIA, INSPECTOR];

const CHATGPT: Replica = Replica {
    id: "chatgpt",
    agents: Agents {
        opening: "Python/3.12 aiohttp/3.13.2",
        discovery: "Python/3.12 aiohttp/3.13.2",
        token: "Python/3.12 aiohttp/3.13.2",
        calls: "openai-mcp/1.0.0",
    },
    opening: Opening::EmptyPostAfterDocuments,
    speaks: Speaks::NewestElse(LATEST_HANDSHAKE),
    finds: Finds {
        path_inserted_only: true,
        bearer_as_spelled: false,
        resource: ResourceRule::Covers,
        reading: Reading::Needed,
        openid_too: true,
        issuer: IssuerRule::Exact,
        pkce: PkceRule::MustBeListed,
        headers: &[("accept", "*/*")],
    },
    registers: Registers {
        name: "ChatGPT",
        members: &[
            ("client_name", Member::Name),
            ("redirect_uris", Member::Callback),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            ("token_endpoint_auth_method", PUBLIC),
        ],
    },
    document: Some(DocumentUse { name: "ChatGPT", wants_none: false }),
    callback: Callback::ChatGpt,
    authorize: &[
        "response_type",
        "client_id",
        "redirect_uri",
        "state",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "resource",
    ],
    exchange: &["grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "resource"],
    refresh: &["grant_type", "client_id", "client_secret", "refresh_token", "resource"],
    secret: SecretPlace::Body,
    token_accept: "*/*",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("openai-mcp", "1.0.0"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::OauthS,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::ResourceAndOpenId,
    iss: IssRule::Checked,
    reconnects: Reconnects::DisconnectsThenAsksNoScope,
};

const CLAUDE: Replica = Replica {
    id: "claude",
    agents: Agents {
        opening: "python-httpx/0.28.1",
        discovery: "python-httpx/0.28.1",
        token: "python-httpx/0.28.1",
        calls: "Claude-User",
    },
    opening: Opening::Initialize,
    speaks: Speaks::Handshake(LATEST_HANDSHAKE),
    finds: Finds {
        path_inserted_only: false,
        bearer_as_spelled: false,
        resource: ResourceRule::Exact,
        reading: Reading::Needed,
        openid_too: false,
        issuer: IssuerRule::Exact,
        pkce: PkceRule::MustBeListed,
        headers: &[("accept", "*/*"), ("mcp-protocol-version", LATEST_HANDSHAKE)],
    },
    registers: Registers {
        name: "Claude",
        members: &[
            ("client_name", Member::Name),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            // Whatever is advertised.
            ("token_endpoint_auth_method", Member::Text("client_secret_post")),
            ("scope", Member::Scope),
            ("redirect_uris", Member::Callback),
        ],
    },
    document: Some(DocumentUse { name: "Claude", wants_none: true }),
    callback: Callback::Hosted("https://claude.ai/api/mcp/auth_callback"),
    authorize: &[
        "response_type",
        "client_id",
        "redirect_uri",
        "code_challenge",
        "code_challenge_method",
        "state",
        "scope",
        "resource",
    ],
    exchange: &["grant_type", "code", "client_id", "client_secret", "redirect_uri", "code_verifier", "resource"],
    refresh: &["grant_type", "refresh_token", "client_id", "client_secret", "resource"],
    secret: SecretPlace::Body,
    token_accept: "*/*",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("Anthropic/ClaudeAI", "1.0.0"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::UrlSafe,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::ChallengeAndOffline,
    iss: IssRule::Checked,
    reconnects: Reconnects::IdentifiesAnew,
};

const CLAUDE_CODE: Replica = Replica {
    id: "claude-code",
    agents: Agents::one("claude-code/2.0.50 (cli)"),
    opening: Opening::Initialize,
    speaks: Speaks::Handshake(LATEST_HANDSHAKE),
    finds: sdk(IssuerRule::Unchecked, ResourceRule::Exact, PkceRule::MustBeListed),
    registers: Registers {
        name: "Claude Code (portcullis)",
        members: &[
            ("client_name", Member::Name),
            ("redirect_uris", Member::Callback),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            ("token_endpoint_auth_method", PUBLIC),
            ("scope", Member::Scope),
        ],
    },
    document: Some(DocumentUse { name: "Claude Code", wants_none: false }),
    callback: Callback::Loopback { before: "http://localhost:", after: "/callback", first_port: None },
    authorize: SDK_AUTHORIZE,
    exchange: SDK_EXCHANGE,
    refresh: SDK_REFRESH,
    secret: SecretPlace::AsRegistered,
    token_accept: "application/json",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("claude-code", "2.0.50"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::UrlSafe,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::Challenge,
    iss: IssRule::Ignored,
    reconnects: Reconnects::OtherPortAfterRace,
};

const VSCODE: Replica = Replica {
    id: "vscode",
    agents: Agents {
        opening: "Visual Studio Code/1.106.0",
        discovery: "Visual Studio Code/1.106.0",
        token: "node",
        calls: "Visual Studio Code/1.106.0",
    },
    opening: Opening::Initialize,
    speaks: Speaks::Handshake(LATEST_HANDSHAKE),
    finds: Finds {
        path_inserted_only: false,
        bearer_as_spelled: true,
        resource: ResourceRule::Parsed,
        reading: Reading::VsCode,
        openid_too: false,
        issuer: IssuerRule::Unchecked,
        pkce: PkceRule::Unchecked,
        headers: &[("accept", "application/json"), ("mcp-protocol-version", LATEST_HANDSHAKE)],
    },
    registers: Registers {
        name: "Visual Studio Code",
        members: &[
            ("client_name", Member::Name),
            ("client_uri", Member::Text("https://code.visualstudio.com")),
            (
                "grant_types",
                Member::GrantsOffered(&[
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ]),
            ),
            ("response_types", CODE),
            (
                "redirect_uris",
                Member::List(&[
                    "https://insiders.vscode.dev/redirect",
                    "https://vscode.dev/redirect",
                    "http://127.0.0.1/",
                    "http://127.0.0.1:33418/",
                ]),
            ),
            ("scope", Member::Scope),
            ("token_endpoint_auth_method", PUBLIC),
            ("application_type", Member::Text("native")),
        ],
    },
    document: Some(DocumentUse { name: "Visual Studio Code", wants_none: false }),
    callback: Callback::Loopback { before: "http://127.0.0.1:", after: "/", first_port: Some(33418) },
    authorize: &[
        "client_id",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "scope",
        "resource",
        "redirect_uri",
        "state",
    ],
    exchange: &["client_id", "grant_type", "code", "redirect_uri", "code_verifier", "resource", "client_secret"],
    refresh: &["client_id", "grant_type", "refresh_token", "resource", "client_secret"],
    secret: SecretPlace::Body,
    token_accept: "application/json",
    mcp_accept: "text/event-stream, application/json",
    info: ("Visual Studio Code", "1.106.0"),
    envelope: Envelope::VersionFirst,
    mcp_version_header: false,
    state: StateForm::Base64,
    verifier: VerifierForm::Hex64,
    scope: ScopeRule::Challenge,
    iss: IssRule::Ignored,
    reconnects: Reconnects::OtherPort,
};

const CURSOR: Replica = Replica {
    id: "cursor",
    agents: Agents::one("Cursor/3.24.9 (linux x64)"),
    opening: Opening::Initialize,
    speaks: Speaks::Handshake(LATEST_HANDSHAKE),
    finds: sdk(IssuerRule::Unchecked, ResourceRule::Covers, PkceRule::IfListed),
    registers: Registers {
        name: "Cursor",
        members: &[
            (
                "redirect_uris",
                Member::List(&[
                    "cursor://anysphere.cursor-mcp/oauth/callback",
                    "https://www.cursor.com/agents/mcp/oauth/callback",
                    "http://localhost:8787/callback",
                ]),
            ),
            ("token_endpoint_auth_method", PUBLIC),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            ("client_name", Member::Name),
            ("application_type", Member::Text("web")),
            ("scope", Member::Scope),
        ],
    },
    document: Some(DocumentUse { name: "Cursor", wants_none: false }),
    callback: Callback::Scheme("cursor://anysphere.cursor-mcp/oauth/callback"),
    authorize: SDK_AUTHORIZE,
    exchange: SDK_EXCHANGE,
    refresh: SDK_REFRESH,
    secret: SecretPlace::AsRegistered,
    token_accept: "application/json",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("cursor-vscode", "1.0.0"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::UrlSafe,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::Challenge,
    iss: IssRule::Ignored,
    reconnects: Reconnects::RegistersAtLoad,
};

const INSOMNIA: Replica = Replica {
    id: "insomnia",
    agents: Agents::one("insomnia/12.0.0"),
    opening: Opening::Initialize,
    speaks: Speaks::Handshake("2025-06-18"),
    finds: sdk(IssuerRule::Unchecked, ResourceRule::Covers, PkceRule::IfListed),
    registers: Registers {
        name: "Insomnia MCP Client",
        members: &[
            ("redirect_uris", Member::Callback),
            ("token_endpoint_auth_method", PUBLIC),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            ("client_name", Member::Name),
            ("client_uri", Member::Text("https://github.com/Kong/insomnia")),
        ],
    },
    document: None,
    callback: Callback::Hosted("https://app.insomnia.rest/oauth/redirect"),
    authorize: SDK_AUTHORIZE,
    exchange: SDK_EXCHANGE,
    refresh: SDK_REFRESH,
    secret: SecretPlace::AsRegistered,
    token_accept: "application/json",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("insomnia", "12.0.0"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::None,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::Challenge,
    iss: IssRule::Ignored,
    reconnects: Reconnects::ClassicTab,
};

const INSPECTOR: Replica = Replica {
    id: "inspector",
    agents: Agents::one("node"),
    opening: Opening::Initialize,
    speaks: Speaks::Handshake(LATEST_HANDSHAKE),
    finds: sdk(IssuerRule::ButForASlash, ResourceRule::Covers, PkceRule::IfListed),
    registers: Registers {
        name: "MCP Inspector",
        members: &[
            ("redirect_uris", Member::Callback),
            ("token_endpoint_auth_method", PUBLIC),
            ("grant_types", GRANTS),
            ("response_types", CODE),
            ("client_name", Member::Name),
            ("client_uri", Member::Text("https://github.com/modelcontextprotocol/inspector")),
            ("scope", Member::ScopeOrEmpty),
            ("application_type", Member::Text("native")),
        ],
    },
    // Only with a document of one's own, by --client-metadata-url.
    document: None,
    callback: Callback::Loopback { before: "http://127.0.0.1:", after: "/oauth/callback", first_port: Some(6276) },
    authorize: SDK_AUTHORIZE,
    exchange: SDK_EXCHANGE,
    refresh: SDK_REFRESH,
    secret: SecretPlace::AsRegistered,
    token_accept: "application/json",
    mcp_accept: SDK_MCP_ACCEPT,
    info: ("mcp-inspector", "2.12.0"),
    envelope: Envelope::MethodFirst,
    mcp_version_header: true,
    state: StateForm::Hex,
    verifier: VerifierForm::UrlSafe43,
    scope: ScopeRule::ChallengeAndOffline,
    iss: IssRule::Checked,
    reconnects: Reconnects::RegistersWithoutScope,
};

#[cfg(test)]
mod tests {
    use super::{ALL, Callback, IDS};
    use crate::clients::profile::Profiles;

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
