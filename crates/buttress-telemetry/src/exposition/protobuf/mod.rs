//! Prometheus' protobuf, each family behind its length: the only form that carries native histograms.

mod model;
mod native;

use buttress_core::metric::{self, Family, Kind, Point, Value};
use prost::Message;

use super::Native;
use super::classic::buckets;
use super::merged::{Merged, merge, pairs};
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

/// One metric for a point, of a state set one for each state; none for a point of another kind.
fn metrics(kind: Kind, point: &Point) -> Vec<Metric> {
    let with_labels = || Metric {
        label: labels(pairs(&point.labels)),
        ..Metric::default()
    };
    let gauge = |value| Some(Gauge { value });
    match (kind, &point.value) {
        (Kind::Counter, Value::Counter(count)) => vec![Metric {
            counter: Some(Counter {
                value: *count as f64,
            }),
            ..with_labels()
        }],
        (Kind::Gauge, Value::Gauge(value)) => vec![Metric {
            gauge: gauge(*value),
            ..with_labels()
        }],
        (
            Kind::StateSet,
            Value::State {
                label,
                states,
                current,
            },
        ) => {
            let states = states.iter().enumerate();
            let metric = |(index, state): (usize, &&str)| Metric {
                label: labels(pairs(&point.labels).chain([(*label, *state)])),
                gauge: gauge(f64::from(u8::from(index == *current))),
                ..Metric::default()
            };
            states.map(metric).collect()
        }
        (Kind::Histogram, Value::Histogram(counts)) => vec![Metric {
            histogram: Some(histogram(counts)),
            ..with_labels()
        }],
        _ => Vec::new(),
    }
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
