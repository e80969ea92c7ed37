//! An upstream that is slow, or says nothing, does not hold a request for ever.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::error::Error as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::{TransportFailure, Unsent};
use buttress_core::reject::Rejected;
use buttress_gateway::body::RequestBody;
use buttress_gateway::config::{Config, HostPolicy, Protocol};
use buttress_gateway::gateway::Gateway;
use buttress_gateway::rooms::Rooms;
use buttress_gateway::server::Drain;
use buttress_gateway::timed::HeadTimes;
use buttress_gateway::upstream::{Origin, OriginConfig};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use socket2::{Domain, Socket, Type};
use support::{Upstream, bounded, exchange, gateway, nobody};
use tokio::net::TcpListener;
use tower::{Service as _, ServiceExt as _};

const SMALL: &str = "head_timeout = \"200ms\"\nbody_idle_timeout = \"200ms\"";
const STALLS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nten bytes.";

fn origin(address: SocketAddr) -> Origin {
    let wait = Duration::from_millis(200);
    let config = OriginConfig {
        protocol: Protocol::Http1,
        host: HostPolicy::Preserve,
        connect_timeout: wait,
        head_timeout: wait,
        body_idle_timeout: wait,
        keep_alive: wait,
        told: true,
    };
    let times = HeadTimes::new((&"p".into(), &"a".into()), Clock::default());
    Origin::new(&address.to_string().parse().unwrap(), config, times)
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

/// An address that takes no connection any more and refuses none: its queue is full. For as long as both are held.
fn full_queue() -> (SocketAddr, (Socket, Vec<Socket>)) {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = tcp();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..8).map(|_| {
        let client = tcp();
        client.set_nonblocking(true).unwrap();
        // It is on its way, and comes no further.
        let _ = client.connect(&address);
        client
    });
    let waiting = waiting.collect();
    (address.as_socket().unwrap(), (listener, waiting))
}

#[tokio::test]
async fn a_connection_that_does_not_come_is_a_504_and_was_not_sent() {
    let (address, held) = full_queue();
    let request = Request::new(RequestBody::empty());
    let Ok(late) = bounded("504", origin(address).oneshot(request)).await;
    assert_eq!(late.status(), 504);
    assert!(late.extensions().get::<DeadlineExceeded>().is_some());
    assert!(late.extensions().get::<Unsent>().is_some());
    drop(held);
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
async fn a_client_that_has_been_called_is_spent_and_nobody_is_charged_for_another_call() {
    let upstream = Upstream::answering(STALLS).await;
    let (mut origin, request) = (origin(upstream.address), || {
        Request::new(RequestBody::empty())
    });
    let mut clone = origin.clone();
    let Ok(first) = bounded("the head", origin.call(request())).await;
    let Ok(second) = bounded("an answer", origin.call(request())).await;
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 503)
    );
    let rejected = second.extensions().get::<Rejected>().unwrap();
    assert_eq!(rejected.reason, "origin_spent");
    let Ok(third) = bounded("the head", clone.call(request())).await;
    assert_eq!(third.status(), 200);
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

/// A gateway with the handles of all that it runs.
async fn gateway_with_rooms(upstream: SocketAddr, listen: &str) -> (SocketAddr, Rooms) {
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n{listen}\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\n{SMALL}\nendpoints = [\"{upstream}\"]\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n"
    );
    let config = Config::parse("test.toml", &config).unwrap();
    let gateway = Gateway::bind(&config, Drain::new()).await.unwrap();
    let (address, rooms) = (gateway.address(), gateway.rooms().clone());
    tokio::spawn(gateway.run());
    (address, rooms)
}

/// The one call that the breaker saw: as ignored, and as a failure.
async fn charged(rooms: &Rooms) -> (u64, u64) {
    let breaker = &rooms.route("r").unwrap().breaker;
    bounded("the call ends", async {
        loop {
            let calls = breaker.snapshot().calls;
            if calls.ignored + calls.failure + calls.success + calls.slow > 0 {
                return (calls.ignored, calls.failure);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_client_that_stops_in_mid_upload_is_not_charged_to_the_upstream() {
    let upstream = Upstream::answering("").await;
    // Several head timeouts pass while the client is waited for.
    for sent in ["", "four"] {
        let (address, rooms) =
            gateway_with_rooms(upstream.address, "body_timeout = \"900ms\"").await;
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{sent}");
        let answer = exchange(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(charged(&rooms).await, (1, 0));
    }
}

#[tokio::test]
async fn an_upstream_that_reads_nothing_of_an_upload_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let held = tokio::spawn(async move { listener.accept().await.unwrap() });
    let (address, rooms) = gateway_with_rooms(upstream, "max_request_body = 100_000_000").await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    // More than the sockets and buffers on the way take in.
    let body = Full::new(Bytes::from(vec![b'x'; 64 << 20]));
    let request = Request::post(format!("http://{address}/"))
        .body(body)
        .unwrap();
    let response = bounded("an answer", client.request(request)).await.unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(charged(&rooms).await, (0, 1));
    drop(bounded("the upstream was reached", held).await.unwrap());
}

#[tokio::test]
async fn an_answer_that_does_not_come_after_the_whole_upload_is_late() {
    let upstream = Upstream::answering("").await;
    let (address, rooms) = gateway_with_rooms(upstream.address, "").await;
    let request =
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nfour";
    let answer = exchange(address, request).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(charged(&rooms).await, (0, 1));
}
