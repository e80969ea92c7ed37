//! A panic is a failure of its own kind, wherever it comes.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use buttress_core::classify::{ClassifyHttp, Head, HttpStatus, Judgement};
use buttress_core::judge::Judge;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_testing::{ScriptedBody, drop_after_polls};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use super::{Log, judged, response};

const PANIC: Outcome = Outcome::Failure(FailureKind::Panic);

fn panics(run: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "no panic");
}

#[test]
fn a_panic_in_the_future_is_a_failure_by_panic() {
    type Answer = Result<Response<Full<Bytes>>, Infallible>;
    let failing = std::future::poll_fn(|_| -> Poll<Answer> { panic!("in the service") });
    let log = Log::default();
    let judged = Judge::new(failing, HttpStatus, log.early(), false);
    panics(|| drop(drop_after_polls(judged, 1)));
    log.assert_once(PANIC);
}

#[test]
fn a_panic_in_the_body_is_a_failure_by_panic() {
    let log = Log::default();
    let body = ScriptedBody::new().data("a").panics("in the body");
    let body = judged(&log, response(200, body)).into_body();
    panics(|| drop(drop_after_polls(body.collect(), 1)));
    log.assert_once(PANIC);
}

/// Panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Panicking {
    Head,
    End,
    Error,
}

impl<E> ClassifyHttp<E> for Panicking {
    fn head(&self, _: &Head<'_>) -> Judgement {
        assert!(*self != Self::Head, "in the classifier, at the head");
        Judgement::AtEnd
    }

    fn end(&self, _: Option<&HeaderMap>) -> Outcome {
        panic!("in the classifier, at the end")
    }

    fn error(&self, _: &E) -> Outcome {
        panic!("in the classifier, on an error")
    }
}

#[test]
fn a_panic_in_the_classifier_is_a_failure_by_panic_wherever_it_comes() {
    for place in [Panicking::Head, Panicking::End, Panicking::Error] {
        for status in [StatusCode::OK, StatusCode::NO_CONTENT] {
            let log = Log::default();
            let result = if place == Panicking::Error {
                Err("broken")
            } else {
                Ok(response(status.as_u16(), ScriptedBody::new().data("a")))
            };
            let future = Judge::new(std::future::ready(result), place, log.early(), false);
            panics(|| {
                let response = drop_after_polls(future, 1).unwrap().unwrap();
                drop(drop_after_polls(response.into_body().collect(), 1));
            });
            log.assert_once(PANIC);
        }
    }
}
