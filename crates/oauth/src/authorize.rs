//! The authorization request (OAuth 2.1 §4.1.1) after client and redirect URI were found good: from here on
//! every refusal may be told to the client by redirect.

use super::cause::Cause;
use super::error::{ErrorCode, Refusal};
use super::params::Params;
use super::pkce::CodeChallenge;
use super::resource::Resource;
use super::scope::{OFFLINE_ACCESS, Scope};

/// What the server allows a request to ask for.
#[derive(Clone, Debug)]
pub struct AuthorizationRules<'a> {
    /// The one protected resource.
    pub resource: &'a Resource,
    /// Scopes that can be granted, `offline_access` included.
    pub scope: &'a Scope,
    /// Whether this request's redirect host is on the operator's list of hosts that may omit PKCE.
    pub pkce_exempt: bool,
}

/// A checked authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// The scopes asked for that can be granted; `None` when the request named none of the resource's, so that
    /// the previous grant's or the default decides (RFC 6749 §3.3).
    pub scope: Option<Scope>,
    /// Whether `offline_access` was asked for.
    pub offline: bool,
    /// The resource that the token will be for.
    pub resource: Resource,
    /// To be echoed byte for byte.
    pub state: Option<String>,
    /// `None` only for hosts on the operator's PKCE exception list.
    pub code_challenge: Option<CodeChallenge>,
    /// What the client wants shown.
    pub prompt: Prompt,
    /// A name to fill into the sign-in form.
    pub login_hint: Option<String>,
}

/// `prompt` (OpenID Connect Core §3.1.2.1), which OAuth clients send too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the parameter is a set of four flags")]
pub struct Prompt {
    /// Show nothing: answer or refuse.
    pub none: bool,
    /// Ask for the password again.
    pub login: bool,
    /// Ask for consent again.
    pub consent: bool,
    /// Let the person choose another account.
    pub select_account: bool,
}

impl Prompt {
    fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let mut prompt = Self::default();
        for word in text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()) {
            match word {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                // OpenID Connect Core §3.1.2.1 leaves unknown values open; they change nothing here.
                _ => {}
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(Refusal::invalid_request("prompt=none can't be combined with another prompt"));
        }
        Ok(prompt)
    }

    /// The space-separated text for the store.
    #[must_use]
    pub fn to_text(self) -> String {
        [(self.none, "none"), (self.login, "login"), (self.consent, "consent"), (self.select_account, "select_account")]
            .into_iter()
            .filter_map(|(set, word)| set.then_some(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Reads [`to_text`](Self::to_text) back, and nothing that it can't have written.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::parse(Some(text)).ok().filter(|prompt| prompt.to_text() == text)
    }
}

impl AuthorizationRequest {
    /// Checks the parameters, in the order in which a developer would mend them.
    ///
    /// # Errors
    /// The codes of OAuth 2.1 §4.1.2.1, RFC 8707 §2 and OpenID Connect Core §3.1.2.6.
    pub fn check(params: &Params, rules: &AuthorizationRules<'_>) -> Result<Self, Refusal> {
        match params.one("response_type")? {
            Some("code") => {}
            None => return Err(Refusal::invalid_request("response_type is missing; send response_type=code")),
            Some(_) => {
                return Err(Refusal::new(
                    ErrorCode::UnsupportedResponseType,
                    Cause::NotOffered,
                    "only response_type=code is offered (OAuth 2.1)",
                ));
            }
        }
        if params.one("request")?.is_some() || params.one("request_uri")?.is_some() {
            return Err(Refusal::new(
                ErrorCode::RequestNotSupported,
                Cause::NotOffered,
                "request objects are not read; send plain parameters",
            ));
        }
        if params.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(Refusal::invalid_request("only response_mode=query is offered").because(Cause::NotOffered));
        }
        let code_challenge = CodeChallenge::parse(params.one("code_challenge")?, params.one("code_challenge_method")?)?;
        if code_challenge.is_none() && !rules.pkce_exempt {
            return Err(CodeChallenge::missing());
        }
        let resource = rules.resource.select(&params.all("resource").collect::<Vec<_>>())?;
        let (scope, offline) = grantable(params.one("scope")?, rules.scope)?;
        Ok(Self {
            scope,
            offline,
            resource,
            state: params.one("state")?.map(str::to_owned),
            code_challenge,
            prompt: Prompt::parse(params.one("prompt")?)?,
            login_hint: params.one("login_hint")?.filter(|hint| hint.len() <= 200).map(str::to_owned),
        })
    }
}

/// unknown scopes are dropped, and the request fails only if that leaves nothing of what it asked.
fn grantable(asked: Option<&str>, offered: &Scope) -> Result<(Option<Scope>, bool), Refusal> {
    let Some(asked) = asked else { return Ok((None, false)) };
    let asked = Scope::parse_lossy(asked);
    let offline: Scope = asked.iter().filter(|token| token.as_str() == OFFLINE_ACCESS).cloned().collect();
    let rest = asked.difference(&offline);
    let known = rest.intersection(offered);
    if !rest.is_empty() && known.is_empty() {
        let offered = offered.iter().filter(|token| token.as_str() != OFFLINE_ACCESS).map(ToString::to_string);
        let offered = offered.collect::<Vec<_>>().join(" ");
        return Err(Refusal::new(
            ErrorCode::InvalidScope,
            Cause::ScopeUnfit,
            format!("none of the requested scopes exists here; this server has: {offered}"),
        ));
    }
    Ok(((!known.is_empty()).then_some(known), !offline.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::{AuthorizationRequest, AuthorizationRules, Prompt};
    use crate::error::ErrorCode;
    use crate::params::Params;
    use crate::resource::Resource;
    use crate::scope::Scope;

    const GOOD: &str =
        "response_type=code&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn check(query: &str, pkce_exempt: bool) -> Result<AuthorizationRequest, crate::error::Refusal> {
        let (resource, scope) =
            (Resource::from_canonical("https://h/mcp"), Scope::parse("a b offline_access").unwrap());
        let rules = AuthorizationRules { resource: &resource, scope: &scope, pkce_exempt };
        AuthorizationRequest::check(&Params::parse(query.as_bytes()).unwrap(), &rules)
    }

    /// B-10, C1.
    #[test]
    fn scope_is_what_can_be_granted_or_left_to_the_default() {
        for (query, scope, offline) in [
            ("", None, false),
            ("&scope=", None, false),
            ("&scope=a+unknown", Some("a"), false),
            ("&scope=b+a+offline_access", Some("a b"), true),
            ("&scope=offline_access", None, true),
        ] {
            let request = check(&format!("{GOOD}{query}"), false).unwrap();
            assert_eq!(request.scope.map(|scope| scope.to_string()).as_deref(), scope, "{query}");
            assert_eq!(request.offline, offline);
        }
        assert_eq!(check(&format!("{GOOD}&scope=x"), false).unwrap_err().code, ErrorCode::InvalidScope);
    }

    /// B-03.
    #[test]
    fn refusals_name_the_parameter() {
        for (query, code) in [
            ("response_type=token", ErrorCode::UnsupportedResponseType),
            ("", ErrorCode::InvalidRequest),
            ("response_type=code", ErrorCode::InvalidRequest),
            (&format!("{GOOD}&state=1&state=2"), ErrorCode::InvalidRequest),
            (&format!("{GOOD}&response_mode=fragment"), ErrorCode::InvalidRequest),
            (&format!("{GOOD}&request=x"), ErrorCode::RequestNotSupported),
            (&format!("{GOOD}&resource=https://other"), ErrorCode::InvalidTarget),
            (&format!("{GOOD}&prompt=none+login"), ErrorCode::InvalidRequest),
        ] {
            assert_eq!(check(query, false).unwrap_err().code, code, "{query}");
        }
        assert!(check("response_type=code", true).unwrap().code_challenge.is_none());
        assert!(check("response_type=code&code_challenge=x&code_challenge_method=plain", true).is_err());
    }

    #[test]
    fn prompt_survives_its_text_form() {
        let prompt = Prompt { login: true, consent: true, ..Prompt::default() };
        assert_eq!(Prompt::from_text(&prompt.to_text()), Some(prompt));
        assert_eq!(Prompt::from_text("rubbish"), None);
    }
}
