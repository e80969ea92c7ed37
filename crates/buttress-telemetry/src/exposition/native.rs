//! The native buckets of a histogram, if they are what they have to be.

use buttress_core::metric::Histogram;

/// The octaves of the numbers that there are.
const OCTAVES: std::ops::RangeInclusive<i32> = -1022..=1024;

/// The native buckets of a [`Histogram`]; together they hold all of its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Native<'a> {
    /// What holds anything, by Prometheus index, strictly ascending.
    pub(crate) buckets: &'a [(i32, u64)],
    /// The lowest edge.
    pub(crate) threshold: f64,
    pub(crate) below: u64,
    pub(crate) above: u64,
}

impl<'a> Native<'a> {
    /// What Prometheus calls the schema.
    pub(crate) const SCALE: i32 = 6;
    /// Buckets in an octave.
    pub(crate) const OCTAVE: i32 = 1 << Self::SCALE;

    /// `None` if the histogram has classic buckets alone, or native ones that cannot be: out of
    /// order, out of range, or not all of its samples.
    pub(crate) fn of(histogram: &'a Histogram) -> Option<Self> {
        let Histogram {
            native,
            below,
            above,
            ..
        } = histogram;
        let (low, high) = histogram.octaves;
        if !OCTAVES.contains(&low) || !OCTAVES.contains(&high) {
            return None;
        }
        let (before, end) = (low * Self::OCTAVE, high * Self::OCTAVE + 1);
        let ascending = native.is_sorted_by(|(left, _), (right, _)| left < right);
        let in_range = native
            .iter()
            .all(|(index, _)| (before + 1..end).contains(index));
        let counts = native
            .iter()
            .map(|(_, count)| *count)
            .chain([*below, *above]);
        let total = counts.fold(0_u64, u64::saturating_add);
        (ascending && in_range && total == histogram.count).then_some(Self {
            buckets: native,
            threshold: f64::from(low).exp2(),
            below: *below,
            above: *above,
        })
    }
}
