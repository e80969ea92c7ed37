//! How far a circuit has come in letting traffic back, and which calls pass meanwhile.

use std::time::Duration;

use super::{Evidence, Ramp};
use crate::clock::Instant;
use crate::outcome::Outcome;

/// Where a ramping circuit stands.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    step: usize,
    since: Instant,
    /// What the calls so far have saved up; one whole buys an admission.
    credit: f64,
    /// When a call last passed; `None` before the first one of the step.
    passed: Option<Instant>,
    good: u32,
    bad: u32,
    in_a_row: u32,
}

/// What a call's outcome, or time, has done to a ramp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Course {
    /// It goes on.
    On,
    /// The last step is over.
    Over(Evidence),
    /// The trouble is back.
    Trouble(Evidence),
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self::at(0, now)
    }

    fn at(step: usize, now: Instant) -> Self {
        Self {
            step,
            since: now,
            credit: 0.0,
            passed: None,
            good: 0,
            bad: 0,
            in_a_row: 0,
        }
    }

    /// The share of calls that passes; `None` if the ramp has no such step.
    pub(super) fn share(&self, ramp: &Ramp) -> Option<f64> {
        ramp.steps.get(self.step).map(|step| step.share)
    }

    /// Goes on to the next step if this one is over.
    pub(super) fn advance(&mut self, ramp: &Ramp, now: Instant) -> Course {
        if self.is_over(ramp, now) {
            let good = f64::from(self.good);
            let evidence = Evidence::new(good, good, self.good);
            *self = Self::at(self.step.saturating_add(1), now);
            if self.step >= ramp.steps.len() {
                return Course::Over(evidence);
            }
        }
        Course::On
    }

    fn is_over(&self, ramp: &Ramp, now: Instant) -> bool {
        ramp.steps.get(self.step).is_none_or(|step| {
            let lasted = now.saturating_since(self.since) >= step.lasts;
            lasted && self.good >= step.successes
        })
    }

    /// Whether a call would pass, in this step or, if it is over, as the first of what follows.
    pub(super) fn would_pass(&self, ramp: &Ramp, now: Instant) -> bool {
        self.is_over(ramp, now) || self.wait(ramp, now).is_none()
    }

    /// Lets a call pass, or says after how long one passes at the latest.
    pub(super) fn pass(&mut self, ramp: &Ramp, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(ramp, now);
        let share = self.share(ramp).unwrap_or(1.0);
        self.credit += share;
        if let Some(wait) = wait {
            return Err(wait);
        }
        // Whoever passes for having been waited for owes nothing.
        self.credit = (self.credit - 1.0).max(0.0);
        self.passed = Some(now);
        Ok(())
    }

    fn wait(&self, ramp: &Ramp, now: Instant) -> Option<Duration> {
        let step = ramp.steps.get(self.step)?;
        let next = self.passed?.saturating_add(step.patience());
        // A thousandth of a thousandth of a call, so that five times a fifth is one.
        let paid = self.credit + step.share >= 1.0 - 1e-6;
        (!paid && now < next).then(|| next.saturating_since(now))
    }

    /// Takes an outcome into account.
    pub(super) fn settle(&mut self, ramp: &Ramp, outcome: Outcome, now: Instant) -> Course {
        match outcome {
            Outcome::Success => {
                self.good = self.good.saturating_add(1);
                self.in_a_row = 0;
            }
            Outcome::Failure(_) | Outcome::Slow => self.count_bad(1),
            Outcome::Ignored | Outcome::Abandoned => return Course::On,
        }
        match self.trouble(ramp) {
            Some(evidence) => Course::Trouble(evidence),
            None => self.advance(ramp, now),
        }
    }

    /// Takes calls into account that became slow in flight.
    pub(super) fn overdue(&mut self, ramp: &Ramp, calls: u32) -> Course {
        self.count_bad(calls);
        self.trouble(ramp).map_or(Course::On, Course::Trouble)
    }

    fn count_bad(&mut self, calls: u32) {
        self.bad = self.bad.saturating_add(calls);
        self.in_a_row = self.in_a_row.saturating_add(calls);
    }

    fn trouble(&self, ramp: &Ramp) -> Option<Evidence> {
        let (row, limit) = (self.in_a_row, ramp.bad_in_a_row.get());
        if row >= limit {
            return Some(Evidence::new(row.into(), limit.into(), row));
        }
        let calls = self.good.saturating_add(self.bad);
        let ratio = f64::from(self.bad) / f64::from(calls.max(1));
        let many = calls >= ramp.min_calls.get() && ratio >= ramp.bad_ratio;
        many.then(|| Evidence::new(ratio, ramp.bad_ratio, calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Step;

    const SECOND: Duration = Duration::from_secs(1);

    fn one_step(share: f64, successes: u32) -> Ramp {
        Ramp::new([Step::new(share, SECOND * 100, successes)])
    }

    #[test]
    fn of_any_stretch_of_calls_the_share_passes_to_within_one_call() {
        for share in [0.01, 0.05, 0.2, 0.25, 0.3, 0.5, 0.9] {
            let ramp = one_step(share, 1);
            let mut progress = Progress::new(Instant::ORIGIN);
            assert!(progress.pass(&ramp, Instant::ORIGIN).is_ok(), "the first");
            let mut passed = 0.0;
            for calls in 1..=10_000 {
                passed += f64::from(u8::from(progress.pass(&ramp, Instant::ORIGIN).is_ok()));
                let due = share * f64::from(calls);
                assert!(
                    (passed - due).abs() <= 1.0,
                    "{passed} of {calls} at {share}"
                );
            }
        }
    }

    #[test]
    fn who_calls_seldom_passes_and_sees_the_step_end_in_its_time() {
        let ramp = Ramp::new([Step::new(0.01, SECOND * 10, 5)]);
        let mut progress = Progress::new(Instant::ORIGIN);
        let mut now = Instant::ORIGIN;
        for _ in 0..5 {
            assert_eq!(progress.pass(&ramp, now), Ok(()));
            let next = now.saturating_add(SECOND * 2);
            let just_before = next.saturating_sub(Duration::from_nanos(1));
            let wait = progress.clone().pass(&ramp, just_before);
            assert_eq!(wait, Err(Duration::from_nanos(1)));
            now = next;
            progress.settle(&ramp, Outcome::Success, now);
        }
        assert_eq!(progress.step, 1, "five successes in ten seconds");
    }

    #[test]
    fn a_step_ends_by_time_and_by_successes_and_by_neither_alone() {
        let ramp = one_step(0.5, 2);
        let end = Instant::ORIGIN.saturating_add(SECOND * 100);
        let mut progress = Progress::new(Instant::ORIGIN);
        assert_eq!(progress.advance(&ramp, end), Course::On, "no success");
        for _ in 0..2 {
            let early = end.saturating_sub(Duration::from_nanos(1));
            let course = progress.settle(&ramp, Outcome::Success, early);
            assert_eq!(course, Course::On, "no time");
        }
        assert!(matches!(progress.advance(&ramp, end), Course::Over(_)));
    }

    #[test]
    fn a_row_of_bad_calls_or_a_share_of_a_few_is_trouble_and_what_says_nothing_is_not() {
        let ramp = one_step(0.5, 100);
        let now = Instant::ORIGIN;
        let mut progress = Progress::new(now);
        let mut settle = |outcome| progress.settle(&ramp, outcome, now);
        assert_eq!(settle(Outcome::Slow), Course::On);
        assert_eq!(settle(Outcome::Slow), Course::On);
        assert_eq!(settle(Outcome::Ignored), Course::On);
        assert_eq!(settle(Outcome::Abandoned), Course::On);
        let row = Evidence::new(3.0, 3.0, 3);
        assert_eq!(settle(Outcome::Slow), Course::Trouble(row));
        let mut progress = Progress::new(now);
        for n in 1..=9 {
            let outcome = if n % 3 == 0 {
                Outcome::Slow
            } else {
                Outcome::Success
            };
            assert_eq!(progress.settle(&ramp, outcome, now), Course::On);
        }
        let course = progress.settle(&ramp, Outcome::Slow, now);
        assert_eq!(course, Course::Trouble(Evidence::new(0.4, 0.4, 10)));
    }
}
