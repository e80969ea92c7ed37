//! What is found by an ID is the whole flow of its request, over two services.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use buttress::correlation::{self, CorrelationLayer};
use buttress::telemetry::{
    AccessLogLayer, InCurrentRequest, ServerSpanLayer, Trust, in_current_request,
};
use buttress_testing::collector::attribute;
use buttress_tests::{Stand, Told};
use http::Method;
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpListener;

/// A service of one's own behind the gateway, which believes it.
async fn service() -> SocketAddr {
    let ids = correlation::Config::new().trust(Trust::Internal);
    let app = Router::new()
        .route("/orders", get(orders))
        .layer(AccessLogLayer::new())
        .layer(ServerSpanLayer::new().trust(Trust::Internal))
        .layer(CorrelationLayer::new(ids).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn orders() -> &'static str {
    tracing::info!(target: "service", "in the handler");
    let task = async { tracing::info!(target: "service", "on a task") };
    tokio::spawn(task.in_current_request()).await.unwrap();
    let work = || tracing::info!(target: "service", "on a thread that blocks");
    let work = tokio::task::spawn_blocking(in_current_request(work));
    work.await.unwrap();
    "done"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_by_an_id_is_the_whole_flow_of_its_request_over_two_services() {
    let told = Told::of_this_process();
    let routes = Stand::one_route(&[service().await], "", "");
    let stand = told
        .stand(&format!("[log]\naccess_log = true\n{routes}"))
        .await;
    let client = stand.client();
    let (answer, other) = (client.get("/orders").await, client.get("/orders").await);
    assert_eq!(answer.text(), "done");
    let id = answer.header("x-correlation-id").unwrap();
    assert_ne!(id, other.header("x-correlation-id").unwrap());

    let found = told.lines.with(id);
    let of = |target: &str| -> Vec<&Value> {
        found
            .iter()
            .filter(|line| line["target"] == target)
            .collect()
    };
    let said: Vec<_> = of("service").iter().map(|line| &line["message"]).collect();
    assert_eq!(
        said,
        ["in the handler", "on a task", "on a thread that blocks"]
    );
    assert_eq!(
        of("buttress::access").len(),
        2,
        "the gateway's and the service's"
    );
    let trace = &of("service")[0]["trace_id"];
    for line in of("service").into_iter().chain(of("buttress::access")) {
        assert_eq!(line["correlation_id"], id, "{line}");
        assert_eq!(&line["trace_id"], trace, "{line}");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16, "{line}");
        for key in ["time", "level", "target", "message"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_also_found_by_the_id_of_a_client_that_is_not_believed() {
    let told = Told::of_this_process();
    let routes = Stand::one_route(&[service().await], "", "");
    let stand = told
        .stand(&format!("[log]\naccess_log = true\n{routes}"))
        .await;
    let client = stand.client();
    let request = client.request(Method::GET, "/orders");
    let request = request.header("x-correlation-id", "order-of-a-client");
    let answer = client.send(request.body(Full::default()).unwrap()).await;
    let id = answer.header("x-correlation-id").unwrap();
    assert_ne!(id, "order-of-a-client");

    let lines = told.lines.of(id);
    let theirs = |line: &&Value| line["fields"]["client_correlation_id"] == "order-of-a-client";
    assert_eq!(lines.iter().filter(theirs).count(), 1, "the gateway's line");
    let spans = told.spans_of(id).await;
    let theirs = spans
        .iter()
        .filter_map(|span| attribute(span, "client_correlation_id"));
    assert_eq!(theirs.collect::<Vec<_>>(), ["order-of-a-client"]);
}
