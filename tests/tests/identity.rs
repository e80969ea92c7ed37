//! One ID through everything.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use buttress::correlation::CorrelationId;
use buttress_testing::{Behaviour, FakeUpstream, body};
use buttress_tests::{Client, Stand};
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::Full;

const ID: &str = "x-correlation-id";

type Heads = Arc<Mutex<Vec<HeaderMap>>>;

/// Answers with the ID that it was sent.
async fn listening_upstream() -> (FakeUpstream, Heads) {
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    let upstream = FakeUpstream::with(Behaviour::handler(move |request| {
        seen.lock().unwrap().push(request.headers().clone());
        let id = request.headers().get(ID).map(|id| id.as_bytes().to_vec());
        let id = Bytes::from(id.unwrap_or_default());
        async { Response::new(body(Full::new(id))) }
    }));
    (upstream.await, heads)
}

async fn stand(upstream: &FakeUpstream, correlation: &str) -> Stand {
    let routes = Stand::one_route(&[upstream.addr()], "", "");
    Stand::usual(&format!("{correlation}\n{routes}")).await
}

fn only(headers: &HeaderMap) -> &str {
    let all: Vec<_> = headers.get_all(ID).iter().collect();
    assert_eq!(all.len(), 1, "not exactly one ID: {all:?}");
    all[0].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_each_keep_one_valid_id_from_end_to_end() {
    let (upstream, heads) = listening_upstream().await;
    let stand = stand(&upstream, "").await;
    let client = stand.client();
    let clients = (0..10).map(|_| tokio::spawn(hundred(client.clone())));
    let mut echoed = BTreeSet::new();
    for client in clients.collect::<Vec<_>>() {
        echoed.extend(client.await.unwrap());
    }
    let received: BTreeSet<_> = heads
        .lock()
        .unwrap()
        .iter()
        .map(|head| only(head).to_owned())
        .collect();
    assert_eq!(echoed.len(), 1_000, "two requests shared an ID");
    assert_eq!(echoed, received);
    assert!(echoed.iter().all(|id| id.parse::<CorrelationId>().is_ok()));
}

async fn hundred(client: Client) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..100 {
        let answer = client.get("/").await;
        let echoed = only(&answer.headers);
        assert_eq!(answer.body, echoed, "another request's");
        ids.push(echoed.to_owned());
    }
    ids
}

#[tokio::test]
async fn at_the_edge_a_clients_own_id_is_never_taken_over() {
    let (upstream, heads) = listening_upstream().await;
    let stand = stand(&upstream, "").await;
    let client = stand.client();
    let request = client
        .request(Method::GET, "/")
        .header(ID, "forged")
        .body(Full::default());
    let answer = client.send(request.unwrap()).await;
    assert_ne!(only(&answer.headers), "forged");
    assert_eq!(only(&answer.headers), only(&heads.lock().unwrap()[0]));
}

#[tokio::test]
async fn inside_a_valid_id_is_kept_and_an_invalid_or_repeated_one_replaced() {
    let (upstream, heads) = listening_upstream().await;
    let stand = stand(&upstream, "[correlation]\ntrust = \"internal\"").await;
    let client = stand.client();
    let cases: [(&[&str], bool); 4] = [
        (&["order-7"], true),
        (&["not valid"], false),
        (&["a", "b"], false),
        (&[""], false),
    ];
    for (sent, kept) in cases {
        let mut request = client.request(Method::GET, "/");
        for value in sent {
            request = request.header(ID, *value);
        }
        let answer = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(only(&answer.headers) == sent[0], kept, "{sent:?}");
        let head = heads.lock().unwrap().pop().unwrap();
        assert_eq!(only(&answer.headers), only(&head));
    }
}

#[tokio::test]
async fn by_network_the_ids_and_traces_of_callers_within_are_kept_and_no_others() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (upstream, heads) = listening_upstream().await;
    for (networks, kept) in [("127.0.0.0/8", true), ("10.0.0.0/8\", \"::1", false)] {
        let trust = format!("[correlation]\ntrust = {{ networks = [\"{networks}\"] }}");
        let stand = stand(&upstream, &trust).await;
        let client = stand.client();
        let request = client
            .request(Method::GET, "/")
            .header(ID, "order-7")
            .header("traceparent", PARENT);
        let answer = client.send(request.body(Full::default()).unwrap()).await;
        let head = heads.lock().unwrap().pop().unwrap();
        assert_eq!(only(&answer.headers), only(&head));
        assert_eq!(only(&head) == "order-7", kept, "{networks}");
        let same_trace = head.get("traceparent").is_some_and(|sent| sent == PARENT);
        assert_eq!(same_trace, kept, "{networks}");
    }
}

#[tokio::test]
async fn naming_the_id_as_hop_by_hop_does_not_erase_it() {
    let (upstream, heads) = listening_upstream().await;
    let stand = stand(&upstream, "").await;
    let client = stand.client();
    let request = client
        .request(Method::GET, "/")
        .header("connection", "close")
        .header("connection", "x-correlation-id, x-secret")
        .header("x-secret", "hop");
    let answer = client.send(request.body(Full::default()).unwrap()).await;
    let head = heads.lock().unwrap().pop().unwrap();
    assert_eq!(only(&answer.headers), only(&head));
    assert!(!head.contains_key("x-secret"));
}

#[tokio::test]
async fn answers_of_the_gateways_own_carry_the_id_in_header_and_body() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let routes =
        Stand::one_route(&[unused], "", "").replace("path_prefix = \"/\"", "path_prefix = \"/a\"");
    let stand = Stand::usual(&routes).await;
    for (path, status) in [("/a", 502), ("/b", 404)] {
        let answer = stand.client().get(path).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["correlation_id"], only(&answer.headers));
    }
    let labels = [("http_response_status_code", "404")];
    let refused = "http_server_request_duration_seconds_count";
    let counted = stand.metrics().await.sum(refused, &labels);
    assert_eq!(
        counted,
        Some(1.0),
        "what no route takes is recorded all the same"
    );
}
