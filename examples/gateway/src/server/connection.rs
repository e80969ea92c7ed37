//! One connection, from its acceptance to its end.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::ConnectionLimits;
use super::activity::Activity;
use super::drain::{Drain, Phase};
use super::exchange::PerConnection;
use super::io::NotedIo;
use super::service::HttpService;
use super::watch::Watch;
use crate::body::now;
use crate::headers::Peer;

/// Headers in a request.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// Streams at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How often an HTTP/2 client is asked whether it still lives, and how long it has to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A connection that was made just before the listener closed may have a request on its way.
const OPENING_GRACE: Duration = Duration::from_millis(500);

pub(super) async fn serve<T, S>(
    io: T,
    peer: SocketAddr,
    service: S,
    limits: ConnectionLimits,
    drain: Drain,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: HttpService,
{
    let activity = Arc::new(Activity::default());
    let service = PerConnection {
        service,
        peer: Peer::new(peer),
        activity: Arc::clone(&activity),
        drain: drain.clone(),
    };
    let io = NotedIo::new(io, Arc::clone(&activity));
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut closing = pin!(drain.reached(Phase::Closing));
    let mut guard = pin!(Guard::new(activity, limits));
    let mut ending = Ending::NotAsked;
    poll_fn(|cx| {
        if ending == Ending::NotAsked && closing.as_mut().poll(cx).is_ready() {
            ending = Ending::Asked;
        }
        if ending == Ending::Asked && guard.as_mut().poll_may_end(cx).is_ready() {
            ending = Ending::Told;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "connection broke");
            }
            return Poll::Ready(());
        }
        let silent = guard.as_mut().poll_silent(cx);
        silent.map(|reason| tracing::debug!(%peer, reason, "closing connection"))
    })
    .await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    NotAsked,
    Asked,
    Told,
}

/// Without `pipeline_flush`: with it hyper buffers a response for a client that takes none of it,
/// without bound, and does not send its `400` to a head that cannot be read.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The guard times heads, and tells an idle connection from a slow one.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .adaptive_window(true)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

pin_project_lite::pin_project! {
    /// Ends a connection that is silent for too long. Polled after the connection, in its task.
    struct Guard {
        activity: Arc<Activity>,
        watch: Watch,
        accepted: Instant,
        #[pin]
        timer: Sleep,
    }
}

impl Guard {
    fn new(activity: Arc<Activity>, limits: ConnectionLimits) -> Self {
        let accepted = now();
        let watch = Watch::new(limits, accepted);
        let timer = tokio::time::sleep_until(watch.deadline());
        Self {
            activity,
            watch,
            accepted,
            timer,
        }
    }

    /// Ready with the reason once the connection has to end.
    fn poll_silent(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        let mut this = self.project();
        let seen = this.activity.seen();
        if this.watch.is_news(&seen) {
            let deadline = this.watch.observe(seen, now());
            // A timer that fires early looks again; only one that would fire late is moved.
            if deadline < this.timer.deadline() {
                this.timer.as_mut().reset(deadline);
            }
        }
        while this.timer.as_mut().poll(cx).is_ready() {
            if this.watch.has_expired(now()) {
                return Poll::Ready(this.watch.reason());
            }
            this.timer.as_mut().reset(this.watch.deadline());
        }
        Poll::Pending
    }

    /// Ready once a connection may be told to end: at once, unless a head has begun or it is so new
    /// that its first may be on its way.
    fn poll_may_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let grace_ends = *this.accepted + OPENING_GRACE;
        if this.watch.expects_no_head() || (!this.watch.has_part_of_a_head() && now() >= grace_ends)
        {
            return Poll::Ready(());
        }
        if grace_ends < this.timer.deadline() {
            this.timer.as_mut().reset(grace_ends);
        }
        this.timer.as_mut().poll(cx)
    }
}
