//! A window over the last calls.

use std::num::NonZeroU32;

use super::Counts;

/// The last `n` calls, a true ring: the oldest leaves when a new one comes.
///
/// Recording costs the same for any `n`; memory is one bit a call.
#[derive(Clone, Debug)]
pub struct CallWindow {
    bits: Box<[u64]>,
    len: u32,
    filled: u32,
    next: u32,
    bad: u32,
}

impl CallWindow {
    /// A window over the last `len` calls.
    pub fn new(len: NonZeroU32) -> Self {
        let len = len.get();
        let words = len.div_ceil(64) as usize;
        Self {
            bits: vec![0; words].into_boxed_slice(),
            len,
            filled: 0,
            next: 0,
            bad: 0,
        }
    }

    /// Records one call.
    pub fn record(&mut self, bad: bool) {
        let mask = 1_u64 << (self.next % 64);
        let Some(word) = self.bits.get_mut((self.next / 64) as usize) else {
            return;
        };
        let leaving = self.filled == self.len && *word & mask != 0;
        *word = if bad { *word | mask } else { *word & !mask };
        self.bad = self
            .bad
            .saturating_sub(u32::from(leaving))
            .saturating_add(u32::from(bad));
        self.filled = self.filled.saturating_add(1).min(self.len);
        self.next = if self.next + 1 == self.len {
            0
        } else {
            self.next + 1
        };
    }

    /// What the window holds now.
    pub fn counts(&self) -> Counts {
        Counts {
            total: u64::from(self.filled),
            bad: u64::from(self.bad),
        }
    }

    /// How many calls the window spans.
    pub fn span(&self) -> u32 {
        self.len
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bits.fill(0);
        (self.filled, self.next, self.bad) = (0, 0, 0);
    }
}
