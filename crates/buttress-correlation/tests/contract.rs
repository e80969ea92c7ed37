//! Readiness, errors, bodies and extensions pass through unchanged.
#![allow(clippy::unwrap_used, missing_docs)]

use buttress_correlation::{CorrelationLayer, PropagateLayer};
use buttress_testing::ContractProbe;
use http::{Request, Response};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::util::ServiceFn;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Answers = fn(Request<()>) -> std::future::Ready<Result<Response<String>, BoxError>>;

/// Insists on being polled ready before each call, on this very instance.
fn origin() -> ContractProbe<ServiceFn<Answers>> {
    ContractProbe::new(service_fn(|request: Request<()>| {
        std::future::ready(match request.uri().path() {
            "/broken" => Err("broken".into()),
            _ => Ok(Response::builder()
                .extension(7_u8)
                .body("body".to_owned())
                .unwrap()),
        })
    }))
}

fn both<S>(inner: S) -> impl Service<Request<()>, Response = S::Response, Error = S::Error> + Clone
where
    S: Service<Request<()>, Response = Response<String>> + Clone,
{
    CorrelationLayer::default().layer(PropagateLayer::new().layer(inner))
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let mut service = both(origin());
    for _ in 0..3 {
        service
            .ready()
            .await
            .unwrap()
            .call(Request::new(()))
            .await
            .unwrap();
        service = service.clone();
    }
}

#[tokio::test]
async fn bodies_extensions_and_errors_pass_through_unchanged() {
    let mut service = both(origin());
    let response = service
        .ready()
        .await
        .unwrap()
        .call(Request::new(()))
        .await
        .unwrap();
    assert_eq!(response.body(), "body");
    assert_eq!(response.extensions().get::<u8>(), Some(&7));
    let broken = Request::builder().uri("/broken").body(()).unwrap();
    let error = service
        .ready()
        .await
        .unwrap()
        .call(broken)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test]
async fn back_pressure_passes_through_so_that_load_is_shed_outside() {
    let mut service = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(CorrelationLayer::default())
        .layer(PropagateLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, BoxError>>());
    let mut held = tokio_test::task::spawn(service.ready().await.unwrap().call(Request::new(())));
    assert!(held.poll().is_pending());
    let shed = service.ready().await.unwrap().call(Request::new(())).await;
    assert!(
        shed.unwrap_err()
            .is::<tower::load_shed::error::Overloaded>()
    );
    drop(held);
    let mut next = tokio_test::task::spawn(service.ready().await.unwrap().call(Request::new(())));
    assert!(next.poll().is_pending());
}

#[tokio::test]
async fn the_layers_work_under_a_buffer() {
    let service = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) });
    let mut service = ServiceBuilder::new()
        .buffer(4)
        .layer(CorrelationLayer::default())
        .layer(PropagateLayer::new())
        .service(service);
    for _ in 0..8 {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(Request::new(()))
            .await
            .unwrap();
        assert!(response.headers().contains_key("x-correlation-id"));
    }
}

#[tokio::test]
async fn futures_and_services_keep_the_auto_traits_of_what_they_wrap() {
    fn movable<T: Send + Sync + Unpin + Clone>(service: T) -> T {
        service
    }
    fn future<T: Send + Sync + Unpin>(_: &T) {}
    let mut service = movable(CorrelationLayer::default().layer(origin()));
    future(&service.ready().await.unwrap().call(Request::new(())));
    let mut client = movable(PropagateLayer::default().layer(origin()));
    future(&client.ready().await.unwrap().call(Request::new(())));
}
