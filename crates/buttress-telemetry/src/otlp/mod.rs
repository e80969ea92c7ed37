//! Metrics in the form of OTLP, as bytes: for a collector, a file, or another replica.
//!
//! What the OpenTelemetry conventions name has their name, unit and attributes
//! (`http.server.request.duration`, `s`, `http.response.status_code`); a metric of buttress' own
//! keeps its name without the unit, which stands beside it. All is cumulative. A histogram is an
//! `ExponentialHistogram` of scale 6 from the very integers of the
//! [Prometheus page](crate::exposition), or a classic one where it has no such buckets.

mod histogram;
mod names;

use std::ops::Range;
use std::time::Duration;

use buttress_core::metric::{Family, Kind, Label, Point};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    metric::Data, number_data_point,
};
pub(crate) use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::exposition::{Merged, Number, Sample, merge, samples};

/// How many bytes of metrics are pushed at once: a collector takes 4 MiB.
const BATCH: usize = 1 << 20;

/// Writes `families` as an `ExportMetricsServiceRequest` of the service called `service_name`; as
/// bytes it is a `MetricsData` too.
///
/// `period` is what has been counted: from when the first of the families began to when they were
/// collected, both since the Unix epoch. Families of one name become one, and what cannot be is left
/// out, as on the [Prometheus page](crate::exposition).
///
/// What is above all buckets of a histogram is in the one after them, of which only the lower bound
/// holds: the form has no infinite one.
pub fn encode(families: &[Family], service_name: &str, period: Range<Duration>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![text("service.name", service_name)],
        ..Resource::default()
    };
    request(&resource, metrics(families, &period)).encode_to_vec()
}

/// The requests that push `families`: of whole metrics, and as few as keep within what collectors take.
pub(crate) fn requests(
    families: &[Family],
    resource: &Resource,
    period: &Range<Duration>,
) -> Vec<ExportMetricsServiceRequest> {
    let mut requests = Vec::new();
    let (mut batch, mut size) = (Vec::new(), 0);
    for metric in metrics(families, period) {
        let more = metric.encoded_len();
        if !batch.is_empty() && size + more > BATCH {
            requests.push(request(resource, std::mem::take(&mut batch)));
            size = 0;
        }
        size += more;
        batch.push(metric);
    }
    if !batch.is_empty() {
        requests.push(request(resource, batch));
    }
    requests
}

/// What the SDK says of the process.
pub(crate) fn resource(of: &opentelemetry_sdk::Resource) -> Resource {
    let attributes = of.iter().map(|(key, value)| KeyValue {
        key: key.to_string(),
        value: Some(value.clone().into()),
        ..KeyValue::default()
    });
    Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    }
}

fn metrics(families: &[Family], period: &Range<Duration>) -> Vec<Metric> {
    let period = nanos(period.start)..nanos(period.end);
    merge(families)
        .iter()
        .filter(|family| !family.points.is_empty())
        .map(|family| metric(family, &period))
        .collect()
}

fn request(resource: &Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: "buttress".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let of_resource = ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope),
            metrics,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![of_resource],
    }
}

fn metric(family: &Merged<'_>, period: &Range<u64>) -> Metric {
    let called = names::of(family);
    let numbers = || {
        let points = family.points.iter();
        points
            .flat_map(|point| numbers(family.kind, point, period))
            .collect()
    };
    let data = match family.kind {
        Kind::Histogram => histogram::data(&family.points, period),
        Kind::Counter => Data::Sum(sum(numbers(), true)),
        Kind::UpDown => Data::Sum(sum(numbers(), false)),
        _ => Data::Gauge(Gauge {
            data_points: numbers(),
        }),
    };
    Metric {
        name: called.name.to_owned(),
        description: family.help.to_owned(),
        unit: called.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn sum(data_points: Vec<NumberDataPoint>, is_monotonic: bool) -> Sum {
    Sum {
        data_points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic,
    }
}

/// One data point for each number of a point.
fn numbers(kind: Kind, point: &Point, period: &Range<u64>) -> Vec<NumberDataPoint> {
    let number = |sample: Sample| {
        let mut attributes = attributes(&point.labels);
        attributes.extend(sample.state.map(|(label, state)| text(label, state)));
        NumberDataPoint {
            attributes,
            start_time_unix_nano: period.start,
            time_unix_nano: period.end,
            value: Some(value(sample.number)),
            ..NumberDataPoint::default()
        }
    };
    let samples = samples(kind, &point.value);
    samples.into_iter().map(number).collect()
}

fn value(number: Number) -> number_data_point::Value {
    match number {
        Number::Integer(count) => {
            number_data_point::Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))
        }
        Number::Real(real) => number_data_point::Value::AsDouble(real),
    }
}

fn attributes(labels: &[Label]) -> Vec<KeyValue> {
    let attribute = |(name, value): &Label| {
        let (name, is_integer) = names::attribute(name);
        match value.parse() {
            Ok(number) if is_integer => key_value(name, any_value::Value::IntValue(number)),
            _ => text(name, value),
        }
    };
    labels.iter().map(attribute).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, any_value::Value::StringValue(value.to_owned()))
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
