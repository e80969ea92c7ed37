//! Whether a route is getting worse, as its handle tells.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp)]

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Value};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_latency::{Config, Goal, LatencyHandle, Objective, RouteTrend};

/// `millis` says how long calls take in each second of ten minutes; there are `rate` of them.
fn trends(rate: u32, millis: impl Fn(u32) -> f64) -> Vec<RouteTrend> {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    for second in 0..600 {
        let duration = Duration::from_secs_f64(millis(second) / 1e3);
        for n in 0..rate {
            // Two series of one route, whose slices are added up.
            let outcome = [Outcome::Success, Outcome::Ignored][(n % 2) as usize];
            handle.record("r", outcome, time.now(), duration);
        }
        time.advance(Duration::from_secs(1));
    }
    handle.trends(0.99)
}

#[test]
fn a_route_that_gets_slower_rises_and_says_when_it_will_pass_its_objective() {
    let trends = trends(10, |second| 100.0 + 0.2 * f64::from(second));
    assert_eq!(trends.len(), 1);
    assert_eq!(&*trends[0].route, "r");
    let trend = &trends[0].trend;
    assert_eq!(
        trend.points.len(),
        19,
        "each slice that has ended in the window"
    );
    assert!(trend.points.iter().all(|point| point.count == 150));
    assert!(trend.is_rising());
    // 220 ms by now, 12 ms a minute.
    let passing = trend.passes(Duration::from_millis(250)).unwrap();
    let likely = passing.likely.as_secs_f64();
    assert!((likely - 150.0).abs() < 15.0, "{passing:?}");
    assert_eq!(trend.passes(Duration::from_secs(1)), None, "out of sight");
}

#[test]
fn a_steady_route_and_one_with_too_few_calls_say_nothing() {
    let steady = trends(10, |second| 100.0 + f64::from(second % 2));
    assert!(!steady[0].trend.is_rising() && !steady[0].trend.is_falling());
    assert_eq!(steady[0].trend.passes(Duration::from_millis(120)), None);
    let rare = trends(1, |second| 100.0 + f64::from(second));
    assert!(rare[0].trend.points.is_empty(), "no slice bears a P99");
    assert_eq!(rare[0].trend.slope, None);
}

const THRESHOLD: Duration = Duration::from_millis(250);
const TIMED_OUT: Outcome = Outcome::Failure(FailureKind::Deadline);

/// A route that is to keep the threshold for 95 %, after ten minutes of 20 calls a second, of which
/// `call` says how the nth of a second ends and after how many milliseconds.
fn watched(call: impl Fn(u32, u32) -> (Outcome, f64)) -> LatencyHandle {
    let time = ManualClock::new();
    let objective = Objective::new().latency(THRESHOLD, 0.95).availability(0.9);
    let config = Config::new().clock(time.clock()).objective("r", objective);
    let handle = LatencyHandle::new(config).unwrap();
    for second in 0..600 {
        for n in 0..20 {
            let (outcome, millis) = call(second, n);
            let duration = Duration::from_secs_f64(millis / 1e3);
            handle.record("r", outcome, time.now(), duration);
        }
        time.advance(Duration::from_secs(1));
    }
    handle
}

/// The estimates that the metrics show of when the objective will be passed.
fn passing_gauges(handle: &LatencyHandle) -> Vec<(String, f64)> {
    let mut families = Vec::new();
    handle.collect(&mut families);
    let passing = families
        .iter()
        .filter(|family| family.name == "buttress_objective_passing_seconds");
    let points = passing.flat_map(|family| &family.points);
    points
        .map(|point| match &point.value {
            Value::Gauge(seconds) => (point.labels[2].1.to_string(), *seconds),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// 220 ms by now, 12 ms a minute; quick failures and what is disregarded are not what it is about.
#[test]
fn the_snapshot_and_the_metrics_say_when_an_objective_will_be_passed() {
    let handle = watched(|second, n| match n % 4 {
        0 => (Outcome::Failure(FailureKind::Answer), 1.0),
        1 => (Outcome::Ignored, 2_000.0),
        _ => (Outcome::Success, 100.0 + 0.2 * f64::from(second)),
    });
    let snapshot = handle.snapshot();
    let [latency, availability] = &snapshot.objectives[..] else {
        panic!("{:?}", snapshot.objectives);
    };
    assert_eq!(latency.goal, Goal::Latency(THRESHOLD));
    let trend = latency.trend.as_ref().unwrap();
    assert!(trend.q == 0.95 && trend.points.iter().all(|point| point.count == 150));
    let passing = latency.passing.unwrap();
    let likely = passing.likely.as_secs_f64();
    assert!((likely - 150.0).abs() < 15.0, "{passing:?}");
    assert_eq!((&availability.trend, availability.passing), (&None, None));
    // Of all exchanges the slowest are those that take two seconds, and they do not move.
    let route = snapshot.route("r").unwrap().trend.as_ref().unwrap();
    assert!(route.q == 0.99 && !route.is_rising());
    let gauges = passing_gauges(&handle);
    let expected = [
        ("likely".to_owned(), likely),
        ("earliest".to_owned(), passing.earliest.as_secs_f64()),
        ("latest".to_owned(), passing.latest.as_secs_f64()),
    ];
    assert_eq!(gauges, expected);
}

/// A few more every minute that take two seconds: what succeeds is as quick as ever.
#[test]
fn timeouts_count_for_where_an_objective_is_heading() {
    let slow = |second: u32, n: u32| n == 0 && second % 10 < second / 60;
    let handle = watched(|second, n| {
        if slow(second, n) {
            (TIMED_OUT, 2_000.0)
        } else {
            (Outcome::Success, 100.0)
        }
    });
    let objectives = handle.snapshot().objectives;
    let counts = |nth: usize| objectives[0].trend.as_ref().unwrap().points[nth].count;
    assert_eq!(counts(0), 300, "each of them is in it");
    assert!(objectives[0].budget.bad > 200);
}

#[test]
fn a_steady_route_a_step_and_an_idle_one_foresee_nothing() {
    let steady = watched(|second, _| (Outcome::Success, 200.0 + f64::from(second * 7 % 10)));
    let step = watched(|second, n| {
        let level = if second < 450 { 100.0 } else { 230.0 };
        (Outcome::Success, level + f64::from((second * 7 + n) % 10))
    });
    for handle in [steady, step, watched_idle()] {
        assert_eq!(handle.snapshot().objectives[0].passing, None);
        assert_eq!(passing_gauges(&handle), []);
    }
}

/// It rose, and then nobody called for a minute and a half.
fn watched_idle() -> LatencyHandle {
    let time = ManualClock::new();
    let objective = Objective::new().latency(THRESHOLD, 0.95);
    let config = Config::new().clock(time.clock()).objective("r", objective);
    let handle = LatencyHandle::new(config).unwrap();
    for second in 0..600 {
        let duration = Duration::from_secs_f64((100.0 + 0.2 * f64::from(second)) / 1e3);
        for _ in 0..20 {
            handle.record("r", Outcome::Success, time.now(), duration);
        }
        time.advance(Duration::from_secs(1));
    }
    assert!(handle.snapshot().objectives[0].passing.is_some());
    time.advance(Duration::from_secs(90));
    handle
}

#[test]
fn the_slope_of_a_route_is_a_gauge_where_it_is_known() {
    let slopes = |handle: &LatencyHandle| -> Vec<_> {
        let mut families = Vec::new();
        handle.collect(&mut families);
        let family = families
            .iter()
            .find(|family| family.name == "buttress_duration_slope_ratio");
        let points = &family.unwrap().points;
        points
            .iter()
            .map(|point| (point.labels[2].1.to_string(), point.value.clone()))
            .collect()
    };
    assert_eq!(slopes(&LatencyHandle::default()), []);
    let handle = watched(|second, _| (Outcome::Success, 100.0 + 0.2 * f64::from(second)));
    let route = handle.snapshot().routes.remove(0);
    let slope = route.trend.unwrap().slope.unwrap();
    assert!((slope.median / 0.000_2 - 1.0).abs() < 0.05, "{slope:?}");
    let series = handle.snapshot().series.remove(0);
    assert_eq!(series.slope, Some(slope), "the route is this series alone");
    let expected = [
        ("median", slope.median),
        ("low", slope.low),
        ("high", slope.high),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), Value::Gauge(value)));
    assert_eq!(slopes(&handle), expected);
}
