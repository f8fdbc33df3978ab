//! How strictly clients read JSON: the shapes that their libraries insist on.

use known_clients::replica::Reading;
use serde_json::Value;
use url::Url;

use super::report::Why;

/// Which answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Resource,
    Server,
    /// The same under its OpenID name, where the SDK wants three members more.
    OpenId,
    Registration,
    Tokens,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Address,
    Flag,
    Number,
    /// A number, or text that reads as one.
    Countable,
    Texts,
    Addresses,
}

type Member = (&'static str, Kind);

impl Document {
    fn name(self) -> &'static str {
        match self {
            Self::Resource => "the resource metadata",
            Self::Server => "the server metadata",
            Self::OpenId => "the OpenID configuration",
            Self::Registration => "the registration reply",
            Self::Tokens => "the token reply",
        }
    }

    /// What no client can do without.
    fn needed(self) -> &'static [Member] {
        match self {
            Self::Resource => &[("resource", Kind::Address)],
            Self::Server | Self::OpenId => {
                &[("issuer", Kind::Text), ("authorization_endpoint", Kind::Address), ("token_endpoint", Kind::Address)]
            }
            Self::Registration => &[("client_id", Kind::Text)],
            Self::Tokens => &[("access_token", Kind::Text)],
        }
    }

    /// What the SDK needs besides.
    fn needed_by_sdk(self) -> &'static [Member] {
        match self {
            Self::Resource => &[],
            Self::Server => &[("response_types_supported", Kind::Texts)],
            Self::OpenId => &[
                ("response_types_supported", Kind::Texts),
                ("jwks_uri", Kind::Address),
                ("subject_types_supported", Kind::Texts),
                ("id_token_signing_alg_values_supported", Kind::Texts),
            ],
            Self::Registration => &[("redirect_uris", Kind::Addresses)],
            Self::Tokens => &[("token_type", Kind::Text)],
        }
    }

    /// What may be absent, and has this type where it is there.
    fn optional(self) -> &'static [Member] {
        match self {
            Self::Resource => &[
                ("authorization_servers", Kind::Addresses),
                ("jwks_uri", Kind::Address),
                ("scopes_supported", Kind::Texts),
                ("bearer_methods_supported", Kind::Texts),
                ("resource_name", Kind::Text),
                ("resource_documentation", Kind::Text),
                ("resource_policy_uri", Kind::Address),
                ("resource_tos_uri", Kind::Address),
            ],
            Self::Server | Self::OpenId => &[
                ("registration_endpoint", Kind::Address),
                ("scopes_supported", Kind::Texts),
                ("response_modes_supported", Kind::Texts),
                ("grant_types_supported", Kind::Texts),
                ("token_endpoint_auth_methods_supported", Kind::Texts),
                ("token_endpoint_auth_signing_alg_values_supported", Kind::Texts),
                ("service_documentation", Kind::Address),
                ("revocation_endpoint", Kind::Address),
                ("revocation_endpoint_auth_methods_supported", Kind::Texts),
                ("introspection_endpoint", Kind::Text),
                ("code_challenge_methods_supported", Kind::Texts),
                ("client_id_metadata_document_supported", Kind::Flag),
            ],
            Self::Registration => &[
                ("client_secret", Kind::Text),
                ("client_id_issued_at", Kind::Number),
                ("client_secret_expires_at", Kind::Number),
                ("token_endpoint_auth_method", Kind::Text),
                ("grant_types", Kind::Texts),
                ("response_types", Kind::Texts),
                ("client_name", Kind::Text),
                ("client_uri", Kind::Address),
                ("scope", Kind::Text),
                ("contacts", Kind::Texts),
                ("policy_uri", Kind::Text),
                ("jwks_uri", Kind::Address),
                ("software_id", Kind::Text),
                ("software_version", Kind::Text),
            ],
            Self::Tokens => &[
                ("expires_in", Kind::Countable),
                ("scope", Kind::Text),
                ("refresh_token", Kind::Text),
                ("id_token", Kind::Text),
            ],
        }
    }
}

/// Reads a document as this client does.
///
/// # Errors
/// When the client would refuse it; the words say at which member.
pub(super) fn check(reading: Reading, what: Document, value: &Value) -> Result<(), Why> {
    let refuse = |name: &str, fault: &str| Why(format!("{} has {name} {fault}", what.name()));
    if !value.is_object() {
        return Err(Why(format!("{} is no JSON object", what.name())));
    }
    let needed_here: &[Member] = match reading {
        Reading::Sdk => what.needed_by_sdk(),
        Reading::VsCode if what == Document::Tokens => &[("token_type", Kind::Text)],
        Reading::VsCode | Reading::Needed => &[],
    };
    for (name, kind) in what.needed().iter().chain(needed_here) {
        match value.get(name) {
            None => return Err(Why(format!("{} lacks {name}", what.name()))),
            Some(member) => kind.check(member).map_err(|fault| refuse(name, fault))?,
        }
    }
    let optional: &[Member] = match (reading, what) {
        (Reading::Sdk, _) => what.optional(),
        // It drops the whole document otherwise (D-05).
        (Reading::VsCode, Document::Resource) => &[("scopes_supported", Kind::Texts)],
        (Reading::VsCode, Document::Server | Document::OpenId) => {
            &[("registration_endpoint", Kind::Address), ("jwks_uri", Kind::Address)]
        }
        (Reading::VsCode | Reading::Needed, _) => &[],
    };
    for (name, kind) in optional {
        let Some(member) = value.get(name) else { continue };
        if member.is_null() && reading == Reading::Sdk {
            return Err(refuse(name, "null: its library takes an optional member absent or typed, never null"));
        }
        kind.check(member).map_err(|fault| refuse(name, fault))?;
    }
    Ok(())
}

impl Kind {
    fn check(self, value: &Value) -> Result<(), &'static str> {
        let address = |value: &Value| value.as_str().is_some_and(|text| Url::parse(text).is_ok());
        let (good, fault) = match self {
            Self::Text => (value.as_str().is_some_and(|text| !text.is_empty()), "that is no text"),
            Self::Address => (address(value), "that is no URL"),
            Self::Flag => (value.is_boolean(), "that is neither true nor false (a text does not do)"),
            Self::Number => (value.is_number(), "that is no number"),
            Self::Countable => {
                let reads = value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
                (value.is_number() || reads, "that is no number")
            }
            Self::Texts => {
                let texts = |items: &Vec<Value>| items.iter().all(Value::is_string);
                (value.as_array().is_some_and(texts), "that is no list of texts")
            }
            Self::Addresses => {
                let addresses = |items: &Vec<Value>| items.iter().all(address);
                (value.as_array().is_some_and(addresses), "that is no list of URLs")
            }
        };
        if good { Ok(()) } else { Err(fault) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Document, Reading, check};

    /// D-15, B3: the SDK refuses `null`; others don't look.
    #[test]
    fn null_stops_the_sdk_alone() {
        let reply = json!({ "client_id": "x", "redirect_uris": ["https://a/cb"], "client_uri": null });
        let why = check(Reading::Sdk, Document::Registration, &reply).unwrap_err();
        assert!(why.0.contains("client_uri") && why.0.contains("null"), "{why:?}");
        assert!(check(Reading::VsCode, Document::Registration, &reply).is_ok());
        assert!(check(Reading::Needed, Document::Registration, &reply).is_ok());
    }

    /// R-11, D-05, D-16: what each can't do without.
    #[test]
    fn each_reader_insists_on_its_own_members() {
        for (reading, what, value, word) in [
            (Reading::Sdk, Document::Registration, json!({ "client_id": "x" }), "redirect_uris"),
            (Reading::Needed, Document::Registration, json!({}), "client_id"),
            (
                Reading::VsCode,
                Document::Resource,
                json!({ "resource": "https://a/mcp", "scopes_supported": "a b" }),
                "scopes_supported",
            ),
            (Reading::VsCode, Document::Tokens, json!({ "access_token": "x" }), "token_type"),
            (Reading::Needed, Document::Tokens, json!({ "access_token": "" }), "access_token"),
            (Reading::Needed, Document::Tokens, json!("x"), "object"),
        ] {
            let why = check(reading, what, &value).unwrap_err();
            assert!(why.0.contains(word), "{why:?}");
        }
        let plain = json!({
            "issuer": "https://a", "authorization_endpoint": "https://a/x", "token_endpoint": "https://a/y",
            "response_types_supported": ["code"],
        });
        assert!(check(Reading::Sdk, Document::Server, &plain).is_ok());
        assert!(check(Reading::Sdk, Document::OpenId, &plain).unwrap_err().0.contains("jwks_uri"));
    }
}
