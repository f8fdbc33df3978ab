//! The authorization request as this client builds it, and its answer as this client reads it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use known_clients::replica::{IssRule, StateForm, VerifierForm};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::Run;
use super::discovery::Found;
use super::exchange::encode;
use super::identity::Identity;
use super::person::{Asked, Expected};
use super::report::{Stopped, Trace, Why};
use super::shown::shown_url;

/// A code, and what belongs to it.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) code: String,
    pub(super) verifier: String,
}

/// What one authorization request varies.
#[derive(Debug)]
pub(super) struct Asks<'a> {
    pub(super) title: &'a str,
    pub(super) order: &'a [&'a str],
    /// Empty: not sent.
    pub(super) scope: &'a str,
    /// Empty: not sent.
    pub(super) resource: &'a str,
    /// Not checked on return when the client doesn't.
    pub(super) state: StateForm,
    pub(super) iss: IssRule,
}

/// Asks, lets the person answer, and takes the code.
pub(super) async fn authorize(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    asks: &Asks<'_>,
) -> Result<Code, Stopped> {
    let mut needs = format!("the browser sent to {}, to the character, with one code", identity.redirect_uri);
    if asks.state != StateForm::None {
        needs.push_str(", and state as it was sent");
    }
    if asks.iss == IssRule::Checked {
        needs.push_str(", and iss equal to the issuer where that is advertised");
    }
    trace
        .step(asks.title, needs, async |step| {
            let verifier = verifier(run, run.replica.verifier);
            let state = state(run, asks.state);
            let url = request(found, identity, asks, &verifier, state.as_deref());
            let expected = Expected { client_name: identity.name.as_deref(), redirect_uri: &identity.redirect_uri };
            let arrived = run.person().go(step, &url, &expected).await?;
            match arrived.asked {
                Asked::Nothing => step.note("no consent page came: it is a client of the server's own"),
                Asked::ToContinue => step.note("this approval is remembered: one click was enough"),
                Asked::Everything => {}
            }
            let code = read(run, found, asks, state.as_deref(), &arrived.url)?;
            step.note(format!("the answer came to {}", shown_url(&arrived.url)));
            Ok(Code { code, verifier })
        })
        .await
}

fn request(found: &Found, identity: &Identity, asks: &Asks<'_>, verifier: &str, state: Option<&str>) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let offline = asks.scope.split(' ').any(|own| own == "offline_access");
    let value = |name: &str| {
        let value = match name {
            "response_type" => "code",
            "client_id" => &identity.id,
            "redirect_uri" => &identity.redirect_uri,
            "code_challenge" => &challenge,
            "code_challenge_method" => "S256",
            "state" => state.unwrap_or_default(),
            "scope" => asks.scope,
            // The SDK's rule.
            "prompt" if offline => "consent",
            "resource" => asks.resource,
            _ => "",
        };
        value.to_owned()
    };
    let params: Vec<(&str, String)> =
        asks.order.iter().map(|name| (*name, value(name))).filter(|(_, value)| !value.is_empty()).collect();
    let endpoint = found.server.text("authorization_endpoint").unwrap_or_default();
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{separator}{}", encode(&params))
}

/// Reads the callback as the client does.
fn read(run: &Run<'_>, found: &Found, asks: &Asks<'_>, state: Option<&str>, callback: &str) -> Result<String, Why> {
    let name = run.name();
    let url = Url::parse(callback).map_err(|_| Why("the callback is no URL".to_owned()))?;
    let all = |name: &str| -> Vec<String> {
        url.query_pairs().filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect()
    };
    if let (Some(state), came) = (state, all("state"))
        && came != [state]
    {
        return Err(Why(match came.as_slice() {
            [] => format!("{name} gets no state back and throws the answer away"),
            [other] => format!("{name} sent state “{state}” and gets “{other}” back: not the same bytes"),
            _ => format!("{name} gets state {} times", came.len()),
        }));
    }
    if asks.iss == IssRule::Checked {
        judge_iss(run, found, &all("iss"))?;
    }
    if let Some(error) = all("error").first() {
        let words = all("error_description").join(" ");
        return Err(Why(match error.as_str() {
            "access_denied" => format!("the person was told as saying no: {error} ({words})"),
            _ => format!("{name} is told {error}: {words}"),
        }));
    }
    match all("code").as_slice() {
        [code] if !code.is_empty() => Ok(code.clone()),
        codes => Err(Why(format!("{name} needs exactly one code and gets {}", codes.len()))),
    }
}

fn judge_iss(run: &Run<'_>, found: &Found, iss: &[String]) -> Result<(), Why> {
    let (name, issuer) = (run.name(), found.server.issuer());
    match iss {
        [own] if own == issuer => Ok(()),
        [] if !found.server.flag("authorization_response_iss_parameter_supported") => Ok(()),
        [] => Err(Why(format!(
            "authorization_response_iss_parameter_supported is advertised and no iss came: {name} throws the answer away, lest another server's code be mixed in (RFC 9207)"
        ))),
        [other] => {
            Err(Why(format!("iss is “{other}”, the issuer “{issuer}”: {name} throws the answer away (RFC 9207)")))
        }
        _ => Err(Why(format!("{name} gets iss {} times", iss.len()))),
    }
}

fn state(run: &Run<'_>, form: StateForm) -> Option<String> {
    let bytes = (run.random)();
    match form {
        StateForm::None => None,
        StateForm::OauthS => Some(format!("oauth_s_{}", hex(&bytes).chars().take(32).collect::<String>())),
        // Whatever was drawn: `/`, `+` and `=` are there.
        StateForm::Base64 => Some(format!("/+{}", STANDARD.encode(bytes))),
        StateForm::UrlSafe => Some(URL_SAFE_NO_PAD.encode(bytes)),
        StateForm::Hex => Some(hex(&bytes)),
    }
}

fn verifier(run: &Run<'_>, form: VerifierForm) -> String {
    match form {
        VerifierForm::UrlSafe43 => URL_SAFE_NO_PAD.encode((run.random)()),
        VerifierForm::Hex64 => hex(&(run.random)()),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
