//! The layer round HTTP services: when an exchange is recorded, and what is left as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use buttress_testing::{ScriptedBody, assert_transparent_body, drop_at_every_poll};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

use support::{get, measured, now, only};
#[test]
fn an_exchange_is_recorded_at_the_end_of_its_body_and_not_before() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let service = LatencyLayer::new(handle.clone())
        .route("/things")
        .layer(service_fn(async |_| {
            Ok::<_, Infallible>(Response::new(
                ScriptedBody::new().data("a").data("b").says_end(),
            ))
        }));
    let response = now(service.oneshot(get("/things"))).unwrap();
    time.advance(Duration::from_millis(250));
    assert!(only(&handle.snapshot()).total.is_empty());
    assert_eq!(handle.in_flight(), 1);
    let mut body = response.into_body();
    now(body.frame()).unwrap().unwrap();
    assert!(only(&handle.snapshot()).total.is_empty());
    now(body.frame()).unwrap().unwrap();
    // It said that it ended; nobody asks for a last `None`.
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    assert_eq!(series.total.sum(), Duration::from_millis(250));
    assert_eq!((&*series.route, series.method), ("/things", Some("GET")));
    assert_eq!((series.outcome, series.scheme), ("success", Some("http")));
    assert_eq!(series.status.unwrap(), 200);
    assert_eq!(snapshot.route("/things").unwrap().in_flight, 0);
    drop(body);
    assert_eq!(handle.snapshot().route("/things").unwrap().total.count(), 1);
}

#[test]
fn an_answer_that_has_failed_already_is_timed_to_the_end_of_its_body() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let mut service = LatencyLayer::new(handle.clone()).layer(service_fn(|_| {
        let response = Response::builder()
            .status(500)
            .body(ScriptedBody::new().data("sorry"));
        std::future::ready(response)
    }));
    let response = now(service.call(get("/"))).unwrap();
    time.advance(Duration::from_secs(2));
    now(response.into_body().collect()).unwrap();
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    assert_eq!(
        (series.outcome, series.total.sum()),
        ("failure", Duration::from_secs(2))
    );
}

#[test]
fn frames_trailers_and_size_hints_are_the_same_with_and_without() {
    let bodies = [
        ScriptedBody::new(),
        ScriptedBody::new().exact(),
        ScriptedBody::new()
            .data("one")
            .pending()
            .data("two")
            .exact(),
        ScriptedBody::new().data("one").data("two").says_end(),
        ScriptedBody::new().data("one").trailer("grpc-status", "0"),
        ScriptedBody::new().data("one").error("broken"),
    ];
    for body in bodies {
        let answer = body.clone();
        let handle = LatencyHandle::default();
        let service = LatencyLayer::new(handle.clone()).layer(service_fn(move |_| {
            std::future::ready(Ok::<_, Infallible>(Response::new(answer.clone())))
        }));
        let response = now(service.oneshot(get("/"))).unwrap();
        assert_transparent_body(body, response.into_body());
        assert_eq!(handle.in_flight(), 0);
        assert_eq!(handle.snapshot().route("").unwrap().total.count(), 1);
    }
}

#[test]
fn a_request_dropped_at_any_poll_leaves_nothing_in_flight_and_one_record() {
    let handle = LatencyHandle::default();
    let layer = LatencyLayer::new(handle.clone()).route("r");
    let mut expected = 0;
    let drops = drop_at_every_poll(
        || {
            let mut service = layer.layer(service_fn(async |_| {
                tokio::task::yield_now().await;
                let body = ScriptedBody::new()
                    .data("x")
                    .pending()
                    .data("y")
                    .trailer("t", "v");
                Ok::<_, Infallible>(Response::new(body))
            }));
            let response = service.call(get("/"));
            async move { response.await.unwrap().into_body().collect().await.unwrap() }
        },
        |_| {
            expected += 1;
            assert_eq!(handle.in_flight(), 0);
            assert_eq!(
                handle.snapshot().route("r").unwrap().total.count(),
                expected
            );
        },
    );
    assert!(drops >= 3);
    let snapshot = handle.snapshot();
    let abandoned: Vec<_> = snapshot
        .series
        .iter()
        .filter(|s| s.outcome == "abandoned")
        .collect();
    assert!(
        abandoned
            .iter()
            .all(|s| s.error_type.as_deref() == Some("client_disconnect"))
    );
    let abandoned: u64 = abandoned.iter().map(|series| series.total.count()).sum();
    assert_eq!(abandoned, drops as u64);
}

#[test]
fn a_dropped_request_is_recorded_with_its_age() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let hanging = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<ScriptedBody>, Infallible>>()
    });
    let mut service = LatencyLayer::new(handle.clone()).layer(hanging);
    let response = service.call(get("/"));
    time.advance(Duration::from_secs(7));
    drop(response);
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    assert_eq!(series.total.sum(), Duration::from_secs(7));
    assert_eq!((series.outcome, series.status), ("abandoned", None));
}

#[test]
fn a_panic_is_recorded_wherever_it_happens() {
    let handle = LatencyHandle::default();
    let layer = LatencyLayer::new(handle.clone());
    let caught = |f: &mut dyn FnMut()| {
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err());
    };
    let in_call =
        |_: Request<()>| -> std::future::Ready<Result<Response<ScriptedBody>, Infallible>> {
            panic!("in call")
        };
    caught(&mut || drop(layer.layer(service_fn(in_call)).call(get("/"))));
    let in_body = ScriptedBody::new().panics("in the body");
    caught(&mut || {
        let body = in_body.clone();
        let service = service_fn(move |_| {
            std::future::ready(Ok::<_, Infallible>(Response::new(body.clone())))
        });
        let response = now(layer.layer(service).oneshot(get("/"))).unwrap();
        let _ = now(response.into_body().collect());
    });
    assert_eq!(handle.in_flight(), 0);
    let mut snapshot = handle.snapshot();
    snapshot.series.retain(|series| !series.total.is_empty());
    assert_eq!(snapshot.series.len(), 2);
    assert!(
        snapshot
            .series
            .iter()
            .all(|s| s.error_type.as_deref() == Some("panic"))
    );
}

#[test]
fn an_observer_sees_what_was_recorded_and_may_panic() {
    let time = ManualClock::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let config = Config::new().clock(time.clock()).observe(move |exchange| {
        log.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(exchange.duration);
        assert_eq!(exchange.route, Some("r"));
        panic!("an observer's own fault");
    });
    let handle = LatencyHandle::new(config).unwrap();
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(service_fn(|_| {
            std::future::ready(Ok::<_, Infallible>(Response::new(
                ScriptedBody::new().data("x"),
            )))
        }));
    let response = now(service.call(get("/"))).unwrap();
    time.advance(Duration::from_millis(30));
    now(response.into_body().collect()).unwrap();
    let seen = seen
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(*seen, [Duration::from_millis(30)]);
    assert_eq!(only(&handle.snapshot()).total.sum(), seen[0]);
}
