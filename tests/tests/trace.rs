//! A request through the gateway is one trace, and every line of it carries the ID.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use buttress_testing::collector::{attribute, hex};
use buttress_testing::{Behaviour, FakeUpstream, body};
use buttress_tests::{Stand, Told};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

fn of_kind(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    let of_kind = |span: &&Span| span.kind == i32::from(kind);
    spans.iter().filter(of_kind).collect()
}

/// The only one of its kind.
fn only(spans: &[Span], kind: SpanKind) -> &Span {
    let [only] = of_kind(spans, kind)[..] else {
        panic!("not one {kind:?} span: {spans:?}");
    };
    only
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_through_the_gateway_is_one_trace_that_its_log_lines_name() {
    let told = Told::of_this_process();
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let upstream = FakeUpstream::with(Behaviour::handler(move |request| {
        let parent = request.headers()["traceparent"]
            .to_str()
            .unwrap()
            .to_owned();
        *note.lock().unwrap() = Some(parent);
        async { Response::new(body(Full::new(Bytes::from_static(b"ok")))) }
    }));
    let upstream = upstream.await;
    let routes = Stand::one_route(&[upstream.addr()], "", "");
    let stand = told
        .stand(&format!("[log]\naccess_log = true\n{routes}"))
        .await;
    let answer = stand.client().get("/orders?secret=canary").await;
    let id = answer.header("x-correlation-id").unwrap();
    let spans = told.spans_of(id).await;
    let (server, client) = (
        only(&spans, SpanKind::Server),
        only(&spans, SpanKind::Client),
    );
    assert!(
        server.parent_span_id.is_empty(),
        "at an edge the trace starts here"
    );
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(client.trace_id, server.trace_id);
    assert_eq!(server.name, "GET all");
    let endpoint = upstream.addr().to_string();
    for span in [server, client] {
        assert_eq!(attribute(span, "buttress.pool").unwrap(), "pool");
        assert_eq!(attribute(span, "buttress.endpoint").unwrap(), endpoint);
        assert_eq!(attribute(span, "buttress.outcome").unwrap(), "success");
    }
    assert_eq!(attribute(server, "buttress.breaker").unwrap(), "all");
    assert_eq!(attribute(server, "buttress.admission").unwrap(), "ordinary");
    let port = upstream.addr().port().to_string();
    assert_eq!(attribute(client, "server.address").unwrap(), "127.0.0.1");
    assert_eq!(attribute(client, "server.port").unwrap(), port);
    let sent = seen.lock().unwrap().clone().unwrap();
    assert_eq!(
        sent,
        format!("00-{}-{}-01", hex(&client.trace_id), hex(&client.span_id))
    );

    let mut lines = told.lines.of(id);
    lines.retain(|line| line["target"] == "buttress::access");
    assert_eq!(lines.len(), 1, "the access line: {lines:?}");
    assert_eq!(lines[0]["trace_id"], hex(&server.trace_id));
    assert!(!format!("{lines:?} {server:?} {client:?}").contains("canary"));
}

/// An origin that the first request of all meets not ready, whichever of its addresses that comes to.
/// Both tell which IDs they were asked with.
async fn replicas() -> ([FakeUpstream; 2], Arc<Mutex<Vec<HeaderValue>>>) {
    let ready = Arc::new(AtomicBool::new(false));
    let ids = Arc::new(Mutex::new(Vec::new()));
    let replica = || {
        let (ready, ids) = (Arc::clone(&ready), Arc::clone(&ids));
        FakeUpstream::with(Behaviour::handler(move |request| {
            let id = request.headers()["x-correlation-id"].clone();
            ids.lock().unwrap().push(id.clone());
            let status = if ready.swap(true, Ordering::Relaxed) {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            async move {
                let body = body(Full::new(Bytes::copy_from_slice(id.as_bytes())));
                Response::builder().status(status).body(body).unwrap()
            }
        }))
    };
    ([replica().await, replica().await], ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_twice_is_one_server_span_over_one_client_span_for_each_attempt() {
    let told = Told::of_this_process();
    let (replicas, ids) = replicas().await;
    let routes = Stand::one_route(&[replicas[0].addr(), replicas[1].addr()], "", "");
    let stand = told
        .stand(&format!("[log]\naccess_log = true\n{routes}"))
        .await;
    let answer = stand.client().get("/orders").await;
    assert_eq!(answer.status, StatusCode::OK);
    let id = answer.header("x-correlation-id").unwrap();
    assert_eq!(*ids.lock().unwrap(), [id, id], "what the attempts carried");
    for replica in &replicas {
        assert_eq!(replica.requests(), 1);
    }

    let spans = told.spans_of(id).await;
    let server = only(&spans, SpanKind::Server);
    let mut attempts = of_kind(&spans, SpanKind::Client);
    attempts.sort_by_key(|span| span.start_time_unix_nano);
    let said = |key| {
        let each = attempts.iter().map(|span| attribute(span, key));
        each.collect::<Vec<_>>()
    };
    assert_eq!(said("http.request.resend_count"), [None, Some("1".into())]);
    assert_eq!(
        said("http.response.status_code"),
        [Some("503".into()), Some("200".into())]
    );
    assert_eq!(said("error.type"), [Some("503".into()), None]);
    for attempt in &attempts {
        assert_eq!(attempt.trace_id, server.trace_id);
        assert_eq!(attempt.parent_span_id, server.span_id);
    }
    let mut endpoints = said("buttress.endpoint");
    assert_eq!(attribute(server, "buttress.endpoint"), endpoints[1]);
    endpoints.sort();
    let mut addresses = replicas.map(|replica| Some(replica.addr().to_string()));
    addresses.sort();
    assert_eq!(endpoints, addresses);
}
