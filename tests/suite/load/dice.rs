//! Choices that can be repeated: a seed stands for all of them.

use portcullis::crypto::random::Random;

/// A small generator (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "the test's own setting, which the server never sees")]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// The seed of this run: `PORTCULLIS_CHAOS_SEED`, else another one each time.
pub fn seed() -> u64 {
    let fresh = || Random::system().bytes().iter().take(4).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    number("PORTCULLIS_CHAOS_SEED").unwrap_or_else(fresh)
}

impl Dice {
    /// The choices of one of the workers of a run.
    pub fn of(seed: u64, worker: u64) -> Self {
        let mut dice = Self(seed ^ worker.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.next();
        dice
    }

    /// Other choices, that follow from these.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
