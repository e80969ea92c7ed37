//! Without an exporter: what is believed passes through unchanged, what is not stays outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::convert::Infallible;

use buttress_core::trace_context::TraceContext;
use buttress_correlation::{Hosts, Trust};
use buttress_telemetry::{AccessLogLayer, ServerSpanLayer, TracePropagateLayer};
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

type Body = Empty<bytes::Bytes>;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

fn request(parent: &str) -> Request<()> {
    Request::builder()
        .header("traceparent", parent)
        .header("tracestate", "vendor=1")
        .body(())
        .unwrap()
}

/// Answers with the headers that came, in the response's extensions.
async fn reflect(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let trace = request.extensions().get::<TraceContext>().copied();
    Ok(Response::builder()
        .extension(request.headers().clone())
        .extension(trace)
        .body(Body::new())
        .unwrap())
}

fn seen<B>(response: &Response<B>) -> (HeaderMap, Option<TraceContext>) {
    let extensions = response.extensions();
    (
        extensions.get().cloned().unwrap(),
        *extensions.get().unwrap(),
    )
}

#[tokio::test]
async fn a_trace_that_is_believed_reaches_the_upstream_to_the_byte() {
    let proxy = ServiceBuilder::new()
        .layer(ServerSpanLayer::new().trust(Trust::Internal))
        .layer(TracePropagateLayer::new())
        .service_fn(reflect);
    let response = proxy.oneshot(request(PARENT)).await.unwrap();
    let (headers, trace) = seen(&response);
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!(headers["tracestate"], "vendor=1");
    assert_eq!(trace.unwrap().span_id, 0x00f0_67aa_0ba9_02b7);
}

#[tokio::test]
async fn a_handler_that_makes_requests_of_its_own_passes_the_trace_on() {
    let client = TracePropagateLayer::new().layer(service_fn(reflect));
    let server = ServerSpanLayer::new()
        .trust(Trust::Internal)
        .layer(service_fn(move |_: Request<()>| {
            client.clone().oneshot(Request::new(()))
        }));
    let response = server.oneshot(request(PARENT)).await.unwrap();
    let (headers, _) = seen(&response);
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!(headers["tracestate"], "vendor=1");
}

#[tokio::test]
async fn baggage_that_is_believed_goes_along_and_a_strangers_ends_at_the_edge() {
    for (trust, arrives) in [(Trust::Internal, true), (Trust::Edge, false)] {
        let client = TracePropagateLayer::new().layer(service_fn(reflect));
        // The line of the access log must not stand between the request and what it leads to.
        let server = ServiceBuilder::new()
            .layer(ServerSpanLayer::new().trust(trust))
            .layer(AccessLogLayer::new())
            .service_fn(move |_: Request<()>| client.clone().oneshot(Request::new(())));
        let mut request = request(PARENT);
        for part in ["user=7", "plan=gold"] {
            let part = part.parse().unwrap();
            request.headers_mut().append("baggage", part);
        }
        let response = server.oneshot(request).await.unwrap();
        let (headers, _) = seen(&response);
        let baggage = headers.get("baggage").map(|value| value.to_str().unwrap());
        assert_eq!(baggage, arrives.then_some("user=7,plan=gold"));
        assert_eq!(headers.contains_key("traceparent"), arrives);
    }
}

#[tokio::test]
async fn more_baggage_than_a_request_should_carry_is_left_behind() {
    let client = TracePropagateLayer::new().layer(service_fn(reflect));
    let server = ServerSpanLayer::new()
        .trust(Trust::Internal)
        .layer(service_fn(move |_: Request<()>| {
            client.clone().oneshot(Request::new(()))
        }));
    let mut request = request(PARENT);
    let much = format!("much={}", "x".repeat(9000)).parse().unwrap();
    request.headers_mut().insert("baggage", much);
    let (headers, _) = seen(&server.oneshot(request).await.unwrap());
    assert!(!headers.contains_key("baggage"));
}

#[tokio::test]
async fn what_is_not_believed_or_not_well_formed_does_not_go_inward() {
    let reach = |trust, parent| {
        let service = ServerSpanLayer::new()
            .trust(trust)
            .layer(service_fn(reflect));
        service.oneshot(request(parent))
    };
    for (trust, parent) in [
        (Trust::Edge, PARENT),
        (Trust::Internal, "0-1-1-1"),
        (Trust::Internal, ""),
        (Trust::when(|_| false), PARENT),
    ] {
        let response = reach(trust, parent).await.unwrap();
        let (headers, trace) = seen(&response);
        assert!(headers.is_empty(), "{headers:?}");
        assert_eq!(trace, None);
    }
}

#[tokio::test]
async fn a_state_without_a_parent_does_not_go_inward() {
    for trust in [Trust::Edge, Trust::Internal] {
        let service = ServerSpanLayer::new()
            .trust(trust)
            .layer(service_fn(reflect));
        let lone = Request::builder().header("tracestate", "vendor=1");
        let response = service.oneshot(lone.body(()).unwrap()).await.unwrap();
        assert!(seen(&response).0.is_empty());
    }
}

#[tokio::test]
async fn a_predicate_that_says_yes_is_followed() {
    let trust = Trust::when(|head| head.headers.contains_key("tracestate"));
    let service = ServerSpanLayer::new()
        .trust(trust)
        .layer(service_fn(reflect));
    let response = service.oneshot(request(PARENT)).await.unwrap();
    assert_eq!(seen(&response).0["traceparent"], PARENT);
}

#[tokio::test]
async fn errors_pass_through_unchanged() {
    let service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .layer(TracePropagateLayer::new())
        .service_fn(|_: Request<()>| async { Err::<Response<Body>, _>("broken") });
    assert_eq!(
        service.oneshot(Request::new(())).await.err(),
        Some("broken")
    );
}

#[tokio::test]
async fn hosts_that_are_not_ours_are_told_of_no_trace() {
    let ours = Hosts::only(["*.internal"]).unwrap();
    let layer = TracePropagateLayer::new().hosts(ours);
    let client = layer.layer(service_fn(reflect));
    for (uri, told) in [
        ("http://api.internal/", true),
        ("http://third.party.example/", false),
        ("/nobody-known", false),
    ] {
        let mut request = request(PARENT);
        *request.uri_mut() = uri.parse().unwrap();
        let baggage = "user=7".parse().unwrap();
        request.headers_mut().insert("baggage", baggage);
        let response = client.clone().oneshot(request).await.unwrap();
        let (headers, _) = seen(&response);
        for name in ["traceparent", "tracestate", "baggage"] {
            assert_eq!(headers.contains_key(name), told, "{name} to {uri}");
        }
    }
}
