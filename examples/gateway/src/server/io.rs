//! A connection's bytes, with a note of every read, every write and of the preface of HTTP/2, and of a client that leaves
//! while its request is worked on.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::Activity;
use super::ahead::{Ahead, PREFACE};
use super::heard::Heard;
use crate::body::IdleTimer;
use crate::gather;

/// A client's bytes on their way to hyper.
#[derive(Debug)]
pub(super) struct NotedIo<T> {
    inner: TokioIo<Heard<T>>,
    activity: Arc<Activity>,
    /// What was read before hyper asked for it.
    ahead: Ahead,
    /// Whether hyper has asked for bytes since, and waits for them: it sees the end itself.
    awaited: bool,
    /// How often something had been read when it was last looked whether the client has left.
    looked: u32,
    /// How many requests had begun when hyper last read.
    started: u32,
    end: End,
}

/// What is known of the end of what the client sends.
#[derive(Debug)]
enum End {
    /// It may send on.
    NotSeen,
    /// It was read before hyper asked for it, which it may for a while.
    Ahead(IdleTimer),
    /// hyper knows of it.
    Given,
}

/// After so long an upload is taken for complete of which nobody asks for more and whose client is gone: who sends it on
/// asks at once, but in a thread of its own.
const PATIENCE: Duration = Duration::from_secs(1);

impl<T: AsyncRead + Unpin> NotedIo<T> {
    pub(super) fn new(io: T, activity: Arc<Activity>) -> Self {
        Self {
            inner: TokioIo::new(Heard::new(io)),
            activity,
            ahead: Ahead::default(),
            awaited: false,
            looked: 0,
            started: 0,
            end: End::NotSeen,
        }
    }

    /// An error if the client has left whose request over HTTP/1 is worked on.
    ///
    /// As with hyper, which reads on for that by itself unless it is told to allow half-closed connections, whoever says
    /// that nothing more comes has left; who sent on before the answer is not looked after any further; and what hyper has
    /// been told is its own affair: a body that breaks off is answered.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(whole) = self.activity.at_work() else {
            return Ok(());
        };
        let sent_on = !self.ahead.left().is_empty() || (whole && self.has_next());
        if mem::take(&mut self.awaited) || sent_on || matches!(self.end, End::Given) {
            return Ok(());
        }
        let reads = self.activity.reads();
        if !whole && reads != self.looked {
            // A body comes in, which hyper reads as it is asked for. If that was the last of it, it is the next look.
            self.looked = reads;
            cx.waker().wake_by_ref();
            return Ok(());
        }
        if let End::NotSeen = self.end
            && self.poll_ended(cx)
        {
            self.end = End::Ahead(IdleTimer::default());
        }
        let End::Ahead(timer) = &mut self.end else {
            return Ok(());
        };
        // Whether the body was whole only hyper knows: it asks for the rest as soon as what came before is taken.
        if !whole && timer.poll_waiting(cx, PATIENCE).is_pending() {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Whether the client is at its end. What it sends instead is kept for hyper.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ahead = Ahead::default();
        match ahead.poll_more(&mut self.inner.inner_mut().io, cx) {
            Poll::Pending => return false,
            Poll::Ready(Err(_) | Ok(0)) => return true,
            Poll::Ready(Ok(_)) => {}
        }
        self.ahead = ahead;
        // Should hyper want it, it has to be told.
        cx.waker().wake_by_ref();
        false
    }

    /// Whether hyper holds more requests than it has begun.
    fn has_next(&self) -> bool {
        let begun = self.activity.started().wrapping_sub(self.started);
        begun < self.inner.inner().heads()
    }

    /// What is read next is a head, unless a request is worked on or the connection goes on in another protocol; and what it holds begins from here on.
    fn listen(&mut self) {
        let activity = &self.activity;
        self.inner.inner_mut().is_head = activity.at_work().is_none()
            && !activity.speaks_http2()
            && activity.afterwards().is_none();
        self.started = self.activity.started();
    }

    /// Whether HTTP/2 is spoken, as soon as its preface has come or can come no more. No more than that is read, and kept for
    /// hyper.
    pub(super) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while PREFACE.starts_with(self.ahead.left()) {
            if self.ahead.left().len() == PREFACE.len() {
                self.activity.is_http2();
                return Poll::Ready(Ok(true));
            }
            self.listen();
            let more = ready!(self.ahead.poll_more(self.inner.inner_mut(), cx))?;
            self.activity.read();
            if more == 0 {
                self.end = End::Given;
                break;
            }
        }
        Poll::Ready(Ok(false))
    }
}

impl<T> NotedIo<T> {
    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(1..)) => self.activity.wrote(),
            Poll::Ready(_) => {}
            Poll::Pending => self.activity.is_blocked(),
        }
        written
    }
}

impl<T: AsyncRead + Unpin> Read for NotedIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.listen();
        let polled = if this.ahead.give(&mut buf) {
            Poll::Ready(Ok(()))
        } else if matches!(this.end, End::NotSeen) {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            this.end = End::Given;
            Poll::Ready(Ok(()))
        };
        if this.inner.inner().has_ended() {
            this.end = End::Given;
        }
        this.awaited = polled.is_pending();
        if polled.is_ready() {
            this.activity.read();
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Write for NotedIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.noted(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        Poll::Ready(this.poll_left(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = gather::poll_write(&mut this.inner, cx, bufs);
        this.noted(polled)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::server::activity::Exchange;
    use crate::server::drain::Drain;

    /// A client, and its connection, on which a request is worked on.
    fn at_work(whole: bool) -> (DuplexStream, NotedIo<DuplexStream>, Exchange) {
        let (client, served) = tokio::io::duplex(64);
        let activity = Arc::new(Activity::new(Drain::new()));
        let exchange = Exchange::begin_alone(&activity, whole, false);
        (client, NotedIo::new(served, activity), exchange)
    }

    fn flush(io: &mut NotedIo<DuplexStream>) -> Poll<io::Result<()>> {
        Pin::new(io).poll_flush(&mut Context::from_waker(Waker::noop()))
    }

    fn read(io: &mut NotedIo<DuplexStream>, most: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; most];
        let mut buf = hyper::rt::ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        let polled = Pin::new(io).poll_read(&mut cx, buf.unfilled());
        polled.is_ready().then(|| buf.filled().to_vec())
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_protocol_however_they_come_and_none_is_lost() {
        let http2 = [PREFACE, &b"more"[..]].concat();
        for (sent, is_http2) in [
            (http2.as_slice(), true),
            (PREFACE, true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n more", false),
            (b"POST / HTTP/1.1\r\n\r\n", false),
            (b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n", false),
            (b"PRI * HTTP/2.0", false),
            (b"P", false),
            (b"", false),
        ] {
            for length in [1, 5, 24, 64] {
                let (mut client, served) = tokio::io::duplex(64);
                let activity = Arc::new(Activity::new(Drain::new()));
                let mut io = NotedIo::new(served, Arc::clone(&activity));
                let mut cx = Context::from_waker(Waker::noop());
                let mut told = Poll::Pending;
                for piece in sent.chunks(length) {
                    client.write_all(piece).await.unwrap();
                    if told.is_pending() {
                        told = io.poll_is_http2(&mut cx).map(Result::unwrap);
                    }
                }
                drop(client);
                if told.is_pending() {
                    told = io.poll_is_http2(&mut cx).map(Result::unwrap);
                }
                assert_eq!(told, Poll::Ready(is_http2), "{sent:?} by {length}");
                assert_eq!(activity.speaks_http2(), is_http2);
                let mut got = Vec::new();
                while let Some(piece) = read(&mut io, 99).filter(|piece| !piece.is_empty()) {
                    got.extend(piece);
                }
                assert_eq!(got, sent, "by {length}");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen_while_its_request_is_worked_on_and_at_no_other_time() {
        let (client, mut io, exchange) = at_work(true);
        assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        drop(client);
        assert!(matches!(flush(&mut io), Poll::Ready(Err(_))));
        drop(exchange);
        assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
    }

    #[tokio::test]
    async fn what_a_client_sends_ahead_is_all_there_in_its_order() {
        let (mut client, mut io, exchange) = at_work(true);
        client
            .write_all(b"0123456789abcdefghijklmnopqrst")
            .await
            .unwrap();
        for _ in 0..3 {
            assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        }
        let reads = io.activity.reads();
        assert_eq!(read(&mut io, 10).unwrap(), b"0123456789");
        assert_ne!(io.activity.reads(), reads, "a head that begins is timed");
        drop(exchange);
        assert_eq!(read(&mut io, 99).unwrap(), b"abcdefghijklmn");
        assert_eq!(read(&mut io, 99).unwrap(), b"opqrst");
        assert_eq!(read(&mut io, 99), None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_a_body_is_looked_after_once_no_more_of_it_is_asked_for() {
        let (mut client, mut io, _exchange) = at_work(false);
        client.write_all(b"body").await.unwrap();
        assert_eq!(read(&mut io, 99).unwrap(), b"body");
        drop(client);
        // One look for what was read, and one that finds the end.
        for _ in 0..99 {
            assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        }
        tokio::time::advance(Duration::from_millis(900)).await;
        assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(matches!(flush(&mut io), Poll::Ready(Err(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_hyper_has_seen_is_not_seen_again() {
        for found_ahead in [false, true] {
            let (mut client, mut io, _exchange) = at_work(false);
            client.write_all(b"body").await.unwrap();
            assert_eq!(read(&mut io, 99).unwrap(), b"body");
            drop(client);
            for _ in 0..if found_ahead { 3 } else { 0 } {
                assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
            }
            assert_eq!(read(&mut io, 99).unwrap(), b"");
            for _ in 0..99 {
                tokio::time::advance(PATIENCE).await;
                assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
            }
        }
    }

    #[tokio::test]
    async fn who_sent_the_next_request_in_the_same_breath_has_not_left_before_it_has_begun() {
        let (mut client, served) = tokio::io::duplex(64);
        let activity = Arc::new(Activity::new(Drain::new()));
        let mut io = NotedIo::new(served, Arc::clone(&activity));
        let two = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        client.write_all(two).await.unwrap();
        drop(client);
        assert_eq!(read(&mut io, 99).unwrap(), two);
        let first = Exchange::begin_alone(&activity, true, false);
        assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        drop(first);
        let _second = Exchange::begin_alone(&activity, true, false);
        assert!(matches!(flush(&mut io), Poll::Ready(Err(_))));
    }

    #[tokio::test]
    async fn an_end_that_hyper_waits_for_itself_is_left_to_it() {
        let (client, mut io, _exchange) = at_work(true);
        assert_eq!(read(&mut io, 99), None);
        drop(client);
        assert!(matches!(flush(&mut io), Poll::Ready(Ok(()))));
        assert!(matches!(flush(&mut io), Poll::Ready(Err(_))), "it did not");
    }
}
