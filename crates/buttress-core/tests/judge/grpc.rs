//! A gRPC call says in its trailers how it ended.

use buttress_core::outcome::Outcome;
use buttress_testing::{ScriptedBody, drop_after_polls};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};

use super::{ANSWER, Log, frame, judged, response};

#[test]
fn a_grpc_status_is_read_from_the_trailers() {
    for (status, outcome) in [("0", Outcome::Success), ("13", ANSWER)] {
        let log = Log::default();
        let body = ScriptedBody::new().data("a").trailer("grpc-status", status);
        let mut body = std::pin::pin!(judged(&log, response(200, body)).into_body());
        frame(&mut body);
        log.assert_open();
        frame(&mut body);
        log.assert_once(outcome);
    }
}

#[test]
fn a_grpc_status_is_read_from_trailers_that_follow_a_body_of_exact_length() {
    let grpc = |body| {
        let mut response = response(200, body);
        let headers = response.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        response
    };
    let log = Log::default();
    let failing = Full::new(Bytes::from("a")).with_trailers(std::future::ready(Some(Ok(
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), "13".parse().unwrap())]),
    ))));
    let mut body = std::pin::pin!(judged(&log, grpc(failing)).into_body());
    frame(&mut body);
    log.assert_open();
    frame(&mut body);
    log.assert_once(ANSWER);
}

#[test]
fn a_grpc_answer_that_ends_without_a_status_has_failed() {
    let trailers = |script: ScriptedBody| script.trailer("x-checksum", "1");
    let frames: [fn() -> ScriptedBody; 3] = [
        ScriptedBody::new,
        || ScriptedBody::new().data("a"),
        || ScriptedBody::new().data("a").exact(),
    ];
    for script in frames {
        for body in [script(), trailers(script())] {
            let log = Log::default();
            let mut response = response(200, body);
            let headers = response.headers_mut();
            headers.insert("content-type", "application/grpc".parse().unwrap());
            let body = judged(&log, response).into_body();
            assert!(drop_after_polls(body.collect(), 1).is_some());
            log.assert_once(ANSWER);
        }
    }
}

#[test]
fn a_grpc_answer_whose_head_is_its_trailers_is_judged_by_that_alone() {
    for (status, outcome) in [("0", Outcome::Success), ("5", Outcome::Success)] {
        let log = Log::default();
        let mut response = response(200, ScriptedBody::new());
        let headers = response.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("grpc-status", status.parse().unwrap());
        let body = judged(&log, response).into_body();
        assert!(drop_after_polls(body.collect(), 1).is_some());
        log.assert_once(outcome);
    }
}

#[test]
fn a_grpc_body_dropped_after_its_exact_length_is_complete() {
    let log = Log::default();
    let mut response = response(200, ScriptedBody::new().data("a").exact());
    let headers = response.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    {
        let mut body = std::pin::pin!(judged(&log, response).into_body());
        frame(&mut body);
        log.assert_open();
    }
    log.assert_once(Outcome::Success);
}
