//! Pushes of metrics: when they come, and that a collector that is away, or a source that misbehaves, costs a
//! count and a line.
#![cfg(all(feature = "otlp", feature = "protobuf"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs
)]

mod read;
mod support;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Family, Kind, Value};
use buttress_telemetry::{Config, Guard, Metrics, MetricsPush};
use buttress_testing::collector::Collector;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use prost::Message;
use support::{Lines, WATCHDOG};
use tracing::Dispatch;

/// Counts what it is told, and does what it is told when it is asked.
#[derive(Clone, Default)]
struct Source {
    count: Arc<AtomicU64>,
    panics: Arc<AtomicBool>,
    /// Held by who wants it to block.
    gate: Arc<Mutex<()>>,
}

impl Collect for Source {
    fn collect(&self, into: &mut Vec<Family>) {
        assert!(!self.panics.load(Ordering::Relaxed), "as it was told");
        let _open = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let count = Value::Counter(self.count.load(Ordering::Relaxed));
        into.push(Family::new("jobs", Kind::Counter, "Jobs.").with(vec![], count));
    }
}

/// Whatever it has to say is lost.
fn pushing(push: MetricsPush) -> Guard {
    let (_, _, guard) = telling(push);
    guard
}

/// With the subscriber that it tells, which has to be kept.
fn telling(push: MetricsPush) -> (Lines, Dispatch, Guard) {
    let lines = Lines::default();
    let config = Config::new("orders").format(buttress_telemetry::Format::Json);
    let (dispatch, guard) = config.writer(lines.clone()).push(push).build().unwrap();
    (lines, dispatch, guard)
}

fn of(source: &Source) -> Metrics {
    let metrics = Metrics::new();
    metrics.register(Arc::new(source.clone()));
    metrics
}

fn refusing() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn all_is_cumulative_since_one_moment_and_is_of_the_service() {
    let (collector, source) = (Collector::default(), Source::default());
    let address = collector.listen("127.0.0.1:0").await;
    let metrics = of(&source);
    let since = metrics.since();
    let guard = pushing(MetricsPush::new(format!("http://{address}"), metrics));
    for count in [3, 7] {
        source.count.store(count, Ordering::Relaxed);
        assert!(guard.flush(WATCHDOG).await);
    }
    let point = |push: usize| {
        let request = &collector.pushes()[push];
        let metrics = read::otlp::read(&request.encode_to_vec());
        let Some(Data::Sum(sum)) = &metrics["jobs"].data else {
            panic!("{metrics:?}");
        };
        sum.data_points[0].clone()
    };
    let (one, other) = (point(0), point(1));
    let value = |count| Some(number_data_point::Value::AsInt(count));
    assert_eq!((one.value, other.value), (value(3), value(7)));
    let start = u64::try_from(since.as_nanos()).unwrap();
    assert_eq!(
        (one.start_time_unix_nano, other.start_time_unix_nano),
        (start, start)
    );
    assert!(start <= one.time_unix_nano && one.time_unix_nano <= other.time_unix_nano);
    let resource = collector.pushes()[0].resource_metrics[0].resource.clone();
    let resource = format!("{resource:?}");
    assert!(
        resource.contains("service.name") && resource.contains("orders"),
        "{resource}"
    );
    let handle = guard.handle();
    assert_eq!(handle.snapshot().pushes, 2);
}

#[tokio::test]
async fn a_push_comes_at_each_interval_and_a_last_one_at_the_end() {
    let (collector, source, time) = (Collector::default(), Source::default(), ManualClock::new());
    let address = collector.listen("127.0.0.1:0").await;
    let push = MetricsPush::new(format!("http://{address}"), of(&source));
    let push = push.every(Duration::from_secs(15)).clock(time.clock());
    let guard = pushing(push);
    let handle = guard.handle();
    let come = async {
        for pushes in 1..=3 {
            while handle.snapshot().pushes < pushes {
                // Whatever is said before the next sleep begins is not for it.
                time.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(WATCHDOG, come).await.unwrap();
    let before = collector.pushes().len();
    source.count.store(99, Ordering::Relaxed);
    assert!(guard.shutdown(WATCHDOG).await.complete);
    let requests = collector.pushes();
    assert!(requests.len() > before);
    assert!(format!("{:?}", requests.last()).contains("AsInt(99)"));
}

#[tokio::test]
async fn a_change_is_said_once_when_the_collector_goes_and_once_when_it_comes() {
    let (address, source) = (refusing(), Source::default());
    let push = MetricsPush::new(format!("http://{address}"), of(&source));
    let (lines, _dispatch, guard) = telling(push);
    let metrics = Metrics::new();
    metrics.register(Arc::new(guard.handle()));
    for failed in 1..=3 {
        assert!(!guard.flush(WATCHDOG).await);
        let count = format!("buttress_export_failures_total{{exporter=\"metrics\"}} {failed}\n");
        assert!(metrics.render().contains(&count), "{}", metrics.render());
        assert!(!metrics.render().contains("exporter=\"otlp\""));
    }
    assert_eq!(lines.json().len(), 1);
    assert_eq!(lines.json()[0]["level"], "WARN");
    let collector = Collector::default();
    collector.listen(&address).await;
    let back = async {
        while !guard.flush(WATCHDOG).await {}
        assert!(guard.flush(WATCHDOG).await);
    };
    tokio::time::timeout(WATCHDOG, back).await.unwrap();
    assert_eq!(lines.json().len(), 2);
    assert_eq!(lines.json()[1]["level"], "INFO");
}

#[tokio::test]
async fn what_a_collector_rejects_is_a_failure_that_says_why() {
    let collector = Collector::rejecting(2);
    let address = collector.listen("127.0.0.1:0").await;
    let push = MetricsPush::new(format!("http://{address}"), of(&Source::default()));
    let (lines, _dispatch, guard) = telling(push);
    assert!(!guard.flush(WATCHDOG).await);
    assert_eq!(guard.handle().snapshot().pushes_failed, 1);
    assert!(
        lines
            .text()
            .contains("2 data points were rejected: too old")
    );
}

#[tokio::test]
async fn a_source_that_panics_costs_a_push_and_the_next_is_well() {
    let (collector, source) = (Collector::default(), Source::default());
    let address = collector.listen("127.0.0.1:0").await;
    let guard = pushing(MetricsPush::new(format!("http://{address}"), of(&source)));
    source.panics.store(true, Ordering::Relaxed);
    assert!(!guard.flush(WATCHDOG).await);
    source.panics.store(false, Ordering::Relaxed);
    assert!(guard.flush(WATCHDOG).await);
    let now = guard.handle().snapshot();
    assert_eq!((now.pushes, now.pushes_failed), (1, 1));
}

/// Shuts down what pushes to `address`, on every kind of runtime, and sees that it ends.
fn ends(address: &str, source: &Source) {
    use tokio::runtime::Builder;
    let bound = Duration::from_millis(500);
    for workers in [0, 1, 2] {
        let mut builder = match workers {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(workers.max(1)).enable_all().build();
        let push = MetricsPush::new(format!("http://{address}"), of(source));
        let guard = pushing(push.timeout(WATCHDOG));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = runtime.unwrap();
            let report = match workers {
                0 => runtime.block_on(guard.shutdown(bound)),
                _ => runtime
                    .block_on(runtime.spawn(guard.shutdown(bound)))
                    .unwrap(),
            };
            tell.send(report.complete).unwrap();
        });
        assert_eq!(told.recv_timeout(WATCHDOG), Ok(false));
    }
}

#[test]
fn a_collector_that_never_answers_does_not_keep_the_service_from_ending() {
    // Accepts, by the backlog, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ends(
        &silent.local_addr().unwrap().to_string(),
        &Source::default(),
    );
}

#[test]
fn a_collector_that_refuses_does_not_keep_the_service_from_ending() {
    ends(&refusing(), &Source::default());
}

#[test]
fn a_source_that_never_answers_does_not_keep_the_service_from_ending() {
    let source = Source::default();
    let _held = source.gate.lock().unwrap();
    ends(&refusing(), &source);
}

#[test]
fn many_series_are_pushed_in_requests_that_a_collector_takes() {
    struct Wide;
    impl Collect for Wide {
        fn collect(&self, into: &mut Vec<Family>) {
            for name in ["a", "b", "c", "d"] {
                let mut family = Family::new(name, Kind::Counter, "Wide.");
                for nth in 0..12_000_u64 {
                    let labels = vec![("route", Cow::Owned(format!("/{nth:040}")))];
                    family.push(labels, Value::Counter(nth));
                }
                into.push(family);
            }
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let collector = Collector::default();
    let address = runtime.block_on(collector.listen("127.0.0.1:0"));
    let metrics = Metrics::new();
    metrics.register(Arc::new(Wide));
    let guard = pushing(MetricsPush::new(format!("http://{address}"), metrics));
    assert!(runtime.block_on(guard.flush(WATCHDOG)));
    let requests = collector.pushes();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.encoded_len() < 4 << 20)
    );
}

#[test]
fn an_endpoint_that_makes_no_sense_is_refused() {
    for endpoint in ["", "collector", "https://collector:4317"] {
        let push = MetricsPush::new(endpoint, Metrics::new());
        assert!(
            Config::new("orders").push(push).build().is_err(),
            "{endpoint:?}"
        );
    }
}
