//! When a guarded service is ready, and what is readied for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::future::poll_fn;
use std::time::Duration;

use buttress_breaker::{Breaker, State};
use buttress_core::clock::ManualClock;
use buttress_core::readying::Waits;
use support::services::{Busy, Strict, Untouchable, call, guard, poll_ready};
use support::{OPEN_FOR, breaker, calls, config, trip};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::Service;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;

#[test]
fn the_readied_inner_service_is_the_one_that_is_called() {
    let time = ManualClock::new();
    let mut service = guard(&breaker(&time), Strict::default());
    for request in 0..3 {
        assert_ready_ok!(poll_ready(&mut service));
        assert_eq!(
            assert_ready_ok!(call(&mut service, request).poll()),
            request
        );
    }
}

#[test]
fn a_caller_that_waits_for_the_inner_service_is_woken_when_the_circuit_opens() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut services = [guard(&breaker, Busy), guard(&breaker, Busy)];
    let mut waiting = services
        .each_mut()
        .map(|service| task::spawn(poll_fn(|cx| service.poll_ready(cx))));
    for task in &mut waiting {
        assert_pending!(task.poll());
        assert_pending!(task.poll());
        assert!(!task.is_woken());
    }
    breaker.handle().force_open();
    for task in &mut waiting {
        assert!(task.is_woken());
        assert_ready_ok!(task.poll());
    }
}

#[test]
fn an_inner_service_that_was_not_readied_before_is_readied_inside_the_call() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = guard(&breaker, Strict::default());
    trip(&breaker);
    time.advance(OPEN_FOR);
    assert_ready_ok!(poll_ready(&mut service));
    let before = Waits::so_far();
    assert_ready_ok!(call(&mut service, 1).poll());
    assert_eq!(Waits::so_far(), before, "it was ready at once");
    assert_eq!(calls(&breaker).success, 1);
}

#[test]
fn a_closed_breaker_is_ready_only_when_its_inner_service_is() {
    let time = ManualClock::new();
    assert_pending!(poll_ready(&mut guard(&breaker(&time), Busy)));
}

#[test]
fn load_shed_outside_sees_the_back_pressure_of_what_is_inside() {
    let time = ManualClock::new();
    let mut service = LoadShed::new(guard(&breaker(&time), Busy));
    assert_ready_ok!(poll_ready(&mut service));
    assert_ready_err!(call(&mut service, 1).poll());
}

#[test]
fn an_open_breaker_is_ready_at_once_and_never_touches_its_inner_service() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = guard(&breaker, Untouchable);
    trip(&breaker);
    for _ in 0..3 {
        assert_ready_ok!(poll_ready(&mut service));
        let error = assert_ready_err!(call(&mut service, 1).poll());
        let rejected = error.rejected().unwrap();
        assert_eq!((rejected.by, rejected.reason), ("breaker", "circuit_open"));
        assert_eq!(rejected.retry_after, Some(OPEN_FOR));
    }
}

#[test]
fn the_call_decides_if_the_breaker_opens_after_it_was_ready() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = guard(&breaker, Strict::default());
    assert_ready_ok!(poll_ready(&mut service));
    trip(&breaker);
    assert!(
        assert_ready_err!(call(&mut service, 1).poll())
            .rejected()
            .is_some()
    );
}

#[test]
fn the_call_decides_if_the_breaker_closes_after_it_was_ready() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = guard(&breaker, Strict::default());
    breaker.handle().force_open();
    assert_ready_ok!(poll_ready(&mut service));
    breaker.handle().release();
    assert_eq!(assert_ready_ok!(call(&mut service, 7).poll()), 7);
}

#[test]
fn a_rejected_clone_does_not_sit_on_the_permit_that_a_probe_needs() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut idle = guard(&breaker, ConcurrencyLimit::new(Strict::default(), 1));
    let mut probing = idle.clone();
    assert_ready_ok!(poll_ready(&mut idle));
    trip(&breaker);
    assert_ready_err!(call(&mut idle, 1).poll());
    time.advance(OPEN_FOR);
    assert_ready_ok!(call(&mut probing, 2).poll());
}

#[test]
fn an_inner_service_that_never_gets_ready_ends_at_the_deadline_and_is_not_blamed() {
    let time = ManualClock::new();
    let deadline = Duration::from_secs(3);
    let breaker = Breaker::new("test", config(&time).ready_deadline(deadline)).unwrap();
    let mut service = guard(&breaker, Busy);
    trip(&breaker);
    time.advance(OPEN_FOR);
    let before = Waits::so_far();
    let told = || Waits::so_far().since(before);
    let mut probe = call(&mut service, 1);
    assert_pending!(probe.poll());
    assert_eq!(
        told(),
        (1, 0),
        "whoever measures the call learns that it waits"
    );
    time.advance(deadline.saturating_sub(Duration::from_nanos(1)));
    assert_pending!(probe.poll());
    time.advance(Duration::from_nanos(1));
    assert!(probe.is_woken());
    let error = assert_ready_err!(probe.poll());
    assert_eq!(told(), (1, 1));
    assert_eq!(error.rejected().unwrap().reason, "not_ready");
    assert_eq!(calls(&breaker).ignored, 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(
        breaker.try_acquire().unwrap().is_probe(),
        "the place came back"
    );
}
