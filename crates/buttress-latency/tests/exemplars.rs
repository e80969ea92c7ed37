//! Exemplars: one recent trace of each octave, whole, and only of what is sampled.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::classify::{ClassifyHttp, Head, Judgement};
use buttress_core::clock::{Instant, ManualClock};
use buttress_core::metric::{Collect, Exemplar, Histogram, Value};
use buttress_core::outcome::Outcome;
use buttress_core::trace_context::TraceContext;
use buttress_latency::{Config, LatencyHandle, LatencyLayer, RollingRecorder, Windows};
use buttress_testing::{ScriptedBody, drop_after_polls};
use http::{Request, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, Service, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn trace(id: u64, sampled: bool) -> TraceContext {
    TraceContext::new(u128::from(id) << 64 | u128::from(id), id, sampled).unwrap()
}

fn ids(exemplars: &[Exemplar]) -> Vec<u64> {
    exemplars.iter().map(|one| one.span_id).collect()
}

/// The only point of the family called `name`.
fn histogram(handle: &LatencyHandle, name: &str) -> Histogram {
    let mut families = Vec::new();
    handle.collect(&mut families);
    let family = families.into_iter().find(|family| family.name == name);
    let points = family.unwrap().points;
    assert_eq!(points.len(), 1);
    match &points[0].value {
        Value::Histogram(histogram) => histogram.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_octave_keeps_the_trace_of_its_first_sampled_record_for_a_second() {
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), time.now());
    let record = |id, sampled| {
        rolling.record_traced(time.now(), 20 * MILLI, &trace(id, sampled), &time.clock());
        ids(&rolling.exemplars())
    };
    assert!(record(1, false).is_empty());
    assert_eq!(record(2, true), [2]);
    time.advance(SECOND);
    assert_eq!(record(3, true), [2], "a second is not over");
    time.advance(MILLI);
    assert_eq!(record(4, false), [2]);
    let at = time.clock().since_1970();
    assert_eq!(record(5, true), [5]);
    let expected = Exemplar::new(&trace(5, true), 0.02, at);
    assert_eq!(rolling.exemplars(), [expected]);
    assert_eq!(rolling.total().count(), 5, "each is recorded all the same");
}

/// What the series, the histogram and the layer make of the trace in a request's extensions.
#[test]
fn the_trace_in_the_extensions_of_a_request_is_in_its_series_and_its_histogram() {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    let layer = LatencyLayer::new(handle.clone()).route("r");
    let takes = time.clone();
    let mut service = layer.layer(service_fn(move |request: Request<u64>| {
        takes.advance(Duration::from_millis(*request.body()));
        let body = ScriptedBody::new().data("x").exact();
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    for (millis, context) in [
        (3, None),
        (9, Some(trace(9, true))),
        (30, Some(trace(30, false))),
        (700, Some(trace(700, true))),
    ] {
        let mut request = Request::new(millis);
        if let Some(context) = context {
            request.extensions_mut().insert(context);
        }
        let response = drop_after_polls(service.call(request), 1);
        let mut body = response.unwrap().unwrap().into_body();
        drop_after_polls(body.frame(), 1);
    }
    let series = handle.snapshot().series;
    assert_eq!(series.len(), 1);
    assert_eq!(ids(&series[0].exemplars), [9, 700]);
    let histogram = histogram(&handle, "http_server_request_duration_seconds");
    assert_eq!(histogram.exemplars, series[0].exemplars);
}

/// A classifier that finds everything to be of this outcome.
#[derive(Clone)]
struct Always(Outcome);

impl<E> ClassifyHttp<E> for Always {
    fn head(&self, _: &Head<'_>) -> Judgement {
        Judgement::Now(self.0)
    }

    fn error(&self, _: &E) -> Outcome {
        self.0
    }
}

/// A success and what was disregarded have one set of labels, and so one histogram.
#[test]
fn where_series_are_one_histogram_the_later_exemplar_of_an_octave_is_shown() {
    let time = ManualClock::new();
    let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
    let call = |id, outcome, millis| {
        let layer = LatencyLayer::new(handle.clone()).classify(Always(outcome));
        let takes = time.clone();
        let mut service = layer.layer(service_fn(move |_: Request<()>| {
            takes.advance(Duration::from_millis(millis));
            let response = Response::new(ScriptedBody::new());
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let mut request = Request::new(());
        request.extensions_mut().insert(trace(id, true));
        drop(drop_after_polls(service.call(request), 1));
        ids(&histogram(&handle, "http_server_request_duration_seconds").exemplars)
    };
    assert_eq!(call(1, Outcome::Ignored, 20), [1]);
    assert_eq!(call(2, Outcome::Success, 20), [2]);
    assert_eq!(call(3, Outcome::Ignored, 1), [3, 2]);
    assert_eq!(call(4, Outcome::Success, 300), [3, 2, 4]);
    assert_eq!(handle.snapshot().series.len(), 2);
}

/// Every word of an exemplar is of the same record, whoever writes meanwhile.
#[test]
fn an_exemplar_is_whole_under_racing_writers_and_is_in_the_total() {
    const RECORDS: u64 = 20_000;
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), time.now());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|thread| {
                let (rolling, time) = (&rolling, &time);
                scope.spawn(move || {
                    for n in 0..RECORDS {
                        time.advance(SECOND);
                        // Two octaves; the duration says which trace it is of.
                        let id = 1_000_000 * (1 + n % 2 * 8) + thread * RECORDS + n;
                        let duration = Duration::from_nanos(id);
                        rolling.record_traced(
                            time.now(),
                            duration,
                            &trace(id, true),
                            &time.clock(),
                        );
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let exemplars = rolling.exemplars();
                let total = rolling.total();
                assert!(exemplars.len() <= 2);
                for one in exemplars {
                    let context = trace(one.span_id, true);
                    let value = Duration::from_nanos(one.span_id).as_secs_f64();
                    assert_eq!(one, Exemplar::new(&context, value, one.at));
                    assert!(total.count() > 0);
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(rolling.exemplars().len(), 2);
}

#[test]
fn any_step_of_the_clock_is_safe() {
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
    let record = |now, id| {
        rolling.record_traced(now, MILLI, &trace(id, true), &time.clock());
        ids(&rolling.exemplars())
    };
    assert_eq!(record(Instant::ORIGIN, 1), [1]);
    assert_eq!(record(Instant::ORIGIN, 2), [1]);
    assert_eq!(record(Instant::NEVER, 3), [3]);
    assert_eq!(record(Instant::ORIGIN, 4), [3]);
    assert_eq!(record(Instant::NEVER, 5), [3]);
}

/// The octave of a duration: the least power of two, in seconds, that it does not exceed.
fn octave(nanos: u64) -> i32 {
    let bounds = -20..=12_i32;
    let within = |exponent: &i32| nanos as f64 <= f64::from(*exponent).exp2() * 1e9;
    bounds.clone().find(within).unwrap_or(13)
}

proptest! {
    #[test]
    fn exemplars_are_those_of_a_list_of_everything(
        records in proptest::collection::vec((0..700_u64, 0.0..13.0_f64, any::<bool>()), 1..200),
    ) {
        let time = ManualClock::new();
        let rolling = RollingRecorder::new(&Windows::default(), time.now());
        let mut kept: BTreeMap<i32, (Duration, u64, f64)> = BTreeMap::new();
        for (id, (gap, exponent, sampled)) in (1..).zip(records) {
            time.advance(Duration::from_millis(gap));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let nanos = 10_f64.powf(exponent) as u64;
            let duration = Duration::from_nanos(nanos);
            rolling.record_traced(time.now(), duration, &trace(id, sampled), &time.clock());
            let at = time.clock().since_1970();
            let last = kept.get(&octave(nanos));
            if sampled && last.is_none_or(|(last, ..)| at > *last + SECOND) {
                kept.insert(octave(nanos), (at, id, duration.as_secs_f64()));
            }
            let expected: Vec<_> = kept
                .values()
                .map(|(at, id, value)| Exemplar::new(&trace(*id, true), *value, *at))
                .collect();
            prop_assert_eq!(rolling.exemplars(), expected);
        }
    }
}
