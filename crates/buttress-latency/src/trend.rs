//! Is it getting worse? A slope that outliers do not bend, and how sure it is.

use std::sync::Arc;
use std::time::Duration;

/// Points that a slope takes at least.
const FEWEST: usize = 8;
/// The standard normal deviate of a confidence of 95 %.
const Z: f64 = 1.96;

/// How a quantile has moved over the slices of the longest window, a quarter of a minute each by
/// default.
///
/// The slope is that of Theil and Sen, the median of the slopes between all pairs of points, so that
/// up to a quarter of them may be anything; its interval is Sen's, from the distribution of Kendall's
/// rank correlation. Slices that bear no quantile give no point.
///
/// This says what was, and carries it on by a straight line no further than it has been seen. What
/// foresees more takes [`Trend::points`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Trend {
    /// The quantile that was followed.
    pub q: f64,
    /// What it was in each slice, oldest first.
    pub points: Vec<TrendPoint>,
    /// How it moves; none with fewer than eight points.
    pub slope: Option<Slope>,
}

/// A quantile in one slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TrendPoint {
    /// When the slice ended, on the recorder's clock.
    pub at: Duration,
    /// The quantile.
    pub value: Duration,
    /// How many durations it rests on.
    pub count: u64,
}

/// How fast something grows, in seconds per second.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Slope {
    /// The median of all slopes.
    pub median: f64,
    /// With a confidence of 95 % it is no less, were the points independent.
    pub low: f64,
    /// With a confidence of 95 % it is no more.
    pub high: f64,
}

/// When a quantile will pass a bound if it goes on like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Passing {
    /// After this long, counted from the last point.
    pub likely: Duration,
    /// At the fastest growth that the points bear.
    pub earliest: Duration,
    /// At the slowest.
    pub latest: Duration,
}

/// The trend of one route.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RouteTrend {
    /// The route.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::view::text"))]
    pub route: Arc<str>,
    /// Its trend.
    pub trend: Trend,
}

impl Trend {
    /// The trend of `q` over `points`, oldest first.
    pub(crate) fn of(q: f64, points: Vec<TrendPoint>) -> Self {
        let slope = slope(&points);
        Self { q, points, slope }
    }

    /// Whether it is getting slower, beyond what chance explains.
    pub fn is_rising(&self) -> bool {
        self.slope.is_some_and(|slope| slope.low > 0.0)
    }

    /// Whether it is getting faster, beyond what chance explains.
    pub fn is_falling(&self) -> bool {
        self.slope.is_some_and(|slope| slope.high < 0.0)
    }

    /// When it will pass `bound`. Only where it [rises](Self::is_rising), has not passed it yet, and
    /// will have likely done so no later than it has been followed for: no line is carried on
    /// further than it was seen.
    pub fn passes(&self, bound: Duration) -> Option<Passing> {
        let slope = self.slope.filter(|slope| slope.low > 0.0)?;
        let (first, last) = (self.points.first()?, self.points.last()?);
        let missing = bound.as_secs_f64() - self.level(slope, last.at)?;
        let seen = last.at.saturating_sub(first.at).as_secs_f64();
        if missing <= 0.0 || missing / slope.median > seen {
            return None;
        }
        let after = |slope: f64| Duration::try_from_secs_f64(missing / slope).ok();
        Some(Passing {
            likely: after(slope.median)?,
            earliest: after(slope.high)?,
            latest: after(slope.low)?,
        })
    }

    /// Where the line is at `at`, in seconds: through the median of what the points leave over.
    fn level(&self, slope: Slope, at: Duration) -> Option<f64> {
        let left =
            |point: &TrendPoint| point.value.as_secs_f64() + slope.median * apart(point.at, at);
        median(self.points.iter().map(left).collect())
    }
}

/// Seconds from `from` to `to`.
fn apart(from: Duration, to: Duration) -> f64 {
    to.as_secs_f64() - from.as_secs_f64()
}

fn slope(points: &[TrendPoint]) -> Option<Slope> {
    if points.len() < FEWEST {
        return None;
    }
    let slopes = sorted(pairwise(points));
    let (n, pairs) = (points.len() as f64, slopes.len() as f64);
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let low = rank(&slopes, ((pairs - spread) / 2.0).floor() - 1.0)?;
    let high = rank(&slopes, f64::midpoint(pairs, spread).ceil())?;
    let median = median(slopes)?;
    Some(Slope { median, low, high })
}

/// The slopes between all pairs, of points that are not of the same moment.
fn pairwise(points: &[TrendPoint]) -> Vec<f64> {
    let later = |nth: usize| points.iter().skip(nth + 1);
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(nth, a)| later(nth).map(move |b| (a, b)));
    pairs
        .filter(|(a, b)| b.at > a.at)
        .map(|(a, b)| apart(a.value, b.value) / apart(a.at, b.at))
        .collect()
}

/// The one at `rank`, counted from 0; the outermost beyond them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to zero, and at most the number of pairs"
)]
fn rank(sorted: &[f64], rank: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((rank.max(0.0) as usize).min(last)).copied()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn median(values: Vec<f64>) -> Option<f64> {
    let values = sorted(values);
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *values.get(values.len() / 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::rng::Rng;

    /// Twenty points, a quarter of a minute apart.
    fn trend(millis: impl Fn(u32) -> f64) -> Trend {
        let point = |n: u32| TrendPoint {
            at: Duration::from_secs(15) * n,
            value: Duration::from_secs_f64(millis(n) / 1e3),
            count: 1_000,
        };
        Trend::of(0.99, (0..20).map(point).collect())
    }

    /// Of a mean of 1.
    fn noise(rng: &Rng) -> f64 {
        0.5 + (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn a_line_is_found_whatever_a_fifth_of_its_points_are() {
        let clean = trend(|n| 100.0 + 2.0 * f64::from(n));
        let spoilt = trend(|n| match n % 5 {
            3 => 9_000.0,
            _ => 100.0 + 2.0 * f64::from(n),
        });
        for trend in [&clean, &spoilt] {
            let slope = trend.slope.unwrap();
            let expected = 0.002 / 15.0;
            assert!((slope.median / expected - 1.0).abs() < 0.01, "{slope:?}");
        }
        assert!(clean.is_rising() && !clean.is_falling());
        assert!(trend(|n| 200.0 - 2.0 * f64::from(n)).is_falling());
    }

    #[test]
    fn what_does_not_move_is_no_trend() {
        let steady = trend(|_| 100.0);
        assert!(!steady.is_rising() && !steady.is_falling());
        assert_eq!(steady.passes(Duration::from_millis(101)), None);
    }

    #[test]
    fn chance_is_taken_for_a_trend_as_rarely_as_is_promised() {
        let taken = (0..400)
            .filter(|seed| {
                let rng = Rng::seeded(*seed);
                let trend = trend(|_| 100.0 * noise(&rng));
                trend.is_rising() || trend.is_falling()
            })
            .count();
        assert!(taken <= 400 * 6 / 100, "{taken} of 400");
    }

    #[test]
    fn a_bound_is_said_to_be_passed_when_it_is_and_only_within_sight() {
        // 100 ms and 8 ms a minute more, for four minutes and three quarters.
        let trend = trend(|n| 100.0 + 2.0 * f64::from(n));
        let passing = trend.passes(Duration::from_millis(154)).unwrap();
        assert!(passing.likely.abs_diff(Duration::from_secs(120)) < Duration::from_secs(1));
        assert!(passing.earliest <= passing.likely && passing.likely <= passing.latest);
        assert_eq!(
            trend.passes(Duration::from_millis(120)),
            None,
            "passed already"
        );
        assert_eq!(
            trend.passes(Duration::from_millis(200)),
            None,
            "out of sight"
        );
    }

    #[test]
    fn too_few_points_bear_no_slope() {
        let mut points = trend(|n| f64::from(n + 1)).points;
        points.truncate(FEWEST - 1);
        let trend = Trend::of(0.99, points);
        assert_eq!(trend.slope, None);
        assert!(!trend.is_rising());
        assert_eq!(trend.passes(Duration::from_secs(1)), None);
    }
}
