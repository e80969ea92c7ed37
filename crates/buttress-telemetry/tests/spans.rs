//! A request through two services is one trace, seen by a collector on a real socket.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use buttress_core::trace_context::TraceContext;
use buttress_correlation::Trust;
use buttress_telemetry::{ServerSpanLayer, TracePropagateLayer};
use buttress_testing::collector::{attribute, hex};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use support::rig::{Body, answer, find, rig, rig_with, two_services};
use tower::{Service, ServiceBuilder, ServiceExt};

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
    assert!(!format!("{:?}", collector.traces()).contains("canary"));
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
