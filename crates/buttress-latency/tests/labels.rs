//! What a series is called: route, method, scheme, status, what went wrong; and the metrics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::metric::Value;
use buttress_core::reject::Rejected;
use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use buttress_testing::ScriptedBody;
use http::Response;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

use support::{families, family, get, measured, now, only};
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
    for family in families(&handle) {
        let mut labels: Vec<_> = family.points.iter().map(|point| &point.labels).collect();
        let points = labels.len();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), points, "{}", family.name);
    }
}

#[test]
fn a_client_of_a_pool_is_measured_by_endpoint_under_the_names_of_clients() {
    let handle = LatencyHandle::new(Config::new().client("shop")).unwrap();
    let endpoints = [("http://10.0.0.1:8080", 200), ("blue", 404)];
    for (endpoint, status) in endpoints {
        let mut service = LatencyLayer::new(handle.clone())
            .route(endpoint)
            .layer(service_fn(move |_| {
                let response = Response::builder().status(status);
                std::future::ready(response.body(ScriptedBody::new().exact()))
            }));
        drop(now(service.call(get("/private/17?token=x"))).unwrap());
    }
    let durations = family(&handle, "http_client_request_duration_seconds");
    let labels = durations.points.iter().map(|point| {
        let labels = point.labels.iter();
        labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    });
    let expected = [
        vec![
            "pool=shop",
            "endpoint=blue",
            "http_request_method=GET",
            "http_response_status_code=404",
            "error_type=404",
        ],
        vec![
            "pool=shop",
            "endpoint=http://10.0.0.1:8080",
            "server_address=10.0.0.1",
            "server_port=8080",
            "http_request_method=GET",
            "http_response_status_code=200",
        ],
    ];
    assert_eq!(labels.collect::<Vec<_>>(), expected);
    let names: Vec<_> = families(&handle).iter().map(|family| family.name).collect();
    let expected = [
        "http_client_request_duration_seconds",
        "buttress_http_client_request_head_duration_seconds",
        "buttress_http_client_request_duration_quantile_seconds",
        "buttress_series_overflow",
    ];
    assert_eq!(names, expected);
    // Each pool has a handle of its own, and counts its own overflow.
    let overflow = family(&handle, "buttress_series_overflow");
    let labels = &overflow.points[0].labels;
    assert_eq!(
        *labels,
        [("room", "latency".into()), ("pool", "shop".into())]
    );
}

#[test]
fn a_client_that_leaves_has_not_failed() {
    let handle = LatencyHandle::new(Config::new().client("shop")).unwrap();
    let mut service = LatencyLayer::new(handle.clone()).layer(service_fn(|_| {
        std::future::pending::<Result<Response<ScriptedBody>, Infallible>>()
    }));
    drop(service.call(get("/")));
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    assert_eq!(
        (series.outcome, series.error_type.as_deref()),
        ("abandoned", None)
    );
}
