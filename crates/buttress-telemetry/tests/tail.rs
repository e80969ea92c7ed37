//! What the head sampler said no to is kept once it shows an error or is slow, and nothing else is.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use buttress_telemetry::{
    Config, Guard, ServerSpanLayer, Tail, TelemetrySnapshot, TracePropagateLayer,
};
use buttress_testing::collector::{Collector, attribute};
use http::{Request, Response};
use http_body_util::Empty;
use opentelemetry_proto::tonic::trace::v1::Span;
use support::{Lines, WATCHDOG};
use tower::{ServiceBuilder, ServiceExt};
use tracing::instrument::WithSubscriber;

type Body = Empty<bytes::Bytes>;

/// Sends a request to each of these paths, which are statuses, through a service that asks another, and
/// gives what was exported.
async fn served(
    adapt: impl FnOnce(Config) -> Config,
    paths: &[&str],
) -> (Vec<Span>, TelemetrySnapshot) {
    let collector = Collector::default();
    let endpoint = format!("http://{}", collector.listen("127.0.0.1:0").await);
    let config = Config::new("test").writer(Lines::default()).otlp(endpoint);
    let (dispatch, guard) = adapt(config.sample_ratio(0.0)).build().unwrap();
    let work = async {
        for path in paths {
            let service = ServiceBuilder::new()
                .layer(ServerSpanLayer::new())
                .layer(TracePropagateLayer::new())
                .service_fn(|request: Request<()>| async move {
                    let status = request.uri().path().trim_start_matches('/');
                    let status: u16 = status.parse().unwrap();
                    let answer = Response::builder().status(status);
                    Ok::<_, Infallible>(answer.body(Body::new()).unwrap())
                });
            let request = Request::builder().uri(*path).body(()).unwrap();
            drop(service.oneshot(request).await.unwrap());
        }
    };
    work.with_subscriber(dispatch).await;
    let snapshot = end(guard).await;
    (collector.spans(), snapshot)
}

async fn end(guard: Guard) -> TelemetrySnapshot {
    let handle = guard.handle();
    let report = tokio::time::timeout(WATCHDOG, guard.shutdown(WATCHDOG)).await;
    assert!(report.unwrap().complete);
    handle.snapshot()
}

fn errors_alone(config: Config) -> Config {
    config.tail(Tail::new().slow_after(None))
}

#[tokio::test]
async fn a_failed_request_is_kept_whole_and_others_are_not() {
    let (spans, counted) = served(errors_alone, &["/200", "/503", "/204"]).await;
    assert_eq!(spans.len(), 2, "server and client: {spans:?}");
    for span in &spans {
        assert_eq!(attribute(span, "error.type").unwrap(), "503");
        assert_eq!(span.trace_id, spans[0].trace_id);
    }
    assert_eq!(
        (
            counted.tail_kept,
            counted.tail_dropped,
            counted.tail_evicted
        ),
        (2, 4, 0)
    );
    assert_eq!((counted.spans_exported, counted.spans_lost), (2, 0));
}

#[tokio::test]
async fn a_slow_request_is_kept() {
    // Every request takes as long as nothing at all.
    let slow = |config: Config| config.tail(Tail::new().slow_after(Duration::ZERO));
    let (spans, _) = served(slow, &["/200"]).await;
    assert_eq!(spans.len(), 2);
}

#[tokio::test]
async fn it_is_off_unless_it_is_asked_for() {
    let (spans, counted) = served(|config| config, &["/503"]).await;
    assert!(spans.is_empty());
    assert_eq!(counted, TelemetrySnapshot::default());
}
