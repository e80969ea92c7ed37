//! A secret in every place that a client can write to, save the path and a valid ID, is seen nowhere.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use buttress_testing::FakeUpstream;
use buttress_testing::collector::hex;
use buttress_tests::{Answer, AuditFile, Client, Stand, Told, until};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a client would not want to see again. Nothing in its shape gives it away.
const CANARY: &str = "zq7canary4u";

/// A request with the canary wherever a client can write, but for the path. The bytes of the answer.
async fn raw(to: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = head.replace('\n', "\r\n") + "\r\n\r\n" + body;
    // What is refused early may be cut while it is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn everywhere(request_line: &str) -> String {
    format!(
        "{request_line}\nHost: {CANARY}.example:81\nConnection: close\nUser-Agent: {CANARY}\n\
         Authorization: Bearer {CANARY}\nProxy-Authorization: Basic {CANARY}\n\
         Cookie: session={CANARY}; b={CANARY}\nReferer: http://{CANARY}/\nAccept: text/{CANARY}\n\
         Accept-Language: {CANARY}\nContent-Language: {CANARY}\nOrigin: http://{CANARY}\n\
         X-Correlation-Id: {CANARY} not valid\nX-Request-Id: {CANARY} not valid\n\
         Traceparent: 00-{CANARY}-00f067aa0ba902b7-01\nTracestate: v={CANARY}\n\
         Baggage: user={CANARY}\nForwarded: for={CANARY};host={CANARY}\n\
         X-Forwarded-For: {CANARY}, 10.0.0.1\nX-Forwarded-Host: {CANARY}\n\
         X-Forwarded-Proto: {CANARY}\nX-Real-Ip: {CANARY}\nX-{CANARY}: {CANARY}\n\
         If-None-Match: \"{CANARY}\"\nRange: {CANARY}=0-1\nExpect-Ct: {CANARY}\n\
         Keep-Alive: {CANARY}\nGrpc-Timeout: {CANARY}\nX-Api-Key: {CANARY}\nTrailer: x-end"
    )
}

fn chunked() -> String {
    let length = CANARY.len();
    format!("{length:x};{CANARY}=1\r\n{CANARY}\r\n0\r\nX-End: {CANARY}\r\n\r\n")
}

/// A call with the canary in its metadata, its message and its trailers, over HTTP/2.
async fn grpc(to: SocketAddr) -> String {
    let client: legacy::Client<_, Full<Bytes>> = legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = Request::post(format!("http://{to}/orders?a={CANARY}"))
        .header("content-type", format!("application/grpc+{CANARY}"))
        .header("authorization", format!("Bearer {CANARY}"))
        .header("x-meta-bin", CANARY)
        .header("x-meta", CANARY)
        .header("te", "trailers")
        .body(Full::from(CANARY));
    let answer = client.request(request.unwrap()).await.unwrap();
    let headers = format!("{:?}", answer.headers());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    format!("{headers}{}", String::from_utf8_lossy(&body))
}

/// All that the admin listener shows, metrics in each of their forms.
async fn pages(stand: &Stand) -> Vec<(String, Answer)> {
    let client = Client::of(stand.admin);
    let mut pages = Vec::new();
    let index: Value =
        serde_json::from_str(&asked(&client, "/", "application/json").await.text()).unwrap();
    for path in index["paths"].as_object().unwrap().keys() {
        pages.push((path.clone(), client.get(path).await));
    }
    for form in [
        "text/plain;version=0.0.4",
        "application/openmetrics-text;version=1.0.0",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    ] {
        pages.push((form.to_owned(), asked(&client, "/metrics", form).await));
    }
    pages
}

async fn asked(client: &Client, path: &str, accept: &str) -> Answer {
    let request = client.request(Method::GET, path).header("accept", accept);
    client.send(request.body(Full::default()).unwrap()).await
}

fn has_canary(bytes: &[u8]) -> bool {
    bytes
        .windows(CANARY.len())
        .any(|window| window.eq_ignore_ascii_case(CANARY.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_every_place_a_client_can_write_to_is_seen_nowhere() {
    let told = Told::of_this_process();
    let audit = AuditFile::of("canary");
    let upstream = FakeUpstream::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = gone.local_addr().unwrap();
    drop(gone);
    let config = format!(
        "{}[log]\naccess_log = true\n\
         [[pool]]\nname = \"good\"\nendpoints = [\"{}\"]\n\
         [[pool]]\nname = \"dead\"\nendpoints = [\"{dead}\"]\n\
         [[route]]\nname = \"orders\"\npath_prefix = \"/orders\"\npool = \"good\"\n\
         [[route]]\nname = \"dead\"\npath_prefix = \"/dead\"\npool = \"dead\"\n",
        audit.config(),
        upstream.addr(),
    );
    let stand = told.stand(&config).await;
    let body = chunked();
    let mut answers = Vec::new();
    for (line, framing) in [
        (
            "POST /orders?token=SECRET&SECRET=1 HTTP/1.1",
            "Transfer-Encoding: chunked",
        ),
        ("SECRET /orders HTTP/1.1", "Transfer-Encoding: chunked"),
        ("POST /dead?SECRET HTTP/1.1", "Transfer-Encoding: chunked"),
        (
            "POST /nowhere?SECRET HTTP/1.1",
            "Transfer-Encoding: chunked",
        ),
        // What no proxy takes: another length than it says, an upgrade, a target that is none.
        ("POST /orders?SECRET HTTP/1.1", "Content-Length: SECRET"),
        ("GET /orders?SECRET HTTP/1.1", "Upgrade: SECRET"),
        ("CONNECT SECRET:81 HTTP/1.1", "Content-Length: 0"),
        (
            "GET http://SECRET.example/orders HTTP/1.1",
            "Content-Length: 0",
        ),
        ("GET /orders?SECRET HTTP/9.SECRET", "Content-Length: 0"),
    ] {
        let head = format!("{}\n{framing}", everywhere(line)).replace("SECRET", CANARY);
        answers.push(raw(stand.address, &head, &body).await);
    }
    // What it claims of a trace is well formed, and as little believed.
    let claim = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let head = format!("{}\nContent-Length: 0", everywhere("GET /orders HTTP/1.1"));
    let head = head.replace(&format!("00-{CANARY}-00f067aa0ba902b7-01"), claim);
    answers.push(raw(stand.address, &head, "").await);
    answers.push(grpc(stand.address).await);
    assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
    assert!(answers[2].starts_with("HTTP/1.1 502"), "{}", answers[2]);
    for answer in &answers {
        assert!(!has_canary(answer.as_bytes()), "{answer}");
    }
    for (path, page) in pages(&stand).await {
        assert!(!has_canary(&page.body), "{path}: {page:?}");
        if path.starts_with("text/plain") {
            let invented = page.text().contains("http_request_method=\"_OTHER\"");
            assert!(invented, "its method is counted under no name of its own");
        }
    }
    until("the breaker or the endpoint is judged", || {
        audit.text().lines().count() > 0
    })
    .await;
    assert!(!has_canary(audit.text().as_bytes()));

    assert!(!told.spans().await.is_empty());
    let spans = format!("{:?}", told.collector.traces());
    assert!(spans.contains("/orders"));
    let linked = told.collector.spans().into_iter();
    let mut linked = linked.flat_map(|span| span.links);
    assert!(linked.any(|link| hex(&link.trace_id) == claim[3..35]));
    let lower = spans.to_lowercase();
    let around: Vec<_> = lower
        .match_indices(CANARY)
        .map(|(at, _)| &lower[at.saturating_sub(200)..(at + 40).min(lower.len())])
        .collect();
    assert!(
        around.is_empty(),
        "{} times, such as {:?}",
        around.len(),
        around.first()
    );
    let lines = told.lines.text();
    let shown: Vec<&str> = lines
        .lines()
        .filter(|line| has_canary(line.as_bytes()))
        .collect();
    assert!(
        shown.is_empty(),
        "{} lines, such as {:?}",
        shown.len(),
        shown.first()
    );
    assert!(lines.contains("\"/orders\""), "the path is shown");
}
