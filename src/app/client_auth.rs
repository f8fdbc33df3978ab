//! Client authentication at the token and revocation endpoints (OAuth 2.1 §2.4): who calls, proved by the one
//! method that the client registered.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth::cause::Cause;
use oauth::client::AuthMethod;
use oauth::error::Refusal;
use oauth::id::ClientId;
use oauth::params::Params;
use oauth::time::Timestamp;

use super::{App, assertion};
use crate::model::client::Client;
use crate::model::secret::Secret;
use crate::response::respond::Rejection;

/// What a request presents as its client's credentials.
#[derive(Debug)]
struct Credentials {
    method: AuthMethod,
    client_id: Option<String>,
    /// The secret as it came, and as it reads when it was percent-encoded (RFC 6749 §2.3.1): clients do both.
    secrets: Vec<Secret>,
    /// An assertion (RFC 7523 §2.2).
    assertion: Option<String>,
}

/// Authenticates the client of a request. `owner` is the client that the request's token belongs to, if
/// that was just read: it need not be read again, and it is the client of a request that names none. Some send a
/// refresh token and nothing else (I6), which is enough for a public client, whose id proves nothing anyway.
///
/// # Errors
/// `invalid_request` for two methods at once, `invalid_client` (401) for an unknown client or a wrong proof.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    owner: Option<Client>,
    now: Timestamp,
) -> Result<Client, Rejection> {
    let credentials = credentials(headers, params)?;
    let by_header = headers.contains_key(header::AUTHORIZATION);
    let refuse = |cause: Cause, text: &str, detail: String| {
        let refusal = Refusal::invalid_client(text).because(cause).with_detail(detail);
        if by_header { Rejection::RefusedBasic(refusal) } else { Rejection::Refused(refusal) }
    };
    let named = credentials.client_id.is_some();
    let unknown = "this client is not registered here; register again";
    let client_id = credentials.client_id.as_deref().map(ClientId::parse).transpose();
    let client_id = client_id.map_err(|why| refuse(Cause::ClientUnknown, unknown, format!("client_id: {why}")))?;
    let Some(client_id) = client_id.or_else(|| owner.as_ref().map(|owner| owner.id.clone())) else {
        return Err(refuse(
            Cause::ClientAuthentication,
            "client_id is missing; send it in the body, or id and secret with HTTP Basic",
            String::new(),
        ));
    };
    let found = match owner {
        Some(owner) if owner.id == client_id => Some(owner),
        Some(_) | None => app.store.find_client(&client_id).await?,
    };
    let Some(client) = found.filter(|client| client.deleted_at.is_none()) else {
        return Err(refuse(Cause::ClientUnknown, unknown, format!("client {client_id:?} is unknown")));
    };
    if client.disabled_at.is_some() {
        return Err(refuse(
            Cause::ClientDisabled,
            "an administrator has disabled this client",
            format!("client {client_id}"),
        ));
    }
    let accepted = &client.metadata.auth_methods;
    if !accepted.contains(&credentials.method) {
        let ways = accepted.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" or ");
        let text = if client.metadata.is_public() && !credentials.secrets.is_empty() {
            "this client registered as public (none); send client_id without a secret".to_owned()
        } else {
            format!("this client registered {ways}; authenticate that way")
        };
        return Err(refuse(
            Cause::ClientAuthentication,
            &text,
            format!("client {client_id} came with {}", credentials.method.as_str()),
        ));
    }
    match credentials.method {
        AuthMethod::None => Ok(client),
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
            let right = named && credentials.secrets.iter().any(|secret| client.secrets.accept(&secret.hash(), now));
            if right {
                Ok(client)
            } else {
                Err(refuse(Cause::ClientAuthentication, "the client secret is wrong", format!("client {client_id}")))
            }
        }
        AuthMethod::PrivateKeyJwt => {
            let assertion = credentials.assertion.as_deref().unwrap_or_default();
            match assertion::judge(app, &client, assertion, now).await? {
                Ok(()) => Ok(client),
                Err(refusal) => Err(refusal.into()),
            }
        }
    }
}

fn credentials(headers: &HeaderMap, params: &Params) -> Result<Credentials, Rejection> {
    let (body_id, body_secret) = (params.one("client_id")?, params.one("client_secret")?);
    if let Some((assertion, client_id)) = assertion::presented(params)? {
        // one way of authenticating at a time.
        if body_secret.is_some() || headers.contains_key(header::AUTHORIZATION) {
            return Err(Refusal::invalid_request(
                "the client authenticates twice: use client_assertion alone, or none of it",
            )
            .into());
        }
        // client_id may be left out; a wrong one is found when the assertion is judged.
        let client_id = Some(body_id.map_or(client_id, str::to_owned));
        let method = AuthMethod::PrivateKeyJwt;
        return Ok(Credentials { method, client_id, secrets: Vec::new(), assertion: Some(assertion) });
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        let method = if body_secret.is_some() { AuthMethod::ClientSecretPost } else { AuthMethod::None };
        return Ok(Credentials {
            method,
            client_id: body_id.map(str::to_owned),
            secrets: body_secret.map(Secret::presented).into_iter().collect(),
            assertion: None,
        });
    };
    if values.next().is_some() {
        return Err(Refusal::invalid_request("two Authorization headers").into());
    }
    let broken = || {
        Rejection::RefusedBasic(Refusal::invalid_client(
            "the Authorization header is not HTTP Basic with base64 of id:secret",
        ))
    };
    let text = value.to_str().map_err(|_| broken())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(broken)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(broken());
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| broken())?;
    let decoded = String::from_utf8(decoded).map_err(|_| broken())?;
    // D9: the id of a metadata document has a colon of its own, and comes with an empty secret.
    let pair = if decoded.starts_with("https:") { decoded.rsplit_once(':') } else { decoded.split_once(':') };
    let (raw_id, raw_secret) = pair.ok_or_else(broken)?;
    // more than one method is refused; an empty secret in the header (Insomnia's way of saying "none",
    // D8) is no method.
    if !raw_secret.is_empty() && body_secret.is_some() {
        return Err(Refusal::invalid_request(
            "the client authenticates twice: use the Authorization header or the body",
        )
        .into());
    }
    let id = form_decoded(raw_id).unwrap_or_else(|| raw_id.to_owned());
    if body_id.is_some_and(|body_id| body_id != id && body_id != raw_id) {
        return Err(Refusal::invalid_request("client_id in the body differs from the Authorization header").into());
    }
    if raw_secret.is_empty() {
        let method = if body_secret.is_some() { AuthMethod::ClientSecretPost } else { AuthMethod::None };
        let secrets = body_secret.map(Secret::presented).into_iter().collect();
        return Ok(Credentials { method, client_id: Some(id), secrets, assertion: None });
    }
    let mut secrets = vec![Secret::presented(raw_secret)];
    secrets.extend(form_decoded(raw_secret).filter(|decoded| decoded != raw_secret).map(Secret::presented));
    Ok(Credentials { method: AuthMethod::ClientSecretBasic, client_id: Some(id), secrets, assertion: None })
}

/// The text as `application/x-www-form-urlencoded` reads it, if it can be read so.
fn form_decoded(text: &str) -> Option<String> {
    let pair = format!("v={}", text.replace('&', "%26"));
    let params = Params::parse(pair.as_bytes()).ok()?;
    params.first("v").map(str::to_owned)
}
