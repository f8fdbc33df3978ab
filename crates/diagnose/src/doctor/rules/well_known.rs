//! Well-known addresses: 200 with JSON, or a clean 404; anything else makes clients stop where they would have gone on
//! (D-02, D-09, D-11; A3).

use super::list;
use crate::doctor::finding::{Finding, Hurts};
use crate::doctor::front;
use crate::doctor::observations::{Kind, Observations, Spelling, WellKnown};
use crate::doctor::reply::in_words;

/// What can be wrong with one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Redirected,
    Page,
    Guarded,
    Broken,
    Unanswered,
    NotJson,
}

const FAULTS: [Fault; 6] =
    [Fault::Redirected, Fault::Page, Fault::Guarded, Fault::Broken, Fault::Unanswered, Fault::NotJson];

pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings: Vec<Finding> = FAULTS.into_iter().filter_map(|fault| faulty(seen, fault)).collect();
    findings.extend(
        [missing_resource(seen), missing_server(seen), missing_spellings(seen), content_type(seen)]
            .into_iter()
            .flatten(),
    );
    findings.extend(differing(seen));
    findings
}

fn fault(document: &WellKnown) -> Option<Fault> {
    match &document.reply {
        Err(_) => Some(Fault::Unanswered),
        Ok(answer) if answer.is_redirect() => Some(Fault::Redirected),
        Ok(answer) if matches!(answer.status, 401 | 403) => Some(Fault::Guarded),
        Ok(answer) if answer.status >= 500 => Some(Fault::Broken),
        Ok(answer) if answer.is_html() => Some(Fault::Page),
        Ok(answer) if answer.status == 200 && answer.json().is_none() => Some(Fault::NotJson),
        Ok(_) => None,
    }
}

/// The two addresses without which nobody connects.
fn is_vital(document: &WellKnown) -> bool {
    matches!((document.kind, document.spelling), (Kind::Resource, Spelling::Inserted) | (Kind::Server, Spelling::Root))
}

fn faulty(seen: &Observations, kind: Fault) -> Option<Finding> {
    let hit: Vec<&WellKnown> = seen.documents.iter().filter(|document| fault(document) == Some(kind)).collect();
    let example = hit.iter().find(|document| is_vital(document)).or_else(|| hit.first())?;
    let paths: Vec<&str> = hit.iter().map(|document| document.path.as_str()).collect();
    let saw = format!(
        "{}: {}; in all {} of {} well-known addresses: {}",
        example.path,
        in_words(&example.reply),
        hit.len(),
        seen.documents.len(),
        list(&paths)
    );
    let expected = "200 with JSON where there is a document, 404 with JSON where there is none; clients don't follow redirects here and stop at anything else";
    let (id, fix, ways) = match kind {
        Fault::Redirected => {
            ("well-known-redirected", "Let /.well-known/ through to the server as it is.", front::NO_REDIRECT)
        }
        Fault::Page => (
            "well-known-html",
            "A website's fallback page answers in the server's place: send /.well-known/ to Portcullis before the website gets it.",
            front::PASS_ALL,
        ),
        Fault::Guarded => (
            "well-known-guarded",
            "Take logins and filters off /.well-known/: clients have no account yet when they read it.",
            front::NO_LOGIN,
        ),
        Fault::Broken => {
            ("well-known-broken", "See the log of the proxy and of the server for these addresses.", front::PASS_ALL)
        }
        Fault::Unanswered => (
            "well-known-unanswered",
            "See the log of the proxy and of the server for these addresses.",
            front::PASS_ALL,
        ),
        Fault::NotJson => (
            "well-known-not-json",
            "Something rewrites the answers: send /.well-known/ to Portcullis unchanged.",
            front::PASS_ALL,
        ),
    };
    let vital = hit.iter().any(|document| is_vital(document));
    let finding = if vital { Finding::breaks(id, saw, expected, fix) } else { Finding::remark(id, saw, expected, fix) };
    Some(finding.ways(ways))
}

/// Cleanly absent.
fn is_absent(seen: &Observations, kind: Kind, spelling: Spelling) -> bool {
    seen.documents.iter().any(|document| {
        document.kind == kind
            && document.spelling == spelling
            && fault(document).is_none()
            && document.reply.as_ref().is_ok_and(|answer| answer.status != 200)
    })
}

fn missing_resource(seen: &Observations) -> Option<Finding> {
    if !is_absent(seen, Kind::Resource, Spelling::Inserted) {
        return None;
    }
    let expected = "the resource's metadata at the path-inserted address (RFC 9728 §3.1): the challenge points there, and ChatGPT asks nowhere else";
    let fix = "Pass all of /.well-known/ on to the server, and check that the address ends in the path of its paths.mcp setting.";
    let saw = format!(
        "there is nothing at {}/.well-known/oauth-protected-resource{}",
        seen.target.origin(),
        seen.target.mcp_path()
    );
    let finding = Finding::breaks("resource-metadata-missing", saw, expected, fix).ways(front::PASS_ALL);
    let elsewhere = seen.good(Kind::Resource, Spelling::Root).is_some();
    Some(if elsewhere { finding.for_clients(Hurts::only(&["chatgpt"]), Hurts::all_but(&["chatgpt"])) } else { finding })
}

fn missing_server(seen: &Observations) -> Option<Finding> {
    if !is_absent(seen, Kind::Server, Spelling::Root) {
        return None;
    }
    let finding = Finding::breaks(
        "server-metadata-missing",
        format!("there is nothing at {}/.well-known/oauth-authorization-server", seen.target.origin()),
        "the authorization server's metadata at the root of its host (RFC 8414 §3.1)",
        "Pass all of /.well-known/ on to the server, not only what belongs to /mcp.",
    );
    let elsewhere = seen.good(Kind::OpenId, Spelling::Root).is_some();
    let finding = if elsewhere { finding.for_clients(Hurts::Nobody, Hurts::Everyone) } else { finding };
    Some(finding.ways(front::PASS_ALL))
}

/// The other spellings that clients guess. They find the document elsewhere, after a detour.
fn missing_spellings(seen: &Observations) -> Option<Finding> {
    let lacking: Vec<&str> = seen
        .documents
        .iter()
        .filter(|document| {
            document.kind != Kind::Unknown && document.spelling != Spelling::Slashed && !is_vital(document)
        })
        .filter(|document| is_absent(seen, document.kind, document.spelling))
        .map(|document| document.path.as_str())
        .collect();
    // Where a vital one lacks too, that says it all.
    let vital = is_absent(seen, Kind::Resource, Spelling::Inserted) || is_absent(seen, Kind::Server, Spelling::Root);
    (!lacking.is_empty() && !vital).then(|| {
        Finding::remark(
            "spellings-missing",
            format!("there is nothing at {}", list(&lacking)),
            "the same document in each place where clients look",
            "Pass all of /.well-known/ and everything below the MCP path on to the server.",
        )
        .ways(front::PASS_ALL)
    })
}

fn content_type(seen: &Observations) -> Option<Finding> {
    let wrong = seen.documents.iter().find_map(|document| {
        let answer = document.reply.as_ref().ok()?;
        let json = answer.status == 200 && answer.json().is_some();
        (json && !answer.says_json())
            .then(|| (document.path.as_str(), answer.header("content-type").unwrap_or("nothing")))
    });
    wrong.map(|(path, said)| {
        Finding::remark(
            "well-known-content-type",
            format!("{path} says that it is {said}"),
            "Content-Type: application/json (RFC 8414 §3.2)",
            "Pass the server's Content-Type on unchanged.",
        )
        .ways(front::PASS_ALL)
    })
}

/// One document, one text: where the spellings differ, somebody keeps old ones or makes up own ones.
fn differing(seen: &Observations) -> Option<Finding> {
    let groups: [&[Kind]; 2] = [&[Kind::Resource], &[Kind::Server, Kind::OpenId]];
    for group in groups {
        let good: Vec<(&str, &str, bool)> = seen
            .documents
            .iter()
            .filter(|document| group.contains(&document.kind))
            .filter_map(|document| {
                let answer = document.reply.as_ref().ok()?;
                let kept = answer.header("age").is_some() || answer.header("x-cache").is_some();
                (answer.status == 200 && answer.json().is_some()).then_some((
                    document.path.as_str(),
                    answer.body.as_str(),
                    kept,
                ))
            })
            .collect();
        let Some((path, body, _)) = good.first() else { continue };
        let Some((other, _, _)) = good.iter().find(|(_, own, _)| own != body) else { continue };
        let saw = format!("{path} and {other} differ");
        let expected = "the same bytes in every spelling: clients pick one each and must come to the same end";
        let finding = if good.iter().any(|(_, _, kept)| *kept) {
            Finding::remark("documents-stale", format!("{saw}; one of them comes from a cache"), expected, "Empty the cache in front of the server and keep it from storing /.well-known/ longer than its Cache-Control says.").ways(front::CACHE)
        } else {
            Finding::remark(
                "documents-differ",
                saw,
                expected,
                "Something answers in the server's place for one of them: send all of them to Portcullis, unchanged.",
            )
            .ways(front::PASS_ALL)
        };
        return Some(finding);
    }
    None
}
