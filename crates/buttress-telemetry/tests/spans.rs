//! A request through two services is one trace, seen by a collector on a real socket.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use buttress_core::attempt::Attempt;
use buttress_core::decision::{Admission, Guarded, Picked};
use buttress_core::reject::Rejected;
use buttress_core::trace_context::TraceContext;
use buttress_core::verdict::{Action, Verdict};
use buttress_correlation::{CorrelationLayer, PropagateLayer, Trust};
use buttress_telemetry::{
    Config, Format, Guard, ServerSpanLayer, TracePropagateLayer, record_route,
};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use support::Lines;
use support::collector::{Collector, WATCHDOG, attribute, hex};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;

type Body = Full<bytes::Bytes>;

struct Rig {
    collector: Collector,
    lines: Lines,
    dispatch: tracing::Dispatch,
    guard: Guard,
}

async fn rig() -> Rig {
    rig_with(|config| config).await
}

async fn rig_with(adapt: impl FnOnce(Config) -> Config) -> Rig {
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
    async fn run<T>(self, work: impl Future<Output = T>) -> (Vec<Span>, Collector, Lines) {
        drop(work.with_subscriber(self.dispatch).await);
        let shutdown = self.guard.shutdown(Duration::from_secs(30));
        let report = tokio::time::timeout(WATCHDOG, shutdown).await.unwrap();
        assert!(report.complete, "{report:?}");
        assert_eq!(report.spans_lost, 0);
        (self.collector.spans(), self.collector, self.lines)
    }
}

async fn answer(request: Request<()>) -> Result<Response<Body>, Infallible> {
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
fn two_services(
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

fn kind(span: &Span) -> SpanKind {
    SpanKind::try_from(span.kind).unwrap()
}

fn find(spans: &[Span], kind_wanted: SpanKind, parent: &[u8]) -> Span {
    let mut found = spans
        .iter()
        .filter(|span| kind(span) == kind_wanted && span.parent_span_id == parent);
    let span = found.next().cloned().unwrap();
    assert!(found.next().is_none());
    span
}

#[tokio::test]
async fn a_request_through_two_services_is_one_trace() {
    let rig = rig().await;
    let uri = "http://upstream:81/orders/200?token=canary";
    let request = Request::builder()
        .uri(uri)
        .header("authorization", "canary");
    let request = request.body(()).unwrap();
    let (spans, collector, lines) = rig
        .run(async {
            let response = two_services(Trust::Edge).oneshot(request).await.unwrap();
            drop(response.into_body().collect().await);
        })
        .await;
    assert_eq!(spans.len(), 3);
    let outer = find(&spans, SpanKind::Server, &[]);
    let client = find(&spans, SpanKind::Client, &outer.span_id);
    let inner = find(&spans, SpanKind::Server, &client.span_id);
    assert!(spans.iter().all(|span| span.trace_id == outer.trace_id));
    assert_eq!(collector.service_names(), ["orders"]);

    assert_eq!(inner.name, "GET /orders/{id}");
    assert_eq!(attribute(&inner, "http.route").unwrap(), "/orders/{id}");
    assert_eq!(attribute(&inner, "http.request.method").unwrap(), "GET");
    assert_eq!(
        attribute(&inner, "http.response.status_code").unwrap(),
        "200"
    );
    assert_eq!(attribute(&inner, "url.path").unwrap(), "/orders/200");
    assert_eq!(
        attribute(&inner, "network.protocol.version").unwrap(),
        "1.1"
    );
    assert_eq!(attribute(&inner, "error.type"), None);
    assert_eq!(attribute(&client, "server.address").unwrap(), "upstream");
    assert_eq!(attribute(&client, "server.port").unwrap(), "81");
    assert_eq!(
        attribute(&client, "url.full").unwrap(),
        "http://upstream:81/orders/200"
    );

    let json = lines.json();
    assert_eq!(json.len(), 1, "{}", lines.text());
    assert_eq!(json[0]["trace_id"], hex(&outer.trace_id));
    assert_eq!(json[0]["span_id"], hex(&inner.span_id));
    for span in &spans {
        let id = attribute(span, "correlation_id").unwrap();
        assert_eq!(json[0]["correlation_id"], id);
    }
    assert!(!collector.dump().contains("canary"));
    assert!(!lines.text().contains("canary"));
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PARENT_TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

async fn with_parent(trust: Trust, parent: &'static str) -> Vec<Span> {
    let rig = rig().await;
    let request = Request::builder()
        .header("traceparent", parent)
        .header("tracestate", "vendor=1")
        .body(())
        .unwrap();
    let work = async move {
        let response = two_services(trust).oneshot(request).await.unwrap();
        drop(response.into_body().collect().await);
    };
    rig.run(work).await.0
}

#[tokio::test]
async fn a_parent_that_is_believed_is_the_parent() {
    let spans = with_parent(Trust::Internal, PARENT).await;
    let outer = find(
        &spans,
        SpanKind::Server,
        &0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
    );
    assert!(
        spans
            .iter()
            .all(|span| span.trace_id == PARENT_TRACE.to_be_bytes())
    );
    assert!(spans.iter().all(|span| span.trace_state == "vendor=1"));
    assert!(outer.links.is_empty());
}

#[tokio::test]
async fn at_an_edge_the_trace_restarts_linked_to_the_clients() {
    let spans = with_parent(Trust::Edge, PARENT).await;
    let outer = find(&spans, SpanKind::Server, &[]);
    assert_ne!(outer.trace_id, PARENT_TRACE.to_be_bytes());
    assert_eq!(outer.links[0].trace_id, PARENT_TRACE.to_be_bytes());
}

#[tokio::test]
async fn a_malformed_parent_is_no_parent() {
    let spans = with_parent(Trust::Internal, "0-1-1-1").await;
    let outer = find(&spans, SpanKind::Server, &[]);
    assert!(outer.links.is_empty());
    assert_eq!(spans.len(), 3);
}

#[tokio::test]
async fn a_parent_that_was_not_sampled_is_not_exported() {
    let spans = with_parent(
        Trust::Internal,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    )
    .await;
    assert!(spans.is_empty());
}

#[tokio::test]
async fn the_outgoing_header_names_the_client_span() {
    let rig = rig().await;
    let (tell, told) = std::sync::mpsc::channel();
    let client = ServiceBuilder::new()
        .layer(TracePropagateLayer::new())
        .service_fn(move |request: Request<()>| {
            let values = request.headers().get_all("traceparent");
            tell.send(values.iter().cloned().collect::<Vec<_>>())
                .unwrap();
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        });
    let request = Request::builder()
        .header("traceparent", PARENT)
        .header("traceparent", "stale")
        .body(())
        .unwrap();
    let (spans, ..) = rig.run(client.oneshot(request)).await;
    let span = find(&spans, SpanKind::Client, &[]);
    let sent = told.recv().unwrap();
    assert_eq!(sent.len(), 1);
    let sent = sent[0].to_str().unwrap();
    let expected = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn status_and_error_follow_the_conventions_on_either_side() {
    let rig = rig().await;
    let work = async {
        for status in [404, 503] {
            let uri = format!("http://upstream/orders/{status}");
            let request = Request::builder().uri(uri).body(()).unwrap();
            let response = two_services(Trust::Edge).oneshot(request).await.unwrap();
            drop(response.into_body().collect().await);
        }
    };
    let (spans, ..) = rig.run(work).await;
    let judged = |kind_wanted, status: &str| {
        let mut found = spans.iter().filter(|span| {
            kind(span) == kind_wanted
                && attribute(span, "http.response.status_code").as_deref() == Some(status)
        });
        let span = found.next().unwrap();
        let error = span.status.clone().unwrap_or_default().code() == StatusCode::Error;
        (error, attribute(span, "error.type"))
    };
    assert_eq!(judged(SpanKind::Server, "404"), (false, None));
    assert_eq!(
        judged(SpanKind::Client, "404"),
        (true, Some("404".to_owned()))
    );
    assert_eq!(
        judged(SpanKind::Server, "503"),
        (true, Some("503".to_owned()))
    );
    assert_eq!(
        judged(SpanKind::Client, "503"),
        (true, Some("503".to_owned()))
    );
}

#[tokio::test]
async fn a_span_ends_with_the_body_and_not_before() {
    let rig = rig().await;
    let handle = rig.guard.handle();
    let ended = move || {
        let now = handle.snapshot();
        now.spans_exported + now.spans_waiting
    };
    let work = async {
        let service = ServiceBuilder::new()
            .layer(ServerSpanLayer::new())
            .service_fn(answer);
        let mut response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(ended(), 0);
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(
            ended(),
            1,
            "the whole length is there, though the body is held"
        );
    };
    assert_eq!(rig.run(work).await.0.len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_spans_with_the_status_and_the_reason() {
    let rig = rig().await;
    let work = async {
        drop(
            two_services(Trust::Edge)
                .oneshot(Request::new(()))
                .await
                .unwrap(),
        );
    };
    let (spans, ..) = rig.run(work).await;
    let outer = find(&spans, SpanKind::Server, &[]);
    assert_eq!(
        attribute(&outer, "http.response.status_code").unwrap(),
        "200"
    );
    assert_eq!(
        attribute(&outer, "error.type").unwrap(),
        "client_disconnect"
    );
    let client = find(&spans, SpanKind::Client, &outer.span_id);
    assert_eq!(attribute(&client, "error.type"), None);
}

#[tokio::test]
async fn a_request_dropped_before_its_head_ends_its_span() {
    let rig = rig().await;
    let work = async {
        let mut service = ServiceBuilder::new()
            .layer(ServerSpanLayer::new())
            .service_fn(|_: Request<()>| {
                std::future::pending::<Result<Response<Body>, Infallible>>()
            });
        let call = service.ready().await.unwrap().call(Request::new(()));
        let mut call = Box::pin(call);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    };
    let (spans, ..) = rig.run(work).await;
    assert_eq!(
        attribute(&spans[0], "error.type").unwrap(),
        "client_disconnect"
    );
}

#[tokio::test]
async fn the_request_carries_the_context_for_whoever_links_to_it() {
    let rig = rig().await;
    let (tell, told) = std::sync::mpsc::channel();
    let service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .service_fn(move |request: Request<()>| {
            let context = request.extensions().get::<TraceContext>().copied();
            tell.send(context).unwrap();
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        });
    let (spans, ..) = rig.run(service.oneshot(Request::new(()))).await;
    let context = told.recv().unwrap().unwrap();
    assert_eq!(spans[0].trace_id, context.trace_id.to_be_bytes());
    assert_eq!(spans[0].span_id, context.span_id.to_be_bytes());
    assert!(context.sampled);
}

#[tokio::test]
async fn a_method_that_a_client_invents_names_no_span() {
    let rig = rig().await;
    let service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .service_fn(answer);
    let request = Request::builder().method("CANARY").body(()).unwrap();
    let (spans, collector, _) = rig.run(service.oneshot(request)).await;
    assert!(spans[0].name.starts_with("HTTP"));
    assert_eq!(
        attribute(&spans[0], "http.request.method").unwrap(),
        "_OTHER"
    );
    assert!(!collector.dump().contains("CANARY"));
}

#[tokio::test]
async fn a_panic_in_the_call_itself_ends_the_spans_as_one() {
    let rig = rig().await;
    let mut service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .layer(TracePropagateLayer::new())
        .service_fn(
            |_: Request<()>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
                panic!("in the call")
            },
        );
    let call = async {
        let called = AssertUnwindSafe(|| drop(service.call(Request::new(()))));
        catch_unwind(called).unwrap_err();
    };
    let (spans, ..) = rig.run(call).await;
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(attribute(span, "error.type").as_deref(), Some("panic"));
    }
}

#[tokio::test]
async fn a_client_span_says_where_it_went_and_which_attempt_it_was() {
    let rig = rig().await;
    let layer = TracePropagateLayer::new()
        .endpoint("orders", "10.0.0.1:81")
        .server(Scheme::HTTP, Authority::from_static("10.0.0.1:81"));
    let client = ServiceBuilder::new()
        .layer(layer)
        .service_fn(|_: Request<()>| async {
            let answer = Response::builder().version(Version::HTTP_2);
            Ok::<_, Infallible>(answer.body(Body::default()).unwrap())
        });
    let work = async {
        for attempt in [None, Some(Attempt::resent(2)), Some(Attempt::copy())] {
            let mut request = Request::builder().uri("/a?token=canary").body(()).unwrap();
            if let Some(attempt) = attempt {
                request.extensions_mut().insert(attempt);
            }
            drop(client.clone().oneshot(request).await.unwrap());
        }
    };
    let (spans, ..) = rig.run(work).await;
    let found = |key| spans.iter().filter_map(move |span| attribute(span, key));
    for (key, value) in [
        ("buttress.pool", "orders"),
        ("buttress.endpoint", "10.0.0.1:81"),
        ("server.address", "10.0.0.1"),
        ("server.port", "81"),
        ("url.full", "http://10.0.0.1:81/a"),
        ("network.protocol.version", "2"),
        ("buttress.outcome", "success"),
    ] {
        assert_eq!(found(key).collect::<Vec<_>>(), [value; 3], "{key}");
    }
    assert!(spans.iter().all(|span| span.name == "GET"));
    assert_eq!(
        found("http.request.resend_count").collect::<Vec<_>>(),
        ["2"]
    );
    assert_eq!(found("buttress.copy").count(), 1);
}

#[tokio::test]
async fn a_server_span_says_what_was_decided_about_its_request() {
    let rig = rig().await;
    let service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new().address("gateway", 8080))
        .service_fn(|_: Request<()>| async {
            let verdict = Verdict::new("failure_rate", Action::Probing).evidence(0.6, 0.5, 40);
            let guarded = Guarded::new("orders", Admission::Rejected).because(Some(verdict));
            let mut answer =
                Rejected::new("breaker", "circuit_open").into_response(false, Body::default());
            answer.extensions_mut().insert(guarded);
            answer
                .extensions_mut()
                .insert(Picked::new("pool", "10.0.0.1:81").probe(true));
            Ok::<_, Infallible>(answer)
        });
    let request = Request::builder()
        .header("user-agent", "canary")
        .body(())
        .unwrap();
    let (spans, collector, _) = rig.run(service.oneshot(request)).await;
    for (key, value) in [
        ("buttress.pool", "pool"),
        ("buttress.endpoint", "10.0.0.1:81"),
        ("buttress.breaker", "orders"),
        ("buttress.admission", "rejected"),
        (
            "buttress.verdict",
            "probing: failure_rate 0.6 (limit 0.5, 40 calls)",
        ),
        ("buttress.rejected.by", "breaker"),
        ("buttress.rejected.reason", "circuit_open"),
        ("buttress.outcome", "ignored"),
        ("error.type", "circuit_open"),
        ("server.address", "gateway"),
        ("server.port", "8080"),
    ] {
        assert_eq!(attribute(&spans[0], key).as_deref(), Some(value), "{key}");
    }
    assert!(attribute(&spans[0], "buttress.probe").is_some());
    assert!(!collector.dump().contains("canary"));
}

#[tokio::test]
async fn the_user_agent_is_recorded_where_that_is_asked_for() {
    let rig = rig().await;
    let service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new().user_agent(true))
        .service_fn(answer);
    let request = Request::builder()
        .header("user-agent", "curl/8")
        .body(())
        .unwrap();
    let (spans, ..) = rig.run(service.oneshot(request)).await;
    assert_eq!(
        attribute(&spans[0], "user_agent.original").unwrap(),
        "curl/8"
    );
}

#[tokio::test]
async fn a_share_of_the_traces_that_start_here_is_sampled_and_a_parents_choice_holds() {
    for (parent, sampled) in [(None, 0), (Some(PARENT), 1)] {
        let rig = rig_with(|config| config.sample_ratio(0.0)).await;
        let service = ServiceBuilder::new()
            .layer(ServerSpanLayer::new().trust(Trust::Internal))
            .service_fn(answer);
        let mut request = Request::new(());
        if let Some(parent) = parent {
            let parent = HeaderValue::from_static(parent);
            request.headers_mut().insert("traceparent", parent);
        }
        let (spans, ..) = rig.run(service.oneshot(request)).await;
        assert_eq!(spans.len(), sampled);
    }
}

#[tokio::test]
async fn the_resource_names_service_version_and_instance() {
    let rig = rig_with(|config| {
        config
            .version("1.2.3")
            .attribute("deployment.environment.name", "test")
    })
    .await;
    let service = ServerSpanLayer::new().layer(service_fn(answer));
    let (_, collector, _) = rig.run(service.oneshot(Request::new(()))).await;
    let said = collector.dump();
    for key in [
        "service.name",
        "service.version",
        "service.instance.id",
        "deployment.environment.name",
        "telemetry.sdk.language",
    ] {
        assert!(said.contains(key), "{key}: {said}");
    }
}
