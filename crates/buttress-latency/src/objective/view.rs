//! What is shown of an objective.

use std::fmt;
use std::time::Duration;

use super::ring::Tally;
use crate::trend::{Passing, Slices, Trend};

/// What an objective asks of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Goal {
    /// That it takes at most this long.
    Latency(Duration),
    /// That it is answered and is no failure.
    Availability,
}

/// One goal of one route, as of one moment.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ObjectiveSnapshot {
    /// The route.
    pub route: Box<str>,
    /// What is asked.
    pub goal: Goal,
    /// Of what share of its exchanges.
    pub target: f64,
    /// Over the period, or since the process began.
    pub budget: BurnWindow,
    /// The four standard pairs of windows: 5 min and 1 h, 30 min and 6 h, 2 h and 1 d, 6 h and 3 d.
    pub burns: [Burn; 4],
    /// How many exchanges have kept the goal, ever.
    pub good: u64,
    /// How many have missed it, ever.
    pub bad: u64,
    /// Of a latency: how the quantile that is to keep the threshold moves, over the exchanges that the
    /// objective is about.
    pub trend: Option<Trend>,
    /// When that quantile will pass the threshold, if it goes on like this and the evidence bears
    /// saying so: see [`Trend::passes`].
    pub passing: Option<Passing>,
}

/// A pair of windows. Both burn: it goes on, and it is no blip.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Burn {
    /// Says whether it still goes on.
    pub short: BurnWindow,
    /// Says whether it matters.
    pub long: BurnWindow,
    /// The rate from which on the long window takes more of the budget than it may: 2 % in 1 h, 5 % in
    /// 6 h, 10 % in a day or in three; of a period of 30 days 14.4, 6, 3 and 1.
    pub factor: f64,
}

/// How one window went, with what that rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BurnWindow {
    /// How long it is.
    pub length: Duration,
    /// How much of the past is in it: less by up to one slice, or since the process began.
    pub covered: Duration,
    /// Exchanges that kept the goal.
    pub good: u64,
    /// Exchanges that missed it.
    pub bad: u64,
    /// The share that missed it as a multiple of the share that may: at 1 the budget lasts just the
    /// period. None where there was no exchange.
    pub rate: Option<f64>,
}

impl ObjectiveSnapshot {
    /// The share of the error budget that is left: 1 is all of it, 0 none, less than that overdrawn.
    /// It is measured against the exchanges that there were. None where there was none.
    pub fn budget_left(&self) -> Option<f64> {
        Some(1.0 - self.budget.rate?)
    }

    /// The same with where it is heading by `slices`.
    pub(crate) fn heading(mut self, slices: &Slices) -> Self {
        if let Goal::Latency(within) = self.goal {
            self.trend = slices.trend_to(&self.route, self.target, within);
            self.passing = self.trend.as_ref().and_then(|trend| trend.passes(within));
        }
        self
    }
}

impl Burn {
    /// Whether both windows burn at the factor or faster.
    pub fn is_burning(&self) -> bool {
        let burns = |window: &BurnWindow| window.rate.is_some_and(|rate| rate >= self.factor);
        burns(&self.short) && burns(&self.long)
    }
}

impl BurnWindow {
    pub(super) fn new(length: Duration, covered: Duration, tally: Tally, budget: f64) -> Self {
        let all = tally.good.saturating_add(tally.bad);
        Self {
            length,
            covered,
            good: tally.good,
            bad: tally.bad,
            rate: (all > 0).then(|| tally.bad as f64 / all as f64 / budget),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(within) => write!(f, "latency {within:?}"),
            Self::Availability => f.write_str("availability"),
        }
    }
}
