//! Connections to one endpoint, whatever a request's URI says.
//!
//! The client's pool is made for many hosts: for every request it hashes the URI's authority several
//! times, byte by byte, and clones it more often still. Each endpoint has a client of its own, so
//! there is nothing to tell apart. A URI's authority is [`KEY`] where it is not sent, and the endpoint
//! that is connected to is known here.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::gather;

/// Stands for the endpoint where its authority is not sent: short, and nothing to share or to count.
pub(super) const KEY: &str = "_";

/// Connects to one endpoint. Cloned for each request, so behind one pointer.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: HttpConnector,
    endpoint: Uri,
}

impl Connector {
    /// To `authority`, within `timeout`.
    pub(super) fn new(authority: &Authority, timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        http.set_connect_timeout(Some(timeout));
        let endpoint = uri(authority.clone(), PathAndQuery::from_static("/"));
        Self(Arc::new(Shared { http, endpoint }))
    }
}

/// A plain URI.
pub(super) fn uri(authority: Authority, path: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    // All three parts are there, which is all that can be asked of them.
    Uri::from_parts(parts).unwrap_or_default()
}

type Failure = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failure;
    // Boxed once for a connection, and for no request.
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Shared { http, endpoint } = &*self.0;
        let (mut http, endpoint) = (http.clone(), endpoint.clone());
        Box::pin(async move {
            poll_fn(|cx| http.poll_ready(cx)).await?;
            Ok(Stream(http.call(endpoint).await?))
        })
    }
}

/// A connection to the endpoint. What is known of it is not told to each of its responses.
#[derive(Debug)]
pub(super) struct Stream(TokioIo<TcpStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        gather::poll_write(&mut self.get_mut().0, cx, bufs)
    }
}
