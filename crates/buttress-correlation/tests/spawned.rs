//! The ID goes along into whatever a request spawns.
#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;

use buttress_correlation::{
    Config, CorrelationId, CorrelationLayer, InCurrentScope, Mint, in_current_scope,
};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

fn current() -> Option<String> {
    CorrelationId::current().map(|id| id.to_string())
}

async fn later() -> Option<String> {
    tokio::task::yield_now().await;
    current()
}

async fn inside<F>(handler: impl Fn() -> F) -> Vec<Option<String>>
where
    F: Future<Output = Vec<Option<String>>>,
{
    let config = Config::new().mint(Mint::with(|| "the-id".parse().unwrap()));
    let layer = CorrelationLayer::new(config).unwrap();
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(handler().await))
    }));
    service.oneshot(Request::new(())).await.unwrap().into_body()
}

#[tokio::test]
async fn tasks_blocking_work_and_threads_have_it_if_they_took_it_along_and_only_then() {
    let seen = inside(|| async {
        vec![
            tokio::spawn(later().in_current_scope()).await.unwrap(),
            tokio::task::spawn_blocking(in_current_scope(current))
                .await
                .unwrap(),
            std::thread::spawn(in_current_scope(current))
                .join()
                .unwrap(),
            tokio::spawn(later()).await.unwrap(),
            tokio::task::spawn_blocking(current).await.unwrap(),
        ]
    })
    .await;
    let id = Some("the-id".to_owned());
    assert_eq!(seen, [id.clone(), id.clone(), id, None, None]);
}

#[tokio::test]
async fn a_task_that_outlives_its_request_keeps_its_id() {
    let (task, started) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        ended.await.unwrap();
        current()
    };
    let slot = std::sync::Mutex::new(Some((task, work)));
    inside(|| async {
        let (task, work) = slot.lock().unwrap().take().unwrap();
        task.send(tokio::spawn(work.in_current_scope())).unwrap();
        Vec::new()
    })
    .await;
    end.send(()).unwrap();
    assert_eq!(
        started.await.unwrap().await.unwrap().as_deref(),
        Some("the-id")
    );
}

#[tokio::test]
async fn where_no_id_is_current_there_is_nothing_to_hide_one_with() {
    let future = later().in_current_scope();
    let work = in_current_scope(current);
    let id: CorrelationId = "job".parse().unwrap();
    let both = id.scope(async { (future.await, work()) }).await;
    assert_eq!(both, (Some("job".into()), Some("job".into())));
}

#[test]
fn a_spawned_panic_leaves_no_id_behind_on_its_thread() {
    let id: CorrelationId = "job".parse().unwrap();
    let work = id.sync_scope(|| in_current_scope(|| panic!("in the work")));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    assert!(failed.is_err());
    assert_eq!(current(), None);
}
