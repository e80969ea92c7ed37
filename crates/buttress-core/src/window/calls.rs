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
        // A place that was never used holds a good call: nothing bad leaves it.
        let leaving = *word & mask != 0;
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

    /// Records `n` calls alike.
    ///
    /// # Cost
    ///
    /// That of as many records as the window is long, at most.
    pub fn record_many(&mut self, bad: bool, n: u64) {
        // After as many calls alike as it spans a window changes no more.
        (0..n.min(self.len.into())).for_each(|_| self.record(bad));
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

    /// A window over the last `len` calls that holds the newest of what this one holds.
    #[must_use]
    pub fn resized(&self, len: NonZeroU32) -> Self {
        let mut resized = Self::new(len);
        let kept = self.filled.min(resized.len);
        for age in (1..=kept).rev() {
            resized.record(self.is_bad(age));
        }
        resized
    }

    /// Whether the call `age` calls ago was bad; the last one is 1 call ago.
    fn is_bad(&self, age: u32) -> bool {
        let ahead = self.len.saturating_sub(age);
        let at = u64::from(self.next).saturating_add(u64::from(ahead)) % u64::from(self.len);
        let word = usize::try_from(at / 64)
            .ok()
            .and_then(|at| self.bits.get(at));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bits.fill(0);
        (self.filled, self.next, self.bad) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(len: u32) -> CallWindow {
        CallWindow::new(NonZeroU32::new(len).unwrap())
    }

    #[test]
    fn a_resized_window_keeps_the_newest_calls_in_their_order() {
        let mut calls = window(5);
        for bad in [true, true, true, false, true, false, false] {
            calls.record(bad);
        }
        let mut smaller = calls.resized(NonZeroU32::new(3).unwrap());
        assert_eq!(smaller.counts(), Counts { total: 3, bad: 1 });
        smaller.record(false);
        assert_eq!(smaller.counts(), Counts { total: 3, bad: 0 });
        let larger = calls.resized(NonZeroU32::new(70).unwrap());
        assert_eq!(larger.counts(), Counts { total: 5, bad: 2 });
    }
}
