//! How long a circuit stays open, how it probes, and how it lets traffic back.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Backoff, LONGEST, Probing, Ramp, SHORTEST, State};
use crate::config::{ConfigError, require};

/// What a [`super::Circuit`] is set to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How long the circuit stays open, by how often in a row it has. Default: 5 s, doubling up to
    /// 60 s, each up to a quarter longer.
    pub open_for: Backoff,
    /// An upstream that asks to be left alone for a shorter time than that is believed down to
    /// this, one that asks for none at all (`Retry-After: 0`) too. Default: never. One that asks for longer is
    /// always believed, up to the cap.
    pub shortest_asked: Option<Duration>,
    /// How many probes of one half-open phase may be in flight at once. Default 1; at most 1024, for each
    /// admission looks at all of them.
    pub max_probes: NonZeroU32,
    /// What ends half-open well. Default: two successes.
    pub probing: Probing,
    /// After how long a probe gives its place back although it has not ended. Default 30 s; at most a
    /// day.
    pub probe_deadline: Duration,
    /// How long the circuit may be half-open. Default: as long as it takes, for no probe can hold it
    /// up for longer than its deadline.
    pub half_open_limit: Option<HalfOpenLimit>,
    /// How traffic rises after half-open. Default: [`Ramp::default`]. `None`: all at once.
    pub ramp: Option<Ramp>,
    /// What a circuit without a ramp has to show, closed, to be thought healthy: then it opens for
    /// the first open time again, and until then for longer than the last time.
    pub healthy_run: HealthyRun,
}

/// For how long a circuit may be half-open, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HalfOpenLimit {
    /// For how long. Not zero.
    pub after: Duration,
    /// [`State::Open`] for who would rather be safe, [`State::Closed`] for who would rather be
    /// served, by way of the ramp if there is one.
    ///
    /// Where fewer calls come in the time than half-open takes to be judged, a circuit that opens again
    /// never closes.
    pub then: State,
}

/// What a closed circuit has to show to be thought healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthyRun {
    /// Closed for so long without a trip. Not zero. Default: the first open time, before jitter.
    pub lasts: Option<Duration>,
    /// And so many successes. At least 1. Default 10.
    pub successes: u32,
}

impl HalfOpenLimit {
    /// Half-open for at most `after`, and then `then`: open or closed.
    pub const fn new(after: Duration, then: State) -> Self {
        Self { after, then }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        require(
            !self.after.is_zero(),
            "half_open_limit.after",
            || "0 leaves no time to probe; use at least the time a probe may take",
        )?;
        let follows = matches!(self.then, State::Open | State::Closed);
        require(follows, "half_open_limit.then", || {
            format!(
                "{} does not follow half-open; use open or closed",
                self.then
            )
        })
    }
}

impl Default for HealthyRun {
    fn default() -> Self {
        Self {
            lasts: None,
            successes: 10,
        }
    }
}

impl HealthyRun {
    /// Closed for `lasts`, with `successes`.
    pub const fn new(lasts: Duration, successes: u32) -> Self {
        Self {
            lasts: Some(lasts),
            successes,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let lasts = self.lasts.is_none_or(|lasts| !lasts.is_zero());
        require(
            lasts,
            "healthy_run.lasts",
            || "0 is no time to prove healthy in; use a duration, or none for the first open time",
        )?;
        require(
            self.successes > 0,
            "healthy_run.successes",
            || "0 would take time alone for health; use 1 or more",
        )
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open_for: Backoff::default(),
            shortest_asked: None,
            max_probes: NonZeroU32::MIN,
            probing: Probing::Successes(NonZeroU32::MIN.saturating_add(1)),
            probe_deadline: Duration::from_secs(30),
            half_open_limit: None,
            ramp: Some(Ramp::default()),
            healthy_run: HealthyRun::default(),
        }
    }
}

/// Each admission of a half-open circuit looks at all its leases.
const MAX_PROBES: u32 = 1024;

impl Settings {
    /// How long the circuit stays open.
    #[must_use]
    pub fn open_for(mut self, open_for: Backoff) -> Self {
        self.open_for = open_for;
        self
    }

    /// An upstream that asks for a shorter open time is believed, down to this.
    #[must_use]
    pub fn shortest_asked(mut self, shortest: Duration) -> Self {
        self.shortest_asked = Some(shortest);
        self
    }

    /// How many probes may be in flight at once.
    #[must_use]
    pub fn max_probes(mut self, max_probes: NonZeroU32) -> Self {
        self.max_probes = max_probes;
        self
    }

    /// How many probes have to succeed, with none failing, to end half-open.
    #[must_use]
    pub fn successes_to_close(self, successes: NonZeroU32) -> Self {
        self.probing(Probing::Successes(successes))
    }

    /// What ends half-open well.
    #[must_use]
    pub fn probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// After how long a probe gives its place back although it has not ended.
    #[must_use]
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.probe_deadline = deadline;
        self
    }

    /// How long the circuit may be half-open, and what follows.
    #[must_use]
    pub fn half_open_limit(mut self, limit: HalfOpenLimit) -> Self {
        self.half_open_limit = Some(limit);
        self
    }

    /// How traffic rises after half-open; `None` lets all of it back at once.
    #[must_use]
    pub fn ramp(mut self, ramp: impl Into<Option<Ramp>>) -> Self {
        self.ramp = ramp.into();
        self
    }

    /// What a circuit without a ramp has to show to be thought healthy.
    #[must_use]
    pub fn healthy_run(mut self, run: HealthyRun) -> Self {
        self.healthy_run = run;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let deadline = self.probe_deadline;
        require(
            !deadline.is_zero(),
            "probe_deadline",
            || "0 would forfeit every probe at once; use at least the time a call may take",
        )?;
        require(deadline <= LONGEST, "probe_deadline", || {
            format!(
                "a probe that hangs would keep its place for {deadline:?}; use at most {LONGEST:?}"
            )
        })?;
        let probes = self.max_probes.get();
        require(probes <= MAX_PROBES, "max_probes", || {
            format!("{probes} probes at once are traffic; use at most {MAX_PROBES}, and a ramp")
        })?;
        let shortest = self.shortest_asked.unwrap_or(SHORTEST);
        require(shortest >= SHORTEST, "shortest_asked", || {
            format!(
                "{shortest:?} would let an upstream keep the circuit from opening; use at least \
                 {SHORTEST:?}, or none"
            )
        })?;
        self.probing.validate()?;
        self.half_open_limit
            .as_ref()
            .map_or(Ok(()), HalfOpenLimit::validate)?;
        self.ramp.as_ref().map_or(Ok(()), Ramp::validate)?;
        self.healthy_run.validate()?;
        self.open_for.validate()
    }

    /// Within the bounds: the open time of this attempt, or what was asked for.
    pub(super) fn open_time(&self, drawn: Duration, asked: Option<Duration>) -> Duration {
        let Some(asked) = asked else { return drawn };
        let asked = asked.min(self.open_for.cap());
        match self.shortest_asked {
            Some(shortest) => asked.max(shortest.min(drawn)),
            _ => asked.max(drawn),
        }
    }

    /// How long a closed circuit has to last to be thought healthy.
    pub(super) fn healthy_after(&self) -> Duration {
        self.healthy_run.lasts.unwrap_or(self.open_for.base())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn what_is_asked_for_lengthens_within_the_cap_and_shortens_only_where_that_is_set() {
        let second = Duration::from_secs;
        let settings = Settings::default();
        let time = |asked| settings.open_time(second(5), Some(second(asked))).as_secs();
        assert_eq!([time(0), time(5), time(20), time(1 << 40)], [5, 5, 20, 60]);
        let settings = settings.clone().shortest_asked(second(2));
        let time = |asked| settings.open_time(second(5), Some(second(asked))).as_secs();
        assert_eq!([time(0), time(3), time(20), time(1 << 40)], [2, 3, 20, 60]);
        assert_eq!(settings.open_time(second(1), Some(second(0))), second(1));
        assert_eq!(settings.open_time(second(5), None), second(5));
    }

    #[test]
    fn each_setting_is_set_by_its_name_and_nothing_else_is() {
        let run = HealthyRun::new(Duration::from_secs(1), 3);
        let set = Settings::default().max_probes(of(7)).healthy_run(run);
        let expected = Settings {
            max_probes: of(7),
            healthy_run: run,
            ..Settings::default()
        };
        assert_eq!(set, expected);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let second = Duration::from_secs(1);
        let rate = |max_bad_ratio| Probing::Rate {
            probes: of(3),
            max_bad_ratio,
        };
        let limit =
            |after, then| Settings::default().half_open_limit(HalfOpenLimit::new(after, then));
        let refused = [
            (
                Settings::default().probe_deadline(Duration::ZERO),
                "probe_deadline",
            ),
            (
                Settings::default().probe_deadline(second * 86_401),
                "probe_deadline",
            ),
            (
                Settings::default().max_probes(of(MAX_PROBES + 1)),
                "max_probes",
            ),
            (
                Settings::default().shortest_asked(Duration::ZERO),
                "shortest_asked",
            ),
            (
                Settings::default().probing(rate(1.0)),
                "probing.max_bad_ratio",
            ),
            (
                Settings::default().probing(rate(f64::NAN)),
                "probing.max_bad_ratio",
            ),
            (limit(Duration::ZERO, State::Open), "half_open_limit.after"),
            (limit(second, State::Ramping), "half_open_limit.then"),
            (Settings::default().ramp(Ramp::new([])), "ramp.steps"),
            (
                Settings::default().healthy_run(HealthyRun::new(Duration::ZERO, 1)),
                "healthy_run.lasts",
            ),
            (
                Settings::default().healthy_run(HealthyRun::new(second, 0)),
                "healthy_run.successes",
            ),
            (
                Settings::default().open_for(Backoff::constant(Duration::ZERO)),
                "open_for.base",
            ),
        ];
        for (settings, field) in refused {
            assert_eq!(settings.validate().unwrap_err().field(), field);
        }
        assert_eq!(limit(second, State::Closed).validate(), Ok(()));
        assert_eq!(limit(second, State::Open).validate(), Ok(()));
        let most = Settings::default()
            .probe_deadline(second * 86_400)
            .max_probes(of(MAX_PROBES))
            .shortest_asked(SHORTEST);
        assert_eq!(most.validate(), Ok(()));
        assert_eq!(Settings::default().validate(), Ok(()));
    }
}
