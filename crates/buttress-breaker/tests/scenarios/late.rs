//! Results that arrive when the circuit is no longer what it was.

use std::time::Duration;

use buttress_breaker::{Breaker, Permit, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::{BAD, OPEN_FOR, calls, trip};
use crate::tools::{SECOND, counts, end, generation, half_failed, of, ruled, settings, told, with};

/// An open breaker, by its rule or held so, and calls that were admitted before.
fn shut(time: &ManualClock, by_hand: bool) -> (Breaker, Vec<Permit>) {
    let breaker = with(time, settings(1).successes_to_close(of(1)));
    let early = (0..10).map(|_| breaker.try_acquire().unwrap()).collect();
    if by_hand {
        breaker.handle().force_open();
    } else {
        trip(&breaker);
    }
    time.advance(SECOND);
    (breaker, early)
}

/// Lets them all end in `outcome`; nothing may come of it but counts.
fn arrive(time: &ManualClock, by_hand: bool, outcome: Outcome) -> Breaker {
    let (breaker, early) = shut(time, by_hand);
    let before = breaker.handle().snapshot();
    let mut events = breaker.handle().subscribe();
    for permit in early {
        permit.record(outcome);
    }
    let after = breaker.handle().snapshot();
    assert_eq!(told(&mut events), []);
    let mut expected = before;
    (expected.calls, expected.stale) = (after.calls, expected.stale + 10);
    assert_eq!(after, expected);
    breaker
}

// Polly: OnActionSuccess_EnsureCorrectBehavior
#[test]
fn a_success_that_arrives_while_open_or_held_open_changes_nothing() {
    for by_hand in [false, true] {
        let time = ManualClock::new();
        let breaker = arrive(&time, by_hand, Outcome::Success);
        assert_eq!(calls(&breaker).success, 10);
        assert!(breaker.try_acquire().is_err());
    }
}

// Polly: OnActionFailureAsync_EnsureCorrectBehavior
#[test]
fn a_failure_that_arrives_while_open_or_held_open_is_counted_and_does_not_extend_that() {
    for by_hand in [false, true] {
        let time = ManualClock::new();
        let breaker = arrive(&time, by_hand, BAD);
        let tripped_by = if by_hand { 0 } else { 2 };
        assert_eq!(calls(&breaker).failure, 10 + tripped_by);
        time.advance(OPEN_FOR.saturating_sub(SECOND));
        assert_eq!(breaker.try_acquire().is_ok(), !by_hand);
    }
}

// gobreaker: TestGeneration, where the generation is that of a state
#[test]
fn a_result_from_before_a_transition_is_ignored_even_if_the_state_is_the_same_again() {
    let time = ManualClock::new();
    let (breaker, early) = shut(&time, false);
    time.advance(OPEN_FOR);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
    end(&breaker, BAD);
    let before = generation(&breaker);
    for (early, outcome) in early.into_iter().zip([Outcome::Success, BAD].repeat(5)) {
        early.record(outcome);
        let snapshot = breaker.handle().snapshot();
        assert_eq!(snapshot.consecutive_failures, 1, "after {outcome}");
    }
    assert_eq!(generation(&breaker), before);
    assert_eq!(breaker.handle().snapshot().stale, 10);
}

// gobreaker: TestGeneration, where it is that of an interval. Windows slide here: a call counts
// when it ends.
#[test]
fn a_result_from_before_the_window_began_counts_when_it_arrives() {
    let time = ManualClock::new();
    let breaker = ruled(&time, half_failed(2, Window::Time(SECOND)));
    let [one, other] = [(); 2].map(|()| breaker.try_acquire().unwrap());
    one.record(BAD);
    assert_eq!(counts(&breaker), (1, 1));
    time.advance(SECOND);
    assert_eq!(counts(&breaker), (0, 0));
    other.record(BAD);
    assert_eq!(counts(&breaker), (1, 1));
    assert_eq!(breaker.state(), State::Closed);
}

// opossum issue 385
#[test]
fn simultaneous_failures_open_once_and_do_not_put_the_recovery_off() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1).successes_to_close(of(1)));
    let mut events = breaker.handle().subscribe();
    let together: Vec<_> = (0..100).map(|_| breaker.try_acquire().unwrap()).collect();
    for permit in together {
        permit.record(BAD);
        time.advance(Duration::from_millis(1));
    }
    assert_eq!(told(&mut events).len(), 1);
    // It opened with the second, a millisecond after the first.
    let rest = OPEN_FOR.saturating_sub(Duration::from_millis(99));
    assert_eq!(breaker.try_acquire().unwrap_err().retry_after, Some(rest));
    time.advance(rest);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}
