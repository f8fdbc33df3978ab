//! Whether everything that was acknowledged is true: by the answers of a server, and by the rows in the database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::ledger::{Grant, Ledger};
use crate::bed::raw;

/// How many questions are asked at a time.
const AT_ONCE: usize = 8;
/// How long a copy of the server may take to notice what another one ended.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// What of the acknowledged is not so, and how much was looked at. Ends by refreshing what lives.
pub async fn lost(ledger: &Ledger, caller: &Caller, database_url: &str) -> (Vec<String>, usize) {
    let (clients, grants, sessions) = {
        let facts = ledger.facts();
        (facts.clients.clone(), facts.grants.clone(), facts.sessions.clone())
    };
    let mut lost = Vec::new();
    let mut looked = 0;
    let rows = ids(database_url, "select id from client where deleted_at is null").await;
    for (id, there) in clients.iter().filter_map(|(id, there)| Some((id, (*there)?))) {
        looked += 1;
        if rows.contains(id) != there {
            lost.push(format!("client {id}: there {}, acknowledged {there}", !there));
        }
    }
    let rows = ids(database_url, "select id from token_grant where revoked_at is null").await;
    for (id, lives) in grants.iter().filter_map(|(id, grant)| Some((id, grant.lives?))) {
        looked += 1;
        if rows.contains(id) != lives {
            lost.push(format!("grant {id}: its row lives {}, acknowledged {lives}", !lives));
        }
    }
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut questions = JoinSet::new();
    for (id, grant) in grants {
        let (caller, turns) = (caller.clone(), Arc::clone(&turns));
        questions.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            grant_is_true(&caller, &id, &grant).await
        });
    }
    for (cookie, signed_in) in sessions {
        let (caller, turns) = (caller.clone(), Arc::clone(&turns));
        let Some(signed_in) = signed_in else { continue };
        questions.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            session_is_true(&caller, &cookie, signed_in).await
        });
    }
    looked += questions.len();
    lost.extend(questions.join_all().await.into_iter().flatten());
    (lost, looked)
}

async fn ids(database_url: &str, sql: &str) -> BTreeSet<String> {
    raw(database_url, &[sql]).await.unwrap().into_iter().map(|mut row| row.remove(0)).collect()
}

async fn grant_is_true(caller: &Caller, id: &str, grant: &Grant) -> Option<String> {
    let lives = grant.lives?;
    let mut call = caller.send("mcp", caller.tool_call(&grant.access)).await;
    let began = Instant::now();
    // Another copy of the server may have ended it a moment ago.
    while !lives && call.status.as_u16() == 200 && began.elapsed() < ELSEWHERE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        call = caller.send("mcp", caller.tool_call(&grant.access)).await;
    }
    if (call.status.as_u16() == 200) != lives {
        return Some(format!("grant {id}: acknowledged {lives}, a call gets {}: {}", call.status, call.text));
    }
    let params = [
        ("grant_type", "refresh_token"),
        ("refresh_token", grant.refresh.as_str()),
        ("client_id", grant.client_id.as_str()),
    ];
    let refresh = caller.form("token", "/token", &params).await;
    let expected = if lives { &[200][..] } else { &[400, 401][..] };
    let as_told = expected.contains(&refresh.status.as_u16());
    (!as_told).then(|| format!("grant {id}: acknowledged {lives}, a refresh gets {}: {}", refresh.status, refresh.text))
}

async fn session_is_true(caller: &Caller, cookie: &str, signed_in: bool) -> Option<String> {
    let request = caller.request(Method::GET, "/account").header("cookie", format!("portcullis_session={cookie}"));
    let page = caller.send("account", request).await;
    let as_told = page.status.as_u16() == if signed_in { 200 } else { 303 };
    (!as_told).then(|| format!("session: acknowledged {signed_in}, the account page gets {}", page.status))
}
