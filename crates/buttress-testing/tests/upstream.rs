//! A fake upstream is a real server that behaves as it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::Duration;

use buttress_testing::{Behaviour, FakeUpstream, body};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

type Http = Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>>;

fn client(http2: bool) -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http()
}

fn get(upstream: &FakeUpstream) -> Request<Empty<Bytes>> {
    Request::get(upstream.uri("/")).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn it_speaks_http_1_and_http_2_and_counts_what_comes() {
    let upstream = FakeUpstream::start().await;
    for (http2, version) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
        let response = client(http2).request(get(&upstream)).await.unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, version)
        );
    }
    assert_eq!(upstream.requests(), 2);
}

#[tokio::test]
async fn its_behaviour_can_be_switched_while_it_runs() {
    let upstream = FakeUpstream::start().await;
    let client = client(false);
    upstream.set(Behaviour::Status(StatusCode::BAD_GATEWAY));
    let response = client.request(get(&upstream)).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    upstream.set(Behaviour::handler(|request| async move {
        let path = request.uri().path().to_owned();
        Response::new(body(Full::new(Bytes::from(path))))
    }));
    let response = client.request(get(&upstream)).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, "/");
}

#[tokio::test]
async fn a_reset_is_an_error_of_the_client_in_both_protocols() {
    let upstream = FakeUpstream::with(Behaviour::Reset).await;
    for http2 in [false, true] {
        assert!(client(http2).request(get(&upstream)).await.is_err());
    }
}

#[tokio::test]
async fn a_hanging_request_is_counted_and_ends_with_the_upstream() {
    let upstream = FakeUpstream::with(Behaviour::Hang).await;
    let request = client(false).request(get(&upstream));
    let hanging = tokio::spawn(request);
    upstream.wait_for_requests(1).await;
    assert!(!hanging.is_finished());
    drop(upstream);
    let ended = tokio::time::timeout(Duration::from_secs(10), hanging).await;
    assert!(ended.unwrap().unwrap().is_err());
}
