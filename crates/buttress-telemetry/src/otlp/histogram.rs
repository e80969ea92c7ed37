//! Histograms: exponential where there are native buckets, explicit where there are not.

use std::borrow::Cow;
use std::ops::Range;

use buttress_core::metric::{self, Point, Value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint,
    Histogram, HistogramDataPoint, exemplar, metric::Data,
};

use super::{attributes, nanos};
use crate::exposition::Native;

/// All points in one form: exponential if each of them can be.
pub(super) fn data(points: &[Cow<'_, Point>], period: &Range<u64>) -> Data {
    let counts = || {
        points.iter().filter_map(|point| match &point.value {
            Value::Histogram(counts) => Some((&**point, counts)),
            _ => None,
        })
    };
    let native: Option<Vec<_>> = counts()
        .map(|(point, counts)| Some((point, counts, Native::of(counts)?)))
        .collect();
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    match native {
        Some(native) => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: native
                .into_iter()
                .map(|(point, counts, native)| exponential(point, counts, native, period))
                .collect(),
            aggregation_temporality,
        }),
        None => Data::Histogram(Histogram {
            data_points: counts()
                .map(|(point, counts)| explicit(point, counts, period))
                .collect(),
            aggregation_temporality,
        }),
    }
}

fn exponential(
    point: &Point,
    counts: &metric::Histogram,
    native: Native<'_>,
    period: &Range<u64>,
) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        attributes: attributes(&point.labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.end,
        count: counts.count,
        sum: Some(counts.sum),
        scale: Native::SCALE,
        zero_count: native.below,
        zero_threshold: native.threshold,
        positive: Some(buckets(native, counts.octaves.1)),
        exemplars: exemplars(counts),
        min: counts.extremes.map(|(least, _)| least),
        max: counts.extremes.map(|(_, greatest)| greatest),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// The counts from the first bucket that holds anything to the last, empty ones between them too.
fn buckets(native: Native<'_>, highest_octave: i32) -> Buckets {
    let above = (highest_octave * Native::OCTAVE + 1, native.above);
    let filled = native.buckets.iter().copied().chain([above]);
    let mut built = Buckets::default();
    let mut next = None;
    for (index, count) in filled.filter(|(_, count)| *count > 0) {
        let gap = index - *next.get_or_insert(index);
        if built.bucket_counts.is_empty() {
            // Prometheus calls a bucket by its upper edge, OTLP by its lower one.
            built.offset = index - 1;
        }
        let empty = usize::try_from(gap).unwrap_or(0);
        built.bucket_counts.extend(std::iter::repeat_n(0, empty));
        built.bucket_counts.push(count);
        next = Some(index + 1);
    }
    built
}

fn explicit(point: &Point, counts: &metric::Histogram, period: &Range<u64>) -> HistogramDataPoint {
    let bounds = counts.classic.iter().map(|(bound, _)| *bound);
    let at_or_below = counts.classic.iter().map(|(_, count)| *count);
    let mut before = 0;
    let bucket_counts = at_or_below.chain([counts.count]).map(|count| {
        let within = count.saturating_sub(before);
        before = count;
        within
    });
    HistogramDataPoint {
        attributes: attributes(&point.labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.end,
        count: counts.count,
        sum: Some(counts.sum),
        bucket_counts: bucket_counts.collect(),
        explicit_bounds: bounds.collect(),
        exemplars: exemplars(counts),
        min: counts.extremes.map(|(least, _)| least),
        max: counts.extremes.map(|(_, greatest)| greatest),
        ..HistogramDataPoint::default()
    }
}

fn exemplars(counts: &metric::Histogram) -> Vec<Exemplar> {
    let exemplar = |exemplar: &metric::Exemplar| Exemplar {
        time_unix_nano: nanos(exemplar.at),
        span_id: exemplar.span_id.to_be_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    };
    counts.exemplars.iter().map(exemplar).collect()
}
