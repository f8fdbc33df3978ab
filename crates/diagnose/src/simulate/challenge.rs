//! The first call, without a token, and the challenge that comes of it (RFC 9728 §5.1).

use known_clients::replica::Opening;
use url::Url;

use super::Run;
use super::conversation::initialize;
use super::exchange::{Came, Request};
use super::report::{Step, Stopped, Trace, Why};

/// What the challenge said.
#[derive(Clone, Debug, Default)]
pub(super) struct Challenge {
    pub(super) resource_metadata: Option<String>,
    pub(super) scope: Option<String>,
}

/// Calls without a token.
pub(super) async fn first_call(run: &Run<'_>, trace: &mut Trace) -> Result<Challenge, Stopped> {
    let needs = "401 with WWW-Authenticate: Bearer resource_metadata=\"…\": the sign that a sign-in is wanted";
    trace
        .step("First call, without a token", needs, async |step| {
            let agent = run.replica.agents.opening;
            let request = match run.replica.opening {
                Opening::EmptyPostAfterDocuments => Request::post(run.url()).header("accept", "*/*"),
                Opening::Initialize => Request::post(run.url())
                    .header("accept", run.replica.mcp_accept)
                    .json(initialize(run, run.replica.speaks.handshake())),
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
        300..=399 => "the answer is a redirect, which loses the call: something in front answers in the server's place"
            .to_owned(),
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

#[cfg(test)]
mod tests {
    use super::parameter;

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
}
