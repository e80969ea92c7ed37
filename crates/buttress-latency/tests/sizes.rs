//! The sizes of bodies: counted as bytes pass, and nothing of a body changed by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp)]

mod support;

use std::convert::Infallible;

use buttress_core::metric::{Histogram, Value};
use buttress_latency::{Config, LatencyHandle, LatencyLayer, RequestBody};
use buttress_testing::{ScriptedBody, assert_transparent_body, drop_at_every_poll};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};

use support::{families, family, now};

const REQUESTS: &str = "http_server_request_body_size_bytes";
const RESPONSES: &str = "http_server_response_body_size_bytes";

fn sized() -> LatencyHandle {
    LatencyHandle::new(Config::new().response_body_sizes(true)).unwrap()
}

/// Reads its request to the end and answers with the same.
async fn echo<B>(request: Request<B>) -> Result<Response<ScriptedBody>, Infallible>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
{
    let (mut body, mut answer) = (request.into_body(), ScriptedBody::new());
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            answer = answer.data(data).pending();
        }
    }
    Ok(Response::new(answer.says_end()))
}

fn only(handle: &LatencyHandle, name: &str) -> Histogram {
    let family = family(handle, name);
    assert_eq!(family.points.len(), 1);
    match &family.points[0].value {
        Value::Histogram(histogram) => histogram.clone(),
        other => panic!("{other:?}"),
    }
}

/// Bodies of any frames, with trailers or without, that end in whatever way.
fn bodies() -> impl Strategy<Value = ScriptedBody> {
    let frames = proptest::collection::vec((0..3_u8, 0..9_usize), 0..9);
    (frames, 0..4_u8).prop_map(|(frames, end)| {
        let body = frames
            .into_iter()
            .fold(ScriptedBody::new(), |body, frame| match frame {
                (0, _) => body.pending(),
                (_, len) => body.data("x".repeat(len)),
            });
        match end {
            0 => body.exact(),
            1 => body.says_end(),
            2 => body.trailer("grpc-status", "0"),
            _ => body.error("broken"),
        }
    })
}

proptest! {
    #[test]
    fn a_counted_body_is_the_body_it_was(body in bodies()) {
        let handle = sized();
        let (answer, sent) = (body.clone(), body.clone());
        let service = LatencyLayer::new(handle.clone()).request_body_sizes();
        let service = service.layer(service_fn(move |request: Request<RequestBody<ScriptedBody>>| {
            assert_transparent_body(sent.clone(), request.into_body());
            std::future::ready(Ok::<_, Infallible>(Response::new(answer.clone())))
        }));
        let response = now(service.oneshot(Request::new(body.clone()))).unwrap();
        assert_transparent_body(body, response.into_body());
        prop_assert_eq!(handle.in_flight(), 0);
        prop_assert_eq!(only(&handle, REQUESTS).count, 1);
        prop_assert_eq!(only(&handle, REQUESTS).sum, only(&handle, RESPONSES).sum);
    }

    #[test]
    fn every_byte_that_passes_is_counted(sizes in proptest::collection::vec(0..5_000_usize, 1..20)) {
        let handle = sized();
        let layer = LatencyLayer::new(handle.clone()).request_body_sizes();
        let mut service = layer.layer(service_fn(echo));
        for size in &sizes {
            let body = ScriptedBody::new().data("x".repeat(*size)).exact();
            let response = now(service.call(Request::new(body))).unwrap();
            now(response.into_body().collect()).unwrap();
        }
        for name in [REQUESTS, RESPONSES] {
            let counted = only(&handle, name);
            prop_assert_eq!(counted.count, sizes.len() as u64);
            prop_assert_eq!(counted.sum, sizes.iter().sum::<usize>() as f64);
            let small = sizes.iter().filter(|size| **size <= 1024).count() as u64;
            let within = counted.classic.iter().find(|(le, _)| *le == 1024.0);
            prop_assert_eq!(within.unwrap().1, small);
        }
        let series = &handle.snapshot().series[0];
        prop_assert_eq!(series.request_bodies.sum(), series.response_bodies.sum());
    }
}

#[test]
fn a_body_dropped_at_any_poll_is_counted_once_as_far_as_it_passed() {
    let handle = sized();
    let layer = LatencyLayer::new(handle.clone()).request_body_sizes();
    let mut exchanges = 0;
    let drops = drop_at_every_poll(
        || {
            let body = ScriptedBody::new().data("abc").pending().data("de");
            let mut service = layer.layer(service_fn(echo));
            let response = service.call(Request::new(body));
            async move { response.await.unwrap().into_body().collect().await.unwrap() }
        },
        |_| {
            exchanges += 1;
            assert_eq!(handle.in_flight(), 0);
            let series = handle.snapshot().series;
            let requests: u64 = series.iter().map(|one| one.request_bodies.count()).sum();
            assert_eq!(requests, exchanges);
        },
    );
    assert!(drops >= 3);
    let series = handle.snapshot().series;
    let received: u64 = series.iter().map(|one| one.request_bodies.sum()).sum();
    // The first came before anything had passed, the second after three of five bytes; what was
    // answered had all of them.
    assert_eq!(received, 3 + 5 * (exchanges - 2));
    let answered = series.iter().filter(|one| one.status.is_some());
    let answered: u64 = answered.map(|one| one.total.count()).sum();
    let responses: u64 = series.iter().map(|one| one.response_bodies.count()).sum();
    assert_eq!(responses, answered, "no response, no size of one");
}

#[test]
fn a_response_without_a_body_has_nothing_in_it() {
    let handle = sized();
    let mut service = LatencyLayer::new(handle.clone()).layer(service_fn(|_: Request<()>| {
        let response = Response::builder().status(StatusCode::NOT_MODIFIED);
        std::future::ready(response.body(ScriptedBody::new()))
    }));
    drop(now(service.call(Request::new(()))).unwrap());
    let counted = only(&handle, RESPONSES);
    assert_eq!((counted.count, counted.below, counted.sum), (1, 1, 0.0));
    assert_eq!(counted.octaves, (0, 32), "from a byte to 4 GiB");
}

#[test]
fn bodies_are_not_counted_unless_that_is_asked_for() {
    let handle = LatencyHandle::default();
    let mut service = LatencyLayer::new(handle.clone()).layer(service_fn(echo));
    let body = ScriptedBody::new().data("abc");
    let response = now(service.call(Request::new(body))).unwrap();
    now(response.into_body().collect()).unwrap();
    let names: Vec<_> = families(&handle).iter().map(|family| family.name).collect();
    assert!(
        !names.contains(&REQUESTS) && !names.contains(&RESPONSES),
        "{names:?}"
    );
}
