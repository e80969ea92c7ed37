//! Is it getting worse? A slope that outliers do not bend, and how sure it is.

mod metrics;
mod slices;
mod theil_sen;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use metrics::family;
pub(crate) use slices::{Slices, trend_of};

/// The quantile that snapshots and metrics follow.
pub(crate) const FOLLOWED: f64 = 0.99;
/// How sure it must be that something rises, before anything is foreseen of it.
const SURE: f64 = 0.999;

/// How a quantile has moved over the slices of the longest window, a quarter of a minute each by
/// default.
///
/// The slope is that of Theil and Sen, the median of the slopes between all pairs of points, so that
/// up to a quarter of them may be anything; its interval is Sen's, from the distribution of Kendall's
/// rank correlation, widened where neighbouring points are alike beyond what the line explains. So a
/// level that has jumped once is no trend. Slices that bear no quantile give no point.
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
    /// How it moves; none with fewer than eight points, or where they hang together so closely that
    /// nothing can be said.
    pub slope: Option<Slope>,
    /// When this was worked out, on the recorder's clock.
    pub at: Duration,
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
    /// The interval from here to `high` holds the slope with a confidence of 95 %.
    pub low: f64,
    /// The end of the interval.
    pub high: f64,
    /// How sure it is that there is a slope at all, from 0 to 1: how rarely chance alone would order the
    /// points so well.
    pub confidence: f64,
}

/// When a quantile will pass a bound if it goes on like this, counted from [`Trend::at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Passing {
    /// At the median slope.
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
    /// The trend of `q` over `points`, oldest first, as of `at`.
    pub(crate) fn of(q: f64, points: Vec<TrendPoint>, at: Duration) -> Self {
        let slope = theil_sen::slope(&points);
        Self {
            q,
            points,
            slope,
            at,
        }
    }

    /// Whether it is getting slower, beyond what chance explains.
    pub fn is_rising(&self) -> bool {
        self.slope.is_some_and(|slope| slope.low > 0.0)
    }

    /// Whether it is getting faster, beyond what chance explains.
    pub fn is_falling(&self) -> bool {
        self.slope.is_some_and(|slope| slope.high < 0.0)
    }

    /// When it will pass `bound`, if the evidence bears saying so: with a confidence of 99.9 % it rises,
    /// its line has not passed the bound yet, will have likely done so no later than it has been followed
    /// for (no line is carried on further than it was seen), and has points of late, not only from
    /// more than a quarter of that time ago.
    pub fn passes(&self, bound: Duration) -> Option<Passing> {
        let rises = |slope: &Slope| slope.confidence >= SURE && slope.low > 0.0;
        let slope = self.slope.filter(rises)?;
        let (first, last) = (self.points.first()?, self.points.last()?);
        let seen = last.at.saturating_sub(first.at);
        if self.at.saturating_sub(last.at) > seen / 4 {
            return None;
        }
        let (bound, now) = (bound.as_secs_f64(), self.at.as_secs_f64());
        let after = |slope: f64| {
            let missing = bound - theil_sen::level(&self.points, slope, now)?;
            Some(missing / slope)
        };
        let likely = after(slope.median).filter(|likely| *likely > 0.0)?;
        let passing = Passing {
            likely: Duration::try_from_secs_f64(likely).ok()?,
            earliest: Duration::try_from_secs_f64(after(slope.high)?.max(0.0)).ok()?,
            latest: Duration::try_from_secs_f64(after(slope.low)?).ok()?,
        };
        Some(passing).filter(|passing| passing.likely <= seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::rng::Rng;

    const SLICE: Duration = Duration::from_secs(15);
    /// As many as have ended in a window.
    const POINTS: u32 = 19;

    /// Points a quarter of a minute apart, worked out at the last of them.
    fn trend(millis: impl FnMut(u32) -> f64) -> Trend {
        let values: Vec<f64> = (0..POINTS).map(millis).collect();
        let point = |(n, millis): (u32, f64)| TrendPoint {
            at: SLICE * n,
            value: Duration::from_secs_f64(millis / 1e3),
            count: 1_000,
        };
        let points = (0..).zip(values).map(point).collect();
        Trend::of(0.99, points, SLICE * (POINTS - 1))
    }

    fn unit(rng: &Rng) -> f64 {
        ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(rng: &Rng) -> f64 {
        (-2.0 * unit(rng).ln()).sqrt() * (std::f64::consts::TAU * unit(rng)).cos()
    }

    fn millis(millis: f64) -> Duration {
        Duration::from_secs_f64(millis / 1e3)
    }

    /// In how many of so many `seeds` what `of` makes is so.
    fn share(seeds: u64, mut of: impl FnMut(&Rng) -> bool) -> f64 {
        let found = (0..seeds).filter(|seed| of(&Rng::seeded(*seed)));
        found.count() as f64 / seeds as f64
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
        assert!(steady.slope.unwrap().confidence < 1e-6);
        assert_eq!(steady.passes(millis(101.0)), None);
    }

    /// Of noise of any kind; also where each point is half like the one before.
    #[test]
    fn chance_is_taken_for_a_trend_as_rarely_as_is_promised() {
        let moves = |trend: Trend| trend.is_rising() || trend.is_falling();
        let uniform = share(1_000, |rng| moves(trend(|_| 100.0 * (0.5 + unit(rng)))));
        let heavy = share(1_000, |rng| {
            moves(trend(|_| 100.0 * (0.8 * normal(rng)).exp()))
        });
        let alike = share(1_000, |rng| {
            let mut last = 0.0;
            moves(trend(|_| {
                last = 0.5 * last + normal(rng);
                100.0 + 10.0 * last
            }))
        });
        assert!(uniform <= 0.05 && heavy <= 0.05, "{uniform} {heavy}");
        assert!(alike <= 0.12, "{alike}");
    }

    /// The bound is where noise comes near it, and a line within sight of it is easily had.
    #[test]
    fn flat_noise_foresees_nothing_in_more_than_one_of_a_thousand_looks() {
        let bound = millis(125.0);
        let independent = share(5_000, |rng| {
            trend(|_| 100.0 + 10.0 * normal(rng))
                .passes(bound)
                .is_some()
        });
        assert!(independent <= 0.001, "{independent}");
        let alike = share(5_000, |rng| {
            let mut last = 0.0;
            let trend = trend(|_| {
                last = 0.5 * last + normal(rng);
                100.0 + 10.0 * last
            });
            trend.passes(bound).is_some()
        });
        assert!(alike <= 0.005, "{alike}");
    }

    /// Wherever in the window it is, and however high.
    #[test]
    fn a_step_is_not_carried_on() {
        let mut foreseen = 0;
        for (at, height) in (1..POINTS).flat_map(|at| [15.0, 30.0, 100.0].map(|h| (at, h))) {
            for seed in 0..20 {
                let rng = Rng::seeded(seed);
                let level = |n| if n < at { 100.0 } else { 100.0 + height };
                let trend = trend(|n| level(n) + 3.0 * normal(&rng));
                foreseen += u32::from(trend.passes(millis(105.0 + height)).is_some());
            }
        }
        let looks = (POINTS - 1) * 3 * 20;
        assert!(foreseen * 500 <= looks, "{foreseen} of {looks}");
    }

    /// 120 ms more over the window, and 40 ms to go: two minutes less a quarter, at 8 ms a slice.
    #[test]
    fn a_ramp_is_foreseen_to_pass_when_it_will() {
        let truth = 5.0 * SLICE.as_secs_f64();
        let ramp = |rng: &Rng| trend(|n| 100.0 + 8.0 * f64::from(n) + 5.0 * normal(rng));
        let bound = millis(100.0 + 8.0 * f64::from(POINTS - 1) + 40.0);
        let (mut near, mut within) = (0, 0);
        let foreseen = share(1_000, |rng| {
            let Some(passing) = ramp(rng).passes(bound) else {
                return false;
            };
            let likely = passing.likely.as_secs_f64();
            near += u32::from((likely / truth - 1.0).abs() <= 0.25);
            let span = passing.earliest.as_secs_f64()..=passing.latest.as_secs_f64();
            within += u32::from(span.contains(&truth));
            true
        });
        assert!(foreseen >= 0.95, "{foreseen}");
        assert!(near >= 900, "{near} of 1000 within a quarter");
        assert!(within >= 900, "{within} of 1000 within the interval");
    }

    #[test]
    fn a_bound_is_said_to_be_passed_when_it_is_and_only_within_sight() {
        // 100 ms and 8 ms a minute more, for four minutes and a half.
        let trend = trend(|n| 100.0 + 2.0 * f64::from(n));
        let passing = trend.passes(millis(152.0)).unwrap();
        assert!(passing.likely.abs_diff(Duration::from_secs(120)) < Duration::from_secs(1));
        assert!(passing.earliest <= passing.likely && passing.likely <= passing.latest);
        assert_eq!(trend.passes(millis(120.0)), None, "passed already");
        assert_eq!(trend.passes(millis(200.0)), None, "out of sight");
    }

    #[test]
    fn what_has_fallen_silent_is_counted_from_now_and_soon_says_nothing() {
        let mut trend = trend(|n| 100.0 + 2.0 * f64::from(n));
        let after = |trend: &Trend| trend.passes(millis(152.0)).map(|passing| passing.likely);
        let before = after(&trend).unwrap();
        trend.at += Duration::from_secs(30);
        let later = after(&trend).unwrap() + Duration::from_secs(30);
        assert!(later.abs_diff(before) < Duration::from_millis(1));
        trend.at += Duration::from_secs(40);
        assert_eq!(after(&trend), None);
    }

    #[test]
    fn too_few_points_bear_no_slope() {
        let full = trend(|n| f64::from(n + 1));
        let mut points = full.points;
        points.truncate(theil_sen::FEWEST - 1);
        let trend = Trend::of(0.99, points, full.at);
        assert_eq!(trend.slope, None);
        assert!(!trend.is_rising());
        assert_eq!(trend.passes(Duration::from_secs(1)), None);
    }
}
