//! How many calls were refused, by whatever thread.
//!
//! A locked instruction would be a fifth of what a refusal takes. So the first thread that refuses has a word to
//! itself, which it adds to by a load and a store; all others share one.
//!
//! Why that is exact: a word that one thread alone writes loses nothing between its load and its store.
//! Which thread that is is settled once, by a compare-and-swap, and for good: no two threads of a process
//! are ever given the same number. When that thread ends, those that remain go on sharing the other word.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64 as Numbers, Ordering};

use crate::sync::{AtomicU64, in_every_thread};

/// Counts refusals.
#[derive(Debug)]
pub(crate) struct Rejections {
    /// The number of the thread that alone writes `own`.
    owner: AtomicU64,
    own: AtomicU64,
    others: AtomicU64,
}

/// No thread has this number.
const NOBODY: u64 = 0;

static NEXT: Numbers = Numbers::new(NOBODY + 1);

in_every_thread!(static NUMBER: Cell<u64> = Cell::new(NOBODY));

impl Rejections {
    pub(crate) fn new() -> Self {
        Self {
            owner: AtomicU64::new(NOBODY),
            own: AtomicU64::new(0),
            others: AtomicU64::new(0),
        }
    }

    /// Counts one.
    #[inline]
    pub(crate) fn count(&self) {
        let number = NUMBER.with(Cell::get);
        if number != NOBODY && self.owner.load(Ordering::Relaxed) == number {
            self.count_own();
        } else {
            self.count_shared();
        }
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        let own = self.own.load(Ordering::Relaxed);
        own.wrapping_add(self.others.load(Ordering::Relaxed))
    }

    /// Only for the owner.
    #[inline]
    fn count_own(&self) {
        let counted = self.own.load(Ordering::Relaxed);
        self.own.store(counted.wrapping_add(1), Ordering::Relaxed);
    }

    #[inline(never)]
    fn count_shared(&self) {
        if self.becomes_ours() {
            self.count_own();
        } else {
            self.others.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn becomes_ours(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == NOBODY
            && self
                .owner
                .compare_exchange(NOBODY, number(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The number of this thread, given to it when it is first asked for.
fn number() -> u64 {
    NUMBER.with(|number| {
        if number.get() == NOBODY {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_that_refuses_counts_alone_and_all_others_together() {
        let rejections = Rejections::new();
        (0..3).for_each(|_| rejections.count());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..4).for_each(|_| rejections.count()));
        });
        rejections.count();
        let words = [&rejections.own, &rejections.others];
        assert_eq!(words.map(|word| word.load(Ordering::Relaxed)), [4, 4]);
        assert_eq!(rejections.total(), 8);
    }

    #[test]
    fn racing_threads_are_each_counted_whichever_of_them_is_first() {
        const EACH: u64 = 20_000;
        for _ in 0..20 {
            let rejections = Rejections::new();
            let begin = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        begin.wait();
                        (0..EACH).for_each(|_| rejections.count());
                    });
                }
            });
            assert_eq!(rejections.total(), 3 * EACH);
        }
    }
}
