//! All places in ascending order, for readers.

use super::bounds::{
    BUCKETS, HIGHEST_NANOS, LOWEST_NANOS, MIN_INDEX, SPLIT_COUNT, SPLITS, bucket_by_search,
    edge_nanos,
};

/// The ordinal of a place: below, the buckets with the cut ones as two, above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u16);

/// How many there are.
pub(crate) const SLOTS: usize = BUCKETS + SPLIT_COUNT + 2;
/// The first: shorter than all buckets.
pub(crate) const BELOW: Slot = Slot(0);
/// The last: longer than all buckets.
#[expect(clippy::cast_possible_truncation, reason = "about two thousand")]
pub(crate) const ABOVE: Slot = Slot((BUCKETS + SPLIT_COUNT + 1) as u16);

impl Slot {
    /// The slot of a bucket, or of its lower part.
    pub(crate) fn of_bucket(bucket: usize) -> Self {
        let cut_before = SPLITS.partition_point(|split| split.bucket < bucket);
        Self::nth(1 + bucket + cut_before)
    }

    /// The one after this; the last stays.
    pub(crate) fn next(self) -> Self {
        Self((self.0 + 1).min(ABOVE.0))
    }

    /// The slot that ends with `nanos`, if that is a classic bound; else the lowest of its bucket.
    pub(crate) fn ending_at(nanos: u64) -> Self {
        Self::of_bucket(bucket_by_search(nanos))
    }

    /// The slot of which `nanos` is the longest duration, if there is one between below and above.
    #[cfg(feature = "serde")]
    pub(crate) fn with_longest(nanos: u64) -> Option<Self> {
        let in_range = nanos > LOWEST_NANOS && nanos <= HIGHEST_NANOS;
        let lower = in_range.then(|| Self::ending_at(nanos))?;
        [lower, lower.next()]
            .into_iter()
            .find(|slot| slot.range().1 == nanos)
    }

    /// The shortest and the longest duration that are counted here.
    pub(crate) fn range(self) -> (u64, u64) {
        match self {
            BELOW => (0, LOWEST_NANOS),
            ABOVE => (HIGHEST_NANOS + 1, u64::MAX),
            _ => self.bucket_range(),
        }
    }

    /// The Prometheus index of the bucket; none outside the range.
    pub(crate) fn native_index(self) -> Option<i32> {
        if self == BELOW || self == ABOVE {
            return None;
        }
        i32::try_from(self.bucket().0)
            .ok()
            .map(|bucket| bucket + MIN_INDEX)
    }

    fn bucket_range(self) -> (u64, u64) {
        let (bucket, upper_of) = self.bucket();
        let (first, last) = (edge_nanos(bucket) + 1, edge_nanos(bucket + 1));
        if let Some(at) = upper_of {
            return (at + 1, last);
        }
        match SPLITS.iter().find(|split| split.bucket == bucket) {
            Some(split) => (first, split.at),
            None => (first, last),
        }
    }

    /// The bucket, and the bound it is cut at if this is its upper part.
    fn bucket(self) -> (usize, Option<u64>) {
        let ordinal = usize::from(self.0).saturating_sub(1);
        let mut cut_before = 0;
        for split in &SPLITS {
            let lower = split.bucket + cut_before;
            if ordinal <= lower {
                break;
            }
            if ordinal == lower + 1 {
                return (split.bucket, Some(split.at));
            }
            cut_before += 1;
        }
        (ordinal - cut_before, None)
    }

    fn nth(ordinal: usize) -> Self {
        Self(u16::try_from(ordinal).unwrap_or(ABOVE.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::CLASSIC_NANOS;
    use super::*;

    fn slots() -> impl Iterator<Item = Slot> {
        (BELOW.0..=ABOVE.0).map(Slot)
    }

    #[test]
    fn the_slots_cover_all_durations_without_gap_or_overlap() {
        let mut next = 0;
        for slot in slots() {
            let (first, last) = slot.range();
            assert_eq!(first, next, "{slot:?}");
            assert!(last >= first, "{slot:?}");
            next = last.wrapping_add(1);
        }
        assert_eq!(next, 0);
        assert_eq!(slots().count(), SLOTS);
    }

    #[test]
    fn a_slot_ends_at_every_classic_bound() {
        for nanos in CLASSIC_NANOS {
            assert_eq!(Slot::ending_at(nanos).range().1, nanos);
        }
    }

    #[test]
    fn a_bucket_is_found_again_from_its_slot() {
        for bucket in 0..BUCKETS {
            let slot = Slot::of_bucket(bucket);
            assert_eq!(slot.bucket(), (bucket, None));
            if let Some(split) = SPLITS.iter().find(|split| split.bucket == bucket) {
                assert_eq!(slot.next().bucket(), (bucket, Some(split.at)));
            }
        }
    }

    #[test]
    fn native_indices_are_those_of_prometheus() {
        // 1 s is 2^(0/64), 1 ns more belongs to the next bucket.
        let at = |nanos| Slot::of_bucket(bucket_by_search(nanos)).native_index();
        assert_eq!(at(1_000_000_000), Some(0));
        assert_eq!(at(1_000_000_001), Some(1));
        assert_eq!(at(500_000_000), Some(-64));
        assert_eq!(BELOW.native_index(), None);
        assert_eq!(ABOVE.native_index(), None);
    }
}
