//! What has been counted, as plain integers.

mod extremes;
#[cfg(feature = "serde")]
mod wire;

use std::ops::{Add, AddAssign};
use std::time::Duration;

use crate::bucket::{ABOVE, BELOW, CLASSIC_NANOS, Slot};
use crate::quantile::{Estimate, Quantile};
pub(crate) use extremes::Extremes;

/// Counts of durations: of a [`crate::Recorder`], of a window, or of several added up.
///
/// Adding is exact, in any order: replicas, routes and endpoints can be merged at will. Only a
/// number that would pass 2^64 stays there.
///
/// ```
/// use std::time::Duration;
/// use buttress_latency::Recorder;
///
/// let (a, b) = (Recorder::new(), Recorder::new());
/// a.record(Duration::from_millis(3));
/// b.record(Duration::from_millis(7));
/// let both = a.snapshot() + &b.snapshot();
/// assert_eq!(both.count(), 2);
/// assert_eq!(both.sum(), Duration::from_millis(10));
/// ```
///
/// With the feature `serde` it is written as integers that explain themselves: nanoseconds, and for
/// each bucket that holds anything the longest duration it takes with its count. What is read is
/// checked; what no recorder can have counted is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "wire::Wire", try_from = "wire::Wire"))]
pub struct Snapshot {
    /// The slots that hold anything, ascending.
    counts: Vec<(Slot, u64)>,
    sum: u64,
    extremes: Extremes,
}

impl Snapshot {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        total(&self.counts)
    }

    /// Whether none was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The shortest, if anything was counted: exact of all that a recorder counted, of a window as
    /// far as its bucket tells.
    pub fn minimum(&self) -> Option<Estimate> {
        let (slot, _) = self.counts.first()?;
        Some(Estimate::of_extreme(*slot, self.extremes.shortest()))
    }

    /// The longest, known as well as [the shortest](Self::minimum).
    pub fn maximum(&self) -> Option<Estimate> {
        let (slot, _) = self.counts.last()?;
        Some(Estimate::of_extreme(*slot, self.extremes.longest()))
    }

    /// The shortest and the longest, where both are known exactly.
    pub(crate) fn extremes(&self) -> Option<(Duration, Duration)> {
        let exact = |estimate: Estimate| match estimate {
            Estimate::Within {
                shortest, longest, ..
            } => (shortest == longest).then_some(longest),
            _ => None,
        };
        Some((exact(self.minimum()?)?, exact(self.maximum()?)?))
    }

    /// How many were shorter than all buckets, about a microsecond.
    pub fn below(&self) -> u64 {
        self.of_slot(BELOW)
    }

    /// How many were longer than all buckets, 4096 seconds.
    pub fn above(&self) -> u64 {
        self.of_slot(ABOVE)
    }

    /// How many were at most as long as `bound`: exact for the bounds of the conventions
    /// ([`crate::CLASSIC_BOUNDS`]) and at bucket edges, else those of whole buckets below it.
    pub fn at_or_below(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let within = self
            .counts
            .partition_point(|(slot, _)| slot.range().1 <= bound);
        total(self.counts.get(..within).unwrap_or_default())
    }

    /// The counts of the buckets of which all durations are longer than `bound`; their sum is not known,
    /// and 0.
    pub(crate) fn longer_than(&self, bound: Duration) -> Self {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let first = self
            .counts
            .partition_point(|(slot, _)| slot.range().0 <= bound);
        let counts = self.counts.get(first..).unwrap_or_default().to_vec();
        let extremes = if counts.is_empty() {
            Extremes::default()
        } else {
            Extremes::UNKNOWN
        };
        Self {
            sum: 0,
            counts,
            extremes,
        }
    }

    /// The duration that the share `q` of all does not exceed, with what it rests on.
    pub fn quantile(&self, q: f64) -> Quantile {
        Quantile::of(self, q)
    }

    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        if other.counts.is_empty() {
            return;
        }
        self.counts = combine(
            &self.counts,
            other.counts.iter().copied(),
            u64::saturating_add,
        );
        self.extremes = self.extremes.and(other.extremes);
    }

    /// What has been counted since `earlier`, an older snapshot of the same recorder. The shortest and
    /// the longest of a difference are known by their buckets.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.minus(earlier.counts.iter().copied(), earlier.sum)
    }

    /// What has been counted since there were these `counts` with this `sum`.
    pub(crate) fn minus(&self, counts: impl Iterator<Item = (Slot, u64)>, sum: u64) -> Self {
        let counts = combine(&self.counts, counts, u64::saturating_sub);
        let extremes = if counts.is_empty() {
            Extremes::default()
        } else {
            Extremes::UNKNOWN
        };
        Self {
            counts,
            sum: self.sum.saturating_sub(sum),
            extremes,
        }
    }

    /// The upper bounds in seconds of a classic histogram with the number at or below each.
    pub fn classic(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut counts = self.counts.iter().peekable();
        let mut so_far = 0_u64;
        crate::CLASSIC_BOUNDS
            .into_iter()
            .zip(CLASSIC_NANOS)
            .map(move |(seconds, nanos)| {
                let last = Slot::ending_at(nanos);
                while let Some((_, count)) = counts.next_if(|(slot, _)| *slot <= last) {
                    so_far = count.saturating_add(so_far);
                }
                (seconds, so_far)
            })
    }

    /// The base-2 scale-6 buckets that hold anything: Prometheus index `i`, of which the upper bound
    /// is `2^(i/64)` seconds, and count. Without what is [below](Self::below) and
    /// [above](Self::above).
    pub fn native(&self) -> Vec<(i32, u64)> {
        let mut native: Vec<(i32, u64)> = Vec::with_capacity(self.counts.len());
        for (slot, count) in &self.counts {
            let Some(index) = slot.native_index() else {
                continue;
            };
            match native.last_mut() {
                Some(last) if last.0 == index => last.1 = last.1.saturating_add(*count),
                _ => native.push((index, *count)),
            }
        }
        native
    }

    /// Slots that hold anything with their counts, ascending.
    pub(crate) fn slots(&self) -> &[(Slot, u64)] {
        &self.counts
    }

    /// An empty one that takes so many slots without growing.
    pub(crate) fn with_room_for(slots: usize) -> Self {
        Self {
            counts: Vec::with_capacity(slots),
            ..Self::default()
        }
    }

    /// Appends a slot, which must come after those that are there.
    pub(crate) fn push(&mut self, slot: Slot, count: u64) {
        if count > 0 {
            self.counts.push((slot, count));
        }
    }

    /// Appends slots that follow each other, from `first` on.
    pub(crate) fn push_run(&mut self, first: Slot, counts: &[u64]) {
        let slots = (first.0..).map(Slot).zip(counts.iter().copied());
        self.counts.extend(slots.filter(|(_, count)| *count > 0));
    }

    pub(crate) const fn set_sum(&mut self, nanos: u64) {
        self.sum = nanos;
    }

    pub(crate) const fn set_extremes(&mut self, extremes: Extremes) {
        self.extremes = extremes;
    }

    pub(crate) const fn sum_nanos(&self) -> u64 {
        self.sum
    }

    fn of_slot(&self, slot: Slot) -> u64 {
        self.counts
            .binary_search_by_key(&slot, |(slot, _)| *slot)
            .ok()
            .and_then(|at| self.counts.get(at))
            .map_or(0, |(_, count)| *count)
    }
}

fn total(counts: &[(Slot, u64)]) -> u64 {
    counts
        .iter()
        .fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// Both lists as one, slot by slot; what comes to nothing is left out.
fn combine(
    left: &[(Slot, u64)],
    right: impl Iterator<Item = (Slot, u64)>,
    with: impl Fn(u64, u64) -> u64,
) -> Vec<(Slot, u64)> {
    let mut combined = Vec::with_capacity(left.len());
    let mut push = |slot, a, b| {
        let count = with(a, b);
        if count > 0 {
            combined.push((slot, count));
        }
    };
    let mut left = left.iter().copied().peekable();
    for (slot, count) in right {
        while let Some((before, count)) = left.next_if(|(at, _)| *at < slot) {
            push(before, count, 0);
        }
        let beside = left
            .next_if(|(at, _)| *at == slot)
            .map_or(0, |(_, count)| count);
        push(slot, beside, count);
    }
    for (slot, count) in left {
        push(slot, count, 0);
    }
    combined
}

impl AddAssign<&Self> for Snapshot {
    fn add_assign(&mut self, other: &Self) {
        self.merge(other);
    }
}

impl Add<&Self> for Snapshot {
    type Output = Self;

    fn add(mut self, other: &Self) -> Self {
        self.merge(other);
        self
    }
}

impl<'a> std::iter::Sum<&'a Self> for Snapshot {
    fn sum<I: Iterator<Item = &'a Self>>(snapshots: I) -> Self {
        snapshots.fold(Self::default(), |sum, snapshot| sum + snapshot)
    }
}
