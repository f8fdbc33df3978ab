//! The two metadata documents, found and judged as this client does it (RFC 9728, RFC 8414).

use known_clients::replica::{IssuerRule, PkceRule, Reading, ResourceRule};
use serde_json::Value;
use url::Url;

use super::Run;
use super::challenge::Challenge;
use super::discovery::Server;
use super::exchange::Request;
use super::report::{Step, Stopped, Trace, Why};
use super::schema::{self, Document};

/// What helps against two spellings of one address.
const SPELLING: &str = "Type in exactly what resource says, or make the server say what people type in";

/// What the resource metadata says.
pub(super) struct Resource {
    /// `resource`, as spelled there.
    pub(super) url: String,
    pub(super) servers: Vec<String>,
    pub(super) scopes: Vec<String>,
}

/// Reads the resource's document.
pub(super) async fn resource_metadata(
    run: &Run<'_>,
    trace: &mut Trace,
    challenge: &Challenge,
) -> Result<Resource, Stopped> {
    let rule = match run.replica.finds.resource {
        ResourceRule::Exact => "equal to the typed address, character by character",
        ResourceRule::Parsed => "the same URL as the typed address once both are parsed",
        ResourceRule::Covers => "of the same origin as the typed address, at its path or above it",
    };
    let needs = format!("200 with JSON: resource, {rule}, and authorization_servers with at least one entry");
    trace
        .step("Resource metadata", needs, async |step| {
            let document = fetch(run, step, &resource_places(run, challenge)?, "resource metadata").await?.1;
            schema::check(run.replica.finds.reading, Document::Resource, &document)?;
            let list = |name: &str| -> Vec<String> {
                let items = document.get(name).and_then(Value::as_array);
                items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            };
            let resource = document.get("resource").and_then(Value::as_str).unwrap_or_default().to_owned();
            judge_resource(run, &resource)?;
            let servers = list("authorization_servers");
            if servers.is_empty() {
                return Err(Why(format!(
                    "authorization_servers is empty: {} doesn't know where to sign in",
                    run.name()
                )));
            }
            if servers.len() > 1 {
                step.note(format!("of {} authorization_servers only the first is used", servers.len()));
            }
            Ok(Resource { url: resource, servers, scopes: list("scopes_supported") })
        })
        .await
}

/// Where the resource metadata is looked for, in order (D-02).
fn resource_places(run: &Run<'_>, challenge: &Challenge) -> Result<Vec<String>, Why> {
    let typed = parse(run.url())?;
    let root = format!("{}/.well-known/oauth-protected-resource", typed.origin().ascii_serialization());
    let inserted = format!("{root}{}", typed.path().trim_end_matches('/'));
    if run.replica.finds.path_inserted_only {
        return Ok(vec![inserted]);
    }
    Ok(match &challenge.resource_metadata {
        Some(named) => vec![named.clone()],
        None if inserted == root => vec![root],
        None => vec![inserted, root],
    })
}

fn judge_resource(run: &Run<'_>, resource: &str) -> Result<(), Why> {
    let typed = run.url();
    let name = run.name();
    match run.replica.finds.resource {
        ResourceRule::Exact if resource != typed => Err(Why(format!(
            "{name} needs resource to equal the address that was typed in, character by character: it is “{resource}”, typed was “{typed}”. {SPELLING}"
        ))),
        ResourceRule::Parsed if parse(resource)? != parse(typed)? => Err(Why(format!(
            "{name} drops this document: resource “{resource}” is not the typed address “{typed}” (its log: “does not match target server url”). It would go on by guessing, without naming a resource. {SPELLING}"
        ))),
        ResourceRule::Covers if !covers(&parse(resource)?, &parse(typed)?) => Err(Why(format!(
            "{name} says: “Protected resource {resource} does not match expected {typed} (or origin)”. {SPELLING}"
        ))),
        ResourceRule::Exact | ResourceRule::Parsed | ResourceRule::Covers => Ok(()),
    }
}

/// The SDK's rule: the same origin, and a path that begins with the resource's, at least as long.
fn covers(resource: &Url, typed: &Url) -> bool {
    let with_slash = |url: &Url| format!("{}/", url.path().trim_end_matches('/'));
    resource.origin() == typed.origin()
        && typed.path().len() >= resource.path().len()
        && with_slash(typed).starts_with(&with_slash(resource))
}

/// Reads the authorization server's document.
pub(super) async fn server_metadata(run: &Run<'_>, trace: &mut Trace, issuer: &str) -> Result<Server, Stopped> {
    let mut needs = "200 with JSON: issuer, authorization_endpoint, token_endpoint, response type code".to_owned();
    match run.replica.finds.issuer {
        IssuerRule::Exact => needs.push_str("; issuer equal to the authorization server's address"),
        IssuerRule::ButForASlash => {
            needs.push_str("; issuer equal to the authorization server's address, a slash aside");
        }
        IssuerRule::Unchecked => {}
    }
    if run.replica.finds.pkce == PkceRule::MustBeListed {
        needs.push_str("; code_challenge_methods_supported with S256");
    }
    trace
        .step("Authorization server metadata", needs, async |step| {
            let places = server_places(issuer)?;
            let (place, document) = fetch(run, step, &places, "server metadata").await?;
            let kind = if place.contains("openid-configuration") { Document::OpenId } else { Document::Server };
            schema::check(run.replica.finds.reading, kind, &document)?;
            if run.replica.finds.openid_too {
                look_for_openid(run, step, issuer).await?;
            }
            let server = Server::new(document);
            judge_server(run, issuer, &server)?;
            Ok(server)
        })
        .await
}

/// The probe order that the specification gives (D-11).
fn server_places(issuer: &str) -> Result<Vec<String>, Why> {
    let url = parse(issuer)?;
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    Ok(places)
}

async fn look_for_openid(run: &Run<'_>, step: &mut Step, issuer: &str) -> Result<(), Why> {
    for place in server_places(issuer)?.iter().filter(|place| place.contains("openid-configuration")) {
        let came = get(run, place).send(&run.http, step).await?;
        if came.status >= 500 {
            step.note(format!("{place} answers {}; 404 is the answer where there is no such document", came.status));
        }
    }
    Ok(())
}

fn judge_server(run: &Run<'_>, expected: &str, server: &Server) -> Result<(), Why> {
    let (name, issuer) = (run.name(), server.issuer());
    let same = match run.replica.finds.issuer {
        IssuerRule::Exact => issuer == expected,
        IssuerRule::ButForASlash => issuer == expected || expected.strip_suffix('/') == Some(issuer),
        IssuerRule::Unchecked => true,
    };
    if !same {
        return Err(Why(format!(
            "{name} refuses server metadata whose issuer “{issuer}” is not “{expected}”, which the resource metadata names (RFC 8414 §3.3)"
        )));
    }
    let methods = server.list("code_challenge_methods_supported");
    let s256 = methods.as_ref().is_some_and(|own| own.contains(&"S256"));
    let wanted = match run.replica.finds.pkce {
        PkceRule::MustBeListed => true,
        PkceRule::IfListed => methods.is_some(),
        PkceRule::Unchecked => false,
    };
    if wanted && !s256 {
        return Err(Why(format!("{name} refuses a server whose code_challenge_methods_supported does not list S256")));
    }
    if run.replica.finds.reading == Reading::Sdk && !server.lists("response_types_supported", "code") {
        return Err(Why(format!("{name} says: “Incompatible auth server: does not support response type code”")));
    }
    Ok(())
}

/// Asks for a document at each place until one answers; gives the place too.
async fn fetch(run: &Run<'_>, step: &mut Step, places: &[String], what: &str) -> Result<(String, Value), Why> {
    let mut last = String::new();
    for place in places {
        let came = get(run, place).send(&run.http, step).await?;
        match came.status {
            200 => return Ok((place.clone(), came.json()?)),
            // D-09: the SDKs try the next place after a 4xx only.
            status if status >= 500 => {
                return Err(Why(format!("{place} answers {status}, at which {} stops looking", run.name())));
            }
            status @ 300..=399 => {
                last = format!("{place} answers {status}, a redirect: the document must be there itself");
            }
            status => last = format!("{place} answers {status}"),
        }
    }
    Err(Why(format!("{} finds no {what}: {last}", run.name())))
}

fn get(run: &Run<'_>, place: &str) -> Request {
    let mut request = Request::get(place);
    for (name, value) in run.replica.finds.headers {
        request = request.header(name, *value);
    }
    request.header("user-agent", run.replica.agents.discovery)
}

fn parse(url: &str) -> Result<Url, Why> {
    Url::parse(url).map_err(|_| Why(format!("“{url}” is no URL")))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{covers, server_places};

    /// D-03: the SDK takes the same path or one above, and no longer one.
    #[test]
    fn a_resource_covers_its_own_path_and_those_below() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (resource, typed, good) in [
            ("https://h/mcp", "https://h/mcp", true),
            ("https://h/", "https://h/mcp", true),
            ("https://h/mcp/", "https://h/mcp", false),
            ("https://h/mcp", "https://h/mcp/", true),
            ("https://h/api", "https://h/api123", false),
            ("http://h/mcp", "https://h/mcp", false),
        ] {
            assert_eq!(covers(&url(resource), &url(typed)), good, "{resource} {typed}");
        }
    }

    /// D-11.
    #[test]
    fn places_follow_the_specified_order() {
        assert_eq!(
            server_places("https://h").unwrap(),
            ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"]
        );
        assert_eq!(
            server_places("https://h/t1").unwrap(),
            [
                "https://h/.well-known/oauth-authorization-server/t1",
                "https://h/.well-known/openid-configuration/t1",
                "https://h/t1/.well-known/openid-configuration"
            ]
        );
    }
}
