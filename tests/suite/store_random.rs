//! Random sequences of the store's verbs on codes and refresh tokens, beside a model of what they should do.

use portcullis::model::grant::{MAX_CODE_ATTEMPTS, Redemption, Rotation};
use portcullis::model::id::{ClientId, GrantId, UserId};
use portcullis::model::time::Timestamp;
use portcullis::store::{Redeem, Rotate};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::{Bed, CODE_DIES, NOW, hash};
use crate::on_both_databases;

const CASES: u32 = 24;
const GRACE: i64 = 30;
const GRACE_USES: i64 = 2;
const REFRESH_TTL: i64 = 80;
const GRANT_TTL: i64 = 200;

/// What can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The code is presented.
    Redeem,
    /// It is presented with a wrong verifier.
    Attempt,
    /// The n-th refresh token of the line is presented, whether it exists or not.
    Rotate(usize),
    /// The newest one is presented: the usual case.
    RotateNewest,
    /// The grant is revoked from outside.
    Revoke,
    /// Time passes.
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Redeem),
        2 => Just(Step::Attempt),
        4 => (0_usize..5).prop_map(Step::Rotate),
        5 => Just(Step::RotateNewest),
        1 => Just(Step::Revoke),
        // Edges of the spans above are likely to be met.
        5 => prop_oneof![Just(0_i64), Just(1), Just(15), Just(29), Just(30), Just(31), Just(60), Just(79), Just(80)].prop_map(Step::Wait),
    ]
}

#[derive(Debug, Default)]
struct Token {
    dies: i64,
    used: Option<i64>,
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
        let Some(token) = self.line.get_mut(index) else { return Rotation::Unknown };
        if let Some(used) = token.used {
            if alive && now - used < GRACE && token.repeats < GRACE_USES {
                token.repeats += 1;
                return Rotation::Repeated;
            }
            return if self.revoke("refresh token replayed") { Rotation::Replayed } else { Rotation::Unknown };
        }
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
            Step::Rotate(_) | Step::RotateNewest => {
                let index = if let Step::Rotate(index) = *step { index } else { model.line.len().saturating_sub(1) };
                let (old, new) = (token(index), token(index + 1));
                let rotate = Rotate {
                    old: &old,
                    new: &new,
                    new_expires_at: Timestamp(model.now + REFRESH_TTL),
                    grace_began_at: Timestamp(model.now - GRACE),
                    grace_uses: GRACE_USES,
                    now,
                };
                let outcome = bed.store.rotate_refresh_token(&rotate).await.unwrap();
                prop_assert_eq!(outcome, model.rotate(index), "{} {:?}", index, model);
            }
        }
        compare(bed, &model, &code, &grant, &token).await?;
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
        let (at, because) = model.revoked.unwrap_or((0, "-"));
        prop_assert_eq!(bed.revoked(grant).await, format!("{at} {because}"));
    }
    // T-20: whatever happened, at most one token of the line can still be used for the first time.
    let unused = model.line.iter().filter(|token| token.used.is_none()).count();
    prop_assert!(unused <= 1);
    Ok(())
}

on_both_databases! {
    /// §9, B-04, B-07: unused, used within the grace, replayed, revoked, expired: in any order, at any time.
    async fn random_sequences_keep_to_the_model(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        let case = std::sync::atomic::AtomicUsize::new(0);
        let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            // Most sequences begin with a redemption: else there is little to see.
            let steps = (any::<bool>(), proptest::collection::vec(step(), 1..30));
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
