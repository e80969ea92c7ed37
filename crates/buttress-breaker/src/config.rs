//! What a breaker is set to, and what it refuses to be set to.

use std::time::Duration;

use buttress_core::circuit::{Settings, State};
use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require};
use buttress_core::rng::Rng;
use buttress_core::spawn::Spawn;

use crate::prober::ProbeFn;

use crate::rules::{self, Rule, Window};

/// What a [`crate::Breaker`] is set to.
///
/// ```
/// use buttress_breaker::{Config, Rule, Window};
/// use std::time::Duration;
///
/// let config = Config::default()
///     .rules([
///         Rule::ConsecutiveFailures(5),
///         Rule::FailureRate { ratio: 0.5, min_calls: 20, window: Window::Calls(100) },
///     ])
///     .slow_after(Duration::from_secs(2));
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What opens the circuit; the first rule to fire does, and its verdict names it. At least one.
    ///
    /// Default: half of at least 20 calls in 10 s failed, or 10 calls failed in a row. The rate
    /// needs its minimum, for few calls prove little; the row catches the dependency that is down
    /// and sees too few calls for a rate. One that fails every tenth call fails ten in a row once in
    /// ten thousand million calls.
    pub rules: Vec<Rule>,
    /// A success that takes longer than this counts as `Slow`. Over HTTP it is the time to the head
    /// of the response: how long the body takes is also the client's doing. Default: the shortest
    /// [`Rule::slower_than`] of the rules; none of them asks, and no clock is read for it.
    pub slow_after: Option<Duration>,
    /// How long the circuit stays open, how it probes, and how it lets traffic back.
    pub circuit: Settings,
    /// The state that a breaker is made in: closed, open, or one that is set by hand. It stays as it
    /// is when the breaker is reconfigured. Default: closed.
    pub start: State,
    /// How long an admitted call may wait for the service behind to become ready, where that was not
    /// waited for before (it was open then). Default 5 s.
    pub ready_deadline: Duration,
    /// Whether each response of a guarded HTTP service says in its extensions what the breaker did with
    /// its request: [`buttress_core::decision::Guarded`]. That costs an allocation, and a rejection
    /// takes the breaker's lock to say why. It is taken when the breaker is made, and stays when it is
    /// reconfigured. Default `false`.
    pub explained: bool,
    /// What probes in the place of user calls, and where it runs. It is taken when the breaker is made,
    /// and stays when it is reconfigured. Default: none; user calls probe.
    pub probe: Option<(ProbeFn, Spawn)>,
    /// The clock. It is taken when the breaker is made, and stays when it is reconfigured.
    pub clock: Clock,
    /// The randomness of the open time's jitter. Stays as the clock does.
    pub rng: Rng,
}

impl Default for Config {
    fn default() -> Self {
        let rate = Rule::FailureRate {
            ratio: 0.5,
            min_calls: 20,
            window: Window::Time(Duration::from_secs(10)),
        };
        Self {
            rules: vec![rate, Rule::ConsecutiveFailures(10)],
            slow_after: None,
            circuit: Settings::default(),
            start: State::Closed,
            ready_deadline: Duration::from_secs(5),
            explained: false,
            probe: None,
            clock: Clock::default(),
            rng: Rng::default(),
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// These rules, in the place of those set before.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules = rules.into_iter().collect();
        self
    }

    /// A success that takes longer than this counts as `Slow`.
    #[must_use]
    pub const fn slow_after(mut self, threshold: Duration) -> Self {
        self.slow_after = Some(threshold);
        self
    }

    /// How long the circuit stays open, how it probes, and how it lets traffic back.
    #[must_use]
    pub fn circuit(mut self, circuit: Settings) -> Self {
        self.circuit = circuit;
        self
    }

    /// The state that a breaker is made in.
    #[must_use]
    pub const fn start(mut self, state: State) -> Self {
        self.start = state;
        self
    }

    /// How long an admitted call may wait for the service behind to become ready.
    #[must_use]
    pub const fn ready_deadline(mut self, deadline: Duration) -> Self {
        self.ready_deadline = deadline;
        self
    }

    /// Says in each response's extensions what was done with its request.
    #[must_use]
    pub const fn explained(mut self, explained: bool) -> Self {
        self.explained = explained;
        self
    }

    /// Probes by `probe`, on `spawn`, instead of by user calls.
    #[must_use]
    pub fn probe(mut self, probe: ProbeFn, spawn: Spawn) -> Self {
        self.probe = Some((probe, spawn));
        self
    }

    /// The clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The randomness of the open time's jitter.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// The threshold of the outcome `Slow`.
    pub(crate) fn slow_threshold(&self) -> Option<Duration> {
        let shortest = || rules::thresholds(&self.rules).first().copied();
        self.slow_after.or_else(shortest)
    }

    /// Refuses what makes no sense, naming the fields and what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require(!self.ready_deadline.is_zero(), "ready_deadline", || {
            "0 would refuse every probe whose service is not ready at once; use at least the time a \
             permit or a connection takes"
        })?;
        let slow = self.slow_after.is_none_or(|threshold| !threshold.is_zero());
        require(
            slow,
            "slow_after",
            || "0 would make every call slow; use a duration, or none",
        )?;
        let begins = !matches!(self.start, State::HalfOpen | State::Ramping);
        require(begins, "start", || {
            format!(
                "{} only follows being open; use closed, open, forced_open, forced_closed or observing",
                self.start
            )
        })?;
        if let Some((probe, _)) = &self.probe {
            probe.validate()?;
        }
        rules::validate(&self.rules)?;
        self.circuit.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(ratio: f64, min_calls: u32, window: Window) -> Config {
        let rule = Rule::FailureRate {
            ratio,
            min_calls,
            window,
        };
        Config::new().rules([rule])
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_rule_that_never_looks_at_slowness_may_look_at_less_time_than_a_call_is_slow_after() {
        let second = Duration::from_secs(1);
        let config = rate(0.5, 1, Window::Time(second)).slow_after(second * 2);
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_names_of_its_fields() {
        let ten = Window::Calls(10);
        let cases = [
            (Config::new().rules([]), "rules"),
            (
                Config::new().rules([Rule::ConsecutiveFailures(0)]),
                "rules.consecutive_failures",
            ),
            (rate(0.0, 5, ten), "rules.failure_rate.ratio"),
            (rate(1.01, 5, ten), "rules.failure_rate.ratio"),
            (rate(f64::NAN, 5, ten), "rules.failure_rate.ratio"),
            (rate(0.5, 0, ten), "rules.failure_rate.min_calls"),
            (
                rate(0.5, 11, ten),
                "rules.failure_rate.min_calls and window",
            ),
            (rate(0.5, 1, Window::Calls(0)), "rules.failure_rate.window"),
            (
                rate(0.5, 1, Window::Calls(u32::MAX)),
                "rules.failure_rate.window",
            ),
            (
                rate(0.5, 1, Window::Time(Duration::ZERO)),
                "rules.failure_rate.window",
            ),
            (Config::new().slow_after(Duration::ZERO), "slow_after"),
            (Config::new().start(State::HalfOpen), "start"),
            (Config::new().start(State::Ramping), "start"),
            (
                Config::new().ready_deadline(Duration::ZERO),
                "ready_deadline",
            ),
            (
                Config::new().circuit(Settings::default().probe_deadline(Duration::ZERO)),
                "probe_deadline",
            ),
        ];
        for (config, field) in cases {
            assert_eq!(config.validate().unwrap_err().field(), field);
        }
    }
}
