//! An upstream that is slow, or says nothing, does not hold a request for ever.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::error::Error as _;
use std::time::Duration;

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_gateway::body::RequestBody;
use buttress_gateway::config::{HostPolicy, Protocol};
use buttress_gateway::upstream::{Origin, OriginConfig};
use http::Request;
use http_body_util::BodyExt as _;
use support::{Upstream, bounded, exchange, gateway, nobody};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

const SMALL: &str = "head_timeout = \"200ms\"\nbody_idle_timeout = \"200ms\"";
const STALLS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nten bytes.";

fn origin(address: std::net::SocketAddr) -> Origin {
    let wait = Duration::from_millis(200);
    let config = OriginConfig {
        protocol: Protocol::Http1,
        host: HostPolicy::Preserve,
        connect_timeout: wait,
        head_timeout: wait,
        body_idle_timeout: wait,
        keep_alive: wait,
    };
    Origin::new(address.to_string().parse().unwrap(), config)
}

#[tokio::test]
async fn a_head_that_does_not_come_is_a_504() {
    let upstream = Upstream::answering("").await;
    let gateway = gateway(upstream.address, "", SMALL).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(upstream.heads().len(), 1);
}

#[tokio::test]
async fn a_body_that_stalls_is_cut() {
    let upstream = Upstream::answering(STALLS).await;
    let gateway = gateway(upstream.address, "", SMALL).await;
    let answer = exchange(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ten bytes."),
        "{answer}"
    );
}

#[tokio::test]
async fn the_cause_stands_beside_the_status_for_whoever_classifies() {
    let silent = Upstream::answering("").await;
    let request = || Request::new(RequestBody::empty());
    let Ok(late) = bounded("504", origin(silent.address).oneshot(request())).await;
    assert!(late.extensions().get::<DeadlineExceeded>().is_some());
    assert_eq!(late.status(), 504);
    let Ok(refused) = bounded("502", origin(nobody().await).oneshot(request())).await;
    assert!(refused.extensions().get::<TransportFailure>().is_some());
    assert_eq!(refused.status(), 502);
}

#[tokio::test]
async fn a_stalled_body_is_an_error_with_the_deadline_as_its_source() {
    let upstream = Upstream::answering(STALLS).await;
    let request = Request::new(RequestBody::empty());
    let Ok(response) = origin(upstream.address).oneshot(request).await;
    let error = bounded("the body is cut", response.into_body().collect())
        .await
        .unwrap_err();
    assert!(error.source().unwrap().is::<DeadlineExceeded>());
}

#[tokio::test]
async fn an_answer_is_not_late_while_the_upload_moves() {
    let upstream = Upstream::answering("").await;
    let gateway = gateway(upstream.address, "body_timeout = \"20s\"", SMALL).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // Each byte comes well within the head timeout; all of them take several times as long.
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..50 {
        tick.tick().await;
        stream.write_all(b"x").await.unwrap();
        let mut byte = [0];
        assert!(
            stream.try_read(&mut byte).is_err(),
            "answered while the upload moved"
        );
    }
    let answer = support::read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}
