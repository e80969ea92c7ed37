//! An HTTP exchange is settled exactly once, with the right outcome, on every exit there is.
#![cfg(feature = "http")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

#[path = "judge/grpc.rs"]
mod grpc;
#[path = "judge/panics.rs"]
mod panics;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use buttress_core::classify::HttpStatus;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::judge::Judge;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::settle::Settle;
use buttress_testing::{ScriptedBody, assert_transparent_body, drop_after_polls};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};

/// What was settled, in order; a guard that settles early or, with `LATE`, at the end.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Outcome>>>);

struct Told<const LATE: bool>(Log);

impl<const LATE: bool> Settle for Told<LATE> {
    const AT_HEAD: bool = !LATE;

    fn settle(self, outcome: Outcome) {
        self.0.0.lock().unwrap().push(outcome);
    }
}

/// How often an answer began well.
struct Begun(Arc<Mutex<u32>>);

impl Settle for Begun {
    fn settle(self, _: Outcome) {}

    fn answered(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

fn never() -> ScriptedBody {
    ScriptedBody::new().never()
}

impl Log {
    fn settled(&self) -> Vec<Outcome> {
        self.0.lock().unwrap().clone()
    }

    #[track_caller]
    fn assert_open(&self) {
        assert_eq!(self.settled(), []);
    }

    #[track_caller]
    fn assert_once(&self, outcome: Outcome) {
        assert_eq!(self.settled(), [outcome]);
    }

    fn early(&self) -> Told<false> {
        Told(self.clone())
    }

    fn late(&self) -> Told<true> {
        Told(self.clone())
    }
}

const ANSWER: Outcome = Outcome::Failure(FailureKind::Answer);

fn response<B>(status: u16, body: B) -> Response<B> {
    Response::builder().status(status).body(body).unwrap()
}

/// The response to a GET as it comes out of a judge that settles into `log`.
fn judged<B: Body>(
    log: &Log,
    response: Response<B>,
) -> Response<impl Body<Data = B::Data, Error = B::Error> + use<B>> {
    judged_for(log.early(), false, response)
}

fn judged_for<S: Settle, B: Body>(
    settle: S,
    head: bool,
    response: Response<B>,
) -> Response<impl Body<Data = B::Data, Error = B::Error> + use<S, B>> {
    let future = std::future::ready(Ok::<_, Infallible>(response));
    let future = Judge::new(future, HttpStatus, settle, head);
    drop_after_polls(future, 1).unwrap().unwrap()
}

/// Polls one frame of `body` and leaves it where it is.
fn frame<B: Body + Unpin>(body: &mut B) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = std::pin::Pin::new(body).poll_frame(&mut cx);
}

#[test]
fn a_failure_in_the_head_is_settled_at_once() {
    let log = Log::default();
    let response = judged(&log, response(500, ScriptedBody::new().never()));
    log.assert_once(ANSWER);
    drop(response);
    log.assert_once(ANSWER);
}

#[test]
fn an_answer_has_begun_well_once_its_head_is_good_and_its_end_open() {
    let told = |status: u16| {
        let log = Arc::new(Mutex::new(0));
        let future = std::future::ready(Ok::<_, Infallible>(response(status, never())));
        let judge = Judge::new(future, HttpStatus, Begun(Arc::clone(&log)), false);
        drop(drop_after_polls(judge, 1).unwrap());
        *log.lock().unwrap()
    };
    assert_eq!([told(200), told(500), told(429)], [1, 0, 0]);
}

#[test]
fn a_measure_is_told_of_the_heads_failure_at_the_end_of_the_body() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a").data("b");
    let response = judged_for(log.late(), false, response(500, body));
    let mut body = std::pin::pin!(response.into_body());
    frame(&mut body);
    frame(&mut body);
    log.assert_open();
    frame(&mut body);
    log.assert_once(ANSWER);
}

#[test]
fn a_decided_outcome_stands_for_a_measure_whatever_becomes_of_the_body() {
    let dropped = Log::default();
    let unread = ScriptedBody::new().data("a");
    drop(judged_for(dropped.late(), false, response(500, unread)));
    dropped.assert_once(ANSWER);
    let broken = Log::default();
    let body = ScriptedBody::new().error("reset");
    let response = judged_for(broken.late(), false, response(429, body));
    frame(&mut std::pin::pin!(response.into_body()));
    broken.assert_once(Outcome::Ignored);
}

#[test]
fn a_body_is_complete_with_its_final_none() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a");
    let mut body = std::pin::pin!(judged(&log, response(200, body)).into_body());
    frame(&mut body);
    log.assert_open();
    frame(&mut body);
    log.assert_once(Outcome::Success);
}

#[test]
fn a_body_is_complete_as_soon_as_it_says_so_without_being_asked_again() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a").data("b").says_end();
    let mut body = std::pin::pin!(judged(&log, response(200, body)).into_body());
    frame(&mut body);
    log.assert_open();
    frame(&mut body);
    log.assert_once(Outcome::Success);
}

#[test]
fn a_body_is_complete_when_its_exact_length_is_delivered_without_being_asked_again() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a").pending().data("bc").exact();
    let mut body = std::pin::pin!(judged(&log, response(200, body)).into_body());
    frame(&mut body);
    frame(&mut body);
    log.assert_open();
    frame(&mut body);
    log.assert_once(Outcome::Success);
}

#[test]
fn a_response_without_a_body_is_complete_at_its_head() {
    let endless = || ScriptedBody::new().never();
    for status in [101, 204, 304] {
        let log = Log::default();
        let response = judged(&log, response(status, endless()));
        log.assert_once(Outcome::Success);
        drop(response);
        log.assert_once(Outcome::Success);
    }
    let head = Log::default();
    let answered = judged_for(head.early(), true, response(200, endless()));
    head.assert_once(Outcome::Success);
    drop(answered);
    let empty = Log::default();
    let answered = judged(&empty, response(200, ScriptedBody::new().exact()));
    empty.assert_once(Outcome::Success);
    drop(answered);
}

#[test]
fn a_body_that_breaks_is_a_failure_of_the_body() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a").error("reset");
    let mut body = std::pin::pin!(judged(&log, response(200, body)).into_body());
    frame(&mut body);
    frame(&mut body);
    log.assert_once(Outcome::Failure(FailureKind::Body));
}

#[test]
fn a_body_dropped_at_any_frame_is_abandoned_and_one_read_to_its_end_is_not() {
    let script = || ScriptedBody::new().data("a").pending().data("b").pending();
    // Unpolled, after one poll, after two; the third completes.
    for polls in 0..3 {
        let log = Log::default();
        let body = judged(&log, response(200, script())).into_body();
        assert!(drop_after_polls(body.collect(), polls).is_none());
        log.assert_once(Outcome::Abandoned);
    }
    let log = Log::default();
    let body = judged(&log, response(200, script())).into_body();
    assert!(drop_after_polls(body.collect(), 3).is_some());
    log.assert_once(Outcome::Success);
}

#[test]
fn a_future_dropped_at_any_await_is_abandoned() {
    async fn slow() -> Result<Response<Full<Bytes>>, Infallible> {
        for _ in 0..3 {
            let mut yielded = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut yielded, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
        Ok(response(200, Full::from("done")))
    }
    for polls in 0..4 {
        let log = Log::default();
        let judged = Judge::new(slow(), HttpStatus, log.early(), false);
        assert!(drop_after_polls(judged, polls).is_none());
        log.assert_once(Outcome::Abandoned);
    }
    let log = Log::default();
    let judged = Judge::new(slow(), HttpStatus, log.early(), false);
    let completed = drop_after_polls(judged, 4).unwrap();
    log.assert_open();
    drop(completed);
    log.assert_once(Outcome::Abandoned);
}

#[test]
fn an_error_of_the_service_is_settled_by_what_it_is() {
    let log = Log::default();
    let late = std::future::ready(Err::<Response<Full<Bytes>>, _>(DeadlineExceeded::new()));
    let result = drop_after_polls(Judge::new(late, HttpStatus, log.early(), false), 1);
    assert!(result.unwrap().is_err());
    log.assert_once(Outcome::Failure(FailureKind::Deadline));
}

#[test]
fn a_judged_body_is_the_body_it_was() {
    let plain = || ScriptedBody::new().data("a").pending().data("bc");
    let bodies = [
        ScriptedBody::new(),
        plain(),
        plain().exact(),
        plain().says_end(),
        plain().exact().says_end(),
        plain().trailer("grpc-status", "0"),
        plain().exact().trailer("x-checksum", "1"),
        plain().error("broken"),
        plain().data("").data("d").exact(),
    ];
    for body in bodies {
        for status in [200, 204, 500] {
            let log = Log::default();
            let passed = judged(&log, response(status, body.clone())).into_body();
            assert_transparent_body(body.clone(), passed);
            assert_eq!(log.settled().len(), 1, "{body:?} with {status}");
        }
    }
}
