//! The first bytes of what a client sends next, read before hyper asked for them.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, ReadBuf};

/// What begins an HTTP/2 connection.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A few bytes, to be taken from the front.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    // As many as tell the protocol.
    bytes: [u8; PREFACE.len()],
    taken: usize,
    read: usize,
}

impl Ahead {
    /// Those that nobody has taken.
    pub(super) fn left(&self) -> &[u8] {
        self.bytes.get(self.taken..self.read).unwrap_or_default()
    }

    /// Gives as many as there is room for; whether there were any.
    pub(super) fn give(&mut self, buf: &mut ReadBufCursor<'_>) -> bool {
        let left = self.left();
        if left.is_empty() {
            return false;
        }
        let given = left.get(..buf.remaining()).unwrap_or(left);
        buf.put_slice(given);
        let given = given.len();
        self.taken += given;
        given > 0
    }

    /// Reads as many more as there is room for. Ready with how many came: none if nothing more comes.
    pub(super) fn poll_more(
        &mut self,
        io: impl AsyncRead + Unpin,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(self.bytes.get_mut(self.read..).unwrap_or_default());
        ready!(pin!(io).poll_read(cx, &mut buf))?;
        let more = buf.filled().len();
        self.read += more;
        Poll::Ready(Ok(more))
    }
}
