//! The rules a user chooses from.

use std::time::Duration;

use super::custom::{CustomRule, TripRule};

/// What opens a circuit. A [`Rule`] is judged when a call ends, and where it asks how long calls
/// take also when one has been in flight for too long.
///
/// `Success` and `Slow` count as good calls, `Failure` as a bad one; `Ignored` and `Abandoned` do
/// not count, but for an abandoned call that had waited beyond `slower_than` of a rule that asks.
/// Shares are compared by "at least".
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// This many calls in a row failed. At least 1.
    ConsecutiveFailures(u32),
    /// Of the calls in a window, this share or more failed.
    FailureRate {
        /// The share: above 0, at most 1.
        ratio: f64,
        /// With fewer calls in the window nothing is concluded. At least 1, at most the window.
        min_calls: u32,
        /// Which calls are looked at.
        window: Window,
    },
    /// Of the calls in a window, this share or more took too long, however they ended.
    SlowRate {
        /// What takes longer is slow. Above 0.
        slower_than: Duration,
        /// The share: above 0, at most 1.
        ratio: f64,
        /// With fewer calls in the window nothing is concluded. At least 1, at most the window.
        min_calls: u32,
        /// Which calls are looked at.
        window: Window,
    },
    /// Of the calls in a window, this share or more failed or took too long; one that did both
    /// counts once.
    FailureOrSlowRate {
        /// What takes longer is slow. Above 0.
        slower_than: Duration,
        /// The share: above 0, at most 1.
        ratio: f64,
        /// With fewer calls in the window nothing is concluded. At least 1, at most the window.
        min_calls: u32,
        /// Which calls are looked at.
        window: Window,
    },
    /// Of the calls in a window, this many passed their deadline
    /// ([`FailureKind::Deadline`](buttress_core::outcome::FailureKind::Deadline)). Other failures
    /// count as good calls do: they fill the window.
    ///
    /// A count and no share: with so many calls that a healthy dependency times out `n` times in the
    /// window it opens for nothing. For few calls, each dear.
    Timeouts {
        /// How many. At least 1, at most the window.
        n: u32,
        /// Which calls are looked at.
        window: Window,
    },
    /// The failure rate is certainly above a multiple of what is usual for this dependency.
    ///
    /// It fires when the lower end of Wilson's score interval of the window's failure rate, at three
    /// standard deviations, is above `factor` × the learned rate, held between `floor` and
    /// `ceiling`. The usual rate is learned from the calls that have left the window, weighed less
    /// the older they are, and only while the circuit is closed and the window is not certainly above
    /// the threshold, be the calls in it ever so few.
    ///
    /// A rate is known once it rests on 9 (1 − `floor`) / `floor` calls, at least `min_calls`: 81 where
    /// the floor is 10 %, 171 where it is 5 %. Until then, and where fewer come in a `baseline`, the
    /// ceiling holds, and whatever is below that is learned: a dependency may have any usual rate up to
    /// there.
    ///
    /// While nothing is learned the known rate stays what it is and its weight fades. So an outage does
    /// not become usual, but what stays bad for good does: after `baseline` × ln(calls learned / calls to
    /// know) the rate is unknown and is learned anew. At 100 calls a second and the defaults that takes
    /// `baseline` × 6.6, or about an hour; until then it opens the circuit now and then.
    ///
    /// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    /// Journal of the American Statistical Association 22 (1927).
    Adaptive {
        /// How many times the usual rate is too much. At least 1.
        factor: f64,
        /// The threshold is never lower. Above 0.
        floor: f64,
        /// The threshold is never higher. From `floor`, below 1.
        ceiling: f64,
        /// With fewer calls in the window nothing is concluded. At least 1.
        min_calls: u32,
        /// The stretch of time that is judged. At least 1 ms.
        window: Duration,
        /// How long it takes until what was learned weighs a third. At least `window`.
        baseline: Duration,
    },
    /// A rule of the user's own: see [`Rule::custom`].
    Custom(CustomRule),
}

/// Which calls a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// The last calls, exactly: the oldest leaves when a new one comes. From 1 to 1,048,576.
    Calls(u32),
    /// The calls of the last stretch of time, in sixteen buckets. At least 1 ms.
    Time(Duration),
}

impl Rule {
    /// [`Rule::Adaptive`] with its defaults: three times the usual rate, at least 10 % and at most
    /// 50 % of at least 20 calls in 10 s, the usual learned over ten minutes.
    pub const fn adaptive() -> Self {
        Self::Adaptive {
            factor: 3.0,
            floor: 0.1,
            ceiling: 0.5,
            min_calls: 20,
            window: Duration::from_secs(10),
            baseline: Duration::from_secs(600),
        }
    }

    /// A rule of the user's own. It judges a copy of its evidence outside every lock, so it may take
    /// its time and may panic; what it decides is done only if the circuit has not changed since.
    pub fn custom(rule: impl TripRule) -> Self {
        Self::Custom(CustomRule::new(rule))
    }

    /// The name in verdicts, metrics and log lines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ConsecutiveFailures(_) => "consecutive_failures",
            Self::FailureRate { .. } => "failure_rate",
            Self::SlowRate { .. } => "slow_rate",
            Self::FailureOrSlowRate { .. } => "failure_or_slow_rate",
            Self::Timeouts { .. } => "timeouts",
            Self::Adaptive { .. } => "adaptive",
            Self::Custom(rule) => rule.name(),
        }
    }

    /// What takes longer is slow to this rule, if it asks at all.
    pub fn slower_than(&self) -> Option<Duration> {
        match self {
            Self::SlowRate { slower_than, .. } | Self::FailureOrSlowRate { slower_than, .. } => {
                Some(*slower_than)
            }
            Self::Custom(rule) => rule.slower_than(),
            _ => None,
        }
    }

    /// The window this rule looks at, if it looks at one.
    pub fn window(&self) -> Option<Window> {
        match self {
            Self::ConsecutiveFailures(_) => None,
            Self::FailureRate { window, .. }
            | Self::SlowRate { window, .. }
            | Self::FailureOrSlowRate { window, .. }
            | Self::Timeouts { window, .. } => Some(*window),
            Self::Adaptive { window, .. } => Some(Window::Time(*window)),
            Self::Custom(rule) => Some(rule.window()),
        }
    }

    /// With fewer calls than this nothing is concluded.
    pub(super) const fn min_calls(&self) -> u32 {
        match self {
            Self::FailureRate { min_calls, .. }
            | Self::SlowRate { min_calls, .. }
            | Self::FailureOrSlowRate { min_calls, .. }
            | Self::Adaptive { min_calls, .. } => *min_calls,
            _ => 1,
        }
    }
}

impl Window {
    /// The stretch of time, where it is one.
    pub const fn as_time(self) -> Option<Duration> {
        match self {
            Self::Calls(_) => None,
            Self::Time(span) => Some(span),
        }
    }
}
