//! Clients that hang up: each sends a request that the server has to work for, and is gone some moments later, with a
//! reset or with a close, in the middle of the request or while the server works.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::dice::Dice;
use super::life::{Honest, authorize};
use crate::connector::{CALLBACK, VERIFIER, form};
use crate::server::PASSWORD;

/// The longest time that it stays, in milliseconds.
const STAYS: u64 = 6;
/// How many addresses they come from.
pub const ADDRESSES: u8 = 10;

/// What they send.
pub struct Rude {
    server: SocketAddr,
    requests: Vec<Arc<[u8]>>,
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const JSON: &str = "content-type: application/json";

fn request(line: &str, headers: &[&str], body: &str) -> Arc<[u8]> {
    let length = format!("content-length: {}", body.len());
    let length = if line.starts_with("GET") { None } else { Some(length.as_str()) };
    let first = format!("{line} HTTP/1.1");
    let lines = [&[first.as_str(), "host: 127.0.0.1"], headers, length.as_slice(), &["", body]].concat();
    lines.join("\r\n").into_bytes().into()
}

impl Rude {
    /// Gets by good manners what it needs for requests that write: a connection, a session, forms that are accepted.
    pub async fn of(honest: &Honest) -> Self {
        let origin = honest.caller.origin.clone();
        let client_id = honest.register().await;
        let (mut visitor, code) = honest.let_in(&client_id).await;
        let (id, tokens) = honest.redeem(&client_id, &code).await.unwrap();
        let account = visitor.open("/account").await;
        let (_, fields) = account.form_to("/logout");
        let csrf = fields["csrf"].as_str();
        // Another browser, that stands before the sign-in page and never gets on.
        let mut waiting = super::visitor::Visitor::new(&honest.caller);
        let login = waiting.open(&authorize(&origin, &client_id)).await;
        let (_, mut sign_in) = login.fields("password");
        sign_in.extend([("username".into(), honest.person.clone()), ("password".into(), PASSWORD.to_owned())]);
        let sign_in: Vec<_> = sign_in.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // And a question whether to let the client in, to be answered again and again.
        let consent = visitor.open(&authorize(&origin, &client_id)).await;
        let (_, mut approval) = consent.fields("csrf");
        approval.insert("decision".into(), "approve".into());
        let approval: Vec<_> = approval.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // What becomes of all this is nobody's promise.
        let mut facts = honest.ledger.facts();
        facts.grants.remove(&id);
        facts.clients.remove(&client_id);
        facts.sessions.remove(&visitor.cookies["portcullis_session"]);
        drop(facts);

        let cookie = format!("cookie: {}", visitor.cookie());
        let waiting = format!("cookie: {}", waiting.cookie());
        let api = format!("authorization: Bearer {}", honest.api_token);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh()), ("client_id", &client_id)];
        let redeem = [
            ("grant_type", "authorization_code"),
            ("code", "pcc_0123456789012345678901234567890123456789012"),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", &client_id),
        ];
        let revoke = [("token", "pcr_0123456789012345678901234567890123456789012"), ("client_id", &client_id)];
        let ask = format!("GET {}", authorize(&origin, &client_id));
        let mut requests = vec![
            request(&ask, &[], ""),
            request(&ask, &[&cookie], ""),
            request("POST /token", &[FORM], &form(&refresh)),
            request("POST /token", &[FORM], &form(&redeem)),
            request("POST /revoke", &[FORM], &form(&revoke)),
            request("POST /login", &[FORM, &waiting], &form(&sign_in)),
            request("POST /consent", &[FORM, &cookie], &form(&approval)),
            request("GET /account", &[&cookie], ""),
            request("POST /account/connections/grt_x/revoke", &[FORM, &cookie], &form(&[("csrf", csrf)])),
            request("GET /readyz", &[], ""),
            request("GET /api/v1/connections", &[&api], ""),
        ];
        for name in 0..10 {
            let body = json!({ "client_name": format!("Rude {name}"), "redirect_uris": [CALLBACK] });
            requests.push(request("POST /register", &[JSON], &body.to_string()));
            let body = json!({ "name": format!("Rude {name}"), "redirect_uris": [CALLBACK] });
            requests.push(request("POST /api/v1/clients", &[JSON, &api], &body.to_string()));
        }
        let server = origin.strip_prefix("http://").unwrap().parse().unwrap();
        Self { server, requests }
    }

    /// Comes from the `n`th address, asks for something and hangs up. Says whether it got through to the server.
    pub async fn hang_up(&self, n: u8, dice: &mut Dice) -> std::io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 2, n), 0)))?;
        let mut stream = socket.connect(self.server).await?;
        let whole = &self.requests[usize::try_from(dice.below(self.requests.len() as u64)).unwrap()];
        let sent = if dice.chance(90) { whole.len() as u64 } else { dice.below(whole.len() as u64) };
        stream.write_all(&whole[..usize::try_from(sent).unwrap()]).await?;
        // A third each: at once, while the first statements run, and any time.
        let stay = [0, dice.below(STAYS * 300), dice.below(STAYS * 1000)][usize::try_from(dice.below(3)).unwrap()];
        let until = tokio::time::Instant::now() + Duration::from_micros(stay);
        tokio::time::sleep_until(until).await;
        if dice.chance(75) {
            stream.set_zero_linger()?;
        }
        Ok(())
    }
}
