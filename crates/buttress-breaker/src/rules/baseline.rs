//! What is usual for a dependency, and whether what is seen is certainly more.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::window::Counts;

/// Standard deviations of the confidence bound. Every call is a new look at the evidence, so that
/// the two of a single test would be passed by chance too often.
const DEVIATIONS: f64 = 3.0;

/// So many calls make a rate known to somebody who bears `floor`: if that share of them failed, their
/// showing no failure at all would be certainly out of the usual.
pub(super) fn calls_to_know(floor: f64, min_calls: u32) -> f64 {
    (DEVIATIONS * DEVIATIONS * (1.0 - floor) / floor).max(min_calls.into())
}

/// A failure rate learned from calls that weigh less the older they are.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    total: f64,
    bad: f64,
    /// The time up to which the weights are reckoned.
    at: Instant,
}

impl Baseline {
    pub(super) const fn new() -> Self {
        Self {
            total: 0.0,
            bad: 0.0,
            at: Instant::ORIGIN,
        }
    }

    /// Learns `counts` of a bucket that began at `at`; what is known already decays over `memory`.
    pub(super) fn learn(&mut self, at: Instant, counts: Counts, memory: Duration) {
        let passed = at.saturating_since(self.at).as_secs_f64();
        let kept = (-passed / memory.as_secs_f64()).exp();
        self.total = self.total.mul_add(kept, counts.total as f64);
        self.bad = self.bad.mul_add(kept, counts.bad as f64);
        self.at = self.at.max(at);
    }

    /// Learns nothing until `at`: the rate stays, but rests on less and less, so that in the end
    /// something else may be learned.
    pub(super) fn age(&mut self, at: Instant, memory: Duration) {
        self.learn(at, Counts::default(), memory);
    }

    /// The learned rate; `None` if it rests on the weight of fewer than so many `calls`.
    pub(super) fn rate(&self, calls: f64) -> Option<f64> {
        (self.total >= calls).then(|| self.bad / self.total)
    }
}

/// What the share of failures is at least.
pub(super) fn lower_bound(counts: Counts) -> f64 {
    counts.ratio_at_least(DEVIATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bad: u64, total: u64) -> Counts {
        Counts { total, bad }
    }

    #[test]
    fn the_bound_solves_the_equation_that_defines_it() {
        for (bad, total) in [(1, 20), (5, 20), (20, 20), (300, 1_000)] {
            let bound = lower_bound(counts(bad, total));
            let off = bad as f64 / total as f64 - bound;
            let deviation = (bound * (1.0 - bound) / total as f64).sqrt();
            assert!((off - 3.0 * deviation).abs() < 1e-9, "{bad} of {total}");
        }
    }

    #[test]
    fn more_good_calls_never_raise_the_bound() {
        for bad in 1..30 {
            for total in bad..200 {
                let (here, there) = (counts(bad, total), counts(bad, total + 1));
                assert!(lower_bound(there) <= lower_bound(here));
            }
        }
    }

    #[test]
    fn what_was_learned_weighs_a_third_after_its_memory() {
        let memory = Duration::from_secs(10);
        let mut baseline = Baseline::new();
        let start = Instant::from_nanos(1_000_000_000_000);
        baseline.learn(start, counts(100, 100), memory);
        baseline.learn(start.saturating_add(memory), counts(0, 100), memory);
        let expected = 100.0 / std::f64::consts::E;
        let rate = baseline.rate(1.0).unwrap();
        assert!((rate - expected / (expected + 100.0)).abs() < 1e-9);
    }

    #[test]
    fn a_baseline_that_learns_nothing_keeps_its_rate_until_it_rests_on_too_few_calls() {
        let memory = Duration::from_secs(10);
        let mut baseline = Baseline::new();
        let start = Instant::from_nanos(1_000_000_000_000);
        baseline.learn(start, counts(1, 10), memory);
        assert_eq!(baseline.rate(11.0), None);
        baseline.age(start.saturating_add(memory), memory);
        assert!((baseline.rate(3.6).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(baseline.rate(3.7), None);
    }

    #[test]
    fn a_rate_is_known_from_as_many_calls_as_rule_the_floor_out() {
        for floor in [0.001, 0.05, 0.1, 0.5] {
            // The bound on failures is the bound on successes, turned round.
            let upper = |calls| 1.0 - lower_bound(counts(calls, calls));
            let first = (1_u64..100_000).find(|calls| upper(*calls) <= floor + 1e-12);
            let off = first.unwrap() as f64 - calls_to_know(floor, 1);
            assert!((-1e-6..1.0).contains(&off), "{floor}: {off}");
        }
        assert!((calls_to_know(0.5, 20) - 20.0).abs() < 1e-9);
    }
}
