//! Every attempt of one request carries the same ID: through retries, hedges and fallbacks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_correlation::{CorrelationLayer, PropagateLayer};
use http::{HeaderValue, Request, Response, StatusCode};
use tower::hedge::Hedge;
use tower::retry::{Policy, RetryLayer};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// The IDs of the attempts, in their order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<HeaderValue>>>);

impl Seen {
    /// An upstream that fails so many times, and then answers.
    fn failing(
        &self,
        times: usize,
    ) -> impl Service<
        Request<()>,
        Response = Response<()>,
        Error = BoxError,
        Future: Future<Output = Result<Response<()>, BoxError>> + Send,
    > + Clone
    + Send
    + 'static {
        let seen = self.clone();
        service_fn(move |request: Request<()>| {
            let ids = request.headers().get_all("x-correlation-id");
            let ids: Vec<_> = ids.iter().cloned().collect();
            assert_eq!(ids.len(), 1);
            let mut seen = seen.0.lock().unwrap();
            seen.extend(ids);
            let mut response = Response::new(());
            if seen.len() <= times {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            ready(Ok(response))
        })
    }

    fn ids(&self) -> Vec<HeaderValue> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct UntilItSucceeds;

impl Policy<Request<()>, Response<()>, BoxError> for UntilItSucceeds {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut Result<Response<()>, BoxError>,
    ) -> Option<Ready<()>> {
        let failed = result
            .as_ref()
            .is_ok_and(|response| response.status() != 200);
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        // A policy that makes the head anew keeps nothing that was put on it.
        let mut again = Request::new(());
        *again.uri_mut() = request.uri().clone();
        Some(again)
    }
}

#[tokio::test]
async fn every_retry_carries_the_id_of_its_request() {
    let seen = Seen::default();
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(UntilItSucceeds))
        .layer(PropagateLayer::new())
        .service(seen.failing(3));
    let server = CorrelationLayer::default().layer(client);
    let response = server.oneshot(Request::new(())).await.unwrap();
    let id = response.headers()["x-correlation-id"].clone();
    assert_eq!(seen.ids(), vec![id; 4]);
}

#[derive(Clone)]
struct Always;

impl tower::hedge::Policy<Request<()>> for Always {
    fn clone_request(&self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Request<()>) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_carries_the_id_of_the_attempt_that_it_hedges() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let upstream = service_fn(move |request: Request<()>| {
        let mut log = log.lock().unwrap();
        log.push(request.headers()["x-correlation-id"].clone());
        let first = log.len() == 1;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(Response::new(()))
        }
    });
    let client = PropagateLayer::new().layer(upstream);
    let period = Duration::from_secs(60);
    let hedged = Hedge::new_with_mock_latencies(client, Always, 1, 0.9, period, &[10; 10]);
    let hedged = Arc::new(tokio::sync::Mutex::new(hedged));
    let server = CorrelationLayer::default().layer(service_fn(move |_: Request<()>| {
        let hedged = Arc::clone(&hedged);
        // What the handler sends is a request of its own.
        async move {
            hedged
                .lock()
                .await
                .ready()
                .await?
                .call(Request::new(()))
                .await
        }
    }));
    let response = server.oneshot(Request::new(())).await.unwrap();
    let id = response.headers()["x-correlation-id"].clone();
    assert_eq!(*seen.lock().unwrap(), vec![id; 2]);
}

#[tokio::test]
async fn a_fallback_carries_the_id_of_what_it_stands_in_for() {
    let (first, second) = (Seen::default(), Seen::default());
    let primary = PropagateLayer::new().layer(first.failing(9));
    let fallback = PropagateLayer::new().layer(second.failing(0));
    let server = CorrelationLayer::default().layer(service_fn(move |request: Request<()>| {
        let (primary, fallback) = (primary.clone(), fallback.clone());
        async move {
            let response = primary.oneshot(request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            fallback.oneshot(Request::new(())).await
        }
    }));
    let response = server.oneshot(Request::new(())).await.unwrap();
    let id = response.headers()["x-correlation-id"].clone();
    assert_eq!((first.ids(), second.ids()), (vec![id.clone()], vec![id]));
}

#[derive(Clone)]
struct TheSameAgain;

impl Policy<Request<()>, Response<()>, BoxError> for TheSameAgain {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        request: &mut Request<()>,
        result: &mut Result<Response<()>, BoxError>,
    ) -> Option<Ready<()>> {
        UntilItSucceeds.retry(request, result)
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn outside_of_any_request_a_layer_around_the_retries_gives_them_one_id() {
    let seen = Seen::default();
    let client = ServiceBuilder::new()
        .layer(PropagateLayer::new())
        .layer(RetryLayer::new(TheSameAgain))
        .layer(PropagateLayer::new())
        .service(seen.failing(2));
    client.oneshot(Request::new(())).await.unwrap();
    let ids = seen.ids();
    assert_eq!(ids, vec![ids[0].clone(); 3]);
}

#[tokio::test]
async fn two_requests_of_nobody_share_no_id() {
    let seen = Seen::default();
    let client = PropagateLayer::new().layer(seen.failing(0));
    for _ in 0..2 {
        client.clone().oneshot(Request::new(())).await.unwrap();
    }
    let ids = seen.ids();
    assert_ne!(ids[0], ids[1]);
}
