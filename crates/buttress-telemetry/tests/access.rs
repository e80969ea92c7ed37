//! One line for each exchange, at the end of its body, and no secret in it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_correlation::CorrelationLayer;
use buttress_telemetry::{AccessLogLayer, Config, Format, record_route};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use support::Lines;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;

type Body = Full<bytes::Bytes>;

fn logging(filter: &str) -> (Lines, tracing::Dispatch) {
    let lines = Lines::default();
    let config = Config::new("test").format(Format::Json).filter(filter);
    (lines.clone(), config.writer(lines).build().unwrap().0)
}

async fn handler(request: Request<()>) -> Result<Response<Body>, Infallible> {
    record_route("/orders/{id}");
    let status: u16 = request
        .uri()
        .path()
        .trim_start_matches("/orders/")
        .parse()
        .unwrap();
    Ok(Response::builder()
        .status(status)
        .body(Body::from("answer"))
        .unwrap())
}

#[tokio::test]
async fn an_exchange_is_logged_once_at_the_end_of_its_body() {
    let (lines, dispatch) = logging("info");
    let time = ManualClock::new();
    let service = ServiceBuilder::new()
        .layer(CorrelationLayer::default())
        .layer(AccessLogLayer::new().clock(time.clock()))
        .service_fn(handler);
    let request = Request::builder()
        .uri("/orders/200?token=canary-query")
        .header("authorization", "Bearer canary-header")
        .body(())
        .unwrap();
    async {
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(lines.text(), "");
        let id = response.headers()["x-correlation-id"].clone();
        time.advance(Duration::from_nanos(1_500_083_743));
        response.into_body().collect().await.unwrap();
        let json = lines.json();
        assert_eq!(json.len(), 1);
        let line = &json[0];
        assert_eq!(line["correlation_id"], id.to_str().unwrap());
        assert_eq!(line["target"], "buttress::access");
        let fields = &line["fields"];
        assert_eq!(fields["method"], "GET");
        assert_eq!(fields["path"], "/orders/200");
        assert_eq!(fields["route"], "/orders/{id}");
        assert_eq!(fields["status"], 200);
        assert_eq!(fields["outcome"], "success");
        assert_eq!(fields["duration_ms"].to_string(), "1500.084");
        assert!(!lines.text().contains("canary"));
    }
    .with_subscriber(dispatch)
    .await;
}

#[tokio::test]
async fn a_layer_inside_gives_the_id_by_the_response() {
    let (lines, dispatch) = logging("info");
    let service = ServiceBuilder::new()
        .layer(AccessLogLayer::new())
        .layer(CorrelationLayer::default())
        .service_fn(handler);
    let request = Request::builder().uri("/orders/500").body(()).unwrap();
    async {
        let response = service.oneshot(request).await.unwrap();
        let id = response.headers()["x-correlation-id"].clone();
        drop(response.into_body().collect().await);
        assert_eq!(lines.json()[0]["correlation_id"], id.to_str().unwrap());
        assert_eq!(lines.json()[0]["fields"]["outcome"], "failure");
    }
    .with_subscriber(dispatch)
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_is_logged_as_gone() {
    let (lines, dispatch) = logging("info");
    let service = ServiceBuilder::new()
        .layer(AccessLogLayer::new())
        .service_fn(handler);
    let request = Request::builder().uri("/orders/200").body(()).unwrap();
    async {
        drop(service.oneshot(request).await.unwrap());
        assert_eq!(lines.json()[0]["fields"]["outcome"], "abandoned");
        assert_eq!(lines.json()[0]["fields"]["status"], 200);
    }
    .with_subscriber(dispatch)
    .await;
}

#[tokio::test]
async fn a_head_request_and_an_invented_method_are_logged_too() {
    let (lines, dispatch) = logging("info");
    let service = ServiceBuilder::new()
        .layer(AccessLogLayer::new())
        .service_fn(handler);
    async {
        for method in [Method::HEAD, Method::from_bytes(b"CANARY").unwrap()] {
            let request = Request::builder()
                .method(method)
                .uri("/orders/200")
                .body(());
            let response = service.clone().oneshot(request.unwrap()).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        let json = lines.json();
        assert_eq!(json.len(), 2);
        assert_eq!(json[0]["fields"]["method"], "HEAD");
        assert_eq!(json[0]["fields"]["outcome"], "success");
        assert_eq!(json[1]["fields"]["method"], "_OTHER");
    }
    .with_subscriber(dispatch)
    .await;
}

#[tokio::test]
async fn where_nobody_takes_the_lines_none_is_written_and_all_passes_through() {
    let (lines, dispatch) = logging("warn");
    let service = ServiceBuilder::new()
        .layer(AccessLogLayer::new())
        .service_fn(handler);
    let request = Request::builder().uri("/orders/404").body(()).unwrap();
    async {
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "answer");
    }
    .with_subscriber(dispatch)
    .await;
    assert_eq!(lines.text(), "");
}

#[test]
fn a_panic_in_the_call_itself_is_logged() {
    let (lines, dispatch) = logging("info");
    let mut service = AccessLogLayer::new().layer(service_fn(
        |_: Request<()>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
            panic!("in the call")
        },
    ));
    let call = || drop(service.call(Request::new(())));
    let called = AssertUnwindSafe(|| tracing::dispatcher::with_default(&dispatch, call));
    catch_unwind(called).unwrap_err();
    let json = lines.json();
    assert_eq!(json.len(), 1, "{json:?}");
    assert_eq!(json[0]["fields"]["attribution"], "panic");
}
