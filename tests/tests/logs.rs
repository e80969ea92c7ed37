//! What is said of a request: all of it under its ID, over two services, and nothing that a client
//! would not want said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use buttress::correlation::{self, CorrelationLayer};
use buttress::telemetry::{
    AccessLogLayer, Config, Format, Guard, InCurrentRequest, ServerSpanLayer, Trust,
    in_current_request,
};
use buttress_gateway::stack::Seams;
use buttress_testing::FakeUpstream;
use buttress_tests::{Answer, Client, Lines, Stand, until};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a client would not want to see again. Nothing in its shape gives it away.
const CANARY: &str = "zq7canary4u";

// === what is said ===

/// Keeps what it is sent, as text.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<String>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let sent = format!("{:?}\n", request.into_inner());
        self.0.lock().unwrap().push_str(&sent);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// All that this process says, at the most talkative level.
struct Told {
    lines: Lines,
    collector: Collector,
    guard: Guard,
}

static TOLD: LazyLock<Told> = LazyLock::new(|| {
    let (lines, collector) = (Lines::default(), Collector::default());
    let address = listen(collector.clone());
    let writer = lines.clone();
    let config = Config::new("told")
        .format(Format::Json)
        .filter("trace")
        .repeats(None)
        .writer(move || writer.clone())
        .otlp(format!("http://{address}"));
    let guard = buttress::telemetry::init(config).unwrap();
    Told {
        lines,
        collector,
        guard,
    }
});

/// Serves `collector` for as long as the process lives.
fn listen(collector: Collector) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let service = TraceServiceServer::new(collector);
            let server = tonic::transport::Server::builder().add_service(service);
            let incoming = TcpIncoming::from(listener);
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
    told.recv().unwrap()
}

async fn stand(config: &str) -> Stand {
    let seams = Seams {
        logs: Some(TOLD.guard.logs()),
        ..Seams::default()
    };
    Stand::with(seams, config).await
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("buttress-tests-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn audit(&self) -> String {
        let path = self.0.join("audit.jsonl");
        format!("[audit]\npath = \"{}\"\n", path.display())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.join("audit.jsonl")).unwrap_or_default()
    }

    fn records(&self, kind: &str) -> Vec<Value> {
        let text = self.text();
        let whole = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        whole
            .filter(|record: &Value| record["kind"] == kind)
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// === one ID, all lines ===

/// A service of one's own behind the gateway, which believes it.
async fn service() -> SocketAddr {
    let ids = correlation::Config::new().trust(Trust::Internal);
    let app = Router::new()
        .route("/orders", get(orders))
        .layer(AccessLogLayer::new())
        .layer(ServerSpanLayer::new().trust(Trust::Internal))
        .layer(CorrelationLayer::new(ids).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn orders() -> &'static str {
    tracing::info!(target: "service", "in the handler");
    let task = async { tracing::info!(target: "service", "on a task") };
    tokio::spawn(task.in_current_request()).await.unwrap();
    let work = || tracing::info!(target: "service", "on a thread that blocks");
    let work = tokio::task::spawn_blocking(in_current_request(work));
    work.await.unwrap();
    "done"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_by_an_id_is_the_whole_flow_of_its_request_over_two_services() {
    let told = &*TOLD;
    let routes = Stand::one_route(&[service().await], "", "");
    let stand = stand(&format!("[log]\naccess_log = true\n{routes}")).await;
    let client = stand.client();
    let (answer, other) = (client.get("/orders").await, client.get("/orders").await);
    assert_eq!(answer.text(), "done");
    let id = answer.header("x-correlation-id").unwrap();
    assert_ne!(id, other.header("x-correlation-id").unwrap());

    let found = told.lines.with(id);
    let of = |target: &str| -> Vec<&Value> {
        found
            .iter()
            .filter(|line| line["target"] == target)
            .collect()
    };
    let said: Vec<_> = of("service").iter().map(|line| &line["message"]).collect();
    assert_eq!(
        said,
        ["in the handler", "on a task", "on a thread that blocks"]
    );
    assert_eq!(
        of("buttress::access").len(),
        2,
        "the gateway's and the service's"
    );
    let trace = &of("service")[0]["trace_id"];
    for line in of("service").into_iter().chain(of("buttress::access")) {
        assert_eq!(line["correlation_id"], id, "{line}");
        assert_eq!(&line["trace_id"], trace, "{line}");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16, "{line}");
        for key in ["time", "level", "target", "message"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
}

// === no secret ===

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
    let told = &*TOLD;
    let directory = Directory::new("canary");
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
        directory.audit(),
        upstream.addr(),
    );
    let stand = stand(&config).await;
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
    answers.push(grpc(stand.address).await);
    assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
    assert!(answers[2].starts_with("HTTP/1.1 502"), "{}", answers[2]);
    for answer in &answers {
        assert!(!has_canary(answer.as_bytes()), "{answer}");
    }
    for (path, page) in pages(&stand).await {
        assert!(!has_canary(&page.body), "{path}: {page:?}");
    }
    until("the breaker or the endpoint is judged", || {
        directory.text().lines().count() > 0
    })
    .await;
    assert!(!has_canary(directory.text().as_bytes()));

    assert!(told.guard.flush(PATIENCE).await);
    let spans = told.collector.0.lock().unwrap().clone();
    assert!(spans.contains("/orders"));
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

// === who changed what ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_recorded_with_who_why_before_and_after() {
    let directory = Directory::new("audit");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = gone.local_addr().unwrap();
    drop(gone);
    let breaker = "[route.breaker]\nconsecutive_failures = 3";
    let routes = Stand::one_route(&[dead], "", breaker);
    let stand = stand(&format!("{}{routes}", directory.audit())).await;

    until("the start is recorded", || {
        !directory.records("configuration").is_empty()
    })
    .await;
    let started = &directory.records("configuration")[0];
    assert_eq!(started["after"]["routes"][0], "all");
    assert_eq!(started["before"], Value::Null);

    for _ in 0..3 {
        stand.client().get("/").await;
    }
    let opened = |records: Vec<Value>| {
        let mut found = records.into_iter();
        found.find(|it| it["subject"] == "breaker all" && it["after"] == "open")
    };
    until("the transition is recorded", || {
        opened(directory.records("transition")).is_some()
    })
    .await;
    let record = opened(directory.records("transition")).unwrap();
    assert_eq!(record["before"], "closed");
    assert_eq!(record["who"], "rule consecutive_failures");
    assert!(
        record["why"]
            .as_str()
            .unwrap()
            .contains("consecutive_failures 3"),
        "{record}"
    );

    assert!(stand.rooms.routes[0].breaker.force_closed());
    until("the override is recorded", || {
        !directory.records("override").is_empty()
    })
    .await;
    let record = &directory.records("override")[0];
    assert_eq!(record["who"], "by hand");
    assert_eq!(record["before"], "open");

    let metrics = stand.page("/metrics").await.text();
    assert!(
        metrics.contains("buttress_audit_records_total{result=\"written\"}"),
        "{metrics}"
    );
}

async fn put(stand: &Stand, value: &str) -> Answer {
    let client = Client::of(stand.admin);
    let path = format!("/settings/log.filter?value={value}&why=ticket+7");
    let request = client.request(Method::PUT, &path).body(Full::default());
    client.send(request.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_is_changed_by_the_admin_listener_and_that_is_recorded() {
    let told = &*TOLD;
    let directory = Directory::new("level");
    let upstream = FakeUpstream::start().await;
    let routes = Stand::one_route(&[upstream.addr()], "", "");
    let stand = stand(&format!(
        "{}[log]\naccess_log = true\n{routes}",
        directory.audit()
    ))
    .await;
    let said = |what: &str| {
        tracing::warn!(target: "said_of_a_level", "{what}");
        !told.lines.with(what).is_empty()
    };
    assert!(said("level-before"));
    let answer = put(&stand, "trace,said_of_a_level=error").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!said("level-after"));
    assert_eq!(put(&stand, "loud").await.status, 422);
    assert!(!said("level-refused"));
    let settings = stand.page("/settings").await.text();
    assert!(settings.contains("said_of_a_level=error"), "{settings}");
    assert_eq!(put(&stand, "trace").await.status, 200);
    assert!(said("level-again"));

    until("both changes are recorded", || {
        directory.records("configuration").len() == 3
    })
    .await;
    let record = &directory.records("configuration")[1];
    assert_eq!(record["subject"], "log.filter");
    assert!(record["who"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(record["why"], "ticket 7");
    assert!(
        record["after"]
            .as_str()
            .unwrap()
            .contains("said_of_a_level=error")
    );
}
