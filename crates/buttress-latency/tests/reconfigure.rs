//! The configuration of a live handle is replaced: nothing that was recorded is lost by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::outcome::Outcome;
use buttress_latency::{Config, LatencyHandle, LatencyLayer, Objective, Windows};
use buttress_testing::ScriptedBody;
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

use support::{get, measured, now};

const MILLI: Duration = Duration::from_millis(1);

fn windows<const N: usize>(seconds: [u64; N]) -> Config {
    let windows = Windows::new(seconds.map(Duration::from_secs));
    Config::new().windows(windows.unwrap())
}

fn serve(handle: &LatencyHandle) {
    let layer = LatencyLayer::new(handle.clone()).route("r");
    let mut service = layer.layer(service_fn(|_: Request<()>| {
        let body = ScriptedBody::new().data("x").exact();
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let response = now(service.call(get("/"))).unwrap();
    now(http_body_util::BodyExt::collect(response.into_body())).unwrap();
}

/// How many are in each window of `r`, by its length in seconds.
fn held(handle: &LatencyHandle) -> Vec<(u64, u64)> {
    let snapshot = handle.snapshot();
    let windows = snapshot.route("r").unwrap().windows.iter();
    windows
        .map(|window| (window.length.as_secs(), window.counts.count()))
        .collect()
}

#[test]
fn a_window_that_is_cut_as_before_keeps_what_it_holds_and_a_new_one_begins() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let record = |times| {
        for _ in 0..times {
            handle.record("r", Outcome::Success, time.now(), MILLI);
        }
    };
    record(3);
    time.advance(Duration::from_secs(5));
    record(4);
    handle.reconfigure(windows([300, 30, 10])).unwrap();
    assert_eq!(held(&handle), [(300, 7), (30, 0), (10, 7)]);
    record(2);
    assert_eq!(held(&handle), [(300, 9), (30, 2), (10, 9)]);
    time.advance(Duration::from_secs(6));
    assert_eq!(held(&handle), [(300, 9), (30, 2), (10, 6)]);
    time.advance(Duration::from_secs(60));
    assert_eq!(held(&handle), [(300, 9), (30, 0), (10, 0)]);
    let all = handle.snapshot();
    assert_eq!(all.route("r").unwrap().total.count(), 9);
}

#[test]
fn what_is_measured_changes_with_the_next_exchange() {
    let time = ManualClock::new();
    let handle = measured(&time);
    let told = |handle: &LatencyHandle| {
        let route = handle.snapshot().route("r").unwrap().clone();
        let sizes = handle
            .snapshot()
            .series
            .iter()
            .map(|one| one.response_bodies.count())
            .sum();
        (
            route.total.count(),
            route.head.total.count(),
            route.streams.total.count(),
            sizes,
        )
    };
    serve(&handle);
    assert_eq!(told(&handle), (1, 1, 0, 0_u64));
    handle.reconfigure(Config::new().head(false)).unwrap();
    serve(&handle);
    assert_eq!(told(&handle), (2, 1, 0, 0));
    handle
        .reconfigure(handle.config().head(true).end(false))
        .unwrap();
    serve(&handle);
    assert_eq!(told(&handle), (2, 2, 0, 0));
    handle
        .reconfigure(Config::new().streaming("r").response_body_sizes(true))
        .unwrap();
    serve(&handle);
    assert_eq!(told(&handle), (2, 3, 1, 1));
    handle.reconfigure(Config::new().tls()).unwrap();
    serve(&handle);
    let snapshot = handle.snapshot();
    assert!(
        snapshot
            .series
            .iter()
            .any(|series| series.scheme == Some("https"))
    );
}

#[test]
fn another_observer_takes_over() {
    let handle = LatencyHandle::default();
    let seen = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let observed = |nth: usize| {
        let seen = Arc::clone(&seen);
        Config::new().observe(move |_| {
            seen[nth].fetch_add(1, Ordering::Relaxed);
        })
    };
    serve(&handle);
    for (config, exchanges) in [(observed(0), 2), (observed(1), 3), (Config::new(), 4)] {
        handle.reconfigure(config).unwrap();
        (0..exchanges).for_each(|_| serve(&handle));
    }
    let seen = seen.each_ref().map(|seen| seen.load(Ordering::Relaxed));
    assert_eq!(seen, [2, 3]);
}

#[test]
fn an_observer_may_replace_the_configuration_and_itself() {
    let place: Arc<Mutex<Option<LatencyHandle>>> = Arc::default();
    let own = Arc::clone(&place);
    let handle = LatencyHandle::new(Config::new().observe(move |_| {
        let handle = own.lock().unwrap().take().unwrap();
        handle.reconfigure(Config::new()).unwrap();
    }));
    let handle = handle.unwrap();
    *place.lock().unwrap() = Some(handle.clone());
    serve(&handle);
    serve(&handle);
    assert_eq!(handle.snapshot().route("r").unwrap().total.count(), 2);
}

#[test]
fn an_objective_that_stays_is_counted_on_and_another_begins() {
    let time = ManualClock::new();
    let available = Objective::new().availability(0.999);
    let both = available.latency(MILLI, 0.99);
    let config = Config::new().clock(time.clock()).objective("r", available);
    let handle = LatencyHandle::new(config).unwrap();
    let good = || {
        serve(&handle);
        let goals = handle.snapshot().objectives;
        goals.iter().map(|goal| goal.good).collect::<Vec<_>>()
    };
    assert_eq!(good(), [1]);
    handle
        .reconfigure(Config::new().objective("r", both))
        .unwrap();
    assert_eq!(good(), [1, 2], "the latency's is new");
    let stricter = Objective::new().availability(0.9999);
    handle
        .reconfigure(Config::new().objective("r", stricter))
        .unwrap();
    assert_eq!(good(), [1], "it asks for something else");
    handle.reconfigure(Config::new()).unwrap();
    assert!(good().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_whole() {
    let time = ManualClock::new();
    let config = Config::new().clock(time.clock()).max_series(2);
    let handle =
        LatencyHandle::new(config.objective("r", Objective::new().availability(0.9))).unwrap();
    serve(&handle);
    let before = handle.snapshot();
    let sound = Objective::new().availability(0.99);
    let bad = [
        windows([1]).objective("r", Objective::new()),
        windows([1])
            .objective("r", sound)
            .objective("s", sound)
            .objective("t", sound),
    ];
    for config in bad {
        assert!(handle.reconfigure(config).is_err());
        assert_eq!(handle.snapshot(), before);
    }
    // Nor is there room for an objective where names have used it up.
    handle.record("s", Outcome::Success, time.now(), MILLI);
    let late = Config::new().objective("t", sound);
    assert_eq!(handle.reconfigure(late).unwrap_err().field(), "objective");
}

#[test]
fn whatever_races_nothing_is_lost_and_all_windows_are_the_last() {
    const RECORDS: u64 = 20_000;
    let handle = LatencyHandle::default();
    let names: Vec<String> = (0..200).map(|n| format!("/{n}")).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for (n, name) in (0..RECORDS).zip(names.iter().cycle()) {
                    let now = Instant::from_nanos(n * 1_000_000);
                    handle.record(name, Outcome::Success, now, MILLI);
                }
            });
        }
        scope.spawn(|| {
            for n in 1..=100 {
                handle.reconfigure(windows([n, 600 + n])).unwrap();
            }
        });
    });
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.routes.len(), names.len());
    let counted: u64 = snapshot
        .routes
        .iter()
        .map(|route| route.total.count())
        .sum();
    assert_eq!(counted, 2 * RECORDS);
    for route in &snapshot.routes {
        let lengths: Vec<_> = route.windows.iter().map(|w| w.length.as_secs()).collect();
        assert_eq!(lengths, [100, 700], "{}", route.route);
    }
}
