//! What passes through the gateway, and what does not, on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

#[path = "proxying/bodies.rs"]
mod bodies;

use std::convert::Infallible;
use std::net::SocketAddr;

use buttress_gateway::server::{Drain, Listener, Server, ServerConfig};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{Upstream, bounded, exchange, gateway, nobody, read_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";

/// Clients are services of our own, and their IDs are kept.
const BELIEVING: &str = "[correlation]\ntrust = \"internal\"";

#[tokio::test]
async fn a_request_goes_through_with_its_path_and_host_and_the_peer() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let answer = exchange(gateway.address, GET).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"),
        "{answer}"
    );
    let head = upstream.head();
    assert!(head.starts_with("get /a?b=c http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: shop.example\r\n"), "{head}");
    assert!(
        head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{head}"
    );
    assert!(!head.contains("connection:"), "{head}");
}

#[tokio::test]
async fn no_hop_by_hop_header_passes_and_the_id_cannot_be_nominated_away() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-hop\r\nconnection: close\r\n\
         x-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nx-end: 1\r\n\r\n",
    )
    .await;
    let gateway = gateway(upstream.address, BELIEVING, "").await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection:\r\nconnection: x-one, x-correlation-id\r\n\
                   connection: close, x-two\r\nx-one: 1\r\nx-two: 2\r\nx-correlation-id: kept\r\n\
                   te: gzip, trailers\r\nupgrade: h2c\r\nhttp2-settings: AA\r\nx-three: 3\r\n\
                   proxy-authorization: Basic x\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\
                   x-forwarded-for: 6.6.6.6\r\n\r\n";
    let answer = exchange(gateway.address, request)
        .await
        .to_ascii_lowercase();
    let head = upstream.head();
    for gone in [
        "x-one",
        "x-two",
        "upgrade",
        "http2-settings",
        "proxy-auth",
        "gzip",
        "6.6.6.6",
    ] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    for kept in ["x-three: 3", "x-correlation-id: kept", "te: trailers"] {
        assert!(head.contains(kept), "{kept} not in {head}");
    }
    for gone in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
    assert!(answer.contains("x-end: 1"), "{answer}");
}

/// Trailers, of which the last alone may go on.
const TRAILERS: &str = "x-correlation-id: forged\r\nx_request_id: forged\r\ntraceparent: forged\r\n\
     x-forwarded-for: forged\r\nhost: forged\r\nauthorization: forged\r\nset-cookie: forged\r\n\
     content-length: 7\r\nx-sum: 1\r\n\r\n";

/// All names of them, without which they do not go out over HTTP/1.
const ANNOUNCED: &str = "x-correlation-id, x_request_id, traceparent, x-forwarded-for, host, \
     authorization, set-cookie, content-length, x-sum";

#[tokio::test]
async fn no_trailer_says_what_a_head_has_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway(listener.local_addr().unwrap(), BELIEVING, "").await;
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let sent = read_until(&mut stream, "x-sum: 1\r\n\r\n").await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: {ANNOUNCED}\r\n\r\n\
             1\r\na\r\n0\r\n{TRAILERS}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        sent
    });
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nx-correlation-id: kept\r\nte: trailers\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\ntrailer: {ANNOUNCED}\r\n\r\n\
         1\r\na\r\n0\r\n{TRAILERS}"
    );
    let answer = exchange(gateway.address, request).await;
    let sent = bounded("the request", upstream).await.unwrap();
    for message in [sent, answer] {
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nx-correlation-id: kept"), "{head}");
        assert_eq!(body, "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n");
    }
}

#[tokio::test]
async fn what_servers_could_disagree_about_is_refused() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let table = [
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nhost: a@b\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "GET /a/../b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "CONNECT db.internal:5432 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "405",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "404",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
            "400",
        ),
        (
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
    ];
    for (request, status) in table {
        let answer = exchange(gateway.address, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{request}{answer}"
        );
    }
    assert!(upstream.heads().is_empty(), "{:?}", upstream.heads());
}

#[tokio::test]
async fn a_foreign_authority_is_never_connected_to() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let request = "GET http://db.internal:5432/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = upstream.head();
    assert!(head.starts_with("get /x http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: db.internal:5432\r\n"), "{head}");
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_problem_at_once_and_says_nothing_of_it() {
    let upstream = nobody().await;
    let gateway = gateway(upstream, BELIEVING, "").await;
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\nx-correlation-id: id-1\r\nconnection: close\r\n\r\n";
    let answer = exchange(gateway.address, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: application/problem+json\r\n"),
        "{answer}"
    );
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    assert!(answer.contains("\"correlation_id\":\"id-1\""), "{answer}");
    assert!(!answer.contains(&upstream.port().to_string()), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_a_502() {
    let upstream = Upstream::answering("HTTP/1.1 ").await;
    let gateway = gateway(upstream.address, "", "").await;
    let answer = exchange(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn switching_protocols_is_not_believed() {
    let upstream =
        Upstream::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await;
    let gateway = gateway(upstream.address, "", "").await;
    let answer = exchange(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn a_redirect_is_passed_on() {
    let upstream = Upstream::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let gateway = gateway(upstream.address, "", "").await;
    let answer = exchange(gateway.address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 302 Found\r\n"), "{answer}");
    assert!(
        answer.contains("location: http://127.0.0.1:1/\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let upstream = Upstream::well().await;
    let gateway = gateway(upstream.address, "", "").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let answer = read_until(&mut stream, "ok").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(upstream.heads().len(), 3);
}

/// An upstream that answers with what it received.
async fn echo() -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.address();
    let config = ServerConfig::of(&buttress_gateway::config::Listen::default());
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let version = format!("{:?}", request.version());
        let authority = request.uri().authority().map(ToString::to_string);
        let host = request.headers().get("host").cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(Full::new(body));
        response
            .headers_mut()
            .insert("x-version", version.parse().unwrap());
        response.headers_mut().insert(
            "x-authority",
            authority.unwrap_or_default().parse().unwrap(),
        );
        if let Some(host) = host {
            response.headers_mut().insert("x-host", host);
        }
        Ok::<_, Infallible>(response)
    });
    tokio::spawn(Server::new(listener, config, Drain::new()).serve(service));
    address
}

#[tokio::test]
async fn http_2_is_spoken_on_both_sides() {
    for (pool, version) in [("protocol = \"h2\"", "HTTP/2.0"), ("", "HTTP/1.1")] {
        let upstream = echo().await;
        let gateway = gateway(upstream, "", pool).await;
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let body = Bytes::from(vec![b'x'; 300_000]);
        let request = Request::post(format!("http://{}/", gateway.address))
            .body(Full::new(body.clone()))
            .unwrap();
        let response = bounded("an answer", client.request(request)).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.headers()["x-version"], version);
        if version == "HTTP/2.0" {
            assert_eq!(
                response.headers()["x-authority"],
                upstream.to_string().as_str()
            );
            assert!(!response.headers().contains_key("x-host"));
        } else {
            assert_eq!(
                response.headers()["x-host"],
                gateway.address.to_string().as_str()
            );
        }
        let echoed = bounded("the body", response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(echoed.to_bytes(), body);
    }
}
