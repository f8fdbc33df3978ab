//! What each rule says: what happened, what did not arrive, and what to do about it, in words for whoever runs the
//! server.

use std::collections::BTreeSet;

use oauth::cause::Cause;

use super::case::Step;
use super::rules::{Finding, Judge};
use crate::model::attempt::{Outcome, Stage};

fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// E1: it was let in, and its calls never arrive. What differs between the requests that came and those that don't is
/// the program's name and its network.
pub(super) fn no_call_since_token(judge: &Judge<'_>) -> Finding {
    let name = judge.name();
    let all = || judge.case.profile.iter().flat_map(|profile| &profile.agents).map(String::as_str);
    // Those under which it came through are not what is dropped.
    let came = |agent: &str| {
        let word = agent.to_ascii_lowercase();
        judge.case.steps.iter().any(|step| step.recorded.event.agent.to_ascii_lowercase().contains(&word))
    };
    let mut agents: Vec<&str> = all().filter(|agent| !came(agent)).collect();
    if agents.is_empty() {
        agents = all().collect();
    }
    let calls_as = if agents.is_empty() { String::new() } else { format!(" It calls as {}.", agents.join(" or ")) };
    let what = format!(
        "{name} got its tokens, and no call with them has arrived since. Something in front of this server most likely \
         drops its calls: they come under another User-Agent, or from another network, than the sign-in did.{calls_as}"
    );
    let mut remedy = vec![
        format!(
            "Cloudflare: Security > Settings (or Bots), turn off Block AI bots and Bot Fight Mode for this host; AI Crawl \
             Control > Crawlers, allow {}; then look under Security > Events for what was blocked.",
            if agents.is_empty() { "the client".to_owned() } else { agents.join(", ") }
        ),
        "Cloudflare, other way: Security > WAF > Custom rules, a rule with the action Skip for this host and the paths \
         /mcp and /.well-known."
            .to_owned(),
        "Other firewalls, bot filters and access proxies (AWS WAF, Akamai, an identity-aware proxy): let POST to the MCP \
         path through without a challenge or a sign-in of theirs."
            .to_owned(),
    ];
    let networks: Vec<String> =
        judge.case.profile.iter().flat_map(|profile| &profile.networks).map(ToString::to_string).collect();
    if !networks.is_empty() {
        remedy.push(format!("{name} calls from {}: allow that network.", networks.join(", ")));
    }
    remedy
        .push("Then connect again, or ask something that needs a tool, and look at this attempt once more.".to_owned());
    Finding::bad("no_call_since_token", what, remedy)
}

/// E7, A6: calls arrive after the token was issued, without it.
pub(super) fn without_token(judge: &Judge<'_>, bare: &Step) -> Finding {
    if bare.is_for(&[Cause::TokenMissing]) {
        let what = format!(
            "{} got its tokens; calls arrive since, and without an Authorization header. A proxy in between removes it.",
            judge.name()
        );
        let remedy = texts(&[
            "nginx: check for proxy_set_header Authorization \"\" and for auth_basic or auth_request on this location.",
            "Apache: set CGIPassAuth On, or RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}].",
            "Access proxies (oauth2-proxy, IAP, Cloudflare Access): exempt the MCP path; they take the header for their own.",
            "`portcullis doctor` shows from outside whether the header arrives.",
        ]);
        return Finding::bad("authorization_header_stripped", what, remedy);
    }
    let what = format!("{} got its tokens; its calls are refused: {}.", judge.name(), Judge::told(bare));
    Finding::bad("calls_refused", what, remedy(judge, bare))
}

/// What helps against a refusal: one place for every cause.
fn remedy(judge: &Judge<'_>, refused: &Step) -> Vec<String> {
    let Some(cause) = refused.recorded.event.cause else { return vec![judge.start_over()] };
    match cause {
        Cause::HostNotAllowed => texts(&[
            "Make the proxy pass the original Host on (nginx: proxy_set_header Host $host;), or list the name it sends in mcp.allowed_hosts.",
        ]),
        Cause::OriginNotAllowed => {
            texts(&["List the page's origin in mcp.allowed_origins, if its people may use this server."])
        }
        Cause::ScopeInsufficient => vec![
            format!("Connect again and allow the missing scope; {} has to ask for it.", judge.name()),
            "Add the scope to scopes.default, so that every client asks for enough at once.".to_owned(),
        ],
        Cause::TokenExpired => texts(&[
            "Connect again in the client.",
            "If it never refreshes, let its access tokens live longer (tokens.access_ttl, or this client's own): revocation still bites at once here.",
        ]),
        Cause::TokenRevoked => texts(&["The connection was ended. Connect again in the client."]),
        Cause::TokenElsewhere => texts(&[
            "The token is for another address: public_url or paths.mcp was changed since. Connect again in the client.",
        ]),
        Cause::VersionUnsupported | Cause::MessageUnfit => {
            texts(&["The client speaks the protocol in a way that this server does not know: update both."])
        }
        Cause::VerifierUnfit => texts(&[
            "PKCE does not fit: the code_verifier must be the one whose SHA-256 was sent. A client with PKCE switched half on does this; choose S256 (SHA-256) in its settings.",
        ]),
        Cause::RedirectUriDiffers => texts(&[
            "The redirect_uri of the token request must be the very one of the authorization request, or be left out.",
        ]),
        Cause::ClientAuthentication => vec![format!(
            "The client proves itself in another way than it registered, or with an old secret. {}",
            judge.start_over()
        )],
        Cause::ResourceUnknown => texts(&[
            "The resource must be this server's MCP address as its metadata gives it. Type exactly that address into the client.",
        ]),
        Cause::CodeExpired => {
            texts(&["The code came too late. Connect again; if it is always late, lengthen tokens.code_ttl."])
        }
        Cause::CodeUnknown => texts(&[
            "The code is none of this server's, or so old that it was forgotten. Connect again; if it stays so, the client sends another code than it got, or the token request reaches another server than the browser did.",
        ]),
        Cause::CodeOfAnotherClient => vec![format!(
            "The code was issued to another client id than the one that came to exchange it. {}",
            judge.start_over()
        )],
        Cause::DocumentUnfetched => texts(&[
            "This server must reach that address: check its way out, or name a proxy in documents.proxy.",
            "If the client's server turns this one away, put a copy of its document into documents.copies_folder.",
        ]),
        Cause::DocumentUnfit | Cause::DocumentNotAllowed => texts(&[
            "The client's maker has to mend the document; documents.policy and documents.allowed say whose count here.",
        ]),
        Cause::RedirectUriUnregistered => vec![
            "Set the callback address in the client to one that it registered, to the character; or let it register anew.".to_owned(),
            judge.start_over(),
        ],
        Cause::ChallengeUnfit => texts(&["Switch PKCE on in the client and choose S256 (SHA-256)."]),
        Cause::ScopeUnfit => texts(&["Leave the scope empty in the client, or take those that the metadata lists."]),
        Cause::AnotherBrowser | Cause::FormUnfit => {
            texts(&["Finish in the browser in which it began, with cookies allowed for this site."])
        }
        Cause::ClientDisabled => texts(&[
            "An administrator has disabled this client: `portcullis client enable ID` lets it in again.",
        ]),
        Cause::RateLimited => texts(&[
            "Wait a minute and connect again. If many people share the network, raise the numbers under limits; behind a proxy, list it in limits.trusted_proxies, so that people are told apart.",
        ]),
        Cause::RegistrationClosed => texts(&[
            "Registration is closed (registration.policy): give the client the token, or an id of its own.",
        ]),
        Cause::RedirectUriUnfit => {
            texts(&["If the callback is right, allow its scheme in registration.private_use_schemes."])
        }
        Cause::MetadataUnfit | Cause::RegistrationToken => {
            texts(&["Give the client an id of its own instead, and type it into its settings."])
        }
        Cause::Asked
        | Cause::AskedToContinue
        | Cause::Allowed
        | Cause::AllowedFirstParty
        | Cause::Repeated
        | Cause::Readopted
        | Cause::AlreadyRegistered
        | Cause::RegistrationChanged
        | Cause::RegistrationDeleted
        | Cause::Disconnected
        | Cause::TokenGivenBack
        | Cause::Malformed
        | Cause::TooLarge
        | Cause::NotFound
        | Cause::WrongMethod
        | Cause::ClientUnknown
        | Cause::ClientDeleted
        | Cause::NotOffered
        | Cause::RequestExpired
        | Cause::AlreadyDone
        | Cause::ServerMoved
        | Cause::LoginRequired
        | Cause::InteractionRequired
        | Cause::Denied
        | Cause::CredentialsWrong
        | Cause::LockedOut
        | Cause::LinkUnfit
        | Cause::CodeReplayed
        | Cause::RefreshUnknown
        | Cause::RefreshExpired
        | Cause::RefreshReplayed
        | Cause::RefreshOvertaken
        | Cause::RefreshNotAllowed
        | Cause::ScopeWithdrawn
        | Cause::ResourceNotServed
        | Cause::GrantTypeUnsupported
        | Cause::TokenMissing
        | Cause::TokenMisplaced
        | Cause::TokenInvalid
        | Cause::RevocationUnknown
        | Cause::MediaTypeUnfit
        | Cause::ServerFault => vec![judge.start_over()],
    }
}

/// A call with a token of ours was refused, and nothing better came after.
pub(super) fn refused_call(judge: &Judge<'_>, refused: &Step) -> Finding {
    let count = refused.recorded.count;
    let name = judge.name();
    if refused.is_for(&[Cause::TokenExpired]) {
        let never = judge.last(Stage::Refresh, Outcome::Ok).is_none();
        let what = if never {
            format!("{name} goes on calling with a token that has expired, and has never refreshed it.")
        } else {
            format!("{name} goes on calling with a token that has expired, and no longer refreshes it.")
        };
        return Finding::bad("never_refreshes", what, remedy(judge, refused));
    }
    if count >= 5 {
        let what =
            format!("{name} has repeated a call {count} times that is refused each time: {}.", Judge::told(refused));
        return Finding::bad("refused_in_a_loop", what, remedy(judge, refused));
    }
    let rule = if refused.is_for(&[Cause::ScopeInsufficient]) { "insufficient_scope" } else { "calls_refused" };
    Finding::bad(
        rule,
        format!("{name} was let in; its last call was refused: {}.", Judge::told(refused)),
        remedy(judge, refused),
    )
}

/// D3, seen from the clock.
pub(super) fn not_refreshed(judge: &Judge<'_>) -> Finding {
    let what = format!(
        "Its access token has run out since and was not refreshed. Either nobody used it, or {} does not refresh.",
        judge.name()
    );
    let remedy =
        "If people are asked to connect again each time, let this client's access tokens live longer.".to_owned();
    Finding { rule: "not_refreshed", good: true, what, remedy: vec![remedy] }
}

/// D1, T-21: a token or a code was used again; the connection is over.
pub(super) fn replayed(judge: &Judge<'_>, cause: Cause) -> Finding {
    let (rule, what) = if cause == Cause::CodeReplayed {
        (
            "code_replayed",
            "A code was used a second time. That is what a thief looks like, so the connection was ended.",
        )
    } else {
        (
            "refresh_replayed",
            "A refresh token was used a second time, long after the first or when the one that had replaced it was in use. \
         That is what a thief looks like, so the connection was ended.",
        )
    };
    let remedy = vec![
        "Connect again in the client.".to_owned(),
        format!(
            "If it happens again and nothing was stolen, several processes of {} keep copies of one token: they must \
             share it; a lost answer may take longer with tokens.refresh_grace.",
            judge.name()
        ),
    ];
    Finding::bad(rule, what, remedy)
}

/// RFC 9700 §4.14: which of the two it is, only people can tell.
pub(super) fn two_networks(judge: &Judge<'_>, elsewhere: &[&Step]) -> Finding {
    let networks: BTreeSet<&str> = elsewhere.iter().map(|step| step.recorded.event.network.as_str()).collect();
    let others: BTreeSet<&str> = judge
        .all(Stage::Refresh, Outcome::Ok)
        .map(|step| step.recorded.event.network.as_str())
        .filter(|network| !networks.contains(network))
        .collect();
    let list = |networks: &BTreeSet<&str>| networks.iter().copied().collect::<Vec<_>>().join(", ");
    let first = if others.is_empty() { "another network".to_owned() } else { list(&others) };
    let name = judge.name();
    let what = format!(
        "A refresh token that was first used from {first} was used again from {}: two copies of it are in use. Either \
         somebody has stolen one, or {name} has two addresses.",
        list(&networks)
    );
    let remedy = vec![
        format!(
            "If {name} is a hosted service, or its machine changes networks (VPN, mobile), these are its own addresses: \
             nothing to do."
        ),
        "If not, end the connection (on the account page, or with the admin API), and look for where its tokens are \
         kept."
            .to_owned(),
    ];
    Finding::bad("token_in_two_networks", what, remedy)
}

/// A refresh was refused for another reason.
pub(super) fn refused_refresh(judge: &Judge<'_>, refused: &Step) -> Finding {
    let what = format!("{} could not refresh its token: {}.", judge.name(), Judge::told(refused));
    Finding::bad("refresh_refused", what, vec!["Connect again in the client.".to_owned(), judge.start_over()])
}

/// C9: the browser took the code to the client, which never came for its token.
pub(super) fn code_never_redeemed(judge: &Judge<'_>, sent: &Step) -> Finding {
    let to = sent.received("redirect_uri").unwrap_or("its callback");
    let what = format!(
        "The code was sent to {to}, and nobody came to exchange it. What went wrong is on the client's side: this \
         server's part was done."
    );
    let remedy = vec![
        "If the browser showed an error of the client, or nothing at all: try once more, in one tab and without a private window."
            .to_owned(),
        "If the callback is on the person's own machine: the program must still be running, and nothing may block its port.".to_owned(),
        format!("If the client's servers fetch the token ({to} is a website): they must reach the token endpoint from outside; check firewalls for their User-Agent."),
        judge.start_over(),
    ];
    Finding::bad("code_never_redeemed", what, remedy)
}

/// The token endpoint said no.
pub(super) fn refused_code(judge: &Judge<'_>, refused: &Step) -> Finding {
    let rules = [
        (Cause::VerifierUnfit, "pkce_failed"),
        (Cause::RedirectUriDiffers, "redirect_differs"),
        (Cause::ClientAuthentication, "client_authentication_failed"),
        (Cause::ClientUnknown, "client_authentication_failed"),
        (Cause::ClientDisabled, "client_authentication_failed"),
        (Cause::ResourceUnknown, "wrong_resource"),
        (Cause::CodeExpired, "code_expired"),
        (Cause::CodeUnknown, "code_unknown"),
        (Cause::CodeOfAnotherClient, "code_of_another_client"),
    ];
    let rule = rules.iter().find(|(cause, _)| refused.is_for(&[*cause])).map_or("token_refused", |(_, rule)| *rule);
    let what = format!("{} came for its token and was refused: {}.", judge.name(), Judge::told(refused));
    Finding::bad(rule, what, remedy(judge, refused))
}

/// A page, or a redirect with an error.
pub(super) fn refused_page(judge: &Judge<'_>, rule: &'static str, refused: &Step) -> Finding {
    let what = format!("It ended with a refusal: {}.", Judge::told(refused));
    Finding::bad(rule, what, remedy(judge, refused))
}

/// C2: allowed, and the browser never came back for the code.
pub(super) fn allowed_and_lost(_: &Judge<'_>) -> Finding {
    let what = "The person chose Allow, and the browser did not follow the redirect that came with it.";
    let remedy = texts(&[
        "Something in front of this server may add a Content-Security-Policy with form-action: remove it.",
        "Try another browser without extensions.",
    ]);
    Finding::bad("allowed_and_lost", what, remedy)
}

/// The consent page was left.
pub(super) fn never_decided(_: &Judge<'_>) -> Finding {
    let what = "The consent page was shown, and nobody decided.";
    Finding::bad(
        "never_decided",
        what,
        texts(&["Connect again and choose Allow or Deny; some clients wait for three minutes only."]),
    )
}

/// Wrong passwords.
pub(super) fn sign_in_failed(_: &Judge<'_>, times: i64) -> Finding {
    let often = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    let what = format!("Sign-in failed {often}: the login name or the password is wrong, or the account is disabled.");
    Finding::bad(
        "sign_in_failed",
        what,
        texts(&[
            "`portcullis user list` shows the accounts, `portcullis user password NAME --password-stdin` sets a new password.",
        ]),
    )
}

/// The sign-in page was left, or its cookie was lost.
pub(super) fn never_signed_in(_: &Judge<'_>) -> Finding {
    let what = "The browser was sent to the sign-in page, and nobody signed in.";
    let remedy =
        texts(&["Connect again and sign in.", "If the page came back again and again, allow cookies for this site."]);
    Finding::bad("never_signed_in", what, remedy)
}

/// It has an id and does not use it.
pub(super) fn registered_and_stopped(judge: &Judge<'_>) -> Finding {
    let what = format!("{} has registered and never sent a browser to the authorization endpoint.", judge.name());
    let remedy = vec![
        "If a browser should have opened: press Connect again; a pop-up blocker may have stopped it.".to_owned(),
        "If the client says that registration failed: it did not like the answer; update the client.".to_owned(),
        judge.start_over(),
    ];
    Finding::bad("registered_and_stopped", what, remedy)
}

/// Its registration was not taken.
pub(super) fn registration_refused(judge: &Judge<'_>, refused: &Step) -> Finding {
    let what = format!("{} could not register: {}.", judge.name(), Judge::told(refused));
    Finding::bad("registration_refused", what, remedy(judge, refused))
}

/// It read what it needs, and went away.
pub(super) fn looked_and_stopped(judge: &Judge<'_>) -> Finding {
    let only_resource = judge.last(Stage::ServerMetadata, Outcome::Ok).is_none();
    let what = if only_resource {
        "The resource's metadata was read, the authorization server's was not: the client did not get there, or did not want to."
    } else {
        "The metadata was read, and nothing came after: neither a registration nor a browser."
    };
    let remedy = vec![
        "`portcullis doctor` compares what is served with what clients see from outside: public_url, the resource and the issuer must be the address that people type.".to_owned(),
        "If the client needs an id to be typed in, make one for it and type it in.".to_owned(),
    ];
    Finding::bad("metadata_and_stopped", what, remedy)
}

/// It knocked and did not look where to go.
pub(super) fn challenged(judge: &Judge<'_>, challenge: &Step, many: i64) -> Finding {
    if !challenge.is_for(&[Cause::TokenMissing]) {
        let what = format!("A call was refused before anything else: {}.", Judge::told(challenge));
        return Finding::bad("calls_refused", what, remedy(judge, challenge));
    }
    let often = if challenge.recorded.count >= many { " again and again" } else { "" };
    let what = format!(
        "The MCP endpoint was called without a token{often} and said where to get one; the metadata was never fetched."
    );
    let remedy = texts(&[
        "The 401's WWW-Authenticate header may be lost on the way: `portcullis doctor` shows it from outside.",
        "The addresses under /.well-known may be answered by something else in front of this server.",
        "If the client has a token of its own in its settings, remove it, so that it signs in.",
    ]);
    Finding::bad("challenge_and_stopped", what, remedy)
}
