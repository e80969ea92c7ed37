//! Half-open: how many may probe, and what gives a place back.

use std::sync::Barrier;

use buttress_breaker::{HalfOpenLimit, Permit, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::{BAD, OPEN_FOR, PROBE_DEADLINE, calls};
use crate::tools::{
    NANO, SECOND, changes, end, generation, of, rejected, settings, take_all, to_probe,
};

// Resilience4j: shouldOnlyPermitFourCallsInHalfOpenState
#[test]
fn four_probes_are_permitted_and_again_four_after_it_has_opened_again() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(4).successes_to_close(of(9)));
    let before = rejected(&breaker);
    let first: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
    assert!(breaker.try_acquire().is_err());
    assert!(breaker.try_acquire().is_err());
    assert_eq!(rejected(&breaker), before + 2);
    breaker.handle().transition_to(State::Open).unwrap();
    time.advance(OPEN_FOR);
    let second = take_all(&breaker);
    assert_eq!(second.len(), 4, "what was leased before counts no more");
    drop(first);
    assert!(breaker.try_acquire().is_err(), "nor mints it a place");
}

// Resilience4j: shouldIncreaseCounterOnReleasePermission
#[test]
fn one_probe_given_back_unused_lets_exactly_one_more_in() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(4).successes_to_close(of(9)));
    let mut probes = take_all(&breaker);
    drop(probes.pop());
    probes.extend(take_all(&breaker));
    assert_eq!(probes.len(), 4);
    assert_eq!(calls(&breaker).abandoned, 1);
    assert_eq!(breaker.state(), State::HalfOpen);
}

// Resilience4j: shouldReleasePermissionWhenExceptionIgnored
#[test]
fn an_ignored_probe_gives_its_place_back_and_the_others_still_close_the_circuit() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(2).successes_to_close(of(2)));
    let [one, other] = [(); 2].map(|()| breaker.try_acquire().unwrap());
    assert!(breaker.try_acquire().is_err());
    one.record(Outcome::Ignored);
    let third = breaker.try_acquire().expect("the place is free");
    other.record(Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen, "it was not counted");
    third.record(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

// Resilience4j: shouldIgnoreExceptionsAndThenTransitionToClosed
#[test]
fn more_ignored_probes_than_there_are_places_wedge_nothing() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(4).successes_to_close(of(4)));
    for _ in 0..3 {
        for probe in take_all(&breaker) {
            assert!(probe.is_probe());
            probe.record(Outcome::Ignored);
        }
    }
    assert_eq!(calls(&breaker).ignored, 12);
    for good in 0..4 {
        assert_eq!(breaker.state(), State::HalfOpen, "after {good}");
        end(&breaker, Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Closed);
}

// Resilience4j issue 544
#[test]
fn a_half_open_circuit_whose_last_probe_says_nothing_does_not_stay_so_for_ever() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(3).successes_to_close(of(3)));
    let probes = take_all(&breaker);
    for (probe, outcome) in
        probes
            .into_iter()
            .zip([Outcome::Success, Outcome::Success, Outcome::Ignored])
    {
        probe.record(outcome);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

// Resilience4j: circuitBreakerTransitionsToOpenAfterWaitDurationInHalfOpenState and
// circuitBreakerTransitionsToClosedAfterWaitDurationInHalfOpenState
#[test]
fn half_open_for_too_long_becomes_what_was_configured() {
    for then in [State::Open, State::Closed] {
        let time = ManualClock::new();
        let limit = HalfOpenLimit::new(SECOND * 9, then);
        let breaker = to_probe(&time, settings(1).half_open_limit(limit));
        let hanging = breaker.try_acquire().unwrap();
        time.advance((SECOND * 9).saturating_sub(NANO));
        assert!(breaker.try_acquire().is_err());
        assert_eq!(breaker.state(), State::HalfOpen);
        time.advance(NANO);
        assert_eq!(breaker.try_acquire().is_ok(), then == State::Closed);
        assert_eq!(breaker.state(), then);
        hanging.record(Outcome::Success);
        assert_eq!(breaker.handle().snapshot().stale, 1);
    }
}

// Resilience4j issue 1432
#[test]
fn at_the_instant_the_open_time_ends_the_losers_of_the_race_are_counted_as_rejected() {
    const RACERS: usize = 8;
    for _ in 0..50 {
        let time = ManualClock::new();
        let breaker = to_probe(&time, settings(3).successes_to_close(of(9)));
        let before = rejected(&breaker);
        let start = Barrier::new(RACERS);
        let race = || {
            start.wait();
            breaker.try_acquire().ok()
        };
        let won: Vec<Permit> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS).map(|_| scope.spawn(race)).collect();
            let ends = racers.into_iter().map(|racer| racer.join().unwrap());
            ends.flatten().collect()
        });
        assert_eq!(won.len(), 3);
        assert_eq!(rejected(&breaker) - before, RACERS as u64 - 3);
        assert_eq!(generation(&breaker), 2, "half-open once");
    }
}

// Polly: HalfOpen_EnsureBreakDuration and
// HalfOpen_EnsureCorrectStateTransitionAfterExecution
#[test]
fn during_a_probe_the_second_caller_is_told_why_and_until_when_and_the_outcome_decides() {
    for (outcome, then) in [(Outcome::Success, State::Closed), (BAD, State::Open)] {
        let time = ManualClock::new();
        let breaker = to_probe(&time, settings(1).successes_to_close(of(1)));
        let probe = breaker.try_acquire().unwrap();
        time.advance(SECOND);
        let refused = breaker.try_acquire().unwrap_err();
        assert_eq!(refused.reason, "probes_busy");
        assert_eq!(
            refused.retry_after,
            Some(PROBE_DEADLINE.saturating_sub(SECOND))
        );
        probe.record(outcome);
        assert_eq!(breaker.state(), then);
        let wait = breaker.try_acquire().err().and_then(|no| no.retry_after);
        assert_eq!(wait, (then == State::Open).then_some(OPEN_FOR));
    }
}

// opossum: When half-open, a filtered error should close the circuit. Here it says nothing.
#[test]
fn a_filtered_error_neither_closes_nor_opens_a_half_open_circuit() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(1).successes_to_close(of(1)));
    let mut events = breaker.handle().subscribe();
    for _ in 0..5 {
        end(&breaker, Outcome::Ignored);
    }
    assert_eq!(changes(&mut events), [(State::Open, State::HalfOpen)]);
    end(&breaker, Outcome::Success);
    assert_eq!(changes(&mut events), [(State::HalfOpen, State::Closed)]);
}

// gobreaker: TestIsExcludedAndIsSuccessfulCombination, the part on half-open
#[test]
fn an_excluded_call_frees_its_place_at_once_whatever_it_would_have_been() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(1).successes_to_close(of(2)));
    for outcome in [Outcome::Ignored, Outcome::Success, Outcome::Ignored] {
        let probe = breaker.try_acquire().unwrap();
        assert!(probe.is_probe());
        assert!(breaker.try_acquire().is_err());
        probe.record(outcome);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    end(&breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}
