//! The ID is current wherever the inner service works, and nowhere else.
#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use buttress_correlation::{Config, CorrelationId, CorrelationLayer, Mint, PropagateLayer};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

fn numbered() -> CorrelationLayer {
    CorrelationLayer::new(Config::new().mint(Mint::with(|| "the-id".parse().unwrap()))).unwrap()
}

fn current() -> Option<String> {
    CorrelationId::current().map(|id| id.to_string())
}

#[tokio::test]
async fn the_id_is_current_in_each_poll_after_an_await_and_not_between_them() {
    let service = numbered().layer(service_fn(|_: Request<()>| async {
        for _ in 0..3 {
            assert_eq!(current().as_deref(), Some("the-id"));
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(Response::new(()))
    }));
    let mut task = tokio_test::task::spawn(service.oneshot(Request::new(())));
    for _ in 0..3 {
        assert!(task.poll().is_pending());
        assert_eq!(current(), None);
    }
    assert!(task.poll().is_ready());
    assert_eq!(current(), None);
}

#[derive(Clone)]
struct InCall(Arc<Mutex<Option<String>>>);

impl Service<Request<()>> for InCall {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        *self.0.lock().unwrap() = current();
        std::future::ready(Ok(Response::new(())))
    }
}

#[tokio::test]
async fn the_id_is_current_in_the_call_itself() {
    let seen = Arc::new(Mutex::new(None));
    let service = numbered().layer(InCall(Arc::clone(&seen)));
    service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(seen.lock().unwrap().as_deref(), Some("the-id"));
}

struct AtDrop(Arc<Mutex<Option<String>>>);

impl Drop for AtDrop {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = current();
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_is_dropped_with_its_id_current() {
    let seen = Arc::new(Mutex::new(None));
    let held = Arc::clone(&seen);
    let mut service = numbered().layer(service_fn(move |_: Request<()>| {
        let held = AtDrop(Arc::clone(&held));
        async move {
            let _held = held;
            std::future::pending::<Result<Response<()>, Infallible>>().await
        }
    }));
    let call = service.ready().await.unwrap().call(Request::new(()));
    let mut task = tokio_test::task::spawn(call);
    assert!(task.poll().is_pending());
    drop(task);
    assert_eq!(seen.lock().unwrap().as_deref(), Some("the-id"));
    assert_eq!(current(), None);
}

#[tokio::test]
async fn requests_side_by_side_each_see_their_own_id() {
    let layer = CorrelationLayer::default();
    let service = layer.layer(service_fn(|request: Request<()>| async move {
        let mine = request.extensions().get::<CorrelationId>().cloned();
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert_eq!(CorrelationId::current(), mine);
        }
        Ok::<_, Infallible>(Response::new(()))
    }));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        tasks.spawn(service.clone().oneshot(Request::new(())));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(layer.handle().snapshot().minted, 100);
}

#[tokio::test]
async fn without_extensions_the_id_is_current_in_both_headers_and_on_what_goes_out() {
    let upstream = service_fn(|request: Request<()>| async move {
        let sent: Vec<_> = request
            .headers()
            .get_all("x-correlation-id")
            .iter()
            .collect();
        assert_eq!(sent, ["the-id"]);
        Ok::<_, Infallible>(Response::new(()))
    });
    let client = PropagateLayer::new().layer(upstream);
    let config = Config::new().mint(Mint::with(|| "the-id".parse().unwrap()));
    let service = CorrelationLayer::new(config.extensions(false))
        .unwrap()
        .layer(service_fn(move |mut request: Request<()>| {
            assert!(request.extensions().is_empty());
            assert_eq!(request.headers()["x-correlation-id"], "the-id");
            assert_eq!(current().as_deref(), Some("the-id"));
            request
                .headers_mut()
                .insert("x-correlation-id", "another".parse().unwrap());
            client.clone().oneshot(request)
        }));
    let mut request = Request::new(());
    request
        .headers_mut()
        .insert("x-request-id", "forged".parse().unwrap());
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-correlation-id"], "the-id");
    assert!(response.extensions().is_empty());
}

#[tokio::test]
async fn a_generator_that_panics_fails_its_own_request_alone() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let mint = Mint::with(move || {
        assert!(
            !first.swap(false, std::sync::atomic::Ordering::Relaxed),
            "no ID today"
        );
        "fine".parse().unwrap()
    });
    let service = CorrelationLayer::new(Config::new().mint(mint))
        .unwrap()
        .layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(()))
        }));
    let failed = tokio::spawn(service.clone().oneshot(Request::new(()))).await;
    assert!(failed.unwrap_err().is_panic());
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.headers().get("x-correlation-id").unwrap(), "fine");
}
