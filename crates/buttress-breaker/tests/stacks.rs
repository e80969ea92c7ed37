//! Among other layers: nothing panics, nothing is held, and every call is counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use buttress_breaker::{Breaker, BreakerError, State};
use buttress_core::BoxError;
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use support::services::{Steps, Strict, guard, poll_ready};
use support::{OPEN_FOR, breaker, calls, ended, trip};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt, service_fn};

type Stack = BoxCloneService<u32, u32, BoxError>;

/// What takes so many polls as it is asked for, under and over every layer that reserves or queues.
fn stacks(breaker: &Breaker) -> Vec<(&'static str, Stack)> {
    let steps = || service_fn(|n: u32| Steps(n as usize));
    let limit = ConcurrencyLimit::new(steps(), 1);
    let buffer = Buffer::new(steps(), 1);
    let shed = LoadShed::new(ConcurrencyLimit::new(steps(), 1));
    let over = guard(breaker, steps()).map_err(BreakerError::into_boxed);
    vec![
        (
            "over a limit",
            guard(breaker, limit)
                .map_err(BreakerError::into_boxed)
                .boxed_clone(),
        ),
        (
            "over a buffer",
            guard(breaker, buffer)
                .map_err(BreakerError::into_boxed)
                .boxed_clone(),
        ),
        (
            "over load shedding",
            guard(breaker, shed)
                .map_err(BreakerError::into_boxed)
                .boxed_clone(),
        ),
        (
            "under a limit",
            ConcurrencyLimit::new(over.clone(), 1).boxed_clone(),
        ),
        (
            "under load shedding",
            LoadShed::new(over.clone()).boxed_clone(),
        ),
        ("under a buffer", Buffer::new(over, 1).boxed_clone()),
    ]
}

async fn asked(stack: &mut Stack, polls: u32) -> Result<u32, BoxError> {
    stack.ready().await?.call(polls).await
}

#[tokio::test]
async fn a_call_dropped_after_any_number_of_polls_leaves_room_for_the_next_in_every_stack() {
    let time = ManualClock::new();
    for number in 0..6 {
        for polls in 0..=4 {
            let breaker = breaker(&time);
            let (name, mut stack) = stacks(&breaker).swap_remove(number);
            assert_ready_ok!(poll_ready(&mut stack), "{name}");
            let mut dropped = task::spawn(stack.call(9));
            (0..polls).for_each(|_| assert_pending!(dropped.poll()));
            drop(dropped);
            assert_eq!(
                asked(&mut stack, 0).await.unwrap(),
                0,
                "{name}, {polls} polls"
            );
            let calls = calls(&breaker);
            assert_eq!(
                (calls.success, calls.failure),
                (1, 0),
                "{name}, {polls} polls"
            );
            assert_eq!(ended(&calls), 1 + calls.abandoned, "{name}, {polls} polls");
            assert_eq!(breaker.state(), State::Closed);
        }
    }
}

#[tokio::test]
async fn a_probe_finds_its_way_through_every_stack_after_the_breaker_was_open() {
    let time = ManualClock::new();
    for number in 0..6 {
        let breaker = breaker(&time);
        let (name, mut stack) = stacks(&breaker).swap_remove(number);
        let mut idle = stack.clone();
        assert_ready_ok!(poll_ready(&mut stack), "{name}");
        trip(&breaker);
        let refused = asked(&mut stack, 1).await;
        assert!(refused.is_err(), "{name}");
        time.advance(OPEN_FOR);
        for _ in 0..2 {
            assert_eq!(asked(&mut idle, 1).await.unwrap(), 0, "{name}");
        }
        assert_eq!(breaker.state(), State::Closed, "{name}");
    }
}

#[test]
fn a_panic_under_a_limit_gives_the_permit_back() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let inner = service_fn(|n: u32| {
        assert!(n != 1, "in the service");
        std::future::ready(Ok::<_, Infallible>(n))
    });
    let mut service = guard(&breaker, ConcurrencyLimit::new(inner, 1));
    assert_ready_ok!(poll_ready(&mut service));
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(1))).is_err());
    assert_eq!(calls(&breaker).failure, 1);
    assert_ready_ok!(poll_ready(&mut service));
    assert_eq!(assert_ready_ok!(task::spawn(service.call(2)).poll()), 2);
    breaker.try_acquire().unwrap().record(Outcome::Success);
}

#[tokio::test]
async fn under_a_limit_a_buffer_and_load_shedding_nothing_panics_and_every_call_is_counted() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let buffered = Buffer::new(limited, 4);
    let guarded = guard(&breaker, buffered).map_err(BreakerError::into_boxed);
    let service = LoadShed::new(guarded);
    let mut tasks = tokio::task::JoinSet::new();
    for request in 0..32 {
        tasks.spawn(service.clone().oneshot(request));
    }
    let results = tasks.join_all().await;
    let answered = results.iter().filter(|result| result.is_ok()).count() as u64;
    assert!(answered > 0);
    assert_eq!(calls(&breaker).success, answered);
    let guarded = guard(&breaker, Strict::default()).map_err(BreakerError::into_boxed);
    let outside = Buffer::new(guarded, 4);
    assert_eq!(outside.oneshot(9).await.unwrap(), 9);
}
