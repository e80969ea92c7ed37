//! The layer round HTTP services: what is recorded, when, and what is left as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::metric::{Collect, Family, Value};
use buttress_core::reject::Rejected;
use buttress_latency::{Config, LatencyHandle, LatencyLayer, LatencySnapshot, SeriesSnapshot};
use buttress_testing::{ScriptedBody, assert_transparent_body};
use buttress_testing::{drop_after_polls, drop_at_every_poll};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

fn measured(time: &ManualClock) -> LatencyHandle {
    LatencyHandle::new(Config::new().clock(time.clock())).unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

/// Polls what needs no waiting to its end.
fn now<F: Future>(future: F) -> F::Output {
    drop_after_polls(future, 1_000).unwrap()
}

fn only(snapshot: &LatencySnapshot) -> &SeriesSnapshot {
    assert_eq!(snapshot.series.len(), 1, "{:?}", snapshot.series);
    &snapshot.series[0]
}

fn family(handle: &LatencyHandle, name: &str) -> Family {
    let mut families = Vec::new();
    handle.collect(&mut families);
    families
        .into_iter()
        .find(|family| family.name == name)
        .unwrap()
}

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
    assert!(handle.snapshot().series.is_empty());
    assert_eq!(handle.in_flight(), 1);
    let mut body = response.into_body();
    now(body.frame()).unwrap().unwrap();
    assert!(handle.snapshot().series.is_empty());
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
        assert_eq!(only(&handle.snapshot()).total.count(), 1);
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
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.series.len(), 2);
    assert!(
        snapshot
            .series
            .iter()
            .all(|s| s.error_type.as_deref() == Some("panic"))
    );
}

#[test]
fn failures_are_told_apart_by_what_went_wrong() {
    let handle = LatencyHandle::default();
    let answers: [fn() -> Response<ScriptedBody>; 3] = [
        || {
            Response::builder()
                .status(500)
                .body(ScriptedBody::new())
                .unwrap()
        },
        || {
            let head = Response::builder()
                .status(504)
                .extension(DeadlineExceeded::new());
            head.body(ScriptedBody::new()).unwrap()
        },
        || Rejected::new("breaker", "circuit_open").into_response(false, ScriptedBody::new()),
    ];
    for answer in answers {
        let service = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(answer())));
        let service = LatencyLayer::new(handle.clone()).layer(service);
        now(now(service.oneshot(get("/")))
            .unwrap()
            .into_body()
            .collect())
        .unwrap();
    }
    let mut seen: Vec<_> = handle
        .snapshot()
        .series
        .iter()
        .map(|s| {
            (
                s.status.unwrap().as_u16(),
                s.error_type.clone().unwrap().into_string(),
            )
        })
        .collect();
    seen.sort();
    let expected = [(500, "500"), (503, "circuit_open"), (504, "timeout")];
    assert_eq!(
        seen,
        expected.map(|(status, name)| (status, name.to_owned()))
    );
}

#[test]
fn a_hundred_thousand_methods_and_routes_leave_the_series_at_their_cap_and_are_counted() {
    const REQUESTS: usize = 100_000;
    const CAP: usize = 50;
    let handle = LatencyHandle::new(Config::new().max_series(CAP)).unwrap();
    let layer = LatencyLayer::new(handle.clone())
        .route_by(|request| Some(Cow::Owned(request.uri.path().to_owned())));
    let mut service = layer.layer(service_fn(|_| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new().exact(),
        )))
    }));
    for n in 0..REQUESTS {
        let request = Request::builder()
            .method(format!("M{n}").as_str())
            .uri(format!("/{n}"));
        drop(now(service.call(request.body(()).unwrap())).unwrap());
    }
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.series.len(), CAP + 1);
    assert!(
        snapshot
            .series
            .iter()
            .all(|series| series.method == Some("_OTHER"))
    );
    assert_eq!(snapshot.overflowed, (REQUESTS - CAP) as u64);
    let overflow = snapshot.route("_OVERFLOW").unwrap();
    assert_eq!(
        overflow.total.count(),
        snapshot.overflowed,
        "what overflows is merged"
    );
    let counted = family(&handle, "buttress_series_overflow");
    assert_eq!(counted.points[0].value, Value::Counter(snapshot.overflowed));
}

#[test]
fn every_exchange_that_has_no_series_of_its_own_is_counted() {
    let handle = LatencyHandle::new(Config::new().max_series(1)).unwrap();
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(service_fn(|request: Request<u16>| {
            let response = Response::builder().status(*request.body());
            std::future::ready(response.body(ScriptedBody::new().exact()))
        }));
    for status in [200, 200, 404, 404, 404, 200] {
        drop(now(service.call(Request::new(status))).unwrap());
    }
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.route("r").unwrap().total.count(), 3);
    assert_eq!(snapshot.overflowed, 3);
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
fn methods_alone_cannot_make_series() {
    let handle = LatencyHandle::default();
    let mut service = LatencyLayer::new(handle.clone()).layer(service_fn(|_| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new().exact(),
        )))
    }));
    for n in 0..10_000 {
        let request = Request::builder()
            .method(format!("M{n}").as_str())
            .body(())
            .unwrap();
        drop(now(service.call(request)).unwrap());
    }
    assert_eq!(only(&handle.snapshot()).method, Some("_OTHER"));
    assert_eq!(handle.snapshot().overflowed, 0);
}

#[test]
fn a_route_is_taken_from_the_request_and_a_scheme_where_it_says_one() {
    #[derive(Clone)]
    struct Matched(&'static str);
    let handle = LatencyHandle::new(Config::new().tls()).unwrap();
    let layer = LatencyLayer::new(handle.clone())
        .route_by(|request| Some(Cow::Borrowed(request.extensions.get::<Matched>()?.0)));
    let mut service = layer.layer(service_fn(|_| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new().exact(),
        )))
    }));
    let mut matched = get("/users/17");
    matched.extensions_mut().insert(Matched("/users/{id}"));
    for request in [matched, get("http://host/"), get("ftp://host/")] {
        drop(now(service.call(request)).unwrap());
    }
    let snapshot = handle.snapshot();
    let seen: Vec<_> = snapshot
        .series
        .iter()
        .map(|s| (&*s.route, s.scheme.unwrap()))
        .collect();
    assert_eq!(
        seen,
        [("", "_OTHER"), ("", "http"), ("/users/{id}", "https")]
    );
}

#[test]
fn no_two_points_of_a_metric_have_the_same_labels() {
    let handle = LatencyHandle::new(Config::new().max_series(2)).unwrap();
    let layer = LatencyLayer::new(handle.clone())
        .route_by(|request| Some(Cow::Borrowed(request.uri.path().trim_start_matches('/'))));
    for path in ["/", "/a", "/_OVERFLOW", "/b", "/c", "/d"] {
        let mut service = layer.layer(service_fn(|_| {
            std::future::ready(Ok::<_, Infallible>(Response::new(
                ScriptedBody::new().exact(),
            )))
        }));
        drop(now(service.call(get(path))).unwrap());
    }
    let mut families = Vec::new();
    handle.collect(&mut families);
    for family in families {
        let mut labels: Vec<_> = family.points.iter().map(|point| &point.labels).collect();
        let points = labels.len();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), points, "{}", family.name);
    }
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

#[test]
fn the_metrics_carry_the_names_and_labels_of_the_conventions() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let layer = LatencyLayer::new(handle.clone()).route("/items/{id}");
    let mut service = layer.layer(service_fn(|_| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new().data("x"),
        )))
    }));
    for millis in [4, 6, 40, 400] {
        let response = now(service.call(get("/items/7"))).unwrap();
        time.advance(Duration::from_millis(millis));
        now(response.into_body().collect()).unwrap();
    }
    let durations = family(&handle, "http_server_request_duration_seconds");
    let labels: Vec<_> = durations.points[0]
        .labels
        .iter()
        .map(|(k, v)| (*k, &**v))
        .collect();
    let expected = [
        ("http_request_method", "GET"),
        ("url_scheme", "http"),
        ("http_route", "/items/{id}"),
        ("http_response_status_code", "200"),
    ];
    assert_eq!(labels, expected);
    let Value::Histogram(histogram) = &durations.points[0].value else {
        panic!("a histogram");
    };
    assert_eq!(histogram.count, 4);
    assert_eq!(histogram.classic[0], (0.005, 1));
    assert_eq!(histogram.classic[1], (0.01, 2));
    assert_eq!(histogram.classic[13], (10.0, 4));
    assert_eq!(
        histogram.native.iter().map(|(_, count)| count).sum::<u64>(),
        4
    );
    assert!((histogram.sum - 0.45).abs() < 1e-9);

    let active = family(&handle, "http_server_active_requests");
    assert_eq!(active.points.last().unwrap().value, Value::Gauge(0.0));

    let quantiles = family(&handle, "buttress_http_request_duration_quantile_seconds");
    let of = |window: &str| {
        let points = quantiles.points.iter();
        points
            .filter(|p| p.labels.contains(&("window", window.to_owned().into())))
            .count()
    };
    // Four samples bear a P50 and nothing above.
    assert_eq!([of("10s"), of("60s"), of("300s")], [1, 1, 1]);
}

#[test]
fn a_configuration_without_series_is_refused() {
    let error = LatencyHandle::new(Config::new().max_series(0)).unwrap_err();
    assert_eq!(error.field(), "max_series");
}
