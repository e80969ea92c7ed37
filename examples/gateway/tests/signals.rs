//! The binary and its signals: it drains, answers what was sent, and ends with exit code 0.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use support::process::Process;
use support::{Upstream, bounded, exchange, read_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends one request after the other until it is told to leave; every one has to be answered.
async fn client(address: SocketAddr, answered: Arc<AtomicU32>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    loop {
        stream.write_all(GET).await.unwrap();
        let answer = read_until(&mut stream, "ok").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answered.fetch_add(1, SeqCst);
        if answer.contains("connection: close") {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_mid_traffic_loses_no_request() {
    let upstream = Upstream::well().await;
    let mut process = Process::serving("sigterm.toml", upstream.address, "").await;
    let answered = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(client(process.proxy, Arc::clone(&answered))))
        .collect();
    bounded("traffic flows", async {
        while answered.load(SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    process.signal("TERM");
    for client in clients {
        bounded("the client leaves", client).await.unwrap();
    }
    process.ends_well().await;
    assert_eq!(upstream.heads().len(), answered.load(SeqCst) as usize);
}

#[tokio::test]
async fn a_draining_process_is_live_and_not_ready() {
    let upstream = Upstream::answering("").await;
    let mut process = Process::serving("ready.toml", upstream.address, "").await;
    let mut waiting = TcpStream::connect(process.proxy).await.unwrap();
    waiting.write_all(GET).await.unwrap();
    assert!(
        process
            .page("/health/ready")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    process.signal("TERM");
    let no_longer_ready = async {
        while !process
            .page("/health/ready")
            .await
            .starts_with("HTTP/1.1 503 ")
        {}
    };
    bounded("it is no longer ready", Box::pin(no_longer_ready)).await;
    assert!(
        process
            .page("/health/live")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    process.signal("TERM");
    process.ends_well().await;
}

#[tokio::test]
async fn sighup_ends_nothing_and_the_log_says_what_to_do_instead() {
    let upstream = Upstream::well().await;
    let (mut process, mut log) = Process::serving_unread("hangup.toml", upstream.address, "").await;
    for _ in 0..2 {
        process.signal("HUP");
        let said = bounded("it is told", log.next_line()).await.unwrap();
        assert!(said.unwrap().contains("SIGHUP changes nothing"));
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(process.proxy, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    process.signal("TERM");
    process.ends_well().await;
}

#[tokio::test]
async fn the_demo_ends_on_ctrl_c() {
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut demo = Process::start(&arguments).await;
    demo.signal("INT");
    demo.ends_well().await;
}

#[tokio::test]
async fn a_reader_of_the_log_that_hangs_keeps_neither_requests_nor_the_end_waiting() {
    let upstream = Upstream::well().await;
    let access = "[log]\naccess_log = true\n";
    let (mut process, unread) =
        Process::serving_unread("unread.toml", upstream.address, access).await;
    let path = "x".repeat(12_000);
    let request = format!("GET /{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    // A pipe takes 64 KiB, and the queue before it a mebibyte.
    for _ in 0..150 {
        let answer = exchange(process.proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let metrics = process.page("/metrics").await;
    let lost = metrics.split("buttress_export_failures_total{exporter=\"log\"} ");
    let lost = lost.last().unwrap().lines().next().unwrap();
    assert!(lost.parse::<u32>().unwrap() > 0, "{lost}");
    process.signal("TERM");
    process.ends_well().await;
    drop(unread);
}
