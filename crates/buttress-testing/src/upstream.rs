//! A real HTTP server on a loopback port, whose behaviour can be switched while it runs.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::{BoxError, lock};

/// The body of a [`FakeUpstream`]'s response.
pub type UpstreamBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long a wait for a condition may take before it is reported.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Pin<Box<dyn Future<Output = Response<UpstreamBody>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// How a [`FakeUpstream`] meets its next requests.
#[derive(Clone)]
#[non_exhaustive]
pub enum Behaviour {
    /// Answers this status with an empty body.
    Status(StatusCode),
    /// Never answers.
    Hang,
    /// Breaks off without an answer: HTTP/1 closes the connection, HTTP/2 resets the stream.
    Reset,
    /// Answers what the function makes of the request; see [`Behaviour::handler`].
    Handler(Handler),
}

impl Behaviour {
    /// Answers what `handler` makes of the request.
    pub fn handler<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<UpstreamBody>> + Send + 'static,
    {
        Self::Handler(Arc::new(move |request| Box::pin(handler(request))))
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "Status({status})"),
            Self::Hang => f.write_str("Hang"),
            Self::Reset => f.write_str("Reset"),
            Self::Handler(_) => f.write_str("Handler"),
        }
    }
}

/// Makes a response body of `inner`.
pub fn body<B>(inner: B) -> UpstreamBody
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    inner.map_err(Into::into).boxed_unsync()
}

/// A hyper server for HTTP/1.1 and HTTP/2 by prior knowledge on a free port of 127.0.0.1.
///
/// Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct FakeUpstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: watch::Sender<u64>,
}

impl FakeUpstream {
    /// Starts one that answers `200`.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub async fn start() -> Self {
        Self::with(Behaviour::Status(StatusCode::OK)).await
    }

    /// Starts one that behaves as said.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub async fn with(behaviour: Behaviour) -> Self {
        let (listener, addr) = match bind().await {
            Ok(bound) => bound,
            Err(error) => panic!("no port of 127.0.0.1 can be bound: {error}"),
        };
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            requests: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self { addr, shared, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URI of `path` on it.
    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Meets the requests that come from now on in this way.
    pub fn set(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        *self.shared.requests.borrow()
    }

    /// Waits until at least `count` requests have come.
    ///
    /// # Panics
    ///
    /// If they have not within ten seconds.
    pub async fn wait_for_requests(&self, count: u64) {
        let mut requests = self.shared.requests.subscribe();
        let reached = requests.wait_for(|seen| *seen >= count);
        let reached = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        let seen = self.requests();
        assert!(
            reached,
            "{seen} of {count} requests came within {PATIENCE:?}"
        );
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Owns the connections, so that they end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // How a connection ends is the client's affair, or was asked for by `Reset`.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<UpstreamBody>, BoxError> {
    // Read before the request is counted: who has seen the count may switch the behaviour.
    let behaviour = lock(&shared.behaviour).clone();
    shared.requests.send_modify(|seen| *seen += 1);
    match behaviour {
        Behaviour::Status(status) => Ok(empty(status)),
        Behaviour::Hang => Ok(std::future::pending::<Response<UpstreamBody>>().await),
        Behaviour::Reset => Err("reset, as asked".into()),
        Behaviour::Handler(handler) => Ok(handler(request).await),
    }
}

fn empty(status: StatusCode) -> Response<UpstreamBody> {
    let full = Full::<Bytes>::default().map_err(|never: Infallible| match never {});
    let mut response = Response::new(body(full));
    *response.status_mut() = status;
    response
}
