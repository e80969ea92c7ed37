//! What is rejected is answered by somebody else.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress_breaker::BreakerError;
use buttress_breaker::fallback::ToService;
use buttress_core::clock::ManualClock;
use buttress_core::readying::Waits;
use buttress_core::reject::Rejected;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use support::services::Busy;
use support::{OPEN_FOR, breaker, calls, ended, trip};
use tokio_test::{assert_pending, task};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Answer = Response<Full<Bytes>>;

/// Stands for an ID that a layer further out has put on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id(u32);

/// A body that cannot be cloned: the request is moved or not there.
struct Payload(&'static str);

fn request() -> Request<Payload> {
    let mut request = Request::new(Payload("order 7"));
    request.extensions_mut().insert(Id(7));
    request
}

async fn upstream(_: Request<Payload>) -> Result<Answer, Infallible> {
    Ok(Response::new(Full::from("upstream")))
}

async fn text<B: Body<Data = Bytes, Error = Infallible>>(response: Response<B>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

#[tokio::test]
async fn a_rejected_request_is_answered_with_everything_that_was_on_it() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let fallback = |request: Request<Payload>, rejected: Rejected| async move {
        let id = request.extensions().get::<Id>().cloned();
        let text = format!("{} {id:?} {}", request.into_body().0, rejected.reason);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    };
    let layer = breaker.layer().fallback(fallback);
    let service = layer.layer(service_fn(upstream));
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(text(answer).await, "upstream");
    trip(&breaker);
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(answer.body().size_hint().exact(), Some(32));
    assert_eq!(text(answer).await, "order 7 Some(Id(7)) circuit_open");
}

#[tokio::test]
async fn a_service_that_answers_is_readied_first_and_told_of_the_rejection() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let other = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(|request: Request<Payload>| async move {
            let rejected = request.extensions().get::<Rejected>().unwrap();
            Ok::<Answer, Infallible>(Response::new(Full::from(rejected.by)))
        }));
    let layer = breaker.layer().fallback(ToService::new(other));
    trip(&breaker);
    for _ in 0..3 {
        let service = layer.layer(service_fn(upstream));
        assert_eq!(
            text(service.oneshot(request()).await.unwrap()).await,
            "breaker"
        );
    }
}

#[tokio::test]
async fn what_a_fallback_does_is_never_charged_to_the_breaker() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let fallback = move |_: u32, _: Rejected| {
        assert!(count.fetch_add(1, Ordering::Relaxed) < 5, "in the fallback");
        async { Err::<u32, _>("no cache") }
    };
    let inner = service_fn(|n: u32| async move { Ok::<_, &'static str>(n) });
    let service = breaker.plain_layer().fallback(fallback).layer(inner);
    trip(&breaker);
    let before = calls(&breaker);
    for _ in 0..5 {
        let failed = service.clone().oneshot(1).await.unwrap_err();
        assert_eq!(failed, BreakerError::Inner("no cache"));
    }
    let panicked = tokio::spawn(service.clone().oneshot(1)).await.unwrap_err();
    assert!(panicked.is_panic());
    assert_eq!(calls(&breaker), before);
    assert_eq!(
        breaker.handle().snapshot().rejected,
        7,
        "six and the one of `trip`"
    );
    time.advance(OPEN_FOR);
    assert_eq!(
        service.oneshot(3).await.unwrap(),
        3,
        "others are still served"
    );
    assert_eq!(ended(&calls(&breaker)), ended(&before) + 1);
}

#[tokio::test]
async fn a_plain_service_answers_for_another() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let other = ToService::plain(service_fn(
        |n: u32| async move { Ok::<_, Infallible>(n + 1) },
    ));
    let inner = service_fn(|n: u32| async move { Ok::<_, Infallible>(n) });
    let mut service = breaker.plain_layer().fallback(other).layer(inner);
    trip(&breaker);
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 2);
}

#[test]
fn a_service_that_answers_for_another_tells_that_it_is_waited_for() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let layer = breaker.plain_layer().fallback(ToService::plain(Busy));
    let mut service = layer.layer(Busy);
    trip(&breaker);
    let before = Waits::so_far();
    let told = || Waits::so_far().since(before);
    let mut call = task::spawn(service.call(1));
    assert_pending!(call.poll());
    assert_pending!(call.poll());
    assert_eq!(told(), (1, 0), "one wait, however often it is looked at");
    drop(call);
    assert_eq!(told(), (1, 1));
}

#[test]
fn layers_services_and_futures_have_the_auto_traits_of_what_they_wrap() {
    fn all<T: Send + Sync + Unpin + 'static>(_: &T) {}
    let time = ManualClock::new();
    let ready = |n: u32, _: Rejected| std::future::ready(Ok::<_, Infallible>(n));
    let inner = service_fn(|n: u32| std::future::ready(Ok::<_, Infallible>(n)));
    let layer = breaker(&time).plain_layer().fallback(ready);
    let mut service = layer.clone().layer(inner);
    all(&layer);
    all(&service);
    all(&service.call(1));
}
