//! Letting traffic back step by step.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{LONGEST, SHORTEST};
use crate::config::{ConfigError, require};

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
    pub(super) fn patience(&self) -> Duration {
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
        let (steps, ratio) = (self.steps.len(), self.bad_ratio);
        require(
            (1..=usize::from(MAX_STEPS)).contains(&steps),
            "ramp.steps",
            || format!("{steps} steps; use 1 to {MAX_STEPS}, or no ramp"),
        )?;
        require(ratio > 0.0 && ratio <= 1.0, "ramp.bad_ratio", || {
            format!("{ratio} is no share of calls; use a number above 0, at most 1")
        })?;
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
        let (share, lasts) = (self.share, self.lasts);
        require(share > 0.0 && share < 1.0, "ramp.steps.share", || {
            format!("{share} is no share of traffic; use a number above 0, below 1")
        })?;
        require(
            (SHORTEST..=LONGEST).contains(&lasts),
            "ramp.steps.lasts",
            || format!("{lasts:?} is no time to see calls in; use {SHORTEST:?} to {LONGEST:?}"),
        )?;
        require(
            self.successes > 0,
            "ramp.steps.successes",
            || "0 would take time alone for health; use 1 or more",
        )
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
