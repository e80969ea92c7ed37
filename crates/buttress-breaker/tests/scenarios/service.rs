//! Scenarios that need a service: errors, panics, nesting, what stands outside and inside.

use std::convert::Infallible;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use buttress_breaker::{BreakerError, Evidence, Rule, State, Trip, TripRule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::protocol::ErrorChain;
use tokio_test::{assert_ready, assert_ready_err, task};
use tower::{Layer, Service, service_fn};

use crate::support::{BAD, OPEN_FOR, breaker, calls, config, trip};
use crate::tools::{end, made, of, rejected, settings, to_probe, with};

/// What goes wrong, by whose doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Disk,
    Network,
}

/// Calls once, and returns what is there at the first poll.
fn call<S>(service: &mut S, request: Wrong) -> Result<S::Response, S::Error>
where
    S: Service<Wrong>,
{
    assert_ready!(task::spawn(service.call(request)).poll())
}

async fn fail(wrong: Wrong) -> Result<(), Wrong> {
    Err(wrong)
}

// Polly: OnActionPreExecute_CircuitOpened_EnsureExceptionStackTraceDoesNotGrow
#[test]
fn a_thousand_rejections_are_one_and_the_same_and_nothing_grows() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = breaker.plain_layer().layer(service_fn(fail));
    trip(&breaker);
    let first = call(&mut service, Wrong::Disk).unwrap_err();
    let before = breaker.handle().snapshot();
    for _ in 0..1_000 {
        let error = call(&mut service, Wrong::Disk).unwrap_err();
        assert_eq!(error, first);
        let rejection = error.rejected().unwrap();
        assert!(rejection.source().is_none());
    }
    let mut expected = before;
    expected.rejected += 1_000;
    assert_eq!(breaker.handle().snapshot(), expected);
}

// failsafe-go: with rejected retries
#[test]
fn seven_attempts_around_a_breaker_for_three_failures_reach_the_service_three_times() {
    let time = ManualClock::new();
    let breaker = made(config(&time).rules([Rule::ConsecutiveFailures(3)]));
    let reached = AtomicU32::new(0);
    let inner = service_fn(|wrong| {
        reached.fetch_add(1, Ordering::Relaxed);
        fail(wrong)
    });
    let mut service = breaker.plain_layer().layer(inner);
    let attempts: Vec<_> = (0..7).map(|_| call(&mut service, Wrong::Network)).collect();
    assert_eq!(reached.load(Ordering::Relaxed), 3);
    assert_eq!(rejected(&breaker), 4);
    let last = attempts.last().unwrap().as_ref().unwrap_err();
    assert_eq!(last.rejected().unwrap().reason, "circuit_open");
    for attempt in &attempts[..3] {
        assert_eq!(*attempt, Err(BreakerError::Inner(Wrong::Network)));
    }
}

/// Whose doing an error is, through however many breakers.
trait Origin {
    fn wrong(&self) -> Option<Wrong>;
}

impl Origin for Wrong {
    fn wrong(&self) -> Option<Wrong> {
        Some(*self)
    }
}

impl<E: Origin> Origin for BreakerError<E> {
    fn wrong(&self) -> Option<Wrong> {
        match self {
            Self::Inner(error) => error.wrong(),
            _ => None,
        }
    }
}

/// A failure if it is the one that is meant; anything else that went wrong is somebody else's.
fn only<T, E: Origin>(meant: Wrong) -> impl Fn(Result<&T, &E>) -> Outcome + Clone {
    move |result| match result {
        Ok(_) => Outcome::Success,
        Err(error) if error.wrong() == Some(meant) => BAD,
        Err(_) => Outcome::Ignored,
    }
}

// failsafe-go: nested circuit breakers
#[test]
fn of_nested_breakers_only_the_one_that_is_meant_records_a_failure_in_either_order() {
    for [outside, inside] in [[Wrong::Disk, Wrong::Network], [Wrong::Network, Wrong::Disk]] {
        let time = ManualClock::new();
        let [outer, inner] = [(); 2].map(|()| breaker(&time));
        let guarded = inner.plain_layer().classify(only(inside));
        let around = outer.plain_layer().classify(only(outside));
        let mut service = around.layer(guarded.layer(service_fn(fail)));
        for _ in 0..2 {
            let error = call(&mut service, inside).unwrap_err();
            assert_eq!(error.wrong(), Some(inside));
        }
        assert_eq!((outer.state(), inner.state()), (State::Closed, State::Open));
        assert_eq!((calls(&outer).failure, calls(&outer).ignored), (0, 2));
        inner.handle().release();
        for _ in 0..2 {
            call(&mut service, outside).unwrap_err();
        }
        assert_eq!((outer.state(), inner.state()), (State::Open, State::Closed));
        assert_eq!((calls(&outer).failure, calls(&inner).failure), (2, 2));
    }
}

/// The user's code that is asked whether to open.
#[derive(Debug)]
struct Panics;

impl TripRule for Panics {
    fn window(&self) -> Window {
        Window::Calls(10)
    }

    fn judge(&self, _: &Evidence) -> Option<Trip> {
        panic!("in the user's rule")
    }
}

// failsafe-go: TestPanicInCircuitBreakerDelayFunction. The open time is data here; what may panic is a
// rule of the user's.
#[test]
fn a_rule_that_panics_leaves_the_breaker_whole_and_the_other_rules_in_force() {
    let time = ManualClock::new();
    let rules = [Rule::custom(Panics), Rule::ConsecutiveFailures(3)];
    let breaker = made(config(&time).rules(rules));
    for _ in 0..3 {
        assert_eq!(breaker.state(), State::Closed);
        end(&breaker, BAD);
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.handle().snapshot().rule_panics, 2);
    time.advance(OPEN_FOR);
    (0..2).for_each(|_| end(&breaker, Outcome::Success));
    assert_eq!(breaker.state(), State::Closed);
}

// failsafe-go: TestPanicInCircuitBreakerDelayFunction, asked of a classifier
#[test]
fn a_classifier_that_panics_on_a_probe_fails_it_and_wedges_nothing() {
    let time = ManualClock::new();
    let breaker = to_probe(&time, settings(1).successes_to_close(of(1)));
    let classify = |result: Result<&(), &Wrong>| match result {
        Ok(()) => Outcome::Success,
        Err(wrong) => panic!("in the user's classifier: {wrong:?}"),
    };
    let layer = breaker.plain_layer().classify(classify);
    let mut bad = layer.layer(service_fn(fail));
    let caught = catch_unwind(AssertUnwindSafe(|| call(&mut bad, Wrong::Disk)));
    assert!(caught.is_err());
    assert_eq!(breaker.state(), State::Open);
    time.advance(OPEN_FOR);
    let mut good = layer.layer(service_fn(|_| async { Ok::<_, Wrong>(()) }));
    call(&mut good, Wrong::Disk).unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

// gobreaker: TestPanicInRequest
#[test]
fn a_panic_counts_as_a_failure_and_comes_through_as_it_was() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let inner = service_fn(|_: Wrong| async { std::panic::panic_any(4_711_u32) });
    let mut service = breaker.plain_layer().layer(inner);
    for _ in 0..2 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _: Result<(), BreakerError<Infallible>> = call(&mut service, Wrong::Disk);
        }));
        let payload = caught.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&4_711_u32));
    }
    assert_eq!(calls(&breaker).failure, 2);
    assert_eq!(breaker.state(), State::Open);
}

// gobreaker: TestIsExcludedAndIsSuccessfulCombination
#[test]
fn exclusion_wins_over_success_and_over_failure() {
    let time = ManualClock::new();
    let breaker = with(&time, settings(1).successes_to_close(of(1)));
    // Every answer would be good, were it not excluded; every failure bad.
    let classify = |result: Result<&Wrong, &Wrong>| match result {
        Ok(Wrong::Network) | Err(Wrong::Network) => Outcome::Ignored,
        Ok(Wrong::Disk) => Outcome::Success,
        Err(Wrong::Disk) => BAD,
    };
    let good = service_fn(|wrong: Wrong| async move { Ok::<_, Wrong>(wrong) });
    let bad = service_fn(|wrong: Wrong| async move { Err::<Wrong, _>(wrong) });
    let layer = breaker.plain_layer().classify(classify);
    let (mut good, mut bad) = (layer.layer(good), layer.layer(bad));
    call(&mut bad, Wrong::Disk).unwrap_err();
    call(&mut good, Wrong::Network).unwrap();
    call(&mut bad, Wrong::Network).unwrap_err();
    assert_eq!(breaker.handle().snapshot().consecutive_failures, 1);
    call(&mut bad, Wrong::Disk).unwrap_err();
    time.advance(OPEN_FOR);
    call(&mut good, Wrong::Network).unwrap();
    call(&mut bad, Wrong::Network).unwrap_err();
    assert_eq!(
        breaker.state(),
        State::HalfOpen,
        "its only place is free again"
    );
    call(&mut good, Wrong::Disk).unwrap();
    assert_eq!(breaker.state(), State::Closed);
    let calls = calls(&breaker);
    assert_eq!((calls.success, calls.failure, calls.ignored), (1, 2, 4));
}

// Sentinel issue 1638
#[test]
fn a_probe_that_a_layer_further_in_refuses_gives_its_place_back() {
    let time = ManualClock::new();
    let outer = to_probe(&time, settings(1).successes_to_close(of(1)));
    let inner = breaker(&time);
    inner.handle().force_open();
    let guarded = inner
        .plain_layer()
        .layer(service_fn(|_| async { Ok::<_, Infallible>(()) }));
    let mut service = outer.plain_layer().classify(ErrorChain).layer(guarded);
    for _ in 0..3 {
        let mut refused = task::spawn(service.call(Wrong::Disk));
        let error = assert_ready_err!(refused.poll()).into_inner().unwrap();
        assert_eq!(
            error.rejected().unwrap().reason,
            "forced_open",
            "not the outer one's"
        );
        assert_eq!(outer.state(), State::HalfOpen);
    }
    inner.handle().release();
    call(&mut service, Wrong::Disk).unwrap();
    assert_eq!(outer.state(), State::Closed);
}
