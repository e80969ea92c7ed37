//! One of three origins is in a bad way, and no client hears of it; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::server::Drain;
use bytes::Bytes;
use support::{Upstream, exchange, nobody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ASKED: usize = 120;

const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const POST: &str =
    "POST /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\n";

/// A gateway before a pool of these origins.
async fn gateway(origins: &[SocketAddr], pool: &str, failover: &str) -> SocketAddr {
    let endpoints: Vec<_> = origins.iter().map(|it| format!("\"{it}\"")).collect();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\n{pool}\nendpoints = [{}]\n[pool.failover]\n{failover}\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n",
        endpoints.join(", ")
    );
    let config = Config::parse("test.toml", &config).unwrap();
    let gateway = Gateway::bind(&config, Drain::new()).await.unwrap();
    let address = gateway.address();
    tokio::spawn(gateway.run());
    address
}

/// How many of [`ASKED`] requests were answered well, one after the other.
async fn answered_well(gateway: SocketAddr, request: &str) -> usize {
    let mut well = 0;
    for _ in 0..ASKED {
        well += usize::from(exchange(gateway, request).await.starts_with(OK));
    }
    well
}

/// An origin that does this with every connection.
async fn origin<F>(with: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(with(stream));
        }
    });
    address
}

/// Takes a request and resets the connection.
async fn resets() -> SocketAddr {
    origin(|mut stream| async move {
        drop(stream.read(&mut [0; 16]).await);
        // What was not read is answered with a reset.
    })
    .await
}

/// Takes the whole of [`POST`], and says how often it did.
async fn takes_hello() -> (SocketAddr, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let with = move |mut stream: TcpStream| {
        let taken = Arc::clone(&counted);
        async move {
            let mut all = Vec::new();
            while !all.ends_with(b"\r\n\r\nhello") {
                let mut part = [0; 4096];
                match stream.read(&mut part).await {
                    Ok(n @ 1..) => all.extend_from_slice(&part[..n]),
                    _ => return,
                }
            }
            taken.fetch_add(1, Ordering::Relaxed);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            drop(stream.write_all(answer.as_bytes()).await);
        }
    };
    (origin(with).await, taken)
}

#[tokio::test]
async fn an_origin_that_answers_500_is_asked_and_another_answers() {
    let bad = Upstream::answering(
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    let (one, two) = (Upstream::well().await, Upstream::well().await);
    let origins = [bad.address, one.address, two.address];
    let through = gateway(&origins, "", "statuses = [500, 502, 503, 504]").await;
    assert_eq!(answered_well(through, GET).await, ASKED);
    assert!(!bad.heads().is_empty(), "it was never asked");
    let served = one.heads().len() + two.heads().len();
    assert_eq!(served, ASKED, "and nobody answered for nothing");
}

#[tokio::test]
async fn an_origin_that_resets_every_connection_costs_no_request_that_may_be_sent_twice() {
    let (one, two) = (Upstream::well().await, Upstream::well().await);
    let through = gateway(&[resets().await, one.address, two.address], "", "").await;
    assert_eq!(answered_well(through, GET).await, ASKED);
    assert_eq!(one.heads().len() + two.heads().len(), ASKED);
}

#[tokio::test]
async fn a_request_that_may_have_been_worked_on_is_not_sent_twice_if_that_is_not_safe() {
    let (one, taken) = takes_hello().await;
    let through = gateway(&[resets().await, one], "", "").await;
    let well = answered_well(through, POST).await;
    assert!(well < ASKED, "none met the origin that resets");
    assert_eq!(taken.load(Ordering::Relaxed), well);
}

#[tokio::test]
async fn a_request_that_was_never_sent_goes_to_another_with_its_whole_body() {
    let (well, _) = takes_hello().await;
    let through = gateway(&[nobody().await, well], "", "").await;
    assert_eq!(answered_well(through, POST).await, ASKED);
}

#[tokio::test]
async fn a_stream_that_an_http_2_origin_refuses_goes_to_another() {
    let speaking = |refuses: bool| {
        origin(move |stream| async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                drop(request);
                if refuses {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    continue;
                }
                let response = http::Response::new(());
                let mut body = respond.send_response(response, false).unwrap();
                body.send_data(Bytes::from_static(b"ok"), true).unwrap();
            }
        })
    };
    let origins = [speaking(true).await, speaking(false).await];
    let through = gateway(&origins, "protocol = \"h2\"", "").await;
    assert_eq!(answered_well(through, POST).await, ASKED);
}

#[tokio::test]
async fn switched_off_nothing_is_sent_twice() {
    let one = Upstream::well().await;
    let through = gateway(&[nobody().await, one.address], "", "enabled = false").await;
    let well = answered_well(through, GET).await;
    assert!(well < ASKED);
    assert_eq!(one.heads().len(), well);
}
