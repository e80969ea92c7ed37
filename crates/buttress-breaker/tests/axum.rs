//! Under a real server: one breaker for all routes and all connections of a layer.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use buttress_breaker::State;
use buttress_core::clock::ManualClock;
use support::{breaker, calls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// One request on a connection of its own; the whole answer.
async fn ask(server: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(Duration::from_secs(10), exchange).await.unwrap()
}

#[tokio::test]
async fn connections_and_routes_share_one_breaker_and_rejections_need_no_error_handler() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let failing = || async { StatusCode::INTERNAL_SERVER_ERROR };
    let app = Router::new()
        .route("/one", get(failing))
        .route("/other", get(failing))
        .route("/good", get(|| async { "good" }))
        .layer(breaker.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    assert!(ask(server, "/good").await.ends_with("good"));
    assert_eq!(calls(&breaker).success, 1);
    assert!(ask(server, "/one").await.starts_with("HTTP/1.1 500"));
    assert!(ask(server, "/other").await.starts_with("HTTP/1.1 500"));
    assert_eq!(breaker.state(), State::Open);
    let rejection = ask(server, "/good").await.to_ascii_lowercase();
    assert!(rejection.starts_with("http/1.1 503"), "{rejection}");
    assert!(rejection.contains("retry-after: 5"), "{rejection}");
    assert!(rejection.contains("cache-control: no-store"), "{rejection}");
    serving.abort();
}
