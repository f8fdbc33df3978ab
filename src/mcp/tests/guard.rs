//! Who is let in (S-01, S-02, D-23 to D-29, B-08, B-09).

use axum::body::Body;
use axum::extract::Request;
use oauth::time::Timestamp;
use serde_json::{Value, json};

use super::{ALL, Answer, Fixture, METADATA, NOW, claims, ping, post, stored_key};
use crate::crypto::jwt::AccessTokenClaims;

fn request(headers: &[(&str, &str)], uri: &str) -> Request {
    let mut request = Request::builder().method("POST").uri(uri).header("host", "mcp.example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn with_token(fixture: &Fixture, token: &str) -> Answer {
    fixture.send(post(token).body(Body::from(ping().to_string())).unwrap()).await
}

fn challenge(scope_and_more: &str) -> String {
    format!("Bearer {scope_and_more}scope=\"{ALL}\", resource_metadata=\"{METADATA}\"")
}

/// D-23, D-24, D-29: whatever the method and the body, the answer says where to get a token, and no error.
#[tokio::test]
async fn no_token_is_a_bare_challenge_before_method_and_body() {
    let fixture = Fixture::new();
    for method in ["GET", "POST", "DELETE", "PUT", "HEAD", "PATCH", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/mcp").header("host", "localhost").body(Body::empty());
        let answer = fixture.send(request.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, &*challenge("")), "{method}");
        assert_eq!(answer.json()["error"], "no_authorization_header");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn other_ways_to_bring_no_token_are_told_apart() {
    let fixture = Fixture::new();
    for (headers, uri, reason) in [
        (&[("authorization", "Basic YTpi")][..], "/mcp", "not_a_bearer_token"),
        (&[("authorization", "")], "/mcp", "not_a_bearer_token"),
        (&[("authorization", "Bearer")], "/mcp", "empty_bearer_token"),
        (&[("authorization", "Bearer  ")], "/mcp", "empty_bearer_token"),
        (&[], "/mcp?access_token=x", "token_in_query"),
        (&[], "/mcp?a=b&access%5Ftoken=x", "token_in_query"),
        (&[("cookie", "access_token=x"), ("mcp-session-id", "x")], "/mcp", "no_authorization_header"),
    ] {
        let answer = fixture.send(request(headers, uri)).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, &*challenge("")), "{reason}");
        assert_eq!(answer.json()["error"], reason);
    }
}

/// D-27, RFC 6750 §3.1; a good token doesn't heal it.
#[tokio::test]
async fn two_tokens_at_once_are_a_malformed_request() {
    let fixture = Fixture::new();
    let good = format!("Bearer {}", fixture.token(ALL));
    let twice = format!("{good}, {good}");
    for (headers, uri) in [
        (&[("authorization", good.as_str())][..], "/mcp?access_token=x"),
        (&[("authorization", &good), ("authorization", &good)], "/mcp"),
        (&[("authorization", &good), ("authorization", "Basic YTpi")], "/mcp"),
        (&[("authorization", &twice)], "/mcp"),
        (&[("authorization", "Bearer a b")], "/mcp"),
    ] {
        let answer = fixture.send(request(headers, uri)).await;
        assert_eq!(answer.status.as_u16(), 400, "{headers:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer error=\"invalid_request\", "), "{answer:?}");
        assert_eq!(answer.json()["error"], "invalid_request");
    }
}

#[tokio::test]
async fn scheme_is_case_insensitive() {
    let fixture = Fixture::new();
    let token = fixture.token(ALL);
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let mut request = post("").body(Body::from(ping().to_string())).unwrap();
        request.headers_mut().insert("authorization", format!("{scheme} {token}").parse().unwrap());
        assert_eq!(fixture.send(request).await.status.as_u16(), 200, "{scheme:?}");
    }
}

/// B-08, B-09: each with the reason that its holder may know.
#[tokio::test]
async fn tokens_that_are_not_good_are_invalid_tokens() {
    let fixture = Fixture::new();
    let good = claims(ALL);
    let token = |change: fn(&mut AccessTokenClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        fixture.token_of(&claims)
    };
    let other = Fixture::with(|_| {});
    let foreign = {
        let keys = crate::crypto::keys::KeyRing::open(&[stored_key(&other.master, 2)], &other.master).unwrap();
        crate::crypto::jwt::sign(&good, &keys, Timestamp(NOW)).unwrap()
    };
    let whole = fixture.token(ALL);
    for (token, words) in [
        (
            token(|claims| claims.aud = "https://other.example/mcp".into()),
            "https://other.example/mcp, expected https://mcp.example.com/mcp",
        ),
        (
            token(|claims| claims.iss = "https://old.example".into()),
            "https://old.example, expected https://mcp.example.com",
        ),
        (token(|claims| claims.exp = NOW - 60), "expired"),
        (token(|claims| claims.iat = NOW + 600), "not valid yet"),
        (foreign, "key"),
        (format!("{}AAAA", whole.get(..whole.len() - 4).unwrap()), "signature"),
        ("undefined".into(), "not an access token"),
        ("x".repeat(8193), "longer than 8192 bytes"),
    ] {
        let answer = with_token(&fixture, &token).await;
        let header = answer.header("www-authenticate");
        assert_eq!(answer.status.as_u16(), 401, "{words}");
        assert!(header.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{header}");
        assert!(header.ends_with(&challenge("").replace("Bearer ", ", ")), "{header}");
        assert!(header.contains(words), "{header}");
        let body = answer.json();
        assert_eq!(body["error"], "invalid_token");
        assert!(body["error_description"].as_str().unwrap().contains(words), "{body}");
    }
}

/// The memory of verified tokens forgets at `exp`, on revocation and when keys change.
#[tokio::test]
async fn remembered_token_ends_with_its_time_its_grant_and_its_key() {
    let fixture = Fixture::new();
    let token = fixture.token(ALL);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
    fixture.set_clock(NOW + 599);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
    fixture.set_clock(NOW + 600 + 60);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 401);

    fixture.set_clock(NOW);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
    fixture.keys.replace(&[stored_key(&fixture.master, 2)], &fixture.master).unwrap();
    let answer = with_token(&fixture, &token).await;
    assert_eq!(answer.status.as_u16(), 401, "a withdrawn key stops working at once");

    let token = fixture.token(ALL);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
    fixture.revoke("grt_other");
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
    fixture.revoke("grt_1");
    let answer = with_token(&fixture, &token).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"].clone()), (401, json!("invalid_token")));
    assert!(answer.header("www-authenticate").contains("revoked"));
    // A token that was never seen before is no better.
    let unseen = fixture.token_of(&AccessTokenClaims { jti: "j2".into(), ..claims(ALL) });
    assert_eq!(with_token(&fixture, &unseen).await.status.as_u16(), 401);
}

/// Our trouble is no 401: clients would throw good tokens away.
#[tokio::test]
async fn stale_view_of_revocations_is_503_for_good_tokens_only() {
    let fixture = Fixture::new();
    let token = fixture.token(ALL);
    fixture.hand.store(NOW + 31, std::sync::atomic::Ordering::SeqCst);
    let answer = with_token(&fixture, &token).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after"), answer.header("www-authenticate")),
        (503, "5", "")
    );
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(with_token(&fixture, "rubbish").await.status.as_u16(), 401);
    fixture.set_clock(NOW + 31);
    assert_eq!(with_token(&fixture, &token).await.status.as_u16(), 200);
}

/// S-03: what is behind the guard sees the caller and never the token.
#[tokio::test]
async fn error_bodies_never_hold_the_token() {
    let fixture = Fixture::new();
    let token = fixture.token("account:read");
    let bad = token.replace('.', "_");
    for (token, body) in [(&token, super::call("search", &json!({}))), (&bad, ping()), (&token, Value::Null)] {
        let answer = fixture.send(post(token).body(Body::from(body.to_string())).unwrap()).await;
        assert!(!answer.body.contains(token.as_str()) && !answer.header("www-authenticate").contains(token.as_str()));
    }
}
