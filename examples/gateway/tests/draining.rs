//! Ending loses no request of a client that leaves when it is told to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use buttress_gateway::server::Phase;
use support::{Upstream, bounded, gateway, read_to_end, read_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const QUICK: &str = "lame_duck = \"300ms\"\ndrain_deadline = \"20s\"";

#[tokio::test]
async fn a_lame_duck_still_serves_and_says_close() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "lame_duck = \"20s\"", "").await;
    let mut kept = TcpStream::connect(gateway.address).await.unwrap();
    kept.write_all(GET).await.unwrap();
    let before = read_until(&mut kept, "ok").await;
    assert!(!before.contains("connection: close"), "{before}");
    gateway.drain.start();
    kept.write_all(GET).await.unwrap();
    let last = read_to_end(&mut kept).await;
    assert!(
        last.contains("connection: close\r\n") && last.ends_with("ok"),
        "{last}"
    );
    let mut new = TcpStream::connect(gateway.address).await.unwrap();
    new.write_all(GET).await.unwrap();
    assert!(
        read_to_end(&mut new)
            .await
            .contains("connection: close\r\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_mid_traffic() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, QUICK, "").await;
    let answered = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, answered) = (gateway.address, Arc::clone(&answered));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                loop {
                    stream.write_all(GET).await.unwrap();
                    let answer = read_until(&mut stream, "ok").await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    answered.fetch_add(1, SeqCst);
                    if answer.contains("connection: close") {
                        break;
                    }
                }
            })
        })
        .collect();
    bounded("traffic flows", async {
        while answered.load(SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.drain.start();
    for client in clients {
        bounded("the client leaves", client).await.unwrap();
    }
    bounded("the gateway ends", gateway.ended).await.unwrap();
    assert_eq!(gateway.connections.open(), 0);
    assert_eq!(upstream.heads().len(), answered.load(SeqCst) as usize);
}

#[tokio::test]
async fn idle_connections_end_and_the_listener_closes() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, QUICK, "").await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    idle.write_all(GET).await.unwrap();
    read_until(&mut idle, "ok").await;
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    gateway.drain.start();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut silent).await, "");
    bounded("the gateway ends", gateway.ended).await.unwrap();
    assert!(TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test]
async fn what_outlasts_the_deadline_is_cut() {
    let upstream = Upstream::answering("").await;
    let listen = "lame_duck = \"1ms\"\ndrain_deadline = \"100ms\"";
    let gateway = gateway(upstream.address, listen, "").await;
    let mut stuck = TcpStream::connect(gateway.address).await.unwrap();
    stuck.write_all(GET).await.unwrap();
    bounded("the request arrives", async {
        while upstream.heads().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.drain.start();
    bounded("the gateway ends", gateway.ended).await.unwrap();
    assert_eq!(gateway.drain.phase(), Phase::Cut);
    assert_eq!(read_to_end(&mut stuck).await, "");
}

#[tokio::test]
async fn a_second_signal_cuts_at_once() {
    let upstream = Upstream::answering("").await;
    let gateway = gateway(
        upstream.address,
        "lame_duck = \"1h\"\ndrain_deadline = \"1h\"",
        "",
    )
    .await;
    let mut stuck = TcpStream::connect(gateway.address).await.unwrap();
    stuck.write_all(GET).await.unwrap();
    bounded("the request arrives", async {
        while upstream.heads().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.drain.start();
    gateway.drain.advance(Phase::Cut);
    bounded("the gateway ends", gateway.ended).await.unwrap();
    assert_eq!(read_to_end(&mut stuck).await, "");
}
