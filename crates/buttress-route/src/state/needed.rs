//! Whoever was let back because its peers could not bear its share is not thrown out again at once for what it failed then.

use std::time::Duration;

use buttress_core::clock::Instant;

use crate::budget::Fault;

/// So long the first time, and twice as long each time that its peers need it again as soon as it is out.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(240);
/// Who is needed so soon after it was thrown out is needed for that.
const SOON: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    until: Instant,
    lasts: Duration,
    /// The share that it failed.
    failing: f64,
    /// When it was thrown out.
    out_since: Instant,
}

impl Needed {
    pub(super) const fn not() -> Self {
        Self {
            until: Instant::ORIGIN,
            lasts: Duration::ZERO,
            failing: 0.0,
            out_since: Instant::ORIGIN,
        }
    }

    /// It is thrown out.
    pub(super) const fn goes_out(&mut self, now: Instant) {
        self.out_since = now;
    }

    /// Its peers need it, though it fails this share.
    pub(super) fn begins(&mut self, failing: f64, now: Instant) {
        let again = now.saturating_since(self.out_since) < SOON;
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

    /// For how long it is kept the next time, if it goes out and is needed after so many seconds.
    fn needed_again(needed: &mut Needed, after: u64) -> u64 {
        let out = needed.until;
        needed.goes_out(out);
        let now = out.saturating_add(Duration::from_secs(after));
        needed.begins(0.1, now);
        kept(*needed, now)
    }

    #[test]
    fn the_more_often_it_is_needed_for_being_out_the_longer_it_is_kept_and_otherwise_as_at_first() {
        let mut needed = Needed::not();
        assert_eq!(kept(needed, NOW), 0);
        needed.until = NOW;
        let spans = [(); 6].map(|()| needed_again(&mut needed, 2));
        assert_eq!(spans, [10, 20, 40, 80, 160, 240]);
        assert_eq!(needed_again(&mut needed, 60), 10);
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
