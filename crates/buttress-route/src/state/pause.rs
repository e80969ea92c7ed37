//! The pause after a probe that was answered and says nothing, such as one that a limit refused, and after one that a user
//! paid for.

use std::time::Duration;

use buttress_core::circuit::Backoff;
use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

/// The first pause, and the longest; each is twice as long as the one before it, and up to a quarter longer.
const PAUSES: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5));

/// No probe is sent before it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    until: Instant,
    /// So many probes in a row have said nothing.
    void: u32,
    /// When the first of them was answered.
    since: Instant,
}

impl Pause {
    pub(super) const fn over() -> Self {
        Self {
            until: Instant::ORIGIN,
            void: 0,
            since: Instant::NEVER,
        }
    }

    /// No probe before `until`, whatever was said.
    pub(super) const fn until_then(until: Instant) -> Self {
        Self {
            until,
            void: 0,
            since: Instant::NEVER,
        }
    }

    /// Whether for so long nothing has come but what says nothing.
    pub(super) fn has_lasted(self, long: Duration, now: Instant) -> bool {
        now >= self.since.saturating_add(long)
    }

    pub(super) const fn until(self) -> Instant {
        self.until
    }

    /// A probe was answered and says nothing. `asked` is for how long the upstream asked to be left alone, of which no
    /// more counts than `longest`.
    pub(super) fn begins(
        &mut self,
        asked: Option<Duration>,
        longest: Duration,
        now: Instant,
        rng: &Rng,
    ) {
        let asked = asked.unwrap_or_default().min(longest);
        let pause = PAUSES.duration(self.void, rng).max(asked);
        self.until = now.saturating_add(pause);
        self.void = self.void.saturating_add(1);
        self.since = self.since.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_up_to_a_bound_and_no_shorter_than_was_asked_for() {
        let (mut pause, rng) = (Pause::over(), Rng::seeded(1));
        let mut lasts = |asked: Option<u64>| {
            let asked = asked.map(Duration::from_secs);
            let now = Instant::ORIGIN;
            pause.begins(asked, Duration::from_secs(60), now, &rng);
            pause.until().saturating_since(now).as_secs_f64()
        };
        assert!((0.1..=0.125).contains(&lasts(None)));
        assert!((0.2..=0.25).contains(&lasts(None)));
        assert!((7.0..=7.1).contains(&lasts(Some(7))));
        for _ in 0..100 {
            assert!(lasts(None) <= 5.0);
        }
        assert!((5.0 - lasts(Some(1))).abs() < 1e-9);
        assert!((60.0 - lasts(Some(86_400))).abs() < 1e-9);
    }
}
