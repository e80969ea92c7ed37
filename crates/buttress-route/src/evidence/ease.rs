//! What an endpoint's answers take where it has no more to do than it can, and how many times that they took of late.
//!
//! At ease is the least mean of late, as congestion controls measure a path without its queues (TCP Vegas, BBR). It is each
//! endpoint's own: the middle of a pool is now one of its quick ones and now one of its slow ones. It is forgotten slowly,
//! and whoever is slower for good is at ease again in a few minutes.

use std::time::Duration;

use buttress_core::clock::Instant;

use super::{Evidence, INDISTINCT, RUN};
use crate::budget::PRESSED;

/// What is held for ease grows by about a factor of e in so many seconds.
const FORGOTTEN: f64 = 100.0;
/// Of so many answers of late something is known.
const ENOUGH: f64 = RUN as f64;

impl Evidence {
    /// The mean has been what it is for as long.
    pub(super) fn ease(&mut self, passed: Duration) {
        self.at_ease *= 1.0 + passed.as_secs_f64() / FORGOTTEN;
        // The mean of one answer or two may be of light requests alone.
        if self.sureness >= ENOUGH {
            self.at_ease = self.at_ease.min(self.mean().unwrap_or(f64::INFINITY));
        }
    }

    /// Whether so long is several times what answers take at ease.
    pub(crate) fn is_long(&self, wait: Duration) -> bool {
        wait.as_nanos() as f64 + INDISTINCT > PRESSED * (self.at_ease + INDISTINCT)
    }

    /// How many times as long as at ease the quickest of the last few answers took, and at `now` either 1 or, where too little
    /// is known, 0: who was asked a little more of late has no more of a word than others.
    pub(crate) fn slowdown_at(&self, now: Instant) -> (f64, f64) {
        let is_known = self.at_ease.is_finite() && self.sureness * self.kept_at(now) >= ENOUGH;
        let least = self.run.iter().copied().fold(f64::INFINITY, f64::min);
        let times = (least + INDISTINCT) / (self.at_ease + INDISTINCT);
        if is_known { (times, 1.0) } else { (1.0, 0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(3_600_000_000_000);

    /// How much slower it is after so many seconds of answers that took as long, one in ten milliseconds.
    fn after(evidence: &mut Evidence, seconds: u64, millis: u64) -> f64 {
        for _ in 0..seconds * 100 {
            let now = evidence.as_of().saturating_add(Duration::from_millis(10));
            evidence.success(Duration::from_millis(millis), now);
        }
        evidence.slowdown_at(evidence.as_of()).0
    }

    #[test]
    fn it_is_held_against_itself_and_whoever_is_slower_for_good_is_at_ease_again_in_minutes() {
        let mut evidence = Evidence::new(Duration::from_secs(10), START);
        assert!((after(&mut evidence, 5, 50) - 1.0).abs() < 0.1);
        assert!(after(&mut evidence, 1, 500) > 8.0);
        assert!(after(&mut evidence, 60, 500) > 4.0);
        assert!(after(&mut evidence, 300, 500) < 1.1);
        let slow = &mut Evidence::new(Duration::from_secs(10), START);
        assert!(after(slow, 5, 500) < 1.1, "it always was");
    }

    #[test]
    fn no_gap_and_no_step_of_the_clock_makes_it_anything_but_a_number() {
        let mut evidence = Evidence::new(Duration::from_secs(10), START);
        for now in [Instant::NEVER, Instant::ORIGIN, START, Instant::NEVER] {
            for latency in [Duration::ZERO, Duration::MAX] {
                evidence.success(latency, now);
                assert!(evidence.slowdown_at(now).0.is_finite());
            }
        }
    }
}
