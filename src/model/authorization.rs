//! An authorization request that is being worked on, and the decision what comes next.

use oauth::authorize::AuthorizationRequest;
use oauth::id::{AuthorizationId, ClientId, UserId};
use oauth::redirect_uri::{Destination, RedirectUri};
use oauth::scope::Scope;
use oauth::time::Timestamp;

use super::client::Client;
use super::secret::SecretHash;

/// A stored request. Browser steps change it; each ends at the dispatcher, which reads it and decides by
/// [`Authorization::next`].
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Its identifier, in the URLs of the steps.
    pub id: AuthorizationId,
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// What was asked.
    pub request: AuthorizationRequest,
    /// The browser that began it: nobody else may finish it (RFC 9700 §4.7).
    pub browser_hash: SecretHash,
    /// Random, so that the code can't be derived from the identifier (see `MasterKey::authorization_code`).
    pub nonce: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it can't be finished any more.
    pub expires_at: Timestamp,
    /// What the person decided.
    pub decision: Option<Decision>,
}

/// What a person decided about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let the client in.
    Approved(UserId),
    /// Keep it out.
    Denied,
}

/// A remembered approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Where the answer went.
    pub redirect_uri: String,
    /// What was allowed.
    pub scope: Scope,
    /// Whether staying connected was allowed.
    pub offline: bool,
    /// What the client said of itself then (`ClientMetadata::digest`); none from before that was kept.
    pub client_digest: Option<String>,
}

/// What the dispatcher knows of the browser at the door.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The signed-in user and when they gave their password.
    pub session: Option<(&'a UserId, Timestamp)>,
    /// What the user approved before for this client and resource, newest first.
    pub consents: &'a [Consent],
    /// Whether remembered approvals count at all for this client: only where the redirect URI proves that
    /// the answer goes to a known vendor, and never to this device or to a private scheme.
    pub may_remember: bool,
}

/// What the client at hand may be granted.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// What clients get that ask for nothing in particular.
    pub default_scope: &'a Scope,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The person must sign in.
    SignIn,
    /// The person must decide about these scopes.
    AskConsent(Scope),
    /// This was approved before, exactly so, by the client as it is now: one click is enough. None would be too few: a
    /// strange page could send the browser here with a `state` and a `code_challenge` of its own, and a stranger gets
    /// the same client id by registering alike.
    Continue(Scope),
    /// The client is the operator's own: issue a code without asking.
    PassFirstParty(Scope),
    /// The person has approved: hand over the code.
    HandOver,
    /// The person has said no: tell the client.
    TellDenied,
    /// `prompt=none`, and nobody is signed in.
    LoginRequired,
    /// `prompt=none`, and consent is needed.
    ConsentRequired,
    /// `prompt=none`, and this was approved before, so that one click is needed.
    InteractionRequired,
}

impl Authorization {
    /// Decides the next step from what is stored and who is there. Pure: the order of the rules is this text.
    #[must_use]
    pub fn next(&self, visitor: &Visitor<'_>, offered: Offered<'_>) -> Step {
        match &self.decision {
            Some(Decision::Denied) => return Step::TellDenied,
            Some(Decision::Approved(_)) => return Step::HandOver,
            None => {}
        }
        let prompt = self.request.prompt;
        let fresh_enough = |at: Timestamp| !(prompt.login || prompt.select_account) || at >= self.created_at;
        if !visitor.session.is_some_and(|(_, at)| fresh_enough(at)) {
            return if prompt.none { Step::LoginRequired } else { Step::SignIn };
        }
        let scope = self.scope_for(visitor.consents, offered);
        // RFC 8252 §8.6: any program can wait at a loopback address or claim a scheme, whatever was approved before.
        let may_skip = self.redirect_uri.destination() == Destination::Https && !prompt.consent;
        if may_skip && offered.client.terms.first_party {
            return Step::PassFirstParty(scope);
        }
        let remembered = may_skip && visitor.may_remember && self.is_remembered(visitor.consents, &scope, offered);
        match (remembered, prompt.none) {
            (true, false) => Step::Continue(scope),
            (true, true) => Step::InteractionRequired,
            (false, true) => Step::ConsentRequired,
            (false, false) => Step::AskConsent(scope),
        }
    }

    /// Whether the very same was approved before: callback, scopes, staying connected, and the client as it is now.
    fn is_remembered(&self, consents: &[Consent], scope: &Scope, offered: Offered<'_>) -> bool {
        let mut alike = consents.iter().filter(|consent| {
            consent.redirect_uri == self.redirect_uri.as_str()
                && consent.scope == *scope
                && (consent.offline || !self.request.offline)
        });
        alike.any(|consent| consent.client_digest.as_deref() == Some(offered.client.metadata.digest().as_str()))
    }

    /// The scopes that are up for decision: those asked for, else those of the user's previous grant to this
    /// client, else the default (RFC 6749 §3.3; a client that reconnects often names none). Never more than the client
    /// may be granted now.
    #[must_use]
    pub fn scope_for(&self, consents: &[Consent], offered: Offered<'_>) -> Scope {
        let named = self.request.scope.as_ref().or_else(|| consents.first().map(|consent| &consent.scope));
        named
            .map(|scope| offered.client.ceiling(scope))
            .filter(|scope| !scope.is_empty())
            .unwrap_or_else(|| offered.client.default_scope(offered.default_scope))
    }
}

#[cfg(test)]
mod tests {
    use oauth::authorize::{AuthorizationRequest, Prompt};
    use oauth::client::{AuthMethod, ClientKeys, ClientMetadata};
    use oauth::id::{AuthorizationId, ClientId, UserId};
    use oauth::redirect_uri::RedirectUri;
    use oauth::resource::Resource;
    use oauth::scope::Scope;
    use oauth::time::Timestamp;

    use super::{Authorization, Consent, Decision, Offered, Step, Visitor};
    use crate::model::client::{Client, ClientOrigin, ClientSecrets, Terms};
    use crate::model::secret::Secret;

    fn authorization(scope: Option<&str>, redirect: &str, prompt: Prompt) -> Authorization {
        Authorization {
            id: AuthorizationId::new("ath_1"),
            client_id: ClientId::new("pc_1"),
            redirect_uri: RedirectUri::from_stored(redirect).unwrap(),
            request: AuthorizationRequest {
                scope: scope.map(|text| Scope::parse(text).unwrap()),
                offline: false,
                resource: Resource::from_canonical("https://h/mcp"),
                state: None,
                code_challenge: None,
                prompt,
                login_hint: None,
            },
            browser_hash: Secret::presented("b").hash(),
            nonce: "n".into(),
            created_at: Timestamp(100),
            expires_at: Timestamp(200),
            decision: None,
        }
    }

    fn step(authorization: &Authorization, at: Option<i64>, consents: &[Consent], may_remember: bool) -> Step {
        let user = UserId::new("usr_1");
        let session = at.map(|at| (&user, Timestamp(at)));
        let (client, default_scope) = (client(None, false), Scope::parse("d").unwrap());
        let offered = Offered { client: &client, default_scope: &default_scope };
        authorization.next(&Visitor { session, consents, may_remember }, offered)
    }

    fn client(allowed: Option<&str>, first_party: bool) -> Client {
        Client {
            id: ClientId::new("pc_1"),
            origin: ClientOrigin::Managed,
            metadata: ClientMetadata::bare(Vec::new(), vec![AuthMethod::None], Vec::new(), Scope::default()),
            description: None,
            terms: Terms { allowed_scope: allowed.map(scope), first_party, ..Terms::default() },
            secrets: ClientSecrets::default(),
            shared: false,
            registered_at: Timestamp(0),
            first_used_at: None,
            disabled_at: None,
            deleted_at: None,
        }
    }

    fn step_of(client: &Client, authorization: &Authorization, consents: &[Consent]) -> Step {
        let (user, default_scope) = (UserId::new("usr_1"), scope("d e"));
        let session = Some((&user, Timestamp(500)));
        let visitor = Visitor { session, consents, may_remember: false };
        authorization.next(&visitor, Offered { client, default_scope: &default_scope })
    }

    /// Whatever was asked for, granted before or is the default: a managed client gets no more than its ceiling.
    #[test]
    fn a_clients_ceiling_holds_whatever_was_asked() {
        let before = [consent("https://a/cb", "a x")];
        let asked = authorization(Some("a b x"), "https://a/cb", Prompt::default());
        let silent = authorization(None, "https://a/cb", Prompt::default());
        assert_eq!(step_of(&client(Some("a d"), false), &asked, &[]), Step::AskConsent(scope("a")));
        assert_eq!(step_of(&client(Some("a d"), false), &silent, &before), Step::AskConsent(scope("a")));
        assert_eq!(step_of(&client(Some("a d"), false), &silent, &[]), Step::AskConsent(scope("d")));
        assert_eq!(step_of(&client(Some("z"), false), &silent, &[]), Step::AskConsent(scope("z")));
        assert_eq!(step_of(&client(Some(""), false), &asked, &before), Step::AskConsent(scope("")));
    }

    /// A-20, RFC 8252 §8.6: the operator's own client passes without a question, but never to this device.
    #[test]
    fn a_first_party_client_is_not_asked_about_on_its_website() {
        let own = client(None, true);
        let https = authorization(Some("a"), "https://a/cb", Prompt::default());
        assert_eq!(step_of(&own, &https, &[]), Step::PassFirstParty(scope("a")));
        let none = authorization(Some("a"), "https://a/cb", Prompt { none: true, ..Prompt::default() });
        assert_eq!(step_of(&own, &none, &[]), Step::PassFirstParty(scope("a")));
        let loopback = authorization(Some("a"), "http://127.0.0.1:1/", Prompt::default());
        assert_eq!(step_of(&own, &loopback, &[]), Step::AskConsent(scope("a")));
        let again = authorization(Some("a"), "https://a/cb", Prompt { consent: true, ..Prompt::default() });
        assert_eq!(step_of(&own, &again, &[]), Step::AskConsent(scope("a")));
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    /// What was approved before of the client of [`step`].
    fn consent(redirect_uri: &str, text: &str) -> Consent {
        let client_digest = Some(client(None, false).metadata.digest());
        Consent { redirect_uri: redirect_uri.into(), scope: scope(text), offline: false, client_digest }
    }

    /// A-20, B-15: remembered only for the same redirect and scope, only where remembering is allowed, never loopback.
    #[test]
    fn consent_is_skipped_only_for_the_exact_remembered_approval() {
        let https = "https://chatgpt.com/cb";
        let past = |redirect: &str, text: &str| [consent(redirect, text)];
        let asked = authorization(Some("a"), https, Prompt::default());
        assert_eq!(step(&asked, Some(50), &past(https, "a"), true), Step::Continue(scope("a")));
        assert_eq!(step(&asked, Some(50), &past(https, "a"), false), Step::AskConsent(scope("a")));
        assert_eq!(step(&asked, Some(50), &past(https, "a b"), true), Step::AskConsent(scope("a")));
        assert_eq!(step(&asked, Some(50), &past("https://chatgpt.com/other", "a"), true), Step::AskConsent(scope("a")));
        let offline = {
            let mut asked = asked.clone();
            asked.request.offline = true;
            asked
        };
        assert_eq!(step(&offline, Some(50), &past(https, "a"), true), Step::AskConsent(scope("a")));
        let loopback = authorization(Some("a"), "http://127.0.0.1:1/", Prompt::default());
        assert_eq!(step(&loopback, Some(50), &past("http://127.0.0.1:1/", "a"), true), Step::AskConsent(scope("a")));
        let again = authorization(Some("a"), https, Prompt { consent: true, ..Prompt::default() });
        assert_eq!(step(&again, Some(50), &past(https, "a"), true), Step::AskConsent(scope("a")));
    }

    /// whatever the client says of itself, another word makes it another client; so does an approval from before
    /// its words were kept. The order of its words doesn't.
    #[test]
    fn a_client_that_changed_is_not_the_one_that_was_approved() {
        let https = "https://chatgpt.com/cb";
        let asked = authorization(Some("a"), https, Prompt::default());
        let uri = |text: &str| RedirectUri::from_stored(text).unwrap();
        let mut before = client(None, false);
        before.metadata.redirect_uris = vec![uri(https), uri("https://chatgpt.com/other")];
        before.metadata.auth_methods = vec![AuthMethod::None, AuthMethod::PrivateKeyJwt];
        let remembered = |digest: Option<String>, now: &Client| {
            let consents = [Consent { client_digest: digest, ..consent(https, "a") }];
            let (user, default_scope) = (UserId::new("usr_1"), scope("d"));
            let session = Some((&user, Timestamp(500)));
            let visitor = Visitor { session, consents: &consents, may_remember: true };
            let next = asked.next(&visitor, Offered { client: now, default_scope: &default_scope });
            assert!(matches!(next, Step::Continue(_) | Step::AskConsent(_)), "{next:?}");
            matches!(next, Step::Continue(_))
        };
        let digest = before.metadata.digest();
        assert!(remembered(Some(digest.clone()), &before));
        assert!(!remembered(None, &before) && !remembered(Some(String::new()), &before));
        let mut turned = before.clone();
        turned.metadata.redirect_uris.reverse();
        turned.metadata.auth_methods.reverse();
        assert!(remembered(Some(digest.clone()), &turned));
        let text = || Some("x".to_owned());
        let changes: [fn(&mut ClientMetadata, Option<String>); 13] = [
            |metadata, _| metadata.redirect_uris.truncate(1),
            |metadata, _| metadata.redirect_uris.push(RedirectUri::from_stored("https://evil.example/cb").unwrap()),
            |metadata, _| metadata.auth_methods.truncate(1),
            |metadata, text| metadata.keys = text.map(ClientKeys::Inline),
            |metadata, text| metadata.keys = text.map(ClientKeys::Uri),
            |metadata, _| metadata.grant_types.push("refresh_token".to_owned()),
            |metadata, _| metadata.scope = Scope::parse("z").unwrap(),
            |metadata, text| metadata.name = text,
            |metadata, text| metadata.uri = text,
            |metadata, text| metadata.tos_uri = text,
            |metadata, text| metadata.policy_uri = text,
            |metadata, text| metadata.software_id = text,
            |metadata, text| metadata.software_version = text,
        ];
        let mut digests = std::collections::BTreeSet::from([digest.clone()]);
        for change in changes {
            let mut now = before.clone();
            change(&mut now.metadata, text());
            assert!(!remembered(Some(digest.clone()), &now), "{:?}", now.metadata);
            assert!(digests.insert(now.metadata.digest()), "two changes look alike: {:?}", now.metadata);
        }
    }

    /// C1: no scope means the previous grant's, else the default.
    #[test]
    fn absent_scope_is_the_previous_grants_or_the_default() {
        let asked = authorization(None, "https://a/cb", Prompt::default());
        assert_eq!(step(&asked, Some(50), &[], true), Step::AskConsent(scope("d")));
        let before = [consent("https://a/cb", "a b")];
        assert_eq!(step(&asked, Some(50), &before, true), Step::Continue(scope("a b")));
    }

    ///
    #[test]
    fn prompt_is_obeyed() {
        let none = authorization(Some("a"), "https://a/cb", Prompt { none: true, ..Prompt::default() });
        assert_eq!(step(&none, None, &[], true), Step::LoginRequired);
        assert_eq!(step(&none, Some(50), &[], true), Step::ConsentRequired);
        let before = [consent("https://a/cb", "a")];
        assert_eq!(step(&none, Some(50), &before, true), Step::InteractionRequired);
        assert_eq!(step(&none, Some(50), &before, false), Step::ConsentRequired);
        let login = authorization(Some("a"), "https://a/cb", Prompt { login: true, ..Prompt::default() });
        assert_eq!(step(&login, Some(99), &[], true), Step::SignIn);
        assert_eq!(step(&login, Some(100), &[], true), Step::AskConsent(scope("a")));
        assert_eq!(step(&login, None, &[], true), Step::SignIn);
    }

    #[test]
    fn a_decision_is_final() {
        let mut asked = authorization(Some("a"), "https://a/cb", Prompt { none: true, ..Prompt::default() });
        asked.decision = Some(Decision::Denied);
        assert_eq!(step(&asked, None, &[], true), Step::TellDenied);
        asked.decision = Some(Decision::Approved(UserId::new("usr_1")));
        assert_eq!(step(&asked, None, &[], true), Step::HandOver);
    }
}
