//! Every interleaving of two or three threads at one breaker. CONTRIBUTING.md says how to run them.

#[path = "../../../tests/loom/mod.rs"]
mod shared;

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use loom::thread;

use crate::thread::take_place;
use crate::{Breaker, Config, Permit, Rule, Snapshot, Window};
use shared::{explore, race};

const OPEN_FOR: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(16);
const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

/// A breaker that opens at the first failure in a row and has `probes` places.
fn brittle(time: &ManualClock, probes: u32) -> Breaker {
    let circuit = Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .max_probes(NonZeroU32::new(probes).unwrap())
        .ramp(None);
    let config = Config::default()
        .rules([Rule::ConsecutiveFailures(1)])
        .circuit(circuit)
        .clock(time.clock());
    settled(config)
}

/// A breaker that counts slow calls and never opens for them.
fn watching(time: &ManualClock) -> Breaker {
    let rule = Rule::SlowRate {
        slower_than: SLOW,
        ratio: 1.0,
        min_calls: 100,
        window: Window::Calls(100),
    };
    settled(Config::default().rules([rule]).clock(time.clock()))
}

/// A breaker that has been looked at: from then on successes are counted without its lock.
fn settled(config: Config) -> Breaker {
    let breaker = Breaker::new("loom", config).unwrap();
    snapshot(&breaker);
    breaker
}

fn open(breaker: &Breaker) {
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(breaker.state(), State::Open);
}

fn snapshot(breaker: &Breaker) -> Snapshot {
    breaker.handle().snapshot()
}

fn ask(breaker: &Breaker) -> Option<Permit> {
    breaker.try_acquire().ok()
}

#[test]
fn at_the_instant_of_expiry_no_more_are_admitted_than_there_are_places() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        open(&breaker);
        time.advance(OPEN_FOR);
        let third = breaker.clone();
        let third = thread::spawn(move || ask(&third));
        let (theirs, ours) = race(&breaker, ask, ask);
        let permits = [third.join().unwrap(), theirs, ours];
        assert_eq!(permits.iter().flatten().count(), 1);
        assert_eq!(snapshot(&breaker).rejected, 2);
        permits.into_iter().flatten().for_each(drop);
        assert!(ask(&breaker).is_some(), "the place came back");
    });
}

#[test]
fn a_success_that_races_a_trip_is_counted_once_and_changes_nothing_after_it() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        let good = ask(&breaker).unwrap();
        let bad = ask(&breaker).unwrap();
        race(
            &breaker,
            move |_| good.record(Outcome::Success),
            |_| bad.record(BAD),
        );
        let seen = snapshot(&breaker);
        assert_eq!((seen.calls.success, seen.calls.failure), (1, 1));
        assert_eq!((seen.state, seen.generation), (State::Open, 1));
        assert!(seen.stale <= 1);
    });
}

#[test]
fn of_two_failures_that_race_one_trips_and_the_other_is_stale() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        let mut events = breaker.handle().subscribe();
        let first = ask(&breaker).unwrap();
        let second = ask(&breaker).unwrap();
        race(&breaker, move |_| first.record(BAD), |_| second.record(BAD));
        let seen = snapshot(&breaker);
        assert_eq!((seen.generation, seen.stale), (1, 1));
        assert!(events.try_recv().is_some());
        assert!(events.try_recv().is_none(), "told once");
    });
}

#[test]
fn an_admission_that_races_a_trip_belongs_to_one_side_of_it() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        let bad = ask(&breaker).unwrap();
        let (late, ()) = race(&breaker, ask, |_| bad.record(BAD));
        let admitted = late.is_some();
        if let Some(late) = late {
            late.record(BAD);
        }
        let seen = snapshot(&breaker);
        assert_eq!(seen.generation, 1, "a late failure opens nothing again");
        assert_eq!(seen.rejected, u64::from(!admitted));
        assert_eq!(seen.stale, u64::from(admitted));
    });
}

#[test]
fn a_probe_that_ends_as_its_lease_does_neither_wedges_nor_makes_a_place() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        open(&breaker);
        time.advance(OPEN_FOR);
        let probe = ask(&breaker).unwrap();
        time.advance(Duration::from_secs(30));
        let (next, ()) = race(&breaker, ask, |_| probe.record(Outcome::Ignored));
        assert!(next.is_some(), "the lease was over");
        assert!(ask(&breaker).is_none(), "one place, one probe");
        drop(next);
        assert!(ask(&breaker).is_some());
    });
}

#[test]
fn forcing_that_races_a_trip_leaves_the_breaker_as_forced_and_loses_no_call() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = brittle(&time, 1);
        let bad = ask(&breaker).unwrap();
        race(
            &breaker,
            |breaker| breaker.handle().force_closed(),
            |_| bad.record(BAD),
        );
        let seen = snapshot(&breaker);
        assert_eq!(seen.state, State::ForcedClosed);
        assert_eq!(seen.calls.failure, 1);
    });
}

#[test]
fn a_call_that_ends_as_it_becomes_overdue_is_counted_as_slow_once() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = watching(&time);
        let call = ask(&breaker).unwrap();
        time.advance(SLOW * 2);
        race(
            &breaker,
            |breaker| drop(snapshot(breaker)),
            |_| call.record(Outcome::Success),
        );
        let counts = snapshot(&breaker).windows[0].counts;
        assert_eq!((counts.total, counts.bad), (1, 1));
    });
}

#[test]
fn calls_that_begin_and_end_while_others_become_overdue_are_each_counted_once() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = watching(&time);
        let hung = ask(&breaker).unwrap();
        time.advance(SLOW * 2);
        race(
            &breaker,
            |breaker| ask(breaker).unwrap().record(Outcome::Success),
            |breaker| ask(breaker).unwrap().record(Outcome::Success),
        );
        let counts = snapshot(&breaker).windows[0].counts;
        assert_eq!((counts.total, counts.bad), (3, 1));
        hung.record(Outcome::Success);
        assert_eq!(snapshot(&breaker).windows[0].counts, counts);
    });
}

/// A breaker whose threads count in words of their own, of which those of the first two are open.
fn spread(breaker: Breaker) -> Breaker {
    breaker.shared().gate().lanes().spread();
    for place in [1, 0] {
        take_place(place);
        snapshot(&breaker);
    }
    breaker
}

#[test]
fn successes_in_two_words_that_race_a_trip_are_each_counted_once() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = spread(brittle(&time, 1));
        let good = [ask(&breaker).unwrap(), ask(&breaker).unwrap()];
        let bad = ask(&breaker).unwrap();
        let [first, second] = good;
        let theirs = move |breaker: &Breaker| {
            take_place(1);
            first.record(Outcome::Success);
            ask(breaker).map(|next| next.record(Outcome::Success))
        };
        let (admitted, ()) = race(&breaker, theirs, |_| {
            second.record(Outcome::Success);
            bad.record(BAD);
        });
        let seen = snapshot(&breaker);
        let successes = 2 + u64::from(admitted.is_some());
        assert_eq!((seen.calls.success, seen.calls.failure), (successes, 1));
        assert_eq!((seen.state, seen.generation), (State::Open, 1));
        assert_eq!(seen.rejected, u64::from(admitted.is_none()));
    });
}

#[test]
fn a_call_that_ends_as_the_turn_does_in_which_it_began_is_counted_once() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = spread(watching(&time));
        let call = ask(&breaker).unwrap();
        let other = ask(&breaker).unwrap();
        time.advance(SLOW / 8);
        let theirs = move |_: &Breaker| {
            take_place(1);
            call.record(Outcome::Success);
        };
        race(&breaker, theirs, |breaker| drop(snapshot(breaker)));
        time.advance(SLOW * 2);
        let counts = snapshot(&breaker).windows[0].counts;
        assert_eq!((counts.total, counts.bad), (2, 1), "the other hangs");
        other.record(Outcome::Success);
        assert_eq!(snapshot(&breaker).windows[0].counts, counts);
    });
}

#[test]
fn a_call_that_begins_as_a_turn_ends_is_in_flight_once() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = spread(watching(&time));
        let theirs = |breaker: &Breaker| {
            take_place(1);
            ask(breaker).unwrap()
        };
        let (call, ()) = race(&breaker, theirs, |breaker| {
            time.advance(SLOW / 8);
            snapshot(breaker);
        });
        time.advance(SLOW * 2);
        let counts = snapshot(&breaker).windows[0].counts;
        assert_eq!((counts.total, counts.bad), (1, 1));
        call.record(Outcome::Success);
        assert_eq!(snapshot(&breaker).windows[0].counts, counts);
    });
}

#[test]
fn a_call_that_ends_on_another_thread_while_a_failure_is_told_is_in_flight_no_more() {
    explore(|| {
        let time = ManualClock::new();
        let breaker = spread(watching(&time));
        let call = ask(&breaker).unwrap();
        let bad = ask(&breaker).unwrap();
        let theirs = move |_: &Breaker| {
            take_place(1);
            call.record(Outcome::Success);
        };
        race(&breaker, theirs, |_| bad.record(BAD));
        time.advance(SLOW * 2);
        let seen = snapshot(&breaker);
        let counts = seen.windows[0].counts;
        assert_eq!((counts.total, counts.bad), (2, 0));
        assert_eq!((seen.calls.success, seen.calls.failure), (1, 1));
    });
}
