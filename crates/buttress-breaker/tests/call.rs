//! An async function behind a breaker ends in one outcome on every exit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use buttress_breaker::{Breaker, BreakerError, Calls, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use support::{BAD, OPEN_FOR, breaker, calls, ended, trip};
use tokio_test::{assert_pending, assert_ready, task};

fn counted(breaker: &Breaker) -> (Calls, u64) {
    let calls = calls(breaker);
    (calls, ended(&calls))
}

#[test]
fn the_result_passes_through_and_is_the_outcome() {
    let breaker = breaker(&ManualClock::new());
    let mut call = task::spawn(breaker.call(|| ready(Ok::<_, &str>(7))));
    assert_eq!(assert_ready!(call.poll()), Ok(7));
    let mut call = task::spawn(breaker.call(|| ready(Err::<u32, _>("no"))));
    assert_eq!(assert_ready!(call.poll()), Err(BreakerError::Inner("no")));
    let (calls, ended) = counted(&breaker);
    assert_eq!((calls.success, calls.failure, ended), (1, 1, 2));
}

#[test]
fn a_classifier_of_ones_own_decides() {
    let breaker = breaker(&ManualClock::new());
    let judge = |result: Result<&u32, &&str>| match result {
        Ok(_) => BAD,
        Err(_) => Outcome::Ignored,
    };
    for result in [Ok(1), Err("no"), Ok(2)] {
        let mut call = task::spawn(breaker.call_classified(judge, || ready(result)));
        let _ = assert_ready!(call.poll());
    }
    let (calls, ended) = counted(&breaker);
    assert_eq!((calls.failure, calls.ignored, ended), (2, 1, 3));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn what_is_rejected_is_not_called() {
    let breaker = breaker(&ManualClock::new());
    trip(&breaker);
    let never = || -> std::future::Ready<Result<(), &str>> { panic!("called") };
    let mut call = task::spawn(breaker.call(never));
    let error = assert_ready!(call.poll()).unwrap_err();
    assert_eq!(error.rejected().unwrap().retry_after, Some(OPEN_FOR));
    assert_eq!(counted(&breaker).1, 2, "a rejection is no call");
}

#[test]
fn a_call_that_is_dropped_is_abandoned_polled_or_not() {
    let breaker = breaker(&ManualClock::new());
    let hang = || breaker.call(pending::<Result<(), &str>>);
    drop(hang());
    let mut call = task::spawn(hang());
    assert_pending!(call.poll());
    drop(call);
    let (calls, ended) = counted(&breaker);
    assert_eq!((calls.abandoned, ended), (2, 2));
}

#[test]
fn a_panic_in_the_function_or_its_future_is_a_failure_and_passes_on() {
    let breaker = breaker(&ManualClock::new());
    let early = || -> std::future::Ready<Result<(), &str>> { panic!("in the function") };
    assert!(catch_unwind(AssertUnwindSafe(|| drop(breaker.call(early)))).is_err());
    let panics = || poll_fn(|_| -> Poll<Result<(), &str>> { panic!("in the future") });
    let mut late = task::spawn(breaker.call(panics));
    assert!(catch_unwind(AssertUnwindSafe(|| late.poll())).is_err());
    drop(late);
    let (calls, ended) = counted(&breaker);
    assert_eq!((calls.failure, ended), (2, 2));
}

#[test]
fn a_call_has_the_auto_traits_of_what_it_waits_for() {
    fn all<T: Send + Sync + Unpin>(_: &T) {}
    let breaker = breaker(&ManualClock::new());
    all(&breaker.call(|| ready(Ok::<_, &str>(()))));
}
