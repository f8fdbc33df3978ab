//! `private_key_jwt` at the endpoints where clients prove themselves (RFC 7523 §2.2): reading the parameters, finding the
//! keys, and one use for each assertion.

use oauth::assertion::{ASSERTION_TYPE, UnverifiedAssertion};
use oauth::error::Refusal;
use oauth::params::Params;
use oauth::time::Timestamp;

use super::App;
use crate::clients::KeysError;
use crate::crypto::assertion::{AssertionRefusal, verify};
use crate::model::client::Client;
use crate::model::secret::Secret;
use crate::response::respond::{Failure, Rejection};

/// The assertion of a request, and the client that it says it is from.
pub(super) fn presented(params: &Params) -> Result<Option<(String, String)>, Rejection> {
    let kind = params.one("client_assertion_type")?;
    let Some(assertion) = params.one("client_assertion")? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Refusal::invalid_request("client_assertion_type is there without client_assertion").into()),
        };
    };
    if kind != Some(ASSERTION_TYPE) {
        return Err(Refusal::invalid_request(format!("client_assertion_type must be {ASSERTION_TYPE}")).into());
    }
    let read = UnverifiedAssertion::read(assertion).map_err(|why| Refusal::invalid_client(why.to_string()))?;
    Ok(Some((assertion.to_owned(), read.subject)))
}

/// Whether an assertion proves that it is this client who calls, now, for the first time.
pub(super) async fn judge(
    app: &App,
    client: &Client,
    assertion: &str,
    now: Timestamp,
) -> Result<Result<(), Refusal>, Rejection> {
    let audiences = [app.issuer.as_str(), &app.issuer.join(&app.paths.token)];
    let refuse = |why: String| Ok(Err(Refusal::invalid_client(why).with_detail(format!("client {}", client.id))));
    let mut unknown = false;
    let verified = loop {
        let keys = match app.clients.keys_of(&app.store, client, unknown, now).await? {
            Ok(keys) => keys,
            Err(why @ (KeysError::Fetch(_) | KeysError::Away)) => {
                return Err(Failure::Keys(format!("client {}: {why}", client.id)).into());
            }
            Err(why) => return refuse(why.to_string()),
        };
        match verify(assertion, client.id.as_str(), &keys, &audiences, now) {
            Ok(verified) => break verified,
            // the client may have new keys; they are fetched once more, and then it is so.
            Err(why) if why.may_be_new_key() && !unknown => unknown = true,
            Err(why @ AssertionRefusal::BadSignature) => {
                tracing::warn!(client = %client.id, "client assertion with a wrong signature");
                return refuse(why.to_string());
            }
            Err(why) => return refuse(why.to_string()),
        }
    };
    let jti = Secret::presented(&verified.jti).hash();
    if !app.store.use_assertion(&client.id, &jti, verified.dead_at).await? {
        tracing::warn!(client = %client.id, "client assertion presented again");
        return refuse("client_assertion was used before; make a new one, with a new jti, for each request".to_owned());
    }
    Ok(Ok(()))
}
