//! Client profiles: reviewed data about widely used clients, by their redirect URIs.

use serde::Deserialize;

use crate::oauth::redirect_uri::{Destination, RedirectUri};

/// What is known of one vendor's client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The product and who makes it, for the consent page.
    pub vendor: String,
    /// Redirect URIs that are the vendor's.
    #[serde(default)]
    callbacks: Vec<String>,
    /// Beginnings of redirect URIs that end in a connector's id.
    #[serde(default)]
    callback_prefixes: Vec<String>,
    /// What a person does in that client to make it register anew.
    pub forget: String,
}

/// All profiles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    #[serde(rename = "profile")]
    profiles: Vec<Profile>,
}

impl Profiles {
    /// The profiles that come with the product.
    ///
    /// # Errors
    /// When the embedded file is broken, which a test rules out.
    pub fn embedded() -> Result<Self, toml::de::Error> {
        toml::from_str(include_str!("profiles.toml"))
    }

    /// The vendor to whom answers at this redirect URI go.
    #[must_use]
    pub fn of(&self, redirect_uri: &RedirectUri) -> Option<&Profile> {
        if redirect_uri.destination() != Destination::Https {
            return None;
        }
        let text = redirect_uri.as_str();
        let id = |rest: &str| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        self.profiles.iter().find(|profile| {
            profile.callbacks.iter().any(|own| own == text)
                || profile.callback_prefixes.iter().any(|own| text.strip_prefix(own.as_str()).is_some_and(id))
        })
    }

    /// What to do in each client to make it register anew.
    pub fn ways_to_forget(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|profile| profile.forget.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Profiles;
    use crate::oauth::redirect_uri::RedirectUri;

    /// C3: only the callback proves a vendor.
    #[test]
    fn a_vendor_is_known_by_its_callback_only() {
        let profiles = Profiles::embedded().unwrap();
        for (uri, vendor) in [
            ("https://chatgpt.com/connector_platform_oauth_redirect", Some("ChatGPT (OpenAI)")),
            ("https://chatgpt.com/connector/oauth/abc_DEF-1", Some("ChatGPT (OpenAI)")),
            ("https://claude.ai/api/mcp/auth_callback", Some("Claude (Anthropic)")),
            ("https://chatgpt.com/connector/oauth/", None),
            ("https://chatgpt.com/connector/oauth/a/../../x", None),
            ("https://chatgpt.com/connector/oauth/a?b", None),
            ("https://chatgpt.com.evil.example/connector/oauth/a", None),
            ("http://localhost/connector/oauth/a", None),
        ] {
            let found = profiles.of(&RedirectUri::from_stored(uri).unwrap());
            assert_eq!(found.map(|profile| profile.vendor.as_str()), vendor, "{uri}");
        }
    }
}
