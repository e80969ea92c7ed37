//! When a name is asked again. Without I/O.

use std::time::Duration;

use buttress_core::rng::Rng;

/// After the first failure.
const RETRY: Duration = Duration::from_secs(1);
/// Nothing is asked more often.
const SOONEST: Duration = Duration::from_secs(1);
/// By chance so much of a wait is added, after an answer and after a failure.
const LATER: f64 = 0.1;
const LATER_AFTER_FAILURE: f64 = 0.5;

#[derive(Clone, Debug)]
pub(super) struct Pace {
    shortest: Duration,
    longest: Duration,
    /// How many failed in a row.
    failures: u32,
    /// `None` before the first question.
    wait: Option<Duration>,
}

impl Pace {
    pub(super) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            failures: 0,
            wait: None,
        }
    }

    pub(super) fn shortest(&mut self, shortest: Duration) {
        self.shortest = shortest.max(SOONEST);
    }

    pub(super) const fn longest(&mut self, longest: Duration) {
        self.longest = longest;
    }

    /// How long to wait before the next question; `None` for the first.
    pub(super) const fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// A question is asked, and failed unless [`Pace::answered`] says otherwise.
    pub(super) fn failed(&mut self, rng: &Rng) {
        self.wait = Some(later(self.backoff(), LATER_AFTER_FAILURE, rng));
        self.failures = self.failures.saturating_add(1);
    }

    /// The question was answered, for as long as `ttl`; `whole` or but for a part that failed, which is asked for again
    /// like one that failed.
    pub(super) fn answered(&mut self, ttl: Option<Duration>, whole: bool, rng: &Rng) {
        let ttl = ttl
            .unwrap_or(Duration::MAX)
            .min(self.ceiling())
            .max(self.shortest);
        let wait = later(ttl, LATER, rng);
        if whole {
            self.failures = 0;
            self.wait = Some(wait);
        } else {
            self.wait = self.wait.map(|retry| retry.min(wait));
        }
    }

    fn backoff(&self) -> Duration {
        RETRY
            .saturating_mul(1 << self.failures.min(31))
            .min(self.ceiling())
    }

    fn ceiling(&self) -> Duration {
        self.longest.max(self.shortest)
    }
}

fn later(wait: Duration, share: f64, rng: &Rng) -> Duration {
    wait.saturating_add(wait.mul_f64(share * rng.unit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn is_about(pace: &Pace, seconds: u64, later: f64) -> bool {
        let wait = pace.wait().unwrap();
        s(seconds) <= wait && wait <= s(seconds).mul_f64(1.0 + later)
    }

    #[test]
    fn times_to_live_are_honoured_within_their_bounds() {
        let (mut pace, rng) = (Pace::new(s(5), s(60)), Rng::seeded(1));
        assert_eq!(pace.wait(), None, "the first is asked at once");
        for (ttl, wait) in [(0, 5), (5, 5), (30, 30), (60, 60), (86_400, 60)] {
            pace.failed(&rng);
            pace.answered(Some(s(ttl)), true, &rng);
            assert!(is_about(&pace, wait, LATER), "{ttl}: {pace:?}");
        }
        pace.answered(None, true, &rng);
        assert!(is_about(&pace, 60, LATER), "what never ends: {pace:?}");
        pace.longest(s(1));
        pace.answered(Some(s(30)), true, &rng);
        assert!(is_about(&pace, 5, LATER), "the shortest holds: {pace:?}");
        pace.shortest(Duration::ZERO);
        pace.answered(Some(s(0)), true, &rng);
        assert!(
            is_about(&pace, 1, LATER),
            "nobody asks without a pause: {pace:?}"
        );
    }

    #[test]
    fn failures_are_asked_ever_later_and_an_answer_ends_that() {
        let (mut pace, rng) = (Pace::new(s(5), s(30)), Rng::seeded(2));
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            pace.failed(&rng);
            assert!(is_about(&pace, wait, LATER_AFTER_FAILURE), "{pace:?}");
        }
        pace.failed(&rng);
        pace.answered(Some(s(10)), true, &rng);
        assert!(is_about(&pace, 10, LATER));
        pace.failed(&rng);
        assert!(is_about(&pace, 1, LATER_AFTER_FAILURE));
        (0..100).for_each(|_| pace.failed(&rng));
        assert!(is_about(&pace, 30, LATER_AFTER_FAILURE));
    }

    #[test]
    fn what_failed_of_an_answer_is_asked_for_ever_later_and_no_later_than_the_rest() {
        let (mut pace, rng) = (Pace::new(s(5), s(60)), Rng::seeded(3));
        for wait in [1, 2, 4, 8] {
            pace.failed(&rng);
            pace.answered(Some(s(10)), false, &rng);
            assert!(is_about(&pace, wait, LATER_AFTER_FAILURE), "{pace:?}");
        }
        pace.failed(&rng);
        pace.answered(Some(s(10)), false, &rng);
        assert!(is_about(&pace, 10, LATER), "{pace:?}");
    }

    #[test]
    fn no_time_to_live_and_no_bound_overflows() {
        let (mut pace, rng) = (Pace::new(s(1), Duration::MAX), Rng::seeded(4));
        pace.answered(Some(Duration::MAX), true, &rng);
        (0..200).for_each(|_| pace.failed(&rng));
        assert!(pace.wait().is_some());
    }
}
