//! What panics harms itself alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use buttress_breaker::{Breaker, Evidence, Rule, State, Trip, TripRule, Window};
use buttress_core::clock::ManualClock;
use buttress_core::events::CAPACITY;
use buttress_core::metric::{Collect, Family, Value};
use buttress_core::outcome::Outcome;
use support::services::{Busy, Steps, Strict, Untouchable, call, guard, poll_ready};
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
    impl Wake for Release {
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

struct Panics;
impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("in the waker")
    }
}

#[derive(Default)]
struct Counts(AtomicUsize);
impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_subscriber_whose_waker_panics_leaves_the_breaker_and_the_others_as_they_should_be() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let (mut bad, mut good) = (breaker.handle().subscribe(), breaker.handle().subscribe());
    let waker = Arc::new(Panics).into();
    let mut receiving = Box::pin(bad.recv());
    assert_pending!(receiving.as_mut().poll(&mut Context::from_waker(&waker)));
    // Requests of others, which notice nothing.
    for _ in 0..2 {
        breaker.try_acquire().unwrap().record(BAD);
    }
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

#[test]
fn wakers_that_panic_while_the_panic_of_a_call_unwinds_do_not_end_the_process() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let waker: Waker = Arc::new(Panics).into();
    let cx = &mut Context::from_waker(&waker);
    let mut events = breaker.handle().subscribe();
    let mut receiving = Box::pin(events.recv());
    assert_pending!(receiving.as_mut().poll(cx));
    let mut waiting = guard(&breaker, Busy);
    assert_pending!(Service::<u32>::poll_ready(&mut waiting, cx));
    breaker.try_acquire().unwrap().record(BAD);
    let trips = AssertUnwindSafe(|| {
        let _permit = breaker.try_acquire().unwrap();
        panic!("in the call");
    });
    let panicked = catch_unwind(trips).unwrap_err();
    assert_eq!(panicked.downcast_ref(), Some(&"in the call"));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_readiness_waker_that_panics_leaves_no_other_service_asleep() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let counts = Arc::new(Counts::default());
    let (good, panics) = (Arc::clone(&counts).into(), Arc::new(Panics).into());
    let mut waiting = [(); 3].map(|()| guard(&breaker, Busy));
    for round in 1..=3 {
        for (service, waker) in waiting.iter_mut().zip([&panics, &good, &good]) {
            let cx = &mut Context::from_waker(waker);
            assert_pending!(Service::<u32>::poll_ready(service, cx));
        }
        assert!(breaker.handle().force_open());
        assert_eq!(counts.0.load(Ordering::Relaxed), 2 * round);
        assert!(breaker.handle().release());
    }
}

#[test]
fn events_that_give_way_while_a_waker_hangs_are_counted() {
    /// Changes the state more often than can be kept, while nobody can be told.
    struct Hangs(Breaker, AtomicUsize);
    impl Wake for Hangs {
        fn wake(self: Arc<Self>) {
            if self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                for _ in 0..CAPACITY {
                    self.0.handle().force_open();
                    self.0.handle().release();
                }
            }
        }
    }
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let dropped = || breaker.handle().snapshot().events_dropped;
    let mut events = breaker.handle().subscribe();
    let waker = Arc::new(Hangs(breaker.clone(), AtomicUsize::new(0))).into();
    let mut receiving = Box::pin(events.recv());
    assert_pending!(receiving.as_mut().poll(&mut Context::from_waker(&waker)));
    assert_eq!(dropped(), 0);
    breaker.handle().force_open();
    // It was open by force already: the first change was the release.
    let changes = 2 * CAPACITY - 1;
    assert_eq!(dropped(), (changes - CAPACITY) as u64);
    let mut families = Vec::new();
    breaker.handle().collect(&mut families);
    let counted = |family: &&Family| family.name == "buttress_events_dropped";
    let family = families.iter().find(counted).unwrap();
    assert_eq!(family.points[0].value, Value::Counter(dropped()));
}
