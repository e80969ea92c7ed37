//! What the configuration says of a push of metrics happens: a collector is told the integers of the page.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

mod support;

use std::collections::BTreeMap;

use buttress_testing::collector::Collector;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use support::process::Process;
use support::{Upstream, exchange};

const GET: &str = "GET /orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Values by the name of their series, as `name{a="b",c="d"}`.
type Series = BTreeMap<String, f64>;

fn series(name: &str, mut labels: Vec<String>) -> String {
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

/// The series of a page in Prometheus' text form; no value of a label here has a comma.
fn shown(page: &str) -> Series {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    let read = samples.filter_map(|(of, value)| {
        let (name, labels) = of.split_once('{').unwrap_or((of, "}"));
        let labels = labels.strip_suffix('}')?.split_terminator(',');
        let of = series(name, labels.map(str::to_owned).collect());
        Some((of, value.parse().ok()?))
    });
    read.collect()
}

/// The series of the last push; of histograms their counts.
fn pushed(collector: &Collector) -> Series {
    let last = collector.pushes().pop().unwrap();
    let resources = last.resource_metrics.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics);
    metrics.flat_map(|metric| points(&metric)).collect()
}

fn points(metric: &Metric) -> Vec<(String, f64)> {
    let name = metric.name.replace('.', "_");
    let (numbers, name) = match metric.data.as_ref().unwrap() {
        Data::Sum(sum) if sum.is_monotonic => (&sum.data_points, name + "_total"),
        Data::Sum(sum) => (&sum.data_points, name),
        Data::Gauge(gauge) => (&gauge.data_points, name),
        Data::ExponentialHistogram(all) => {
            let name = name + "_seconds_count";
            let all = all.data_points.iter();
            return all
                .map(|it| (series(&name, labels(&it.attributes)), it.count as f64))
                .collect();
        }
        other => panic!("{other:?}"),
    };
    let value = |value| match value {
        Some(number_data_point::Value::AsInt(count)) => count as f64,
        Some(number_data_point::Value::AsDouble(value)) => value,
        None => panic!("{name} has no value"),
    };
    numbers
        .iter()
        .map(|it| (series(&name, labels(&it.attributes)), value(it.value)))
        .collect()
}

fn labels(attributes: &[KeyValue]) -> Vec<String> {
    let label = |pair: &KeyValue| {
        let value = match pair.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        format!("{}=\"{value}\"", pair.key.replace('.', "_"))
    };
    attributes.iter().map(label).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_collector_is_pushed_the_integers_that_the_page_shows() {
    let collector = Collector::default();
    let address = collector.listen("127.0.0.1:0").await;
    let push = format!("[metrics]\notlp_endpoint = \"http://{address}\"\npush_every = \"1h\"\n");
    let upstream = Upstream::well().await;
    let mut process = Process::serving("push.toml", upstream.address, &push).await;
    for request in [GET, GET, POST, GET, POST] {
        let answer = exchange(process.proxy, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let page = shown(&process.page("/metrics").await);
    // The one push goes out at the end.
    process.signal("TERM");
    process.ends_well().await;
    let pushed = pushed(&collector);

    let counted: f64 = pushed
        .iter()
        .filter(|(name, _)| name.starts_with("http_server_request_duration_seconds_count{"))
        .map(|(_, count)| count)
        .sum();
    assert!((counted - 5.0).abs() < f64::EPSILON, "{pushed:#?}");
    // What else there is moves by itself, or is moved by the push.
    let rooms = [
        "buttress_breaker_",
        "buttress_correlation_",
        "buttress_endpoint_",
        "http_",
    ];
    let of_a_room = |name: &str| rooms.iter().any(|room| name.starts_with(room));
    let pushed: Series = pushed
        .into_iter()
        .filter(|(name, _)| of_a_room(name))
        .collect();
    assert!(pushed.len() > 20, "{pushed:#?}");
    for (name, value) in pushed {
        assert_eq!(page.get(&name), Some(&value), "{name}");
    }
}
