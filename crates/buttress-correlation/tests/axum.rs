//! In axum: the ID as an argument, and on every answer that is made inside.
#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use buttress_correlation::{ClientCorrelationId, CorrelationId, CorrelationLayer};
use http::{Request, StatusCode};
use tower::ServiceExt;

async fn both(id: CorrelationId, theirs: Option<ClientCorrelationId>) -> String {
    format!(
        "{id} {}",
        theirs.map_or("none".into(), |theirs| theirs.0.to_string())
    )
}

fn app() -> Router {
    Router::new().route("/", get(both))
}

async fn ask(app: Router, path: &str) -> Response {
    let request = Request::builder()
        .uri(path)
        .header("x-correlation-id", "theirs");
    app.oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), 1_000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_handler_takes_the_id_and_the_clients_own_as_arguments() {
    let response = ask(app().layer(CorrelationLayer::default()), "/").await;
    let id = response.headers()["x-correlation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(text(response).await, format!("{id} theirs"));
}

#[tokio::test]
async fn without_a_layer_a_handler_that_asks_answers_500_and_one_that_may_do_without_does() {
    let response = ask(app(), "/").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(response).await.contains("CorrelationLayer"));
    let maybe = |id: Option<CorrelationId>| async move { Json(id.is_none()) };
    let app = Router::new().route("/", get(maybe));
    assert_eq!(text(ask(app, "/").await).await, "true");
}

#[tokio::test]
async fn what_no_route_takes_is_answered_with_an_id() {
    let app = Router::new()
        .fallback_service(app())
        .layer(CorrelationLayer::default());
    let response = ask(app, "/nowhere").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.headers().contains_key("x-correlation-id"));
}
