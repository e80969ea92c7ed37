//! What every layer keeps: readiness, clones, auto traits, and services that are not HTTP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_latency::{
    Config, Latency, LatencyHandle, LatencyLayer, ResponseBody, ResponseFuture,
};
use buttress_testing::ContractProbe;
use buttress_testing::ScriptedBody;
use buttress_testing::drop_after_polls;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Answer = Result<Response<ScriptedBody>, Infallible>;

async fn answer(_: Request<()>) -> Answer {
    tokio::task::yield_now().await;
    Ok(Response::new(ScriptedBody::new().data("x")))
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    let handle = LatencyHandle::default();
    let probe = ContractProbe::new(service_fn(answer));
    let service = LatencyLayer::new(handle.clone()).layer(probe);
    for _ in 0..10 {
        let response = service.clone().oneshot(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(handle.snapshot().routes[0].total.count(), 10);
}

#[tokio::test]
async fn it_works_under_a_buffer_a_limit_and_load_shedding() {
    let handle = LatencyHandle::default();
    let service = ServiceBuilder::new()
        .load_shed()
        .buffer(8)
        .concurrency_limit(2)
        .layer(LatencyLayer::new(handle.clone()))
        .concurrency_limit(1)
        .service(ContractProbe::new(service_fn(answer)));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = service.clone();
        calls.spawn(async move {
            let response = service.oneshot(Request::new(())).await.ok()?;
            response.into_body().collect().await.ok()
        });
    }
    let answered = calls.join_all().await.into_iter().flatten().count() as u64;
    assert!(answered > 0);
    assert_eq!(handle.snapshot().routes[0].total.count(), answered);
    assert_eq!(handle.in_flight(), 0);
}

#[test]
fn every_service_of_a_layer_and_every_clone_share_one_state() {
    let handle = LatencyHandle::default();
    let layer = LatencyLayer::new(handle.clone()).route("r");
    for layer in [layer.clone(), layer] {
        for service in [
            layer.layer(service_fn(answer)),
            layer.layer(service_fn(answer)).clone(),
        ] {
            drop(service.oneshot(Request::new(())));
        }
        let mut service = layer.layer(service_fn(answer));
        drop(service.call(Request::new(())));
        drop(service.clone().call(Request::new(())));
    }
    assert_eq!(handle.snapshot().route("r").unwrap().total.count(), 4);
}

#[test]
fn a_plain_service_is_timed_under_its_name() {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    let layer = LatencyLayer::plain(handle.clone())
        .route("database")
        .classify(|result: Result<&u32, &&str>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        });
    let clock = time.clone();
    let mut service = layer.layer(service_fn(move |n: u32| {
        clock.advance(Duration::from_millis(5));
        std::future::ready(if n == 0 { Err("zero") } else { Ok(n) })
    }));
    assert_eq!(drop_after_polls(service.call(1), 1), Some(Ok(1)));
    assert_eq!(drop_after_polls(service.call(0), 1), Some(Err("zero")));
    drop(service.call(2));
    let snapshot = handle.snapshot();
    let outcomes: Vec<_> = snapshot
        .series
        .iter()
        .map(|series| series.outcome)
        .collect();
    assert_eq!(outcomes, ["abandoned", "ignored", "success"]);
    let database = snapshot.route("database").unwrap();
    assert_eq!(database.total.sum(), Duration::from_millis(15));
    assert_eq!(database.in_flight, 0);
}

#[test]
fn the_types_have_the_auto_traits_of_what_they_wrap() {
    fn shared<T: Send + Sync + 'static>() {}
    fn unpin<T: Unpin>() {}
    shared::<LatencyHandle>();
    shared::<LatencyLayer>();
    shared::<Latency<()>>();
    shared::<ResponseFuture<std::future::Ready<Answer>>>();
    shared::<ResponseBody<ScriptedBody, Infallible>>();
    unpin::<ResponseFuture<std::future::Ready<Answer>>>();
    unpin::<ResponseBody<ScriptedBody, Infallible>>();
    // An error that is not `Send` does not take it from the body.
    shared::<ResponseBody<ScriptedBody, std::rc::Rc<()>>>();
}
