//! What is hashed how often, at what cost and how much at once: counted, never timed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use proptest::prelude::*;

use super::cost::Cost;
use super::{Checked, HashingFailed, Passwords, WAITING};

/// What one [`Passwords`] did.
#[derive(Debug, Default)]
pub(super) struct Seen {
    work: Mutex<Vec<(u32, u32)>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

/// A hash under way.
pub(super) struct Running<'a>(&'a Seen);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seen {
    pub(super) fn work(&self, cost: &Cost) {
        let params = cost.params();
        self.work.lock().unwrap_or_else(PoisonError::into_inner).push((params.m_cost(), params.t_cost()));
    }

    pub(super) fn running(&self) -> Running<'_> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        Running(self)
    }
}

/// Memory and passes of all hashes since the last look.
fn work(passwords: &Passwords) -> Vec<(u32, u32)> {
    std::mem::take(&mut passwords.0.memory.seen.work.lock().unwrap())
}

fn passwords(memory_kib: u32, iterations: u32) -> Passwords {
    Passwords::new(memory_kib, iterations, 2).unwrap()
}

/// The hash of exactly these bytes, as it was made before passwords were prepared.
fn old_hash(password: &str, memory_kib: u32, iterations: u32) -> String {
    let params = Params::new(memory_kib, iterations, 1, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(password.as_bytes()).unwrap().to_string()
}

async fn check(passwords: &Passwords, password: &str, stored: Option<&str>) -> Checked {
    passwords.check(password.to_owned(), stored.map(str::to_owned)).await.unwrap()
}

const RIGHT: Checked = Checked::Right { renewed: None };

/// The renewed hash of a check that went well.
fn renewed(checked: Checked) -> String {
    let Checked::Right { renewed: Some(hash) } = checked else { panic!("{checked:?}") };
    hash
}

#[tokio::test]
async fn a_password_matches_its_own_hash_only() {
    let passwords = passwords(64, 1);
    let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_ne!(stored, passwords.hash("correct horse".to_owned()).await.unwrap());
    assert_eq!(check(&passwords, "correct horse", Some(&stored)).await, RIGHT);
    assert_eq!(check(&passwords, "wrong", Some(&stored)).await, Checked::Wrong);
    assert_eq!(check(&passwords, "correct horse", None).await, Checked::Wrong);
    // What the library makes by itself is the same.
    assert_eq!(check(&passwords, "correct horse", Some(&old_hash("correct horse", 64, 1))).await, RIGHT);
    for stored in ["", "plain", "$argon2id$v=19$m=64,t=1,p=1", "$scrypt$ln=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"] {
        let outcome = passwords.check("x".to_owned(), Some(stored.to_owned())).await;
        assert!(matches!(outcome, Err(HashingFailed::Failed) | Ok(Checked::Wrong)), "{stored}: {outcome:?}");
    }
}

/// B-16: after a change of the cost, names with an old hash, names with a new one and unknown names cost the same, and
/// so do wrong and right passwords, up to the renewal that only a right one leads to.
#[tokio::test]
async fn every_name_costs_the_same_work_while_old_hashes_are_left() {
    for (old, new) in [((64, 1), (128, 2)), ((128, 2), (64, 1)), ((64, 1), (64, 3)), ((96, 1), (64, 1))] {
        let before = passwords(old.0, old.1);
        let stored = before.hash("correct horse".to_owned()).await.unwrap();
        let after = passwords(new.0, new.1);
        let current = after.hash("correct horse".to_owned()).await.unwrap();
        after.take_note(&[format!("$argon2id$v=19$m={},t={},p=1", old.0, old.1)]);
        assert!(after.has_old_costs());
        for password in ["wrong", "wr\u{f6}ng", "wro\u{308}ng"] {
            work(&after);
            check(&after, password, None).await;
            let unknown = work(&after);
            let forms = if password.contains('\u{308}') { 2 } else { 1 };
            assert_eq!(unknown.len(), 2 * forms, "{password}");
            for known in [&stored, &current] {
                assert_eq!(check(&after, password, Some(known)).await, Checked::Wrong);
                assert_eq!(work(&after), unknown, "{password}: {known}");
            }
        }
        work(&after);
        let fresh = renewed(check(&after, "correct horse", Some(&stored)).await);
        assert_eq!(work(&after), [new, old, new], "the last is the renewal");
        assert!(fresh.starts_with(&format!("$argon2id$v=19$m={},t={},p=1$", new.0, new.1)), "{fresh}");
        assert_eq!(check(&after, "correct horse", Some(&fresh)).await, RIGHT);
        // With the last old hash its cost goes.
        after.take_note(&[fresh.get(..fresh.len() - 67).unwrap().to_owned()]);
        assert!(!after.has_old_costs());
        work(&after);
        check(&after, "wrong", None).await;
        assert_eq!(work(&after), [new]);
    }
}

/// A hash that another copy made, with other settings, is a cost in use from its first check on.
#[tokio::test]
async fn a_cost_that_was_not_known_is_taken_note_of() {
    let passwords = passwords(64, 1);
    let foreign = old_hash("correct horse", 72, 2);
    check(&passwords, "wrong", Some(&foreign)).await;
    let known = work(&passwords);
    check(&passwords, "wrong", None).await;
    assert_eq!(work(&passwords), known);
    assert_eq!(known, [(64, 1), (72, 2)]);
    // Beginnings that are none are passed over.
    passwords.take_note(&[String::new(), "$argon2id".to_owned(), "$argon2id$v=19$m=7".to_owned(), "x".repeat(100)]);
    assert!(!passwords.has_old_costs());
}

/// RFC 8265 §4.2: what one keyboard types in one piece and another in two is one password; what was hashed as it was
/// typed goes on working, from the keyboard that typed it, and becomes the same for all.
#[tokio::test]
async fn old_hashes_of_passwords_as_they_were_typed_go_on_working() {
    let passwords = passwords(64, 1);
    let (composed, decomposed) = ("Gr\u{fc}\u{df}e aus K\u{f6}ln", "Gru\u{308}\u{df}e aus Ko\u{308}ln");
    let new = passwords.hash(decomposed.to_owned()).await.unwrap();
    for typed in [composed, decomposed] {
        assert_eq!(check(&passwords, typed, Some(&new)).await, RIGHT);
    }
    assert_eq!(check(&passwords, composed, Some(&old_hash(composed, 64, 1))).await, RIGHT);
    let old = old_hash(decomposed, 64, 1);
    assert_eq!(check(&passwords, composed, Some(&old)).await, Checked::Wrong, "as ever");
    let fresh = renewed(check(&passwords, decomposed, Some(&old)).await);
    for typed in [composed, decomposed] {
        assert_eq!(check(&passwords, typed, Some(&fresh)).await, RIGHT);
    }
    // What no new password may hold.
    for odd in ["tab\tbed", "heart \u{2764}\u{fe0f}", "\u{200d}joined", "a\u{e000}"] {
        assert_eq!(check(&passwords, odd, Some(&old_hash(odd, 64, 1))).await, RIGHT, "{odd:?}");
    }
}

/// A client that hangs up takes its request back, not the work that was begun for it: no more than permitted runs at
/// once, however many hang up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn abandoned_checks_make_no_room_for_others() {
    let passwords = passwords(2048, 8);
    let begun = || passwords.0.memory.seen.work.lock().unwrap().len();
    for round in 0..40 {
        let before = begun();
        let own = passwords.clone();
        let check = tokio::spawn(async move { own.check("x".to_owned(), None).await });
        // Some hang up before they have their turn, some as soon as their work has begun.
        if round % 4 == 0 {
            tokio::task::yield_now().await;
        } else {
            while begun() == before {
                tokio::task::yield_now().await;
            }
        }
        check.abort();
        // Gone, whether or not its work is.
        let _ = check.await;
    }
    // Whoever stays gets their answer, and then nothing is left behind.
    assert_eq!(check(&passwords, "x", None).await, Checked::Wrong);
    let _turns = passwords.0.turns.acquire_many(2).await.unwrap();
    assert_eq!(passwords.0.places.available_permits(), 2 * (1 + WAITING));
    assert!(passwords.0.memory.seen.most.load(Ordering::SeqCst) <= 2);
    assert!(passwords.0.memory.pieces().len() <= 2);
}

/// More than can be served in time are told so at once; those before them are served.
#[tokio::test]
async fn the_queue_for_a_check_is_bounded() {
    let passwords = Passwords::new(64, 1, 1).unwrap();
    let turn = passwords.0.turns.acquire().await.unwrap();
    let waiting: Vec<_> = (0..=WAITING)
        .map(|_| {
            let own = passwords.clone();
            tokio::spawn(async move { own.check("x".to_owned(), None).await })
        })
        .collect();
    while passwords.0.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(passwords.check("x".to_owned(), None).await, Err(HashingFailed::Busy));
        assert_eq!(passwords.hash("x".to_owned()).await, Err(HashingFailed::Busy));
    }
    drop(turn);
    for one in waiting {
        assert_eq!(one.await.unwrap(), Ok(Checked::Wrong));
    }
    assert_eq!(check(&passwords, "x", None).await, Checked::Wrong);
    assert_eq!(passwords.0.memory.seen.most.load(Ordering::SeqCst), 1);
}

/// The memory of a hash is used again, holds nothing between two, and goes back when it lies idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_of_hashes_is_used_again_and_given_back() {
    let passwords = passwords(256, 1);
    let checks: Vec<_> = (0..100)
        .map(|number| {
            let own = passwords.clone();
            tokio::spawn(async move { own.check(format!("password {number}"), None).await })
        })
        .collect();
    for one in checks {
        assert_eq!(one.await.unwrap(), Ok(Checked::Wrong));
    }
    let pieces = passwords.0.memory.pieces();
    assert!((1..=2).contains(&pieces.len()) && pieces.iter().all(|blocks| *blocks == 256), "{pieces:?}");
    assert!(!passwords.0.memory.is_dirty());
    // A dearer hash gets a larger piece, a cheaper one takes what is there.
    check(&passwords, "x", Some(&old_hash("x", 512, 1))).await;
    assert!(passwords.0.memory.pieces().contains(&512));
    passwords.sweep();
    assert_eq!(passwords.0.memory.pieces(), [] as [usize; 0]);
    assert_eq!(check(&passwords, "x", Some(&old_hash("x", 256, 1))).await, RIGHT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever was typed when a hash was made opens it again.
    #[test]
    fn what_was_typed_is_right(typed in "\\PC{1,12}|[a\u{e4}\u{308}\u{a0} \t]{1,8}", other in "\\PC{1,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let passwords = passwords(8, 1);
            let new = passwords.hash(typed.clone()).await.unwrap();
            assert_eq!(check(&passwords, &typed, Some(&new)).await, RIGHT);
            let old = old_hash(&typed, 8, 1);
            assert!(matches!(check(&passwords, &typed, Some(&old)).await, Checked::Right { .. }));
            if super::PasswordForms::of(&typed).prepared != super::PasswordForms::of(&other).prepared {
                assert_eq!(check(&passwords, &other, Some(&new)).await, Checked::Wrong);
            }
        });
    }
}
