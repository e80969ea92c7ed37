//! All views show the same integers: the snapshot, the histograms and the rolling gauges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Family, Histogram, Point, Value};
use buttress_latency::{Config, LatencyHandle, LatencyLayer, SeriesSnapshot, Snapshot};
use buttress_testing::{ScriptedBody, drop_after_polls};
use http::{Request, Response};
use proptest::prelude::*;
use tower::{Layer, Service, service_fn};

const ROUTES: [&str; 3] = ["", "/a", "/b/{id}"];
const STATUSES: [u16; 4] = [200, 201, 404, 500];
const METHODS: [&str; 3] = ["GET", "POST", "BREW"];

type Exchange = (usize, usize, usize, u64, bool);

/// Each takes its time to the head; one in two is dropped before its body is read.
fn serve(handle: &LatencyHandle, time: &ManualClock, exchanges: &[Exchange]) {
    let mut services = ROUTES.map(|route| {
        let time = time.clone();
        let layer = LatencyLayer::new(handle.clone()).route(route);
        layer.layer(service_fn(move |request: Request<(u16, u64)>| {
            let (status, nanos) = *request.body();
            time.advance(Duration::from_nanos(nanos));
            let body = ScriptedBody::new().data("x").exact();
            let response = Response::builder().status(status).body(body).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        }))
    });
    for (route, status, method, nanos, read) in exchanges {
        let request = Request::builder().method(METHODS[*method]);
        let request = request.body((STATUSES[*status], *nanos)).unwrap();
        let response = drop_after_polls(services[*route].call(request), 1);
        let mut body = response.unwrap().unwrap().into_body();
        if *read {
            drop_after_polls(http_body_util::BodyExt::frame(&mut body), 1);
        }
    }
}

fn family(families: &[Family], name: &str) -> Vec<Point> {
    let found = families.iter().find(|family| family.name == name);
    found.unwrap().points.clone()
}

fn labels(point: &Point) -> BTreeMap<&'static str, String> {
    let pairs = point.labels.iter();
    pairs
        .map(|(name, value)| (*name, value.to_string()))
        .collect()
}

fn histogram(point: &Point) -> Histogram {
    match &point.value {
        Value::Histogram(histogram) => histogram.clone(),
        other => panic!("{other:?}"),
    }
}

/// The labels that a series has in the histogram.
fn expected(series: &SeriesSnapshot) -> BTreeMap<&'static str, String> {
    let mut labels = BTreeMap::from([
        ("http_request_method", series.method.unwrap().to_owned()),
        ("url_scheme", series.scheme.unwrap().to_owned()),
    ]);
    if !series.route.is_empty() {
        labels.insert("http_route", series.route.to_string());
    }
    if let Some(status) = series.status {
        labels.insert("http_response_status_code", status.as_str().to_owned());
    }
    if let Some(error) = &series.error_type {
        labels.insert("error_type", error.to_string());
    }
    labels
}

fn same(histogram: &Histogram, counts: &Snapshot) -> Result<(), TestCaseError> {
    prop_assert_eq!(histogram.count, counts.count());
    prop_assert_eq!(histogram.below, counts.below());
    prop_assert_eq!(histogram.above, counts.above());
    prop_assert_eq!(&histogram.native, &counts.native());
    prop_assert_eq!(&histogram.classic, &counts.classic().collect::<Vec<_>>());
    prop_assert_eq!(histogram.sum, counts.sum().as_secs_f64());
    let native: u64 = histogram.native.iter().map(|(_, count)| count).sum();
    prop_assert_eq!(native + histogram.below + histogram.above, histogram.count);
    // A classic count at a bound that is an edge of a native bucket is that of the native buckets.
    for (bound, index) in [(0.5, -64), (1.0, 0)] {
        let native = histogram.native.iter().filter(|(at, _)| *at <= index);
        let within: u64 = native.map(|(_, count)| count).sum();
        let classic = histogram.classic.iter().find(|(le, _)| *le == bound);
        prop_assert_eq!(classic.unwrap().1, within + histogram.below);
    }
    Ok(())
}

type Of = for<'a> fn(&'a SeriesSnapshot) -> &'a Snapshot;

/// What is shown as a histogram of each series.
const VIEWS: [(&str, Of); 2] = [
    ("http_server_request_duration_seconds", |series| {
        &series.total
    }),
    (
        "buttress_http_server_request_head_duration_seconds",
        |series| &series.head.total,
    ),
];

proptest! {
    #[test]
    fn histograms_series_and_routes_show_the_same_integers(
        exchanges in proptest::collection::vec(
            (0..3_usize, 0..4_usize, 0..3_usize, 0..20_000_000_000_u64, any::<bool>()), 0..80),
    ) {
        let time = ManualClock::new();
        let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
        serve(&handle, &time, &exchanges);
        let mut families = Vec::new();
        handle.collect(&mut families);
        let snapshot = handle.snapshot();
        for (name, of) in VIEWS {
            let points = families.iter().find(|family| family.name == name);
            let points = points.map_or(&[][..], |family| &family.points);
            let recorded = snapshot.series.iter().filter(|series| !of(series).is_empty());
            prop_assert_eq!(points.len(), recorded.clone().count());
            for series in recorded {
                let labels_of = expected(series);
                let point = points.iter().find(|point| labels(point) == labels_of).unwrap();
                same(&histogram(point), of(series))?;
            }
            let counted: u64 = points.iter().map(|point| histogram(point).count).sum();
            prop_assert_eq!(counted, exchanges.len() as u64);
        }
        for route in &snapshot.routes {
            let series = snapshot.series.iter().filter(|series| series.route == route.route);
            let sum = |of: Of| series.clone().map(of).sum::<Snapshot>();
            prop_assert_eq!(&sum(|series| &series.total), &route.total);
            prop_assert_eq!(&sum(|series| &series.head.total), &route.head.total);
        }
    }
}

#[test]
fn a_rolling_gauge_is_the_quantile_of_the_windows_of_its_class() {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    let exchanges: Vec<Exchange> = (0..2_000)
        .map(|n| (1, n % 4, n % 3, 1_000_000 + 1_000 * n as u64, true))
        .collect();
    serve(&handle, &time, &exchanges);
    let mut families = Vec::new();
    handle.collect(&mut families);
    let mut gauges = 0;
    for point in family(&families, "buttress_http_request_duration_quantile_seconds") {
        let labels = labels(&point);
        let window = ["10s", "60s", "300s"]
            .iter()
            .position(|w| labels["window"] == *w);
        let of_class = handle.snapshot().series;
        let of_class = of_class.iter().filter(|series| {
            let status = series.status.unwrap().as_u16();
            labels["status_class"] == format!("{}xx", status / 100)
        });
        let counts: Snapshot = of_class
            .map(|series| &series.windows[window.unwrap()].counts)
            .sum();
        let q: f64 = labels["q"].parse().unwrap();
        assert_eq!(
            Some(point.value),
            counts.quantile(q).as_gauge().map(Value::Gauge)
        );
        gauges += 1;
    }
    // Three windows of three classes; each knows all but the P99.9 of 500 or 1000.
    assert_eq!(gauges, 3 * (5 + 4 + 4));
}
