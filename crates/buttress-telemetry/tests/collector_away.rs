//! A collector that is away costs nothing: requests pass, losses are counted, shutdown ends.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use buttress_telemetry::{Config, Format, Guard, Metrics, ServerSpanLayer};
use buttress_testing::collector::Collector;
use http::{Request, Response};
use http_body_util::Empty;
use support::{Lines, WATCHDOG};
use tower::{Layer, ServiceExt, service_fn};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

type Body = Empty<bytes::Bytes>;

async fn answer(_: Request<()>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::new()))
}

fn telemetry(endpoint: &str) -> (Lines, Dispatch, Guard) {
    let lines = Lines::default();
    let (dispatch, guard) = Config::new("test")
        .format(Format::Json)
        .filter("trace")
        .writer(lines.clone())
        .otlp(endpoint)
        .export_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    (lines, dispatch, guard)
}

async fn requests(count: usize) {
    let service = ServerSpanLayer::new().layer(service_fn(answer));
    for _ in 0..count {
        let response = service.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// Lines about the collector, whatever else `trace` lets through.
fn changes(lines: &Lines) -> Vec<serde_json::Value> {
    let ours = |line: &serde_json::Value| line["target"] == "buttress::telemetry";
    lines.json().into_iter().filter(ours).collect()
}

/// An address that refuses: bound once, and free again.
fn refusing() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Serves requests with a collector at `address` that takes none, shuts down, and looks at what was said.
async fn session(address: String) {
    let (lines, dispatch, guard) = telemetry(&format!("http://{address}"));
    let handle = guard.handle();
    requests(5_000).with_subscriber(dispatch).await;
    let report = guard.shutdown(Duration::from_secs(1)).await;
    assert_eq!(report.spans_lost, 5_000, "{:?}", handle.snapshot());
    let opened = changes(&lines);
    assert!(opened.len() <= 1, "{opened:?}");
}

async fn live() {
    let collector = Collector::default();
    let address = collector.listen("127.0.0.1:0").await;
    let (lines, dispatch, guard) = telemetry(&format!("http://{address}"));
    requests(100).with_subscriber(dispatch).await;
    let report = guard.shutdown(Duration::from_secs(30)).await;
    assert!(report.complete, "{report:?}");
    assert_eq!(report.spans_lost, 0);
    assert_eq!(collector.spans().len(), 100);
    assert!(changes(&lines).is_empty());
}

async fn refused() {
    session(refusing()).await;
}

async fn black_hole() {
    // Accepts, by the backlog, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    session(silent.local_addr().unwrap().to_string()).await;
}

fn on_the_current_thread(work: impl Future<Output = ()> + Send + 'static) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(work);
}

fn on_workers(count: usize, work: impl Future<Output = ()> + Send + 'static) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(count).enable_all().build().unwrap();
    // As a task: with one worker there is nobody else to do anything meanwhile.
    runtime.block_on(runtime.spawn(work)).unwrap();
}

fn on_one_worker(work: impl Future<Output = ()> + Send + 'static) {
    on_workers(1, work);
}

fn on_two_workers(work: impl Future<Output = ()> + Send + 'static) {
    on_workers(2, work);
}

/// Fails if `work` does not end: whatever hangs, this thread does not.
fn watched(work: impl FnOnce() + Send + 'static) {
    let (tell, ended) = mpsc::channel();
    let working = thread::spawn(move || {
        work();
        let _ = tell.send(());
    });
    let waited = ended.recv_timeout(WATCHDOG);
    assert_ne!(waited, Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    working.join().unwrap();
}

macro_rules! shutdowns {
    ($($name:ident: $runtime:ident, $collector:ident;)*) => {$(
        #[test]
        fn $name() {
            watched(|| $runtime($collector()));
        }
    )*};
}

shutdowns! {
    a_live_collector_gets_all_from_the_current_thread: on_the_current_thread, live;
    a_live_collector_gets_all_from_one_worker: on_one_worker, live;
    a_live_collector_gets_all_from_two_workers: on_two_workers, live;
    a_collector_that_refuses_holds_up_no_current_thread: on_the_current_thread, refused;
    a_collector_that_refuses_holds_up_no_single_worker: on_one_worker, refused;
    a_collector_that_refuses_holds_up_no_two_workers: on_two_workers, refused;
    a_black_hole_holds_up_no_current_thread: on_the_current_thread, black_hole;
    a_black_hole_holds_up_no_single_worker: on_one_worker, black_hole;
    a_black_hole_holds_up_no_two_workers: on_two_workers, black_hole;
}

#[tokio::test]
async fn a_change_is_said_once_when_the_collector_goes_and_once_when_it_comes() {
    let address = refusing();
    let (lines, dispatch, guard) = telemetry(&format!("http://{address}"));
    let handle = guard.handle();
    let metrics = Metrics::new();
    metrics.register(std::sync::Arc::new(guard.handle()));
    let page = metrics.render();
    assert!(
        page.contains("buttress_export_failures_total{exporter=\"otlp\"} 0"),
        "{page}"
    );
    let collector = Collector::default();
    let work = async {
        for round in 1..=2 {
            requests(3).await;
            guard.flush(WATCHDOG).await;
            assert_eq!(handle.snapshot().spans_lost, 3 * round);
        }
        assert_eq!(changes(&lines).len(), 1);
        assert_eq!(changes(&lines)[0]["level"], "WARN");
        collector.listen(&address).await;
        // The connection has to be made again first; what comes before that is lost.
        while changes(&lines).len() < 2 {
            requests(1).await;
            guard.flush(WATCHDOG).await;
        }
        assert_eq!(changes(&lines)[1]["level"], "INFO");
        assert!(!collector.spans().is_empty());
    };
    tokio::time::timeout(WATCHDOG, work.with_subscriber(dispatch))
        .await
        .unwrap();
    assert!(!metrics.render().contains("exporter=\"otlp\"} 0"));
}

#[tokio::test]
async fn dropping_the_guard_blocks_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_, dispatch, guard) = telemetry(&format!("http://{}", silent.local_addr().unwrap()));
    requests(3).with_subscriber(dispatch).await;
    drop(guard);
}

#[test]
fn telemetry_can_be_built_before_there_is_any_runtime() {
    let (_, dispatch, guard) = telemetry("http://127.0.0.1:1");
    drop((dispatch, guard));
}
