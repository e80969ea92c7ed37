//! A quantile with what it rests on.

use std::time::Duration;

use crate::bucket::{ABOVE, BELOW, Slot};
use crate::snapshot::Snapshot;

/// The quantiles that snapshots and metrics show.
pub const PERCENTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// A quantile, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Quantile {
    /// The share of durations that do not exceed it, from 0 to 1.
    pub q: f64,
    /// How many durations it rests on.
    pub count: u64,
    /// What is known of it.
    pub estimate: Estimate,
}

/// What is known of a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Estimate {
    /// It lies from `shortest` to `longest`, at most 0.542 % (and half a nanosecond) from `value`. An
    /// extreme that is known exactly is all three.
    Within {
        /// The value that is relatively nearest to both ends.
        value: Duration,
        /// The shortest it can be.
        shortest: Duration,
        /// The longest it can be.
        longest: Duration,
    },
    /// It is at most this, the resolution of the recorder.
    AtMost(Duration),
    /// It is longer than this, the range of the recorder.
    MoreThan(Duration),
    /// There are too few samples to know it: less than one is expected beyond it.
    Unknown {
        /// How many there would have to be.
        needed: u64,
    },
}

impl Estimate {
    /// The value, if it is known to within half a percent.
    pub const fn value(&self) -> Option<Duration> {
        match self {
            Self::Within { value, .. } => Some(*value),
            _ => None,
        }
    }

    pub(crate) const fn exactly(value: Duration) -> Self {
        Self::Within {
            value,
            shortest: value,
            longest: value,
        }
    }

    /// Of an extreme that is counted in `slot`, and is `nanos` if that is known.
    pub(crate) fn of_extreme(slot: Slot, nanos: Option<u64>) -> Self {
        let (first, last) = slot.range();
        match nanos {
            // A record that races is seen in its bucket before it is seen to be an extreme.
            Some(nanos) if (first..=last).contains(&nanos) => {
                Self::exactly(Duration::from_nanos(nanos))
            }
            _ => estimate(slot),
        }
    }
}

impl Quantile {
    /// The value, if it is known to within half a percent.
    pub const fn value(&self) -> Option<Duration> {
        self.estimate.value()
    }

    /// How far the value can be from the truth, as a share of the truth.
    pub fn error_bound(&self) -> Option<f64> {
        let Estimate::Within {
            value,
            shortest,
            longest,
        } = self.estimate
        else {
            return None;
        };
        if shortest == longest {
            return Some(0.0);
        }
        let error = |truth: Duration| value.abs_diff(truth).as_secs_f64() / truth.as_secs_f64();
        Some(error(shortest).max(error(longest)))
    }

    /// The value in seconds for a gauge: the recorder's resolution for what is below it, infinity
    /// for what is above its range, none where it is unknown.
    pub fn as_gauge(&self) -> Option<f64> {
        match self.estimate {
            Estimate::Within { value, .. } => Some(value.as_secs_f64()),
            Estimate::AtMost(bound) => Some(bound.as_secs_f64()),
            Estimate::MoreThan(_) => Some(f64::INFINITY),
            Estimate::Unknown { .. } => None,
        }
    }

    /// The nearest-rank quantile: the duration at rank `ceil(q * count)` in ascending order.
    pub(crate) fn of(snapshot: &Snapshot, q: f64) -> Self {
        let q = if q.is_nan() { 0.0 } else { q.clamp(0.0, 1.0) };
        let count = snapshot.count();
        let needed = samples_needed(q);
        let known = if count < needed {
            None
        } else if q <= 0.0 {
            snapshot.minimum()
        } else if q >= 1.0 {
            snapshot.maximum()
        } else {
            Some(estimate(slot_at(snapshot, rank(q, count))))
        };
        let estimate = known.unwrap_or(Estimate::Unknown { needed });
        Self { q, count, estimate }
    }
}

/// How many samples it takes until one is expected beyond `q`: ten for P90, a thousand for P99.9.
/// The extremes are known from the first sample on.
fn samples_needed(q: f64) -> u64 {
    let beyond = q.min(1.0 - q);
    if beyond <= 0.0 {
        return 1;
    }
    round_up((1.0 / beyond).min(1e18))
}

fn rank(q: f64, count: u64) -> u64 {
    round_up(q * count as f64).clamp(1, count)
}

/// Rounds up, but for what is a whole number in all but its last bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers pass what is neither negative nor beyond a count"
)]
fn round_up(x: f64) -> u64 {
    (x * (1.0 - 1e-12)).ceil() as u64
}

fn slot_at(snapshot: &Snapshot, rank: u64) -> Slot {
    let mut before = 0_u64;
    for (slot, count) in snapshot.slots() {
        before = before.saturating_add(*count);
        if before >= rank {
            return *slot;
        }
    }
    ABOVE
}

fn estimate(slot: Slot) -> Estimate {
    let (shortest, longest) = slot.range();
    match slot {
        BELOW => Estimate::AtMost(Duration::from_nanos(longest)),
        ABOVE => Estimate::MoreThan(Duration::from_nanos(shortest - 1)),
        _ => Estimate::Within {
            value: Duration::from_nanos(relative_middle(shortest, longest)),
            shortest: Duration::from_nanos(shortest),
            longest: Duration::from_nanos(longest),
        },
    }
}

/// The harmonic mean: relatively as far from `a` as from `b`.
fn relative_middle(a: u64, b: u64) -> u64 {
    let (a, b) = (u128::from(a), u128::from(b));
    let sum = (a + b).max(1);
    u64::try_from((2 * a * b + sum / 2) / sum).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_further_from_the_truth_than_the_scale_allows() {
        let (first, last) = (BELOW.0 + 1, ABOVE.0);
        for slot in (first..last).map(Slot) {
            let quantile = Quantile {
                q: 0.5,
                count: 2,
                estimate: estimate(slot),
            };
            let error = quantile.error_bound().unwrap();
            let rounding = 0.5 / quantile.value().unwrap().as_nanos() as f64;
            assert!(error <= 0.005_42 + rounding, "{slot:?}: {error}");
        }
    }

    #[test]
    fn as_many_samples_are_needed_as_leave_one_beyond() {
        let needed = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(samples_needed);
        assert_eq!(needed, [1, 2, 10, 20, 100, 1000, 1]);
    }

    #[test]
    fn the_rank_is_the_nearest_without_rounding_errors() {
        assert_eq!(rank(0.07, 100), 7);
        assert_eq!(rank(0.9, 10), 9);
        assert_eq!(rank(0.99, 1000), 990);
        assert_eq!(rank(0.0, 5), 1);
        assert_eq!(rank(1.0, 5), 5);
    }
}
