//! Client profiles: reviewed data about widely used clients (`profiles.toml`), and what it proves.
//!
//! Two facts verify: an answer that goes to a vendor's own server, and a metadata document at a vendor's URL. Names,
//! loopback addresses, user agents and networks are hints that pick the right advice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use oauth::client::ClientMetadata;
use oauth::id::ClientId;
use oauth::redirect_uri::{Destination, RedirectUri};
use serde::Deserialize;

/// How a client makes itself known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AsksBy {
    /// By the URL of a metadata document.
    Document,
    /// By registering itself (RFC 7591).
    Registration,
    /// By an id, and perhaps a secret, that a person types in.
    Typed,
}

/// What is known of one client. The fields are explained at the top of `profiles.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The word that names it in settings and commands.
    pub id: String,
    /// The product.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    #[serde(default)]
    callbacks: Vec<String>,
    #[serde(default)]
    callback_prefixes: Vec<String>,
    #[serde(default)]
    local_callbacks: Vec<String>,
    #[serde(default)]
    identities: Vec<String>,
    #[serde(default)]
    identity_prefixes: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    /// Words in the User-Agent of its requests.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Networks that it calls from.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Whether its servers call, so that they must reach this one.
    #[serde(default)]
    pub remote: bool,
    /// How it makes itself known, the preferred way first.
    pub asks_by: Vec<AsksBy>,
    /// What "verified" rests on.
    pub verified_by: String,
    /// What a person does in that client to make it register anew.
    pub forget: String,
    /// What a server has to put up with.
    #[serde(default)]
    pub quirks: Vec<String>,
}

/// All profiles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    #[serde(default, rename = "profile")]
    profiles: Vec<Profile>,
    /// In an operator's file: ids of built-in profiles that don't hold.
    #[serde(default)]
    without: Vec<String>,
}

/// Why profiles can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// A file breaks the form.
    #[error("the client profiles{} can't be read: {why}", .path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default())]
    Form {
        /// Which file; the built-in one if none.
        path: Option<PathBuf>,
        /// Where and how.
        why: String,
    },
    /// A profile names something that can prove nothing.
    #[error("the client profile {id:?} names {what} {text:?}, which {why}")]
    Unfit {
        /// The profile.
        id: String,
        /// What kind of thing.
        what: &'static str,
        /// It.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An id is there twice, or one is taken away that isn't there.
    #[error("the client profile {0:?} is named twice, or is taken away though it isn't there")]
    Id(String),
}

impl Profile {
    /// The product and who makes it, for pages.
    #[must_use]
    pub fn label(&self) -> String {
        if self.name == self.vendor { self.name.clone() } else { format!("{} ({})", self.name, self.vendor) }
    }

    /// The redirect URIs of its vendor's servers that are known whole.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.callbacks.iter().map(String::as_str)
    }

    /// Its redirect URIs on a person's device; a loopback port is left out.
    pub fn local_callbacks(&self) -> impl Iterator<Item = &str> {
        self.local_callbacks.iter().map(String::as_str)
    }

    /// The URLs of its metadata documents that are known whole, the usual one first.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.identities.iter().map(String::as_str)
    }

    /// What verifies must be an https URL with a host and a path of its own: a beginning that stops inside the host
    /// name would verify other people's hosts.
    fn check(&self) -> Result<(), ProfilesError> {
        let refuse =
            |what, text: &str, why| ProfilesError::Unfit { id: self.id.clone(), what, text: text.to_owned(), why };
        let proofs = [("callback", &self.callbacks), ("identity", &self.identities)];
        for (what, text) in proofs.into_iter().flat_map(|(what, all)| all.iter().map(move |text| (what, text))) {
            if !text.strip_prefix("https://").is_some_and(|rest| rest.contains('/')) {
                return Err(refuse(what, text, "is not an https URL with a path"));
            }
        }
        let beginnings = [("callback prefix", &self.callback_prefixes), ("identity prefix", &self.identity_prefixes)];
        for (what, text) in beginnings.into_iter().flat_map(|(what, all)| all.iter().map(move |text| (what, text))) {
            if !text.strip_prefix("https://").is_some_and(|rest| rest.contains('/') && rest.ends_with('/')) {
                return Err(refuse(what, text, "is not an https URL that ends with a slash"));
            }
        }
        Ok(())
    }

    fn owns_callback(&self, text: &str) -> bool {
        self.callbacks.iter().any(|own| own == text)
            || self.callback_prefixes.iter().any(|own| text.strip_prefix(own.as_str()).is_some_and(is_id))
    }

    fn owns_identity(&self, url: &str) -> bool {
        let id_and_file =
            |rest: &str| rest.split_once('/').is_some_and(|(id, file)| is_id(id) && file == "client.json");
        self.identities.iter().any(|own| own == url)
            || self.identity_prefixes.iter().any(|own| url.strip_prefix(own.as_str()).is_some_and(id_and_file))
    }

    fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self.names.iter().any(|own| name.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with(" (")))
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl Profiles {
    /// The profiles that come with the product.
    ///
    /// # Errors
    /// When the embedded file is broken, which a test rules out.
    pub fn embedded() -> Result<Self, ProfilesError> {
        Self::load(None)
    }

    /// The built-in profiles with an operator's file on top: a known id is replaced, others are added.
    ///
    /// # Errors
    /// When a file can't be read or breaks the form, or a profile names what can prove nothing.
    pub fn load(file: Option<&Path>) -> Result<Self, ProfilesError> {
        let mut all = Self::parse(include_str!("../profiles.toml"), None)?;
        let Some(path) = file else { return Ok(all) };
        let refuse = |why: std::io::Error| ProfilesError::Form { path: Some(path.to_owned()), why: why.to_string() };
        let own = Self::parse(&std::fs::read_to_string(path).map_err(refuse)?, Some(path))?;
        for id in &own.without {
            let before = all.profiles.len();
            all.profiles.retain(|profile| profile.id != *id);
            if all.profiles.len() == before {
                return Err(ProfilesError::Id(id.clone()));
            }
        }
        for profile in own.profiles {
            match all.profiles.iter_mut().find(|built_in| built_in.id == profile.id) {
                Some(built_in) => *built_in = profile,
                None => all.profiles.push(profile),
            }
        }
        Ok(all)
    }

    fn parse(text: &str, path: Option<&Path>) -> Result<Self, ProfilesError> {
        let refuse =
            |why: toml::de::Error| ProfilesError::Form { path: path.map(Path::to_owned), why: why.to_string() };
        let profiles: Self = toml::from_str(text).map_err(refuse)?;
        let mut ids = HashSet::new();
        for profile in &profiles.profiles {
            profile.check()?;
            if !ids.insert(profile.id.as_str()) {
                return Err(ProfilesError::Id(profile.id.clone()));
            }
        }
        Ok(profiles)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// The profile with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.id == id)
    }

    /// The vendor to whose servers answers at this redirect URI go. Proof, not hint.
    #[must_use]
    pub fn of(&self, redirect_uri: &RedirectUri) -> Option<&Profile> {
        if redirect_uri.destination() != Destination::Https {
            return None;
        }
        self.profiles.iter().find(|profile| profile.owns_callback(redirect_uri.as_str()))
    }

    /// The vendor at whose URL this client's metadata document is. Proof, not hint, once the document was fetched
    /// from there. The longest known beginning decides.
    #[must_use]
    pub fn of_identity(&self, client_id: &ClientId) -> Option<&Profile> {
        let url = client_id.as_str();
        self.profiles
            .iter()
            .find(|profile| profile.identities.iter().any(|own| own == url))
            .or_else(|| self.profiles.iter().find(|profile| profile.owns_identity(url)))
    }

    /// Which client this probably is, by whatever it says of itself: to pick advice, never to decide.
    #[must_use]
    pub fn guess(&self, id: &ClientId, metadata: &ClientMetadata) -> Option<&Profile> {
        let uris = &metadata.redirect_uris;
        self.of_identity(id)
            .or_else(|| uris.iter().find_map(|uri| self.of(uri)))
            .or_else(|| metadata.name.as_deref().and_then(|name| self.by_name(name)))
            .or_else(|| uris.iter().find_map(|uri| self.guess_by_callback(uri.as_str())))
    }

    /// The profile of clients that call themselves so. A hint.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.is_called(name))
    }

    /// The profile of clients that use this callback, proof or not; a loopback port does not count. A hint.
    #[must_use]
    pub fn guess_by_callback(&self, redirect_uri: &str) -> Option<&Profile> {
        let portless = without_loopback_port(redirect_uri);
        self.profiles.iter().find(|profile| {
            profile.owns_callback(redirect_uri)
                || profile.local_callbacks.iter().any(|own| own == redirect_uri || *own == portless)
        })
    }

    /// The profile whose traffic has this user agent. A hint.
    #[must_use]
    pub fn by_agent(&self, user_agent: &str) -> Option<&Profile> {
        let agent = user_agent.to_ascii_lowercase();
        self.profiles
            .iter()
            .find(|profile| profile.agents.iter().any(|word| agent.contains(&word.to_ascii_lowercase())))
    }

    /// What to do in each client to make it register anew.
    pub fn ways_to_forget(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|profile| profile.forget.as_str())
    }
}

fn without_loopback_port(redirect_uri: &str) -> String {
    let Ok(mut url) = url::Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    if url.scheme() == "http" && url.set_port(None).is_ok() { url.to_string() } else { redirect_uri.to_owned() }
}

#[cfg(test)]
mod tests {
    use oauth::id::ClientId;
    use oauth::redirect_uri::RedirectUri;

    use super::Profiles;

    fn of(uri: &str) -> Option<String> {
        let profiles = Profiles::embedded().unwrap();
        profiles.of(&RedirectUri::from_stored(uri).unwrap()).map(|profile| profile.id.clone())
    }

    /// C3, R-50: only the callback proves where the answer goes.
    #[test]
    fn a_vendor_is_known_by_its_callback_only() {
        for (uri, id) in [
            ("https://chatgpt.com/connector_platform_oauth_redirect", Some("chatgpt")),
            ("https://chatgpt.com/connector/oauth/abc_DEF-1", Some("chatgpt")),
            ("https://claude.ai/api/mcp/auth_callback", Some("claude")),
            ("https://grok.com/connectors-oauth-exchange-code/", Some("grok")),
            ("https://grok.com/connectors-oauth-exchange-code", None),
            ("https://chatgpt.com/connector/oauth/", None),
            ("https://chatgpt.com/connector/oauth/a/../../x", None),
            ("https://chatgpt.com/connector/oauth/a?b", None),
            ("https://chatgpt.com.evil.example/connector/oauth/a", None),
            ("http://localhost/connector/oauth/a", None),
            ("http://127.0.0.1:33418/", None),
            ("cursor://anysphere.cursor-mcp/oauth/callback", None),
        ] {
            assert_eq!(of(uri).as_deref(), id, "{uri}");
        }
    }

    /// a document's URL tells who wrote it, to the character.
    #[test]
    fn a_vendor_is_known_by_its_documents_url() {
        let profiles = Profiles::embedded().unwrap();
        for (url, id) in [
            ("https://chatgpt.com/oauth/client.json", Some("chatgpt")),
            ("https://chatgpt.com/oauth/abc-1/client.json", Some("chatgpt")),
            ("https://chatgpt.com/oauth/codex/client.json", Some("codex")),
            ("https://chatgpt.com/oauth/codex/abc/client.json", Some("codex")),
            ("https://claude.ai/oauth/claude-code-client-metadata", Some("claude-code")),
            ("https://claude.ai/oauth/claude-code-client-metadata/", None),
            ("https://chatgpt.com/oauth/a/b/client.json", None),
            ("https://chatgpt.com/oauth/../x/client.json", None),
            ("https://chatgpt.com/g/evil/client.json", None),
        ] {
            let found = profiles.of_identity(&ClientId::new(url));
            assert_eq!(found.map(|profile| profile.id.as_str()), id, "{url}");
        }
    }

    /// R-50, B8: whoever is stuck gets the advice for their client.
    #[test]
    fn a_client_is_guessed_for_advice() {
        let profiles = Profiles::embedded().unwrap();
        let by_callback = |uri: &str| profiles.guess_by_callback(uri).map(|profile| profile.id.as_str());
        assert_eq!(by_callback("http://localhost:49152/oauth/callback"), Some("mcp-remote"));
        assert_eq!(by_callback("http://127.0.0.1:33418/"), Some("vscode"));
        assert_eq!(by_callback("cursor://anysphere.cursor-mcp/oauth/callback"), Some("cursor"));
        assert_eq!(by_callback("https://evil.example/cb"), None);
        let by_name = |name: &str| profiles.by_name(name).map(|profile| profile.id.as_str());
        assert_eq!(by_name("Insomnia MCP Client"), Some("insomnia"));
        assert_eq!(by_name("Claude Code (portcullis)"), Some("claude-code"));
        assert_eq!(by_name("Claudette"), None);
        assert_eq!(profiles.by_agent("Mozilla/5.0 (compatible; Claude-User/1.0)").unwrap().id, "claude");
    }

    /// An operator's file adds, replaces and takes away; what could verify other people's hosts is refused.
    #[test]
    fn an_operators_file_is_laid_over_the_reviewed_one() {
        let folder = std::env::temp_dir().join(format!("portcullis_profiles_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let load = |text: &str| {
            let path = folder.join("profiles.toml");
            std::fs::write(&path, text).unwrap();
            Profiles::load(Some(&path))
        };
        let own = |id: &str, callback: &str| {
            format!(
                "[[profile]]\nid = \"{id}\"\nname = \"Ours\"\nvendor = \"Us\"\ncallbacks = [\"{callback}\"]\n\
                 asks_by = [\"typed\"]\nverified_by = \"us\"\nforget = \"Ask us.\"\n"
            )
        };
        let uri = RedirectUri::from_stored("https://app.example/cb").unwrap();
        let added = load(&format!("without = [\"grok\"]\n{}", own("ours", uri.as_str()))).unwrap();
        assert_eq!(added.of(&uri).unwrap().id, "ours");
        assert!(added.by_id("grok").is_none() && added.by_id("claude").is_some());
        let replaced = load(&own("claude", uri.as_str())).unwrap();
        assert_eq!(replaced.of(&uri).unwrap().id, "claude");
        assert!(replaced.of(&RedirectUri::from_stored("https://claude.ai/api/mcp/auth_callback").unwrap()).is_none());
        for (broken, word) in [
            (own("ours", "https://app.example"), "is not an https URL with a path"),
            (own("ours", "http://localhost/cb"), "is not an https URL with a path"),
            (format!("{}{}", own("ours", uri.as_str()), own("ours", uri.as_str())), "twice"),
            ("without = [\"nobody\"]".to_owned(), "isn't there"),
            ("[[profile]]\nid = 1".to_owned(), "can't be read"),
        ] {
            let error = load(&broken).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let prefix =
            own("ours", uri.as_str()).replace("asks_by", "callback_prefixes = [\"https://app.example\"]\nasks_by");
        assert!(load(&prefix).unwrap_err().to_string().contains("ends with a slash"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// Every profile has what pages and the doctor show, and ids and identities are there once.
    #[test]
    fn the_reviewed_file_is_whole() {
        let profiles = Profiles::embedded().unwrap();
        let mut ids: Vec<&str> = profiles.iter().map(|profile| profile.id.as_str()).collect();
        for id in
            ["chatgpt", "codex", "claude", "claude-code", "vscode", "cursor", "insomnia", "inspector", "mcp-remote"]
        {
            assert!(ids.contains(&id), "{id}");
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for profile in profiles.iter() {
            assert!(profile.forget.ends_with('.') && !profile.asks_by.is_empty(), "{}", profile.id);
            assert!(profile.callbacks().all(|uri| uri.starts_with("https://")), "{}", profile.id);
            assert!(profile.identities().all(|url| url.starts_with("https://")), "{}", profile.id);
        }
    }
}
