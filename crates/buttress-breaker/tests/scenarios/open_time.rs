//! How long the circuit stays open, and what ends that.
#![allow(
    clippy::disallowed_types,
    reason = "the wall clock is passed in; here it is made up"
)]

use std::time::{Duration, SystemTime};

use buttress_breaker::{Backoff, Breaker, HealthyRun, Jitter, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::{BAD, OPEN_FOR, trip};
use crate::tools::{NANO, SECOND, changes, end, of, settings, told, with};

/// One success and one second, closed, are proof of health.
fn growing(time: &ManualClock, open_for: Backoff) -> Breaker {
    let run = HealthyRun::new(SECOND, 1);
    let settings = settings(1).successes_to_close(of(1));
    with(time, settings.open_for(open_for).healthy_run(run))
}

fn open_for(breaker: &Breaker) -> Duration {
    breaker.handle().snapshot().retry_after.unwrap()
}

/// Waits until the open time is over, and probes once.
fn probe(time: &ManualClock, breaker: &Breaker, outcome: Outcome) {
    let left = open_for(breaker);
    time.advance(left.saturating_sub(NANO));
    assert!(breaker.try_acquire().is_err(), "a nanosecond early");
    time.advance(NANO);
    end(breaker, outcome);
}

/// Closed for long enough, with a success.
fn prove_healthy(time: &ManualClock, breaker: &Breaker) {
    end(breaker, Outcome::Success);
    time.advance(SECOND);
}

// Resilience4j: shouldTransitionToHalfOpenAfterWaitInterval
#[test]
fn each_time_it_opens_again_the_wait_is_longer_until_it_has_proved_healthy() {
    let time = ManualClock::new();
    let doubling = Backoff::exponential(SECOND, SECOND * 60).jitter(Jitter::None);
    let breaker = growing(&time, doubling);
    trip(&breaker);
    for seconds in [1, 2, 4, 8] {
        assert_eq!(open_for(&breaker), SECOND * seconds);
        probe(&time, &breaker, BAD);
    }
    probe(&time, &breaker, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
    prove_healthy(&time, &breaker);
    trip(&breaker);
    assert_eq!(open_for(&breaker), SECOND);
}

// Resilience4j: shouldTransitionToHalfOpenAfterPassedWaitDuration and
// shouldTransitionToHalfOpenAfterPassedWaitUntil
#[test]
fn the_result_of_a_call_may_say_for_how_long_it_stays_open_within_bounds() {
    let minute = SECOND * 60;
    let doubling = Backoff::exponential(OPEN_FOR, minute).jitter(Jitter::None);
    let bounded = settings(1).open_for(doubling).shortest_asked(SECOND);
    for (asked, stays) in [
        (SECOND * 30, SECOND * 30),
        (SECOND * 2, SECOND * 2),
        (NANO, SECOND),
        (Duration::MAX, minute),
    ] {
        let time = ManualClock::new();
        let breaker = with(&time, bounded.clone());
        end(&breaker, BAD);
        breaker.try_acquire().unwrap().record_after(BAD, asked);
        assert_eq!(open_for(&breaker), stays);
        probe(&time, &breaker, BAD);
        assert_eq!(
            open_for(&breaker),
            OPEN_FOR * 2,
            "the next one says nothing"
        );
    }
}

// opossum: Enters halfOpen state if closed is false and more time has elapsed since resetTimeout
#[test]
fn what_a_process_before_left_open_is_open_for_the_rest_of_its_time_and_then_probes() {
    let wall = SystemTime::UNIX_EPOCH + SECOND * 1_700_000_000;
    let time = ManualClock::new();
    let before = with(&time, settings(1));
    trip(&before);
    let saved = before.handle().save(wall);
    for (passed, rest) in [(2, Some(SECOND * 3)), (5, None), (50, None)] {
        let after = with(&ManualClock::new(), settings(1));
        assert!(after.handle().restore(&saved, wall + SECOND * passed));
        match (after.try_acquire(), rest) {
            (Ok(probe), None) => assert!(probe.is_probe()),
            (Err(refused), rest) => assert_eq!(refused.retry_after, rest),
            (Ok(_), rest) => panic!("{rest:?} left"),
        }
    }
}

// Polly: BreakDurationGenerator_EnsureHalfOpenAttempts. Closing alone is no proof of health.
#[test]
fn attempts_are_counted_from_the_first_and_afresh_after_proof_of_health() {
    let time = ManualClock::new();
    let table = [1, 20, 300, 4_000].map(Duration::from_secs);
    let breaker = growing(&time, Backoff::by_attempt(table));
    assert_eq!(breaker.handle().snapshot().attempt, 0);
    trip(&breaker);
    for (n, expected) in (1..).zip(&table[..3]) {
        assert_eq!(breaker.handle().snapshot().attempt, n);
        assert_eq!(open_for(&breaker), *expected);
        let outcome = if n < 3 { BAD } else { Outcome::Success };
        probe(&time, &breaker, outcome);
    }
    trip(&breaker);
    assert_eq!(open_for(&breaker), table[3], "closed, and nothing proved");
    probe(&time, &breaker, Outcome::Success);
    prove_healthy(&time, &breaker);
    trip(&breaker);
    assert_eq!(open_for(&breaker), table[0]);
    assert_eq!(breaker.handle().snapshot().attempt, 1);
}

// Polly: OnActionFailureAsync_EnsureBreakDurationNotOverflow
#[test]
fn an_absurd_open_time_saturates() {
    let century = SECOND * 3_600 * 24 * 365 * 100;
    for open_for in [
        Backoff::constant(Duration::MAX),
        Backoff::by_attempt([Duration::MAX]),
        Backoff::exponential(Duration::MAX / 2, Duration::MAX),
        Backoff::exponential(Duration::from_secs(1_000_000_000_000), Duration::MAX)
            .factor(f64::MAX),
    ] {
        let time = ManualClock::new();
        let breaker = growing(&time, open_for);
        trip(&breaker);
        for _ in 0..100 {
            assert!(breaker.try_acquire().unwrap_err().retry_after > Some(century));
            breaker.handle().transition_to(State::HalfOpen).unwrap();
            end(&breaker, BAD);
        }
        time.advance(century);
        assert_eq!(breaker.state(), State::Open);
        assert!(breaker.try_acquire().is_err());
        time.advance(Duration::MAX);
        end(&breaker, Outcome::Success);
        assert_eq!(
            breaker.state(),
            State::Closed,
            "even the end of time is reached"
        );
    }
}

// failsafe: TestRemainingDelay and its like
#[test]
fn the_remaining_open_time_only_falls_and_there_is_none_outside_open() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1).successes_to_close(of(1)));
    let remaining = || breaker.handle().snapshot().retry_after;
    assert_eq!(remaining(), None);
    trip(&breaker);
    let mut last = OPEN_FOR;
    for _ in 0..OPEN_FOR.as_millis() {
        assert_eq!(remaining(), Some(last));
        assert_eq!(breaker.try_acquire().unwrap_err().retry_after, remaining());
        time.advance(Duration::from_millis(1));
        last -= Duration::from_millis(1);
    }
    assert_eq!(remaining(), None, "open still, and the next call probes");
    let probe = breaker.try_acquire().unwrap();
    assert_eq!(remaining(), None, "half-open");
    probe.record(Outcome::Success);
    assert_eq!(remaining(), None, "closed");
    breaker.handle().force_open();
    assert_eq!(
        remaining(),
        None,
        "held open, for as long as somebody wants"
    );
}

// Resilience4j: shouldCancelAutoTransition. There is no timer here; so none may seem to be.
#[test]
fn an_open_time_that_was_cut_short_by_hand_changes_nothing_when_it_would_have_ended() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1));
    let handle = breaker.handle();
    let mut events = handle.subscribe();
    trip(&breaker);
    time.advance(SECOND);
    handle.transition_to(State::Closed).unwrap();
    trip(&breaker);
    time.advance(OPEN_FOR.saturating_sub(SECOND));
    assert!(
        breaker.try_acquire().is_err(),
        "the first time would be over"
    );
    handle.transition_to(State::Closed).unwrap();
    time.advance(OPEN_FOR * 2);
    end(&breaker, Outcome::Success);
    let [closed, open] = [State::Closed, State::Open];
    let expected = [(closed, open), (open, closed)].repeat(2);
    assert_eq!(changes(&mut events), expected);
}

// Resilience4j: notCancelAutoTransitionFutureIfAlreadyDone
#[test]
fn leaving_half_open_by_hand_after_the_open_time_is_one_transition_and_no_other_follows() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1));
    trip(&breaker);
    time.advance(OPEN_FOR);
    let probe = breaker.try_acquire().unwrap();
    let mut events = breaker.handle().subscribe();
    breaker.handle().transition_to(State::Closed).unwrap();
    time.advance(OPEN_FOR * 2);
    probe.record(BAD);
    end(&breaker, Outcome::Success);
    let told = told(&mut events);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].verdict.rule, "manual");
}
