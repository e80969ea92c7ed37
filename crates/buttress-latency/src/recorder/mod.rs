//! Counting durations from any number of threads, at about five nanoseconds each.

mod exemplars;
mod seat;
mod shard;
mod stripes;

use std::fmt;
use std::time::Duration;

use crate::bucket::{ABOVE, BELOW, OCTAVE_BUCKETS, OCTAVES, SPLIT_COUNT, SPLITS, Slot};
use crate::snapshot::{Extremes, Snapshot};
pub(crate) use exemplars::{Exemplars, Sampled, merge_exemplars};
#[cfg(all(loom, test))]
pub(crate) use seat::sit_alone;
use shard::Shard;
pub(crate) use stripes::{Mine, Striped};

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
/// A record: five nanoseconds, twelve where a shard is shared; no allocation but at the first
/// duration of a thread (768 bytes) and of an octave in its shard (512 bytes).
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
        let nanos = nanos(duration);
        match self.shards.mine() {
            Mine::Own(shard) => shard.record_alone(nanos),
            Mine::Shared(shard) => shard.record(nanos),
        }
    }

    /// All that has been counted.
    ///
    /// Records that race with it are in this snapshot or in the next, each once; a record may be
    /// counted here, and its share of the sum or its being the longest in the next.
    pub fn snapshot(&self) -> Snapshot {
        let shards = || self.shards.all();
        let touched = (0..OCTAVES).filter(|octave| self.has_octave(*octave));
        // All buckets of each, the upper parts, and what is out of range.
        let mut snapshot =
            Snapshot::with_room_for(touched.count() * OCTAVE_BUCKETS + SPLIT_COUNT + 2);
        snapshot.push(BELOW, shards().map(Shard::below).sum());
        self.read_buckets(&mut snapshot);
        snapshot.push(ABOVE, shards().map(Shard::above).sum());
        snapshot.set_sum(shards().map(Shard::sum).fold(0, u64::saturating_add));
        let extremes = shards().map(Shard::extremes);
        snapshot.set_extremes(extremes.fold(Extremes::default(), Extremes::and));
        snapshot
    }

    /// Reads the buckets in ascending order, each cut one as two.
    fn read_buckets(&self, into: &mut Snapshot) {
        let mut cuts = SPLITS.iter().enumerate().peekable();
        for octave in 0..OCTAVES {
            let counts = self.octave(octave);
            // Upper parts are no part of an octave, and may be all that there is of it.
            let mut rest = counts.as_ref().map_or(&[][..], |counts| &counts[..]);
            let (mut next, end) = (octave * OCTAVE_BUCKETS, (octave + 1) * OCTAVE_BUCKETS);
            while let Some((nth, split)) = cuts.next_if(|(_, split)| split.bucket < end) {
                let (run, after) = rest
                    .split_at_checked(split.bucket + 1 - next)
                    .unwrap_or_default();
                into.push_run(Slot::of_bucket(next), run);
                into.push(Slot::of_bucket(split.bucket).next(), self.upper(nth));
                (rest, next) = (after, split.bucket + 1);
            }
            into.push_run(Slot::of_bucket(next), rest);
        }
    }

    /// The counts of an octave that has been touched.
    fn octave(&self, octave: usize) -> Option<[u64; OCTAVE_BUCKETS]> {
        if !self.has_octave(octave) {
            return None;
        }
        let mut counts = [0; OCTAVE_BUCKETS];
        for shard in self.shards.all() {
            shard.add_octave(octave, &mut counts);
        }
        Some(counts)
    }

    fn has_octave(&self, octave: usize) -> bool {
        self.shards.all().any(|shard| shard.has_octave(octave))
    }

    fn upper(&self, nth: usize) -> u64 {
        self.shards.all().map(|shard| shard.upper(nth)).sum()
    }
}

/// What is recorded of `duration`: saturates far beyond the range, without the division of 128 bits that
/// `as_nanos` costs.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().min(LONGEST_IN_SUM / 1_000_000_000);
    seconds * 1_000_000_000 + u64::from(duration.subsec_nanos())
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
    use std::sync::Barrier;

    use super::*;
    use crate::quantile::Estimate;

    #[test]
    fn nothing_is_lost_between_racing_threads() {
        const THREADS: u64 = 4;
        const RECORDS: u64 = 200_000;
        let recorder = Recorder::new();
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (recorder, together) = (&recorder, &together);
                scope.spawn(move || {
                    together.wait();
                    for n in 0..RECORDS {
                        recorder.record(Duration::from_nanos((n + thread) % 5_000 * 1_000_003));
                    }
                });
            }
        });
        let snapshot = recorder.snapshot();
        assert_eq!(snapshot.count(), THREADS * RECORDS);
        let sum: u64 = (0..THREADS)
            .flat_map(|t| (0..RECORDS).map(move |n| (n + t) % 5_000 * 1_000_003))
            .sum();
        assert_eq!(snapshot.sum(), Duration::from_nanos(sum));
    }

    /// Places are leased, given back and leased again while others record and somebody reads.
    #[test]
    fn nothing_is_lost_when_threads_come_and_go() {
        const THREADS: u64 = 60;
        const RECORDS: u64 = 5_000;
        let recorder = Recorder::new();
        let record = || {
            for n in 0..RECORDS {
                recorder.record(Duration::from_micros(1 + n % 7));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..THREADS / 3 {
                        std::thread::scope(|inner| {
                            inner.spawn(record);
                        });
                    }
                });
            }
            scope.spawn(|| {
                let mut last = 0;
                for _ in 0..1_000 {
                    let count = recorder.snapshot().count();
                    assert!(count >= last, "counters only grow");
                    last = count;
                }
            });
        });
        assert_eq!(recorder.snapshot().count(), THREADS * RECORDS);
    }

    #[test]
    fn an_octave_takes_room_when_something_first_falls_into_it() {
        let recorder = Recorder::new();
        let touched = || {
            (0..OCTAVES)
                .filter(|octave| recorder.has_octave(*octave))
                .count()
        };
        recorder.record(Duration::ZERO);
        recorder.record(Duration::MAX);
        assert_eq!(touched(), 0);
        for micros in [700, 800, 900] {
            recorder.record(Duration::from_micros(micros));
        }
        assert_eq!(touched(), 1);
        recorder.record(Duration::from_secs(3));
        assert_eq!(touched(), 2);
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
