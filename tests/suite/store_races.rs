//! Races at the store: many tasks over two copies of it, one winner, and whole data afterwards (§5.4).

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oauth::id::{AuthorizationId, UserId};
use oauth::time::Timestamp;
use portcullis::model::grant::{FirstUse, Redemption, Rotation};
use portcullis::model::key::StoredKey;
use portcullis::model::user::{Credential, Username};
use portcullis::revocations::Revocations;
use portcullis::store::{AccountError, Approval, Decided, Redeem, Rotate, Store};
use tokio::sync::Barrier;

use crate::bed::{Bed, CODE_DIES, GRANT_ENDS, Held, NOW, REFRESH_DIES, at, hash};
use crate::on_both_databases;

pub const RACERS: usize = 64;

/// Lets all racers go at once, every other one at another copy of the store, and counts their outcomes.
pub async fn race<T, F>(bed: &Bed, racer: impl Fn(usize, Store) -> F) -> HashMap<T, usize>
where
    T: Debug + Eq + Hash + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let stores = [bed.store.clone(), bed.replica().await];
    let start = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|n| {
            let (start, run) = (Arc::clone(&start), racer(n, stores[n % 2].clone()));
            tokio::spawn(async move {
                start.wait().await;
                run.await
            })
        })
        .collect();
    let mut outcomes = HashMap::new();
    for task in tasks {
        *outcomes.entry(task.await.unwrap()).or_default() += 1;
    }
    outcomes
}

/// Whether exactly these outcomes were seen.
#[track_caller]
fn seen<T: Debug + Eq + Hash>(outcomes: &HashMap<T, usize>, wanted: impl IntoIterator<Item = (T, usize)>) {
    assert_eq!(*outcomes, wanted.into_iter().collect());
}

on_both_databases! {
    /// B-04, T-14: one redeems; to everybody else the code is used, and its grant has ended for it.
    async fn only_one_of_many_redeems_a_code(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let code = bed.code("x", &ada, &client).await;
        let outcomes = race(&bed, |n, store| {
            let code = code.clone();
            async move {
                let refresh = Some((hash(&format!("x {n}")), Timestamp(REFRESH_DIES)));
                let redeem = Redeem { code_hash: &code, refresh, grant_expires_at: Timestamp(GRANT_ENDS), now: at(0) };
                format!("{:?}", store.redeem_code(&redeem).await.unwrap())
            }
        })
        .await;
        let text = |outcome: Redemption| format!("{outcome:?}");
        seen(&outcomes, [(text(Redemption::Redeemed), 1), (text(Redemption::Replayed), RACERS - 1)]);
        assert_eq!((bed.count("token_grant").await, bed.count("refresh_token").await), (1, 1));
        let grant = bed.sql("select revoked_because from token_grant").await.unwrap();
        assert_eq!(grant, [["code replayed"]]);
    }

    /// T-21: one rotates, as many as are allowed repeat, the next one ends the grant, the rest find it ended.
    async fn only_one_of_many_rotates_a_refresh_token(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (name, allowed) in [("few", 20), ("all", 63)] {
            let grant = bed.connected(name, &ada, &client).await;
            let outcomes = race(&bed, |_, store| {
                let (old, new) = (hash(&format!("{name} 0")), hash(&format!("{name} 1")));
                async move {
                    let rotate = Rotate {
                        old: &old,
                        new: &new,
                        after_new: &hash("never made"),
                        new_expires_at: Timestamp(REFRESH_DIES),
                        grace_began_at: at(-100),
                        grace_uses: allowed,
                        under_way_since: at(-10),
                        used_from: "here",
                        now: at(0),
                    };
                    format!("{:?}", store.rotate_refresh_token(&rotate).await.unwrap())
                }
            })
            .await;
            let text = |outcome: Rotation| format!("{outcome:?}");
            if name == "few" {
                let wanted = [
                    (Rotation::Rotated, 1),
                    (Rotation::Repeated(FirstUse::Here), 20),
                    (Rotation::Replayed(FirstUse::Here), 1),
                    (Rotation::Unknown, 42),
                ];
                seen(&outcomes, wanted.map(|(outcome, count)| (text(outcome), count)));
                assert_eq!(bed.revoked(&grant).await, format!("{NOW} refresh token replayed"));
            } else {
                seen(&outcomes, [(text(Rotation::Rotated), 1), (text(Rotation::Repeated(FirstUse::Here)), 63)]);
                assert_eq!(bed.revoked(&grant).await, "0 -");
            }
            let sql = format!("select count(*) from refresh_token where grant_id = '{grant}'");
            assert_eq!(bed.number(&sql).await, 2, "one token and its one successor");
        }
    }

    /// RFC 9700 §4.14.2: while a successor is being used, its ancestor is repeated by many. Whoever came after the use gets
    /// nothing; up to that they get the successor. In time nothing ends by it, and too late one of them ends all.
    async fn a_successor_is_used_while_its_ancestor_is_repeated(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (round, now) in [(0, 5), (1, 5), (2, 5), (3, 50), (4, 50), (5, 50)] {
            let name = format!("round {round}");
            let grant = bed.connected(&name, &ada, &client).await;
            assert_eq!(bed.rotate(&format!("{name} 0"), &format!("{name} 1"), 0).await, Rotation::Rotated);
            let used = Arc::new(std::sync::OnceLock::new());
            let outcomes = race(&bed, |n, store| {
                let (name, used) = (name.clone(), Arc::clone(&used));
                // The last of them uses the successor, so that it comes somewhere in the middle.
                let index = usize::from(n == RACERS - 1);
                async move {
                    let began = Instant::now();
                    let (old, new) = (hash(&format!("{name} {index}")), hash(&format!("{name} {}", index + 1)));
                    let rotate = Rotate {
                        old: &old,
                        new: &new,
                        after_new: &hash(&format!("{name} {}", index + 2)),
                        new_expires_at: Timestamp(REFRESH_DIES),
                        grace_began_at: at(now - 100),
                        grace_uses: 100,
                        under_way_since: at(now - 10),
                        used_from: "here",
                        now: at(now),
                    };
                    let outcome = store.rotate_refresh_token(&rotate).await.unwrap();
                    if outcome == Rotation::Rotated {
                        used.set(Instant::now()).unwrap();
                    }
                    let late = used.get().is_some_and(|used| began > *used);
                    assert!(!(late && matches!(outcome, Rotation::Repeated(_))), "given again after its use");
                    format!("{outcome:?}")
                }
            })
            .await;
            let count = |outcome: Rotation| outcomes.get(&format!("{outcome:?}")).copied().unwrap_or_default();
            let repeated = count(Rotation::Repeated(FirstUse::Here));
            let overtaken = count(Rotation::Overtaken(FirstUse::Here)) + count(Rotation::CaughtUp);
            let replayed = count(Rotation::Replayed(FirstUse::Here));
            let unknown = count(Rotation::Unknown);
            assert_eq!(count(Rotation::Rotated) + repeated + overtaken + replayed + unknown, RACERS, "{outcomes:?}");
            if now == 5 {
                assert_eq!((count(Rotation::Rotated), replayed, unknown), (1, 0, 0), "{outcomes:?}");
                assert_eq!(bed.revoked(&grant).await, "0 -");
            } else {
                assert_eq!((count(Rotation::Rotated), overtaken), (1, 0), "{outcomes:?}");
                // Whoever is not answered in time ends it, and only the first finds it alive.
                assert_eq!(replayed, usize::from(replayed + unknown > 0), "{outcomes:?}");
                assert_eq!(bed.revoked(&grant).await == "0 -", replayed == 0);
            }
            let repeats = format!("select cast(sum(repeats) as bigint) from refresh_token where grant_id = '{grant}'");
            let given_again = repeated + count(Rotation::CaughtUp);
            assert_eq!(bed.number(&repeats).await, i64::try_from(given_again).unwrap());
            let line = format!("select count(*) from refresh_token where grant_id = '{grant}'");
            assert_eq!(bed.number(&line).await, 3, "no second line");
        }
    }

    /// The same at the very moment at which an engine that reads old snapshots would hand it out: a use that has not yet
    /// been committed when the repetition looks.
    async fn a_use_under_way_is_waited_for(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for (name, now, outcome) in
            [("soon", 5, Rotation::Overtaken(FirstUse::Here)), ("late", 50, Rotation::Replayed(FirstUse::Here))]
        {
            bed.connected(name, &ada, &client).await;
            assert_eq!(bed.rotate(&format!("{name} 0"), &format!("{name} 1"), 0).await, Rotation::Rotated);
            let successor = hash(&format!("{name} 1"));
            let used = format!("update refresh_token set used_at = {NOW} where token_hash = '{}'", successor.as_str());
            let mut held = Held::after(&bed.database.url, &used).await;
            let store = bed.store.clone();
            let repeating = tokio::spawn(async move {
                crate::bed::rotate(&store, &format!("{name} 0"), &format!("{name} 1"), now).await.unwrap()
            });
            held.until_awaited().await;
            held.commit().await;
            assert_eq!(repeating.await.unwrap(), outcome);
        }
    }

    /// many clicks, one code, one memory; and a denial among them is either first or nothing.
    async fn only_one_of_many_decides_a_request(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let asked = Arc::new(Bed::authorization("ath_1", &client));
        bed.store.insert_authorization(&asked).await.unwrap();
        let outcomes = race(&bed, |n, store| {
            let (asked, grant) = (Arc::clone(&asked), Bed::grant(&format!("grt_{n}"), &ada, &client));
            async move {
                let decided = if n % 8 == 7 {
                    store.deny_authorization(&asked.id, at(0)).await.unwrap()
                } else {
                    let approval = Approval {
                        authorization: &asked,
                        grant: &grant,
                        credential: Credential::default(),
                        client_digest: "digest",
                        code_hash: hash(&n.to_string()),
                        code_expires_at: Timestamp(CODE_DIES),
                        now: at(0),
                    };
                    store.approve_authorization(&approval).await.unwrap()
                };
                decided == Decided::Now
            }
        })
        .await;
        seen(&outcomes, [(true, 1), (false, RACERS - 1)]);
        let asked = bed.store.find_authorization(&AuthorizationId::new("ath_1")).await.unwrap().unwrap();
        let approved = i64::from(matches!(asked.decision, Some(portcullis::model::authorization::Decision::Approved(_))));
        assert_eq!((bed.count("authorization_code").await, bed.count("consent").await), (approved, approved));
    }

    /// T11: many people with one link, and with many links: one account.
    async fn only_one_of_many_makes_the_first_account(database) {
        for links in [1, RACERS] {
            let bed = Bed::new(database).await;
            for n in 0..links {
                bed.store.insert_setup_link(&hash(&n.to_string()), at(100)).await.unwrap();
            }
            let outcomes = race(&bed, |n, store| async move {
                let mut user = Bed::new_user("ada");
                user.id = UserId::new(format!("usr_{n}"));
                user.username = Username::parse(&format!("ada{n}")).unwrap();
                match store.insert_first_user(&hash(&(n % links).to_string()), &user, at(0)).await {
                    Ok(()) => true,
                    Err(AccountError::LinkUsed) => false,
                    Err(other) => panic!("{other}"),
                }
            })
            .await;
            seen(&outcomes, [(true, 1), (false, RACERS - 1)]);
            assert_eq!((bed.count("user_account").await, bed.count("setup_link").await), (1, 0));
        }
    }

    /// A name is somebody's, however many ask for it at once.
    async fn only_one_of_many_gets_a_name(database) {
        let bed = Bed::new(database).await;
        let outcomes = race(&bed, |n, store| async move {
            let mut user = Bed::new_user("ada");
            user.id = UserId::new(format!("usr_{n}"));
            match store.insert_user(&user).await {
                Ok(()) => true,
                Err(AccountError::NameTaken) => false,
                Err(other) => panic!("{other}"),
            }
        })
        .await;
        seen(&outcomes, [(true, 1), (false, RACERS - 1)]);
        assert_eq!(bed.count("user_account").await, 1);
    }

    /// identical registrations meet in one row; nobody is refused.
    async fn identical_registrations_at_once_share_a_row(database) {
        let bed = Bed::new(database).await;
        let outcomes = race(&bed, |n, store| async move {
            store.insert_registration(&Bed::registration(&format!("pc_{n}"), "same", &format!("token {n}"))).await.unwrap()
        })
        .await;
        assert_eq!(outcomes.values().copied().collect::<Vec<_>>(), [RACERS], "all got the same id");
        assert_eq!((bed.count("client").await, bed.count("client_registration").await), (1, 20));
        let id = outcomes.into_keys().next().unwrap();
        assert!(bed.store.find_client(&id).await.unwrap().unwrap().shared);
    }

    /// V-04, B-36: copies that rotate at once add one key.
    async fn only_one_of_many_adds_a_key(database) {
        let bed = Bed::new(database).await;
        let outcomes = race(&bed, |n, store| async move {
            let key = StoredKey {
                kid: format!("key {n}"),
                generation: 1,
                algorithm: "ES256".into(),
                sealed: "sealed".into(),
                created_at: at(0),
                active_at: at(0),
            };
            store.insert_signing_key(&key).await.unwrap()
        })
        .await;
        seen(&outcomes, [(true, 1), (false, RACERS - 1)]);
        assert_eq!(bed.store.signing_keys().await.unwrap().len(), 1);
    }

    /// T9: no failure is lost, and each gets its own count.
    async fn failures_at_once_are_all_counted(database) {
        let bed = Bed::new(database).await;
        let outcomes = race(&bed, |_, store| async move {
            store.count_sign_in_failure("ada", at(0), at(100)).await.unwrap()
        })
        .await;
        seen(&outcomes, (1..=64).map(|count| (count, 1)));
        assert_eq!(bed.store.sign_in_failures("ada", at(0)).await.unwrap(), Some((64, at(100))));
    }

    /// T35: a client that is stopped or deleted while its codes are redeemed and its tokens rotated is left with nothing
    /// alive, whoever was first, and with nothing that was not told.
    async fn nothing_outlives_a_stopped_client(database) {
        let bed = Bed::new(database).await;
        let ada = bed.user("ada").await;
        for deleted in [false, true] {
            let name = if deleted { "deleted" } else { "disabled" };
            let client = bed.client(name).await;
            for n in 0..RACERS {
                if n % 2 == 0 {
                    bed.code(&format!("{name} {n}"), &ada, &client).await;
                } else {
                    bed.connected(&format!("{name} {n}"), &ada, &client).await;
                }
            }
            let view = Arc::new(Revocations::new(Duration::from_hours(1)));
            race(&bed, |n, store| {
                let (client, store) = (client.clone(), store.telling(Arc::clone(&view)));
                async move {
                    if n == RACERS / 2 {
                        let stopped = if deleted {
                            store.delete_client(&client, at(1)).await
                        } else {
                            store.disable_client(&client, at(1)).await
                        };
                        assert!(stopped.unwrap());
                    } else if n % 2 == 0 {
                        let code = hash(&format!("code of {name} {n}"));
                        let refresh = Some((hash(&format!("{name} {n} 0")), Timestamp(REFRESH_DIES)));
                        let redeem = Redeem { code_hash: &code, refresh, grant_expires_at: Timestamp(GRANT_ENDS), now: at(1) };
                        store.redeem_code(&redeem).await.unwrap();
                    } else {
                        crate::bed::rotate(&store, &format!("{name} {n} 0"), &format!("{name} {n} 1"), 1).await.unwrap();
                    }
                }
            })
            .await;
            let of = format!("client_id = '{client}'");
            assert_eq!(bed.number(&format!("select count(*) from token_grant where revoked_at is null and {of}")).await, 0);
            let codes = format!("select count(*) from authorization_code where redeemed_at is null and {of}");
            assert_eq!(bed.number(&codes).await, 0);
            let grants = bed.number(&format!("select count(*) from token_grant where {of}")).await;
            assert_eq!(view.len(), usize::try_from(grants).unwrap(), "all that ended was told");
        }
    }

    /// T-25: an account that is disabled while its codes are redeemed and its tokens rotated is left with
    /// nothing alive, whoever was first.
    async fn nothing_outlives_a_disabled_user(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        for n in 0..RACERS {
            if n % 2 == 0 {
                bed.code(&n.to_string(), &ada, &client).await;
            } else {
                bed.connected(&n.to_string(), &ada, &client).await;
            }
        }
        race(&bed, |n, store| {
            let ada = ada.clone();
            async move {
                if n == RACERS / 2 {
                    store.disable_user(&ada, at(1)).await.unwrap();
                } else if n % 2 == 0 {
                    let code = hash(&format!("code of {n}"));
                    let refresh = Some((hash(&format!("{n} 0")), Timestamp(REFRESH_DIES)));
                    let redeem = Redeem { code_hash: &code, refresh, grant_expires_at: Timestamp(GRANT_ENDS), now: at(1) };
                    store.redeem_code(&redeem).await.unwrap();
                } else {
                    crate::bed::rotate(&store, &format!("{n} 0"), &format!("{n} 1"), 1).await.unwrap();
                }
            }
        })
        .await;
        assert!(bed.store.connections(&ada, at(1)).await.unwrap().is_empty());
        assert_eq!(bed.number("select count(*) from token_grant where revoked_at is null").await, 0);
        assert_eq!(bed.number("select count(*) from authorization_code where redeemed_at is null").await, 0);
    }
}
