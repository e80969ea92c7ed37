//! What every layer keeps to, for services of any kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_breaker::{Breaker, BreakerError, BreakerLayer, BreakerService, State};
use buttress_core::BoxError;
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::protocol::{ErrorChain, Http, Plain};
use buttress_core::reject::Rejected;
use support::{BAD, OPEN_FOR, breaker, calls, config, ended, trip};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::{Layer, Service, ServiceExt, service_fn};

/// Panics unless the very instance that was polled ready is the one that is called.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being readied"
        );
        std::future::ready(Ok(request))
    }
}

/// Panics when it is touched.
#[derive(Clone, Debug)]
struct Untouchable;

impl Service<u32> for Untouchable {
    type Response = u32;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        panic!("polled")
    }

    fn call(&mut self, _: u32) -> Self::Future {
        panic!("called")
    }
}

/// Never ready.
#[derive(Clone, Debug)]
struct Busy;

impl Service<u32> for Busy {
    type Response = u32;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: u32) -> Self::Future {
        panic!("called without being ready")
    }
}

/// Pending for so many polls, then done.
struct Steps(usize);

impl Future for Steps {
    type Output = Result<u32, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(Ok(0));
        };
        self.0 = left;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn guard<S>(breaker: &Breaker, inner: S) -> BreakerService<S, Plain> {
    breaker.plain_layer().layer(inner)
}

/// Calls without polling ready first, as is done where the breaker was open until just now.
fn call<S, R>(service: &mut S, request: R) -> task::Spawn<S::Future>
where
    S: Service<R>,
{
    task::spawn(service.call(request))
}

fn poll_ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    task::spawn(poll_fn(|cx| service.poll_ready(cx))).poll()
}

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
    assert_ready_ok!(call(&mut service, 1).poll());
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
    let mut probe = call(&mut service, 1);
    assert_pending!(probe.poll());
    time.advance(deadline.saturating_sub(Duration::from_nanos(1)));
    assert_pending!(probe.poll());
    time.advance(Duration::from_nanos(1));
    assert!(probe.is_woken());
    let error = assert_ready_err!(probe.poll());
    assert_eq!(error.rejected().unwrap().reason, "not_ready");
    assert_eq!(calls(&breaker).ignored, 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(
        breaker.try_acquire().unwrap().is_probe(),
        "the place came back"
    );
}

#[tokio::test]
async fn under_a_limit_a_buffer_and_load_shedding_nothing_panics_and_every_call_is_counted() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let buffered = tower::buffer::Buffer::new(limited, 4);
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
    let outside = tower::buffer::Buffer::new(guarded, 4);
    assert_eq!(outside.oneshot(9).await.unwrap(), 9);
}

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

/// Fails to become ready.
#[derive(Clone, Debug)]
struct Broken;

impl Broken {
    fn guarded(breaker: &Breaker) -> BreakerService<Self, Plain> {
        guard(breaker, Self)
    }
}

impl Service<u32> for Broken {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Err("broken"))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        std::future::ready(Ok(0))
    }
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
