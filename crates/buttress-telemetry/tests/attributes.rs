//! What spans say of their requests, seen by a collector on a real socket.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;

use buttress_core::attempt::Attempt;
use buttress_core::decision::{Admission, Guarded, Picked};
use buttress_core::reject::Rejected;
use buttress_core::verdict::{Action, Verdict};
use buttress_correlation::Trust;
use buttress_telemetry::{ServerSpanLayer, TracePropagateLayer};
use buttress_testing::collector::attribute;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use support::rig::{Body, answer, kind, rig, rig_with, two_services};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

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
    assert!(!format!("{:?}", collector.traces()).contains("CANARY"));
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
    assert!(!format!("{:?}", collector.traces()).contains("canary"));
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
async fn the_resource_names_service_version_and_instance() {
    let rig = rig_with(|config| {
        config
            .version("1.2.3")
            .attribute("deployment.environment.name", "test")
    })
    .await;
    let service = ServerSpanLayer::new().layer(service_fn(answer));
    let (_, collector, _) = rig.run(service.oneshot(Request::new(()))).await;
    let said = format!("{:?}", collector.traces());
    for key in [
        "service.name",
        "orders",
        "service.version",
        "service.instance.id",
        "deployment.environment.name",
        "telemetry.sdk.language",
    ] {
        assert!(said.contains(key), "{key}: {said}");
    }
}
