//! From the MCP URL to the authorization server: the first call, its challenge, and the two metadata documents, each
//! read as this client reads it (RFC 9728, RFC 8414).

use serde_json::Value;
use url::Url;

use super::Run;
use super::calls;
use super::exchange::{Came, Request};
use super::replica::{IssuerRule, Opening, PkceRule, ResourceRule, ScopeRule};
use super::report::{Step, Stopped, Trace, Why};
use super::schema::{Document, Reading};

/// What helps against two spellings of one address.
const SPELLING: &str = "Type in exactly what resource says, or make the server say what people type in";

/// What the challenge said.
#[derive(Clone, Debug, Default)]
struct Challenge {
    resource_metadata: Option<String>,
    scope: Option<String>,
}

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
    Ok(Found { resource: resource.resource, scope, server })
}

async fn first_call(run: &Run<'_>, trace: &mut Trace) -> Result<Challenge, Stopped> {
    let needs = "401 with WWW-Authenticate: Bearer resource_metadata=\"…\": the sign that a sign-in is wanted";
    trace
        .step("First call, without a token", needs, async |step| {
            let agent = run.replica.agents.opening;
            let request = match run.replica.opening {
                Opening::EmptyPostAfterDocuments => Request::post(run.url()).header("accept", "*/*"),
                Opening::Initialize => Request::post(run.url())
                    .header("accept", run.replica.mcp_accept)
                    .json(calls::initialize(run, run.replica.speaks.handshake())),
            };
            let came = request.header("user-agent", agent).send(&run.http, step).await?;
            judge_refusal(run, &came)?;
            Ok(read_challenge(run, step, &came))
        })
        .await
}

fn judge_refusal(run: &Run<'_>, came: &Came) -> Result<(), Why> {
    let name = &run.profile.name;
    // D-25, D-29, A8: what stands before the check of the token hides the challenge.
    let why = match came.status {
        401 => return Ok(()),
        200..=299 => format!("{name} looks for a challenge on a 401 only; this call was answered without any token"),
        300..=399 => {
            format!("the answer is a redirect, which loses the call: something in front answers in the server's place")
        }
        403 => format!("{name} takes a 403 without a token for a final no: a firewall or a bot filter in front?"),
        405 | 406 | 415 | 400 => {
            format!("the form of the request is judged before the token, so {name} never sees a challenge")
        }
        404 => "there is no MCP endpoint at this address; its path belongs to what people type in".to_owned(),
        _ => format!("{name} gives up on {}", came.status),
    };
    Err(Why(why))
}

/// Reads the first challenge as strictly as the client does (D-28).
fn read_challenge(run: &Run<'_>, step: &mut Step, came: &Came) -> Challenge {
    let name = &run.profile.name;
    let header = came.header("www-authenticate").unwrap_or_default();
    let (scheme, params) = header.split_once(' ').unwrap_or((header, ""));
    let spelled =
        if run.replica.finds.bearer_as_spelled { scheme == "Bearer" } else { scheme.eq_ignore_ascii_case("bearer") };
    if !spelled || params.is_empty() {
        step.note(format!("{name} finds no Bearer challenge in “{header}” and guesses the well-known addresses"));
        return Challenge::default();
    }
    let challenge = Challenge {
        resource_metadata: parameter(params, "resource_metadata").filter(|url| Url::parse(url).is_ok()),
        scope: parameter(params, "scope"),
    };
    if challenge.resource_metadata.is_none() {
        step.note(format!("the challenge names no resource_metadata; {name} guesses the well-known addresses"));
    }
    challenge
}

/// A parameter of a challenge, quoted or not: searched for as text, as the SDK does.
fn parameter(params: &str, name: &str) -> Option<String> {
    let (_, rest) = params.split_once(&format!("{name}="))?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([',', ' ']).next(),
    };
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

struct Resource {
    resource: String,
    servers: Vec<String>,
    scopes: Vec<String>,
}

async fn resource_metadata(run: &Run<'_>, trace: &mut Trace, challenge: &Challenge) -> Result<Resource, Stopped> {
    let rule = match run.replica.finds.resource {
        ResourceRule::Exact => "equal to the typed address, character by character",
        ResourceRule::Parsed => "the same URL as the typed address once both are parsed",
        ResourceRule::Covers => "of the same origin as the typed address, at its path or above it",
    };
    let needs = format!("200 with JSON: resource, {rule}, and authorization_servers with at least one entry");
    trace
        .step("Resource metadata", needs, async |step| {
            let document = fetch(run, step, &resource_places(run, challenge)?, "resource metadata").await?.1;
            run.replica.finds.reading.check(Document::Resource, &document)?;
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
            Ok(Resource { resource, servers, scopes: list("scopes_supported") })
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

async fn server_metadata(run: &Run<'_>, trace: &mut Trace, issuer: &str) -> Result<Server, Stopped> {
    let mut needs = "200 with JSON: issuer, authorization_endpoint, token_endpoint, response type code".to_owned();
    match run.replica.finds.issuer {
        IssuerRule::Exact => needs.push_str("; issuer equal to the authorization server's address"),
        IssuerRule::ButForASlash => {
            needs.push_str("; issuer equal to the authorization server's address, a slash aside")
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
            run.replica.finds.reading.check(kind, &document)?;
            if run.replica.finds.openid_too {
                look_for_openid(run, step, issuer).await?;
            }
            let server = Server(document);
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
            step.note(format!(
                "{place} answers {}; 404 is the answer where there is no such document (D-09)",
                came.status
            ));
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
        return Err(Why(format!(
            "{name} refuses a server whose code_challenge_methods_supported does not list S256 (D-13)"
        )));
    }
    if run.replica.finds.reading == Reading::Sdk && !server.lists("response_types_supported", "code") {
        return Err(Why(format!("{name} says: “Incompatible auth server: does not support response type code”")));
    }
    Ok(())
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

/// Asks for a document at each place until one answers; gives the place too.
async fn fetch(run: &Run<'_>, step: &mut Step, places: &[String], what: &str) -> Result<(String, Value), Why> {
    let mut last = String::new();
    for place in places {
        let came = get(run, place).send(&run.http, step).await?;
        match came.status {
            200 => return Ok((place.clone(), came.json()?)),
            // D-09: the SDKs try the next place after a 4xx only.
            status if status >= 500 => {
                return Err(Why(format!("{place} answers {status}, at which {} stops looking (D-09)", run.name())));
            }
            status @ 300..=399 => {
                last = format!("{place} answers {status}, a redirect: the document must be there itself")
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
    use serde_json::json;
    use url::Url;

    use super::{Challenge, ScopeRule, Server, covers, parameter, scope, server_places};

    /// D-28: quoted or not, and each parameter by its name.
    #[test]
    fn challenge_parameters_are_found_as_the_sdk_finds_them() {
        let text = "error=\"invalid_token\", scope=\"a b\", resource_metadata=\"https://h/x\"";
        assert_eq!(parameter(text, "resource_metadata").as_deref(), Some("https://h/x"));
        assert_eq!(parameter(text, "scope").as_deref(), Some("a b"));
        assert_eq!(
            parameter("resource_metadata=https://h/x, a=b", "resource_metadata").as_deref(),
            Some("https://h/x")
        );
        assert_eq!(parameter("scope=\"\"", "scope"), None);
    }

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
