//! The ID over real connections: what a client may send, and every kind of answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use buttress::correlation::{
    Config, CorrelationId, CorrelationLayer, InCurrentScope, PropagateLayer, Trust,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;

/// How long an answer is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn layer(trust: Trust) -> CorrelationLayer {
    CorrelationLayer::new(Config::new().trust(trust)).unwrap()
}

/// Answers with the IDs that came in, a line each, and the current one.
async fn reflect<B>(request: Request<B>) -> Result<Response<Body>, Infallible> {
    let lines = ["x-correlation-id", "x-request-id"].map(|name| {
        let values = request.headers().get_all(name).iter();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let lines = values.map(|value| format!("{name} {}\n", text(value)));
        lines.collect::<String>()
    });
    let current = CorrelationId::current().unwrap();
    let seen = format!("{}current {current}\n", lines.concat());
    Ok(Response::new(Body::from(seen)))
}

/// hyper alone, with room for heads of a megabyte.
async fn hyper_server(trust: Trust) -> SocketAddr {
    let (listener, address) = listen().await;
    let service = layer(trust).layer(tower::service_fn(reflect));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let mut http1 = hyper::server::conn::http1::Builder::new();
            http1.max_buf_size(1 << 20);
            tokio::spawn(http1.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn axum_server(app: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What a server answers to these very bytes, until it closes.
async fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses a head closes before it has read all of it.
        let _reset = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

fn head(answer: &[u8]) -> (String, String) {
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The one ID of a response's head.
fn echoed(head: &str) -> &str {
    let lines = head
        .lines()
        .filter_map(|line| line.strip_prefix("x-correlation-id: "));
    let ids: Vec<_> = lines.collect();
    assert_eq!(ids.len(), 1, "{head}");
    ids[0]
}

fn get(path: &str, ids: &[(&str, &[u8])]) -> Vec<u8> {
    let mut request =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n").into_bytes();
    for (name, value) in ids {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Values that are no ID, in the header or headers that carry them.
fn payloads() -> Vec<Vec<Vec<u8>>> {
    let texts: [&[&[u8]]; 14] = [
        &[b""],
        &[b"  "],
        &[b"abc level=error msg=\"pwned\""],
        &[b"a\tb"],
        &[b"a,b"],
        &[b"{\"a\":1}"],
        &[b"${jndi:ldap://evil}"],
        &[b"<script>"],
        &[b"../../../etc/passwd%00"],
        &["csi \u{9b}31m".as_bytes()],
        &[b"\xff\xfe"],
        &[b"one", b"two"],
        &[b"same", b"same"],
        &[b"", b"one"],
    ];
    let mut payloads: Vec<Vec<Vec<u8>>> = texts
        .iter()
        .map(|values| values.iter().map(|value| value.to_vec()).collect())
        .collect();
    payloads.push(vec![vec![b'a'; 129]]);
    payloads
}

async fn replaces(address: SocketAddr, name: &str, values: &[Vec<u8>]) {
    let ids: Vec<_> = values.iter().map(|value| (name, &value[..])).collect();
    let answer = raw(address, &get("/", &ids)).await;
    let (head, body) = head(&answer);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let id = echoed(&head);
    let sent = |value: &Vec<u8>| value.trim_ascii() == id.as_bytes();
    assert!(!values.iter().any(sent), "{id}");
    assert!(id.parse::<CorrelationId>().is_ok());
    assert_eq!(body, format!("x-correlation-id {id}\ncurrent {id}\n"));
}

#[tokio::test]
async fn what_is_no_id_is_replaced_through_hyper_and_through_axum() {
    for trust in [Trust::Internal, Trust::Edge] {
        let app = Router::new()
            .fallback(reflect::<Body>)
            .layer(layer(trust.clone()));
        for address in [hyper_server(trust).await, axum_server(app).await] {
            for values in payloads() {
                for name in ["x-correlation-id", "X-Request-ID"] {
                    replaces(address, name, &values).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_id_of_420_kilobytes_is_replaced_where_the_server_takes_such_a_head() {
    let huge = vec![vec![b'a'; 420_000]];
    replaces(
        hyper_server(Trust::Internal).await,
        "x-correlation-id",
        &huge,
    )
    .await;
}

#[tokio::test]
async fn an_id_that_is_one_is_kept_where_it_is_believed() {
    let longest = "z".repeat(128);
    for id in ["order-42/retry=1", "a", longest.as_str()] {
        let address = hyper_server(Trust::Internal).await;
        let answer = raw(address, &get("/", &[("x-correlation-id", id.as_bytes())])).await;
        let (head, body) = head(&answer);
        assert_eq!(echoed(&head), id);
        assert_eq!(body, format!("x-correlation-id {id}\ncurrent {id}\n"));
    }
}

#[tokio::test]
async fn errors_rejections_panics_and_unknown_paths_are_answered_with_an_id() {
    async fn panics() -> StatusCode {
        panic!("in the handler")
    }
    let app = Router::new()
        .route(
            "/error",
            any(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/panic", any(panics))
        .route("/rejected", any(|_: axum::Extension<String>| async {}))
        .route("/only-post", axum::routing::post(|| async {}));
    // As a whole: a layer on a router does not cover what the router itself refuses.
    let app = layer(Trust::Edge).layer(CatchPanicLayer::new().layer(app));
    let address = axum_server(Router::new().fallback_service(app)).await;
    for (path, status) in [
        ("/error", 500),
        ("/panic", 500),
        ("/rejected", 500),
        ("/only-post", 405),
        ("/nowhere", 404),
    ] {
        let (head, _) = head(&raw(address, &get(path, &[])).await);
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{path}: {head}"
        );
        assert!(echoed(&head).parse::<CorrelationId>().is_ok());
    }
}

#[tokio::test]
async fn what_the_server_answers_before_any_layer_carries_no_id_and_repeats_nothing() {
    let app = Router::new()
        .fallback(reflect::<Body>)
        .layer(layer(Trust::Internal));
    let address = axum_server(app).await;
    let huge = vec![b'a'; 600_000];
    for request in [
        b"GET / HTTP/1.1\r\nx-correlation-id: a\x00b\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nx-correlation-id: evil\r\n\x1b[31m: a\r\n\r\n".to_vec(),
        get("/", &[("x-correlation-id", &huge)]),
    ] {
        let answer = raw(address, &request).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
        assert!(!text.contains("x-correlation-id") && !text.contains("evil"));
    }
}

#[tokio::test]
async fn an_upgraded_connection_has_the_id_of_its_handshake() {
    async fn upgrade(
        mut request: Request<hyper::body::Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let upgraded = hyper::upgrade::on(&mut request);
        let talk = async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let current = CorrelationId::current().unwrap();
            io.write_all(current.as_str().as_bytes()).await.unwrap();
            io.shutdown().await.unwrap();
        };
        tokio::spawn(talk.in_current_scope());
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response
            .header("connection", "upgrade")
            .header("upgrade", "talk");
        Ok(response.body(Body::empty()).unwrap())
    }
    let (listener, address) = listen().await;
    let service = layer(Trust::Edge).layer(tower::service_fn(upgrade));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        connection.with_upgrades().await
    });
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: talk\r\n\r\n";
    let (head, said) = head(&raw(address, request).await);
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert_eq!(echoed(&head), said);
}

/// A body of what is sent to it.
struct Events(mpsc::Receiver<String>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = std::task::ready!(self.0.poll_recv(cx));
        Poll::Ready(event.map(|event| Ok(Frame::data(event.into()))))
    }
}

#[tokio::test]
async fn server_sent_events_are_sent_under_the_id_of_their_request() {
    async fn events() -> Response<Body> {
        let (send, events) = mpsc::channel(1);
        let write = async move {
            for number in 0..3 {
                let id = CorrelationId::current().unwrap();
                send.send(format!("data: {number} {id}\n\n")).await.unwrap();
            }
        };
        tokio::spawn(write.in_current_scope());
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(Body::new(Events(events))).unwrap()
    }
    let app = Router::new()
        .route("/", any(events))
        .layer(layer(Trust::Edge));
    let (head, body) = head(&raw(axum_server(app).await, &get("/", &[])).await);
    assert!(head.contains("content-type: text/event-stream"));
    let id = echoed(&head);
    for number in 0..3 {
        assert!(body.contains(&format!("data: {number} {id}\n\n")), "{body}");
    }
}

struct Asked;

#[tonic::async_trait]
impl TraceService for Asked {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let current = CorrelationId::current().unwrap();
        assert_eq!(request.extensions().get(), Some(&current));
        let sent = request.metadata().get("x-correlation-id").unwrap();
        match sent.to_str().unwrap() {
            "fails" => Err(tonic::Status::unavailable("not today")),
            id => {
                assert_eq!(id, current.as_str());
                Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
            }
        }
    }
}

#[tokio::test]
async fn over_grpc_the_id_is_metadata_of_calls_of_answers_and_of_failures() {
    let (listener, address) = listen().await;
    let server = tonic::transport::Server::builder()
        .layer(layer(Trust::Internal))
        .add_service(TraceServiceServer::new(Asked));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    let uri = format!("http://{address}");
    let channel = tonic::transport::Endpoint::from_shared(uri).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut client = TraceServiceClient::new(PropagateLayer::new().layer(channel));
    let id = |text: &str| text.parse::<CorrelationId>().unwrap();
    let call = client.export(ExportTraceServiceRequest::default());
    let answer = id("order-7").scope(call).await.unwrap();
    assert_eq!(
        answer.metadata().get("x-correlation-id").unwrap(),
        "order-7"
    );
    let call = client.export(ExportTraceServiceRequest::default());
    let failure = id("fails").scope(call).await.unwrap_err();
    assert_eq!(failure.code(), tonic::Code::Unavailable);
    assert_eq!(failure.metadata().get("x-correlation-id").unwrap(), "fails");
}
