//! Calls that take too long.

use std::time::Duration;

use buttress_breaker::{Breaker, Rule, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;

use crate::support::{BAD, calls};
use crate::tools::{NANO, SECOND, counts, end, ruled, told};

const SLOW: Duration = SECOND;

fn slow_rate(time: &ManualClock, ratio: f64, min_calls: u32) -> Breaker {
    let rule = Rule::SlowRate {
        slower_than: SLOW,
        ratio,
        min_calls,
        window: Window::Calls(min_calls),
    };
    ruled(time, rule)
}

/// One call that takes so long.
fn take(time: &ManualClock, breaker: &Breaker, long: Duration, outcome: Outcome) {
    let permit = breaker.try_acquire().unwrap();
    time.advance(long);
    permit.record(outcome);
}

// Resilience4j: shouldOpenAfterSlowCallRateThresholdExceeded and the same UsingMockClock. The event
// of the rate and that of the state are one here: no one can come before the other.
#[test]
fn slow_successes_alone_open_it_and_the_event_names_their_rate() {
    let time = ManualClock::new();
    let breaker = slow_rate(&time, 0.5, 4);
    let mut events = breaker.handle().subscribe();
    take(&time, &breaker, SLOW, Outcome::Success);
    take(&time, &breaker, NANO, Outcome::Success);
    take(&time, &breaker, SLOW + NANO, Outcome::Success);
    assert_eq!(
        counts(&breaker),
        (3, 1),
        "as long as the threshold is not slow"
    );
    assert_eq!(breaker.state(), State::Closed);
    take(&time, &breaker, SLOW * 5, Outcome::Success);
    assert_eq!(breaker.state(), State::Open);
    let told = told(&mut events);
    let [event] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(event.transition.unwrap().to, State::Open);
    assert_eq!(
        (event.verdict.rule.as_ref(), event.verdict.samples),
        ("slow_rate", 4)
    );
    assert_eq!(
        (event.verdict.observed, event.verdict.threshold),
        (0.5, 0.5)
    );
    assert_eq!((calls(&breaker).success, calls(&breaker).slow), (2, 2));
}

// Sentinel: testMaxSlowRatioThreshold
#[test]
fn a_ratio_of_one_is_reached_when_every_call_is_slow_and_not_before() {
    let time = ManualClock::new();
    let breaker = slow_rate(&time, 1.0, 5);
    take(&time, &breaker, NANO, Outcome::Success);
    for _ in 0..4 {
        take(&time, &breaker, SLOW * 2, Outcome::Success);
        assert_eq!(breaker.state(), State::Closed);
    }
    take(&time, &breaker, SLOW * 2, BAD);
    assert_eq!(
        breaker.state(),
        State::Open,
        "a slow failure is slow as well"
    );
}

// Sentinel: testMaxSlowRatioThreshold, for calls that have not ended. Nobody there counts those.
#[test]
fn a_dependency_that_hangs_reaches_a_ratio_of_one_with_no_call_ended() {
    let time = ManualClock::new();
    let breaker = slow_rate(&time, 1.0, 5);
    let hanging: Vec<_> = (0..5).map(|_| breaker.try_acquire().unwrap()).collect();
    time.advance(SLOW * 2);
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.state(), State::Open);
    drop(hanging);
    assert_eq!(breaker.handle().snapshot().stale, 5);
}

// Resilience4j: shouldOpenAfterSlowCallRateThresholdExceeded, its other half
#[test]
fn fast_failures_do_not_make_a_rate_of_slow_calls() {
    let time = ManualClock::new();
    let breaker = slow_rate(&time, 0.5, 4);
    (0..100).for_each(|_| end(&breaker, BAD));
    take(&time, &breaker, SLOW, BAD);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(counts(&breaker), (4, 0));
}
