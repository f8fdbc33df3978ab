//! Random sequences of the store's verbs on codes and refresh tokens, beside a model of what they should do.

use oauth::id::{ClientId, GrantId, UserId};
use oauth::time::Timestamp;
use portcullis::model::grant::{FirstUse, MAX_CODE_ATTEMPTS, Redemption, Rotation};
use portcullis::store::{Redeem, Rotate};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::{Bed, CODE_DIES, NOW, hash};
use crate::on_both_databases;

const CASES: u32 = 48;
const GRACE: i64 = 30;
const GRACE_USES: i64 = 2;
const UNDER_WAY: i64 = 10;
const REFRESH_TTL: i64 = 80;
const GRANT_TTL: i64 = 110;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The code is presented.
    Redeem,
    /// It is presented with a wrong verifier.
    Attempt,
    /// The n-th refresh token of the line, counted from its newest, is presented; one that isn't there yet if the
    /// line is shorter.
    Rotate(usize),
    /// The grant is revoked from outside.
    Revoke,
    /// Time passes.
    Wait(i64),
    /// Time passes until the n-th of the next moments at which something ends, or to the second before it.
    Edge(usize, i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Redeem),
        2 => Just(Step::Attempt),
        5 => Just(Step::Rotate(0)),
        7 => (1_usize..4).prop_map(Step::Rotate),
        1 => Just(Step::Revoke),
        2 => prop_oneof![Just(0_i64), Just(1), Just(5), Just(15), Just(60)].prop_map(Step::Wait),
        4 => (0_usize..3, 0_i64..2).prop_map(|(n, before)| Step::Edge(n, before)),
    ]
}

#[derive(Debug, Default)]
struct Token {
    dies: i64,
    used: Option<i64>,
    /// How often it was given again.
    repeats: i64,
}

/// What should be stored.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    attempts: i64,
    redeemed: Option<i64>,
    grant_ends: i64,
    revoked: Option<(i64, &'static str)>,
    line: Vec<Token>,
}

impl Model {
    fn revoke(&mut self, because: &'static str) -> bool {
        let first = self.redeemed.is_some() && self.revoked.is_none();
        if first {
            self.revoked = Some((self.now, because));
        }
        first
    }

    /// The moments to come at which a code, a token, a window or the grant ends, the next one first.
    fn edges(&self) -> Vec<i64> {
        let tokens = self.line.iter().map(|token| token.used.map_or(token.dies, |used| used + GRACE));
        let under_way = self.line.iter().filter_map(|token| token.used.map(|used| used + UNDER_WAY));
        let mut edges: Vec<i64> =
            tokens.chain(under_way).chain([CODE_DIES, self.grant_ends]).filter(|edge| *edge > self.now).collect();
        edges.sort_unstable();
        edges
    }

    fn redeem(&mut self) -> Redemption {
        if self.redeemed.is_some() {
            self.revoke("code replayed");
            return Redemption::Replayed;
        }
        if self.now >= CODE_DIES || self.attempts >= MAX_CODE_ATTEMPTS {
            return Redemption::Unknown;
        }
        self.redeemed = Some(self.now);
        self.grant_ends = self.now + GRANT_TTL;
        self.line.push(Token { dies: self.now + REFRESH_TTL, ..Token::default() });
        Redemption::Redeemed
    }

    fn rotate(&mut self, index: usize) -> Rotation {
        let alive = self.revoked.is_none() && self.now < self.grant_ends;
        let now = self.now;
        if let Some(used) = self.line.get(index).and_then(|token| token.used) {
            let successor = &mut self.line[index + 1];
            let unused = successor.used.is_none();
            if alive && now - used < GRACE && unused && successor.repeats < GRACE_USES {
                successor.repeats += 1;
                return Rotation::Repeated(FirstUse::Here);
            }
            if !unused && now - used < UNDER_WAY {
                if !alive {
                    return Rotation::Unknown;
                }
                let latest = &mut self.line[index + 2];
                if latest.used.is_none() && latest.repeats < GRACE_USES {
                    latest.repeats += 1;
                    return Rotation::CaughtUp;
                }
                return Rotation::Overtaken(FirstUse::Here);
            }
            let first = self.revoke("refresh token replayed");
            return if first { Rotation::Replayed(FirstUse::Here) } else { Rotation::Unknown };
        }
        let Some(token) = self.line.get_mut(index) else { return Rotation::Unknown };
        if alive && now < token.dies {
            token.used = Some(now);
            self.line.push(Token { dies: now + REFRESH_TTL, ..Token::default() });
            return Rotation::Rotated;
        }
        Rotation::Unknown
    }
}

/// One sequence, step by step beside its model.
async fn run(bed: &Bed, user: &UserId, client: &ClientId, case: usize, steps: &[Step]) -> Result<(), TestCaseError> {
    let name = format!("case {case}");
    let code = bed.code(&name, user, client).await;
    let grant = GrantId::new(format!("grt_{name}"));
    let token = |index: usize| hash(&format!("{name} token {index}"));
    let mut model = Model { now: NOW, ..Model::default() };
    for step in steps {
        let now = Timestamp(model.now);
        match *step {
            Step::Wait(span) => model.now += span,
            Step::Edge(n, before) => model.now = model.edges().get(n).map_or(model.now, |edge| edge - before),
            Step::Attempt => {
                bed.store.count_code_attempt(&code).await.unwrap();
                model.attempts += 1;
            }
            Step::Redeem => {
                let refresh = Some((token(0), Timestamp(model.now + REFRESH_TTL)));
                let redeem =
                    Redeem { code_hash: &code, refresh, grant_expires_at: Timestamp(model.now + GRANT_TTL), now };
                prop_assert_eq!(bed.store.redeem_code(&redeem).await.unwrap(), model.redeem(), "{:?}", model);
            }
            Step::Revoke => {
                let revoked = bed.store.revoke_grant(&grant, "from outside", now).await.unwrap();
                prop_assert_eq!(revoked, model.revoke("from outside"));
            }
            Step::Rotate(back) => {
                let index = model.line.len().checked_sub(1 + back).unwrap_or(model.line.len());
                let (old, new) = (token(index), token(index + 1));
                let rotate = Rotate {
                    old: &old,
                    new: &new,
                    after_new: &token(index + 2),
                    new_expires_at: Timestamp(model.now + REFRESH_TTL),
                    grace_began_at: Timestamp(model.now - GRACE),
                    grace_uses: GRACE_USES,
                    under_way_since: Timestamp(model.now - UNDER_WAY),
                    used_from: "here",
                    now,
                };
                let outcome = bed.store.rotate_refresh_token(&rotate).await.unwrap();
                prop_assert_eq!(outcome, model.rotate(index), "{} {:?}", index, model);
            }
        }
        compare(bed, &model, &code, &grant, &token).await?;
    }
    if let Some((at, because)) = model.revoked {
        prop_assert_eq!(bed.revoked(&grant).await, format!("{at} {because}"));
    }
    Ok(())
}

/// Everything that is stored is what the model says.
async fn compare(
    bed: &Bed,
    model: &Model,
    code: &portcullis::model::secret::SecretHash,
    grant: &GrantId,
    token: &impl Fn(usize) -> portcullis::model::secret::SecretHash,
) -> Result<(), TestCaseError> {
    let stored = bed.store.find_code(code).await.unwrap().unwrap();
    prop_assert_eq!((stored.attempts, stored.redeemed_at), (model.attempts, model.redeemed.map(Timestamp)));
    for (index, wanted) in model.line.iter().enumerate() {
        let found = bed.store.find_refresh_token(&token(index)).await.unwrap();
        let found = found.map(|found| (found.expires_at.0, found.used_at.map(|at| at.0), found.grant.expires_at.0));
        prop_assert_eq!(found, Some((wanted.dies, wanted.used, model.grant_ends)), "{}", index);
    }
    prop_assert!(bed.store.find_refresh_token(&token(model.line.len())).await.unwrap().is_none());
    if model.redeemed.is_some() {
        let (mut after, mut revoked) = ((Timestamp(0), GrantId::new("")), false);
        loop {
            let page = bed.store.ended_grants(&after, 100).await.unwrap();
            revoked |= page.iter().any(|(id, _)| id == grant);
            let Some((id, at)) = page.into_iter().next_back() else { break };
            after = (at, id);
        }
        prop_assert_eq!(revoked, model.revoked.is_some());
    }
    // T-20: whatever happened, at most one token of the line can still be used for the first time.
    let unused = model.line.iter().filter(|token| token.used.is_none()).count();
    prop_assert!(unused <= 1);
    Ok(())
}

on_both_databases! {
    /// B-04, B-07: unused, used within the grace, replayed, revoked, expired: in any order, at any time.
    async fn random_sequences_keep_to_the_model(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let case = std::sync::atomic::AtomicUsize::new(0);
        let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            // Most sequences begin with a redemption: else there is little to see.
            let steps = (any::<bool>(), proptest::collection::vec(step(), 1..40));
            TestRunner::new(config)
                .run(&steps, |(late, mut steps)| {
                    if !late {
                        steps.insert(0, Step::Redeem);
                    }
                    let case = case.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    runtime.block_on(run(&bed, &ada, &client, case, &steps))
                })
                .unwrap_or_else(|error| panic!("{error}"));
        });
    }
}
