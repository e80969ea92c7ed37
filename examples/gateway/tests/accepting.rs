//! The accept loop lives through errors, and holds no more connections than it may.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress::core::metric::{Collect as _, Point, Value};
use buttress_gateway::server::{
    Accept, ConnectionLimits, Connections, Drain, Server, ServerConfig,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use support::{Upstream, bounded, gateway, read_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;

/// Gives what it was told to, then nothing more.
struct Scripted(VecDeque<io::Result<DuplexStream>>);

impl Accept for Scripted {
    type Io = DuplexStream;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(DuplexStream, SocketAddr)>> {
        match self.0.pop_front() {
            Some(next) => Poll::Ready(next.map(|io| (io, ([192, 0, 2, 1], 1).into()))),
            None => Poll::Pending,
        }
    }

    fn close(&mut self) -> Vec<(Self::Io, SocketAddr)> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn no_accept_error_ends_the_loop() {
    let (mut client, served) = tokio::io::duplex(4096);
    // EMFILE, ENFILE and ENOMEM among the ones with a kind of their own.
    let errors = [24, 23, 12].map(|code| Err(io::Error::from_raw_os_error(code)));
    let kinds = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
    ];
    let mut script: VecDeque<_> = errors.into_iter().collect();
    script.extend(kinds.map(|kind| Err(kind.into())));
    script.push_back(Ok(served));
    let second = Duration::from_secs(1);
    let config = ServerConfig {
        max_connections: NonZeroUsize::MIN,
        limits: ConnectionLimits {
            header: second,
            idle: second,
            write: second,
        },
        lame_duck: second,
        drain_deadline: second,
    };
    let service = tower::service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
    });
    let server = Server::new(Scripted(script), config, Drain::new());
    let serving = tokio::spawn(server.serve(service));
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!serving.is_finished());
}

/// How many are open, may be, and how often all were.
fn shown(connections: &Connections) -> Vec<f64> {
    let mut families = Vec::new();
    connections.collect(&mut families);
    let points = families.iter().flat_map(|family| &family.points);
    let number = |point: &Point| match point.value {
        Value::Gauge(number) => number,
        Value::Counter(1) => 1.0,
        ref other => panic!("{other:?}"),
    };
    points.map(number).collect()
}

#[tokio::test]
async fn over_the_cap_a_connection_waits_for_a_place() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "max_connections = 1", "").await;
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    first.write_all(get).await.unwrap();
    read_until(&mut first, "ok").await;
    second.write_all(get).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateway.connections.open(), 1);
    assert_eq!(upstream.heads().len(), 1);
    assert_eq!(shown(&gateway.connections), [1.0; 3], "the second waits");
    drop(first);
    let answer = bounded("the second is served", read_until(&mut second, "ok")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
