//! Exactly one ID goes out, whatever was there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use buttress_correlation::{CorrelationId, CorrelationLayer, Hosts, PropagateLayer};
use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

async fn reflect(request: Request<()>) -> Result<Vec<HeaderValue>, Infallible> {
    let values = request.headers().get_all("x-correlation-id");
    Ok(values.iter().cloned().collect())
}

async fn sent(request: Request<()>) -> Vec<HeaderValue> {
    let client = PropagateLayer::new().layer(service_fn(reflect));
    client.oneshot(request).await.unwrap()
}

fn id(text: &str) -> CorrelationId {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_id_of_the_request_replaces_whatever_was_there() {
    let request = Request::builder()
        .header("x-correlation-id", "stale")
        .header("x-correlation-id", "staler")
        .extension(id("mine"))
        .body(())
        .unwrap();
    assert_eq!(sent(request).await, ["mine"]);
}

#[tokio::test]
async fn the_current_id_is_sent_where_the_request_has_none() {
    let request = Request::builder()
        .header("x-correlation-id", "stale")
        .body(())
        .unwrap();
    assert_eq!(id("current").scope(sent(request)).await, ["current"]);
}

#[tokio::test]
async fn without_a_known_id_a_valid_one_is_kept_and_any_other_replaced() {
    let with = |values: &[&'static str]| {
        let mut request = Request::new(());
        for value in values {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append("x-correlation-id", value);
        }
        sent(request)
    };
    assert_eq!(with(&["set-by-hand"]).await, ["set-by-hand"]);
    for values in [&[][..], &[""], &["a b"], &["one", "two"]] {
        let out = with(values).await;
        assert_eq!(out.len(), 1);
        assert!(CorrelationId::try_from(&out[0]).is_ok());
        assert!(values.iter().all(|value| out[0] != *value));
    }
}

#[tokio::test]
async fn every_attempt_of_one_request_carries_the_same_id() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let upstream = service_fn(move |request: Request<()>| {
        let value = request.headers()["x-correlation-id"].clone();
        log.lock().unwrap().push(value);
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let client = PropagateLayer::new().layer(upstream);
    let server = CorrelationLayer::default().layer(service_fn(move |_: Request<()>| {
        let mut client = client.clone();
        async move {
            for _ in 0..3 {
                client.ready().await?.call(Request::new(())).await?;
            }
            Ok::<_, Infallible>(Response::new(()))
        }
    }));
    let response = server.oneshot(Request::new(())).await.unwrap();
    let echoed = response.headers()["x-correlation-id"].clone();
    assert_eq!(
        *seen.lock().unwrap(),
        [echoed.clone(), echoed.clone(), echoed]
    );
}

#[tokio::test]
async fn the_name_of_the_header_can_be_chosen() {
    let client = PropagateLayer::new()
        .header(HeaderName::from_static("x-request-id"))
        .layer(service_fn(|request: Request<()>| async move {
            Ok::<_, Infallible>(request.headers()["x-request-id"].clone())
        }));
    let request = Request::builder().extension(id("mine")).body(()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap(), "mine");
}

#[tokio::test]
async fn hosts_that_are_not_ours_are_sent_no_id_whatever_was_there() {
    let ours = Hosts::only(["orders.example", "*.internal"]).unwrap();
    let client = PropagateLayer::new().hosts(ours).layer(service_fn(reflect));
    for (uri, told) in [
        ("http://orders.example:8080/a", true),
        ("http://api.internal/", true),
        ("http://api.internal.evil.example/", false),
        ("http://third.party.example/", false),
        ("/nobody-known", false),
    ] {
        let request = Request::builder().uri(uri).extension(id("mine"));
        // As a proxy passes it on.
        let request = request.header("x-correlation-id", "mine").body(()).unwrap();
        let sent = client.clone().oneshot(request).await.unwrap();
        assert_eq!(sent.len(), usize::from(told), "{uri}");
        let request = Request::builder().uri(uri).body(()).unwrap();
        let sent = id("current").scope(client.clone().oneshot(request)).await;
        assert_eq!(sent.unwrap().len(), usize::from(told), "{uri}");
    }
}
