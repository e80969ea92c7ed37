//! What every layer keeps to, for services of any kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use buttress_breaker::{BreakerError, BreakerLayer, Permit, State};
use buttress_core::BoxError;
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::protocol::{ErrorChain, Http, Plain};
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use support::services::{Broken, Steps, Strict, call, guard, poll_ready};
use support::{BAD, breaker, calls, ended};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, service_fn};

#[test]
fn a_call_dropped_after_any_number_of_polls_is_abandoned_exactly_once() {
    let time = ManualClock::new();
    for polls in 0..=4 {
        let breaker = breaker(&time);
        let mut service = guard(&breaker, service_fn(Steps));
        let mut dropped = call(&mut service, 5);
        (0..polls).for_each(|_| assert_pending!(dropped.poll()));
        drop(dropped);
        let calls = calls(&breaker);
        assert_eq!(
            (calls.abandoned, ended(&calls)),
            (1, 1),
            "after {polls} polls"
        );
    }
}

#[test]
fn a_permit_that_is_settled_from_outside_ends_its_call_as_it_is_told() {
    let time = ManualClock::new();
    let settle: [fn(Permit); 2] = [
        |permit| Settle::settle(permit, BAD),
        |permit| Settle::settle_in(&mut Some(permit), BAD),
    ];
    for settle in settle {
        let breaker = breaker(&time);
        settle(breaker.try_acquire().unwrap());
        let calls = calls(&breaker);
        assert_eq!((calls.failure, ended(&calls)), (1, 1));
    }
}

#[test]
fn a_rejection_of_our_own_further_in_is_not_charged_to_the_upstream() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let refusing = service_fn(|_: u32| async {
        Err::<u32, BoxError>(Rejected::new("route", "no_endpoint").into())
    });
    let mut service = guard(&breaker, refusing);
    for _ in 0..9 {
        assert_ready_err!(call(&mut service, 1).poll());
    }
    assert_eq!(calls(&breaker).ignored, 9);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_inner_error_comes_through_unchanged_and_an_error_of_readiness_too() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let failing = service_fn(|_: u32| async { Err::<u32, _>(Arc::new(41)) });
    let error = assert_ready_err!(call(&mut guard(&breaker, failing), 1).poll());
    assert_eq!(error, BreakerError::Inner(Arc::new(41)));
    let mut service = Broken::guarded(&breaker);
    assert_eq!(
        assert_ready_err!(poll_ready(&mut service)).into_inner(),
        Some("broken")
    );
    assert_eq!(
        assert_ready_err!(call(&mut service, 1).poll()).into_inner(),
        Some("broken")
    );
}

#[test]
fn all_services_of_a_layer_and_their_clones_share_one_breaker() {
    let time = ManualClock::new();
    let layer = breaker(&time).plain_layer();
    let failing = || service_fn(|_: u32| async { Err::<u32, _>("no") });
    assert_ready_err!(call(&mut layer.layer(failing()), 1).poll());
    assert_ready_err!(call(&mut layer.clone().layer(failing()), 1).poll());
    let mut third = layer.layer(failing()).clone();
    assert!(
        assert_ready_err!(call(&mut third, 1).poll())
            .rejected()
            .is_some()
    );
}

#[test]
fn a_classifier_of_the_users_decides() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let odd_is_bad = |result: Result<&u32, &&'static str>| match result {
        Ok(n) if n % 2 == 1 => BAD,
        _ => Outcome::Success,
    };
    let mut service = breaker
        .plain_layer()
        .classify(odd_is_bad)
        .layer(Strict::default());
    for request in 0..4 {
        assert_ready_ok!(call(&mut service, request).poll());
    }
    assert_eq!((calls(&breaker).success, calls(&breaker).failure), (2, 2));
}

#[test]
fn futures_services_and_permits_have_the_auto_traits_of_what_they_wrap() {
    fn all<T: Send + Sync + Unpin + 'static>(_: &T) {}
    fn layers<T: Send + Sync + Clone + 'static>() {}
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let mut service = guard(&breaker, Strict::default());
    all(&service);
    all(&service.call(1));
    all(&breaker.try_acquire().unwrap());
    all(&breaker.handle());
    layers::<BreakerLayer>();
    layers::<BreakerLayer<Http>>();
    layers::<BreakerLayer<Plain>>();
    assert_ready!(call(&mut service, 1).poll()).unwrap();
}

#[test]
fn a_plain_breaker_round_another_is_not_charged_for_the_inner_ones_rejections() {
    let time = ManualClock::new();
    let (inner, outer) = (breaker(&time), breaker(&time));
    let failing = service_fn(|_: u32| std::future::ready(Err::<u32, _>(std::fmt::Error)));
    let guarded = inner.plain_layer().classify(ErrorChain).layer(failing);
    let mut nested = outer.plain_layer().classify(ErrorChain).layer(guarded);
    assert_ready_err!(call(&mut nested, 0).poll());
    assert_eq!(calls(&outer).failure, 1, "a failure is one for both");
    inner.handle().force_open();
    for _ in 0..5 {
        let error = assert_ready_err!(call(&mut nested, 0).poll());
        assert!(error.into_inner().unwrap().rejected().is_some());
    }
    assert_eq!((calls(&outer).failure, calls(&outer).ignored), (1, 5));
    assert_eq!(outer.state(), State::Closed);
}
