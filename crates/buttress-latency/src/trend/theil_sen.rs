//! The slope of Theil and Sen, and how sure it is.
//!
//! P. K. Sen, Estimates of the regression coefficient based on Kendall's tau (1968); the variance of
//! Kendall's statistic is widened for points that hang together, by the lag-one autocorrelation of what
//! the line leaves over, as K. H. Hamed and A. R. Rao do for trend tests (1998).

use super::{Slope, TrendPoint};

/// Points that a slope takes at least.
pub(super) const FEWEST: usize = 8;
/// The standard normal deviate of a confidence of 95 %.
const Z: f64 = 1.96;
/// Points that hang together more closely are taken as if it were this much.
const CLOSEST: f64 = 0.8;
/// What is left over of less than this share of the level is rounding, and shows nothing: a tenth of
/// what a bucket can be off.
const ROUNDING: f64 = 5e-4;

pub(super) fn slope(points: &[TrendPoint]) -> Option<Slope> {
    if points.len() < FEWEST {
        return None;
    }
    let slopes = sorted(pairwise(points));
    let middle = median_of_sorted(&slopes)?;
    let (n, pairs) = (points.len() as f64, slopes.len() as f64);
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt() * widening(points, middle);
    let spread = Z * deviation;
    if spread >= pairs {
        return None;
    }
    Some(Slope {
        median: middle,
        low: rank(&slopes, ((pairs - spread) / 2.0).floor() - 1.0)?,
        high: rank(&slopes, f64::midpoint(pairs, spread).ceil())?,
        confidence: within((kendall(&slopes).abs() - 1.0).max(0.0) / deviation),
    })
}

/// The level of a line of this slope at `at`, in seconds: through the median of what the points leave
/// over.
pub(super) fn level(points: &[TrendPoint], slope: f64, at: f64) -> Option<f64> {
    let carried = |point: &TrendPoint| value(point) + slope * (at - time(point));
    median_of_sorted(&sorted(points.iter().map(carried).collect()))
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
        .map(|(a, b)| (value(b) - value(a)) / (time(b) - time(a)))
        .collect()
}

/// How many pairs rise more than fall.
fn kendall(slopes: &[f64]) -> f64 {
    let falling = slopes.partition_point(|slope| *slope < 0.0);
    let rising = slopes.len() - slopes.partition_point(|slope| *slope <= 0.0);
    rising as f64 - falling as f64
}

/// By how much the deviation grows because neighbours are alike beyond what the line explains: a step
/// and a slow wave leave long runs on one side of it.
fn widening(points: &[TrendPoint], slope: f64) -> f64 {
    let left: Vec<f64> = points
        .iter()
        .map(|point| value(point) - slope * time(point))
        .collect();
    let n = left.len() as f64;
    let mean = left.iter().sum::<f64>() / n;
    let variance: f64 = left.iter().map(|x| (x - mean).powi(2)).sum();
    let level = points.iter().map(value).sum::<f64>() / n;
    if variance <= n * (ROUNDING * level).powi(2) {
        return 1.0;
    }
    let neighbours = left.iter().zip(left.iter().skip(1));
    let together: f64 = neighbours.map(|(a, b)| (a - mean) * (b - mean)).sum();
    // Of a short series it comes out too small, by about this.
    let measured = together / variance;
    let alike = (measured + (1.0 + 3.0 * measured) / n).clamp(0.0, CLOSEST);
    ((1.0 + alike) / (1.0 - alike)).sqrt()
}

/// The share of a normal distribution within `z` deviations: Abramowitz and Stegun 7.1.26, right to
/// 1.5e-7.
fn within(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let factors = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let sum = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (1.0 - sum * (-x * x).exp()).clamp(0.0, 1.0)
}

fn value(point: &TrendPoint) -> f64 {
    point.value.as_secs_f64()
}

fn time(point: &TrendPoint) -> f64 {
    point.at.as_secs_f64()
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

fn median_of_sorted(values: &[f64]) -> Option<f64> {
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *values.get(values.len() / 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_of_a_normal_distribution_is_within_as_the_tables_say() {
        for (z, share) in [
            (0.0, 0.0),
            (1.0, 0.682_689),
            (1.96, 0.950_004),
            (3.29, 0.998_998),
        ] {
            assert!((within(z) - share).abs() < 1e-6, "{z}: {}", within(z));
        }
        assert!(within(100.0) <= 1.0);
    }
}
