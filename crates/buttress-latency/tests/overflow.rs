//! How many series there can be, and where the rest is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::borrow::Cow;
use std::convert::Infallible;

use buttress_core::metric::Value;
use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use buttress_testing::ScriptedBody;
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

use support::{family, now, only};
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
fn a_configuration_without_series_is_refused() {
    let error = LatencyHandle::new(Config::new().max_series(0)).unwrap_err();
    assert_eq!(error.field(), "max_series");
}
