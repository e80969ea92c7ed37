//! Requests whose spans reach a collector on a real socket.

use std::convert::Infallible;
use std::time::Duration;

use buttress_correlation::{CorrelationLayer, PropagateLayer, Trust};
use buttress_telemetry::{
    Config, Format, Guard, ServerSpanLayer, TracePropagateLayer, record_route,
};
use buttress_testing::collector::Collector;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tower::{Service, ServiceBuilder};
use tracing::instrument::WithSubscriber;

use super::{Lines, WATCHDOG};

pub(crate) type Body = Full<bytes::Bytes>;

pub(crate) struct Rig {
    pub(crate) collector: Collector,
    pub(crate) lines: Lines,
    pub(crate) dispatch: tracing::Dispatch,
    pub(crate) guard: Guard,
}

pub(crate) async fn rig() -> Rig {
    rig_with(|config| config).await
}

pub(crate) async fn rig_with(adapt: impl FnOnce(Config) -> Config) -> Rig {
    let (collector, lines) = (Collector::default(), Lines::default());
    let endpoint = format!("http://{}", collector.listen("127.0.0.1:0").await);
    let config = Config::new("orders")
        .format(Format::Json)
        .writer(lines.clone());
    let (dispatch, guard) = adapt(config.otlp(endpoint)).build().unwrap();
    Rig {
        collector,
        lines,
        dispatch,
        guard,
    }
}

impl Rig {
    /// Runs `work` and gives the spans that reached the collector.
    pub(crate) async fn run<T>(
        self,
        work: impl Future<Output = T>,
    ) -> (Vec<Span>, Collector, Lines) {
        drop(work.with_subscriber(self.dispatch).await);
        let shutdown = self.guard.shutdown(Duration::from_secs(30));
        let report = tokio::time::timeout(WATCHDOG, shutdown).await.unwrap();
        assert!(report.complete, "{report:?}");
        assert_eq!(report.spans_lost, 0);
        (self.collector.spans(), self.collector, self.lines)
    }
}

pub(crate) async fn answer(request: Request<()>) -> Result<Response<Body>, Infallible> {
    record_route("/orders/{id}");
    tracing::info!("answering");
    let status: u16 = request
        .uri()
        .path()
        .trim_start_matches("/orders/")
        .parse()
        .unwrap_or(200);
    Ok(Response::builder()
        .status(status)
        .body(Body::from("body"))
        .unwrap())
}

/// The whole way: gateway's server span, its client span, the upstream's server span.
pub(crate) fn two_services(
    trust: Trust,
) -> impl Service<Request<()>, Response = Response<impl http_body::Body>, Error = Infallible> {
    ServiceBuilder::new()
        .layer(CorrelationLayer::default())
        .layer(ServerSpanLayer::new().trust(trust))
        .layer(PropagateLayer::new())
        .layer(TracePropagateLayer::new())
        .layer(ServerSpanLayer::new().trust(Trust::Internal))
        .service_fn(answer)
}

pub(crate) fn kind(span: &Span) -> SpanKind {
    SpanKind::try_from(span.kind).unwrap()
}

pub(crate) fn find(spans: &[Span], kind_wanted: SpanKind, parent: &[u8]) -> Span {
    let mut found = spans
        .iter()
        .filter(|span| kind(span) == kind_wanted && span.parent_span_id == parent);
    let span = found.next().cloned().unwrap();
    assert!(found.next().is_none());
    span
}
