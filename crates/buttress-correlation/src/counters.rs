//! How many requests there were of each kind, counted by many threads at once.
//!
//! A locked instruction waits for every write before it, and a request has just written a lot. So each of the first
//! threads that count has a lane to itself, which it adds to by a load and a store; the others share one.
//!
//! Why that is exact: what one thread alone writes loses nothing between a load and a store. Which thread has a
//! lane is settled once, by a compare-and-swap, and for good: no two threads of a process are ever given the same
//! number. When that thread ends its lane stays as it is, and is still read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::InvalidId;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Minted,
    Accepted,
    Inherited,
    Empty,
    TooLong,
    Charset,
    Repeated,
}

const KINDS: usize = Counted::Repeated as usize + 1;
/// Threads that have a lane to themselves, if their numbers follow one another.
const LANES: usize = 16;
/// No thread has this number, nor is a lane ever its.
const NOBODY: u64 = 0;
const NO_OWNER: u64 = u64::MAX;

static NEXT: AtomicU64 = AtomicU64::new(NOBODY + 1);

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(NOBODY) };
}

/// The counts of a layer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    lanes: [Lane; LANES],
    shared: Lane,
}

/// In a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Lane {
    /// The number of the thread that alone writes here.
    owner: AtomicU64,
    counts: [AtomicU64; KINDS],
}

impl Counters {
    /// Counts one.
    #[inline]
    pub(crate) fn count(&self, kind: Counted) {
        let number = NUMBER.get();
        match self.lane(number) {
            Some(lane) if lane.owner.load(Ordering::Relaxed) == number => lane.add_alone(kind),
            _ => self.count_elsewhere(kind),
        }
    }

    /// How many there were.
    pub(crate) fn total(&self, kind: Counted) -> u64 {
        let lanes = self.lanes.iter().chain([&self.shared]);
        let counts = lanes.map(|lane| lane.of(kind).load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    #[cold]
    fn count_elsewhere(&self, kind: Counted) {
        if NUMBER.get() == NOBODY {
            NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        let number = NUMBER.get();
        match self.lane(number) {
            Some(lane) if lane.becomes(number) => lane.add_alone(kind),
            _ => {
                self.shared.of(kind).fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is reduced to as many as there are"
    )]
    fn lane(&self, number: u64) -> Option<&Lane> {
        self.lanes.get(number as usize % LANES)
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            owner: AtomicU64::new(NO_OWNER),
            counts: Default::default(),
        }
    }
}

impl Lane {
    #[inline]
    fn of(&self, kind: Counted) -> &AtomicU64 {
        let [
            minted,
            accepted,
            inherited,
            empty,
            too_long,
            charset,
            repeated,
        ] = &self.counts;
        match kind {
            Counted::Minted => minted,
            Counted::Accepted => accepted,
            Counted::Inherited => inherited,
            Counted::Empty => empty,
            Counted::TooLong => too_long,
            Counted::Charset => charset,
            Counted::Repeated => repeated,
        }
    }

    /// Only for the owner.
    #[inline]
    fn add_alone(&self, kind: Counted) {
        let count = self.of(kind);
        let counted = count.load(Ordering::Relaxed);
        count.store(counted.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether the thread of this number is the first that wants this lane.
    fn becomes(&self, number: u64) -> bool {
        self.owner
            .compare_exchange(NO_OWNER, number, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

impl From<InvalidId> for Counted {
    fn from(reason: InvalidId) -> Self {
        match reason {
            InvalidId::Empty => Self::Empty,
            InvalidId::TooLong => Self::TooLong,
            InvalidId::Charset => Self::Charset,
            InvalidId::Repeated => Self::Repeated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_lanes_are_each_counted() {
        const THREADS: usize = 3 * LANES;
        const EACH: usize = 2_000;
        let total = |counters: &Counters, kind| usize::try_from(counters.total(kind)).unwrap();
        let counters = Counters::default();
        let begin = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    begin.wait();
                    for _ in 0..EACH {
                        counters.count(Counted::Minted);
                        counters.count(Counted::Charset);
                    }
                });
            }
        });
        assert_eq!(total(&counters, Counted::Minted), THREADS * EACH);
        assert_eq!(total(&counters, Counted::Charset), THREADS * EACH);
        assert_eq!(total(&counters, Counted::Accepted), 0);
        let shared = counters.shared.of(Counted::Minted).load(Ordering::Relaxed);
        let in_lanes = THREADS * EACH - usize::try_from(shared).unwrap();
        assert!((EACH..=LANES * EACH).contains(&in_lanes), "{in_lanes}");
    }

    #[test]
    fn a_thread_counts_alone_in_each_layer_where_nobody_was_before_it() {
        for counters in [Counters::default(), Counters::default()] {
            (0..3).for_each(|_| counters.count(Counted::Inherited));
            let shared = counters.shared.of(Counted::Inherited);
            assert_eq!(shared.load(Ordering::Relaxed), 0);
            assert_eq!(counters.total(Counted::Inherited), 3);
        }
    }
}
