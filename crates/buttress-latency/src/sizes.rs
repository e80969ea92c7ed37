//! Sizes of bodies, counted in the same exact buckets as durations.
//!
//! A recorder's lowest edge is `2^-20` of a second. A byte stands for just that, so that the edges are
//! powers `2^(k/64)` of a byte, from one byte to 4 GiB, and every power of two is one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::metric::Histogram;

use crate::quantile::Estimate;
use crate::recorder::{Mine, Recorder, Striped};
use crate::snapshot::Snapshot;

/// Of the classic histogram, in bytes: powers of four from 64 B to 1 GiB.
const CLASSIC: [u64; 13] = {
    let mut bounds = [64; 13];
    let mut n = 1;
    while n < bounds.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
        {
            bounds[n] = 4 * bounds[n - 1];
        }
        n += 1;
    }
    bounds
};
/// A byte in nanoseconds is `10^9 / 2^20`, which is this fraction.
const BYTE: (u64, u64) = (1_953_125, 2_048);
/// By how many octaves bytes lie above their durations.
const SHIFT: i32 = 20;

/// Counts sizes, made when there is one to count.
#[derive(Default)]
pub(crate) struct RareSizes(OnceLock<Box<Sizes>>);

#[derive(Default)]
struct Sizes {
    recorder: Recorder,
    /// Apart, because a byte is no whole number of nanoseconds.
    sum: Sum,
}

/// Of one stripe, alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

struct Sum(Striped<Line>);

/// Sizes of bodies, as far as they passed.
///
/// Written by serde as the durations that bytes stand for (`2^-20` s each) and the sum of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BodySizes {
    counts: Snapshot,
    sum: u64,
}

impl RareSizes {
    pub(crate) fn record(&self, bytes: u64) {
        let sizes = self.0.get_or_init(Box::default);
        sizes.recorder.record(duration(bytes));
        sizes.sum.add(bytes);
    }

    pub(crate) fn read(&self) -> BodySizes {
        let Some(sizes) = self.0.get() else {
            return BodySizes::default();
        };
        BodySizes {
            counts: sizes.recorder.snapshot(),
            sum: sizes.sum.read(),
        }
    }
}

impl Sum {
    fn add(&self, bytes: u64) {
        match self.0.mine() {
            Mine::Own(Line(sum)) => {
                let more = sum.load(Ordering::Relaxed).wrapping_add(bytes);
                sum.store(more, Ordering::Relaxed);
            }
            Mine::Shared(Line(sum)) => {
                sum.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) -> u64 {
        let each = self.0.all().map(|Line(sum)| sum.load(Ordering::Relaxed));
        each.fold(0, u64::saturating_add)
    }
}

impl BodySizes {
    /// How many bodies were counted.
    pub fn count(&self) -> u64 {
        self.counts.count()
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// All their bytes; exact.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// How many were at most this long: exact at powers of two, else those of whole buckets below it.
    pub fn at_or_below(&self, bytes: u64) -> u64 {
        self.counts.at_or_below(duration(bytes))
    }

    /// The size that the share `q` of all does not exceed, right to 0.55 % and a byte; none if there
    /// are too few to know it, or it is over 4 GiB.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        match self.counts.quantile(q).estimate {
            Estimate::Within { value, .. } => Some(bytes(value)),
            // Empty, or of one byte.
            Estimate::AtMost(_) => Some(u64::from(self.sum > 0)),
            _ => None,
        }
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        self.counts += &other.counts;
        self.sum = self.sum.saturating_add(other.sum);
    }

    pub(crate) fn histogram(&self) -> Histogram {
        let classic = CLASSIC.map(|bound| (bound as f64, self.at_or_below(bound)));
        let native = self.counts.native().into_iter();
        let mut histogram = Histogram::default();
        histogram.classic = classic.to_vec();
        histogram.native = native.map(|(index, n)| (index + 64 * SHIFT, n)).collect();
        let (lowest, highest) = histogram.octaves;
        histogram.octaves = (lowest + SHIFT, highest + SHIFT);
        histogram.below = self.counts.below();
        histogram.above = self.counts.above();
        histogram.count = self.count();
        histogram.sum = self.sum as f64;
        let in_bytes = |(least, greatest)| (bytes(least) as f64, bytes(greatest) as f64);
        histogram.extremes = self.counts.extremes().map(in_bytes);
        histogram
    }
}

/// What `bytes` stands for, rounded down as the edges of buckets are.
fn duration(bytes: u64) -> Duration {
    let nanos = u128::from(bytes) * u128::from(BYTE.0) / u128::from(BYTE.1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What a duration stands for.
fn bytes(duration: Duration) -> u64 {
    let bytes = (duration.as_nanos() * u128::from(BYTE.1)).div_ceil(u128::from(BYTE.0));
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Default for Sum {
    fn default() -> Self {
        Self(Striped::new())
    }
}

impl std::fmt::Debug for RareSizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RareSizes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(sizes: &[u64]) -> BodySizes {
        let recorder = RareSizes::default();
        for size in sizes {
            recorder.record(*size);
        }
        recorder.read()
    }

    #[test]
    fn powers_of_two_are_edges() {
        for power in 1..32 {
            let edge = 1_u64 << power;
            let sizes = counted(&[edge, edge + 1]);
            assert_eq!(sizes.at_or_below(edge), 1, "2^{power}");
            // The upper edge of bucket 64 p is 2^p, and each bucket ends with its upper edge.
            let native = sizes.histogram().native;
            assert_eq!(native[0], (64 * power, 1));
            assert!(native[1].0 > 64 * power);
        }
    }

    #[test]
    fn nothing_and_a_byte_are_below_the_buckets_and_more_than_4_gib_above() {
        let sizes = counted(&[0, 1, (4 << 30) + 1]);
        let shown = sizes.histogram();
        assert_eq!((shown.below, shown.above, shown.octaves), (2, 1, (0, 32)));
        assert_eq!(counted(&[0; 8]).quantile(0.5), Some(0));
    }

    proptest! {
        #[test]
        fn counts_and_sums_are_exact_and_quantiles_right_to_half_a_percent(
            mut sizes in proptest::collection::vec(0_u64..1 << 31, 2..200),
        ) {
            let counted = counted(&sizes);
            sizes.sort_unstable();
            prop_assert_eq!(counted.count(), sizes.len() as u64);
            prop_assert_eq!(counted.sum(), sizes.iter().sum::<u64>());
            let extremes = (sizes[0] as f64, sizes[sizes.len() - 1] as f64);
            prop_assert_eq!(counted.histogram().extremes, Some(extremes));
            for (bound, count) in counted.histogram().classic {
                let within = sizes.iter().filter(|size| **size as f64 <= bound).count();
                prop_assert_eq!(count, within as u64);
            }
            let median = sizes[sizes.len().div_ceil(2) - 1];
            let known = counted.quantile(0.5).unwrap();
            prop_assert!(known.abs_diff(median) <= median / 180 + 1, "{} {}", known, median);
        }
    }
}
