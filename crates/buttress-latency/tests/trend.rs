//! Whether a route is getting worse, as its handle tells.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_latency::{Config, LatencyHandle, RouteTrend};

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
