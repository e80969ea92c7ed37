//! Letting traffic back step by step.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Evidence, LONGEST, SHORTEST};
use crate::clock::Instant;
use crate::config::ConfigError;
use crate::outcome::Outcome;

/// How traffic rises after half-open, and what ends that.
///
/// A step is over when it has lasted its time **and** has seen its successes; after the last one the
/// circuit is closed. Trouble opens the circuit again, for longer than before: so many bad calls in
/// a row, or a share of bad ones among a few calls of a step. Both should be less than what the rules of
/// a closed circuit bear.
///
/// Which calls pass is decided without chance, by error diffusion: of any stretch of calls the share
/// that passes is that of the step, to within one call. The first call of a step passes, and so
/// does a call that comes when none has passed for a tenth of a step, or for as long as it would take
/// to see the successes in time where they are fewer: a dependency that is seldom called is not held
/// up by its ramp.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ramp {
    /// The steps, in their order. From 1 to 32, none with a smaller share than the one before.
    pub steps: Arc<[Step]>,
    /// So many bad calls in a row, failed or slow, open the circuit. Default 3.
    pub bad_in_a_row: NonZeroU32,
    /// This share of bad calls in a step opens the circuit: above 0, at most 1. Default 0.4.
    pub bad_ratio: f64,
    /// With fewer calls in a step no share is judged. Default 10.
    pub min_calls: NonZeroU32,
}

/// One step of a [`Ramp`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The share of calls that passes, above 0 and below 1.
    pub share: f64,
    /// The step lasts at least as long. At least 1 ms, at most a day.
    pub lasts: Duration,
    /// And sees at least so many successes. At least 1: time alone is no evidence of health.
    pub successes: u32,
}

/// The most steps a ramp may have.
const MAX_STEPS: u8 = 32;
/// So many calls pass in the time of a step however small its share.
const CERTAIN: u32 = 10;

impl Step {
    /// A step that lets `share` of the calls pass until it has lasted `lasts` and seen `successes`.
    pub const fn new(share: f64, lasts: Duration, successes: u32) -> Self {
        Self {
            share,
            lasts,
            successes,
        }
    }

    /// A call passes if none has for so long.
    fn patience(&self) -> Duration {
        self.lasts / self.successes.clamp(1, CERTAIN)
    }
}

impl Default for Ramp {
    /// 5 %, 25 %, 50 %, each for 2 s and 10 successes.
    fn default() -> Self {
        let step = |share| Step::new(share, Duration::from_secs(2), 10);
        Self::new([0.05, 0.25, 0.5].map(step))
    }
}

impl Ramp {
    /// A ramp of these steps.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            bad_in_a_row: NonZeroU32::MIN.saturating_add(2),
            bad_ratio: 0.4,
            min_calls: NonZeroU32::MIN.saturating_add(9),
        }
    }

    /// `n` equal rises: 1/(n+1), 2/(n+1) … n/(n+1), then everything. `n` is at most 32.
    pub fn linear(n: u32, lasts: Duration, successes: u32) -> Self {
        let n = n.min(u32::from(MAX_STEPS) + 1);
        let share = |step| f64::from(step) / f64::from(n.saturating_add(1));
        Self::new((1..=n).map(|step| Step::new(share(step), lasts, successes)))
    }

    /// `first`, and each step `factor` times the one before, as long as that is below everything.
    pub fn exponential(first: f64, factor: f64, lasts: Duration, successes: u32) -> Self {
        let shares = std::iter::successors(Some(first), |share| Some(share * factor));
        let below = shares
            .take_while(|share| *share < 1.0)
            .take(usize::from(MAX_STEPS) + 1);
        Self::new(below.map(|share| Step::new(share, lasts, successes)))
    }

    /// So many bad calls in a row open the circuit.
    #[must_use]
    pub fn bad_in_a_row(mut self, bad: NonZeroU32) -> Self {
        self.bad_in_a_row = bad;
        self
    }

    /// This share of bad calls among at least `min_calls` of a step opens the circuit.
    #[must_use]
    pub fn bad_ratio(mut self, ratio: f64, min_calls: NonZeroU32) -> Self {
        (self.bad_ratio, self.min_calls) = (ratio, min_calls);
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.steps.is_empty() || self.steps.len() > usize::from(MAX_STEPS) {
            let problem = format!(
                "{} steps; use 1 to {MAX_STEPS}, or no ramp",
                self.steps.len()
            );
            return Err(ConfigError::new("ramp.steps", problem));
        }
        if !(self.bad_ratio > 0.0 && self.bad_ratio <= 1.0) {
            let problem = format!(
                "{} is no share of calls; use a number above 0, at most 1",
                self.bad_ratio
            );
            return Err(ConfigError::new("ramp.bad_ratio", problem));
        }
        self.steps.iter().try_for_each(Step::validate)?;
        let falls = |(before, after): &(&Step, &Step)| after.share < before.share;
        let pairs = self.steps.iter().zip(self.steps.iter().skip(1));
        match pairs.into_iter().find(falls) {
            Some((before, after)) => {
                let problem = format!(
                    "{} after {} lets less traffic back; use shares that rise",
                    after.share, before.share
                );
                Err(ConfigError::new("ramp.steps.share", problem))
            }
            None => Ok(()),
        }
    }

    /// The longest that a call may have to wait in the ramp until one passes.
    pub fn patience(&self) -> Duration {
        let waits = self.steps.iter().map(Step::patience);
        waits.max().unwrap_or_default()
    }
}

impl Step {
    fn validate(&self) -> Result<(), ConfigError> {
        if !(self.share > 0.0 && self.share < 1.0) {
            let problem = format!(
                "{} is no share of traffic; use a number above 0, below 1",
                self.share
            );
            return Err(ConfigError::new("ramp.steps.share", problem));
        }
        if !(SHORTEST..=LONGEST).contains(&self.lasts) {
            let problem = format!(
                "{:?} is no time to see calls in; use {SHORTEST:?} to {LONGEST:?}",
                self.lasts
            );
            return Err(ConfigError::new("ramp.steps.lasts", problem));
        }
        if self.successes == 0 {
            let problem = "0 would take time alone for health; use 1 or more";
            return Err(ConfigError::new("ramp.steps.successes", problem));
        }
        Ok(())
    }
}

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

    #[test]
    fn a_ramp_bears_what_it_is_told_to_and_no_call_waits_longer_than_its_patience() {
        let two = NonZeroU32::MIN.saturating_add(1);
        let ramp = one_step(0.5, 1).bad_in_a_row(two).bad_ratio(1.0, two);
        assert_eq!((ramp.steps.len(), ramp.bad_in_a_row), (1, two));
        assert_eq!((ramp.bad_ratio, ramp.min_calls), (1.0, two));
        let steps = [Step::new(0.1, SECOND, 0), Step::new(0.2, SECOND * 8, 4)];
        assert_eq!(Ramp::new(steps).patience(), SECOND * 2);
    }

    #[test]
    fn ramps_rise_as_they_say() {
        let shares = |ramp: &Ramp| ramp.steps.iter().map(|step| step.share).collect::<Vec<_>>();
        assert_eq!(shares(&Ramp::linear(3, SECOND, 1)), [0.25, 0.5, 0.75]);
        let doubling = Ramp::exponential(0.125, 2.0, SECOND, 1);
        assert_eq!(shares(&doubling), [0.125, 0.25, 0.5]);
        assert_eq!(shares(&Ramp::default()), [0.05, 0.25, 0.5]);
    }

    #[test]
    fn a_ramp_that_makes_no_sense_is_refused_by_name() {
        let of = |share, lasts| Ramp::new([Step::new(share, lasts, 1)]);
        let ratio = |ratio| Ramp::default().bad_ratio(ratio, NonZeroU32::MIN);
        let refused = [
            (Ramp::new([]), "ramp.steps"),
            (Ramp::linear(0, SECOND, 1), "ramp.steps"),
            (Ramp::linear(u32::MAX, SECOND, 1), "ramp.steps"),
            (Ramp::exponential(0.1, 1.0, SECOND, 1), "ramp.steps"),
            (of(0.0, SECOND), "ramp.steps.share"),
            (of(1.0, SECOND), "ramp.steps.share"),
            (of(f64::NAN, SECOND), "ramp.steps.share"),
            (of(0.5, Duration::ZERO), "ramp.steps.lasts"),
            (ratio(f64::NAN), "ramp.bad_ratio"),
            (ratio(0.0), "ramp.bad_ratio"),
            (ratio(1.1), "ramp.bad_ratio"),
            (of(0.5, Duration::MAX), "ramp.steps.lasts"),
            (one_step(0.5, 0), "ramp.steps.successes"),
            (
                Ramp::new([0.9, 0.1].map(|share| Step::new(share, SECOND, 1))),
                "ramp.steps.share",
            ),
        ];
        for (ramp, field) in refused {
            assert_eq!(ramp.validate().unwrap_err().field(), field, "{ramp:?}");
        }
        assert_eq!(Ramp::default().validate(), Ok(()));
        assert_eq!(ratio(1.0).validate(), Ok(()));
        let longest = Ramp::linear(MAX_STEPS.into(), SECOND, 1);
        assert_eq!(longest.validate(), Ok(()));
        assert_eq!(of(0.5, Duration::from_millis(1)).validate(), Ok(()));
        assert_eq!(of(0.5, LONGEST).validate(), Ok(()));
    }
}
