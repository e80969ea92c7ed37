//! Prometheus' protobuf, each family behind its length: the only form that carries native histograms.

mod model;
mod native;

use buttress_core::metric::{self, Family, Kind, Point, Value};
use prost::Message;

use super::Native;
use super::classic::buckets;
use super::merged::{Merged, merge, pairs};
use super::sample::{Number, Sample, samples};
use model::{
    Bucket, Counter, Exemplar, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
    Timestamp,
};

pub(super) fn encode(families: &[Family]) -> Vec<u8> {
    let mut page = Vec::new();
    for family in merge(families) {
        let family = message(&family);
        // One without metrics says nothing, and some readers refuse it.
        if !family.metric.is_empty() {
            page.extend(family.encode_length_delimited_to_vec());
        }
    }
    page
}

fn message(family: &Merged<'_>) -> MetricFamily {
    let of_type = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Histogram => MetricType::Histogram,
        _ => MetricType::Gauge,
    };
    let points = family.points.iter();
    MetricFamily {
        name: format!("{}{}", family.name, family.suffix()),
        help: family.help.to_owned(),
        r#type: of_type.into(),
        metric: points
            .flat_map(|point| metrics(family.kind, point))
            .collect(),
    }
}

/// One metric for each number of a point.
fn metrics(kind: Kind, point: &Point) -> Vec<Metric> {
    if let (Kind::Histogram, Value::Histogram(counts)) = (kind, &point.value) {
        return vec![Metric {
            label: labels(pairs(&point.labels)),
            histogram: Some(histogram(counts)),
            ..Metric::default()
        }];
    }
    let metric = |sample: Sample| {
        let value = match sample.number {
            Number::Integer(integer) => integer as f64,
            Number::Real(real) => real,
        };
        Metric {
            label: labels(pairs(&point.labels).chain(sample.state)),
            counter: (kind == Kind::Counter).then_some(Counter { value }),
            gauge: (kind != Kind::Counter).then_some(Gauge { value }),
            ..Metric::default()
        }
    };
    samples(kind, &point.value)
        .into_iter()
        .map(metric)
        .collect()
}

fn histogram(counts: &metric::Histogram) -> Histogram {
    let classic = Histogram {
        sample_count: counts.count,
        sample_sum: counts.sum,
        bucket: buckets(counts)
            .map(|bucket| Bucket {
                cumulative_count: bucket.count,
                upper_bound: bucket.bound,
                exemplar: bucket.exemplar.map(exemplar),
            })
            .collect(),
        ..Histogram::default()
    };
    match Native::of(counts) {
        Some(native) => Histogram {
            exemplars: counts.exemplars.iter().map(exemplar).collect(),
            ..native::add(classic, native)
        },
        None => classic,
    }
}

fn exemplar(exemplar: &metric::Exemplar) -> Exemplar {
    let ids = [
        ("trace_id", format!("{:032x}", exemplar.trace_id)),
        ("span_id", format!("{:016x}", exemplar.span_id)),
    ];
    Exemplar {
        label: labels(ids.iter().map(|(name, id)| (*name, id.as_str()))),
        value: exemplar.value,
        timestamp: Some(Timestamp {
            seconds: i64::try_from(exemplar.at.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(exemplar.at.subsec_nanos()).unwrap_or(0),
        }),
    }
}

fn labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    labels.map(pair).collect()
}
