//! A client that is slow, or says nothing, does not hold a connection for ever.
//!
//! Timeouts are configured small, and the close is awaited; how long it took is not asserted here
//! (`server::watch` and `body::pace` prove that on a clock of their own).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use buttress_gateway::config::Listen;
use support::{Upstream, bounded, gateway, read_to_end, read_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const SMALL: &str = "header_timeout = \"200ms\"\nidle_timeout = \"200ms\"\n\
                     body_timeout = \"200ms\"\nwrite_timeout = \"200ms\"";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn connect() -> (TcpStream, Upstream) {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, SMALL, "").await;
    (TcpStream::connect(gateway.address).await.unwrap(), upstream)
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends() {
    let (mut stream, _) = connect().await;
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_that_stops_inside_the_http_2_preface_ends() {
    let (mut stream, _) = connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_that_sends_only_the_http_2_preface_ends() {
    let (mut stream, _) = connect().await;
    stream.write_all(PREFACE).await.unwrap();
    read_to_end(&mut stream).await;
}

#[tokio::test]
async fn a_trickled_head_ends_though_a_byte_comes_all_the_time() {
    let (mut stream, upstream) = connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let (mut read, mut write) = stream.split();
    bounded("the connection closes", async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        let mut byte = [0];
        loop {
            tokio::select! {
                _ = tick.tick() => if write.write_all(b"y").await.is_err() { break },
                read = tokio::io::AsyncReadExt::read(&mut read, &mut byte) => {
                    assert!(!matches!(read, Ok(1..)), "answered");
                    break;
                }
            }
        }
    })
    .await;
    assert!(upstream.heads().is_empty());
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_answer() {
    let (mut stream, _) = connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = read_until(&mut stream, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn the_head_of_a_second_request_is_timed_as_well() {
    let (mut stream, _) = connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "ok").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408() {
    let upstream = Upstream::answering("").await;
    let gateway = gateway(upstream.address, SMALL, "").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let part = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfour";
    stream.write_all(part).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_response_is_let_go() {
    let upstream = endless().await;
    let gateway = gateway(upstream, SMALL, "").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    stream.readable().await.unwrap();
    bounded("the connection is let go", async {
        while gateway.connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn pings_do_not_excuse_an_http_2_client_that_takes_nothing() {
    let (mut stream, upstream) = connect().await;
    stream.write_all(PREFACE).await.unwrap();
    // An initial window of 0, then a request on stream 1.
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let get = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41, 1, b'a'];
    stream.write_all(&[settings, get].concat()).await.unwrap();
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let (mut read, mut write) = stream.split();
    bounded("the connection closes", async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        let mut part = [0; 1024];
        loop {
            tokio::select! {
                _ = tick.tick() => if write.write_all(&ping).await.is_err() { break },
                read = tokio::io::AsyncReadExt::read(&mut read, &mut part) => {
                    if !matches!(read, Ok(1..)) { break }
                }
            }
        }
    })
    .await;
    assert_eq!(upstream.heads().len(), 1);
}

/// An upstream whose response never ends.
async fn endless() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 16384]).await.is_ok() {}
    });
    address
}

#[test]
fn every_wait_has_an_end_by_default() {
    let listen = Listen::default();
    for wait in [
        listen.header_timeout,
        listen.idle_timeout,
        listen.body_timeout,
    ] {
        assert!(!wait.is_zero());
    }
}
