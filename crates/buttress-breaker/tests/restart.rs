//! What a restart does not forget, and how far it is believed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_types,
    reason = "the wall clock is passed in; here it is made up"
)]

mod support;

use std::time::{Duration, SystemTime};

use buttress_breaker::{Breaker, KeyedBreaker, KeyedConfig, Rule, SavedBreaker, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use support::{OPEN_FOR, breaker, config, trip};

const SECOND: Duration = Duration::from_secs(1);

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + SECOND * 1_000_000
}

/// A process that begins on a clock of its own, with what the one before it saved.
fn after(saved: &SavedBreaker, wall_now: SystemTime) -> (ManualClock, Breaker, bool) {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let restored = breaker.handle().restore(saved, wall_now);
    (time, breaker, restored)
}

fn saved_open() -> SavedBreaker {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    trip(&breaker);
    time.advance(SECOND);
    breaker.handle().save(wall())
}

#[test]
fn an_open_time_runs_on_less_what_has_passed() {
    let (time, breaker, restored) = after(&saved_open(), wall() + SECOND);
    assert!(restored);
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(
        rejected.retry_after,
        Some(OPEN_FOR.saturating_sub(SECOND * 2))
    );
    let snapshot = breaker.handle().snapshot();
    assert_eq!(
        (snapshot.attempt, &*snapshot.verdict.unwrap().rule),
        (1, "restored")
    );
    time.advance(OPEN_FOR.saturating_sub(SECOND * 2));
    assert!(breaker.try_acquire().unwrap().is_probe());
}

#[test]
fn a_wall_clock_that_steps_neither_holds_it_open_for_longer_nor_panics() {
    let back = wall().checked_sub(SECOND * 5_000).unwrap();
    let (_, breaker, _) = after(&saved_open(), back);
    let left = breaker.try_acquire().unwrap_err().retry_after;
    assert_eq!(left, Some(OPEN_FOR.saturating_sub(SECOND)));
    let ahead = wall() + Duration::from_secs(1 << 40);
    let (_, breaker, _) = after(&saved_open(), ahead);
    assert!(breaker.try_acquire().unwrap().is_probe());
}

#[test]
fn what_was_half_open_or_ramping_probes_with_the_next_call() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    trip(&breaker);
    time.advance(OPEN_FOR);
    let _probe = breaker.try_acquire().unwrap();
    let saved = breaker.handle().save(wall());
    assert_eq!(saved.circuit.state, State::HalfOpen);
    let (_, breaker, restored) = after(&saved, wall());
    assert!(restored);
    assert!(breaker.try_acquire().unwrap().is_probe());
}

#[test]
fn what_was_set_by_hand_stays_set() {
    for state in [State::ForcedOpen, State::ForcedClosed, State::Observing] {
        let before = breaker(&ManualClock::new());
        before.handle().transition_to(state).unwrap();
        let (_, after, _) = after(&before.handle().save(wall()), wall());
        assert_eq!(after.state(), state);
    }
}

#[test]
fn a_closed_breaker_stays_closed_and_remembers_how_often_it_has_opened() {
    let time = ManualClock::new();
    let before = breaker(&time);
    trip(&before);
    time.advance(OPEN_FOR);
    for _ in 0..2 {
        before.try_acquire().unwrap().record(Outcome::Success);
    }
    assert_eq!(before.state(), State::Closed);
    let (_, after, restored) = after(&before.handle().save(wall()), wall());
    assert!(!restored);
    let snapshot = after.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.attempt), (State::Closed, 1));
}

#[test]
fn a_start_state_that_was_configured_is_not_overruled() {
    let time = ManualClock::new();
    let observing = config(&time).start(State::Observing);
    let breaker = Breaker::new("test", observing).unwrap();
    assert!(!breaker.handle().restore(&saved_open(), wall()));
    assert_eq!(breaker.state(), State::Observing);
}

#[test]
fn what_is_held_by_hand_takes_over_nothing_and_nobody_has_opened_more_often_than_one_can() {
    let mut forged = saved_open();
    forged.circuit.attempt = u32::MAX;
    let time = ManualClock::new();
    let held = Breaker::new("test", config(&time).start(State::ForcedClosed)).unwrap();
    assert!(!held.handle().restore(&forged, wall()));
    assert_eq!(held.handle().snapshot().attempt, 0);
    let (_, breaker, restored) = after(&forged, wall());
    assert!(restored);
    assert!(breaker.handle().snapshot().attempt <= 1 << 16);
}

#[cfg(feature = "serde")]
#[test]
fn whatever_is_written_there_no_open_time_is_longer_than_the_cap() {
    let forged = r#"{"name":"x","state":"open","remaining_ms":18446744073709551615,
        "attempt":4294967295,"at_unix_ms":18446744073709551615}"#;
    let saved: SavedBreaker = serde_json::from_str(forged).unwrap();
    let (time, breaker, _) = after(&saved, wall());
    let left = breaker.try_acquire().unwrap_err().retry_after;
    assert_eq!(left, Some(OPEN_FOR));
    time.advance(OPEN_FOR);
    assert!(breaker.try_acquire().unwrap().is_probe());
}

#[test]
fn a_hang_that_nobody_has_looked_at_yet_is_saved_as_what_it_has_opened() {
    let time = ManualClock::new();
    let slow = Rule::SlowRate {
        slower_than: SECOND,
        ratio: 1.0,
        min_calls: 1,
        window: Window::Calls(1),
    };
    let config = config(&time).rules([slow]);
    let breaker = Breaker::new("hangs", config.clone()).unwrap();
    let keyed = KeyedConfig::default().breaker(config);
    let breakers = KeyedBreaker::<u32>::new("tenants", keyed).unwrap();
    let _hang = breaker.try_acquire().unwrap();
    let _other = breakers.get(1).try_acquire().unwrap();
    time.advance(SECOND * 2);
    let saved = breaker.handle().save(wall());
    assert_eq!(saved.circuit.state, State::Open);
    assert_eq!(breakers.handle().save(wall()).len(), 1);
}
