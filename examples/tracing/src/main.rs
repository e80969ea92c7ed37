//! Two services whose lines and spans are found by one ID: orders, which asks stock.
//!
//! ```sh
//! cargo run -p buttress-example-tracing -- stock 127.0.0.1:9003
//! cargo run -p buttress-example-tracing -- orders 127.0.0.1:9003 127.0.0.1:9001 127.0.0.1:9002
//! ```
//!
//! Orders listens at two addresses, as two replicas would; the one that is asked first is not ready yet, says 503,
//! and shows what a gateway in front does about that. Both services send their spans to
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://127.0.0.1:4317`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::get;
use buttress::correlation::{self, CorrelationLayer, PropagateLayer, Trust};
use buttress::telemetry::{
    self, AccessLogLayer, Format, ServerSpanLayer, TracePropagateLayer, record_route,
};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};

const USAGE: &str = "expected `stock ADDRESS` or `orders STOCK ADDRESS...`";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stock", address] => serve("stock", stock(), &[address]).await,
        ["orders", stock, addresses @ ..] if !addresses.is_empty() => {
            serve("orders", orders(stock), addresses).await
        }
        _ => Err(USAGE.into()),
    }
}

fn orders(stock: &str) -> Router {
    Router::new()
        .route("/orders/{id}", get(order))
        .with_state(Orders {
            stock: stock.into(),
            ready: Arc::default(),
        })
}

fn stock() -> Router {
    Router::new().route("/stock/{item}", get(pieces))
}

/// Serves `routes` inside the layers that name each request. Behind a gateway these believe whoever asks.
async fn serve(
    name: &str,
    routes: Router,
    addresses: &[&str],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = telemetry::Config::new(name).format(Format::Json);
    let _guard = telemetry::init(config.otlp("http://127.0.0.1:4317"))?;
    let ids = correlation::Config::new().trust(Trust::Internal);
    let app = routes
        .route_layer(middleware::from_fn(named))
        .layer(AccessLogLayer::new())
        .layer(ServerSpanLayer::new().trust(Trust::Internal))
        .layer(CorrelationLayer::new(ids)?);

    let mut replicas = JoinSet::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        let app = app.clone();
        replicas.spawn(async move { axum::serve(listener, app).await });
    }
    while let Some(ended) = replicas.join_next().await {
        ended??;
    }
    Ok(())
}

/// Tells span and access line which route it is.
async fn named(path: MatchedPath, request: Request<Body>, next: Next) -> Response<Body> {
    record_route(path.as_str());
    next.run(request).await
}

#[derive(Clone)]
struct Orders {
    stock: Arc<str>,
    ready: Arc<AtomicBool>,
}

async fn order(State(orders): State<Orders>, Path(id): Path<u64>) -> (StatusCode, String) {
    if !orders.ready.swap(true, Ordering::Relaxed) {
        tracing::warn!("not ready yet");
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready yet\n".into());
    }
    match ask(&format!("http://{}/stock/{id}", orders.stock)).await {
        Ok(pieces) => {
            let pieces = String::from_utf8_lossy(&pieces);
            tracing::info!(order = id, "looked up");
            (StatusCode::OK, format!("order {id}: {pieces} in stock\n"))
        }
        Err(error) => {
            tracing::warn!(order = id, error, "stock does not answer");
            (StatusCode::BAD_GATEWAY, "stock does not answer\n".into())
        }
    }
}

async fn pieces(Path(item): Path<u64>) -> &'static str {
    tracing::info!(item, "counted");
    "7"
}

/// Asks another service, which is told the ID and the trace of the request that is worked on here.
async fn ask(url: &str) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    let client = ServiceBuilder::new()
        .layer(PropagateLayer::new())
        .layer(TracePropagateLayer::new())
        .service(Client::builder(TokioExecutor::new()).build_http::<Body>());
    let answer = client
        .oneshot(Request::get(url).body(Body::empty())?)
        .await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}
