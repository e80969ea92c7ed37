//! Under a real server: one breaker for all routes and all connections of a layer.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use buttress_breaker::{KeyedBreaker, KeyedConfig, State};
use buttress_core::clock::ManualClock;
use buttress_core::reject::Rejected;
use support::{breaker, calls, config};
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
    let (server, serving) = serve(app).await;
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

#[tokio::test]
async fn a_route_that_is_its_own_key_fails_alone_in_all_connections() {
    let time = ManualClock::new();
    let limited = KeyedConfig::default().breaker(config(&time));
    let breakers = KeyedBreaker::<String>::new("routes", limited).unwrap();
    let key = |request: &Request<Body>| match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => String::new(),
    };
    let app = Router::new()
        .route(
            "/bad/{id}",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/good/{id}", get(|| async { "good" }))
        .layer(breakers.layer(key));
    let (server, serving) = serve(app).await;
    for id in 0..2 {
        assert!(
            ask(server, &format!("/bad/{id}"))
                .await
                .starts_with("HTTP/1.1 500")
        );
    }
    assert!(ask(server, "/bad/3").await.starts_with("HTTP/1.1 503"));
    assert!(ask(server, "/good/3").await.ends_with("good"));
    let mut keys = breakers.handle().keys();
    keys.sort();
    assert_eq!(keys, ["/bad/{id}", "/good/{id}"]);
    serving.abort();
}

#[tokio::test]
async fn a_fallback_answers_in_the_place_of_a_rejection() {
    let time = ManualClock::new();
    let breaker = breaker(&time);
    let fallback = |request: Request<Body>, rejected: Rejected| async move {
        let text = format!("{} for now: {}", request.uri().path(), rejected.reason);
        Ok::<_, Infallible>(text.into_response())
    };
    let app = Router::new()
        .route("/x", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(breaker.layer().fallback(fallback));
    let (server, serving) = serve(app).await;
    for _ in 0..2 {
        assert!(ask(server, "/x").await.starts_with("HTTP/1.1 500"));
    }
    let answer = ask(server, "/x").await;
    assert!(answer.ends_with("/x for now: circuit_open"), "{answer}");
    assert_eq!(calls(&breaker).failure, 2);
    serving.abort();
}

async fn serve(app: Router) -> (SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    (server, serving)
}
