//! HTTP: a call ends with its body, a rejection is a response.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_breaker::http::ResponseBody;
use buttress_breaker::{Breaker, BreakerService, Ramp, Rule, State, Step, Window};
use buttress_core::classify::{Head, HttpStatus};
use buttress_core::clock::ManualClock;
use buttress_core::decision::{self, Admission};
use buttress_core::protocol::Http;
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use support::{OPEN_FOR, breaker, calls, config, ended, trip};
use tokio_test::assert_ready_ok;
use tower::{Layer, Service, ServiceExt, service_fn};

/// A body of these frames.
#[derive(Clone, Debug, Default)]
struct Frames(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Data(&'static [u8]),
    Status(&'static str),
    Broken,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match self.0.remove(0) {
            Part::Data(data) => Ok(Frame::data(Bytes::from_static(data))),
            Part::Status(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                Ok(Frame::trailers(trailers))
            }
            Part::Broken => Err("broken"),
        }))
    }
}

type Guarded<S> = BreakerService<S, Http>;
type Answer = Response<ResponseBody<Frames, HttpStatus, Infallible>>;

fn answering(
    breaker: &Breaker,
    status: u16,
    parts: &[Part],
) -> Guarded<
    impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send> + Clone,
> {
    let body = Frames(parts.to_vec());
    breaker.layer().layer(service_fn(move |_: Request<()>| {
        let response = Response::builder().status(status).body(body.clone());
        std::future::ready(Ok::<_, Infallible>(response.unwrap()))
    }))
}

async fn answer(breaker: &Breaker, status: u16, parts: &[Part]) -> Answer {
    let service = answering(breaker, status, parts);
    service.oneshot(Request::new(())).await.unwrap()
}

#[tokio::test]
async fn a_call_succeeds_when_its_body_ends_and_not_before() {
    let breaker = breaker(&ManualClock::new());
    let response = answer(&breaker, 200, &[Part::Data(b"a"), Part::Data(b"b")]).await;
    assert_eq!(ended(&calls(&breaker)), 0);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "ab"
    );
    assert_eq!((calls(&breaker).success, ended(&calls(&breaker))), (1, 1));
}

#[tokio::test]
async fn a_body_that_is_dropped_is_abandoned_and_one_that_breaks_is_a_failure() {
    let breaker = breaker(&ManualClock::new());
    drop(answer(&breaker, 200, &[Part::Data(b"a")]).await);
    assert_eq!(calls(&breaker).abandoned, 1);
    let response = answer(&breaker, 200, &[Part::Data(b"a"), Part::Broken]).await;
    assert_eq!(response.into_body().collect().await.unwrap_err(), "broken");
    assert_eq!((calls(&breaker).failure, ended(&calls(&breaker))), (1, 2));
}

#[tokio::test]
async fn a_grpc_status_in_the_trailers_decides() {
    let breaker = breaker(&ManualClock::new());
    let response = answer(&breaker, 200, &[Part::Data(b"a"), Part::Status("13")]).await;
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "13");
    assert_eq!(calls(&breaker).failure, 1);
}

#[tokio::test]
async fn failing_answers_open_the_circuit_and_a_rejection_is_a_response() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    for _ in 0..2 {
        assert_eq!(answer(&breaker, 500, &[]).await.status(), 500);
    }
    let rejection = answer(&breaker, 200, &[]).await;
    assert_eq!(rejection.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejection.headers()["retry-after"], "5");
    assert_eq!(rejection.headers()["cache-control"], "no-store");
    assert!(rejection.extensions().get::<Rejected>().is_some());
    assert!(rejection.body().is_end_stream());
    assert_eq!(ended(&calls(&breaker)), 2, "a rejection is no call");
    time.advance(OPEN_FOR);
    assert_eq!(answer(&breaker, 204, &[]).await.status(), 204);
    assert_eq!(answer(&breaker, 204, &[]).await.status(), 204);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_response_says_what_the_breaker_did_and_why_where_that_is_asked_for() {
    let time = ManualClock::new();
    let breaker = Breaker::new("test", config(&time).explained(true)).unwrap();
    let ask = || async {
        let service = answering(&breaker, 200, &[]);
        let response = service.oneshot(Request::new(())).await.unwrap();
        response.extensions().get::<decision::Guarded>().cloned()
    };
    let ordinary = ask().await.unwrap();
    assert_eq!(&*ordinary.breaker, "test");
    assert_eq!(
        (ordinary.admission, ordinary.verdict),
        (Admission::Ordinary, None)
    );
    trip(&breaker);
    let rejected = ask().await.unwrap();
    assert_eq!(rejected.admission, Admission::Rejected);
    let verdict = rejected.verdict.unwrap().to_string();
    assert!(
        verdict.starts_with("opened for 5.0s: consecutive_failures"),
        "{verdict}"
    );
    time.advance(OPEN_FOR);
    assert_eq!(ask().await.unwrap().admission, Admission::Probe);
}

#[tokio::test]
async fn a_response_says_nothing_of_the_breaker_unless_that_is_asked_for() {
    let answer = answer(&breaker(&ManualClock::new()), 200, &[]).await;
    assert!(answer.extensions().get::<decision::Guarded>().is_none());
}

#[tokio::test]
async fn a_rejected_grpc_call_gets_a_grpc_status() {
    let breaker = breaker(&ManualClock::new());
    trip(&breaker);
    let request = Request::builder().header("content-type", "application/grpc");
    let service = answering(&breaker, 200, &[]);
    let rejection = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(rejection.status(), 200);
    assert_eq!(rejection.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn a_grpc_client_that_waits_as_it_is_told_is_admitted() {
    for nanos in [1, 999_999, 1_000_000, 1_000_001, 1_900_000] {
        let time = ManualClock::new();
        let breaker = breaker(&time);
        trip(&breaker);
        let ask = || {
            let request = Request::builder().header("content-type", "application/grpc");
            answering(&breaker, 200, &[]).oneshot(request.body(()).unwrap())
        };
        time.advance(OPEN_FOR.saturating_sub(Duration::from_nanos(nanos)));
        let rejection = ask().await.unwrap();
        let pushback = &rejection.headers()["grpc-retry-pushback-ms"];
        let pushback = pushback.to_str().unwrap().parse().unwrap();
        time.advance(Duration::from_millis(pushback));
        let admitted = ask().await.unwrap();
        assert!(admitted.extensions().get::<Rejected>().is_none(), "{nanos}");
    }
}

#[tokio::test]
async fn the_time_to_the_head_makes_a_call_slow_and_the_time_of_the_body_does_not() {
    let time = ManualClock::new();
    let config = config(&time).slow_after(Duration::from_secs(1));
    let breaker = Breaker::new("test", config).unwrap();
    let response = answer(&breaker, 200, &[Part::Data(b"a")]).await;
    time.advance(Duration::from_secs(60));
    response.into_body().collect().await.unwrap();
    assert_eq!((calls(&breaker).success, calls(&breaker).slow), (1, 0));
    let clock = time.clone();
    let late = breaker.layer().layer(service_fn(move |_: Request<()>| {
        clock.advance(Duration::from_secs(2));
        std::future::ready(Ok::<_, Infallible>(Response::new(Frames::default())))
    }));
    let response = late.oneshot(Request::new(())).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(calls(&breaker).slow, 1);
}

#[tokio::test]
async fn a_call_is_in_flight_up_to_the_head_of_its_response() {
    let time = ManualClock::new();
    let slow = Rule::SlowRate {
        slower_than: Duration::from_secs(1),
        ratio: 1.0,
        min_calls: 9,
        window: Window::Calls(9),
    };
    let breaker = Breaker::new("test", config(&time).rules([slow])).unwrap();
    let held = || {
        let counts = breaker.handle().snapshot().windows[0].counts;
        (counts.total, counts.bad)
    };
    let response = answer(&breaker, 200, &[Part::Data(b"a")]).await;
    let hanging = breaker.layer().layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Frames>, Infallible>>()
    }));
    let mut call = tokio_test::task::spawn(hanging.oneshot(Request::new(())));
    assert!(call.poll().is_pending());
    time.advance(Duration::from_secs(60));
    assert_eq!(held(), (1, 1), "the one without a head");
    response.into_body().collect().await.unwrap();
    assert_eq!(held(), (2, 1));
    drop(call);
    assert_eq!(held(), (2, 1));
}

#[tokio::test]
async fn a_grpc_answer_that_ends_without_a_status_has_failed_and_one_that_is_all_head_is_judged_by_that()
 {
    let breaker = breaker(&ManualClock::new());
    for status in [None, Some("0"), Some("14")] {
        let service = breaker.layer().layer(service_fn(move |_: Request<()>| {
            let response = Response::builder().header("content-type", "application/grpc");
            let response = match status {
                Some(status) => response.header("grpc-status", status),
                None => response,
            };
            std::future::ready(response.body(Frames::default()))
        }));
        let response = service.oneshot(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!((calls(&breaker).failure, calls(&breaker).success), (2, 1));
}

#[tokio::test]
async fn a_head_in_time_keeps_a_long_body_from_being_slow_to_probes_and_ramps() {
    let time = ManualClock::new();
    let one = NonZeroU32::MIN;
    let ramp = Ramp::new([Step::new(0.5, OPEN_FOR, 1)]).bad_in_a_row(one);
    let settings = config(&time).circuit.successes_to_close(one).ramp(ramp);
    let config = config(&time).slow_after(OPEN_FOR).circuit(settings);
    let breaker = Breaker::new("test", config).unwrap();
    trip(&breaker);
    time.advance(OPEN_FOR);
    for state in [State::HalfOpen, State::Ramping] {
        let response = answer(&breaker, 200, &[Part::Data(b"a")]).await;
        time.advance(OPEN_FOR * 2);
        assert_eq!(breaker.state(), state);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!((calls(&breaker).slow, calls(&breaker).success), (0, 2));
}

#[test]
fn an_open_breaker_is_ready_and_answers_without_its_inner_service() {
    #[derive(Clone)]
    struct Untouchable;
    impl Service<Request<()>> for Untouchable {
        type Response = Response<Frames>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            panic!("polled")
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            panic!("called")
        }
    }
    let breaker = breaker(&ManualClock::new());
    let mut service = breaker.layer().layer(Untouchable);
    trip(&breaker);
    assert_ready_ok!(tokio_test::task::spawn(poll_fn(|cx| service.poll_ready(cx))).poll());
    let response = assert_ready_ok!(tokio_test::task::spawn(service.call(Request::new(()))).poll());
    assert_eq!(response.status(), 503);
}

#[test]
fn futures_and_bodies_have_the_auto_traits_of_what_they_wrap() {
    fn all<T: Send + Sync + Unpin>(_: &T) {}
    fn body<T: Send + Sync>() {}
    let breaker = breaker(&ManualClock::new());
    let inner = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Frames::default())))
    });
    let mut service = breaker.layer().layer(inner);
    all(&service);
    all(&service.call(Request::new(())));
    body::<ResponseBody<Frames, HttpStatus, Infallible>>();
}

#[tokio::test]
async fn a_call_whose_head_comes_too_late_is_slow_from_then_on_and_not_from_the_end_of_its_body() {
    let time = ManualClock::new();
    let slow = Duration::from_secs(1);
    let rule = Rule::SlowRate {
        slower_than: slow,
        ratio: 1.0,
        min_calls: 1,
        window: Window::Calls(1),
    };
    let breaker = Breaker::new("slow", config(&time).rules([rule])).unwrap();
    let clock = time.clone();
    let service = breaker.layer().layer(service_fn(move |_: Request<()>| {
        clock.advance(slow * 2);
        let body = Frames(vec![Part::Data(b"late")]);
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let service: Guarded<_> = service;
    let answer = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(breaker.state(), State::Open);
    drop(answer);
}

#[test]
fn a_head_that_comes_in_the_very_moment_in_which_its_call_becomes_slow_is_slow_at_once() {
    const WIDTH: u64 = 1 << 19;
    const TICK: Duration = Duration::from_nanos(1);
    // Such a call is slow when the bucket of as many nanoseconds in which it began is.
    let slower_than = Duration::from_nanos(16 * WIDTH);
    let time = ManualClock::new();
    let rule = Rule::SlowRate {
        slower_than,
        ratio: 0.5,
        min_calls: 1,
        window: Window::Calls(10),
    };
    let breaker = Breaker::new("test", config(&time).rules([rule])).unwrap();
    let mut call = breaker.try_acquire().unwrap();
    let left = WIDTH - time.clock().now().as_nanos() % WIDTH;
    time.advance((Duration::from_nanos(left) + slower_than).saturating_sub(TICK));
    let _just_before = breaker.try_acquire().unwrap();
    time.advance(TICK);
    call.head(&Head::of(&Response::new(())));
    assert_eq!(breaker.state(), State::Open);
}
