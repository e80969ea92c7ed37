//! A live layer changes what it does for all its services, and keeps its counts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::convert::Infallible;

use buttress_correlation::{Config, CorrelationId, CorrelationLayer, Mint, Trust, X_REQUEST_ID};
use http::{HeaderName, Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

async fn ok(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn with_id() -> Request<()> {
    let request = Request::builder().header("x-correlation-id", "theirs");
    request.body(()).unwrap()
}

#[tokio::test]
async fn a_service_that_is_in_use_and_its_clones_do_as_the_new_configuration_says() {
    let layer = CorrelationLayer::default();
    let mut used = layer.layer(service_fn(ok));
    let asleep = used.clone();
    let response = used.ready().await.unwrap().call(with_id()).await.unwrap();
    assert_ne!(response.headers()["x-correlation-id"], "theirs");

    let config = Config::new()
        .trust(Trust::Internal)
        .header(X_REQUEST_ID.clone());
    let config = config.also_read([HeaderName::from_static("x-correlation-id")]);
    layer.handle().reconfigure(config).unwrap();
    for mut service in [used.clone(), used, asleep.clone(), asleep] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(with_id())
            .await
            .unwrap();
        assert_eq!(response.headers()["x-request-id"], "theirs");
        assert!(!response.headers().contains_key("x-correlation-id"));
    }
    let counts = layer.handle().snapshot();
    assert_eq!((counts.minted, counts.accepted), (1, 4));
    assert_eq!(layer.handle().config().header, X_REQUEST_ID);
}

#[tokio::test]
async fn a_request_in_flight_keeps_the_configuration_that_it_began_with() {
    let layer = CorrelationLayer::default();
    let (answer, asked) = tokio::sync::oneshot::channel::<()>();
    let asked = std::sync::Mutex::new(Some(asked));
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        let asked = asked.lock().unwrap().take();
        async move {
            asked.unwrap().await.unwrap();
            Ok::<_, Infallible>(Response::new(()))
        }
    }));
    let call = service.ready().await.unwrap().call(with_id());
    let config = Config::new().header(HeaderName::from_static("x-other"));
    layer
        .handle()
        .reconfigure(config.extensions(false))
        .unwrap();
    answer.send(()).unwrap();
    let response = call.await.unwrap();
    assert!(response.headers().contains_key("x-correlation-id"));
    assert!(response.extensions().get::<CorrelationId>().is_some());
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused_whole() {
    let mint = || Mint::with(|| "mine".parse().unwrap());
    let layer = CorrelationLayer::new(Config::new().mint(mint())).unwrap();
    let host = HeaderName::from_static("host");
    let bad = Config::new().also_read([host.clone()]);
    let error = layer.handle().reconfigure(bad).unwrap_err();
    assert_eq!(error.field(), "also_read");
    let response = layer
        .layer(service_fn(ok))
        .oneshot(with_id())
        .await
        .unwrap();
    assert_eq!(response.headers()["x-correlation-id"], "mine");
    assert!(CorrelationLayer::new(Config::new().header(host)).is_err());
}
