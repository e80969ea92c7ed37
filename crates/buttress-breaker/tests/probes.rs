//! Half-open: so many probes and no more, each place given back, nothing late believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::time::Duration;

use buttress_breaker::{Backoff, Breaker, Permit, Settings, State};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::health::HealthStatus;
use buttress_core::outcome::Outcome;
use buttress_core::settle::Settle;
use support::{BAD, OPEN_FOR, PROBE_DEADLINE, breaker, calls, config, trip};

fn of(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn with_probes(time: &ManualClock, probes: u32, to_close: u32) -> Breaker {
    let settings = Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .ramp(None)
        .probe_deadline(PROBE_DEADLINE)
        .max_probes(of(probes))
        .successes_to_close(of(to_close));
    Breaker::new("test", config(time).circuit(settings)).unwrap()
}

fn half_open(time: &ManualClock, probes: u32, to_close: u32) -> Breaker {
    let breaker = with_probes(time, probes, to_close);
    trip(&breaker);
    time.advance(OPEN_FOR);
    breaker
}

fn take_all(breaker: &Breaker) -> Vec<Permit> {
    std::iter::from_fn(|| breaker.try_acquire().ok())
        .take(100)
        .collect()
}

#[test]
fn so_many_probes_are_admitted_at_once_and_no_more() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 3, 3);
    let probes = take_all(&breaker);
    assert_eq!(probes.len(), 3);
    assert!(probes.iter().all(Permit::is_probe));
    assert_eq!(breaker.try_acquire().unwrap_err().reason, "probes_busy");
}

#[test]
fn at_the_instant_the_open_time_ends_racing_callers_get_no_more_places_than_there_are() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 2, 9);
    let start = Barrier::new(4);
    let permits: Vec<_> = std::thread::scope(|scope| {
        let race = || {
            start.wait();
            take_all(&breaker)
        };
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
        racers
            .into_iter()
            .flat_map(|racer| racer.join().unwrap())
            .collect()
    });
    assert_eq!(permits.len(), 2);
}

#[test]
fn enough_good_probes_close_the_circuit_and_one_bad_one_opens_it_again() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 1, 2);
    breaker.try_acquire().unwrap().record(Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(breaker.state(), State::Open);
    time.advance(OPEN_FOR);
    breaker.try_acquire().unwrap().record(Outcome::Success);
    breaker.try_acquire().unwrap().record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_slow_probe_opens_the_circuit_again() {
    let time = ManualClock::new();
    let config = config(&time).slow_after(Duration::from_secs(1));
    let breaker = Breaker::new("test", config).unwrap();
    trip(&breaker);
    time.advance(OPEN_FOR);
    let probe = breaker.try_acquire().unwrap();
    time.advance(Duration::from_secs(2));
    probe.record(Outcome::Success);
    assert_eq!(calls(&breaker).slow, 1);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_dropped_an_ignored_and_a_panicked_probe_each_give_their_place_back() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 1, 1);
    drop(breaker.try_acquire().unwrap());
    breaker.try_acquire().unwrap().record(Outcome::Ignored);
    assert_eq!(breaker.state(), State::HalfOpen);
    let probe = breaker.try_acquire().unwrap();
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _probe = probe;
        panic!("in the guarded code");
    }));
    assert!(caught.is_err());
    assert_eq!(breaker.state(), State::Open, "a panic is a failure");
    assert_eq!(calls(&breaker).abandoned, 1);
    time.advance(OPEN_FOR);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn a_probe_that_hangs_gives_its_place_back_at_the_deadline_and_is_not_believed_later() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 1, 1);
    let hanging = breaker.try_acquire().unwrap();
    time.advance(PROBE_DEADLINE.saturating_sub(Duration::from_nanos(1)));
    assert!(breaker.try_acquire().is_err());
    time.advance(Duration::from_nanos(1));
    let second = breaker.try_acquire().unwrap();
    hanging.record(BAD);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.handle().snapshot().stale, 1);
    second.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_probe_that_ends_well_after_its_deadline_counts() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 1, 1);
    let long = breaker.try_acquire().unwrap();
    time.advance(PROBE_DEADLINE + Duration::from_secs(1));
    long.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_probe_whose_answer_begins_well_and_never_ends_closes_the_circuit_at_its_deadline() {
    let time = ManualClock::new();
    let breaker = half_open(&time, 1, 1);
    let mut events = breaker.handle().subscribe();
    let mut endless = breaker.try_acquire().unwrap();
    endless.answered();
    time.advance(PROBE_DEADLINE.saturating_sub(Duration::from_nanos(1)));
    assert!(breaker.try_acquire().is_err());
    time.advance(Duration::from_nanos(1));
    assert!(!breaker.try_acquire().unwrap().is_probe());
    assert_eq!(breaker.state(), State::Closed);
    let rules = std::iter::from_fn(|| events.try_recv()).map(|received| match received {
        Received::Event(event) => event.verdict.rule.into_owned(),
        Received::Lagged(lost) => panic!("lost {lost}"),
    });
    assert_eq!(rules.collect::<Vec<_>>(), ["open_time", "probe"]);
}

#[test]
fn a_probe_whose_answer_begins_late_is_slow_and_not_answered() {
    let slow_after = Duration::from_secs(1);
    for (late_by, probed_again) in [(0, false), (1, true)] {
        let time = ManualClock::new();
        let mut config = config(&time).slow_after(slow_after);
        config.circuit = config.circuit.successes_to_close(of(1));
        let breaker = Breaker::new("test", config).unwrap();
        trip(&breaker);
        time.advance(OPEN_FOR);
        let mut probe = breaker.try_acquire().unwrap();
        time.advance(slow_after + Duration::from_nanos(late_by));
        probe.answered();
        time.advance(PROBE_DEADLINE);
        assert_eq!(breaker.try_acquire().unwrap().is_probe(), probed_again);
    }
}

#[test]
fn results_from_before_the_trip_change_nothing_in_any_later_state() {
    let time = ManualClock::new();
    let breaker = with_probes(&time, 1, 1);
    let mut early: Vec<_> = (0..8).map(|_| breaker.try_acquire().unwrap()).collect();
    let mut late = |outcome| early.pop().unwrap().record(outcome);
    trip(&breaker);
    late(Outcome::Success);
    late(BAD);
    assert_eq!(breaker.state(), State::Open);
    time.advance(OPEN_FOR);
    let probe = breaker.try_acquire().unwrap();
    late(Outcome::Success);
    late(BAD);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(
        breaker.try_acquire().is_err(),
        "a late result mints no place"
    );
    probe.record(Outcome::Success);
    late(BAD);
    late(BAD);
    late(BAD);
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.stale), (State::Closed, 7));
    assert_eq!(snapshot.consecutive_failures, 0);
}

#[test]
fn a_late_success_does_not_break_a_row_of_failures() {
    let time = ManualClock::new();
    let breaker = with_probes(&time, 1, 1);
    let early = breaker.try_acquire().unwrap();
    breaker.handle().force_open();
    breaker.handle().release();
    breaker.try_acquire().unwrap().record(BAD);
    early.record(Outcome::Success);
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn every_change_is_told_in_order_with_its_reason_and_published_as_health() {
    let time = ManualClock::new();
    let breaker = with_probes(&time, 1, 1);
    let mut events = breaker.handle().subscribe();
    let health = breaker.handle().health();
    assert_eq!(health.status(), HealthStatus::Healthy);
    trip(&breaker);
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    time.advance(OPEN_FOR);
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(health.status(), HealthStatus::Degraded);
    probe.record(Outcome::Success);
    assert_eq!(health.status(), HealthStatus::Healthy);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv())
        .map(|received| match received {
            Received::Event(event) => (
                event.transition.unwrap().to,
                event.verdict.rule.into_owned(),
            ),
            Received::Lagged(lost) => panic!("lost {lost}"),
        })
        .collect();
    let expected = [
        (State::Open, "consecutive_failures"),
        (State::HalfOpen, "open_time"),
        (State::Closed, "probe"),
    ];
    assert_eq!(told, expected.map(|(state, rule)| (state, rule.to_owned())));
}

#[test]
fn a_forced_breaker_stays_as_it_is_whatever_comes_and_repeats_nothing() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let handle = breaker.handle();
    assert!(handle.force_closed());
    let mut events = handle.subscribe();
    assert!(!handle.force_closed());
    for _ in 0..9 {
        breaker.try_acquire().unwrap().record(BAD);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(
        handle.snapshot().stale,
        0,
        "they were not late, only not judged"
    );
    assert!(handle.force_open());
    time.advance(Duration::from_secs(3_600));
    assert_eq!(breaker.try_acquire().unwrap_err().reason, "forced_open");
    assert!(handle.release());
    assert!(!handle.release());
    assert!(breaker.try_acquire().is_ok());
    assert_eq!(std::iter::from_fn(|| events.try_recv()).count(), 2);
}

#[test]
fn racing_calls_are_each_counted_once_and_rejections_too() {
    let time = ManualClock::new();
    let breaker = with_probes(&time, 1, 1);
    let handle = breaker.handle();
    let rejected: u64 = std::thread::scope(|scope| {
        let racer = |bad_every: u32| {
            let breaker = &breaker;
            move || {
                let mut rejected = 0;
                for n in 0..20_000_u32 {
                    match breaker.try_acquire() {
                        Ok(permit) if n % bad_every == 0 => permit.record(BAD),
                        Ok(permit) => permit.record(Outcome::Success),
                        Err(_) => rejected += 1,
                    }
                }
                rejected
            }
        };
        let racers = [scope.spawn(racer(7)), scope.spawn(racer(3))];
        while !racers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            time.advance(Duration::from_secs(1));
            handle.snapshot();
        }
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.rejected, rejected);
    assert_eq!(support::ended(&snapshot.calls), 40_000 - rejected);
    let changes: u64 = snapshot
        .transitions
        .iter()
        .map(|counted| counted.count)
        .sum();
    assert_eq!(changes, snapshot.generation);
}
