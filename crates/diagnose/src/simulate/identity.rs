//! How the client makes itself known: by its document's URL, by registering, or by what a person typed in.

use known_clients::profile::AsksBy;
use known_clients::replica::{Callback, Member};
use serde_json::{Value, json};

use super::Run;
use super::discovery::{Found, Server};
use super::exchange::{Request, object};
use super::report::{Step, Stopped, Trace, Why};
use super::schema::{self, Document};

/// Who the client is at this server, and where its answers go.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) secret: Option<String>,
    /// The authentication method that the registration named.
    pub(super) method: Option<String>,
    /// The name that the consent page must show, where it is known.
    pub(super) name: Option<String>,
    pub(super) redirect_uri: String,
}

/// Makes the client known, as it prefers. `again` is a reconnection.
pub(super) async fn identify(
    run: &Run<'_>,
    trace: &mut Trace,
    found: &Found,
    scope: &str,
    again: bool,
) -> Result<Identity, Stopped> {
    let needs = "a client id: by its metadata document if the server takes documents, else by registering";
    trace
        .step("Identity", needs, async |step| {
            let redirect_uri = callback(run, &found.server, again);
            match way(run, step, &found.server)? {
                AsksBy::Document => document(run, step, &found.server, redirect_uri),
                AsksBy::Registration => register(run, step, found, scope, redirect_uri).await,
                AsksBy::Typed => Ok(Identity {
                    id: run.options.client_id.clone().unwrap_or_default(),
                    secret: run.options.client_secret.clone(),
                    method: None,
                    name: None,
                    redirect_uri,
                }),
            }
        })
        .await
}

/// Which way this client goes here.
fn way(run: &Run<'_>, step: &mut Step, server: &Server) -> Result<AsksBy, Why> {
    let name = run.name();
    if let Some(wanted) = run.options.identity {
        return Ok(wanted);
    }
    if run.options.client_id.is_some() {
        return Ok(AsksBy::Typed);
    }
    if let Some(document) = run.replica.document
        && server.flag("client_id_metadata_document_supported")
    {
        if !document.wants_none || server.lists("token_endpoint_auth_methods_supported", "none") {
            return Ok(AsksBy::Document);
        }
        step.note(format!(
            "{name} uses its document only where token_endpoint_auth_methods_supported lists none; it registers instead"
        ));
    }
    if server.text("registration_endpoint").is_some() {
        return Ok(AsksBy::Registration);
    }
    Err(Why(format!(
        "this server takes neither {name}'s document nor a registration: {name} asks the person for a client id. Register one for {} and give it by --client-id",
        callback(run, server, false)
    )))
}

/// The same client, whose first port is taken this time.
pub(super) fn at_another_port(run: &Run<'_>, found: &Found, identity: &Identity) -> Identity {
    Identity { redirect_uri: callback(run, &found.server, true), ..identity.clone() }
}

fn callback(run: &Run<'_>, server: &Server, again: bool) -> String {
    match run.replica.callback {
        Callback::Hosted(text) | Callback::Scheme(text) => text.to_owned(),
        // C-08: who sends `iss` is told apart by it, so one address does for all.
        Callback::ChatGpt if server.flag("authorization_response_iss_parameter_supported") => {
            "https://chatgpt.com/connector_platform_oauth_redirect".to_owned()
        }
        Callback::ChatGpt => format!("https://chatgpt.com/connector/oauth/{}", run.connector),
        Callback::Loopback { before, after, first_port } => {
            let port = first_port.filter(|_| !again).unwrap_or_else(|| run.free_port());
            format!("{before}{port}{after}")
        }
    }
}

fn document(run: &Run<'_>, step: &mut Step, server: &Server, redirect_uri: String) -> Result<Identity, Why> {
    let name = run.name();
    let Some(own) = run.replica.document else { return Err(Why(format!("{name} has no metadata document"))) };
    let Some(usual) = run.profile.identities().next() else {
        return Err(Why(format!("{name} has no metadata document whose address is known")));
    };
    if !server.flag("client_id_metadata_document_supported") {
        return Err(Why(format!(
            "{name} sends its document's address only where client_id_metadata_document_supported is true (the word, not a text)"
        )));
    }
    if !server.lists("token_endpoint_auth_methods_supported", "none") {
        return Err(Why(format!(
            "this server lists no authentication method none; {name} would sign with a key of its vendor's, which nobody else can play"
        )));
    }
    let own_document = matches!(run.replica.callback, Callback::ChatGpt)
        && !server.flag("authorization_response_iss_parameter_supported");
    let id = if own_document {
        format!("https://chatgpt.com/oauth/{}/client.json", run.connector)
    } else {
        usual.to_owned()
    };
    step.note(format!("by its metadata document: {id}"));
    Ok(Identity { id, secret: None, method: Some("none".to_owned()), name: Some(own.name.to_owned()), redirect_uri })
}

async fn register(
    run: &Run<'_>,
    step: &mut Step,
    found: &Found,
    scope: &str,
    redirect_uri: String,
) -> Result<Identity, Why> {
    let name = run.name();
    let Some(endpoint) = found.server.text("registration_endpoint") else {
        return Err(Why(format!("{name} can't register: the server names no registration_endpoint")));
    };
    let body = registration(run, &found.server, scope, &redirect_uri);
    let came = Request::post(endpoint)
        .header("accept", "*/*")
        .json(body)
        .header("user-agent", run.replica.agents.token)
        .send(&run.http, step)
        .await?;
    if !came.is_good() {
        let hint = if (300..400).contains(&came.status) { " (a redirect loses the body)" } else { "" };
        return Err(Why(format!("{name} can't register: {}{hint}", came.refusal())));
    }
    let reply = came.json()?;
    schema::check(run.replica.finds.reading, Document::Registration, &reply)?;
    let text = |name: &str| reply.get(name).and_then(Value::as_str).map(str::to_owned);
    let identity = Identity {
        id: text("client_id").unwrap_or_default(),
        secret: text("client_secret"),
        method: text("token_endpoint_auth_method"),
        name: Some(run.replica.registers.name.to_owned()),
        redirect_uri,
    };
    let kept = reply.get("redirect_uris").and_then(Value::as_array);
    // On loopback the port is open (RFC 8252 §7.3): whether it is, the authorization request shows.
    let dropped = kept.is_some_and(|own| !own.iter().any(|uri| uri.as_str() == Some(&identity.redirect_uri)))
        && !matches!(run.replica.callback, Callback::Loopback { .. });
    if dropped {
        return Err(Why(format!(
            "the registration was accepted without {}, where {name} wants its answer",
            identity.redirect_uri
        )));
    }
    if identity.secret.is_none() && identity.method.as_deref().is_some_and(|own| own.starts_with("client_secret")) {
        return Err(Why(format!("{name} was registered for a secret and got none")));
    }
    Ok(identity)
}

/// The registration's body, members in this client's order.
fn registration(run: &Run<'_>, server: &Server, scope: &str, redirect_uri: &str) -> String {
    let registers = &run.replica.registers;
    let members = registers.members.iter().filter_map(|(name, member)| {
        let value = match member {
            Member::Name => json!(registers.name),
            Member::Text(text) => json!(text),
            Member::List(items) => json!(items),
            Member::Callback => json!([redirect_uri]),
            Member::GrantsOffered(own) => match server.list("grant_types_supported") {
                Some(offered) => {
                    json!(own.iter().filter(|grant| offered.contains(grant)).collect::<Vec<_>>())
                }
                None => json!(own),
            },
            Member::Scope if scope.is_empty() => return None,
            Member::Scope | Member::ScopeOrEmpty => json!(scope),
        };
        Some((*name, value.to_string()))
    });
    object(&members.collect::<Vec<_>>())
}
