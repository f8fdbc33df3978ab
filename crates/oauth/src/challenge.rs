//! The `WWW-Authenticate` challenge of a protected resource (RFC 6750 §3, RFC 9728 §5.1).

use super::scope::Scope;

/// One `Bearer` challenge. Exactly one is sent per answer, with the scheme first: widely used clients read
/// only the first scheme and then search the text for `resource_metadata=`, `scope=` and `error=` (D-28).
#[derive(Clone, Debug)]
pub struct Challenge {
    error: Option<(&'static str, String)>,
    scope: Option<String>,
    resource_metadata: String,
}

impl Challenge {
    /// A challenge that names where the resource's metadata is found (an absolute URL).
    #[must_use]
    pub fn new(resource_metadata: impl Into<String>) -> Self {
        Self { error: None, scope: None, resource_metadata: resource_metadata.into() }
    }

    /// Adds the scopes that would do.
    #[must_use]
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.scope = (!scope.is_empty()).then(|| scope.to_string());
        self
    }

    /// Adds an error code and its description; left out when no token was presented (RFC 6750 §3).
    #[must_use]
    pub fn error(mut self, code: &'static str, description: &str) -> Self {
        self.error = Some((code, quotable(description)));
        self
    }

    /// The header's value: ASCII, each parameter once.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut params = Vec::new();
        if let Some((code, description)) = &self.error {
            params.push(format!("error=\"{code}\", error_description=\"{description}\""));
        }
        if let Some(scope) = &self.scope {
            params.push(format!("scope=\"{scope}\""));
        }
        params.push(format!("resource_metadata=\"{}\"", self.resource_metadata));
        format!("Bearer {}", params.join(", "))
    }
}

/// Keeps what RFC 6750 §3 allows in `error_description`; `=` goes too, so that no client's search for
/// `scope=` can land inside the words.
fn quotable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            '=' => ':',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Challenge;
    use crate::scope::Scope;

    /// D-23, D-24, D-28.
    #[test]
    fn challenge_is_one_bearer_scheme_with_each_parameter_once() {
        let bare =
            Challenge::new("https://h/.well-known/oauth-protected-resource/mcp").scope(&Scope::parse("b a").unwrap());
        assert_eq!(
            bare.to_text(),
            "Bearer scope=\"a b\", resource_metadata=\"https://h/.well-known/oauth-protected-resource/mcp\""
        );
        let text = bare.error("invalid_token", "expired \"x\" scope=\"evil\"\r\n").to_text();
        assert!(text.starts_with(
            "Bearer error=\"invalid_token\", error_description=\"expired 'x' scope:'evil'??\", scope=\"a b\""
        ));
        assert_eq!(text.matches("scope=").count(), 1);
    }
}
