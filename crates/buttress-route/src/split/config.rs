//! What a split is set to.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require, require_name, require_share};
use buttress_core::rng::Rng;

use crate::affinity::Affinity;

/// What a split is set to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The split's name, in metrics and events; not empty. Fixed when the layer is made. Default `default`.
    pub name: Arc<str>,
    /// The canary's share of the requests in each step: more than 0, at most 1, rising. Default 0.05, 0.25, 0.5, 1.
    pub steps: Vec<f64>,
    /// A step lasts at least as long; 0 is as long as `min_calls` take. Default 10 min.
    pub hold: Duration,
    /// And until so many of its calls to the canary have ended. Default 100.
    pub min_calls: u64,
    /// By how many standard errors the canary has to fail more than the stable to be rolled back. 2 to 100;
    /// default 4.5.
    pub significance: f64,
    /// And by what share of its calls, 0 to 1. Default 0.01.
    pub above: f64,
    /// And how often at least. 1 or more; default 5.
    pub min_failures: u64,
    /// A client that waits at least as long for the head of its answer, which comes or not before it leaves, has waited for
    /// long. Whose clients do so significantly more often is rolled back as if it failed more often. Default 1 s.
    pub late_after: Duration,
    /// Both are held against each other over this time, or the last half of it. 1 s or more; default 5 min.
    pub window: Duration,
    /// What ties a request to one of the two. Default: nothing, and chance decides.
    pub affinity: Option<Affinity>,
    /// Tells the time. Fixed when the layer is made.
    pub clock: Clock,
    /// Decides where nothing ties. Fixed when the layer is made.
    pub rng: Rng,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: Arc::from("default"),
            steps: vec![0.05, 0.25, 0.5, 1.0],
            hold: Duration::from_secs(600),
            min_calls: 100,
            significance: 4.5,
            above: 0.01,
            min_failures: 5,
            late_after: Duration::from_secs(1),
            window: Duration::from_secs(300),
            affinity: None,
            clock: Clock::default(),
            rng: Rng::default(),
        }
    }
}

impl Config {
    /// The defaults, for a split of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The canary's share in each step.
    #[must_use]
    pub fn steps(mut self, shares: impl IntoIterator<Item = f64>) -> Self {
        self.steps = shares.into_iter().collect();
        self
    }

    /// How long a step lasts at least.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// How many calls to the canary a step takes at least.
    #[must_use]
    pub fn min_calls(mut self, calls: u64) -> Self {
        self.min_calls = calls;
        self
    }

    /// By how many standard errors the canary has to fail more.
    #[must_use]
    pub fn significance(mut self, errors: f64) -> Self {
        self.significance = errors;
        self
    }

    /// By what share of its calls the canary has to fail more.
    #[must_use]
    pub fn above(mut self, share: f64) -> Self {
        self.above = share;
        self
    }

    /// How often the canary has to fail at least.
    #[must_use]
    pub fn min_failures(mut self, failures: u64) -> Self {
        self.min_failures = failures;
        self
    }

    /// How long a client waits at least that has waited for long.
    #[must_use]
    pub fn late_after(mut self, wait: Duration) -> Self {
        self.late_after = wait;
        self
    }

    /// The time over which both are held against each other.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// What ties a request to one of the two.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = Some(affinity);
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Decides where nothing ties.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require_name("name", &self.name, "a split")?;
        let steps = &self.steps;
        let shares = steps.iter().all(|share| *share > 0.0 && *share <= 1.0);
        require(shares && !steps.is_empty(), "steps", || {
            format!("{steps:?} are no shares; use some above 0 and up to 1")
        })?;
        let rise = steps.is_sorted_by(|one, next| one < next);
        require(rise, "steps", || {
            format!("{steps:?} do not rise; let each be more than the last")
        })?;
        let errors = self.significance;
        require((2.0..=100.0).contains(&errors), "significance", || {
            format!("{errors} is within chance, or never; use 2 to 100")
        })?;
        require_share("above", self.above)?;
        require(
            self.min_failures > 0,
            "min_failures",
            || "0 failures are none; use 1 or more",
        )?;
        require(self.window >= Duration::from_secs(1), "window", || {
            format!("{:?} holds too few calls; use 1s or more", self.window)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_configuration_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let refused = [
            (Config::new(""), "name"),
            (Config::default().steps([]), "steps"),
            (Config::default().steps([0.0, 0.5]), "steps"),
            (Config::default().steps([0.5, 1.1]), "steps"),
            (Config::default().steps([0.5, 0.5]), "steps"),
            (Config::default().steps([f64::NAN]), "steps"),
            (Config::default().significance(1.0), "significance"),
            (Config::default().above(-0.1), "above"),
            (Config::default().min_failures(0), "min_failures"),
            (Config::default().window(Duration::ZERO), "window"),
        ];
        for (config, field) in refused {
            assert_eq!(config.validate().unwrap_err().field(), field);
        }
    }
}
