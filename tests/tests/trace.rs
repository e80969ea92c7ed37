//! A request through the gateway is one trace, and every line of it carries the ID.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::telemetry::{Config, Format};
use buttress_testing::{Behaviour, FakeUpstream, body};
use buttress_tests::{Lines, Stand};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

const PATIENCE: Duration = Duration::from_secs(20);

/// Takes spans over OTLP/gRPC and keeps them.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        self.0
            .lock()
            .unwrap()
            .extend(scopes.flat_map(|scope| scope.spans));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bound = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        bound
    }

    fn of_kind(&self, kind: SpanKind) -> Span {
        let spans = self.0.lock().unwrap();
        let mut found = spans.iter().filter(|span| span.kind == i32::from(kind));
        let only = found.next().unwrap().clone();
        assert!(
            found.next().is_none(),
            "more than one {kind:?} span: {spans:?}"
        );
        only
    }
}

/// The attribute `key` of `span`, as text.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let mut all = span.attributes.iter();
    let found = all.find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_through_the_gateway_is_one_trace_that_its_log_lines_name() {
    let (collector, lines) = (Collector::default(), Lines::default());
    let writer = lines.clone();
    let config = Config::new("gateway")
        .format(Format::Json)
        .writer(move || writer.clone())
        .otlp(format!("http://{}", collector.listen().await));
    let guard = buttress::telemetry::init(config).unwrap();

    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let upstream = FakeUpstream::with(Behaviour::handler(move |request| {
        let parent = request.headers()["traceparent"]
            .to_str()
            .unwrap()
            .to_owned();
        *note.lock().unwrap() = Some(parent);
        async { Response::new(body(Full::new(Bytes::from_static(b"ok")))) }
    }));
    let upstream = upstream.await;
    let routes = Stand::one_route(&[upstream.addr()], "", "");
    let stand = Stand::usual(&format!("[log]\naccess_log = true\n{routes}")).await;
    let answer = stand.client().get("/orders?secret=canary").await;
    assert!(guard.flush(PATIENCE).await);

    let (server, client) = (
        collector.of_kind(SpanKind::Server),
        collector.of_kind(SpanKind::Client),
    );
    assert!(
        server.parent_span_id.is_empty(),
        "at an edge the trace starts here"
    );
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(client.trace_id, server.trace_id);
    assert_eq!(server.name, "GET all");
    let endpoint = upstream.addr().to_string();
    for span in [&server, &client] {
        assert_eq!(attribute(span, "buttress.pool").unwrap(), "pool");
        assert_eq!(attribute(span, "buttress.endpoint").unwrap(), endpoint);
        assert_eq!(attribute(span, "buttress.outcome").unwrap(), "success");
    }
    assert_eq!(attribute(&server, "buttress.breaker").unwrap(), "all");
    assert_eq!(
        attribute(&server, "buttress.admission").unwrap(),
        "ordinary"
    );
    let port = upstream.addr().port().to_string();
    assert_eq!(attribute(&client, "server.address").unwrap(), "127.0.0.1");
    assert_eq!(attribute(&client, "server.port").unwrap(), port);
    let sent = seen.lock().unwrap().clone().unwrap();
    assert_eq!(
        sent,
        format!("00-{}-{}-01", hex(&client.trace_id), hex(&client.span_id))
    );

    let lines = lines.of(answer.header("x-correlation-id").unwrap());
    assert_eq!(lines.len(), 1, "the access line: {lines:?}");
    assert_eq!(lines[0]["trace_id"], hex(&server.trace_id));
    assert!(!format!("{lines:?} {server:?} {client:?}").contains("canary"));
    assert!(guard.shutdown(PATIENCE).await.complete);
}
