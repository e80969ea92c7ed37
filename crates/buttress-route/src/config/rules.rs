//! When an endpoint is ejected.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::config::{ConfigError, require, require_share};

use super::{SlowRate, Weights};

/// When an endpoint is ejected. A rule that is `None` never fires.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// After this many failures with no success in between. Default 5.
    pub consecutive_failures: Option<NonZeroU32>,
    /// At this rate of failures. Default: half of at least 20 calls in 10 s.
    pub failure_rate: Option<FailureRate>,
    /// At this share of late answers. Default: where it is surely half or more above that of its peers, of at least 20 answers in
    /// 5 s. Not heeded where the policy shuns whoever is slow.
    pub slow_rate: Option<SlowRate>,
    /// How many failures in a row one of each kind counts for. Default 1 of each.
    pub weights: Weights,
}

/// The rate of failures over a window of time at which an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailureRate {
    /// The rate, above 0 and at most 1. Default 0.5.
    pub threshold: f64,
    /// The stretch of time that is looked at. More than 0; default 10 s.
    pub window: Duration,
    /// The rule waits for as many calls in the window. Default 20.
    pub min_calls: NonZeroU32,
    /// An endpoint that fails surely by this share more than the median of its peers is ejected as
    /// well, at whatever rate, after 5 failures at the earliest; and none that is not, at the threshold. From 0 to 1; at 1 the
    /// rule is off. Default 0.03.
    pub above_peers: f64,
}

impl FailureRate {
    /// At `threshold` failures per call, over `window`, given `min_calls`.
    pub const fn new(threshold: f64, window: Duration, min_calls: NonZeroU32) -> Self {
        Self {
            threshold,
            window,
            min_calls,
            above_peers: 0.03,
        }
    }

    /// By how much more than its peers an endpoint may fail.
    #[must_use]
    pub const fn above_peers(mut self, share: f64) -> Self {
        self.above_peers = share;
        self
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let rate = self.threshold;
        require(
            rate > 0.0 && rate <= 1.0,
            "rules.failure_rate.threshold",
            || format!("{rate} is no rate; use more than 0 and at most 1"),
        )?;
        require_share("rules.failure_rate.above_peers", self.above_peers)?;
        require(
            !self.window.is_zero(),
            "rules.failure_rate.window",
            || "a window of 0 holds no call; use some seconds",
        )
    }
}

impl Default for FailureRate {
    fn default() -> Self {
        const MIN_CALLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
        Self::new(0.5, Duration::from_secs(10), MIN_CALLS)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(NonZeroU32::MIN.saturating_add(4)),
            failure_rate: Some(FailureRate::default()),
            slow_rate: Some(SlowRate::default()),
            weights: Weights::default(),
        }
    }
}

impl Rules {
    /// No rule: an endpoint is ejected by hand or by a health signal alone.
    pub const fn none() -> Self {
        Self {
            consecutive_failures: None,
            failure_rate: None,
            slow_rate: None,
            weights: Weights::all(1),
        }
    }

    /// Ejects after `failures` with no success in between.
    #[must_use]
    pub const fn consecutive_failures(mut self, failures: NonZeroU32) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Ejects at this rate of failures.
    #[must_use]
    pub const fn failure_rate(mut self, rate: FailureRate) -> Self {
        self.failure_rate = Some(rate);
        self
    }

    /// Ejects at this share of late answers.
    #[must_use]
    pub const fn slow_rate(mut self, rate: SlowRate) -> Self {
        self.slow_rate = Some(rate);
        self
    }

    /// How many failures in a row one of each kind counts for.
    #[must_use]
    pub const fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.weights.validate()?;
        (self.failure_rate.as_ref()).map_or(Ok(()), FailureRate::validate)?;
        (self.slow_rate.as_ref()).map_or(Ok(()), SlowRate::validate)
    }
}
