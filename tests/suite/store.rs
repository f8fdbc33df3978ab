//! The contract of the store, verb by verb, on both engines: found and not found, what is unique, where a time
//! ends (exactly at its second), and what each guard keeps out.

use std::time::Duration;

use oauth::authorize::Prompt;
use oauth::client::AuthMethod;
use oauth::id::{AuthorizationId, ClientId, GrantId, UserId};
use oauth::redirect_uri::RedirectUri;
use oauth::time::Timestamp;
use portcullis::model::authorization::{Consent, Decision};
use portcullis::model::grant::{FirstUse, Redemption, Rotation};
use portcullis::model::key::StoredKey;
use portcullis::model::user::{Credential, Role, Username};
use portcullis::revocations::Revocations;
use portcullis::store::{AccountError, Approval, Decided, Ending, NewRegistration, Party, Redeem, Rotate};

use crate::bed::{
    Bed, CODE_DIES, GRANT_ENDS, NOW, REDIRECT, REFRESH_DIES, at, connect, hash, is_corrupt, is_taken, raw, resource,
    scope,
};
use crate::connector::{VERIFIER, challenge};
use crate::on_both_databases;

fn key(kid: &str, generation: i64, active_at: Timestamp) -> StoredKey {
    StoredKey {
        kid: kid.into(),
        generation,
        algorithm: "ES256".into(),
        sealed: format!("sealed {kid}"),
        created_at: at(0),
        active_at,
    }
}

on_both_databases! {
    /// An account is found by its id and by its name, and by nothing else.
    async fn users_are_found_by_id_and_name(database) {
        let bed = Bed::new(database).await;
        assert!(!bed.store.has_users().await.unwrap());
        let zoe = bed.user("zoe").await;
        let ada = bed.user("ada").await;
        assert!(bed.store.has_users().await.unwrap());
        let found = bed.store.find_user(&ada).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.username.as_str()), ("usr_ada", "ada"));
        assert_eq!((found.display_name.as_str(), found.password_hash.as_str()), ("ada the tester", "$argon2id$none"));
        assert_eq!((found.role, found.created_at, found.disabled_at), (Role::User, at(0), None));
        let by_name = bed.store.find_user_by_name(&Username::parse("ZOE").unwrap()).await.unwrap().unwrap();
        assert_eq!(by_name.id, zoe);
        assert!(bed.store.find_user(&UserId::new("usr_nobody")).await.unwrap().is_none());
        assert!(bed.store.find_user_by_name(&Username::parse("nobody").unwrap()).await.unwrap().is_none());
        let names: Vec<_> = bed.store.users().await.unwrap().into_iter().map(|user| user.username).collect();
        assert_eq!(names.iter().map(Username::as_str).collect::<Vec<_>>(), ["ada", "zoe"]);
    }

    /// A name belongs to one account, and the second one leaves no trace.
    async fn usernames_are_unique(database) {
        let bed = Bed::new(database).await;
        bed.user("ada").await;
        let mut second = Bed::new_user("ada");
        second.id = UserId::new("usr_other");
        assert!(is_taken(&bed.store.insert_user(&second).await));
        assert_eq!(bed.count("user_account").await, 1);
    }

    /// T11: the link dies with the account that it made, with all other links, and at its second.
    async fn a_setup_link_works_once_and_until_its_second(database) {
        let bed = Bed::new(database).await;
        for link in ["one", "two"] {
            bed.store.insert_setup_link(&hash(link), at(100)).await.unwrap();
        }
        assert!(!bed.store.is_setup_link(&hash("three"), at(0)).await.unwrap());
        assert!(bed.store.is_setup_link(&hash("one"), at(99)).await.unwrap());
        assert!(!bed.store.is_setup_link(&hash("one"), at(100)).await.unwrap());
        let ada = Bed::new_user("ada");
        let used = |outcome| matches!(outcome, Err(AccountError::LinkUsed));
        assert!(used(bed.store.insert_first_user(&hash("three"), &ada, at(0)).await));
        assert!(used(bed.store.insert_first_user(&hash("one"), &ada, at(100)).await));
        assert_eq!((bed.count("user_account").await, bed.count("setup_link").await), (0, 2));
        bed.store.insert_first_user(&hash("one"), &ada, at(99)).await.unwrap();
        assert!(used(bed.store.insert_first_user(&hash("one"), &Bed::new_user("zoe"), at(1)).await));
        assert!(used(bed.store.insert_first_user(&hash("two"), &Bed::new_user("zoe"), at(1)).await));
        assert_eq!((bed.count("user_account").await, bed.count("setup_link").await), (1, 0));
    }

    /// A link isn't spent on an account that can't be made.
    async fn a_setup_link_survives_a_taken_name(database) {
        let bed = Bed::new(database).await;
        bed.user("ada").await;
        bed.store.insert_setup_link(&hash("one"), at(100)).await.unwrap();
        assert!(is_taken(&bed.store.insert_first_user(&hash("one"), &Bed::new_user("ada"), at(0)).await));
        assert!(bed.store.is_setup_link(&hash("one"), at(0)).await.unwrap());
    }

    /// A session is good until its second, for an enabled user, until it is deleted.
    async fn sessions_end_at_their_second(database) {
        let bed = Bed::new(database).await;
        let ada = bed.user("ada").await;
        bed.store.insert_session(&hash("s"), (&ada, Credential::default()), at(-5), at(100)).await.unwrap();
        assert!(bed.store.find_session(&hash("other"), at(0)).await.unwrap().is_none());
        let session = bed.store.find_session(&hash("s"), at(99)).await.unwrap().unwrap();
        assert_eq!((session.user.id, session.authenticated_at), (ada, at(-5)));
        assert!(bed.store.find_session(&hash("s"), at(100)).await.unwrap().is_none());
        bed.store.delete_session(&hash("other")).await.unwrap();
        assert!(bed.store.find_session(&hash("s"), at(0)).await.unwrap().is_some());
        bed.store.delete_session(&hash("s")).await.unwrap();
        assert!(bed.store.find_session(&hash("s"), at(0)).await.unwrap().is_none());
    }

    /// T-25: both end sessions, waiting codes and grants, of this user only, and keep the evidence.
    async fn disabling_and_a_new_password_end_everything(database) {
        for (name, because) in [("disabled", "user disabled"), ("changed", "password changed")] {
            let bed = Bed::new(database).await;
            let (user, other) = (bed.user("ada").await, bed.user("zoe").await);
            let client = bed.client(name).await;
            let grant = bed.connected("mine", &user, &client).await;
            let theirs = bed.connected("theirs", &other, &client).await;
            let waiting = bed.code("waiting", &user, &client).await;
            for (session, user) in [("mine", &user), ("theirs", &other)] {
                bed.store.insert_session(&hash(session), (user, Credential::default()), at(0), at(100)).await.unwrap();
            }
            if name == "disabled" {
                bed.store.disable_user(&user, at(7)).await.unwrap();
                assert_eq!(bed.store.find_user(&user).await.unwrap().unwrap().disabled_at, Some(at(7)));
                // Once more changes nothing: since when is a fact.
                bed.store.disable_user(&user, at(8)).await.unwrap();
                assert_eq!(bed.store.find_user(&user).await.unwrap().unwrap().disabled_at, Some(at(7)));
            } else {
                bed.store.set_password(&user, "$argon2id$new", at(7)).await.unwrap();
                assert_eq!(bed.store.find_user(&user).await.unwrap().unwrap().password_hash, "$argon2id$new");
                assert_eq!(bed.store.find_user(&other).await.unwrap().unwrap().password_hash, "$argon2id$none");
            }
            assert!(bed.store.find_session(&hash("mine"), at(8)).await.unwrap().is_none());
            assert!(bed.store.find_session(&hash("theirs"), at(8)).await.unwrap().is_some());
            assert_eq!(bed.revoked(&grant).await, format!("{} {because}", NOW + 7));
            assert_eq!(bed.revoked(&theirs).await, "0 -");
            assert_eq!(bed.redeem(&waiting, "late", 8).await, Redemption::Unknown);
            assert_eq!(bed.rotate("mine 0", "mine 1", 8).await, Rotation::Unknown);
            assert_eq!(bed.rotate("theirs 0", "theirs 1", 8).await, Rotation::Rotated);
            // What was redeemed before is still known when it comes again.
            assert_eq!(bed.redeem(&hash("code of mine"), "again", 8).await, Redemption::Replayed);
            bed.store.enable_user(&user).await.unwrap();
            assert_eq!(bed.store.find_user(&user).await.unwrap().unwrap().disabled_at, None);
            assert_eq!(bed.revoked(&grant).await, format!("{} {because}", NOW + 7));
        }
    }

    /// T9: the window begins with the first failure, ends at its second, and then counting begins afresh.
    async fn failures_are_counted_within_their_window(database) {
        let bed = Bed::new(database).await;
        assert_eq!(bed.store.sign_in_failures("ada", at(0)).await.unwrap(), None);
        for (now, ends, count) in [(0, 100, 1), (50, 150, 2), (99, 199, 3), (100, 200, 1), (150, 250, 2)] {
            assert_eq!(bed.store.count_sign_in_failure("ada", at(now), at(ends)).await.unwrap(), count, "{now}");
        }
        assert_eq!(bed.store.sign_in_failures("ada", at(199)).await.unwrap(), Some((2, at(200))));
        assert_eq!(bed.store.sign_in_failures("ada", at(200)).await.unwrap(), None);
        assert_eq!(bed.store.sign_in_failures("zoe", at(150)).await.unwrap(), None);
        assert_eq!(bed.store.count_sign_in_failure("zoe", at(150), at(250)).await.unwrap(), 1);
        bed.store.clear_sign_in_failures("ada").await.unwrap();
        assert_eq!(bed.store.sign_in_failures("ada", at(150)).await.unwrap(), None);
        assert_eq!(bed.store.sign_in_failures("zoe", at(150)).await.unwrap(), Some((1, at(250))));
    }

    /// V-04: one key for each generation, oldest first; a withdrawn one goes at once; a succeeded one when the
    /// successor has been signing for long enough, and the last one never.
    async fn signing_keys_follow_one_another(database) {
        let bed = Bed::new(database).await;
        assert!(bed.store.signing_keys().await.unwrap().is_empty());
        let (one, two, three) = (key("one", 1, at(0)), key("two", 2, at(10)), key("three", 3, at(20)));
        assert!(bed.store.insert_signing_key(&two).await.unwrap());
        assert!(bed.store.insert_signing_key(&one).await.unwrap());
        assert!(!bed.store.insert_signing_key(&key("late", 2, at(0))).await.unwrap());
        assert!(bed.store.insert_signing_key(&key("one", 9, at(0))).await.is_err(), "a kid stands for one key");
        assert_eq!(bed.store.signing_keys().await.unwrap(), [one.clone(), two.clone()]);

        assert_eq!(bed.store.sweep_signing_keys(at(10)).await.unwrap(), 0);
        assert_eq!(bed.store.sweep_signing_keys(at(11)).await.unwrap(), 1);
        assert_eq!(bed.store.signing_keys().await.unwrap(), std::slice::from_ref(&two));
        assert_eq!(bed.store.sweep_signing_keys(at(1_000)).await.unwrap(), 0);

        assert!(bed.store.replace_signing_keys(&three).await.unwrap());
        assert_eq!(bed.store.signing_keys().await.unwrap(), std::slice::from_ref(&three));
        // Somebody else was quicker: nothing changes.
        assert!(!bed.store.replace_signing_keys(&key("slow", 3, at(0))).await.unwrap());
        assert_eq!(bed.store.signing_keys().await.unwrap(), [three]);
    }

    /// All that was registered comes back, and the token opens this registration only (RFC 7592 §3).
    async fn registrations_come_back_whole(database) {
        let bed = Bed::new(database).await;
        let mut metadata = Bed::metadata("Söme \"client\"");
        metadata.redirect_uris.push(RedirectUri::from_stored("http://127.0.0.1:1/cb?x=\"y").unwrap());
        metadata.auth_methods = vec![AuthMethod::ClientSecretPost];
        metadata.uri = Some("https://client.example".into());
        metadata.software_id = Some("id".into());
        metadata.software_version = Some("1".into());
        metadata.application_type = Some("native".into());
        let new = NewRegistration {
            id: ClientId::new("pc_1"),
            metadata: metadata.clone(),
            secret_hash: Some(hash("secret")),
            fingerprint: None,
            token_hash: hash("token"),
            registered_at: at(3),
        };
        assert_eq!(bed.store.insert_registration(&new).await.unwrap(), new.id);
        let found = bed.store.find_client(&new.id).await.unwrap().unwrap();
        assert_eq!((&found.id, &found.metadata, &found.secrets.current), (&new.id, &metadata, &new.secret_hash));
        assert_eq!((found.shared, found.registered_at), (false, at(3)));
        assert_eq!((found.first_used_at, found.deleted_at), (None, None));
        assert!(bed.store.find_client(&ClientId::new("pc_2")).await.unwrap().is_none());
        let other = bed.client("other").await;
        assert!(bed.store.find_registration(&new.id, &hash("token")).await.unwrap().is_some());
        assert!(bed.store.find_registration(&new.id, &hash("token of other")).await.unwrap().is_none());
        assert!(bed.store.find_registration(&other, &hash("token")).await.unwrap().is_none());
        // Confidential clients share nothing, however alike they are.
        let twin = NewRegistration { id: ClientId::new("pc_3"), token_hash: hash("token 3"), ..new };
        assert_eq!(bed.store.insert_registration(&twin).await.unwrap(), twin.id);
    }

    /// R-17, T22: identical public registrations are one row with a bounded number of tokens; the newest works.
    async fn identical_public_registrations_share_a_row(database) {
        let bed = Bed::new(database).await;
        let first = bed.client("same").await;
        assert!(!bed.store.find_client(&first).await.unwrap().unwrap().shared);
        for n in 0..30 {
            let token = format!("token {n}");
            let again = Bed::registration(&format!("pc_{n}"), "same", &token);
            assert_eq!(bed.store.insert_registration(&again).await.unwrap(), first);
            let found = bed.store.find_registration(&first, &hash(&token)).await.unwrap();
            assert!(found.is_some_and(|client| client.shared), "the token that was just given works ({n})");
        }
        assert_eq!((bed.count("client").await, bed.count("client_registration").await), (1, 20));
        assert_ne!(bed.client("different").await, first);
    }

    /// RFC 7592 §2.2: only a live registration of one's own is changed. Approvals keep the digest of what was approved, so
    /// that those given to the old one don't count for the new.
    async fn only_unshared_live_registrations_change(database) {
        let bed = Bed::new(database).await;
        let (ada, client, other) = (bed.user("ada").await, bed.client("mine").await, bed.client("other").await);
        bed.code("kept", &ada, &other).await;
        bed.code("lost", &ada, &client).await;
        let metadata = Bed::metadata("renamed");
        let update = async |id: &ClientId, fingerprint: Option<&'static str>| {
            bed.store.update_registration(id, &metadata, None, fingerprint).await.unwrap()
        };
        assert!(!update(&ClientId::new("pc_nobody"), None).await);
        assert!(!update(&client, Some("fingerprint of other")).await, "another has this very metadata");
        assert_eq!(bed.count("consent").await, 2);
        assert!(update(&client, Some("new")).await);
        assert!(update(&client, Some("new")).await, "its own fingerprint is no hindrance");
        let found = bed.store.find_client(&client).await.unwrap().unwrap();
        assert_eq!(found.metadata, metadata);
        assert!(found.first_used_at.is_some(), "it stays used");
        let kept = bed.store.consents(&ada, &client, &resource()).await.unwrap();
        assert!(kept.iter().all(|consent| consent.client_digest != Some(metadata.digest())), "{kept:?}");

        bed.store.insert_registration(&Bed::registration("pc_x", "other", "x")).await.unwrap();
        assert!(!update(&other, None).await, "strangers hold tokens for a shared one");
        bed.store.delete_registration(&client, &hash("token of mine"), at(0)).await.unwrap();
        assert!(!update(&client, None).await, "a deleted one stays as it was");
    }

    /// RFC 7592 §2.3, B-19: with its last token a client goes, as a tombstone that ends its connections.
    async fn a_client_goes_with_its_last_token(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("same").await);
        let grant = bed.connected("mine", &ada, &client).await;
        let waiting = bed.code("waiting", &ada, &client).await;

        bed.store.delete_registration(&client, &hash("of somebody else"), at(1)).await.unwrap();
        assert_eq!(bed.revoked(&grant).await, "0 -");

        bed.store.delete_registration(&client, &hash("token of same"), at(3)).await.unwrap();
        bed.store.delete_registration(&client, &hash("token of same"), at(4)).await.unwrap();
        assert_eq!(bed.store.find_client(&client).await.unwrap().unwrap().deleted_at, Some(at(3)));
        assert!(bed.store.find_registration(&client, &hash("token of same")).await.unwrap().is_none());
        assert_eq!(bed.revoked(&grant).await, format!("{} client deleted", NOW + 3));
        assert_eq!(bed.redeem(&waiting, "late", 4).await, Redemption::Unknown);
        // Whoever registers the same again begins anew.
        let again = bed.store.insert_registration(&Bed::registration("pc_new", "same", "third")).await.unwrap();
        assert_eq!(again, ClientId::new("pc_new"));
    }

    /// T13: who registers what others have registered comes to hold tokens of the same client, in the end all of them.
    /// They end nobody's connections.
    async fn a_shared_client_outlives_its_tokens(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("same").await);
        let grant = bed.connected("mine", &ada, &client).await;
        for n in 0..25 {
            let mut new = Bed::registration("pc_x", "same", &n.to_string());
            new.registered_at = at(1 + n);
            bed.store.insert_registration(&new).await.unwrap();
        }
        assert!(bed.store.find_registration(&client, &hash("token of same")).await.unwrap().is_none());
        for n in 0..25 {
            bed.store.delete_registration(&client, &hash(&n.to_string()), at(3)).await.unwrap();
        }
        assert_eq!(bed.store.find_client(&client).await.unwrap().unwrap().deleted_at, None);
        assert_eq!(bed.revoked(&grant).await, "0 -");
    }

    /// T35: what an administrator decided about a client that nobody uses is not swept away.
    async fn a_stopped_client_is_not_forgotten(database) {
        let bed = Bed::new(database).await;
        let (disabled, deleted) = (bed.client("disabled").await, bed.client("deleted").await);
        bed.store.disable_client(&disabled, at(1)).await.unwrap();
        bed.store.delete_client(&deleted, at(1)).await.unwrap();
        bed.sweep_unused(at(1_000), 0).await;
        assert!(bed.store.find_client(&disabled).await.unwrap().unwrap().disabled_at.is_some());
        assert!(bed.store.find_client(&deleted).await.unwrap().unwrap().deleted_at.is_some());
    }

    /// T22: those that nobody ever let in are forgotten by age and by number, the oldest first.
    async fn unused_clients_are_swept(database) {
        let bed = Bed::new(database).await;
        let ada = bed.user("ada").await;
        let used = bed.client("used").await;
        bed.connected("used", &ada, &used).await;
        for n in 1..=5 {
            let mut new = Bed::registration(&format!("pc_{n}"), &n.to_string(), &n.to_string());
            new.registered_at = at(n);
            bed.store.insert_registration(&new).await.unwrap();
        }
        assert_eq!(bed.sweep_unused(at(1), 10).await, 0);
        assert_eq!(bed.sweep_unused(at(2), 10).await, 1);
        assert_eq!(bed.sweep_unused(at(0), 3).await, 1);
        let left = bed.sql("select id from client order by registered_at, id").await.unwrap().concat();
        assert_eq!(left, ["pc_used", "pc_3", "pc_4", "pc_5"]);
        assert_eq!(bed.count("client_registration").await, 4, "their tokens go with them");
        assert_eq!(bed.sweep_unused(at(1_000), 0).await, 3);
        assert!(bed.store.find_client(&used).await.unwrap().is_some());
    }

    /// All that was asked comes back, with nothing and with everything set; an expired one is found too.
    async fn authorizations_come_back_whole(database) {
        let bed = Bed::new(database).await;
        let client = bed.client("c").await;
        let full = Bed::authorization("ath_full", &client);
        let mut bare = Bed::authorization("ath_bare", &client);
        bare.request.scope = None;
        bare.request.offline = false;
        bare.request.state = None;
        bare.request.code_challenge = None;
        bare.request.prompt = Prompt::default();
        bare.request.login_hint = None;
        bare.expires_at = at(-1);
        for own in [&full, &bare] {
            bed.store.insert_authorization(own).await.unwrap();
            let found = bed.store.find_authorization(&own.id).await.unwrap().unwrap();
            assert_eq!((&found.id, &found.client_id, &found.request), (&own.id, &own.client_id, &own.request));
            assert_eq!((&found.redirect_uri, &found.browser_hash), (&own.redirect_uri, &own.browser_hash));
            assert_eq!((&found.nonce, found.created_at), (&own.nonce, own.created_at));
            assert_eq!((found.expires_at, &found.decision), (own.expires_at, &None));
        }
        assert!(bed.store.find_authorization(&AuthorizationId::new("ath_none")).await.unwrap().is_none());
        assert!(bed.store.insert_authorization(&full).await.is_err(), "an id is used once");
    }

    /// A decision is made once, before the request's second, and is final.
    async fn a_request_is_decided_once_and_in_time(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for id in ["ath_1", "ath_2", "ath_3"] {
            bed.store.insert_authorization(&Bed::authorization(id, &client)).await.unwrap();
        }
        let decision = async |id: &str| bed.store.find_authorization(&AuthorizationId::new(id)).await.unwrap().unwrap().decision;
        let approve = async |id: &str, now: i64| {
            let authorization = Bed::authorization(id, &client);
            let grant = Bed::grant(&format!("grt_{id}"), &ada, &client);
            let approval = Approval {
                authorization: &authorization,
                grant: &grant,
                credential: Credential::default(),
                client_digest: "digest",
                code_hash: hash(id),
                code_expires_at: at(now + 60),
                now: at(now),
            };
            bed.store.approve_authorization(&approval).await.unwrap()
        };
        assert_eq!(approve("ath_none", 0).await, Decided::Before);
        assert_eq!(approve("ath_1", 100).await, Decided::Before);
        assert_eq!(bed.store.deny_authorization(&AuthorizationId::new("ath_1"), at(100)).await.unwrap(), Decided::Before);
        assert_eq!((decision("ath_1").await, bed.count("authorization_code").await), (None, 0));
        assert_eq!(bed.store.find_client(&client).await.unwrap().unwrap().first_used_at, None);

        assert_eq!(approve("ath_1", 99).await, Decided::Now);
        assert_eq!(approve("ath_1", 99).await, Decided::Before);
        assert_eq!(bed.store.deny_authorization(&AuthorizationId::new("ath_1"), at(99)).await.unwrap(), Decided::Before);
        assert_eq!(decision("ath_1").await, Some(Decision::Approved(ada.clone())));

        assert_eq!(bed.store.deny_authorization(&AuthorizationId::new("ath_2"), at(99)).await.unwrap(), Decided::Now);
        assert_eq!(approve("ath_2", 99).await, Decided::Before);
        assert_eq!(decision("ath_2").await, Some(Decision::Denied));

        assert_eq!(approve("ath_3", 98).await, Decided::Now);
        assert_eq!(bed.count("authorization_code").await, 2);
        assert_eq!(bed.store.find_client(&client).await.unwrap().unwrap().first_used_at, Some(at(99)), "the first use");
    }

    /// An approval is stored with its code and its memory, or not at all.
    async fn an_approval_is_whole_or_nothing(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let first = Bed::authorization("ath_1", &client);
        let second = Bed::authorization("ath_2", &client);
        for own in [&first, &second] {
            bed.store.insert_authorization(own).await.unwrap();
        }
        bed.approve(&first, &Bed::grant("grt_1", &ada, &client), "the code").await;
        let grant = Bed::grant("grt_2", &ada, &client);
        // The same code again can't be stored.
        let approval = Approval {
            authorization: &second,
            grant: &grant,
            credential: Credential::default(),
            client_digest: "digest",
            code_hash: hash("the code"),
            code_expires_at: Timestamp(CODE_DIES),
            now: at(5),
        };
        assert!(bed.store.approve_authorization(&approval).await.is_err());
        assert_eq!(bed.store.find_authorization(&second.id).await.unwrap().unwrap().decision, None);
        assert_eq!(bed.number("select max(granted_at) from consent").await, NOW);
        assert_eq!(bed.approve(&second, &grant, "another code").await, Decided::Now);
    }

    /// A-20: one memory for each user, client, callback and resource; the newest approval is what counts.
    async fn consent_is_remembered_by_user_client_callback_and_resource(database) {
        let bed = Bed::new(database).await;
        let (ada, zoe, client) = (bed.user("ada").await, bed.user("zoe").await, bed.client("c").await);
        let mut elsewhere = Bed::authorization("ath_1", &client);
        elsewhere.redirect_uri = RedirectUri::from_stored("https://client.example/other").unwrap();
        bed.store.insert_authorization(&elsewhere).await.unwrap();
        bed.approve(&elsewhere, &Bed::grant("grt_1", &ada, &client), "1").await;
        for (n, text, offline, now) in [(2, "a b", true, 10), (3, "a", false, 20)] {
            let mut asked = Bed::authorization(&format!("ath_{n}"), &client);
            asked.request.offline = offline;
            bed.store.insert_authorization(&asked).await.unwrap();
            let mut grant = Bed::grant(&format!("grt_{n}"), &ada, &client);
            grant.scope = scope(text);
            let approval = Approval {
                authorization: &asked,
                grant: &grant,
                credential: Credential::default(),
                client_digest: "digest",
                code_hash: hash(&n.to_string()),
                code_expires_at: at(now + 60),
                now: at(now),
            };
            assert_eq!(bed.store.approve_authorization(&approval).await.unwrap(), Decided::Now);
        }
        let client_digest = Some("digest".to_owned());
        let newest = Consent { redirect_uri: REDIRECT.into(), scope: scope("a"), offline: false, client_digest };
        let other = "https://client.example/other".to_owned();
        let older = Consent { redirect_uri: other, scope: scope("a b"), offline: true, ..newest.clone() };
        assert_eq!(bed.store.consents(&ada, &client, &resource()).await.unwrap(), [newest, older]);
        assert!(bed.store.consents(&zoe, &client, &resource()).await.unwrap().is_empty());
        assert!(bed.store.consents(&ada, &ClientId::new("pc_x"), &resource()).await.unwrap().is_empty());
        let other = oauth::resource::Resource::from_canonical("https://h.example/other");
        assert!(bed.store.consents(&ada, &client, &other).await.unwrap().is_empty());
    }

    /// T-14: a code becomes a grant with its facts, and a refresh token only where one is given.
    async fn a_redeemed_code_becomes_its_grant(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let code = bed.code("x", &ada, &client).await;
        assert!(bed.store.find_code(&hash("other")).await.unwrap().is_none());
        let found = bed.store.find_code(&code).await.unwrap().unwrap();
        assert_eq!((found.grant.id.as_str(), &found.grant.user_id, &found.grant.client_id), ("grt_x", &ada, &client));
        assert_eq!((&found.grant.scope, &found.grant.resource), (&scope("a b"), &resource()));
        assert_eq!((found.grant.authenticated_at, found.redirect_uri.as_str()), (at(-20), REDIRECT));
        assert_eq!(found.code_challenge.as_ref().map(|own| own.as_str().to_owned()), Some(challenge(VERIFIER)));
        assert_eq!((found.expires_at, found.attempts, found.redeemed_at), (Timestamp(CODE_DIES), 0, None));

        assert_eq!(bed.redeem(&code, "x 0", 7).await, Redemption::Redeemed);
        assert_eq!(bed.store.find_code(&code).await.unwrap().unwrap().redeemed_at, Some(at(7)));
        let token = bed.store.find_refresh_token(&hash("x 0")).await.unwrap().unwrap();
        assert_eq!((&token.grant.id, &token.grant.user_id, &token.grant.client_id), (&found.grant.id, &ada, &client));
        assert_eq!((&token.grant.scope, &token.grant.resource), (&scope("a b"), &resource()));
        assert_eq!((token.grant.authenticated_at, token.grant.expires_at), (at(-20), Timestamp(GRANT_ENDS)));
        assert_eq!((token.expires_at, token.used_at), (Timestamp(REFRESH_DIES), None));
        assert!(bed.store.find_refresh_token(&hash("x 1")).await.unwrap().is_none());

        let code = bed.code("short", &ada, &client).await;
        let redeem = Redeem { code_hash: &code, refresh: None, grant_expires_at: at(60), now: at(0) };
        assert_eq!(bed.store.redeem_code(&redeem).await.unwrap(), Redemption::Redeemed);
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (2, 1));
    }

    /// A-17, T-13, T-25: not after its second, not after five wrong attempts, not for a disabled user.
    async fn a_code_is_guarded_by_time_attempts_and_user(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        assert_eq!(bed.redeem(&hash("never was"), "r", 0).await, Redemption::Unknown);
        let code = bed.code("time", &ada, &client).await;
        assert_eq!(bed.redeem(&code, "r", 60).await, Redemption::Unknown);
        assert_eq!(bed.redeem(&code, "r", 59).await, Redemption::Redeemed);

        let (four, five) = (bed.code("four", &ada, &client).await, bed.code("five", &ada, &client).await);
        for n in 0..5 {
            if n < 4 {
                bed.store.count_code_attempt(&four).await.unwrap();
            }
            bed.store.count_code_attempt(&five).await.unwrap();
        }
        assert_eq!(bed.store.find_code(&five).await.unwrap().unwrap().attempts, 5);
        assert_eq!(bed.redeem(&four, "four", 0).await, Redemption::Redeemed);
        assert_eq!(bed.redeem(&five, "five", 0).await, Redemption::Unknown);

        let code = bed.code("user", &ada, &client).await;
        bed.sql("update user_account set disabled_at = 1").await.unwrap();
        assert_eq!(bed.redeem(&code, "user", 0).await, Redemption::Unknown);
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (2, 2));
    }

    /// B-04, RFC 9700 §4.5: a second use ends the grant, and that is there for all before the refusal is given.
    async fn a_replayed_code_ends_its_grant_before_the_refusal(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let grant = bed.connected("x", &ada, &client).await;
        let other = bed.connected("y", &ada, &client).await;
        // Even long after the code's time.
        assert_eq!(bed.redeem(&hash("code of x"), "thief", 500).await, Redemption::Replayed);
        assert_eq!(bed.revoked(&grant).await, format!("{} code replayed", NOW + 500));
        assert_eq!(bed.ended_since(500).await, std::slice::from_ref(&grant));
        assert!(bed.store.find_refresh_token(&hash("thief")).await.unwrap().is_none());
        assert_eq!(bed.rotate("x 0", "x 1", 501).await, Rotation::Unknown);
        assert_eq!(bed.redeem(&hash("code of x"), "thief", 600).await, Redemption::Replayed);
        assert_eq!(bed.revoked(&grant).await, format!("{} code replayed", NOW + 500), "the first moment stays");
        assert_eq!(bed.revoked(&other).await, "0 -");
    }

    /// A redemption that can't be stored as a whole burns nothing.
    async fn a_failed_redemption_leaves_the_code_unused(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        bed.connected("x", &ada, &client).await;
        let code = bed.code("y", &ada, &client).await;
        // The digest of another token.
        let taken = (hash("x 0"), at(10));
        let redeem = Redeem { code_hash: &code, refresh: Some(taken), grant_expires_at: at(60), now: at(1) };
        assert!(bed.store.redeem_code(&redeem).await.is_err());
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (1, 1));
        assert_eq!(bed.redeem(&code, "y 0", 2).await, Redemption::Redeemed);
    }

    /// T-20: a token is used once and leads to its successor; its second is the end of it, as is its grant's.
    async fn rotation_is_guarded_by_token_and_grant(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let grant = bed.connected("x", &ada, &client).await;
        assert_eq!(bed.rotate("never was", "n", 0).await, Rotation::Unknown);
        assert_eq!(bed.rotate("x 0", "x 1", 1_000).await, Rotation::Unknown);
        assert_eq!(bed.revoked(&grant).await, "0 -", "an expired token is no theft");
        assert_eq!(bed.rotate("x 0", "x 1", 999).await, Rotation::Rotated);
        let old = bed.store.find_refresh_token(&hash("x 0")).await.unwrap().unwrap();
        let new = bed.store.find_refresh_token(&hash("x 1")).await.unwrap().unwrap();
        assert_eq!((old.used_at, new.used_at, new.expires_at), (Some(at(999)), None, at(1_999)));
        assert_eq!(new.grant.id, grant);

        bed.sql(&format!("update token_grant set expires_at = {}", NOW + 1_500)).await.unwrap();
        assert_eq!(bed.rotate("x 1", "x 2", 1_500).await, Rotation::Unknown);
        assert_eq!(bed.rotate("x 1", "x 2", 1_499).await, Rotation::Rotated);
        bed.store.revoke_grant(&grant, "test", at(1_499)).await.unwrap();
        assert_eq!(bed.rotate("x 2", "x 3", 1_499).await, Rotation::Unknown);
        assert_eq!(bed.rotate("x 1", "x 2", 1_499).await, Rotation::Unknown, "nothing is repeated of an ended grant");
        assert_eq!(bed.count("refresh_token").await, 3);
    }

    /// T-21: inside the window a few times the same again; at its end, or once too often, the grant is ended.
    async fn repetition_is_bounded_in_time_and_number(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let late = bed.connected("late", &ada, &client).await;
        let often = bed.connected("often", &ada, &client).await;
        assert_eq!(bed.rotate("late 0", "late 1", 0).await, Rotation::Rotated);
        assert_eq!(bed.rotate("late 0", "late 1", 99).await, Rotation::Repeated(FirstUse::Here));
        assert_eq!(bed.store.find_refresh_token(&hash("late 0")).await.unwrap().unwrap().used_at, Some(at(0)));
        assert_eq!(bed.rotate("late 0", "late 1", 100).await, Rotation::Replayed(FirstUse::Here));
        assert_eq!(bed.revoked(&late).await, format!("{} refresh token replayed", NOW + 100));
        assert_eq!(bed.ended_since(100).await, [late]);
        assert_eq!(bed.rotate("late 0", "late 1", 100).await, Rotation::Unknown);
        assert_eq!(bed.rotate("late 1", "late 2", 100).await, Rotation::Unknown);

        assert_eq!(bed.rotate("often 0", "often 1", 0).await, Rotation::Rotated);
        for _ in 0..2 {
            assert_eq!(bed.rotate("often 0", "often 1", 1).await, Rotation::Repeated(FirstUse::Here));
        }
        assert_eq!(bed.rotate("often 0", "often 1", 1).await, Rotation::Replayed(FirstUse::Here));
        assert_eq!(bed.revoked(&often).await, format!("{} refresh token replayed", NOW + 1));
        assert_eq!(bed.count("refresh_token").await, 4);
    }

    /// RFC 9700 §4.14.2: a token is repeated as long as its successor is unused. After that it is reuse, and only a
    /// request that may have been under way ends nothing.
    async fn a_successor_in_use_is_not_given_again(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (name, after, outcome) in [
            ("at once", 5, Rotation::Overtaken(FirstUse::Here)),
            ("soon", 9, Rotation::Overtaken(FirstUse::Here)),
            ("late", 10, Rotation::Replayed(FirstUse::Here)),
            ("later", 99, Rotation::Replayed(FirstUse::Here)),
            ("latest", 5_000, Rotation::Replayed(FirstUse::Here)),
        ] {
            let grant = bed.connected(name, &ada, &client).await;
            let token = |n: usize| format!("{name} {n}");
            assert_eq!(bed.rotate(&token(0), &token(1), 0).await, Rotation::Rotated);
            assert_eq!(bed.rotate(&token(0), &token(1), 4).await, Rotation::Repeated(FirstUse::Here));
            assert_eq!(bed.rotate(&token(1), &token(2), 5).await, Rotation::Rotated);
            assert_eq!(bed.rotate(&token(0), &token(1), after).await, outcome, "{name}");
            // The newest token is what the line comes to, unless it has ended.
            let goes_on = outcome == Rotation::Overtaken(FirstUse::Here);
            let because = if goes_on { "0 -".to_owned() } else { format!("{} refresh token replayed", NOW + after) };
            assert_eq!(bed.revoked(&grant).await, because, "{name}");
            let next = if goes_on { Rotation::Rotated } else { Rotation::Unknown };
            assert_eq!(bed.rotate(&token(2), &token(3), after).await, next, "{name}");
        }
    }

    /// The whole line: whichever ancestor comes, it opens nothing, whoever sends it.
    async fn no_ancestor_leads_to_the_newest_token(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for ancestor in 0..3 {
            for (after, outcome) in [(3, Rotation::Overtaken(FirstUse::Here)), (13, Rotation::Replayed(FirstUse::Here))] {
                let name = format!("{ancestor} {after}");
                let grant = bed.connected(&name, &ada, &client).await;
                for n in 0..4_usize {
                    let now = i64::try_from(n).unwrap();
                    let rotated = bed.rotate(&format!("{name} {n}"), &format!("{name} {}", n + 1), now).await;
                    assert_eq!(rotated, Rotation::Rotated);
                }
                let (old, new) = (format!("{name} {ancestor}"), format!("{name} {}", ancestor + 1));
                assert_eq!(bed.rotate(&old, &new, after).await, outcome, "{name}");
                assert_eq!(bed.revoked(&grant).await == "0 -", after == 3, "{name}");
                // The last one was not used: it is what a lost answer gets, as long as the grant lives.
                let last = bed.rotate(&format!("{name} 3"), &format!("{name} 4"), after).await;
                assert_eq!(last == Rotation::Repeated(FirstUse::Here), after == 3, "{name}: {last:?}");
            }
        }
    }

    /// A successor that can't be made out again, because the key that derives it was changed, is no theft; what comes
    /// after the window is, with any key.
    async fn a_changed_key_breaks_repetitions_and_ends_nothing(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let grant = bed.connected("x", &ada, &client).await;
        assert_eq!(bed.rotate("x 0", "x 1", 0).await, Rotation::Rotated);
        assert_eq!(bed.rotate("x 0", "x 1 by another key", 99).await, Rotation::Overtaken(FirstUse::Here));
        assert_eq!(bed.rotate("x 1", "x 2 by another key", 99).await, Rotation::Rotated);
        assert_eq!(bed.revoked(&grant).await, "0 -");
        assert_eq!(bed.rotate("x 0", "x 1 by another key", 100).await, Rotation::Replayed(FirstUse::Here));
    }

    /// Where a token was used first is compared, not kept: a repetition says whether it came from the same place.
    async fn a_repetition_says_whether_it_came_from_elsewhere(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (from, first_use) in [("here", FirstUse::Here), ("there", FirstUse::Elsewhere)] {
            bed.connected(from, &ada, &client).await;
            let token = |n: usize| format!("{from} {n}");
            assert_eq!(bed.rotate(&token(0), &token(1), 0).await, Rotation::Rotated);
            let again = async |now| crate::bed::rotate_from(&bed.store, from, &token(0), &token(1), now).await.unwrap();
            assert_eq!(again(1).await, Rotation::Repeated(first_use));
            assert_eq!(bed.rotate(&token(1), &token(2), 2).await, Rotation::Rotated);
            assert_eq!(again(3).await, Rotation::Overtaken(first_use));
            assert_eq!(again(50).await, Rotation::Replayed(first_use));
        }
        bed.connected("before", &ada, &client).await;
        assert_eq!(bed.rotate("before 0", "before 1", 0).await, Rotation::Rotated);
        bed.sql("update refresh_token set used_from = null").await.unwrap();
        let again = crate::bed::rotate_from(&bed.store, "there", "before 0", "before 1", 1).await.unwrap();
        assert_eq!(again, Rotation::Repeated(FirstUse::Here), "rotated by an older version");
    }

    /// T-26: a rotation whose successor can't be stored has not happened.
    async fn a_failed_rotation_leaves_the_token_unused(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        bed.connected("x", &ada, &client).await;
        bed.connected("y", &ada, &client).await;
        let (old, taken) = (hash("x 0"), hash("y 0"));
        let rotate = Rotate {
            old: &old,
            new: &taken,
            after_new: &hash("x 2"),
            new_expires_at: at(100),
            grace_began_at: at(-100),
            grace_uses: 2,
            under_way_since: at(-10),
            used_from: "here",
            now: at(1),
        };
        assert!(bed.store.rotate_refresh_token(&rotate).await.is_err());
        assert_eq!(bed.store.find_refresh_token(&old).await.unwrap().unwrap().used_at, None);
        assert_eq!(bed.rotate("x 0", "x 1", 2).await, Rotation::Rotated);
    }

    /// V-01: a grant is revoked once, by whoever is first; disconnecting is for its own user, and forgets.
    async fn grants_are_revoked_once_and_by_their_user(database) {
        let bed = Bed::new(database).await;
        let (ada, zoe, client) = (bed.user("ada").await, bed.user("zoe").await, bed.client("c").await);
        let one = bed.connected("one", &ada, &client).await;
        let two = bed.connected("two", &ada, &client).await;
        assert!(!bed.store.revoke_grant(&GrantId::new("grt_none"), "x", at(1)).await.unwrap());
        assert!(bed.store.revoke_grant(&one, "first", at(1)).await.unwrap());
        assert!(!bed.store.revoke_grant(&one, "second", at(2)).await.unwrap());
        assert_eq!(bed.revoked(&one).await, format!("{} first", NOW + 1));

        assert!(!bed.store.disconnect(&zoe, &two, at(3)).await.unwrap());
        assert_eq!((bed.revoked(&two).await, bed.count("consent").await), ("0 -".into(), 1));
        assert!(bed.store.disconnect(&ada, &two, at(4)).await.unwrap());
        assert!(!bed.store.disconnect(&ada, &two, at(5)).await.unwrap());
        assert_eq!(bed.revoked(&two).await, format!("{} disconnected by the user", NOW + 4));
        assert_eq!(bed.count("consent").await, 0);
    }

    /// A user sees their live connections, newest first.
    async fn connections_are_a_users_own_and_alive(database) {
        let bed = Bed::new(database).await;
        let (ada, zoe, client) = (bed.user("ada").await, bed.user("zoe").await, bed.client("c").await);
        for (n, name) in ["old", "new", "revoked"].into_iter().enumerate() {
            let code = bed.code(name, &ada, &client).await;
            bed.redeem(&code, &format!("{name} 0"), i64::try_from(n).unwrap()).await;
        }
        bed.connected("theirs", &zoe, &client).await;
        bed.store.revoke_grant(&GrantId::new("grt_revoked"), "x", at(5)).await.unwrap();
        bed.rotate("old 0", "old 1", 9).await;
        let mine = bed.store.connections(&ada, Timestamp(GRANT_ENDS - 1)).await.unwrap();
        assert_eq!(mine.iter().map(|own| own.id.as_str()).collect::<Vec<_>>(), ["grt_new", "grt_old"]);
        assert_eq!((mine[1].created_at, mine[1].refreshed_at), (at(0), Some(at(9))));
        assert_eq!((mine[1].client_name.as_deref(), mine[1].redirect_uri.as_str()), (Some("c"), REDIRECT));
        assert_eq!(mine[1].scope, scope("a b"));
        assert!(bed.store.connections(&ada, Timestamp(GRANT_ENDS)).await.unwrap().is_empty());
    }

    /// T15: what was revoked at this very second belongs to the news.
    async fn revoked_grants_are_listed_from_their_second_on(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let grant = bed.connected("x", &ada, &client).await;
        assert!(bed.ended_since(-1_000).await.is_empty() && bed.store.endings(at(-1_000)).await.unwrap().is_empty());
        bed.store.revoke_grant(&grant, "x", at(10)).await.unwrap();
        assert_eq!(bed.ended_since(10).await, std::slice::from_ref(&grant));
        assert_eq!(bed.store.endings(at(10)).await.unwrap(), [Ending::Alone(grant, at(10))]);
        assert!(bed.ended_since(11).await.is_empty() && bed.store.endings(at(11)).await.unwrap().is_empty());
    }

    /// Grants that end with their client or user are one piece of news, which changes when more come to it.
    async fn grants_that_end_together_are_one_piece_of_news(database) {
        let bed = Bed::new(database).await;
        let (ada, zoe, client) = (bed.user("ada").await, bed.user("zoe").await, bed.client("c").await);
        let connect = async |name: &str, user: &UserId| bed.connected(name, user, &client).await;
        connect("a 1", &ada).await;
        connect("a 2", &ada).await;
        connect("z 1", &zoe).await;
        bed.store.disable_user(&ada, at(5)).await.unwrap();
        let (user, own) = (Party::User(ada), Party::Client(client.clone()));
        assert_eq!(bed.store.endings(at(5)).await.unwrap(), [Ending::Together(user.clone(), at(5), 2)]);
        bed.store.disable_client(&client, at(6)).await.unwrap();
        bed.store.enable_client(&client, at(6)).await.unwrap();
        assert_eq!(bed.store.endings(at(6)).await.unwrap(), [Ending::Together(own.clone(), at(6), 1)]);
        connect("z 2", &zoe).await;
        bed.store.disable_client(&client, at(6)).await.unwrap();
        assert_eq!(bed.store.endings(at(6)).await.unwrap(), [Ending::Together(own.clone(), at(6), 2)]);
        // Nothing ended, nothing to tell.
        bed.store.disable_client(&client, at(7)).await.unwrap();
        assert!(bed.store.endings(at(7)).await.unwrap().is_empty());

        let view = Revocations::new(Duration::from_hours(1));
        assert_eq!(bed.store.tell_together(&user, at(5), &view).await.unwrap(), 2);
        assert!(["a 1", "a 2"].iter().all(|own| view.is_revoked(&format!("grt_{own}"))) && !view.is_revoked("grt_z 1"));
        assert_eq!(bed.store.tell_together(&own, at(6), &view).await.unwrap(), 2);
        assert!(view.is_revoked("grt_z 1") && view.is_revoked("grt_z 2"));
        assert_eq!(bed.store.tell_together(&own, at(7), &view).await.unwrap(), 0);
        assert_eq!(bed.sweep(at(6 + 3_600), at(-1)).await, 2, "the news are forgotten after an hour");
    }

    /// T22: what nobody can present any more goes at its second; evidence stays until its own time.
    async fn sweep_keeps_evidence_and_deletes_the_rest(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (name, end) in [("ended", 100), ("lasting", 101)] {
            bed.store.insert_session(&hash(name), (&ada, Credential::default()), at(0), at(end)).await.unwrap();
            bed.store.insert_setup_link(&hash(name), at(end)).await.unwrap();
            bed.store.count_sign_in_failure(name, at(0), at(end)).await.unwrap();
        }
        let revoked = bed.connected("revoked", &ada, &client).await;
        bed.connected("alive", &ada, &client).await;
        bed.code("unredeemed", &ada, &client).await;
        bed.store.revoke_grant(&revoked, "x", at(50)).await.unwrap();
        // At second 100 three of each kind of two have ended; evidence is younger than its time.
        assert_eq!(bed.sweep(at(100), at(49)).await, 3);
        for table in ["session", "setup_link", "sign_in_failure"] {
            assert_eq!(bed.count(table).await, 1, "{table}");
        }
        assert_eq!((bed.count("authorization_request").await, bed.count("authorization_code").await), (3, 3));
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (2, 2));
        assert_eq!(bed.redeem(&hash("code of alive"), "thief", 99).await, Redemption::Replayed, "still recognised");
        bed.sql("update token_grant set revoked_at = null, revoked_because = null where id = 'grt_alive'").await.unwrap();

        // The revoked grant's evidence is old enough at its second, with its tokens.
        assert_eq!(bed.sweep(at(100), at(50)).await, 2, "the grant and its refresh token");
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (1, 1));
        assert_eq!(bed.sweep(at(100), at(59)).await, 0);
        assert_eq!(bed.sweep(at(100), at(60)).await, 3, "codes die at 60");
        assert_eq!(bed.sweep(at(100), at(99)).await, 0);
        assert_eq!(bed.sweep(at(100), at(100)).await, 3, "requests at 100");
        assert_eq!(bed.sweep(at(100), at(999)).await, 0);
        assert_eq!(bed.sweep(at(100), at(1_000)).await, 1, "the refresh token");
        assert_eq!(bed.sweep(at(100), Timestamp(GRANT_ENDS - 1)).await, 0);
        assert_eq!(bed.sweep(at(100), Timestamp(GRANT_ENDS)).await, 1, "the grant");
        assert_eq!((bed.count("user_account").await, bed.count("client").await, bed.count("consent").await), (1, 1, 1));
    }

    /// Rows that belong to nothing can't be written.
    async fn foreign_keys_hold(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let nobody = UserId::new("usr_nobody");
        assert!(!bed.store.insert_session(&hash("s"), (&nobody, Credential::default()), at(0), at(1)).await.unwrap());
        let of_nobody = Bed::authorization("ath_1", &ClientId::new("pc_nobody"));
        assert!(bed.store.insert_authorization(&of_nobody).await.is_err());
        let asked = Bed::authorization("ath_2", &client);
        bed.store.insert_authorization(&asked).await.unwrap();
        let grant = Bed::grant("grt_1", &nobody, &client);
        let approval = Approval {
            authorization: &asked,
            grant: &grant,
            credential: Credential::default(),
            client_digest: "digest",
            code_hash: hash("c"),
            code_expires_at: at(60),
            now: at(0),
        };
        assert_eq!(bed.store.approve_authorization(&approval).await.unwrap(), Decided::Before);
        for orphan in [
            "insert into session (token_hash, user_id, authenticated_at, expires_at) values ('h', 'usr_nobody', 1, 2)",
            "insert into consent (user_id, client_id, redirect_uri, resource, scope, offline, granted_at)
             values ('usr_nobody', 'pc_c', 'r', 'r', 'a', true, 1)",
        ] {
            assert!(bed.sql(orphan).await.is_err(), "{orphan}");
        }
        bed.connected("x", &ada, &client).await;
        let orphan = "insert into refresh_token values ('h', 'grt_none', 1, 2, null, 0)";
        assert!(bed.sql(orphan).await.is_err());
    }

    /// With a user or a client goes all that hangs on them, and nothing else.
    async fn deletions_cascade(database) {
        const TABLES: [&str; 7] =
            ["session", "authorization_request", "authorization_code", "token_grant", "refresh_token", "consent", "client_registration"];
        for (delete, sessions, registrations) in [
            ("delete from user_account where id = 'usr_ada'", 1, 2),
            ("delete from client where id = 'pc_c'", 2, 1),
        ] {
            let bed = Bed::new(database).await;
            let (ada, zoe) = (bed.user("ada").await, bed.user("zoe").await);
            let (client, other) = (bed.client("c").await, bed.client("d").await);
            bed.connected("mine", &ada, &client).await;
            bed.connected("theirs", &zoe, &other).await;
            for (user, session) in [(&ada, "ada"), (&zoe, "zoe")] {
                bed.store.insert_session(&hash(session), (user, Credential::default()), at(0), at(100)).await.unwrap();
            }
            bed.sql(delete).await.unwrap();
            let mut left = Vec::new();
            for table in TABLES {
                left.push(bed.count(table).await);
            }
            assert_eq!(left, [sessions, 1, 1, 1, 1, 1, registrations], "{delete}");
            assert!(bed.store.find_refresh_token(&hash("theirs 0")).await.unwrap().is_some());
        }
    }

    /// §5.7: what makes no sense is an error and never a lie.
    async fn corrupt_rows_are_errors(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        bed.connected("x", &ada, &client).await;
        bed.store.insert_session(&hash("s"), (&ada, Credential::default()), at(0), at(100)).await.unwrap();
        // Each value is put in, read as an error, and taken out again.
        for (table, column, rubbish) in [
            ("client", "redirect_uris", "not json"),
            ("client", "redirect_uris", "[\"javascript:alert(1)\"]"),
            ("client", "redirect_uris", "[\"no uri\"]"),
            ("client", "grant_types", "{}"),
            ("client", "auth_method", "trust_me"),
            ("client", "scope", "a \"b"),
            ("authorization_request", "redirect_uri", "javascript:alert(1)"),
            ("authorization_request", "scope", "a \\"),
            ("authorization_request", "code_challenge", "plain"),
            ("authorization_request", "prompt", "rubbish"),
            ("authorization_request", "decision", "maybe"),
            ("authorization_code", "scope", "\t"),
            ("authorization_code", "code_challenge", ""),
            ("token_grant", "scope", "é"),
            ("consent", "scope", "\"\""),
            ("user_account", "role", "root"),
        ] {
            let key = match table {
                "token_grant" | "client" | "user_account" | "authorization_request" => "id",
                "consent" => "user_id",
                _ => "code_hash",
            };
            let sql = format!("select {key}, {column} from {table}");
            let old = bed.sql(&sql).await.unwrap();
            assert_eq!(old.len(), 1, "{table}");
            bed.sql(&format!("update {table} set {column} = '{rubbish}'")).await.unwrap();
            let asked = AuthorizationId::new("ath_x");
            let refused = match table {
                "client" => {
                    is_corrupt(&bed.store.find_client(&client).await)
                        && is_corrupt(&bed.store.find_registration(&client, &hash("token of c")).await)
                }
                "authorization_request" => is_corrupt(&bed.store.find_authorization(&asked).await),
                "authorization_code" => is_corrupt(&bed.store.find_code(&hash("code of x")).await),
                "token_grant" => {
                    is_corrupt(&bed.store.find_refresh_token(&hash("x 0")).await)
                        && is_corrupt(&bed.store.connections(&ada, at(0)).await)
                }
                "consent" => is_corrupt(&bed.store.consents(&ada, &client, &resource()).await),
                _ => {
                    is_corrupt(&bed.store.find_user(&ada).await)
                        && is_corrupt(&bed.store.users().await)
                        && is_corrupt(&bed.store.find_session(&hash("s"), at(0)).await)
                }
            };
            assert!(refused, "{table}.{column} = {rubbish:?} was taken at its word");
            bed.sql(&format!("update {table} set {column} = '{}'", old[0][1])).await.unwrap();
        }
        // An approval by nobody.
        bed.sql("update authorization_request set user_id = null").await.unwrap();
        assert!(is_corrupt(&bed.store.find_authorization(&AuthorizationId::new("ath_x")).await));
    }

    /// B-38: rows that were written by an older build, in the words of the first migration, keep working: a
    /// client doesn't have to connect again because the server was upgraded.
    async fn an_old_row_survives(database) {
        let bed = Bed::new(database).await;
        // The digests are SHA-256 in base64url of "pcr_old" and "pcm_old".
        for sql in [
            "insert into user_account (id, username, display_name, password_hash, role, created_at, disabled_at)
             values ('usr_old', 'old', 'Old', '$argon2id$x', 'admin', 1, null)",
            "insert into client (id, name, uri, software_id, software_version, application_type, redirect_uris,
                 auth_method, grant_types, scope, secret_hash, fingerprint, shared, registered_at, first_used_at,
                 deleted_at)
             values ('pc_old', null, null, null, null, null, '[\"http://127.0.0.1/cb\",\"cursor://x/cb\"]',
                 'client_secret_basic', '[\"authorization_code\"]', 'a offline_access', 'x', null, true, 1, 2, null)",
            "insert into client_registration (token_hash, client_id, registered_at)
             values ('ZalG1xt0UB1v-CW8Be3KsiNwk3yUndSy3tWUatlU6eU', 'pc_old', 1)",
            "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                 created_at, expires_at, revoked_at, revoked_because)
             values ('grt_old', 'usr_old', 'pc_old', 'cursor://x/cb', 'a', 'https://h/mcp', 1, 2, 9000000000, null,
                 null)",
            "insert into refresh_token (token_hash, grant_id, issued_at, expires_at, used_at, repeats)
             values ('dLzvOYqDjYkvmawwAb1lxN0uRyTRPNoHXk4_76WcLsw', 'grt_old', 2, 9000000000, null, 0)",
        ] {
            bed.sql(sql).await.unwrap();
        }
        let store = bed.replica().await;
        store.migrate().await.unwrap();
        let client = store.find_client(&ClientId::new("pc_old")).await.unwrap().unwrap();
        assert_eq!(client.metadata.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(), ["http://127.0.0.1/cb", "cursor://x/cb"]);
        assert_eq!((client.metadata.preferred_method(), client.shared), (AuthMethod::ClientSecretBasic, true));
        assert!(store.find_registration(&client.id, &hash("pcm_old")).await.unwrap().is_some());
        assert_eq!(store.find_user(&UserId::new("usr_old")).await.unwrap().unwrap().role, Role::Admin);
        assert_eq!(store.find_refresh_token(&hash("pcr_old")).await.unwrap().unwrap().grant.scope, scope("a"));
        assert_eq!(crate::bed::rotate(&store, "pcr_old", "pcr_new", 0).await.unwrap(), Rotation::Rotated);
    }

    /// B-36: copies that start at once on one empty database make its schema once.
    async fn migrations_started_at_once_run_once(database) {
        let own = crate::server::OwnDatabase::new(database).await;
        let mut stores = Vec::new();
        for _ in 0..4 {
            stores.push(connect(&own.url).await);
        }
        // Two connections of each of four stores: also one store that is asked twice.
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let store = stores[n % 4].clone();
                let runtime = tokio::runtime::Handle::current();
                tokio::task::spawn_blocking(move || runtime.block_on(store.migrate()))
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let applied = raw(&own.url, &["select count(*) from _sqlx_migrations where success"]).await.unwrap();
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
        assert_eq!(applied, [[files.to_string()]]);
        let user = Bed::new_user("ada");
        stores[0].insert_user(&user).await.unwrap();
        for store in &stores {
            assert!(store.find_user(&user.id).await.unwrap().is_some());
        }
    }
}
