//! A connection's bytes, with a note of every read, every write and of the preface of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use crate::gather;

/// What begins an HTTP/2 connection.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's bytes on their way to hyper.
#[derive(Debug)]
pub(super) struct NotedIo<T> {
    inner: TokioIo<T>,
    activity: Arc<Activity>,
    /// What of the preface has still to come; `None` once it is decided what is spoken.
    preface: Option<&'static [u8]>,
}

impl<T: AsyncRead + Unpin> NotedIo<T> {
    pub(super) fn new(io: T, activity: Arc<Activity>) -> Self {
        Self {
            inner: TokioIo::new(io),
            activity,
            preface: Some(PREFACE),
        }
    }

    /// Reads no further than the preface, and compares.
    fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
        preface: &'static [u8],
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; PREFACE.len()];
        let most = preface.len().min(buf.remaining());
        let mut first = ReadBuf::new(bytes.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(self.inner.inner_mut()).poll_read(cx, &mut first))?;
        let first = first.filled();
        self.preface = preface.strip_prefix(first).filter(|_| !first.is_empty());
        if self.preface.is_some_and(<[u8]>::is_empty) {
            self.preface = None;
            self.activity.is_http2();
        }
        buf.put_slice(first);
        Poll::Ready(Ok(()))
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
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match this.preface {
            Some(preface) => this.poll_first(cx, buf, preface),
            None => Pin::new(&mut this.inner).poll_read(cx, buf),
        };
        if polled.is_ready() {
            this.activity.read();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> Write for NotedIo<T> {
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
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
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
