//! Readiness, errors and bodies pass through unchanged, and spans cost nothing without an exporter.
#![allow(clippy::unwrap_used, missing_docs)]

use buttress_telemetry::{
    AccessLogLayer, Config, SPAN_TARGET, ServerSpanLayer, TracePropagateLayer,
};
use buttress_testing::ContractProbe;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::util::ServiceFn;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

type Body = Full<bytes::Bytes>;

type Answers = fn(Request<()>) -> std::future::Ready<Result<Response<Body>, BoxError>>;

/// Insists on being polled ready before each call, on this very instance.
fn origin() -> ContractProbe<ServiceFn<Answers>> {
    ContractProbe::new(service_fn(|request: Request<()>| {
        std::future::ready(match request.uri().path() {
            "/broken" => Err("broken".into()),
            _ => Ok(Response::builder()
                .extension(7_u8)
                .body(Body::from("body"))
                .unwrap()),
        })
    }))
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_called_and_all_passes_through() {
    let lines = std::io::sink;
    let (dispatch, _guard) = Config::new("test").writer(lines).build().unwrap();
    let _default = tracing::dispatcher::set_default(&dispatch);
    let mut service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .layer(AccessLogLayer::new())
        .layer(TracePropagateLayer::new())
        .service(origin());
    for _ in 0..3 {
        let call = service.ready().await.unwrap().call(Request::new(()));
        let response = call.await.unwrap();
        assert_eq!(response.extensions().get::<u8>(), Some(&7));
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(4));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "body");
        service = service.clone();
    }
    let broken = Request::builder().uri("/broken").body(()).unwrap();
    let error = service.ready().await.unwrap().call(broken).await.err();
    assert_eq!(error.unwrap().to_string(), "broken");
}

#[test]
fn without_an_exporter_no_span_of_a_request_is_ever_made() {
    let config = Config::new("test").filter("trace").writer(std::io::sink);
    let (dispatch, _guard) = config.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        assert!(!tracing::span_enabled!(target: SPAN_TARGET, tracing::Level::INFO));
        assert!(tracing::info_span!(target: SPAN_TARGET, "request").is_disabled());
    });
}

#[tokio::test]
async fn futures_keep_the_auto_traits_of_what_they_wrap() {
    fn future<T: Send + Sync + Unpin>(_: &T) {}
    let mut service = ServiceBuilder::new()
        .layer(ServerSpanLayer::new())
        .layer(AccessLogLayer::new())
        .layer(TracePropagateLayer::new())
        .service(origin());
    future(&service.ready().await.unwrap().call(Request::new(())));
}
