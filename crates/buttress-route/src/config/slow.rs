//! When an endpoint bears less for being slow.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::config::{ConfigError, require, require_share};

/// The share of late answers at which an endpoint bears less, or is ejected where clients wait for it in vain, if the policy leaves whoever is slow its share: all but
/// [`Policy::ExpectedCost`](crate::Policy::ExpectedCost) and [`Policy::PeakEwma`](crate::Policy::PeakEwma), which shun it at once.
///
/// An answer is late that takes many times as long as an endpoint in the middle of the pool does in the mean, from the pick to the
/// head; and a client who has waited as long in vain counts as one. Those of an endpoint are held against the peers'
/// own: where all are slow, or now and then, nobody is. It is heeded on the first level (the first priority, and of it the
/// nearest) alone: farther ones are later for that.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlowRate {
    /// Late is what takes so many times the median, and a millisecond more. More than 1; default 4.
    pub times: f64,
    /// The share of its late answers is surely more than that of the median of its peers by this. From 0 to 1; at 1 the
    /// rule is off. Default 0.5.
    pub above_peers: f64,
    /// The stretch of time that is looked at. More than 0; default 5 s.
    pub window: Duration,
    /// The rule waits for as many answers in the window. Default 20.
    pub min_calls: NonZeroU32,
}

impl SlowRate {
    /// At so much more late answers than peers have, over `window`, given `min_calls`.
    pub const fn new(above_peers: f64, window: Duration, min_calls: NonZeroU32) -> Self {
        Self {
            times: 4.0,
            above_peers,
            window,
            min_calls,
        }
    }

    /// Late is what takes so many times the median.
    #[must_use]
    pub const fn times(mut self, times: f64) -> Self {
        self.times = times;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let times = self.times;
        require(
            times > 1.0 && times.is_finite(),
            "rules.slow_rate.times",
            || format!("{times} times what is usual is not late; use more than 1, such as 4"),
        )?;
        require_share("rules.slow_rate.above_peers", self.above_peers)?;
        require(
            !self.window.is_zero(),
            "rules.slow_rate.window",
            || "a window of 0 holds no answer; use some seconds",
        )
    }
}

impl Default for SlowRate {
    fn default() -> Self {
        const MIN_CALLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
        Self::new(0.5, Duration::from_secs(5), MIN_CALLS)
    }
}
