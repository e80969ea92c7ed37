//! What is pushed is what the page shows.
#![cfg(all(feature = "otlp", feature = "protobuf"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs
)]

mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Family, Kind, Value};
use buttress_correlation::CorrelationLayer;
use buttress_latency::{LatencyHandle, LatencyLayer};
use buttress_telemetry::exposition::Format;
use buttress_telemetry::{Config, Metrics, MetricsPush};
use buttress_testing::collector::Collector;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use prost::Message;
use tower::{Layer, ServiceExt};

use read::{Labels, Read};

/// Longer than a push takes: what comes later hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Rooms that have counted something, of every kind.
async fn rooms() -> Metrics {
    let time = ManualClock::new();
    let latency = buttress_latency::Config::new().clock(time.clock());
    let handle = LatencyHandle::new(latency.response_body_sizes(true)).unwrap();
    let correlation = CorrelationLayer::default();
    for nth in 0..40_u32 {
        let (time, length) = (time.clone(), usize::try_from(nth).unwrap() * 97);
        let timed = LatencyLayer::new(handle.clone()).route(["/a", "/b"][length % 2]);
        let service = timed.layer(tower::service_fn(move |_: Request<()>| {
            time.advance(Duration::from_micros(u64::from(nth).pow(4)));
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(
                bytes::Bytes::from(vec![0; length]),
            ))))
        }));
        let service = correlation.layer(service);
        let response = service.oneshot(Request::new(())).await.unwrap();
        http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap();
    }
    let metrics = Metrics::new();
    metrics.register(Arc::new(handle));
    metrics.register(Arc::new(correlation.handle()));
    metrics.register(Arc::new(Odd));
    metrics
}

struct Odd;

impl Collect for Odd {
    fn collect(&self, into: &mut Vec<Family>) {
        let state = |current| Value::State {
            label: "state",
            states: &["closed", "open"],
            current,
        };
        let of = |name: &'static str| vec![("breaker", Cow::Borrowed(name))];
        into.push(
            Family::new("breaker_state", Kind::StateSet, "State.")
                .with(of("a"), state(0))
                .with(of("b"), state(1)),
        );
        let time = Value::Time(Duration::from_millis(1_250));
        into.push(Family::new("busy_seconds", Kind::Counter, "Busy.").with(vec![], time));
    }
}

/// What Prometheus calls a metric that OpenTelemetry calls so.
fn page_name(metric: &Metric) -> String {
    let unit = match &*metric.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" => "_ratio",
        _ => "",
    };
    let total = match &metric.data {
        Some(Data::Sum(sum)) if sum.is_monotonic => "_total",
        _ => "",
    };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

type Numbers = BTreeMap<(String, Labels), f64>;
type Histograms = BTreeMap<(String, Labels), Read>;

fn pushed(collector: &Collector) -> (Numbers, Histograms) {
    let (mut numbers, mut histograms) = (Numbers::new(), Histograms::new());
    for metric in read::otlp::read(&collector.pushes().last().unwrap().encode_to_vec()).values() {
        let name = page_name(metric);
        let points = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 2, "cumulative");
                &sum.data_points
            }
            Data::Gauge(gauge) => &gauge.data_points,
            Data::ExponentialHistogram(_) => {
                for (labels, read) in read::otlp::histograms(metric) {
                    histograms.insert((name.clone(), labels), read);
                }
                continue;
            }
            other => panic!("{other:?}"),
        };
        for point in points {
            let value = match point.value.unwrap() {
                number_data_point::Value::AsInt(count) => count as f64,
                number_data_point::Value::AsDouble(value) => value,
            };
            let labels = read::otlp::labels(&point.attributes);
            numbers.insert((name.clone(), labels), value);
        }
    }
    (numbers, histograms)
}

fn shown(metrics: &Metrics) -> (Numbers, Histograms) {
    let (mut numbers, mut histograms) = (Numbers::new(), Histograms::new());
    let page = Format::Protobuf.encode(&metrics.collect());
    for family in read::protobuf::read(&page).unwrap() {
        for (labels, value) in family.numbers {
            let labels = labels.into_iter().collect();
            numbers.insert((family.name.clone(), labels), value);
        }
        for (labels, read) in family.histograms {
            histograms.insert((family.name.clone(), labels), read);
        }
    }
    (numbers, histograms)
}

#[tokio::test]
async fn a_push_agrees_with_the_page_to_the_integer() {
    let (collector, metrics) = (Collector::default(), rooms().await);
    let address = collector.listen("127.0.0.1:0").await;
    let push = MetricsPush::new(format!("http://{address}"), metrics.clone());
    let config = Config::new("orders").writer(std::io::sink);
    let (_, guard) = config.push(push).build().unwrap();
    assert!(guard.flush(WATCHDOG).await);
    let (of_push, of_page) = (pushed(&collector), shown(&metrics));
    assert_eq!(of_push.0, of_page.0);
    assert!(of_page.0.len() > 20, "{:?}", of_page.0);
    let integers = |of: &Read| (of.count, of.native.clone(), of.zero, of.sum.to_bits());
    let integers = |all: &Histograms| -> Vec<_> {
        let all = all.iter();
        all.map(|(of, read)| (of.clone(), integers(read))).collect()
    };
    assert_eq!(integers(&of_push.1), integers(&of_page.1));
    assert!(of_page.1.len() >= 4, "{:?}", of_page.1);
}
