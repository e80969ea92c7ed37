//! The classic buckets of a histogram, as every form shows them.

use buttress_core::metric::{Exemplar, Histogram};

pub(super) struct Bucket<'a> {
    pub(super) bound: f64,
    /// How many samples are at or below the bound.
    pub(super) count: u64,
    /// The latest of those above the bound before.
    pub(super) exemplar: Option<&'a Exemplar>,
}

/// Every bucket, the infinite one at the end.
pub(super) fn buckets(histogram: &Histogram) -> impl Iterator<Item = Bucket<'_>> {
    let finite = histogram
        .classic
        .iter()
        .filter(|(bound, _)| bound.is_finite());
    let bounds = finite.copied().chain([(f64::INFINITY, histogram.count)]);
    let mut before = f64::NEG_INFINITY;
    bounds.map(move |(bound, count)| {
        let (exemplars, above) = (histogram.exemplars.iter(), before);
        let within = exemplars.filter(|exemplar| exemplar.value > above && exemplar.value <= bound);
        before = bound;
        Bucket {
            bound,
            count,
            exemplar: within.max_by_key(|exemplar| exemplar.at),
        }
    })
}
