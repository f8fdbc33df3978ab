//! What every page keeps to: strangers' words are escaped, and the policy fits the style.

use super::*;

const HOSTILE: &str = "\"'><script>alert(1)</script><style>*{}</style>";

fn html(template: impl Template) -> String {
    template.render().expect("a page renders")
}

fn scopes(shown: &str) -> Vec<ScopeLine> {
    vec![ScopeLine { token: shown.into(), description: shown.into() }; 2]
}

fn consent(shown: &str, hidden: &str, verified: bool) -> Consent {
    Consent {
        service: shown.into(),
        action: hidden.into(),
        csrf: hidden.into(),
        authorization: hidden.into(),
        client_name: shown.into(),
        logo_url: None,
        verified: verified.then(|| shown.into()),
        description: Some(shown.into()),
        known_by: shown.into(),
        destination: shown.into(),
        destination_kind: DestinationKind::Https,
        resource_name: shown.into(),
        resource_url: shown.into(),
        display_name: shown.into(),
        login_name: shown.into(),
        scopes: scopes(shown),
        offline: true,
        warnings: vec![shown.into()],
        attempt: shown.into(),
    }
}

fn continues(shown: &str, hidden: &str) -> Continue {
    Continue {
        service: shown.into(),
        action: hidden.into(),
        csrf: hidden.into(),
        authorization: hidden.into(),
        name: shown.into(),
        client_name: shown.into(),
        verified: Some(shown.into()),
        known_by: shown.into(),
        destination: shown.into(),
        display_name: shown.into(),
        login_name: shown.into(),
        scopes: scopes(shown),
        offline: true,
        attempt: shown.into(),
    }
}

fn login(shown: &str, hidden: &str) -> Login {
    Login {
        service: shown.into(),
        action: hidden.into(),
        csrf: hidden.into(),
        authorization: Some(hidden.into()),
        requester: Some(Requester { client_name: shown.into(), destination: shown.into() }),
        username: hidden.into(),
        problem: Some(shown.into()),
        attempt: shown.into(),
    }
}

fn setup(shown: &str, hidden: &str) -> Setup {
    let fields = [SetupField::Name, SetupField::DisplayName, SetupField::Password];
    let wrong = |field| FieldProblem { field, message: shown.into() };
    Setup {
        service: shown.into(),
        action: hidden.into(),
        token: hidden.into(),
        csrf: hidden.into(),
        name: hidden.into(),
        display_name: hidden.into(),
        problems: fields.map(wrong).into(),
        password_min: usize::MAX,
    }
}

fn account(shown: &str, hidden: &str) -> Account {
    Account {
        service: shown.into(),
        display_name: shown.into(),
        login_name: shown.into(),
        csrf: hidden.into(),
        logout_action: hidden.into(),
        mcp_url: hidden.into(),
        notice: Some(shown.into()),
        connections: vec![Connection {
            id: hidden.into(),
            revoke_action: hidden.into(),
            client_name: shown.into(),
            destination: shown.into(),
            scopes: scopes(shown),
            connected_at: shown.into(),
            last_used: shown.into(),
        }],
    }
}

/// Each page with `shown` wherever a person reads it as prose, and `hidden` in the attributes
/// and in what has to stay exactly as it is.
fn every_page(shown: &str, hidden: &str) -> Vec<String> {
    let landing = |display_name| Landing {
        service: shown.into(),
        mcp_url: hidden.into(),
        display_name,
        notice: Some(shown.into()),
        login_url: hidden.into(),
        account_url: hidden.into(),
        manual_url: hidden.into(),
    };
    vec![
        html(consent(shown, hidden, true)),
        html(consent(shown, hidden, false)),
        html(continues(shown, hidden)),
        html(login(shown, hidden)),
        html(account(shown, hidden)),
        html(setup(shown, hidden)),
        html(landing(None)),
        html(landing(Some(shown.into()))),
        html(Handoff { service: shown.into(), client_name: shown.into(), url: hidden.into(), attempt: shown.into() }),
        html(Problem {
            manual_url: hidden.into(),
            service: shown.into(),
            status: 400,
            title: shown.into(),
            happened: shown.into(),
            received: Some(shown.into()),
            expected: Some(shown.into()),
            to_do: vec![shown.into()],
            reference: shown.into(),
            attempt: shown.into(),
        }),
        html(Document {
            service: shown.into(),
            title: shown.into(),
            html: None,
            text: hidden.into(),
            back_url: hidden.into(),
            back_label: shown.into(),
        }),
    ]
}

#[test]
fn markup_in_any_field_is_only_text() {
    for page in every_page(HOSTILE, HOSTILE) {
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("\"'>"), "an attribute can be left: {page}");
        assert_eq!(page.matches("<style").count(), 1, "{page}");
        assert!(page.contains("&#60;script&#62;"), "{page}");
    }
}

#[test]
fn writing_direction_cannot_be_changed_by_a_name() {
    for page in every_page("moc.live\u{202e}\u{2066}\u{200f}\0x", "x") {
        assert!(page.contains("moc.live\u{fffd}\u{fffd}\u{fffd}\u{fffd}x"), "{page}");
        assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{200f}', '\0']), "{page}");
    }
}

#[test]
fn a_client_name_is_isolated_wherever_it_is_shown() {
    let client = "\u{5d0} & sons";
    let handoff = Handoff {
        service: "s".into(),
        client_name: client.into(),
        url: "app://callback?a=1&b=2".into(),
        attempt: "K7QD-2M4X".into(),
    };
    let asking = [html(consent(client, "x", false)), html(continues(client, "x"))];
    for page in asking.into_iter().chain([html(login(client, "x")), html(account(client, "x")), html(handoff)]) {
        assert!(page.contains("<bdi>\u{5d0} &#38; sons</bdi>"), "{page}");
    }
}

#[test]
fn joiners_and_line_breaks_stay() {
    let family = "\u{1f469}\u{200d}\u{1f467}\nnext";
    assert!(html(consent(family, "x", false)).contains(family));
}

#[test]
fn worst_case_values_render_whole() {
    let (shown, hidden) = ("W".repeat(20_000), "v".repeat(20_000));
    for page in every_page(&shown, &hidden) {
        assert!(page.contains(&shown));
        assert!(page.contains(&hidden) || page.contains("Reference"));
        assert!(page.trim_end().ends_with("</html>"));
    }
}

#[test]
fn the_policy_allows_what_the_page_inlines_and_nothing_else() {
    assert!(!STYLE.contains('\r'), "a browser hashes the text with its line ends normalised");
    for page in every_page("shown", "hidden") {
        let (_, rest) = page.split_once("<style>").expect("a stylesheet");
        let (style, rest) = rest.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(POLICY.contains(&format!("style-src 'sha256-{hash}';")));
        assert!(!rest.contains("<style") && !rest.contains("<script"));
        assert!(!page.contains(" style=") && !page.contains(" src="), "{page}");
    }
}

#[test]
fn headers_guard_every_page() {
    let response = Page(StatusCode::BAD_REQUEST, login("s", "h")).into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let value = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let policy = value(header::CONTENT_SECURITY_POLICY).expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("form-action"), "it would block the way back: {policy}");
    assert_eq!(value(header::X_FRAME_OPTIONS), Some("DENY"));
    assert_eq!(value(header::REFERRER_POLICY), Some("no-referrer"));
    assert_eq!(value(header::X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
    assert_eq!(value(header::CACHE_CONTROL), Some("no-store"));
    assert_eq!(value(header::CONTENT_TYPE), Some("text/html; charset=utf-8"));
}

#[test]
fn every_field_a_person_fills_in_has_a_label() {
    for page in [html(login("s", "h")), html(setup("s", "h"))] {
        let inputs: Vec<&str> = page.split("<input id=\"").skip(1).collect();
        assert!(inputs.len() >= 2);
        for input in inputs {
            let (id, rest) = input.split_once('"').expect("an id");
            assert!(page.contains(&format!("<label for=\"{id}\">")), "{id}");
            let (attributes, _) = rest.split_once('>').expect("an end");
            assert!(attributes.contains("autocomplete="), "{id}");
        }
    }
}

#[test]
fn consent_says_who_vouches_for_the_name() {
    let unknown = html(consent("Mallory", "x", false));
    assert!(unknown.contains("Mallory can’t verify this name"), "{unknown}");
    let known = html(consent("Mallory", "x", true));
    assert!(!known.contains("can’t verify") && known.contains("badge good"), "{known}");
}

#[test]
fn a_page_that_cannot_be_rendered_is_a_plain_500() {
    #[derive(Template)]
    #[template(source = "{{ broken }}", ext = "html")]
    struct Failing {
        broken: Broken,
    }
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    let response = Page(StatusCode::OK, Failing { broken: Broken }).into_response();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = response.headers().get(header::CONTENT_TYPE);
    assert!(content_type.is_some_and(|value| value == "text/plain; charset=utf-8"));
}
