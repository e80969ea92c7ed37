//! HTTP/1.1 or HTTP/2 by prior knowledge on one connection, as its first bytes say.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::PerConnection;
use super::io::NotedIo;
use super::service::HttpService;

/// Bytes of a request's head, over either protocol: what most upstreams take by default. More of it
/// they would refuse, and some with the whole connection that other requests share.
pub(super) const MAX_HEAD: u16 = 16 * 1024;
/// Streams at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Requests that came and were reset before they were looked at: the connection of who sends more is closed
/// (CVE-2023-44487). One whose turn has not come yet is seldom reset by a client who means well.
const MAX_RESET_UNSEEN: usize = 20;
/// Requests that were reset on this side for what their client sent, in the life of a connection (CVE-2025-8671): h2 takes
/// none back. Its own default, for data that was on its way when an early answer closed its stream may count among them.
const MAX_RESET_FOR_ERRORS: usize = 1024;
/// Bytes of uploads that an HTTP/2 connection holds for upstreams that do not take them: of one
/// stream, and of all together.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a response over which no more of it is asked for. With that, an HTTP/2 connection holds
/// at most a [`CONNECTION_WINDOW`], and for each of [`MAX_STREAMS`] this and one frame of the
/// upstream's: 1 MiB of uploads and 6.25 MiB of responses, beside the frames.
const SEND_BUFFER: usize = 64 * 1024;
/// How often an HTTP/2 client is asked whether it still lives, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(20);

pin_project! {
    /// A connection that is served over whichever protocol its client begins with.
    ///
    /// hyper-util's own reads the first bytes through one more layer, which stays on the connection for all its requests.
    #[project = ConnectionProj]
    pub(super) enum Connection<T, S: HttpService> {
        /// Its first bytes have not all come; `None` once it has ended so.
        Opening { served: Option<(NotedIo<T>, PerConnection<S>)> },
        Http1 { #[pin] http1: http1::UpgradeableConnection<NotedIo<T>, PerConnection<S>> },
        Http2 { #[pin] http2: http2::Connection<NotedIo<T>, PerConnection<S>, TokioExecutor> },
    }
}

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService,
{
    pub(super) const fn new(io: NotedIo<T>, service: PerConnection<S>) -> Self {
        Self::Opening {
            served: Some((io, service)),
        }
    }

    /// Ends it after what has begun: at once if nothing was told yet.
    pub(super) fn graceful_shutdown(self: Pin<&mut Self>) {
        match self.project() {
            ConnectionProj::Opening { served } => *served = None,
            ConnectionProj::Http1 { http1 } => http1.graceful_shutdown(),
            ConnectionProj::Http2 { http2 } => http2.graceful_shutdown(),
        }
    }

    fn poll_opened(
        served: &mut Option<(NotedIo<T>, PerConnection<S>)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Self>>> {
        let is_http2 = match served {
            Some((io, _)) => ready!(io.poll_is_http2(cx))?,
            None => return Poll::Ready(Ok(None)),
        };
        let opened = served.take().map(|(io, service)| {
            if is_http2 {
                let http2 = http2(service.takes_connect()).serve_connection(io, service);
                Self::Http2 { http2 }
            } else {
                let http1 = http1().serve_connection(io, service).with_upgrades();
                Self::Http1 { http1 }
            }
        });
        Poll::Ready(Ok(opened))
    }
}

impl<T, S> Future for Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService,
{
    type Output = Result<(), Box<dyn Error + Send + Sync>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let opened = match self.as_mut().project() {
                ConnectionProj::Http1 { http1 } => return http1.poll(cx).map_err(Into::into),
                ConnectionProj::Http2 { http2 } => return http2.poll(cx).map_err(Into::into),
                ConnectionProj::Opening { served } => ready!(Self::poll_opened(served, cx)),
            };
            match opened? {
                Some(opened) => self.set(opened),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Without `pipeline_flush`: with it hyper buffers a response for a client that takes none of it,
/// without bound, and does not send its `400` to a head that cannot be read. Without `max_headers`:
/// hyper's own limit is 100 of them, and only that one is kept on the stack.
fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `NotedIo` sees a client that leaves; hyper would read for that into new room of 8 KiB for each request.
        .half_close(true)
        // The guard times heads, and tells an idle connection from a slow one.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD.into());
    builder
}

fn http2(takes_connect: bool) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_UNSEEN)
        .max_local_error_reset_streams(MAX_RESET_FOR_ERRORS)
        .max_header_list_size(MAX_HEAD.into())
        // An adaptive window grows to what a fast client sends, times the streams.
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    // Who reads it may prefer this protocol for its WebSockets, and would be refused.
    if takes_connect {
        builder.enable_connect_protocol();
    }
    builder
}
