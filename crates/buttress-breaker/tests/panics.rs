//! What panics harms itself alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use buttress_breaker::{Breaker, Evidence, Rule, State, Trip, TripRule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use support::services::{Steps, Strict, Untouchable, call, guard, poll_ready};
use support::{BAD, OPEN_FOR, breaker, calls, config, ended};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, service_fn};

#[test]
fn a_panic_of_the_inner_service_is_a_failure_wherever_it_happens() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut on_poll = guard(&breaker, Untouchable);
    let mut on_call = guard(
        &breaker,
        service_fn(|_: u32| -> Steps { panic!("in call") }),
    );
    let mut in_future = guard(
        &breaker,
        service_fn(|_: u32| poll_fn(|_| -> Poll<Result<u32, Infallible>> { panic!("in future") })),
    );
    breaker.handle().force_closed();
    let mut not_readied = call(&mut on_poll, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| not_readied.poll().is_ready())).is_err());
    assert_ready_ok!(poll_ready(&mut on_call));
    assert!(catch_unwind(AssertUnwindSafe(|| on_call.call(1))).is_err());
    assert_ready_ok!(poll_ready(&mut in_future));
    let mut polled = call(&mut in_future, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| polled.poll().is_ready())).is_err());
    drop((not_readied, polled));
    let calls = calls(&breaker);
    assert_eq!((calls.failure, ended(&calls)), (3, 3));
}

#[test]
fn a_panicking_classifier_leaves_the_breaker_to_others() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let panics = |_: Result<&u32, &&'static str>| -> Outcome { panic!("in the classifier") };
    let layer = breaker.plain_layer().classify(panics);
    let mut service = layer.layer(Strict::default());
    let mut first = call(&mut service, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| first.poll().is_ready())).is_err());
    drop(first);
    assert_eq!(ended(&calls(&breaker)), 1);
    assert_ready_ok!(call(&mut guard(&breaker, Strict::default()), 2).poll());
}

#[test]
fn a_waker_that_takes_the_breaker_in_hand_finds_it_free() {
    struct Release(Breaker, AtomicUsize);
    impl std::task::Wake for Release {
        fn wake(self: Arc<Self>) {
            if self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                self.0.handle().release();
            }
        }
    }
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut events = breaker.handle().subscribe();
    let waker = Arc::new(Release(breaker.clone(), AtomicUsize::new(0))).into();
    {
        let mut receiving = std::pin::pin!(events.recv());
        assert_pending!(receiving.as_mut().poll(&mut Context::from_waker(&waker)));
        breaker.handle().force_open();
        assert!(
            receiving
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        );
    }
    assert!(
        events.try_recv().is_some(),
        "what the waker did is told as well, and later"
    );
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_rule_that_panics_is_one_that_does_not_fire_and_the_others_still_do() {
    #[derive(Debug)]
    struct Panics;
    impl TripRule for Panics {
        fn window(&self) -> Window {
            Window::Calls(10)
        }
        fn judge(&self, _: &Evidence) -> Option<Trip> {
            panic!("in the rule")
        }
    }
    let time = ManualClock::new();
    let rules = [Rule::custom(Panics), Rule::ConsecutiveFailures(2)];
    let breaker = Breaker::new("test", config(&time).rules(rules)).unwrap();
    let failing = service_fn(|_: u32| std::future::ready(Err::<u32, _>("no")));
    let mut service = guard(&breaker, failing);
    for _ in 0..2 {
        let error = assert_ready_err!(call(&mut service, 1).poll());
        assert!(error.rejected().is_none());
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_subscriber_whose_waker_panics_leaves_the_breaker_and_the_others_as_they_should_be() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in the waker")
        }
    }
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let (mut bad, mut good) = (breaker.handle().subscribe(), breaker.handle().subscribe());
    let waker = Arc::new(Panics).into();
    let mut receiving = Box::pin(bad.recv());
    assert_pending!(receiving.as_mut().poll(&mut Context::from_waker(&waker)));
    breaker.try_acquire().unwrap().record(BAD);
    let tripped = || breaker.try_acquire().unwrap().record(BAD);
    let _ = catch_unwind(AssertUnwindSafe(tripped));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(calls(&breaker).failure, 2);
    assert!(good.try_recv().is_some());
    time.advance(OPEN_FOR);
    for _ in 0..2 {
        breaker.try_acquire().unwrap().record(Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert!(good.try_recv().is_some() && good.try_recv().is_some());
}
