//! The memory that argon2 fills: tens of megabytes for each hash. Allocated anew each time, an allocator that keeps what
//! is freed, for each thread, ends up with many times what is ever in use.

use std::sync::{Mutex, PoisonError};

use argon2::Block;

use super::HashingFailed;

/// Pieces that lie idle: never more than hashes may run at once, for each takes one and gives it back.
#[derive(Debug, Default)]
pub(super) struct Memory {
    idle: Mutex<Vec<Vec<Block>>>,
    #[cfg(test)]
    pub(super) seen: super::tests::Seen,
}

impl Memory {
    /// Lends `count` blocks to `work`. Nothing of a password stays in them.
    pub(super) fn lend<T>(&self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, HashingFailed> {
        let mut piece = self.idle().pop().unwrap_or_default();
        if piece.len() < count {
            // Not resized, which would copy it.
            piece = Vec::new();
            piece.try_reserve_exact(count).map_err(|_| HashingFailed::Failed)?;
            piece.resize(count, Block::new());
        }
        let Some(blocks) = piece.get_mut(..count) else { return Err(HashingFailed::Failed) };
        #[cfg(test)]
        let _running = self.seen.running();
        let outcome = work(blocks);
        blocks.fill(Block::new());
        self.idle().push(piece);
        Ok(outcome)
    }

    /// Frees what lies idle.
    pub(super) fn give_back(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many pieces lie idle, and how large each is.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> Vec<usize> {
        self.idle().iter().map(Vec::len).collect()
    }

    /// Whether a block that lies idle holds anything.
    #[cfg(test)]
    pub(super) fn is_dirty(&self) -> bool {
        self.idle().iter().flatten().any(|block| block.as_ref().iter().any(|word| *word != 0))
    }
}
