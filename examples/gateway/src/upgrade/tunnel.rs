//! Bytes both ways between a client and an upstream, until both are done.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress::telemetry::access;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use super::counts::{End, Open};
use crate::body::now;
use crate::timed::Tunnelled;

/// Two connections about to be one.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
    /// It ends where nothing passes for so long.
    pub(super) idle: Duration,
    pub(super) open: Open,
    pub(super) at_endpoint: Tunnelled,
}

impl Tunnel {
    /// Ends when both ends are done, one of them broke, or nothing passes any more.
    pub(super) async fn carry(self) {
        let Self {
            client,
            upstream,
            idle,
            mut open,
            at_endpoint,
        } = self;
        let (begun, passed) = (now(), Passed::default());
        let end = {
            let carried = async {
                // Both are there as soon as both heads have passed.
                let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else {
                    return Err(io::ErrorKind::NotConnected.into());
                };
                let counts = (&passed, &open);
                carry(TokioIo::new(client), TokioIo::new(upstream), counts).await
            };
            unless_idle(carried, idle, || passed.all()).await
        };
        drop(at_endpoint);
        open.ended(end);
        tracing::info!(
            target: access::TARGET,
            route = open.route(),
            to_upstream_bytes = passed.to_upstream.load(Relaxed),
            to_client_bytes = passed.to_client.load(Relaxed),
            duration_ms = now().saturating_duration_since(begun).as_secs_f64() * 1e3,
            reason = end.as_str(),
            "tunnel ended",
        );
    }
}

/// How much has passed through one tunnel.
#[derive(Debug, Default)]
struct Passed {
    to_upstream: AtomicU64,
    to_client: AtomicU64,
}

impl Passed {
    fn all(&self) -> u64 {
        let one_way = self.to_upstream.load(Relaxed);
        one_way.wrapping_add(self.to_client.load(Relaxed))
    }
}

async fn carry(
    client: impl AsyncRead + AsyncWrite + Unpin,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    (passed, open): (&Passed, &Open),
) -> io::Result<()> {
    let mut client = Counted {
        inner: client,
        passed,
        open,
    };
    copy_bidirectional(&mut client, &mut upstream)
        .await
        .map(|_| ())
}

/// Ends what passes nothing for as long as `idle`, by what `passed` tells after each poll.
async fn unless_idle(
    carried: impl Future<Output = io::Result<()>>,
    idle: Duration,
    passed: impl Fn() -> u64,
) -> End {
    let mut carried = pin!(carried);
    let mut timer = pin!(tokio::time::sleep(idle));
    let (mut seen, mut since) = (passed(), now());
    poll_fn(|cx| {
        if let Poll::Ready(ended) = carried.as_mut().poll(cx) {
            return Poll::Ready(ended.map_or(End::Broken, |()| End::Closed));
        }
        let all = passed();
        if all != seen {
            (seen, since) = (all, now());
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let due = since + idle;
            if now() >= due {
                return Poll::Ready(End::Idle);
            }
            timer.as_mut().reset(due);
        }
    })
    .await
}

/// A client's connection, with a count of what it sends and takes.
struct Counted<'t, T> {
    inner: T,
    passed: &'t Passed,
    open: &'t Open,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<'_, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before) as u64;
        if read > 0 {
            this.passed.to_upstream.fetch_add(read, Relaxed);
            this.open.sent_to_upstream(read);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<'_, T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            this.passed.to_client.fetch_add(*written as u64, Relaxed);
            this.open.sent_to_client(*written as u64);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::super::Tunnels;
    use super::*;

    const IDLE: Duration = Duration::from_secs(3600);
    /// What a connection holds on its way.
    const HELD: usize = 1024;

    /// Both ends of a tunnel, and how it ended.
    fn tunnel() -> (DuplexStream, DuplexStream, JoinHandle<End>) {
        let (client, to_client) = duplex(HELD);
        let (upstream, to_upstream) = duplex(HELD);
        let ended = tokio::spawn(async move {
            let (passed, open) = (Passed::default(), Tunnels::new("r").open());
            let carried = carry(to_client, to_upstream, (&passed, &open));
            unless_idle(carried, IDLE, || passed.all()).await
        });
        (client, upstream, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_where_nothing_passes_for_too_long_and_what_passes_keeps_it() {
        let (mut client, mut upstream, ended) = tunnel();
        let begun = now();
        for _ in 0..3 {
            tokio::time::sleep(IDLE * 9 / 10).await;
            client.write_u8(1).await.unwrap();
            assert_eq!(upstream.read_u8().await.unwrap(), 1);
            tokio::time::sleep(IDLE * 9 / 10).await;
            upstream.write_u8(2).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), 2);
        }
        let last = now();
        assert_eq!(ended.await.unwrap(), End::Idle);
        assert_eq!(now() - last, IDLE);
        assert!(last - begun > IDLE * 5);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_a_tunnel_idles_as_a_whole_one_does() {
        let (mut client, mut upstream, ended) = tunnel();
        client.shutdown().await.unwrap();
        assert_eq!(upstream.read(&mut [0; 8]).await.unwrap(), 0);
        let begun = now();
        assert_eq!(ended.await.unwrap(), End::Idle);
        assert!(now() - begun <= IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_sent_no_more_than_is_held_on_the_way() {
        let (mut client, mut upstream, ended) = tunnel();
        let part = [7; HELD];
        let mut sent = 0;
        let half_an_hour = tokio::time::timeout(IDLE / 2, async {
            loop {
                sent += upstream.write(&part).await.unwrap();
            }
        });
        assert!(half_an_hour.await.is_err());
        // One buffer of the tunnel's, and what both connections hold.
        assert!(sent <= 8 * 1024 + 2 * HELD, "{sent}");
        // The other way is open meanwhile, and all that was sent is there for whoever takes it.
        client.write_u8(1).await.unwrap();
        assert_eq!(upstream.read_u8().await.unwrap(), 1);
        let mut taken = vec![0; sent];
        client.read_exact(&mut taken).await.unwrap();
        assert!(taken.iter().all(|&byte| byte == 7));
        drop((client, upstream));
        assert_ne!(ended.await.unwrap(), End::Idle);
    }

    #[test]
    fn it_is_open_until_it_ends_or_is_dropped_and_counts_once() {
        let tunnels = Tunnels::new("r");
        let mut open = tunnels.open();
        let cut = tunnels.open();
        assert_eq!(tunnels.now(), 2);
        open.ended(End::Idle);
        assert_eq!(tunnels.now(), 2);
        drop(open);
        drop(cut);
        assert_eq!(tunnels.now(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_comes_is_waited_for_no_longer() {
        let never = std::future::pending::<io::Result<()>>();
        let begun = now();
        assert_eq!(unless_idle(never, IDLE, || 0).await, End::Idle);
        assert_eq!(now() - begun, IDLE);
    }
}
