//! The service of an endpoint: hyper's pooled client over the simulated network, under a timeout.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress::core::BoxError;
use buttress::core::deadline::DeadlineExceeded;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::Service;
use turmoil::net::TcpStream;

use crate::origin::PORT;

/// An attempt that takes longer has failed.
pub const TIMEOUT: Duration = Duration::from_millis(500);

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Sends requests to one host, whatever their body is: they have none.
#[derive(Clone, Debug)]
pub struct Remote {
    host: &'static str,
    client: Client<Connect, Empty<Bytes>>,
}

impl Remote {
    pub fn to(host: &'static str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(Connect);
        Self { host, client }
    }
}

impl<B> Service<Request<B>> for Remote {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let uri = format!("http://{}:{PORT}{}", self.host, request.uri().path());
        let mut sent = Request::new(Empty::new());
        *sent.method_mut() = request.method().clone();
        *sent.uri_mut() = uri.parse().unwrap();
        let answer = self.client.request(sent);
        Box::pin(async move {
            match tokio::time::timeout(TIMEOUT, answer).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(DeadlineExceeded::new().into()),
            }
        })
    }
}

/// Connects over the simulated network.
#[derive(Clone, Copy, Debug)]
struct Connect;

impl Service<Uri> for Connect {
    type Response = Stream;
    type Error = BoxError;
    type Future = Boxed<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let stream = TcpStream::connect((host, PORT)).await?;
            Ok(Stream(TokioIo::new(stream)))
        })
    }
}

/// A connection. The client asks of one what was agreed on it.
#[derive(Debug)]
struct Stream(TokioIo<TcpStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
