//! The three times of an exchange: what its caller waited, to the head, to the end; and long-lived
//! streams, which are kept apart.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::readying::ReadyingWait;
use buttress_latency::{
    Config, Distribution, Goal, LatencyHandle, LatencyLayer, Objective, RouteSnapshot,
};
use buttress_testing::{Scripted, ScriptedBody, drop_after_polls};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};

use support::{families, family, get, measured, now, only};

const HEAD: Duration = Duration::from_millis(20);
const BODY: Duration = Duration::from_millis(300);
const HOUR: Duration = Duration::from_secs(3600);

/// A service that takes [`HEAD`] to answer with `response`, and a body that lasts until it is told.
fn serve(
    handle: &LatencyHandle,
    time: &ManualClock,
    response: http::response::Builder,
) -> Response<impl http_body::Body<Data = bytes::Bytes, Error: std::fmt::Debug> + Unpin> {
    let response = response.body(ScriptedBody::new().data("x")).unwrap();
    let (clock, mut answers) = (time.clone(), Some(response));
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(service_fn(move |_| {
            clock.advance(HEAD);
            std::future::ready(Ok::<_, Infallible>(answers.take().unwrap()))
        }));
    now(service.call(get("/"))).unwrap()
}

fn route(handle: &LatencyHandle) -> RouteSnapshot {
    handle.snapshot().route("r").unwrap().clone()
}

/// How many, and how long together.
fn told(distribution: &Distribution) -> (u64, Duration) {
    (distribution.total.count(), distribution.total.sum())
}

fn ready<S: Service<Request<()>>>(service: &mut S) -> bool {
    drop_after_polls(service.ready(), 1).is_some()
}

#[test]
fn the_time_to_the_head_is_known_as_soon_as_it_comes_and_that_to_the_end_at_the_end() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let response = serve(&handle, &time, Response::builder());
    assert_eq!(told(&route(&handle).head), (1, HEAD));
    assert!(route(&handle).total.is_empty());
    time.advance(BODY);
    now(response.into_body().collect()).unwrap();
    assert_eq!(told(&route(&handle).head), (1, HEAD));
    assert_eq!(route(&handle).total.sum(), HEAD + BODY);
    let window = route(&handle);
    let window = window.head.window(Duration::from_secs(60)).unwrap();
    assert_eq!(window.counts.sum(), HEAD);
}

#[test]
fn a_head_that_is_a_failure_is_in_the_series_of_that_failure() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let late = Response::builder()
        .status(504)
        .extension(DeadlineExceeded::new());
    let response = serve(&handle, &time, late);
    time.advance(BODY);
    now(response.into_body().collect()).unwrap();
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    assert_eq!(series.error_type.as_deref(), Some("timeout"));
    assert_eq!(told(&series.head), (1, HEAD));
    assert_eq!(series.total.sum(), HEAD + BODY);
}

#[test]
fn without_a_head_there_is_no_time_to_it() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let hanging = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<ScriptedBody>, Infallible>>()
    });
    let mut service = LatencyLayer::new(handle.clone()).route("r").layer(hanging);
    drop(drop_after_polls(service.call(get("/")), 1));
    assert_eq!(route(&handle).head, Distribution::default());
    assert_eq!(route(&handle).total.count(), 1);
}

#[test]
fn what_a_caller_waited_is_from_the_first_pending_to_ready() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let scripted = Scripted::<_, Infallible>::new()
        .ok(Response::new(ScriptedBody::new().exact()))
        .ok(Response::new(ScriptedBody::new().exact()));
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(scripted.clone());
    scripted.hold_readiness();
    for _ in 0..3 {
        assert!(!ready(&mut service));
        time.advance(BODY);
    }
    scripted.release_readiness();
    assert!(ready(&mut service));
    time.advance(HOUR);
    drop(now(service.call(get("/"))).unwrap());
    assert_eq!(told(&route(&handle).waiting), (1, 3 * BODY));
    assert!(route(&handle).total.sum() < BODY, "and is in nothing else");
    // Who does not wait is not counted.
    assert!(ready(&mut service));
    drop(now(service.call(get("/"))).unwrap());
    assert_eq!(told(&route(&handle).waiting), (1, 3 * BODY));
    assert_eq!(route(&handle).total.count(), 2);
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing_behind() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let scripted = Scripted::<_, Infallible>::new().ok(Response::new(ScriptedBody::new().exact()));
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(scripted.clone());
    scripted.hold_readiness();
    assert!(!ready(&mut service));
    time.advance(HOUR);
    let mut clone = service.clone();
    drop(service);
    scripted.release_readiness();
    assert_eq!(handle.in_flight(), 0);
    assert!(handle.snapshot().routes.is_empty(), "nothing was called");
    // Nor does a clone inherit it.
    assert!(ready(&mut clone));
    drop(now(clone.call(get("/"))).unwrap());
    assert_eq!(route(&handle).waiting, Distribution::default());
}

#[test]
fn callers_of_a_plain_service_wait_as_well() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let scripted = Scripted::<_, Infallible>::new().ok(7);
    let mut service = LatencyLayer::plain(handle.clone())
        .route("database")
        .layer(scripted.clone());
    scripted.hold_readiness();
    assert!(drop_after_polls(ServiceExt::<()>::ready(&mut service), 1).is_none());
    time.advance(BODY);
    scripted.release_readiness();
    assert!(drop_after_polls(ServiceExt::<()>::ready(&mut service), 1).is_some());
    assert_eq!(now(service.call(())), Ok(7));
    let waits = family(&handle, "buttress_call_waiting_duration_seconds");
    assert_eq!(waits.points[0].labels, [("name", "database".into())]);
    let snapshot = handle.snapshot();
    let database = snapshot.route("database").unwrap();
    assert_eq!(told(&database.waiting), (1, BODY));
}

/// Waits inside the future for as long as it is not polled a second time, and then answers.
fn readying<T>(answer: T) -> impl Future<Output = Result<T, Infallible>> {
    let (mut wait, mut answer) = (None, Some(answer));
    poll_fn(move |_| {
        if wait.is_none() {
            wait = Some(ReadyingWait::begin());
            return Poll::Pending;
        }
        drop(wait.take());
        Poll::Ready(Ok(answer.take().unwrap()))
    })
}

#[test]
fn what_is_waited_inside_the_future_is_added_to_what_was_waited_before() {
    for (head, body) in [
        (true, ScriptedBody::new().exact()),
        (false, ScriptedBody::new()),
    ] {
        let time = ManualClock::new();
        let config = Config::new().clock(time.clock()).head(head);
        let handle = LatencyHandle::new(config).unwrap();
        let mut answer = Some(Response::new(body));
        let inner = service_fn(move |_: Request<()>| readying(answer.take().unwrap()));
        let mut outer = LatencyLayer::new(handle.clone()).route("outer").layer(
            LatencyLayer::new(handle.clone())
                .route("inner")
                .layer(inner),
        );
        let mut call = Box::pin(outer.call(get("/")));
        assert!(drop_after_polls(call.as_mut(), 1).is_none());
        time.advance(BODY);
        let response = drop_after_polls(call, 1).unwrap().unwrap();
        // The wait is over with the head, however long the body lasts.
        time.advance(HOUR);
        drop(response);
        for name in ["outer", "inner"] {
            let route = handle.snapshot().route(name).unwrap().clone();
            assert_eq!(told(&route.waiting), (1, BODY), "{name}");
        }
    }
}

#[test]
fn a_call_that_is_given_up_while_it_waits_inside_has_waited_until_then() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let mut service = LatencyLayer::plain(handle.clone())
        .route("r")
        .layer(service_fn(|()| readying(7)));
    let mut call = Box::pin(service.call(()));
    assert!(drop_after_polls(call.as_mut(), 1).is_none());
    time.advance(BODY);
    drop(call);
    assert_eq!(told(&route(&handle).waiting), (1, BODY));
    // And the next one, which waits as well, for itself alone.
    let mut call = Box::pin(service.call(()));
    assert!(drop_after_polls(call.as_mut(), 1).is_none());
    time.advance(HEAD);
    assert_eq!(drop_after_polls(call, 1).unwrap(), Ok(7));
    assert_eq!(told(&route(&handle).waiting), (2, BODY + HEAD));
    handle.reconfigure(Config::new().waiting(false)).unwrap();
    let mut call = Box::pin(service.call(()));
    assert!(drop_after_polls(call.as_mut(), 1).is_none());
    drop(call);
    assert_eq!(told(&route(&handle).waiting).0, 2, "switched off");
}

#[test]
fn a_long_lived_stream_has_a_series_of_its_own_and_its_head_is_where_heads_are() {
    let streams = [
        Response::builder().header("content-type", "text/event-stream; charset=utf-8"),
        Response::builder().header("content-type", "application/grpc"),
    ];
    for response in streams {
        let time = ManualClock::new();
        let config = Config::new().clock(time.clock());
        let grpc = response.headers_ref().unwrap()["content-type"] == "application/grpc";
        let config = if grpc { config.streaming("r") } else { config };
        let handle = LatencyHandle::new(config).unwrap();
        let response = serve(&handle, &time, response);
        assert_eq!(told(&route(&handle).head), (1, HEAD), "at once");
        assert_eq!(route(&handle).in_flight, 1);
        time.advance(HOUR);
        drop(response);
        let route = route(&handle);
        assert_eq!(told(&route.streams), (1, HEAD + HOUR));
        assert_eq!(told(&route.head), (1, HEAD));
        assert!(route.total.is_empty(), "no percentile is poisoned");
        assert!(route.windows.iter().all(|window| window.counts.is_empty()));
        let lasted = family(&handle, "buttress_http_server_stream_duration_seconds");
        assert_eq!(lasted.points.len(), 1);
        let durations = family(&handle, "http_server_request_duration_seconds");
        assert!(durations.points.is_empty());
    }
}

#[test]
fn a_connection_that_is_handed_over_is_a_stream() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let switched = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    drop(serve(&handle, &time, switched));
    assert_eq!(told(&route(&handle).streams), (1, HEAD));
    assert!(route(&handle).total.is_empty());
}

#[test]
fn a_failure_is_no_stream_though_its_route_has_streams() {
    let time = ManualClock::new();
    let config = Config::new().clock(time.clock()).streaming("r");
    let handle = LatencyHandle::new(config).unwrap();
    let failed = Response::builder()
        .status(500)
        .header("content-type", "text/event-stream");
    drop(serve(&handle, &time, failed));
    assert_eq!(route(&handle).streams, Distribution::default());
    assert_eq!(route(&handle).total.count(), 1);
}

#[test]
fn an_objective_judges_a_stream_by_how_soon_it_begins() {
    let time = ManualClock::new();
    let objective = Objective::new().latency(HEAD, 0.99);
    let config = Config::new().clock(time.clock()).objective("r", objective);
    let handle = LatencyHandle::new(config).unwrap();
    let events = Response::builder().header("content-type", "text/event-stream");
    let response = serve(&handle, &time, events);
    time.advance(HOUR);
    now(response.into_body().collect()).unwrap();
    let goal = &handle.snapshot().objectives[0];
    assert_eq!(
        (goal.goal, goal.good, goal.bad),
        (Goal::Latency(HEAD), 1, 0)
    );
}

proptest! {
    #[test]
    fn each_time_is_measured_if_it_is_switched_on_and_not_else(
        waiting: bool, head: bool, end: bool, stream: bool,
    ) {
        let time = ManualClock::new();
        let config = Config::new().clock(time.clock());
        let config = config.waiting(waiting).head(head).end(end);
        let handle = LatencyHandle::new(config).unwrap();
        let mut response = Response::new(ScriptedBody::new().data("x"));
        if stream {
            let events = http::HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert("content-type", events);
        }
        let scripted = Scripted::<_, Infallible>::new().ok(response);
        let mut service = LatencyLayer::new(handle.clone()).route("r").layer(scripted.clone());
        scripted.hold_readiness();
        prop_assert!(!ready(&mut service));
        time.advance(BODY);
        scripted.release_readiness();
        prop_assert!(ready(&mut service));
        let response = now(service.call(get("/"))).unwrap();
        time.advance(HOUR);
        now(response.into_body().collect()).unwrap();

        let route = route(&handle);
        prop_assert_eq!(route.waiting.total.count(), u64::from(waiting));
        prop_assert_eq!(route.head.total.count(), u64::from(head));
        prop_assert_eq!(route.total.count(), u64::from(end && !stream));
        prop_assert_eq!(route.streams.total.count(), u64::from(stream));
        prop_assert_eq!(route.in_flight, 0);
        let shown: Vec<_> = families(&handle).iter().map(|family| family.name).collect();
        let is_shown = |name: &str| shown.contains(&name);
        prop_assert_eq!(is_shown("buttress_http_server_request_waiting_duration_seconds"), waiting);
        prop_assert_eq!(is_shown("buttress_http_server_request_head_duration_seconds"), head);
        prop_assert_eq!(is_shown("buttress_http_server_stream_duration_seconds"), stream);
    }
}
