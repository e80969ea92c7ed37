//! How both arms did of late, and whether one did worse.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One of the two that requests are split between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    Stable,
    Canary,
}

/// Calls that were looked at, and those of them that count against who took them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) calls: u64,
    pub(super) failures: u64,
}

impl Seen {
    /// The share of failures, 0 to 1.
    pub(super) fn rate(self) -> f64 {
        self.failures as f64 / self.calls.max(1) as f64
    }
}

/// How surely `canary` fails more than `stable`, in standard errors: the test of two proportions by their likelihood
/// ratio (Wilks 1938), its signed root. 0 where the canary fails no more, or one of them has no calls.
///
/// The more usual z of pooled proportions finds a few failures where hardly one was due far less likely than they are.
pub(super) fn deviation(stable: Seen, canary: Seen) -> f64 {
    if stable.calls == 0 || canary.calls == 0 || canary.rate() <= stable.rate() {
        return 0.0;
    }
    let all = Seen {
        calls: stable.calls + canary.calls,
        failures: stable.failures + canary.failures,
    };
    let ratio = [stable, canary].map(|seen| gain(seen, all.rate()));
    (2.0 * ratio.iter().sum::<f64>()).max(0.0).sqrt()
}

/// How much more likely, as a logarithm, what was `seen` is at its own rate than at `rate`.
fn gain(seen: Seen, rate: f64) -> f64 {
    let of = |count: u64, expected: f64| match count {
        0 => 0.0,
        count => count as f64 * (count as f64 / expected).ln(),
    };
    let calls = seen.calls as f64;
    let successes = seen.calls.saturating_sub(seen.failures);
    of(seen.failures, calls * rate) + of(successes, calls * (1.0 - rate))
}

/// What ended in the half of the window that is under way, and in the one before it.
#[derive(Debug, Default)]
pub(super) struct Arms {
    halves: [Half; 2],
    current: AtomicUsize,
}

#[derive(Debug, Default)]
struct Half {
    stable: Counts,
    canary: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    /// Those that ended well or badly.
    calls: AtomicU64,
    failures: AtomicU64,
    /// Those of them whose answer came late.
    late: AtomicU64,
    /// Those whose client waited as long and left without an answer.
    hung: AtomicU64,
}

impl Arms {
    pub(super) fn record(&self, arm: Arm, failed: bool) {
        let current = self.current.load(Ordering::Relaxed);
        if let Some(half) = self.halves.get(current & 1) {
            let counts = half.of(arm);
            counts.calls.fetch_add(1, Ordering::Relaxed);
            counts.failures.fetch_add(failed.into(), Ordering::Relaxed);
        }
    }

    /// An answer of `arm`, which counts as one, came late.
    pub(super) fn late(&self, arm: Arm) {
        let current = self.current.load(Ordering::Relaxed);
        if let Some(half) = self.halves.get(current & 1) {
            half.of(arm).late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client of `arm` has waited long and left without an answer.
    pub(super) fn hung(&self, arm: Arm) {
        let current = self.current.load(Ordering::Relaxed);
        if let Some(half) = self.halves.get(current & 1) {
            half.of(arm).hung.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Of the clients of `arm` within the window that had an answer or waited long for one, those that waited long.
    pub(super) fn waits(&self, arm: Arm) -> Seen {
        let mut waits = Seen::default();
        for half in &self.halves {
            let counts = half.of(arm);
            let hung = counts.hung.load(Ordering::Relaxed);
            waits.failures += hung + counts.late.load(Ordering::Relaxed);
            waits.calls += hung;
        }
        waits.calls = (waits.calls + self.seen(arm).calls).max(waits.failures);
        waits
    }

    /// What `arm` showed within the window.
    pub(super) fn seen(&self, arm: Arm) -> Seen {
        let mut seen = Seen::default();
        for half in &self.halves {
            let counts = half.of(arm);
            let failures = counts.failures.load(Ordering::Relaxed);
            seen.failures += failures;
            seen.calls += counts.calls.load(Ordering::Relaxed).max(failures);
        }
        seen
    }

    /// The next half begins. What ends in that very moment may be lost.
    pub(super) fn turn(&self) {
        let next = (self.current.load(Ordering::Relaxed) + 1) & 1;
        if let Some(half) = self.halves.get(next) {
            half.clear();
        }
        self.current.store(next, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.halves.iter().for_each(Half::clear);
    }
}

impl Half {
    const fn of(&self, arm: Arm) -> &Counts {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        }
    }

    fn clear(&self) {
        for counts in [&self.stable, &self.canary] {
            counts.failures.store(0, Ordering::Relaxed);
            counts.calls.store(0, Ordering::Relaxed);
            counts.late.store(0, Ordering::Relaxed);
            counts.hung.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn z(stable: (u64, u64), canary: (u64, u64)) -> f64 {
        let seen = |(failures, calls)| Seen { calls, failures };
        deviation(seen(stable), seen(canary))
    }

    #[test]
    fn the_deviation_is_the_root_of_the_likelihood_ratio() {
        // By hand: 2 × (20 ln 20/15 + 80 ln 80/85 + 10 ln 10/15 + 90 ln 90/85) = 3.9875.
        assert!((z((10, 100), (20, 100)) - 3.9875_f64.sqrt()).abs() < 1e-3);
        assert!(z((20, 100), (10, 100)).abs() < f64::EPSILON);
        // Of which the z of pooled proportions says 8.8.
        assert!((z((1, 1_000), (5, 53)) - 5.0).abs() < 0.02);
    }

    #[test]
    fn nothing_is_no_deviation() {
        for (stable, canary) in [
            ((0, 0), (5, 5)),
            ((1, 5), (0, 0)),
            ((0, 9), (0, 9)),
            ((3, 3), (3, 3)),
        ] {
            assert!(z(stable, canary).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn what_is_older_than_two_halves_is_forgotten() {
        let arms = Arms::default();
        arms.record(Arm::Canary, true);
        arms.turn();
        arms.record(Arm::Canary, false);
        arms.record(Arm::Stable, false);
        let seen = |calls, failures| Seen { calls, failures };
        assert_eq!(arms.seen(Arm::Canary), seen(2, 1));
        arms.turn();
        assert_eq!(
            (arms.seen(Arm::Canary), arms.seen(Arm::Stable)),
            (seen(1, 0), seen(1, 0))
        );
        arms.turn();
        assert_eq!(arms.seen(Arm::Stable), seen(0, 0));
    }
}
