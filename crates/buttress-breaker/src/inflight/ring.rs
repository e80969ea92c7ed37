//! The buckets of one threshold.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::clock::Instant;

use super::slot::{BUCKETS, COUNT, EPOCH, EPOCH_SHIFT, GENERATION_SHIFT, Slot};
use crate::gate::nanos;
use crate::sync::AtomicU64;

#[derive(Debug)]
pub(super) struct Ring {
    /// In nanoseconds; changes under the machine's lock alone.
    threshold: AtomicU64,
    pub(super) buckets: [AtomicU64; BUCKETS],
    /// That of the next threshold.
    pub(super) next: OnceLock<Box<Self>>,
}

impl Ring {
    pub(super) fn empty() -> Box<Self> {
        Box::new(Self {
            threshold: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            next: OnceLock::new(),
        })
    }

    pub(super) fn set(&self, threshold: Duration) {
        self.threshold.store(nanos(threshold), Ordering::Relaxed);
        for word in &self.buckets {
            word.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn threshold(&self) -> Duration {
        Duration::from_nanos(self.threshold.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn enter(&self, slot: Slot, n: u64) -> bool {
        self.change(slot.at, |word| {
            if word & !COUNT == slot.tag {
                (word & COUNT <= COUNT - n).then_some(word.wrapping_add(n))
            } else {
                let free = word & COUNT == 0 && !slot.is_late_for(word);
                (free || slot.outlives(word)).then_some(slot.tag | n)
            }
        })
    }

    #[inline]
    pub(super) fn leave(&self, slot: Slot) -> bool {
        self.change(slot.at, |word| {
            (word & !COUNT == slot.tag && word & COUNT > 0).then(|| word.wrapping_sub(1))
        })
    }

    #[inline]
    fn change(&self, at: usize, to: impl Fn(u64) -> Option<u64>) -> bool {
        self.buckets.get(at).is_some_and(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, to)
                .is_ok()
        })
    }

    /// Keeps the bucket of now for those who begin in it: [`InFlight::enter_many`] has to find room. Who read
    /// the clock long ago, and enters only now, may have taken it, and is overdue.
    pub(super) fn claim(&self, slot: Slot, look: &Look, tell: &mut impl FnMut(u64, Instant)) {
        let is_over = |word: u64| {
            word & COUNT == 0 || !look.is_present(word) || look.due(look.epoch(word)) <= look.now
        };
        let claimed = |word: u64| (word & !COUNT != slot.tag && is_over(word)).then_some(slot.tag);
        let taken = self.buckets.get(slot.at).and_then(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Acquire, claimed)
                .ok()
        });
        if let Some(taken) = taken.filter(|taken| taken & COUNT > 0 && look.is_present(*taken)) {
            tell(taken & COUNT, look.due(look.epoch(taken)));
        }
    }

    pub(super) fn take_overdue(&self, look: &Look, mut tell: impl FnMut(u64, Instant)) -> Instant {
        let mut next = look.due(look.now.as_nanos() >> look.shift);
        for word in &self.buckets {
            let seen = word.load(Ordering::Acquire);
            if seen & COUNT == 0 {
                continue;
            }
            let due = look.due(look.epoch(seen));
            if look.is_present(seen) && due > look.now {
                next = next.min(due);
                continue;
            }
            let taken = word.swap(0, Ordering::AcqRel);
            if look.is_present(taken) {
                tell(taken & COUNT, due);
            }
        }
        next
    }
}

/// One look at a ring.
pub(super) struct Look {
    /// Number of the plan and generation, as in a word.
    pub(super) present: u64,
    pub(super) shift: u32,
    pub(super) threshold: Duration,
    /// No call has begun long after this: whoever did would have looked first.
    pub(super) latest: Instant,
    pub(super) now: Instant,
}

impl Look {
    /// Whether `word` counts calls of the present generation and plan.
    const fn is_present(&self, word: u64) -> bool {
        (word ^ self.present) >> GENERATION_SHIFT == 0
    }

    /// The whole number of the bucket of which `word` has the lowest bits.
    pub(super) const fn epoch(&self, word: u64) -> u64 {
        // A clock read by another thread may be a little ahead.
        let last = (self.latest.as_nanos() >> self.shift).saturating_add(BUCKETS as u64 / 2);
        last.saturating_sub(last.wrapping_sub(word >> EPOCH_SHIFT) & EPOCH)
    }

    /// When all calls that began in the bucket of `epoch` are slow.
    fn due(&self, epoch: u64) -> Instant {
        end_of(epoch, self.shift).saturating_add(self.threshold)
    }
}

/// When the bucket of `epoch` ends.
pub(super) fn end_of(epoch: u64, shift: u32) -> Instant {
    Instant::from_nanos(epoch.saturating_add(1).saturating_mul(1 << shift))
}
