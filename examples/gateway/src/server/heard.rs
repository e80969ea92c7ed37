//! What the bytes say that hyper was given last: whether they are at their end, and whether more requests stand behind the
//! first.

use std::io;
use std::pin::Pin;
use std::str;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end of a head, but for the first byte of its last line's end, which may have come before.
const END_OF_HEAD: &str = "\n\r\n";

/// A client's bytes on their way to hyper, looked through where a head is waited for.
#[derive(Debug)]
pub(super) struct Heard<T> {
    pub(super) io: T,
    /// Whether what is read next is a head, or may hold several.
    pub(super) is_head: bool,
    has_ended: bool,
    heads: u32,
}

impl<T> Heard<T> {
    pub(super) const fn new(io: T) -> Self {
        Self {
            io,
            is_head: true,
            has_ended: false,
            heads: 0,
        }
    }

    /// Whether it was told that nothing more comes, or that the connection broke.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// How many heads the last read held if it was of heads, each begun or ended in it; at most one if there was no more of
    /// it behind the first.
    pub(super) const fn heads(&self) -> u32 {
        self.heads
    }
}

fn heads(bytes: &[u8]) -> u32 {
    let Some((_, but_the_last)) = bytes.split_last() else {
        return 0;
    };
    // Nearly always there is but one, and this is the fastest way to know: it is asked for each head.
    let more = |text: &str| text.contains(END_OF_HEAD);
    if !str::from_utf8(but_the_last).is_ok_and(more) {
        return 1;
    }
    let ended = but_the_last
        .windows(END_OF_HEAD.len())
        .filter(|bytes| *bytes == END_OF_HEAD.as_bytes())
        .count();
    u32::try_from(ended).map_or(u32::MAX, |ended| ended.saturating_add(1))
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        let Poll::Ready(read) = &polled else {
            return polled;
        };
        let bytes = buf.filled().get(before..).unwrap_or_default();
        this.has_ended = read.is_err() || bytes.is_empty();
        this.heads = if this.is_head { heads(bytes) } else { 0 };
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_stand_behind_the_first_are_counted() {
        for (bytes, wanted) in [
            ("", 0),
            ("G", 1),
            ("GET / HTTP/1.1\r\nhost: a\r\n", 1),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1),
            ("\n\r\n", 1),
            ("\n\r\nGET / HTTP/1.1\r\n\r\n", 2),
            ("GET / HTTP/1.1\r\n\r\nG", 2),
            (
                "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                3,
            ),
        ] {
            assert_eq!(heads(bytes.as_bytes()), wanted, "{bytes:?}");
        }
    }
}
