//! What a pool's answers take where it has no more to do than it can, and how many times that they take now.
//!
//! At ease is the least of late, as congestion controls measure a path without its queues (TCP Vegas, BBR). It is forgotten
//! slowly: a pool that is slower for good is at ease again in a few minutes.

use buttress_core::clock::Instant;

use crate::evidence::left_after;

/// What is held for ease grows by a factor of e in so many seconds.
const FORGOTTEN: f64 = 100.0;
/// The slowdown is a mean that fades with this many seconds: pressure lasts, and a few late answers do not.
const SMOOTH: f64 = 0.2;
/// A moment says no more than this, however long ago the one before it is.
const MOST: f64 = 0.25;

#[derive(Clone, Copy, Debug)]
pub(super) struct Ease {
    latency: f64,
    slowdown: f64,
    at: Instant,
}

impl Ease {
    pub(super) const fn new() -> Self {
        Self {
            latency: f64::INFINITY,
            slowdown: 1.0,
            at: Instant::ORIGIN,
        }
    }

    /// Answers take `latency` in the mean, and `lately` at least: how many times what they do at ease that is. In any unit, above 0.
    pub(super) fn see(&mut self, latency: f64, lately: f64, now: Instant) -> f64 {
        let passed = now.saturating_since(self.at);
        self.at = now;
        let grown = self.latency * (passed.as_secs_f64() / FORGOTTEN).exp();
        self.latency = latency.min(grown);
        let news = (1.0 - left_after(passed, SMOOTH)).min(MOST);
        self.slowdown += news * (lately / self.latency - self.slowdown);
        self.slowdown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The slowdown after so many milliseconds in which answers took as long.
    fn after(ease: &mut Ease, millis: u64, latency: f64) -> f64 {
        let seen = (0..millis).map(|_| {
            let now = ease.at.saturating_add(Duration::from_millis(1));
            ease.see(latency, latency, now)
        });
        seen.last().unwrap_or_default()
    }

    #[test]
    fn pressure_that_lasts_is_seen_soon_and_a_moment_is_not() {
        let mut ease = Ease::new();
        assert!((after(&mut ease, 1_000, 50.0) - 1.0).abs() < 0.1);
        assert!(after(&mut ease, 20, 500.0) < 2.0);
        assert!(after(&mut ease, 1_000, 50.0) < 1.1);
        assert!(after(&mut ease, 1_000, 500.0) > 9.0);
    }

    #[test]
    fn whoever_is_slower_for_good_is_at_ease_again_in_minutes() {
        let mut ease = Ease::new();
        after(&mut ease, 1_000, 50.0);
        assert!(after(&mut ease, 60_000, 200.0) > 2.0);
        assert!(after(&mut ease, 120_000, 200.0) < 1.1);
    }

    #[test]
    fn no_gap_and_no_step_of_the_clock_makes_it_anything_but_a_number() {
        let mut ease = Ease::new();
        for now in [Instant::NEVER, Instant::ORIGIN, Instant::NEVER] {
            assert!(ease.see(1.0, 1e12, now).is_finite());
        }
        assert!(ease.see(1e12, 1e12, Instant::NEVER).is_finite());
    }
}
