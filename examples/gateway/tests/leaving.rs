//! Clients that leave before they are answered take their requests along; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use support::manual::OnManualClock;
use support::{Upstream, bounded, gateway, read_to_end};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::yield_now;

/// A gateway before an upstream that never answers.
async fn before_silence() -> (OnManualClock, Upstream) {
    let upstream = Upstream::answering("").await;
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{}\"]\n[[route]]\nname = \"r\"\npool = \"p\"\n",
        upstream.address
    );
    (OnManualClock::serving(&config).await, upstream)
}

async fn in_flight(gateway: &OnManualClock, wanted: u32) {
    let seen = async {
        while gateway.rooms.pools[0].router.snapshot().endpoints[0].in_flight != wanted {
            yield_now().await;
        }
    };
    bounded(&format!("{wanted} in flight"), seen).await;
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_leaves_nothing_in_flight() {
    let (gateway, _upstream) = before_silence().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        for says_so_only in [false, true] {
            let mut client = TcpStream::connect(gateway.address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            in_flight(&gateway, 1).await;
            if says_so_only {
                client.shutdown().await.unwrap();
                in_flight(&gateway, 0).await;
            }
            drop(client);
            in_flight(&gateway, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_breaks_an_upload_off_is_told_so_every_time_and_leaves_nothing_in_flight() {
    let (gateway, _upstream) = before_silence().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nbody";
    for round in 0..200 {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        // Before or after its end was waited for: what reads it differs.
        if round % 2 == 0 {
            in_flight(&gateway, 1).await;
        }
        client.shutdown().await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{round}: {answer}");
        in_flight(&gateway, 0).await;
    }
}

#[tokio::test]
async fn whoever_sends_two_requests_and_no_more_is_answered_the_first() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    // Of lengths at which what is read first, to tell the protocol, cuts the end of the head.
    for length in 0..20 {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        let path = "a".repeat(length);
        let two = format!("GET /{path} HTTP/1.1\r\nhost:a\r\n\r\n").repeat(2);
        client.write_all(two.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let answers = read_to_end(&mut client).await;
        assert!(answers.starts_with("HTTP/1.1 200 OK"), "{answers}");
    }
}

#[tokio::test]
async fn whoever_sends_the_next_requests_ahead_is_answered_all_of_them() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let ahead = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(9);
    let last = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for parted in [false, true] {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        if parted {
            for byte in ahead.as_bytes().chunks(7) {
                client.write_all(byte).await.unwrap();
                yield_now().await;
            }
        } else {
            client.write_all(ahead.as_bytes()).await.unwrap();
        }
        client.write_all(last.as_bytes()).await.unwrap();
        let answers = read_to_end(&mut client).await;
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10, "{answers}");
    }
    assert_eq!(upstream.heads().len(), 20);
}
