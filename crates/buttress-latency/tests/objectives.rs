//! Objectives: what is counted, how fast the budget burns, and what is left of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp)]

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::metric::{Collect, Family, Value};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::reject::Rejected;
use buttress_core::rng::Rng;
use buttress_latency::{
    BurnWindow, Config, Goal, LatencyHandle, LatencyLayer, Objective, ObjectiveSnapshot,
};
use buttress_testing::{ScriptedBody, drop_after_polls};
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};

const FAST: Duration = Duration::from_millis(250);
const SLOW: Duration = Duration::from_nanos(250_000_001);
const MINUTE: Duration = Duration::from_secs(60);
const FAILED: Outcome = Outcome::Failure(FailureKind::Transport);

/// A handle with both goals on the route `r`, on a clock of its own.
fn handle() -> (LatencyHandle, ManualClock) {
    let time = ManualClock::new();
    let objective = Objective::new().latency(FAST, 0.99).availability(0.999);
    let config = Config::new().clock(time.clock()).objective("r", objective);
    (LatencyHandle::new(config).unwrap(), time)
}

fn goals(handle: &LatencyHandle) -> [ObjectiveSnapshot; 2] {
    let goals = <[_; 2]>::try_from(handle.snapshot().objectives).unwrap();
    assert_eq!(goals[0].goal, Goal::Latency(FAST));
    assert_eq!(goals[1].goal, Goal::Availability);
    goals
}

#[test]
fn each_outcome_counts_for_the_goals_it_says_something_about() {
    // Good and bad for latency, then for availability.
    let cases = [
        (Outcome::Success, FAST, [1, 0, 1, 0]),
        (Outcome::Success, SLOW, [0, 1, 1, 0]),
        (FAILED, FAST, [0, 0, 0, 1]),
        (FAILED, SLOW, [0, 1, 0, 1]),
        (Outcome::Abandoned, FAST, [0, 0, 0, 0]),
        (Outcome::Abandoned, SLOW, [0, 1, 0, 0]),
        (Outcome::Ignored, SLOW, [0, 0, 0, 0]),
    ];
    for (outcome, duration, expected) in cases {
        let (handle, time) = handle();
        handle.record("r", outcome, time.now(), duration);
        handle.record("another", outcome, time.now(), duration);
        let [latency, availability] = goals(&handle);
        let counted = [
            latency.good,
            latency.bad,
            availability.good,
            availability.bad,
        ];
        assert_eq!(counted, expected, "{outcome} after {duration:?}");
    }
}

#[test]
fn a_refusal_of_our_own_is_an_exchange_that_was_not_answered() {
    let (handle, _) = handle();
    let mut service = LatencyLayer::new(handle.clone())
        .route("r")
        .layer(service_fn(|_| {
            let mut response = Response::new(ScriptedBody::new());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
                .extensions_mut()
                .insert(Rejected::new("breaker", "circuit_open"));
            std::future::ready(Ok::<_, Infallible>(response))
        }));
    drop(drop_after_polls(service.call(Request::new(())), 1));
    let [latency, availability] = goals(&handle);
    assert_eq!((latency.good, latency.bad), (0, 0));
    assert_eq!((availability.good, availability.bad), (0, 1));
}

#[test]
fn a_total_outage_burns_in_every_pair_as_soon_as_its_windows_hold_it() {
    let (handle, time) = handle();
    for _ in 0..10 {
        handle.record("r", Outcome::Success, time.now(), FAST);
        time.advance(MINUTE);
    }
    let burning = || goals(&handle)[1].burns.map(|burn| burn.is_burning());
    assert_eq!(burning(), [false; 4]);
    assert_eq!(goals(&handle)[1].budget_left(), Some(1.0));
    for _ in 0..10 {
        handle.record("r", FAILED, time.now(), FAST);
        time.advance(MINUTE);
    }
    // Half of what all windows hold has failed: 500 times what may.
    assert_eq!(burning(), [true; 4]);
    let availability = &goals(&handle)[1];
    let rate = availability.burns[0].long.rate.unwrap();
    assert!((rate - 500.0).abs() < 1e-6, "{rate}");
    assert!((availability.budget_left().unwrap() + 499.0).abs() < 1e-6);
    let factors = availability.burns.map(|burn| burn.factor);
    for (factor, expected) in factors.into_iter().zip([14.4, 6.0, 3.0, 1.0]) {
        assert!((factor - expected).abs() < 1e-9, "{factors:?}");
    }
    // Over for six minutes: the shortest window has nothing of it any more, and is no alarm.
    for _ in 0..6 {
        time.advance(MINUTE);
        handle.record("r", Outcome::Success, time.now(), FAST);
    }
    assert_eq!(burning(), [false, true, true, true]);
}

#[test]
fn an_idle_route_reads_as_unknown_and_its_windows_forget() {
    let (handle, time) = handle();
    let [_, idle] = goals(&handle);
    assert_eq!(idle.budget_left(), None);
    assert!(
        idle.burns
            .iter()
            .all(|burn| burn.long.rate.is_none() && !burn.is_burning())
    );
    handle.record("r", FAILED, time.now(), FAST);
    time.advance(Duration::from_secs(4 * 24 * 3600));
    let [_, later] = goals(&handle);
    assert!(later.burns.iter().all(|burn| burn.long.rate.is_none()));
    assert_eq!(
        (later.budget.bad, later.bad),
        (1, 1),
        "the period is longer"
    );
    time.advance(Duration::from_secs(31 * 24 * 3600));
    let [_, much_later] = goals(&handle);
    assert_eq!((much_later.budget.bad, much_later.bad), (0, 1));
}

#[test]
fn an_objective_sees_its_route_though_others_have_taken_all_the_room() {
    let objective = Objective::new().availability(0.999);
    let config = Config::new().max_series(3).objective("r", objective);
    let handle = LatencyHandle::new(config.clone()).unwrap();
    let now = ManualClock::new().now();
    for n in 0..10 {
        handle.record(&format!("invented-{n}"), Outcome::Success, now, FAST);
    }
    handle.record("r", FAILED, now, FAST);
    let [goal] = <[_; 1]>::try_from(handle.snapshot().objectives).unwrap();
    assert_eq!((goal.good, goal.bad), (0, 1));
    let error = LatencyHandle::new(config.objective("s", objective).max_series(1)).unwrap_err();
    let expected =
        "max_series: there is no room for the 2 routes that have objectives; use as many or more";
    assert_eq!(error.to_string(), expected);
}

/// A step of the clock to the end of time, and back.
#[test]
fn any_step_of_the_clock_is_safe() {
    let (handle, time) = handle();
    for now in [Instant::NEVER, Instant::ORIGIN, time.now(), Instant::NEVER] {
        handle.record("r", FAILED, now, FAST);
        goals(&handle);
    }
    let [_, availability] = goals(&handle);
    assert_eq!((availability.good, availability.bad), (0, 4));
    time.advance(Duration::MAX);
    assert_eq!(goals(&handle)[1].bad, 4);
}

/// Beside a list of everything: each window of each pair, the budget, and the factor of any period.
#[test]
fn burn_rates_and_the_budget_are_those_of_a_recount() {
    const HOUR: u64 = 3_600;
    let time = ManualClock::new();
    let period = Duration::from_secs(60 * 24 * HOUR);
    let objective = Objective::new().availability(0.99).period(period);
    let config = Config::new().clock(time.clock()).objective("r", objective);
    let handle = LatencyHandle::new(config).unwrap();
    let rng = Rng::seeded(11);
    let mut all: Vec<(u64, bool)> = Vec::new();
    for n in 0..3_000_u64 {
        // Long gaps are rare, so that each window has something now and then nothing.
        let gap = if n % 97 == 0 {
            7 * HOUR
        } else {
            rng.next_u64() % 120
        };
        time.advance(Duration::from_secs(gap));
        let good = rng.next_u64() % 100 > n % 30;
        let outcome = if good { Outcome::Success } else { FAILED };
        handle.record("r", outcome, time.now(), FAST);
        all.push((time.now().as_nanos(), good));
        if n % 50 == 0 {
            let [goal] = <[_; 1]>::try_from(handle.snapshot().objectives).unwrap();
            let now = time.now().as_nanos();
            for (burn, hours) in goal.burns.iter().zip([1, 6, 24, 72]) {
                assert_eq!(burn.long.length, Duration::from_secs(hours * HOUR));
                assert_eq!(burn.short.length * 12, burn.long.length);
                // Windows are cut into slices of a 120th of the long one.
                let slice = hours * HOUR * 1_000_000_000 / 120;
                recount(&burn.long, &all, now, slice, 120, 0.01);
                recount(&burn.short, &all, now, slice, 10, 0.01);
            }
            let slice = u64::try_from(period.as_nanos()).unwrap() / 120;
            recount(&goal.budget, &all, now, slice, 120, 0.01);
            let factors = goal.burns.map(|burn| burn.factor);
            for (factor, expected) in factors.into_iter().zip([28.8, 12.0, 6.0, 2.0]) {
                assert!((factor - expected).abs() < 1e-9, "{factors:?} of 60 days");
            }
        }
    }
}

fn recount(
    window: &BurnWindow,
    all: &[(u64, bool)],
    now: u64,
    slice: u64,
    slices: u64,
    budget: f64,
) {
    let oldest = (now / slice + 1).saturating_sub(slices) * slice;
    let within = |good| {
        all.iter()
            .filter(|(at, g)| *at >= oldest && *g == good)
            .count() as u64
    };
    let (good, bad) = (within(true), within(false));
    assert_eq!((window.good, window.bad), (good, bad), "{window:?}");
    let rate = (good + bad > 0).then(|| bad as f64 / (good + bad) as f64 / budget);
    match (window.rate, rate) {
        (Some(rate), Some(expected)) => assert!((rate - expected).abs() < 1e-9),
        (rate, expected) => assert_eq!(rate, expected),
    }
}

#[test]
fn nothing_is_lost_under_racing_threads() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = 20_000;
    let (handle, time) = handle();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..RECORDS {
                    if n % 500 == 0 {
                        time.advance(Duration::from_secs(7));
                        goals(&handle);
                    }
                    let duration = if n % 10 == 0 { SLOW } else { FAST };
                    handle.record("r", Outcome::Success, time.now(), duration);
                }
            });
        }
    });
    let [latency, _] = goals(&handle);
    let expected = (THREADS * RECORDS * 9 / 10, THREADS * RECORDS / 10);
    assert_eq!((latency.good, latency.bad), expected);
    // All of it was within the last minutes: the long windows and the period hold it all.
    for window in [latency.burns[0].long, latency.burns[3].long, latency.budget] {
        assert_eq!((window.good, window.bad), expected, "{window:?}");
    }
}

#[test]
fn the_metrics_show_what_the_snapshot_shows() {
    let (handle, time) = handle();
    for n in 0..1_000 {
        let duration = if n % 100 == 0 { SLOW } else { FAST };
        handle.record("r", Outcome::Success, time.now(), duration);
    }
    let mut families = Vec::new();
    handle.collect(&mut families);
    let of = |name: &str| -> Family {
        let found = families.iter().find(|family| family.name == name);
        found.unwrap().clone()
    };
    let [latency, _] = goals(&handle);
    let left = of("buttress_objective_error_budget_left_ratio");
    assert_eq!(
        left.points[0].value,
        Value::Gauge(latency.budget_left().unwrap())
    );
    let labels: Vec<_> = left.points[0]
        .labels
        .iter()
        .map(|(_, value)| &**value)
        .collect();
    assert_eq!(labels, ["r", "latency 250ms"]);
    let rates = of("buttress_objective_burn_rate");
    let windows: Vec<_> = rates
        .points
        .iter()
        .take(7)
        .map(|p| &*p.labels[2].1)
        .collect();
    assert_eq!(windows, ["5m", "1h", "30m", "6h", "2h", "1d", "3d"]);
    let exchanges = of("buttress_objective_exchanges");
    assert_eq!(exchanges.points[0].value, Value::Counter(990));
    assert_eq!(exchanges.points[1].value, Value::Counter(10));
    let mut seen = std::collections::BTreeSet::new();
    assert!(rates.points.iter().all(|point| seen.insert(&point.labels)));
    // Without an objective there is nothing to show.
    let mut none = Vec::new();
    LatencyHandle::default().collect(&mut none);
    assert!(none.iter().all(|family| !family.name.contains("objective")));
}
