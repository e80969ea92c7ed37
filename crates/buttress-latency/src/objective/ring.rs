//! Two counters over a stretch of time, in coarse slices.

use std::collections::VecDeque;
use std::time::Duration;

use buttress_core::clock::Instant;

/// Slices of the longest stretch that a ring is asked for.
pub(super) const SLICES: u64 = 120;

/// How many exchanges kept a goal and how many missed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) good: u64,
    pub(super) bad: u64,
}

impl Tally {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            bad: self.bad.saturating_add(other.bad),
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_sub(other.good),
            bad: self.bad.saturating_sub(other.bad),
        }
    }
}

/// Differences of cumulative counts, as the windows of durations are.
#[derive(Debug)]
pub(super) struct Ring {
    slice_nanos: u64,
    born: Instant,
    /// Slices in which anything was counted, by number, ascending; at most [`SLICES`].
    ended: VecDeque<(u64, Tally)>,
    running: u64,
    /// What had been counted when the running slice began.
    base: Tally,
}

impl Ring {
    /// A ring that reaches back by `length`.
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let slice_nanos = (nanos / SLICES).max(1);
        Self {
            slice_nanos,
            born: now,
            ended: VecDeque::new(),
            running: now.as_nanos() / slice_nanos,
            base: Tally::default(),
        }
    }

    /// When the running slice ends, in nanoseconds.
    pub(super) const fn slice_end(&self) -> u64 {
        self.running
            .saturating_add(1)
            .saturating_mul(self.slice_nanos)
    }

    /// Ends the running slice if `now` is beyond it; what is in no slice yet was counted in it.
    pub(super) fn advance(&mut self, total: Tally, now: Instant) {
        let slice = now.as_nanos() / self.slice_nanos;
        if slice <= self.running {
            return;
        }
        let added = total.minus(self.base);
        if added != Tally::default() {
            self.ended.push_back((self.running, added));
        }
        self.base = total;
        self.running = slice;
        let oldest = self.oldest(SLICES);
        while self.ended.front().is_some_and(|(slice, _)| *slice < oldest) {
            self.ended.pop_front();
        }
    }

    /// What was counted in the last `slices`, the running one among them, and how much time they are.
    pub(super) fn last(&self, slices: u64, total: Tally, now: Instant) -> (Tally, Duration) {
        let oldest = self.oldest(slices);
        let within = self.ended.iter().filter(|(slice, _)| *slice >= oldest);
        let running = total.minus(self.base);
        let tally = within.fold(running, |sum, (_, tally)| sum.plus(*tally));
        let begin = Instant::from_nanos(oldest.saturating_mul(self.slice_nanos));
        (tally, now.saturating_since(self.born.max(begin)))
    }

    const fn oldest(&self, slices: u64) -> u64 {
        (self.running + 1).saturating_sub(slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Beside a list of everything with its time.
        #[test]
        fn a_ring_equals_a_recount(steps in proptest::collection::vec((0..90_u64, any::<bool>()), 1..400)) {
            let mut ring = Ring::new(Duration::from_nanos(10 * SLICES), Instant::ORIGIN);
            let mut all: Vec<(u64, bool)> = Vec::new();
            let (mut total, mut now) = (Tally::default(), 0);
            for (gap, good) in steps {
                now += gap;
                ring.advance(total, Instant::from_nanos(now));
                total = total.plus(Tally { good: u64::from(good), bad: u64::from(!good) });
                all.push((now, good));
                for slices in [10, SLICES] {
                    let oldest = (now / 10 + 1).saturating_sub(slices) * 10;
                    let within = |good| all.iter().filter(|(at, g)| *at >= oldest && *g == good).count() as u64;
                    let (tally, covered) = ring.last(slices, total, Instant::from_nanos(now));
                    prop_assert_eq!(tally, Tally { good: within(true), bad: within(false) });
                    prop_assert_eq!(covered, Duration::from_nanos(now - oldest));
                }
                prop_assert!(ring.ended.len() < usize::try_from(SLICES).unwrap());
            }
        }
    }
}
