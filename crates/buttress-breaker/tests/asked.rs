//! What an upstream asks for when it fails: to be left alone for a while.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::time::Duration;

use buttress_breaker::{Backoff, Breaker, Jitter, Settings, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::protocol::ClassifyResult;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use support::{BAD, OPEN_FOR, config, trip};
use tower::{Layer, ServiceExt, service_fn};

const MINUTE: Duration = Duration::from_secs(60);

/// Opens after two failures in a row for five seconds, and for ten minutes if asked for.
fn breaker(time: &ManualClock) -> Breaker {
    let open_for = Backoff::exponential(OPEN_FOR, MINUTE * 10).jitter(Jitter::None);
    let config = config(time).circuit(Settings::default().open_for(open_for));
    Breaker::new("test", config).unwrap()
}

fn open_for(breaker: &Breaker) -> Option<Duration> {
    breaker.handle().snapshot().retry_after
}

#[test]
fn the_longest_wait_that_was_asked_for_and_is_not_over_holds_the_circuit_open() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let (first, second) = (
        breaker.try_acquire().unwrap(),
        breaker.try_acquire().unwrap(),
    );
    first.record_after(BAD, MINUTE * 2);
    time.advance(MINUTE);
    second.record_after(BAD, Duration::from_secs(7));
    assert_eq!(open_for(&breaker), Some(MINUTE));
}

#[test]
fn a_wait_that_is_over_is_forgotten_and_no_wait_is_longer_than_the_cap() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    breaker.try_acquire().unwrap().record_after(BAD, MINUTE);
    time.advance(MINUTE);
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(open_for(&breaker), Some(OPEN_FOR));

    breaker.handle().release();
    breaker
        .try_acquire()
        .unwrap()
        .record_after(BAD, Duration::MAX);
    breaker.try_acquire().unwrap().record(BAD);
    assert_eq!(open_for(&breaker), Some(MINUTE * 10));
}

/// Any error is a failure, and says for how many seconds the service is to be left alone.
#[derive(Clone)]
struct SecondsInErrors;

impl ClassifyResult<(), u64> for SecondsInErrors {
    fn classify(&self, result: Result<&(), &u64>) -> Outcome {
        if result.is_ok() {
            Outcome::Success
        } else {
            BAD
        }
    }

    fn wait(&self, result: Result<&(), &u64>) -> Option<Duration> {
        result.err().copied().map(Duration::from_secs)
    }
}

#[tokio::test]
async fn what_a_result_of_any_service_asks_for_holds_the_circuit_open() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let layer = breaker.plain_layer().classify(SecondsInErrors);
    let service = layer.layer(service_fn(|asked: u64| async move { Err::<(), _>(asked) }));
    for seconds in [90, 7] {
        service.clone().oneshot(seconds).await.unwrap_err();
    }
    assert_eq!(open_for(&breaker), Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn who_asks_for_no_wait_at_all_asks_for_the_shortest() {
    let (time, none) = (ManualClock::new(), HeaderMap::new());
    let backoff = Backoff::exponential(OPEN_FOR, MINUTE).jitter(Jitter::None);
    let shortest = Duration::from_secs(1);
    let settings = Settings::default()
        .open_for(backoff)
        .shortest_asked(shortest);
    let breaker = Breaker::new("test", config(&time).circuit(settings)).unwrap();
    answer(&breaker, 503, &headers(&[("retry-after", "0")]), &none).await;
    assert_eq!(open_for(&breaker), Some(shortest));
    breaker.handle().release();
    let permits = [(); 2].map(|()| breaker.try_acquire().unwrap());
    for permit in permits {
        permit.record_after(BAD, Duration::ZERO);
    }
    assert_eq!(open_for(&breaker), Some(shortest));
    breaker.handle().release();
    trip(&breaker);
    assert_eq!(open_for(&breaker), Some(OPEN_FOR), "nobody has asked");
}

#[test]
fn what_was_asked_for_in_another_generation_or_with_a_success_means_nothing() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let late = breaker.try_acquire().unwrap();
    trip(&breaker);
    breaker.handle().release();
    late.record_after(BAD, MINUTE);
    let good = breaker.try_acquire().unwrap();
    good.record_after(Outcome::Success, MINUTE);
    trip(&breaker);
    assert_eq!(open_for(&breaker), Some(OPEN_FOR));
}

#[test]
fn a_failed_probe_passes_on_what_it_was_told() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    trip(&breaker);
    time.advance(OPEN_FOR);
    let probe = breaker.try_acquire().unwrap();
    assert!(probe.is_probe());
    probe.record_after(BAD, MINUTE);
    assert_eq!(open_for(&breaker), Some(MINUTE));
}

/// Two answers with `headers`, then `trailers`, read to their end.
async fn answer(breaker: &Breaker, status: u16, headers: &HeaderMap, trailers: &HeaderMap) {
    for _ in 0..2 {
        let service = breaker.layer().layer(service_fn(|_: Request<()>| {
            let end = std::future::ready(Some(Ok(trailers.clone())));
            let mut response = Response::new(Empty::<Bytes>::new().with_trailers(end));
            *response.status_mut() = status.try_into().unwrap();
            *response.headers_mut() = headers.clone();
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let response = service.oneshot(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

#[tokio::test]
async fn retry_after_of_a_failed_response_holds_the_circuit_open() {
    let (time, none) = (ManualClock::new(), HeaderMap::new());
    let breaker = breaker(&time);
    answer(&breaker, 503, &headers(&[("retry-after", "60")]), &none).await;
    assert_eq!(open_for(&breaker), Some(MINUTE));

    breaker.handle().release();
    answer(&breaker, 200, &headers(&[("retry-after", "60")]), &none).await;
    assert_eq!(breaker.state(), State::Closed);
    trip(&breaker);
    assert_eq!(open_for(&breaker), Some(OPEN_FOR));
}

#[tokio::test]
async fn a_retry_after_that_is_a_date_counts_from_that_of_the_answer_and_not_from_any_clock_here() {
    let (breaker, none) = (breaker(&ManualClock::new()), HeaderMap::new());
    let until = ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT");
    let sent = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    answer(&breaker, 503, &headers(&[until]), &none).await;
    assert_eq!(open_for(&breaker), Some(OPEN_FOR), "no date to count from");
    breaker.handle().release();
    answer(&breaker, 503, &headers(&[until, sent]), &none).await;
    assert_eq!(open_for(&breaker), Some(MINUTE * 2));
}

#[tokio::test]
async fn the_pushback_of_a_failed_grpc_call_holds_the_circuit_open() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let grpc = headers(&[("content-type", "application/grpc")]);
    let failed = headers(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "60000")]);
    answer(&breaker, 200, &grpc, &failed).await;
    assert_eq!(open_for(&breaker), Some(MINUTE));
}

#[tokio::test]
async fn a_limit_that_we_ran_into_opens_nothing() {
    let (time, none) = (ManualClock::new(), HeaderMap::new());
    let breaker = breaker(&time);
    answer(&breaker, 429, &headers(&[("retry-after", "60")]), &none).await;
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(support::calls(&breaker).ignored, 2);
}
