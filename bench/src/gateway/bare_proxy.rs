//! The yardstick: a reverse proxy of hyper and its pooled client, and nothing else.
//!
//! Server and client are of the gateway's kind (hyper-util's `auto` server and pooled client, streamed
//! bodies both ways), and left at their defaults. Per request it does the one thing no proxy can
//! leave out: point the URI at the upstream. It strips no header, times nothing out and counts
//! nothing. Allocator and scheduler are the gateway's as well.

use std::net::SocketAddr;

use http::uri::{Authority, Parts, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::Error;

type Upstream = Client<HttpConnector, Incoming>;
type ProxyBody = Either<Incoming, Empty<Bytes>>;

/// Forwards everything that reaches `address` to `upstream`, until the process ends.
pub(super) async fn serve(address: SocketAddr, upstream: SocketAddr) -> Result<(), Error> {
    let listener = TcpListener::bind(address).await?;
    let client = client();
    let authority: Authority = upstream.to_string().parse()?;
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

fn client() -> Upstream {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Owns nothing but the response it waits for, so that no handle is cloned per request.
fn forward(
    client: &Upstream,
    authority: &Authority,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ProxyBody>, http::Error>> + use<> {
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
