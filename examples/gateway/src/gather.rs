//! Writing several pieces at once, in the cheapest way.
//!
//! A gathering write costs the system more than a plain one, about as much as to copy a few
//! kilobytes. Most of what a proxy writes is a head alone, or a head and a short body.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::Write;

/// Up to so many bytes are copied together.
const SHORT: usize = 2048;

thread_local! {
    /// Where they are: made once, for to clear so much room for each write costs as much as to fill it.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes `pieces` in their order, as far as `io` takes them.
pub(crate) fn poll_write<T: Write + Unpin>(
    io: &mut T,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let io = Pin::new(io);
    if let [piece] = pieces {
        return io.poll_write(cx, piece);
    }
    let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    if length > SHORT {
        return io.poll_write_vectored(cx, pieces);
    }
    let mut room = ROOM.take();
    room.clear();
    for piece in pieces {
        room.extend_from_slice(piece);
    }
    let polled = io.poll_write(cx, &room);
    ROOM.set(room);
    polled
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes of each write, and remembers them.
    struct Takes(usize, Vec<u8>);

    impl Write for Takes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.0);
            self.1.extend(buf.iter().take(taken));
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn every_byte_is_written_once_and_in_order_whatever_is_taken_of_it() {
        let bytes: Vec<u8> = (0..3 * SHORT)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        for lengths in [
            &[][..],
            &[1],
            &[SHORT + 1],
            &[200, 1000],
            &[0, 3, 0],
            &[1, SHORT - 1],
            &[1, SHORT],
            &[SHORT, 1],
            &[10, SHORT, 10],
        ] {
            for most in [1000, usize::MAX] {
                let mut rest = &bytes[..];
                let pieces: Vec<_> = lengths
                    .iter()
                    .map(|&length| {
                        let (piece, left) = rest.split_at(length);
                        rest = left;
                        IoSlice::new(piece)
                    })
                    .collect();
                let total: usize = lengths.iter().sum();
                let mut io = Takes(most, Vec::new());
                let mut cx = Context::from_waker(Waker::noop());
                let written = poll_write(&mut io, &mut cx, &pieces);
                let Poll::Ready(Ok(written)) = written else {
                    panic!("{written:?}")
                };
                assert_eq!(written, total.min(most), "{lengths:?}");
                assert_eq!(io.1, bytes[..written], "{lengths:?}");
            }
        }
    }
}
