//! Tokens: the code exchange, refreshes and the revocation, each in this client's form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use known_clients::replica::SecretPlace;
use serde_json::Value;

use super::Run;
use super::authorization::Code;
use super::discovery::Found;
use super::exchange::{Came, Request};
use super::identity::Identity;
use super::report::{Step, Stopped, Trace, Why};
use super::schema::{self, Document};

/// What the client holds.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
}

/// How the client authenticates in token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    None,
    Post,
    Basic,
}

/// Redeems the code.
pub(super) async fn exchange(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    code: &Code,
) -> Result<Tokens, Stopped> {
    let needs = "200 with JSON: access_token, token_type; without a refresh_token it signs in anew each time";
    trace
        .step("Code for tokens", needs, async |step| {
            let values = [
                ("grant_type", "authorization_code"),
                ("code", &code.code),
                ("code_verifier", &code.verifier),
                ("redirect_uri", &identity.redirect_uri),
                ("resource", &found.resource),
            ];
            let request = token_request(run, found, identity, run.replica.exchange, &values)?;
            let tokens = read(run, &request.send(&run.http, step).await?, None)?;
            if tokens.refresh.is_none() {
                step.note(format!(
                    "no refresh_token came: {} asks the person to sign in again when the access token ends",
                    run.name()
                ));
            }
            Ok(tokens)
        })
        .await
}

/// Refreshes; with `race`, two processes do it at once with one token.
pub(super) async fn refresh(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    token: &str,
    race: bool,
) -> Result<Tokens, Stopped> {
    let (title, needs) = if race {
        ("Two processes refresh at once", "200 for both: the loser of the race must not log the person out")
    } else {
        ("Refresh", "200 with JSON and a new access_token; a new refresh_token replaces the old one")
    };
    trace
        .step(title, needs, async |step| {
            let values =
                [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", found.resource.as_str())];
            let request = token_request(run, found, identity, run.replica.refresh, &values)?;
            if race {
                let mut other = Step::new(String::new(), String::new());
                let (one, two) =
                    tokio::join!(request.clone().send(&run.http, step), request.send(&run.http, &mut other));
                step.exchanges.append(&mut other.exchanges);
                read(run, &one?, Some(token))?;
                return read(run, &two?, Some(token));
            }
            read(run, &request.send(&run.http, step).await?, Some(token))
        })
        .await
}

/// Revokes what the client holds, as ChatGPT does at Disconnect; for the others it cleans up.
pub(super) async fn revoke(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    identity: &Identity,
    tokens: &Tokens,
) -> Result<(), Stopped> {
    let needs = "200, whether or not the token was known (RFC 7009 §2.2)";
    trace
        .step("Revoke", needs, async |step| {
            let Some(endpoint) = found.server.text("revocation_endpoint") else {
                step.note(format!("no revocation_endpoint: what {} forgets stays good until it ends", run.name()));
                return Ok(());
            };
            let (token, hint) = match &tokens.refresh {
                Some(refresh) => (refresh, "refresh_token"),
                None => (&tokens.access, "access_token"),
            };
            let values = [("token", token.as_str()), ("token_type_hint", hint)];
            let order = &["token", "token_type_hint", "client_id", "client_secret"];
            let came = with_credentials(run, found, identity, Request::post(endpoint), order, &values)
                .send(&run.http, step)
                .await?;
            if came.status != 200 {
                return Err(Why(format!("the revocation is refused: {}", came.refusal())));
            }
            Ok(())
        })
        .await
}

fn token_request(
    run: &Run<'_>,
    found: &Found,
    identity: &Identity,
    order: &[&'static str],
    values: &[(&str, &str)],
) -> Result<Request, Why> {
    let endpoint = found.server.text("token_endpoint").ok_or("the server metadata lacks token_endpoint")?;
    Ok(with_credentials(run, found, identity, Request::post(endpoint), order, values))
}

/// Adds parameters and credentials. By Basic neither id nor secret is in the body.
fn with_credentials(
    run: &Run<'_>,
    found: &Found,
    identity: &Identity,
    request: Request,
    order: &[&'static str],
    values: &[(&str, &str)],
) -> Request {
    let method = method(run, found, identity);
    let value = |name: &str| -> &str {
        match name {
            "client_id" if method != Method::Basic => &identity.id,
            "client_secret" if method == Method::Post => identity.secret.as_deref().unwrap_or_default(),
            _ => values.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value),
        }
    };
    let params: Vec<(&str, String)> =
        order.iter().map(|name| (*name, value(name).to_owned())).filter(|(_, value)| !value.is_empty()).collect();
    let credentials = match method {
        Method::Basic => basic(&identity.id, identity.secret.as_deref().unwrap_or_default()),
        Method::None | Method::Post => String::new(),
    };
    request
        .header("accept", run.replica.token_accept)
        .form(&params)
        .header("authorization", credentials)
        .header("user-agent", run.replica.agents.token)
}

/// `Authorization: Basic` with id and secret as they are: clients don't percent-encode.
pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn method(run: &Run<'_>, found: &Found, identity: &Identity) -> Method {
    if identity.secret.is_none() {
        return Method::None;
    }
    if run.replica.secret == SecretPlace::Body {
        return Method::Post;
    }
    let supported = found.server.list("token_endpoint_auth_methods_supported").unwrap_or_default();
    let offers = |name: &str| supported.is_empty() || supported.contains(&name);
    match identity.method.as_deref() {
        Some("none") if offers("none") => Method::None,
        Some("client_secret_post") if offers("client_secret_post") => Method::Post,
        // Registered for Basic, or for nothing that is offered.
        _ if offers("client_secret_basic") => Method::Basic,
        _ if offers("client_secret_post") => Method::Post,
        _ => Method::None,
    }
}

/// Reads a token answer; `old` is the refresh token that was used, kept where no new one comes.
pub(super) fn read(run: &Run<'_>, came: &Came, old: Option<&str>) -> Result<Tokens, Why> {
    let name = run.name();
    if !came.is_good() {
        let then = match (came.status, old) {
            (300..=399, _) => ": a redirect loses the form",
            (500.., _) => ": it takes this for an outage and tries again later",
            (_, Some(_)) => ": it drops its tokens and asks the person to sign in again",
            (_, None) => ": the sign-in was for nothing",
        };
        return Err(Why(format!("{name} is refused ({}){then}", came.refusal())));
    }
    let reply = came.json()?;
    schema::check(run.replica.finds.reading, Document::Tokens, &reply)?;
    let text = |name: &str| reply.get(name).and_then(Value::as_str).map(str::to_owned);
    let refresh = text("refresh_token").or_else(|| old.map(str::to_owned));
    Ok(Tokens { access: text("access_token").unwrap_or_default(), refresh })
}
