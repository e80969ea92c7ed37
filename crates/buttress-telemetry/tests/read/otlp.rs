//! OTLP, by the messages of `opentelemetry-proto`.

use super::{Labels, Read};
use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, exemplar};
use prost::Message;

pub fn read(bytes: &[u8]) -> BTreeMap<String, Metric> {
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let resources = request.resource_metrics.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics);
    metrics
        .map(|metric| (metric.name.clone(), metric))
        .collect()
}

/// Attributes as labels: the dots are underscores, numbers are text.
pub fn labels(attributes: &[KeyValue]) -> Labels {
    let value = |value: &KeyValue| match value.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let pair = |pair: &KeyValue| (pair.key.replace('.', "_"), value(pair));
    attributes.iter().map(pair).collect()
}

/// The exponential histograms of a metric, with the buckets by their upper edge.
pub fn histograms(metric: &Metric) -> BTreeMap<Labels, Read> {
    let Some(Data::ExponentialHistogram(data)) = &metric.data else {
        panic!("{metric:?}");
    };
    let temporality = AggregationTemporality::Cumulative as i32;
    assert_eq!(data.aggregation_temporality, temporality);
    let points = data.data_points.iter().map(|point| {
        assert_eq!(point.scale, 6);
        let buckets = point.positive.as_ref().unwrap();
        let counts = (buckets.offset + 1..).zip(buckets.bucket_counts.iter().copied());
        let exemplars = point.exemplars.iter().map(|exemplar| {
            let Some(exemplar::Value::AsDouble(value)) = exemplar.value else {
                panic!("{exemplar:?}");
            };
            let trace: [u8; 16] = exemplar.trace_id.clone().try_into().unwrap();
            let trace = format!("{:032x}", u128::from_be_bytes(trace));
            (trace, value, exemplar.time_unix_nano / 1_000_000)
        });
        let read = Read {
            count: point.count,
            sum: point.sum.unwrap(),
            classic: Vec::new(),
            native: counts.filter(|(_, count)| *count > 0).collect(),
            zero: (point.zero_threshold, point.zero_count),
            exemplars: exemplars.collect(),
        };
        (labels(&point.attributes), read)
    });
    points.collect()
}

/// The least and the greatest of each point.
pub fn extremes(metric: &Metric) -> Vec<(Option<f64>, Option<f64>)> {
    let Some(Data::ExponentialHistogram(data)) = &metric.data else {
        panic!("{metric:?}");
    };
    let points = data.data_points.iter();
    points.map(|point| (point.min, point.max)).collect()
}
