//! The yardstick: a reverse proxy of hyper and its pooled client, and nothing else.
//!
//! Server and client are the gateway's (hyper-util's `auto` server and pooled client, streamed bodies both
//! ways), down to the file that connects. Per request it does the one thing no proxy can leave out:
//! point the URI at the upstream. It strips no header, times nothing out and counts nothing. Allocator
//! and scheduler are the gateway's as well.
//!
//! [`Dial::Stock`] leaves the client at its defaults instead: what who writes a proxy of hyper-util gets
//! at first.

/// The gateway's own.
#[path = "../../../examples/gateway/src/upstream/connect.rs"]
mod connect;

use std::net::SocketAddr;
use std::time::Duration;

use http::uri::{Authority, Parts, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use self::connect::{Connector, KEY};
use crate::Error;

type ProxyBody = Either<Incoming, Empty<Bytes>>;

/// The client of the bare proxy.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Dial {
    /// The gateway's own
    Gateway,
    /// hyper-util's, at its defaults
    Stock,
}

impl Dial {
    /// As the command line has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Stock => "stock",
        }
    }
}

/// Forwards everything that reaches `address` to `upstream`, until the process ends.
pub(super) async fn serve(
    address: SocketAddr,
    upstream: SocketAddr,
    dial: Dial,
) -> Result<(), Error> {
    let endpoint: Authority = upstream.to_string().parse()?;
    match dial {
        Dial::Gateway => {
            let connector = Connector::new(&endpoint, Duration::from_secs(5));
            // `Host` comes with the request.
            let client = builder().set_host(false).build(connector);
            forward_all(address, client, Authority::from_static(KEY)).await
        }
        Dial::Stock => {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            forward_all(address, builder().build(connector), endpoint).await
        }
    }
}

async fn forward_all<C>(
    address: SocketAddr,
    client: Client<C, Incoming>,
    authority: Authority,
) -> Result<(), Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let client = client.clone();
        let authority = authority.clone();
        tokio::spawn(async move {
            let forward = service_fn(move |request| forward(&client, &authority, request));
            let server = auto::Builder::new(TokioExecutor::new());
            // A broken connection is the load generator's to notice.
            let _ = server.serve_connection(TokioIo::new(stream), forward).await;
        });
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new());
    builder
}

/// Owns nothing but the response it waits for, so that no handle is cloned per request.
fn forward<C>(
    client: &Client<C, Incoming>,
    authority: &Authority,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ProxyBody>, http::Error>> + use<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let response = upstream_uri(authority, request.uri()).map(|uri| {
        *request.uri_mut() = uri;
        client.request(request)
    });
    async {
        match response?.await {
            Ok(response) => Ok(response.map(Either::Left)),
            Err(_) => Response::builder()
                .status(StatusCode::BAD_GATEWAY)
                .body(Either::Right(Empty::new())),
        }
    }
}

fn upstream_uri(authority: &Authority, asked: &Uri) -> Result<Uri, http::Error> {
    let mut parts = Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.clone());
    parts.path_and_query = asked.path_and_query().cloned();
    Ok(Uri::from_parts(parts)?)
}
