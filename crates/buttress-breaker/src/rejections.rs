//! How many calls were refused, by whatever thread.
//!
//! A locked instruction would be a fifth of what a refusal takes. So the first thread that refuses has a word to
//! itself, which it adds to by a load and a store. Others add to one beside their word of [`Lanes`], or,
//! where there are too many breakers for that, share one.
//!
//! Why that is exact: a word that one thread alone writes loses nothing between its load and its store.
//! Which thread that is is settled once, by a compare-and-swap, and for good: no two threads of a process
//! are ever given the same number. When that thread ends, those that remain go on sharing the other words.

use std::sync::atomic::Ordering;

use crate::lanes::Lanes;
use crate::sync::AtomicU64;
use crate::thread::{known_number, number};

/// Not [`NOBODY`](crate::thread::NOBODY), which is what a thread without a number has for one.
const NO_OWNER: u64 = u64::MAX;

/// Counts refusals.
#[derive(Debug)]
pub(crate) struct Rejections {
    /// The number of the thread that alone writes `own`.
    owner: AtomicU64,
    own: AtomicU64,
    others: AtomicU64,
}

impl Rejections {
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU64::new(NO_OWNER),
            own: AtomicU64::new(0),
            others: AtomicU64::new(0),
        }
    }

    /// Counts one.
    #[inline]
    pub(crate) fn count(&self, lanes: &Lanes) {
        if self.owner.load(Ordering::Relaxed) == known_number() {
            self.count_own();
        } else {
            self.count_shared(lanes);
        }
    }

    /// How many there were.
    pub(crate) fn total(&self, lanes: &Lanes) -> u64 {
        let counts = [&self.own, &self.others].into_iter().chain(lanes.refused());
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    /// Only for the owner.
    #[inline]
    fn count_own(&self) {
        let counted = self.own.load(Ordering::Relaxed);
        self.own.store(counted.wrapping_add(1), Ordering::Relaxed);
    }

    #[inline(never)]
    fn count_shared(&self, lanes: &Lanes) {
        if self.becomes_ours() {
            self.count_own();
        } else {
            let count = lanes.refused_by_mine().unwrap_or(&self.others);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn becomes_ours(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == NO_OWNER
            && self
                .owner
                .compare_exchange(NO_OWNER, number(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::hot::Kept;

    #[test]
    fn the_first_thread_that_refuses_counts_alone_and_others_beside_it() {
        for (kept, shared) in [(Kept::WhileInUse, 4), (Kept::AtHand, 0)] {
            let (rejections, lanes) = (Rejections::new(), Lanes::new(kept));
            (0..3).for_each(|_| rejections.count(&lanes));
            std::thread::scope(|scope| {
                scope.spawn(|| (0..4).for_each(|_| rejections.count(&lanes)));
            });
            rejections.count(&lanes);
            let words = [&rejections.own, &rejections.others];
            let counts = words.map(|word| word.load(Ordering::Relaxed));
            assert_eq!(counts, [4, shared]);
            assert_eq!(rejections.total(&lanes), 8);
        }
    }

    #[test]
    fn racing_threads_are_each_counted_whichever_of_them_is_first() {
        const EACH: u64 = 20_000;
        for kept in [Kept::AtHand, Kept::WhileInUse].repeat(10) {
            let (rejections, lanes) = (Rejections::new(), Lanes::new(kept));
            let begin = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        begin.wait();
                        (0..EACH).for_each(|_| rejections.count(&lanes));
                    });
                }
            });
            assert_eq!(rejections.total(&lanes), 3 * EACH);
        }
    }
}
