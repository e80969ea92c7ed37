//! Under a real hyper server the pages come whole, by HTTP/1.1 and HTTP/2, to GET and to HEAD.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use std::net::SocketAddr;

use buttress_admin::Admin;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Admin::new()
        .bound_to(address)
        .metrics(|_| ("text/plain", "up 1\n".repeat(10_000)))
        .build();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(admin.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_page_comes_whole_and_a_head_tells_its_length() {
    let address = serve().await;
    for http2 in [false, true] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http::<Empty<Bytes>>();
        for (method, expected) in [(Method::HEAD, 0), (Method::GET, 50_000)] {
            let request = Request::builder()
                .method(method)
                .uri(format!("http://{address}/metrics"));
            let request = request.body(Empty::new()).unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-length"], "50000");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), expected);
        }
    }
}
