//! One connection, from its acceptance to its end.

use std::future::{Future as _, poll_fn};
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
use super::registered::Registered;
use super::service::HttpService;
use super::watch::Watch;
use crate::body::now;

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
    let activity = Arc::new(Activity::new(drain.clone()));
    let service = PerConnection::new(service, Arc::clone(&activity));
    let io = NotedIo::new(io, Arc::clone(&activity));
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut closing = pin!(Registered::new(drain.reached(Phase::Closing)));
    let mut guard = pin!(Guard::new(activity, limits));
    let mut ending = Ending::NotAsked;
    poll_fn(|cx| {
        if ending == Ending::NotAsked {
            let closed = drain.has_reached(Phase::Closing);
            if closing.as_mut().poll_if(closed, cx).is_ready() {
                ending = Ending::Asked;
            }
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
/// without bound, and does not send its `400` to a head that cannot be read. Without `max_headers`:
/// hyper's own limit is 100 of them, and only that one is kept on the stack.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The guard times heads, and tells an idle connection from a slow one.
        .header_read_timeout(None)
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
        timer: Registered<Sleep>,
    }
}

impl Guard {
    fn new(activity: Arc<Activity>, limits: ConnectionLimits) -> Self {
        let accepted = now();
        let watch = Watch::new(limits, accepted);
        let timer = Registered::new(tokio::time::sleep_until(watch.deadline()));
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
            let deadline = this.watch.observe(seen, now);
            // A timer that fires early looks again; only one that would fire late is moved.
            if deadline < this.timer.get_ref().deadline() {
                this.timer.as_mut().renewed().reset(deadline);
            }
        }
        while poll_timer(this.timer.as_mut(), cx).is_ready() {
            if this.watch.has_expired(now()) {
                return Poll::Ready(this.watch.reason());
            }
            let deadline = this.watch.deadline();
            this.timer.as_mut().renewed().reset(deadline);
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
        if grace_ends < this.timer.get_ref().deadline() {
            this.timer.as_mut().renewed().reset(grace_ends);
        }
        poll_timer(this.timer.as_mut(), cx)
    }
}

fn poll_timer(timer: Pin<&mut Registered<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    let elapsed = timer.get_ref().is_elapsed();
    timer.poll_if(elapsed, cx)
}
