//! Whoever was let back because its peers could not bear its share is not thrown out again at once for what it failed then.

use std::time::Duration;

use buttress_core::clock::Instant;

use crate::budget::Fault;

/// So long the first time, and twice as long each time that its peers need it again soon after.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    until: Instant,
    lasts: Duration,
    /// The share that it failed.
    failing: f64,
}

impl Needed {
    pub(super) const fn not() -> Self {
        Self {
            until: Instant::ORIGIN,
            lasts: Duration::ZERO,
            failing: 0.0,
        }
    }

    /// Its peers need it, though it fails this share.
    pub(super) fn begins(&mut self, failing: f64, now: Instant) {
        let again = now < self.until.saturating_add(self.lasts);
        let twice = self.lasts.saturating_mul(2).min(LONGEST);
        self.lasts = if again { twice.max(FIRST) } else { FIRST };
        self.until = now.saturating_add(self.lasts);
        self.failing = failing;
    }

    /// Whether it stays for all that is wrong with it. Not if it is half way from what it failed to failing all.
    pub(super) fn keeps(self, fault: Fault, now: Instant) -> bool {
        let most = self.failing.midpoint(1.0);
        now < self.until && matches!(fault, Fault::Failing(share) if share <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    /// For how many seconds it is kept from `now` on.
    fn kept(needed: Needed, now: Instant) -> u64 {
        let at = |second| now.saturating_add(Duration::from_secs(second));
        let kept = |second: &u64| needed.keeps(Fault::Failing(0.1), at(*second));
        (0..1_000).take_while(kept).count() as u64
    }

    #[test]
    fn the_more_often_it_is_needed_the_longer_it_is_kept_and_after_a_quiet_time_as_at_first() {
        let mut needed = Needed::not();
        assert_eq!(kept(needed, NOW), 0);
        let mut now = NOW;
        let spans = [30, 60, 120, 240, 240].map(|span| {
            needed.begins(0.1, now);
            assert_eq!(kept(needed, now), span);
            now = now.saturating_add(Duration::from_secs(span + 10));
            span
        });
        assert_eq!(spans.len(), 5);
        let later = now.saturating_add(LONGEST);
        needed.begins(0.1, later);
        assert_eq!(kept(needed, later), 30);
    }

    #[test]
    fn whoever_fails_much_more_than_it_did_is_not_kept() {
        let mut needed = Needed::not();
        needed.begins(0.2, NOW);
        assert!(needed.keeps(Fault::Failing(0.5), NOW));
        assert!(!needed.keeps(Fault::Failing(0.7), NOW));
        assert!(!needed.keeps(Fault::Late, NOW));
    }
}
