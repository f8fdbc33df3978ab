//! From the MCP URL to the authorization server: what a client finds out before it makes itself known.

use known_clients::replica::{Opening, ScopeRule};
use serde_json::Value;

use super::Run;
use super::challenge::{Challenge, first_call};
use super::metadata::{resource_metadata, server_metadata};
use super::report::{Stopped, Trace};

/// What the client knows before it makes itself known.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// `resource` of the resource metadata, as spelled there.
    pub(super) resource: String,
    /// The scope that it will ask for.
    pub(super) scope: String,
    pub(super) server: Server,
}

/// The authorization server's metadata.
#[derive(Clone, Debug)]
pub(super) struct Server(Value);

impl Server {
    pub(super) fn new(document: Value) -> Self {
        Self(document)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.0.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    pub(super) fn lists(&self, name: &str, value: &str) -> bool {
        self.list(name).is_some_and(|items| items.contains(&value))
    }

    /// Whether a member is `true`; a text is not.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Bool(true))
    }

    pub(super) fn issuer(&self) -> &str {
        self.text("issuer").unwrap_or_default()
    }
}

/// Finds everything, in this client's order.
pub(super) async fn discover(run: &Run<'_>, trace: &mut Trace) -> Result<Found, Stopped> {
    let after_documents = run.replica.opening == Opening::EmptyPostAfterDocuments;
    let challenge = if after_documents { Challenge::default() } else { first_call(run, trace).await? };
    let resource = resource_metadata(run, trace, &challenge).await?;
    let issuer = resource.servers.first().cloned().unwrap_or_default();
    let server = server_metadata(run, trace, &issuer).await?;
    if after_documents {
        first_call(run, trace).await?;
    }
    let scope = scope(run.replica.scope, &challenge, &resource.scopes, &server);
    Ok(Found { resource: resource.url, scope, server })
}

/// The scope to ask for.
fn scope(rule: ScopeRule, challenge: &Challenge, of_resource: &[String], server: &Server) -> String {
    let mut scope: Vec<&str> = match (&challenge.scope, rule) {
        (Some(named), ScopeRule::Challenge | ScopeRule::ChallengeAndOffline) => named.split(' ').collect(),
        _ => of_resource.iter().map(String::as_str).collect(),
    };
    let more: &[&str] = match rule {
        ScopeRule::Challenge => &[],
        ScopeRule::ChallengeAndOffline => &["offline_access"],
        ScopeRule::ResourceAndOpenId => &["openid", "email", "profile", "offline_access"],
    };
    scope.extend(more.iter().filter(|own| server.lists("scopes_supported", own)));
    let mut seen = Vec::new();
    scope.retain(|own| {
        !own.is_empty() && !seen.contains(own) && {
            seen.push(*own);
            true
        }
    });
    scope.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Challenge, ScopeRule, Server, scope};

    /// C-07, SEP-2207: what is advertised is asked for, once.
    #[test]
    fn scope_is_composed_as_the_client_does() {
        let challenge = Challenge { scope: Some("a b".to_owned()), ..Challenge::default() };
        let server = Server(json!({ "scopes_supported": ["a", "b", "email", "offline_access"] }));
        let resource = ["b".to_owned()];
        assert_eq!(scope(ScopeRule::Challenge, &challenge, &resource, &server), "a b");
        assert_eq!(scope(ScopeRule::ChallengeAndOffline, &challenge, &resource, &server), "a b offline_access");
        assert_eq!(scope(ScopeRule::ResourceAndOpenId, &challenge, &resource, &server), "b email offline_access");
        assert_eq!(scope(ScopeRule::Challenge, &Challenge::default(), &resource, &server), "b");
    }
}
