//! An axum service: one ID on every line, percentiles per route, and a breaker over a route that
//! leans on something which can fail.
//!
//! ```sh
//! cargo run -p buttress-example-axum
//! curl -i http://127.0.0.1:3000/hello
//! curl http://127.0.0.1:3000/metrics
//! ```

use std::sync::Arc;

use axum::Router;
use axum::extract::MatchedPath;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use buttress::breaker::{self, Breaker};
use buttress::correlation::CorrelationLayer;
use buttress::latency::{LatencyHandle, LatencyLayer};
use buttress::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _guard = telemetry::init(telemetry::Config::new("hello"))?;

    let correlation = CorrelationLayer::default();
    let latency = LatencyHandle::default();
    let breaker = Breaker::new("orders", breaker::Config::new())?;
    let metrics = Metrics::new();
    metrics.register(Arc::new(correlation.handle()));
    metrics.register(Arc::new(latency.clone()));
    metrics.register(Arc::new(breaker.handle()));

    let page = move |headers: HeaderMap| async move {
        let (content_type, page) = metrics.page(&headers);
        ([(CONTENT_TYPE, content_type)], page)
    };
    let app = Router::new()
        // Guarded: answered 503 with Retry-After while the breaker is open, in all connections alike.
        .route("/orders", get(orders).layer(breaker.layer()))
        .route("/hello", get(hello))
        .route("/metrics", get(page))
        .layer(LatencyLayer::new(latency).route_by(|request| {
            let path = request.extensions.get::<MatchedPath>()?;
            Some(path.as_str().into())
        }))
        .layer(correlation);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn hello() -> &'static str {
    tracing::info!("this line carries the request's ID");
    "hello\n"
}

async fn orders() -> &'static str {
    "no orders\n"
}
