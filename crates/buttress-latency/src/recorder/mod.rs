//! Counting durations from any number of threads, at about ten nanoseconds each.

mod shard;
mod stripes;

use std::fmt;
use std::time::Duration;

use crate::bucket::{ABOVE, BELOW, OCTAVE_BUCKETS, OCTAVES, SPLITS};
use crate::snapshot::{Extremes, Snapshot};
use shard::Shard;
pub(crate) use stripes::Striped;

/// Counts durations in exact base-2 scale-6 buckets.
///
/// [`Recorder::record`] is wait-free after the first touch of an octave: two relaxed additions and a
/// look at the extremes, in a shard that threads share only where there are more of them than shards. Reading adds the shards
/// up; nothing is ever reset, so that any number of readers may difference what they read.
///
/// ```
/// use std::time::Duration;
/// use buttress_latency::Recorder;
///
/// let recorder = Recorder::new();
/// for millis in 1..=1000 {
///     recorder.record(Duration::from_millis(millis));
/// }
/// let p99 = recorder.snapshot().quantile(0.99).value().unwrap();
/// assert!(p99.abs_diff(Duration::from_millis(990)) < Duration::from_millis(990) * 6 / 1000);
/// ```
///
/// # Cost
///
/// A record: about ten nanoseconds, no allocation but at the first duration of an octave in a shard
/// (512 bytes). A shard without octaves is 768 bytes; there are as many as cores, a power of two and
/// at most sixteen.
pub struct Recorder {
    shards: Striped<Shard>,
}

/// What a single record adds to the sum at most, but for less than a second, so that no duration can
/// wrap it: 104 days.
const LONGEST_IN_SUM: u64 = 1 << 53;

impl Recorder {
    /// A recorder that has counted nothing.
    pub fn new() -> Self {
        Self {
            shards: Striped::new(),
        }
    }

    /// Counts `duration`.
    ///
    /// Shorter than a microsecond or longer than 4096 s it is counted as below or above; in the sum
    /// and as the longest a single record is 104 days at most.
    #[inline]
    pub fn record(&self, duration: Duration) {
        // Saturates far beyond the range, without the division of 128 bits that `as_nanos` costs.
        let seconds = duration.as_secs().min(LONGEST_IN_SUM / 1_000_000_000);
        let nanos = seconds * 1_000_000_000 + u64::from(duration.subsec_nanos());
        self.shards.mine().record(nanos);
    }

    /// All that has been counted.
    ///
    /// Records that race with it are in this snapshot or in the next, each once; a record may be
    /// counted here, and its share of the sum or its being the longest in the next.
    pub fn snapshot(&self) -> Snapshot {
        let shards = self.shards.all();
        let mut snapshot = Snapshot::default();
        snapshot.push(BELOW, shards.iter().map(Shard::below).sum());
        self.read_buckets(&mut snapshot);
        snapshot.push(ABOVE, shards.iter().map(Shard::above).sum());
        snapshot.set_sum(shards.iter().map(Shard::sum).fold(0, u64::saturating_add));
        let extremes = shards.iter().map(Shard::extremes);
        snapshot.set_extremes(extremes.fold(Extremes::default(), Extremes::and));
        snapshot
    }

    /// Reads the buckets in ascending order, each cut one as two.
    fn read_buckets(&self, into: &mut Snapshot) {
        let shards = self.shards.all();
        let mut cuts = SPLITS.iter().enumerate().peekable();
        let mut slot = BELOW.next();
        for octave in 0..OCTAVES {
            let mut counts = [0; OCTAVE_BUCKETS];
            for shard in shards {
                shard.add_octave(octave, &mut counts);
            }
            for (bucket, count) in (octave * OCTAVE_BUCKETS..).zip(counts) {
                into.push(slot, count);
                slot = slot.next();
                if let Some((nth, _)) = cuts.next_if(|(_, split)| split.bucket == bucket) {
                    into.push(slot, shards.iter().map(|shard| shard.upper(nth)).sum());
                    slot = slot.next();
                }
            }
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::Estimate;

    #[test]
    fn nothing_is_lost_between_racing_threads() {
        let recorder = Recorder::new();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for n in 0..10_000 {
                        recorder.record(Duration::from_nanos((n + thread) * 1_000_003));
                    }
                });
            }
        });
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.count(), 40_000);
        let sum: u64 = (0..4)
            .flat_map(|t| (0..10_000).map(move |n| (n + t) * 1_000_003))
            .sum();
        assert_eq!(snapshot.sum(), Duration::from_nanos(sum));
    }

    #[test]
    fn what_is_out_of_range_is_counted_and_visible() {
        let recorder = Recorder::new();
        recorder.record(Duration::ZERO);
        recorder.record(Duration::from_secs(4097));
        recorder.record(Duration::MAX);
        let snapshot = recorder.snapshot();
        assert_eq!(
            (snapshot.below(), snapshot.above(), snapshot.count()),
            (1, 2, 3)
        );
    }

    #[test]
    fn the_shortest_and_the_longest_are_exact_wherever_they_lie() {
        let recorder = Recorder::new();
        assert_eq!(recorder.snapshot().minimum(), None);
        for millis in [40, 7, 900] {
            recorder.record(Duration::from_millis(millis));
        }
        let exactly = |duration| Some(Estimate::exactly(duration));
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.minimum(), exactly(Duration::from_millis(7)));
        assert_eq!(snapshot.maximum(), exactly(Duration::from_millis(900)));
        recorder.record(Duration::from_nanos(3));
        recorder.record(Duration::from_secs(9_000));
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.minimum(), exactly(Duration::from_nanos(3)));
        assert_eq!(snapshot.maximum(), exactly(Duration::from_secs(9_000)));
        assert_eq!(snapshot.quantile(1.0).error_bound(), Some(0.0));
    }

    #[test]
    fn a_count_above_a_classic_bound_is_seen_though_nothing_is_below_it() {
        let recorder = Recorder::new();
        recorder.record(Duration::from_nanos(5_000_001));
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.count(), 1);
        assert_eq!(snapshot.at_or_below(Duration::from_millis(5)), 0);
        assert_eq!(snapshot.at_or_below(Duration::from_millis(10)), 1);
    }
}
