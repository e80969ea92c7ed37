//! Bodies and their lengths.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{GET, echo};
use crate::support::manual::OnManualClock;
use crate::support::{self, Upstream, bounded, exchange, gateway, read_to_end};

#[tokio::test]
async fn a_body_over_the_limit_is_refused_declared_or_streamed() {
    let upstream = Upstream::answering("").await;
    let gateway = gateway(upstream.address, "max_request_body = 10", "").await;
    let declared = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n";
    let answer = exchange(gateway.address, declared).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(upstream.heads().is_empty());

    let mut streamed = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    streamed.write_all(head.as_bytes()).await.unwrap();
    streamed
        .write_all(b"8\r\n12345678\r\n8\r\n12345678\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut streamed).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn an_answer_without_reading_the_body_does_not_read_the_body_as_a_request() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "max_request_body = 10", "").await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{smuggled}",
        smuggled.len() + 1000
    );
    let answer = exchange(gateway.address, request).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(upstream.heads().is_empty(), "{:?}", upstream.heads());
}

#[tokio::test]
async fn a_chunked_answer_is_whole_whatever_length_it_claims() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
    )
    .await;
    let gateway = gateway(upstream.address, "", "").await;
    let answer = exchange(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        "{answer}"
    );
}

/// All end where a reader of chunks would say.
const CODED: [&str; 3] = [
    "gzip, chunked",
    "chunked, chunked",
    "gzip\r\ntransfer-encoding: chunked",
];

#[tokio::test]
async fn a_request_in_a_coding_that_is_not_taken_off_is_a_501_and_ends_its_connection() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    // So little of a body that hyper would read it and keep the connection.
    for coding in CODED {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n{GET}"
        );
        let answer = exchange(gateway.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{coding}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert!(upstream.heads().is_empty(), "{:?}", upstream.heads());
}

#[tokio::test]
async fn what_a_client_is_told_of_its_body_is_counted_apart_from_what_fails() {
    let upstream = Upstream::well().await;
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nmax_request_body = \"1KiB\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{}\"]\n[[route]]\nname = \"r\"\npool = \"p\"\n",
        upstream.address
    );
    let gateway = OnManualClock::serving(&config).await;
    for (framing, status) in [
        ("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"),
        ("transfer-encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("transfer-encoding: chunked\r\n\r\n800\r\n", "413"),
    ] {
        let body = if status == "413" {
            "x".repeat(0x800)
        } else {
            String::new()
        };
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}{body}");
        let answer = exchange(gateway.address, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let page = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let page = exchange(gateway.admin, page.to_owned()).await;
    let durations = |it: &&str| it.starts_with("http_server_request_duration_seconds_count");
    let mut errors: Vec<_> = (page.lines().filter(durations))
        .map(|line| line.split_once("error_type=\"").unwrap().1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    errors.sort_unstable();
    // The rules leave out what begins so.
    assert_eq!(
        errors,
        ["body_broken", "body_coding", "body_too_large"],
        "{page}"
    );
}

#[tokio::test]
async fn an_answer_in_a_coding_that_is_not_taken_off_is_a_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\na",
        "HTTP/1.1 426 Upgrade Required\r\ntransfer-encoding: gzip\r\n\r\na",
    ] {
        let upstream = Upstream::answering(answer).await;
        let gateway = gateway(upstream.address, "", "").await;
        let answered = exchange(gateway.address, GET).await;
        assert!(answered.starts_with("HTTP/1.1 502 "), "{answer}{answered}");
    }
}

#[tokio::test]
async fn chunked_is_taken_off_in_any_case_and_no_body_is_in_a_coding() {
    let upstream = echo().await;
    let gateway = gateway(upstream, "", "").await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         transfer-encoding: identity, CHUNKED\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    let answer = exchange(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nabcde"), "{answer}");
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\na",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let upstream = Upstream::answering(answer).await;
        let gateway = support::gateway(upstream.address, "", "").await;
        let answered = exchange(gateway.address, GET).await;
        assert_eq!(answered.get(..12), answer.get(..12), "{answered}");
    }
}

#[tokio::test]
async fn a_list_of_equal_lengths_is_passed_on_as_one() {
    for lengths in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n01234",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n01234",
    ] {
        let upstream = Upstream::answering(lengths).await;
        let gateway = gateway(upstream.address, "", "").await;
        let answer = exchange(gateway.address, GET).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "01234");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
        assert!(
            format!("{head}\r\n").contains("content-length: 5\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn the_body_of_a_get_goes_through() {
    let upstream = echo().await;
    let gateway = gateway(upstream, "", "").await;
    for framed in [
        "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        "content-length: 5\r\n\r\nabcde",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framed}");
        let answer = exchange(gateway.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nabcde"), "{answer}");
    }
}

/// A body that does not tell its length.
struct Streamed(Option<Bytes>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn the_body_of_an_http_2_get_of_unknown_length_goes_through() {
    let upstream = echo().await;
    let gateway = gateway(upstream, "", "").await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = Request::get(format!("http://{}/", gateway.address))
        .body(Streamed(Some(Bytes::from("abcde"))))
        .unwrap();
    let response = client.request(request);
    let response = bounded("an answer", response).await.unwrap();
    assert_eq!(response.status(), 200);
    let echoed = bounded("the body", response.into_body().collect()).await;
    assert_eq!(echoed.unwrap().to_bytes(), "abcde");
}
