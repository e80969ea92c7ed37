//! Bytes both ways between two connections, until both ways have ended; and how long it may wait.
//!
//! Each way has one buffer, which is read into where it is empty and not otherwise, and waits for one thing at a time: for
//! whoever sends, or for whoever takes. What it waits for has a limit of its own, which only bytes on that way renew:
//! who sends is not excused by that for what it does not take.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::counts::End;
use crate::body::now;

/// What is on its way to either end.
const BUFFER: usize = 8 * 1024;

/// How long each kind of silence may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Nothing passes either way.
    pub(super) idle: Duration,
    /// One end has ended its way, and nothing comes from the other.
    pub(super) half: Duration,
    /// The client takes nothing of what waits for it.
    pub(super) client: Duration,
    /// The same of the upstream.
    pub(super) upstream: Duration,
}

/// How much has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) to_upstream: u64,
    pub(super) to_client: u64,
}

/// Carries bytes both ways until both have ended, one connection broke or a limit is reached. `passed` is told what passed in
/// each poll.
pub(super) async fn carry(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    limits: Limits,
    mut passed: impl FnMut(Passed),
) -> End {
    let mut pump = Pump::new(client, upstream, now());
    let mut timer = pin!(tokio::time::sleep(limits.idle));
    poll_fn(|cx| {
        let mut at = now();
        let polled = pump.poll(cx, at);
        passed(pump.take_passed());
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(ended.map_or(End::Broken, |()| End::Closed));
        }
        let (mut due, mut end) = pump.due(&limits);
        // A timer that fires early looks again; only one that would fire late is moved.
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            at = at.max(now());
            if at >= due {
                return Poll::Ready(end);
            }
            (due, end) = pump.due(&limits);
            timer.as_mut().reset(due);
        }
    })
    .await
}

/// Two connections and both ways between them.
struct Pump<C, U> {
    client: C,
    upstream: U,
    to_upstream: Way,
    to_client: Way,
}

impl<C, U> Pump<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    fn new(client: C, upstream: U, now: Instant) -> Self {
        Self {
            client,
            upstream,
            to_upstream: Way::new(now),
            to_client: Way::new(now),
        }
    }

    /// Ready once both ways have ended, or one of them broke.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        let Self {
            client,
            upstream,
            to_upstream,
            to_client,
        } = self;
        let up = to_upstream.poll(cx, now, client, upstream)?;
        let down = to_client.poll(cx, now, upstream, client)?;
        match (up, down) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn take_passed(&mut self) -> Passed {
        Passed {
            to_upstream: std::mem::take(&mut self.to_upstream.passed),
            to_client: std::mem::take(&mut self.to_client.passed),
        }
    }

    /// When it has waited for too long unless something moves before, and what that is.
    fn due(&self, limits: &Limits) -> (Instant, End) {
        let (up, down) = (&self.to_upstream, &self.to_client);
        let idle = (up.moved.max(down.moved) + limits.idle, End::Idle);
        [
            up.due(limits.upstream, limits.half, down.ended),
            down.due(limits.client, limits.half, up.ended),
        ]
        .into_iter()
        .flatten()
        // Of two at once the more telling.
        .fold(
            idle,
            |first, due| if due.0 <= first.0 { due } else { first },
        )
    }
}

/// One way: from whoever sends to whoever takes.
struct Way {
    buffer: Box<[u8; BUFFER]>,
    taken: usize,
    filled: usize,
    /// Bytes that were taken and not yet told of.
    passed: u64,
    /// When it began, or a byte last came or was taken.
    moved: Instant,
    /// Since when nothing of what waits is taken.
    blocked: Option<Instant>,
    /// When whoever sends has ended.
    ended: Option<Instant>,
    /// That has been passed on.
    done: bool,
}

impl Way {
    fn new(now: Instant) -> Self {
        Self {
            buffer: Box::new([0; BUFFER]),
            taken: 0,
            filled: 0,
            passed: 0,
            moved: now,
            blocked: None,
            ended: None,
            done: false,
        }
    }

    /// Ready once its end has been passed on.
    fn poll<F, T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        from: &mut F,
        to: &mut T,
    ) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        while !self.done {
            if self.taken < self.filled {
                ready!(self.poll_write(cx, now, to))?;
            } else if self.ended.is_some() {
                let shut = Pin::new(&mut *to).poll_shutdown(cx);
                ready!(self.waits_for(shut, now))?;
                self.done = true;
            } else if self.poll_read(cx, now, from)?.is_pending() {
                // What was taken may lie in a buffer of the connection's own.
                let flushed = Pin::new(&mut *to).poll_flush(cx);
                ready!(self.waits_for(flushed, now))?;
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<F: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        from: &mut F,
    ) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(&mut *self.buffer);
        ready!(Pin::new(from).poll_read(cx, &mut room))?;
        (self.taken, self.filled) = (0, room.filled().len());
        if self.filled == 0 {
            self.ended = Some(now);
        } else {
            self.moved = now;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        to: &mut T,
    ) -> Poll<io::Result<()>> {
        let waiting = self.buffer.get(self.taken..self.filled).unwrap_or_default();
        let written = Pin::new(to).poll_write(cx, waiting);
        let written = ready!(self.waits_for(written, now))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.taken += written;
        self.passed += written as u64;
        self.moved = now;
        Poll::Ready(Ok(()))
    }

    /// Notes since when whoever takes is waited for.
    fn waits_for<T>(&mut self, polled: Poll<T>, now: Instant) -> Poll<T> {
        match polled {
            Poll::Pending => {
                self.blocked.get_or_insert(now);
            }
            Poll::Ready(_) => self.blocked = None,
        }
        polled
    }

    /// When it has waited for too long by itself: for who takes at most `stuck`, and where the other way has ended at `other`
    /// for who sends at most `half`.
    fn due(
        &self,
        stuck: Duration,
        half: Duration,
        other: Option<Instant>,
    ) -> Option<(Instant, End)> {
        match (self.blocked, other) {
            (Some(since), _) => Some((since + stuck, End::Stuck)),
            (None, Some(ended)) if !self.done => Some((self.moved.max(ended) + half, End::Idle)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: Limits = Limits {
        idle: Duration::from_secs(3600),
        half: Duration::from_secs(60),
        client: Duration::from_secs(50),
        upstream: Duration::from_secs(40),
    };
    /// What a connection holds on its way.
    const HELD: usize = 1024;

    struct Tunnel {
        client: DuplexStream,
        upstream: DuplexStream,
        ended: JoinHandle<End>,
        passed: Arc<Mutex<Passed>>,
    }

    fn tunnel() -> Tunnel {
        let (client, to_client) = duplex(HELD);
        let (upstream, to_upstream) = duplex(HELD);
        let passed = Arc::<Mutex<Passed>>::default();
        let sum = Arc::clone(&passed);
        let ended = tokio::spawn(carry(to_client, to_upstream, LIMITS, move |more| {
            let mut sum = sum.lock().unwrap();
            sum.to_upstream += more.to_upstream;
            sum.to_client += more.to_client;
        }));
        Tunnel {
            client,
            upstream,
            ended,
            passed,
        }
    }

    /// How it ended, and how long that took, while one end sends a byte a second and takes nothing.
    async fn while_sending(mut from: DuplexStream, ended: JoinHandle<End>) -> (End, Duration) {
        let begun = now();
        while !ended.is_finished() {
            assert!(now() - begun < LIMITS.idle, "it goes on");
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(from.write_u8(1).await);
        }
        (ended.await.unwrap(), now() - begun)
    }

    /// Sends for as long as it is taken, and takes all that comes.
    fn flood(stream: DuplexStream) {
        let (mut read, mut write) = tokio::io::split(stream);
        tokio::spawn(async move { while write.write_all(&[7; HELD]).await.is_ok() {} });
        tokio::spawn(async move { while let Ok(1..) = read.read(&mut [0; HELD]).await {} });
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_where_nothing_passes_for_too_long_and_what_passes_keeps_it() {
        let mut tunnel = tunnel();
        let begun = now();
        for _ in 0..3 {
            tokio::time::sleep(LIMITS.idle * 9 / 10).await;
            tunnel.client.write_u8(1).await.unwrap();
            assert_eq!(tunnel.upstream.read_u8().await.unwrap(), 1);
            tokio::time::sleep(LIMITS.idle * 9 / 10).await;
            tunnel.upstream.write_u8(2).await.unwrap();
            assert_eq!(tunnel.client.read_u8().await.unwrap(), 2);
        }
        let last = now();
        assert_eq!(tunnel.ended.await.unwrap(), End::Idle);
        assert_eq!(now() - last, LIMITS.idle);
        assert!(last - begun > LIMITS.idle * 5);
        assert_eq!(tunnel.client.read(&mut [0; 8]).await.unwrap(), 0);
        let all = Passed {
            to_upstream: 3,
            to_client: 3,
        };
        assert_eq!(*tunnel.passed.lock().unwrap(), all);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_a_tunnel_is_soon_idle_and_what_passes_keeps_it() {
        for client_first in [true, false] {
            let Tunnel {
                client,
                upstream,
                ended,
                ..
            } = tunnel();
            let (mut first, mut last) = if client_first {
                (client, upstream)
            } else {
                (upstream, client)
            };
            // However long it was quiet before.
            tokio::time::sleep(LIMITS.half * 10).await;
            first.shutdown().await.unwrap();
            assert_eq!(last.read(&mut [0; 8]).await.unwrap(), 0);
            for _ in 0..5 {
                tokio::time::sleep(LIMITS.half * 9 / 10).await;
                last.write_u8(1).await.unwrap();
                assert_eq!(first.read_u8().await.unwrap(), 1);
            }
            let begun = now();
            assert_eq!(ended.await.unwrap(), End::Idle);
            assert_eq!(now() - begun, LIMITS.half);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_is_not_excused_for_what_it_does_not_take() {
        let Tunnel {
            client,
            upstream,
            ended,
            ..
        } = tunnel();
        flood(upstream);
        let (end, after) = while_sending(client, ended).await;
        assert_eq!(end, End::Stuck);
        assert!(after >= LIMITS.client && after <= LIMITS.client + Duration::from_secs(2));
        let Tunnel {
            client,
            upstream,
            ended,
            ..
        } = tunnel();
        flood(client);
        let (end, after) = while_sending(upstream, ended).await;
        assert_eq!(end, End::Stuck);
        assert!(after >= LIMITS.upstream && after <= LIMITS.upstream + Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_nobody_takes_what_it_sent_keeps_its_place_no_longer_than_that_may_last()
     {
        let mut tunnel = tunnel();
        let sent = tokio::time::timeout(LIMITS.upstream / 2, async {
            while tunnel.client.write_all(&[7; HELD]).await.is_ok() {}
        });
        assert!(sent.await.is_err());
        drop(tunnel.client);
        let begun = now();
        assert_eq!(tunnel.ended.await.unwrap(), End::Stuck);
        assert!(now() - begun <= LIMITS.upstream);
        drop(tunnel.upstream);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_slowly_is_not_stuck() {
        let mut tunnel = tunnel();
        flood(tunnel.upstream);
        let mut part = [0; HELD];
        for _ in 0..20 {
            tokio::time::sleep(LIMITS.client * 9 / 10).await;
            assert!(tunnel.client.read(&mut part).await.unwrap() > 0);
        }
        assert!(!tunnel.ended.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_sent_no_more_than_is_held_on_the_way() {
        let mut tunnel = tunnel();
        let part = [7; HELD];
        let mut sent = 0;
        let a_while = tokio::time::timeout(LIMITS.client / 2, async {
            loop {
                sent += tunnel.upstream.write(&part).await.unwrap();
            }
        });
        assert!(a_while.await.is_err());
        // One buffer of the tunnel's, and what both connections hold.
        assert!(sent <= BUFFER + 2 * HELD, "{sent}");
        // The other way is open meanwhile, and all that was sent is there for whoever takes it.
        tunnel.client.write_u8(1).await.unwrap();
        assert_eq!(tunnel.upstream.read_u8().await.unwrap(), 1);
        let mut taken = vec![0; sent];
        tunnel.client.read_exact(&mut taken).await.unwrap();
        assert!(taken.iter().all(|&byte| byte == 7));
        drop((tunnel.client, tunnel.upstream));
        assert_eq!(tunnel.ended.await.unwrap(), End::Closed);
    }
}
