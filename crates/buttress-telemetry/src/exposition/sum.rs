//! Two points of the same labels as one.

use std::borrow::Cow;

use buttress_core::metric::{Exemplar, Histogram, Kind, Point, Value};

/// Adds what counts. Of anything else, and of histograms with different bounds, the first stays: a sum
/// of them would say nothing.
pub(super) fn add(kind: Kind, to: &mut Cow<'_, Point>, point: &Point) {
    let sum = match (&to.value, &point.value) {
        (Value::Counter(one), Value::Counter(other)) => Value::Counter(one.saturating_add(*other)),
        (Value::Time(one), Value::Time(other)) => Value::Time(one.saturating_add(*other)),
        (Value::Gauge(one), Value::Gauge(other)) if kind == Kind::UpDown => {
            Value::Gauge(one + other)
        }
        (Value::Histogram(one), Value::Histogram(other)) if alike(one, other) => {
            Value::Histogram(both(one, other))
        }
        _ => return,
    };
    to.to_mut().value = sum;
}

fn alike(one: &Histogram, other: &Histogram) -> bool {
    let bounds = |of: &Histogram| -> Vec<u64> {
        let bounds = of.classic.iter();
        bounds.map(|(bound, _)| bound.to_bits()).collect()
    };
    one.octaves == other.octaves && bounds(one) == bounds(other)
}

fn both(one: &Histogram, other: &Histogram) -> Histogram {
    let mut sum = one.clone();
    for ((_, count), (_, more)) in sum.classic.iter_mut().zip(&other.classic) {
        *count = count.saturating_add(*more);
    }
    for &(index, more) in &other.native {
        match sum.native.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => {
                if let Some((_, count)) = sum.native.get_mut(at) {
                    *count = count.saturating_add(more);
                }
            }
            Err(at) => sum.native.insert(at, (index, more)),
        }
    }
    sum.below = sum.below.saturating_add(other.below);
    sum.above = sum.above.saturating_add(other.above);
    sum.count = sum.count.saturating_add(other.count);
    sum.sum += other.sum;
    sum.extremes = match (one.extremes, other.extremes) {
        (Some((least, greatest)), Some((a, b))) => Some((least.min(a), greatest.max(b))),
        _ => None,
    };
    sum.exemplars.extend(&other.exemplars);
    let by_value = |a: &Exemplar, b: &Exemplar| a.value.total_cmp(&b.value);
    sum.exemplars.sort_by(by_value);
    sum
}
