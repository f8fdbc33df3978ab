//! A metadata document of any content: it is refused, or what comes out keeps to the rules. The URL that it is fetched
//! from is taken from the document itself, so that the comparison of both doesn't end every run.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oauth::client::{AuthMethod, ClientIdUrl, ClientKeys, ClientMetadata, MetadataRules};
use oauth::jwks::JwkSet;
use oauth::redirect_uri::{Destination, RedirectUri};

static RULES: LazyLock<MetadataRules> = LazyLock::new(portcullis_fuzz::rules);
static USUAL: LazyLock<ClientIdUrl> =
    LazyLock::new(|| ClientIdUrl::parse("https://app.example.com/client.json", &[443]).expect("this is a URL"));

fuzz_target!(|bytes: &[u8]| {
    let own = serde_json::from_slice::<serde_json::Value>(bytes).ok().and_then(|document| {
        let id = document.get("client_id")?.as_str()?;
        ClientIdUrl::parse(id, &RULES.allowed_ports).ok()
    });
    let url = own.as_ref().unwrap_or(&USUAL);
    match ClientMetadata::parse_document(bytes, url, &RULES) {
        Ok(client) => {
            assert!(!client.redirect_uris.is_empty() && !client.auth_methods.is_empty());
            assert!(client.name.as_ref().is_some_and(|name| !name.is_empty() && !name.contains(char::is_control)));
            assert!(client.auth_methods.iter().all(|own| matches!(own, AuthMethod::None | AuthMethod::PrivateKeyJwt)));
            assert_eq!(client.auth_methods.contains(&AuthMethod::PrivateKeyJwt), client.keys.is_some());
            assert!(client.grant_types.iter().any(|grant| grant == "authorization_code"));
            for uri in &client.redirect_uris {
                assert!(!uri.as_str().contains('#'));
                assert!(RedirectUri::select(uri.as_str(), &client.redirect_uris).is_some());
                assert!(uri.destination() != Destination::Https || uri.as_str().to_lowercase().starts_with("https://"));
                assert_eq!(RedirectUri::from_stored(uri.as_str()).as_ref(), Ok(uri));
            }
            if let Some(ClientKeys::Inline(text)) = &client.keys {
                assert_eq!(JwkSet::parse(text.as_bytes()).map(|set| set.as_str().to_owned()), Ok(text.clone()));
            }
            for link in [&client.uri, &client.tos_uri, &client.policy_uri].into_iter().flatten() {
                assert!(url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "https" | "http")));
            }
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
