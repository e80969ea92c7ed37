//! What the bytes say that hyper was given last: whether they are at their end, and whether more requests stand behind the
//! first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end of a head, but for the first byte of its last line's end, which may have come before.
const END_OF_HEAD: &[u8] = b"\n\r\n";
/// So many bytes are compared with those behind them at once.
const PIECE: usize = 16;

/// A client's bytes on their way to hyper, looked through where a head is waited for.
#[derive(Debug)]
pub(super) struct Heard<T> {
    pub(super) io: T,
    /// Whether what is read next is a head, or may hold several.
    pub(super) is_head: bool,
    has_ended: bool,
    heads: u32,
    /// So many bytes of the end of a head came last, and the rest of it may come next.
    begun: usize,
}

impl<T> Heard<T> {
    pub(super) const fn new(io: T) -> Self {
        Self {
            io,
            is_head: true,
            has_ended: false,
            heads: 0,
            begun: 0,
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

/// Of heads that came in more than one read, where the last ended with so much of the end of one.
fn heads_after(begun: usize, bytes: &[u8]) -> u32 {
    let ended = begun > 0
        && bytes.len() > END_OF_HEAD.len() - begun
        && END_OF_HEAD
            .get(begun..)
            .is_some_and(|rest| bytes.starts_with(rest));
    heads(bytes).saturating_add(ended.into())
}

/// With how much of the end of a head these bytes end, but for a whole one.
fn begun_after(begun: usize, bytes: &[u8]) -> usize {
    match (bytes, begun) {
        ([.., b'\n', b'\r', b'\n'], _) | ([b'\r', b'\n'], 1) | ([b'\n'], 2) => 0,
        ([.., b'\n'], _) => 1,
        ([.., b'\n', b'\r'], _) | ([b'\r'], 1) => 2,
        _ => 0,
    }
}

fn heads(bytes: &[u8]) -> u32 {
    if !may_go_on(bytes) {
        return u32::from(!bytes.is_empty());
    }
    let but_the_last = bytes.split_last().map_or(bytes, |(_, rest)| rest);
    let ended = but_the_last
        .windows(END_OF_HEAD.len())
        .filter(|bytes| *bytes == END_OF_HEAD)
        .count();
    u32::try_from(ended).map_or(u32::MAX, |ended| ended.saturating_add(1))
}

/// Whether a head may end in these bytes before they do. Nearly always none does, and it is asked for each head.
fn may_go_on(bytes: &[u8]) -> bool {
    let before = bytes.get(..bytes.len().saturating_sub(2));
    let before = before.unwrap_or_default();
    let Some(last) = before.last_chunk() else {
        return before.windows(2).any(|pair| pair == b"\n\r");
    };
    let pieces = before.windows(last.len()).step_by(PIECE);
    let pieces = pieces.filter_map(<[u8]>::first_chunk);
    pieces.fold(pairs(last), |found, piece| found | pairs(piece)) != 0
}

/// Not zero if an end of line is followed by another in this piece, which is compared at once.
fn pairs(piece: &[u8; PIECE + 1]) -> u8 {
    let pair = |(&first, next): (&u8, &u8)| u8::from(first == b'\n') & u8::from(*next == b'\r');
    let pairs = piece.iter().zip(piece.iter().skip(1));
    pairs.fold(0, |found, next| found | pair(next))
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
        (this.heads, this.begun) = if this.is_head {
            (
                heads_after(this.begun, bytes),
                begun_after(this.begun, bytes),
            )
        } else {
            (0, 0)
        };
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
    fn the_end_of_a_head_is_found_wherever_it_stands() {
        for length in 0..=100 {
            let mut bytes = vec![b'x'; length];
            assert!(!may_go_on(&bytes));
            for at in 0..length.saturating_sub(END_OF_HEAD.len()) {
                bytes.fill(b'\n');
                bytes[at..at + END_OF_HEAD.len()].copy_from_slice(END_OF_HEAD);
                assert_eq!(heads(&bytes), 2, "at {at} of {length}");
            }
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_however_reads_cut_it() {
        let whole =
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        for first in 0..whole.len() {
            for second in first + 1..=whole.len() {
                let (mut begun, mut from) = (0, 0);
                for to in [first, second] {
                    let piece = &whole[from..to];
                    let ends = |at: &usize| whole[..*at].ends_with(END_OF_HEAD);
                    // That a head ended with the last byte says of no other.
                    let ended = (from + 1..to).filter(ends).count();
                    let wanted = if piece.is_empty() { 0 } else { ended + 1 };
                    let heads = heads_after(begun, piece) as usize;
                    assert_eq!(heads, wanted, "{from} to {to}");
                    begun = begun_after(begun, piece);
                    from = to;
                }
            }
        }
    }

    #[test]
    fn an_end_that_has_come_whole_is_not_the_beginning_of_another() {
        let mut begun = 0;
        for (piece, wanted) in [("a\r\n", 1), ("\r", 2), ("\n", 0), ("\r\nGET", 0)] {
            assert!(heads_after(begun, piece.as_bytes()) < 2);
            begun = begun_after(begun, piece.as_bytes());
            assert_eq!(begun, wanted, "{piece:?}");
        }
    }

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
